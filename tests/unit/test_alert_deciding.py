"""What matches bring about, where a whole simulation would not say why: flaps, history, suspensions, thresholds."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ocelog.alert import changes
from ocelog.alert.alert import RULE_OFF, SOURCE_REMOVED, Alert
from ocelog.alert.alert import resolved as ended
from ocelog.alert.changes import CloseReason
from ocelog.alert.deciding import (
    MOST_ALERTS_AN_HOUR,
    MOST_UNTOLD_AN_HOUR,
    Decision,
    DecisionState,
    News,
    Onboarding,
    Policy,
    decide,
    decision_query,
)
from ocelog.alert.delivery.routing import ChannelRow, Routing, channels_for
from ocelog.alert.ids import SUSPENDED, record_alert_id
from ocelog.alert.judged import Event, JudgedBy, Judgement, Match, RuleError, UnjudgedEvents
from ocelog.alert.notice import AlertStatus, AlertType, Happened
from ocelog.detect.evaluate import Verdict
from ocelog.detect.rule import About, Place
from ocelog.model import Severity

MINUTE = 60_000_000
NOW = 1_800_000_000_000_000
RULE = JudgedBy(
    about=About(id="rule", place=Place("rule.yml", 1), lives_with_record=True, dedup_minutes=60), revision="1"
)
POLICY = Policy(route=lambda _alert: ("ops",))


def event(row_id: str = "r", *, record: str = "i1", at: int = NOW, latest: bool = True) -> Event:
    return Event(
        row_id=row_id,
        log_type="Wiz.Issues",
        source_id="s",
        source_label="prod",
        event_us=at,
        version_us=at,
        observed_us=at,
        record_id=record,
        latest=latest,
    )


def judged(*events: Event, severity: Severity = Severity.HIGH, matching: bool = True) -> Judgement:
    verdict = Verdict(matched=True, title="t", severity=severity, dedup="t")
    matches = [Match(rule=RULE, event=each, verdict=verdict) for each in events] if matching else []
    return Judgement(events=events, rules={"rule": RULE}, matches=matches)


def decision_state(alert: Alert | None, **more: object) -> DecisionState:
    return DecisionState(alerts={} if alert is None else {alert.id: replace(alert, revision=1)}, **more)  # type: ignore[arg-type] # as given


def the_alert(decision: Decision) -> Alert:
    (alert,) = (each for each in decision.alerts if each.record_id is not None)
    return alert


@pytest.fixture
def opened() -> Alert:
    return the_alert(decide(judged(event("v1")), DecisionState(), POLICY, NOW))


@pytest.fixture
def resolved(opened: Alert) -> Alert:
    over = judged(event("v2", at=NOW + 10 * MINUTE), matching=False)
    return the_alert(decide(over, decision_state(opened), POLICY, NOW + 10 * MINUTE))


def test_an_alert_that_comes_and_goes_is_told_of_again_at_the_end_of_its_dedup_period(resolved: Alert) -> None:
    again = judged(event("v3", at=NOW + 20 * MINUTE))
    decision = decide(again, decision_state(resolved), POLICY, NOW + 20 * MINUTE)
    told = [(each.happened, each.due_us, each.decided_us) for each in decision.tellings]
    assert told == [(Happened.REOPENED, NOW + 60 * MINUTE, NOW + 20 * MINUTE)]
    assert the_alert(decision).status is AlertStatus.OPEN
    assert the_alert(decision).told_us == NOW + 60 * MINUTE


def test_one_that_comes_back_is_told_of_though_a_person_said_what_it_was_once_it_was_over(resolved: Alert) -> None:
    said = changes.close(CloseReason.BENIGN, who="ann")(resolved, NOW + 15 * MINUTE)
    assert said is not None
    again = judged(event("v3", at=NOW + 90 * MINUTE))
    decision = decide(again, decision_state(said.alert), POLICY, NOW + 90 * MINUTE)
    assert [each.happened for each in decision.tellings] == [Happened.REOPENED]
    assert (the_alert(decision).status, the_alert(decision).close_reason) == (AlertStatus.OPEN, None)


def test_one_that_comes_back_worse_is_told_of_at_once(resolved: Alert) -> None:
    again = judged(event("v3", at=NOW + 20 * MINUTE), severity=Severity.CRITICAL)
    decision = decide(again, decision_state(resolved), POLICY, NOW + 20 * MINUTE)
    assert [(each.happened, each.due_us) for each in decision.tellings] == [(Happened.REOPENED, NOW + 20 * MINUTE)]


@pytest.mark.parametrize("minutes", [20, 90])
def test_one_that_comes_back_is_noted_as_reopened_once_whenever_people_hear_of_it(
    resolved: Alert, minutes: int
) -> None:
    again = judged(event("v3", at=NOW + minutes * MINUTE))
    decision = decide(again, decision_state(resolved), POLICY, NOW + minutes * MINUTE)
    assert [each.happened for each in decision.tellings] == [Happened.REOPENED]
    (entry,) = (each for each in decision.timeline if each.what == "reopened")
    assert entry.detail == "its record is so again"


def test_one_whose_rule_is_on_again_is_noted_as_reopened_once(resolved: Alert) -> None:
    before = replace(resolved, close_reason=RULE_OFF)
    policy = replace(POLICY, again=News.HISTORY, seeding=True)
    decision = decide(judged(event("v3", at=NOW + MINUTE)), decision_state(before), policy, NOW + MINUTE)
    assert [each.happened for each in decision.tellings] == [Happened.REOPENED]
    (entry,) = (each for each in decision.timeline if each.what == "reopened")
    assert entry.detail == "its rule is on again, and its record is still so"


def test_history_opens_as_many_alerts_as_there_are_records_and_tells_nobody() -> None:
    many = [event(f"v{n}", record=f"i{n}", at=NOW - 10_000 * MINUTE) for n in range(MOST_ALERTS_AN_HOUR + 200)]
    streams = {("s", "Wiz.Issues"): Onboarding(since_us=NOW)}
    decision = decide(judged(*many), DecisionState(streams=streams), POLICY, NOW)
    assert len(decision.alerts) == len(many)
    assert all(alert.known and not alert.to_be_told for alert in decision.alerts)
    assert (decision.tellings, decision.limits) == ([], [])


def test_news_above_the_limit_joins_one_alert_and_raises_a_system_error() -> None:
    many = [event(f"v{n}", record=f"i{n}") for n in range(MOST_ALERTS_AN_HOUR + 200)]
    decision = decide(judged(*many), DecisionState(), POLICY, NOW)
    assert len(decision.alerts) == MOST_ALERTS_AN_HOUR + 2
    assert len({alert for _, alert in decision.matches}) == MOST_ALERTS_AN_HOUR + 1
    assert {each.rule_id for each in decision.alerts} == {"rule", "DETECTION_ALERT_LIMIT_EXCEEDED"}
    # What is about many records ends with none of them.
    assert sum(each.record_id is None for each in decision.alerts) == 2


def test_an_older_version_does_not_make_the_newest_one_reopen_what_nobody_heard_of() -> None:
    decision = decide(judged(event("v1", latest=False), event("v2")), DecisionState(), POLICY, NOW)
    assert [each.happened for each in decision.tellings] == [Happened.OPENED]
    alert = the_alert(decision)
    assert (alert.id, alert.status, alert.matches) == (record_alert_id("rule", "s", "i1"), AlertStatus.OPEN, 2)


def test_what_was_suppressed_is_told_of_once_it_is_worse() -> None:
    quiet = replace(POLICY, suppressed=lambda _alert, _now_us: "maintenance")
    opened = the_alert(decide(judged(event("v1")), DecisionState(), quiet, NOW))
    assert not opened.to_be_told
    worse = judged(event("v2", at=NOW + MINUTE), severity=Severity.CRITICAL)
    decision = decide(worse, decision_state(opened), POLICY, NOW + MINUTE)
    assert [each.happened for each in decision.tellings] == [Happened.ESCALATED]


def test_what_comes_and_goes_again_and_again_is_told_of_once_in_its_dedup_period(opened: Alert) -> None:
    alert, due = opened, list[int]()
    for minute in range(10, 200, 10):
        back = minute % 20 == 0
        said = judged(event(f"w{minute}", at=NOW + minute * MINUTE), matching=back)
        decision = decide(said, decision_state(alert), POLICY, NOW + minute * MINUTE)
        alert = the_alert(decision)
        due += [each.due_us for each in decision.tellings if each.happened is Happened.REOPENED]
    # Those that are due at an end of the period while it is over are dropped by whoever delivers.
    assert sorted({(us - NOW) // MINUTE for us in due}) == [60, 120, 180]


def test_a_match_joins_a_told_window_in_silence_though_its_alert_is_forgotten() -> None:
    plain = replace(RULE, about=replace(RULE.about, lives_with_record=False))
    verdict = Verdict(matched=True, title="t", severity=Severity.HIGH, dedup="t")

    def match(row: str) -> Judgement:
        one = event(row)
        return Judgement(events=[one], rules={"rule": plain}, matches=[Match(rule=plain, event=one, verdict=verdict)])

    first = decide(match("v1"), DecisionState(), POLICY, NOW)
    assert [each.happened for each in first.tellings] == [Happened.OPENED]
    (group,) = first.groups
    again = decide(match("v2"), DecisionState(groups={group.key: (1, group.group)}), POLICY, NOW + MINUTE)
    assert [each.id for each in again.alerts] == [each.id for each in first.alerts]
    assert again.tellings == []


def test_a_limit_is_told_of_once_an_hour_though_the_alert_that_held_the_rest_is_purged() -> None:
    many = [event(f"v{n}", record=f"i{n}") for n in range(MOST_ALERTS_AN_HOUR + 1)]
    first = decide(judged(*many), DecisionState(), POLICY, NOW)
    (limit,) = first.limits
    error = next(each for each in first.alerts if each.rule_id == "DETECTION_ALERT_LIMIT_EXCEEDED")
    left = decision_state(error, limits={("rule", limit.hour_us): replace(limit, revision=1)})
    again = decide(judged(event("w", record="w")), left, POLICY, NOW + MINUTE)
    assert error.id not in {each.alert_id for each in again.tellings}
    # What was told by a clock that was ahead says nothing about this hour.
    ahead = replace(left, alerts={error.id: replace(error, revision=1, told_us=NOW + 120 * MINUTE)})
    again = decide(judged(event("w", record="w")), ahead, POLICY, NOW + MINUTE)
    assert error.id in {each.alert_id for each in again.tellings}


def test_records_that_a_source_shows_only_now_are_told_of_together_and_their_later_changes_are_news() -> None:
    stream = Onboarding(since_us=NOW - 5_000 * MINUTE, gap=(NOW - 5_000 * MINUTE, NOW))
    found = DecisionState(streams={("s", "Wiz.Issues"): stream})
    before = [event(f"v{n}", record=f"i{n}", at=NOW - n * MINUTE) for n in range(1, 200)]
    decision = decide(judged(*before), found, POLICY, NOW + MINUTE)
    assert [each.happened for each in decision.tellings] == [Happened.OPENED]
    after = decide(judged(event("w", record="w", at=NOW)), found, POLICY, NOW + MINUTE)
    assert [each.alert_id for each in after.tellings] == [record_alert_id("rule", "s", "w")]


def test_what_is_advised_about_a_rule_that_fails_works_for_its_kind() -> None:
    found = list[str]()
    for rule in (RULE, replace(RULE, on_schedule=True)):
        error = RuleError(rule=rule, type="KeyError", message="x", events=[event("v1")])
        failed = Judgement(events=error.events, rules={rule.id: rule}, errors=[error])
        found += [each.runbook for each in decide(failed, DecisionState(), POLICY, NOW).alerts]
    for runbook in found:
        assert f"ocelog rules try {RULE.id}" in runbook
        assert f"ocelog rules replay {RULE.id}" in runbook
    assert "or its query" in found[1]


BURSTS = JudgedBy(about=About(id="bursts", place=Place("bursts.yml", 1), threshold=2), revision="1")


def bursts(*matches: tuple[str, str], rule: JudgedBy = BURSTS) -> Judgement:
    """Return matches of a rule with a threshold, each a row and a dedup string."""
    events = [event(row) for row, _ in matches]
    found = [
        Match(rule=rule, event=each, verdict=Verdict(matched=True, title="t", severity=Severity.HIGH, dedup=dedup))
        for each, (_, dedup) in zip(events, matches, strict=True)
    ]
    return Judgement(events=events, rules={rule.id: rule}, matches=found)


def after(decision: Decision, before: DecisionState | None = None) -> DecisionState:
    """Return what the ledger has after a decision on what it had `before`."""
    before = before or DecisionState()
    return DecisionState(
        known=before.known.union(match.id for match, _ in decision.matches),
        groups={**before.groups, **{each.key: (each.revision + 1, each.group) for each in decision.groups}},
        alerts={**before.alerts, **{each.id: replace(each, revision=each.revision + 1) for each in decision.alerts}},
        limits={
            **before.limits,
            **{(each.rule_id, each.hour_us): replace(each, revision=each.revision + 1) for each in decision.limits},
        },
    )


def test_a_key_that_reaches_its_threshold_is_told_of_however_many_others_stay_below_theirs() -> None:
    many = MOST_UNTOLD_AN_HOUR + MOST_ALERTS_AN_HOUR + 200
    noise = decide(bursts(*((f"n{n}", f"noise {n}") for n in range(many))), DecisionState(), POLICY, NOW)
    assert noise.tellings == []
    assert len(noise.alerts) == MOST_UNTOLD_AN_HOUR + 1
    assert sum(each.matches for each in noise.alerts) == many
    (rest,) = (each for each in noise.alerts if each.matches > 1)
    assert (rest.status, rest.ended_us) == (AlertStatus.CLOSED, NOW)
    first = decide(bursts(("a1", "attack")), after(noise), POLICY, NOW + MINUTE)
    assert first.tellings == []
    second = decide(bursts(("a2", "attack")), after(first, after(noise)), POLICY, NOW + 2 * MINUTE)
    assert [each.happened for each in second.tellings] == [Happened.OPENED]
    (alert,) = second.alerts
    assert (alert.to_be_told, alert.dedup, alert.matches) == (True, "attack", 1)
    assert [(each.what, each.detail) for each in second.timeline] == [
        ("opened", "1 matches of its window before are not in it")
    ]


def test_what_is_muted_uses_up_nothing_of_the_limit() -> None:
    plain = replace(BURSTS, about=replace(BURSTS.about, threshold=1))
    quiet = replace(POLICY, suppressed=lambda alert, _now_us: "planned" if alert.dedup != "attack" else None)
    many = [(f"n{n}", f"noise {n}") for n in range(MOST_UNTOLD_AN_HOUR + 200)]
    muted = decide(bursts(*many, rule=plain), DecisionState(), quiet, NOW)
    assert (muted.tellings, len(muted.alerts)) == ([], MOST_UNTOLD_AN_HOUR + 1)
    told = decide(bursts(("a", "attack"), rule=plain), after(muted), quiet, NOW + MINUTE)
    assert [each.happened for each in told.tellings] == [Happened.OPENED]
    issues = [event(f"v{n}", record=f"i{n}") for n in range(MOST_ALERTS_AN_HOUR + 200)]
    records = decide(
        judged(*issues), DecisionState(), replace(POLICY, suppressed=lambda _alert, _now_us: "planned"), NOW
    )
    assert (records.tellings, records.limits, len(records.alerts)) == ([], [], len(issues))


def test_a_key_above_the_limit_is_told_of_once_there_is_room_again() -> None:
    pairs = [(f"n{n}.{m}", f"noise {n}") for n in range(MOST_ALERTS_AN_HOUR) for m in range(2)]
    full = decide(bursts(*pairs), DecisionState(), POLICY, NOW)
    assert len(full.tellings) == MOST_ALERTS_AN_HOUR
    flooded = decide(bursts(("a1", "attack"), ("a2", "attack")), after(full), POLICY, NOW + MINUTE)
    assert {each.rule_id for each in flooded.alerts if each.to_be_told} == {"bursts", "DETECTION_ALERT_LIMIT_EXCEEDED"}
    assert "attack" not in {each.dedup for each in flooded.alerts if each.to_be_told}
    later = decide(bursts(("a3", "attack")), after(flooded, after(full)), POLICY, NOW + 60 * MINUTE)
    assert [each.dedup for each in later.alerts if each.to_be_told] == ["attack"]


def test_an_exception_that_has_another_name_for_each_event_is_one_alert() -> None:
    errors = [
        RuleError(rule=BURSTS, type=f"Failed{n}", message="x", events=[event(f"v{n}")])
        for n in range(MOST_ALERTS_AN_HOUR + 200)
    ]
    failed = Judgement(events=[each.events[0] for each in errors], rules={"bursts": BURSTS}, errors=errors)
    decision = decide(failed, DecisionState(), POLICY, NOW)
    (alert,) = decision.alerts
    assert alert.matches == len(errors)
    assert "Failed0" in alert.title
    assert {each.reason for each in decision.unjudged} == {"the rule failed: Exception"}
    assert len(decision_query(failed, NOW).groups) == 1


def test_a_rule_that_alerts_too_often_is_told_of_when_it_fails() -> None:
    plain = replace(BURSTS, about=replace(BURSTS.about, threshold=1))
    full = decide(
        bursts(*((f"n{n}", f"{n}") for n in range(MOST_ALERTS_AN_HOUR)), rule=plain), DecisionState(), POLICY, NOW
    )
    error = RuleError(rule=plain, type="KeyError", message="x", events=[event("v1")])
    failed = Judgement(events=error.events, rules={plain.id: plain}, errors=[error])
    decision = decide(failed, after(full), POLICY, NOW + MINUTE)
    assert [each.happened for each in decision.tellings] == [Happened.OPENED]


def test_a_rule_that_goes_on_failing_is_told_of_once_an_hour_at_most() -> None:
    often = replace(BURSTS, about=replace(BURSTS.about, dedup_minutes=15))

    def fails(row_id: str) -> Judgement:
        error = RuleError(rule=often, type="KeyError", message="x", events=[event(row_id)])
        return Judgement(events=error.events, rules={often.id: often}, errors=[error])

    first = decide(fails("v1"), DecisionState(), POLICY, NOW)
    assert [each.happened for each in first.tellings] == [Happened.OPENED]
    assert not decide(fails("v2"), after(first), POLICY, NOW + 59 * MINUTE).tellings
    assert decide(fails("v3"), after(first), POLICY, NOW + 61 * MINUTE).tellings


def test_the_version_for_which_an_alert_stands_does_not_end_it(opened: Alert) -> None:
    assert not decide(judged(event("v1"), matching=False), decision_state(opened), POLICY, NOW + MINUTE).alerts


def test_nobody_hears_that_the_record_of_what_is_closed_is_gone(opened: Alert) -> None:
    closed = replace(opened, status=AlertStatus.CLOSED, ended_us=NOW)
    gone = judged(replace(event("v2", at=NOW + MINUTE), inferred=True), matching=False)
    decision = decide(gone, decision_state(closed), POLICY, NOW + MINUTE)
    assert (the_alert(decision).visible, decision.tellings) == (False, [])
    assert [each.happened for each in decide(gone, decision_state(opened), POLICY, NOW + MINUTE).tellings] == [
        Happened.NOT_VISIBLE
    ]


def test_a_decision_on_more_than_was_read_is_refused() -> None:
    said = bursts(("a1", "attack"))
    for less in ("streams", "match_ids", "limits"):
        found = DecisionState(query=replace(decision_query(said, NOW), **{less: frozenset()}))
        with pytest.raises(AssertionError, match="`decision_query` does not name"):
            decide(said, found, POLICY, NOW)
    with pytest.raises(AssertionError, match="the group"):
        decide(said, DecisionState(query=replace(decision_query(said, NOW), groups={})), POLICY, NOW)
    with pytest.raises(AssertionError, match="the record"):
        decide(
            judged(event()),
            DecisionState(query=replace(decision_query(judged(event()), NOW), records=frozenset())),
            POLICY,
            NOW,
        )


_RULES = [
    replace(RULE, about=replace(RULE.about, id=f"rule {n}", lives_with_record=living, threshold=most, create_alert=on))
    for n, (living, most, on) in enumerate([(True, 1, True), (False, 1, True), (False, 2, True), (False, 1, False)])
]
_EVENTS = st.builds(
    lambda row, record, age, latest, inferred: replace(
        event(f"r{row}", record=f"i{record}", at=NOW - age * MINUTE, latest=latest),
        observed_us=NOW,
        record_id=None if record == 0 else f"i{record}",
        inferred=inferred,
    ),
    st.integers(0, 9),
    st.integers(0, 3),
    st.sampled_from([0, 30, 60 * 24 * 10]),
    st.booleans(),
    st.booleans(),
)


@given(
    st.lists(_EVENTS, min_size=1, max_size=8, unique_by=lambda each: each.row_id),
    st.lists(st.tuples(st.integers(0, 7), st.sampled_from(_RULES), st.sampled_from("abc")), max_size=12),
    st.lists(st.tuples(st.sampled_from(_RULES), st.sampled_from(["KeyError", "Own", "Suspended"])), max_size=3),
    st.sampled_from([0, NOW - 15 * MINUTE]),
    st.sampled_from([None, News.NEW, News.OLD, News.HISTORY]),
    st.booleans(),
)
def test_a_decision_asks_for_nothing_but_what_is_wanted(
    events: Sequence[Event],
    matching: Sequence[tuple[int, JudgedBy, str]],
    failing: Sequence[tuple[JudgedBy, str]],
    onboarded: int,
    again: News | None,
    seeding: bool,
) -> None:
    found = {
        (at % len(events), rule.id): Match(
            rule=rule, event=events[at % len(events)], verdict=Verdict(matched=True, title=dedup, dedup=dedup)
        )
        for at, rule, dedup in matching
    }
    said = Judgement(
        events=events,
        rules={each.id: each for each in _RULES},
        matches=list(found.values()),
        errors=[RuleError(rule=rule, type=name, message="x", events=events[:1]) for rule, name in failing],
    )
    asked = decision_query(said, NOW)
    had = DecisionState(streams={("s", "Wiz.Issues"): Onboarding(since_us=onboarded)}, query=asked)
    policy = replace(POLICY, again=again, seeding=seeding)
    first = decide(said, had, policy, NOW)
    # What it saves is among what the next decision on the same reads.
    assert {each.key for each in first.groups} <= asked.groups.keys()
    assert {(each.rule_id, each.hour_us) for each in first.limits} <= asked.limits
    assert {each.record_id for each in first.alerts if each.record_id} <= asked.records
    decide(said, replace(after(first), query=asked), policy, NOW + MINUTE)


WINDOW = JudgedBy(about=About(id="window", place=Place("window.yml", 1)), revision="1")
QUIET = replace(POLICY, suppressed=lambda alert, _now_us: "planned" if alert.source_id == "quiet" else None)
"""Mutes one source."""


def one(
    row: str, source: str = "loud", *, severity: Severity = Severity.HIGH, rule: JudgedBy = WINDOW, at: int = NOW
) -> Judgement:
    """Return a match in a source, of the one dedup string."""
    found = replace(event(row, at=at), source_id=source, source_label=source)
    verdict = Verdict(matched=True, title=row, severity=severity, dedup="d", context={"source": source})
    return Judgement(events=[found], rules={rule.id: rule}, matches=[Match(rule=rule, event=found, verdict=verdict)])


def failing(row: str, source: str) -> Judgement:
    found = replace(event(row), source_id=source, source_label=source)
    error = RuleError(rule=WINDOW, type="KeyError", message="x", events=[found])
    return Judgement(events=[found], rules={"window": WINDOW}, errors=[error])


def played(
    *steps: Judgement | tuple[Judgement, Policy], policy: Policy = POLICY, before: DecisionState | None = None
) -> tuple[list[list[tuple[Happened, str]]], DecisionState]:
    """Return what is told after each step, a minute each, with the ids of the alerts, and what the ledger has then."""
    state, told = before or DecisionState(), list[list[tuple[Happened, str]]]()
    for minute, step in enumerate(steps):
        said, by = step if isinstance(step, tuple) else (step, policy)
        decision = decide(said, state, by, NOW + minute * MINUTE)
        told.append([(each.happened, each.alert_id) for each in decision.tellings])
        state = after(decision, state)
    return told, state


def over(state: DecisionState) -> DecisionState:
    """Return what the ledger has once the source of all alerts was removed."""
    return replace(state, alerts={name: ended(each, NOW) for name, each in state.alerts.items()})


@pytest.mark.parametrize("old", [False, True])
def test_what_we_ended_ends_its_window_and_the_next_match_opens_and_tells(old: bool) -> None:
    policy = replace(POLICY, again=News.OLD) if old else POLICY
    (first,), state = played(one("v1"), policy=policy)
    (second, third), state = played(one("v2"), one("v3"), policy=policy, before=over(state))
    assert [happened for happened, _ in (*first, *second)] == [Happened.OPENED] * 2
    assert first[0][1] != second[0][1]
    assert third == []
    assert [each.matches for each in state.alerts.values()] == [1, 2]


def test_what_a_person_closed_keeps_its_window() -> None:
    _, state = played(one("v1"))
    closed = {name: replace(each, status=AlertStatus.CLOSED, ended_us=NOW) for name, each in state.alerts.items()}
    (told,), state = played(one("v2"), before=replace(state, alerts=closed))
    assert told == []
    assert [(each.matches, each.status) for each in state.alerts.values()] == [(2, AlertStatus.CLOSED)]


def test_what_counted_in_a_window_that_we_ended_counts_on() -> None:
    _, state = played(bursts(("v1", "a")))
    ((telling,),), _ = played(bursts(("v2", "a")), before=over(state))
    assert telling[0] is Happened.OPENED


def test_what_holds_the_rest_of_an_hour_is_told_of_again_after_we_ended_it() -> None:
    plain = replace(BURSTS, about=replace(BURSTS.about, threshold=1))
    many = [(f"n{n}", f"{n}") for n in range(MOST_ALERTS_AN_HOUR + 1)]
    _, state = played(bursts(*many, rule=plain))
    (told, silent), _ = played(
        bursts(("w1", "one more"), rule=plain), bursts(("w2", "another"), rule=plain), before=over(state)
    )
    (rest,) = (each.id for each in state.alerts.values() if "more than" in each.title)
    assert (Happened.REOPENED, rest) in told
    assert silent == []


def test_the_first_match_of_a_window_that_is_not_muted_is_told_of_and_shown() -> None:
    (muted, told, joined), state = played(one("v1", "quiet"), one("v2"), one("v3"), policy=QUIET)
    assert (muted, joined) == ([], [])
    ((happened, name),) = told
    assert happened is Happened.OPENED
    (alert,) = state.alerts.values()
    assert (alert.id, alert.source_id, alert.title, alert.context) == (name, "loud", "v2", {"source": "loud"})
    assert (alert.matches, alert.to_be_told) == (3, True)


def test_what_is_muted_is_not_told_afterwards_and_its_timeline_says_so_once() -> None:
    decision = decide(one("v1", "quiet"), DecisionState(), QUIET, NOW)
    assert [(each.what, each.detail) for each in decision.timeline] == [("opened", ""), ("suppressed", "planned")]
    again = decide(one("v2", "quiet"), after(decision), QUIET, NOW + MINUTE)
    assert (again.timeline, again.tellings) == ([], [])


def test_a_match_of_a_muted_window_that_follows_it_is_told_of() -> None:
    everything = replace(POLICY, suppressed=lambda _alert, _now_us: "maintenance")
    (_, told), _ = played((one("v1"), everything), one("v2"))
    assert [happened for happened, _ in told] == [Happened.OPENED]


def test_what_is_muted_brings_no_group_nearer_to_its_threshold() -> None:
    steps = [one(f"v{n}", source, rule=BURSTS) for n, source in enumerate(("quiet", "quiet", "loud", "quiet", "loud"))]
    told, state = played(*steps, policy=QUIET)
    assert [len(each) for each in told] == [0, 0, 0, 0, 1]
    (alert,) = state.alerts.values()
    assert (alert.source_id, alert.title, alert.matches) == ("loud", "v2", 5)


def test_an_error_that_is_muted_in_one_source_is_told_of_in_another() -> None:
    (muted, told, joined), state = played(*map(failing, "abc", ("quiet", "loud", "loud")), policy=QUIET)
    assert (muted, [happened for happened, _ in told], joined) == ([], [Happened.OPENED], [])
    (alert,) = state.alerts.values()
    assert (alert.source_id, alert.matches) == ("loud", 3)


def test_an_error_that_its_removed_source_ended_is_open_again_and_says_no_more_that_it_ended() -> None:
    _, state = played(failing("a", "loud"))
    (alert,) = state.alerts.values()
    over = replace(alert, status=AlertStatus.RESOLVED, ended_us=NOW, close_reason=SOURCE_REMOVED)
    _, state = played(failing("b", "loud"), before=replace(state, alerts={alert.id: over}))
    (again,) = state.alerts.values()
    assert (again.status, again.ended_us, again.close_reason) == (AlertStatus.OPEN, None, None)


@pytest.mark.parametrize("closed", [False, True])
def test_a_worse_match_raises_the_severity_of_its_alert_and_is_told_of(closed: bool) -> None:
    _, state = played(one("v1", severity=Severity.LOW))
    if closed:
        shut = {name: replace(each, status=AlertStatus.CLOSED) for name, each in state.alerts.items()}
        state = replace(state, alerts=shut)
    steps = [one("v2", severity=Severity.CRITICAL), one("v3", severity=Severity.CRITICAL), one("v4")]
    told, state = played(*steps, before=state)
    assert [[happened for happened, _ in each] for each in told] == [[Happened.ESCALATED], [], []]
    (alert,) = state.alerts.values()
    assert (alert.severity, alert.title, alert.status) == (Severity.CRITICAL, "v2", AlertStatus.OPEN)
    assert alert.told_severity is Severity.CRITICAL


@pytest.mark.parametrize(
    ("first", "worse", "hear"),
    [
        (("a",), ("b",), ["a", "b"]),
        (None, ("b",), ["ops", "b"]),
        (("a",), None, ["a", "ops"]),
        (("a",), (), ["a"]),
        ((), ("b",), ["b"]),
        (("a",), ("a",), ["a"]),
    ],
)
def test_whoever_heard_of_an_alert_hears_that_it_is_worse_also_where_that_is_told_to_others(
    first: tuple[str, ...] | None, worse: tuple[str, ...] | None, hear: list[str]
) -> None:
    def to(said: Judgement, destinations: tuple[str, ...] | None) -> Judgement:
        (match,) = said.matches
        return replace(said, matches=[replace(match, verdict=replace(match.verdict, destinations=destinations))])

    policy = Policy(route=lambda alert: ("ops",) if alert.destinations is None else alert.destinations)
    _, state = played(to(one("v1", severity=Severity.LOW), first), policy=policy)
    decision = decide(to(one("v2", severity=Severity.CRITICAL), worse), state, policy, NOW + MINUTE)
    assert [(each.happened, each.channel_id) for each in decision.tellings] == [
        (Happened.ESCALATED, channel) for channel in hear
    ]
    (alert,) = decision.alerts
    assert list(policy.route(alert)) == hear


def test_a_worse_match_that_names_no_destinations_leaves_to_them_who_subscribed_if_all_that_heard_did() -> None:
    def to(said: Judgement, destinations: tuple[str, ...] | None) -> Judgement:
        (match,) = said.matches
        return replace(said, matches=[replace(match, verdict=replace(match.verdict, destinations=destinations))])

    ops, boss = (ChannelRow(id=name, name=name, kind="file", added_us=1) for name in ("ops", "boss"))
    channels = [ops, replace(boss, routing=Routing(escalate_after=timedelta(minutes=5)))]
    policy = Policy(route=lambda alert: channels_for(alert, channels))
    _, state = played(to(one("v1", severity=Severity.LOW), ("ops",)), policy=policy)
    decision = decide(to(one("v2", severity=Severity.CRITICAL), None), state, policy, NOW + MINUTE)
    assert [(each.happened, each.channel_id) for each in decision.tellings] == [(Happened.ESCALATED, "ops")]
    (alert,) = decision.alerts
    # Else the other would hear of it neither when nobody acknowledges it, nor ever.
    assert alert.destinations is None


def test_a_worse_match_that_is_muted_changes_nothing() -> None:
    (_, told), state = played(
        one("v1", severity=Severity.LOW), one("v2", "quiet", severity=Severity.CRITICAL), policy=QUIET
    )
    assert told == []
    (alert,) = state.alerts.values()
    assert (alert.severity, alert.title) == (Severity.LOW, "v1")


def test_what_a_person_closed_before_anybody_heard_of_it_opens_again_once_it_is_told_of() -> None:
    _, state = played(one("v1", "quiet"), policy=QUIET)
    closed = {name: replace(each, status=AlertStatus.CLOSED, ended_us=NOW) for name, each in state.alerts.items()}
    (told,), state = played(one("v2"), policy=QUIET, before=replace(state, alerts=closed))
    assert [happened for happened, _ in told] == [Happened.OPENED]
    assert [each.status for each in state.alerts.values()] == [AlertStatus.OPEN]


def test_who_heard_of_an_end_amid_a_mute_is_to_hear_that_it_is_open_again(opened: Alert) -> None:
    muted = replace(POLICY, suppressed=lambda _alert, _now_us: "maintenance")
    gone = decide(judged(event("v2", at=NOW + MINUTE), matching=False), decision_state(opened), muted, NOW + MINUTE)
    assert [each.happened for each in gone.tellings] == [Happened.RESOLVED]
    back = judged(event("v3", at=NOW + 90 * MINUTE))
    decision = decide(back, decision_state(the_alert(gone)), muted, NOW + 90 * MINUTE)
    assert [each.happened for each in decision.tellings] == [Happened.REOPENED]
    assert [(each.what, each.detail) for each in decision.timeline][-1] == ("told later", "maintenance")
    unheard = replace(the_alert(gone), to_be_told=False)
    assert decide(back, decision_state(unheard), muted, NOW + 90 * MINUTE).tellings == []


def test_what_was_triaged_is_noted_as_such_as_its_rule_is_on_again(resolved: Alert) -> None:
    before = replace(resolved, close_reason=RULE_OFF)
    policy = replace(POLICY, again=News.HISTORY, seeding=True)
    state = decision_state(before, triaged=frozenset({before.id}))
    decision = decide(judged(event("v3", at=NOW + MINUTE)), state, policy, NOW + MINUTE)
    assert the_alert(decision).status is AlertStatus.TRIAGED
    # So is its timeline read the next time: see `triaged` in the ledger.
    assert [each.what for each in decision.timeline] == ["reopened", "triaged"]


MAINTENANCE = replace(POLICY, suppressed=lambda _alert, _now_us: "maintenance")
"""Mutes everything."""


def closed(state: DecisionState) -> DecisionState:
    """Return what the ledger has once a person has closed all alerts."""
    act = changes.close(changes.CloseReason.FALSE_POSITIVE, who="ann")
    after_it = {name: act(each, NOW + MINUTE) for name, each in state.alerts.items()}
    return replace(state, alerts={name: each.alert for name, each in after_it.items() if each is not None})


def test_who_heard_of_a_close_is_to_hear_amid_a_mute_that_it_rose_and_is_open_again(opened: Alert) -> None:
    state = closed(decision_state(opened))
    worse = judged(event("v2", at=NOW + 2 * MINUTE), severity=Severity.CRITICAL)
    decision = decide(worse, state, MAINTENANCE, NOW + 2 * MINUTE)
    assert [(each.happened, each.note) for each in decision.tellings] == [(Happened.REOPENED, "")]
    assert the_alert(decision).status is AlertStatus.OPEN
    assert [each.what for each in decision.timeline] == ["severity", "reopened", "told later"]
    unheard = decision_state(replace(next(iter(state.alerts.values())), to_be_told=False))
    assert decide(worse, unheard, MAINTENANCE, NOW + 2 * MINUTE).tellings == []
    still = judged(event("v2", at=NOW + 2 * MINUTE), severity=Severity.CRITICAL)
    assert decide(still, decision_state(opened), MAINTENANCE, NOW + 2 * MINUTE).tellings == []


def test_who_heard_that_a_limit_holds_no_more_is_to_hear_amid_a_mute_that_it_does_again() -> None:
    many = [event(f"v{n}", record=f"i{n}") for n in range(MOST_ALERTS_AN_HOUR + 1)]
    first = decide(judged(*many), DecisionState(), POLICY, NOW)
    (limit,) = first.limits
    error = next(each for each in first.alerts if each.rule_id == "DETECTION_ALERT_LIMIT_EXCEEDED")
    left = decision_state(ended(error, NOW), limits={("rule", limit.hour_us): replace(limit, revision=1)})
    policy = replace(POLICY, suppressed=lambda alert, _now_us: "m" if alert.type is AlertType.SYSTEM_ERROR else None)
    again = decide(judged(event("w", record="w")), left, policy, NOW + MINUTE)
    assert [each.happened for each in again.tellings if each.alert_id == error.id] == [Happened.REOPENED]


def dropped(state: DecisionState) -> DecisionState:
    """Return what the ledger has once a mute has let nobody hear of any alert."""
    unheard = {name: replace(each, to_be_told=False, told_us=None) for name, each in state.alerts.items()}
    return replace(state, alerts=unheard)


def test_a_match_that_is_not_muted_is_told_of_after_a_mute_let_nobody_hear_of_its_window() -> None:
    _, state = played(one("v1", "quiet"))
    (muted, told, joined), state = played(one("v2", "quiet"), one("v3"), one("v4"), policy=QUIET, before=dropped(state))
    assert (muted, [happened for happened, _ in told], joined) == ([], [Happened.OPENED], [])
    (alert,) = state.alerts.values()
    assert (alert.source_id, alert.title, alert.matches) == ("loud", "v3", 4)
    assert [each.alerts for each in state.limits.values()] == [2]


def test_an_error_that_is_not_muted_is_told_of_after_a_mute_let_nobody_hear_of_the_others() -> None:
    _, state = played(failing("a", "quiet"))
    told, state = played(*map(failing, "bcd", ("quiet", "loud", "loud")), policy=QUIET, before=dropped(state))
    assert [[happened for happened, _ in each] for each in told] == [[], [Happened.OPENED], []]
    (alert,) = state.alerts.values()
    assert alert.source_id == "loud"


def test_what_is_beyond_a_limit_and_not_muted_is_told_of_though_nobody_heard_of_the_rest() -> None:
    plain = replace(BURSTS, about=replace(BURSTS.about, threshold=1))
    many = [(f"n{n}", f"{n}") for n in range(MOST_ALERTS_AN_HOUR + 1)]
    _, state = played(bursts(*many, rule=plain))
    (rest,) = (each.id for each in state.alerts.values() if "more than" in each.title)
    unheard = {**state.alerts, rest: replace(state.alerts[rest], to_be_told=False)}
    told, _ = played(
        bursts(("w1", "one more"), rule=plain),
        bursts(("w2", "another"), rule=plain),
        before=replace(state, alerts=unheard),
    )
    assert told == [[(Happened.OPENED, rest)], []]


def test_what_opens_again_by_itself_escalates_as_if_nobody_had_looked_at_it(opened: Alert) -> None:
    worse = judged(event("v2", at=NOW + 2 * MINUTE), severity=Severity.CRITICAL)
    of_record = the_alert(decide(worse, closed(decision_state(opened)), POLICY, NOW + 2 * MINUTE))
    _, state = played(one("v1", "quiet"), policy=QUIET)
    (of_window,) = decide(one("v2"), closed(state), QUIET, NOW + 2 * MINUTE).alerts
    for alert in (of_record, of_window):
        assert (alert.status, alert.acknowledged_us, alert.opened_us) == (AlertStatus.OPEN, None, NOW + 2 * MINUTE)


def step(said: Judgement, alert: Alert | None, *, at: int = NOW + MINUTE, policy: Policy = POLICY) -> Decision:
    """Decide on one alert, and on what else is asked for as of the source's set-up a day ago."""
    return decide(said, decision_state(alert), policy, at)


def told_of(decision: Decision) -> list[Happened]:
    return [each.happened for each in decision.tellings]


HISTORY = replace(POLICY, again=News.HISTORY)
WORSE = judged(event("v2", at=NOW + MINUTE), severity=Severity.CRITICAL)


def test_a_version_that_is_not_the_newest_is_counted_and_moves_nothing(opened: Alert) -> None:
    older = judged(event("v0", latest=False), severity=Severity.CRITICAL)
    decision = step(older, opened)
    assert (the_alert(decision).severity, the_alert(decision).matches) == (Severity.HIGH, 2)
    assert (told_of(decision), decision.timeline) == ([], [])
    assert decide(judged(event("v0", latest=False), matching=False), decision_state(opened), POLICY, NOW).alerts == []


def test_a_match_that_has_landed_is_not_counted_again_as_its_rule_gets_to_know_what_is_so(resolved: Alert) -> None:
    said = judged(event("v3", at=NOW + 20 * MINUTE))
    state = decision_state(resolved, known=frozenset({said.matches[0].id}))
    decision = decide(said, state, replace(HISTORY, seeding=True), NOW + 20 * MINUTE)
    assert (the_alert(decision).status, the_alert(decision).matches) == (AlertStatus.OPEN, resolved.matches)


def test_of_history_and_of_what_was_read_late_people_hear_once_it_is_worse() -> None:
    for how in (News.HISTORY, News.OLD):
        quiet = the_alert(step(judged(event("v1")), None, policy=replace(POLICY, again=how)))
        assert (quiet.to_be_told, quiet.known) == (False, how is News.HISTORY)
        assert told_of(step(judged(event("v2", at=NOW + MINUTE)), quiet)) == []
        worse = step(WORSE, quiet)
        assert (told_of(worse), the_alert(worse).known) == ([Happened.ESCALATED], False)
        assert told_of(step(WORSE, quiet, policy=HISTORY)) == [], "nor does history get worse for anybody"


def test_a_record_that_is_out_of_sight_is_told_of_once_and_visible_again_only_if_it_is_shown(opened: Alert) -> None:
    gone = event("v2", at=NOW + MINUTE)
    gone = replace(gone, inferred=True)
    unseen = step(judged(gone, matching=False), opened)
    again = step(judged(replace(gone, row_id="v3")), the_alert(unseen))
    assert (told_of(unseen), told_of(again)) == ([Happened.NOT_VISIBLE], [])
    assert (the_alert(again).visible, again.timeline) == (False, [])
    back = step(judged(event("v4", at=NOW + 2 * MINUTE)), the_alert(again))
    assert (the_alert(back).visible, [each.what for each in back.timeline]) == (True, ["visible again"])
    first = step(judged(gone), None)
    assert (told_of(first), the_alert(first).visible, the_alert(first).status) == ([], False, AlertStatus.RESOLVED)


def test_what_was_over_before_it_was_looked_at_opens_only_by_a_version_that_is_shown() -> None:
    stub = the_alert(step(judged(event("v1", latest=False)), None))
    gone = step(judged(replace(event("v2", at=NOW + MINUTE), inferred=True)), stub)
    assert told_of(gone) == []
    back = step(judged(event("v2", at=NOW + MINUTE)), stub)
    assert (told_of(back), the_alert(back).matches) == ([Happened.OPENED], 2)
    # Once a person had it told, it is not told as if it were new.
    resent = changes.resend("ops", who="ann")(stub, NOW)
    assert resent is not None
    later = NOW + 2 * 60 * MINUTE
    assert told_of(step(judged(event("v2", at=later)), resent.alert, at=later)) == [Happened.REOPENED]


def test_a_record_that_is_so_again_in_history_is_known_and_told_of_no_more(resolved: Alert) -> None:
    alert = the_alert(step(judged(event("v3", at=NOW + MINUTE)), resolved, policy=HISTORY))
    assert (alert.status, alert.known, alert.to_be_told) == (AlertStatus.OPEN, True, False)
    # The same if its rule is on again is an alert that people know, as far as they did.
    off = replace(resolved, close_reason=RULE_OFF, acknowledged_us=NOW)
    on = step(judged(event("v3", at=NOW + MINUTE)), off, policy=HISTORY)
    assert (told_of(on), the_alert(on).acknowledged_us) == ([Happened.REOPENED], NOW)
    unheard = step(judged(event("v3", at=NOW + MINUTE)), replace(off, to_be_told=False), policy=HISTORY)
    assert told_of(unheard) == []
    # What is news is no return of what was so all the while.
    anew = step(judged(event("v3", at=NOW + 90 * MINUTE)), off, at=NOW + 90 * MINUTE)
    assert (the_alert(anew).acknowledged_us, told_of(anew)) == (None, [Happened.REOPENED])


def test_what_a_person_said_of_an_alert_stays_as_its_record_ends(opened: Alert, resolved: Alert) -> None:
    ended_now = judged(event("v3", at=NOW + 20 * MINUTE), matching=False)
    benign = replace(resolved, close_reason=changes.CloseReason.BENIGN)
    assert step(ended_now, benign).alerts == []
    shut = next(iter(closed(decision_state(opened)).alerts.values()))
    decision = step(ended_now, shut)
    assert (the_alert(decision).status, told_of(decision)) == (AlertStatus.RESOLVED, [])
    unheard = replace(opened, to_be_told=False)
    assert told_of(step(ended_now, unheard)) == [], "nobody hears of the end of what nobody heard of"


def test_a_rule_that_failed_or_was_not_asked_about_a_record_ends_no_alert(opened: Alert) -> None:
    found = judged(event("v2", at=NOW + MINUTE), matching=False)
    error = RuleError(rule=RULE, type="KeyError", message="x", events=found.events)
    failed = step(replace(found, errors=[error]), opened)
    assert {each.id for each in failed.alerts}.isdisjoint({opened.id})
    for rule_id in (RULE.id, ""):
        left = UnjudgedEvents(rule_id=rule_id, reason="time used up", events=found.events)
        assert step(replace(found, unjudged=[left]), opened).alerts == []
    assert the_alert(step(found, opened)).status is AlertStatus.RESOLVED


def test_that_a_rule_is_suspended_is_told_and_leaves_no_row_unjudged_by_itself() -> None:
    error = RuleError(rule=RULE, type=SUSPENDED, message="it kept failing", events=[event("v1")])
    decision = step(Judgement(events=error.events, rules={RULE.id: RULE}, errors=[error]), None)
    assert (told_of(decision), decision.unjudged) == ([Happened.OPENED], [])


def test_an_error_counts_its_events_and_shows_what_is_told_of_it() -> None:
    def fails(row: str, source: str, count: int) -> Judgement:
        events = [replace(event(f"{row}{n}"), source_id=source, source_label=source) for n in range(count)]
        error = RuleError(rule=WINDOW, type="KeyError", message=row, events=events)
        return Judgement(events=events, rules={"window": WINDOW}, errors=[error])

    told, state = played((fails("a", "quiet", 2), MAINTENANCE), fails("b", "loud", 3))
    assert [len(each) for each in told] == [0, 1]
    (alert,) = state.alerts.values()
    assert (alert.matches, alert.source_id, alert.description) == (5, "loud", "KeyError: b")


def test_the_instants_of_events_are_the_first_and_the_last_in_whatever_order_they_come() -> None:
    _, state = played(*(one(f"v{at}", at=NOW - at * MINUTE) for at in (5, 9, 2, 7)))
    (alert,) = state.alerts.values()
    assert (alert.first_event_us, alert.last_event_us) == (NOW - 9 * MINUTE, NOW - 2 * MINUTE)


def test_a_rule_that_wants_nobody_told_of_a_match_goes_before_its_own_destinations() -> None:
    named = replace(WINDOW, about=replace(WINDOW.about, output_ids=("ops",)))
    for said, kept in ((None, ("ops",)), ((), ()), (("boss",), ("boss",))):
        (match,) = one("v1", rule=named).matches
        judged_so = replace(
            one("v1", rule=named), matches=[replace(match, verdict=replace(match.verdict, destinations=said))]
        )
        (alert,) = step(judged_so, None).alerts
        assert alert.destinations == kept


@pytest.mark.parametrize(
    ("at", "observed", "tells", "late"),
    [
        (0, 0, 1, False),  # the instant of the set-up is after it
        (-1, 0, 0, False),
        (10, 10 + 7 * 24 * 60, 1, False),  # as old as news may be
        (10, 11 + 7 * 24 * 60, 1, True),
        (100, 101, 1, True),  # the first instant of a gap
        (200, 201, 1, False),  # its end
    ],
)
def test_news_is_told_apart_from_history_and_from_what_was_read_late(
    at: int, observed: int, tells: int, late: bool
) -> None:
    stream = Onboarding(since_us=NOW, gap=(NOW + 100 * MINUTE, NOW + 200 * MINUTE))
    found = replace(event("v1", at=NOW + at * MINUTE), observed_us=NOW + observed * MINUTE)
    state = DecisionState(streams={("s", "Wiz.Issues"): stream})
    decision = decide(judged(found), state, POLICY, NOW + observed * MINUTE)
    assert len(decision.tellings) == tells
    assert any("read late" in each.title for each in decision.alerts) is late


def test_a_mute_by_the_title_of_what_was_read_late_mutes_it() -> None:
    policy = replace(
        POLICY, again=News.OLD, suppressed=lambda alert, _now_us: "m" if "read late" in alert.title else None
    )
    decision = step(one("v1"), None, policy=policy)
    assert (told_of(decision), [each.alerts for each in decision.limits]) == ([], [0]), "it uses up no room"


def test_what_holds_the_rest_of_an_hour_can_be_muted_by_its_title() -> None:
    plain = replace(BURSTS, about=replace(BURSTS.about, threshold=1))
    many = [(f"n{n}", f"{n}") for n in range(MOST_ALERTS_AN_HOUR + 1)]
    _, state = played(bursts(*many, rule=plain))
    (rest,) = (each.id for each in state.alerts.values() if "more than" in each.title)
    muted = replace(POLICY, suppressed=lambda alert, _now_us: "m" if "more than" in alert.title else None)
    more = bursts(("w", "more"), rule=plain)
    unheard = replace(state, alerts={**state.alerts, rest: replace(state.alerts[rest], to_be_told=False)})
    decision = decide(more, unheard, muted, NOW + MINUTE)
    assert (decision.tellings, decision.timeline) == ([], []), "its timeline has said so"
    # Who heard of it, and that it was over, is to hear after the mute that it is not.
    back = decide(more, over(state), muted, NOW + MINUTE)
    assert [(each.happened, each.alert_id) for each in back.tellings if each.alert_id == rest] == [
        (Happened.REOPENED, rest)
    ]
    never = replace(unheard, alerts={**unheard.alerts, rest: ended(unheard.alerts[rest], NOW)})
    back = decide(more, never, muted, NOW + MINUTE)
    assert [each.what for each in back.timeline if each.alert_id == rest] == ["reopened", "suppressed"]
