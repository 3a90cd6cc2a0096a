"""Slices are planned, taken, moved, split and parked by one holder at a time."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bookkeeping.crashes import crash_everywhere
from bookkeeping.races import at_once, everything
from bookkeeping.records import ISSUES, NOW, Clock, landing, planned, slice_of, source_row, taken
from ocelog.errors import LostFenceError
from ocelog.ledger.store import Ledger
from ocelog.model import Marks, Origin, Slice, SliceState

HOUR = timedelta(hours=1)
LEASE = timedelta(minutes=10)


def _states(ledger: Ledger) -> list[SliceState]:
    return [found.state for found in ledger.slices()]


def test_a_stream_that_has_not_begun_has_blank_marks(ledger: Ledger) -> None:
    ledger.add_source(source_row())
    assert ledger.marks("acme", ISSUES) == Marks(source_id="acme", log_type=ISSUES)
    assert ledger.streams() == []
    assert ledger.next_due() is None


def test_planning_saves_slices_and_marks_together(ledger: Ledger) -> None:
    ledger.add_source(source_row())
    before = ledger.marks("acme", ISSUES)
    after = replace(before, edge=NOW, backfill_since=NOW - HOUR, relook_at=NOW, swept_at=NOW)
    one, two = ledger.plan(before, after, [slice_of(), slice_of(origin=Origin.SWEEP)])
    assert ledger.slices() == [one, two]
    assert one == slice_of(id=one.id)
    assert two.id > one.id > 0
    assert ledger.marks("acme", ISSUES) == after


def test_a_plan_on_marks_that_have_moved_plans_nothing(ledger: Ledger) -> None:
    ledger.add_source(source_row())
    before = ledger.marks("acme", ISSUES)
    ledger.plan(before, replace(before, edge=NOW), [slice_of()])
    there = everything(ledger)
    with pytest.raises(LostFenceError):
        ledger.plan(before, replace(before, edge=NOW + HOUR), [slice_of()])
    assert everything(ledger) == there


def test_a_plan_for_a_source_that_is_gone_plans_nothing(ledger: Ledger) -> None:
    marks = Marks(source_id="acme", log_type=ISSUES)
    with pytest.raises(LostFenceError):
        ledger.plan(marks, marks, [slice_of()])
    assert ledger.streams() == []


def test_of_two_that_plan_at_once_one_does(ledger: Ledger, other: Ledger) -> None:
    ledger.add_source(source_row())
    for hour in range(10):
        before = ledger.marks("acme", ISSUES)
        after = replace(before, edge=NOW + hour * HOUR)
        calls = [lambda at=at: at.plan(before, after, [slice_of()]) for at in (ledger, other)]  # noqa: B023 - at once
        outcomes = at_once(calls)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["LostFenceError", "list"], outcomes
    assert len(ledger.slices()) == 10


def test_a_crash_at_any_statement_of_a_plan_leaves_nothing_behind(ledger: Ledger) -> None:
    ledger.add_source(source_row())
    before = ledger.marks("acme", ISSUES)
    crashes = crash_everywhere(ledger, lambda: ledger.plan(before, replace(before, edge=NOW), [slice_of()] * 3))
    assert crashes >= 6


def test_live_is_taken_first_then_sweep_then_backfill_each_from_the_newest_and_parked_last(ledger: Ledger) -> None:
    kinds = [
        slice_of(origin=Origin.BACKFILL, until=NOW - HOUR),
        slice_of(origin=Origin.BACKFILL),
        slice_of(origin=Origin.SWEEP),
        slice_of(origin=Origin.LIVE, state=SliceState.PARKED),
        slice_of(origin=Origin.LIVE, until=NOW - HOUR),
        slice_of(origin=Origin.LIVE),
        slice_of(origin=Origin.LIVE, state=SliceState.DRAINED),
        slice_of(origin=Origin.LIVE, state=SliceState.RETIRED),
        slice_of(origin=Origin.LIVE, due_at=NOW + timedelta(microseconds=1)),
    ]
    ids = [found.id for found in planned(ledger, *kinds)]
    order = list[int]()
    while (held := ledger.take("one", now=NOW)) is not None:
        order.append(ids.index(held.id))
    assert order == [5, 4, 2, 1, 0, 3]
    due = ledger.take("one", now=NOW + timedelta(microseconds=1))
    assert due is not None
    assert ids.index(due.id) == 8


def test_a_slice_is_handed_out_under_a_new_fence_each_time(ledger: Ledger) -> None:
    held = taken(ledger)
    assert held.fence == 1
    assert ledger.slices() == [held]
    ledger.release(held)
    again = ledger.take("one", now=NOW)
    assert again == replace(held, fence=2)


def test_only_what_was_asked_for_is_taken(ledger: Ledger) -> None:
    planned(ledger, slice_of("acme"))
    planned(ledger, slice_of("other", log_type="Wiz.Audit"))
    assert ledger.take("one", now=NOW, sources=[]) is None
    assert ledger.take("one", now=NOW, sources=["acme"], log_types=["Wiz.Audit"]) is None
    held = ledger.take("one", now=NOW, sources=["acme", "other"], log_types=["Wiz.Audit"])
    assert held is not None
    assert held.source_id == "other"


def test_a_paused_or_removed_source_rests(ledger: Ledger) -> None:
    planned(ledger, slice_of())
    row = ledger.source("acme")
    assert row is not None
    ledger.save_source(replace(row, paused=True))
    assert ledger.take("one", now=NOW) is None
    assert ledger.next_due() is None
    ledger.save_source(row)
    ledger.remove_source("acme")
    assert ledger.take("one", now=NOW) is None
    ledger.add_source(row)
    assert ledger.take("one", now=NOW) is not None


def test_a_slice_whose_holder_is_silent_is_handed_on(ledger: Ledger, clock: Clock) -> None:
    held = taken(ledger)
    clock.now = NOW + LEASE - timedelta(microseconds=1)
    assert ledger.take("two", now=clock.now) is None
    assert ledger.next_due() == NOW + LEASE
    clock.now = NOW + LEASE
    handed = ledger.take("two", now=clock.now)
    assert handed == replace(held, fence=2)


@pytest.mark.parametrize("how", ["land", "move"])
def test_landing_and_moving_extend_the_lease(ledger: Ledger, clock: Clock, how: str) -> None:
    held = taken(ledger)
    clock.now = NOW + timedelta(minutes=9)
    if how == "land":
        ledger.land(landing(held))
    else:
        ledger.move(held, held)
    assert ledger.take("two", now=NOW + timedelta(minutes=18)) is None
    assert ledger.take("two", now=NOW + timedelta(minutes=19)) is not None


def test_a_lease_taken_by_another_clock_is_refused(ledger: Ledger) -> None:
    planned(ledger, slice_of())
    with pytest.raises(ValueError, match="clock"):
        ledger.take("one", now=NOW + timedelta(days=2))


def test_a_slice_that_is_done_has_no_holder(ledger: Ledger) -> None:
    held = taken(ledger)
    ledger.move(held, replace(held, state=SliceState.DRAINED))
    assert _states(ledger) == [SliceState.DRAINED]
    assert ledger.next_due() is None
    ledger.move(held, replace(held, state=SliceState.WAITING))
    assert ledger.take("two", now=NOW) is not None


def test_a_slice_is_never_handed_to_two(ledger: Ledger, other: Ledger) -> None:
    planned(ledger, *(slice_of() for _ in range(24)))
    for _ in range(3):
        calls = [lambda at=at, n=n: at.take(f"holder {n}", now=NOW) for at in (ledger, other) for n in range(4)]
        got = at_once(calls)
        assert all(isinstance(found, Slice) for found in got), got
    slices = ledger.slices()
    assert [found.fence for found in slices] == [1] * 24
    assert ledger.take("late", now=NOW) is None


def test_when_all_holders_are_known_to_be_gone_their_slices_are_free(ledger: Ledger) -> None:
    planned(ledger, slice_of(), slice_of())
    one = ledger.take("one", now=NOW)
    two = ledger.take("two", now=NOW)
    ledger.release_all(except_holder="two")
    again = ledger.take("three", now=NOW)
    assert one is not None
    assert again == replace(one, fence=2)
    assert ledger.take("three", now=NOW) is None
    ledger.release_all()
    assert ledger.take("three", now=NOW) is not None
    assert two is not None


def test_slices_are_found_by_source_log_type_and_state(ledger: Ledger) -> None:
    (one,) = planned(ledger, slice_of("acme"))
    (two,) = planned(ledger, slice_of("acme", log_type="Wiz.Audit", state=SliceState.DRAINED))
    (three,) = planned(ledger, slice_of("other"))
    assert ledger.slices() == [one, two, three]
    assert ledger.slices(source_id="acme") == [one, two]
    assert ledger.slices(log_type=ISSUES) == [one, three]
    assert ledger.slices(source_id="acme", states=[SliceState.DRAINED, SliceState.PARKED]) == [two]
    assert ledger.slices(states=[]) == []


def test_the_next_due_is_the_earliest_that_anybody_may_take(ledger: Ledger) -> None:
    planned(ledger, slice_of(due_at=NOW + HOUR), slice_of(due_at=NOW + 2 * HOUR, state=SliceState.PARKED))
    assert ledger.next_due() == NOW + HOUR


def test_splitting_retires_the_parent_and_plans_its_children(ledger: Ledger) -> None:
    held = taken(ledger)
    half = NOW - HOUR / 2
    ledger.split(held, [slice_of(until=half), slice_of(since=half)])
    parent, *children = ledger.slices()
    assert parent.state is SliceState.RETIRED
    assert [(child.since, child.until, child.state, child.fence) for child in children] == [
        (NOW - HOUR, half, SliceState.WAITING, 0),
        (half, NOW, SliceState.WAITING, 0),
    ]
    assert ledger.take("one", now=NOW) is not None


def test_a_crash_at_any_statement_of_a_split_leaves_the_parent_to_be_read(ledger: Ledger) -> None:
    held = taken(ledger)
    assert crash_everywhere(ledger, lambda: ledger.split(held, [slice_of(), slice_of(), slice_of()])) >= 4


def _parked(ledger: Ledger, slice_: Slice) -> Slice:
    """Plan, take and park a slice; return it as it was parked, whatever became of it."""
    (new,) = planned(ledger, slice_)
    held = ledger.take("one", now=NOW)
    assert held is not None
    assert held.id == new.id
    to = replace(held, state=SliceState.PARKED, due_at=NOW + HOUR, reason="it errs")
    ledger.park(held, to)
    return to


def _still_parked(ledger: Ledger) -> list[int]:
    return [found.id for found in ledger.slices(states=[SliceState.PARKED])]


def test_a_parked_slice_waits_with_its_reason_and_is_nobodys(ledger: Ledger) -> None:
    parked = _parked(ledger, slice_of())
    assert ledger.slices() == [parked]
    assert ledger.next_due() == NOW + HOUR


def test_a_stretch_that_is_parked_already_is_joined(ledger: Ledger) -> None:
    wide = _parked(ledger, slice_of())
    same = _parked(ledger, slice_of())
    inside = _parked(ledger, slice_of(since=NOW - HOUR / 2, origin=Origin.BACKFILL))
    assert _still_parked(ledger) == [wide.id]
    assert [found.id for found in ledger.slices(states=[SliceState.RETIRED])] == [same.id, inside.id]


def test_a_wider_stretch_takes_the_place_of_those_that_it_covers(ledger: Ledger) -> None:
    _parked(ledger, slice_of(since=NOW - HOUR / 2))
    _parked(ledger, slice_of(until=NOW - HOUR / 2))
    wide = _parked(ledger, slice_of())
    assert _still_parked(ledger) == [wide.id]


@pytest.mark.parametrize(
    "different",
    [
        {"since": NOW - 2 * HOUR, "until": NOW - HOUR / 2},
        {"by": "createdAt"},
        {"origin": Origin.SWEEP},
        {"log_type": "Wiz.Audit"},
        {"source_id": "other"},
    ],
    ids=lambda different: next(iter(different)),
)
def test_a_stretch_that_asks_something_else_is_parked_beside_it(ledger: Ledger, different: dict[str, object]) -> None:
    one = _parked(ledger, slice_of())
    two = _parked(ledger, replace(slice_of(), **different))  # type: ignore[arg-type] # tests name fields
    assert _still_parked(ledger) == [one.id, two.id]


def test_a_slice_does_not_join_one_that_is_being_read(ledger: Ledger, clock: Clock) -> None:
    first = _parked(ledger, slice_of())
    clock.now = NOW + HOUR
    reading = ledger.take("reader", now=clock.now)
    assert reading is not None
    (new,) = planned(ledger, slice_of(since=NOW - HOUR / 2))
    held = ledger.take("one", now=clock.now)
    assert held is not None
    assert held.id == new.id
    ledger.park(held, replace(held, state=SliceState.PARKED))
    assert _still_parked(ledger) == [first.id, new.id]


def test_a_reader_of_a_covered_stretch_loses_it(ledger: Ledger, clock: Clock) -> None:
    _parked(ledger, slice_of(since=NOW - HOUR / 2))
    clock.now = NOW + HOUR
    reading = ledger.take("reader", now=clock.now)
    assert reading is not None
    (new,) = planned(ledger, slice_of())
    held = ledger.take("one", now=clock.now)
    assert held is not None
    ledger.park(held, replace(held, state=SliceState.PARKED))
    assert _still_parked(ledger) == [new.id]
    with pytest.raises(LostFenceError):
        ledger.land(landing(reading))


def test_of_two_equal_stretches_parked_at_once_one_stays(ledger: Ledger, other: Ledger) -> None:
    for _ in range(5):
        planned(ledger, slice_of(), slice_of())
        one, two = ledger.take("one", now=NOW), ledger.take("two", now=NOW)
        assert one is not None
        assert two is not None
        later = {"state": SliceState.PARKED, "due_at": NOW + HOUR}
        calls = [
            lambda: ledger.park(one, replace(one, **later)),  # type: ignore[arg-type] # noqa: B023 - called at once
            lambda: other.park(two, replace(two, **later)),  # type: ignore[arg-type] # noqa: B023 - called at once
        ]
        assert at_once(calls) == [None, None]
        assert len(_still_parked(ledger)) == 1


def test_a_crash_at_any_statement_of_parking_leaves_nothing_behind(ledger: Ledger) -> None:
    _parked(ledger, slice_of(since=NOW - HOUR / 2))
    planned(ledger, slice_of())
    held = ledger.take("one", now=NOW)
    assert held is not None
    assert crash_everywhere(ledger, lambda: ledger.park(held, replace(held, state=SliceState.PARKED))) >= 4
