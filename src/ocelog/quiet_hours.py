"""When people are left alone: from one time of day to another, by the clocks of a time zone."""

from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from msgspec import Struct

from ocelog.errors import ConfigError
from ocelog.languages.phrases import Phrase
from ocelog.secrets.secret import shown
from ocelog.suggest import suggest

_MINUTE = timedelta(minutes=1)
_LONGEST = timedelta(days=2)


class QuietHours(Struct, frozen=True, kw_only=True):
    """A part of each day, to the minute."""

    start: time
    end: time
    """Not after `start`: of the next day."""
    zone: str
    """As in the IANA database."""

    def cover(self, now: datetime) -> bool:
        """Whether `now` lies in them. An hour that a day has twice counts twice, one that it lacks not at all."""
        zone = _zone(self.zone)
        if zone is None:
            # A time zone that this machine does not know any more must not mute anything.
            return False
        at = now.astimezone(zone).time()
        if self.start < self.end:
            return self.start <= at < self.end
        return at >= self.start or at < self.end

    def end_after(self, now: datetime) -> datetime:
        """Return the first instant from `now` on that does not lie in them."""
        at = now
        while self.cover(at) and at - now < _LONGEST:
            # Minute by minute: whatever a zone does with its clocks, it does at a whole minute.
            at = at.replace(second=0, microsecond=0) + _MINUTE
        return at

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M} {self.zone}"


def read_quiet_hours(text: str) -> QuietHours | None:
    """Read `22:00-07:00 Europe/Berlin`, or `off`. Raises ConfigError."""
    if text.strip().lower() == "off":
        return None
    hours, _, zone = text.strip().partition(" ")
    first, dash, last = hours.partition("-")
    start, end, zone = _time(first), _time(last), zone.strip()
    if not dash or start is None or end is None or not zone:
        raise ConfigError(
            Phrase(
                "invalid quiet hours %(text)s: write two times of day and a time zone, such as "
                "'22:00-07:00 Europe/Berlin', or off.",
                text=shown(text),
            )
        )
    if start == end:
        raise ConfigError(
            Phrase(
                "the quiet hours %(text)s would never end, or never begin: choose two different times, or off.",
                text=repr(text),
            )
        )
    if _zone(zone) is None:
        raise ConfigError(
            Phrase(
                "there is no time zone %(zone)s%(available_timezones)s It is written as in the IANA "
                "database: Europe/Berlin, Asia/Seoul, America/New_York, UTC.",
                zone=shown(zone),
                available_timezones=suggest(zone, available_timezones()) or ".",
            )
        )
    return QuietHours(start=start, end=end, zone=zone)


def _time(text: str) -> time | None:
    hours, colon, minutes = text.partition(":")
    digits = f"{hours}{minutes}"
    if not colon or len(minutes) != 2 or not 1 <= len(hours) <= 2 or not (digits.isascii() and digits.isdigit()):
        return None
    return time(int(hours), int(minutes)) if int(hours) < 24 and int(minutes) < 60 else None


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo | None:
    """Return a time zone; None: this machine knows none of that name."""
    try:
        found = ZoneInfo(name)
        datetime.now(UTC).astimezone(found)
    except (OSError, ValueError, KeyError):
        # ZoneInfoNotFoundError is a KeyError; a name such as `../x` a ValueError, a folder's an OSError.
        return None
    return found
