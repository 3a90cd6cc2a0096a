"""An API whose clock lies: once it tells the truth again, every instant is covered by a slice that could show it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ocelog.model import Kind, Marks, Origin, Slice
from ocelog.pull.planner import OVERLAP, StreamSettings, plan

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
KIND = Kind(log_type="A", cursor_field="at", created_field="at", version_times=("at",), sweep_by="made")
SETTINGS = StreamSettings(backfill=timedelta(days=30))
NONE = timedelta(0)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LIES = (10 * MINUTE, 3 * HOUR, 20 * HOUR, 30 * HOUR, 3 * DAY, 10 * DAY, 40 * DAY, 400 * DAY, 20_000 * DAY)
Steps = Sequence[tuple[timedelta, timedelta]]
"""How much time passes, and then by how much the API's clock is ahead when the stream is planned."""

lies = st.one_of(
    st.just(NONE),
    st.sampled_from(LIES),
    st.sampled_from(LIES).map(lambda lie: -lie),
    st.timedeltas(-15 * DAY, 15 * DAY),
)
gaps = st.one_of(
    st.just(6 * MINUTE), st.timedeltas(NONE, HOUR), st.timedeltas(NONE, 2 * DAY), st.timedeltas(NONE, 6 * DAY)
)


@dataclass(slots=True)
class Stream:
    """A stream that is planned by a clock that may lie, and whose slices are read at once."""

    true_now: datetime = START
    marks: Marks = field(default_factory=lambda: Marks(source_id="s", log_type="A"))
    slices: list[tuple[datetime, datetime]] = field(default_factory=list)
    """What each could show."""
    read: timedelta = NONE
    """How much of the past live slices asked for again, in all."""

    def poll(self, lie: timedelta = NONE, *, our_clock: timedelta = NONE) -> list[Slice]:
        """Plan; `our_clock` is how far ours is ahead of the truth."""
        now = self.true_now + lie
        found = plan(self.marks, KIND, SETTINGS, now, our_now=self.true_now + our_clock)
        if found is None:
            return []
        self.marks = found.after
        for each in found.slices:
            assert each.since < each.until <= now
            if each.by != KIND.cursor_field:
                continue
            self.slices.append((each.since, min(each.until, self.true_now)))
            if each.origin is Origin.LIVE:
                self.read += max(NONE, self.slices[-1][1] - each.since)
        return list(found.slices)

    def go(self, gap: timedelta, lie: timedelta = NONE, *, our_clock: timedelta = NONE) -> list[Slice]:
        """Let time pass, then plan."""
        self.true_now += gap
        return self.poll(lie, our_clock=our_clock)

    def check(self, since: datetime) -> None:
        """Raise unless every instant from `since` to the true edge is covered, with an overlap for late records."""
        assert self.marks.edge is not None
        assert self.marks.edge <= self.true_now
        reached = since
        for begins, ends in sorted(self.slices):
            if begins <= reached:
                reached = max(reached, ends)
        assert reached >= self.marks.edge, f"nothing covers {reached} to {self.marks.edge}"


@given(steps=st.lists(st.tuples(gaps, lies), min_size=1, max_size=14), first=lies)
@example(first=NONE, steps=[(6 * MINUTE, 3 * DAY), (2 * DAY, 3 * DAY), (4 * DAY, 3 * DAY)])
@example(first=3 * DAY, steps=[(6 * MINUTE, 3 * DAY), (2 * DAY, 3 * DAY)])
@example(first=NONE, steps=[(6 * MINUTE, 3 * DAY), (DAY, 10 * DAY), (DAY, 3 * DAY), (5 * DAY, 3 * DAY)])
@example(first=NONE, steps=[(6 * MINUTE, -20_000 * DAY), (DAY, -20_000 * DAY)])
@example(first=400 * DAY, steps=[(DAY, 400 * DAY)])
def test_once_the_date_is_true_again_nothing_is_left_out(steps: Steps, first: timedelta) -> None:
    stream = Stream()
    stream.poll(first)
    for gap, lie in steps:
        stream.go(gap, lie)
    stream.go(6 * MINUTE)
    stream.go(6 * MINUTE)
    # A stream that began with a lie of weeks has its backfill when the lie ends, counted from then.
    stream.check(START - 20 * DAY if first <= 10 * DAY else stream.true_now - 29 * DAY)


@given(
    lie=st.timedeltas(2 * MINUTE, 15 * DAY),
    up=st.integers(1, 6),
    down=st.integers(1, 200),
    pause=gaps,
)
def test_a_lie_that_comes_and_goes_in_steps_leaves_nothing_out(
    lie: timedelta, up: int, down: int, pause: timedelta
) -> None:
    stream = Stream()
    stream.poll()
    for step in range(up):
        stream.go(6 * MINUTE, lie * (step + 1) / up)
    stream.go(pause, lie)
    for step in reversed(range(down)):
        stream.go(6 * MINUTE, lie * step / down)
    stream.go(6 * MINUTE)
    stream.check(START)


@given(steps=st.lists(st.tuples(gaps, lies), min_size=1, max_size=14))
def test_our_own_clock_may_be_set_at_will(steps: Steps) -> None:
    stream = Stream()
    stream.poll()
    for gap, ours in steps:
        stream.go(gap, our_clock=ours)
    stream.go(6 * MINUTE)
    stream.check(START)


def test_a_small_lie_of_a_week_that_ends_while_the_service_is_off_loses_nothing() -> None:
    stream = Stream()
    stream.poll()
    for _ in range(7 * 24):
        stream.go(HOUR, 10 * MINUTE)
    stream.go(5 * DAY)
    stream.check(START)


def test_a_lie_that_lasted_months_is_read_again_from_where_it_began() -> None:
    stream = Stream()
    for _ in range(100):
        stream.go(DAY)
    began = stream.true_now
    for _ in range(120):
        stream.go(DAY, 5 * DAY)
    back = next(each for each in stream.go(HOUR) if each.origin is Origin.LIVE)
    assert began - 4 * DAY < back.since < began
    stream.check(START)


def test_an_honest_clock_never_costs_more_than_the_daily_look_back() -> None:
    stream = Stream()
    for minute in range(0, 30 * 24 * 60, 10):
        # Our clock drifts by 2 seconds a day, and the API's date is cut to whole seconds.
        stream.go(10 * MINUTE, -timedelta(milliseconds=minute % 997), our_clock=timedelta(seconds=2) * minute / 1440)
    days = (stream.read - 30 * 24 * 6 * (10 * MINUTE + OVERLAP)) / DAY
    assert days < 30 * 2.1
    assert len(stream.marks.covered) < 4


def test_our_clock_set_forward_by_an_hour_costs_three_days_of_reading_at_most() -> None:
    stream = Stream()
    for _ in range(200):
        stream.go(DAY)
    before = stream.read
    for _ in range(10):
        stream.go(10 * MINUTE, our_clock=HOUR)
    assert stream.read - before < 3.5 * DAY


def test_a_clock_that_falls_far_behind_and_returns_does_not_have_all_of_the_past_read_again() -> None:
    stream = Stream()
    for _ in range(200):
        stream.go(DAY)
    before, backfill = stream.read, stream.marks.backfill_since
    for _ in range(3):
        stream.go(HOUR, -20_000 * DAY)
        stream.go(HOUR)
        stream.go(DAY)
    assert stream.marks.backfill_since == backfill
    assert stream.read - before < 40 * DAY
    stream.check(START)


def test_what_is_remembered_stays_small_whatever_the_clock_says() -> None:
    stream = Stream()
    stream.poll()
    for step in range(400):
        stream.go(10 * MINUTE, DAY * ((step * 7919) % 601 - 300))
        assert len(stream.marks.covered) <= 17
    stream.go(6 * MINUTE)
    stream.check(START)


@pytest.mark.parametrize("said", [datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)])
def test_the_first_and_the_last_date_there_is_stop_nothing(said: datetime) -> None:
    stream = Stream()
    stream.poll()
    for _ in range(3):
        stream.go(6 * MINUTE, said - stream.true_now - 6 * MINUTE)
    stream.go(6 * MINUTE)
    stream.check(START)


@pytest.mark.parametrize("lie", [2 * DAY, -2 * DAY])
def test_a_sweep_is_not_put_off_by_a_lie(lie: timedelta) -> None:
    begun = plan(Marks(source_id="s", log_type="A"), KIND, SETTINGS, START + lie, our_now=START)
    assert begun is not None
    back = plan(begun.after, KIND, SETTINGS, START + HOUR, our_now=START + HOUR)
    assert back is not None
    assert back.after.swept_at is not None
    assert back.after.swept_at <= START + HOUR
