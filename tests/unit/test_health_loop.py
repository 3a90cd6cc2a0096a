"""What people are told of streams as the ledger has them, look by look."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from bookkeeping.alerts import alert_of, opened
from bookkeeping.crashes import Crash, crashing_at
from ocelog.alert.alert import Alert
from ocelog.alert.ids import LIMIT_EXCEEDED, LOOP_FAILING, system_alert_id
from ocelog.alert.listing import AlertFilter
from ocelog.alert.notice import AlertStatus, AlertType
from ocelog.alert.raising import RaisedAlert
from ocelog.app.loops.health import AlertedErrors, HealthLoop, age_silence, end_limits, look_at_streams
from ocelog.app.loops.loop import Work
from ocelog.app.sources.sources import row_of
from ocelog.app.sources.stream_health import is_of_the_past, is_tired, stream_healths
from ocelog.app.status.status import StreamStatus, stream_statuses
from ocelog.errors import LedgerUnavailableError
from ocelog.health.stream import AlarmState, State
from ocelog.health.telling import ErrorNotice
from ocelog.ledger.ledger import Ledger
from ocelog.model import HANGING, Origin, Severity, Slice, SliceState
from ocelog.pull.ports import Coverage, Landing, Tally
from ocelog.pull.sweep import Stage, SweepStep
from ocelog.sources.wiz.settings import from_mapping
from ocelog.times import to_us
from ocelog.workers.threads import Stop

START = datetime(2026, 8, 1, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ISSUES = "Wiz.Issues"
KEY = ("prod", ISSUES)
SETTINGS = from_mapping({"token_url": "cognito", "client_id": "x", "log_types": ["issues"]})


@dataclass
class Told:
    """Tells nobody, and can fail."""

    notices: list[str] = field(default_factory=list)
    fails: bool = False

    def raise_(self, notice: ErrorNotice) -> None:
        if self.fails:
            raise LedgerUnavailableError("busy")
        self.notices.append(f"{notice.turn} {notice.error.type}")

    def resolve(self, notice: ErrorNotice) -> None:
        self.raise_(notice)


class TimedLedger:
    """A ledger with a source, on a clock that a test sets."""

    def __init__(self, path: Path) -> None:
        self.now, self.told = START, Told()
        self.ledger = Ledger.open(f"sqlite:///{path / 'ledger.db'}", durable=False, now=lambda: self.now)
        self.ledger.sources.add(replace(row_of("prod", SETTINGS, {}), added_us=to_us(START)))

    def poll(self, *, event: bool = False, state: SliceState = SliceState.DRAINED) -> None:
        """Ask for news, and read it to its end if `state` is drained."""
        before = self.ledger.pulling.marks(*KEY)
        live = Slice(
            source_id="prod",
            log_type=ISSUES,
            origin=Origin.LIVE,
            by="statusChangedAt",
            since=before.edge or START,
            until=self.now,
        )
        (planned,) = self.ledger.pulling.plan(
            before, replace(before, edge=self.now, offset=timedelta(0)), [replace(live, state=state)]
        )
        if event:
            now_us = to_us(self.now)
            self.ledger.pulling.land(
                Landing(
                    claim=planned.claim,
                    source_id="prod",
                    log_type=ISSUES,
                    to=planned,
                    table="wiz_issues",
                    part=None,
                    page_min_us=None,
                    page_max_us=None,
                    loaded_through=0,
                    loaded=(),
                    tally=Tally(events=1, received_us=now_us, answered_us=now_us),
                )
            )

    def look(self) -> list[str]:
        """Return what was told by this look."""
        self.told.notices.clear()
        look_at_streams(self.ledger, self.told, self.now)
        return list(self.told.notices)

    def passes(self, length: timedelta) -> list[str]:
        """Poll and look every hour, as nothing happens."""
        end, told = self.now + length, list[str]()
        while self.now < end:
            self.now += HOUR
            self.poll()
            told += self.look()
        return told

    @property
    def status(self) -> StreamStatus:
        (found,) = stream_statuses(self.ledger, self.now)
        (looked,) = stream_healths(self.ledger, self.ledger.health.view(), self.now)
        assert (looked.facts, looked.health) == (found.facts, found.health), "status and the loop see the same"
        return found


@pytest.fixture
def timed(tmp_path: Path) -> Iterator[TimedLedger]:
    made = TimedLedger(tmp_path)
    yield made
    made.ledger.close()


def test_silence_is_told_once_and_status_says_the_same(timed: TimedLedger) -> None:
    timed.poll(event=True)
    assert timed.look() == []
    assert timed.passes(23 * HOUR) == []
    assert timed.passes(2 * HOUR) == ["opened SOURCE_NO_DATA"]
    status = timed.status
    assert (status.health.state, status.health.alarm, status.needs_attention) == (State.SILENT, AlarmState.ALARM, True)
    assert status.health == timed.ledger.health.remembered()[KEY], "status and the loop have one function"
    assert [error.type for error in timed.ledger.health.open_errors()] == ["SOURCE_NO_DATA"]
    timed.now += 5 * MINUTE
    timed.poll(event=True)
    assert timed.look() == ["recovered SOURCE_NO_DATA"]
    assert timed.ledger.health.open_errors() == []
    assert timed.status.last_received == timed.now


def test_a_demo_need_not_wait_for_silence(timed: TimedLedger) -> None:
    timed.poll(event=True)
    timed.look()
    installation: Any = SimpleNamespace(ledger=timed.ledger)
    age_silence(installation, *KEY, timedelta(hours=25))
    timed.now += MINUTE
    timed.poll()
    assert timed.look() == ["opened SOURCE_NO_DATA"]
    timed.now += MINUTE
    timed.poll(event=True)
    assert timed.look() == ["recovered SOURCE_NO_DATA"]
    age_silence(installation, "nobody", ISSUES, HOUR)


def test_a_look_is_remembered_across_processes_and_what_was_not_read_decides_nothing(timed: TimedLedger) -> None:
    timed.poll(event=True)
    timed.look()
    timed.now += 3 * 24 * HOUR
    assert timed.look() == [], "nobody has asked since"
    assert timed.status.health.state is State.CATCHING_UP
    timed.poll(state=SliceState.WAITING)
    assert timed.look() == [], "what was asked is not read yet"
    (waiting,) = timed.ledger.pulling.slices(states={SliceState.WAITING})
    timed.ledger.pulling.move(waiting, replace(waiting, state=SliceState.DRAINED))
    assert timed.look() == ["opened SOURCE_NO_DATA"]


def test_what_could_not_be_told_is_told_at_the_next_look(timed: TimedLedger) -> None:
    timed.poll(event=True)
    timed.look()
    timed.told.fails = True
    assert timed.passes(25 * HOUR) == []
    assert timed.ledger.health.open_errors() == []
    timed.told.fails = False
    assert timed.look() == ["opened SOURCE_NO_DATA"]
    assert timed.look() == []


@pytest.mark.parametrize(
    ("kind", "code", "state", "told"),
    [
        ("access_refused", "scope_missing", State.FORBIDDEN, "SOURCE_PERMISSIONS_CHECKS"),
        ("access_refused", "secret_unreadable", State.BROKEN, "SOURCE_SCANNING_ERRORS"),
        ("access_refused", "web_page", State.BROKEN, "SOURCE_SCANNING_ERRORS"),
        ("contract_broken", "contract_broken", State.BROKEN, "SOURCE_SCANNING_ERRORS"),
        ("unexpected", "unexpected", State.BROKEN, "SOURCE_LOG_PROCESSING_ERRORS"),
        ("lake_damaged", "lake_damaged", State.BROKEN, "SOURCE_LOG_PROCESSING_ERRORS"),
        ("source_unavailable", "source_unavailable", State.HEALTHY, None),
        ("lake_unavailable", "disk_full", State.HEALTHY, None),
    ],
)
def test_each_trouble_has_its_own_state_and_its_own_error(
    timed: TimedLedger, kind: str, code: str, state: State, told: str | None
) -> None:
    timed.poll(event=True)
    timed.look()
    timed.ledger.pulling.trouble(*KEY, kind=kind, code=code, text="why", at_us=to_us(timed.now))
    assert timed.look() == ([f"opened {told}"] if told else [])
    assert (timed.status.health.state, timed.status.health.why) == (state, "why")
    timed.ledger.pulling.well(*KEY)
    assert timed.look() == ([f"recovered {told}"] if told else [])


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("source_unavailable", "SOURCE_SCANNING_ERRORS"),
        ("lake_unavailable", "SOURCE_LOG_PROCESSING_ERRORS"),
    ],
)
def test_what_fails_for_an_hour_is_broken(timed: TimedLedger, kind: str, told: str) -> None:
    timed.poll(event=True)
    timed.ledger.pulling.trouble(*KEY, kind=kind, code="x", text="why", at_us=to_us(timed.now))
    timed.now += 59 * MINUTE
    assert timed.look() == []
    timed.now += MINUTE
    assert timed.look() == [f"opened {told}"]


def test_news_that_is_parked_is_told_and_hides_no_silence(timed: TimedLedger) -> None:
    timed.poll(event=True)
    timed.look()
    timed.now += 5 * MINUTE
    timed.poll(state=SliceState.PARKED)
    assert timed.look() == ["opened SOURCE_SCANNING_ERRORS"]
    assert [timed.status.health.state] == [State.BROKEN]
    assert timed.passes(25 * HOUR) == ["opened SOURCE_NO_DATA"]
    assert [timed.status.health.state] == [State.SILENT]


def test_ranges_that_the_source_showed_less_of_are_told_until_they_are_whole(timed: TimedLedger) -> None:
    timed.poll(event=True)
    timed.look()
    timed.now += 5 * MINUTE
    timed.poll()
    last = timed.ledger.pulling.slices()[-1]
    timed.ledger.pulling.move(last, replace(last, short_by=3))
    assert timed.look() == ["opened SOURCE_SCANNING_ERRORS"]
    assert (timed.status.health.state, timed.status.facts.unreadable) == (State.HEALTHY, 1)
    again = replace(last, id=0, short_by=0)
    marks = timed.ledger.pulling.marks(*KEY)
    timed.ledger.pulling.plan(marks, marks, [again])
    assert timed.look() == ["recovered SOURCE_SCANNING_ERRORS"]
    assert timed.status.facts.unreadable == 0


def test_a_paused_or_removed_source_is_told_of_no_more(timed: TimedLedger) -> None:
    timed.poll(event=True)
    timed.look()
    assert timed.passes(25 * HOUR) == ["opened SOURCE_NO_DATA"]
    row = timed.ledger.sources.find("prod")
    assert row is not None
    timed.ledger.sources.save(replace(row, paused=True))
    timed.now += 48 * HOUR
    assert (timed.look(), timed.status.health.state) == ([], State.PAUSED)
    timed.ledger.sources.remove("prod")
    assert timed.look() == ["recovered SOURCE_NO_DATA"]


def test_what_is_still_so_of_a_source_that_is_added_again_at_once_is_told_anew(timed: TimedLedger) -> None:
    """Its alerts ended as it was removed, and no look came between the two."""

    def look() -> list[tuple[str, AlertStatus]]:
        look_at_streams(timed.ledger, AlertedErrors(timed.ledger), timed.now)
        every = AlertFilter(statuses=frozenset(AlertStatus), untold=True)
        return [(each.rule_id, each.status) for each in timed.ledger.alerts.listed(every, limit=10)]

    row = timed.ledger.sources.find("prod")
    assert row is not None
    timed.poll(event=True)
    look()
    timed.now += 25 * HOUR
    timed.poll()
    assert look() == [("SOURCE_NO_DATA", AlertStatus.OPEN)]
    timed.ledger.sources.remove("prod")
    timed.ledger.sources.add(row)
    timed.now += MINUTE
    timed.poll()
    assert look() == [("SOURCE_NO_DATA", AlertStatus.OPEN)]
    with crashing_at(timed.ledger, 5), pytest.raises(Crash):
        timed.ledger.sources.remove("prod")
    # Its alerts are not ended any more: what is over by now ends.
    timed.ledger.sources.add(row)
    timed.now += MINUTE
    timed.poll(event=True)
    assert look() == [("SOURCE_NO_DATA", AlertStatus.RESOLVED)]


def test_a_look_resolves_what_is_left_of_a_source_whose_remover_was_killed(timed: TimedLedger) -> None:
    opened(timed.ledger, *(alert_of(n, source_id="prod", record_id=f"i-{n}") for n in (1, 2)))
    with crashing_at(timed.ledger, 5), pytest.raises(Crash):
        timed.ledger.sources.remove("prod")
    assert (timed.ledger.sources.ending(), timed.ledger.alerts.open().told) == (["prod"], {Severity.HIGH: 2})
    installation = SimpleNamespace(ledger=timed.ledger)
    assembly: Any = SimpleNamespace(installation=installation)
    work = Work(assembly=assembly, stop=Stop())
    HealthLoop(work, errors=timed.told, now=lambda: timed.now).finish()
    assert (timed.ledger.sources.ending(), timed.ledger.alerts.open().told) == ([], {})
    assert work.to_tell == 1


def _swept(timed: TimedLedger) -> None:
    before = timed.ledger.pulling.marks(*KEY)
    timed.ledger.pulling.plan(before, replace(before, swept_at=timed.now, sweep_round=2), [])
    sweep = timed.ledger.sweeps.newest(*KEY)
    assert sweep is not None
    done = replace(sweep, stage=Stage.DONE, complete=True, complete_us=to_us(timed.now), finished_us=to_us(timed.now))
    timed.ledger.sweeps.step(sweep, SweepStep(to=done))


def _measured(timed: TimedLedger, at_source: int, in_lake: int) -> None:
    count = Coverage(
        status="OPEN",
        at_source=at_source,
        at_least=False,
        in_lake=in_lake,
        since_us=0,
        measured_us=to_us(timed.now),
    )
    timed.ledger.sweeps.measured(*KEY, [count])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("at_source", "in_lake", "state"),
    [(3, 3, State.QUIET), (4, 3, State.SILENT), (0, 0, State.SILENT)],
    ids=["nothing is missing", "one is missing", "there is nothing at all"],
)
def test_equal_counts_after_a_sweep_make_a_stream_quiet(
    timed: TimedLedger, at_source: int, in_lake: int, state: State
) -> None:
    timed.poll(event=True)
    timed.look()
    told = timed.passes(12 * HOUR)
    _swept(timed)
    _measured(timed, at_source, in_lake)
    told += timed.passes(13 * HOUR)
    assert timed.status.health.state is state
    assert told == ([] if state is State.QUIET else ["opened SOURCE_NO_DATA"])
    if state is State.QUIET:
        assert timed.passes(72 * HOUR) == ["opened SOURCE_NO_DATA"], "what was counted days ago proves nothing"


def test_a_source_may_have_its_own_alarm_and_one_that_is_damaged_is_on_as_by_default(timed: TimedLedger) -> None:
    row = timed.ledger.sources.find("prod")
    assert row is not None
    timed.ledger.sources.save(replace(row, settings={**row.settings, "no_events": {"after": "1h"}}))
    timed.poll(event=True)
    timed.look()
    assert timed.passes(2 * HOUR) == ["opened SOURCE_NO_DATA"]
    for damaged in ({"after": "never"}, "x", {"quiet_hours": "22:00-07:00 Europe/Atlantis"}):
        timed.ledger.sources.save(replace(row, settings={**row.settings, "no_events": damaged}))
        assert timed.status.alarm.after == 24 * HOUR


def test_the_loop_looks_each_minute_and_at_the_end_of_a_pull(timed: TimedLedger) -> None:
    assembly: Any = SimpleNamespace(installation=SimpleNamespace(ledger=timed.ledger))
    work = Work(assembly=assembly, stop=Stop(), monotonic=lambda: 0.0)
    loop = HealthLoop(work, timed.told, lambda: timed.now)
    assert loop.name == "health"
    assert loop.run_due(0.0) >= 1.0
    assert work.threads.join(timedelta(seconds=10))
    assert KEY in timed.ledger.health.remembered()
    assert loop.run_due(1.0) >= 60.0, "it rests"
    timed.poll(event=True)
    timed.now += HOUR
    timed.poll()
    loop.finish()
    assert timed.ledger.health.remembered()[KEY].polled is not None


def test_the_loop_looks_as_soon_as_a_stream_was_polled_and_what_it_finds_is_told_at_once(timed: TimedLedger) -> None:
    now, assembly = 0.0, SimpleNamespace(installation=SimpleNamespace(ledger=timed.ledger))
    work = Work(assembly=assembly, stop=Stop(), monotonic=lambda: now)  # type: ignore[arg-type] # as far as it is used
    loop = HealthLoop(work, timed.told, lambda: timed.now)

    def looked(seconds: float) -> datetime | None:
        nonlocal now
        now = seconds
        loop.run_due(now)
        assert work.threads.join(timedelta(seconds=10))
        # However long that took on this machine.
        loop._rested_at, loop._look_at = loop._looked_at + 10, loop._looked_at + 60
        seen = timed.ledger.health.remembered()[KEY].polled
        return None if seen is None else seen.ours

    timed.poll(event=True)
    assert looked(0) == timed.now
    timed.now += 25 * HOUR
    timed.poll()
    work.polled += 1
    assert looked(5) != timed.now, "it looks at most each ten seconds"
    before = work.to_tell
    assert looked(11) == timed.now
    assert timed.told.notices == ["opened SOURCE_NO_DATA"]
    assert work.to_tell > before


def test_what_people_were_told_of_a_rule_with_too_many_alerts_is_over_after_a_day(timed: TimedLedger) -> None:
    name = system_alert_id(LIMIT_EXCEEDED, "Mine.Rule")

    def happens(before: Alert | None) -> RaisedAlert:
        us = to_us(timed.now)
        made = Alert(
            id=name,
            type=AlertType.SYSTEM_ERROR,
            severity=Severity.CRITICAL,
            title="The rule Mine.Rule opens too many alerts",
            rule_id=LIMIT_EXCEEDED,
            rule_name=LIMIT_EXCEEDED,
            dedup="Mine.Rule",
            matches=1,
            opened_us=us,
            updated_us=us,
            told_us=us,
        )
        return RaisedAlert(alert=made if before is None else replace(before, updated_us=us))

    def status_after(passed: timedelta) -> AlertStatus:
        timed.now += passed
        end_limits(timed.ledger)
        (found,) = timed.ledger.alerts.listed(AlertFilter(rule=LIMIT_EXCEEDED, untold=True), limit=2)
        return found.status

    timed.ledger.system_errors.change(name, happens)
    assert status_after(24 * HOUR - MINUTE) is AlertStatus.OPEN
    timed.ledger.system_errors.change(name, happens)
    assert status_after(23 * HOUR) is AlertStatus.OPEN
    assert status_after(HOUR + MINUTE) is AlertStatus.RESOLVED


def test_a_look_tells_of_loops_that_fail_and_ends_what_a_rule_has_not_exceeded_for_a_day(timed: TimedLedger) -> None:
    assembly: Any = SimpleNamespace(installation=SimpleNamespace(ledger=timed.ledger))
    work = Work(assembly=assembly, stop=Stop(), monotonic=lambda: 0.0)
    us = to_us(timed.now)
    limit = Alert(
        id=system_alert_id(LIMIT_EXCEEDED, "r"),
        type=AlertType.SYSTEM_ERROR,
        severity=Severity.CRITICAL,
        title="t",
        rule_id=LIMIT_EXCEEDED,
        opened_us=us,
        updated_us=us,
    )
    timed.ledger.system_errors.change(limit.id, lambda _: RaisedAlert(alert=limit))
    timed.ledger.lake.loop_failed("detect", HANGING, code="loop_stalls", reason="it comes no further")
    work.faults.failed("detect", HANGING, LedgerUnavailableError("busy"))
    timed.now += 25 * HOUR
    HealthLoop(work, timed.told, lambda: timed.now).finish()
    found = timed.ledger.alerts.listed(AlertFilter(untold=True), limit=9)
    assert {each.rule_id: each.status for each in found} == {
        LIMIT_EXCEEDED: AlertStatus.RESOLVED,
        LOOP_FAILING: AlertStatus.OPEN,
    }


def test_what_was_counted_long_ago_proves_nothing_after_a_sweep_of_today(timed: TimedLedger) -> None:
    equal = list[bool]()
    timed.poll(event=True)
    for day, is_counted in enumerate((True, False, True)):
        timed.now = START + day * 72 * HOUR
        _swept(timed)
        if is_counted:
            _measured(timed, 3, 3)
        equal.append(timed.status.facts.counts_equal)
    assert equal == [True, False, True]


def test_a_source_that_was_just_added_has_not_failed_for_long() -> None:
    row = replace(row_of("prod", SETTINGS, {}), added_us=to_us(START))
    assert [is_tired(row, None, START + minutes * MINUTE) for minutes in (0, 59, 61)] == [False, False, True]


def test_the_past_is_what_was_there_before_and_not_what_is_swept_again_or_new() -> None:
    kind: dict[str, Any] = {
        "source_id": "prod",
        "log_type": ISSUES,
        "by": "createdAt",
        "since": START,
        "until": START + HOUR,
    }
    first = Slice(origin=Origin.SWEEP, sweep_round=1, **kind)
    others = [replace(first, sweep_round=2), replace(first, origin=Origin.LIVE, sweep_round=0)]
    others.append(replace(first, state=SliceState.DRAINED))
    assert [is_of_the_past(each) for each in (first, *others)] == [True, False, False, False]
