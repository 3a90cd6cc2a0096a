"""What people are told of a stream: which system errors are open, which are over, and what is told again."""

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from ocelog.health.settings import AlarmSettings
from ocelog.health.stream import AlarmState, Facts, Memory, State, Trouble, still_rejecting
from ocelog.kept_texts import keepable, kept_text
from ocelog.times import CLOCKS_APART, has_passed
from ocelog.units import about, write_moment


class ErrorType(StrEnum):
    """The system errors that are about a source."""

    NO_DATA = "SOURCE_NO_DATA"
    PERMISSIONS = "SOURCE_PERMISSIONS_CHECKS"
    CLASSIFICATION = "SOURCE_CLASSIFICATION_FAILURES"
    """Records do not fit their schema."""
    PROCESSING = "SOURCE_LOG_PROCESSING_ERRORS"
    """What the source answers cannot be landed."""
    SCANNING = "SOURCE_SCANNING_ERRORS"
    """The source cannot be read, or not all of it."""


class Turn(StrEnum):
    """What has become of a system error."""

    OPENED = "opened"
    REPEATED = "repeated"
    RECOVERED = "recovered"


class StreamName(Struct, frozen=True, kw_only=True):
    """Which stream is meant, for people and for programs."""

    source: str
    source_id: str
    log_type: str


class OpenError(Struct, frozen=True, kw_only=True):
    """A system error that people were told of, and that is not over."""

    stream: StreamName
    type: ErrorType
    opened: datetime
    told: datetime
    """When people were told last, by our clock."""
    times: int = 1
    """How often they were."""
    text: str = ""

    @property
    def key(self) -> str:
        """What names it as long as it lasts, and again when it comes back."""
        return error_key(self.type, self.stream.source_id, self.stream.log_type)


class ErrorNotice(Struct, frozen=True, kw_only=True):
    """One thing to tell: a system error that is opened, repeated, or over."""

    turn: Turn
    error: OpenError
    """As it is from now on; of one that is over, as it was."""
    text: str

    @property
    def title(self) -> str:
        """What its alert is called, as long as it lasts and afterwards."""
        stream = self.error.stream
        return kept_text(_TITLES[self.error.type], source=stream.source, log_type=stream.log_type)


class SystemErrors(Protocol):
    """Whoever takes care that people are told. Told twice of the same thing, it tells them once."""

    def raise_(self, notice: ErrorNotice) -> None:
        """Tell people of a system error, or again. Its key and when it was opened name it."""
        ...

    def resolve(self, notice: ErrorNotice) -> None:
        """Tell people that a system error is over."""
        ...


class _Verdict(StrEnum):
    WRONG = "wrong"
    WELL = "well"
    UNKNOWN = "unknown"
    """What is open stays so, and nothing is opened."""


def error_key(type_: ErrorType, source_id: str, log_type: str) -> str:
    """Name a system error of one stream."""
    return f"{type_}:{source_id}:{log_type}"


def notices(
    stream: StreamName, facts: Facts, memory: Memory, settings: AlarmSettings, before: Mapping[ErrorType, OpenError]
) -> list[ErrorNotice]:
    """Return what is to be told of a stream now, if `before` is what people know of."""
    told = list[ErrorNotice]()
    for type_ in ErrorType:
        verdict, text = _judged(type_, facts, memory, settings)
        if verdict is _Verdict.UNKNOWN or (type_ is ErrorType.NO_DATA and _keeps_quiet(settings, facts.now)):
            # What changes meanwhile is told by how it is when the quiet hours are over.
            continue
        old = before.get(type_)
        if verdict is _Verdict.WELL:
            if old is not None:
                told.append(_recovered(old, facts.now, text))
        elif old is None:
            new = OpenError(stream=stream, type=type_, opened=facts.now, told=facts.now, text=text)
            told.append(ErrorNotice(turn=Turn.OPENED, error=new, text=text))
        elif (
            type_ is ErrorType.NO_DATA
            and settings.repeat is not None
            and has_passed(settings.repeat, since=old.told, now=facts.now)
        ):
            again = replace(old, told=facts.now, times=old.times + 1, text=text)
            told.append(ErrorNotice(turn=Turn.REPEATED, error=again, text=text))
    return told


def left_behind(
    before: Collection[OpenError], streams: Collection[tuple[str, str]], now: datetime
) -> list[ErrorNotice]:
    """Return what is to be told of errors whose source was removed, or does not read their log type any more."""
    return [
        _recovered(each, now, kept_text("It is not read any more."))
        for each in before
        if (each.stream.source_id, each.stream.log_type) not in streams
    ]


def _keeps_quiet(settings: AlarmSettings, now: datetime) -> bool:
    return settings.quiet_hours is not None and settings.quiet_hours.cover(now)


def _recovered(error: OpenError, now: datetime, text: str) -> ErrorNotice:
    over = kept_text("It lasted %(time)s.", time=about(now - error.opened))
    return ErrorNotice(turn=Turn.RECOVERED, error=error, text=f"{text} {over}".strip())


_TITLES = {
    ErrorType.NO_DATA: keepable("%(source)s %(log_type)s: no events"),
    ErrorType.PERMISSIONS: keepable("%(source)s %(log_type)s: access refused"),
    ErrorType.CLASSIFICATION: keepable("%(source)s %(log_type)s: records do not fit their schema"),
    ErrorType.PROCESSING: keepable("%(source)s %(log_type)s: records cannot be stored"),
    ErrorType.SCANNING: keepable("%(source)s %(log_type)s: cannot be read"),
}


def _judged(type_: ErrorType, facts: Facts, memory: Memory, settings: AlarmSettings) -> tuple[_Verdict, str]:
    """Say whether a system error is there, and what is told of it."""
    if facts.paused:
        return _Verdict.UNKNOWN, ""
    match type_:
        case ErrorType.NO_DATA:
            return _silence(facts, memory, settings)
        case ErrorType.PERMISSIONS:
            if facts.trouble is Trouble.FORBIDDEN:
                return _Verdict.WRONG, facts.trouble_text
            if facts.vanished is not None:
                return _Verdict.WRONG, facts.vanished
            return (_Verdict.WELL if facts.trouble is None else _Verdict.UNKNOWN), ""
        case ErrorType.CLASSIFICATION:
            if still_rejecting(facts, memory):
                return _Verdict.WRONG, kept_text(
                    "%(count)s records do not fit their schema. They are kept as they came. See: ocelog rejections",
                    count=facts.still_rejected,
                )
            if not facts.still_rejected:
                return _Verdict.WELL, kept_text("All records that did not fit were brought in since.")
            return _Verdict.WELL, kept_text("No further record has been rejected for a day.")
        case ErrorType.PROCESSING:
            if facts.trouble is Trouble.PROCESSING:
                return _Verdict.WRONG, facts.trouble_text
            return (_Verdict.WELL if facts.trouble is None else _Verdict.UNKNOWN), ""
        case ErrorType.SCANNING:
            if facts.trouble is Trouble.BROKEN or facts.tired:
                return _Verdict.WRONG, facts.trouble_text
            if facts.unreadable:
                return _Verdict.WRONG, facts.unreadable_text
            return (_Verdict.WELL if facts.trouble is None else _Verdict.UNKNOWN), ""


def _silence(facts: Facts, memory: Memory, settings: AlarmSettings) -> tuple[_Verdict, str]:
    if settings.after is None:
        return _Verdict.WELL, kept_text("The alarm was turned off.")
    match memory.alarm:
        case AlarmState.ALARM:
            if facts.received is None:
                last = kept_text("No event has ever come.")
            elif facts.now - facts.received.ours < memory.silence - CLOCKS_APART:
                # Our clock was set back or forth since: what it said then contradicts how long it was.
                last = ""
            else:
                last = kept_text("The last event came at %(instant)s.", instant=write_moment(facts.received.ours))
            rejected = ""
            if facts.still_rejected:
                rejected = kept_text("%(count)s records did not fit their schema.", count=facts.still_rejected)
            told = (
                kept_text(
                    "No event has come for %(time)s, though the source answers each request and nothing is left to "
                    "read.",
                    time=about(memory.silence),
                ),
                last,
                rejected,
                kept_text("Check that the tenant still writes this log and that the account may see all of it."),
            )
            return _Verdict.WRONG, " ".join(filter(None, told))
        case AlarmState.OK:
            quiet = memory.state is State.QUIET
            return _Verdict.WELL, kept_text("The source counts exactly what the lake has.") if quiet else ""
        case _:
            return _Verdict.UNKNOWN, ""
