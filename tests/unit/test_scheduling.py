"""What is landed of a run, on a ledger that a test watches."""

from types import SimpleNamespace
from typing import Any

from ocelog.alert.deciding import DecisionState, Policy
from ocelog.alert.judged import Event, JudgedBy, Judgement, RuleError, UnjudgedEvents
from ocelog.alert.ports import CommitSuccess, Run
from ocelog.alert.scheduling import Firing, Scheduling
from ocelog.detect.rule import About, Place

RULE = JudgedBy(about=About(id="rule", place=Place("rule.yml", 1)), revision="1")
FIRING = Firing(schedule="query mine", fired_us=1, fires_us=2)


def event(source: str) -> Event:
    return Event(
        row_id=f"r {source}",
        log_type="",
        source_id=source,
        source_label=source,
        event_us=1,
        version_us=1,
        observed_us=1,
    )


def test_a_run_names_the_sources_of_the_rows_that_rules_failed_on() -> None:
    """None of them may have been removed meanwhile."""
    runs = list[Run]()

    def commit_run(run: Run) -> CommitSuccess:
        runs.append(run)
        return CommitSuccess()

    nothing: Any = None
    ledger: Any = SimpleNamespace(decision_state=lambda query: DecisionState(query=query), commit_run=commit_run)
    scheduling = Scheduling(
        ledger=ledger,
        lake=nothing,
        claims=nothing,
        match_rows=nothing,
        policy=lambda: Policy(route=lambda _: ()),
        now_us=lambda: 3,
    )
    failed = RuleError(rule=RULE, type="E", message="m", events=[event("a")])
    passed = UnjudgedEvents(rule_id="rule", reason="time", events=[event("b")])
    said = Judgement(
        events=[event("a"), event("b"), event("c")], rules={"rule": RULE}, errors=[failed], unjudged=[passed]
    )
    scheduling.land(FIRING, said, nothing)
    whole = RuleError(rule=RULE, type="E", message="m", events=[event("")])
    scheduling.land(FIRING, Judgement(events=[event("")], rules={"rule": RULE}, errors=[whole]), nothing)
    assert [set(run.told_of) for run in runs] == [{"a", "b"}, set()]
