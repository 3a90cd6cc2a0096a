import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocelog.detect import correlation as correlation_module
from ocelog.detect.correlation import CorrelatedMatches, StepMatch, correlate, may_hold, run_test, split
from ocelog.detect.parse import parse_item
from ocelog.detect.rule import Correlation, CorrelationRule

HEAD = "AnalysisType: correlation_rule\nRuleID: C\nEnabled: true\nSeverity: Low\nDetection:\n"
SCHEDULE = "Schedule: {RateMinutes: 5}"
MINUTE = 60.0
TraceFunction: TypeAlias = Callable[[FrameType, str, Any], Any]


def correlation(text: str) -> Correlation:
    found = parse_item(f"{HEAD}  - {{{text}, {SCHEDULE}}}\n", "c.yml")
    assert isinstance(found, CorrelationRule)
    return found.correlations[0]


def match(step: str, minute: float, **values: Any) -> StepMatch:
    sets = {name: frozenset(value if isinstance(value, list) else [value]) for name, value in values.items()}
    return StepMatch(step=step, at=minute * MINUTE, id=f"{step}{minute}", values=sets)


def found(text: str, *matches: StepMatch, now: float | None = None) -> list[list[str]]:
    """Return the ids of the members of each finding."""
    each = correlate(correlation(text), matches, now=None if now is None else now * MINUTE)
    return [[one.id for one in finding.members] for finding in each]


PAIR = "Sequence: [{ID: a, RuleID: A}, {ID: b, RuleID: B}], LookbackWindowMinutes: 60"
LINKED = PAIR + ", Transitions: [{From: a, To: b, WithinTimeFrameMinutes: 10, Match: [{From: u, To: v}]}]"


def test_a_sequence_finds_the_second_after_the_first() -> None:
    assert found(PAIR, match("a", 0), match("b", 5)) == [["a0", "b5"]]
    assert found(PAIR, match("a", 5), match("b", 0)) == []
    assert found(PAIR, match("a", 5), match("b", 5)) == [["a5", "b5"]]
    assert found(PAIR, match("a", 0)) == []
    assert found(PAIR, match("b", 0)) == []


def test_the_steps_of_a_sequence_must_agree_in_the_matched_fields() -> None:
    assert found(LINKED, match("a", 0, u="x"), match("b", 5, v="x")) == [["a0", "b5"]]
    assert found(LINKED, match("a", 0, u="x"), match("b", 5, v="y")) == []
    assert found(LINKED, match("a", 0, u="x"), match("b", 5, u="x")) == []
    assert found(LINKED, match("a", 0, u=["x", "y"]), match("b", 5, v=["y", "z"])) == [["a0", "b5"]]


def test_the_second_must_follow_within_the_time_frame() -> None:
    assert found(LINKED, match("a", 0, u="x"), match("b", 10, v="x")) == [["a0", "b10"]]
    assert found(LINKED, match("a", 0, u="x"), match("b", 10.1, v="x")) == []


def test_everything_must_lie_within_the_lookback_window() -> None:
    assert found(PAIR, match("a", 0), match("b", 60)) == [["a0", "b60"]]
    assert found(PAIR, match("a", 0), match("b", 61)) == []


def test_what_is_found_says_what_it_has_in_common() -> None:
    (one,) = correlate(correlation(LINKED), [match("a", 0, u="x"), match("b", 5, v="x")])
    assert one == CorrelatedMatches(members=(match("a", 0), match("b", 5)), values={"v": "x"})


def test_a_finding_per_value() -> None:
    each = [match("a", 0, u="x"), match("b", 5, v="x"), match("a", 1, u="y"), match("b", 6, v="y")]
    assert found(LINKED, *each) == [["a0", "b5"], ["a1", "b6"]]


COUNTED = LINKED.replace("RuleID: A", "RuleID: A, MinMatchCount: 3")


def test_enough_matches_of_the_first_step_must_come_before_the_second() -> None:
    before = [match("a", at, u="x") for at in (0, 2, 4)]
    assert found(COUNTED, *before, match("b", 5, v="x")) == [["a0", "a2", "a4", "b5"]]
    assert found(COUNTED, *before[1:], match("b", 5, v="x")) == []
    assert found(COUNTED, *before[1:], match("a", 6, u="x"), match("b", 5, v="x")) == []
    assert found(COUNTED, *before[1:], match("a", 3, u="y"), match("b", 5, v=["x", "y"])) == []
    assert found(COUNTED, *before, match("b", 11, v="x")) == []


def test_enough_matches_of_the_last_step_must_share_a_value() -> None:
    text = LINKED.replace("RuleID: B", "RuleID: B, MinMatchCount: 2")
    first = match("a", 0, u=["x", "y"])
    assert found(text, first, match("b", 1, v="x"), match("b", 2, v="x")) == [["a0", "b1", "b2"]]
    assert found(text, first, match("b", 1, v="x"), match("b", 2, v="y")) == []
    assert found(text, first, match("b", 1, v="x")) == []


THREE = """Sequence: [{ID: a, RuleID: A}, {ID: b, RuleID: B}, {ID: c, RuleID: C}], LookbackWindowMinutes: 60,
  Transitions: [{From: a, To: b, Match: [{On: u}]}, {From: b, To: c, Match: [{On: u}]}]"""


def test_a_sequence_of_three_needs_each_step() -> None:
    each = [match("a", 0, u="x"), match("b", 1, u="x"), match("c", 2, u="x")]
    assert found(THREE, *each) == [["a0", "b1", "c2"]]
    assert found(THREE, each[0], each[2]) == []
    assert found(THREE, each[0], match("b", 3, u="x"), each[2]) == []
    assert found(THREE, each[0], match("b", 1, u="y"), match("c", 2, u="y")) == []


def test_a_sequence_of_three_lies_within_the_lookback_window() -> None:
    assert found(THREE, match("a", 0, u="x"), match("b", 30, u="x"), match("c", 60, u="x")) == [["a0", "b30", "c60"]]
    assert found(THREE, match("a", 0, u="x"), match("b", 30, u="x"), match("c", 61, u="x")) == []


def test_a_transition_may_reach_back_over_a_step() -> None:
    text = THREE.replace(
        "Transitions: [", "Transitions: [{From: a, To: c, WithinTimeFrameMinutes: 5, Match: [{On: w}]}, "
    )
    a, b = match("a", 0, u="x", w=1), match("b", 1, u="x")
    assert found(text, a, b, match("c", 5, u="x", w=1)) == [["a0", "b1", "c5"]]
    assert found(text, a, b, match("c", 5, u="x", w=2)) == []
    assert found(text, a, b, match("c", 6, u="x", w=1)) == []


def test_a_step_may_be_repeated_to_count_it() -> None:
    text = """Sequence: [{ID: a, RuleID: A, MinMatchCount: 3}], LookbackWindowMinutes: 60,
      Transitions: [{From: a, To: a, WithinTimeFrameMinutes: 10, Match: [{On: u}]}]"""
    assert found(text, *[match("a", at, u="x") for at in (0, 5, 10)]) == [["a0", "a5", "a10"]]
    assert found(text, *[match("a", at, u="x") for at in (0, 5, 11)]) == []
    assert found(text, match("a", 0, u="x"), match("a", 1, u="y"), match("a", 2, u="x")) == []


AFTER = LINKED.replace("RuleID: B", "RuleID: B, Absence: true")


def test_a_last_step_that_must_be_absent() -> None:
    assert found(AFTER, match("a", 0, u="x")) == [["a0"]]
    assert found(AFTER, match("a", 0, u="x"), match("b", 5, v="x")) == []
    assert found(AFTER, match("a", 0, u="x"), match("b", 5, v="y")) == [["a0"]]
    assert found(AFTER, match("a", 0, u="x"), match("b", 11, v="x")) == [["a0"]]
    assert found(AFTER, match("a", 6, u="x"), match("b", 5, v="x")) == [["a6"]]


def test_nothing_is_absent_before_its_time_is_over() -> None:
    assert found(AFTER, match("a", 0, u="x"), now=9) == []
    assert found(AFTER, match("a", 0, u="x"), now=10) == [["a0"]]


def test_a_first_step_that_must_be_absent() -> None:
    text = LINKED.replace("RuleID: A", "RuleID: A, Absence: true")
    assert found(text, match("b", 5, v="x")) == [["b5"]]
    assert found(text, match("a", 0, u="x"), match("b", 5, v="x")) == []
    assert found(text, match("a", 0, u="y"), match("b", 5, v="x")) == [["b5"]]
    assert found(text, match("a", 6, u="x"), match("b", 5, v="x")) == [["b5"]]


def test_a_step_between_two_that_must_be_absent_joins_them() -> None:
    text = THREE.replace("RuleID: B", "RuleID: B, Absence: true")
    a, c = match("a", 0, u="x"), match("c", 2, u="x")
    assert found(text, a, c) == [["a0", "c2"]]
    assert found(text, a, match("c", 2, u="y")) == []
    assert found(text, a, match("b", 1, u="x"), c) == []
    assert found(text, a, match("b", 1, u="y"), c) == [["a0", "c2"]]
    assert found(text, a, match("b", 3, u="x"), c) == [["a0", "c2"]]


def test_transitions_by_way_of_a_step_that_must_be_absent_add_up() -> None:
    text = """Sequence: [{ID: a, RuleID: A}, {ID: b, RuleID: B, Absence: true}, {ID: c, RuleID: C}],
      LookbackWindowMinutes: 60, Transitions: [
      {From: a, To: b, WithinTimeFrameMinutes: 5, Match: [{From: u, To: v}]},
      {From: b, To: c, WithinTimeFrameMinutes: 5, Match: [{From: v, To: w}, {From: other, To: z}]}]"""
    assert found(text, match("a", 0, u="x"), match("c", 10, w="x")) == [["a0", "c10"]]
    assert found(text, match("a", 0, u="x"), match("c", 11, w="x")) == []
    assert found(text, match("a", 0, u="x"), match("c", 10, w="y")) == []


GROUP = """Group: [{ID: a, RuleID: A, MinMatchCount: 2}, {ID: b, RuleID: B}], LookbackWindowMinutes: 30,
  MatchCriteria: {who: [{GroupID: a, Match: u}, {GroupID: b, Match: v}]}"""


def test_a_group_takes_its_steps_in_any_order() -> None:
    each = [match("a", 5, u="x"), match("a", 9, u="x"), match("b", 7, v="x")]
    assert found(GROUP, *each) == [["a5", "b7", "a9"]]
    assert found(GROUP, *each[1:]) == []
    assert found(GROUP, *each[:2]) == []
    assert found(GROUP, *each[:2], match("b", 7, v="y")) == []
    assert found(GROUP, *each[:2], match("b", 36, v="x")) == []
    assert found(GROUP, *each[:2], match("b", 35, v="x")) == [["a5", "a9", "b35"]]


def test_a_group_without_criteria_takes_any_values() -> None:
    text = "Group: [{ID: a, RuleID: A}, {ID: b, RuleID: B}]"
    assert found(text, match("a", 0), match("b", 15)) == [["a0", "b15"]]
    assert found(text, match("a", 0), match("b", 16)) == []


def test_a_group_may_be_content_with_some_of_its_steps() -> None:
    text = "Group: [{ID: a, RuleID: A}, {ID: b, RuleID: B}, {ID: c, RuleID: C}], MinMatchCount: 2"
    assert found(text, match("a", 0), match("c", 1)) == [["a0", "c1"]]
    assert found(text, match("a", 0), match("a", 1)) == []


def test_every_criterion_of_a_group_must_hold_for_the_same_matches() -> None:
    text = """Group: [{ID: a, RuleID: A}, {ID: b, RuleID: B}],
      MatchCriteria: {who: [{GroupID: a, Match: u}, {GroupID: b, Match: u}],
                      where: [{GroupID: a, Match: w}, {GroupID: b, Match: w}]}"""
    (one,) = correlate(correlation(text), [match("a", 0, u="x", w="p"), match("b", 1, u="x", w="p")])
    assert one.values == {"who": "x", "where": "p"}
    assert found(text, match("a", 0, u="x", w="p"), match("b", 1, u="x", w="q")) == []
    crossed = [match("a", 0, u="x", w="p"), match("b", 1, u="x", w="q"), match("b", 2, u="y", w="p")]
    assert found(text, *crossed) == []


def test_a_group_has_no_match_of_a_step_that_must_be_absent() -> None:
    text = """Group: [{ID: a, RuleID: A}, {ID: b, RuleID: B, Absence: true}], LookbackWindowMinutes: 30,
      MatchCriteria: {who: [{GroupID: a, Match: u}, {GroupID: b, Match: v}]}"""
    assert found(text, match("a", 40, u="x")) == [["a40"]]
    for at in (20, 40, 60):
        assert found(text, match("a", 40, u="x"), match("b", at, v="x")) == []
        assert found(text, match("a", 40, u="x"), match("b", at, v="y")) == [["a40"]]
    for at in (9, 71):
        assert found(text, match("a", 40, u="x"), match("b", at, v="x")) == [["a40"]]
    assert found(text, match("a", 40, u="x"), now=69) == []
    assert found(text, match("a", 40, u="x"), now=70) == [["a40"]]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("{u: {x: [0, 2, 4]}}", "{v: {x: [5]}}", True),
        ("{u: {x: [0, 2], y: [4]}}", "{v: {x: [5]}}", False),
        ('{u: {x: ["2026-03-01T10:00:00Z", "2026-03-01 10:01:00", "2026-03-01T11:02:00+01:00"]}}',
         '{v: {x: ["2026-03-01T10:05:00Z"]}}', True),
        ("{u: {x: [0, 2, 4]}}", "{}", False),
        # The same instant under two fields is one match.
        ("{u: {x: [0, 2]}, w: {z: [0, 2]}}", "{v: {x: [5]}}", False),
    ],
)  # fmt: skip
def test_the_outputs_of_rules_in_a_test_are_matches(first: str, second: str, expected: bool) -> None:
    text = f"{HEAD}  - {{{COUNTED}, {SCHEDULE}}}\nTests:\n  - Name: n\n    ExpectedResult: true\n    RuleOutputs:\n"
    text += f"      - {{ID: a, Matches: {first}}}\n      - {{ID: b, Matches: {second}}}\n"
    rule = parse_item(text, "c.yml")
    assert isinstance(rule, CorrelationRule)
    assert run_test(rule.correlations, rule.tests[0]) is expected


def test_many_matches_are_correlated_in_reasonable_time() -> None:
    many = [match("a", at / 100, u=str(at % 500)) for at in range(5000)]
    many += [match("b", at / 100, v=str(at % 500)) for at in range(5000)]
    assert len(list(correlate(correlation(COUNTED), many))) == 500


def one_of_many(many: int) -> list[StepMatch]:
    return [match("ab"[at % 10 == 0], at / 100, u=str(at // 10), v=str(at // 10)) for at in range(many)]


def all_of_one(many: int) -> list[StepMatch]:
    return [match("ab"[at % 2], at / 100, u="x", v="x") for at in range(many)]


@pytest.mark.slow
@pytest.mark.parametrize("of", [one_of_many, all_of_one])
@pytest.mark.parametrize("kind", ["LINKED", "AFTER", "GROUP"])
def test_the_steps_of_a_search_grow_with_the_matches(of: Callable[[int], list[StepMatch]], kind: str) -> None:
    rule, lines = correlation({"LINKED": LINKED, "AFTER": AFTER, "GROUP": GROUP}[kind]), 0

    def line(_frame: FrameType, event: str, _argument: object) -> TraceFunction:
        nonlocal lines
        lines += event == "line"
        return line

    def call(frame: FrameType, _event: str, _argument: object) -> TraceFunction | None:
        return line if frame.f_code.co_filename == correlation_module.__file__ else None

    matches, before = of(20_000), sys.gettrace()
    sys.settrace(call)
    try:
        found = [len(each.members) for part in split(rule, matches) for each in correlate(rule, part)]
    finally:
        sys.settrace(before)
    # Each is in two that are found at most, and in what leads to those; as many lines are run for each.
    assert sum(found) <= 4 * 20_000
    assert lines < 100 * 20_000, f"{lines / 20_000:.0f} lines for each match"


TIMES = st.lists(st.tuples(st.integers(0, 40), st.sampled_from("xy")), max_size=6, unique=True)
LEAST, WITHIN, LOOKBACK = st.integers(1, 3), st.integers(1, 20), st.integers(15, 30)


def matches_of(step: str, times: list[tuple[int, str]]) -> list[StepMatch]:
    return [
        StepMatch(step=step, at=at * MINUTE, id=f"{at}{value}", values={"u": frozenset(value)}) for at, value in times
    ]


@given(TIMES, TIMES, LEAST, WITHIN, LOOKBACK)
def test_a_sequence_finds_what_a_naive_search_finds(
    first: list[tuple[int, str]], second: list[tuple[int, str]], least: int, within: int, lookback: int
) -> None:
    text = f"""Sequence: [{{ID: a, RuleID: A, MinMatchCount: {least}}}, {{ID: b, RuleID: B}}],
      LookbackWindowMinutes: {lookback},
      Transitions: [{{From: a, To: b, WithinTimeFrameMinutes: {within}, Match: [{{On: u}}]}}]"""
    naive = {
        value
        for at, value in second
        if sum(other == value and 0 <= at - before <= min(within, lookback) for before, other in first) >= least
    }
    each = correlate(correlation(text), [*matches_of("a", first), *matches_of("b", second)])
    assert {one.values["u"] for one in each} == naive


@given(TIMES, TIMES, LEAST, LOOKBACK)
def test_a_group_finds_what_a_naive_search_finds(
    first: list[tuple[int, str]], second: list[tuple[int, str]], least: int, lookback: int
) -> None:
    text = f"""Group: [{{ID: a, RuleID: A, MinMatchCount: {least}}}, {{ID: b, RuleID: B}}],
      LookbackWindowMinutes: {lookback}, MatchCriteria: {{u: [{{GroupID: a, Match: u}}, {{GroupID: b, Match: u}}]}}"""

    def inside(times: list[tuple[int, str]], value: str, start: int) -> int:
        return sum(other == value and start <= at <= start + lookback for at, other in times)

    naive = {
        value
        for value in "xy"
        if any(inside(first, value, at) >= least and inside(second, value, at) >= 1 for at in range(41))
    }
    each = correlate(correlation(text), [*matches_of("a", first), *matches_of("b", second)])
    assert {one.values["u"] for one in each} == naive


def news_of(*each: list[StepMatch]) -> set[str]:
    """Return about half of them, in a way that does not change."""
    return {one.id for some in each for one in some if int(one.at) // 60 % 2}


@given(TIMES, TIMES, LEAST, LEAST, WITHIN, LOOKBACK)
def test_each_new_match_that_a_naive_search_puts_in_a_sequence_is_in_what_is_found(
    first: list[tuple[int, str]], second: list[tuple[int, str]], least: int, last: int, within: int, lookback: int
) -> None:
    text = f"""Sequence: [{{ID: a, RuleID: A, MinMatchCount: {least}}}, {{ID: b, RuleID: B, MinMatchCount: {last}}}],
      LookbackWindowMinutes: {lookback},
      Transitions: [{{From: a, To: b, WithinTimeFrameMinutes: {within}, Match: [{{On: u}}]}}]"""
    a, b = matches_of("a", first), [replace(one, id=f"b{one.id}") for one in matches_of("b", second)]
    ends = {
        one.id: before
        for one in b
        for before in [
            [each for each in a if each.values == one.values
             and 0 <= one.at - each.at <= min(within, lookback) * MINUTE]
        ]
        if len(before) >= least
    }  # fmt: skip
    naive = set[frozenset[str]]()
    for start in b:
        inside = [
            one for one in b
            if one.id in ends and one.values == start.values and 0 <= one.at - start.at <= lookback * MINUTE
        ]  # fmt: skip
        if start.id in ends and len(inside) >= last:
            naive.add(frozenset(one.id for end in inside for one in (end, *ends[end.id])))
    assert_covered(text, [*a, *b], naive, news_of(a, b))


@given(TIMES, TIMES, TIMES, LEAST, LOOKBACK)
def test_each_new_match_that_a_naive_search_puts_in_a_group_is_in_what_is_found(
    first: list[tuple[int, str]], second: list[tuple[int, str]], third: list[tuple[int, str]], least: int, lookback: int
) -> None:
    text = f"""Group: [{{ID: a, RuleID: A, MinMatchCount: {least}}}, {{ID: b, RuleID: B}},
        {{ID: c, RuleID: C, Absence: true}}],
      LookbackWindowMinutes: {lookback},
      MatchCriteria: {{u: [{{GroupID: a, Match: u}}, {{GroupID: b, Match: u}}, {{GroupID: c, Match: u}}]}}"""
    each = {
        step: [replace(one, id=f"{step}{one.id}") for one in matches_of(step, times)]
        for step, times in (("a", first), ("b", second), ("c", third))
    }
    naive = set[frozenset[str]]()
    for start in [*each["a"], *each["b"]]:
        inside = {
            step: [one for one in some if one.values == start.values
                   and 0 <= one.at - start.at <= lookback * MINUTE]
            for step, some in each.items() if step != "c"
        }  # fmt: skip
        members = [*inside["a"], *inside["b"]]
        if len(inside["a"]) >= least and inside["b"]:
            low, high = max(one.at for one in members), min(one.at for one in members)
            if not any(
                one.values == start.values and low - lookback * MINUTE <= one.at <= high + lookback * MINUTE
                for one in each["c"]
            ):
                naive.add(frozenset(one.id for one in members))
    assert_covered(text, [one for some in each.values() for one in some], naive, news_of(each["a"], each["b"]))


def assert_covered(text: str, matches: list[StepMatch], naive: set[frozenset[str]], new: set[str]) -> None:
    """Demand that what is found is in the naive answer, and has all that is new there.

    Whether they are searched together or as `split` parts them is the same.
    """
    rule = correlation(text)
    each = [frozenset(one.id for one in finding.members) for finding in correlate(rule, matches, new=new)]
    assert set(each) <= naive
    assert all(one & new for one in each)
    assert frozenset[str]().union(*each) & new == frozenset[str]().union(*naive) & new
    parted = [
        frozenset(one.id for one in finding.members)
        for part in split(rule, matches)
        if may_hold(rule, part)
        for finding in correlate(rule, part, new=new)
    ]
    assert sorted(map(sorted, parted)) == sorted(map(sorted, each))


STEPS = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["x", "y", "xy"])), max_size=8, unique=True)


@given(STEPS, STEPS, STEPS, LEAST, WITHIN, LOOKBACK, st.booleans())
def test_a_sequence_of_three_finds_what_a_naive_search_finds(
    first: list[tuple[int, str]],
    between: list[tuple[int, str]],
    last: list[tuple[int, str]],
    least: int,
    within: int,
    lookback: int,
    absent: bool,
) -> None:
    text = f"""Sequence: [{{ID: a, RuleID: A, MinMatchCount: {least}}},
      {{ID: b, RuleID: B, Absence: {str(absent).lower()}}}, {{ID: c, RuleID: C}}], LookbackWindowMinutes: {lookback},
      Transitions: [{{From: a, To: b, WithinTimeFrameMinutes: {within}, Match: [{{On: u}}]}},
        {{From: b, To: c, WithinTimeFrameMinutes: {within}, Match: [{{On: u}}]}}]"""
    a, b, c = matches_of("a", first), matches_of("b", between), matches_of("c", last)

    def agree(one: StepMatch, other: StepMatch) -> bool:
        return bool(one.values["u"] & other.values["u"])

    def enough(end: StepMatch, starts: list[StepMatch], reach: float, least: int) -> list[StepMatch]:
        """Return the matches before `end` that have one value of its in common, if they are enough."""
        for value in sorted(end.values["u"]):
            some = [one for one in starts if value in one.values["u"] and 0 <= end.at - one.at <= reach]
            if len(some) >= least:
                return some
        return []

    reach = within * MINUTE
    if absent:
        naive = {
            end.id
            for end in c
            if enough(
                end,
                [
                    one for one in a
                    if end.at - one.at <= lookback * MINUTE
                    and not any(agree(one, via) and one.at <= via.at <= end.at for via in b)
                ],
                2 * reach,
                least,
            )
        }  # fmt: skip
    else:
        begins = {
            via.id: min(one.at for one in some)
            for via in b
            for some in [enough(via, a, min(reach, lookback * MINUTE), least)]
            if some
        }
        naive = {
            end.id
            for end in c
            if enough(
                end,
                [via for via in b if via.id in begins and end.at - begins[via.id] <= lookback * MINUTE],
                reach,
                1,
            )
        }
    each = correlate(correlation(text), [*a, *b, *c])
    assert {one.id for finding in each for one in finding.members if one.step == "c"} == naive


TWO = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["x", "y", "xy"]), st.sampled_from("pq")), max_size=7, unique=True
)


@given(TWO, TWO, TWO, TWO, WITHIN, LOOKBACK)
def test_what_reaches_back_over_steps_is_what_a_naive_search_finds(
    first: list[tuple[int, str, str]],
    second: list[tuple[int, str, str]],
    third: list[tuple[int, str, str]],
    unwanted: list[tuple[int, str, str]],
    within: int,
    lookback: int,
) -> None:
    text = f"""Sequence: [{{ID: a, RuleID: A}}, {{ID: b, RuleID: B}}, {{ID: c, RuleID: C}},
      {{ID: n, RuleID: N, Absence: true}}], LookbackWindowMinutes: {lookback}, Transitions: [
      {{From: a, To: b, WithinTimeFrameMinutes: {within}, Match: [{{On: u}}]}},
      {{From: b, To: c, WithinTimeFrameMinutes: {within}, Match: [{{On: u}}]}},
      {{From: a, To: c, WithinTimeFrameMinutes: {within}, Match: [{{On: v}}]}},
      {{From: a, To: n, WithinTimeFrameMinutes: {within}, Match: [{{On: u}}, {{On: v}}]}}]"""
    a, b, c, n = (
        [match(step, at, u=list(u), v=v) for at, u, v in times]
        for step, times in zip("abcn", (first, second, third, unwanted), strict=True)
    )

    def follows(start: StepMatch, end: StepMatch, *fields: str) -> bool:
        return 0 <= end.at - start.at <= within * MINUTE and all(start.values[f] & end.values[f] for f in fields)

    def before(end: StepMatch, starts: list[StepMatch], begin: Callable[[StepMatch], float]) -> list[StepMatch]:
        """Return what leads to a match and has one value of its in common."""
        for value in sorted(end.values["u"]):
            near = [one for one in starts if value in one.values["u"] and follows(one, end)]
            if some := [one for one in near if end.at - begin(one) <= lookback * MINUTE]:
                return some
        return []

    led = {id(one): some for one in b if (some := before(one, a, lambda start: start.at))}
    naive = set()
    for end in c:
        through = [one for one in b if any(follows(start, end, "v") for start in led.get(id(one), ()))]
        some = before(end, through, lambda one: min(start.at for start in led[id(one)]))
        starts = [start for one in some for start in led[id(one)]]
        if some and not any(follows(start, one, "u", "v") for start in starts for one in n):
            naive.add(end)
    each = list(correlate(correlation(text), [*a, *b, *c, *n]))
    assert {one for finding in each for one in finding.members if one.step == "c"} == naive


@pytest.mark.parametrize("depth", [0, 1, 64])
def test_what_must_be_absent_is_found_by_any_of_its_fields(monkeypatch: pytest.MonkeyPatch, depth: int) -> None:
    monkeypatch.setattr(correlation_module, "_MOST_KEYS", depth)
    text = AFTER.replace("[{From: u, To: v}]", "[{From: u, To: v}, {On: w}]")
    start = match("a", 0, u=["x", "y"], w=[1, 2])
    assert found(text, start, match("b", 5, v=["z", "y"], w=[3, 2])) == []
    assert found(text, start, match("b", 5, v=["z", "y"], w=[3, 4])) == [["a0"]]
    assert found(text, start, match("b", 5, v="z", w=2)) == [["a0"]]


BEYOND = """Sequence: [{ID: a, RuleID: A}, {ID: b, RuleID: B}, {ID: c, RuleID: C}], LookbackWindowMinutes: 60,
  Transitions: [{From: a, To: b, Match: [{On: u}]}, {From: b, To: c, Match: [{On: u}]}, {From: a, To: c}]"""
SINCE = """Sequence: [{ID: a, RuleID: A}, {ID: b, RuleID: B}, {ID: c, RuleID: C, Absence: true}],
  LookbackWindowMinutes: 60, Transitions: [{From: a, To: b, Match: [{On: u}]}, {From: a, To: c, Match: [{On: u}]}]"""
BETWEEN = """Sequence: [{ID: a, RuleID: A}, {ID: b, RuleID: B, Absence: true}, {ID: c, RuleID: C}],
  LookbackWindowMinutes: 60, Transitions: [{From: a, To: b, Match: [{On: u}, {On: v}]},
  {From: b, To: c, Match: [{On: u}, {On: v}]}]"""
BEFORE = """Sequence: [{ID: a, RuleID: A, Absence: true}, {ID: b, RuleID: B}],
  LookbackWindowMinutes: 60, Transitions: [{From: a, To: b, Match: [{On: u}, {On: v}]}]"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["BEYOND", "SINCE", "BETWEEN", "BEFORE"])
@pytest.mark.parametrize("depth", [1, 64])
def test_a_search_looks_at_its_bounds_however_its_steps_are_joined(
    monkeypatch: pytest.MonkeyPatch, kind: str, depth: int
) -> None:
    monkeypatch.setattr(correlation_module, "_MOST_KEYS", depth)
    lines = most = 0

    def line(_frame: FrameType, event: str, _argument: object) -> TraceFunction:
        nonlocal lines
        lines += event == "line"
        return line

    def call(frame: FrameType, _event: str, _argument: object) -> TraceFunction | None:
        return line if frame.f_code.co_filename == correlation_module.__file__ else None

    def check(held: int) -> None:
        nonlocal lines, most
        # What is held may be gone through at once: there is a bound for that, too.
        most, lines = max(most, lines - 2 * held), 0

    # As many of each, one after the other, and what must be absent agrees in one field of two.
    matches = [
        match(step, at * 10 + n / 1_000, u="x", v=f"{step}{n}") for at, step in enumerate("abc") for n in range(500)
    ]
    before = sys.gettrace()
    sys.settrace(call)
    try:
        list(correlate(correlation(globals()[kind]), matches, check=check))
    finally:
        sys.settrace(before)
    assert most < 20_000, f"{most:,} lines between two looks"
