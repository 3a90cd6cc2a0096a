"""What is delivered next, in which order, and what becomes of it: on both databases."""

import random
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, RowMapping, create_engine, event, insert, select, update

from bookkeeping.crashes import Crash, before_statement, crash_everywhere, crashing_at
from bookkeeping.races import done_or_waiting, written
from bookkeeping.records import Clock, source_row
from ocelog.alert import changes
from ocelog.alert.alert import Alert, Telling
from ocelog.alert.delivery.delivering import (
    BEHIND_AFTER,
    MOST_BEHIND,
    MOST_TRIES,
    DeliveryDelay,
    DeliveryRefusal,
    DeliverySuccess,
    OutgoingMessage,
    Wait,
    notice_of,
)
from ocelog.alert.delivery.routing import ChannelRow, Route, Routing
from ocelog.alert.delivery.suppressing import Suppression
from ocelog.alert.ids import DELIVERY_ERROR, failure_id
from ocelog.alert.notice import AlertStatus, AlertType, Happened
from ocelog.errors import LostFenceError
from ocelog.ledger import delivery, tables
from ocelog.ledger.alerts import AlertLedger
from ocelog.ledger.delivery import DeliveryLedger
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.rows import alerts, outbox
from ocelog.model import Claim, Severity
from ocelog.quiet_hours import QuietHours, read_quiet_hours
from ocelog.times import to_us

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
LATER = DeliveryDelay(answer="503", code="channel_unavailable")


def channel(name: str = "ops", **how: object) -> ChannelRow:
    return ChannelRow(id=name, name=name, kind="file", routing=Routing(**how), added_us=1)  # type: ignore[arg-type] # as the test gives it


class Desk:
    """Alerts and channels of one ledger, with short ways to change them."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self.ledger, self.clock = ledger, clock
        self.delivery = DeliveryLedger(ledger._database, lambda: to_us(clock()), jitter=lambda: 0.0)

    @property
    def now_us(self) -> int:
        return to_us(self.clock())

    def tell(
        self,
        name: str,
        happened: Happened,
        *channels: str,
        later: timedelta = timedelta(0),
        note: str = "",
        decided_us: int | None = None,
        **changes: object,
    ) -> Alert:
        """Change an alert, and put into the outbox what happened, to be told when it was decided or `later`."""
        due_us = (self.now_us if decided_us is None else decided_us) + later // timedelta(microseconds=1)
        with self.ledger._database.write() as tx:
            before = alerts.of_ids(tx, [name]).get(name) or Alert(
                id=name,
                severity=Severity.HIGH,
                title=f"about {name}",
                rule_id="r",
                to_be_told=True,
                told_us=self.now_us,
                opened_us=self.now_us,
                updated_us=self.now_us,
            )
            assert alerts.save(tx, replace(before, updated_us=self.now_us, **changes))
            tellings = [
                Telling(
                    alert_id=name,
                    channel_id=each,
                    happened=happened,
                    note=note,
                    due_us=due_us,
                    decided_us=decided_us,
                )
                for each in channels
            ]
            alerts.add_tellings(tx, tellings, self.now_us)
            return alerts.of_ids(tx, [name])[name]

    def take(self, channel_id: str = "ops") -> Claim:
        claim = self.delivery.take(channel_id, "home/one")
        assert claim is not None
        return claim

    def hand(self, claim: Claim) -> OutgoingMessage:
        handed = self.delivery.hand(claim)
        assert isinstance(handed, OutgoingMessage)
        return handed

    def happened(self, claim: Claim) -> list[tuple[str, Happened, int]]:
        """Deliver all that is due; return (alert, what happened, entries) of each message."""
        found = list[tuple[str, Happened, int]]()
        while isinstance(handed := self.delivery.hand(claim), OutgoingMessage):
            notice = notice_of(handed, str(handed.number), self.now_us)
            found.append((notice.alert_id, notice.happened, notice.merged))
            self.delivery.settle(claim, handed, DeliverySuccess(answer="200"))
        return found

    def alert(self, name: str) -> Alert | None:
        with self.ledger._database.read() as tx:
            return alerts.of_ids(tx, [name]).get(name)

    def attempts(self) -> list[tuple[str, str, bool, bool]]:
        """Return (alert, channel, delivered, final) of each attempt."""
        d = tables.deliveries.c
        with self.ledger._database.read() as tx:
            rows = tx.execute(select(d.alert_id, d.channel_id, d.delivered, d.final).order_by(d.id))
            return [tuple(row) for row in rows]

    def waiting(self) -> list[tuple[str, str, str]]:
        """Return (alert, channel, what happened) of each entry of the outbox."""
        o = tables.outbox.c
        with self.ledger._database.read() as tx:
            return [tuple(row) for row in tx.execute(select(o.alert_id, o.channel_id, o.happened).order_by(o.id))]


@pytest.fixture
def desk(ledger: Ledger, clock: Clock) -> Desk:
    return Desk(ledger, clock)


def test_what_waits_for_one_alert_is_one_message_that_shows_it_as_it_is_now(desk: Desk) -> None:
    desk.ledger.channels.add(channel())
    desk.tell("a", Happened.OPENED, "ops")
    desk.tell("b", Happened.OPENED, "ops")
    desk.tell("a", Happened.RESOLVED, "ops", status=AlertStatus.RESOLVED)
    claim = desk.take()
    assert desk.happened(claim) == [("a", Happened.RESOLVED, 2), ("b", Happened.OPENED, 1)]
    assert desk.delivery.hand(claim) == Wait(until_us=None)
    assert desk.attempts() == [("a", "ops", True, True), ("b", "ops", True, True)]


def test_an_alert_that_comes_and_goes_while_its_channel_is_dead_fills_no_queue(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    claim, most = desk.take(), 0
    desk.tell("a", Happened.OPENED, "ops")
    desk.tell("b", Happened.OPENED, "ops")
    for number in range(100):
        status = (AlertStatus.RESOLVED, AlertStatus.OPEN)[number % 2]
        what = (Happened.RESOLVED, Happened.REOPENED)[number % 2]
        desk.tell("a", what, "ops", status=status, later=30 * MINUTE if number % 4 == 3 else timedelta())
        most = max(most, len(desk.waiting()))
        clock.now += MINUTE
        if isinstance(handed := desk.delivery.hand(claim), OutgoingMessage) and number < 90:
            desk.delivery.settle(claim, handed, LATER)
    # Of each that says the same two, those that are under way besides.
    assert most <= 15
    assert desk.waiting()[0] == ("a", "ops", "opened")
    assert desk.waiting()[-1] == ("a", "ops", "reopened")
    # What is under way stays as it was handed out, and is told once.
    clock.now += 2 * HOUR
    told = desk.happened(claim)
    assert next(each[:2] for each in told if each[0] == "a") == ("a", Happened.OPENED)
    assert {each[0] for each in told} == {"a", "b"}
    assert desk.waiting() == []


def test_what_is_under_way_goes_on_and_what_says_the_same_comes_after_it(desk: Desk) -> None:
    desk.ledger.channels.add(channel())
    claim = desk.take()
    for _ in range(2):
        desk.tell("a", Happened.REOPENED, "ops")
    handed = desk.hand(claim)
    for _ in range(3):
        desk.tell("a", Happened.REOPENED, "ops")
    assert desk.hand(claim).entries == handed.entries
    desk.delivery.settle(claim, handed, DeliverySuccess())
    assert desk.happened(claim) == [("a", Happened.REOPENED, 2)]


@pytest.mark.postgresql
@pytest.mark.parametrize("statement", ["UPDATE outbox SET handed", "alerts.context"])
def test_what_is_just_being_handed_out_is_left_to_that_message(
    postgresql: Callable[[], str], clock: Clock, statement: str
) -> None:
    address = postgresql()
    one, other = Ledger.open(address, durable=False, now=clock), Ledger.open(address, durable=False, now=clock)
    desk, judge = Desk(one, clock), Desk(other, clock)
    one.channels.add(channel())
    claim = desk.take()
    for _ in range(2):
        desk.tell("a", Happened.REOPENED, "ops")

    def tell() -> None:
        judge.tell("a", Happened.REOPENED, "ops")

    with before_statement(one, statement, tell):
        handed = desk.hand(claim)
    assert [len(own) for own in handed.entries.values()] == [2]
    desk.delivery.settle(claim, handed, DeliverySuccess())
    assert desk.happened(claim) == [("a", Happened.REOPENED, 1)]
    one.close()
    other.close()


def test_a_channel_that_takes_a_test_fails_no_more_and_is_tried_at_once(desk: Desk, clock: Clock) -> None:
    for name in ("ops", "boss"):
        desk.ledger.channels.add(channel(name))
    desk.tell("gone", Happened.OPENED, "ops")
    claim = desk.take()
    desk.delivery.settle(claim, desk.hand(claim), DeliveryRefusal(answer="401", code="channel_refused"))
    desk.tell("a", Happened.OPENED, "ops")
    for _ in range(3):
        desk.delivery.settle(claim, desk.hand(claim), LATER)
        clock.now += HOUR / 4
    desk.delivery.settle(claim, desk.hand(claim), LATER)
    assert isinstance(desk.delivery.hand(claim), Wait)
    assert [each.id for each in desk.ledger.channels.failing()] == ["ops"]
    desk.delivery.works("ops")
    status = next(each for each in desk.ledger.channels.statuses() if each.channel.id == "ops")
    assert (status.failures, status.trouble, status.failing_us, status.rests_until_us) == (0, None, None, None)
    assert desk.ledger.channels.failing() == []
    error = desk.alert(failure_id("ops"))
    assert error is not None
    assert error.status is AlertStatus.RESOLVED
    assert list(desk.hand(claim).entries) == ["a"]
    desk.delivery.works("gone")


def test_the_worst_severity_is_told_first_and_within_one_the_oldest(desk: Desk) -> None:
    desk.ledger.channels.add(channel())
    for name, severity in (
        ("low one", Severity.LOW),
        ("high one", Severity.HIGH),
        ("low two", Severity.LOW),
        ("info", Severity.INFO),
        ("medium", Severity.MEDIUM),
        ("critical", Severity.CRITICAL),
        ("high two", Severity.HIGH),
    ):
        desk.tell(name, Happened.OPENED, "ops", severity=severity)
    # It got worse meanwhile: what counts is how it is now. Its entries go together, as ever.
    desk.tell("low two", Happened.ESCALATED, "ops", severity=Severity.CRITICAL)
    order = ["low two", "critical", "high one", "high two", "medium", "low one", "info"]
    assert [name for name, _, _ in desk.happened(desk.take())] == order


def test_a_digest_is_of_the_worst_if_not_all_go_into_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocelog.ledger.delivery.MOST_IN_DIGEST", 2)
    desk.ledger.channels.add(channel(per_hour=1))
    for name, severity in (("a", Severity.LOW), ("b", Severity.LOW), ("c", Severity.HIGH), ("d", Severity.CRITICAL)):
        desk.tell(name, Happened.OPENED, "ops", severity=severity)
    assert list(desk.hand(desk.take()).entries) == ["d", "c"]


def test_a_day_of_waiting_counts_as_one_severity_so_that_nothing_waits_for_ever(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    desk.tell("old", Happened.OPENED, "ops", severity=Severity.LOW)
    clock.now += 2 * 24 * HOUR
    desk.tell("new", Happened.OPENED, "ops", severity=Severity.CRITICAL)
    desk.tell("high", Happened.OPENED, "ops", severity=Severity.HIGH)
    claim = desk.take()
    first = desk.hand(claim)
    assert list(first.entries) == ["new"]
    desk.delivery.settle(claim, first, DeliverySuccess(answer="200"))
    # After two days it is as one that is HIGH, and older.
    second = desk.hand(claim)
    assert list(second.entries) == ["old"]
    # Whoever sends the worst without end holds it up for no longer than that.
    desk.delivery.settle(claim, second, LATER)
    clock.now += 24 * HOUR
    desk.tell("newer", Happened.OPENED, "ops", severity=Severity.CRITICAL)
    assert list(desk.hand(claim).entries) == ["old"]


def test_a_clock_that_was_set_back_leaves_the_order_by_severity(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    desk.tell("critical", Happened.OPENED, "ops", severity=Severity.CRITICAL)
    clock.now -= 30 * 24 * HOUR
    desk.tell("low", Happened.OPENED, "ops", severity=Severity.LOW)
    assert [name for name, _, _ in desk.happened(desk.take())] == ["critical", "low"]


def test_a_message_that_was_handed_out_is_handed_out_again_as_it_was(desk: Desk, other: Ledger) -> None:
    desk.ledger.channels.add(channel())
    desk.tell("a", Happened.OPENED, "ops")
    first = desk.hand(desk.take())
    desk.tell("a", Happened.RESOLVED, "ops", status=AlertStatus.RESOLVED)
    # The process was killed; the next one of its home lets go of what it held.
    other.delivery.release_home("home")
    claim = desk.take()
    again = desk.hand(claim)
    assert again.number == first.number
    assert [each.happened for each in again.entries["a"]] == [Happened.OPENED]
    desk.delivery.settle(claim, again, DeliverySuccess())
    assert desk.happened(claim) == [("a", Happened.RESOLVED, 1)]


def test_who_has_lost_a_channel_notes_nothing(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    desk.tell("a", Happened.OPENED, "ops")
    stale = desk.take()
    handed = desk.hand(stale)
    assert desk.delivery.take("ops", "elsewhere/two") is None
    clock.now += HOUR
    fresh = desk.delivery.take("ops", "elsewhere/two")
    assert fresh is not None
    with pytest.raises(LostFenceError):
        desk.delivery.settle(stale, handed, DeliverySuccess())
    with pytest.raises(LostFenceError):
        desk.delivery.hand(stale)
    desk.delivery.release(stale)
    assert desk.delivery.take("ops", "third/three") is None
    assert desk.hand(fresh).number == handed.number


def test_a_lease_of_a_clock_that_was_ahead_is_over(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    clock.now += timedelta(days=300)
    desk.take()
    clock.now -= timedelta(days=300)
    assert desk.delivery.take("ops", "elsewhere/two") is not None


@pytest.mark.slow
def test_what_fails_waits_longer_each_time_and_is_given_up_after_ten_tries_within_a_day(
    desk: Desk, clock: Clock
) -> None:
    desk.ledger.channels.add(channel())
    desk.ledger.channels.add(channel("boss", route=Route(types=frozenset({AlertType.SYSTEM_ERROR}))))
    desk.tell("a", Happened.OPENED, "ops")
    claim, began, waits = desk.take(), clock.now, list[timedelta]()
    handed: OutgoingMessage | Wait = desk.hand(claim)
    for _ in range(10):
        failed = clock.now
        assert isinstance(handed, OutgoingMessage)
        desk.delivery.settle(claim, handed, LATER)
        waits_still = any(each.channel.id == "ops" for each in desk.delivery.waiting())
        while waits_still and isinstance(handed := desk.delivery.hand(claim), Wait):
            clock.now += max(timedelta(seconds=10), (clock.now - failed) / 20)
            assert handed.until_us is None or handed.until_us > to_us(failed)
        waits.append(clock.now - failed)
    assert waits == [*sorted(waits[:-1]), timedelta(0)]
    assert timedelta(hours=18) < clock.now - began <= timedelta(hours=24)
    assert desk.attempts() == [("a", "ops", False, False)] * 9 + [("a", "ops", False, True)]
    error = desk.alert(failure_id("ops"))
    assert error is not None
    assert (error.type, error.severity, error.rule_id, error.matches) == (
        AlertType.SYSTEM_ERROR,
        Severity.CRITICAL,
        "ALERT_DELIVERY",
        1,
    )
    assert desk.waiting() == [(error.id, "boss", "opened")]


def test_what_waits_to_be_tried_again_holds_back_what_came_after_it(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    desk.tell("a", Happened.OPENED, "ops")
    claim = desk.take()
    desk.delivery.settle(claim, desk.hand(claim), LATER)
    desk.tell("a", Happened.ESCALATED, "ops")
    assert desk.delivery.hand(claim) == Wait(until_us=None)
    clock.now += MINUTE
    assert desk.happened(claim) == [("a", Happened.OPENED, 2)]


def test_what_waited_for_a_day_is_not_given_up_with_a_message_that_failed_alone(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    for name in ("a", "b"):
        desk.tell(name, Happened.OPENED, "ops")
    with desk.ledger._database.write() as tx:
        tx.execute(update(tables.outbox).where(tables.outbox.c.alert_id == "a").values(tries=MOST_TRIES - 1))
    clock.now += 25 * HOUR
    claim = desk.take()
    handed = desk.hand(claim)
    assert list(handed.entries) == ["a"]
    desk.delivery.settle(claim, handed, LATER)
    assert [name for name, to, _ in desk.waiting() if to == "ops"] == ["b"]


def test_no_number_of_a_message_comes_again_after_a_restore(desk: Desk, ledger: Ledger) -> None:
    desk.ledger.channels.add(channel())
    desk.tell("a", Happened.OPENED, "ops")
    claim = desk.take()
    handed = desk.hand(claim)
    desk.delivery.settle(claim, handed, DeliverySuccess())
    ledger.outrun(1_000)
    desk.tell("b", Happened.OPENED, "ops")
    with pytest.raises(LostFenceError):
        desk.delivery.hand(claim)
    assert desk.hand(desk.take()).number > handed.number + 999


def test_one_system_error_tells_of_a_channel_however_much_is_given_up_and_is_over_once_it_works(desk: Desk) -> None:
    desk.ledger.channels.add(channel())
    desk.ledger.channels.add(channel("boss"))
    claim = desk.take()
    for name in ("a", "b", "c"):
        desk.tell(name, Happened.OPENED, "ops")
        desk.delivery.settle(claim, desk.hand(claim), DeliveryRefusal(answer="401", code="channel_refused"))
    assert [each for each in desk.waiting() if each[1] == "boss"] == [(failure_id("ops"), "boss", "opened")]
    error = desk.alert(failure_id("ops"))
    assert error is not None
    assert error.matches == 3
    desk.tell("d", Happened.OPENED, "ops")
    assert desk.happened(claim) == [("d", Happened.OPENED, 1)]
    assert desk.happened(desk.take("boss")) == [(failure_id("ops"), Happened.RESOLVED, 2)]


def test_errors_of_delivery_bring_about_no_errors_of_delivery(desk: Desk) -> None:
    desk.ledger.channels.add(channel())
    desk.ledger.channels.add(channel("boss"))
    desk.tell("a", Happened.OPENED, "ops")
    claim = desk.take()
    desk.delivery.settle(claim, desk.hand(claim), DeliveryRefusal(answer="401", code="channel_refused"))
    boss = desk.take("boss")
    desk.delivery.settle(boss, desk.hand(boss), DeliveryRefusal(answer="404", code="channel_refused"))
    assert desk.alert(failure_id("boss")) is None
    assert desk.waiting() == []


def test_a_far_end_that_asks_to_wait_is_left_alone_for_at_most_an_hour(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    desk.tell("a", Happened.OPENED, "ops")
    desk.tell("b", Happened.OPENED, "ops")
    claim = desk.take()
    busy = replace(LATER, retry_after=timedelta(hours=7))
    desk.delivery.settle(claim, desk.hand(claim), busy)
    assert desk.delivery.hand(claim) == Wait(until_us=to_us(clock.now + HOUR))
    clock.now += HOUR
    assert desk.happened(claim) == [("a", Happened.OPENED, 1), ("b", Happened.OPENED, 1)]


def test_a_channel_that_fails_is_tried_with_one_message_until_it_works_and_then_told_all(
    desk: Desk, clock: Clock
) -> None:
    desk.ledger.channels.add(channel())
    for number in range(8):
        desk.tell(f"a{number}", Happened.OPENED, "ops")
    claim = desk.take()
    tried = 0
    while isinstance(handed := desk.delivery.hand(claim), OutgoingMessage):
        desk.delivery.settle(claim, handed, LATER)
        tried += 1
    assert tried == 3
    clock.now += MINUTE
    handed = desk.hand(claim)
    desk.delivery.settle(claim, handed, DeliverySuccess())
    assert len(desk.happened(claim)) == 7


@pytest.mark.slow
def test_what_has_waited_for_a_channel_that_failed_for_a_day_goes_together(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    desk.ledger.channels.add(channel("boss"))
    for number in range(12):
        desk.tell(f"a{number}", Happened.OPENED, "ops")
    claim, began = desk.take(), clock.now
    while any(each[1] == "ops" for each in desk.waiting()) and clock.now < began + timedelta(hours=30):
        if isinstance(handed := desk.delivery.hand(claim), OutgoingMessage):
            desk.delivery.settle(claim, handed, LATER)
        clock.now += 5 * MINUTE
    assert clock.now - began < timedelta(hours=25)
    assert {name for name, _, _, final in desk.attempts() if final} == {f"a{number}" for number in range(12)}
    error = desk.alert(failure_id("ops"))
    assert error is not None
    assert error.matches == 12
    assert desk.waiting() == [(error.id, "boss", "opened")]


NIGHT = read_quiet_hours("00:00-23:00 UTC")


@pytest.mark.parametrize("night", [NIGHT])
def test_quiet_hours_hold_back_all_but_what_is_critical(desk: Desk, clock: Clock, night: QuietHours) -> None:
    assert night.cover(clock.now)
    desk.ledger.channels.add(channel(quiet_hours=night))
    desk.tell("a", Happened.OPENED, "ops")
    desk.tell("b", Happened.OPENED, "ops", severity=Severity.CRITICAL)
    claim = desk.take()
    assert desk.happened(claim) == [("b", Happened.OPENED, 1)]
    until = to_us(night.end_after(clock.now))
    assert desk.delivery.hand(claim) == Wait(until_us=until)
    desk.tell("a", Happened.ESCALATED, "ops")
    clock.now = night.end_after(clock.now)
    assert desk.happened(claim) == [("a", Happened.OPENED, 2)]


def test_critical_alerts_wait_if_a_person_wants_that(desk: Desk) -> None:
    desk.ledger.channels.add(channel(quiet_hours=NIGHT, critical_pierces=False))
    desk.tell("b", Happened.OPENED, "ops", severity=Severity.CRITICAL)
    assert isinstance(desk.delivery.hand(desk.take()), Wait)


def test_above_its_rate_limit_a_channel_is_sent_a_digest(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel(per_hour=4))
    for number in range(10):
        desk.tell(f"a{number}", Happened.OPENED, "ops")
    claim = desk.take()
    told = desk.happened(claim)
    assert [(happened, merged) for _, happened, merged in told] == [(Happened.OPENED, 1), (Happened.DIGEST, 9)]
    desk.tell("b", Happened.OPENED, "ops")
    assert desk.delivery.hand(claim) == Wait(until_us=to_us(clock.now + HOUR / 2))
    desk.tell("c", Happened.OPENED, "ops")
    clock.now += HOUR / 2
    assert desk.happened(claim) == [(f"digest-{12}", Happened.DIGEST, 2)]
    assert len({attempt[0] for attempt in desk.attempts()}) == 12


def test_a_digest_whose_process_was_killed_is_the_same_digest(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel(per_hour=1))
    desk.tell("a", Happened.OPENED, "ops")
    desk.tell("b", Happened.OPENED, "ops")
    first = desk.hand(desk.take())
    desk.tell("c", Happened.OPENED, "ops")
    clock.now += HOUR
    again = desk.hand(desk.take())
    assert (again.number, list(again.entries)) == (first.number, ["a", "b"])


def test_a_paused_channel_is_sent_nothing_and_then_how_things_are(desk: Desk, clock: Clock) -> None:
    paused = replace(channel(), paused=True)
    desk.ledger.channels.add(paused)
    desk.tell("a", Happened.OPENED, "ops")
    assert desk.delivery.waiting() == []
    assert desk.delivery.hand(desk.take()) == Wait(until_us=None)
    clock.now += timedelta(days=9)
    desk.tell("a", Happened.RESOLVED, "ops", status=AlertStatus.RESOLVED)
    desk.ledger.channels.change(paused, lambda there: replace(there, paused=False))
    assert [each.channel.id for each in desk.delivery.waiting()] == ["ops"]
    assert desk.happened(desk.take()) == [("a", Happened.RESOLVED, 2)]


def test_a_clock_that_was_set_back_holds_up_nothing(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel(per_hour=1))
    desk.tell("a", Happened.OPENED, "ops")
    desk.tell("b", Happened.OPENED, "ops")
    claim = desk.take()
    desk.delivery.settle(claim, desk.hand(claim), replace(LATER, retry_after=HOUR))
    assert isinstance(desk.delivery.hand(claim), Wait)
    clock.now -= MINUTE
    assert desk.happened(claim) == [(f"digest-{2}", Happened.DIGEST, 2)]
    clock.now -= MINUTE
    desk.tell("c", Happened.OPENED, "ops")
    assert desk.happened(claim) == [("c", Happened.OPENED, 1)]


def test_what_waits_for_a_removed_channel_goes_to_those_that_take_it(desk: Desk) -> None:
    desk.ledger.channels.add(channel())
    desk.ledger.channels.add(channel("low", route=Route(severities=frozenset({Severity.LOW}))))
    desk.ledger.channels.add(channel("high", route=Route(severities=frozenset({Severity.HIGH}))))
    desk.ledger.channels.add(channel("all"))
    desk.tell("a", Happened.OPENED, "ops", "all")
    assert desk.ledger.channels.remove("ops") == 1
    assert desk.waiting() == [("a", "all", "opened"), ("a", "high", "opened")]
    # Whoever judged when the channel was still there.
    desk.tell("b", Happened.OPENED, "ops")
    assert desk.delivery.adopt() == 1
    assert desk.waiting()[2:] == [("b", "all", "opened"), ("b", "high", "opened")]
    assert desk.delivery.adopt() == 0


def test_others_write_while_what_waits_for_a_removed_channel_is_rerouted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocelog.ledger.rows.outbox._REROUTED_AT_ONCE", 2)
    desk.ledger.channels.add(channel())
    desk.ledger.channels.add(channel("all"))
    for name in "abcde":
        desk.tell(name, Happened.OPENED, "ops", "gone")
        desk.tell(name, Happened.RESOLVED, "ops", "gone", status=AlertStatus.RESOLVED)
    with written() as begun:
        assert desk.ledger.channels.remove("ops") == 10
    assert len(begun) == 3
    moved = [(name, "all", happened) for name in "abcde" for happened in ("opened", "resolved")]
    assert sorted(each for each in desk.waiting() if each[1] == "all") == moved
    with written() as begun:
        assert desk.delivery.adopt() == 10
    assert len(begun) > 3
    assert sorted(desk.waiting()) == moved, "who is to be told already is told twice"


def test_what_is_removed_while_it_is_delivered_is_noted_by_nobody(desk: Desk) -> None:
    desk.ledger.channels.add(channel())
    desk.tell("a", Happened.OPENED, "ops")
    claim = desk.take()
    handed = desk.hand(claim)
    desk.ledger.channels.remove("ops")
    with pytest.raises(LostFenceError):
        desk.delivery.settle(claim, handed, DeliverySuccess())


def test_what_nobody_acknowledges_is_told_to_another_channel_and_so_is_its_end(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    desk.ledger.channels.add(channel("boss", escalate_after=30 * MINUTE))
    for name in ("a", "b", "c", "d"):
        desk.tell(name, Happened.OPENED, "ops")
    claim = desk.take()
    desk.happened(claim)
    desk.tell("b", Happened.ACKNOWLEDGED, "ops", "boss", acknowledged_us=desk.now_us)
    desk.tell("c", Happened.RESOLVED, "ops", "boss", status=AlertStatus.RESOLVED)
    assert desk.delivery.escalate() == 0
    clock.now += 30 * MINUTE
    assert desk.delivery.escalate() == 2
    assert desk.delivery.escalate() == 0
    boss = desk.take("boss")
    assert desk.happened(boss) == [("a", Happened.ESCALATED, 1), ("d", Happened.ESCALATED, 1)]
    clock.now += HOUR
    assert desk.delivery.escalate() == 0
    desk.tell("a", Happened.RESOLVED, "boss", status=AlertStatus.RESOLVED)
    assert desk.happened(boss) == [("a", Happened.RESOLVED, 1)]
    clock.now += MINUTE
    desk.tell("a", Happened.REOPENED, "ops", status=AlertStatus.OPEN, opened_us=desk.now_us, told_us=desk.now_us)
    clock.now += HOUR
    assert desk.delivery.escalate() == 1


def test_what_escalates_is_what_the_channel_takes_and_people_were_told_of_and_still_see(
    desk: Desk, clock: Clock
) -> None:
    desk.ledger.channels.add(channel())
    route = Route(severities=frozenset({Severity.HIGH}), rules=("r",))
    desk.ledger.channels.add(channel("boss", escalate_after=30 * MINUTE, route=route))
    desk.tell("takes", Happened.OPENED, "ops")
    desk.tell("got milder", Happened.OPENED, "ops", severity=Severity.LOW, told_severity=Severity.HIGH)
    left_out: dict[str, dict[str, Any]] = {
        "too mild": {"severity": Severity.LOW},
        "other rule": {"rule_id": "other"},
        "names others": {"destinations": ("ops",)},
        "not sent": {"to_be_told": False},
        "out of sight": {"visible": False},
        "acknowledged": {"acknowledged_us": 1},
        "triaged": {"status": AlertStatus.TRIAGED},
    }
    for name, how in left_out.items():
        desk.tell(name, Happened.OPENED, "ops", **how)
    desk.tell("told later", Happened.REOPENED, "ops", later=2 * HOUR)
    claim = desk.take()
    clock.now += 30 * MINUTE
    assert desk.delivery.escalate() == 2
    assert {name for name, to, _ in desk.waiting() if to == "boss"} == {"takes", "got milder"}
    # Nobody can acknowledge what has not arrived yet.
    desk.tell("arrives late", Happened.OPENED, "ops")
    clock.now += 20 * MINUTE
    desk.happened(claim)
    clock.now += 29 * MINUTE
    assert desk.delivery.escalate() == 0
    clock.now += MINUTE
    assert desk.delivery.escalate() == 1


def test_an_alert_that_no_channel_takes_is_told_of_once(desk: Desk, clock: Clock) -> None:
    desk.tell("a", Happened.OPENED)
    assert desk.delivery.watch_routes(0) == desk.now_us
    assert desk.alert(failure_id("")) is None, "without channels nobody expects to be told"
    errors = Route(types=frozenset({AlertType.SYSTEM_ERROR}))
    desk.ledger.channels.add(channel(route=errors))
    clock.now += MINUTE
    since_us = desk.delivery.watch_routes(0)
    assert desk.waiting() == [(failure_id(""), "ops", "opened")]
    clock.now += MINUTE
    desk.tell("b", Happened.OPENED)
    desk.tell("c", Happened.OPENED, "ops")
    desk.tell("e", Happened.OPENED, destinations=())
    desk.delivery.watch_routes(since_us)
    desk.delivery.watch_routes(since_us)
    error = desk.alert(failure_id(""))
    assert error is not None
    assert error.matches == 2
    assert len(desk.waiting()) == 2
    # Somebody has a channel take them, or they are over.
    desk.ledger.channels.add(channel("all"))
    desk.delivery.watch_routes(clock_us := desk.now_us)
    error = desk.alert(failure_id(""))
    assert error is not None
    assert (error.status, clock_us) == (AlertStatus.RESOLVED, desk.now_us)


def statements(desk: Desk) -> list[str]:
    """Return a list to which each statement is added that the ledger runs from now on."""
    seen = list[str]()
    for engine in {desk.ledger._database.readers, desk.ledger._database.writers}:
        event.listen(engine, "before_cursor_execute", lambda *told: seen.append(told[2]))
    return seen


def test_what_no_channel_takes_and_nobody_acknowledges_is_found_without_a_context(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel(route=Route(types=frozenset({AlertType.SYSTEM_ERROR}))))
    desk.ledger.channels.add(channel("boss", escalate_after=HOUR, route=Route(rules=("other",))))
    desk.tell("a", Happened.OPENED)
    desk.tell("b", Happened.OPENED, "boss", rule_id="other")
    clock.now += 2 * HOUR
    seen = statements(desk)
    desk.delivery.watch_routes(0)
    assert [each for each in seen if "alerts.context" in each and "alerts.id IN" not in each] == []
    assert desk.alert(failure_id("")) is not None
    seen.clear()
    desk.delivery.watch_routes(desk.now_us)
    assert desk.delivery.escalate() == 0
    assert [each for each in seen if "alerts.context" in each and "alerts.id IN" not in each] == []


def test_whether_any_alert_goes_nowhere_still_is_known_by_the_first(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.ledger.channels.add(channel(route=Route(types=frozenset({AlertType.SYSTEM_ERROR}))))
    for number in range(20):
        desk.tell(f"a{number}", Happened.OPENED)
    desk.delivery.watch_routes(0)
    clock.now += HOUR
    read = list[str]()
    head_of = alerts.head_of

    def counted(row: RowMapping) -> Alert:
        read.append(row["id"])
        return head_of(row)

    monkeypatch.setattr(alerts, "head_of", counted)
    desk.delivery.watch_routes(desk.now_us)
    assert len(read) == 1
    error = desk.alert(failure_id(""))
    assert error is not None
    assert error.is_open


def test_a_suppression_by_a_context_keeps_from_escalating(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel("boss", escalate_after=HOUR))
    desk.ledger.alerts.suppress(
        Suppression(
            id="s",
            rule="r",
            fields={"context.team": ["red"]},
            owner="kim",
            reason="known",
            since_us=desk.now_us,
            until_us=to_us(clock() + 5 * HOUR),
            added_us=desk.now_us,
        )
    )
    desk.tell("a", Happened.OPENED, context={"team": "red"})
    desk.tell("b", Happened.OPENED, context={"team": "blue"})
    clock.now += 2 * HOUR
    assert desk.delivery.escalate() == 1
    assert desk.happened(desk.take("boss")) == [("b", Happened.ESCALATED, 1)]


def test_what_a_slow_channel_does_not_take_in_time_goes_together(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    for number in range(MOST_BEHIND + 2):
        desk.tell(f"a{number:02}", Happened.OPENED, "ops")
    began_us = desk.now_us
    claim = desk.take()
    clock.now += BEHIND_AFTER - MINUTE
    handed = desk.hand(claim)
    assert len(handed.entries) == 1, "they have not waited for long"
    desk.delivery.settle(claim, handed, DeliverySuccess(answer="200"))
    clock.now += MINUTE
    (status,) = desk.ledger.channels.statuses()
    assert (status.waiting, status.waiting_since_us, status.is_behind) == (MOST_BEHIND + 1, began_us, True)
    desk.tell("new", Happened.OPENED, "ops")
    handed = desk.hand(claim)
    assert len(handed.entries) == MOST_BEHIND + 2
    desk.delivery.settle(claim, handed, DeliverySuccess(answer="200"))
    (status,) = desk.ledger.channels.statuses()
    assert (status.waiting, status.waiting_since_us, status.is_behind) == (0, None, False)


def test_few_that_waited_for_long_go_one_by_one(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    for number in range(MOST_BEHIND):
        desk.tell(f"a{number:02}", Happened.OPENED, "ops")
    clock.now += HOUR
    (status,) = desk.ledger.channels.statuses()
    assert not status.is_behind
    assert len(desk.happened(desk.take())) == MOST_BEHIND


def test_a_channel_that_is_to_wait_is_not_behind(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(replace(channel(), paused=True))
    desk.ledger.channels.add(channel("quiet", quiet_hours=read_quiet_hours("00:00-23:59 UTC")))
    for number in range(MOST_BEHIND + 1):
        desk.tell(f"a{number:02}", Happened.OPENED, "ops", "quiet")
    clock.now += HOUR
    assert [each.is_behind for each in desk.ledger.channels.statuses()] == [False, False]


def test_what_quiet_hours_held_up_has_a_while_to_go_one_by_one(desk: Desk, clock: Clock) -> None:
    local = clock().astimezone(UTC)
    quiet = read_quiet_hours(f"{local - HOUR:%H:%M}-{local + HOUR:%H:%M} UTC")
    desk.ledger.channels.add(channel(quiet_hours=quiet))
    for number in range(MOST_BEHIND + 5):
        desk.tell(f"a{number:02}", Happened.OPENED, "ops")
    clock.now += HOUR + MINUTE
    claim = desk.take()
    handed = desk.hand(claim)
    assert len(handed.entries) == 1
    desk.delivery.settle(claim, handed, DeliverySuccess(answer="200"))
    clock.now += BEHIND_AFTER
    assert len(desk.hand(desk.take()).entries) == MOST_BEHIND + 4


def test_a_channel_that_keeps_incidents_hears_of_each_alert_however_slow_it_is(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    for number in range(MOST_BEHIND + 1):
        desk.tell(f"a{number:02}", Happened.OPENED, "ops")
    clock.now += HOUR
    handed = desk.delivery.hand(desk.take(), one_by_one=True)
    assert isinstance(handed, OutgoingMessage)
    assert len(handed.entries) == 1


def test_a_digest_is_made_without_the_contexts(desk: Desk) -> None:
    desk.ledger.channels.add(channel(per_hour=1))
    for name in ("a", "b"):
        desk.tell(name, Happened.OPENED, "ops", context={"large": "x" * 1_000})
    seen = statements(desk)
    assert len(desk.hand(desk.take()).alerts) == 2
    assert [each for each in seen if "alerts.context" in each] == []


def test_the_error_of_a_channel_ends_with_it(desk: Desk) -> None:
    desk.ledger.channels.add(channel())
    desk.ledger.channels.add(channel("boss", route=Route(types=frozenset({AlertType.SYSTEM_ERROR}))))
    desk.tell("a", Happened.OPENED, "ops")
    claim = desk.take()
    desk.delivery.settle(claim, desk.hand(claim), DeliveryRefusal(answer="401", code="channel_refused"))
    error = desk.alert(failure_id("ops"))
    assert error is not None
    assert error.is_open
    desk.ledger.channels.remove("ops")
    error = desk.alert(failure_id("ops"))
    assert error is not None
    assert error.status is AlertStatus.RESOLVED
    assert (error.id, "boss", "resolved") in desk.waiting()


def test_what_was_given_up_is_sent_again_by_hand(desk: Desk) -> None:
    desk.ledger.channels.add(channel())
    claim = desk.take()
    refused = DeliveryRefusal(answer="401", code="channel_refused")
    for name in ("a", "b"):
        desk.tell(name, Happened.OPENED, "ops")
        desk.delivery.settle(claim, desk.hand(claim), refused)
    assert [(each.given_up, each.failures, each.trouble) for each in desk.ledger.channels.statuses()] == [(2, 2, "401")]
    assert desk.delivery.resend("ops") == 2
    assert desk.delivery.resend("ops") == 0
    assert desk.happened(claim) == [("a", Happened.RESENT, 1), ("b", Happened.RESENT, 1)]
    assert [(each.given_up, each.failures, each.trouble) for each in desk.ledger.channels.statuses()] == [(0, 0, None)]


@pytest.mark.slow
def test_a_crash_leaves_either_all_of_a_step_or_nothing(desk: Desk, ledger: Ledger) -> None:
    desk.ledger.channels.add(channel(per_hour=1))
    desk.ledger.channels.add(channel("boss"))
    for name in ("a", "b"):
        desk.tell(name, Happened.OPENED, "ops")
    claim = desk.take()
    assert crash_everywhere(ledger, lambda: desk.hand(claim)) > 2
    handed = desk.hand(claim)
    refused = DeliveryRefusal(answer="401", code="channel_refused")
    assert crash_everywhere(ledger, lambda: desk.delivery.settle(claim, handed, refused)) > 5
    assert crash_everywhere(ledger, lambda: desk.delivery.resend("ops")) > 0
    again = desk.hand(claim)
    assert crash_everywhere(ledger, lambda: desk.delivery.settle(claim, again, DeliverySuccess())) > 5


def test_two_processes_never_have_one_channel_at_once(desk: Desk, open_ledger: Callable[[], Ledger]) -> None:
    desk.ledger.channels.add(channel())
    desk.tell("a", Happened.OPENED, "ops")
    found = [open_ledger().delivery.take("ops", f"home/{number}") for number in range(3)]
    assert [each is not None for each in found] == [True, False, False]


def test_what_is_deleted_meanwhile_is_not_noted(desk: Desk) -> None:
    desk.ledger.channels.add(channel())
    desk.tell("a", Happened.OPENED, "ops")
    claim = desk.take()
    handed = desk.hand(claim)
    with desk.ledger._database.write() as tx:
        alerts.forget(tx, ["a"])
    desk.delivery.settle(claim, handed, DeliverySuccess())
    assert (desk.attempts(), desk.waiting()) == ([], [])


def test_what_is_put_off_comes_in_its_time_and_holds_up_nothing_that_is_due(desk: Desk) -> None:
    desk.ledger.channels.add(channel())
    claim = desk.take()
    desk.tell("a", Happened.REOPENED, "ops", later=60 * MINUTE)
    desk.tell("b", Happened.REOPENED, "ops", later=60 * MINUTE)
    assert desk.happened(claim) == []
    desk.tell("a", Happened.ESCALATED, "ops", severity=Severity.CRITICAL)
    # Together they say that it is back, and how bad it is now.
    assert desk.happened(claim) == [("a", Happened.REOPENED, 2)]
    desk.clock.now += 61 * MINUTE
    claim = desk.take()
    assert desk.happened(claim) == [("b", Happened.REOPENED, 1)]


def test_what_is_not_told_after_all_says_so_on_the_timeline(desk: Desk) -> None:
    desk.ledger.channels.add(channel())
    desk.ledger.channels.add(channel("boss", escalate_after=30 * MINUTE))
    claim, boss = desk.take(), desk.take("boss")
    desk.tell("a", Happened.OPENED, "ops")
    assert desk.happened(claim) == [("a", Happened.OPENED, 1)]
    desk.tell("a", Happened.RESOLVED, "ops", "boss", status=AlertStatus.RESOLVED)
    assert desk.happened(claim) == [("a", Happened.RESOLVED, 1)]
    desk.tell("a", Happened.REOPENED, "ops", status=AlertStatus.OPEN, later=60 * MINUTE)
    desk.tell("a", Happened.RESOLVED, "ops", status=AlertStatus.RESOLVED)
    assert desk.happened(claim) == desk.happened(boss) == []
    assert desk.waiting() == []
    details = desk.ledger.alerts.details("a")
    assert details is not None
    told = [(each.who, each.detail) for each in details.timeline if each.what == "untold"]
    assert told == [
        ("ocelog", "ops: it came and went within its quiet time"),
        ("ocelog", "boss: it was over before it had to escalate"),
    ]


def test_what_is_over_from_the_start_is_not_for_who_hears_only_of_the_unacknowledged(desk: Desk) -> None:
    desk.ledger.channels.add(channel())
    desk.ledger.channels.add(channel("boss", escalate_after=30 * MINUTE))
    claim, boss = desk.take(), desk.take("boss")
    # A summary, such as that of a new source.
    desk.tell("a", Happened.OPENED, "ops", "boss", status=AlertStatus.RESOLVED)
    assert len(desk.happened(claim)) == 1
    assert desk.happened(boss) == []
    desk.tell("a", Happened.RESENT, "boss", status=AlertStatus.RESOLVED)
    assert len(desk.happened(boss)) == 1, "a person wanted that it is told"


def test_what_was_acknowledged_while_its_escalation_waited_is_not_told(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    desk.ledger.channels.add(channel("boss", escalate_after=30 * MINUTE, quiet_hours=NIGHT))
    for name in ("a", "b"):
        desk.tell(name, Happened.OPENED, "ops")
    clock.now += HOUR
    assert desk.delivery.escalate() == 2
    desk.ledger.alerts.change(["a"], changes.assign("ann", who="ann"))
    boss = desk.take("boss")
    assert desk.happened(boss) == []
    clock.now = clock.now.replace(hour=23, minute=30)
    assert desk.happened(desk.take("boss")) == [("b", Happened.ESCALATED, 1)]


def test_a_clock_that_was_set_back_escalates_once(desk: Desk) -> None:
    desk.ledger.channels.add(channel("boss", escalate_after=30 * MINUTE))
    desk.tell("a", Happened.OPENED)
    desk.clock.now -= timedelta(days=1)
    assert desk.delivery.escalate() == 1
    claim = desk.take("boss")
    assert len(desk.happened(claim)) == 1
    for _ in range(3):
        desk.clock.now += MINUTE
        assert desk.delivery.escalate() == 0


def mute(desk: Desk, lasts: timedelta = HOUR, **what: object) -> None:
    values = {"id": "m", "rule": None, "owner": "ann", "reason": "moving", "since_us": desk.now_us, "added_us": 0}
    desk.ledger.alerts.suppress(Suppression(until_us=desk.now_us + lasts // timedelta(microseconds=1), **values | what))  # type: ignore[arg-type] # as the test gives it


def test_what_is_muted_is_escalated_when_that_is_over(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel("boss", escalate_after=30 * MINUTE))
    desk.tell("a", Happened.OPENED)
    mute(desk)
    clock.now += 31 * MINUTE
    assert desk.delivery.escalate() == 0
    clock.now += 30 * MINUTE
    assert desk.delivery.escalate() == 1


def test_what_waited_when_a_mute_began_is_not_told_but_what_was_told_before_ends(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    claim = desk.take()
    for name in ("heard", "ended"):
        desk.tell(name, Happened.OPENED, "ops")
    assert len(desk.happened(claim)) == 2
    desk.ledger.channels.change(channel(), lambda row: replace(row, routing=Routing(quiet_hours=NIGHT)))
    for name in ("new", "over", "wanted", "later"):
        desk.tell(name, Happened.OPENED, "ops")
    desk.tell("heard", Happened.ESCALATED, "ops")
    desk.tell("wanted", Happened.RESENT, "ops")
    for name in ("over", "ended"):
        desk.tell(name, Happened.RESOLVED, "ops", status=AlertStatus.RESOLVED)
    assert desk.happened(claim) == []
    clock.now = clock.now.replace(hour=22, minute=59)
    mute(desk, lasts=HOUR)
    clock.now += 2 * MINUTE
    # It was decided after the mute had begun, by a person.
    desk.tell("later", Happened.REOPENED, "ops", note="by ann")
    told = desk.happened(desk.take())
    assert sorted(told) == [
        ("ended", Happened.RESOLVED, 1),
        ("later", Happened.OPENED, 2),
        ("wanted", Happened.OPENED, 2),
    ]
    assert desk.waiting() == []
    for name in ("new", "over", "heard"):
        details = desk.ledger.alerts.details(name)
        assert details is not None
        assert [each.detail for each in details.timeline if each.what == "untold"] == ["ops: it is muted"]
    # Nor afterwards: that it is over is for those who heard of it.
    clock.now += HOUR
    assert desk.happened(desk.take()) == []
    assert desk.ledger.alerts.told_channels("new") == []


@pytest.mark.parametrize(
    "amid",
    [
        (Happened.RESOLVED,),
        (Happened.NOT_VISIBLE,),
        (Happened.RESOLVED, Happened.REOPENED),
    ],
)
def test_what_waited_when_a_mute_began_is_not_told_because_it_goes_or_comes_back_amid_it(
    desk: Desk, clock: Clock, amid: tuple[Happened, ...]
) -> None:
    desk.ledger.channels.add(channel())
    desk.tell("a", Happened.OPENED, "ops")
    clock.now += MINUTE
    mute(desk)
    for what in amid:
        clock.now += MINUTE
        status = AlertStatus.RESOLVED if what is Happened.RESOLVED else AlertStatus.OPEN
        desk.tell("a", what, "ops", status=status, visible=what is not Happened.NOT_VISIBLE)
    assert desk.happened(desk.take()) == []
    clock.now += 2 * HOUR
    assert desk.happened(desk.take()) == []
    assert desk.waiting() == []
    details = desk.ledger.alerts.details("a")
    assert details is not None
    assert [each.detail for each in details.timeline if each.what == "untold"] == ["ops: it is muted"]


def test_who_heard_that_an_alert_was_closed_hears_that_it_was_reopened_before_a_mute_began(
    desk: Desk, clock: Clock
) -> None:
    desk.ledger.channels.add(channel())
    claim = desk.take()
    desk.tell("a", Happened.OPENED, "ops")
    desk.tell("a", Happened.CLOSED, "ops", status=AlertStatus.CLOSED)
    assert desk.happened(claim) == [("a", Happened.CLOSED, 2)]
    desk.tell("a", Happened.REOPENED, "ops", note="by ann", status=AlertStatus.OPEN)
    clock.now += MINUTE
    mute(desk)
    assert desk.happened(claim) == [("a", Happened.REOPENED, 1)]


@pytest.mark.parametrize("owed", [False, True])
@pytest.mark.parametrize("fields", [{}, {"context.actor": ("ann",)}])
def test_a_storm_that_is_muted_is_dropped_or_put_off_many_at_a_time(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch, *, owed: bool, fields: dict[str, tuple[str, ...]]
) -> None:
    monkeypatch.setattr(delivery, "_AT_ONCE", 10)
    desk.ledger.channels.add(channel())
    claim, names = desk.take(), [f"a{number}" for number in range(25)]
    for name in names:
        desk.tell(name, Happened.OPENED, "ops", context={"actor": "ann"})
    if owed:
        assert len(desk.happened(claim)) == 25
        for name in names:
            desk.tell(name, Happened.RESOLVED, "ops", status=AlertStatus.RESOLVED)
        assert len(desk.happened(claim)) == 25
        for name in names:
            desk.tell(name, Happened.REOPENED, "ops", status=AlertStatus.OPEN)
    desk.tell("loud", Happened.OPENED, "ops", context={"actor": "bob"}, severity=Severity.LOW)
    clock.now += timedelta(seconds=1)
    mute(desk, fields={"severity": ("HIGH",)} | fields)
    seen, commits = statements(desk), list[int]()
    event.listen(desk.ledger._database.writers, "commit", lambda _: commits.append(len(seen)))
    assert list(desk.hand(claim).entries) == ["loud"]
    # What is found together is decided together, and others write in between.
    assert len(commits) == 3
    assert len(seen) < 4 * 25
    assert len(desk.waiting()) == (26 if owed else 1)


def test_whoever_is_killed_amid_a_storm_that_is_muted_leaves_the_rest(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_AT_ONCE", 2)
    desk.ledger.channels.add(channel())
    claim, names = desk.take(), [f"a{number}" for number in range(5)]
    for name in names:
        desk.tell(name, Happened.OPENED, "ops")
    clock.now += timedelta(seconds=1)
    mute(desk)
    killed = 0
    for statement in range(1, 60):
        try:
            with crashing_at(desk.ledger, statement):
                desk.delivery.hand(claim)
        except Crash:
            killed += 1
    assert killed > 5
    assert desk.waiting() == []
    for name in names:
        details = desk.ledger.alerts.details(name)
        assert details is not None
        assert [each.detail for each in details.timeline if each.what == "untold"] == ["ops: it is muted"]


@pytest.mark.parametrize("early", [False, True])
def test_who_heard_of_an_end_amid_a_mute_hears_after_it_that_it_is_open_again(
    desk: Desk, clock: Clock, early: bool
) -> None:
    desk.ledger.channels.add(channel())
    claim = desk.take()
    for name in ("back", "gone", "person"):
        desk.tell(name, Happened.OPENED, "ops")
    assert len(desk.happened(claim)) == 3
    mute(desk)
    for name in ("back", "gone", "person"):
        desk.tell(name, Happened.RESOLVED, "ops", status=AlertStatus.RESOLVED)
    assert [happened for _, happened, _ in desk.happened(claim)] == [Happened.RESOLVED] * 3
    for name in ("back", "gone"):
        desk.tell(name, Happened.REOPENED, "ops", status=AlertStatus.OPEN)
    desk.ledger.alerts.change(["person"], changes.reopen(who="ann"))
    assert desk.happened(claim) == [("person", Happened.REOPENED, 1)]
    desk.tell("gone", Happened.RESOLVED, "ops", status=AlertStatus.RESOLVED)
    assert desk.happened(claim) == []
    if early:
        clock.now += MINUTE
        assert ended_now(desk, "m")
    else:
        clock.now += HOUR
    assert desk.happened(desk.delivery.take("ops", "home/one") or claim) == [("back", Happened.REOPENED, 1)]
    assert desk.waiting() == []


def test_what_a_mute_let_nobody_hear_of_is_as_if_it_had_been_muted_when_it_opened(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel(quiet_hours=NIGHT))
    desk.ledger.channels.add(channel("other", quiet_hours=NIGHT))
    desk.ledger.channels.add(channel("boss", escalate_after=30 * MINUTE))
    desk.tell("a", Happened.OPENED, "ops", "other")
    clock.now = clock.now.replace(hour=22, minute=59)
    mute(desk)
    clock.now += 2 * MINUTE
    assert desk.happened(desk.take()) == []
    assert is_told(desk, "a")
    assert desk.happened(desk.take("other")) == []
    assert not is_told(desk, "a")
    clock.now += 2 * HOUR
    assert desk.delivery.escalate() == 0


def test_what_another_channel_heard_of_is_told_though_a_mute_drops_it_for_one(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel(quiet_hours=NIGHT))
    desk.ledger.channels.add(channel("other"))
    desk.tell("a", Happened.OPENED, "ops", "other")
    assert desk.happened(desk.take("other")) == [("a", Happened.OPENED, 1)]
    clock.now = clock.now.replace(hour=22, minute=59)
    mute(desk)
    clock.now += 2 * MINUTE
    assert desk.happened(desk.take()) == []
    assert is_told(desk, "a")


@pytest.mark.postgresql
def test_what_somebody_changes_as_a_mute_drops_it_is_dropped_once_they_are_done(
    postgresql: Callable[[], str], clock: Clock
) -> None:
    address = postgresql()
    with (
        closing(Ledger.open(address, durable=False, now=clock)) as ledger,
        closing(Ledger.open(address, durable=False, now=clock)) as another,
    ):
        desk = Desk(ledger, clock)
        ledger.channels.add(channel(quiet_hours=NIGHT))
        desk.tell("a", Happened.OPENED, "ops")
        clock.now = clock.now.replace(hour=22, minute=59)
        mute(desk)
        clock.now += 2 * MINUTE
        claim = desk.take()
        with another._database.write() as tx:
            alerts.hold(tx, ["a"])
            assert desk.happened(claim) == []
        assert (is_told(desk, "a"), len(desk.waiting())) == (True, 1)
        clock.now += timedelta(seconds=1)
        assert desk.happened(claim) == []
        assert (is_told(desk, "a"), desk.waiting()) == (False, [])


def is_told(desk: Desk, name: str) -> bool:
    alert = desk.alert(name)
    assert alert is not None
    return alert.to_be_told


def test_what_a_mute_covers_no_more_does_not_wait_for_its_end(desk: Desk) -> None:
    desk.ledger.channels.add(channel())
    claim, names = desk.take(), ("worse", "same")
    for name in names:
        desk.tell(name, Happened.OPENED, "ops")
    assert len(desk.happened(claim)) == 2
    mute(desk, lasts=30 * 24 * HOUR, fields={"severity": ("HIGH",)})
    for name in names:
        desk.tell(name, Happened.RESOLVED, "ops", status=AlertStatus.RESOLVED)
    assert len(desk.happened(claim)) == 2
    for name in names:
        desk.tell(name, Happened.REOPENED, "ops", status=AlertStatus.OPEN)
    assert desk.happened(claim) == []
    assert desk.delivery.wake_unmuted(0) == 0
    desk.tell("worse", Happened.REOPENED, severity=Severity.CRITICAL)
    assert desk.delivery.wake_unmuted(0) == 1
    assert desk.happened(claim) == [("worse", Happened.REOPENED, 1)]
    assert desk.delivery.wake_unmuted(0) == 0
    assert [name for name, _, _ in desk.waiting()] == ["same"]


def test_what_a_mute_keeps_is_not_read_again_and_again(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, heads_of = list[str](), alerts.heads_of

    def reading(tx: Connection, ids: Collection[str]) -> dict[str, Alert]:
        read.extend(sorted(ids))
        return heads_of(tx, ids)

    desk.ledger.channels.add(channel())
    claim, names = desk.take(), ("a", "b", "c")
    for name in names:
        desk.tell(name, Happened.OPENED, "ops")
        desk.tell(name, Happened.RESOLVED, "ops", status=AlertStatus.RESOLVED)
    assert len(desk.happened(claim)) == 3
    mute(desk, lasts=24 * HOUR, fields={"severity": ("HIGH",)})
    for name in names:
        desk.tell(name, Happened.REOPENED, "ops", status=AlertStatus.OPEN)
    assert desk.happened(claim) == []
    clock.now += HOUR
    desk.tell("b", Happened.REOPENED, severity=Severity.CRITICAL)
    monkeypatch.setattr(alerts, "heads_of", reading)
    assert desk.delivery.wake_unmuted(desk.now_us - to_us_of(MINUTE)) == 1
    assert read == ["b"]


def to_us_of(time: timedelta) -> int:
    return time // timedelta(microseconds=1)


def test_what_was_decided_before_a_mute_began_and_is_committed_amid_it_is_not_told(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    decided_us = desk.now_us
    clock.now += timedelta(seconds=1)
    mute(desk)
    clock.now += timedelta(seconds=1)
    desk.tell("a", Happened.OPENED, "ops", decided_us=decided_us)
    assert desk.happened(desk.take()) == []
    assert not is_told(desk, "a")


def test_what_was_decided_before_the_clock_was_set_back_and_is_committed_after_that_is_told_at_once(
    desk: Desk, clock: Clock
) -> None:
    desk.ledger.channels.add(channel())
    decided_us = desk.now_us
    clock.now -= timedelta(days=2)
    desk.tell("a", Happened.OPENED, "ops", decided_us=decided_us)
    assert desk.happened(desk.take()) == [("a", Happened.OPENED, 1)]


@pytest.mark.parametrize("heard", [(), (Happened.OPENED,), (Happened.OPENED, Happened.RESOLVED)])
def test_what_a_person_closed_and_is_open_again_by_itself_is_not_told_amid_a_mute(
    desk: Desk, clock: Clock, heard: tuple[Happened, ...]
) -> None:
    desk.ledger.channels.add(channel())
    for what in heard:
        desk.tell("a", what, "ops", status=AlertStatus.RESOLVED if what.ends else AlertStatus.OPEN)
        assert len(desk.happened(desk.delivery.take("ops", "home/one", lease=MINUTE) or desk.take())) == 1
        clock.now += HOUR
    desk.tell("a", Happened.REOPENED if heard else Happened.OPENED, "ops", status=AlertStatus.OPEN)
    clock.now += MINUTE
    mute(desk)
    clock.now += MINUTE
    # Each waits, as for a channel that fails.
    desk.tell("a", Happened.CLOSED, "ops", status=AlertStatus.CLOSED, note="by ann")
    desk.tell("a", Happened.REOPENED, "ops", status=AlertStatus.OPEN)
    assert desk.happened(desk.take()) == []
    clock.now += 2 * HOUR
    owed = [("a", Happened.REOPENED, 3)] if heard[-1:] == (Happened.RESOLVED,) else []
    assert desk.happened(desk.take()) == owed
    assert desk.waiting() == []


@pytest.mark.parametrize("end", [Happened.CLOSED, Happened.RESOLVED])
def test_who_may_have_heard_of_an_end_by_a_try_that_failed_hears_after_a_mute_that_it_is_open(
    desk: Desk, clock: Clock, end: Happened
) -> None:
    desk.ledger.channels.add(channel())
    desk.tell("a", Happened.OPENED, "ops")
    claim = desk.take()
    assert len(desk.happened(claim)) == 1
    desk.tell("a", end, "ops", status=AlertStatus(end.value.upper()))
    fail(desk, claim)
    mute(desk)
    desk.tell("a", Happened.REOPENED, "ops", status=AlertStatus.OPEN)
    clock.now += 2 * MINUTE
    assert desk.happened(claim) == []
    clock.now += HOUR
    assert desk.happened(desk.take()) == [("a", Happened.REOPENED, 2)]


def storm_that_failed_for_a_day(desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Claim:
    """Have 35 alerts wait for a channel that is tried for the tenth time a day later, and return its claim."""
    monkeypatch.setattr(delivery, "_AT_ONCE", 10)
    for name in ("ops", "other"):
        desk.ledger.channels.add(channel(name))
    for number in range(35):
        desk.tell(f"a{number}", Happened.OPENED, "ops")
    claim = desk.take()
    for _ in range(9):
        fail(desk, claim)
        clock.now += HOUR
    clock.now += 24 * HOUR
    return claim


def fail(desk: Desk, claim: Claim) -> None:
    """Try to deliver one message, if there is any, in vain."""
    handed = desk.delivery.hand(claim, one_by_one=True)
    if isinstance(handed, OutgoingMessage):
        desk.delivery.settle(claim, handed, LATER)


def given_up(desk: Desk) -> list[str]:
    return sorted(name for name, _, _, final in desk.attempts() if final)


def test_very_much_that_is_given_up_goes_some_at_a_time(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = storm_that_failed_for_a_day(desk, clock, monkeypatch)
    with written() as begun:
        fail(desk, claim)
    # That of which was tried goes with its outcome, the others ten at a time; then there are none.
    assert len(begun) == 1 + 1 + 4 + 1
    assert given_up(desk) == sorted(f"a{number}" for number in range(35))
    error = desk.alert(failure_id("ops"))
    assert error is not None
    assert error.matches == 35
    assert desk.waiting() == [(error.id, "other", "opened")]


def test_whoever_is_killed_as_very_much_is_given_up_leaves_the_rest_to_the_next_try(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, killed = storm_that_failed_for_a_day(desk, clock, monkeypatch), 0
    for statement in range(25, 200, 15):
        try:
            with crashing_at(desk.ledger, statement):
                fail(desk, claim)
        except Crash:
            killed += 1
        clock.now += HOUR
    assert killed > 2
    assert given_up(desk) == sorted(f"a{number}" for number in range(35))
    assert [channel_id for _, channel_id, _ in desk.waiting()] == ["other"]


@pytest.mark.postgresql
def test_what_is_purged_as_it_is_told_leaves_nothing_behind(postgresql: Callable[[], str], clock: Clock) -> None:
    address = postgresql()
    with (
        closing(Ledger.open(address, durable=False, now=clock)) as ledger,
        closing(Ledger.open(address, durable=False, now=clock)) as another,
        ThreadPoolExecutor(1) as pool,
    ):
        desk, purging = Desk(ledger, clock), list[Future[None]]()
        ledger.channels.add(channel())
        claim = desk.take()

        def purge() -> None:
            another.sources.purge("acme")

        def purge_meanwhile() -> None:
            purging.append(pool.submit(purge))
            done_or_waiting(purging[-1], another)

        def left() -> list[int]:
            belonging = (tables.outbox, tables.deliveries, tables.alert_events)
            with ledger._database.read() as tx:
                return [len(tx.execute(select(each)).all()) for each in belonging]

        # Between two looks at what is told.
        desk.tell("a", Happened.OPENED, "ops", source_id="acme")
        with before_statement(ledger, "UPDATE outbox SET handed", purge):
            assert desk.happened(claim) == []
        # While it is noted that it may have been sent before a kill.
        desk.tell("a", Happened.OPENED, "ops", source_id="acme")
        desk.hand(claim)
        with before_statement(ledger, "INSERT INTO deliveries", purge_meanwhile):
            desk.delivery.hand(claim)
        purging.pop().result(timeout=30)
        assert left() == [0, 0, 0]
        # While the outcome is noted.
        desk.tell("a", Happened.OPENED, "ops", source_id="acme")
        handed = desk.hand(claim)
        with before_statement(ledger, "INSERT INTO deliveries", purge_meanwhile):
            desk.delivery.settle(claim, handed, DeliverySuccess(answer="200"))
        purging.pop().result(timeout=30)
        assert left() == [0, 0, 0]
        # While it is noted that nobody hears of it: it came and went.
        desk.tell("a", Happened.OPENED, "ops", source_id="acme")
        desk.tell("a", Happened.RESOLVED, "ops", status=AlertStatus.RESOLVED)
        assert len(desk.happened(claim)) == 1
        desk.tell("a", Happened.RESOLVED, "ops")
        with before_statement(ledger, "INSERT INTO alert_events", purge_meanwhile):
            assert desk.happened(claim) == []
        purging.pop().result(timeout=30)
        assert left() == [0, 0, 0]


@pytest.mark.postgresql
def test_what_gets_worse_as_it_is_dropped_because_it_is_muted_stays_told(
    postgresql: Callable[[], str], clock: Clock
) -> None:
    address = postgresql()
    with (
        closing(Ledger.open(address, durable=False, now=clock)) as ledger,
        closing(Ledger.open(address, durable=False, now=clock)) as another,
    ):
        desk = Desk(ledger, clock)
        ledger.channels.add(channel())
        claim = desk.take()
        desk.tell("a", Happened.OPENED, "ops")
        clock.now += MINUTE
        mute(desk, fields={"severity": ("HIGH",)})

        def worsen() -> None:
            Desk(another, clock).tell("a", Happened.ESCALATED, "ops", severity=Severity.CRITICAL)

        with before_statement(ledger, "SKIP LOCKED", worsen):
            assert desk.happened(claim) == [("a", Happened.ESCALATED, 1)]
        alert = desk.alert("a")
        # Else nobody would be told of its end.
        assert alert is not None
        assert alert.to_be_told


@pytest.mark.postgresql
def test_what_is_put_off_as_its_mute_is_ended_does_not_wait_for_the_end_that_this_had(
    postgresql: Callable[[], str], clock: Clock
) -> None:
    address = postgresql()
    with (
        closing(Ledger.open(address, durable=False, now=clock)) as ledger,
        closing(Ledger.open(address, durable=False, now=clock)) as another,
        ThreadPoolExecutor(1) as pool,
    ):
        desk, ending = Desk(ledger, clock), list[Future[bool]]()
        ledger.channels.add(channel())
        claim = desk.take()
        desk.tell("a", Happened.OPENED, "ops")
        desk.tell("a", Happened.RESOLVED, "ops", status=AlertStatus.RESOLVED)
        assert desk.happened(claim) == [("a", Happened.RESOLVED, 2)]
        mute(desk, lasts=30 * 24 * HOUR)
        desk.tell("a", Happened.REOPENED, "ops", status=AlertStatus.OPEN)

        def end() -> None:
            ending.append(pool.submit(AlertLedger(another._database, lambda: desk.now_us).end_suppression, "m"))
            done_or_waiting(ending[-1], another)

        with before_statement(ledger, "UPDATE outbox SET due_us", end):
            told = desk.happened(claim)
        assert ending[0].result(timeout=30)
        assert told + desk.happened(claim) == [("a", Happened.REOPENED, 1)]


@pytest.mark.postgresql
def test_who_ends_a_mute_and_who_purges_what_it_covers_take_turns(postgresql: Callable[[], str], clock: Clock) -> None:
    address = postgresql()
    with (
        closing(Ledger.open(address, durable=False, now=clock)) as ledger,
        closing(Ledger.open(address, durable=False, now=clock)) as another,
        ThreadPoolExecutor(1) as pool,
    ):
        desk, ending = Desk(ledger, clock), list[Future[bool]]()
        ledger.sources.add(source_row("acme"))
        ledger.channels.add(channel())
        claim = desk.take()
        desk.tell("a", Happened.OPENED, "ops", source_id="acme")
        desk.tell("a", Happened.RESOLVED, "ops", status=AlertStatus.RESOLVED)
        assert len(desk.happened(claim)) == 1
        mute(desk, fields={"source": ("acme",)})
        desk.tell("a", Happened.REOPENED, "ops", status=AlertStatus.OPEN)
        assert desk.happened(claim) == []

        def end() -> None:
            ending.append(pool.submit(AlertLedger(another._database, lambda: desk.now_us).end_suppression, "m"))
            done_or_waiting(ending[-1], another)

        with before_statement(ledger, "DELETE FROM suppressions", end):
            ledger.sources.purge("acme")
        assert not ending[0].result(timeout=30)
        assert (ledger.alerts.suppressions(), desk.alert("a")) == ([], None)


def test_who_heard_by_a_message_that_was_sent_again_that_an_alert_is_open_hears_of_its_end(desk: Desk) -> None:
    desk.ledger.channels.add(channel())
    claim = desk.take()
    desk.tell("a", Happened.OPENED, "ops")
    desk.tell("a", Happened.RESOLVED, "ops", status=AlertStatus.RESOLVED)
    desk.hand(claim)
    # Whoever had that was killed; people are told of it once in its dedup period.
    desk.tell("a", Happened.REOPENED, "ops", status=AlertStatus.OPEN, later=HOUR)
    assert desk.happened(claim) == [("a", Happened.OPENED, 2)]
    desk.tell("a", Happened.RESOLVED, "ops", status=AlertStatus.RESOLVED)
    assert desk.happened(claim) == [("a", Happened.RESOLVED, 2)]


def test_who_heard_by_a_message_that_was_sent_again_that_an_alert_is_over_hears_after_a_mute_that_it_is_not(
    desk: Desk, clock: Clock
) -> None:
    desk.ledger.channels.add(channel())
    claim = desk.take()
    desk.tell("a", Happened.OPENED, "ops")
    desk.hand(claim)
    # Whoever had that was killed.
    desk.tell("a", Happened.RESOLVED, "ops", status=AlertStatus.RESOLVED)
    desk.delivery.settle(claim, desk.hand(claim), DeliverySuccess())
    desk.tell("a", Happened.REOPENED, "ops", status=AlertStatus.OPEN)
    clock.now += timedelta(seconds=1)
    mute(desk)
    assert desk.happened(claim) == []
    clock.now += 2 * HOUR
    assert desk.happened(desk.take()) == [("a", Happened.REOPENED, 2)]


def test_who_may_have_heard_of_an_end_before_a_kill_hears_after_a_mute_that_it_is_open(
    desk: Desk, clock: Clock
) -> None:
    desk.ledger.channels.add(channel())
    claim = desk.take()
    desk.tell("a", Happened.OPENED, "ops")
    assert len(desk.happened(claim)) == 1
    desk.tell("a", Happened.CLOSED, "ops", status=AlertStatus.CLOSED)
    desk.hand(claim)
    # Whoever had that was killed; what is sent again is dropped by who knows its key.
    desk.tell("a", Happened.ESCALATED, "ops", status=AlertStatus.OPEN)
    again = desk.hand(claim)
    desk.delivery.settle(claim, again, DeliverySuccess())
    assert notice_of(again, "", 0).happened is Happened.REOPENED
    clock.now += timedelta(seconds=1)
    mute(desk)
    assert desk.happened(claim) == []
    clock.now += 2 * HOUR
    assert desk.happened(desk.take()) == [("a", Happened.ESCALATED, 1)]


def test_what_was_told_of_a_muted_alert_since_long_ago_is_read_once() -> None:
    steps = dict[int, int]()
    for count in (100, 800):
        engine = create_engine("sqlite://")
        tables.metadata.create_all(engine)
        told = [
            {
                "outbox_id": number,
                "alert_id": "a",
                "channel_id": "ops",
                "happened": (Happened.RESOLVED if number % 2 else Happened.REOPENED).value,
                "at_us": number,
                "delivered": True,
                "final": True,
                "answer": "",
                "merged": 1,
            }
            for number in range(count)
        ]
        with engine.begin() as tx:
            tx.execute(insert(tables.deliveries), told)
            taken = list[int]()
            sqlite: Any = tx.connection.driver_connection
            sqlite.set_progress_handler(lambda taken=taken: taken.append(1), 10)
            assert outbox.may_have_ended(tx, "ops", ["a"]) == {"a": Happened.RESOLVED}
        steps[count] = len(taken)
        engine.dispose()
    # Eight times as much, and not the square of that.
    assert steps[800] < 16 * steps[100]


@pytest.mark.parametrize("put_off", [False, True])
def test_a_clock_that_was_set_back_amid_a_mute_loses_nothing_of_what_is_owed(
    desk: Desk, clock: Clock, *, put_off: bool
) -> None:
    desk.ledger.channels.add(channel())
    claim = desk.take()
    desk.tell("a", Happened.OPENED, "ops")
    assert len(desk.happened(claim)) == 1
    mute(desk, lasts=3 * HOUR)
    clock.now += HOUR
    claim = desk.take()
    desk.tell("a", Happened.RESOLVED, "ops", status=AlertStatus.RESOLVED)
    assert desk.happened(claim) == [("a", Happened.RESOLVED, 1)]
    desk.tell("a", Happened.REOPENED, "ops", status=AlertStatus.OPEN)
    if put_off:
        assert desk.happened(claim) == []
    clock.now -= 5 * MINUTE
    # It is told at once: by this clock nobody knows for how long it is to wait.
    assert desk.happened(claim) == [("a", Happened.REOPENED, 1)]
    assert desk.waiting() == []


def owed(desk: Desk, claim: Claim, name: str, **how: object) -> None:
    """Have a channel hear that an alert is over, and have it open again amid a mute that lasts 30 days."""
    desk.tell(name, Happened.OPENED, "ops", **how)  # type: ignore[arg-type] # as the test gives it
    desk.tell(name, Happened.RESOLVED, "ops", status=AlertStatus.RESOLVED)
    assert desk.happened(claim) == [(name, Happened.RESOLVED, 2)]
    mute(desk, lasts=30 * 24 * HOUR, fields={"title": (f"about {name}",)})
    desk.tell(name, Happened.REOPENED, "ops", status=AlertStatus.OPEN)
    assert desk.happened(claim) == []


@pytest.mark.parametrize("early", [False, True])
def test_what_waited_for_the_end_of_a_mute_goes_after_what_is_worse(desk: Desk, clock: Clock, *, early: bool) -> None:
    desk.ledger.channels.add(channel())
    owed(desk, desk.take(), "owed", severity=Severity.LOW)
    if early:
        clock.now += 29 * 24 * HOUR
        assert ended_now(desk, "m")
    else:
        clock.now += 30 * 24 * HOUR
    desk.tell("new", Happened.OPENED, "ops", severity=Severity.CRITICAL)
    assert [name for name, _, _ in desk.happened(desk.take())] == ["new", "owed"]


def test_what_waits_for_the_end_of_a_mute_is_not_given_up_with_what_waits_for_the_channel(
    desk: Desk, clock: Clock
) -> None:
    desk.ledger.channels.add(channel())
    claim = desk.take()
    owed(desk, claim, "owed")
    desk.tell("a", Happened.OPENED, "ops")
    for _ in range(40):
        if isinstance(handed := desk.delivery.hand(claim), OutgoingMessage):
            desk.delivery.settle(claim, handed, LATER)
        desk.delivery.release(claim)
        clock.now += HOUR
        claim = desk.take()
    assert [name for name, _, _ in desk.waiting()] == ["owed"]


def test_what_a_mute_put_off_is_as_old_as_the_end_of_that_when_it_cannot_be_told(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    owed(desk, desk.take(), "owed", severity=Severity.LOW)
    clock.now += 30 * 24 * HOUR
    claim = desk.take()
    desk.delivery.settle(claim, desk.hand(claim), LATER)
    clock.now += MINUTE
    desk.tell("new", Happened.OPENED, "ops", severity=Severity.CRITICAL)
    assert [name for name, _, _ in desk.happened(claim)] == ["new", "owed"]


def test_what_a_mute_put_off_is_not_given_up_at_its_first_try_because_of_that(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    owed(desk, desk.take(), "owed")
    clock.now += 28 * 24 * HOUR
    desk.tell("a", Happened.OPENED, "ops")
    tried = list[str]()
    for _ in range(2 * 24 + 1):
        claim = desk.take()
        if isinstance(handed := desk.delivery.hand(claim), OutgoingMessage):
            desk.delivery.settle(claim, handed, LATER)
            tried += handed.entries
        desk.delivery.release(claim)
        clock.now += HOUR
    assert tried == [*["a"] * 10, "owed"]
    assert [name for name, _, _ in desk.waiting()] == ["owed"]


def test_a_mute_of_many_alerts_ends_without_a_digest(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    claim, names = desk.take(), [f"owed {number}" for number in range(MOST_BEHIND + 2)]
    for name in names:
        desk.tell(name, Happened.OPENED, "ops")
        desk.tell(name, Happened.RESOLVED, "ops", status=AlertStatus.RESOLVED)
        assert desk.happened(claim) == [(name, Happened.RESOLVED, 2)]
    mute(desk, lasts=30 * 24 * HOUR, fields={"title": tuple(f"about {name}" for name in names)})
    for name in names:
        desk.tell(name, Happened.REOPENED, "ops", status=AlertStatus.OPEN)
    assert desk.happened(claim) == []
    clock.now += 30 * 24 * HOUR
    claim = desk.take()
    assert {happened for _, happened, _ in desk.happened(claim)} == {Happened.REOPENED}


def ended_now(desk: Desk, suppression_id: str) -> bool:
    """End a suppression by the clock of the test."""
    return AlertLedger(desk.ledger._database, lambda: desk.now_us).end_suppression(suppression_id)


@pytest.mark.parametrize("seed", range(16))
def test_what_people_heard_last_is_so_once_no_mute_is_left(desk: Desk, clock: Clock, seed: int) -> None:
    rng, muted, names = random.Random(seed), 0, ("a", "b", "c")
    desk.ledger.channels.add(channel())
    heard = dict[str, Happened]()
    claims = [desk.take()]

    def deliver() -> None:
        claims.append(desk.delivery.take("ops", "home/one") or claims[-1])
        heard.update({name: happened for name, happened, _ in desk.happened(claims[-1])})

    for name in names:
        desk.tell(name, Happened.OPENED, "ops")
    deliver()
    for _ in range(40):
        name = rng.choice(names)
        alert = desk.alert(name)
        assert alert is not None
        match rng.randrange(8):
            case 0:
                muted += 1
                mute(desk, lasts=rng.randint(1, 90) * MINUTE, id=f"m{muted}")
            case 1 if muted:
                ended_now(desk, f"m{rng.randint(1, muted)}")
            case 2 | 3:
                what = Happened.RESOLVED if alert.is_open else Happened.REOPENED
                status = AlertStatus.RESOLVED if alert.is_open else AlertStatus.OPEN
                # Of what comes and goes people hear once in its dedup period.
                later = rng.choice((timedelta(0), 20 * MINUTE)) if what is Happened.REOPENED else timedelta(0)
                desk.tell(name, what, "ops", status=status, later=later)
            case 4:
                deliver()
            case 5:
                what = Happened.CLOSED if alert.is_open else Happened.REOPENED
                status = AlertStatus.CLOSED if alert.is_open else AlertStatus.OPEN
                desk.tell(name, what, "ops", status=status, note="by ann")
            case 6:
                handed = desk.delivery.hand(claims[-1])
                if isinstance(handed, OutgoingMessage):
                    # Its answer was lost: it may have arrived.
                    (at,) = handed.entries
                    heard |= {at: handed.entries[at][-1].happened} if rng.random() < 0.5 else {}
                    desk.delivery.settle(claims[-1], handed, LATER)
            case _:
                clock.now += rng.randint(1, 30) * MINUTE
    # A channel that failed rests first.
    for _ in range(2):
        clock.now += 3 * HOUR
        deliver()
    for name in names:
        alert = desk.alert(name)
        assert alert is not None
        assert heard[name].ends is not alert.is_open, f"{name} is {alert.status}, and people heard {heard[name]}"
    assert desk.waiting() == []


REFUSED = DeliveryRefusal(answer="401", code="channel_refused")


def test_a_channel_that_fails_in_a_maintenance_window_is_told_of_after_it(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    desk.ledger.channels.add(channel("boss"))
    mute(desk)
    claim = desk.take()
    for name in ("a", "b"):
        desk.tell(name, Happened.OPENED, "ops")
        desk.delivery.settle(claim, desk.hand(claim), REFUSED)
    error = desk.alert(failure_id("ops"))
    assert error is not None
    assert (error.to_be_told, error.matches, desk.waiting()) == (False, 2, [])
    clock.now += 61 * MINUTE
    claim = desk.take()
    for name in ("c", "d"):
        desk.tell(name, Happened.OPENED, "ops")
        desk.delivery.settle(claim, desk.hand(claim), REFUSED)
    assert desk.waiting() == [(failure_id("ops"), "boss", "opened")]


def test_nobody_hears_of_the_end_of_what_nobody_heard_of(desk: Desk) -> None:
    desk.ledger.channels.add(channel())
    desk.ledger.channels.add(channel("boss"))
    mute(desk)
    claim = desk.take()
    desk.tell("a", Happened.OPENED, "ops")
    desk.delivery.settle(claim, desk.hand(claim), REFUSED)
    desk.tell("b", Happened.OPENED, "ops")
    assert desk.happened(claim) == [("b", Happened.OPENED, 1)]
    assert desk.waiting() == []


def test_a_channel_that_comes_and_goes_is_told_of_once_an_hour_and_never_left_untold(desk: Desk, clock: Clock) -> None:
    desk.ledger.channels.add(channel())
    desk.ledger.channels.add(channel("boss"))
    heard = list[tuple[int, Happened]]()
    for minute in range(0, 130, 10):
        claim, boss = desk.take(), desk.take("boss")
        desk.tell(f"a{minute}", Happened.OPENED, "ops")
        desk.delivery.settle(claim, desk.hand(claim), REFUSED)
        heard += [(minute, happened) for _, happened, _ in desk.happened(boss)]
        clock.now += 5 * MINUTE
        if minute < 100:
            desk.tell(f"b{minute}", Happened.OPENED, "ops")
            desk.happened(claim)
            heard += [(minute + 5, happened) for _, happened, _ in desk.happened(boss)]
        clock.now += 5 * MINUTE
        desk.delivery.release(claim)
        desk.delivery.release(boss)
    assert heard == [
        (0, Happened.OPENED),
        (5, Happened.RESOLVED),
        (60, Happened.REOPENED),
        (65, Happened.RESOLVED),
        (120, Happened.REOPENED),
    ]


def test_what_waits_for_a_removed_channel_and_no_other_takes_is_told_of(desk: Desk, clock: Clock) -> None:
    errors = Route(types=frozenset({AlertType.SYSTEM_ERROR}))
    desk.ledger.channels.add(channel())
    desk.ledger.channels.add(channel("errors", route=errors))
    desk.tell("a", Happened.OPENED, "ops")
    desk.tell("b", Happened.OPENED, "gone")
    clock.now += HOUR
    desk.tell("c", Happened.OPENED, "errors")
    since_us = desk.delivery.watch_routes(0)
    assert desk.delivery.adopt() == 1
    assert desk.ledger.channels.remove("ops") == 2
    desk.delivery.watch_routes(since_us)
    assert [each for each in desk.waiting() if each[0] != "c"] == [(failure_id(""), "errors", "opened")]
    error = desk.alert(failure_id(""))
    assert error is not None
    assert error.matches == 2


def test_what_is_put_into_the_outbox_while_a_channel_goes_is_not_lost(desk: Desk, other: Ledger) -> None:
    if desk.ledger._database.is_sqlite:
        return  # There nothing happens while another writes.
    desk.ledger.channels.add(channel("all"))
    desk.tell("a", Happened.OPENED, "gone")
    theirs = Desk(other, desk.clock)
    with before_statement(
        desk.ledger, "DELETE FROM outbox WHERE outbox.channel_id", lambda: theirs.tell("b", Happened.OPENED, "gone")
    ):
        desk.delivery.adopt()
    desk.delivery.adopt()
    assert sorted(desk.waiting()) == [("a", "all", "opened"), ("b", "all", "opened")]


def test_a_channel_fails_once_it_did_for_long_while_anything_waits_however_seldom_it_was_tried(
    desk: Desk, clock: Clock
) -> None:
    def failing() -> list[str]:
        return [each.id for each in desk.ledger.channels.failing()]

    for name in ("ops", "idle"):
        desk.ledger.channels.add(channel(name))
    ops, idle = desk.take("ops"), desk.take("idle")
    # Of the other nothing waits: what was told through it is over for it, and nobody hears of that.
    desk.tell("c", Happened.OPENED, "idle", rule_id=DELIVERY_ERROR)
    desk.delivery.settle(idle, desk.hand(idle), REFUSED)
    desk.tell("a", Happened.OPENED, "ops")
    desk.delivery.settle(ops, desk.hand(ops), replace(LATER, retry_after=timedelta(days=115_740)))
    clock.now += 15 * MINUTE - timedelta(seconds=1)
    assert failing() == []
    clock.now += timedelta(seconds=1)
    assert failing() == ["ops"]
    desk.delivery.works("ops")
    assert failing() == []


def test_a_channel_fails_once_several_messages_do_or_one_was_given_up(desk: Desk, clock: Clock) -> None:
    def failing() -> list[tuple[str, int, str]]:
        return [(each.id, each.since_us, each.reason) for each in desk.ledger.channels.failing()]

    began_us = desk.now_us
    for name in ("late", "refusing"):
        desk.ledger.channels.add(channel(name))
    late, refusing = desk.take("late"), desk.take("refusing")
    for name in ("a", "b", "c"):
        assert failing() == []
        desk.tell(name, Happened.OPENED, "late")
        desk.delivery.settle(late, desk.hand(late), LATER)
        clock.now += timedelta(seconds=1)
    assert failing() == [("late", began_us, "503")]
    desk.tell("a", Happened.OPENED, "refusing")
    desk.delivery.settle(refusing, desk.hand(refusing), REFUSED)
    assert failing() == [("late", began_us, "503"), ("refusing", desk.now_us, "401")]
    clock.now += 5 * MINUTE
    for claim in (late, refusing):
        desk.tell("d", Happened.OPENED, claim.name)
        desk.happened(claim)
    assert failing() == []
