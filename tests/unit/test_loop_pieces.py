"""Each loop that takes piece after piece says which: one that comes no further for an hour is known to stall."""

from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any

import pytest

from ocelog.alert.alert import Alert
from ocelog.alert.delivery.delivering import Entry, OutgoingMessage
from ocelog.alert.delivery.routing import ChannelRow
from ocelog.alert.detecting import JudgingStep
from ocelog.alert.notice import Happened
from ocelog.app.judging.schedule_pace import SchedulePace
from ocelog.app.log_types import kinds
from ocelog.app.loops import delivering, publishing
from ocelog.app.loops.delivering import DeliverLoop
from ocelog.app.loops.detecting import DetectLoop
from ocelog.app.loops.loop import Work
from ocelog.app.loops.publishing import PublishLoop
from ocelog.app.loops.scheduled import ScheduledLoop
from ocelog.detect.rule import Schedule
from ocelog.errors import LostFenceError
from ocelog.model import Severity
from ocelog.times import to_us
from ocelog.workers.threads import Stop

HOUR = 3600.0
ISSUES = "wiz_issues"


@dataclass
class Stage:
    """What a loop works with, in which every piece is lost to another holder who does nothing with it."""

    work: Work
    patch: pytest.MonkeyPatch
    installation: SimpleNamespace
    seconds: float = 0.0
    """By the clock."""
    done: int = 7
    """How far the loop has come."""

    @property
    def now(self) -> datetime:
        return datetime(2026, 5, 4, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def at(self, seconds: float, tries: Callable[[], object]) -> dict[str, str]:
        """Let the loop try, and return what is known to stall."""
        self.seconds = seconds
        with suppress(LostFenceError):
            tries()
        return self.work.stalled(HOUR)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    installation = SimpleNamespace(
        ledger=SimpleNamespace(id="ledger"), home=SimpleNamespace(id="home"), settings=SimpleNamespace(detections=True)
    )
    assembly: Any = SimpleNamespace(installation=installation)
    found = Stage(work=Work(assembly=assembly, stop=Stop()), patch=monkeypatch, installation=installation)
    found.work.monotonic = lambda: found.seconds
    return found


def lost(*_: object, **__: object) -> Any:
    raise LostFenceError("another has it")


def judging(stage: Stage, step: Callable[..., JudgingStep] = lost) -> Callable[[], object]:
    loop: Any = DetectLoop.__new__(DetectLoop)
    loop.work = stage.work
    stage.patch.setattr(DetectLoop, "_make_room", lambda *_: None)
    stage.patch.setattr(DetectLoop, "_step", step)
    stage.installation.ledger.judging = SimpleNamespace(
        waiting=lambda _table, most_parts: SimpleNamespace(since=stage.done, parts=[object()] * most_parts)
    )
    (kind,) = (each for each in kinds().values() if each.log_type == "Wiz.Issues")
    return lambda: loop._judge_table(kind, {})


def running_schedules(stage: Stage) -> Callable[[], object]:
    loop: Any = ScheduledLoop.__new__(ScheduledLoop)
    loop.work = stage.work
    loop.now = lambda: stage.now
    loop._pace = SchedulePace(Path("/no/such/home"))
    loop._asking, loop._answers = {}, Queue()
    loop.jury = SimpleNamespace(
        lock=nullcontext(),
        queries=lambda: {"rows": SimpleNamespace(schedule=Schedule(rate_minutes=1))},
        correlations=dict,
        reads_all=True,
    )
    stage.patch.setattr(ScheduledLoop, "_fire", lost)
    long_ago = stage.now - timedelta(days=1)
    stage.installation.ledger.sources = SimpleNamespace(listed=lambda: [SimpleNamespace(id="acme", name="prod")])
    stage.installation.ledger.judging = SimpleNamespace(
        begin_schedules=lambda names, _now_us: dict.fromkeys(names, to_us(long_ago) + stage.done),
        note_times=lambda *_: None,
        end_schedules=lambda **_: None,
    )
    return loop.run  # type: ignore[no-any-return] # see above


def delivering_alerts(stage: Stage) -> Callable[[], object]:
    loop = DeliverLoop(stage.work, now_us=lambda: to_us(stage.now))
    alert = Alert(id="a", severity=Severity.HIGH, title="t", rule_id="r", opened_us=1, updated_us=1)
    channel = ChannelRow(id="c", name="oncall", kind="file", added_us=1)

    def handed(_claim: object, **_: object) -> OutgoingMessage:
        entries = [Entry(id=stage.done, alert_id="a", happened=Happened.OPENED, created_us=1, since_us=1)]
        return OutgoingMessage(number=stage.done, channel=channel, entries={"a": entries}, alerts={"a": alert})

    stage.installation.ledger.delivery = SimpleNamespace(
        take=lambda *_, **__: object(), hand=handed, release=lambda _: None
    )
    stage.patch.setattr(delivering, "attempt", lost)
    waiting: Any = SimpleNamespace(channel=channel)
    return lambda: loop._deliver(waiting)


def publishing_tables(stage: Stage) -> Callable[[], object]:
    loop: Any = PublishLoop.__new__(PublishLoop)
    loop.work = stage.work
    loop.hold = nullcontext
    stage.patch.setattr(publishing, "lost_lines", lambda *_: [])
    stage.installation.ledger.lake = SimpleNamespace(mark=lambda *_: stage.done)
    assembly: Any = stage.work.assembly
    assembly.publisher = SimpleNamespace(publish=lost)
    return lambda: loop._publish(ISSUES)


@pytest.mark.parametrize(
    ("of", "begin", "name"),
    [
        (ISSUES, judging, "detect"),
        ("query rows", running_schedules, "schedule"),
        ("what goes to oncall", delivering_alerts, "deliver"),
        (ISSUES, publishing_tables, "publish"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_loop_that_takes_up_the_same_piece_for_an_hour_stalls_until_it_takes_up_another(
    stage: Stage, of: str, begin: Callable[[Stage], Callable[[], object]], name: str
) -> None:
    tries = begin(stage)
    assert stage.at(0, tries) == stage.at(HOUR - 1, tries) == {}
    assert stage.at(HOUR, tries) == {name: of}
    stage.done += 1
    assert stage.at(HOUR + 1, tries) == {}


def test_rules_that_get_to_know_a_long_table_do_not_stall(stage: Stage) -> None:
    tries = judging(stage, lambda *_: JudgingStep(more=True, seeding=True))
    assert [stage.at(seconds, tries) for seconds in (0, HOUR, 2 * HOUR)] == [{}, {}, {}]
