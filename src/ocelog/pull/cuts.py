"""At which instants to split a stretch that was twice shown short, so that few questions find what keeps it so."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from ocelog.instants import from_us, to_us

_SECOND = timedelta(seconds=1)
_HALF_US = 500_000
_MOST_CUTS = 64
"""Of records that lie apart; around full seconds up to four times as many."""


def cuts_between(since: datetime, until: datetime, instants: Sequence[int], page_size: int) -> list[datetime]:
    """Return where to cut [since, until) so that each piece holds half a page of the records at `instants`, at most.

    `instants` are microseconds, in any order: when the records were that a reading met. What one page holds has no edge
    at which a cursor could skip a record. A second that is half a page by itself is cut out, together with the seconds
    beside it, which meet it too because questions are widened. No piece is shorter than a second; none at all where
    nothing was met within.
    """
    within = to_us(since - _SECOND), to_us(until + _SECOND)
    met = sorted(us for us in instants if within[0] <= us <= within[1])
    step = max(1, min(page_size, len(met)) // 2, len(met) // _MOST_CUTS)
    found = list[datetime]()
    for wanted in sorted(_wanted(met, step)):
        cut = min(max(wanted, since + _SECOND), until - _SECOND)
        if since < wanted < until and cut - (found[-1] if found else since) >= _SECOND:
            found.append(cut)
    return found


def _wanted(met: Sequence[int], step: int) -> Iterator[datetime]:
    for us in met[step - 1 :: step]:
        if bisect_left(met, us + _HALF_US) - bisect_left(met, us - _HALF_US) < step:
            yield from_us(us)
        else:
            yield from (from_us(us + _HALF_US * halves) for halves in (-3, -1, 1, 3))
