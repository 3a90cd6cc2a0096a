"""What one HTTP answer says beside its body: who answered, when, and how long to wait."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from ocelog.sources.wiz.envelope import readable

_LONGEST_WAIT = timedelta(hours=1)
"""Wiz may ask for more; nothing is gained by believing it for longer than this."""
_YEARS = range(2000, 2200)
_REQUEST_ID_NAMES = ("x-request-id", "x-wiz-request-id", "x-amzn-requestid", "x-amzn-trace-id")
"""Which of them Wiz sends is nowhere written down; the first that is there is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One HTTP answer, with its body unpacked. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    heard: float = 0.0
    """Our monotonic clock, in seconds, when the headers were there."""

    @property
    def request_id(self) -> str | None:
        """Wiz's own name for this exchange: what its support asks for."""
        found = next((self.headers[name] for name in _REQUEST_ID_NAMES if self.headers.get(name)), None)
        return None if found is None else readable(found)

    @property
    def date(self) -> datetime | None:
        """When the other side answered, by its own clock, cut to whole seconds.

        None where it does not say, or says what no clock shows: slices reach years before and after it.
        """
        found = http_date(self.headers.get("date", ""))
        return found if found is not None and found.year in _YEARS else None

    @property
    def wait(self) -> timedelta | None:
        """What Retry-After asks for, at most an hour; None where it does not say, or not in a way we can read."""
        text = self.headers.get("retry-after", "").strip()
        if re.fullmatch(r"[0-9]{1,300}(\.[0-9]+)?", text):
            return timedelta(seconds=min(float(text), _LONGEST_WAIT.total_seconds()))
        until, now = http_date(text), self.date
        if until is None or now is None:
            return None
        return max(timedelta(0), min(until - now, _LONGEST_WAIT))

    def told(self, text: str) -> str:
        """Return `text` with the request id after it, where there is one."""
        return f"{text} (Wiz request {self.request_id})" if self.request_id else text


def http_date(text: str) -> datetime | None:
    """Read an HTTP date; None where `text` is none."""
    try:
        found = parsedate_to_datetime(text)
        return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
