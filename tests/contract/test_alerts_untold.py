"""Why an alert is sent to nobody: what is said of it is so, whatever kept it back."""

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from bookkeeping.alerts import HOUR_US, NOW_US, alert_of, opened
from ocelog.alert.alert import Alert, Telling, TimelineEntry
from ocelog.alert.deciding import DecisionState, Onboarding, Policy, decide
from ocelog.alert.delivery.routing import ChannelRow
from ocelog.alert.delivery.suppressing import Suppression
from ocelog.alert.ids import ONBOARDED
from ocelog.alert.judged import Event, JudgedBy, Judgement, Match
from ocelog.alert.notice import AlertType, Happened
from ocelog.app.alerts.alerts import untold_because
from ocelog.app.rule_folders import rule_folders
from ocelog.detect.evaluate import Verdict
from ocelog.detect.rule import About, Place
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.rows import alerts as rows
from ocelog.model import Severity

KEEPER = JudgedBy(about=About(id="rule", place=Place("rule.yml", 1), lives_with_record=True), revision="1")
EVENT = Event(
    row_id="v1",
    log_type="Wiz.Issues",
    source_id="acme",
    source_label="acme",
    event_us=NOW_US,
    version_us=NOW_US,
    observed_us=NOW_US,
    record_id="i1",
    latest=True,
)


@pytest.fixture(autouse=True)
def least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule_folders, "threshold", lambda *_: 5)


def why(ledger: Ledger, alert: Alert, *timeline: TimelineEntry) -> str:
    opened(ledger, replace(alert, revision=0))
    with ledger._database.write() as tx:
        rows.add_to_timeline(tx, timeline)
    found = ledger.alerts.details(alert.id)
    assert found is not None
    installation: Any = SimpleNamespace(ledger=ledger)
    return str(untold_because(installation, found))


def entry(what: str, detail: str) -> TimelineEntry:
    return TimelineEntry(alert_id=alert_of().id, at_us=NOW_US, who="ocelog", what=what, detail=detail)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (replace(EVENT, version_us=NOW_US - 12 * HOUR_US), "no: it was read late: told of in one alert with others"),
        (replace(EVENT, latest=False), "no: its record has changed since"),
        (replace(EVENT, inferred=True), "no: the source does not show its record any more"),
    ],
)
def test_the_alert_of_a_record_says_what_kept_it_back(ledger: Ledger, event: Event, said: str) -> None:
    verdict = Verdict(matched=True, title="t", severity=Severity.HIGH, dedup="t")
    judged = Judgement(
        events=[event], rules={"rule": KEEPER}, matches=[Match(rule=KEEPER, event=event, verdict=verdict)]
    )
    stream = Onboarding(since_us=0, gap=(0, NOW_US - HOUR_US))
    state = DecisionState(streams={("acme", "Wiz.Issues"): stream})
    decision = decide(judged, state, Policy(route=lambda _: ("ops",)), NOW_US)
    (alert,) = (each for each in decision.alerts if each.record_id is not None)
    with ledger._database.write() as tx:
        assert rows.save(tx, alert)
        rows.add_to_timeline(tx, decision.timeline)
    found = ledger.alerts.details(alert.id)
    assert found is not None
    installation: Any = SimpleNamespace(ledger=ledger)
    assert untold_because(installation, found) == said


def test_one_that_a_mute_kept_back_says_so_when_that_is_over(ledger: Ledger) -> None:
    said = "no: it was muted when it was to be sent"
    error = {"type": AlertType.SYSTEM_ERROR, "rule_id": "SOURCE_NO_DATA"}
    assert why(ledger, alert_of(2, to_be_told=False, **error)) == said
    assert why(ledger, alert_of(1, to_be_told=False), entry("untold", "ops: it is muted")) == said
    until_us = 4_000_000_000_000_000
    ledger.alerts.suppress(
        Suppression(id="m", rule=None, owner="bob", reason="moving", since_us=1, until_us=until_us, added_us=1)
    )
    assert "maintenance m of bob" in why(ledger, alert_of(3, to_be_told=False, **error))


def test_one_of_a_window_says_how_far_from_its_threshold_it_is(ledger: Ledger) -> None:
    said = "no: below the threshold of its rule, 3 of 5 matches so far"
    assert why(ledger, alert_of(1, to_be_told=False, matches=3)) == said


def test_that_nothing_was_there_when_a_source_was_added_is_not_below_a_threshold(ledger: Ledger) -> None:
    found = why(ledger, alert_of(1, to_be_told=False, matches=0, rule_id=ONBOARDED))
    assert found == "no: nothing that rules look for was open when its source was added"


def test_what_was_under_way_to_a_channel_that_was_removed_was_given_up_for_none(ledger: Ledger) -> None:
    alert = alert_of(1)
    opened(ledger, replace(alert, revision=0))
    ledger.channels.add(ChannelRow(id="ops", name="ops", kind="file", added_us=1))
    telling = Telling(alert_id=alert.id, channel_id="ops", happened=Happened.OPENED, due_us=NOW_US)
    with ledger._database.write() as tx:
        rows.add_tellings(tx, [telling], NOW_US)
    claim = ledger.delivery.take("ops", "home/one")
    assert claim is not None
    for _ in range(2):
        # Whoever had it first was killed.
        ledger.delivery.hand(claim)
    ledger.channels.remove("ops")
    found = ledger.alerts.details(alert.id)
    assert found is not None
    assert found.attempts
    installation: Any = SimpleNamespace(ledger=ledger)
    said = str(untold_because(installation, found))
    assert said == "no: there is no channel. Add one: ocelog channel add --help"
