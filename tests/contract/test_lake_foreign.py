"""Rows and columns that another engine added to a table: they stop nothing, and every reader shows them alike."""

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

# The statements are put together from constants.
# ruff: noqa: S608
import polars as pl
import pyarrow as pa
import pytest
from pyiceberg.types import (
    DateType,
    DecimalType,
    IntegerType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
)

from lakeside.ledger import MemoryLedger
from lakeside.things import ISSUES, SCHEMAS, instant, row, rows
from ocelog.cli import tables
from ocelog.errors import QueryError
from ocelog.lake.catalog.iceberg import opened_catalog
from ocelog.lake.catalog.state import TableStates
from ocelog.lake.lake import FileLake
from ocelog.lake.query.queries import Queries
from ocelog.lake.read.current import current_sql
from ocelog.lake.write.publish import Publisher
from ocelog.pull.versions import History

TABLE = "wiz_issues"
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "only an id": {"id": "theirs"},
    "no p_ columns": {"id": "theirs", "status": "OPEN", "severity": "LOW"},
    "no source": {"id": "theirs", "p_event_time": instant(1), "p_cursor_time": instant(1)},
    "no cursor time": {"id": "theirs", "p_source_id": "s1", "p_event_time": instant(1)},
    "no version": {"id": "theirs", "p_source_id": "s1", "p_event_time": instant(1), "p_cursor_time": instant(1)},
    "no id": {"p_source_id": "s1", "p_event_time": instant(1), "p_cursor_time": instant(1)},
    "row ids of their own": row("theirs", 1) | {"p_row_id": "row 7", "p_version": "v1"},
    "no order": row("theirs", 1) | {"p_version_time": None, "p_observed_at": None},
    "no event time": row("theirs", 1) | {"p_event_time": None},
    "an id that is known": {"id": "a", "p_source_id": "s1", "p_event_time": instant(1), "p_cursor_time": instant(1)},
    "one row twice": row("a", 1),
}


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def lake(tmp_path: Path, ledger: MemoryLedger) -> FileLake:
    found = FileLake(tmp_path, ledger, SCHEMAS)
    publish(found, ledger, row("a", 1), row("b", 2))
    return found


def publish(lake: FileLake, ledger: MemoryLedger, *listed: Mapping[str, Any]) -> None:
    ledger.land(lake.write(TABLE, f"1-1-{ledger.counter(TABLE)}", rows(listed, ISSUES)))
    Publisher(lake.home, ledger, SCHEMAS).publish(TABLE)


def append_foreign(lake: FileLake, values: Mapping[str, Any]) -> None:
    """Append a row as another engine may: columns that are not given are not in its file."""
    given = {"p_event_time": None} | {name: value for name, value in values.items() if name in ISSUES.names}
    columns = {name: pa.array([value], ISSUES.field(name).type) for name, value in given.items()}
    with opened_catalog(lake.home) as catalog:
        catalog.load_table(("ocelog", TABLE)).append(pa.table(columns))


def ask(lake: FileLake, ledger: MemoryLedger, sql: str) -> list[dict[str, Any]]:
    with Queries(lake.home, ledger, SCHEMAS).run(sql) as answer:
        return [one for batch in answer.batches for one in batch.to_pylist()]


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_of_another_engine_does_not_stop_a_stream(lake: FileLake, ledger: MemoryLedger, shape: str) -> None:
    append_foreign(lake, SHAPES[shape])
    for ids in (None, ["a", "b", "theirs"]):
        known = lake.load(TABLE, "s1", since_us=0, until_us=None, ids=ids).known
        assert {"a", "b"} <= set(known.ids)
        History("s1", "Wiz.Issues").add(known)
    assert lake.rows(TABLE, [row("a", 1)["p_row_id"]], ["status"])
    publish(lake, ledger, row("c", 3))
    assert "c" in lake.load(TABLE, "s1", since_us=0, until_us=None).known.ids


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_both_forms_of_current_show_a_row_of_another_engine_alike(
    lake: FileLake, ledger: MemoryLedger, shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_foreign(lake, SHAPES[shape])
    key = "p_source_id, id, status, p_version_time, p_row_id"
    ours = ask(lake, ledger, f"SELECT {key} FROM wiz_issues_current ORDER BY ALL")
    assert ours == ask(lake, ledger, f"SELECT {key} FROM ({current_sql(TABLE)}) ORDER BY ALL")
    ((distinct,),) = [
        tuple(one.values())
        for one in ask(lake, ledger, "SELECT count(*) FROM (SELECT DISTINCT p_source_id, id FROM wiz_issues)")
    ]
    assert len(ours) == distinct
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")
    location = TableStates(lake.home).location(TABLE)
    assert location is not None
    theirs = pl.SQLContext({TABLE: pl.scan_iceberg(location)}).execute(current_sql(TABLE)).collect()
    assert sorted(str(one) for one in theirs["id"]) == sorted(str(one["id"]) for one in ours)


def test_the_columns_of_another_engine_can_be_asked_for(lake: FileLake, ledger: MemoryLedger) -> None:
    with opened_catalog(lake.home) as catalog, catalog.load_table(("ocelog", TABLE)).update_schema() as update:
        update.add_column("team", StringType(), doc="Who looks after it.")
        update.add_column("due", DateType())
        update.add_column("cost", DecimalType(9, 2))
        update.add_column("tags", MapType(1, StringType(), 2, LongType(), value_required=False))
        update.add_column("where", StructType(NestedField(1, "room", IntegerType(), required=False)))
        update.add_column(("notes", "by"), StringType())
    assert ask(lake, ledger, "SELECT count(team) AS t, count(notes[1].by) AS n FROM wiz_issues") == [{"t": 0, "n": 0}]
    theirs = rows([row("c", 3)])
    notes = pa.array([[{"text": "x", "by": "me"}]], pa.list_(pa.struct([("text", pa.string()), ("by", pa.string())])))
    theirs = theirs.set_column(theirs.schema.get_field_index("notes"), "notes", notes)
    added = {
        "team": pa.array(["blue"]),
        "due": pa.array([date(2026, 1, 2)]),
        "cost": pa.array([Decimal("1.50")], pa.decimal128(9, 2)),
        "tags": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
        "where": pa.array([{"room": 7}], pa.struct([("room", pa.int32())])),
    }
    for name, values in added.items():
        theirs = theirs.append_column(name, values)
    with opened_catalog(lake.home) as catalog:
        catalog.load_table(("ocelog", TABLE)).append(theirs)
    publish(lake, ledger, row("d", 4))
    for table in (TABLE, f"{TABLE}_current"):
        found = ask(
            lake,
            ledger,
            "SELECT team, due, cost, tags['a'] AS a, \"where\".room AS room, notes[1].by AS by "
            f"FROM {table} WHERE id = 'c'",
        )
        assert found == [
            {"team": "blue", "due": date(2026, 1, 2), "cost": Decimal("1.50"), "a": 1, "room": 7, "by": "me"}
        ]
        assert ask(lake, ledger, f"SELECT team FROM {table} WHERE id = 'd'") == [{"team": None}]
    with pytest.raises(QueryError, match=r"There is no column taem\. Did you mean team\?"):
        ask(lake, ledger, "SELECT taem FROM wiz_issues")


def test_a_number_that_another_engine_made_wider_is_read_whole(lake: FileLake, ledger: MemoryLedger) -> None:
    with opened_catalog(lake.home) as catalog, catalog.load_table(("ocelog", TABLE)).update_schema() as update:
        update.update_column("p_schema_version", LongType())
    wide = rows([row("c", 3)])
    wide = wide.set_column(wide.schema.get_field_index("p_schema_version"), "p_schema_version", pa.array([2**40]))
    with opened_catalog(lake.home) as catalog:
        catalog.load_table(("ocelog", TABLE)).append(wide)
    found = ask(lake, ledger, "SELECT p_schema_version AS v FROM wiz_issues ORDER BY id")
    assert found == [{"v": 1}, {"v": 1}, {"v": 2**40}]
    publish(lake, ledger, row("d", 4))
    assert len(ask(lake, ledger, "SELECT p_schema_version FROM wiz_issues_current")) == 4


def test_tables_lists_the_columns_of_another_engine(
    lake: FileLake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened_catalog(lake.home) as catalog, catalog.load_table(("ocelog", TABLE)).update_schema() as update:
        update.add_column("team", StringType(), doc="Who looks after it.")
        update.add_column("room", LongType())
    monkeypatch.setenv("OCELOG_HOME", str(lake.home))
    tables.command(TABLE, json=True)
    found = {one["column"]: (one["type"], one["meaning"]) for one in json.loads(capsys.readouterr().out)}
    assert found["team"] == ("VARCHAR", "Who looks after it.")
    assert found["room"] == ("BIGINT", "Added by another engine.")
