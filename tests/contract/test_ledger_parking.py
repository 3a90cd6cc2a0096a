"""A stretch that cannot be read is parked once, whoever else parks it, and hides nothing that is being read."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace

from bookkeeping.crashes import before_statement, crash_everywhere
from bookkeeping.records import NOW, Clock, landing, next_due, planned, slice_of
from ocelog.errors import LedgerUnavailableError, LostFenceError
from ocelog.ledger.database import transactions
from ocelog.ledger.ledger import Ledger
from ocelog.model import Checkpoint, Origin, Slice, SliceState

HOUR = timedelta(hours=1)
LEASE = timedelta(minutes=10)


def _parked(ledger: Ledger, slice_: Slice) -> Slice:
    """Plan, take and park a slice; return it as it was parked, whatever became of it."""
    (new,) = planned(ledger, slice_)
    held = ledger.pulling.take("one", now=NOW)
    assert held is not None
    assert held.id == new.id
    to = replace(held, state=SliceState.PARKED, due_at=NOW + HOUR, reason="it errs")
    ledger.pulling.park(held, to)
    return to


def _still_parked(ledger: Ledger) -> list[int]:
    return [found.id for found in ledger.pulling.slices(states=[SliceState.PARKED])]


def test_a_parked_slice_waits_with_its_reason_and_is_nobodys(ledger: Ledger) -> None:
    parked = _parked(ledger, slice_of())
    assert ledger.pulling.slices() == [parked]
    assert next_due(ledger) == NOW + HOUR


def test_a_stretch_that_is_parked_already_is_joined(ledger: Ledger) -> None:
    wide = _parked(ledger, slice_of())
    same = _parked(ledger, slice_of())
    inside = _parked(ledger, slice_of(since=NOW - HOUR / 2, origin=Origin.BACKFILL))
    assert _still_parked(ledger) == [wide.id]
    assert [found.id for found in ledger.pulling.slices(states=[SliceState.RETIRED])] == [same.id, inside.id]


def test_a_wider_stretch_takes_the_place_of_those_that_it_covers(ledger: Ledger) -> None:
    _parked(ledger, slice_of(since=NOW - HOUR / 2))
    _parked(ledger, slice_of(until=NOW - HOUR * 0.75))
    wide = _parked(ledger, slice_of())
    assert _still_parked(ledger) == [wide.id]


def test_stretches_that_overlap_become_one_that_is_not_tried_more_often(ledger: Ledger) -> None:
    first = _parked(ledger, slice_of(since=NOW - 3 * HOUR, until=NOW - HOUR / 2))
    both = _parked(ledger, slice_of(since=NOW - HOUR, checkpoint=Checkpoint(failures=1)))
    (found,) = ledger.pulling.slices(states=[SliceState.PARKED])
    assert (found.id, found.since, found.until) == (both.id, first.since, both.until)
    assert (found.due_at, found.checkpoint.failures) == (first.due_at, 1)


@pytest.mark.parametrize(
    "different",
    [
        {"since": NOW - 3 * HOUR, "until": NOW - 2 * HOUR},
        {"narrowed": {"status": ["OPEN"]}},
        {"by": "createdAt"},
        {"origin": Origin.SWEEP},
        {"log_type": "Wiz.Audit"},
        {"source_id": "other"},
    ],
    ids=lambda different: next(iter(different)),
)
def test_a_stretch_that_asks_something_else_is_parked_beside_it(ledger: Ledger, different: dict[str, object]) -> None:
    one = _parked(ledger, slice_of())
    two = _parked(ledger, replace(slice_of(), **different))
    assert _still_parked(ledger) == [one.id, two.id]


def test_a_slice_does_not_join_one_that_is_being_read(ledger: Ledger, clock: Clock) -> None:
    first = _parked(ledger, slice_of())
    clock.now = NOW + HOUR
    reading = ledger.pulling.take("reader", now=clock.now)
    assert reading is not None
    (new,) = planned(ledger, slice_of(since=NOW - HOUR / 2))
    held = ledger.pulling.take("one", now=clock.now)
    assert held is not None
    assert held.id == new.id
    ledger.pulling.park(held, replace(held, state=SliceState.PARKED))
    assert _still_parked(ledger) == [first.id, new.id]


def test_a_reader_of_a_covered_stretch_loses_it(ledger: Ledger, clock: Clock) -> None:
    _parked(ledger, slice_of(since=NOW - HOUR / 2))
    clock.now = NOW + HOUR
    reading = ledger.pulling.take("reader", now=clock.now)
    assert reading is not None
    (new,) = planned(ledger, slice_of())
    held = ledger.pulling.take("one", now=clock.now)
    assert held is not None
    ledger.pulling.park(held, replace(held, state=SliceState.PARKED))
    assert _still_parked(ledger) == [new.id]
    with pytest.raises(LostFenceError):
        ledger.pulling.land(landing(reading))


def test_of_two_equal_stretches_parked_at_once_one_waits_and_joins_the_other(
    ledger: Ledger, open_ledger: Callable[[], Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "_BUSY_SECONDS", 0)
    monkeypatch.setattr(transactions, "_POSTGRES_LIMITS", "-c lock_timeout=100ms")
    impatient = open_ledger()
    planned(ledger, slice_of(), slice_of())
    one, two = ledger.pulling.take("one", now=NOW), ledger.pulling.take("two", now=NOW)
    assert one is not None
    assert two is not None

    def park_too() -> None:
        with pytest.raises(LedgerUnavailableError, match="another"):
            impatient.pulling.park(two, replace(two, state=SliceState.PARKED))

    with before_statement(ledger, "UPDATE slices", park_too):
        ledger.pulling.park(one, replace(one, state=SliceState.PARKED))
    impatient.pulling.park(two, replace(two, state=SliceState.PARKED))
    assert _still_parked(ledger) == [one.id]


def test_a_crash_at_any_statement_of_parking_leaves_nothing_behind(ledger: Ledger) -> None:
    _parked(ledger, slice_of(since=NOW - HOUR / 2))
    planned(ledger, slice_of())
    held = ledger.pulling.take("one", now=NOW)
    assert held is not None
    assert crash_everywhere(ledger, lambda: ledger.pulling.park(held, replace(held, state=SliceState.PARKED))) >= 4
