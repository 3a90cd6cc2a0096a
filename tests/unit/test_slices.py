import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ocelog.errors import (
    AccessRefusedError,
    ContractBrokenError,
    HaltError,
    SourceThrottledError,
    SourceUnavailableError,
    TransientError,
)
from ocelog.model import SWEEPING, Checkpoint, Origin, Slice, SliceState, StreamFaults
from ocelog.pull import slices
from ocelog.pull.planner import still_short
from ocelog.pull.ports import Page
from ocelog.pull.slices import Moved, Narrow, SliceReading, Split
from ocelog.times import to_us

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


def after(
    slice_: Slice, answer: Page, seen: list[str], reading: SliceReading | None = None, **more: Any
) -> slices.Next | Narrow:
    reading = reading or SliceReading(resumed=False)
    reading.note(answer, seen)
    return slices.after_page(slice_, answer, reading, page_size=SIZE, **more)


def moved(next_: slices.Next | Narrow) -> Moved:
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


@pytest.mark.parametrize(("number", "background"), [(0, False), (1, False), (2, True), (300, True)])
def test_a_daily_sweep_asks_in_the_background_and_the_first_sweep_does_not(number: int, *, background: bool) -> None:
    for origin in SWEEPING:
        assert slices.ask_of(replace(SLICE, origin=origin, sweep_round=number), 100).background == background


def test_a_last_page_with_all_that_was_counted_drains() -> None:
    assert moved(after(SLICE, page(total=2), ["a", "b"])).to.state is SliceState.DRAINED


def test_an_empty_page_with_more_to_come_drains_nothing() -> None:
    next_ = moved(after(SLICE, page(has_next=True, end_cursor="c1", total=9), []))
    assert next_.to.state is SliceState.WAITING
    assert next_.to.checkpoint.after == "c1"


def test_a_count_that_was_larger_once_keeps_the_slice_open() -> None:
    reading = SliceReading(resumed=False)
    first = moved(after(SLICE, page(has_next=True, end_cursor="c1", total=3), ["a"], reading)).to
    last = moved(after(first, page(total=2), ["b"], reading))
    assert last.to.state is SliceState.WAITING
    assert last.again
    assert last.to.checkpoint.after is None


def test_a_reading_after_a_short_one_has_other_page_edges() -> None:
    short = moved(after(SLICE, page(total=2), ["a"])).to
    assert slices.ask_of(short, SIZE).page_size == 349


def read(slice_: Slice, pages: list[list[str]], total: int, reading: SliceReading, **more: Any) -> slices.Next | Narrow:
    """Read a slice from its first page to its last."""
    for turn, seen in enumerate(pages[:-1]):
        onward = page(has_next=True, end_cursor=f"c{turn}", total=total)
        slice_ = moved(after(slice_, onward, seen, reading, **more)).to
    return after(slice_, page(total=total), pages[-1], reading, **more)


def test_two_readings_that_show_different_records_split_by_time() -> None:
    first = SliceReading(resumed=False)
    short = moved(read(SLICE, [["a"], ["b"]], 3, first)).to
    again = read(short, [["b"], ["c"]], 3, first.begin_again())
    assert isinstance(again, Split)
    assert [child.since for child in again.children] == [SINCE, SINCE + timedelta(minutes=5)]


def test_two_readings_with_one_page_edge_in_common_prove_nothing() -> None:
    first = SliceReading(resumed=False)
    short = moved(read(SLICE, [["a"], ["b", "c"]], 4, first)).to
    assert isinstance(read(short, [["a"], ["b"], ["c"]], 4, first.begin_again()), Split)


def test_a_stretch_is_made_good_only_by_all_of_it() -> None:
    short = replace(SLICE, id=1, state=SliceState.DRAINED, short_by=2)
    part = replace(SLICE, id=2, state=SliceState.DRAINED, narrowed={"status": ["OPEN"]})
    assert still_short([short, part]) == (short,)
    assert still_short([short, replace(part, narrowed=None)]) == ()


def test_two_readings_that_show_the_same_records_prove_the_total_wrong() -> None:
    first = SliceReading(resumed=False)
    short = moved(read(SLICE, [["a", "b"], ["c"]], 4, first)).to
    again = moved(read(short, [["a"], ["b", "c"]], 4, first.begin_again()))
    assert (again.to.state, again.to.short_by, again.total_off) == (SliceState.DRAINED, 1, 1)


def test_records_that_come_and_go_while_pages_are_read_prove_no_total_wrong() -> None:
    first = SliceReading(resumed=False)
    short = moved(read(SLICE, [["a", "b"], ["c"]], 4, first)).to
    second = first.begin_again()
    onward = moved(after(short, page(has_next=True, end_cursor="c9", total=5), ["a"], second)).to
    assert isinstance(after(onward, page(total=4), ["b", "c"], second), Split)


def test_one_page_that_had_room_cannot_be_short_by_a_cursor() -> None:
    first = SliceReading(resumed=False)
    short = moved(after(SLICE, page(total=2), ["a"], first))
    assert short.again
    again = moved(after(short.to, page(total=2), ["a"], first.begin_again()))
    assert (again.to.state, again.to.short_by, again.total_off) == (SliceState.DRAINED, 1, 1)


def test_a_full_page_without_another_may_have_been_cut_off() -> None:
    full = [str(number) for number in range(SIZE)]
    first = SliceReading(resumed=False)
    short = moved(after(SLICE, page(total=900), full, first))
    assert isinstance(after(short.to, page(total=900), full[:349], first.begin_again()), Split)


@pytest.mark.parametrize(
    ("faults", "short_by"),
    [
        (StreamFaults(total_off_by=3, total_off_at=SINCE), 0),
        (StreamFaults(total_off_by=2, total_off_at=SINCE), None),
        (StreamFaults(total_off_by=3, total_off_at=SINCE - timedelta(days=2)), None),
        (StreamFaults(total_off_by=3, total_off_floor=3, total_off_at=SINCE), 0),
    ],
    ids=["as much as known", "more than known", "known too long ago", "counted where there is nothing"],
)
def test_a_total_that_is_known_to_be_wrong_costs_no_second_reading(faults: StreamFaults, short_by: int | None) -> None:
    next_ = moved(after(SLICE, page(total=4), ["a"], faults=faults, now=SINCE))
    assert next_.again is (short_by is None)
    assert next_.to.short_by == 0


@pytest.mark.parametrize(
    ("ago", "believed"),
    [(timedelta(hours=23), True), (slices.DAY, False), (timedelta(0), True), (-timedelta(days=30), False)],
    ids=["within a day", "a day ago", "just now", "by a clock that was ahead then"],
)
def test_totals_are_believed_to_be_wrong_for_a_day(ago: timedelta, *, believed: bool) -> None:
    faults = StreamFaults(total_off_by=3, total_off_at=SINCE - ago)
    assert slices.totals_are_off(faults, SINCE) is believed
    assert moved(after(SLICE, page(total=4), ["a"], faults=faults, now=SINCE)).again is not believed


def test_the_stream_is_told_short_once() -> None:
    faults = StreamFaults(total_off_by=1, total_off_at=SINCE - timedelta(days=2))
    first = SliceReading(resumed=False)
    short = moved(after(SLICE, page(total=2), ["a"], first, faults=faults, now=SINCE))
    again = moved(after(short.to, page(total=2), ["a"], first.begin_again(), faults=faults, now=SINCE))
    assert (again.to.short_by, again.total_off) == (0, 1)


@pytest.mark.parametrize(
    ("total", "known_for", "right"), [(1, timedelta(hours=1), False), (1, slices.DAY, True), (0, timedelta(0), True)]
)
def test_a_wrong_total_is_forgotten_once_a_reading_shows_it_right(
    total: int, known_for: timedelta, *, right: bool
) -> None:
    faults = StreamFaults(total_off_by=1, total_off_at=SINCE - known_for)
    exact = moved(after(SLICE, page(total=total), ["a"], faults=faults, now=SINCE))
    assert (exact.to.state, exact.total_right) == (SliceState.DRAINED, right)


def test_a_second_that_a_cursor_skips_records_of_is_split_by_something_else_or_drained_short() -> None:
    tiny = replace(SLICE, until=SINCE + timedelta(seconds=1))
    first = SliceReading(resumed=False)
    short = moved(read(tiny, [["a"], ["b"]], 3, first)).to
    again = read(short, [["b"], ["c"]], 3, first.begin_again())
    assert isinstance(again, Narrow)
    assert (again.otherwise.to.state, again.otherwise.to.short_by) == (SliceState.DRAINED, 1)


def test_a_slice_that_is_handed_on_and_always_short_is_not_read_for_ever() -> None:
    slice_ = at(after="c5")
    for _ in range(20):
        next_ = after(slice_, page(total=9), ["a"], SliceReading(resumed=True))
        if not (isinstance(next_, Moved) and next_.again):
            return
        slice_ = replace(next_.to, checkpoint=replace(next_.to.checkpoint, after="c5"))
    pytest.fail("it goes on for ever")


def test_a_short_count_after_a_crash_costs_one_more_reading_and_is_not_held_against_the_source() -> None:
    resumed = moved(after(at(after="c5"), page(total=9), ["a"], SliceReading(resumed=True)))
    assert resumed.again
    assert resumed.to.checkpoint.short_readings == 0


@pytest.mark.parametrize("cursor", [None, "here", "met before"])
def test_a_cursor_that_leads_nowhere_starts_the_slice_over(cursor: str | None) -> None:
    reading = SliceReading(resumed=False, cursors={"met before"})
    next_ = moved(after(at(after="here"), page(has_next=True, end_cursor=cursor, total=9), ["a"], reading))
    assert next_.again
    assert (next_.to.checkpoint.after, next_.to.checkpoint.restarts) == (None, 1)


def test_six_restarts_or_a_reduced_page_size_make_it_smaller() -> None:
    assert isinstance(slices.lost_place(at(restarts=6), "lost", page_size=SIZE), Split)
    assert isinstance(slices.lost_place(at(page_size=5), "lost", page_size=SIZE), Split)


def test_a_second_that_loses_its_place_is_parked() -> None:
    tiny = replace(at(restarts=6), until=SINCE + timedelta(seconds=1))
    assert moved(slices.lost_place(tiny, "lost", page_size=SIZE)).to.state is SliceState.PARKED


@pytest.mark.parametrize(("total", "state"), [(9, SliceState.WAITING), (1, SliceState.DRAINED)])
def test_pages_that_show_nothing_new_for_ever_end(total: int, state: SliceState) -> None:
    reading = SliceReading(resumed=False)
    slice_ = SLICE
    for turn in range(60):
        next_ = moved(after(slice_, page(has_next=True, end_cursor=f"c{turn}", total=total), ["a"], reading))
        slice_ = next_.to
        if slice_.checkpoint.after is None:
            assert (slice_.state, next_.again) == (state, state is SliceState.WAITING)
            return
    pytest.fail("it goes on for ever")


def test_a_slice_of_one_page_that_loses_its_place_is_not_read_seven_times() -> None:
    assert isinstance(slices.lost_place(at(restarts=1, total=20), "lost", page_size=SIZE), Split)


def test_pieces_of_a_slice_that_lost_its_place_are_not_cut_for_ever() -> None:
    waiting, cut = [at(restarts=6, total=9_000)], 0
    while waiting:
        next_ = slices.lost_place(replace(waiting.pop()), "lost", page_size=SIZE)
        if isinstance(next_, Split):
            cut += 1
            pieces = [replace(child.checkpoint, restarts=1, total=9_000) for child in next_.children]
            waiting += [
                replace(child, checkpoint=checkpoint) for child, checkpoint in zip(next_.children, pieces, strict=True)
            ]
    assert cut <= slices.MOST_ISOLATIONS


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
    split = slices.too_full(SLICE, page(total=total, capped=capped, has_next=True))
    assert (len(split.children) if split else 0) == pieces


def test_a_full_slice_is_not_split_in_the_middle_of_its_reading() -> None:
    assert slices.too_full(at(after="c1"), page(total=90_000, has_next=True)) is None


def test_a_first_page_that_is_the_last_shows_that_a_slice_is_small_whatever_is_counted() -> None:
    assert slices.too_full(SLICE, page(total=90_000)) is None


@pytest.mark.parametrize(("minutes", "ignored"), [([1, 2, 3], False), ([-90, 1, 2], False), ([-90, -80, 1], True)])
def test_a_page_mostly_of_other_times_shows_that_dates_are_ignored(minutes: list[int], *, ignored: bool) -> None:
    instants = [to_us(SINCE + timedelta(minutes=minute)) for minute in minutes]
    ask = slices.ask_of(SLICE, SIZE)
    assert slices.ignores_dates(ask, page(has_next=True), instants) is ignored
    assert not slices.ignores_dates(ask, page(), instants)


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
    waits = [slices.postponed(at(failures=failures), down, SINCE, rng).due_at - SINCE for failures in range(1, 13)]
    assert sum(waits[:4], timedelta(0)) <= timedelta(seconds=8)
    assert waits[3] < timedelta(seconds=5) < waits[5] < waits[-1] <= timedelta(minutes=5)
    refused = slices.postponed(SLICE, AccessRefusedError("no"), SINCE, rng)
    assert refused.due_at == SINCE + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("error", "failures", "isolations", "unusable"),
    [
        (SourceUnavailableError("500"), 4, None, False),
        (SourceUnavailableError("500"), 5, None, True),
        (SourceUnavailableError("500"), 1, 3, False),
        (SourceUnavailableError("500"), 2, 3, True),
        (ContractBrokenError("400"), 1, None, True),
        (SourceThrottledError("429"), 11, 3, False),
        (SourceThrottledError("429"), 12, None, True),
    ],
)
def test_a_request_is_given_up_after_some_failures_and_sooner_in_a_suspect_slice(
    error: TransientError | HaltError, failures: int, isolations: int | None, *, unusable: bool
) -> None:
    assert slices.is_unusable(at(failures=failures, isolations=isolations), error) is unusable


def test_pieces_of_a_suspect_slice_are_suspect_and_share_what_is_left_of_the_right_to_cut() -> None:
    pieces = slices.in_suspect_pieces(at(isolations=21), total=900, page_size=SIZE).children
    assert [piece.checkpoint.isolations for piece in pieces] == [5, 5, 5, 5]
    assert {piece.checkpoint.isolations for piece in slices.in_pieces(at(isolations=5), 2).children} == {2}


@given(
    length=st.integers(2_000, 10**7),
    at_ms=st.floats(-0.1, 1.1),
    width_ms=st.integers(0, 5_000),
)
def test_pieces_around_what_is_broken_cover_the_slice_and_do_not_ask_for_it(
    length: int, at_ms: float, width_ms: int
) -> None:
    slice_ = replace(at(isolations=50), until=SINCE + timedelta(milliseconds=length))
    ask = slices.ask_of(slice_, SIZE)
    low = max(ask.since, min(ask.until, SINCE + timedelta(milliseconds=length * at_ms)))
    high = min(ask.until, low + timedelta(milliseconds=width_ms))
    pieces = slices.isolated(slice_, [(low, high)]).children
    assert (pieces[0].since, pieces[-1].until) == (slice_.since, slice_.until)
    assert all(one.until == other.since for one, other in zip(pieces, pieces[1:], strict=False))
    for piece in pieces:
        if piece.checkpoint.isolations != 0:
            request = slices.ask_of(piece, SIZE)
            assert request.until <= low or request.since >= high


def test_what_lies_between_two_broken_instants_may_be_cut_again() -> None:
    broken = [(SINCE + timedelta(minutes=minute), SINCE + timedelta(minutes=minute, seconds=1)) for minute in (2, 7)]
    pieces = slices.isolated(at(isolations=50), broken).children
    assert [piece.checkpoint.isolations for piece in pieces] == [1, 0, 47, 0, 1]
    assert [piece.checkpoint.page_size for piece in pieces] == [None, 1, None, 1, None]


def test_a_parked_slice_is_tried_record_by_record_and_a_long_one_cut_again_once_a_day() -> None:
    parked = slices.parked(SLICE, SINCE, tries=0)
    assert slices.unparked(parked).checkpoint == Checkpoint(isolations=0)
    assert slices.unparked(replace(parked, checkpoint=Checkpoint(failures=9))).checkpoint.isolations == 4
