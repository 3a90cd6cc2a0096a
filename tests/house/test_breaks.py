"""The list of deliberate breaks stays fit to be carried out; `make break` carries it out."""

import re
from pathlib import Path

import pytest

import breaks

ALL = breaks.read()
NOTHING_FAILS = "def test_fine() -> None:\n    assert True\n"
ONE_FAILS = "def test_wrong() -> None:\n    assert False\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "test_it.py"
    path.write_text(text)
    return path


def a_break(code: str, function: str = "", becomes: str = "2") -> breaks.Break:
    change = breaks.Change(file="code.py", function=function, code=code, becomes=becomes)
    return breaks.Break(rule="one is one", changes=[change], tests=["test_it.py"], env={})


def test_a_break_still_applies() -> None:
    assert len(ALL) > 300
    assert {each.rule: found for each in ALL if (found := breaks.problems(each))} == {}


def test_no_rule_is_listed_twice() -> None:
    rules = [each.rule for each in ALL]
    assert len(rules) == len(set(rules))


@pytest.mark.slow
def test_a_failing_test_is_red_and_a_passing_one_is_not(tmp_path: Path) -> None:
    assert not breaks.run_tests([str(write(tmp_path, NOTHING_FAILS))], tmp_path, {}).red
    assert breaks.run_tests([str(write(tmp_path, ONE_FAILS))], tmp_path, {}).red


@pytest.mark.slow
def test_tests_that_cannot_run_at_all_are_not_red(tmp_path: Path) -> None:
    assert not breaks.run_tests([str(write(tmp_path, "import nowhere_to_be_found\n"))], tmp_path, {}).red
    assert not breaks.run_tests([str(write(tmp_path, ""))], tmp_path, {}).red


def test_tests_that_do_not_end_are_not_red(tmp_path: Path) -> None:
    hangs = "import threading\n\ndef test_slow() -> None:\n    threading.Event().wait(60)\n"
    found = breaks.run_tests([str(write(tmp_path, hangs))], tmp_path, {}, longest=1)
    assert (found.red, found.last_line) == (False, "still running")


def test_a_break_whose_code_is_gone_or_doubled_is_refused(tmp_path: Path) -> None:
    write(tmp_path, NOTHING_FAILS)
    (tmp_path / "code.py").write_text("ONE = 1\nALSO = 1\n")
    assert "0 times" in breaks.problems(a_break("ONE = 3"), tmp_path)[0]
    assert "2 times" in breaks.problems(a_break("1"), tmp_path)[0]
    assert "0 times" in breaks.problems(a_break("ONE = 1", function="nowhere"), tmp_path)[0]
    assert breaks.problems(a_break("ONE = 1"), tmp_path) == []


CODE = """
class A:
    def one(self) -> int:
        check(self,
              now=True)  # however it is laid out
        return max(1, 2)

    def two(self) -> int:
        check(self, now=True)
        return max(1, 2)
"""


@pytest.mark.parametrize(
    ("code", "becomes", "body"),
    [
        ("check(self, now=True)", "", "pass\n        return max(1, 2)"),
        ("check(self, now=True)\nreturn max(1, 2)", "return 3", "return 3"),
        ("max(1, 2)", "min(1, 2)", "check(self, now=True)\n        return min(1, 2)"),
        ("True", "False", "check(self, now=False)\n        return max(1, 2)"),
    ],
)
def test_a_break_changes_what_it_names_in_its_function_alone(
    tmp_path: Path, code: str, becomes: str, body: str
) -> None:
    (tmp_path / "code.py").write_text(CODE)
    write(tmp_path, NOTHING_FAILS)
    each = a_break(code, function="A.one", becomes=becomes)
    assert breaks.problems(each, tmp_path) == []
    breaks.apply(each, tmp_path)
    one, two = (tmp_path / "code.py").read_text().split("def two")
    assert one.split("-> int:\n")[1].strip() == body
    assert "check(self, now=True)\n        return max(1, 2)" in two


def test_words_choose_the_rules_that_have_all_of_them_as_whole_words() -> None:
    each = a_break("1")
    assert breaks.has_all(each, ["ONE", "is"])
    assert not breaks.has_all(each, ["one", "two"])
    assert not breaks.has_all(each, ["on"])


def test_the_rules_are_listed_and_the_help_says_how_they_are_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    rule = ALL[0].rule
    assert breaks.main(["--list", *re.findall(r"\w+", rule)]) == 0
    assert capsys.readouterr().out.startswith(f"{rule}: tests/")
    assert breaks.main(["--list", "nosuchword"]) == 2
    assert "--list --all" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        breaks.main(["--help"])
    assert ended.value.code == 0
    assert "--list" in capsys.readouterr().out


def test_a_test_that_fails_with_nothing_left_out_is_named_with_the_command_to_see_it(tmp_path: Path) -> None:
    test = str(write(tmp_path, ONE_FAILS))
    unbroken = breaks.Break(rule="test_it.py, with nothing left out", changes=(), tests=[test], env={})
    outcome = breaks.run_tests([test], tmp_path, {})
    assert outcome.failing.endswith("test_it.py::test_wrong")
    said = breaks.line_of(unbroken, outcome)
    assert "NOT GREEN: test_it.py, with nothing left out" in said
    assert f"{outcome.failing} fails. See it: " in said
    assert said.endswith(f" -m pytest -x {outcome.failing}")
