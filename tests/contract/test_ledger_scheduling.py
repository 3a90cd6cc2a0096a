"""What a run of a schedule brings about is committed whole and once, on both databases."""

from datetime import timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import func, select

from bookkeeping.crashes import crash_everywhere
from bookkeeping.records import NOW, landing, source_row, taken
from ocelog.alert.alert import Alert, Telling, TimelineEntry
from ocelog.alert.deciding import Decision, GroupChange, LimitChange
from ocelog.alert.grouping import Group
from ocelog.alert.judged import Event, JudgedBy, Match, UnjudgedEvents
from ocelog.alert.notice import Happened
from ocelog.alert.ports import CommitConflict, CommitSuccess, MatchPart, Run, StaleCommit
from ocelog.detect.evaluate import Verdict
from ocelog.detect.rule import About, Place
from ocelog.errors import LostFenceError
from ocelog.ledger import tables
from ocelog.ledger.ledger import Ledger
from ocelog.model import RULE_MATCHES, NewPart, Severity
from ocelog.times import to_us

SOURCE = "acme"
NOW_US = to_us(NOW)
NAME = "query mine"
EVENT = Event(
    row_id="r1", log_type="", source_id=SOURCE, source_label="prod", event_us=1, version_us=NOW_US, observed_us=NOW_US
)
RULE = JudgedBy(about=About(id="rule", place=Place("rule.yml", 1)), revision="1")
DECISION = Decision(
    matches=[(Match(rule=RULE, event=EVENT, verdict=Verdict(matched=True)), "a1")],
    groups=[GroupChange(key="g1", rule_id="rule", revision=0, lasts_us=60, group=Group(window=1, opened_us=NOW_US))],
    limits=[LimitChange(rule_id="rule", hour_us=0, revision=0, alerts=1)],
    alerts=[Alert(id="a1", severity=Severity.HIGH, title="t", rule_id="rule", opened_us=NOW_US, updated_us=NOW_US)],
    timeline=[TimelineEntry(alert_id="a1", at_us=NOW_US, who="ocelog", what="opened")],
    tellings=[Telling(alert_id="a1", channel_id="c", happened=Happened.OPENED, due_us=NOW_US)],
    unjudged=[UnjudgedEvents(rule_id="other", reason="time", events=[EVENT])],
)
WRITTEN = (
    tables.match_keys,
    tables.alert_groups,
    tables.alert_limits,
    tables.alerts,
    tables.alert_events,
    tables.outbox,
    tables.unjudged,
)


@pytest.fixture(autouse=True)
def publishing_alone() -> None:
    """Let parts wait for each loop."""


@pytest.fixture
def begun(ledger: Ledger) -> Ledger:
    """Return a ledger with a source and a schedule that is due."""
    ledger.pulling.land(landing(taken(ledger)))
    assert ledger.judging.begin_schedules([NAME], 100) == {NAME: 100}
    return ledger


def run(ledger: Ledger, decision: Decision = DECISION, *, fired_us: int = 100, fires_us: int = 160) -> Run:
    # One that is held by nobody has still its fence: until another takes it.
    claim = ledger.pulling.take_claim("schedule", SOURCE, "me", lease=timedelta(0))
    path = f"landing/{RULE_MATCHES}/{claim.name}-{claim.fence}-{fires_us}.parquet"
    part = NewPart(table=RULE_MATCHES, path=path, rows=1, bytes=10, min_cursor_us=1, max_cursor_us=1)
    parts = [MatchPart(part=part, source_id=SOURCE, claim=claim)]
    return Run(schedule=NAME, fired_us=fired_us, fires_us=fires_us, decision=decision, parts=parts)


def counts(ledger: Ledger) -> list[int]:
    """Return how many rows each table has that a run writes, and how many parts there are."""
    with ledger._database.read() as tx:
        found = [tx.execute(select(func.count()).select_from(table)).scalar_one() for table in WRITTEN]
    return [*found, len(ledger.lake.parts(RULE_MATCHES))]


NOTHING, ALL = [0] * 8, [1] * 8


def fired(ledger: Ledger) -> int:
    return ledger.judging.begin_schedules([NAME], 0)[NAME]


def test_a_schedule_begins_once(begun: Ledger) -> None:
    assert begun.judging.begin_schedules([NAME, "query new"], 500) == {NAME: 100, "query new": 500}


def test_a_schedule_that_was_off_begins_anew_and_others_go_on(begun: Ledger) -> None:
    begun.judging.begin_schedules(["query on"], 200)
    begun.judging.end_schedules(but=["query on"])
    assert begun.judging.begin_schedules([NAME, "query on"], 500) == {NAME: 500, "query on": 200}


def test_it_is_known_which_schedule_one_had_at_each_run(begun: Ledger) -> None:
    def noted(schedule: str, now_us: int = 200) -> list[tuple[int, int, str]]:
        begun.judging.note_times({NAME: schedule, "query that never began": schedule}, now_us)
        assert begun.judging.times([NAME, "query that never began"]).keys() == {NAME}
        return begun.judging.times([NAME])[NAME]

    assert noted("rate 60") == noted("rate 60") == [(0, 0, "rate 60")]
    assert noted("@daily") == [(0, 0, "rate 60"), (100, 200, "@daily")]
    # Nothing ran by it.
    assert noted("@hourly") == [(0, 0, "rate 60"), (100, 200, "@hourly")]
    assert noted("rate 60") == [(0, 0, "rate 60")]
    begun.judging.commit_run(run(begun))
    assert noted("@daily") == [(0, 0, "rate 60"), (160, 200, "@daily")]
    # One that was off goes on as what it is now.
    begun.judging.end_schedules(but=())
    begun.judging.begin_schedules([NAME], 500)
    assert noted("@hourly", 700) == [(0, 0, "rate 60"), (160, 200, "@daily"), (500, 700, "@hourly")]


def test_all_of_a_run_is_committed_with_its_fire_time(begun: Ledger) -> None:
    assert isinstance(begun.judging.commit_run(run(begun)), CommitSuccess)
    assert (counts(begun), fired(begun)) == (ALL, 160)


def test_a_run_that_another_made_is_not_committed_again(begun: Ledger) -> None:
    ours = run(begun, Decision())
    assert isinstance(begun.judging.commit_run(run(begun)), CommitSuccess)
    assert isinstance(begun.judging.commit_run(replace(ours, parts=())), StaleCommit)
    assert (counts(begun), fired(begun)) == (ALL, 160)


@pytest.mark.parametrize("stale", ["matches", "groups", "limits", "alerts"])
def test_nothing_is_committed_on_what_has_changed(begun: Ledger, stale: str) -> None:
    assert isinstance(begun.judging.commit_run(run(begun)), CommitSuccess)
    again = Decision(**{stale: getattr(DECISION, stale)})
    assert isinstance(begun.judging.commit_run(run(begun, again, fired_us=160, fires_us=220)), CommitConflict)
    assert (counts(begun), fired(begun)) == (ALL, 160)


def test_a_part_of_a_claim_that_was_lost_is_not_landed(begun: Ledger) -> None:
    ours = run(begun)
    begun.pulling.take_claim("schedule", SOURCE, "another")
    with pytest.raises(LostFenceError):
        begun.judging.commit_run(ours)
    assert (counts(begun), fired(begun)) == (NOTHING, 100)


def test_what_is_purged_is_not_landed(begun: Ledger) -> None:
    ours = run(begun)
    begun.sources.purge(SOURCE)
    assert isinstance(begun.judging.commit_run(ours), StaleCommit)
    assert counts(begun) == NOTHING


@pytest.mark.parametrize("what", ["matches", "errors"])
def test_nothing_is_landed_or_told_of_a_source_that_was_removed_until_it_is_back(begun: Ledger, what: str) -> None:
    ours = run(begun)
    if what == "errors":
        ours = replace(ours, parts=(), told_of=[SOURCE])
    begun.sources.remove(SOURCE)
    assert isinstance(begun.judging.commit_run(ours), StaleCommit)
    assert (counts(begun), fired(begun)) == (NOTHING, 100)
    begun.sources.add(source_row(SOURCE))
    assert isinstance(begun.judging.commit_run(ours), CommitSuccess)
    assert fired(begun) == 160


def test_a_crash_leaves_all_or_nothing(begun: Ledger) -> None:
    ours = run(begun)
    assert crash_everywhere(begun, lambda: begun.judging.commit_run(ours)) > len(NOTHING)
    assert (counts(begun), fired(begun)) == (ALL, 160)
