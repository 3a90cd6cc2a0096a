"""How the loops of a service take turns, and what a failure of one means for the others."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from ocelog.app.service import Service
from ocelog.dispatch.threads import Stop
from ocelog.errors import LedgerUnavailableError
from ocelog.ledger.ledger import Ledger


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


def service_of(path: Path, *loops: Counting, stop: Stop) -> Service:
    ledger = Ledger.open("sqlite:///:memory:", durable=False)
    settings = SimpleNamespace(threads=1, retention="off", part_grace=None)
    home = SimpleNamespace(id="home", path=path)
    assembly: Any = SimpleNamespace(
        installation=SimpleNamespace(ledger=ledger, home=home, settings=settings),
        take_over=lambda: None,
        lake=SimpleNamespace(schemas={}),
        streams=list,
    )
    service = Service(assembly=assembly, stop=stop)
    service.loops = list(loops)
    return service


@pytest.mark.parametrize("error", [LedgerUnavailableError("busy"), ValueError("a bug")])
def test_a_loop_that_fails_is_told_and_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    stop, waits = Stop(), list[float]()
    failing, working = Counting(name="failing", every=9, error=error), Counting(name="working", every=9)

    def wait(_: Service, seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            stop.ask()

    monkeypatch.setattr(Service, "_wait", wait)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with capture_logs() as told:
        service_of(tmp_path, failing, working, stop=stop)._run()
    assert (len(failing.ran), len(working.ran)) == (3, 3)
    assert [each["loop"] for each in told if each["log_level"] == "error"] == ["failing"] * 3
    assert all(1 < seconds <= 2 for seconds in waits), "what failed is run again soon, but not at once"


def test_a_service_waits_for_the_loop_that_is_due_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, waits = Stop(), list[float]()

    def wait(_: Service, seconds: float) -> None:
        waits.append(seconds)
        stop.ask()

    monkeypatch.setattr(Service, "_wait", wait)
    monkeypatch.setattr("time.sleep", lambda _: None)
    service_of(tmp_path, Counting(name="often", every=3), Counting(name="rarely", every=60), stop=stop)._run()
    assert 2 < waits[0] <= 3


def test_a_pull_ends_with_what_is_left_to_do_of_every_loop_also_if_one_fails(tmp_path: Path) -> None:
    loops = [Counting(name=name, every=1) for name in ("one", "two", "three")]
    loops[1].error = ValueError("a bug")
    with capture_logs() as told:
        service_of(tmp_path, *loops, stop=Stop()).pull([])
    assert [loop.finished for loop in loops] == [1, 1, 1]
    assert [each["loop"] for each in told if each["log_level"] == "error"] == ["two"]
