import errno
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace
from pyiceberg.catalog.sql import SqlCatalog

from lakeside.ledger import MemoryLedger
from lakeside.things import AUDIT, ISSUES, SCHEMAS, instant, row, rows
from ocelog.errors import HomeError, LakeUnavailableError, SchemaError
from ocelog.lake.catalog import iceberg, manifests, state
from ocelog.lake.catalog.iceberg import opened_catalog
from ocelog.lake.catalog.state import MARK, TableStates
from ocelog.lake.lake import FileLake
from ocelog.lake.read.engine_snippets import lake_info
from ocelog.lake.read.snapshot import check_lake
from ocelog.lake.upkeep import purge
from ocelog.lake.upkeep.cleaning import clean
from ocelog.lake.upkeep.purge import delete_rows
from ocelog.lake.write import append as appending
from ocelog.lake.write import datafiles, publish
from ocelog.lake.write.publish import Publisher
from ocelog.model import Part
from ocelog.times import to_us

TABLE = "wiz_issues"


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def lake(tmp_path: Path, ledger: MemoryLedger) -> FileLake:
    return FileLake(tmp_path, ledger, SCHEMAS)


@pytest.fixture
def publisher(lake: FileLake, ledger: MemoryLedger) -> Publisher:
    return Publisher(lake.home, ledger, SCHEMAS)


def land(
    lake: FileLake, ledger: MemoryLedger, *listed: dict[str, Any], table: str = TABLE, schema: pa.Schema = ISSUES
) -> Part:
    return ledger.land(lake.write(table, f"1-1-{ledger.counter(table)}", rows(listed, schema)))


def test_what_waits_is_committed_in_pieces_of_bounded_size(
    lake: FileLake, ledger: MemoryLedger, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed, committed = [land(lake, ledger, row(f"{n}", n)) for n in range(5)], list[int]()
    monkeypatch.setattr(publish, "_COMMIT_BYTES", 2 * max(each.bytes for each in landed))

    def append(home: Path, table: str, schema: pa.Schema, parts: list[Part], *, ledger_id: str) -> int:
        committed.append(len(parts))
        return appending.append(home, table, schema, parts, ledger_id=ledger_id)

    monkeypatch.setattr(publish, "append", append)
    done = publisher.publish(TABLE)
    assert (committed, done.parts, done.rows) == ([2, 2, 1], 5, 5)


def polars(lake: FileLake, table: str, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")
    location = TableStates(lake.home).location(table)
    assert location is not None
    return pl.scan_iceberg(location).collect()


def test_publishing_nothing_makes_no_table(publisher: Publisher, lake: FileLake) -> None:
    assert publisher.publish(TABLE).parts == 0
    assert TableStates(lake.home).location(TABLE) is None


def test_rows_and_mark_are_one_commit(publisher: Publisher, lake: FileLake, ledger: MemoryLedger) -> None:
    land(lake, ledger, row("a", 1))
    land(lake, ledger, row("b", 2))
    publisher.publish(TABLE)
    with opened_catalog(lake.home) as catalog:
        table = catalog.load_table(("ocelog", TABLE))
    assert len(table.snapshots()) == 1
    assert table.properties[MARK] == "ledger-1:2"
    summary = table.snapshots()[0].summary
    assert summary is not None
    assert summary[MARK] == "ledger-1:2"
    assert table.properties["commit.retry.num-retries"] == "0"
    assert ledger.published_through[TABLE] == 2


def test_rows_are_sorted_in_the_file_of_their_month(publisher: Publisher, lake: FileLake, ledger: MemoryLedger) -> None:
    month = 60 * 24 * 31
    land(lake, ledger, row("c", 3), row("a", 1), row("z", month))
    land(lake, ledger, row("b", 2), row("old", -60 * 24 * 365 * 70))
    publisher.publish(TABLE)
    files = sorted((lake.home / "lake/warehouse/ocelog" / TABLE / "data").rglob("*.parquet"))
    assert [file.parent.name for file in files] == [
        "p_event_time_month=1956-04",
        "p_event_time_month=2026-03",
        "p_event_time_month=2026-04",
    ]
    assert pq.ParquetFile(files[1]).read().column("id").to_pylist() == ["a", "b", "c"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o444}


def test_the_audit_log_is_cut_by_day(publisher: Publisher, lake: FileLake, ledger: MemoryLedger) -> None:
    land(lake, ledger, row("a", 1), row("b", 60 * 24), table="wiz_audit", schema=AUDIT)
    publisher.publish("wiz_audit")
    days = sorted(path.name for path in (lake.home / "lake/warehouse/ocelog/wiz_audit/data").iterdir())
    assert days == ["p_event_time_day=2026-03-30", "p_event_time_day=2026-03-31"]


def test_partitions_are_those_that_iceberg_computes(publisher: Publisher, lake: FileLake, ledger: MemoryLedger) -> None:
    minutes = (-60 * 24 * 365 * 57, -60 * 24 * 365 * 56.2465, 0, 60 * 11.999, 60 * 12, 60 * 24 * 35)
    for table, schema in (("wiz_audit", AUDIT), (TABLE, ISSUES)):
        land(lake, ledger, *(row(str(n), minute) for n, minute in enumerate(minutes)), table=table, schema=schema)
        publisher.publish(table)
        with opened_catalog(lake.home) as catalog:
            loaded = catalog.load_table(("ocelog", table))
        transform = loaded.spec().fields[0].transform.transform(loaded.schema().find_field("p_event_time").field_type)
        for task in loaded.scan().plan_files():
            times = pq.ParquetFile(task.file.file_path).read().column("p_event_time").cast(pa.int64()).to_pylist()
            assert {transform(time) for time in times} == {task.file.partition[0]}


END_OF_TIME, BEGIN_OF_TIME = datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)


@pytest.mark.slow
@pytest.mark.parametrize("table", ["wiz_audit", TABLE])
@pytest.mark.parametrize("column", ["p_event_time", "p_cursor_time", "p_version_time", "p_observed_at"])
def test_a_date_at_either_end_of_time_is_published_like_any_other(
    publisher: Publisher,
    lake: FileLake,
    ledger: MemoryLedger,
    monkeypatch: pytest.MonkeyPatch,
    table: str,
    column: str,
) -> None:
    schema = SCHEMAS[table]
    for day in (
        END_OF_TIME,
        BEGIN_OF_TIME,
        END_OF_TIME.replace(hour=0),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
    ):
        odd = row(f"odd {day}", 1) | {column: day}
        listed = [{k: v for k, v in one.items() if k in schema.names} for one in (row(f"plain {day}", 2), odd)]
        ledger.land(lake.write(table, f"1-1-{ledger.counter(table)}", rows(listed, schema)))
        assert publisher.publish(table).rows == 2
    seen = polars(lake, table, monkeypatch)
    assert seen.height == 8
    assert seen[column].max() == END_OF_TIME
    assert len(lake.load(table, "s1", since_us=to_us(BEGIN_OF_TIME), until_us=None).known.ids) == 8
    if column == "p_event_time":
        names = {
            Path(file.path).parent.name
            for state in [TableStates(lake.home).state(table)]
            if state
            for file in state.files
        }
        last = "day=9999-12-31" if table == "wiz_audit" else "month=9999-12"
        assert f"p_event_time_{last}" in names
        assert len(names) == 4


def test_many_chunks_are_still_one_commit_and_one_file_a_partition(
    publisher: Publisher, lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appending, "CHUNK_ROWS", 3)
    for n in range(5):
        land(lake, ledger, row(f"a{n}", n), row(f"b{n}", n))
    assert publisher.publish(TABLE).rows == 10
    with opened_catalog(lake.home) as catalog:
        table = catalog.load_table(("ocelog", TABLE))
    assert len(table.snapshots()) == 1
    assert len(list(table.scan().plan_files())) == 1
    assert table.scan().to_arrow().num_rows == 10


def test_a_commit_that_came_first_is_never_appended_over(
    publisher: Publisher, lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another publisher commits the same parts after this one has loaded the table: the library must not retry."""
    land(lake, ledger, row("a", 1))
    publisher.publish(TABLE)
    land(lake, ledger, row("b", 2))
    chunks = appending._chunks

    def meanwhile(*args: Any) -> Any:
        monkeypatch.setattr(appending, "_chunks", chunks)
        Publisher(lake.home, ledger, SCHEMAS).publish(TABLE)
        return chunks(*args)

    monkeypatch.setattr(appending, "_chunks", meanwhile)
    with pytest.raises(LakeUnavailableError, match="another process published first"):
        publisher.publish(TABLE)
    assert publisher.publish(TABLE).parts == 0
    assert sorted(lake.load(TABLE, "s1", since_us=0, until_us=None).known.ids) == ["a", "b"]
    files = (lake.home / "lake/warehouse/ocelog" / TABLE / "data").rglob("*.parquet")
    assert len(list(files)) == 2, "the loser deletes what it wrote"


def test_a_publish_that_came_before_the_table_was_loaded_is_noticed_in_its_mark(
    publisher: Publisher, lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, ledger, row("a", 1))
    open_table = iceberg.open_table

    def meanwhile(*args: Any) -> Any:
        monkeypatch.setattr(appending, "open_table", open_table)
        Publisher(lake.home, ledger, SCHEMAS).publish(TABLE)
        return open_table(*args)

    monkeypatch.setattr(appending, "open_table", meanwhile)
    with pytest.raises(LakeUnavailableError, match="another process published first"):
        publisher.publish(TABLE)
    assert lake.load(TABLE, "s1", since_us=0, until_us=None).known.ids == ["a"]


def test_the_first_commit_of_a_table_is_conditional_too(
    publisher: Publisher, lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, ledger, row("a", 1))
    chunks = appending._chunks

    def meanwhile(*args: Any) -> Any:
        monkeypatch.setattr(appending, "_chunks", chunks)
        Publisher(lake.home, ledger, SCHEMAS).publish(TABLE)
        return chunks(*args)

    monkeypatch.setattr(appending, "_chunks", meanwhile)
    with pytest.raises(LakeUnavailableError):
        publisher.publish(TABLE)
    assert lake.load(TABLE, "s1", since_us=0, until_us=None).known.ids == ["a"]


def test_a_crash_between_the_commit_and_its_note_is_harmless(
    publisher: Publisher, lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, ledger, row("a", 1))

    class PowerFailure(BaseException):
        pass

    def fail(*_: object) -> None:
        raise PowerFailure

    with monkeypatch.context() as patched:
        patched.setattr(MemoryLedger, "published", fail)
        with pytest.raises(PowerFailure):
            publisher.publish(TABLE)
    assert ledger.published_through == {TABLE: 0}
    assert lake.load(TABLE, "s1", since_us=0, until_us=None).known.ids == ["a"]
    assert publisher.publish(TABLE).parts == 0
    assert ledger.published_through[TABLE] == 1


def test_the_mark_outlives_a_foreign_commit(publisher: Publisher, lake: FileLake, ledger: MemoryLedger) -> None:
    land(lake, ledger, row("a", 1))
    publisher.publish(TABLE)
    with opened_catalog(lake.home) as catalog:
        catalog.load_table(("ocelog", TABLE)).append(rows([row("theirs", 5)]))
    assert publisher.publish(TABLE).parts == 0
    land(lake, ledger, row("b", 2))
    assert publisher.publish(TABLE).rows == 1
    assert sorted(lake.load(TABLE, "s1", since_us=0, until_us=None).known.ids) == ["a", "b", "theirs"]


def test_a_lake_of_another_ledger_is_refused(publisher: Publisher, lake: FileLake, ledger: MemoryLedger) -> None:
    land(lake, ledger, row("a", 1))
    publisher.publish(TABLE)
    stranger = MemoryLedger(ledger_id="ledger-2")
    theirs = Publisher(lake.home, stranger, SCHEMAS)
    stranger.land(lake.write(TABLE, "1-2-0", rows([row("b", 1)])))
    for refused in (theirs.reconcile, lambda: theirs.publish(TABLE)):
        with pytest.raises(HomeError, match="ledger-1"):
            refused()
    with pytest.raises(HomeError, match="ledger-1"):
        FileLake(lake.home, stranger, SCHEMAS).load(TABLE, "s1", since_us=0, until_us=None)


def test_a_ledger_that_was_set_back_never_gives_a_published_number_again(
    publisher: Publisher, lake: FileLake, ledger: MemoryLedger
) -> None:
    for n in range(3):
        land(lake, ledger, row(f"a{n}", n))
    publisher.publish(TABLE)
    restored = MemoryLedger(ledger_id=ledger.id, counters={TABLE: 1})
    Publisher(lake.home, restored, SCHEMAS).reconcile()
    assert restored.counter(TABLE) == 3


def test_a_schema_that_grows_keeps_the_old_rows(lake: FileLake, ledger: MemoryLedger) -> None:
    note = pa.field("notes", pa.list_(pa.struct([pa.field("text", pa.string()), pa.field("by", pa.string())])))
    grown = ISSUES.set(ISSUES.get_field_index("notes"), note).append(pa.field("added", pa.int16()))
    land(lake, ledger, row("a", 1, notes=[{"text": "x"}]))
    Publisher(lake.home, ledger, SCHEMAS).publish(TABLE)
    land(lake, ledger, row("waiting", 2))
    land(lake, ledger, row("b", 3, notes=[{"text": "y", "by": "z"}], added=7), schema=grown)
    for _ in range(2):
        Publisher(lake.home, ledger, {TABLE: grown}).publish(TABLE)
    with opened_catalog(lake.home) as catalog:
        table = catalog.load_table(("ocelog", TABLE))
    # PyIceberg's own reader makes empty lists of null ones.
    read = [one for task in table.scan().plan_files() for one in pq.read_table(task.file.file_path).to_pylist()]
    found = {one["id"]: (one["notes"], one.get("added")) for one in read}
    assert found == {
        "a": ([{"text": "x"}], None),
        "waiting": (None, None),
        "b": ([{"text": "y", "by": "z"}], 7),
    }
    assert table.scan().to_arrow().num_rows == 3
    assert len(table.schemas()) == 2
    field = table.schema().find_field("id")
    assert field.doc == "The issue's id."


def test_a_part_of_a_newer_schema_loses_no_column(publisher: Publisher, lake: FileLake, ledger: MemoryLedger) -> None:
    land(lake, ledger, row("a", 1))
    publisher.publish(TABLE)
    land(lake, ledger, row("b", 1, added="kept"), schema=ISSUES.append(pa.field("added", pa.string())))
    publisher.publish(TABLE)
    found = lake.rows(TABLE, [row("b", 1)["p_row_id"]], ["added"])
    assert list(found.values()) == [{"added": "kept"}]


def test_a_column_that_changes_its_type_is_a_clear_error(
    publisher: Publisher, lake: FileLake, ledger: MemoryLedger
) -> None:
    land(lake, ledger, row("a", 1))
    publisher.publish(TABLE)
    land(lake, ledger, row("b", 2))
    changed = ISSUES.set(ISSUES.get_field_index("score"), pa.field("score", pa.string()))
    with pytest.raises(SchemaError, match="score"):
        Publisher(lake.home, ledger, {TABLE: changed}).publish(TABLE)
    assert publisher.publish(TABLE).rows == 1


def test_a_home_that_moved_says_what_to_do(
    publisher: Publisher, lake: FileLake, ledger: MemoryLedger, tmp_path: Path
) -> None:
    land(lake, ledger, row("a", 1))
    publisher.publish(TABLE)
    moved = tmp_path / "moved"
    moved.mkdir()
    (lake.home / "lake").rename(moved / "lake")
    with pytest.raises(HomeError, match=r"was moved.*Move it back"):
        FileLake(moved, ledger, SCHEMAS).load(TABLE, "s1", since_us=0, until_us=None)


def test_a_table_with_delete_files_is_refused(
    publisher: Publisher, lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, ledger, row("a", 1))
    publisher.publish(TABLE)
    monkeypatch.setattr(
        state, "read_list", lambda path: [replace(each, of_data=False) for each in manifests.read_list(path)]
    )
    with pytest.raises(HomeError, match="delete files"):
        lake.load(TABLE, "s1", since_us=0, until_us=None)


def test_a_part_goes_only_after_the_grace(publisher: Publisher, lake: FileLake, ledger: MemoryLedger) -> None:
    one, two = land(lake, ledger, row("a", 1)), land(lake, ledger, row("b", 1))
    assert clean(lake.home, TABLE, ledger) == 0
    publisher.publish(TABLE)
    assert clean(lake.home, TABLE, ledger) == 0
    assert (lake.home / one.path).exists()
    assert clean(lake.home, TABLE, ledger, grace=timedelta(0)) == 2
    assert not (lake.home / two.path).exists()
    assert ledger.parts(TABLE) == []
    assert ledger.removed_through(TABLE) == 2


def test_a_crash_while_parts_go_leaves_no_file_behind(
    publisher: Publisher, lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, ledger, row("a", 1))
    publisher.publish(TABLE)

    class PowerFailure(BaseException):
        pass

    def fail(*_: object) -> None:
        raise PowerFailure

    with monkeypatch.context() as patched:
        patched.setattr(MemoryLedger, "forget", fail)
        with pytest.raises(PowerFailure):
            clean(lake.home, TABLE, ledger, grace=timedelta(0))
    assert lake.load(TABLE, "s1", since_us=0, until_us=None).known.ids == ["a"]
    clean(lake.home, TABLE, ledger, grace=timedelta(0))
    assert list((lake.home / "landing" / TABLE).iterdir()) == []
    assert ledger.parts(TABLE) == []


def test_a_part_that_only_the_ledger_calls_published_stays(lake: FileLake, ledger: MemoryLedger) -> None:
    only = land(lake, ledger, row("a", 1))
    ledger.published(TABLE, 1, 0)
    assert clean(lake.home, TABLE, ledger, grace=timedelta(0)) == 0
    assert (lake.home / only.path).exists()


@pytest.mark.parametrize("table", sorted(SCHEMAS))
def test_another_engine_reads_every_table_while_publishing_goes_on(
    publisher: Publisher, lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    columns = SCHEMAS[table].names
    for n in range(3):
        listed = [{k: v for k, v in row(f"a{n}{i}", i * 40_000).items() if k in columns} for i in range(3)]
        ledger.land(lake.write(table, f"1-1-{n}", rows(listed, SCHEMAS[table])))
        publisher.publish(table)
        seen = polars(lake, table, monkeypatch)
        assert (seen.height, seen.width) == (3 * (n + 1), len(columns))
        assert seen["p_row_id"].n_unique() == seen.height
        times: list[datetime] = seen["p_event_time"].sort().to_list()
        assert times[0] == instant(0)


def test_a_metadata_file_stays_readable_for_a_hundred_commits(
    publisher: Publisher, lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, ledger, row("a", 1))
    publisher.publish(TABLE)
    first = TableStates(lake.home).location(TABLE)
    assert first is not None
    for n in range(4):
        land(lake, ledger, row(f"b{n}", 1))
        publisher.publish(TABLE)
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")
    assert pl.scan_iceberg(first).collect().height == 1


def test_a_home_whose_path_is_odd_works(tmp_path: Path, ledger: MemoryLedger) -> None:
    home = tmp_path / "내 Wiz 로그 #1?%20 'x'"
    home.mkdir()
    lake = FileLake(home, ledger, SCHEMAS)
    land(lake, ledger, row("a", 1))
    publisher = Publisher(home, ledger, SCHEMAS)
    assert publisher.publish(TABLE).rows == 1
    land(lake, ledger, row("b", 2))
    assert publisher.publish(TABLE).rows == 1
    assert sorted(lake.load(TABLE, "s1", since_us=0, until_us=None).known.ids) == ["a", "b"]
    assert [path.name for path in tmp_path.iterdir()] == [home.name]


def test_purging_a_source_keeps_every_other_row_as_it_was(
    publisher: Publisher, lake: FileLake, ledger: MemoryLedger
) -> None:
    mixed = [
        row("a", 1, source="s2"),
        row("b", 2, notes=None),
        row("c", 3, notes=[]),
        row("d", 4, notes=[{"text": "x"}]),
    ]
    land(lake, ledger, *mixed)
    land(lake, ledger, row("e", 5, source="s2"))
    land(lake, ledger, row("f", 6))
    publisher.publish(TABLE)
    assert delete_rows(lake.home, TABLE, "s2") == 2
    assert delete_rows(lake.home, TABLE, "s2") == 0
    assert delete_rows(lake.home, "wiz_audit", "s2") == 0
    assert lake.load(TABLE, "s2", since_us=0, until_us=None).known.ids == []
    assert sorted(lake.load(TABLE, "s1", since_us=0, until_us=None).known.ids) == ["b", "c", "d", "f"]
    kept = lake.rows(TABLE, [one["p_row_id"] for one in mixed], ["notes"])
    assert [kept[one["p_row_id"]]["notes"] for one in mixed[1:]] == [None, [], [{"text": "x"}]]
    assert TableStates(lake.home).mark(TABLE) == ("ledger-1", 3)
    assert publisher.publish(TABLE).parts == 0


def test_a_purge_that_another_commit_overtakes_changes_nothing_and_works_the_next_time(
    publisher: Publisher, lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, ledger, row("a", 1, source="s2"), row("b", 2))
    publisher.publish(TABLE)
    land(lake, ledger, row("c", 3, source="s2"), row("d", 4))
    copy_rest = purge._copy_rest

    def meanwhile(*args: Any) -> int:
        monkeypatch.setattr(purge, "_copy_rest", copy_rest)
        publisher.publish(TABLE)
        return copy_rest(*args)

    monkeypatch.setattr(purge, "_copy_rest", meanwhile)
    with pytest.raises(LakeUnavailableError, match="another program committed first"):
        delete_rows(lake.home, TABLE, "s2")
    assert sorted(lake.load(TABLE, "s2", since_us=0, until_us=None).known.ids) == ["a", "c"]
    assert TableStates(lake.home).mark(TABLE) == ("ledger-1", 2)
    assert delete_rows(lake.home, TABLE, "s2") == 2
    assert sorted(lake.load(TABLE, "s1", since_us=0, until_us=None).known.ids) == ["b", "d"]
    assert TableStates(lake.home).mark(TABLE) == ("ledger-1", 2)


def test_a_table_is_described_for_other_engines(publisher: Publisher, lake: FileLake, ledger: MemoryLedger) -> None:
    before = lake_info(lake.home, ledger, TABLE)
    assert (before.metadata, before.lines, before.rows) == (None, {}, 0)
    land(lake, ledger, row("a", 1), row("b", 2))
    publisher.publish(TABLE)
    land(lake, ledger, row("c", 1))
    info = lake_info(lake.home, ledger, TABLE)
    assert (info.published_through, info.files, info.rows) == (1, 1, 2)
    assert (info.waiting_parts, info.waiting_rows) == (1, 1)
    python = ["Polars", "PyIceberg"]
    assert list(info.lines) == ["DuckDB", "DuckDB with its iceberg extension", *python, "ClickHouse", "Spark", "Trino"]
    assert all(str(lake.home) in line for line in info.lines.values())


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["Polars", "PyIceberg"])
def test_the_lines_for_python_engines_run_as_they_are(
    publisher: Publisher, lake: FileLake, ledger: MemoryLedger, engine: str
) -> None:
    land(lake, ledger, row("a", 1))
    publisher.publish(TABLE)
    line = lake_info(lake.home, ledger, TABLE).lines[engine]
    ran = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True, timeout=60)
    assert "p_row_id" in ran.stdout or "shape: (1, " in ran.stdout


def test_a_disk_that_fills_up_while_publishing_loses_nothing(
    publisher: Publisher, lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, ledger, row("a", 1))

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(LakeUnavailableError, match="disk is full"):
            publisher.publish(TABLE)
    assert lake.load(TABLE, "s1", since_us=0, until_us=None).known.ids == ["a"]
    assert publisher.publish(TABLE).rows == 1
    files = (lake.home / "lake/warehouse/ocelog" / TABLE / "data").rglob("*.parquet")
    assert len(list(files)) == 1


def test_partitions_beyond_the_open_files_allowed_go_into_several_files(
    publisher: Publisher, lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datafiles, "_MAX_OPEN", 2)
    monkeypatch.setattr(appending, "CHUNK_ROWS", 4)
    for n in range(3):
        listed = [row(f"{n}.{day}", 60 * 24 * day) for day in range(4)]
        land(lake, ledger, *listed, table="wiz_audit", schema=AUDIT)
    assert publisher.publish("wiz_audit").rows == 12
    assert len(lake.load("wiz_audit", "s1", since_us=0, until_us=None).known.ids) == 12
    assert max(len(state.files) for state in [TableStates(lake.home).state("wiz_audit")] if state) > 4


def test_a_part_published_and_removed_while_a_view_is_taken_is_in_the_view(
    publisher: Publisher, lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of ledger and table is asked last, what happens between the two answers must not hide a row."""
    land(lake, ledger, row("a", 1))
    state, parts = TableStates.state, MemoryLedger.parts

    def meanwhile() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(TableStates, "state", state)
            patched.setattr(MemoryLedger, "parts", parts)
            if publisher.publish(TABLE).parts:
                clean(lake.home, TABLE, ledger, grace=timedelta(0))

    def state_then(self: TableStates, table: str) -> object:
        found = state(self, table)
        meanwhile()
        return found

    def parts_then(self: MemoryLedger, table: str, above: int = 0) -> list[Part]:
        found = parts(self, table, above)
        meanwhile()
        return found

    for owner, name, call in ((TableStates, "state", state_then), (MemoryLedger, "parts", parts_then)):
        land(lake, ledger, row(name, 1))
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, call)
            found = lake.load(TABLE, "s1", since_us=0, until_us=None).known.ids
        assert sorted(found) == sorted(lake.load(TABLE, "s1", since_us=0, until_us=None).known.ids)
        assert name in found


def test_a_commit_that_landed_but_was_reported_as_failed_keeps_its_files(
    publisher: Publisher, lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, ledger, row("a", 1))
    commit = SqlCatalog.commit_table

    def lose_the_answer(*args: Any, **named: Any) -> None:
        commit(*args, **named)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    publisher.publish(TABLE)
    land(lake, ledger, row("b", 2))
    with monkeypatch.context() as patched:
        patched.setattr(SqlCatalog, "commit_table", lose_the_answer)
        assert publisher.publish(TABLE).rows == 1
    clean(lake.home, TABLE, ledger, grace=timedelta(0))
    assert sorted(lake.load(TABLE, "s1", since_us=0, until_us=None).known.ids) == ["a", "b"]


def test_a_lake_that_lacks_what_was_published_is_refused_by_whoever_opens_it(
    publisher: Publisher, lake: FileLake, ledger: MemoryLedger
) -> None:
    land(lake, ledger, row("a", 1))
    publisher.publish(TABLE)
    clean(lake.home, TABLE, ledger, grace=timedelta(0))
    (lake.home / "lake").rename(lake.home / "elsewhere")
    land(lake, ledger, row("b", 2))
    anew = Publisher(lake.home, ledger, SCHEMAS)
    for opening in (
        anew.reconcile,
        lambda: anew.publish(TABLE),
        lambda: publisher.publish(TABLE),
        lambda: lake.load(TABLE, "s1", since_us=0, until_us=None),
        lambda: check_lake(lake.home, ledger, SCHEMAS),
    ):
        with pytest.raises(HomeError, match="published up to part 1, but the lake holds it up to part 0"):
            opening()
    assert not (lake.home / "lake").exists()
    (lake.home / "elsewhere").rename(lake.home / "lake")
    check_lake(lake.home, ledger, SCHEMAS)
    anew.publish(TABLE)
    assert sorted(lake.load(TABLE, "s1", since_us=0, until_us=None).known.ids) == ["a", "b"]
