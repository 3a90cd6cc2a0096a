"""What a sweep does next, and what it dares to infer."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from msgspec.structs import replace

from ocelog.model import Checkpoint, KnownVersions, NewPart, Origin, Slice, SliceState
from ocelog.pull.ports import Landed, Landing, LoadedVersions, OpenRecords, Suspect
from ocelog.pull.sweep import (
    MOST_SUSPECTS,
    Judge,
    Outcome,
    Stage,
    Sweep,
    SweepStep,
    closed_version,
    infer,
    next_step,
    vanished,
)
from ocelog.sources.wiz.streams import KINDS
from ocelog.times import from_us, to_us

BORN = datetime(2026, 3, 1, tzinfo=UTC)
SWEEP = Sweep(
    source_id="s", log_type="Wiz.Issues", round=3, stage=Stage.READING, settings="x", planned_us=1, complete=True
)
EDGE = BORN + timedelta(days=3000)
CAUGHT_UP = replace(SWEEP, stage=Stage.CATCHING_UP)
VERIFYING = replace(SWEEP, stage=Stage.VERIFYING)
WELL = Outcome(parked=0, unjudged=0, seen=1000, missing=1, inferred=0, same_settings=True, edge=EDGE)


def suspect(name: str = "a", hours: float = 0, **more: object) -> Suspect:
    found = Suspect(record_id=name, row_id="0" * 32, created_us=to_us(BORN + timedelta(hours=hours)), round=3)
    return replace(found, **more)


def after(sweep: Sweep, outcome: Outcome = WELL, *suspects: Suspect) -> SweepStep:
    return next_step(sweep, outcome, suspects, kind=KINDS["Wiz.Issues"], now=EDGE + timedelta(hours=1), now_us=9)


def test_a_sweep_that_misses_nothing_is_done_and_complete() -> None:
    step = after(SWEEP, replace(WELL, missing=0))
    assert (step.to.stage, step.to.complete, step.to.seen, step.slices) == (Stage.DONE, True, 1000, ())


@pytest.mark.parametrize("flaw", [{"parked": 1}, {"unjudged": 1}, {"same_settings": False}])
def test_a_sweep_that_is_not_complete_forgets_every_suspect(flaw: dict[str, int]) -> None:
    step = after(SWEEP, replace(WELL, **flaw), suspect(times=2, verified_round=3))
    assert (step.to.stage, step.to.complete, step.forget_all, step.slices) == (Stage.DONE, False, True, ())


def test_the_first_sweep_judges_nothing_and_complains_of_nothing() -> None:
    step = after(replace(SWEEP, round=1), replace(WELL, unjudged=7))
    assert (step.to.stage, step.to.complete, step.to.note) == (Stage.DONE, False, None)


def test_what_was_missed_is_asked_for_with_every_status_around_when_it_was_created() -> None:
    step = after(CAUGHT_UP, WELL, suspect("a", 0), suspect("b", 0.5), suspect("c", 40))
    assert step.to.stage is Stage.VERIFYING
    assert {s.origin for s in step.slices} == {Origin.VERIFY}
    assert sorted((s.since, s.until) for s in step.slices) == [
        (BORN, BORN + timedelta(hours=0.5, seconds=1)),
        (BORN + timedelta(hours=40), BORN + timedelta(hours=40, seconds=1)),
    ]


def test_what_changed_since_the_last_poll_is_asked_for_before_anything_is_verified() -> None:
    step = after(SWEEP, WELL, suspect())
    assert step.to.stage is Stage.CATCHING_UP
    (changes,) = step.slices
    assert (changes.origin, changes.by) == (Origin.VERIFY, "statusChangedAt")
    assert (changes.since, changes.until) == (EDGE - timedelta(minutes=5), EDGE + timedelta(hours=1))


def test_every_suspect_is_verified_in_the_same_sweep_some_stretches_at_a_time() -> None:
    left = [suspect(str(n), 10 * n) for n in range(1200)]
    asked, until_us = 0, 0
    step = after(CAUGHT_UP, WELL, *left)
    while step.to.stage is Stage.VERIFYING:
        assert 0 < len(step.slices) <= 500
        asked += len(step.slices)
        until_us = max(to_us(each.until) for each in step.slices)
        left = [replace(each, verified_round=3 * (each.created_us < until_us)) for each in left]
        step = after(VERIFYING, replace(WELL, verified_until_us=until_us), *left)
    assert asked == 1200
    assert step.to.missing == 1200


def test_a_stretch_that_cannot_be_verified_is_tried_once_a_sweep() -> None:
    step = after(VERIFYING, replace(WELL, verified_until_us=to_us(EDGE)), suspect())
    assert (step.to.stage, step.to.missing) == (Stage.DONE, 0)


def test_what_was_asked_for_with_no_status_raises_no_alarm() -> None:
    tried = replace(WELL, missing=60, verified_until_us=to_us(EDGE))
    many = [suspect(str(n), n, verified_round=3 * (n < 19)) for n in range(60)]
    assert not after(VERIFYING, replace(tried, seen=100), *many).to.vanished
    assert after(VERIFYING, replace(tried, seen=100), *[replace(each, verified_round=3) for each in many]).to.vanished


def test_of_what_there_was_no_room_to_remember_as_large_a_share_is_gone() -> None:
    many = replace(WELL, missing=10 * MOST_SUSPECTS, seen=MOST_SUSPECTS, verified_until_us=to_us(EDGE))
    few = [suspect(str(n), verified_round=3) for n in range(5)]
    assert (after(VERIFYING, many, *few).to.missing, after(VERIFYING, many, *few).to.vanished) == (50, False)


def test_what_was_accepted_stays_accepted_until_the_rest_of_it_is_closed_too() -> None:
    inferring = replace(SWEEP, stage=Stage.INFERRING, accepted=True)
    assert not after(inferring, WELL).to.accepted
    left = [suspect(str(n), verified_round=3) for n in range(60)]
    assert after(inferring, WELL, *left).to.accepted
    assert after(inferring, replace(WELL, missing=2 * MOST_SUSPECTS)).to.accepted
    once = after(replace(VERIFYING, accepted=True), WELL, *left)
    assert (once.to.stage, once.to.accepted, once.to.vanished) == (Stage.DONE, True, False)


def test_only_what_two_sweeps_missed_and_no_status_showed_is_inferred() -> None:
    verifying = replace(SWEEP, stage=Stage.VERIFYING)
    assert after(verifying, WELL, suspect(times=1, verified_round=3)).to.stage is Stage.DONE
    tried = replace(WELL, verified_until_us=to_us(EDGE))
    assert after(verifying, tried, suspect(times=2, verified_round=2)).to.stage is Stage.DONE
    step = after(verifying, WELL, suspect(times=2, verified_round=3))
    assert step.to.stage is Stage.INFERRING
    assert [s.origin for s in step.slices] == [Origin.INFER]


def test_nothing_is_inferred_while_too_much_vanished_at_once_unless_a_person_accepts_it() -> None:
    verifying = replace(SWEEP, stage=Stage.VERIFYING)
    many = [suspect(str(n), n, times=2, verified_round=3) for n in range(60)]
    step = after(verifying, WELL, *many)
    assert (step.to.stage, step.to.vanished, step.to.inferred) == (Stage.DONE, True, 0)
    assert "SOURCE_PERMISSIONS_CHECKS" in str(step.to.note)
    assert after(replace(verifying, accepted=True), WELL, *many).to.stage is Stage.INFERRING
    back = after(replace(verifying, accepted=True, vanished=True), WELL)
    assert (back.to.vanished, back.to.accepted, back.to.note) == (False, False, None)


@pytest.mark.parametrize(
    ("missing", "seen", "many"), [(19, 0, False), (20, 380, False), (20, 379, True), (20, 0, True), (500, 9_500, False)]
)
def test_more_than_five_per_cent_and_at_least_twenty_are_too_many(missing: int, seen: int, many: bool) -> None:
    assert vanished(missing, seen) is many


def test_an_inferred_version_is_another_version_and_always_the_same() -> None:
    assert closed_version("ab") == closed_version("ab") != closed_version("cd")
    assert len(closed_version("ab")) == 32


SLICE = Slice(
    source_id="s",
    log_type="Wiz.Issues",
    origin=Origin.SWEEP,
    by="createdAt",
    since=BORN,
    until=BORN + timedelta(days=1),
    sweep_round=2,
)


class Noted:
    """A ledger that notes what it is told to keep, and a lake in which every record is current."""

    def __init__(self, *suspects: Suspect) -> None:
        self.suspects = list(suspects)
        self.landings: list[Landing] = []
        self.written: list[dict[str, Any]] = []
        self.missing: list[str] = []
        self.absent_us = 0
        self.seen: set[str] = set()

    def shown(self, _slice: Slice, seen: set[str]) -> None:
        self.seen |= seen

    def suspect(self, _slice: Slice, missing: list[Suspect]) -> None:
        self.missing = [each.record_id for each in missing]

    def verified(self, _slice: Slice, _seen: set[str], absent_us: int) -> None:
        self.absent_us = absent_us

    def load(self, _table: str, _source: str, *, ids: list[str], **_more: object) -> LoadedVersions:
        ones = [1] * len(ids)
        rows = [name * 32 for name in ids]
        known = KnownVersions(ids=ids, version_us=ones, observed_us=ones, row_ids=rows, versions=rows)
        return LoadedVersions(known=known, through=0)

    def rows(self, _table: str, row_ids: list[str], _columns: list[str]) -> dict[str, dict[str, Any]]:
        """Say when each was created: e is of another day, which another slice shows."""
        other = {"id": "x", "status": "OPEN", "p_version": "v", "p_version_time": BORN, "p_inferred": None}
        return {name: other | {"createdAt": BORN + timedelta(days=name[0] == "e")} for name in row_ids}

    def ready(self, _slice: Slice, _limit: int) -> list[Suspect]:
        return self.suspects

    def cleared(self, _slice: Slice, record_ids: list[str]) -> None:
        self.suspects = [each for each in self.suspects if each.record_id not in record_ids]

    def move(self, _slice: Slice, _to: Slice) -> None:
        """Save nothing."""

    def write(self, table: str, name: str, rows: pa.Table) -> NewPart:
        self.written = rows.to_pylist()
        return NewPart(table=table, path=name, rows=len(rows), bytes=1, min_cursor_us=0, max_cursor_us=0)

    def land(self, landing: Landing) -> Landed:
        self.landings.append(landing)
        return Landed(sequence=1)


def judge(noted: Any) -> Judge:
    return Judge(ledger=noted, lake=noted, kind=KINDS["Wiz.Issues"])


def opened(*names: str) -> OpenRecords:
    nothing = KnownVersions(ids=[], version_us=[], observed_us=[], row_ids=[], versions=[])
    return OpenRecords(rows={name: name * 32 for name in names}, count=len(names), known=nothing, through=0)


def test_open_records_that_a_slice_did_not_show_are_kept_as_suspects() -> None:
    noted = Noted()
    drained = judge(noted).judged(SLICE, replace(SLICE, state=SliceState.DRAINED), {"a", "b"}, opened("a", "c", "e"))
    assert noted.missing == ["c"]
    assert drained.checkpoint.missing == 1


def test_an_empty_slice_misses_every_record_that_the_lake_has_there() -> None:
    noted = Noted()
    judge(noted).judged(SLICE, replace(SLICE, state=SliceState.DRAINED), set(), opened("a", "c"))
    assert noted.missing == ["a", "c"]


def test_a_reading_that_another_process_began_judges_nothing() -> None:
    judging = judge(Noted())
    assert judging.must_read_again(SLICE, resumed=True)
    assert judging.must_read_again(replace(SLICE, origin=Origin.VERIFY), resumed=True)
    assert not judging.must_read_again(SLICE, resumed=False)
    assert not judging.must_read_again(replace(SLICE, sweep_round=1), resumed=True)


COLUMNS = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("id", "status", "p_row_id", "p_version", "p_inferred", "p_origin")),
        *(pa.field(name, pa.timestamp("us", tz="UTC")) for name in ("p_version_time", "p_observed_at")),
    ]
)


def inferred(noted: Any) -> Slice:
    return infer(
        replace(SLICE, origin=Origin.INFER), ledger=noted, suspects=noted, lake=noted, columns=COLUMNS, source_label="s"
    )


def test_an_inferred_version_says_so_keeps_its_time_and_has_no_status() -> None:
    noted = Noted(suspect("a", row_id="a" * 32, absent_us=to_us(BORN + timedelta(days=5))))
    drained = inferred(noted)
    assert (drained.state, drained.checkpoint.met) == (SliceState.DRAINED, 1)
    (row,) = noted.written
    assert (row["status"], row["p_inferred"], row["p_origin"]) == (None, "inferred_closed", "sweep")
    assert (row["p_version_time"], row["p_observed_at"]) == (BORN, BORN + timedelta(days=5))
    assert row["p_version"] == closed_version("v")
    assert noted.suspects == []


def test_a_row_that_was_landed_while_the_clock_lied_ahead_is_closed_just_behind_it() -> None:
    noted = Noted(suspect("a", row_id="a" * 32, absent_us=-3_600_000_000))
    inferred(noted)
    (row,) = noted.written
    assert row["p_observed_at"] == from_us(2), "before it, every second sweep would infer it anew"


def test_a_row_that_was_landed_while_a_sweep_was_judged_is_not_inferred_closed() -> None:
    noted = Noted(suspect("a", row_id="a" * 32, absent_us=1 - 3_600_000_000))
    assert inferred(noted).state is SliceState.DRAINED
    assert (noted.landings, noted.suspects) == ([], [])


def test_what_has_changed_since_it_was_missed_is_not_inferred_closed() -> None:
    noted = Noted(suspect("a", row_id="b" * 32, absent_us=9))
    assert inferred(noted).state is SliceState.DRAINED
    assert (noted.landings, noted.suspects) == ([], [])


def test_a_record_was_absent_from_the_first_page_on() -> None:
    noted = Noted()
    judging, verifying = judge(noted), replace(SLICE, origin=Origin.VERIFY)
    judging.note(verifying, 7)
    judging.note(replace(verifying, checkpoint=Checkpoint(after="next")), 9)
    judging.judged(verifying, replace(verifying, state=SliceState.DRAINED), set(), None)
    assert noted.absent_us == 7


def test_a_reading_of_what_changed_lately_says_nothing_about_what_it_does_not_show() -> None:
    noted = Noted()
    changes = replace(SLICE, origin=Origin.VERIFY, by="statusChangedAt")
    judging = judge(noted)
    judging.note(changes, 7)
    judging.judged(changes, replace(changes, state=SliceState.DRAINED), {"a"}, None)
    assert noted.absent_us == 0


def test_whatever_a_reading_shows_with_any_status_is_no_suspect_any_more() -> None:
    noted = Noted()
    for origin in Origin:
        judge(noted).shown(replace(SLICE, origin=origin), {origin})
    assert noted.seen == {"live", "backfill", "verify", "infer"}, "a sweep says itself what it did not show"
