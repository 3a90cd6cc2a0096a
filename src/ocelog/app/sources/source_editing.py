"""The settings of a source as a form holds them: one text for each, and what a person changed of them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec import field as msgspec_field

from ocelog.app.log_types import kinds
from ocelog.app.source_settings import (
    source_settings,
    stream_settings,
    written_backfill,
    written_poll,
    written_sweep_every,
)
from ocelog.app.sources.source_changes import SourceChange
from ocelog.app.sources.sources import GivenSecret, product_of
from ocelog.app.sources.stream_health import NO_EVENTS
from ocelog.errors import ConfigError
from ocelog.health import settings as alarm
from ocelog.languages.phrases import Phrase, translatable
from ocelog.model import SourceRow
from ocelog.product import Option, Question
from ocelog.quiet_hours import read_quiet_hours
from ocelog.secrets.secret import Secret
from ocelog.units import write_duration

BACKFILLS = ("1d", "7d", "30d", "90d", "365d", "all")
"""How far back the past may be read, of which a form offers these."""
ALARMS = ("1h", "6h", "1d", "3d", "7d", "off")
"""After how long without an event people are told, of which a form offers these."""
_REPEATS = ("1h", "6h", "1d", "off")
_YES, _NO = translatable("yes"), translatable("no")
_OFF = translatable("off")
_ALARM: Mapping[str, Callable[[str], Any]] = {
    alarm.AFTER: alarm.read_after,
    alarm.REPEAT: alarm.read_repeat,
    alarm.QUIET_HOURS: read_quiet_hours,
}


class Field(Struct, frozen=True, kw_only=True):
    """One setting in the form."""

    name: str
    label: str
    value: str
    hint: str = ""
    of: str = ""
    """The log type that it is about; empty: all of them."""
    short: str = ""
    """What a list calls it; empty: as the form does."""
    empty: str = ""
    """What it means if there is no text."""
    choices: Sequence[str] = ()
    """Empty: any text that means something."""
    offered: Mapping[str, str] = msgspec_field(default_factory=dict)
    """Texts that most choose, and what a list calls each; empty: by the time that it is. There is always another."""


def fields(row: SourceRow) -> list[Field]:
    """Return every setting that can be changed at a distance, as it is. Raises ConfigError if they are damaged."""
    product, settings = product_of(row), source_settings(row)
    kept, prompts = settings.to_mapping(), dict[str, Question]()
    for step in product.steps:
        prompts |= {each.option: each for each in step.questions if isinstance(each, Question)}
    found = list[Field]()
    for option in (each for each in product.options if not each.is_file):
        question = prompts.get(option.name)
        offered = {} if question is None else _offered(question, kept)
        label = option.label or (option.name if question is None else question.short if offered else question.prompt)
        hint = option.help if option.label or question is None else ""
        found.append(
            Field(
                name=option.name,
                label=label,
                value=_text(kept.get(option.name)),
                hint=hint,
                short=question.short if question is not None else "",
                empty=question.unset if question is not None else "",
                offered=offered,
            )
        )
    return [*found, *_stream_fields(row), *_alarm_fields(row, settings.log_types)]


def _offered(question: Question, kept: Mapping[str, Any]) -> dict[str, str]:
    """Return what a form offers in the place of a question, the choice that holds under the value that is kept."""
    if not question.choices:
        return {}
    value = _text(kept.get(question.option))
    holds = question.read(value, kept)
    return {value if each == holds else each: label for each, label in question.choices.items()}


def _times(*times: str) -> dict[str, str]:
    return dict.fromkeys(times, "") | {"off": _OFF}


def _stream_fields(row: SourceRow) -> list[Field]:
    read = stream_settings(row)
    backfill = "all" if read.backfill is None else write_duration(read.backfill)
    more = translatable("A longer time reads what is missing. Such as 30d, or all.")
    return [
        Field(
            name="backfill",
            label=translatable("How far back to read"),
            value=backfill,
            hint=more,
            offered=dict.fromkeys(BACKFILLS, ""),
        ),
        Field(
            name="poll",
            label=translatable("Request new records every"),
            value=write_duration(read.poll),
            hint=translatable("1s to 1d"),
        ),
        Field(
            name="sweep",
            label=translatable("Sweep open records"),
            value=_YES if read.sweep else _NO,
            choices=(_YES, _NO),
        ),
        Field(
            name="sweep_every",
            label=translatable("Sweep them again every"),
            value=write_duration(read.sweep_every),
            hint=translatable("10m to 30d"),
        ),
    ]


def _alarm_fields(row: SourceRow, log_types: Collection[str]) -> list[Field]:
    kept = row.settings.get(NO_EVENTS)
    kept = kept if isinstance(kept, Mapping) else {}
    every = alarm.read_alarm(kept, "")
    found = [
        Field(
            name=alarm.AFTER,
            label=translatable("Alarm without events after"),
            value=str(alarm.written(every.after)),
            hint=translatable("15m to 30d, or off"),
            offered=_times(*ALARMS),
        ),
        Field(
            name=alarm.REPEAT,
            label=translatable("Tell of the no-events alarm again every"),
            value=str(alarm.written(every.repeat)),
            hint=translatable("6h, or off"),
            offered=_times(*_REPEATS),
        ),
        Field(
            name=alarm.QUIET_HOURS,
            label=translatable("No alarm without events during these hours"),
            value=str(alarm.written(every.quiet_hours)),
            hint=translatable("22:00-07:00 Asia/Seoul, or off"),
        ),
        Field(
            name=alarm.EVEN_IF_QUIET,
            label=translatable("No-events alarm also if a sweep has shown that nothing is missing"),
            value=_YES if every.even_if_quiet else _NO,
            choices=(_YES, _NO),
        ),
    ]
    apart = kept.get("log_types")
    for log_type in log_types:
        own = apart.get(log_type) if isinstance(apart, Mapping) else None
        value = str(own[alarm.AFTER]) if isinstance(own, Mapping) and alarm.AFTER in own else ""
        name = f"{alarm.AFTER}:{log_type}"
        found.append(
            Field(
                name=name,
                label=translatable("Alarm without events after"),
                value=value,
                of=log_type,
                offered={"": translatable("as for all log types"), **_times(*ALARMS)},
            )
        )
    return found


def change(
    row: SourceRow, texts: Mapping[str, str], log_types: Sequence[str], *, secret: Secret | None, public_only: bool
) -> SourceChange:
    """Return what differs between a form and the source. Raises ConfigError for a text that does not hold."""
    before = {each.name: each.value for each in fields(row)}
    new = {name: text.strip() for name, text in texts.items() if name in before and text.strip() != before[name]}
    options = {each.name: each for each in product_of(row).options}
    streams, no_events = dict[str, Any](), dict[str | None, dict[str, object]]()
    for name, text in new.items():
        what, _, log_type = name.partition(":")
        if name in _STREAMS:
            streams[name] = _STREAMS[name](text)
        elif what in _ALARM:
            no_events.setdefault(log_type or None, {})[what] = _alarm(what, text)
        elif name == alarm.EVEN_IF_QUIET:
            no_events.setdefault(None, {})[name] = text == _YES
    chosen = tuple(each for each in log_types if each in kinds())
    if not chosen:
        raise ConfigError(Phrase("Choose at least one log type."))
    return SourceChange(
        own={name: _value(options[name], text) for name, text in new.items() if name in options},
        log_types=None if set(chosen) == set(source_settings(row).log_types) else chosen,
        streams=streams,
        no_events=no_events,
        secret=None if secret is None else GivenSecret(value=secret),
        remote=True,
        public_only=public_only,
    )


def wrong(row: SourceRow, texts: Mapping[str, str], log_types: Sequence[str]) -> dict[str, str]:
    """Return why a text of a form does not hold, by the name of its field."""
    found, product, log_types = dict[str, str](), product_of(row), log_types or source_settings(row).log_types
    addresses = [each.name for each in product.options if each.is_address]
    for each in fields(row):
        # What one address means may depend on another.
        names = addresses if each.name in addresses else [each.name]
        given = {name: texts[name] for name in names if name in texts}
        try:
            changed = change(row, given, log_types, secret=None, public_only=False)
            if each.name in changed.own:
                changed.settings(product, source_settings(row))
        except ConfigError as error:
            found[each.name] = _labelled(error.phrase, each)
    return found


def _labelled(text: str, about: Field) -> str:
    """Return a text that names a setting as programs do as one that names it as the form does."""
    if not isinstance(text, Phrase):
        return text
    names, label = (about.name, about.name.partition(":")[0]), Phrase(about.short or about.label)
    return Phrase(text.template, **{name: label if value in names else value for name, value in text.values.items()})


_STREAMS: Mapping[str, Callable[[str], Any]] = {
    "backfill": partial(written_backfill, named=""),
    "poll": partial(written_poll, named="poll"),
    "sweep": lambda text: text == _YES,
    "sweep_every": partial(written_sweep_every, named="sweep_every"),
}


def _alarm(what: str, text: str) -> object:
    """Return how a setting of an alarm is kept; None, for no text: as by default."""
    if not text:
        return None
    try:
        return alarm.written(_ALARM[what](text))
    except ConfigError as error:
        raise ConfigError(Phrase("%(what)s: %(error)s", what=what, error=error)) from error


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _value(option: Option, text: str) -> Any:
    """Return what a text means as the value of an option. Raises ConfigError."""
    if option.many:
        return [each.strip() for each in text.split(",") if each.strip()]
    if not text:
        if option.required:
            raise ConfigError(Phrase("%(name)s is needed.", name=option.name))
        return None
    try:
        return option.value(text)
    except ValueError as error:
        raise ConfigError(
            Phrase("%(name)s: %(text)s is not a number.", name=option.name, text=repr(text[:100]))
        ) from error
