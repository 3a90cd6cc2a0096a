"""How instants are written, read and counted: aware UTC datetimes in values, microseconds since 1970 at rest."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
CLOCKS_APART = timedelta(hours=1)
"""Two machines that share a ledger may differ by so much, and one clock may be set back by so much."""


def to_us(instant: datetime) -> int:
    """Count the microseconds from 1970 to `instant`, which must carry an offset."""
    return (instant - EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """Return the UTC instant `us` microseconds after 1970."""
    return EPOCH + timedelta(microseconds=us)


def rfc3339(instant: datetime) -> str:
    """Write `instant` as RFC 3339 with Z, without a fraction if there is none."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def has_passed(period: timedelta, *, since: datetime | float, now: datetime | float) -> bool:
    """Whether `period` is over at our instant `now`, since what our clock noted then, also in seconds since 1970.

    A note that lies ahead was made by a clock that was wrong then, and counts as old: else a clock that was a month
    ahead once would hold up for a month what waits for the note to get old.
    """
    age = _seconds(now) - _seconds(since)
    return not -CLOCKS_APART.total_seconds() <= age < period.total_seconds()


def _seconds(instant: datetime | float) -> float:
    return instant.timestamp() if isinstance(instant, datetime) else instant
