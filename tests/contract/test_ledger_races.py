"""Two that land at once land in the order of their sequence, and never without having read each other."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from threading import Barrier, Event

import pytest

from bookkeeping.races import at_once
from bookkeeping.records import ISSUES, NOW, TABLE, landing, part, planned, rejecting, slice_of
from ocelog.ledger.ledger import Ledger
from ocelog.model import REJECTIONS, Slice
from ocelog.pull.ports import Behind, Landed, Landing


def _two_taken(ledger: Ledger) -> tuple[Slice, Slice]:
    planned(ledger, slice_of(), slice_of())
    one, two = ledger.pulling.take("one", now=NOW), ledger.pulling.take("two", now=NOW)
    assert one is not None
    assert two is not None
    return one, two


def _land_on(ledger: Ledger, held: Slice, times: int) -> list[int]:
    """Land `times` parts as a puller does that reads what it is told of; return their sequences."""
    sequences, loaded = list[int](), set[int]()
    for n in range(times):
        new = landing(held, n, n + 1, loaded_through=0, loaded=frozenset(loaded))
        while isinstance(outcome := ledger.pulling.land(new), Behind):
            loaded.update(found.sequence for found in outcome.parts)
            new = replace(new, loaded=frozenset(loaded))
        assert outcome.sequence is not None
        loaded.add(outcome.sequence)
        sequences.append(outcome.sequence)
    return sequences


def test_commit_order_is_sequence_order(ledger: Ledger, other: Ledger, open_ledger: Callable[[], Ledger]) -> None:
    planned(ledger, *(slice_of() for _ in range(4)))
    slices = [ledger.pulling.take(f"holder {n}", now=NOW) for n in range(4)]
    done, barrier, reader = Event(), Barrier(5), open_ledger()

    def watch() -> list[list[int]]:
        """Look at what is committed, again and again."""
        views = list[list[int]]()
        barrier.wait(timeout=30)
        while not done.is_set():
            views.append([found.sequence for found in reader.lake.parts(TABLE)])
        return views

    def work(at: Ledger, held: Slice) -> list[int]:
        barrier.wait(timeout=30)
        return _land_on(at, held, 12)

    with ThreadPoolExecutor(5) as pool:
        watching = pool.submit(watch)
        pairs = zip((ledger, other) * 2, slices, strict=True)
        working = [pool.submit(work, at, held) for at, held in pairs if held is not None]
        try:
            sequences = [future.result(timeout=60) for future in working]
        finally:
            done.set()
        views = watching.result(timeout=60)
    assert sorted(chain.from_iterable(sequences)) == list(range(1, 49))
    assert all(mine == sorted(mine) for mine in sequences)
    gaps = [view for view in views if view != list(range(1, len(view) + 1))]
    assert not gaps, "a reader saw a part before one of lower sequence"


def test_two_that_overlap_never_land_without_having_read_each_other(ledger: Ledger, other: Ledger) -> None:
    one, two = _two_taken(ledger)
    for round_ in range(10):
        low = round_ * 100
        through = ledger.lake.counter(TABLE)
        landings: list[tuple[Ledger, Landing]] = [
            (ledger, landing(one, low, low + 10, loaded_through=through)),
            (other, landing(two, low + 5, low + 15, loaded_through=through)),
        ]
        outcomes = at_once([lambda at=at, new=new: at.pulling.land(new) for at, new in landings])  # type: ignore[misc]
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Behind", "Landed"], outcomes


@pytest.mark.parametrize("table", ["wiz_audit", TABLE])
def test_landings_with_rejections_in_two_tables_do_not_wait_for_each_other_for_ever(
    ledger: Ledger, other: Ledger, table: str
) -> None:
    one, two = _two_taken(ledger)
    for n in range(10):
        low, high, through = n * 20, n * 20 + 10, ledger.lake.counter(TABLE)
        issues = landing(
            one, low, low + 1, rejections=part(table=REJECTIONS), rejection_keys=[f"i{n}"], loaded_through=through
        )
        more = landing(
            two,
            high,
            high + 1,
            table=table,
            part=part(table=table, low=high, high=high + 1),
            rejections=part(table=REJECTIONS),
            rejection_keys=[f"a{n}"],
            loaded_through=through,
        )
        outcomes = at_once([lambda: ledger.pulling.land(issues), lambda: other.pulling.land(more)])  # noqa: B023 - called at once
        assert all(isinstance(outcome, Landed) for outcome in outcomes), outcomes
    assert ledger.lake.counter(REJECTIONS) == 20
    assert ledger.pulling.streams()[0].marks.log_type == ISSUES


def test_a_rejection_key_lands_once_when_two_land_it_at_once(ledger: Ledger, other: Ledger) -> None:
    one, two = _two_taken(ledger)
    for round_ in range(10):
        landings = [(ledger, rejecting(one, [f"k{round_}"])), (other, rejecting(two, [f"k{round_}"]))]
        outcomes = at_once([lambda at=at, new=new: at.pulling.land(new) for at, new in landings])  # type: ignore[misc]
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Behind", "Landed"], outcomes
    assert [found.sequence for found in ledger.lake.parts(REJECTIONS)] == list(range(1, 11))
