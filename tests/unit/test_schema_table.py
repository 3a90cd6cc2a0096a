"""Which columns the tables have, and how rejections become rows."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ocelog.model import Kind, Rejection
from ocelog.schema.columns.table import REJECTION_SCHEMA, arrow_schema, part_options, rejection_rows
from ocelog.schema.language.packaged import packaged_schemas
from shaping import KINDS, STAMP, page, shaper_of


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.log_type))
def test_rows_have_the_columns_of_their_table(kind: Kind) -> None:
    rows = shaper_of(kind).shape(b"[]").table([], [], STAMP)
    assert rows.schema.equals(arrow_schema(packaged_schemas()[kind.log_type]))


@pytest.mark.parametrize("schema", [REJECTION_SCHEMA, *map(arrow_schema, packaged_schemas().values())])
def test_every_column_says_what_it_means(schema: pa.Schema) -> None:
    assert [field.name for field in schema if not field.metadata[b"doc"]] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.log_type))
def test_a_part_reads_back_as_it_was_written(kind: Kind) -> None:
    at = "2026-03-25T05:46:26.681576Z"
    record = {"id": "a", kind.created_field: at, kind.cursor_field: at}
    records = [{**record, "action": "x"}] if kind.version_fields is None else [record]
    rows = shaper_of(kind).shape(page(records)).table([0], ["0" * 32], STAMP)
    file = io.BytesIO()
    pq.write_table(rows, file, **part_options(rows))
    file.seek(0)
    assert pq.read_table(file).cast(rows.schema).to_pylist() == rows.to_pylist()


def test_only_long_texts_get_a_dictionary() -> None:
    rows = pa.table({"rule": ["r" * 3_000] * 100, "id": [str(n) for n in range(100)], "n": list(range(100))})
    assert part_options(rows)["use_dictionary"] == ["rule"]
    assert part_options(rows.select(["id", "n"]))["use_dictionary"] is False


def test_a_rejection_is_kept_as_it_came_whatever_it_is() -> None:
    found = [
        Rejection(
            path="$.at",
            expected="a timestamp",
            found="nothing",
            raw="{é}".encode(),
            record_id="x",
            unknown=frozenset("ba"),
        ),
        Rejection(path="$", expected="an object", found="not JSON", raw=b"\xff"),
    ]
    rows = rejection_rows(found, log_type="Wiz.Audit", keys=["0" * 32, "1" * 32], stamp=STAMP)
    assert rows.schema.equals(REJECTION_SCHEMA)
    first, second = rows.to_pylist()
    assert (first["raw"], first["raw_encoding"], first["record_id"]) == ("{é}", "utf-8", "x")
    assert (second["raw"], second["raw_encoding"], second["record_id"]) == ("/w==", "base64", None)
    assert (first["unknown_fields"], second["unknown_fields"]) == (["a", "b"], None)
    assert first["p_event_time"] == first["p_cursor_time"] == first["p_observed_at"]
    assert (second["p_row_id"], second["p_origin"], second["p_source_label"]) == ("1" * 32, "live", "내 Wiz 로그")


def test_no_rejections_are_no_rows() -> None:
    assert rejection_rows([], log_type="Wiz.Audit", keys=[], stamp=STAMP).num_rows == 0
