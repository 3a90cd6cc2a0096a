"""What judging brings about is committed whole and once, on both databases."""

from datetime import timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import func, select

from bookkeeping.crashes import crash_everywhere
from bookkeeping.records import NOW, TABLE, landing, source_row, taken
from ocelog.alert.alert import Alert, Telling, TimelineEntry
from ocelog.alert.deciding import Decision, DecisionQuery, GroupChange, LimitChange, Policy, decide, decision_query
from ocelog.alert.grouping import Group
from ocelog.alert.judged import Event, JudgedBy, Judgement, Match, UnjudgedEvents
from ocelog.alert.notice import Happened
from ocelog.alert.ports import CommitConflict, CommitSuccess, Piece, StaleCommit
from ocelog.detect.evaluate import Verdict
from ocelog.detect.rule import About, Place
from ocelog.ledger import tables
from ocelog.ledger.ledger import Ledger
from ocelog.model import DETECT, RULE_MATCHES, GivenUp, NewPart, Position, Severity
from ocelog.times import to_us

SOURCE = "acme"
NOW_US = to_us(NOW)
EVENT = Event(
    row_id="r1", log_type="Wiz.Issues", source_id=SOURCE, source_label="prod", event_us=1, version_us=1, observed_us=1
)
RULE = JudgedBy(about=About(id="rule", place=Place("rule.yml", 1)), revision="1")
MATCH = Match(rule=RULE, event=EVENT, verdict=Verdict(matched=True))
ALERT = Alert(id="a1", severity=Severity.HIGH, title="t", rule_id="rule", opened_us=NOW_US, updated_us=NOW_US)
GROUP = GroupChange(
    key="g1", rule_id="rule", revision=0, lasts_us=60, group=Group(window=1, opened_us=NOW_US, kept=((1, "x"),))
)
LIMIT = LimitChange(rule_id="rule", hour_us=0, alerts=1, untold=2)
DECISION = Decision(
    matches=[(MATCH, "a1")],
    groups=[GROUP],
    limits=[LIMIT],
    alerts=[ALERT],
    timeline=[TimelineEntry(alert_id="a1", at_us=NOW_US, who="ocelog", what="opened")],
    tellings=[Telling(alert_id="a1", channel_id="c", happened=Happened.OPENED, due_us=NOW_US)],
    unjudged=[UnjudgedEvents(rule_id="other", reason="time", events=[EVENT])],
)
_START = Position()
WANTED = DecisionQuery(
    streams=frozenset(),
    match_ids=frozenset({MATCH.id}),
    groups={"g1": ("rule", "all")},
    records=frozenset(),
    alerts=frozenset({"a1"}),
    limits=frozenset({("rule", 0)}),
)


@pytest.fixture(autouse=True)
def publishing_alone() -> None:
    """Let parts wait for each loop."""


@pytest.fixture
def landed(ledger: Ledger) -> Ledger:
    """Return a ledger with three parts that nobody has judged."""
    held = taken(ledger)
    for n in range(3):
        ledger.pulling.land(landing(held, loaded_through=n))
    return ledger


def piece(ledger: Ledger, decision: Decision = DECISION, *, since: Position = _START, to: int = 1) -> Piece:
    # One that is held by nobody has still its fence: until another takes it.
    claim = ledger.pulling.take_claim("detect", SOURCE, "me", lease=timedelta(0))
    path = f"landing/{RULE_MATCHES}/{claim.name}-{claim.fence}-{to}.parquet"
    part = NewPart(table=RULE_MATCHES, path=path, rows=1, bytes=10, min_cursor_us=1, max_cursor_us=1)
    return Piece(
        table=TABLE,
        since=since,
        to=Position(sequence=to),
        source_id=SOURCE,
        decision=decision,
        part=part,
        claim=claim,
    )


def counts(ledger: Ledger) -> dict[str, int]:
    """Return how many rows each table has that judging writes."""
    written = (tables.match_keys, tables.alert_groups, tables.alert_limits, tables.alerts, tables.alert_events)
    with ledger._database.read() as tx:
        found = {
            table.name: tx.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (*written, tables.outbox, tables.unjudged)
        }
    return found | {"parts": len(ledger.lake.parts(RULE_MATCHES))}


NOTHING = dict.fromkeys(
    ("match_keys", "alert_groups", "alert_limits", "alerts", "alert_events", "outbox", "unjudged", "parts"), 0
)


def test_all_of_a_piece_is_committed_with_its_mark(landed: Ledger) -> None:
    assert landed.judging.due() == {TABLE}
    assert isinstance(landed.judging.commit(piece(landed)), CommitSuccess)
    assert counts(landed) == dict.fromkeys(NOTHING, 1)
    assert landed.lake.mark(DETECT, TABLE) == 1
    waiting = landed.judging.waiting(TABLE)
    assert (waiting.since, waiting.last) == (Position(sequence=1), 3)
    assert [part.sequence for part in waiting.parts] == [2, 3]
    state = landed.judging.decision_state(WANTED)
    assert state.known == {MATCH.id}
    assert state.groups == {"g1": (1, GROUP.group)}
    assert state.alerts["a1"] == replace(ALERT, revision=1)
    assert state.limits == {("rule", 0): replace(LIMIT, revision=1)}


@pytest.mark.parametrize("again", [False, True])
def test_a_removed_source_takes_its_windows_along(landed: Ledger, again: bool) -> None:
    """The next match, of another source or of the same once it is added again, opens another alert, and is told of."""
    landed.sources.add(source_row("other"))
    policy = Policy(route=lambda _alert: ["c"])
    told = list[list[str]]()
    for number, source in enumerate((SOURCE, SOURCE if again else "other", "other")):
        event = replace(EVENT, row_id=f"r{number}", source_id=source, event_us=NOW_US, observed_us=NOW_US)
        verdict = Verdict(matched=True, title="t", dedup="d")
        found = Match(rule=RULE, event=event, verdict=verdict)
        said = Judgement(events=[event], rules={"rule": RULE}, matches=[found])
        decision = decide(said, landed.judging.decision_state(decision_query(said, NOW_US)), policy, NOW_US + number)
        step = piece(landed, decision, since=Position(sequence=number), to=number + 1)
        assert isinstance(landed.judging.commit(replace(step, source_id=source, part=None)), CommitSuccess)
        told.append([each.alert_id for each in decision.tellings])
        if number == 0:
            landed.sources.remove(SOURCE)
        if number == 0 and again:
            landed.sources.add(source_row(SOURCE))
    first, second, third = told
    assert (len(first), len(second), third) == (1, 1, [])
    assert first != second


def test_what_another_has_judged_is_not_committed_again(landed: Ledger) -> None:
    ours, theirs = piece(landed), piece(landed)
    assert isinstance(landed.judging.commit(theirs), CommitSuccess)
    before = counts(landed)
    assert isinstance(landed.judging.commit(replace(ours, claim=theirs.claim)), StaleCommit)
    assert counts(landed) == before


@pytest.mark.parametrize("stale", ["matches", "groups", "limits", "alerts"])
def test_nothing_is_committed_on_what_has_changed(landed: Ledger, stale: str) -> None:
    assert isinstance(landed.judging.commit(piece(landed)), CommitSuccess)
    fresh = Decision(**{stale: getattr(DECISION, stale)})
    before = counts(landed)
    outcome = landed.judging.commit(piece(landed, fresh, since=Position(sequence=1), to=2))
    assert isinstance(outcome, CommitConflict)
    assert counts(landed) == before
    assert landed.lake.mark(DETECT, TABLE) == 1


@pytest.mark.parametrize("what", ["groups", "limits", "alerts"])
def test_a_change_goes_by_the_revision_that_was_read(landed: Ledger, what: str) -> None:
    assert isinstance(landed.judging.commit(piece(landed)), CommitSuccess)
    again = Decision(**{what: [replace(each, revision=1) for each in getattr(DECISION, what)]})
    assert isinstance(landed.judging.commit(piece(landed, again, since=Position(sequence=1), to=2)), CommitSuccess)
    assert isinstance(landed.judging.commit(piece(landed, again, since=Position(sequence=2), to=3)), CommitConflict)


def test_what_is_purged_is_not_landed(landed: Ledger) -> None:
    ours = piece(landed)
    landed.sources.purge(SOURCE)
    assert isinstance(landed.judging.commit(ours), StaleCommit)
    assert counts(landed) == NOTHING


def test_what_a_purged_source_lost_is_not_noted_as_unjudged(landed: Ledger) -> None:
    landed.sources.add(source_row("other"))
    lost = [
        GivenUp(table=TABLE, path=source, reason="is missing", noticed_us=NOW_US, source_id=source)
        for source in (SOURCE, "other")
    ]
    landed.sources.purge(SOURCE)
    passed = Piece(table=TABLE, since=_START, to=Position(sequence=3), source_id=None, decision=Decision(), lost=lost)
    assert isinstance(landed.judging.commit(passed), CommitSuccess)
    assert [each.source_id for each in landed.rules.unjudged()] == ["other"]


def test_a_piece_can_end_inside_a_part(landed: Ledger) -> None:
    to = Position(sequence=0, row=2)
    assert isinstance(landed.judging.commit(replace(piece(landed), to=to)), CommitSuccess)
    assert landed.judging.waiting(TABLE).since == to
    assert landed.judging.due() == {TABLE}


def test_what_is_passed_for_one_reason_is_one_row_that_grows(landed: Ledger) -> None:
    passed = Decision(unjudged=DECISION.unjudged)
    for n in range(3):
        since = Position(sequence=n)
        assert isinstance(landed.judging.commit(piece(landed, passed, since=since, to=n + 1)), CommitSuccess)
    with landed._database.read() as tx:
        assert [(row.rule_id, row.rows) for row in tx.execute(select(tables.unjudged))] == [("other", 3)]


def test_a_crash_leaves_all_or_nothing(landed: Ledger) -> None:
    ours = piece(landed)

    assert crash_everywhere(landed, lambda: landed.judging.commit(ours)) > len(NOTHING)
    assert counts(landed) == dict.fromkeys(NOTHING, 1)
