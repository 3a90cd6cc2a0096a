"""Which rule judging spends its time on, also while it still does."""

from pathlib import Path

import pytest

from ocelog.app.judging.judging_pace import JudgingPace, RuleTime, Slowest, slowest


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
    assert slowest(home) == Slowest(
        worst=(RuleTime("A", 7.0), RuleTime("B", 4.0)), of=11.0, batches=2, long=2, long_seconds=11.0
    )


def test_a_rule_that_hangs_is_named_before_its_batch_is_done(home: Path) -> None:
    pace = JudgingPace(home, monotonic=iter(range(0, 1000, 100)).__next__)
    pace.goes_on("one", {"Hangs": 5.0})
    pace.goes_on("other", {"Good": 0.1})
    pace.goes_on("one", {"Hangs": 9.0})
    found = slowest(home)
    assert found == Slowest(worst=(RuleTime("Hangs", 9.0),), of=9.1, batches=1, long=1, long_seconds=9.0)
    assert found.holds_up
    pace.took({"Hangs": 11.0, "Good": 0.1})
    found = slowest(home)
    assert found is not None
    assert (found.worst, found.of) == ((RuleTime("Hangs", 11.0),), 11.1), "it is not counted twice"


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
    found = slowest(home)
    assert found is not None
    assert (found.worst, found.of, found.batches) == ((RuleTime("B", 10.0),), 11.0, 3)


def test_many_rules_that_hang_alike_hold_the_others_up_together(home: Path) -> None:
    hanging = {f"H{number:02}": 5.0 for number in range(23)}
    pace = JudgingPace(home, monotonic=iter(range(0, 1000, 100)).__next__)
    pace.goes_on("one", {**hanging, "Good": 0.1})
    found = slowest(home)
    assert found is not None
    assert [each.rule for each in found.worst] == ["H00", "H01", "H02"]
    assert (found.more, found.holds_up) == (20, True)


def test_quick_batches_that_a_rule_was_not_asked_about_do_not_make_it_quick(home: Path) -> None:
    pace = JudgingPace(home, monotonic=iter(range(0, 9000, 100)).__next__)
    pace.took({"Hangs": 6.0})
    for _ in range(9):
        pace.took({"Good": 0.5})
    found = slowest(home)
    assert found is not None
    assert found.holds_up
    pace.took({"Good": 2.0})
    found = slowest(home)
    assert found is not None
    assert not found.holds_up, "it takes long, and less than all others together"


@pytest.mark.parametrize("noted", [b"{", b"{}", b'{"worst":[],"of":1,"batches":1}', b'{"rule":"A","seconds":1,"of":1}'])
def test_a_note_that_does_not_read_names_nothing(home: Path, noted: bytes) -> None:
    (home / "tmp" / "judging.json").write_bytes(noted)
    assert slowest(home) is None
