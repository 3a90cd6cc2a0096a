"""Columns, queries and shaped pages stay what they are, unless someone means to change them."""

import pytest

from shaping.golden import FOLDER, golden_files
from shaping.released import counted, fields, released

GOLDEN = golden_files()


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_files_are_as_the_code_makes_them(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == GOLDEN[name], "`make golden` writes them anew"


def test_no_golden_file_is_left_over() -> None:
    kept = {path.name for path in FOLDER.iterdir() if path.suffix in {".txt", ".json"}}
    assert kept == set(GOLDEN)


def test_what_a_release_counted_as_a_change_it_counts_for_ever() -> None:
    assert [each for each in released() if "algorithm" in each] == counted(), (
        "Each stored row would land once more: what a release adds belongs into a new entry at the end of later_fields "
        "(src/ocelog/sources/wiz/streams.py), by name or by path; then `make golden` notes the new algorithm"
    )


def test_a_schema_with_other_fields_has_another_version() -> None:
    noted = released()
    assert [each for each in fields() if each not in noted] == [], (
        "Give the schema a higher version, since rows tell by it which fields they were shaped with; then `make golden`"
    )
