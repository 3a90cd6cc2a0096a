"""Who reads while a pull publishes: nobody, so that both together never hold more memory than either."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

from ocelog.app.loops.loop import Work
from ocelog.app.loops.publishing import PublishLoop
from ocelog.app.loops.pulling import Reader, StreamReading
from ocelog.workers.heap import Heap
from ocelog.workers.threads import Stop, Threads

STREAM: Any = SimpleNamespace(key=("acme", "Wiz.Issues"), row=SimpleNamespace(id="acme"))


def reading() -> StreamReading:
    return StreamReading(stream=STREAM.key, of=STREAM, alive_at=0, began=0)


def reader(stop: Stop) -> Reader:
    found = Reader(ledger=None, threads=Threads(), stop=stop, limit=1, home_id="home")  # type: ignore[arg-type] # unused
    found.follow([STREAM])
    return found


def test_nobody_asks_for_another_page_while_reading_is_held() -> None:
    held = reader(Stop())
    asks = Event()
    between_pages = Thread(target=lambda: asks.set() if not held._stops(reading()) else None)
    with held.held():
        between_pages.start()
        assert not asks.wait(0.3)
    assert asks.wait(10)
    between_pages.join()


def test_a_stop_is_heard_while_reading_is_held() -> None:
    stop = Stop()
    held = reader(stop)
    stop.ask()
    with held.held():
        assert held._stops(reading())


def test_reading_goes_on_after_a_publish_that_failed() -> None:
    held = reader(Stop())
    with suppress(OSError), held.held():
        Path("/nowhere/at/all").stat()
    assert not held._stops(reading())


def test_a_service_publishes_what_waits_long_or_landed_while_our_clock_was_ahead() -> None:
    settings: Any = SimpleNamespace(publish_bytes=10_000, publish_after=timedelta(minutes=5))

    def is_time(minutes: int) -> bool:
        landed_us = time.time_ns() // 1000 + minutes * 60_000_000
        ledger = SimpleNamespace(lake=SimpleNamespace(unpublished=lambda _: (1, 1, 1, landed_us)))
        installation = SimpleNamespace(ledger=ledger, settings=settings)
        loop: Any = SimpleNamespace(work=SimpleNamespace(assembly=SimpleNamespace(installation=installation)))
        return PublishLoop.is_time(loop, "wiz_issues")

    assert [is_time(minutes) for minutes in (0, -4, -6, 43_200)] == [False, False, True, True]


def test_a_pull_publishes_by_itself_between_pages(tmp_path: Path) -> None:
    seen: list[str] = []

    @contextmanager
    def alone() -> Iterator[None]:
        seen.append("held")
        yield
        seen.append("on")

    def publish(table: str, **_: bool) -> Any:
        seen.append(table)
        return SimpleNamespace(parts=0)

    ledger = SimpleNamespace(
        lake=SimpleNamespace(
            table_faults=list,
            mark=lambda *_: 0,
            table_failed=lambda *_, **__: None,
            unpublished=lambda _: (1, 1, 10_000, 0),
            landing_state=lambda _: ((), {}),
            removable=lambda *_: [],
        ),
        losses=SimpleNamespace(listed=list),
    )
    settings = SimpleNamespace(threads=1, publish_bytes=10_000, part_grace=None, retention="off")
    assembly: Any = SimpleNamespace(
        installation=SimpleNamespace(
            ledger=ledger, settings=settings, tables=nullcontext(), home=SimpleNamespace(path=tmp_path, id="home")
        ),
        take_over=lambda: None,
        publisher=SimpleNamespace(publish=publish),
        lake=SimpleNamespace(schemas={"wiz_issues": None}),
    )
    publishing = PublishLoop(Work(assembly=assembly, stop=Stop()))
    publishing.hold = alone
    publishing.publish(force=False)
    assert seen[:3] == ["held", "wiz_issues", "on"]


def test_memory_may_be_given_back_at_any_time() -> None:
    heap = Heap()
    heap._trimmed_at -= 10
    before = heap._trimmed_at
    heap.give_back()
    assert heap._trimmed_at > before
    again = heap._trimmed_at
    heap.give_back()
    assert heap._trimmed_at == again, "twice within half a second is not worth it"
