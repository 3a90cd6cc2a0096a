"""How evenly requests go out: against three kinds of limiters, on a clock of the test's own."""

import heapq
import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from ocelog.errors import SourceThrottledError, SourceUnavailableError
from ocelog.sources.wiz.rate import Pace
from wizsim.limits import LIMITERS, LimiterKind


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Later(threading.Event):
    """An event that nobody sets: waiting for it moves the clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        self.clock.now += timeout or 0
        return False


def _requests(pace: Pace, clock: Clock, seconds: float, jitter: Callable[[], float] = lambda: 0.0) -> list[float]:
    """Return when requests go out in so long if somebody always wants one; each is sent later than allowed by `jitter`.

    Threads that are slow to start are overtaken by others, as real ones are.
    """
    closed, end, sent = Later(clock), clock.now + seconds, list[float]()
    due, leave, at = list[float](), clock.now, clock.now
    while leave < end:
        clock.now = leave
        leave += pace.take()
        heapq.heappush(due, leave + jitter())
        assert len(due) < 1_000
        while due and (due[0] <= leave or leave >= end):
            clock.now = max(at, heapq.heappop(due))
            pace.hold(closed)
            at = clock.now
            sent.append(at)
        clock.now = leave
    return sent


@pytest.mark.parametrize("kind", LimiterKind)
@pytest.mark.parametrize("limit", [1, 3, 10, 50])
def test_a_fair_limiter_never_complains_and_nine_tenths_of_it_are_used(kind: LimiterKind, limit: int) -> None:
    rng, clock = random.Random(limit), Clock()
    network = [0.0]

    def jitter() -> float:
        return rng.uniform(0, 0.2) if rng.random() < 0.1 else rng.uniform(0, 0.005)

    def arrival(sent: float) -> float:
        network.append(max(network[-1], sent + rng.uniform(0.020, 0.035)))
        return network[-1]

    limiter, seconds = LIMITERS[kind](limit), 300
    sent = _requests(Pace(limit, monotonic=clock), clock, seconds, jitter)
    assert all(limiter.takes(arrival(at)) for at in sent)
    share = len(sent) / limit / seconds
    print(f"{kind} limiter of {limit} per second: {share:.1%} of it used")
    assert share >= 0.9


@pytest.mark.parametrize(
    ("rate", "most", "window"), [(3, 3, 1.0), (2.5, 2, 1.0), (1, 1, 1.0), (0.5, 1, 2.0), (7, 7, 1.0)]
)
@pytest.mark.parametrize("late", [0.0, 0.1, 1.0])
def test_no_window_ever_holds_more_than_the_rate_however_late_threads_send(
    rate: float, most: int, window: float, late: float
) -> None:
    rng, clock = random.Random(7), Clock()
    sent = _requests(Pace(rate, monotonic=clock), clock, 200, lambda: rng.choice([0.0, late]))
    assert len(sent) > 50
    assert min(after - before for before, after in zip(sent, sent[most:], strict=False)) > window


def test_a_pause_earns_no_burst() -> None:
    clock = Clock()
    pace = Pace(2, monotonic=clock)
    clock.now += 3_600
    gap = pytest.approx(0.5 / 0.95)
    first, second, third = pace.take(), pace.take(), pace.take()
    assert first == 0
    assert second == gap
    assert third - second == gap


def test_sources_that_share_a_pace_keep_to_the_lowest_of_their_rates() -> None:
    pace = Pace(1)
    pace.share("a", 8)
    pace.share("b", 3)
    assert pace.rate == pytest.approx(3 * 0.95)
    pace.share("b", 10)
    assert pace.rate == pytest.approx(8 * 0.95)


def test_a_complaint_halves_the_pace_and_good_answers_bring_it_back() -> None:
    pace = Pace(4, monotonic=Clock())
    full = pace.rate
    pace.complained(None)
    assert pace.rate == pytest.approx(full / 2)
    for _ in range(100):
        pace.answered()
    assert pace.rate == pytest.approx(full)
    for _ in range(50):
        pace.complained(None)
    assert pace.rate >= full / 20.1


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


def test_a_later_complaint_that_asks_for_less_does_not_shorten_the_wait() -> None:
    pace = Pace(10, monotonic=Clock())
    pace.complained(timedelta(seconds=90))
    for less in (timedelta(seconds=1), None):
        pace.complained(less)
        with pytest.raises(SourceThrottledError) as caught:
            pace.take()
        assert caught.value.retry_after == timedelta(seconds=90)


def test_who_is_patient_waits_for_what_the_source_asked_for_up_to_a_minute() -> None:
    pace = Pace(10, monotonic=Clock())
    pace.complained(timedelta(seconds=50))
    with pytest.raises(SourceThrottledError):
        pace.take()
    assert pace.take(patient=True) == pytest.approx(50)
    pace.complained(timedelta(seconds=90))
    with pytest.raises(SourceThrottledError):
        pace.take(patient=True)


def test_a_complaint_of_one_single_request_slows_nobody_down() -> None:
    clock = Clock()
    pace = Pace(10, monotonic=clock)
    full = pace.rate
    for _ in range(5):
        pace.complained(timedelta(seconds=90))
    clock.now += 1
    pace.pardoned()
    assert pace.rate == pytest.approx(full)
    assert pace.take() == 0


def test_waiting_for_a_turn_is_no_complaint_of_the_source() -> None:
    clock = Clock()
    pace = Pace(0.1, monotonic=clock)
    assert [round(pace.take()) for _ in range(4)] == [0, 11, 21, 32]


def test_whoever_is_told_to_come_back_has_reserved_nothing() -> None:
    clock = Clock()
    pace = Pace(0.01, monotonic=clock)
    assert pace.take() == 0
    for _ in range(5):
        with pytest.raises(SourceThrottledError, match="--rate"):
            pace.take()
    clock.now += 107
    assert pace.take() == 0


@pytest.mark.parametrize("way", [Pace.wait, Pace.hold])
def test_waiting_ends_when_the_source_is_closed(way: Callable[[Pace, threading.Event], None]) -> None:
    pace, closed = Pace(0.02), threading.Event()
    way(pace, closed)
    raised = list[Exception]()

    def ask() -> None:
        try:
            way(pace, closed)
        except SourceUnavailableError as error:
            raised.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    closed.set()
    thread.join(timeout=5)
    assert not thread.is_alive()
    assert raised


def test_who_must_wait_for_long_is_told_the_instant_which_stays_right_when_it_is_read_later() -> None:
    clock, began = Clock(), datetime(2026, 11, 28, 15, 33, 32, tzinfo=UTC)
    pace = Pace(3, monotonic=clock, now=lambda: began + timedelta(seconds=clock.now - 100))
    pace.complained(timedelta(seconds=600))
    for passed in (0, 13.4, 300):
        clock.now = 100 + passed
        with pytest.raises(SourceThrottledError, match="the next one is due at 2026-11-28T15:43:32Z\\."):
            pace.take()
    slow = Pace(0.001, monotonic=clock, now=lambda: began)
    slow.take()
    with pytest.raises(SourceThrottledError, match=r"the next one is due at 2026-11-28T15:51:05Z \(see --rate\)"):
        slow.take()
