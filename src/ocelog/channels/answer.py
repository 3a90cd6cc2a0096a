"""What a far end's answer means for a delivery: it is done, it may work later, or a person must change something."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from ocelog.channels.ports import Receipt
from ocelog.channels.text import one_line
from ocelog.errors import ChannelRefusedError, ChannelUnavailableError
from ocelog.languages.phrases import Phrase
from ocelog.secrets.redaction import Redactor

LONGEST_WAIT = timedelta(hours=1)
"""A far end may ask for more; an alert does not wait longer because of it."""
LONGEST_TEXT = 300
"""Characters of an answer that are kept."""
_LATER = frozenset({408, 425, 429})
_WHY = {
    401: Phrase("Check its secret."),
    403: Phrase("Check its secret, and what it may do there."),
    404: Phrase("Check its address: there is nothing, or no longer."),
    410: Phrase("Its address is no longer in use: make a new one there."),
    413: Phrase("The message is too long for it."),
}
_ELSE = Phrase("Check its settings.")


def wait(retry_after: str, *, now: datetime) -> timedelta | None:
    """Return what a Retry-After header asks for, at most an hour; None if it says nothing that can be read."""
    text = retry_after.strip()
    if re.fullmatch(r"[0-9]{1,300}(\.[0-9]{1,9})?", text):
        return timedelta(seconds=min(float(text), LONGEST_WAIT.total_seconds()))
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    try:
        return max(timedelta(0), min(until - now, LONGEST_WAIT))
    except OverflowError:
        return None


def readable(text: str, redact: Redactor) -> str:
    """Return what a far end said as one line of bounded length, without our secrets.

    It is redacted before it is cut and after its letters are made harmless: either can hide a secret from the other.
    """
    return one_line(redact(one_line(redact(text))), LONGEST_TEXT)


def receipt(
    host: str,
    status: int,
    text: str,
    *,
    retry_after: timedelta | None = None,
    location: str = "",
) -> Receipt:
    """Return the receipt for an HTTP answer, whose texts are readable already.

    Raises ChannelUnavailableError and ChannelRefusedError.
    """
    if 200 <= status < 300:
        return Receipt(status=str(status), text=text)
    said = (
        Phrase("%(host)s answered %(status)s: %(text)s", host=host, status=status, text=text)
        if text
        else Phrase("%(host)s answered %(status)s", host=host, status=status)
    )
    if 300 <= status < 400:
        raise ChannelRefusedError(
            Phrase(
                "%(said)s. It redirects to %(location)s, and redirects are not followed: set the address "
                "that it redirects to.",
                said=said,
                location=location or Phrase("another address"),
            )
        )
    if status in _LATER or status >= 500:
        raise ChannelUnavailableError(Phrase("%(said)s.", said=said), retry_after=retry_after)
    raise ChannelRefusedError(Phrase("%(said)s. %(todo)s", said=said, todo=_WHY.get(status, _ELSE)))
