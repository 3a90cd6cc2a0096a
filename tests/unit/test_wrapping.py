"""What a terminal of few columns is sent: lines that end between words, and nothing cut that a person would copy."""

import pytest

from ocelog.cli.show import wrapped

COMMANDS = (
    "ocelog source edit 'my tenant' --client-id 0123456789abcdef --project 11111111-2222",
    "sudo /opt/ocelog/bin/ocelog service exec source add",
    "loginctl enable-linger",
    "ocelog pull --since 30d",
)
PLACES = ("https://api.us1.app.wiz.io/graphql", "/home/a-user/.local/share/ocelog/key", "--client-secret-file")


@pytest.mark.parametrize("whole", [*COMMANDS, *PLACES])
def test_what_a_person_would_copy_is_never_cut(whole: str) -> None:
    for before in range(80):
        text = f"{'ab ' * (before // 3)}{'c' * (before % 3)} then run: {whole}. The rest of the sentence follows on."
        lines = wrapped(text, 80, indent=4).split("\n")
        assert any(whole in line for line in lines), lines
        assert all(len(line) <= 80 or line.strip() == f"{whole}." for line in lines)
        assert " ".join(lines).split() == text.split()


def test_further_lines_are_indented_and_no_word_is_cut() -> None:
    lines = wrapped("  To do: " + "well-formed " * 20, 80, indent=4).split("\n")
    assert len(lines) > 2
    assert all(line.startswith("      well-formed") for line in lines[1:])
    assert all(len(line) <= 80 and not line.endswith("-") for line in lines)


def test_a_sentence_behind_a_command_wraps_as_any_other() -> None:
    text = "Run `ocelog pull`, or ocelog status. " + "Words of a sentence. " * 10
    assert all(len(line) <= 40 for line in wrapped(text, 40, indent=4).split("\n"))
