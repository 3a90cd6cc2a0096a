"""Which rule judging spends its time on, also while it still does."""

from pathlib import Path

import pytest

from ocelog.app.judging.judging_pace import JudgingPace, Slowest, slowest


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "tmp").mkdir()
    return tmp_path


def test_the_rule_that_took_most_of_the_last_batches_is_noted(home: Path) -> None:
    pace = JudgingPace(home, monotonic=iter(range(0, 1000, 100)).__next__)
    assert slowest(home) is None
    pace.took({"A": 1.0, "B": 4.0})
    pace.took({"A": 6.0})
    pace.took({})
    assert slowest(home) == Slowest(rule="A", seconds=7.0, of=11.0, batches=2)


def test_a_rule_that_hangs_is_named_before_its_batch_is_done(home: Path) -> None:
    pace = JudgingPace(home, monotonic=iter(range(0, 1000, 100)).__next__)
    pace.goes_on("one", {"Hangs": 5.0})
    pace.goes_on("other", {"Good": 0.1})
    pace.goes_on("one", {"Hangs": 9.0})
    found = slowest(home)
    assert found == Slowest(rule="Hangs", seconds=9.0, of=9.1, batches=1)
    assert found.holds_up
    pace.took({"Hangs": 11.0, "Good": 0.1})
    assert slowest(home) == Slowest(rule="Hangs", seconds=11.0, of=11.1, batches=1), "it is not counted twice"


def test_it_is_noted_only_now_and_then(home: Path) -> None:
    now = [0.0]
    pace = JudgingPace(home, monotonic=lambda: now[0])
    pace.took({"A": 1.0})
    pace.took({"B": 9.0})
    found = slowest(home)
    assert found is not None
    assert found.rule == "A"
    now[0] = 5.0
    pace.took({"B": 1.0})
    assert slowest(home) == Slowest(rule="B", seconds=10.0, of=11.0, batches=3)
