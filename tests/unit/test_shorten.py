"""One way to cut a text that is too long to show."""

import re
from pathlib import Path

import pytest

import ocelog
from ocelog.cli.logs import _cut
from ocelog.shorten import shorten


@pytest.mark.parametrize(
    ("text", "most", "shown"),
    [("short", 5, "short"), ("longer", 5, "long…"), ("a bcde", 3, "a…"), ("", 3, "")],
)
def test_a_long_text_ends_in_an_ellipsis_within_its_length(text: str, most: int, shown: str) -> None:
    assert shorten(text, most) == shown


def test_a_long_value_in_the_log_is_cut() -> None:
    assert _cut(None, "", {"reason": "x" * 3000})["reason"] == "x" * 1999 + "…"


def test_nothing_that_is_cut_ends_in_three_dots() -> None:
    cut = re.compile(r'\[:[^\]\n]+\](\} ?| \+ ")\.\.\.|", \.\.\." if')
    root = Path(ocelog.__file__).parent
    found = {str(each.relative_to(root)) for each in root.rglob("*.py") if cut.search(each.read_text())}
    # The path of a mismatch is kept with what was rejected, and rejections of one path are counted together.
    assert found == {"schema/decode/mismatch.py"}
