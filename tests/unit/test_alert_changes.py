"""What becomes of an alert when a person works with it."""

from typing import Any

import pytest
from msgspec.structs import replace

from ocelog.alert import changes
from ocelog.alert.alert import RULE_OFF, SOURCE_REMOVED, Alert
from ocelog.alert.changes import Change, CloseReason
from ocelog.alert.notice import AlertStatus, Happened
from ocelog.errors import ConfigError
from ocelog.model import Severity

THEN, NOW = 1_780_000_000_000_000, 1_780_000_060_000_000


def alert(**more: Any) -> Alert:
    found = Alert(
        id="a", severity=Severity.HIGH, title="t", rule_id="r", to_be_told=True, opened_us=THEN, updated_us=THEN
    )
    return replace(found, **more)


def done(act: changes.Act, before: Alert) -> Change:
    change = act(before, NOW)
    assert change is not None
    assert change.alert.updated_us == change.entry.at_us == NOW
    assert change.entry.alert_id == before.id
    return change


@pytest.mark.parametrize(
    ("act", "what", "detail"),
    [
        (changes.assign("bob", who="ann"), "assigned", "to bob"),
        (changes.comment(" looks odd\n", who="ann"), "comment", "looks odd"),
        (changes.triage(who="ann"), "triaged", ""),
    ],
)
def test_the_first_that_somebody_does_acknowledges_an_alert(act: changes.Act, what: str, detail: str) -> None:
    change = done(act, alert())
    assert (change.entry.who, change.entry.what, change.entry.detail) == ("ann", what, detail)
    assert (change.alert.acknowledged_us, change.happened) == (NOW, Happened.ACKNOWLEDGED)
    again = done(changes.comment("more", who="bob"), change.alert)
    assert (again.alert.acknowledged_us, again.happened) == (NOW, None)
    late = act(alert(acknowledged_us=THEN), NOW)
    assert late is not None
    assert (late.alert.acknowledged_us, late.happened) == (THEN, None)


def test_what_is_so_already_changes_nothing() -> None:
    assert changes.assign("bob", who="ann")(alert(assignee="bob"), NOW) is None
    assert changes.assign(None, who="ann")(alert(), NOW) is None
    assert changes.triage(who="ann")(alert(status=AlertStatus.TRIAGED), NOW) is None
    assert changes.reopen(who="ann")(alert(status=AlertStatus.TRIAGED), NOW) is None
    assert changes.resolve("gone")(alert(status=AlertStatus.CLOSED), NOW) is None
    closed = alert(status=AlertStatus.CLOSED, close_reason="benign", ended_us=THEN)
    assert changes.close(CloseReason.BENIGN, who="ann")(closed, NOW) is None


def test_an_assignee_can_be_taken_away() -> None:
    change = done(changes.assign(None, who="ann"), alert(assignee="bob"))
    assert (change.alert.assignee, change.entry.what, change.entry.detail) == (None, "unassigned", "was bob")


def test_closing_says_why_and_is_told() -> None:
    change = done(changes.close(CloseReason.FALSE_POSITIVE, "a test", who="ann"), alert(status=AlertStatus.TRIAGED))
    after = change.alert
    assert (after.status, after.close_reason, after.ended_us) == (AlertStatus.CLOSED, "false_positive", NOW)
    assert not after.is_open
    assert change.happened is Happened.CLOSED
    assert change.note == "by ann: false_positive: a test"


@pytest.mark.parametrize("status", [AlertStatus.CLOSED, AlertStatus.RESOLVED])
def test_one_that_is_over_stays_as_it_is_and_gets_a_reason_which_is_not_told(status: AlertStatus) -> None:
    over = alert(status=status, ended_us=THEN)
    change = done(changes.close(CloseReason.BENIGN, who="ann"), over)
    assert (change.alert.status, change.alert.ended_us, change.alert.close_reason) == (status, THEN, "benign")
    assert (change.entry.what, change.entry.detail, change.happened) == ("classified", "benign", None)
    other = done(changes.close(CloseReason.DUPLICATE, who="bob"), change.alert)
    assert (other.alert.status, other.alert.close_reason, other.happened) == (status, "duplicate", None)
    assert changes.close(CloseReason.DUPLICATE, who="bob")(other.alert, NOW) is None


@pytest.mark.parametrize("why", [RULE_OFF, SOURCE_REMOVED])
@pytest.mark.parametrize(("record", "becomes"), [("i1", AlertStatus.CLOSED), (None, AlertStatus.RESOLVED)])
def test_one_whose_record_may_still_be_so_is_closed(why: str, record: str | None, becomes: AlertStatus) -> None:
    over = alert(status=AlertStatus.RESOLVED, ended_us=THEN, close_reason=why, record_id=record)
    change = done(changes.close(CloseReason.BENIGN, who="ann"), over)
    assert (change.alert.status, change.alert.close_reason, change.happened) == (becomes, "benign", None)


@pytest.mark.parametrize("status", [AlertStatus.CLOSED, AlertStatus.RESOLVED])
def test_what_is_reopened_is_as_if_opened_now(status: AlertStatus) -> None:
    before = alert(status=status, ended_us=THEN, close_reason="benign", told_severity=Severity.CRITICAL, assignee="bob")
    change = done(changes.reopen(who="ann"), replace(before, acknowledged_us=THEN))
    after = change.alert
    assert (after.status, after.opened_us, after.ended_us, after.close_reason) == (AlertStatus.OPEN, NOW, None, None)
    assert (after.told_severity, after.told_us, after.assignee) == (Severity.HIGH, NOW, "bob")
    assert after.acknowledged_us is None, "it escalates if nobody looks at it again"
    assert change.happened is Happened.REOPENED


def test_what_nobody_heard_of_is_not_noted_as_told_when_it_is_reopened() -> None:
    before = alert(status=AlertStatus.CLOSED, ended_us=THEN, to_be_told=False)
    assert done(changes.reopen(who="ann"), before).alert.told_us is None


def test_a_comment_on_what_is_over_wakes_nobody_up() -> None:
    change = done(changes.comment("for the record", who="ann"), alert(status=AlertStatus.RESOLVED, ended_us=THEN))
    assert change.happened is None


def test_what_is_over_is_not_triaged() -> None:
    with pytest.raises(ConfigError, match="ocelog alerts reopen a"):
        changes.triage(who="ann")(alert(status=AlertStatus.RESOLVED), NOW)


def test_an_end_that_no_person_brought_is_not_taken_for_notice() -> None:
    change = done(changes.resolve("its source was removed"), alert())
    assert (change.alert.status, change.alert.ended_us) == (AlertStatus.RESOLVED, NOW)
    assert change.alert.acknowledged_us is None
    assert (change.entry.who, change.happened) == ("ocelog", Happened.RESOLVED)


@pytest.mark.parametrize("text", ["", "  \n", "x" * 4_001])
def test_a_comment_has_words_and_a_bound(text: str) -> None:
    with pytest.raises(ConfigError, match="A comment"):
        changes.comment(text, who="ann")
