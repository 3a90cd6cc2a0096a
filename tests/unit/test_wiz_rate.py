import threading
from datetime import timedelta

import pytest

from ocelog.errors import SourceThrottledError, SourceUnavailableError
from ocelog.sources.wiz.rate import Pace


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def _spend(pace: Pace, clock: Clock, seconds: float) -> int:
    """Ask as often as the pace allows for so long; return how often that was."""
    asked, end = 0, clock.now + seconds
    while True:
        try:
            wait = pace.take()
        except SourceThrottledError as error:
            clock.now += (error.retry_after or timedelta(0)).total_seconds()
            if clock.now >= end:
                return asked
            continue
        clock.now += wait
        if clock.now >= end:
            return asked
        asked += 1


def test_no_more_than_so_many_questions_a_second_go_out() -> None:
    clock = Clock()
    assert _spend(Pace(3, monotonic=clock), clock, 100) in range(300, 303)


def test_a_pause_earns_no_more_than_a_small_burst() -> None:
    clock = Clock()
    pace = Pace(2, burst=2, monotonic=clock)
    clock.now += 3_600
    assert [pace.take() for _ in range(4)] == [0, 0, pytest.approx(0.5), pytest.approx(1.0)]


def test_a_complaint_halves_the_pace_and_good_answers_bring_it_back() -> None:
    clock = Clock()
    pace = Pace(4, monotonic=clock)
    pace.complained(None)
    assert pace.rate == pytest.approx(2)
    for _ in range(100):
        pace.answered()
    assert pace.rate == pytest.approx(4)
    for _ in range(50):
        pace.complained(None)
    assert pace.rate >= 4 / 20


def test_what_the_source_asks_for_holds_for_every_slice_of_it() -> None:
    clock = Clock()
    pace = Pace(10, monotonic=clock)
    pace.complained(timedelta(seconds=90))
    for _ in range(3):
        with pytest.raises(SourceThrottledError) as caught:
            pace.take()
        assert caught.value.retry_after == timedelta(seconds=90)
    clock.now += 90
    assert pace.take() == 0


def test_whoever_is_told_to_come_back_has_reserved_nothing() -> None:
    clock = Clock()
    pace = Pace(0.1, burst=1, monotonic=clock)
    assert pace.take() == 0
    for _ in range(5):
        with pytest.raises(SourceThrottledError):
            pace.take()
    clock.now += 10
    assert pace.take() == 0


def test_waiting_ends_when_the_source_is_closed() -> None:
    pace = Pace(0.5, burst=1)
    pace.wait()
    raised = list[Exception]()

    def ask() -> None:
        try:
            pace.wait()
        except SourceUnavailableError as error:
            raised.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    pace.stop()
    thread.join(timeout=1)
    assert not thread.is_alive()
    assert raised
