"""What is known of how a stream is, in the words of `health`: the ledger's rows as facts."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from ocelog import errors
from ocelog.app.source_settings import damage, stream_settings
from ocelog.errors import (
    AccessRefusedError,
    ConfigError,
    HaltError,
    LakeUnavailableError,
    LedgerUnavailableError,
    LostFenceError,
    OcelogError,
    SourceThrottledError,
    SourceUnavailableError,
)
from ocelog.health.settings import AlarmSettings, read_alarm
from ocelog.health.stream import Facts, Seen, Trouble
from ocelog.model import Marks, Origin, Slice, SliceState, SourceRow, StreamRow
from ocelog.pull.planner import unread_since
from ocelog.pull.ports import Coverage
from ocelog.pull.sweep import Sweep
from ocelog.times import from_us, has_passed

NO_EVENTS = "no_events"
"""Where a source keeps the settings of its no-events alarms."""
PATIENCE = timedelta(hours=1)
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


def facts_of(
    row: SourceRow,
    stream: StreamRow | None,
    slices: Sequence[Slice],
    *,
    swept: Sweep | None,
    counts: Sequence[Coverage],
    short: Collection[Slice],
    failing: Collection[Slice],
    now: datetime,
) -> Facts:
    """Return what is known of a stream. `short` and `failing` are those of its `slices` that are incomplete or fail."""
    broken = damage(row)
    poll = timedelta(0) if broken is not None else stream_settings(row).poll
    marks = None if stream is None else stream.marks
    tired = is_tired(row, stream, now)
    trouble = Trouble.BROKEN if broken is not None else _trouble(stream, tired=tired)
    parked = [each for each in slices if each.state is SliceState.PARKED]
    source_now = now + ((marks and marks.offset) or timedelta(0))
    news = [each for each in (*parked, *failing) if each.origin is Origin.LIVE and each.until > source_now - _NEWS]
    return Facts(
        now=now,
        poll=poll,
        paused=row.paused,
        trouble=trouble,
        trouble_text=str(broken) if broken is not None else (stream and stream.trouble) or "",
        tired=tired and trouble is Trouble.RETRYING,
        polled=None if marks is None else _polled(marks, slices),
        received=_received(stream),
        past_left=sum(map(is_of_the_past, slices)),
        unreadable=len(parked) + len(short) + len(failing),
        news_unreadable=len(news),
        vanished=swept.note if swept is not None and swept.vanished else None,
        counts_equal=broken is None and _counts_equal(row, swept, counts, now),
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
    return has_passed(PATIENCE, since=from_us(max(last_us or 0, row.added_us)), now=now)


def _trouble(stream: StreamRow | None, *, tired: bool) -> Trouble | None:
    if stream is None or stream.trouble_kind is None:
        return None
    kind = getattr(errors, stream.trouble_kind, None)
    if not isinstance(kind, type) or not issubclass(kind, OcelogError):
        return Trouble.BROKEN
    if issubclass(kind, SourceThrottledError | SourceUnavailableError | LostFenceError):
        return Trouble.RETRYING
    if issubclass(kind, LakeUnavailableError | LedgerUnavailableError):
        return Trouble.PROCESSING if tired else Trouble.RETRYING
    if issubclass(kind, AccessRefusedError):
        return Trouble.BROKEN if stream.trouble_code in _OURS else Trouble.FORBIDDEN
    return Trouble.BROKEN if issubclass(kind, HaltError | ConfigError) else Trouble.PROCESSING


def _polled(marks: Marks, slices: Sequence[Slice]) -> Seen | None:
    """Return up to when news was asked for and read, by both clocks.

    What is parked does not count: it may stay so, and would hide for good that nothing else comes.
    """
    if marks.edge is None:
        return None
    news = [each for each in slices if each.origin is Origin.LIVE and each.state is SliceState.WAITING]
    through = min(unread_since(news, slices), default=marks.edge)
    return Seen(ours=through - (marks.offset or timedelta(0)), source=through)


def _received(stream: StreamRow | None) -> Seen | None:
    if stream is None or stream.received_us is None or stream.received_source_us is None:
        return None
    return Seen(ours=from_us(stream.received_us), source=from_us(stream.received_source_us))


def _counts_equal(row: SourceRow, swept: Sweep | None, counts: Sequence[Coverage], now: datetime) -> bool:
    """Whether a sweep has lately read all open records, and as many were counted at the source as are in the lake."""
    if swept is None or swept.complete_us is None or swept.vanished or not counts:
        return False
    lately = 2 * stream_settings(row).sweep_every + _A_BIT
    old = [
        has_passed(lately, since=from_us(us), now=now)
        for us in (swept.complete_us, *(each.measured_us for each in counts))
    ]
    equal = all(each.at_source == each.in_lake and not each.at_least for each in counts)
    return equal and not any(old) and any(each.at_source for each in counts)
