"""What is known of how a stream is, in the words of `health`: the ledger's rows as facts."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from ocelog.app.source_settings import source_settings, stream_settings
from ocelog.errors import (
    AccessRefusedError,
    ConfigError,
    HaltError,
    LakeUnavailableError,
    LedgerUnavailableError,
    LostFenceError,
    SourceThrottledError,
    SourceUnavailableError,
    error_class,
)
from ocelog.health.settings import AlarmSettings, read_alarm
from ocelog.health.stream import ClockReading, Facts, Memory, Trouble, first_look, look
from ocelog.ledger.health import HealthView
from ocelog.ledger.ledger import Ledger
from ocelog.model import Marks, Origin, Slice, SliceState, SourceRow, StreamRow
from ocelog.pull.planner import StreamSettings, still_short, unread_since
from ocelog.pull.ports import Coverage
from ocelog.pull.sweep import Sweep
from ocelog.times import from_us, has_passed

NO_EVENTS = "no_events"
"""Where a source keeps the settings of its no-events alarms."""
FAILING_AFTER = timedelta(hours=1)
"""What fails for longer without a success needs attention, though it is tried again."""
_OURS = frozenset({"secret_unreadable", "web_page"})
"""Codes of refusals that say nothing about what the account may see."""
_NEWS = timedelta(days=1)
_A_BIT = timedelta(hours=4)
"""Longer than a sweep, and measuring the coverage after it, should take."""


def alarm_settings(row: SourceRow, log_type: str) -> AlarmSettings:
    """Return the no-events alarm of a stream. If its settings are damaged, the alarm is on as by default."""
    kept = row.settings.get(NO_EVENTS)
    try:
        return read_alarm(kept if isinstance(kept, Mapping) else {}, log_type)
    except ConfigError:
        return AlarmSettings()


class StreamHealth(Struct, frozen=True, kw_only=True):
    """How one stream is."""

    source: str
    source_id: str
    log_type: str
    facts: Facts
    health: Memory
    alarm: AlarmSettings


def stream_healths(ledger: Ledger, view: HealthView, now: datetime) -> list[StreamHealth]:
    """Return how every stream of every source is, for whoever looks each minute: as `ocelog status` shows it.

    All slices of a stream are read only if it takes them to know how far it is.
    """
    found = list[StreamHealth]()
    for row in ledger.sources.listed():
        source = read_source(row)
        log_types: Sequence[str] = source.log_types
        if source.settings is None:
            # Which log types it reads is not known any more: those that it has read.
            log_types = [log_type for source_id, log_type in view.streams if source_id == row.id] or ["?"]
        for log_type in log_types:
            key = (row.id, log_type)
            slices: Sequence[Slice] = view.left.get(key, ())
            if key in view.short or any(_is_unread_news(each) for each in slices):
                slices = ledger.pulling.slices(source_id=row.id, log_type=log_type)
            facts = facts_of(
                source,
                view.streams.get(key),
                slices,
                swept=view.sweeps.get(key),
                counts=view.counts.get(key, ()),
                now=now,
            )
            alarm = alarm_settings(row, log_type)
            health = look(facts, alarm, view.remembered.get(key) or first_look(now))
            found.append(
                StreamHealth(
                    source=row.name, source_id=row.id, log_type=log_type, facts=facts, health=health, alarm=alarm
                )
            )
    return found


class ReadSource(Struct, frozen=True, kw_only=True):
    """A source with its settings, read once for all its streams."""

    row: SourceRow
    settings: StreamSettings | None
    """None: they are damaged."""
    damage: str = ""
    """What is wrong with them."""
    log_types: tuple[str, ...] = ()


def read_source(row: SourceRow) -> ReadSource:
    """Read the settings of a source."""
    try:
        return ReadSource(row=row, settings=stream_settings(row), log_types=source_settings(row).log_types)
    except ConfigError as error:
        return ReadSource(row=row, settings=None, damage=str(error))


def failing_slices(slices: Collection[Slice], now: datetime) -> tuple[Slice, ...]:
    """Return the slices that have failed for too long without a success."""
    return tuple(
        each
        for each in slices
        if each.state is SliceState.WAITING
        and each.failing_since
        and has_passed(FAILING_AFTER, since=each.failing_since, now=now)
    )


def facts_of(
    source: ReadSource,
    stream: StreamRow | None,
    slices: Sequence[Slice],
    *,
    swept: Sweep | None,
    counts: Sequence[Coverage],
    now: datetime,
) -> Facts:
    """Return what is known of a stream. `slices` may lack those that are read, if no news waits and none was short."""
    row, broken = source.row, source.settings is None
    poll = timedelta(0) if source.settings is None else source.settings.poll
    short, failing = still_short(slices), failing_slices(slices, now)
    marks = None if stream is None else stream.marks
    tired = is_tired(row, stream, now)
    trouble = Trouble.BROKEN if broken else _trouble(stream, tired=tired)
    parked = [each for each in slices if each.state is SliceState.PARKED]
    source_now = now + ((marks and marks.offset) or timedelta(0))
    news = [each for each in (*parked, *failing) if each.origin is Origin.LIVE and each.until > source_now - _NEWS]
    return Facts(
        now=now,
        poll=poll,
        paused=row.paused,
        trouble=trouble,
        trouble_text=source.damage if broken else (stream and stream.trouble) or "",
        tired=tired and trouble is Trouble.RETRYING,
        polled=None if marks is None else _polled(marks, slices),
        received=_received(stream),
        past_left=sum(map(is_of_the_past, slices)),
        unreadable=len(parked) + len(short) + len(failing),
        news_unreadable=len(news),
        vanished=swept.note if swept is not None and swept.vanished else None,
        counts_equal=source.settings is not None and _counts_equal(source.settings, swept, counts, now),
        events=stream.events if stream is not None else 0,
        rejections=stream.rejections if stream is not None else 0,
        still_rejected=max(0, stream.rejections - stream.replayed) if stream is not None else 0,
    )


def is_of_the_past(each: Slice) -> bool:
    """Whether a slice is still to be read of what was there before the stream began."""
    return each.state is SliceState.WAITING and each.origin is not Origin.LIVE and each.sweep_round <= 1


def is_tired(row: SourceRow, stream: StreamRow | None, now: datetime) -> bool:
    """Whether nothing has gone well in a stream for too long, or since it was added."""
    last_us = None if stream is None else stream.last_success_us
    return has_passed(FAILING_AFTER, since=from_us(max(last_us or 0, row.added_us)), now=now)


def _trouble(stream: StreamRow | None, *, tired: bool) -> Trouble | None:
    if stream is None or stream.trouble_kind is None:
        return None
    kind = error_class(stream.trouble_kind)
    if kind is None:
        return Trouble.BROKEN
    if issubclass(kind, SourceThrottledError | SourceUnavailableError | LostFenceError):
        return Trouble.RETRYING
    if issubclass(kind, LakeUnavailableError | LedgerUnavailableError):
        return Trouble.PROCESSING if tired else Trouble.RETRYING
    if issubclass(kind, AccessRefusedError):
        return Trouble.BROKEN if stream.trouble_code in _OURS else Trouble.FORBIDDEN
    return Trouble.BROKEN if issubclass(kind, HaltError | ConfigError) else Trouble.PROCESSING


def _polled(marks: Marks, slices: Sequence[Slice]) -> ClockReading | None:
    """Return up to when news was asked for and read, by both clocks.

    What is parked does not count: it may stay so, and would hide for good that nothing else comes.
    """
    if marks.edge is None:
        return None
    news = [each for each in slices if _is_unread_news(each)]
    through = min(unread_since(news, slices), default=marks.edge)
    return ClockReading(ours=through - (marks.offset or timedelta(0)), source=through)


def _is_unread_news(each: Slice) -> bool:
    return each.origin is Origin.LIVE and each.state is SliceState.WAITING


def _received(stream: StreamRow | None) -> ClockReading | None:
    if stream is None or stream.received_us is None or stream.received_source_us is None:
        return None
    return ClockReading(ours=from_us(stream.received_us), source=from_us(stream.received_source_us))


def _counts_equal(settings: StreamSettings, swept: Sweep | None, counts: Sequence[Coverage], now: datetime) -> bool:
    """Whether a sweep has lately read all open records, and as many were counted at the source as are in the lake."""
    if swept is None or swept.complete_us is None or swept.vanished or not counts:
        return False
    lately = 2 * settings.sweep_every + _A_BIT
    old = [
        has_passed(lately, since=from_us(us), now=now)
        for us in (swept.complete_us, *(each.measured_us for each in counts))
    ]
    equal = all(each.at_source == each.in_lake and not each.at_least for each in counts)
    return equal and not any(old) and any(each.at_source for each in counts)
