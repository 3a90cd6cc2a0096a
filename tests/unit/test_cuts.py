from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelog.model import Origin, Slice, SliceState
from ocelog.pull import slices
from ocelog.pull.cuts import cuts_between
from ocelog.pull.ports import Ask, Page
from ocelog.pull.slices import Narrow, SliceReading, Split
from ocelog.times import EPOCH, to_us

SECOND = timedelta(seconds=1)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AT = to_us(NOW - timedelta(days=20)) + 123_456


@given(
    instants=st.lists(st.integers(-2_000_000, 40_000_000)),
    length_us=st.integers(1_000_001, 30_000_000),
    page_size=st.integers(1, 500),
)
def test_pieces_lie_within_and_none_is_shorter_than_a_second(
    instants: list[int], length_us: int, page_size: int
) -> None:
    until = EPOCH + timedelta(microseconds=length_us)
    edges = [EPOCH, *cuts_between(EPOCH, until, instants, page_size), until]
    assert len(edges) == 2 or all(other - one >= SECOND for one, other in pairwise(edges))


@given(count=st.integers(1, 3_000), page_size=st.sampled_from([100, 500]))
def test_records_that_lie_apart_are_cut_into_pieces_of_half_a_page(count: int, page_size: int) -> None:
    met = [AT + at * 60_000_000 for at in range(count)]
    cuts = cuts_between(EPOCH, NOW + timedelta(days=9), met, page_size)
    places = [0, *(bisect_left(met, to_us(cut)) for cut in cuts), count]
    assert max(other - one for one, other in pairwise(places)) <= page_size // 2


def test_a_second_that_is_half_a_page_is_cut_out_with_the_seconds_beside_it() -> None:
    cuts = cuts_between(EPOCH, NOW, [AT] * 60, 100)
    assert [to_us(cut) - AT for cut in cuts] == [-1_500_000, -500_000, 500_000, 1_500_000]


@pytest.mark.parametrize("off", [timedelta(microseconds=1), SECOND / 2, SECOND])
def test_what_only_the_widened_question_meets_costs_the_outermost_seconds(off: timedelta) -> None:
    since, until = NOW - timedelta(days=1), NOW
    for at in (to_us(since - off), to_us(until + off)):
        cuts = cuts_between(since, until, [at] * 60, 100)
        assert 1 <= len(cuts) <= 2
        assert all(min(cut - since, until - cut) <= 2 * SECOND for cut in cuts)


def test_where_nothing_was_met_nothing_is_cut() -> None:
    assert cuts_between(EPOCH, NOW, [], 100) == []
    assert cuts_between(EPOCH, NOW, [to_us(NOW) + 5_000_000], 100) == []


def _questions(records: list[tuple[int, int]], since: datetime, page_size: int) -> tuple[int, set[tuple[int, int]]]:
    """Read [since, NOW) from an API whose cursors do not tell ties apart; return the questions and what they showed."""
    first = Slice(source_id="s", log_type="x", origin=Origin.BACKFILL, by="at", since=since, until=NOW)
    waiting, asked, shown = [first], 0, set[tuple[int, int]]()
    while waiting:
        slice_, reading = waiting.pop(), SliceReading(resumed=False)
        while slice_.state is SliceState.WAITING:
            page, there = _answer(sorted(records), slices.ask_of(slice_, page_size))
            asked, shown = asked + 1, shown | set(there)
            reading.note(page, [str(record) for record in there], [at for at, _ in there])
            after = slices.after_page(slice_, page, reading, page_size=page_size)
            if isinstance(after, Split):
                waiting += after.children
                break
            moved = after.otherwise if isinstance(after, Narrow) else after
            slice_ = moved.to
            if moved.again:
                reading = reading.begin_again()
    return asked, shown


def _answer(records: list[tuple[int, int]], ask: Ask) -> tuple[Page, list[tuple[int, int]]]:
    begin = bisect_left(records, (to_us(ask.since), 0))
    end = bisect_left(records, (to_us(ask.until), 0))
    start = begin if ask.after is None else bisect_left(records, (int(ask.after) + 1, 0))
    there = records[start : min(end, start + (ask.page_size or 1))]
    page = Page(
        records=b"[]",
        end_cursor=str(there[-1][0]) if there else None,
        has_next=start + len(there) < end,
        total=end - begin,
        capped=False,
        asked_us=1,
    )
    return page, there


@pytest.mark.parametrize("since", [EPOCH, NOW - timedelta(days=30)])
def test_an_instant_that_no_cursor_can_pass_costs_tens_of_questions_however_long_the_stretch(since: datetime) -> None:
    ties = [(AT, number) for number in range(300)]
    others = [(AT + number * 3_600_000_000, -1 - number) for number in range(-200, 200) if number]
    asked, shown = _questions(ties + others, since, 100)
    assert asked < 60
    assert shown >= set(others)
    assert len(shown) == len(others) + 100


def test_the_ends_of_time_are_no_obstacle() -> None:
    since, until = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    cuts = cuts_between(since, until, [to_us(since)] * 60 + [to_us(until)] * 60, 100)
    assert cuts == [since + 1.5 * SECOND, until - 1.5 * SECOND]


def test_small_ties_are_read_without_loss_once_each_piece_fits_a_page() -> None:
    triples = [(AT + number * 7_000_000, tie) for number in range(2_000) for tie in range(3)]
    asked, shown = _questions(triples, EPOCH, 200)
    assert shown == set(triples)
    assert asked < 200
