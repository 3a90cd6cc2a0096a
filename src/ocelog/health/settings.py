"""What a person has chosen about the no-events alarm: after how long, how often, and when it keeps quiet."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from ocelog.errors import ConfigError
from ocelog.secret import shown
from ocelog.suggest import suggest
from ocelog.units import duration, write_duration

SHORTEST, LONGEST = timedelta(minutes=15), timedelta(days=30)
AFTER, REPEAT, QUIET_HOURS, EVEN_IF_QUIET = "after", "repeat", "quiet_hours", "even_if_quiet"
"""What the settings are called where they are kept."""
_LOG_TYPES = "log_types"
_OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """When nobody is told: from one time of day to another, by the clocks of a time zone, each day."""

    start: time
    end: time
    """Not after `start`: of the next day."""
    zone: str

    def cover(self, now: datetime) -> bool:
        """Whether `now` lies in them. An hour that a day has twice counts twice, one that it lacks not at all."""
        zone = _zone(self.zone)
        if zone is None:
            # A time zone that this machine does not know any more must not mute the alarm.
            return False
        at = now.astimezone(zone).time()
        if self.start < self.end:
            return self.start <= at < self.end
        return at >= self.start or at < self.end

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M} {self.zone}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmSettings:
    """The no-events alarm of one stream."""

    after: timedelta | None = timedelta(days=1)
    """So long no event may come; None: nobody is told of silence."""
    repeat: timedelta | None = None
    """How often it is told again; None: once."""
    quiet_hours: QuietHours | None = None
    even_if_quiet: bool = False
    """Also if a sweep has shown that nothing is missing."""

    @property
    def silent_after(self) -> timedelta:
        """When a stream counts as silent, whether or not somebody is told."""
        return self.after or AlarmSettings().after or LONGEST


def read_alarm(kept: Mapping[str, object], log_type: str) -> AlarmSettings:
    """Return the alarm of a log type, from what a source keeps. Raises ConfigError.

    `kept` has settings for every log type, and under `log_types` those that differ for one.
    """
    chosen = dict(kept)
    apart = chosen.pop(_LOG_TYPES, None)
    own = apart.get(log_type) if isinstance(apart, Mapping) else None
    if isinstance(own, Mapping):
        chosen |= own
    found = AlarmSettings()
    if AFTER in chosen:
        found = replace(found, after=read_after(str(chosen[AFTER])))
    if REPEAT in chosen:
        found = replace(found, repeat=read_repeat(str(chosen[REPEAT])))
    if QUIET_HOURS in chosen:
        found = replace(found, quiet_hours=read_quiet_hours(str(chosen[QUIET_HOURS])))
    return replace(found, even_if_quiet=bool(chosen.get(EVEN_IF_QUIET, False)))


def changed(kept: Mapping[str, object], changes: Mapping[str | None, Mapping[str, object]]) -> dict[str, object]:
    """Return what a source keeps with `changes`, by log type (None: for all); a value of None is the default again."""
    found = {name: value for name, value in kept.items() if name != _LOG_TYPES}
    apart = kept.get(_LOG_TYPES)
    own: dict[str, dict[str, object]] = {}
    if isinstance(apart, Mapping):
        own = {name: dict(value) for name, value in apart.items() if isinstance(value, Mapping)}
    for log_type, values in changes.items():
        (found if log_type is None else own.setdefault(log_type, {})).update(values)
    found = {name: value for name, value in found.items() if value is not None}
    kept_apart = {
        log_type: {name: value for name, value in values.items() if value is not None}
        for log_type, values in own.items()
    }
    kept_apart = {log_type: values for log_type, values in kept_apart.items() if values}
    return {**found, _LOG_TYPES: kept_apart} if kept_apart else found


def read_after(text: str) -> timedelta | None:
    """Read after how long without an event people are told: a duration, or `off`. Raises ConfigError."""
    return _bounded(text, "Without an alarm, silence looks like peace, so write off only if nobody needs it.")


def read_repeat(text: str) -> timedelta | None:
    """Read how often they are told again: a duration, or `off`. Raises ConfigError."""
    return _bounded(text, "To be told once, write off.")


def read_quiet_hours(text: str) -> QuietHours | None:
    """Read `22:00-07:00 Europe/Berlin`, or `off`. Raises ConfigError."""
    if text.strip().lower() == _OFF:
        return None
    hours, _, zone = text.strip().partition(" ")
    first, dash, last = hours.partition("-")
    start, end, zone = _time(first), _time(last), zone.strip()
    if not dash or start is None or end is None or not zone:
        raise ConfigError(
            f"invalid quiet hours {shown(text)}: write two times of day and a time zone, such as "
            "'22:00-07:00 Europe/Berlin', or off."
        )
    if start == end:
        raise ConfigError(
            f"the quiet hours {text!r} would never end, or never begin: choose two different times, or off."
        )
    if _zone(zone) is None:
        raise ConfigError(
            f"there is no time zone {shown(zone)}{suggest(zone, available_timezones()) or '.'} It is written as in "
            "the IANA database: Europe/Berlin, Asia/Seoul, America/New_York, UTC."
        )
    return QuietHours(start=start, end=end, zone=zone)


def written(value: timedelta | QuietHours | None) -> str:
    """Return how a setting is kept, as the function that reads it takes it."""
    if value is None:
        return _OFF
    return write_duration(value) if isinstance(value, timedelta) else str(value)


def _bounded(text: str, otherwise: str) -> timedelta | None:
    if text.strip().lower() == _OFF:
        return None
    found = duration(text)
    if not SHORTEST <= found <= LONGEST:
        raise ConfigError(
            f"{text!r} is not between {write_duration(SHORTEST)} and {write_duration(LONGEST)}. {otherwise}"
        )
    return found


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
