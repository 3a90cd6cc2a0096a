"""The most pressing slice goes to one holder at a time, who keeps it as long as it gives signs of life."""

from datetime import timedelta
from random import Random

import pytest
from msgspec.structs import replace

from bookkeeping.races import at_once, written
from bookkeeping.records import ISSUES, NOW, Clock, landing, next_due, planned, slice_of, taken
from ocelog.errors import HaltError, SourceUnavailableError
from ocelog.ledger.ledger import Ledger
from ocelog.model import Checkpoint, Due, Origin, Slice, SliceState
from ocelog.pull.ports import LONGEST_WAITS
from ocelog.pull.slices import parked, postponed

HOUR = timedelta(hours=1)
LEASE = timedelta(minutes=10)


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
    while (held := ledger.pulling.take("one", now=NOW)) is not None:
        order.append(ids.index(held.id))
    assert order == [5, 4, 2, 1, 0, 3]
    due = ledger.pulling.take("one", now=NOW + timedelta(microseconds=1))
    assert due is not None
    assert ids.index(due.id) == 8


def test_live_is_taken_behind_the_past_where_that_is_to_go_first(ledger: Ledger) -> None:
    kinds = [
        slice_of(origin=Origin.LIVE, until=NOW - HOUR),
        slice_of(origin=Origin.LIVE),
        slice_of(origin=Origin.BACKFILL, until=NOW - HOUR),
        slice_of(origin=Origin.BACKFILL),
        slice_of(origin=Origin.SWEEP),
        slice_of(origin=Origin.LIVE, state=SliceState.PARKED),
        slice_of(origin=Origin.BACKFILL, state=SliceState.PARKED),
    ]
    ids = [found.id for found in planned(ledger, *kinds)]
    order = list[int]()
    while (held := ledger.pulling.take("one", now=NOW, past_first=True)) is not None:
        order.append(ids.index(held.id))
    assert order == [4, 3, 2, 1, 0, 5, 6]


def test_a_slice_is_handed_out_under_a_new_fence_each_time(ledger: Ledger) -> None:
    held = taken(ledger)
    assert held.fence == 1
    assert ledger.pulling.slices() == [held]
    ledger.pulling.release(held)
    again = ledger.pulling.take("one", now=NOW)
    assert again == replace(held, fence=2)


def test_only_what_was_asked_for_is_taken(ledger: Ledger) -> None:
    planned(ledger, slice_of("acme"))
    planned(ledger, slice_of("other", log_type="Wiz.Audit"))
    assert ledger.pulling.take("one", now=NOW, sources=[]) is None
    assert ledger.pulling.take("one", now=NOW, sources=["acme"], log_types=["Wiz.Audit"]) is None
    held = ledger.pulling.take("one", now=NOW, sources=["acme", "other"], log_types=["Wiz.Audit"])
    assert held is not None
    assert held.source_id == "other"


def test_a_paused_or_removed_source_rests(ledger: Ledger) -> None:
    planned(ledger, slice_of())
    row = ledger.sources.find("acme")
    assert row is not None
    ledger.sources.save(replace(row, paused=True))
    assert ledger.pulling.take("one", now=NOW) is None
    assert next_due(ledger) is None
    ledger.sources.save(row)
    ledger.sources.remove("acme")
    assert ledger.pulling.take("one", now=NOW) is None
    ledger.sources.add(row)
    assert ledger.pulling.take("one", now=NOW) is not None


def test_a_slice_whose_holder_is_silent_is_handed_on(ledger: Ledger, clock: Clock) -> None:
    held = taken(ledger)
    clock.now = NOW + LEASE - timedelta(microseconds=1)
    assert ledger.pulling.take("two", now=clock.now) is None
    assert next_due(ledger) == NOW + LEASE
    clock.now = NOW + LEASE
    handed = ledger.pulling.take("two", now=clock.now)
    assert handed == replace(held, fence=2)


@pytest.mark.parametrize("how", ["land", "move"])
def test_landing_and_moving_extend_the_lease(ledger: Ledger, clock: Clock, how: str) -> None:
    held = taken(ledger)
    clock.now = NOW + timedelta(minutes=9)
    if how == "land":
        ledger.pulling.land(landing(held))
    else:
        ledger.pulling.move(held, held)
    assert ledger.pulling.take("two", now=NOW + timedelta(minutes=18)) is None
    assert ledger.pulling.take("two", now=NOW + timedelta(minutes=19)) is not None


def test_a_lease_taken_by_another_clock_is_refused(ledger: Ledger) -> None:
    planned(ledger, slice_of())
    with pytest.raises(ValueError, match="clock"):
        ledger.pulling.take("one", now=NOW + timedelta(days=2))


def test_a_slice_that_is_done_has_no_holder(ledger: Ledger) -> None:
    held = taken(ledger)
    ledger.pulling.move(held, replace(held, state=SliceState.DRAINED))
    assert [found.state for found in ledger.pulling.slices()] == [SliceState.DRAINED]
    assert next_due(ledger) is None
    ledger.pulling.move(held, replace(held, state=SliceState.WAITING))
    assert ledger.pulling.take("two", now=NOW) is not None


def test_a_slice_is_never_handed_to_two(ledger: Ledger, other: Ledger) -> None:
    planned(ledger, *(slice_of() for _ in range(24)))
    for _ in range(3):
        calls = [lambda at=at, n=n: at.pulling.take(f"holder {n}", now=NOW) for at in (ledger, other) for n in range(4)]
        got = at_once(calls)
        assert all(isinstance(found, Slice) for found in got), got
    slices = ledger.pulling.slices()
    assert [found.fence for found in slices] == [1] * 24
    assert ledger.pulling.take("late", now=NOW) is None


def test_the_next_process_of_a_home_frees_what_the_one_before_held_and_nothing_else(ledger: Ledger) -> None:
    planned(ledger, *(slice_of() for _ in range(4)))
    ours = ledger.pulling.take("home-1/host:1", now=NOW)
    others = [ledger.pulling.take(holder, now=NOW) for holder in ("home-2/host:1", "home-10/host:1", "host:1")]
    ledger.pulling.release_home("home-1")
    again = ledger.pulling.take("home-1/host:2", now=NOW)
    assert ours is not None
    assert again == replace(ours, fence=2)
    assert ledger.pulling.take("home-1/host:2", now=NOW) is None
    assert all(others)


@pytest.mark.parametrize(
    ("state", "longest"), [(SliceState.WAITING, HOUR), (SliceState.PARKED, 24 * HOUR)], ids=["waiting", "parked"]
)
def test_a_clock_that_was_ahead_makes_no_slice_wait_longer_than_it_may(
    ledger: Ledger, clock: Clock, state: SliceState, longest: timedelta
) -> None:
    failed = Checkpoint(failures=1)
    planned(ledger, slice_of(due_at=NOW + longest, state=state, checkpoint=failed))
    # Noted by a clock a month ahead: its lease, when it is tried again, and since when it fails.
    (waits,) = planned(ledger, slice_of("late", state=state, checkpoint=failed))
    clock.now = NOW + 720 * HOUR
    held = ledger.pulling.take("ahead", now=clock.now, sources=["late"])
    assert held is not None
    ledger.pulling.move(held, replace(held, due_at=clock.now + longest, state=state))
    clock.now = NOW
    assert next_due(ledger) == NOW
    assert ledger.pulling.due(NOW)["late", ISSUES].free_at == NOW
    found = ledger.pulling.take("right", now=NOW)
    assert found is not None
    assert (found.id, found.fence) == (waits.id, 2)
    assert ledger.pulling.take("right", now=NOW) is None
    ledger.pulling.move(found, replace(found, state=SliceState.WAITING))
    assert {each.failing_since for each in ledger.pulling.slices(source_id="late")} == {NOW}
    assert ledger.pulling.take("other", now=NOW) is None
    assert ledger.pulling.due(NOW)["late", ISSUES].free_at == NOW + LEASE


def test_no_slice_waits_longer_than_the_ledger_believes() -> None:
    """What is due later is taken for a clock that was ahead, and tried at once."""
    no_luck = SourceUnavailableError("try in an hour", retry_after=HOUR)
    often = slice_of(checkpoint=Checkpoint(failures=100))
    assert postponed(often, no_luck, NOW, Random(1)).due_at - NOW <= LONGEST_WAITS[SliceState.WAITING]
    assert postponed(often, HaltError("refused"), NOW, Random(1)).due_at - NOW <= LONGEST_WAITS[SliceState.WAITING]
    assert parked(often, NOW, tries=100).due_at - NOW <= LONGEST_WAITS[SliceState.PARKED]


def test_nobody_waits_for_a_lease_that_nobody_holds(ledger: Ledger) -> None:
    held = taken(ledger)
    ledger.pulling.release(held)
    ledger.pulling.move(held, replace(held, due_at=NOW))
    assert next_due(ledger) == NOW
    assert ledger.pulling.due(NOW)["acme", ISSUES] == Due(rank=0, free_at=NOW)


def test_what_is_due_is_told_for_every_stream_at_once(ledger: Ledger) -> None:
    planned(ledger, slice_of("acme", origin=Origin.BACKFILL), slice_of("acme", origin=Origin.SWEEP))
    planned(ledger, slice_of("acme", log_type="Wiz.Audit", state=SliceState.PARKED))
    planned(ledger, slice_of("later", due_at=NOW + HOUR))
    planned(ledger, slice_of("held"), slice_of("held", state=SliceState.DRAINED))
    planned(ledger, slice_of("paused"))
    planned(ledger, slice_of("done", state=SliceState.DRAINED))
    assert ledger.pulling.take("one", now=NOW, sources=["held"]) is not None
    row = ledger.sources.find("paused")
    assert row is not None
    ledger.sources.save(replace(row, paused=True))
    due = ledger.pulling.due(NOW)
    assert {key: each.rank for key, each in due.items()} == {
        ("acme", ISSUES): 1,
        ("acme", "Wiz.Audit"): 3,
        ("later", ISSUES): None,
        ("held", ISSUES): None,
    }
    assert (due["later", ISSUES].free_at, due["held", ISSUES].free_at) == (NOW + HOUR, NOW + LEASE)


def test_to_find_nothing_nothing_is_written(ledger: Ledger) -> None:
    planned(ledger, slice_of(due_at=NOW + HOUR))
    with written() as statements:
        assert ledger.pulling.take("one", now=NOW) is None
        ledger.pulling.due(NOW)
        ledger.pulling.planning([("acme", ISSUES)])
        assert ledger.pulling.well("acme", ISSUES)
    assert statements == []


def test_of_many_plans_the_one_that_another_overtook_is_told_and_the_rest_is_done(ledger: Ledger) -> None:
    planned(ledger, slice_of("acme", state=SliceState.DRAINED))
    planned(ledger, slice_of("other", state=SliceState.DRAINED))
    before = {key: marks for key, (marks, _) in ledger.pulling.planning([("acme", ISSUES), ("other", ISSUES)]).items()}
    stale = replace(before["acme", ISSUES], edge=NOW - HOUR)
    plans = [(stale, replace(stale, edge=NOW), [slice_of("acme")])]
    plans += [(marks, replace(marks, edge=NOW), [slice_of("other")]) for marks in [before["other", ISSUES]]]
    assert ledger.pulling.plan_all(plans) == [stale]
    found = ledger.pulling.planning([("acme", ISSUES), ("other", ISSUES)])
    assert (found["acme", ISSUES][0].edge, found["other", ISSUES][0].edge) == (None, NOW)
    assert ([len(left) for _, left in found.values()]) == [0, 1]


def test_slices_are_found_by_source_log_type_and_state(ledger: Ledger) -> None:
    (one,) = planned(ledger, slice_of("acme"))
    (two,) = planned(ledger, slice_of("acme", log_type="Wiz.Audit", state=SliceState.DRAINED))
    (three,) = planned(ledger, slice_of("other"))
    assert ledger.pulling.slices() == [one, two, three]
    assert ledger.pulling.slices(source_id="acme") == [one, two]
    assert ledger.pulling.slices(log_type=ISSUES) == [one, three]
    assert ledger.pulling.slices(source_id="acme", states=[SliceState.DRAINED, SliceState.PARKED]) == [two]
    assert ledger.pulling.slices(states=[]) == []


def test_the_next_due_is_the_earliest_that_anybody_may_take(ledger: Ledger) -> None:
    planned(ledger, slice_of(due_at=NOW + HOUR), slice_of(due_at=NOW + 2 * HOUR, state=SliceState.PARKED))
    assert next_due(ledger) == NOW + HOUR
