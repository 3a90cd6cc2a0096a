"""What a stream is to read next, by the marks in the ledger, and which slices the ledger may forget."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeAlias

from ocelog.assemble import Stream
from ocelog.ledger.clocks import our_clock
from ocelog.ledger.store import Ledger
from ocelog.model import Origin, Slice, SliceState
from ocelog.pull.planner import plan, still_short
from ocelog.sweeping import advance

REMEMBERED = timedelta(days=7)
"""So long the ledger keeps the live slices that are read."""

Stretch: TypeAlias = tuple[datetime, datetime]


def plan_due(ledger: Ledger, stream: Stream, left: Sequence[Slice], *, poll_now: bool) -> None:
    """Plan what is due, beside the slices `left`; `poll_now` does not wait for the poll to be due."""
    advance(ledger, stream)
    settings = replace(stream.settings, poll=timedelta(0)) if poll_now else stream.settings
    found = plan(ledger.marks(*stream.key), stream.kind, settings, stream.source.now(), left, our_now=our_clock())
    if found is not None:
        ledger.plan(found.before, found.after, found.slices)
        forget_old(ledger, stream)


def forget_old(ledger: Ledger, stream: Stream) -> None:
    """Forget slices of long ago, unless one of the stream was short: what will make it good may be among them."""
    source_id, log_type = stream.key
    if not still_short(ledger.slices(source_id=source_id, log_type=log_type, states={SliceState.DRAINED})):
        ledger.forget_slices(source_id, log_type, until=stream.source.now() - REMEMBERED)


def lacking(ledger: Ledger, stream: Stream) -> int:
    """Count the stretches that were given up for now: parked, or shown short."""
    source_id, log_type = stream.key
    found = ledger.slices(source_id=source_id, log_type=log_type, states={SliceState.DRAINED, SliceState.PARKED})
    return sum(each.state is SliceState.PARKED for each in found) + len(still_short(found))


def plan_stretch(ledger: Ledger, stream: Stream, stretch: Stretch) -> None:
    """Read a stretch of the past (again); no mark moves."""
    since, until = stretch[0], min(stretch[1], stream.source.now())
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
    drained = ledger.slices(source_id=source_id, log_type=log_type, states={SliceState.DRAINED})
    # What was short by another date, a sweep's, is made good only by asking by that date.
    short = [each.by for each in still_short(drained) if each.since < until and since < each.until]
    slices = [replace(blank, by=by) for by in dict.fromkeys((blank.by, *stream.kind.also_live_by, *short))]
    marks = ledger.marks(source_id, log_type)
    ledger.plan(marks, marks, slices)
