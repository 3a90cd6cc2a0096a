"""Columns, queries and shaped pages stay what they are, unless someone means to change them."""

import pytest

from shaping.golden import FOLDER, golden_files

GOLDEN = golden_files()


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_files_are_as_the_code_makes_them(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == GOLDEN[name], "`make golden` writes them anew"


def test_no_golden_file_is_left_over() -> None:
    kept = {path.name for path in FOLDER.iterdir() if path.suffix in {".txt", ".json"}}
    assert kept == set(GOLDEN)
