"""What one attempt comes to, whatever a channel does."""

from datetime import timedelta
from typing import Any
from unittest.mock import MagicMock

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from ocelog.alert.alert import Alert
from ocelog.alert.delivery.delivering import (
    MOST_TRIES,
    DeliveryDelay,
    DeliveryRefusal,
    DeliverySuccess,
    Entry,
    Outcome,
    OutgoingMessage,
    allowance,
    gives_up,
    notice_of,
    rest,
    says_nothing_new,
    try_again,
)
from ocelog.alert.delivery.routing import ChannelRow
from ocelog.alert.notice import AlertStatus, Happened, Notice
from ocelog.app.loops.delivering import DeliverLoop, attempt
from ocelog.channels.http_post import LONGEST_SECONDS, Reach
from ocelog.channels.ports import Receipt
from ocelog.errors import ChannelRefusedError, ChannelUnavailableError, ConfigError, HomeError, LedgerUnavailableError
from ocelog.model import Severity

SECRET = "hunter2-hunter2"
HOUR_US = 3_600_000_000


class Far:
    """A channel that does one thing. Fits Channel."""

    address = "far"

    def __init__(self, does: Exception | Receipt) -> None:
        self.does = does

    def send(self, notice: Notice) -> Receipt:
        assert notice.key == "key"
        if isinstance(self.does, Exception):
            raise self.does
        return self.does


def handed(*happened: Happened, status: AlertStatus = AlertStatus.OPEN, **more: object) -> OutgoingMessage:
    alert = Alert(
        id="a",
        severity=Severity.HIGH,
        title="t",
        rule_id="r",
        opened_us=1,
        updated_us=1,
        status=status,
        **more,  # type: ignore[arg-type] # as the test gives it
    )
    entries = [
        Entry(id=at, alert_id="a", happened=each, created_us=1, since_us=1) for at, each in enumerate(happened, 1)
    ]
    channel = ChannelRow(id="c", name="c", kind="file", added_us=1)
    return OutgoingMessage(number=len(happened), channel=channel, entries={"a": entries}, alerts={"a": alert})


@pytest.mark.parametrize(
    ("does", "outcome"),
    [
        (Receipt(status="200", text="ok"), DeliverySuccess(answer="200 ok")),
        (
            ChannelUnavailableError("503", retry_after=timedelta(seconds=9)),
            DeliveryDelay(answer="503", code="channel_unavailable", retry_after=timedelta(seconds=9)),
        ),
        (ChannelRefusedError("401"), DeliveryRefusal(answer="401", code="channel_refused")),
        # A person mends it, and then it goes on: nothing is given up at once.
        (ConfigError("no CA file"), DeliveryDelay(answer="no CA file", code="config_invalid")),
        (HomeError("no key"), DeliveryDelay(answer="no key", code="home_unfit")),
        (ValueError(SECRET), DeliveryDelay(answer="a bug in Ocelog: ValueError", code="unexpected")),
    ],
)
def test_an_attempt_ends_in_one_of_three_ways_and_tells_no_secret(does: Exception | Receipt, outcome: Outcome) -> None:
    with capture_logs() as logs:
        assert attempt(lambda _: Far(does), handed(Happened.OPENED), "key", 1) == outcome
    assert SECRET not in repr(logs)


def test_a_ledger_that_does_not_answer_says_nothing_about_the_channel() -> None:
    with pytest.raises(LedgerUnavailableError):
        attempt(lambda _: Far(LedgerUnavailableError("busy")), handed(Happened.OPENED), "key", 1)


OPEN, E, R, V, C, A, N = (
    Happened.OPENED,
    Happened.ESCALATED,
    Happened.REOPENED,
    Happened.RESOLVED,
    Happened.CLOSED,
    Happened.ACKNOWLEDGED,
    Happened.NOT_VISIBLE,
)


@pytest.mark.parametrize(
    ("happened", "status", "visible", "told"),
    [
        ((OPEN,), AlertStatus.OPEN, True, OPEN),
        ((OPEN, E), AlertStatus.OPEN, True, OPEN),
        ((OPEN, V), AlertStatus.RESOLVED, True, V),
        ((OPEN, C), AlertStatus.CLOSED, True, C),
        ((OPEN, V, R), AlertStatus.OPEN, True, OPEN),
        ((V, R), AlertStatus.OPEN, True, R),
        ((E, A), AlertStatus.TRIAGED, True, E),
        ((A,), AlertStatus.TRIAGED, True, A),
        ((N,), AlertStatus.OPEN, False, N),
        ((N, A), AlertStatus.TRIAGED, False, N),
        ((N, A), AlertStatus.TRIAGED, True, A),
        ((Happened.RESENT,), AlertStatus.OPEN, True, Happened.RESENT),
        ((Happened.RESENT,), AlertStatus.RESOLVED, True, V),
        # Written before it was over, or before it was open again: what is true now is told.
        ((E,), AlertStatus.RESOLVED, True, V),
        ((V,), AlertStatus.OPEN, True, R),
    ],
)
def test_what_waited_is_told_as_it_is_now(
    happened: tuple[Happened, ...], status: AlertStatus, visible: bool, told: Happened
) -> None:
    notice = notice_of(handed(*happened, status=status, visible=visible), "key", 1)
    assert (notice.happened, notice.status, notice.merged) == (told, status, len(happened))


@pytest.mark.parametrize(
    ("happened", "put_off", "status", "last", "muted", "said"),
    [
        # It came back before its alert was muted, and is not told while that lasts.
        (R, True, AlertStatus.OPEN, V, True, True),
        (R, True, AlertStatus.OPEN, V, False, False),
        (R, False, AlertStatus.OPEN, V, True, False),
        # It came and went within its quiet.
        (V, False, AlertStatus.RESOLVED, V, False, True),
        (V, False, AlertStatus.RESOLVED, OPEN, False, False),
        (V, False, AlertStatus.RESOLVED, None, False, False),
    ],
)
def test_what_says_nothing_new_is_not_told(
    happened: Happened, put_off: bool, status: AlertStatus, last: Happened | None, muted: bool, said: bool
) -> None:
    found = handed(happened, status=status)
    ((name, entries),) = found.entries.items()
    waiting = [replace(each, put_off=put_off) for each in entries]
    assert says_nothing_new(found.alerts[name], waiting, last, muted=muted) is said


def test_a_key_is_the_same_only_if_the_same_goes_together() -> None:
    one = handed(Happened.OPENED, Happened.ESCALATED)
    assert one.key("l") == "l-2"
    other = Entry(id=1, alert_id="b", happened=Happened.OPENED, created_us=1, since_us=1)
    last = Entry(id=2, alert_id="a", happened=Happened.OPENED, created_us=1, since_us=1)
    two = replace(one, entries={"a": [last], "b": [other]})
    three = replace(one, entries={"a": [last], "b": [replace(other, id=0), other]})
    assert len({one.key("l"), two.key("l"), three.key("l")}) == 3
    assert two.key("l") == replace(two, entries={"b": [other], "a": [last]}).key("l")


def test_a_digest_begins_with_the_worst_of_what_goes_on_and_ends_with_what_is_over() -> None:
    one = handed(Happened.OPENED)
    alerts = {
        name: replace(one.alerts["a"], id=name, severity=severity, status=status)
        for name, severity, status in (
            ("over", Severity.CRITICAL, AlertStatus.RESOLVED),
            ("low", Severity.LOW, AlertStatus.OPEN),
            ("worst", Severity.CRITICAL, AlertStatus.OPEN),
            ("over, low", Severity.LOW, AlertStatus.CLOSED),
            ("high", Severity.HIGH, AlertStatus.OPEN),
        )
    }
    entries = {
        name: [Entry(id=at, alert_id=name, happened=OPEN, created_us=1, since_us=1)]
        for at, name in enumerate(alerts, 1)
    }
    told = notice_of(replace(one, entries=entries, alerts=alerts), "key", 9)
    assert [each.alert_id for each in told.digest] == ["worst", "high", "low", "over", "over, low"]
    assert (told.severity, told.title, told.merged) == (Severity.CRITICAL, "5 alerts, 2 of them over", 5)


@pytest.mark.parametrize("per_hour", [1, 2, 3, 7, 60])
def test_no_hour_has_more_messages_than_allowed_and_nothing_waits_for_more_than_one(per_hour: int) -> None:
    sent, now = list[int](), 10 * HOUR_US
    for _ in range(5 * per_hour):
        allowed = allowance(sent, per_hour, now)
        assert allowed.from_us - now <= HOUR_US
        now = max(now, allowed.from_us)
        sent.append(now)
        assert sum(now - HOUR_US < each <= now for each in sent) <= per_hour


def test_what_was_sent_by_a_greater_limit_counts_against_a_smaller_one() -> None:
    now = 10 * HOUR_US
    sent = [now - minute * HOUR_US // 60 for minute in range(30, 0, -1)]
    # The tenth last went 10 minutes ago.
    assert allowance(sent, 10, now).from_us == now + 50 * HOUR_US // 60


def test_what_was_sent_ahead_of_the_clock_does_not_count() -> None:
    assert allowance([20 * HOUR_US], 1, 10 * HOUR_US).from_us == 10 * HOUR_US


def test_ten_tries_take_most_of_a_day_and_no_more() -> None:
    for jitter in (0.0, 0.5, 1.0):
        whole = sum((try_again(tries, None, jitter) for tries in range(1, 10)), timedelta(0))
        assert timedelta(hours=18) < whole <= timedelta(hours=24)
    assert try_again(1, timedelta(hours=9), 0.0) == timedelta(hours=1)
    assert rest(2, None) == timedelta(0)
    assert rest(1, timedelta(hours=9)) == timedelta(hours=1)
    assert timedelta(0) < rest(3, None) < rest(500, None) <= timedelta(minutes=15)
    assert rest(3, timedelta(hours=9)) == timedelta(hours=1)


def test_what_has_not_waited_for_a_day_is_tried_again_though_its_channel_fails_for_one() -> None:
    entry = Entry(id=1, alert_id="a", happened=OPEN, created_us=1, since_us=24 * HOUR_US)
    assert not gives_up(entry, MOST_TRIES, 0, 48 * HOUR_US - 1)
    assert gives_up(entry, MOST_TRIES, 0, 48 * HOUR_US)
    assert gives_up(replace(entry, tries=MOST_TRIES), 1, 24 * HOUR_US, 24 * HOUR_US)


def test_the_loop_looks_now_and_then_for_what_is_muted_no_more() -> None:
    work: Any = MagicMock()
    ledger = work.assembly.installation.ledger.delivery
    ledger.adopt.return_value = 0
    now = [0]
    loop = DeliverLoop(work, now_us=lambda: now[0])
    for seconds, now_us in ((0.0, 100), (30.0, 130), (60.0, 90), (90.0, 120)):
        now[0] = now_us
        loop.run_due(seconds)
        work.begin.call_args.args[1]()
    # All that is kept at first, and once the clock was set back; what has changed since then otherwise.
    assert [each.args for each in ledger.wake_unmuted.call_args_list] == [(0,), (100,), (0,), (90,)]


def test_a_lease_outlasts_every_try_to_send() -> None:
    work: Any = None
    assert DeliverLoop(work).lease.total_seconds() >= 2 * LONGEST_SECONDS
    with pytest.raises(AssertionError, match="may end while"):
        DeliverLoop(work, lease=timedelta(seconds=LONGEST_SECONDS))
    with pytest.raises(AssertionError, match="at most"):
        Reach(total_seconds=LONGEST_SECONDS + 1)
