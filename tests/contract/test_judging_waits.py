"""Who judges, and for how long what lands waits for that: on both databases."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pyarrow as pa
import pytest
from sqlalchemy import select

from bookkeeping.records import TABLE, Clock, landing, taken
from ocelog.alert.deciding import Policy
from ocelog.alert.detecting import Detecting
from ocelog.alert.judged import Event, JudgedBy, Judgement
from ocelog.alert.ports import StaleCommit
from ocelog.app.claims import HomeClaims
from ocelog.detect.rule import About, Place
from ocelog.errors import LostFenceError
from ocelog.ledger import tables
from ocelog.ledger.ledger import Ledger
from ocelog.model import DETECT, KnownVersions, NewPart, Part
from ocelog.sources.wiz.streams import ROOTS
from ocelog.times import to_us

SOURCE = "acme"
KIND = ROOTS["Wiz.Issues"].kind
RULE = JudgedBy(about=About(id="rule", place=Place("rule.yml", 1)), revision="1")


class OneRule:
    """A rule that matches nothing. Fits Jury."""

    asked = committeds = 0

    def rules(self, _log_type: str) -> Mapping[str, JudgedBy]:
        return {RULE.id: RULE}

    def passed(self, _log_type: str) -> Mapping[str, str]:
        return {}

    def judge(self, _rows: pa.Table, _log_type: str, events: Sequence[Event]) -> Judgement:
        self.asked += 1
        return Judgement(events=events, rules={RULE.id: RULE})

    def committed(self, _said: Judgement) -> None:
        self.committeds += 1


class Rows:
    """Parts of one row each. Fits MatchLake."""

    def part_rows(self, part: Part) -> pa.Table:
        instant = pa.array([5], pa.timestamp("us", "UTC"))
        return pa.table(
            {
                "p_row_id": [f"r{part.sequence}"],
                "p_source_id": [SOURCE],
                "p_event_time": instant,
                "p_observed_at": instant,
                "id": ["i"],
            }
        )

    def load_ids(self, _table: str, _source_id: str, _ids: object) -> KnownVersions:
        raise AssertionError

    def write(self, _table: str, _name: str, _rows: pa.Table) -> NewPart:
        raise AssertionError

    def discard(self, _part: NewPart) -> None:
        raise AssertionError


@pytest.fixture(autouse=True)
def publishing_alone() -> None:
    """Let parts wait for each loop."""


@pytest.fixture
def landed(ledger: Ledger) -> Ledger:
    """Return a ledger with three parts of 100 bytes that nobody has judged."""
    held = taken(ledger)
    for n in range(3):
        ledger.pulling.land(landing(held, loaded_through=n))
    return ledger


def process(ledger: Ledger, clock: Clock, jury: OneRule, holder: str = "one") -> Detecting:
    return Detecting(
        ledger=ledger.judging,
        lake=Rows(),
        jury=jury,
        claims=HomeClaims(ledger, holder, DETECT),
        match_rows=lambda *_, **__: pa.table({}),
        policy=lambda: Policy(route=lambda _alert: []),
        now_us=lambda: to_us(clock()),
        piece_rows=1,
    )


def passed(ledger: Ledger) -> list[str]:
    with ledger._database.read() as tx:
        return list(tx.execute(select(tables.unjudged.c.reason).order_by(tables.unjudged.c.id)).scalars())


@pytest.mark.slow
def test_who_has_no_claim_asks_no_rule(landed: Ledger, other: Ledger, clock: Clock) -> None:
    first, second = OneRule(), OneRule()
    judging = process(landed, clock, first)
    judging.step(TABLE, KIND)
    with pytest.raises(LostFenceError):
        process(other, clock, second, "two").step(TABLE, KIND)
    assert (first.asked, second.asked) == (1, 0)
    # Who judges keeps the claim, though nothing matches.
    clock.now += timedelta(minutes=4)
    judging.step(TABLE, KIND)
    clock.now += timedelta(minutes=4)
    with pytest.raises(LostFenceError):
        process(other, clock, second, "two").step(TABLE, KIND)
    clock.now += timedelta(hours=1)
    process(other, clock, second, "two").step(TABLE, KIND)
    assert (first.asked, second.asked) == (2, 1)


def test_the_rules_hear_of_what_has_been_committed_and_of_nothing_else(
    landed: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    jury = OneRule()
    judging = process(landed, clock, jury)
    judging.step(TABLE, KIND)
    assert (jury.asked, jury.committeds) == (1, 1)
    monkeypatch.setattr(judging.ledger, "commit", lambda _piece: StaleCommit())
    judging.step(TABLE, KIND)
    assert (jury.asked, jury.committeds) == (2, 1)


def test_what_cannot_be_judged_for_a_week_is_passed_and_noted(landed: Ledger, clock: Clock) -> None:
    judging = process(landed, clock, OneRule())
    clock.now += timedelta(days=7)
    assert not judging.give_up_old(TABLE, "no process").more
    clock.now += timedelta(seconds=1)
    assert judging.give_up_old(TABLE, "no process").more
    assert not judging.give_up_old(TABLE, "no process").more
    assert landed.lake.mark(DETECT, TABLE) == 3
    assert len(passed(landed)) == 3


def test_what_waits_holds_no_more_than_it_may_the_oldest_goes_first(landed: Ledger, clock: Clock) -> None:
    judging = process(landed, clock, OneRule())
    assert landed.judging.held_bytes() == {TABLE: 300}
    assert not judging.make_room(TABLE, 300).more
    assert judging.make_room(TABLE, 299).more
    assert landed.judging.held_bytes() == {TABLE: 200}
    assert landed.lake.mark(DETECT, TABLE) == 1
    assert judging.make_room(TABLE, 0).more
    assert not judging.make_room(TABLE, 0).more
    assert landed.judging.held_bytes() == {}
    assert all("a fifth of the free disk" in each for each in passed(landed))
