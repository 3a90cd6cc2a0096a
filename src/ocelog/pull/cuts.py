"""At which instants to split a time range that was twice shown short, so that few requests find what keeps it so."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime

from ocelog.times import from_us, to_us

_SECOND = 1_000_000
_HALF = _SECOND // 2
_MOST_CUTS = 64
"""Of records that lie apart; around full seconds up to four times as many."""


def cuts_between(since: datetime, until: datetime, instants: Sequence[int], page_size: int) -> list[datetime]:
    """Return where to cut [since, until) so that each piece holds half a page of the records at `instants`, at most.

    `instants` are microseconds, in any order: when the records were that a reading met. What one page holds has no edge
    at which a cursor could skip a record. A second that is half a page by itself is cut out, together with the seconds
    beside it, which meet it too because requests are widened. No piece is shorter than a second; none at all if
    nothing was met within.
    """
    first, last = to_us(since), to_us(until)
    met = sorted(us for us in instants if first - _SECOND <= us <= last + _SECOND)
    step = max(1, min(page_size, len(met)) // 2, len(met) // _MOST_CUTS)
    least, most = first + _SECOND, last - _SECOND
    found = [first]
    for cut in sorted(_wanted(met, step, least, most)):
        if least <= cut <= most and cut - found[-1] >= _SECOND:
            found.append(cut)
    return [from_us(cut) for cut in found[1:]]


def _wanted(met: Sequence[int], step: int, least: int, most: int) -> Iterator[int]:
    for us in met[step - 1 :: step]:
        if bisect_left(met, us + _HALF) - bisect_left(met, us - _HALF) < step:
            yield us
        else:
            yield from (min(us - 3 * _HALF, most), us - _HALF, us + _HALF, max(us + 3 * _HALF, least))
