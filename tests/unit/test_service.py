"""How the loops of a service take turns, and what a failure of one means for the others."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from queue import Queue
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from ocelog.app.loops.failure_log import FailureLog
from ocelog.app.loops.heartbeat import HeartbeatLoop
from ocelog.app.loops.loop import Work
from ocelog.app.loops.pulling import Reader
from ocelog.app.loops.service import PullResult, Service
from ocelog.errors import HomeError, LedgerUnavailableError
from ocelog.ledger.ledger import Ledger
from ocelog.model import HANGING, STALLED
from ocelog.secrets.secret import Secret
from ocelog.workers.threads import Stop, Threads


@dataclass(kw_only=True)
class Counting:
    """A loop that counts how often it was run, and fails each time if it is told to."""

    name: str
    every: float
    error: Exception | None = None
    ran: list[float] = field(default_factory=list)
    finished: int = 0

    def run_due(self, now: float) -> float:
        self.ran.append(now)
        if self.error is not None:
            raise self.error
        return now + self.every

    def finish(self) -> None:
        self.finished += 1
        if self.error is not None:
            raise self.error


def service_of(path: Path, *loops: Counting, stop: Stop, threads: Threads | None = None) -> Service:
    ledger = Ledger.open("sqlite:///:memory:", durable=False)
    settings = SimpleNamespace(
        threads=1,
        retention="off",
        part_grace=None,
        detections=False,
        heartbeat_url=None,
        heartbeat_every=timedelta(minutes=5),
    )
    home = SimpleNamespace(id="home", path=path)
    assembly: Any = SimpleNamespace(
        installation=SimpleNamespace(ledger=ledger, home=home, settings=settings),
        take_over=lambda: None,
        lake=SimpleNamespace(schemas={}),
        landed=0,
        streams=list,
    )
    service = Service(assembly=assembly, stop=stop, threads=threads or Threads())
    service.loops = list(loops)
    return service


def rounds(service: Service, monkeypatch: pytest.MonkeyPatch, waited: Callable[[float], float | None]) -> None:
    """Run rounds; `waited` is told at which second each one ends, and returns when the next begins (None: stop)."""
    now = 0.0

    def wait(_: Service, __: float) -> None:
        nonlocal now
        begins = waited(now)
        if begins is None:
            service.stop.ask()
        else:
            now = begins

    monkeypatch.setattr(Service, "_wait", wait)
    monkeypatch.setattr("time.sleep", lambda _: None)
    service.monotonic = lambda: now
    service._run()


@pytest.mark.parametrize("error", [LedgerUnavailableError("busy"), ValueError("a bug")])
def test_a_loop_that_fails_is_told_once_is_tried_ever_more_rarely_and_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    failing, working = Counting(name="failing", every=9, error=error), Counting(name="working", every=9)
    service = service_of(tmp_path, failing, working, stop=Stop())
    with capture_logs() as told:
        rounds(service, monkeypatch, lambda now: now + 1 if now < 150 else None)
    assert failing.ran == [0, 2, 6, 14, 30, 60, 90, 120, 150]
    assert len(working.ran) == 151
    assert [each["loop"] for each in told if each["log_level"] == "error"] == ["failing"]


def test_a_failure_that_lasts_is_logged_once_an_hour_and_one_of_another_kind_at_once() -> None:
    now = 0.0
    failures = FailureLog(lambda: now)
    full, busy = LedgerUnavailableError("full", code="disk_full"), LedgerUnavailableError("busy")

    def told(error: Exception, at: float) -> list[object]:
        nonlocal now
        now = at
        with capture_logs() as lines:
            failures.failed("failed", error, {"loop": "pull"}, more={"slice": at})
        return [(each["event"], each.get("code"), each["slice"], each.get("times")) for each in lines]

    assert told(full, 0) == [("failed", "disk_full", 0, None)]
    assert [told(full, at) for at in (1, 2, 3599)] == [[], [], []]
    assert told(full, 3600) == [("failed", "disk_full", 3600, 4)]
    assert told(busy, 3601) == [("failed", "ledger_unavailable", 3601, None)]
    assert told(ValueError("a bug"), 3602) == [("bug in Ocelog", None, 3602, None)]
    assert told(ValueError("a bug"), 3603) == []
    assert (failures.over("failed", {"loop": "pull"}), failures.over("failed", {"loop": "pull"})) == (True, False)
    assert told(ValueError("a bug"), 3604) == [("bug in Ocelog", None, 3604, None)]


def test_what_failed_for_lack_of_room_is_tried_as_soon_as_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, hurried = 0, list[int]()
    full = Counting(name="pull", every=9, error=LedgerUnavailableError("no room", code="disk_full"))
    service = service_of(tmp_path, full, stop=Stop())
    monkeypatch.setattr("ocelog.app.loops.service.free_bytes", lambda _: free)
    monkeypatch.setattr(Reader, "room_again", lambda _: hurried.append(len(full.ran)))

    def waited(now: float) -> float | None:
        nonlocal free
        if now == 31:
            # A byte more is no room: what is there would be tried on and on.
            free = 1
        if now == 40:
            free, full.error = 50_000_000, None
        return now + 1 if now < 42 else None

    rounds(service, monkeypatch, waited)
    assert full.ran == [0, 2, 6, 14, 30, 41, 42]
    assert hurried == [5]


def test_a_service_says_itself_what_fails_when_its_ledger_has_no_room_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Counting(name="pull", every=0, error=LedgerUnavailableError("no room", code="disk_full"))
    service, told = service_of(tmp_path, failing, stop=Stop()), list[list[tuple[str, str | None]]]()
    ledger = service.assembly.installation.ledger
    monkeypatch.setattr(type(ledger.lake), "loop_failed", raises(LedgerUnavailableError("no room")))
    service.failing = lambda faults: told.append([(each.loop, each.code) for each in faults])

    def waited(now: float) -> float | None:
        failing.error = None
        return now + 60 if now < 60 else None

    rounds(service, monkeypatch, waited)
    assert told == [[("pull", "disk_full")], []]


def raises(error: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_a_service_waits_for_the_loop_that_is_due_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, waits = Stop(), list[float]()

    def wait(_: Service, seconds: float) -> None:
        waits.append(seconds)
        stop.ask()

    monkeypatch.setattr(Service, "_wait", wait)
    monkeypatch.setattr("time.sleep", lambda _: None)
    service_of(tmp_path, Counting(name="often", every=3), Counting(name="rarely", every=60), stop=stop)._run()
    assert 2 < waits[0] <= 3


def test_a_service_looks_for_garbage_every_ten_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, looked, at = Stop(), list[float](), iter((599.0, 600.0, 700.0, 1201.0))
    now = [0.0]

    def wait(_: Service, _seconds: float) -> None:
        now[0] = next(at, 0.0)
        if not now[0]:
            stop.ask()

    monkeypatch.setattr(Service, "_wait", wait)
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("ocelog.app.loops.service.gc.collect", lambda: looked.append(now[0]))
    service = service_of(tmp_path, Counting(name="one", every=1.0), stop=stop)
    service.monotonic = lambda: now[0]
    service._run()
    assert looked == [600.0, 1201.0]


def test_a_pull_ends_with_what_is_left_to_do_of_every_loop_also_if_one_fails(tmp_path: Path) -> None:
    loops = [Counting(name=name, every=1) for name in ("one", "two", "three")]
    loops[1].error = ValueError("a bug")
    with capture_logs() as told:
        service_of(tmp_path, *loops, stop=Stop()).pull([])
    assert [loop.finished for loop in loops] == [1, 1, 1]
    assert [each["loop"] for each in told if each["log_level"] == "error"] == ["two"]


@pytest.mark.parametrize(
    ("error", "code"), [(HomeError("no room"), 2), (ValueError("a bug"), 2), (LedgerUnavailableError("busy"), 3)]
)
def test_a_pull_exits_by_what_a_loop_could_not_finish(tmp_path: Path, error: Exception, code: int) -> None:
    service = service_of(tmp_path, Counting(name="detect", every=1, error=error), stop=Stop())
    ledger = service.assembly.installation.ledger.lake
    pulled = service.pull([])
    assert pulled.exit_code == code
    assert str(error) in str(pulled.failed["detect"])
    (fault,) = ledger.loop_faults()
    assert (fault.loop, str(error) in fault.reason) == ("detect", True)
    service.loops = [Counting(name="detect", every=1)]
    assert service.pull([]).exit_code == 0
    assert ledger.loop_faults() == []


def test_what_publishing_could_not_finish_is_told_by_publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = service_of(tmp_path, stop=Stop())
    monkeypatch.setattr(type(service.publishing), "finish", lambda _: 1 / 0)
    assert "ZeroDivisionError" in str(service.publish_all())


def turns(service: Service, monkeypatch: pytest.MonkeyPatch, *rounds: Callable[[], None]) -> None:
    """Run the service for so many rounds, each followed by one of `rounds`, once all threads have ended."""
    left, now = list(rounds), 0.0

    def wait(_: Service, __: float) -> None:
        nonlocal now
        assert service.threads.join(timedelta(seconds=10))
        # What failed has rested by the next round.
        now += 60
        left.pop(0)()
        if not left:
            service.stop.ask()

    service.monotonic = lambda: now
    # The turns themselves are taken in the thread of the test, so that it can wait for all others.
    monkeypatch.setattr(Service, "_wait", wait)
    monkeypatch.setattr("time.sleep", lambda _: None)
    service._run()


@pytest.mark.parametrize("where", ["its turn", "its work"])
def test_the_ledger_says_that_a_loop_of_the_service_fails_until_it_works_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    loop = Counting(name="detect", every=0)
    service = service_of(tmp_path, loop, stop=Stop())
    ledger, since = service.assembly.installation.ledger.lake, list[Any]()

    if where == "its work":
        monkeypatch.setattr(
            Counting, "run_due", lambda self, now: (service._work.begin(self, self.finish) and now) or now + 1
        )

    def fails() -> None:
        loop.error = HomeError("no rules")

    def failed() -> None:
        (fault,) = ledger.loop_faults()
        assert (fault.loop, fault.reason) == ("detect", "no rules")
        since.append(fault.since)

    def mended() -> None:
        failed()
        assert since[0] == since[1]
        loop.error = None

    def works() -> None:
        assert ledger.loop_faults() == []

    def nothing() -> None:
        """Let what was begun in one round be noted in the next."""

    turns(service, monkeypatch, fails, nothing, failed, mended, nothing, nothing, works)


def test_a_loop_whose_work_hangs_for_an_hour_fails_until_it_goes_on_and_nothing_is_beaten_meanwhile(
    tmp_path: Path,
) -> None:
    now, beats, steps, ended = 0.0, list[float](), Queue[bool](), Event()
    threads = Threads(lambda: now)

    def work() -> None:
        while steps.get():
            threads.went_on()
            steps.task_done()
        ended.set()

    service = service_of(tmp_path, Counting(name="detect", every=0), stop=Stop(), threads=threads)
    settings = SimpleNamespace(
        heartbeat_url=Secret("https://watcher.example.com/4f8a"), heartbeat_every=timedelta(minutes=5)
    )
    heart: Any = SimpleNamespace(
        assembly=SimpleNamespace(installation=SimpleNamespace(settings=settings)),
        faults=service._work.faults,
        begin=lambda _, job: job() is None,
    )
    heartbeat = HeartbeatLoop(heart, beat=lambda _: beats.append(now))
    ledger = service.assembly.installation.ledger.lake
    service._work.begin(service.loops[0], work)

    def round_at(seconds: float) -> None:
        nonlocal now
        now = seconds
        service._watch()
        service._work.faults.flush()
        heartbeat.run_due(now)

    round_at(0)
    round_at(3500)
    # Something long, such as a backfill of days, says that it goes on.
    steps.put(True)
    steps.join()
    round_at(3700)
    assert (beats, ledger.loop_faults()) == ([0, 3500], [])
    round_at(3900)
    assert beats == [0, 3500, 3900]
    round_at(7200)
    (fault,) = ledger.loop_faults()
    assert (fault.loop, fault.during, fault.code) == ("detect", HANGING, "loop_hangs")
    assert "restart the service" in fault.reason
    assert beats == [0, 3500, 3900]
    steps.put(True)
    steps.join()
    round_at(7300)
    assert ledger.loop_faults() == []
    assert beats[-1] == 7300
    steps.put(False)
    assert ended.wait(60)


def test_a_loop_that_tries_the_same_piece_for_an_hour_fails_until_it_takes_up_another(tmp_path: Path) -> None:
    now = 0.0
    loop = Counting(name="detect", every=0)
    service = service_of(tmp_path, loop, stop=Stop())
    work, ledger = service._work, service.assembly.installation.ledger.lake
    work.monotonic = lambda: now

    def tried(seconds: float, piece: int | None) -> list[str | None]:
        nonlocal now
        now = seconds
        work.takes_up(loop, "wiz_issues", piece)
        service._watch()
        work.faults.flush()
        return [fault.code for fault in ledger.loop_faults()]

    assert tried(0, 7) == []
    assert tried(1800, 8) == []
    assert tried(3600, 8) == []
    assert tried(5399, 8) == []
    assert tried(5400, 8) == ["loop_stalls"]
    (fault,) = ledger.loop_faults()
    assert (fault.loop, fault.during, "piece of wiz_issues" in fault.reason) == ("detect", STALLED, True)
    assert tried(5500, 9) == []
    assert tried(9200, 9) == ["loop_stalls"]
    assert tried(9300, None) == []
    # It was tried once, and nothing is left of it since: somebody else did it.
    assert tried(9400, 9) == []
    now = 99_999
    service._watch()
    work.faults.flush()
    assert ledger.loop_faults() == []


def test_the_fault_of_a_loop_that_is_no_more_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = service_of(tmp_path, Counting(name="here", every=0), stop=Stop())
    ledger = service.assembly.installation.ledger.lake
    for loop in ("here", "gone"):
        ledger.loop_failed(loop, "work", code="unexpected", reason="broken")
    ledger.table_failed("wiz_issues", "publishing", code="disk_full", reason="no room")
    turns(service, monkeypatch, lambda: None, lambda: None)
    assert [fault.loop for fault in ledger.loop_faults()] == ["here"], "that it had a turn says nothing of its work"
    assert [fault.table for fault in ledger.table_faults()] == ["wiz_issues"]


def test_tables_in_which_nothing_lands_are_tended_each_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publishing, begun = service_of(tmp_path, stop=Stop()).publishing, list[int]()
    for now in range(0, 130, 5):
        monkeypatch.setattr(Work, "begin", lambda *_, at=now: begun.append(at))
        publishing.run_due(now)
    assert begun == [0, 60, 120]


def test_a_pull_that_could_not_ask_a_stream_says_try_later() -> None:
    assert PullResult().exit_code == 0
    assert PullResult(unasked=(("acme", "Wiz.Issues"),)).exit_code == 3
