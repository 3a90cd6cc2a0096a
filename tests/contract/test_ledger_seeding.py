"""What is so already when a rule is turned on is known, wherever a process is gone: on both databases."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pyarrow as pa
import pytest
from msgspec.structs import replace
from sqlalchemy import delete, func, insert, select

from bookkeeping.crashes import Crash, crashing_at
from bookkeeping.records import TABLE, Clock, landing, slice_of, source_row, taken
from ocelog.alert import changes
from ocelog.alert.alert import RULE_OFF, Alert
from ocelog.alert.deciding import Decision, Policy
from ocelog.alert.delivery.delivering import DeliverySuccess, OutgoingMessage, notice_of
from ocelog.alert.delivery.routing import ChannelRow
from ocelog.alert.detecting import SEED_TRIES, Detecting
from ocelog.alert.ids import record_alert_id
from ocelog.alert.judged import Event, JudgedBy, Judgement, Match, RuleError
from ocelog.alert.listing import AlertFilter
from ocelog.alert.notice import AlertStatus, Happened
from ocelog.alert.ports import Outcome, Piece, StaleCommit
from ocelog.alert.seed import Seed
from ocelog.app.claims import HomeClaims
from ocelog.app.rules.replaying import replay_claims
from ocelog.detect.evaluate import Verdict
from ocelog.detect.rule import About, Place
from ocelog.errors import LakeDamagedError, LakeUnavailableError, LostFenceError
from ocelog.ledger import tables
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.rows import seeds
from ocelog.ledger.rows.alerts import of_ids
from ocelog.model import DETECT, Kind, KnownVersions, NewPart, Part, Position, Severity
from ocelog.sources.wiz.streams import ROOTS
from ocelog.times import to_us

SOURCE, LATE, EARLY = "acme", "late", "early"
KIND = ROOTS["Wiz.Issues"].kind
FOLDER = "folder"


def rule(name: str, *, lives: bool = True) -> JudgedBy:
    about = About(id=name, place=Place("rule.yml", 1), lives_with_record=lives)
    return JudgedBy(about=about, revision="1", folder_id=FOLDER)


def table_of(records: Sequence[str], version: int, source: str = SOURCE) -> pa.Table:
    instant = pa.array([version] * len(records), pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "p_row_id": [f"{record}/{version}" for record in records],
            "p_source_id": [source] * len(records),
            "p_event_time": instant,
            "p_version_time": instant,
            "p_observed_at": instant,
            "id": list(records),
        }
    )


@dataclass(slots=True)
class House:
    """Rules that match all, over a lake of a few records. Fits Jury, MatchLake and Seeder."""

    on: tuple[JudgedBy, ...]
    there: pa.Table = field(default_factory=lambda: table_of(["a", "b", "c", "d", "e"], 1))
    severity: Severity = Severity.HIGH
    broken: frozenset[str] = frozenset()
    """Rules of which nothing can be judged while they are seeded."""
    fails: frozenset[str] = frozenset()
    asked: list[tuple[str, ...]] = field(default_factory=list)
    pages: int = 0
    versions: int = 3
    """That there are of the record that lands."""

    def rules(self, _log_type: str) -> Mapping[str, JudgedBy]:
        return {each.id: each for each in self.on}

    def passed(self, _log_type: str) -> Mapping[str, str]:
        return {}

    def committed(self, _said: Judgement) -> None:
        """Nothing was put off until then."""

    def judge(self, *asked: Any) -> Judgement:
        """As a jury, and as a seeder with the names of rules before the rest."""
        if len(asked) == 3:
            return self._said(self.on, asked[2])
        rules, _rows, _log_type, events = asked
        self.asked.append(tuple(rules))
        if self.broken.intersection(rules):
            raise LakeDamagedError("a file is damaged", table=TABLE, todo="")
        return self._said([each for each in self.on if each.id in rules], events)

    def _said(self, rules: Collection[JudgedBy], events: Sequence[Event]) -> Judgement:
        verdict = Verdict(matched=True, title="t", severity=self.severity, dedup="d")
        return Judgement(
            events=events,
            rules={each.id: each for each in rules},
            matches=[
                Match(rule=by, event=each, verdict=verdict)
                for each in events
                for by in rules
                if by.id not in self.fails
            ],
            errors=[
                RuleError(rule=by, type="KeyError", message="x", events=events) for by in rules if by.id in self.fails
            ],
        )

    def page(self, _table: str, _kind: Kind, after: tuple[str, str] | None, _mark: Position) -> tuple[pa.Table, bool]:
        self.pages += 1
        keys = list(zip(self.there["p_source_id"].to_pylist(), self.there["id"].to_pylist(), strict=True))
        first = 0 if after is None else sum(key <= after for key in keys)
        return self.there.slice(first, 3), first + 3 > len(keys)

    def landed(self, _matches: Collection[str]) -> Collection[str]:
        return ()

    def part_rows(self, part: Part) -> pa.Table:
        return table_of(["a"], part.sequence)

    def load_ids(self, _table: str, _source_id: str, _ids: object) -> KnownVersions:
        times = list(range(1, self.versions + 1))
        rows = [f"a/{at}" for at in times]
        return KnownVersions(ids=["a"] * len(rows), version_us=times, observed_us=times, row_ids=rows, versions=rows)

    def write(self, table: str, name: str, rows: pa.Table) -> NewPart:
        path = f"landing/{table}/{name}.parquet"
        return NewPart(table=table, path=path, rows=len(rows), bytes=10, min_cursor_us=1, max_cursor_us=1)

    def discard(self, part: NewPart) -> None:
        """Nothing was written."""


def judging(ledger: Ledger, house: House, holder: str = "me") -> Detecting:
    return Detecting(
        ledger=ledger.judging,
        lake=house,
        jury=house,
        claims=replay_claims(ledger, holder),
        match_rows=lambda events, at, told, *, judged_us: events.take(at),  # noqa: ARG005 - a MatchRows
        policy=lambda: Policy(route=lambda _alert: ["c"]),
        now_us=lambda: to_us(Clock()()),
        seeder=house,
        piece_rows=2,
    )


@pytest.fixture
def passed(ledger: Ledger) -> Ledger:
    """Return a ledger with three parts, of which a rule that was on early has judged two."""
    held = taken(ledger)
    for n in range(3):
        ledger.pulling.land(landing(held, loaded_through=n))
    loop = judging(ledger, House(on=(rule(EARLY),)), "early")
    for _ in range(2):
        loop.step(TABLE, KIND)
    assert ledger.judging.waiting(TABLE).since == Position(sequence=2)
    return ledger


def to_the_end(loop: Detecting) -> None:
    """Judge until nothing is left. Raises where that never comes."""
    next(each for each in (loop.step(TABLE, KIND) for _ in range(30)) if not each.more)


def alerts(ledger: Ledger, name: str) -> dict[str, Alert]:
    """Return the alerts of a rule, by record."""
    wanted = {record_alert_id(name, SOURCE, record): record for record in "abcde"}
    with ledger._database.read() as tx:
        found = of_ids(tx, wanted)
    return {record: found[each] for each, record in wanted.items() if each in found}


def written(ledger: Ledger) -> dict[str, int]:
    kept = (tables.match_keys, tables.alerts, tables.outbox, tables.unjudged)
    with ledger._database.read() as tx:
        return {each.name: tx.execute(select(func.count()).select_from(each)).scalar_one() for each in kept}


def marks(ledger: Ledger) -> dict[str, bool]:
    """Return of which rules it is written down whether they know all."""
    with ledger._database.read() as tx:
        rows = tx.execute(select(tables.rule_seeds).order_by(tables.rule_seeds.c.rule_id))
        return {row.rule_id: row.seeded_us is not None for row in rows}


def told_now(ledger: Ledger) -> list[tuple[str, Happened]]:
    """Deliver what waits for the channel; return of which alert each message is, and what it says."""
    found, claim = list[tuple[str, Happened]](), ledger.delivery.take("c", "home/one")
    assert claim is not None
    while isinstance(handed := ledger.delivery.hand(claim, one_by_one=True), OutgoingMessage):
        notice = notice_of(handed, "key", to_us(Clock()()))
        found.append((notice.alert_id, notice.happened))
        ledger.delivery.settle(claim, handed, DeliverySuccess())
    ledger.delivery.release(claim)
    return found


def test_a_table_of_which_nothing_has_passed_has_nothing_to_know(ledger: Ledger) -> None:
    ledger.pulling.land(landing(taken(ledger), loaded_through=0))
    house = House(on=(rule(EARLY), rule("window", lives=False)), versions=1)
    to_the_end(judging(ledger, house))
    assert (house.pages, marks(ledger)) == (0, {EARLY: True})
    assert alerts(ledger, EARLY)["a"].to_be_told


def test_what_is_so_already_is_known_before_the_next_piece_is_judged(passed: Ledger) -> None:
    before = written(passed)
    house = House(on=(rule(EARLY), rule(LATE)))
    to_the_end(judging(passed, house))
    found = alerts(passed, LATE)
    assert "".join(found) == "abcde"
    assert {(each.known, each.to_be_told, each.status) for each in found.values()} == {(True, False, AlertStatus.OPEN)}
    assert found["a"].matches == 2, "what landed then was not judged by it"
    assert set(house.asked) == {(LATE,)}, "a rule that had judged them was asked again"
    after = written(passed)
    assert after["outbox"] == before["outbox"] + 1, "people heard of more than what the other rule matched then"
    assert after["alerts"] == before["alerts"] + 5
    assert marks(passed) == {EARLY: True, LATE: True}
    house.asked.clear()
    to_the_end(judging(passed, house))
    assert house.asked == []


def test_people_hear_once_it_is_worse(passed: Ledger) -> None:
    house = House(on=(rule(LATE),))
    loop = judging(passed, house)
    for _ in range(3):
        assert not any(each.to_be_told for each in alerts(passed, LATE).values())
        loop.step(TABLE, KIND)
        house.severity = Severity.HIGH if len(alerts(passed, LATE)) < 5 else Severity.CRITICAL
    assert alerts(passed, LATE)["a"].to_be_told
    assert not any(each.to_be_told for record, each in alerts(passed, LATE).items() if record != "a")


def test_wherever_the_process_is_gone_nothing_is_doubled_or_told(passed: Ledger) -> None:
    before = written(passed)
    for statement in count(1):
        try:
            with crashing_at(passed, statement):
                to_the_end(judging(passed, House(on=(rule(LATE),))))
        except Crash:
            assert written(passed)["outbox"] == before["outbox"], f"people heard of it after a crash at {statement}"
            continue
        break
    assert statement > 10
    found = alerts(passed, LATE)
    assert [each.matches for each in found.values()] == [2, 1, 1, 1, 1]
    assert not any(each.to_be_told for each in found.values())
    assert written(passed)["match_keys"] == before["match_keys"] + 6
    assert written(passed)["outbox"] == before["outbox"]


def test_what_was_known_to_a_process_that_is_gone_is_not_judged_again(passed: Ledger) -> None:
    judging(passed, House(on=(rule(LATE),))).step(TABLE, KIND)
    assert marks(passed)[LATE] is False
    house = House(on=(rule(LATE),))
    to_the_end(judging(passed, house))
    assert house.pages == 1


def test_a_rule_that_is_turned_on_again_knows_what_is_so_by_then(passed: Ledger) -> None:
    to_the_end(judging(passed, House(on=(rule(LATE),))))
    before = written(passed)
    passed.rules.forget_seeds([(EARLY, FOLDER)])
    assert marks(passed) == {EARLY: True}
    passed.alerts.end_rules([LATE], "it was disabled")
    passed.pulling.land(landing(taken(passed), loaded_through=3))
    # The same versions as before: what it matched then has landed.
    to_the_end(judging(passed, House(on=(rule(LATE),))))
    found = alerts(passed, LATE)
    assert {each.status for each in found.values()} == {AlertStatus.OPEN}
    assert [each.matches for each in found.values()] == [3, 1, 1, 1, 1]
    assert written(passed)["outbox"] == before["outbox"]


@pytest.mark.parametrize("severity", [Severity.HIGH, Severity.CRITICAL])
def test_what_people_were_told_of_is_so_again_once_its_rule_is_back(passed: Ledger, severity: Severity) -> None:
    to_the_end(judging(passed, House(on=(rule(EARLY),))))
    before = alerts(passed, EARLY)["a"]
    assert (before.to_be_told, before.known) == (True, False)
    passed.alerts.change([before.id], changes.assign("ann", who="ann"))
    passed.rules.forget_seeds(())
    passed.alerts.end_rules([EARLY], "it was disabled")
    assert alerts(passed, EARLY)["a"].close_reason == RULE_OFF
    told, shown = written(passed)["outbox"], passed.alerts.open()
    to_the_end(judging(passed, House(on=(rule(EARLY),), there=table_of(["a"], 3), severity=severity)))
    after = alerts(passed, EARLY)["a"]
    assert (after.status, after.to_be_told, after.known, after.close_reason) == (AlertStatus.OPEN, True, False, None)
    assert (after.assignee, after.told_severity) == ("ann", severity)
    assert after.acknowledged_us is not None
    assert written(passed)["outbox"] == told + 1, "whoever was told of it takes it for over"
    assert sum(passed.alerts.open().told.values()) == sum(shown.told.values()) + 1


@pytest.mark.parametrize("delivered", [True, False])
def test_channels_hear_that_what_was_over_with_its_rule_is_not_over(passed: Ledger, delivered: bool) -> None:
    passed.channels.add(ChannelRow(id="c", name="c", kind="webhook", added_us=1))
    to_the_end(judging(passed, House(on=(rule(EARLY),))))
    name = alerts(passed, EARLY)["a"].id
    told = told_now(passed) if delivered else []
    passed.rules.forget_seeds(())
    passed.alerts.end_rules([EARLY], "it was disabled")
    told += told_now(passed) if delivered else []
    to_the_end(judging(passed, House(on=(rule(EARLY),), there=table_of(["a"], 3))))
    told += told_now(passed)
    assert [happened for about, happened in told if about == name] == (
        [Happened.OPENED, Happened.RESOLVED, Happened.REOPENED] if delivered else [Happened.OPENED]
    )


def test_channels_hear_nothing_that_is_over_when_it_is_not(passed: Ledger) -> None:
    passed.channels.add(ChannelRow(id="c", name="c", kind="webhook", added_us=1))
    to_the_end(judging(passed, House(on=(rule(EARLY),))))
    name = alerts(passed, EARLY)["a"].id
    assert (name, Happened.OPENED) in told_now(passed)
    passed.rules.forget_seeds(())
    passed.alerts.end_rules([EARLY], "it was disabled")
    to_the_end(judging(passed, House(on=(rule(EARLY),), there=table_of(["a"], 3))))
    assert [happened for about, happened in told_now(passed) if about == name] == [Happened.REOPENED]


@pytest.mark.parametrize("status", [AlertStatus.OPEN, AlertStatus.TRIAGED])
def test_who_was_looking_at_an_alert_still_is_once_its_rule_is_back(passed: Ledger, status: AlertStatus) -> None:
    to_the_end(judging(passed, House(on=(rule(EARLY),))))
    name = alerts(passed, EARLY)["a"].id
    passed.alerts.change([name], changes.triage(who="ann"))
    if status is AlertStatus.OPEN:
        passed.alerts.change([name], changes.close(changes.CloseReason.BENIGN, who="ann"))
        passed.alerts.change([name], changes.reopen(who="ann"))
    passed.rules.forget_seeds(())
    passed.alerts.end_rules([EARLY], "it was disabled")
    to_the_end(judging(passed, House(on=(rule(EARLY),), there=table_of(["a"], 3))))
    assert alerts(passed, EARLY)["a"].status is status


def test_what_was_resolved_before_its_rule_was_off_comes_back_in_silence(passed: Ledger) -> None:
    to_the_end(judging(passed, House(on=(rule(EARLY),))))
    before = alerts(passed, EARLY)["a"]
    passed.alerts.change([before.id], changes.resolve("its record does not match any more"))
    passed.rules.forget_seeds(())
    passed.alerts.end_rules([EARLY], "it was disabled")
    to_the_end(judging(passed, House(on=(rule(EARLY),), there=table_of(["a"], 3))))
    after = alerts(passed, EARLY)["a"]
    assert (after.status, after.to_be_told, after.known) == (AlertStatus.OPEN, False, True)


def test_what_rules_fail_on_is_told_and_listed_as_elsewhere(passed: Ledger) -> None:
    house = House(on=(rule(LATE),), fails=frozenset({LATE}))
    loop, before = judging(passed, house), written(passed)
    to_the_end(loop)
    after = written(passed)
    assert after["outbox"] == before["outbox"] + 1, "the error was not told once"
    (left,) = passed.rules.unjudged(LATE)
    assert left.rows == 6
    assert marks(passed)[LATE]


def test_a_rule_whose_records_cannot_be_judged_holds_up_no_other_for_ever(passed: Ledger) -> None:
    house = House(on=(rule("broken"), rule(LATE)), broken=frozenset({"broken"}))
    for _ in range(SEED_TRIES):
        with pytest.raises(LakeDamagedError):
            to_the_end(judging(passed, house))
    to_the_end(judging(passed, house))
    assert marks(passed) == {"broken": True, EARLY: True, LATE: True}
    assert "".join(alerts(passed, LATE)) == "abcde"
    (left,) = passed.rules.unjudged("broken")
    assert "a file is damaged" in left.reason
    assert passed.judging.due() == set()


def test_a_table_is_due_while_a_rule_does_not_know_what_it_has(passed: Ledger) -> None:
    to_the_end(judging(passed, House(on=(rule(EARLY),))))
    assert passed.judging.due({TABLE: {EARLY: FOLDER}}) == set()
    rules = {TABLE: {EARLY: FOLDER, LATE: FOLDER}}
    assert passed.judging.due(rules) == {TABLE}
    to_the_end(judging(passed, House(on=(rule(EARLY), rule(LATE)))))
    assert passed.judging.due(rules) == set()


def test_a_table_of_which_nothing_has_passed_is_not_due_for_what_it_has(ledger: Ledger) -> None:
    assert ledger.judging.due({TABLE: {EARLY: FOLDER}}) == set()


def test_a_source_that_was_removed_opens_no_alert(passed: Ledger) -> None:
    to_the_end(judging(passed, House(on=(rule(EARLY),))))
    passed.pulling.land(landing(taken(passed), loaded_through=3))
    passed.sources.remove(SOURCE)
    before = written(passed)
    to_the_end(judging(passed, House(on=(rule(EARLY),), versions=4)))
    assert alerts(passed, EARLY)["a"].status is AlertStatus.RESOLVED, "nothing would end it"
    assert written(passed)["outbox"] == before["outbox"], "people heard of a source that is gone"
    assert passed.judging.due() == set()
    (left,) = passed.rules.unjudged()
    assert (left.source_id, left.reason) == (SOURCE, "its source was removed")


def test_what_a_purge_that_was_killed_has_deleted_holds_up_no_other_source(passed: Ledger) -> None:
    to_the_end(judging(passed, House(on=(rule(EARLY),))))
    passed.pulling.land(landing(taken(passed), loaded_through=3))
    passed.pulling.land(landing(taken(passed, slice_of("beta")), loaded_through=4))

    class Purged(House):
        def part_rows(self, part: Part) -> pa.Table:
            if part.source_id == SOURCE:
                raise LakeDamagedError("a file is gone", table=TABLE, todo="")
            return table_of(["a"], part.sequence, "beta")

    house = Purged(on=(rule(EARLY),), versions=5)
    with pytest.raises(LakeDamagedError):
        to_the_end(judging(passed, house))
    passed.sources.remove(SOURCE)
    to_the_end(judging(passed, house))
    assert passed.judging.due() == set()
    (left,) = passed.rules.unjudged()
    assert (left.source_id, left.rows) == (SOURCE, 1)
    assert record_alert_id(EARLY, "beta", "a") in {each.id for each in passed.alerts.listed(AlertFilter(), limit=99)}


def test_what_waits_is_judged_though_its_source_is_added_again_as_it_is_passed(passed: Ledger) -> None:
    to_the_end(judging(passed, House(on=(rule(EARLY),))))
    passed.pulling.land(landing(taken(passed), loaded_through=3))
    passed.sources.remove(SOURCE)
    loop = judging(passed, House(on=(rule(EARLY),), versions=4))

    class Adding:
        def commit(self, piece: Piece) -> Outcome:
            passed.sources.add(source_row(SOURCE))
            loop.ledger = passed.judging
            return passed.judging.commit(piece)

        def __getattr__(self, name: str) -> Any:
            return getattr(passed.judging, name)

    loop.ledger = Adding()
    to_the_end(loop)
    assert passed.rules.unjudged() == []
    assert passed.judging.due() == set()
    assert alerts(passed, EARLY)["a"].status is AlertStatus.OPEN


def test_what_cannot_be_read_is_judged_later_if_its_source_is_added_again_as_it_is_passed(passed: Ledger) -> None:
    to_the_end(judging(passed, House(on=(rule(EARLY),))))
    passed.pulling.land(landing(taken(passed), loaded_through=3))
    passed.sources.remove(SOURCE)

    class Away(House):
        def part_rows(self, part: Part) -> pa.Table:
            if passed.sources.listed():
                return super().part_rows(part)
            passed.sources.add(source_row(SOURCE))
            raise LakeUnavailableError("the disk is away")

    to_the_end(judging(passed, Away(on=(rule(EARLY),), versions=4)))
    assert passed.rules.unjudged() == []
    assert passed.judging.due() == set()
    assert alerts(passed, EARLY)["a"].status is AlertStatus.OPEN


def test_a_source_that_is_removed_amid_seeding_opens_no_alert(passed: Ledger) -> None:
    class Removing(House):
        def judge(self, *asked: Any) -> Judgement:
            passed.sources.remove(SOURCE)
            return super().judge(*asked)

    judging(passed, Removing(on=(rule(LATE),))).step(TABLE, KIND)
    assert alerts(passed, LATE) == {}


def test_a_source_that_is_purged_amid_seeding_holds_up_nothing(passed: Ledger) -> None:
    """It is of the page that was read, and what comes before it takes long to judge."""
    passed.sources.add(source_row("beta"))
    there = pa.concat_tables([table_of(["a"], 1), table_of(["b"], 1, "beta")])

    class Purging(House):
        def judge(self, *asked: Any) -> Judgement:
            if passed.sources.find("beta") is not None:
                passed.sources.purge("beta")
                self.there = table_of(["a"], 1)
            return super().judge(*asked)

    to_the_end(judging(passed, Purging(on=(rule(LATE),), there=there)))
    assert marks(passed)[LATE]


@pytest.mark.parametrize("told", [True, False])
def test_alerts_come_back_with_a_source_that_is_added_again(passed: Ledger, told: bool) -> None:
    to_the_end(judging(passed, House(on=(rule(EARLY),) if told else (rule(EARLY), rule(LATE)))))
    name = EARLY if told else LATE
    row = passed.sources.find(SOURCE)
    assert row is not None
    passed.sources.remove(SOURCE)
    assert {each.status for each in alerts(passed, name).values()} == {AlertStatus.RESOLVED}
    before = written(passed)
    passed.sources.add(row)
    assert passed.judging.due({TABLE: {EARLY: FOLDER}}) == {TABLE}
    to_the_end(judging(passed, House(on=(rule(EARLY), rule(LATE)), there=table_of(["a"], 3))))
    after = alerts(passed, name)["a"]
    assert (after.status, after.close_reason, after.to_be_told) == (AlertStatus.OPEN, None, told)
    assert written(passed)["outbox"] == before["outbox"] + 1, "whoever was told of it takes it for over"


def test_who_may_not_judge_what_is_there_does_not_read_it(passed: Ledger, other: Ledger) -> None:
    def of(ledger: Ledger, house: House, holder: str) -> Detecting:
        loop = judging(ledger, house)
        loop.claims = HomeClaims(ledger, holder, DETECT)
        return loop

    to_the_end(judging(passed, House(on=(rule(EARLY),))))
    two = pa.concat_tables([table_of(["a", "b", "c", "d"], 1), table_of(["a", "b", "c", "d"], 1, "beta")])
    passed.sources.add(source_row("beta"))
    rules = (rule(EARLY), rule(LATE))
    ours, theirs = House(on=rules, there=two), House(on=rules, there=two)
    first, second = of(passed, ours, "one"), of(other, theirs, "two")
    first.step(TABLE, KIND)
    for _ in range(3):
        with pytest.raises(LostFenceError):
            second.step(TABLE, KIND)
    assert (ours.pages, theirs.pages) == (1, 0)
    # It has the claim of what comes next, and reads that.
    second.claims.claim("beta")
    with pytest.raises(LostFenceError):
        to_the_end(first)
    second.step(TABLE, KIND)
    assert theirs.pages == 1
    for _ in range(3):
        with pytest.raises(LostFenceError):
            first.step(TABLE, KIND)
    assert ours.pages == 2
    to_the_end(second)
    assert set(alerts(passed, LATE)) == {"a", "b", "c", "d"}
    assert passed.judging.unseeded(TABLE, {LATE: FOLDER}) == []


def test_who_is_behind_another_that_seeds_commits_nothing(passed: Ledger) -> None:
    (seed,) = passed.judging.unseeded(TABLE, {LATE: FOLDER})
    mark = passed.judging.waiting(TABLE).since
    piece = Piece(table=TABLE, since=mark, to=mark, source_id=None, decision=Decision())
    ahead = replace(seed, after=(SOURCE, "c"))
    passed.judging.commit(replace(piece, seeds=[(seed, ahead)]))
    assert isinstance(passed.judging.commit(replace(piece, seeds=[(seed, replace(seed, done=True))])), StaleCommit)
    assert passed.judging.unseeded(TABLE, {LATE: FOLDER}) == [ahead]
    passed.sources.purge(SOURCE)
    assert passed.judging.unseeded(TABLE, {LATE: FOLDER}) == [seed]


def test_rules_of_before_an_upgrade_know_what_they_judged(passed: Ledger) -> None:
    with passed._database.write() as tx:
        tx.execute(delete(tables.rule_seeds))
        star = {"folder_id": "", "rule_id": "*", "tries": 0, "seeded_us": to_us(Clock()()) - 1}
        tx.execute(insert(tables.rule_seeds).values(table_name=TABLE, **star))
    passed.rules.enable([LATE], enabled=True)
    both = {EARLY: FOLDER, LATE: FOLDER}
    for _ in range(2):
        assert [each.rule_id for each in passed.judging.unseeded(TABLE, both)] == [LATE], "turned on since then"
    assert marks(passed) == {EARLY: True}
    passed.rules.forget_seeds([(EARLY, "moved")])
    assert marks(passed) == {}


def test_any_number_of_rules_is_seeded_together(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is noted of each is noted by itself.
    monkeypatch.setattr(seeds, "_move", lambda *_: True)
    begun = [Seed(rule_id=f"r{number}", folder_id=FOLDER) for number in range(40_000)]
    with ledger._database.write() as tx:
        assert seeds.move(tx, TABLE, [(each, replace(each, done=True)) for each in begun], 1)
