"""Which slices a stream needs next.

All instants are the API's, whose clock can lie: a week ahead, then back. What was planned meanwhile ends in a future
that the API could not show yet, so the time since the lie began must be read again. Our own clock tells when that was.
The *offset* is the API's clock minus ours: it falls when a lie ahead ends, and rises when a lie behind does. A slice
that was planned at our instant t shows what happened before t, whatever date its end bears. So `Marks.covered` keeps,
for each range of offsets that may yet turn out to be true, up to which instant of our clock everything is planned. When
somebody sets our clock, that looks like a lie of the API, and costs some reading.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from ocelog.model import SWEEPING, Kind, Marks, Origin, PlannedRange, Slice, SliceState
from ocelog.times import EPOCH, to_us

OVERLAP = timedelta(minutes=5)
"""A live slice begins so far before the edge: records can appear late after their timestamp."""
RELOOK_EVERY = timedelta(days=1)
RELOOK_BACK = timedelta(days=2)
"""What appears later than the overlap is found by reading the last two days again, once a day."""
_LIE = timedelta(minutes=1)
"""An offset that falls by more, or an edge that lies further ahead, was the API's lie: the edge is taken back."""
_WINDOW = timedelta(days=1)
"""Each look back covers the offsets so far below the present one too, so that shorter lies cost little."""
_ALWAYS_LIED = timedelta(days=90)
"""An offset below all that were ever seen is the true one only in a stream this young: the API lied since it began."""
_MOST_COVERED = 16
_FIRST_PIECE = timedelta(days=7)
"""The past is planned in pieces, the newest this long and each older one twice its follower, to be read in parallel."""
_YOUNGER = timedelta(days=1)
"""The first sweep reaches so far into the backfill: its two dates are set by different parts of the source."""
_MAX_FAILING = 12
"""So many live slices may wait on a source that fails; then the next one waits for them and is longer instead."""
_MOST_FRESH = 2
"""So many live slices by one date, each of which reads again what the one before does, may be read at once."""


class StreamSettings(Struct, frozen=True, kw_only=True):
    """What a person has chosen for a stream."""

    backfill: timedelta | None
    """How far back; None: all there is."""
    sweep: bool = True
    sweep_every: timedelta = timedelta(days=1)
    poll: timedelta = timedelta(minutes=5)


class Plan(Struct, frozen=True, kw_only=True):
    """Slices to add, and the marks that vouch for them: saved in one transaction, or an edge would move alone."""

    before: Marks
    after: Marks
    slices: tuple[Slice, ...]


def plan(
    marks: Marks,
    kind: Kind,
    settings: StreamSettings,
    now: datetime,
    waiting: Collection[Slice] = (),
    *,
    our_now: datetime,
) -> Plan | None:
    """Return what `marks` lack at the API's instant `now`, None if nothing is due.

    `our_now` is the same instant by our clock. `waiting` are the stream's slices that wait or are parked. No slice
    ends beyond `now`.
    """
    if marks.edge is None:
        return _begin(marks, kind, settings, now, our_now)
    after, slices = marks, list[Slice]()
    offset = now - our_now
    highest = marks.offset if marks.offset is not None else max(offset, marks.edge - our_now)
    fell = offset < highest - _LIE or now < marks.edge - _LIE
    rose = offset > highest + _WINDOW
    due = now - marks.edge >= settings.poll and now > marks.edge
    due = due and _failing(waiting) < _MAX_FAILING and _keeps_up(marks.edge, kind, waiting)
    if fell or (rose and due):
        back = _look_back(marks, highest, offset, our_now)
        since = min(back.since, marks.edge, now - RELOOK_BACK + OVERLAP) if fell else back.since
        slices += _live(marks, kind, since - OVERLAP, now)
        swept_at = None if marks.swept_at is None else min(marks.swept_at, now)
        # After a rise the daily look back is due by itself.
        relook_at = now if fell else marks.relook_at
        after = replace(after, edge=now, relook_at=relook_at, backfill_since=back.backfill_since, swept_at=swept_at)
        after = replace(after, offset=offset, covered=back.covered)
    elif due:
        slices += _live(marks, kind, marks.edge - OVERLAP, now)
        after = replace(after, edge=now, offset=max(highest, offset))
        if marks.relook_at is None or now - marks.relook_at >= RELOOK_EVERY:
            back = _look_back(marks, highest, offset, our_now)
            slices += _live(marks, kind, min(back.since, now - RELOOK_BACK), now)
            after = replace(after, relook_at=now, offset=offset, covered=back.covered)
    edge = after.edge or now
    since = _backfill_since(settings, edge)
    if after.backfill_since is None or since < after.backfill_since:
        until = min(after.backfill_since or edge, edge)
        slices += _past(marks, kind, since, until)
        after = replace(after, backfill_since=since)
    if kind.sweep_by is not None and settings.sweep and _sweep_is_due(marks, settings, now, waiting):
        sweep = plan_sweep(after, kind, now)
        slices += sweep.slices
        after = sweep.after
    return Plan(before=marks, after=after, slices=tuple(slices)) if after != marks else None


def plan_sweep(marks: Marks, kind: Kind, now: datetime) -> Plan:
    """Return the next sweep of a stream that has begun, of all its open records."""
    by, edge, number = kind.sweep_by or kind.created_field, marks.edge or now, _sweeps_planned(marks) + 1
    slices = [replace(each, sweep_round=number) for each in _pieces(marks, Origin.SWEEP, by, EPOCH, edge)]
    return Plan(before=marks, after=replace(marks, swept_at=now, sweep_round=number), slices=tuple(slices))


def sweep_wanted(marks: Marks) -> Marks:
    """Return `marks` with a sweep due at the next poll: the one after those that were planned."""
    return replace(marks, swept_at=None, sweep_round=_sweeps_planned(marks))


def _sweeps_planned(marks: Marks) -> int:
    """Return how many sweeps were planned: a program that did not count them yet may have planned the first."""
    return marks.sweep_round or int(marks.swept_at is not None)


def _sweep_is_due(marks: Marks, settings: StreamSettings, now: datetime, waiting: Collection[Slice]) -> bool:
    """Whether the next sweep may begin: it never overtakes the one before."""
    due = marks.swept_at is None or now - marks.swept_at >= settings.sweep_every
    return due and not any(s.origin in SWEEPING and s.state is SliceState.WAITING for s in waiting)


def _begin(marks: Marks, kind: Kind, settings: StreamSettings, now: datetime, our_now: datetime) -> Plan:
    """Take `now` as the first edge, and plan the past before it; the first live slice reaches over the edge."""
    since = _backfill_since(settings, now)
    slices = _past(marks, kind, since, now)
    after = replace(
        marks,
        edge=now,
        backfill_since=since,
        relook_at=now,
        offset=now - our_now,
        covered=(
            PlannedRange(lowest=None, highest=now - our_now, through=our_now, since=since),
            PlannedRange(lowest=now - our_now - _WINDOW, highest=now - our_now, through=our_now, since=since),
        ),
    )
    if kind.sweep_by is not None and settings.sweep:
        # What was created since then the backfill brings: it asks for every status.
        until = min(now, since + _YOUNGER) if since > EPOCH else EPOCH
        swept = _pieces(marks, Origin.SWEEP, kind.sweep_by, EPOCH, until)
        slices += [replace(each, sweep_round=1) for each in swept]
        after = replace(after, swept_at=now, sweep_round=1)
    return Plan(before=marks, after=after, slices=tuple(slices))


class _LookBack(Struct, frozen=True, kw_only=True):
    """What is to be read again up to now, and what holds once that is planned."""

    since: datetime
    backfill_since: datetime | None
    covered: tuple[PlannedRange, ...]


def _look_back(marks: Marks, highest: timedelta, offset: timedelta, our_now: datetime) -> _LookBack:
    """Return from when on to read again, so that all is covered if the true offset is `offset` or up to a window less.

    `highest` is the greatest offset since `marks` were last covered.
    """
    edge = marks.edge or our_now + offset
    known = marks.covered or (
        PlannedRange(
            lowest=highest - _WINDOW,
            highest=highest,
            through=min(our_now, (marks.relook_at or edge) - highest),
            since=marks.backfill_since or edge,
        ),
    )
    best = _best(known, offset, our_now)
    lowest = offset - _WINDOW
    if best is not None and best.lowest is not None and offset - best.lowest <= _WINDOW * 3 / 2:
        lowest = best.lowest
    best = _best(known, lowest, our_now)
    since, backfill_since = our_now + offset - RELOOK_BACK, marks.backfill_since
    if best is not None:
        since = _reached(best, lowest)
        backfill_since = backfill_since if best is known[-1] else best.since
    if lowest >= highest and edge > since:
        since, backfill_since = edge, marks.backfill_since
    new = PlannedRange(lowest=lowest, highest=offset, through=our_now, since=backfill_since or edge)
    kept = [each for each in known if not _says_less(each, new)]
    if len(kept) >= _MOST_COVERED:
        # Any other that holds for a lower offset stands in for it, and costs more reading.
        kept.pop(len(kept) // 2)
    return _LookBack(since=since, backfill_since=backfill_since, covered=(*kept, new))


def _best(known: Sequence[PlannedRange], offset: timedelta, our_now: datetime) -> PlannedRange | None:
    """Return what covers most if `offset` is the true one, None if nothing holds for it."""
    valid = [
        each
        for each in known
        if (our_now - each.through <= _ALWAYS_LIED if each.lowest is None else each.lowest <= offset)
    ]
    return max(valid, key=lambda each: _reached(each, offset), default=None)


def _reached(covered: PlannedRange, offset: timedelta) -> datetime:
    """Return up to which of the API's instants all is covered if `offset` is the true one."""
    return covered.through + min(offset, covered.highest)


def _says_less(one: PlannedRange, other: PlannedRange) -> bool:
    """Whether `other` covers at least as much as `one`, whatever the true offset."""
    return (
        one.lowest is not None
        and other.lowest is not None
        and other.lowest <= one.lowest
        and other.through >= one.through
        and other.through + other.highest >= one.through + one.highest
    )


def _past(marks: Marks, kind: Kind, since: datetime, until: datetime) -> list[Slice]:
    """Return the slices that read, each once, what was created or has changed within a time range, whatever its status.

    If the cursor field can be null, as it is for issues whose status never changed, young records are asked for by
    their creation, and by the cursor field only older ones.
    """
    changed = _pieces(marks, Origin.BACKFILL, kind.cursor_field, since, until)
    created = kind.created_filter
    if created is None or created not in kind.also_live_by:
        return changed
    young = _pieces(marks, Origin.BACKFILL, created, since, until)
    older = {created: [0, to_us(since) + 1_000_000]}
    return young if since <= EPOCH else [*young, *(replace(each, narrowed=older) for each in changed)]


def _backfill_since(settings: StreamSettings, edge: datetime) -> datetime:
    return EPOCH if settings.backfill is None else edge - settings.backfill


def complete_through(marks: Marks, slices: Collection[Slice]) -> datetime | None:
    """Return the instant before which nothing is left to read, parked time ranges aside; None before the stream began.

    `slices` are all of the stream's. Shown to people; no planner uses it, so one slow slice never makes the live window
    grow.
    """
    left = [s for s in slices if s.state is SliceState.WAITING and s.origin not in SWEEPING]
    return min(unread_since(left, slices), default=marks.edge)


def unread_since(left: Collection[Slice], slices: Collection[Slice]) -> Iterator[datetime]:
    """Yield from when on each of `left` brings what no earlier one of `slices` has read.

    A live slice begins with what is read already: 5 minutes of it, once a day two days.
    """
    read = [s for s in slices if s.origin is Origin.LIVE and s.state is SliceState.DRAINED]
    for each in left:
        earlier = read if each.origin is Origin.LIVE else []
        ends = (s.until for s in earlier if s.id < each.id and s.by == each.by and s.until <= each.until)
        yield max([each.since, *ends])


def still_short(slices: Collection[Slice]) -> tuple[Slice, ...]:
    """Return the slices that were drained short and have not been read again in full since.

    `slices` are all of one stream. Later slices of the same request that cover one together replace it.
    """
    drained = [s for s in slices if s.state is SliceState.DRAINED]
    return tuple(s for s in drained if s.short_by and not _covered(s, [d for d in drained if d.id > s.id]))


def _covered(slice_: Slice, later: Collection[Slice]) -> bool:
    reached = slice_.since
    for other in sorted(later, key=lambda s: s.since):
        # A sweep asks for open records only, so it replaces nothing but a sweep.
        asks = other.by == slice_.by and (other.origin is not Origin.SWEEP or slice_.origin is Origin.SWEEP)
        asks = asks and other.narrowed in (None, slice_.narrowed)
        if asks and not other.short_by and other.since <= reached:
            reached = max(reached, other.until)
    return reached >= slice_.until


def _failing(waiting: Collection[Slice]) -> int:
    live = [s for s in waiting if s.origin is Origin.LIVE and s.state is SliceState.WAITING]
    return sum(s.fence == 0 or s.checkpoint.failures > 0 for s in live)


def _keeps_up(edge: datetime, kind: Kind, waiting: Collection[Slice]) -> bool:
    """Whether the source answers as fast as it is asked; if it does not, the next live slice is a longer one.

    Another would read most of what waits once more, and hold up the past. Far older ones count for nothing: news need
    not wait for them.
    """
    fresh = [
        s
        for s in waiting
        if s.origin is Origin.LIVE
        and s.state is SliceState.WAITING
        and not s.checkpoint.failures
        and s.until > edge - OVERLAP
    ]
    return all(s.fence for s in fresh) and len(fresh) < _MOST_FRESH * (1 + len(kind.also_live_by))


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
