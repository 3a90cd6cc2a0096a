from datetime import timedelta

import pytest

from ocelog.errors import SourceUnavailableError
from ocelog.pull.clock import ApiClock
from ocelog.times import EPOCH, to_us

NOON = EPOCH + timedelta(days=20_000, hours=12)


class Hand:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def started(hand: Hand) -> ApiClock:
    clock = ApiClock(hand)
    for _ in range(3):
        assert clock.hear(NOON, hand())
    return clock


def test_it_does_not_tell_the_time_before_three_answers_agree() -> None:
    hand = Hand()
    clock = ApiClock(hand)
    clock.hear(NOON, hand())
    clock.hear(NOON, hand())
    with pytest.raises(SourceUnavailableError, match="clock is not known"):
        clock.now()
    clock.hear(NOON, hand())
    assert clock.now() == NOON


def test_a_first_answer_that_lies_does_not_start_it() -> None:
    hand = Hand()
    clock = ApiClock(hand)
    clock.hear(NOON + timedelta(hours=3), hand())
    for _ in range(2):
        clock.hear(NOON, hand())
        assert not clock.started
    clock.hear(NOON, hand())
    assert clock.now() == NOON


def test_it_runs_with_our_monotonic_clock() -> None:
    hand = Hand()
    clock = started(hand)
    hand.seconds += 90
    assert clock.now() == NOON + timedelta(seconds=90)


def test_an_answer_a_minute_off_is_not_used_and_changes_nothing() -> None:
    hand = Hand()
    clock = started(hand)
    assert not clock.hear(NOON + timedelta(seconds=61), hand())
    assert clock.now() == NOON


def test_three_strangers_in_a_row_that_agree_become_the_clock() -> None:
    hand = Hand()
    clock = started(hand)
    later = NOON + timedelta(hours=8)
    assert [clock.hear(later, hand()) for _ in range(3)] == [False, False, True]
    assert clock.now() == later


def test_strangers_that_are_interrupted_by_a_good_answer_do_not_count() -> None:
    hand = Hand()
    clock = started(hand)
    later = NOON + timedelta(hours=8)
    assert not clock.hear(later, hand())
    assert not clock.hear(later, hand())
    assert clock.hear(NOON, hand())
    assert not clock.hear(later, hand())
    assert clock.now() == NOON


def test_now_does_not_step_back_with_the_median_and_stamps_grow() -> None:
    hand = Hand()
    clock = started(hand)
    hand.seconds += 10
    before = clock.now()
    for _ in range(5):
        assert clock.hear(NOON - timedelta(seconds=30), hand())
    assert clock.now() == before
    stamps = [clock.stamp() for _ in range(4)]
    assert stamps == sorted(set(stamps))
    assert stamps[0] >= to_us(before)


def test_a_clock_that_was_lied_to_comes_back_when_three_answers_say_so() -> None:
    hand = Hand()
    clock = started(hand)
    for _ in range(3):
        clock.hear(NOON + timedelta(hours=2), hand())
    assert clock.now() == NOON + timedelta(hours=2)
    for _ in range(3):
        clock.hear(NOON, hand())
    assert clock.now() == NOON
    assert clock.stamp() == to_us(NOON)


def test_one_late_answer_does_not_move_the_median() -> None:
    hand = Hand()
    clock = started(hand)
    assert clock.hear(NOON - timedelta(seconds=40), hand())
    assert clock.now() == NOON


def test_stamps_go_on_after_those_of_the_process_before() -> None:
    hand = Hand()
    before = to_us(NOON) + 900_000
    clock = ApiClock(hand, stamped_us=before)
    for _ in range(3):
        # The same second, cut to its beginning.
        clock.hear(NOON, hand())
    assert (clock.stamp(), clock.stamp()) == (before + 1, before + 2)
    hand.seconds += 5
    assert clock.stamp() == to_us(NOON + timedelta(seconds=5))


def test_stamps_go_on_also_where_the_servers_of_an_api_are_almost_a_minute_apart() -> None:
    hand = Hand()
    before = to_us(NOON + timedelta(seconds=60))
    clock = ApiClock(hand, stamped_us=before)
    for _ in range(3):
        clock.hear(NOON, hand())
    assert clock.stamp() == before + 1


def test_stamps_of_a_process_that_was_lied_to_hold_nobody_up() -> None:
    hand = Hand()
    clock = ApiClock(hand, stamped_us=to_us(NOON + timedelta(hours=2)))
    for _ in range(3):
        clock.hear(NOON, hand())
    assert clock.stamp() == to_us(NOON)
