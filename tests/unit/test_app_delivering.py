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
    Wait,
    allowance,
    came_back,
    gives_up,
    is_owed,
    notice_of,
    rest,
    says_nothing_new,
    tells_ends_only,
    try_again,
    was_muted,
)
from ocelog.alert.delivery.routing import ChannelRow
from ocelog.alert.notice import AlertStatus, Happened, Notice
from ocelog.app.loops.delivering import DeliverLoop, attempt
from ocelog.channels.http_post import LONGEST_SECONDS, Reach
from ocelog.channels.ports import Receipt
from ocelog.errors import (
    ChannelRefusedError,
    ChannelUnavailableError,
    ConfigError,
    HomeError,
    LedgerUnavailableError,
    LostFenceError,
)
from ocelog.ledger.delivery import ChannelBacklog
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


def test_what_came_and_went_is_told_if_it_got_worse_meanwhile() -> None:
    found = handed(E, V, status=AlertStatus.RESOLVED)
    assert not says_nothing_new(found.alerts["a"], found.entries["a"], V, muted=False)


BEFORE, AMID = 10, 20
"""When something happened: a mute begins at `AMID`."""


def waiting(*happened: tuple[Happened, int], note: str = "", tries: int = 0) -> list[Entry]:
    return [
        Entry(id=at, alert_id="a", happened=each, created_us=us, since_us=us, note=note, tries=tries)
        for at, (each, us) in enumerate(happened, 1)
    ]


@pytest.mark.parametrize(
    ("entries", "status", "last", "muted"),
    [
        (waiting((OPEN, BEFORE)), AlertStatus.OPEN, None, True),
        (waiting((OPEN, AMID)), AlertStatus.OPEN, None, False),
        # What goes and comes back by itself since then changes nothing; what gets worse, or a person does, is told.
        (waiting((OPEN, BEFORE), (V, AMID)), AlertStatus.RESOLVED, None, True),
        (waiting((OPEN, BEFORE), (R, AMID)), AlertStatus.OPEN, None, True),
        (waiting((OPEN, BEFORE), (R, AMID), note="by ann"), AlertStatus.OPEN, None, False),
        (waiting((OPEN, BEFORE), (E, AMID)), AlertStatus.OPEN, None, False),
        (waiting((OPEN, BEFORE), (Happened.RESENT, BEFORE)), AlertStatus.OPEN, None, False),
        # A try that failed may have arrived.
        (waiting((OPEN, BEFORE), tries=1), AlertStatus.OPEN, None, False),
        # Who heard of it hears of its end, whatever waits, and that it is not over after all.
        (waiting((V, BEFORE)), AlertStatus.RESOLVED, OPEN, False),
        (waiting((E, BEFORE)), AlertStatus.RESOLVED, OPEN, False),
        (waiting((E, BEFORE)), AlertStatus.OPEN, OPEN, True),
        (waiting((R, BEFORE)), AlertStatus.OPEN, V, False),
        (waiting((A, BEFORE)), AlertStatus.TRIAGED, OPEN, False),
    ],
)
def test_what_waited_when_a_mute_began_is_left_out_unless_it_is_news(
    entries: list[Entry], status: AlertStatus, last: Happened | None, muted: bool
) -> None:
    alert = replace(handed(OPEN).alerts["a"], status=status)
    assert was_muted(alert, entries, last, AMID) is muted


@pytest.mark.parametrize(
    ("entries", "status", "last", "owed", "back"),
    [
        (waiting((R, AMID)), AlertStatus.OPEN, V, True, True),
        (waiting((R, AMID)), AlertStatus.OPEN, OPEN, False, True),
        (waiting((R, AMID)), AlertStatus.OPEN, None, False, True),
        (waiting((R, AMID), note="by ann"), AlertStatus.OPEN, V, False, False),
        (waiting((V, BEFORE), (R, AMID)), AlertStatus.OPEN, V, True, True),
        (waiting((R, BEFORE), (V, AMID)), AlertStatus.RESOLVED, V, False, False),
        # It is over again since that was written.
        (waiting((R, AMID)), AlertStatus.RESOLVED, V, False, False),
        (waiting((R, AMID), (A, AMID)), AlertStatus.TRIAGED, V, False, False),
        (waiting((E, BEFORE), (R, AMID)), AlertStatus.OPEN, V, True, False),
    ],
)
def test_who_heard_that_a_muted_alert_was_over_is_owed_that_it_is_back(
    entries: list[Entry], status: AlertStatus, last: Happened | None, owed: bool, back: bool
) -> None:
    alert = replace(handed(OPEN).alerts["a"], status=status)
    assert (is_owed(alert, entries, last), came_back(alert, entries)) == (owed, back)


def test_what_is_of_no_use_to_who_never_heard_is_that_it_ends_or_that_somebody_looks_at_it() -> None:
    ends = {each for each in Happened if tells_ends_only(waiting((each, 1)))}
    assert ends == {A, V, C, N}
    assert not tells_ends_only(waiting((OPEN, 1), (V, 2)))


def test_a_message_that_stands_for_several_has_what_each_was_told_with_once() -> None:
    told = handed(OPEN, A, C, status=AlertStatus.CLOSED)
    notes = ("by ann", "by ann", "by bob: benign")
    entries = [replace(each, note=note) for each, note in zip(told.entries["a"], notes, strict=True)]
    assert notice_of(replace(told, entries={"a": entries}), "key", 1).note == "by ann; by bob: benign"


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
        name: replace(one.alerts["a"], id=name, severity=severity, status=status, matches=7)
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
    assert told.matches == 35, "those of all its alerts"


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


def test_what_may_go_one_by_one_leaves_room_for_what_waits() -> None:
    now = 10 * HOUR_US
    # Half of ten may go at once: the last of them is for all that waits.
    assert [allowance([now - 1] * sent, 10, now).single for sent in range(6)] == [True, True, True, True, False, False]
    assert allowance([], None, now).single
    # What was sent an hour ago counts no more.
    assert allowance([now - HOUR_US] * 5, 10, now).single


def test_what_was_sent_ahead_of_the_clock_does_not_count() -> None:
    assert allowance([20 * HOUR_US], 1, 10 * HOUR_US).from_us == 10 * HOUR_US


def test_ten_tries_take_most_of_a_day_and_no_more() -> None:
    for jitter in (0.0, 0.5, 1.0):
        whole = sum((try_again(tries, None, jitter) for tries in range(1, 10)), timedelta(0))
        assert timedelta(hours=18) < whole <= timedelta(hours=24)
    assert try_again(1, timedelta(hours=9), 0.0) == timedelta(hours=1)
    assert rest(2, None) == timedelta(0)
    assert rest(1, timedelta(hours=9)) == timedelta(hours=1)
    assert [rest(3 + more, None).total_seconds() for more in range(7)] == [30, 60, 120, 240, 480, 900, 900]
    assert rest(500, None) == timedelta(minutes=15)
    assert rest(3, timedelta(hours=9)) == timedelta(hours=1)


def test_what_has_not_waited_for_a_day_is_tried_again_though_its_channel_fails_for_one() -> None:
    entry = Entry(id=1, alert_id="a", happened=OPEN, created_us=1, since_us=24 * HOUR_US)
    assert not gives_up(entry, MOST_TRIES, 0, 48 * HOUR_US - 1)
    assert gives_up(entry, MOST_TRIES, 0, 48 * HOUR_US)
    assert gives_up(replace(entry, tries=MOST_TRIES), 1, 24 * HOUR_US, 24 * HOUR_US)
    # A channel that was seldom tried, or has failed for less, does not fail for a day.
    assert not gives_up(entry, MOST_TRIES - 1, 0, 48 * HOUR_US)
    assert not gives_up(replace(entry, since_us=0), MOST_TRIES, HOUR_US, 25 * HOUR_US - 1)


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


class Stage:
    """A deliver loop on clocks of its own, whose ledger says what a test sets, and whose threads run at once."""

    def __init__(self, kind: str = "file") -> None:
        self.seconds = 0.0
        self.work: Any = MagicMock()
        self.work.monotonic = lambda: self.seconds
        self.work.to_tell = 0
        self.work.stop.return_value = False
        self.work.begin = lambda _loop, job: job() or True
        self.work.threads.start_once = lambda _name, job: job()
        self.ledger = self.work.assembly.installation.ledger.delivery
        self.ledger.adopt.return_value = 0
        self.channel = ChannelRow(id="c", name="c", kind=kind, added_us=1)
        self.backlog(due=0)
        self.ledger.hand.return_value = Wait(until_us=None)
        self.loop = DeliverLoop(self.work, now_us=lambda: int(self.seconds * 1e6), opened=lambda *_: Far(TAKEN))

    def backlog(self, *, due: float, newest: int = 1, channel: ChannelRow | None = None) -> None:
        waits = ChannelBacklog(channel=channel or self.channel, due_us=int(due * 1e6), newest=newest)
        self.ledger.waiting.return_value = [waits]

    def looks(self, seconds: float) -> bool:
        """Have the loop look, and return whether it began to deliver."""
        self.seconds = seconds
        self.ledger.take.reset_mock()
        self.loop.run_due(seconds)
        return bool(self.ledger.take.called)


TAKEN = Receipt(status="200")


def test_the_loop_looks_now_and_then_for_all_that_nobody_else_looks_after() -> None:
    stage = Stage()
    stage.ledger.watch_routes.side_effect = [7, 9]
    for seconds in (0.0, 29.0, 30.0):
        stage.looks(seconds)
    for looks in (stage.ledger.adopt, stage.ledger.wake_unmuted, stage.ledger.escalate):
        assert looks.call_count == 2
    assert [each.args for each in stage.ledger.watch_routes.call_args_list] == [(0,), (7,)], "the first looks at all"


def test_what_is_held_back_is_left_alone_until_that_is_over_or_there_is_more() -> None:
    stage = Stage()
    assert stage.looks(0)
    assert not stage.looks(10)
    stage.backlog(due=0, newest=2)
    assert stage.looks(20), "there is more to tell"
    assert not stage.looks(30)
    stage.backlog(due=0, newest=2, channel=replace(stage.channel, name="renamed"))
    assert stage.looks(40), "somebody changed it"
    assert not stage.looks(50)
    assert stage.looks(100), "it is looked at again, whatever held it back"
    stage.ledger.hand.return_value = Wait(until_us=190_000_000)
    assert stage.looks(180)
    assert not stage.looks(186)
    assert stage.looks(192)


def test_what_is_due_later_waits_and_what_is_told_meanwhile_does_not_wait_for_the_next_look() -> None:
    stage = Stage()
    stage.backlog(due=3)
    assert not stage.looks(0)
    assert not stage.looks(4), "it looks each five seconds"
    stage.work.to_tell = 1
    assert stage.looks(4.5)


def test_what_a_pull_leaves_is_delivered_though_it_was_held_back() -> None:
    stage = Stage()
    assert stage.looks(0)
    stage.ledger.take.reset_mock()
    stage.ledger.adopt.reset_mock()
    stage.loop.finish()
    assert stage.ledger.take.called
    assert stage.ledger.adopt.called


def test_what_fails_is_told_and_tried_again_a_little_later_and_that_it_works_is_told_too() -> None:
    stage = Stage()
    stage.ledger.take.side_effect = LedgerUnavailableError("busy")
    assert stage.looks(0)
    assert stage.work.faults.failed.called
    assert not stage.work.faults.worked.called
    stage.work.to_tell = 1
    assert not stage.looks(4)
    stage.ledger.take.side_effect = None
    assert stage.looks(9)
    assert stage.work.faults.worked.called


def test_a_channel_to_which_another_process_delivers_is_looked_at_again_a_little_later() -> None:
    stage = Stage()
    stage.ledger.take.return_value = None
    assert stage.looks(0)
    assert not stage.ledger.hand.called
    stage.work.to_tell = 1
    assert not stage.looks(4.9)
    stage.work.to_tell = 2
    assert stage.looks(5)
    assert not stage.work.faults.failed.called


def test_a_channel_that_another_process_took_meanwhile_is_no_fault_of_the_loop() -> None:
    stage = Stage()
    stage.ledger.hand.side_effect = LostFenceError("another process delivers to it")
    assert stage.looks(0)
    assert not stage.work.faults.failed.called
    assert stage.ledger.release.called
    assert stage.looks(5)


def test_a_channel_that_could_not_be_let_go_of_is_let_go_of_before_it_is_taken_again() -> None:
    stage = Stage()
    stage.ledger.release.side_effect = LedgerUnavailableError("busy")
    stage.looks(0)
    stage.ledger.release.side_effect = None
    stage.ledger.release.reset_mock()
    stage.looks(70)
    assert stage.ledger.release.call_args_list[0].args == (stage.ledger.take.return_value,)
    assert stage.ledger.release.call_count == 2


@pytest.mark.parametrize(("fails", "noted"), [(2, True), (3, False)])
def test_an_outcome_that_cannot_be_noted_is_tried_a_few_times(fails: int, noted: bool) -> None:
    stage = Stage()
    message = handed(OPEN)
    stage.work.assembly.installation.ledger.id = "ledger"
    stage.ledger.hand.side_effect = [message, Wait(until_us=None)]
    stage.ledger.settle.side_effect = [LedgerUnavailableError("busy")] * fails + [None]
    stage.loop = DeliverLoop(stage.work, now_us=lambda: 1, opened=lambda *_: MagicMock())
    stage.looks(0)
    assert stage.ledger.settle.call_count == 3
    assert stage.work.faults.failed.called is not noted


def test_an_outcome_that_cannot_be_noted_holds_up_no_end() -> None:
    stage = Stage()
    stage.ledger.hand.return_value = handed(OPEN)

    def asked_to_end(*_: object) -> None:
        stage.work.stop.return_value = True
        raise LedgerUnavailableError("busy")

    stage.ledger.settle.side_effect = asked_to_end
    stage.loop = DeliverLoop(stage.work, now_us=lambda: 1, opened=lambda *_: MagicMock())
    stage.looks(0)
    assert stage.ledger.settle.call_count == 1


@pytest.mark.parametrize(("kind", "one_by_one"), [("file", False), ("pagerduty", True)])
def test_a_channel_that_keeps_incidents_is_handed_alerts_one_by_one(kind: str, one_by_one: bool) -> None:
    stage = Stage(kind)
    stage.looks(0)
    assert stage.ledger.hand.call_args.kwargs == {"one_by_one": one_by_one}


def test_a_lease_outlasts_every_try_to_send() -> None:
    work: Any = None
    assert DeliverLoop(work).lease.total_seconds() >= 2 * LONGEST_SECONDS
    with pytest.raises(AssertionError, match="may end while"):
        DeliverLoop(work, lease=timedelta(seconds=LONGEST_SECONDS))
    with pytest.raises(AssertionError, match="at most"):
        Reach(total_seconds=LONGEST_SECONDS + 1)
