"""How the simulator counts and writes instants: microseconds since 1970 inside, Wiz's RFC 3339 text outside."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_MICROSECOND = timedelta(microseconds=1)


def text(us: int) -> str:
    """Write an instant as Wiz does: Z, and a fraction without the zeros that end it."""
    written = (EPOCH + timedelta(microseconds=us)).isoformat()[:-6]
    return (written.rstrip("0") if "." in written else written) + "Z"


def parse(written: str) -> int:
    """Read RFC 3339 text; digits beyond microseconds are cut. Raises ValueError."""
    instant = datetime.fromisoformat(written)
    if instant.tzinfo is None:
        raise ValueError(f"a time needs a time zone: {written!r}")
    return (instant - EPOCH) // _MICROSECOND


def http_date(us: int) -> str:
    """Write an instant as an HTTP `Date` header: whole seconds, cut."""
    day = EPOCH + timedelta(seconds=us // SECOND)
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{names[day.weekday()]}, {day.day:02} {months[day.month - 1]} {day.year} {day:%H:%M:%S} GMT"
