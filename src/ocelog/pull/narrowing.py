"""By which further filter one second is split that cannot be shown whole, because it is too full or one record fails.

Like `isolation` it knows neither source nor clock: whoever calls says how many records a filter leaves.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise

from msgspec import Struct

from ocelog.model import Kind, Narrowed
from ocelog.pull.cuts import cuts_between
from ocelog.times import from_us, to_us

_SECOND = 1_000_000


class Crowd(Struct, frozen=True, kw_only=True):
    """The records of one second, as far as they were seen."""

    by: str
    """The date that is asked by."""
    total: int
    """How many the source counted; 0 if it never did."""
    created_us: Sequence[int]
    """When those were created that were seen."""
    known: Narrowed
    """The filters that the crowd is narrowed by already."""
    size: int
    """How many of those that were seen a piece by creation should hold."""
    latest: datetime
    """None was created after that."""


def filters(
    crowd: Crowd,
    kind: Kind,
    count: Callable[[Narrowed], int | None],
    *,
    many: int | None = None,
) -> Sequence[Narrowed]:
    """Return filters that split `crowd`; empty if nothing does.

    They must tell records apart (no piece is as full as the whole) and lose none (the pieces count as many together):
    `count` asks the source, which may ignore a filter, and then each piece would be split for ever. It returns None if
    that fails. Around a record on which requests fail, some pieces fail too; that one of `many` records does not is
    proof enough.
    """
    for pieces in _candidates(crowd, kind):
        totals = [count(piece) for piece in pieces]
        counted = [total for total in totals if total is not None]
        if not counted:
            continue
        if len(counted) == len(pieces):
            helps = max(counted) < crowd.total <= sum(counted)
        else:
            helps = many is not None and max(counted) >= many and (not crowd.total or max(counted) < crowd.total)
        if helps:
            return [piece for piece, total in zip(pieces, totals, strict=True) if total != 0]
    return []


def _candidates(crowd: Crowd, kind: Kind) -> Iterator[Sequence[Narrowed]]:
    yield _by_creation(crowd, kind.created_filter)
    for name, values in kind.split_values.items():
        if name not in crowd.known:
            yield [{name: [value]} for value in values]
            if not crowd.total:
                # Without a total no filter can prove that it loses nothing: one try is enough.
                return


def _by_creation(crowd: Crowd, name: str | None) -> Sequence[Narrowed]:
    if name is None or name == crowd.by or not crowd.created_us:
        return []
    since, until = (int(us) for us in crowd.known.get(name, (0, to_us(crowd.latest))))
    cuts = cuts_between(from_us(since), from_us(until), sorted(crowd.created_us), max(2, crowd.size))
    edges = [since, *map(to_us, cuts), until]
    return [{name: [low - _SECOND, high + _SECOND]} for low, high in pairwise(edges)] if cuts else []
