"""What a person has chosen about the no-events alarm: after how long, how often, and when it keeps quiet."""

from collections.abc import Mapping
from datetime import timedelta

from msgspec import Struct
from msgspec.structs import replace

from ocelog.errors import ConfigError
from ocelog.languages.phrases import Phrase
from ocelog.quiet_hours import QuietHours, read_quiet_hours
from ocelog.units import duration, write_duration

SHORTEST, LONGEST = timedelta(minutes=15), timedelta(days=30)
AFTER, REPEAT, QUIET_HOURS, EVEN_IF_QUIET = "after", "repeat", "quiet_hours", "even_if_quiet"
"""What the settings are called where they are kept."""
_LOG_TYPES = "log_types"
_OFF = "off"


class AlarmSettings(Struct, frozen=True, kw_only=True):
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
            Phrase(
                "%(text)s is not between %(shortest)s and %(longest)s. %(otherwise)s",
                text=repr(text),
                shortest=write_duration(SHORTEST),
                longest=write_duration(LONGEST),
                otherwise=otherwise,
            )
        )
    return found
