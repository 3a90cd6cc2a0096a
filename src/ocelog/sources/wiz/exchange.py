"""What one HTTP answer says beside its body: who answered, when, and how long to wait."""

import html
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from msgspec import Struct

from ocelog.languages.phrases import Phrase
from ocelog.sources.wiz.envelope import readable

_LONGEST_WAIT = timedelta(hours=1)
"""Wiz may ask for more; nothing is gained by believing it for longer than this."""
RIGHT_ONE = Phrase("Check that it is the right one.")
"""What to do about an address that answers as one does where nothing is."""
_YEARS = range(2000, 2200)
_HTML = re.compile(r"\s*<(?:!doctype|html|head|body)", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.{1,1000}?)</title", re.IGNORECASE | re.DOTALL)
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_PAGE_START = 16_384
_LONGEST_TITLE = 120
_REQUEST_ID_NAMES = ("x-request-id", "x-wiz-request-id", "x-amzn-requestid", "x-amzn-trace-id")
"""Which of them Wiz sends is nowhere written down; the first that is there is shown."""


class HttpAnswer(Struct, frozen=True, kw_only=True):
    """One HTTP answer, with its body unpacked. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    heard: float = 0.0
    """Our monotonic clock, in seconds, when the headers were there."""
    redact: Callable[[str], str] = str
    """Takes our secrets out of a text: the other side may repeat in any of its texts what it was sent."""

    @property
    def request_id(self) -> str | None:
        """Wiz's own name for this exchange: what its support asks for."""
        found = next((self.headers[name] for name in _REQUEST_ID_NAMES if self.headers.get(name)), None)
        return None if found is None else self.readable(found)

    @property
    def date(self) -> datetime | None:
        """When the other side answered, by its own clock, cut to whole seconds.

        None if it does not say, or says what no clock shows: slices reach years before and after it.
        """
        found = http_date(self.headers.get("date", ""))
        return found if found is not None and found.year in _YEARS else None

    @property
    def wait(self) -> timedelta | None:
        """What Retry-After asks for, at most an hour; None if it does not say, or not in a way we can read."""
        text = self.headers.get("retry-after", "").strip()
        if re.fullmatch(r"[0-9]{1,300}(\.[0-9]+)?", text):
            return timedelta(seconds=min(float(text), _LONGEST_WAIT.total_seconds()))
        until, now = http_date(text), self.date
        if until is None or now is None:
            return None
        return max(timedelta(0), min(until - now, _LONGEST_WAIT))

    @property
    def leads_to(self) -> str:
        """Where a redirect leads, without its query."""
        found = self.headers.get("location")
        return Phrase("an unnamed address") if found is None else self.readable(found.split("?")[0])

    @property
    def web_page(self) -> str | None:
        """What a web page in place of an answer calls itself, such as ` ("Access denied")`; None if it is none.

        Wiz sends JSON: a page comes from a proxy, a firewall or another server. Without a title its text is told.
        """
        start = self.body[:_PAGE_START].decode("utf-8", "replace")
        if "html" not in self.headers.get("content-type", "").lower() and not _HTML.match(start):
            return None
        title = _TITLE.search(start)
        shown = html.unescape(title[1] if title else _TAGS.sub(" ", start))
        shown = self.readable(" ".join(shown.split()))[:_LONGEST_TITLE].strip()
        return f' ("{shown}")' if shown else ""

    def readable(self, text: str) -> str:
        """Return `text`, a part of this answer, as one line of bounded length without our secrets.

        Every text of the other side that a person will see, or that is kept, goes through here.
        """
        return readable(self.redact(text))

    def told(self, text: str) -> Phrase:
        """Return `text` with the request id after it, if there is one."""
        if self.request_id:
            return Phrase("%(text)s (Wiz request %(request_id)s)", text=text, request_id=self.request_id)
        return text if isinstance(text, Phrase) else Phrase("%(text)s", text=text)


def http_date(text: str) -> datetime | None:
    """Read an HTTP date; None if `text` is none."""
    try:
        found = parsedate_to_datetime(text)
        return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
