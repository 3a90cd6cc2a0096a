"""What is judged again lands once and whole, on both databases, wherever the process that does it is gone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

import pyarrow as pa
import pytest
from msgspec.structs import replace
from sqlalchemy import func, select

from bookkeeping.crashes import Crash, crash_everywhere, crashing_at
from bookkeeping.records import NOW, TABLE, Clock, landing, taken
from ocelog.alert.deciding import Decision, News, Policy
from ocelog.alert.detecting import Detecting, JudgingStep
from ocelog.alert.judged import Event, JudgedBy, Judgement, Match, UnjudgedEvents
from ocelog.alert.notice import AlertStatus
from ocelog.alert.ports import CommitSuccess, Piece
from ocelog.app.loops.detecting import NoJury
from ocelog.app.rules.replaying import replay_claims
from ocelog.detect.evaluate import Verdict
from ocelog.detect.rule import About, Place
from ocelog.detect.unjudged import ReplayRange
from ocelog.errors import LostFenceError
from ocelog.ledger import tables
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.rows.claims import hold
from ocelog.model import DETECT, RULE_MATCHES, KnownVersions, NewPart, Part, Position, Severity
from ocelog.sources.wiz.streams import ROOTS
from ocelog.times import to_us

SOURCE, RECORD = "acme", "issue"
NOW_US = to_us(NOW)
KIND = ROOTS["Wiz.Issues"].kind
ROWS = pa.table({"p_row_id": ["r1"]})


def rule(**more: Any) -> JudgedBy:
    return JudgedBy(about=About(id="rule", place=Place("rule.yml", 1), **more), revision="1")


EVENT = Event(
    row_id="r1",
    log_type="Wiz.Issues",
    source_id=SOURCE,
    source_label="prod",
    event_us=5,
    version_us=5,
    observed_us=5,
    record_id=RECORD,
)


def said(by: JudgedBy) -> Judgement:
    match = Match(rule=by, event=EVENT, verdict=Verdict(matched=True, title="t", severity=Severity.HIGH, dedup="d"))
    return Judgement(events=[EVENT], rules={by.id: by}, matches=[match])


@dataclass(slots=True)
class Shelf:
    """The versions that the lake has, and the parts that were written to it. Fits MatchLake."""

    versions: list[str] = field(default_factory=lambda: ["r1"])
    files: set[str] = field(default_factory=set)

    def part_rows(self, _part: Part) -> pa.Table:
        return ROWS

    def load_ids(self, _table: str, _source_id: str, _ids: object) -> KnownVersions:
        times = range(5, 5 + len(self.versions))
        return KnownVersions(
            ids=[RECORD] * len(times),
            version_us=list(times),
            observed_us=list(times),
            row_ids=self.versions,
            versions=self.versions,
        )

    def write(self, table: str, name: str, _rows: pa.Table) -> NewPart:
        path = f"landing/{table}/{name}.parquet"
        self.files.add(path)
        return NewPart(table=table, path=path, rows=1, bytes=10, min_cursor_us=1, max_cursor_us=1)

    def discard(self, part: NewPart) -> None:
        self.files.remove(part.path)


@pytest.fixture
def landed(ledger: Ledger) -> Ledger:
    """Return a ledger with two parts, of which the loop has passed the first."""
    held = taken(ledger)
    for n in range(2):
        ledger.pulling.land(landing(held, loaded_through=n))
    moved(ledger, 1)
    return ledger


def moved(ledger: Ledger, to: int) -> None:
    """Let the loop pass a part."""
    piece = Piece(
        table=TABLE,
        since=Position(sequence=to - 1),
        to=Position(sequence=to),
        source_id=None,
        decision=Decision(),
    )
    assert isinstance(ledger.judging.commit(piece), CommitSuccess)


def replaying(ledger: Ledger, shelf: Shelf, again: News = News.HISTORY) -> Detecting:
    """Return a process that judges again."""
    return Detecting(
        ledger=ledger.judging,
        lake=shelf,
        jury=NoJury(),
        claims=replay_claims(ledger, "me"),
        match_rows=lambda *_, **__: ROWS,
        policy=lambda: Policy(route=lambda _alert: ["c"], again=again),
        now_us=lambda: NOW_US,
    )


def land(
    ledger: Ledger, shelf: Shelf, by: JudgedBy, again: News = News.HISTORY, landed: Any = ()
) -> JudgingStep | None:
    return replaying(ledger, shelf, again).land_again(TABLE, KIND, ROWS, said(by), landed=landed)


def counts(ledger: Ledger) -> Mapping[str, int]:
    written = (tables.match_keys, tables.alerts, tables.alert_events, tables.outbox)
    with ledger._database.read() as tx:
        found = {table.name: tx.execute(select(func.count()).select_from(table)).scalar_one() for table in written}
    return found | {"parts": len(ledger.lake.parts(RULE_MATCHES))}


@pytest.mark.slow
@pytest.mark.parametrize(("again", "told"), [(News.HISTORY, 0), (News.NEW, 1)])
def test_it_lands_once_wherever_the_process_is_gone(landed: Ledger, again: News, told: int) -> None:
    shelf, before = Shelf(), counts(landed)
    for statement in count(1):
        try:
            with crashing_at(landed, statement):
                land(landed, shelf, rule(), again)
        except Crash:
            assert counts(landed) == before, f"a crash at statement {statement} left something behind"
            continue
        break
    once = {"match_keys": 1, "alerts": 1, "alert_events": 1, "outbox": told, "parts": 1}
    assert statement > 10
    assert counts(landed) == once
    assert {part.path for part in landed.lake.parts(RULE_MATCHES)} <= shelf.files
    assert land(landed, shelf, rule(), again) is not None
    assert counts(landed) == once
    assert landed.lake.mark(DETECT, TABLE) == 1, "the loop's mark has moved"


def test_what_is_in_the_lake_alone_lands_no_more(landed: Ledger) -> None:
    by = rule()
    assert land(landed, Shelf(), by, landed={each.id for each in said(by).matches}) is not None
    assert counts(landed) == dict.fromkeys(counts(landed), 0)


class Overtaken(Shelf):
    """While the newest version is looked up, another lands, and the loop judges it."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def load_ids(self, table: str, source_id: str, ids: object) -> KnownVersions:
        found = super().load_ids(table, source_id, ids)
        if self.versions == ["r1"]:
            self.versions = ["r1", "r2"]
            moved(self._ledger, 2)
        return found


def test_an_alert_is_not_opened_behind_the_version_that_ends_it(landed: Ledger, other: Ledger) -> None:
    shelf = Overtaken(other)
    assert land(landed, shelf, rule(lives_with_record=True)) is not None
    with landed._database.read() as tx:
        (status,) = tx.execute(select(tables.alerts.c.status)).scalars()
    assert status == AlertStatus.RESOLVED.value
    assert len(shelf.files) == 1, "a part that did not land was left behind"


def test_a_claim_that_another_takes_is_taken_back(landed: Ledger, other: Ledger) -> None:
    claims, others = replay_claims(landed, "me"), replay_claims(other, "they")
    mine = claims.claim(SOURCE)
    others.claim(SOURCE)
    with pytest.raises(LostFenceError), landed._database.write() as tx:
        hold(tx, mine, NOW_US)
    claims.lost(SOURCE)
    assert claims.claim(SOURCE).fence == mine.fence + 2


def test_nothing_lands_of_a_source_that_is_gone(landed: Ledger) -> None:
    shelf = Shelf()
    detecting = replaying(landed, shelf)
    detecting.claims.claim(SOURCE)
    landed.sources.purge(SOURCE)
    assert detecting.land_again(TABLE, KIND, ROWS, said(rule()), landed=()) is None
    assert shelf.files == set()


def test_what_was_judged_again_is_unjudged_no_more(landed: Ledger, clock: Clock) -> None:
    def left(event_us: int, why: str, by: str = "rule") -> UnjudgedEvents:
        return UnjudgedEvents(rule_id=by, reason=why, events=[replace(EVENT, event_us=event_us)])

    early, late = [left(5, "a"), left(50, "b"), left(5, "c", "other")], [left(6, "d")]
    everything = ReplayRange(since_us=0, until_us=10, noted_before_us=0)
    assert landed.rules.settle_unjudged("rule", [TABLE], everything, {TABLE: early}) == 0
    clock.now += timedelta(minutes=1)
    began_us = to_us(clock.now)
    assert landed.rules.settle_unjudged("rule", [TABLE], everything, {TABLE: late}) == 0
    covered = replace(everything, noted_before_us=began_us)
    assert landed.rules.settle_unjudged("rule", ["other"], covered, {}) == 0
    assert landed.rules.settle_unjudged("rule", [TABLE], covered, {TABLE: [left(7, "e")]}) == 1
    assert [(each.rule_id, each.reason) for each in landed.rules.unjudged()] == [
        ("other", "c"),
        ("rule", "b"),
        ("rule", "d"),
        ("rule", "e"),
    ]


def test_what_a_removed_source_had_stays_unjudged(landed: Ledger) -> None:
    covered = ReplayRange(since_us=0, until_us=10, noted_before_us=NOW_US + 1)
    left = {TABLE: [UnjudgedEvents(rule_id="rule", reason="a", events=[replace(EVENT, event_us=5)])]}
    landed.rules.settle_unjudged("rule", [TABLE], covered, left)
    landed.sources.remove(SOURCE)
    assert landed.rules.settle_unjudged("rule", [TABLE], covered, {}) == 0
    assert [each.source_id for each in landed.rules.unjudged()] == [SOURCE]
    row = landed.sources.find(SOURCE)
    assert row is not None
    landed.sources.add(replace(row, removed_us=None))
    assert landed.rules.settle_unjudged("rule", [TABLE], covered, {}) == 1


def test_what_a_purged_source_had_is_not_noted_as_unjudged_once_a_replay_ends(landed: Ledger) -> None:
    everything = ReplayRange(since_us=0, until_us=10, noted_before_us=NOW_US + 1)
    events = [EVENT, replace(EVENT, source_id="")]
    left = {TABLE: [UnjudgedEvents(rule_id="rule", reason="a", events=events)]}
    landed.sources.purge(SOURCE)
    landed.rules.settle_unjudged("rule", [TABLE], everything, left)
    # A run of a schedule is of none.
    assert [(each.source_id, each.rows) for each in landed.rules.unjudged()] == [("", 1)]


def test_settling_happens_whole_or_not_at_all(landed: Ledger) -> None:
    everything = ReplayRange(since_us=0, until_us=10, noted_before_us=NOW_US + 1)
    left = {TABLE: [UnjudgedEvents(rule_id="rule", reason="a", events=[EVENT])]}
    landed.rules.settle_unjudged("rule", [TABLE], everything, left)
    again = {TABLE: [UnjudgedEvents(rule_id="rule", reason="b", events=[EVENT])]}
    crash_everywhere(landed, lambda: landed.rules.settle_unjudged("rule", [TABLE], everything, again))
    assert [each.reason for each in landed.rules.unjudged()] == ["b"]
