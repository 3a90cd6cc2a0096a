"""What to ask next in a slice, and what an answer makes of it: pure decisions about values.

A slice moves in one of four ways: on to its next page, over again from its first page, apart into smaller time ranges,
or aside (parked), if nothing smaller is left to try. Each way has a bound, so that reading ends whatever a source
answers: ADR 17 lists them.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import gcd
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from ocelog.errors import HaltError, SourceThrottledError, TransientError
from ocelog.model import Checkpoint, Narrowed, Origin, Slice, SliceState, StreamFaults
from ocelog.pull.cuts import cuts_between
from ocelog.pull.isolation import TimeRange
from ocelog.pull.ports import Ask, Page
from ocelog.times import EPOCH, has_passed, to_us

SECOND = timedelta(seconds=1)
FULL_SLICE = 10_000
"""More records than this, and a slice is split before it is read, so that memory stays flat."""
_RUNGS = (100, 20, 5, 1)
_MAX_RESTARTS = 6
_MAX_BARREN = 20
"""So many pages in a row that show nothing new: the source goes round in circles."""
_MAX_READINGS = 3
"""So many times a slice is read in search of records that were counted and not shown."""
_MAX_PIECES = 64
MOST_ISOLATIONS = 100
"""So many times a slice that fails and all its pieces together may be cut to find what fails."""
_RETRY_ISOLATIONS = 4
"""Likewise for a parked time range that is tried again; once its waits are long, since each costs some 40 requests."""
_LONG_PARKED = 9
TRIES, _TRIES_THROTTLED = 5, 12
"""A request that failed so often in a row is unusable, if the source answers others."""
MANY = 10
"""So many records that are counted and not shown, on a last page that shows nothing, are searched for by time."""
MOST_WHOLE = 10 * FULL_SLICE
"""More records than this are not read as one slice, even if smaller ones are as full."""
DAY = timedelta(days=1)
"""How long it is believed that a stream's totals are wrong, and how often it is read as a whole if it must be."""
_NO_FAULTS = StreamFaults()
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class SliceReading:
    """What one process has met since it began a slice at its first page, or took it over at a later one."""

    resumed: bool
    """It began at a later page: a short count may be another process's share."""
    seen: set[str] = field(default_factory=set)
    cursors: set[str] = field(default_factory=set)
    edges: set[int] = field(default_factory=set)
    """What had been seen, as a hash, at the end of each page but the last: where a cursor may have skipped records."""
    mark: int = 0
    """What has been seen, as a hash that does not depend on the order."""
    largest_total: int = 0
    steady: bool = True
    """Each page so far counted as many records: none came or went meanwhile."""
    largest_page: int = 0
    barren: int = 0
    """Pages in a row that showed no record for the first time."""
    instants: list[int] = field(default_factory=list)
    """When the records were that it met, in microseconds, as far as it was told: where the slice may be split."""
    before: "SliceReading | None" = None
    """The reading before, if it was this process's and whole."""

    def note(self, page: Page, seen: list[str], instants: Sequence[int] = ()) -> None:
        """Take in a page that has landed; `instants` are those of its records, by the field that is asked by."""
        self.instants += instants
        new = set(seen) - self.seen
        self.seen |= new
        for name in new:
            self.mark ^= hash(name)
        self.barren = 0 if new else self.barren + 1
        self.steady = self.steady and self.largest_total in (0, page.total or 0)
        self.largest_total = max(self.largest_total, page.total or 0)
        self.largest_page = max(self.largest_page, len(seen))
        if page.has_next:
            self.edges.add(self.mark)

    def missing(self, floor: int = 0) -> int:
        """Return how many records the source counted and did not show; `floor` it counts even if there are none."""
        return max(0, self.largest_total - floor - len(self.seen))

    def shows_all(self, page_size: int) -> bool:
        """Say whether no cursor can have skipped what is missing.

        So it is if this reading never followed one and its page had room, or if two readings with other page edges
        showed the same records while the count stood still: then the total is wrong.
        """
        if self.resumed:
            return False
        if not self.edges:
            return self.largest_page < page_size
        before = self.before
        if before is None or not (self.steady and before.steady):
            return False
        return before.seen == self.seen and before.edges.isdisjoint(self.edges)

    def begin_again(self) -> "SliceReading":
        """Return a reading that begins at the first page, and remembers only this one."""
        self.before = None
        return SliceReading(resumed=False, before=None if self.resumed else self)


class Moved(Struct, frozen=True, kw_only=True):
    """The slice goes on from this checkpoint (or is drained, or parked)."""

    to: Slice
    again: bool = False
    """From the first page."""

    exact: bool = True
    """As many records were seen as were counted, if the slice is drained."""
    total_off: int = 0
    """So many records were counted that are not there: to be remembered, since the next slices will meet the same."""
    total_right: bool = False
    """Totals that were off are right again."""


class Split(Struct, frozen=True, kw_only=True):
    """The slice is replaced by these."""

    children: tuple[Slice, ...]


class Narrow(Struct, frozen=True, kw_only=True):
    """A second that a cursor skips records of: to be split by another filter, or moved to `otherwise` if none helps."""

    otherwise: Moved


Next: TypeAlias = Moved | Split


def ask_of(slice_: Slice, page_size: int) -> Ask:
    """Return the next request of `slice_`, widened by a second on both sides, never by more than its own length.

    Whether a source's ends are inclusive is unknown; repeats are dropped by version.
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
        narrowed=slice_.narrowed,
    )


def nowhere(ask: Ask) -> tuple[Ask, Ask]:
    """Return the least requests like `ask`, for ten years ahead and twenty behind: nothing can be in either."""
    year = timedelta(days=365)
    ahead = ask.until + 10 * year if ask.until < _LAST - 11 * year else _LAST - SECOND
    behind = ask.since - 20 * year if ask.since > _FIRST + 21 * year else _FIRST
    least = replace(ask, after=None, page_size=1, suspect=False)
    return replace(least, since=ahead, until=ahead + SECOND), replace(least, since=behind, until=behind + SECOND)


def full_size(checkpoint: Checkpoint, page_size: int) -> int:
    """Return how many records a page of this reading holds: after a short reading the page edges lie elsewhere.

    Sizes without a common divisor, so that two readings of 500 and 349 share no page edge within 100,000 records.
    """
    least = page_size
    for _ in range(checkpoint.short_readings):
        least = next((size for size in range(least * 7 // 10, 1, -1) if gcd(size, page_size) == 1), max(1, least - 1))
    return least


def after_page(
    slice_: Slice,
    page: Page,
    reading: SliceReading,
    *,
    page_size: int,
    faults: StreamFaults = _NO_FAULTS,
    now: datetime = EPOCH,
) -> Next | Narrow:
    """Decide what comes after `page`, which `reading` has noted; `now` is our clock, by which `faults` were found.

    Drained only when no page is left *and* as many records were seen as the source counted: a keyset cursor without a
    tie-break skips records that share an instant at a page's edge. Pages that show nothing new for ever, though all
    that was counted has been seen, end it too.
    """
    if not page.has_next:
        return _end(slice_, reading, page_size, faults, now)
    asked, cursor = slice_.checkpoint.after, page.end_cursor
    if cursor is None or cursor == asked or cursor in reading.cursors or reading.barren > _MAX_BARREN:
        if not reading.resumed and page.total is not None and len(reading.seen) >= reading.largest_total:
            return _end(slice_, reading, page_size, faults, now)
        counted = replace(slice_, checkpoint=replace(slice_.checkpoint, total=page.total))
        return lost_place(counted, "the source gave no cursor for the next page", page_size=page_size)
    whole = slice_.checkpoint.whole
    if len(reading.seen) > MOST_WHOLE and (whole or len(reading.seen) > 2 * reading.largest_total):
        full = replace(slice_, checkpoint=replace(slice_.checkpoint, whole=False, total=len(reading.seen)))
        return smaller(full, "the source returns more records than a slice can hold", page_size)
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


def _end(slice_: Slice, reading: SliceReading, page_size: int, faults: StreamFaults, now: datetime) -> Next | Narrow:
    """Decide what becomes of a slice of which no page is left: at most three readings, then what was seen is all.

    Totals that are known to be wrong cost nothing more: what they count even in an empty time range is taken off, and a
    single page that is short by no more than has been seen before is drained at once.
    """
    checkpoint = replace(slice_.checkpoint, after=None, page_size=None, failures=0, met=0, total=None)
    drained = replace(checkpoint, met=len(reading.seen), total=reading.largest_total)
    done = Moved(to=replace(slice_, state=SliceState.DRAINED, checkpoint=drained, short_by=0, reason=None))
    fresh = totals_are_off(faults, now)
    missing = reading.missing(faults.total_off_floor if fresh else 0)
    if not missing:
        beyond = len(reading.seen) > max(0, reading.largest_total - faults.total_off_floor)
        right = faults.total_off_at is not None and not reading.resumed and (beyond or not fresh)
        return replace(done, total_right=right)
    allowed = fresh and missing <= faults.total_off_by
    size = slice_.checkpoint.page_size or full_size(slice_.checkpoint, page_size)
    if allowed and not reading.edges and reading.shows_all(size):
        return replace(done, exact=False)
    short = f"{missing} records missing: the source counted {reading.largest_total} and returned {len(reading.seen)}"
    readings = slice_.checkpoint.short_readings
    wrong = readings > 0 and reading.shows_all(size)
    another = reading.resumed or not readings or (not wrong and reading.before is None)
    if another and slice_.checkpoint.restarts + readings < _MAX_READINGS + _MAX_RESTARTS:
        held_against = 0 if reading.resumed else 1
        restarts = slice_.checkpoint.restarts + 1 - held_against
        checkpoint = replace(checkpoint, short_readings=readings + held_against, restarts=restarts)
        return Moved(to=replace(slice_, state=SliceState.WAITING, checkpoint=checkpoint, reason=short), again=True)
    known = 0 if missing <= faults.total_off_by else missing
    incomplete = replace(done.to, short_by=known if wrong else missing, reason=short if known or not wrong else None)
    if wrong or slice_.checkpoint.whole:
        return Moved(to=incomplete, exact=False, total_off=missing if wrong else 0)
    if can_split(slice_):
        return at_instants(slice_, reading.instants, min(page_size, max(2, reading.largest_page)))
    return Narrow(otherwise=Moved(to=incomplete, exact=False))


def totals_are_off(faults: StreamFaults, now: datetime) -> bool:
    """Whether it is believed at our instant `now` that the totals of a stream are wrong: for a day."""
    return faults.total_off_at is not None and not has_passed(DAY, since=faults.total_off_at, now=now)


def lost_place(slice_: Slice, reason: str, *, page_size: int) -> Next:
    """Start over, for the cursor leads nowhere; at a reduced page size, or after six times, make the slice smaller.

    A slice that one page holds would gain nothing by that, and pieces of a slice that lost its place get one try.
    """
    checkpoint = slice_.checkpoint
    reduced = checkpoint.page_size is not None and checkpoint.page_size < full_size(checkpoint, page_size)
    fits = 0 < (checkpoint.total or 0) <= page_size
    most = 1 if fits or checkpoint.isolations is not None else _MAX_RESTARTS
    if reduced or checkpoint.restarts >= most:
        left = checkpoint.isolations
        few = min(_RETRY_ISOLATIONS, _RETRY_ISOLATIONS if left is None else left) if fits else left
        return smaller(replace(slice_, checkpoint=replace(checkpoint, isolations=few)), reason, page_size)
    fresh = replace(checkpoint, after=None, page_size=None, restarts=checkpoint.restarts + 1, failures=0, met=0)
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


def smaller(slice_: Slice, reason: str, page_size: int) -> Next:
    """Cut `slice_` so that a page holds each piece, or in two; park it if it cannot be cut, or was cut often enough."""
    if not can_isolate(slice_):
        return Moved(to=replace(slice_, state=SliceState.PARKED, reason=reason))
    return in_suspect_pieces(slice_, slice_.checkpoint.total or 0, page_size)


def can_split(slice_: Slice) -> bool:
    """Whether `slice_` is longer than a second."""
    return slice_.until - slice_.since > SECOND


def can_isolate(slice_: Slice) -> bool:
    """Whether `slice_` may be cut to find what fails in it."""
    return can_split(slice_) and slice_.checkpoint.isolations != 0 and not slice_.checkpoint.whole


def too_full(slice_: Slice, page: Page) -> Split | None:
    """Return how to split `slice_` before more of it is read, None if its first page says that it is small."""
    checkpoint = slice_.checkpoint
    if checkpoint.after is not None or checkpoint.whole or not page.has_next or not can_split(slice_):
        return None
    if not page.capped and (page.total or 0) <= FULL_SLICE:
        return None
    wanted = min(_MAX_PIECES, 2 * -(-(page.total or 0) // FULL_SLICE))
    return in_pieces(slice_, max(2, min(wanted, (slice_.until - slice_.since) // SECOND)))


def ignores_dates(ask: Ask, page: Page, instants: Sequence[int]) -> bool:
    """Whether most of the records of a first page, to be followed by more, lie outside what was asked for."""
    if not page.has_next or ask.after is not None or not instants:
        return False
    since, until, slack = to_us(ask.since), to_us(ask.until), to_us(EPOCH + 2 * SECOND)
    outside = sum(not since - slack <= us <= until + slack for us in instants)
    return 2 * outside > len(instants)


def isolated(slice_: Slice, broken: Sequence[TimeRange], *, proven: bool = True) -> Split:
    """Cut `slice_` around the time ranges that were found `broken`; those are then read record by record, then parked.

    Requests are widened by a second: a healthy piece ends so far before a broken time range that its requests do not
    reach it. What remains of the right to cut goes to what lies between, since the rest was seen to be healthy; or to
    what lies behind, if that is not `proven`.
    """
    left = max(0, (slice_.checkpoint.isolations or 0) - 1)
    aside = min(1, left // 3)
    pieces = list[Slice]()
    start = slice_.since
    for number, (low, high) in enumerate(broken):
        behind = broken[number + 1][0] if number + 1 < len(broken) else None
        end = max(start, _before(start, low))
        if end > start:
            pieces.append(_piece(slice_, start, end, left - 2 * aside if number else aside))
        after = _behind(high, slice_.until if behind is None else behind - SECOND)
        pieces.append(_piece(slice_, end, after, 0, page_size=1))
        start = after
    if start < slice_.until:
        pieces.append(_piece(slice_, start, slice_.until, aside if proven else left - aside))
    return Split(children=tuple(piece for piece in pieces if piece.since < piece.until))


def _before(start: datetime, low: datetime) -> datetime:
    """Return until when a slice from `start` on may last whose widened requests end at `low`."""
    return low - SECOND if low - start >= 2 * SECOND else start + max(timedelta(0), low - start) // 2


def _behind(high: datetime, until: datetime) -> datetime:
    """Return from when on a slice up to `until` may begin whose widened requests begin at `high`."""
    if high >= until:
        return until
    return high + SECOND if until - high >= 2 * SECOND else until - (until - high) // 2


def _piece(
    slice_: Slice, since: datetime, until: datetime, isolations: int | None, page_size: int | None = None
) -> Slice:
    checkpoint = Checkpoint(isolations=isolations, page_size=page_size)
    fresh = replace(slice_, id=0, fence=0, state=SliceState.WAITING, checkpoint=checkpoint, reason=None)
    return replace(fresh, since=since, until=until)


def in_suspect_pieces(slice_: Slice, total: int, page_size: int) -> Split:
    """Cut `slice_`, in which something fails, into pieces of half a page of its `total` records each, at least two."""
    longest = (slice_.until - slice_.since) // SECOND
    known = slice_.checkpoint.isolations
    budget, most = (MOST_ISOLATIONS, _MAX_PIECES) if known is None else (known, min(known, _MAX_PIECES))
    count = max(2, min(most, longest, -(-2 * total // page_size)))
    pieces = in_pieces(slice_, count).children
    share = max(0, budget - 1) // count
    return Split(
        children=tuple(replace(piece, checkpoint=Checkpoint(isolations=share)) for piece in pieces),
    )


def suspect(slice_: Slice) -> Slice:
    """Return `slice_`, of which a request failed while the source answers others."""
    if slice_.checkpoint.isolations is not None:
        return slice_
    return replace(slice_, checkpoint=replace(slice_.checkpoint, isolations=MOST_ISOLATIONS))


def record_by_record(slice_: Slice) -> Slice:
    """Return `slice_` to be read from its first page, one record at a time, and parked if that fails."""
    return replace(slice_, checkpoint=replace(slice_.checkpoint, isolations=0, after=None, page_size=1, failures=0))


def in_pieces(slice_: Slice, count: int) -> Split:
    """Split `slice_` in `count` time ranges of the same length, each to be read from its first page."""
    length = slice_.until - slice_.since
    return _cut(slice_, [slice_.since + length * i / count for i in range(1, count)])


def at_instants(slice_: Slice, instants: Sequence[int], page_size: int) -> Split:
    """Split `slice_` between the records that a reading met, or in two if it met none."""
    cuts = cuts_between(slice_.since, slice_.until, instants, page_size)
    return _cut(slice_, cuts) if cuts else in_pieces(slice_, 2)


def narrowed(slice_: Slice, pieces: Sequence[Narrowed], *, suspect: bool = False) -> Split:
    """Split `slice_` by further filters; in one of the pieces something fails if they are `suspect`."""
    checkpoint = Checkpoint(isolations=0 if suspect else None)
    fresh = replace(slice_, id=0, fence=0, state=SliceState.WAITING, checkpoint=checkpoint, reason=None)
    return Split(children=tuple(replace(fresh, narrowed={**(slice_.narrowed or {}), **piece}) for piece in pieces))


def _cut(slice_: Slice, cuts: Sequence[datetime]) -> Split:
    """Cut `slice_` at `cuts`; its pieces inherit how often what fails in it may still be looked for."""
    edges = [slice_.since, *cuts, slice_.until]
    left = slice_.checkpoint.isolations
    share = None if left is None else left // (len(cuts) + 1)
    return Split(children=tuple(_piece(slice_, since, until, share) for since, until in pairwise(edges)))


def unparked(slice_: Slice) -> Slice:
    """Return a parked slice to be tried again: whole, then record by record; a long one may be cut once a day."""
    tries = slice_.checkpoint.failures
    again = can_split(slice_) and tries >= _LONG_PARKED
    return replace(
        slice_, state=SliceState.WAITING, checkpoint=Checkpoint(isolations=_RETRY_ISOLATIONS if again else 0)
    )


def parked(slice_: Slice, now: datetime, *, tries: int) -> Slice:
    """Return `slice_` put aside, to be tried again after 5 minutes, then less and less often, down to once a day.

    One that is read as a whole waits for a day, or for the earlier turn that it was given.
    """
    whole = slice_.checkpoint.whole
    due = now + (DAY if whole else min(DAY, timedelta(minutes=5) * 2 ** min(tries, 9)))
    if whole and now < slice_.due_at < due:
        due = slice_.due_at
    fresh = Checkpoint(failures=tries + 1, whole=whole)
    return replace(slice_, state=SliceState.PARKED, checkpoint=fresh, due_at=due)


def failed(slice_: Slice) -> Slice:
    """Return `slice_` with one more failure in a row."""
    return replace(slice_, checkpoint=replace(slice_.checkpoint, failures=slice_.checkpoint.failures + 1))


def throttled_alone(slice_: Slice) -> Slice:
    """Return `slice_`, of whose request it is proven that it alone is refused as one too many."""
    failures = max(slice_.checkpoint.failures, _TRIES_THROTTLED)
    return replace(slice_, checkpoint=replace(slice_.checkpoint, failures=failures))


def is_unusable(slice_: Slice, error: TransientError | HaltError) -> bool:
    """Whether a request that failed as often as `slice_` says is hopeless, if the source answers others.

    A refusal is at once. In a suspect slice one retry is enough: no five tries at every page size.
    """
    failures = slice_.checkpoint.failures
    if isinstance(error, SourceThrottledError):
        return failures >= _TRIES_THROTTLED
    if isinstance(error, HaltError):
        return True
    return failures >= (TRIES if slice_.checkpoint.isolations is None else 2)


def postponed(slice_: Slice, error: TransientError | HaltError, now: datetime, rng: random.Random) -> Slice:
    """Return `slice_`, which has `failed`, waiting for a better time: what the source asked for, else longer each time.

    1, 1, 2, 4 seconds and so on up to 5 minutes, so that one pull sees the fifth failure. A refusal waits 5 minutes
    from the start: nobody fixes a permission in seconds.
    """
    backoff = min(timedelta(minutes=5), SECOND * 2 ** max(0, min(slice_.checkpoint.failures - 2, 9)))
    wait = backoff * rng.uniform(0.75, 1.0) if isinstance(error, TransientError) else timedelta(minutes=5)
    if isinstance(error, TransientError) and error.retry_after is not None:
        wait = max(error.retry_after, SECOND)
    return replace(slice_, due_at=now + wait, reason=str(error))
