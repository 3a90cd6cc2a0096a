"""System errors become alerts: opened once, told again while they last, resolved, and opened anew."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert, select

from bookkeeping.records import NOW, Clock, source_row
from ocelog.alert.alert import Alert
from ocelog.alert.changes import CloseReason, close
from ocelog.alert.delivery.suppressing import Suppression
from ocelog.alert.ids import system_alert_id
from ocelog.alert.notice import AlertStatus, AlertType
from ocelog.app.loops import loop_alerts
from ocelog.app.loops.health import AlertedErrors
from ocelog.app.rule_folders import rule_troubles
from ocelog.detect.folders import RuleFolder
from ocelog.health.telling import ErrorNotice, ErrorType, OpenError, StreamName, Turn
from ocelog.ledger import tables
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.rows.alerts import alert_of
from ocelog.model import HANGING, STALLED
from ocelog.times import to_us

STREAM = StreamName(source="prod", source_id="acme", log_type="Wiz.Audit")


@pytest.fixture
def listened(ledger: Ledger) -> Ledger:
    """Return a ledger with a source, and one channel that hears of everything."""
    ledger.sources.add(source_row("acme"))
    with ledger._database.write() as tx:
        tx.execute(
            insert(tables.channels).values(
                id="c", name="c", kind="stdout", settings={}, routing={}, paused=False, added_us=0
            )
        )
    return ledger


def notice(turn: Turn, at: datetime, opened: datetime = NOW, times: int = 1) -> ErrorNotice:
    error = OpenError(stream=STREAM, type=ErrorType.NO_DATA, opened=opened, told=at, times=times)
    return ErrorNotice(turn=turn, error=error, text="for 24 h")


def alert(ledger: Ledger) -> Alert:
    with ledger._database.read() as tx:
        (row,) = tx.execute(select(tables.alerts)).mappings()
        return alert_of(row)


def heard(ledger: Ledger) -> list[str]:
    with ledger._database.read() as tx:
        return list(tx.execute(select(tables.outbox.c.happened).order_by(tables.outbox.c.id)).scalars())


def test_a_system_error_is_one_alert_from_its_opening_to_its_end_and_again(listened: Ledger) -> None:
    errors = AlertedErrors(listened)
    errors.raise_(notice(Turn.OPENED, NOW))
    found = alert(listened)
    assert found.id == system_alert_id("SOURCE_NO_DATA", notice(Turn.OPENED, NOW).error.key)
    assert (found.type, found.status, found.rule_id) == (AlertType.SYSTEM_ERROR, AlertStatus.OPEN, "SOURCE_NO_DATA")
    errors.raise_(notice(Turn.REPEATED, NOW + timedelta(hours=4), times=2))
    errors.resolve(notice(Turn.RECOVERED, NOW + timedelta(hours=5)))
    assert alert(listened).status is AlertStatus.RESOLVED
    later = NOW + timedelta(days=2)
    errors.raise_(notice(Turn.OPENED, later, opened=later))
    assert alert(listened).status is AlertStatus.OPEN
    assert heard(listened) == ["opened", "escalated", "resolved", "reopened"]


def test_what_a_person_closed_stays_closed_until_it_is_told_again(listened: Ledger) -> None:
    errors = AlertedErrors(listened)
    errors.raise_(notice(Turn.OPENED, NOW))
    listened.alerts.change([alert(listened).id], close(CloseReason.BENIGN, who="ann"))
    errors.resolve(notice(Turn.RECOVERED, NOW + timedelta(hours=1)))
    assert (alert(listened).status, alert(listened).close_reason) == (AlertStatus.CLOSED, "benign")
    assert heard(listened) == ["opened", "closed"]
    errors.raise_(notice(Turn.REPEATED, NOW + timedelta(hours=4), times=2))
    assert alert(listened).status is AlertStatus.OPEN
    assert heard(listened) == ["opened", "closed", "reopened"]


@pytest.mark.parametrize("during", ["work", HANGING, STALLED])
def test_people_hear_once_of_a_loop_that_does_not_work_for_an_hour_and_that_it_does(
    listened: Ledger, clock: Clock, during: str
) -> None:
    listened.lake.loop_failed("detect", during, code="loop_stalls", reason="it comes no further")
    loop_alerts.tell(listened, {"detect"})
    # What hangs or stalls is noted after an hour; what fails may work a moment later.
    assert heard(listened) == ([] if during == "work" else ["opened"])
    clock.now += timedelta(hours=1)
    # An earlier process noted it: whether it works is not known yet.
    loop_alerts.tell(listened, set())
    assert heard(listened) == ([] if during == "work" else ["opened"])
    for _ in range(2):
        loop_alerts.tell(listened, {"detect"})
    found = alert(listened)
    assert (found.type, found.rule_id, found.dedup) == (AlertType.SYSTEM_ERROR, "LOOP_FAILING", "detect")
    assert found.description == "it comes no further"
    listened.lake.loop_well("detect", during)
    for _ in range(2):
        loop_alerts.tell(listened, set())
    assert heard(listened) == ["opened", "resolved"]
    assert alert(listened).status is AlertStatus.RESOLVED


def test_a_loop_whose_alert_a_person_closed_is_told_of_once_it_fails_anew(listened: Ledger, clock: Clock) -> None:
    listened.lake.loop_failed("detect", "work", code="unexpected", reason="it failed")
    clock.now += timedelta(hours=1)
    loop_alerts.tell(listened, {"detect"})
    listened.alerts.change([alert(listened).id], close(CloseReason.BENIGN, who="ann"))
    for _ in range(2):
        clock.now += timedelta(minutes=1)
        listened.lake.loop_failed("detect", "work", code="unexpected", reason="it failed once more")
        loop_alerts.tell(listened, {"detect"})
    assert (alert(listened).status, heard(listened)) == (AlertStatus.CLOSED, ["opened", "closed"])
    listened.lake.loop_well("detect", "work")
    loop_alerts.tell(listened, set())
    assert (alert(listened).status, heard(listened)) == (AlertStatus.CLOSED, ["opened", "closed"])
    listened.lake.loop_failed("detect", "work", code="unexpected", reason="it failed")
    clock.now += timedelta(hours=1)
    loop_alerts.tell(listened, {"detect"})
    assert (alert(listened).status, heard(listened)) == (AlertStatus.OPEN, ["opened", "closed", "reopened"])


def test_files_whose_alert_a_person_closed_are_told_of_once_they_are_wrong_anew(listened: Ledger) -> None:
    folder = RuleFolder(id="mine", name="mine", path="/rules")
    wrong = {"a.yml": "a.yml:1: it does not read"}
    rule_troubles.tell(listened, folder, wrong)
    listened.alerts.change([alert(listened).id], close(CloseReason.BENIGN, who="ann"))
    rule_troubles.tell(listened, folder, wrong)
    for _ in range(2):
        rule_troubles.tell(listened, folder, {})
    assert (alert(listened).status, heard(listened)) == (AlertStatus.CLOSED, ["opened", "closed"])
    rule_troubles.tell(listened, folder, wrong)
    assert (alert(listened).status, heard(listened)) == (AlertStatus.OPEN, ["opened", "closed", "reopened"])


def test_a_loop_that_hangs_is_told_of_though_it_failed_otherwise_a_moment_before(
    listened: Ledger, clock: Clock
) -> None:
    listened.lake.loop_failed("detect", "work", code="unexpected", reason="it failed")
    clock.now += timedelta(minutes=1)
    listened.lake.loop_failed("detect", HANGING, code="loop_stalls", reason="it hangs")
    loop_alerts.tell(listened, {"detect"})
    assert (heard(listened), alert(listened).description) == (["opened"], "it hangs")


def test_a_loop_that_fails_amid_a_mute_is_noted_once(listened: Ledger) -> None:
    until_us = to_us(NOW + timedelta(hours=1))
    listened.alerts.suppress(
        Suppression(id="m", rule=None, owner="ann", reason="moving", since_us=0, until_us=until_us, added_us=0)
    )
    listened.lake.loop_failed("detect", HANGING, code="loop_stalls", reason="it hangs")
    for _ in range(3):
        loop_alerts.tell(listened, {"detect"})
    assert (heard(listened), alert(listened).matches) == ([], 1)


def test_what_was_told_before_a_crash_is_not_told_twice(listened: Ledger) -> None:
    errors = AlertedErrors(listened)
    for minutes in range(2):
        # After a crash it is found anew, at another time.
        errors.raise_(notice(Turn.OPENED, NOW + timedelta(minutes=minutes)))
    for _ in range(2):
        errors.raise_(notice(Turn.REPEATED, NOW + timedelta(minutes=30), times=2))
    for _ in range(2):
        errors.resolve(notice(Turn.RECOVERED, NOW + timedelta(hours=1)))
    assert heard(listened) == ["opened", "escalated", "resolved"]


@pytest.mark.parametrize("crashed", [False, True])
def test_what_is_muted_is_an_alert_that_nobody_hears_of_until_the_window_is_over(
    listened: Ledger, crashed: bool
) -> None:
    errors = AlertedErrors(listened)
    listened.alerts.suppress(
        Suppression(
            id="m",
            rule=None,
            owner="ann",
            reason="moving",
            since_us=to_us(NOW) - 1,
            until_us=to_us(NOW + timedelta(hours=1)),
            added_us=0,
        )
    )
    errors.raise_(notice(Turn.OPENED, NOW))
    assert not alert(listened).to_be_told
    assert heard(listened) == []
    details = listened.alerts.details(alert(listened).id)
    assert details is not None
    assert [(each.what, each.detail) for each in details.timeline] == [("opened", "for 24 h")]
    # After a crash it is found anew, or it is told again.
    turn, times = (Turn.OPENED, 1) if crashed else (Turn.REPEATED, 2)
    errors.raise_(notice(turn, NOW + timedelta(hours=4), times=times))
    errors.resolve(notice(Turn.RECOVERED, NOW + timedelta(hours=5)))
    assert heard(listened) == ["opened", "resolved"], "nobody had heard of it"
