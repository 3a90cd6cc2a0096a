"""Which slices a stream needs next."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ocelog.instants import EPOCH
from ocelog.model import Kind, Marks, Origin, Slice, SliceState

OVERLAP = timedelta(minutes=5)
"""A live slice begins so far before the edge: records can appear late after their timestamp."""
RELOOK_EVERY = timedelta(days=1)
RELOOK_BACK = timedelta(days=2)
"""What appears later than the overlap is found by reading the last two days again, once a day."""
_LIE = timedelta(minutes=1)
"""An edge that lies so far ahead was planned by a clock that the API had lied to: it is taken back."""
_FIRST_PIECE = timedelta(days=7)
"""The past is planned in pieces, the newest this long and each older one twice its follower, to be read in parallel."""
_MAX_FAILING = 12
"""So many live slices may wait on a source that fails; then the next one waits for them and is longer instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """What a person has chosen for a stream."""

    backfill: timedelta | None
    """How far back; None: all there is."""
    sweep: bool = True
    poll: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Slices to add, and the marks that vouch for them: saved in one transaction, or an edge would move alone."""

    before: Marks
    after: Marks
    slices: tuple[Slice, ...]


def plan(
    marks: Marks, kind: Kind, settings: StreamSettings, now: datetime, waiting: Collection[Slice] = ()
) -> Plan | None:
    """Return what `marks` lack at the API's instant `now`, None where nothing is due.

    `waiting` are the stream's slices that are not drained yet. No slice ends beyond `now`.
    """
    if marks.edge is None:
        return _begin(marks, kind, settings, now)
    after, slices = marks, list[Slice]()
    if now < marks.edge - _LIE:
        slices += _live(marks, kind, now - RELOOK_BACK, now)
        after = replace(after, edge=now, relook_at=now)
    elif now >= marks.edge + settings.poll and now > marks.edge and _failing(waiting) < _MAX_FAILING:
        slices += _live(marks, kind, marks.edge - OVERLAP, now)
        after = replace(after, edge=now)
        if marks.relook_at is None or now >= marks.relook_at + RELOOK_EVERY:
            slices += _live(marks, kind, now - RELOOK_BACK, now)
            after = replace(after, relook_at=now)
    since = _backfill_since(settings, marks.edge)
    if marks.backfill_since is None or since < marks.backfill_since:
        until = marks.backfill_since or marks.edge
        slices += _pieces(marks, Origin.BACKFILL, kind.cursor_field, since, until)
        after = replace(after, backfill_since=since)
    if kind.sweep_by is not None and settings.sweep and marks.swept_at is None:
        slices += _pieces(marks, Origin.SWEEP, kind.sweep_by, EPOCH, after.edge or now)
        after = replace(after, swept_at=now)
    return Plan(before=marks, after=after, slices=tuple(slices)) if after != marks else None


def _begin(marks: Marks, kind: Kind, settings: StreamSettings, now: datetime) -> Plan:
    """Take `now` as the first edge, and plan the past before it; the first live slice reaches over the edge."""
    since = _backfill_since(settings, now)
    slices = _pieces(marks, Origin.BACKFILL, kind.cursor_field, since, now)
    sweeps = kind.sweep_by is not None and settings.sweep
    if kind.sweep_by is not None and settings.sweep:
        slices += _pieces(marks, Origin.SWEEP, kind.sweep_by, EPOCH, now)
    after = replace(marks, edge=now, backfill_since=since, relook_at=now, swept_at=now if sweeps else None)
    return Plan(before=marks, after=after, slices=tuple(slices))


def _backfill_since(settings: StreamSettings, edge: datetime) -> datetime:
    return EPOCH if settings.backfill is None else edge - settings.backfill


def complete_through(marks: Marks, slices: Collection[Slice]) -> datetime | None:
    """Return the instant before which nothing is left to read, parked stretches aside; None before the stream began.

    `slices` are the stream's slices that are neither drained nor retired. Shown to people; no planner uses it, so one
    slow slice never makes the live window grow.
    """
    open_slices = (s for s in slices if s.state is SliceState.WAITING and s.origin is not Origin.SWEEP)
    return min((s.since for s in open_slices), default=marks.edge)


def still_short(slices: Collection[Slice]) -> tuple[Slice, ...]:
    """Return the slices that were drained short and have not been read again in full since.

    `slices` are all of one stream. A stretch is made good by later slices of the same question that cover it together.
    """
    drained = [s for s in slices if s.state is SliceState.DRAINED]
    return tuple(s for s in drained if s.short_by and not _covered(s, [d for d in drained if d.id > s.id]))


def _covered(slice_: Slice, later: Collection[Slice]) -> bool:
    reached = slice_.since
    for other in sorted(later, key=lambda s: s.since):
        # A sweep asks for open records only, so it makes good nothing but a sweep.
        asks = other.by == slice_.by and (other.origin is not Origin.SWEEP or slice_.origin is Origin.SWEEP)
        if asks and not other.short_by and other.since <= reached:
            reached = max(reached, other.until)
    return reached >= slice_.until


def _failing(waiting: Collection[Slice]) -> int:
    return sum(s.origin is Origin.LIVE and (s.fence == 0 or s.checkpoint.failures > 0) for s in waiting)


def _live(marks: Marks, kind: Kind, since: datetime, until: datetime) -> list[Slice]:
    return [
        Slice(source_id=marks.source_id, log_type=marks.log_type, origin=Origin.LIVE, by=by, since=since, until=until)
        for by in (kind.cursor_field, *kind.also_live_by)
    ]


def _pieces(marks: Marks, origin: Origin, by: str, since: datetime, until: datetime) -> list[Slice]:
    found, length = list[Slice](), _FIRST_PIECE
    while until > since:
        start = max(since, until - length) if until - since > length else since
        found.append(
            Slice(source_id=marks.source_id, log_type=marks.log_type, origin=origin, by=by, since=start, until=until)
        )
        until, length = start, length * 2
    return found
