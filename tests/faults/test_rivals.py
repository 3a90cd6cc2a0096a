"""The rules of others lose records, versions or truth in the worlds of the simulation, and ours do not."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from simulation.rivals import RULES, Outcome, play, play_ours

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
SEEDS = range(12)


@pytest.fixture(scope="module")
def outcome() -> Callable[[str, int], Outcome]:
    """Return what came of a world under a rule: each is played once."""
    return cache(lambda name, seed: play(RULES[name], seed))


@pytest.mark.parametrize("name", RULES)
def test_each_rival_goes_wrong_in_some_world(name: str, outcome: Callable[[str, int], Outcome]) -> None:
    assert any(outcome(name, seed).bad for seed in SEEDS)


@pytest.mark.slow
def test_each_rule_costs_what_is_said_of_it(outcome: Callable[[str, int], Outcome]) -> None:
    found = {name: Outcome() for name in ("plain", "ids", "append", "created", "no overlap")}
    for name, total in found.items():
        for seed in SEEDS:
            total.add(outcome(name, seed))
    assert found["ids"].versions > found["plain"].versions
    assert found["append"].doubles > found["plain"].doubles
    assert found["created"].wrong > found["plain"].wrong
    assert found["no overlap"].lost > found["plain"].lost


@pytest.mark.slow
def test_ours_goes_wrong_in_none_of_them() -> None:
    assert [seed for seed in SEEDS if play_ours(seed).bad] == []


def test_the_page_on_reliability_names_every_rule() -> None:
    named = re.findall(r"^\| ([^|]+?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {rule.title for rule in RULES.values()} | {"Ocelog"} <= set(named)
