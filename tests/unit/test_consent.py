"""What a person is told before agreeing, and what counts as an answer."""

import io

import pytest

from ocelog.app.maintenance.repair import Repair
from ocelog.cli import repair as command
from ocelog.cli.consent import confirm
from ocelog.errors import ConfigError


class Answers(io.StringIO):
    """What is typed, at a terminal or not."""

    def __init__(self, text: str, *, terminal: bool) -> None:
        super().__init__(text)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def test_what_cannot_be_had_back_is_said_before_the_question(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Answers("n\n", terminal=True))
    plan = Repair(dry_run=True)
    plan.lines.append("give up a file")
    plan.for_good.add("earlier versions of records")
    with pytest.raises(ConfigError, match="Nothing was changed: the answer was no"):
        command._confirm(plan)
    told, _, _ = capsys.readouterr().err.partition("Give up what is lost")
    assert "give up a file" in told
    assert "Cannot be recovered: earlier versions of records." in told


@pytest.mark.parametrize(
    ("typed", "terminal", "why"),
    [
        ("\n", True, "the answer was no."),
        ("maybe\nn\n", True, "the answer was no."),
        ("", True, "you stopped at the question."),
        ("maybe\n", True, "you stopped at the question."),
        ("", False, "there is no terminal to ask on. Add --yes."),
        ("no\n", False, "the answer was no."),
        ("maybe\ny\n", False, "expected y or n on stdin, found 'maybe'. Add --yes."),
        ("y" * 1_000_000, False, "expected y or n on stdin, found 'yyyyyyyyyyyyyyyyyyyy'. Add --yes."),
    ],
)
def test_nothing_is_done_unless_the_answer_is_yes(
    monkeypatch: pytest.MonkeyPatch, typed: str, terminal: bool, why: str
) -> None:
    answers = Answers(typed, terminal=terminal)
    monkeypatch.setattr("sys.stdin", answers)
    with pytest.raises(ConfigError) as refused:
        confirm("Sure?", nothing="Nothing was lost", unasked="Add --yes.")
    assert str(refused.value) == f"Nothing was lost: {why}"
    assert answers.tell() < 10_000


@pytest.mark.parametrize(("typed", "terminal"), [("y\n", True), ("Yes\n", False), ("maybe\ny\n", True), ("y", False)])
def test_a_yes_is_enough(monkeypatch: pytest.MonkeyPatch, typed: str, terminal: bool) -> None:
    monkeypatch.setattr("sys.stdin", Answers(typed, terminal=terminal))
    confirm("Sure?", nothing="Nothing was lost", unasked="Add --yes.")


def test_ctrl_c_at_a_question_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(Answers):
        def readline(self, _size: int | None = -1, /) -> str:  # type: ignore[override] # as StringIO has it
            raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", Interrupted("", terminal=True))
    with pytest.raises(ConfigError, match="Nothing was lost: you stopped at the question"):
        confirm("Sure?", nothing="Nothing was lost", unasked="Add --yes.")
