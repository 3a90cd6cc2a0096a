import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelog.errors import AccessRefusedError, SourceThrottledError, SourceUnavailableError
from ocelog.model import Checkpoint, Origin, Slice, SliceState
from ocelog.pull import slices
from ocelog.pull.ports import Page
from ocelog.pull.slices import Moved, Reading, Split

SINCE = datetime(2026, 3, 1, tzinfo=UTC)
SLICE = Slice(
    id=7,
    fence=2,
    source_id="s",
    log_type="Wiz.Issues",
    origin=Origin.LIVE,
    by="statusChangedAt",
    since=SINCE,
    until=SINCE + timedelta(minutes=10),
)
SIZE = 500


def page(**more: Any) -> Page:
    facts: dict[str, Any] = {
        "records": b"[]",
        "end_cursor": None,
        "has_next": False,
        "total": 0,
        "capped": False,
        "asked_us": 1,
    }
    return Page(**(facts | more))


def after(slice_: Slice, answer: Page, seen: list[str], reading: Reading | None = None) -> slices.Next:
    reading = reading or Reading(resumed=False)
    reading.note(answer, seen)
    return slices.after_page(slice_, answer, reading, page_size=SIZE)


def moved(next_: slices.Next) -> Moved:
    assert isinstance(next_, Moved)
    return next_


def at(**checkpoint: Any) -> Slice:
    return replace(SLICE, checkpoint=Checkpoint(**checkpoint))


def test_a_question_is_widened_by_a_second_on_both_sides() -> None:
    ask = slices.ask_of(SLICE, SIZE)
    assert (ask.since, ask.until) == (SINCE - slices.SECOND, SLICE.until + slices.SECOND)
    assert ask.page_size == SIZE


def test_a_question_is_never_widened_by_more_than_its_own_length() -> None:
    tiny = replace(SLICE, until=SINCE + timedelta(milliseconds=100))
    ask = slices.ask_of(tiny, SIZE)
    assert ask.until - ask.since == timedelta(milliseconds=300)


def test_a_question_reaches_to_the_ends_of_time_and_no_further() -> None:
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    ask = slices.ask_of(replace(SLICE, since=first, until=last), SIZE)
    assert (ask.since, ask.until) == (first, last)


def test_a_sweep_asks_for_open_records_only() -> None:
    assert slices.ask_of(replace(SLICE, origin=Origin.SWEEP), SIZE).open_only
    assert not slices.ask_of(SLICE, SIZE).open_only


def test_a_last_page_with_all_that_was_counted_drains() -> None:
    assert moved(after(SLICE, page(total=2), ["a", "b"])).to.state is SliceState.DRAINED


def test_an_empty_page_with_more_to_come_drains_nothing() -> None:
    next_ = moved(after(SLICE, page(has_next=True, end_cursor="c1", total=9), []))
    assert next_.to.state is SliceState.WAITING
    assert next_.to.checkpoint.after == "c1"


def test_a_count_that_was_larger_once_keeps_the_slice_open() -> None:
    reading = Reading(resumed=False)
    first = moved(after(SLICE, page(has_next=True, end_cursor="c1", total=3), ["a"], reading)).to
    last = moved(after(first, page(total=2), ["b"], reading))
    assert last.to.state is SliceState.WAITING
    assert last.again
    assert last.to.checkpoint.after is None


def test_a_reading_after_a_short_one_has_other_page_edges() -> None:
    short = moved(after(SLICE, page(total=2), ["a"])).to
    assert slices.ask_of(short, SIZE).page_size == 350


def test_a_second_short_reading_splits_by_time() -> None:
    short = moved(after(SLICE, page(total=2), ["a"])).to
    again = after(short, page(total=2), ["a"])
    assert isinstance(again, Split)
    assert [child.since for child in again.children] == [SINCE, SINCE + timedelta(minutes=5)]


def test_a_second_that_stays_short_is_drained_and_says_so() -> None:
    tiny = replace(at(short_readings=1), until=SINCE + timedelta(seconds=1))
    drained = moved(after(tiny, page(total=2), ["a"])).to
    assert (drained.state, drained.short_by) == (SliceState.DRAINED, 1)


def test_a_short_count_after_a_crash_costs_one_more_reading_and_is_not_held_against_the_source() -> None:
    resumed = moved(after(at(after="c5"), page(total=9), ["a"], Reading(resumed=True)))
    assert resumed.again
    assert resumed.to.checkpoint.short_readings == 0


@pytest.mark.parametrize("cursor", [None, "here", "met before"])
def test_a_cursor_that_leads_nowhere_starts_the_slice_over(cursor: str | None) -> None:
    reading = Reading(resumed=False, cursors={"met before"})
    next_ = moved(after(at(after="here"), page(has_next=True, end_cursor=cursor, total=9), ["a"], reading))
    assert next_.again
    assert (next_.to.checkpoint.after, next_.to.checkpoint.restarts) == (None, 1)


def test_six_restarts_or_a_reduced_page_size_make_it_smaller() -> None:
    assert isinstance(slices.lost_place(at(restarts=6), "lost", page_size=SIZE), Split)
    assert isinstance(slices.lost_place(at(page_size=5), "lost", page_size=SIZE), Split)


def test_a_second_that_loses_its_place_is_parked() -> None:
    tiny = replace(at(restarts=6), until=SINCE + timedelta(seconds=1))
    assert moved(slices.lost_place(tiny, "lost", page_size=SIZE)).to.state is SliceState.PARKED


def test_pages_that_show_nothing_new_for_ever_end() -> None:
    reading = Reading(resumed=False)
    slice_ = SLICE
    for turn in range(300):
        next_ = moved(after(slice_, page(has_next=True, end_cursor=f"c{turn}", total=1), ["a"], reading))
        if next_.again:
            return
        slice_ = next_.to
    pytest.fail("it goes on for ever")


def test_the_page_size_goes_down_step_by_step_and_comes_back_up() -> None:
    slice_, sizes = SLICE, []
    while (fewer := slices.rung_below(slice_, SIZE)) is not None:
        slice_ = fewer
        sizes.append(slice_.checkpoint.page_size)
    assert sizes == [100, 20, 5, 1]
    for turn, size in enumerate([5, 20, 100, None]):
        slice_ = moved(after(slice_, page(has_next=True, end_cursor=f"c{turn}", total=9), [f"{turn}"])).to
        assert slice_.checkpoint.page_size == size


@pytest.mark.parametrize(("total", "capped", "pieces"), [(10_000, False, 0), (10_001, False, 4), (10, True, 2)])
def test_a_slice_that_is_too_full_is_split_before_it_is_read(total: int, pieces: int, *, capped: bool) -> None:
    split = slices.too_full(SLICE, page(total=total, capped=capped))
    assert (len(split.children) if split else 0) == pieces


def test_a_full_slice_is_not_split_in_the_middle_of_its_reading() -> None:
    assert slices.too_full(at(after="c1"), page(total=90_000)) is None


@given(seconds=st.integers(2, 10**8), count=st.integers(2, 64))
def test_pieces_cover_the_slice_without_gap_or_overlap(seconds: int, count: int) -> None:
    whole = replace(SLICE, until=SINCE + timedelta(seconds=seconds))
    children = slices.in_pieces(whole, count).children
    assert children[0].since == whole.since
    assert children[-1].until == whole.until
    assert all(one.until == other.since for one, other in zip(children, children[1:], strict=False))
    assert all(child.since < child.until and child.checkpoint == Checkpoint() for child in children)


def test_parked_slices_are_tried_ever_more_rarely_down_to_once_a_day() -> None:
    waits = [slices.parked(SLICE, SINCE, tries=tries).due_at - SINCE for tries in range(12)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (timedelta(minutes=5), timedelta(days=1))


def test_a_throttled_slice_waits_as_long_as_the_source_said() -> None:
    error = SourceThrottledError("slower", retry_after=timedelta(seconds=40))
    assert slices.postponed(SLICE, error, SINCE, random.Random(1)).due_at == SINCE + timedelta(seconds=40)


def test_failures_wait_longer_each_time_and_a_refusal_five_minutes() -> None:
    down, rng = SourceUnavailableError("down"), random.Random(1)
    first = slices.postponed(SLICE, down, SINCE, rng)
    later = slices.postponed(at(failures=5), down, SINCE, rng)
    assert first.due_at < SINCE + timedelta(seconds=3) < later.due_at
    refused = slices.postponed(SLICE, AccessRefusedError("no"), SINCE, rng)
    assert refused.due_at == SINCE + timedelta(minutes=5)
