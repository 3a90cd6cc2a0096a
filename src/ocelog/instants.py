"""How instants are written, read and counted: aware UTC datetimes in values, microseconds since 1970 at rest."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_us(instant: datetime) -> int:
    """Count the microseconds from 1970 to `instant`, which must carry an offset."""
    return (instant - EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """Return the UTC instant `us` microseconds after 1970."""
    return EPOCH + timedelta(microseconds=us)


def rfc3339(instant: datetime) -> str:
    """Write `instant` as RFC 3339 with Z, without a fraction where there is none."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
