"""How the broken part of a time range is found with few requests: a search that says what to probe next.

The search is a generator: it yields time ranges to be asked for exactly as they are, first page only, and is sent what
came: how many records the source counts there, or None if the request failed. It knows neither source nor clock.
"""

from collections.abc import Generator
from datetime import datetime, timedelta
from typing import TypeAlias

from msgspec import Struct

COARSE = timedelta(seconds=1)
"""How exactly the edges of a long broken time range are found."""
_FINE = timedelta(milliseconds=125)
"""How exactly a single broken instant is found: what shares its second should not wait with it."""
_CENTRES = (0.31, 0.73)
"""Where, between two broken instants, healthy records are looked for: no regular distance, for faults may have one."""
_SAMPLES = (3, 12, 48)
"""Parts of what lies between two broken instants that are looked at around a centre, until one is answered."""

TimeRange: TypeAlias = tuple[datetime, datetime]
Probing: TypeAlias = Generator[TimeRange, int | None, TimeRange]


class BrokenRanges(Struct, frozen=True, kw_only=True):
    """The time ranges that fail, in order; before the first and behind the last of them, every probe was answered."""

    ranges: tuple[TimeRange, ...]
    proven: bool = True
    """One page held all that lies behind the last; else only its first page was seen."""


class TooFull(Struct, frozen=True, kw_only=True):
    """A probe was answered with more than one page can hold: first pages say little about such time ranges."""

    total: int
    """Records in the whole time range, if they lie as densely everywhere."""


class Elusive(Struct, frozen=True, kw_only=True):
    """Nothing is broken if it is asked for alone: the failure comes and goes, or depends on the size of the answer."""


SearchOutcome: TypeAlias = BrokenRanges | TooFull | Elusive
Search: TypeAlias = Generator[TimeRange, int | None, SearchOutcome]


class _FullError(Exception):
    def __init__(self, total: int) -> None:
        super().__init__()
        self.total = total


class _ElusiveError(Exception):
    """A time range that must be broken was answered."""


def search(since: datetime, until: datetime, most: int) -> Search:
    """Find what is broken in [since, until], which is known to fail, and of which one page holds `most` records.

    First the earliest broken instant, by halving. If everything behind it answers, that was all. Else the last one; and
    if no healthy record can be seen between the two, all between them counts as broken. At most about 2 * log2(seconds)
    + 28 probes, whatever is answered.
    """
    try:
        return (yield from _search(since, until, most))
    except _FullError as full:
        return TooFull(total=full.total)
    except _ElusiveError:
        return Elusive()


def _search(since: datetime, until: datetime, most: int) -> Search:
    first = yield from _narrowed(since, until, COARSE, most=most, from_end=False)
    rest = yield (first[1], until)
    if rest is not None:
        found = yield from _refined(first, most, from_end=False)
        return BrokenRanges(ranges=(found,), proven=rest <= most)
    last = yield from _narrowed(first[1], until, COARSE, most=most, from_end=True)
    if last[0] - first[1] <= 2 * COARSE or (yield from _all_broken(first[1], last[0])):
        return BrokenRanges(ranges=((first[0], last[1]),))
    first = yield from _refined(first, most, from_end=False)
    last = yield from _refined(last, most, from_end=True)
    return BrokenRanges(ranges=(first, last))


def _refined(coarse: TimeRange, most: int, *, from_end: bool) -> Probing:
    try:
        return (yield from _narrowed(*coarse, _FINE, most=most, from_end=from_end))
    except _ElusiveError:
        # A source that compares whole seconds shows nothing, or too much, in parts of one.
        return coarse


def _narrowed(since: datetime, until: datetime, exact: timedelta, *, most: int, from_end: bool) -> Probing:
    """Return the earliest (or last) broken piece of [since, until], no longer than `exact`."""
    start, end = since, until
    length = end - start
    proven = True
    while end - start > exact:
        middle = start + (end - start) / 2
        counted = yield (middle, end) if from_end else (start, middle)
        if counted is not None and counted > most:
            raise _FullError(round(counted * (length / (end - start)) * 2))
        proven = counted is None
        if proven == from_end:
            start = middle
        else:
            end = middle
    if not proven and (yield (start, end)) is not None:
        raise _ElusiveError
    return start, end


def _all_broken(since: datetime, until: datetime) -> Generator[TimeRange, int | None, bool]:
    """Say whether something between two broken instants fails, and no healthy record can be seen there.

    Looks right behind the first, ever further until something fails: so a single record that is broken does not condemn
    its neighbours. Then elsewhere, for the first may be one of several in a row.
    """
    fails, clear, length = False, timedelta(0), COARSE
    while not fails and length < until - since:
        counted = yield (since, since + length)
        if counted:
            return False
        fails = counted is None
        if not fails:
            clear, length = length, 4 * length
    for _ in range(3 if fails and clear else 0):
        middle = (clear + length) / 2
        counted = yield (since, since + middle)
        if counted:
            return False
        clear, length = (clear, middle) if counted is None else (middle, length)
    for share in _CENTRES:
        centre = since + (until - since) * share
        for parts in _SAMPLES:
            half = min((until - since) / (2 * parts), centre - since, until - centre)
            counted = yield (centre - half, centre + half)
            if counted:
                return False
            if counted == 0:
                break
            fails = True
    return fails
