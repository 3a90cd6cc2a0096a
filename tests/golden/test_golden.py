"""Columns, queries and shaped pages stay what they are, unless someone means to change them."""

from pathlib import Path

import pytest

from ocelog.schema.language.packaged import packaged_schemas
from shaping.golden import FOLDER, check_api_types, golden_files
from shaping.released import RELEASED, counted, fields, released

GOLDEN = golden_files()
EACH = pytest.mark.parametrize("log_type", packaged_schemas())


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_files_are_as_the_code_makes_them(name: str) -> None:
    assert (FOLDER / name).exists(), "`make golden` writes it: read it before you commit it"
    assert (FOLDER / name).read_text(encoding="utf-8") == GOLDEN[name], "`make golden` writes them anew"


def test_types_of_the_api_that_do_not_hold_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    check_api_types()
    wrong = tmp_path / "schema.graphql"
    wrong.write_text("type Query { id: ID } type Issue { id: ID } type Issue { id: ID }")
    with pytest.raises(ValueError, match=r"schema\.graphql: There can be only one type named 'Issue'"):
        check_api_types(wrong)


def test_no_golden_file_is_left_over() -> None:
    kept = {path.name for path in FOLDER.iterdir() if path.suffix in {".txt", ".json"}}
    made = {name for name in GOLDEN if not name.endswith(".records.jsonl")}
    assert sorted(kept - made) == [], "nothing makes these files of tests/golden any more: delete them"
    assert sorted(made - kept) == [], "`make golden` writes them"


@EACH
def test_what_a_release_counted_as_a_change_it_counts_for_ever(log_type: str) -> None:
    (noted, _), now = released(log_type), counted(log_type)
    for algorithm, before in noted.items():
        after = now.get(algorithm, [])
        assert after == before, (
            f"Each stored row of {log_type} would land once more: its algorithm {algorithm} counts other fields. More: "
            f"{sorted({*after} - {*before})}. Fewer: {sorted({*before} - {*after})}. A new field goes into a new entry "
            "at the end of later_fields (its name, or its path in an object), or into uncounted if its change makes "
            f"no version. If no release has this algorithm yet, delete its line in {RELEASED.name}. Then: make golden"
        )
    assert now.keys() == noted.keys(), f"{log_type} has a new algorithm of the hash, which `make golden` notes"


@EACH
def test_a_schema_with_other_fields_has_another_version(log_type: str) -> None:
    _, noted = released(log_type)
    for version, now in fields(log_type).items():
        assert version in noted, f"{log_type} has a new version of its schema, which `make golden` notes"
        assert noted[version] == now, (
            f"{log_type} has other fields than its version {version} had: give the schema a higher version, since rows "
            f"tell by it which fields they were shaped with. If no release has this version yet, delete its line in "
            f"{RELEASED.name} instead. Then: make golden"
        )
