"""Which schedule runs when: no query that is quick waits for those that use up their time."""

import heapq
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty
from types import SimpleNamespace
from typing import Any

import pytest

from ocelog.app.judging.schedule_pace import SchedulePace, SchedulesBehind, schedules_behind
from ocelog.app.loops import scheduled
from ocelog.app.loops.loop import Work
from ocelog.app.loops.scheduled import ScheduledLoop
from ocelog.app.status.status_report import _schedules_behind
from ocelog.detect.rule import Schedule
from ocelog.errors import LedgerUnavailableError
from ocelog.times import from_us, to_us
from ocelog.workers.threads import Stop

START = datetime(2026, 5, 4, tzinfo=UTC)
HOGS, PERIOD, LIMIT = 20, 2, 60.0
FIRE = ScheduledLoop._fire


@dataclass
class Stage:
    """A loop whose queries take as long as a test says, by a clock that moves as they are waited for."""

    home: Path
    seconds: dict[str, float]
    """How long each query takes."""
    stop: Stop = field(default_factory=Stop)
    clock: float = 0.0
    ends: list[tuple[float, int, str, Any]] = field(default_factory=list)
    """What is being asked: when it ends, and the name of its thread."""
    begun: list[tuple[str, float]] = field(default_factory=list)
    """What was begun, and when."""
    queries_at_once: int = 0
    """Queries that were asked at the same time, at most."""
    rules_at_once: int = 0
    """Correlation rules that ran at the same time, at most."""
    looks: int = 0
    ran: list[tuple[str, float]] = field(default_factory=list)
    """What ran, and how late it was answered."""
    until: float = 3600.0
    fired: dict[str, int] = field(default_factory=dict)
    fails: Callable[[int], bool] = lambda _look: False
    """Whether the ledger is not available when it is looked at for the nth time."""

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.clock)

    def loop(self) -> Any:
        loop: Any = ScheduledLoop.__new__(ScheduledLoop)
        ledger = SimpleNamespace(
            id="ledger",
            sources=SimpleNamespace(listed=lambda: [SimpleNamespace(id="acme", name="prod")]),
            judging=SimpleNamespace(
                begin_schedules=self.look,
                note_times=lambda *_: None,
                end_schedules=lambda **_: None,
            ),
        )
        installation = SimpleNamespace(
            ledger=ledger, home=SimpleNamespace(id="home", path=self.home), settings=SimpleNamespace(detections=True)
        )
        assembly: Any = SimpleNamespace(installation=installation)
        loop.work = Work(assembly=assembly, stop=self.stop, monotonic=lambda: self.clock)
        loop.work.threads = SimpleNamespace(start_once=self.begin, went_on=lambda: None)
        loop.now, loop._asking, loop._answers = (lambda: self.now), {}, Answers()
        loop._pace = SchedulePace(self.home, monotonic=lambda: self.clock)
        schedule = Schedule(rate_minutes=PERIOD)
        names = {
            name: SimpleNamespace(schedule=schedule, name=name) for name in self.seconds if not name.startswith("Rule")
        }
        rules = {
            name: (
                SimpleNamespace(
                    id=name, about=SimpleNamespace(id=name), correlations=[SimpleNamespace(schedule=schedule)]
                ),
                "1",
            )
            for name in self.seconds.keys() - names.keys()
        }
        loop._correlator = SimpleNamespace(find=lambda *_, **__: None)
        loop.jury = SimpleNamespace(
            lock=nullcontext(), queries=lambda: names, correlations=lambda: rules, reads_all=True
        )
        return loop

    def look(self, names: Iterable[str], now_us: int) -> dict[str, int]:
        """Return when each ran last, unless the ledger is not available."""
        self.looks += 1
        if self.fails(self.looks):
            raise LedgerUnavailableError("it is busy")
        return {name: self.fired.setdefault(name, now_us) for name in names}

    def begin(self, name: str, job: Any) -> bool:
        """Begin what ends once the clock is there, unless what has its name has not ended."""
        if any(name == running for _, _, running, _ in self.ends):
            return False
        what = job.args[0].schedule.partition(" ")[2]
        heapq.heappush(self.ends, (self.clock + self.seconds[what], len(self.begun), name, job))
        self.begun.append((what, self.clock))
        rules = [each for _, _, _, each in self.ends if each.args[0].schedule.startswith("rule ")]
        self.rules_at_once = max(self.rules_at_once, len(rules))
        self.queries_at_once = max(self.queries_at_once, len(self.ends) - len(rules))
        return True


class Answers:
    """A queue whose clock moves to the next answer while it is waited for. It stands for `Queue`."""

    stage: Stage

    def __class_getitem__(cls, _: object) -> type["Answers"]:
        return cls

    def __init__(self) -> None:
        self.found: list[Any] = []

    def put(self, answer: tuple[Any, ...]) -> None:
        self.found.append(answer)

    def get(self, *, timeout: float) -> Any:
        stage = self.stage
        if not stage.ends or stage.ends[0][0] > stage.clock + 1:
            stage.clock += 1
            if stage.clock >= stage.until:
                stage.stop.ask()
            assert timeout
            raise Empty
        stage.clock, _, _, job = heapq.heappop(stage.ends)
        job()
        firing, landing, _ = self.found.pop()
        return firing, landing, stage.seconds[firing.schedule.partition(" ")[2]]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    (tmp_path / "tmp").mkdir()
    seconds = {f"hog-{at:02}": LIMIT for at in range(HOGS)} | {"zoo": 1.0, "zulu": 2.0}
    found = Stage(tmp_path, seconds)
    Answers.stage = found
    monkeypatch.setattr(scheduled, "Queue", Answers)
    monkeypatch.setattr(scheduled, "run_query", lambda *_, **__: ([], ""))

    def fire(_loop: object, firing: Any, *_: object) -> None:
        found.fired[firing.schedule] = firing.fires_us
        late = (found.now - from_us(firing.fires_us)).total_seconds()
        found.ran.append((firing.schedule.partition(" ")[2], late))

    monkeypatch.setattr(ScheduledLoop, "_fire", fire)
    return found


def run(stage: Stage) -> None:
    """Let a loop run for an hour, as the service does."""
    loop = stage.loop()
    while stage.clock < stage.until and not stage.stop():
        with suppress(LedgerUnavailableError):
            loop.run()
        stage.clock += 1


def test_a_query_that_is_quick_waits_for_no_query_that_is_slow(stage: Stage) -> None:
    # A process before has noted how long each takes.
    pace = SchedulePace(stage.home)
    for name, seconds in stage.seconds.items():
        pace.took(f"query {name}", seconds)
    pace.see({f"query {name}": None for name in stage.seconds})
    run(stage)
    for name in ("zoo", "zulu"):
        lateness = [late for query, late in stage.ran if query == name]
        assert len(lateness) >= stage.until / 60 / PERIOD - 1, "it ran each time that it was due"
        assert max(lateness) < 10
    hogs = [query for query, _ in stage.ran if query.startswith("hog")]
    assert {hogs.count(f"hog-{at:02}") for at in range(HOGS)} <= {2, 3}, "they take turns"


def test_a_query_waits_for_one_slow_query_at_most_once_it_has_run(stage: Stage) -> None:
    stage.seconds = {f"hog-{at:02}": LIMIT for at in range(HOGS)} | {"a": 1.0, "b": 2.0}
    run(stage)
    for name in ("a", "b"):
        lateness = [late for query, late in stage.ran if query == name]
        assert max(lateness) <= LIMIT + 5
        assert len(lateness) >= stage.until / 60 / PERIOD - 1


def test_no_query_waits_for_correlation_rules_and_these_take_turns(stage: Stage) -> None:
    stage.seconds = {f"Rule.{at}": LIMIT for at in range(4)} | {"a": 1.0, "b": 2.0}
    run(stage)
    for name in ("a", "b"):
        lateness = [late for query, late in stage.ran if query == name]
        assert max(lateness) < 10
        assert len(lateness) >= stage.until / 60 / PERIOD - 1
    rules = [name for name, _ in stage.ran if name.startswith("Rule")]
    assert len(rules) >= 0.8 * stage.until / LIMIT, "one runs after the other, one at a time"
    assert max(map(rules.count, set(rules))) - min(rules.count(f"Rule.{at}") for at in range(4)) <= 1


def test_correlation_rules_wait_for_a_quick_query_however_long_another_rule_took(stage: Stage) -> None:
    stage.seconds = {"Rule.0": 125.0, "Rule.1": 1.0, "a": 9.0}
    stage.fired = {f"rule Rule.{at}": to_us(START - timedelta(hours=1)) for at in range(2)}
    stage.until = 200.0
    run(stage)
    begun = dict(reversed(stage.begun))
    assert begun["Rule.0"] < begun["a"] < 125, "the query came to be due while a rule ran"
    assert begun["Rule.1"] >= begun["a"] + 9


def test_a_rule_that_is_quick_runs_beside_none_that_a_failed_run_left_behind(stage: Stage) -> None:
    stage.seconds = {"Rule.0": 1.0, "Rule.1": 200.0}
    # The quick one comes to be due, and first, once the other runs.
    pace = SchedulePace(stage.home)
    pace.took("rule Rule.0", 1.0)
    pace.see({"rule Rule.0": None})
    stage.fired = {"rule Rule.1": to_us(START - timedelta(hours=1))}
    stage.fails = lambda look: look == 2
    stage.until = 400.0
    run(stage)
    assert stage.rules_at_once == 1
    assert dict(reversed(stage.begun))["Rule.0"] >= 200


@pytest.mark.parametrize(("is_slow", "at_once"), [(False, 2), (True, 1)])
def test_queries_that_failed_runs_left_behind_count_among_those_that_are_asked_at_once(
    stage: Stage, is_slow: bool, at_once: int
) -> None:
    stage.seconds = {f"query-{at}": 100.0 for at in range(6)}
    stage.fired = {f"query {name}": to_us(START - timedelta(hours=1)) for name in stage.seconds}
    if is_slow:
        pace = SchedulePace(stage.home)
        for name in stage.seconds:
            pace.took(f"query {name}", LIMIT)
        pace.see({f"query {name}": None for name in stage.seconds})
    stage.fails = lambda look: look in {2, 4, 6}
    stage.until = 1_500.0
    run(stage)
    assert stage.looks > 6
    assert stage.queries_at_once == at_once
    assert {name for name, _ in stage.ran} == stage.seconds.keys(), "each of them runs in its turn"


def test_what_a_failed_run_left_behind_is_landed_by_the_next_and_not_asked_again(stage: Stage) -> None:
    stage.seconds = {"a": 100.0}
    stage.fired = {"query a": to_us(START - timedelta(hours=1))}
    stage.fails = lambda look: look == 2
    stage.until = 115.0
    run(stage)
    assert stage.looks > 2
    assert (stage.begun, [name for name, _ in stage.ran]) == ([("a", 0.0)], ["a"])


def test_a_rule_that_goes_and_fails_while_it_runs_costs_no_other_its_answer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.seconds = {"Rule.0": 50.0, "a": 51.0}
    stage.fired = {name: to_us(START - timedelta(hours=1)) for name in ("rule Rule.0", "query a")}
    loop, landed = stage.loop(), list[tuple[str, list[str]]]()
    # No rule waits for a query that is slow.
    loop._pace.took("query a", LIMIT)
    looks = iter([loop.jury.correlations()])
    loop.jury.correlations = lambda: next(looks, {})

    def find(*_: object, **__: object) -> Any:
        raise ValueError("a bug")

    def land(firing: Any, said: Any, _: object) -> None:
        landed.append((firing.schedule, [each.rule.id for each in said.errors]))

    loop._correlator = SimpleNamespace(find=find)
    loop._scheduling = SimpleNamespace(land=land)
    monkeypatch.setattr(ScheduledLoop, "_fire", FIRE)
    monkeypatch.setattr(scheduled, "found_rows", lambda *_, **__: SimpleNamespace(rows=[]))
    loop.run(again=False)
    assert landed == [("rule Rule.0", ["Rule.0"]), ("query a", [])]


def test_a_correlation_rule_that_runs_when_the_service_stops_lands_nothing_and_runs_again(stage: Stage) -> None:
    stage.seconds = {"Rule.0": 50.0}
    stage.fired = {"rule Rule.0": to_us(START - timedelta(hours=1))}
    stage.until = 30.0
    run(stage)
    ((_, _, _, left),) = stage.ends
    left()
    assert stage.stop()
    assert (stage.ran, stage.fired) == ([], {"rule Rule.0": to_us(START - timedelta(hours=1))})
    # As a process that begins after it.
    stage.ends, stage.stop, stage.until = [], Stop(), 115.0
    run(stage)
    assert [name for name, _ in stage.ran] == ["Rule.0"]


def test_a_run_that_is_not_over_counts_among_the_slowest(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    pace = SchedulePace(tmp_path)
    pace.took("query Late", 5.0)
    pace.began("rule Endless", to_us(START))
    pace.see({"query Late": to_us(START), "rule Endless": None})
    behind = schedules_behind(tmp_path, START + timedelta(seconds=40))
    assert behind == SchedulesBehind(
        names=("query Late",), since=START, slowest="rule Endless", seconds=40.0, runs=True
    )
    found: Any = SimpleNamespace(schedules_behind=behind)
    first, todo = _schedules_behind(found)
    assert first.endswith("The rule Endless takes the most time: it has been running for 40 s.")
    assert todo.endswith("ocelog rules disable Endless")


def test_a_run_that_is_over_or_of_a_process_that_ended_is_not_told_as_running(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    pace = SchedulePace(tmp_path)
    pace.began("rule Over", to_us(START))
    pace.ended("rule Over")
    pace.began("rule Killed", to_us(START))
    pace.see({"rule Over": to_us(START), "rule Killed": None})
    SchedulePace(tmp_path).see({"rule Over": to_us(START), "rule Killed": None})
    behind = schedules_behind(tmp_path, START + timedelta(seconds=40))
    assert behind is not None
    assert behind.slowest is None


def test_status_names_what_waits_longest_and_what_takes_the_most_time() -> None:
    behind = SchedulesBehind(names=("query Good", "rule Two"), since=START, slowest="query Slow", seconds=60.0)
    found: Any = SimpleNamespace(schedules_behind=behind)
    first, todo = _schedules_behind(found)
    assert "query Good and 1 more, since 2026-05-04" in first
    assert "The query Slow took the most time: 60 s" in first
    assert todo.endswith("ocelog rules disable Slow")


def test_each_run_is_told_the_sources_that_there_are_by_then(stage: Stage) -> None:
    stage.seconds = {"Rule.0": 1.0, "Rule.1": 1.0}
    stage.fired = {name: to_us(START - timedelta(hours=1)) for name in ("rule Rule.0", "rule Rule.1")}
    loop, told = stage.loop(), list[list[str]]()
    sources = loop.work.assembly.installation.ledger.sources
    there = {"acme": "prod", "other": "test"}
    sources.listed = lambda: [SimpleNamespace(id=each, name=name) for each, name in there.items()]

    def find(*_: object, sources: dict[str, str], **__: object) -> None:
        told.append(sorted(sources))
        there.pop("acme", None)

    loop._correlator = SimpleNamespace(find=find)
    loop.run(again=False)
    assert told == [["acme", "other"], ["other"]]


def test_a_pull_runs_each_schedule_once_and_ends(stage: Stage) -> None:
    loop = stage.loop()
    stage.fired = {f"query {name}": to_us(START - timedelta(hours=1)) for name in stage.seconds}
    loop.run(again=False)
    assert sorted(query for query, _ in stage.ran) == sorted(stage.seconds)


def test_what_is_behind_by_a_period_is_known_with_what_took_the_most_time(stage: Stage) -> None:
    run(stage)
    assert schedules_behind(stage.home, START) is None
    found = schedules_behind(stage.home, stage.now)
    assert found is not None
    assert all(name.startswith("query hog") for name in found.names)
    assert str(found.slowest).startswith("query hog")
    assert found.seconds == LIMIT


def test_without_a_source_nothing_runs_and_no_schedule_is_forgotten(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {"a": 1.0})
    loop, ended = stage.loop(), list[object]()
    ledger = loop.work.assembly.installation.ledger
    ledger.sources.listed, ledger.judging.end_schedules = list, lambda **but: ended.append(but)
    loop.run()
    assert (stage.begun, ended) == ([], [])
    loop.work.assembly.installation.settings.detections = False
    loop.run()
    assert ended == [{"but": ()}]
