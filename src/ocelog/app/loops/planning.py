"""What a stream is to read next, by the marks in the ledger, and which slices the ledger may forget."""

from collections.abc import Container, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TypeAlias

from msgspec.structs import replace

from ocelog.app.loops.sweep_stages import advance
from ocelog.errors import LostFenceError
from ocelog.ledger.ledger import Ledger
from ocelog.model import Kind, Marks, Origin, Slice, SliceState, StreamFaults
from ocelog.pull.planner import Plan, plan, still_short
from ocelog.pull.stream import Stream
from ocelog.pull.sweep import Stage
from ocelog.times import EPOCH
from ocelog.workers.fair import StreamKey

REMEMBERED = timedelta(hours=6)
"""So long the ledger keeps the slices that are read: with 600 streams, each day of live ones is 230,000 rows."""
_AT_ONCE = 100
"""Streams that one transaction plans: a landing may wait for it."""

TimeRange: TypeAlias = tuple[datetime, datetime]


def plan_due(
    ledger: Ledger, streams: Sequence[Stream], *, our_now: datetime, poll_now: Container[StreamKey]
) -> dict[StreamKey, datetime | None]:
    """Plan what is due in `streams`, whose API's clocks are known; those of `poll_now` whether or not their poll is.

    `our_now` is the present by our clock. One transaction reads for all of them, and one writes for all that have
    something due. Return each stream's edge: up to where it asks for news now. One whose planning another has
    overtaken keeps the edge that it had.
    """
    sweeping = {(each.source_id, each.log_type) for each in ledger.sweeps.listed() if each.stage is not Stage.DONE}
    for stream in streams:
        if stream.key in sweeping:
            # Another that has carried on with it meanwhile did as well.
            with suppress(LostFenceError):
                advance(ledger, stream)
    found = ledger.pulling.planning([stream.key for stream in streams])
    plans = list[Plan]()
    for stream in streams:
        marks, left = found[stream.key]
        settings = replace(stream.settings, poll=timedelta(0)) if stream.key in poll_now else stream.settings
        planned = plan(marks, stream.kind, settings, stream.source.now(), left, our_now=our_now)
        if planned is not None:
            plans.append(planned)
    edges = {key: marks.edge for key, (marks, _) in found.items()}
    for start in range(0, len(plans), _AT_ONCE):
        some = plans[start : start + _AT_ONCE]
        overtaken = ledger.pulling.plan_all([(each.before, each.after, each.slices) for each in some])
        edges |= {
            (each.after.source_id, each.after.log_type): each.after.edge
            for each in some
            if each.before not in overtaken
        }
    return edges


def forget_old(ledger: Ledger, stream: Stream) -> None:
    """Forget slices of long ago that were read to their end, so that polls of years cost no more than one day's.

    Kept are those that may tell something yet: what was short, or lies where something was, since it may make that
    good; what shows where the source counts wrong; the past while some of it is still read; and the last that was read.
    """
    source_id, log_type = stream.key
    slices = ledger.pulling.slices(source_id=source_id, log_type=log_type)
    read = [each for each in slices if each.state in {SliceState.DRAINED, SliceState.RETIRED}]
    short = still_short(slices)
    until = stream.source.now() - REMEMBERED
    past_is_read = all(each.origin is not Origin.BACKFILL for each in slices if each.state is SliceState.WAITING)

    def is_of_use(slice_: Slice) -> bool:
        checkpoint = slice_.checkpoint
        shows_wrong_total = slice_.state is SliceState.DRAINED and checkpoint.met < (checkpoint.total or 0)
        return any(
            slice_.by == each.by and slice_.since <= each.until and each.since <= slice_.until for each in short
        ) or (slice_.origin is Origin.BACKFILL and (shows_wrong_total or not past_is_read))

    ledger.pulling.forget_slices(
        [
            each.id
            for each in read[:-1]
            if each.origin in {Origin.LIVE, Origin.BACKFILL} and each.until <= until and not is_of_use(each)
        ]
    )


def totals_are_right_again(ledger: Ledger, slice_: Slice) -> bool:
    """Forget that totals are off, if `slice_` is the last that shows all that was counted where they were; say so."""
    if slice_.state is not SliceState.DRAINED or slice_.checkpoint.met < (slice_.checkpoint.total or 0):
        return False
    faults = ledger.pulling.stream_faults(slice_.source_id, slice_.log_type)
    if faults.total_off_at is None:
        return False
    drained = ledger.pulling.slices(source_id=slice_.source_id, log_type=slice_.log_type, states={SliceState.DRAINED})
    seen = [replace(each, short_by=max(0, (each.checkpoint.total or 0) - each.checkpoint.met)) for each in drained]
    # Without any such slice nobody knows where they were off: they are forgotten after some hours.
    if not any(each.short_by for each in seen) or still_short(seen):
        return False
    ledger.pulling.save_stream_faults(slice_, StreamFaults())
    return True


def lacking(ledger: Ledger, stream: Stream) -> int:
    """Count the time ranges that were given up for now: parked, or shown short."""
    source_id, log_type = stream.key
    found = ledger.pulling.slices(
        source_id=source_id, log_type=log_type, states={SliceState.DRAINED, SliceState.PARKED}
    )
    return sum(each.state is SliceState.PARKED for each in found) + len(still_short(found))


def plan_time_range(ledger: Ledger, stream: Stream, time_range: TimeRange) -> None:
    """Read a time range of the past (again); no mark moves."""
    since, until = time_range[0], min(time_range[1], stream.source.now())
    if since >= until:
        return
    source_id, log_type = stream.key
    blank = Slice(
        source_id=source_id,
        log_type=log_type,
        origin=Origin.BACKFILL,
        by=stream.kind.cursor_field,
        since=since,
        until=until,
    )
    drained = ledger.pulling.slices(source_id=source_id, log_type=log_type, states={SliceState.DRAINED})
    # What was short by another date, a sweep's, is found only by asking by that date.
    short = [each.by for each in still_short(drained) if each.since < until and since < each.until]
    slices = [replace(blank, by=by) for by in dict.fromkeys((blank.by, *stream.kind.also_live_by, *short))]
    marks = ledger.pulling.marks(source_id, log_type)
    ledger.pulling.plan(marks, marks, slices)


def lost_slices(
    marks: Marks, kind: Kind, *, since: datetime | None = None, until: datetime | None = None
) -> list[Slice]:
    """Return the slices that read a time range again whose rows are lost, by every date that the kind asks by.

    Without the ends all of the past is read, and every open record. What lies beyond the edge is read anyway.
    """
    if marks.edge is None:
        return []
    start = since or marks.backfill_since or EPOCH
    end = min(until or marks.edge, marks.edge)
    if start >= end:
        return []
    blank = Slice(
        source_id=marks.source_id,
        log_type=marks.log_type,
        origin=Origin.BACKFILL,
        by=kind.cursor_field,
        since=start,
        until=end,
    )
    dates = dict.fromkeys((kind.cursor_field, *kind.also_live_by, *filter(None, (kind.sweep_by,))))
    found = [replace(blank, by=by) for by in dates]
    if since is None and kind.sweep_by is not None:
        found.append(replace(blank, origin=Origin.SWEEP, by=kind.sweep_by, since=EPOCH))
    return found
