"""What a search for the broken part of a time range finds, and with how many probes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelog.pull.isolation import BrokenRanges, Elusive, SearchOutcome, TimeRange, TooFull, search

SINCE = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def at(seconds: float) -> datetime:
    return SINCE + timedelta(seconds=seconds)


def searched(
    bad: list[datetime], good: list[datetime], length: timedelta = DAY, most: int = 500
) -> tuple[SearchOutcome, int]:
    """Search a time range of a source that fails on every record of `bad`; return what was found, and the probes."""
    probes = 0

    def answer(probe: TimeRange) -> int | None:
        since, until = probe
        if any(since <= instant <= until for instant in bad):
            return None
        return sum(since <= instant <= until for instant in good)

    searching = search(SINCE, SINCE + length, most)
    probe = next(searching)
    while True:
        probes += 1
        try:
            probe = searching.send(answer(probe))
        except StopIteration as end:
            found: SearchOutcome = end.value
            return found, probes


@given(second=st.floats(1, 86_399))
def test_a_single_instant_is_found_to_an_eighth_of_a_second_with_some_20_probes(second: float) -> None:
    found, probes = searched([at(second)], [])
    assert isinstance(found, BrokenRanges)
    ((low, high),) = found.ranges
    assert low <= at(second) <= high
    assert high - low <= timedelta(seconds=0.25)
    assert probes <= 17 + 6


def test_ten_minutes_that_always_fail_are_one_stretch() -> None:
    bad = [at(40_000 + second) for second in range(600)]
    good = [at(second) for second in range(0, 86_400, 500) if not 40_000 <= second < 40_600]
    found, probes = searched(bad, good)
    assert isinstance(found, BrokenRanges)
    ((low, high),) = found.ranges
    assert at(39_998.5) <= low <= at(40_000)
    assert at(40_599) <= high <= at(40_600.5)
    assert probes <= 45


def test_two_records_far_apart_do_not_condemn_what_lies_between() -> None:
    found, _ = searched([at(1_000), at(80_000)], [at(second) for second in range(50, 86_400, 100)])
    assert isinstance(found, BrokenRanges)
    assert len(found.ranges) == 2


@pytest.mark.parametrize("every", [90, 45, 7, 3])
def test_records_at_regular_distances_do_not_condemn_what_lies_between(every: int) -> None:
    records = [at(100 * number + 50) for number in range(800)]
    bad = records[3::every]
    found, probes = searched(bad, [record for record in records if record not in bad])
    assert isinstance(found, BrokenRanges)
    assert len(found.ranges) == 2
    assert probes <= 60


def test_two_records_in_neighbouring_seconds_are_one_stretch() -> None:
    found, _ = searched([at(1_000), at(1_001.5)], [at(second) for second in range(50, 86_400, 100)])
    assert isinstance(found, BrokenRanges)
    ((low, high),) = found.ranges
    assert high - low <= timedelta(seconds=5)


def test_a_stretch_with_more_records_than_a_page_holds_is_to_be_cut_first() -> None:
    found, _ = searched([at(86_000)], [at(second) for second in range(0, 80_000, 10)])
    assert isinstance(found, TooFull)
    assert 7_000 < found.total < 10_000


@given(answers=st.lists(st.one_of(st.none(), st.integers(0, 900)), min_size=80, max_size=80))
def test_a_search_ends_whatever_is_answered(answers: list[int | None]) -> None:
    searching = search(SINCE, SINCE + 30 * DAY, 500)
    next(searching)
    found: SearchOutcome | None = None
    while found is None:
        try:
            searching.send(answers.pop())
        except StopIteration as end:
            found = end.value
    assert isinstance(found, BrokenRanges | TooFull | Elusive)
