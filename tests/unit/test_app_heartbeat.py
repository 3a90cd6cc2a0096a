"""An outside watcher hears of us as long as all loops are alive."""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from ocelog.app.loops.heartbeat import HeartbeatLoop, get
from ocelog.errors import ChannelUnavailableError, OcelogError
from ocelog.secrets.secret import Secret
from receiving import far_end

URL = Secret("https://watcher.example.com/4f8a1c99e0d2")


class Turns:
    """As much of the work of loops as a heartbeat needs. Its threads end at once."""

    def __init__(self, url: Secret | None = URL) -> None:
        settings = SimpleNamespace(heartbeat_url=url, heartbeat_every=timedelta(minutes=5))
        self.assembly = SimpleNamespace(installation=SimpleNamespace(settings=settings))
        self.faults = SimpleNamespace(errors=dict[str, OcelogError]())
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def begin(self, _: object, job: Callable[[], None]) -> bool:
        job()
        return True


def test_a_beat_is_sent_every_few_minutes() -> None:
    work, beats = Turns(), list[float]()
    made: Any = work
    loop = HeartbeatLoop(made, beat=lambda _: beats.append(work.now))
    for second in range(0, 901, 10):
        work.now = float(second)
        assert loop.run_due(work.now) > work.now
    assert beats == [0, 300, 600, 900]


def test_no_beat_is_sent_while_a_loop_fails() -> None:
    work, beats = Turns(), list[float]()
    made: Any = work
    loop = HeartbeatLoop(made, beat=lambda _: beats.append(work.now))
    work.faults.errors["pull"] = OcelogError("broken")
    loop.run_due(0)
    loop.finish()
    assert beats == []
    work.faults.errors.clear()
    work.now = 30.0
    loop.run_due(30)
    loop.finish()
    assert beats == [30, 30]


def test_nothing_is_sent_if_nobody_watches() -> None:
    made: Any = Turns(None)
    loop = HeartbeatLoop(made, beat=lambda _: pytest.fail("nobody asked for it"))
    assert loop.run_due(0) == 300
    loop.finish()


def test_a_beat_that_is_not_heard_is_sent_again_soon_and_its_address_is_not_logged() -> None:
    work, beats = Turns(), list[float]()
    made: Any = work

    def deaf(_: Secret) -> None:
        beats.append(work.now)
        raise ChannelUnavailableError("watcher.example.com did not answer in time.")

    loop = HeartbeatLoop(made, beat=deaf)
    with capture_logs() as logs:
        for second in range(0, 61, 10):
            work.now = float(second)
            loop.run_due(work.now)
    assert beats == [0, 30, 60]
    assert "4f8a1c99e0d2" not in repr(logs)


def test_a_watcher_is_asked_at_its_address() -> None:
    with far_end() as watcher:
        get(Secret(f"{watcher.url}/ping/1"))
        assert [each.path for each in watcher.posted] == ["/ping/1"]
