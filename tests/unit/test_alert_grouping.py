"""Which matches share an alert, and when it is told: against a count of every stretch."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ocelog.alert.grouping import (
    MOST_KEPT,
    Group,
    Grouping,
    GroupingInput,
    GroupingResult,
    join,
    quiet_until_us,
)
from ocelog.alert.ids import alert_id, match_id

MINUTE = 60_000_000
HOUR = timedelta(hours=1)
T0 = 1_780_000_000_000_000
MATCH = GroupingInput(row_id="1", dedup="d", event_us=T0)


def play(grouping: Grouping, matches: list[tuple[int, int, str | None]]) -> list[GroupingResult]:
    """Join matches, given as (our clock, event time, unique) in minutes, one after the other."""
    group, found = Group(), list[GroupingResult]()
    for number, (now, event, unique) in enumerate(matches):
        match = GroupingInput(row_id=str(number), dedup="d", event_us=T0 + event * MINUTE, unique=unique)
        found.append(join(grouping, group, match, T0 + now * MINUTE))
        group = found[-1].group
    return found


def test_a_window_does_not_slide() -> None:
    found = play(Grouping(rule="r", period=HOUR), [(0, 0, None), (59, 59, None), (60, 60, None), (119, 0, None)])
    assert [each.opens for each in found] == [True, False, True, False]
    assert [each.tells for each in found] == [True, False, True, False]
    windows = [T0 // 1_000_000 + second for second in (0, 0, 3600, 3600)]
    assert [each.alert for each in found] == [alert_id("r", "d", window) for window in windows]


def test_a_window_never_has_the_number_of_one_before() -> None:
    # Opened twice in a second, and by a clock that was set back.
    opened = [join(Grouping(rule="r", period=timedelta(0)), Group(window=7, opened_us=0), MATCH, now) for now in (1, 0)]
    assert [each.group.window for each in opened] == [8, 8]
    # Forgotten meanwhile.
    first = join(Grouping(rule="r", period=HOUR), Group(), MATCH, T0)
    later = join(Grouping(rule="r", period=HOUR), Group(), MATCH, T0 + 60 * MINUTE)
    assert first.group.window < later.group.window


def test_a_clock_that_was_set_back_mutes_nothing() -> None:
    found = play(Grouping(rule="r", period=HOUR), [(500, 0, None), (100, 0, None), (110, 0, None)])
    assert [each.opens for each in found] == [True, True, False]
    # By less than a period: the window that is open goes on.
    assert [each.opens for each in play(Grouping(rule="r", period=HOUR), [(50, 0, None), (10, 0, None)])] == [
        True,
        False,
    ]


def test_of_what_comes_and_goes_people_hear_once_in_its_time_whatever_a_clock_said() -> None:
    lasts = 60 * MINUTE
    told = {None: T0, T0 - lasts: T0, T0 - 1: T0 - 1 + lasts, T0: T0 + lasts}
    # They are about to hear; and an instant that only a clock that was wrong can have left mutes nothing.
    told |= {T0 + 1: T0 + 1, T0 + lasts: T0 + lasts, T0 + lasts + 1: T0}
    assert {each: quiet_until_us(each, lasts, T0) for each in told} == told


def test_a_backlog_that_is_judged_in_a_minute_fakes_no_threshold() -> None:
    rule = Grouping(rule="r", period=HOUR, threshold=3)
    assert not any(each.tells for each in play(rule, [(0, -1000 + 31 * number, None) for number in range(20)]))
    assert [each.tells for each in play(rule, [(0, -900, None), (0, -10, None), (0, -880, None), (0, -845, None)])] == [
        False,
        False,
        False,
        True,
    ]


def test_what_is_dated_in_the_future_counts_as_now() -> None:
    rule = Grouping(rule="r", period=HOUR, threshold=2)
    assert [each.tells for each in play(rule, [(0, 9_999, None), (1, 0, None)])] == [False, True]


def test_distinct_values_reach_a_threshold() -> None:
    rule = Grouping(rule="r", period=HOUR, threshold=2)
    assert [each.tells for each in play(rule, [(0, 0, "a"), (1, 1, "a"), (2, 2, "b"), (3, 3, "c")])] == [
        False,
        False,
        True,
        False,
    ]


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(0, 90), st.integers(-200, 90), st.none() | st.sampled_from("abc")), max_size=12).map(
        lambda drawn: sorted(drawn, key=lambda match: match[0])
    ),
)
def test_an_alert_is_told_once_and_only_if_some_stretch_holds_enough(
    threshold: int, matches: list[tuple[int, int, Any]]
) -> None:
    rule = Grouping(rule="r", period=HOUR, threshold=threshold)
    found = play(rule, matches)
    for alert in {each.alert for each in found}:
        mine = [number for number, each in enumerate(found) if each.alert == alert]
        told = [number for number in mine if found[number].tells]
        assert len(told) <= 1
        for upto in mine:
            seen = [
                (min(matches[number][1], matches[number][0]), matches[number][2] or f"row {number}")
                for number in mine
                if number <= upto
            ]
            most = max(len({value for at, value in seen if begin <= at < begin + 60}) for begin, _ in seen)
            assert (most >= threshold) == (told != [] and told[0] <= upto)


def test_what_is_a_whole_period_apart_does_not_reach_a_threshold_together() -> None:
    rule = Grouping(rule="r", period=HOUR, threshold=2)
    assert [each.tells for each in play(rule, [(0, -90, None), (0, -30, None)])] == [False, False]
    assert [each.tells for each in play(rule, [(0, -90, None), (0, -31, None)])] == [False, True]


def test_ids_are_told_apart_whatever_their_parts_hold() -> None:
    assert match_id("a", "bc") != match_id("ab", "c")
    assert alert_id("a", "b\udc80", 1) != alert_id("a", "b", 1)


def test_a_threshold_above_what_is_kept_is_reached_by_an_estimate() -> None:
    grouping = Grouping(rule="r", period=HOUR, threshold=MOST_KEPT + 1)
    group = join(grouping, Group(), MATCH, T0).group
    for _ in range(MOST_KEPT - 1):
        found = join(grouping, group, MATCH, T0)
        assert not found.tells
        group = found.group
    assert len(group.kept) == 1
    muted = join(grouping, group, MATCH, T0, counts=False)
    assert (muted.tells, muted.begins, muted.group.matches) == (False, False, MOST_KEPT + 1)
    assert join(grouping, muted.group, MATCH, T0).tells


def test_what_is_muted_is_not_counted_towards_a_threshold_above_what_is_kept() -> None:
    grouping = Grouping(rule="r", period=HOUR, threshold=MOST_KEPT + 1)
    group = Group()
    for _ in range(MOST_KEPT + 1):
        group = join(grouping, group, MATCH, T0, counts=False).group
    first = join(grouping, group, MATCH, T0)
    assert (first.begins, first.tells) == (True, False)


@pytest.mark.parametrize(("before", "after"), [(MOST_KEPT, MOST_KEPT + 1), (MOST_KEPT + 1, 3)])
def test_a_threshold_that_is_changed_amid_a_window_goes_on_from_what_counted(before: int, after: int) -> None:
    group = Group()
    for at in range(2):
        match = replace(MATCH, row_id=str(at), event_us=T0 + at)
        group = join(Grouping(rule="r", period=HOUR, threshold=before), group, match, T0).group
    found = join(Grouping(rule="r", period=HOUR, threshold=after), group, replace(MATCH, row_id="2"), T0)
    assert not found.tells
