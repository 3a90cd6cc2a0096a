"""Slices are planned with their marks, found again, and split, in one transaction each."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from bookkeeping.crashes import crash_everywhere
from bookkeeping.races import at_once, everything
from bookkeeping.records import ISSUES, NOW, next_due, slice_of, source_row, taken
from ocelog.errors import LostFenceError
from ocelog.ledger.ledger import Ledger
from ocelog.model import Checkpoint, Marks, Origin, PlannedRange, SliceState

HOUR = timedelta(hours=1)
LEASE = timedelta(minutes=10)


def test_a_stream_that_has_not_begun_has_blank_marks(ledger: Ledger) -> None:
    ledger.sources.add(source_row())
    assert ledger.pulling.marks("acme", ISSUES) == Marks(source_id="acme", log_type=ISSUES)
    assert ledger.pulling.streams() == []
    assert next_due(ledger) is None


def test_planning_saves_slices_and_marks_together(ledger: Ledger) -> None:
    ledger.sources.add(source_row())
    before = ledger.pulling.marks("acme", ISSUES)
    after = replace(before, edge=NOW, backfill_since=NOW - HOUR, relook_at=NOW, swept_at=NOW, offset=-HOUR)
    always = PlannedRange(lowest=None, highest=-HOUR, through=NOW, since=NOW - HOUR)
    after = replace(after, covered=(always, replace(always, lowest=-25 * HOUR)))
    one, two = ledger.pulling.plan(before, after, [slice_of(), slice_of(origin=Origin.SWEEP)])
    assert ledger.pulling.slices() == [one, two]
    assert one == slice_of(id=one.id)
    assert two.id > one.id > 0
    assert ledger.pulling.marks("acme", ISSUES) == after


def test_a_plan_on_marks_that_have_moved_plans_nothing(ledger: Ledger) -> None:
    ledger.sources.add(source_row())
    before = ledger.pulling.marks("acme", ISSUES)
    ledger.pulling.plan(before, replace(before, edge=NOW), [slice_of()])
    there = everything(ledger)
    with pytest.raises(LostFenceError):
        ledger.pulling.plan(before, replace(before, edge=NOW + HOUR), [slice_of()])
    assert everything(ledger) == there


def test_a_plan_for_a_source_that_is_gone_plans_nothing(ledger: Ledger) -> None:
    marks = Marks(source_id="acme", log_type=ISSUES)
    with pytest.raises(LostFenceError):
        ledger.pulling.plan(marks, marks, [slice_of()])
    assert ledger.pulling.streams() == []


def test_of_two_that_plan_at_once_one_does(ledger: Ledger, other: Ledger) -> None:
    ledger.sources.add(source_row())
    for hour in range(10):
        before = ledger.pulling.marks("acme", ISSUES)
        after = replace(before, edge=NOW + hour * HOUR)
        calls = [lambda at=at: at.pulling.plan(before, after, [slice_of()]) for at in (ledger, other)]  # noqa: B023 - at once
        outcomes = at_once(calls)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["LostFenceError", "list"], outcomes
    assert len(ledger.pulling.slices()) == 10


def test_a_crash_at_any_statement_of_a_plan_leaves_nothing_behind(ledger: Ledger) -> None:
    ledger.sources.add(source_row())
    before = ledger.pulling.marks("acme", ISSUES)
    crashes = crash_everywhere(ledger, lambda: ledger.pulling.plan(before, replace(before, edge=NOW), [slice_of()] * 3))
    assert crashes >= 6


def test_splitting_retires_the_parent_and_plans_its_children(ledger: Ledger) -> None:
    held = taken(ledger)
    half = NOW - HOUR / 2
    ledger.pulling.split(held, [slice_of(until=half), slice_of(since=half)])
    parent, *children = ledger.pulling.slices()
    assert parent.state is SliceState.RETIRED
    assert [(child.since, child.until, child.state, child.fence) for child in children] == [
        (NOW - HOUR, half, SliceState.WAITING, 0),
        (half, NOW, SliceState.WAITING, 0),
    ]
    assert ledger.pulling.take("one", now=NOW) is not None


def test_a_crash_at_any_statement_of_a_split_leaves_the_parent_to_be_read(ledger: Ledger) -> None:
    held = taken(ledger)
    assert crash_everywhere(ledger, lambda: ledger.pulling.split(held, [slice_of(), slice_of(), slice_of()])) >= 4


def test_only_slices_that_were_read_to_their_end_are_forgotten(ledger: Ledger) -> None:
    ledger.sources.add(source_row())
    marks = ledger.pulling.marks("acme", ISSUES)
    states = (SliceState.DRAINED, SliceState.RETIRED, SliceState.WAITING, SliceState.PARKED)
    ledger.pulling.plan(marks, marks, [slice_of(state=state) for state in (*states, *states)])
    ids = [each.id for each in ledger.pulling.slices()]
    assert ledger.pulling.forget_slices([*ids[:4], *range(10_000, 12_000)]) == 2
    assert [each.id for each in ledger.pulling.slices()] == ids[2:]
    assert ledger.pulling.forget_slices([]) == 0


def test_what_fails_has_failed_since_then_however_it_is_asked_or_cut(ledger: Ledger) -> None:
    ledger.sources.add(source_row())
    slice_ = taken(ledger)
    failed = replace(slice_, checkpoint=Checkpoint(failures=1), reason="HTTP 500")
    ledger.pulling.move(slice_, failed)
    (since,) = [each.failing_since for each in ledger.pulling.slices()]
    assert since is not None
    # Smaller pages, then the first page again, then pieces: none of it is an answer.
    ledger.pulling.move(slice_, replace(failed, checkpoint=Checkpoint(page_size=20)))
    half = slice_.since + (slice_.until - slice_.since) / 2
    pieces = [replace(slice_, id=0, until=half, reason=None), replace(slice_, id=0, since=half, reason=None)]
    ledger.pulling.split(slice_, pieces)
    found = ledger.pulling.slices(states=[SliceState.WAITING])
    assert [(each.failing_since, each.reason) for each in found] == [(since, "HTTP 500")] * 2
    piece = ledger.pulling.take("worker", now=NOW)
    assert piece is not None
    ledger.pulling.move(piece, replace(piece, checkpoint=Checkpoint(after="next"), reason=None))
    assert sorted(each.failing_since is None for each in ledger.pulling.slices(states=[SliceState.WAITING])) == [
        False,
        True,
    ]
