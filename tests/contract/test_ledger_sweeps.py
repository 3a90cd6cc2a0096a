"""How the ledger remembers what sweeps did not show, on both databases."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from bookkeeping.records import ISSUES, NOW, planned, slice_of, source_row
from ocelog.errors import LostFenceError
from ocelog.ledger.ledger import Ledger
from ocelog.model import Checkpoint, Origin, Slice, SliceState
from ocelog.pull.ports import Coverage, Suspect
from ocelog.pull.sweep import Stage, Sweep, SweepStep
from ocelog.secrets.secret import Secret
from ocelog.times import to_us

HOUR = timedelta(hours=1)


def begin(ledger: Ledger, number: int) -> Slice:
    """Begin the sweep `number` with one slice, and take that."""
    if ledger.sources.find("acme") is None:
        ledger.sources.add(source_row())
    marks = ledger.pulling.marks("acme", ISSUES)
    slice_ = slice_of(origin=Origin.SWEEP, by="createdAt", sweep_round=number)
    ledger.pulling.plan(marks, replace(marks, swept_at=NOW, sweep_round=number), [slice_])
    taken = ledger.pulling.take("one", now=NOW)
    assert taken is not None
    return taken


def end(ledger: Ledger, slice_: Slice, *, complete: bool = True) -> None:
    ledger.pulling.move(slice_, replace(slice_, state=SliceState.DRAINED, checkpoint=Checkpoint(missing=1, met=5)))
    sweep = current(ledger)
    to = replace(sweep, stage=Stage.DONE, complete=complete)
    ledger.sweeps.step(sweep, SweepStep(to=to, forget_all=not complete))


def current(ledger: Ledger) -> Sweep:
    sweep = ledger.sweeps.newest("acme", ISSUES)
    assert sweep is not None
    return sweep


def missing(name: str = "a", row_id: str = "r1") -> Suspect:
    return Suspect(record_id=name, row_id=row_id, created_us=to_us(NOW - HOUR / 2))


def times(ledger: Ledger) -> dict[str, int]:
    return {each.record_id: each.times for each in ledger.sweeps.suspects(current(ledger))}


def test_sweeps_in_a_row_are_counted_and_reading_a_slice_again_counts_once(ledger: Ledger) -> None:
    slice_ = begin(ledger, 2)
    ledger.sweeps.suspect(slice_, [missing(), missing("b")])
    ledger.sweeps.suspect(slice_, [missing()])
    assert times(ledger) == {"a": 1}
    end(ledger, slice_)
    slice_ = begin(ledger, 3)
    ledger.sweeps.suspect(slice_, [missing(), missing("c")])
    ledger.sweeps.suspect(slice_, [missing(), missing("c")])
    assert times(ledger) == {"a": 2, "c": 1}


def test_a_record_that_was_shown_or_changed_meanwhile_begins_anew(ledger: Ledger) -> None:
    slice_ = begin(ledger, 2)
    ledger.sweeps.suspect(slice_, [missing(), missing("b")])
    end(ledger, slice_)
    slice_ = begin(ledger, 3)
    ledger.sweeps.suspect(slice_, [missing("b", "r2")])
    assert times(ledger) == {"b": 1}


def test_a_sweep_that_was_not_complete_breaks_the_row(ledger: Ledger) -> None:
    slice_ = begin(ledger, 2)
    ledger.sweeps.suspect(slice_, [missing()])
    end(ledger, slice_, complete=False)
    slice_ = begin(ledger, 3)
    ledger.sweeps.suspect(slice_, [missing()])
    assert times(ledger) == {"a": 1}


def test_other_settings_between_two_sweeps_break_the_row(ledger: Ledger) -> None:
    slice_ = begin(ledger, 2)
    ledger.sweeps.suspect(slice_, [missing()])
    end(ledger, slice_)
    ledger.sources.save(source_row(settings={"projects": ["p1"]}))
    slice_ = begin(ledger, 3)
    ledger.sweeps.suspect(slice_, [missing()])
    assert times(ledger) == {"a": 1}
    ledger.sources.save(source_row(settings={"projects": ["p2"]}))
    ledger.pulling.move(slice_, replace(slice_, state=SliceState.DRAINED))
    outcome = ledger.sweeps.outcome(current(ledger))
    assert outcome is not None
    assert not outcome.same_settings


@pytest.mark.parametrize("kept_as", ["sealed", "reference"])
def test_a_new_secret_between_two_sweeps_breaks_the_row(ledger: Ledger, kept_as: str) -> None:
    def rotate(to: str) -> None:
        reference = f"env:{to}" if kept_as == "reference" else None
        kept = ledger.vault(bytes(32)).kept("acme", "client_secret", Secret(to), reference)
        ledger.sources.save(source_row(), [kept])

    ledger.sources.add(source_row())
    rotate("ONE")
    slice_ = begin(ledger, 2)
    ledger.sweeps.suspect(slice_, [missing()])
    end(ledger, slice_)
    # Another account of the tenant may see other records.
    rotate("TWO")
    slice_ = begin(ledger, 3)
    ledger.sweeps.suspect(slice_, [missing()])
    assert times(ledger) == {"a": 1}
    rotate("THREE")
    ledger.pulling.move(slice_, replace(slice_, state=SliceState.DRAINED))
    outcome = ledger.sweeps.outcome(current(ledger))
    assert outcome is not None
    assert not outcome.same_settings


def test_a_slice_of_an_earlier_sweep_that_was_parked_says_nothing_about_the_present_one(ledger: Ledger) -> None:
    parked = begin(ledger, 2)
    ledger.pulling.move(parked, replace(parked, state=SliceState.PARKED, due_at=NOW + HOUR))
    sweep = current(ledger)
    ledger.sweeps.step(sweep, SweepStep(to=replace(sweep, stage=Stage.DONE, complete=True)))
    ledger.sweeps.suspect(begin(ledger, 3), [missing(), missing("b")])
    ledger.sweeps.suspect(parked, [missing()])
    assert times(ledger) == {"a": 1, "b": 1}


def test_a_verification_forgets_what_it_saw_and_dates_what_it_did_not(ledger: Ledger) -> None:
    slice_ = begin(ledger, 2)
    ledger.sweeps.suspect(slice_, [missing(), missing("b")])
    ledger.sweeps.verified(slice_, {"b", "z"}, 77)
    assert [
        (each.record_id, each.verified_round, each.absent_us) for each in ledger.sweeps.suspects(current(ledger))
    ] == [("a", 2, 77)]


def alarmed(ledger: Ledger, *names: str) -> Slice:
    """Have a sweep end with an alarm about `names`."""
    slice_ = begin(ledger, 2)
    ledger.sweeps.suspect(slice_, [missing(name) for name in names])
    ledger.sweeps.verified(slice_, set(), 77)
    end(ledger, slice_)
    sweep = current(ledger)
    ledger.sweeps.step(sweep, SweepStep(to=replace(sweep, missing=len(names), seen=5, vanished=True, note="gone")))
    return slice_


def test_an_alarm_is_taken_back_once_what_was_missed_is_shown(ledger: Ledger) -> None:
    alarmed(ledger, *(f"r{n}" for n in range(21)))
    planned(ledger, slice_of(origin=Origin.LIVE))
    live = ledger.pulling.take("two", now=NOW)
    assert live is not None
    ledger.sweeps.shown(live, {"r1", "other"})
    sweep = current(ledger)
    assert (sweep.vanished, sweep.note, len(ledger.sweeps.suspects(sweep))) == (True, "gone", 20)
    ledger.sweeps.shown(live, {"r2"})
    sweep = current(ledger)
    assert (sweep.vanished, sweep.note, sweep.missing) == (False, None, 19)
    with pytest.raises(LostFenceError):
        ledger.sweeps.shown(replace(live, fence=0), {"r3"})


def test_an_acceptance_that_came_meanwhile_is_not_lost(ledger: Ledger) -> None:
    alarmed(ledger, "a")
    before = current(ledger)
    ledger.sweeps.accept_vanished("acme", ISSUES)
    ledger.sweeps.step(before, SweepStep(to=before))
    assert current(ledger).accepted


def test_two_that_plan_further_stretches_of_a_stage_do_so_once(ledger: Ledger) -> None:
    slice_ = begin(ledger, 2)
    ledger.pulling.move(slice_, replace(slice_, state=SliceState.DRAINED))
    reading = current(ledger)
    ledger.sweeps.step(reading, SweepStep(to=replace(reading, stage=Stage.VERIFYING)))
    sweep = current(ledger)
    more = slice_of(origin=Origin.VERIFY, by="createdAt", sweep_round=2)
    ledger.sweeps.step(sweep, SweepStep(to=sweep, slices=(more,)))
    with pytest.raises(LostFenceError):
        ledger.sweeps.step(sweep, SweepStep(to=sweep, slices=(more,)))


def test_only_the_verifications_by_creation_tell_how_far_suspects_were_asked_for(ledger: Ledger) -> None:
    slice_ = begin(ledger, 2)
    verify = slice_of(origin=Origin.VERIFY, by="createdAt", sweep_round=2, since=NOW - 3 * HOUR, until=NOW - 2 * HOUR)
    changes = replace(verify, by="statusChangedAt", since=NOW - HOUR, until=NOW)
    for each in (slice_, *planned(ledger, verify, changes)):
        ledger.pulling.move(each, replace(each, state=SliceState.PARKED, due_at=NOW + HOUR))
    outcome = ledger.sweeps.outcome(current(ledger))
    assert outcome is not None
    assert (outcome.edge, outcome.verified_until_us) == (slice_.until, to_us(NOW - 2 * HOUR))


def test_only_what_was_verified_in_this_sweep_and_missed_twice_is_ready(ledger: Ledger) -> None:
    slice_ = begin(ledger, 2)
    ledger.sweeps.suspect(slice_, [missing(), missing("b")])
    ledger.sweeps.verified(slice_, set(), 77)
    assert ledger.sweeps.ready(slice_, 9) == []
    end(ledger, slice_)
    slice_ = begin(ledger, 3)
    ledger.sweeps.suspect(slice_, [missing(), missing("b")])
    assert ledger.sweeps.ready(slice_, 9) == []
    ledger.sweeps.verified(slice_, {"b"}, 78)
    assert [each.record_id for each in ledger.sweeps.ready(slice_, 9)] == ["a"]
    ledger.sweeps.cleared(slice_, ["a"])
    assert ledger.sweeps.ready(slice_, 9) == []


def test_who_has_lost_the_slice_says_nothing_about_what_is_missing(ledger: Ledger) -> None:
    stale = replace(begin(ledger, 2), fence=0)
    with pytest.raises(LostFenceError):
        ledger.sweeps.suspect(stale, [missing()])
    with pytest.raises(LostFenceError):
        ledger.sweeps.verified(stale, set(), 1)
    with pytest.raises(LostFenceError):
        ledger.sweeps.cleared(stale, ["a"])
    assert times(ledger) == {}


def test_two_that_carry_on_with_a_sweep_do_so_once(ledger: Ledger) -> None:
    begin(ledger, 2)
    sweep = current(ledger)
    ledger.sweeps.step(sweep, SweepStep(to=replace(sweep, stage=Stage.VERIFYING)))
    with pytest.raises(LostFenceError):
        ledger.sweeps.step(sweep, SweepStep(to=replace(sweep, stage=Stage.DONE)))


def test_a_sweep_goes_on_only_once_no_slice_waits_and_counts_what_was_not_judged(ledger: Ledger) -> None:
    slice_ = begin(ledger, 2)
    assert ledger.sweeps.outcome(current(ledger)) is None
    ledger.pulling.move(slice_, replace(slice_, state=SliceState.DRAINED, checkpoint=Checkpoint(met=5)))
    outcome = ledger.sweeps.outcome(current(ledger))
    assert outcome is not None
    assert (outcome.seen, outcome.unjudged, outcome.parked) == (5, 1, 0)


def test_the_slices_of_earlier_sweeps_go_when_the_next_one_begins(ledger: Ledger) -> None:
    end(ledger, begin(ledger, 2))
    begin(ledger, 3)
    assert {each.sweep_round for each in ledger.pulling.slices()} == {3}


def test_of_a_source_one_slice_of_daily_sweeps_is_read_at_a_time(ledger: Ledger) -> None:
    begin(ledger, 2)
    planned(ledger, slice_of(origin=Origin.SWEEP, by="createdAt", sweep_round=2))
    assert ledger.pulling.take("two", now=NOW) is None
    news = slice_of(origin=Origin.BACKFILL)
    planned(ledger, news)
    other = ledger.pulling.take("two", now=NOW)
    assert other is not None
    assert other.origin is Origin.BACKFILL
    assert ledger.pulling.take("three", now=NOW, sweeps_together=True) is not None


def test_a_purge_leaves_nothing_of_sweeps_and_coverage(ledger: Ledger) -> None:
    slice_ = begin(ledger, 2)
    ledger.sweeps.suspect(slice_, [missing()])
    found = Coverage(status="OPEN", at_source=3, at_least=False, in_lake=2, since_us=0, measured_us=1)
    ledger.sweeps.measured("acme", ISSUES, [found])
    assert ledger.sweeps.coverage("acme", ISSUES) == [found]
    assert ledger.sweeps.measured_streams() == {("acme", ISSUES): (1, True)}
    ledger.sweeps.measured("acme", ISSUES, [replace(found, in_lake=3, measured_us=2)])
    assert ledger.sweeps.measured_streams() == {("acme", ISSUES): (2, False)}
    sweep = current(ledger)
    ledger.sources.purge("acme")
    assert (
        ledger.sweeps.newest("acme", ISSUES),
        ledger.sweeps.coverage("acme", ISSUES),
        ledger.sweeps.suspects(sweep),
    ) == (None, [], [])
