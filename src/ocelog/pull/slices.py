"""What to ask next in a slice, and what an answer makes of it: pure decisions about values.

A slice moves in one of four ways: on to its next page, over again from its first page, apart into smaller stretches,
or aside (parked), where nothing smaller is left to try.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TypeAlias

from ocelog.errors import HaltError, TransientError
from ocelog.model import Checkpoint, Origin, Slice, SliceState
from ocelog.pull.cuts import cuts_between
from ocelog.pull.ports import Ask, Page

SECOND = timedelta(seconds=1)
FULL_SLICE = 10_000
"""More records than this, and a slice is split before it is read, so that memory stays flat."""
_RUNGS = (100, 20, 5, 1)
_MAX_RESTARTS = 6
_MAX_BARREN = 200
"""So many pages in a row that show nothing new: the source goes round in circles."""
_MAX_PIECES = 64
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class Reading:
    """What one process has met since it began a slice at its first page, or took it over at a later one."""

    resumed: bool
    """It began at a later page: a short count may be another process's share."""
    seen: set[str] = field(default_factory=set)
    cursors: set[str] = field(default_factory=set)
    largest_total: int = 0
    barren: int = 0
    """Pages in a row that showed no record for the first time."""
    instants: list[int] = field(default_factory=list)
    """When the records were that it met, in microseconds, as far as it was told: where the slice may be split."""

    def note(self, page: Page, seen: list[str], instants: Sequence[int] = ()) -> None:
        """Take in a page that has landed; `instants` are those of its records, by the field that is asked by."""
        self.instants += instants
        before = len(self.seen)
        self.seen.update(seen)
        self.barren = 0 if len(self.seen) > before else self.barren + 1
        self.largest_total = max(self.largest_total, page.total or 0)

    @property
    def missing(self) -> int:
        """How many records the source counted and did not show."""
        return max(0, self.largest_total - len(self.seen))

    def begin_again(self) -> None:
        """Forget everything: the next page is the first."""
        self.resumed = False
        self.seen.clear()
        self.cursors.clear()
        self.largest_total = 0
        self.barren = 0
        self.instants.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The slice goes on from this checkpoint (or is drained, or parked)."""

    to: Slice
    again: bool = False
    """From the first page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The slice is replaced by these."""

    children: tuple[Slice, ...]


Next: TypeAlias = Moved | Split


def ask_of(slice_: Slice, page_size: int) -> Ask:
    """Return the next question of `slice_`, widened by a second on both sides, never by more than its own length.

    Whether Wiz's `after` and `before` are inclusive is unknown; repeats are dropped by version.
    """
    widen = min(SECOND, slice_.until - slice_.since)
    return Ask(
        log_type=slice_.log_type,
        by=slice_.by,
        since=slice_.since - min(widen, slice_.since - _FIRST),
        until=slice_.until + min(widen, _LAST - slice_.until),
        open_only=slice_.origin is Origin.SWEEP,
        after=slice_.checkpoint.after,
        page_size=slice_.checkpoint.page_size or full_size(slice_.checkpoint, page_size),
        # The first sweep is part of onboarding: until it is through, _current lacks open records.
        background=slice_.sweep_round > 1,
    )


def full_size(checkpoint: Checkpoint, page_size: int) -> int:
    """Return how many records a page of this reading holds: after a short reading the page edges lie elsewhere."""
    return page_size if not checkpoint.short_readings else max(1, page_size * 7 // 10)


def after_page(slice_: Slice, page: Page, reading: Reading, *, page_size: int) -> Next:
    """Decide what comes after `page`, which `reading` has noted.

    Drained only when no page is left *and* as many records were seen as the source counted: a keyset cursor without a
    tie-break skips records that share an instant at a page's edge.
    """
    if not page.has_next:
        return _end(slice_, reading, page_size)
    asked, cursor = slice_.checkpoint.after, page.end_cursor
    if cursor is None or cursor == asked or cursor in reading.cursors or reading.barren > _MAX_BARREN:
        return lost_place(slice_, "the source gave no way on to the next page", page_size=page_size)
    reading.cursors.add(cursor)
    checkpoint = replace(
        slice_.checkpoint,
        after=cursor,
        page_size=_rung_above(slice_.checkpoint, page_size),
        failures=0,
        met=len(reading.seen),
        total=page.total,
    )
    return Moved(to=replace(slice_, state=SliceState.WAITING, checkpoint=checkpoint, reason=None))


def _end(slice_: Slice, reading: Reading, page_size: int) -> Next:
    checkpoint = replace(slice_.checkpoint, after=None, page_size=None, failures=0, met=0, total=None)
    if not reading.missing:
        drained = replace(checkpoint, met=len(reading.seen), total=reading.largest_total)
        return Moved(to=replace(slice_, state=SliceState.DRAINED, checkpoint=drained, reason=None))
    short = f"short by {reading.missing}: the source counted {reading.largest_total} and showed {len(reading.seen)}"
    if reading.resumed or not slice_.checkpoint.short_readings:
        counted = 0 if reading.resumed else 1
        checkpoint = replace(checkpoint, short_readings=slice_.checkpoint.short_readings + counted)
        return Moved(to=replace(slice_, state=SliceState.WAITING, checkpoint=checkpoint, reason=short), again=True)
    if can_split(slice_):
        return at_instants(slice_, reading.instants, page_size)
    checkpoint = replace(checkpoint, met=len(reading.seen), total=reading.largest_total)
    to = replace(slice_, state=SliceState.DRAINED, checkpoint=checkpoint, short_by=reading.missing, reason=short)
    return Moved(to=to)


def lost_place(slice_: Slice, reason: str, *, page_size: int) -> Next:
    """Start over, for the cursor leads nowhere; at a reduced page size, or after six times, make the slice smaller."""
    checkpoint = slice_.checkpoint
    reduced = checkpoint.page_size is not None and checkpoint.page_size < full_size(checkpoint, page_size)
    if reduced or checkpoint.restarts >= _MAX_RESTARTS:
        return smaller(slice_, reason)
    fresh = Checkpoint(restarts=checkpoint.restarts + 1, short_readings=checkpoint.short_readings)
    return Moved(to=replace(slice_, state=SliceState.WAITING, checkpoint=fresh, reason=reason), again=True)


def rung_below(slice_: Slice, page_size: int) -> Slice | None:
    """Return `slice_` asking for fewer records at once, None when it asks for one already."""
    now = slice_.checkpoint.page_size or full_size(slice_.checkpoint, page_size)
    below = next((rung for rung in _RUNGS if rung < now), None)
    if below is None:
        return None
    return replace(slice_, checkpoint=replace(slice_.checkpoint, page_size=below))


def _rung_above(checkpoint: Checkpoint, page_size: int) -> int | None:
    """Return the next larger page size after a good page, None once it is the full one again."""
    if checkpoint.page_size is None:
        return None
    above = next((rung for rung in reversed(_RUNGS) if rung > checkpoint.page_size), None)
    return above if above is not None and above < full_size(checkpoint, page_size) else None


def smaller(slice_: Slice, reason: str) -> Next:
    """Halve `slice_`, or park it where it cannot be halved."""
    return halved(slice_) if can_split(slice_) else Moved(to=replace(slice_, state=SliceState.PARKED, reason=reason))


def can_split(slice_: Slice) -> bool:
    """Whether `slice_` is longer than a second."""
    return slice_.until - slice_.since > SECOND


def too_full(slice_: Slice, page: Page) -> Split | None:
    """Return how to split `slice_` before more of it is read, None where its first page says that it is small."""
    if slice_.checkpoint.after is not None or not can_split(slice_):
        return None
    if not page.capped and (page.total or 0) <= FULL_SLICE:
        return None
    wanted = min(_MAX_PIECES, 2 * -(-(page.total or 0) // FULL_SLICE))
    return in_pieces(slice_, max(2, min(wanted, (slice_.until - slice_.since) // SECOND)))


def halved(slice_: Slice) -> Split:
    """Split `slice_` in two stretches of the same length."""
    return in_pieces(slice_, 2)


def in_pieces(slice_: Slice, count: int) -> Split:
    """Split `slice_` in `count` stretches of the same length, each to be read from its first page."""
    length = slice_.until - slice_.since
    return _cut(slice_, [slice_.since + length * i / count for i in range(1, count)])


def at_instants(slice_: Slice, instants: Sequence[int], page_size: int) -> Split:
    """Split `slice_` between the records that a reading met, or in two where it met none."""
    cuts = cuts_between(slice_.since, slice_.until, instants, page_size)
    return _cut(slice_, cuts) if cuts else halved(slice_)


def _cut(slice_: Slice, cuts: Sequence[datetime]) -> Split:
    edges = [slice_.since, *cuts, slice_.until]
    fresh = replace(slice_, id=0, fence=0, state=SliceState.WAITING, checkpoint=Checkpoint(), reason=None)
    return Split(children=tuple(replace(fresh, since=since, until=until) for since, until in pairwise(edges)))


def parked(slice_: Slice, now: datetime, *, tries: int) -> Slice:
    """Return `slice_` put aside, to be tried again after 5 minutes, then ever more rarely, down to once a day."""
    wait = min(timedelta(days=1), timedelta(minutes=5) * 2 ** min(tries, 9))
    fresh = Checkpoint(failures=tries + 1)
    return replace(slice_, state=SliceState.PARKED, checkpoint=fresh, due_at=now + wait)


def postponed(slice_: Slice, error: TransientError | HaltError, now: datetime, rng: random.Random) -> Slice:
    """Return `slice_` waiting for a better time: what the source asked for, else from 2 seconds doubling to 5 minutes.

    A refusal waits 5 minutes from the start: nobody mends a permission in seconds.
    """
    failures = slice_.checkpoint.failures + 1
    backoff = min(timedelta(minutes=5), SECOND * 2 ** min(failures, 9))
    wait = backoff * rng.uniform(0.75, 1.0) if isinstance(error, TransientError) else timedelta(minutes=5)
    if isinstance(error, TransientError) and error.retry_after is not None:
        wait = max(error.retry_after, SECOND)
    return replace(
        slice_,
        checkpoint=replace(slice_.checkpoint, failures=failures),
        due_at=now + wait,
        reason=str(error),
    )
