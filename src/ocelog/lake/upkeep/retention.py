"""Which rows are older than a person wants to keep them, and how they leave a table."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ocelog.errors import LakeUnavailableError
from ocelog.lake.catalog.conform import conform
from ocelog.lake.catalog.file_io import local_path
from ocelog.lake.catalog.iceberg import check_partitions, opened_catalog
from ocelog.lake.catalog.state import NAMESPACE
from ocelog.lake.ports import traits_of
from ocelog.lake.read.current import NEWEST_ORDER
from ocelog.lake.read.quoting import literal
from ocelog.lake.read.sql import PLACE, rows_of_files
from ocelog.lake.storage.faults import translated
from ocelog.lake.upkeep.engine import engine_that_spills
from ocelog.lake.write.append import commit, replacing
from ocelog.lake.write.datafiles import DataFiles, by_event_time
from ocelog.times import rfc3339

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.update.snapshot import _SnapshotProducer

# What is put together here are the names of our columns and the paths of our files, quoted.
# ruff: noqa: S608

_MEMORY_MB = 1000


def expire_rows(
    home: Path,
    table: str,
    schema: pa.Schema,
    *,
    before: datetime,
    left_alone: Collection[str] = (),
    dry_run: bool = False,
) -> int:
    """Delete the rows of `table` whose p_event_time is earlier than `before`, in one commit; return how many.

    Of records that live long, a version goes when a newer one follows it, and the present one only when the record is
    closed and none of its versions stays: never what `_current` shows of an open record. Rows without p_source_id are
    another engine's, and stay; so do the files `left_alone`. Raises LakeUnavailableError and HomeError; nothing was
    deleted then.
    """
    with translated(table), opened_catalog(home) as catalog:
        loaded = catalog.load_table((NAMESPACE, table))
        check_partitions(loaded, table)
        there = {str(local_path(task.file.file_path)): task.file for task in loaded.scan().plan_files()}
        paths = sorted(there)
        alone = [index for index, path in enumerate(paths) if path in left_alone]
        with _doomed(home, _select(schema, paths, alone, before)) as doomed:
            if dry_run or not doomed.count():
                return doomed.count()
            files = DataFiles(table, loaded.metadata)
            old: list[DataFile] = []
            try:
                for index, count in doomed.files():
                    file = there[paths[index]]
                    old.append(file)
                    if count < file.record_count:
                        _copy_rest(Path(paths[index]), doomed.rows(index), files)
                files.finish()
            except BaseException:
                files.abandon()
                raise
            deleted = doomed.count()

        def stage(loaded: "Table", transaction: "Transaction") -> "_SnapshotProducer[Any]":
            if loaded.metadata.schema() != files.metadata.schema():
                raise LakeUnavailableError(f"{table}: another program changed the columns. Run it again.")
            return replacing(loaded, transaction, table, old)

        commit(catalog, files, stage)
    return deleted


def _select(schema: pa.Schema, paths: Sequence[str], alone: Sequence[int], before: datetime) -> str:
    """Select the place of each row that goes."""
    limit = f"TIMESTAMPTZ {literal(rfc3339(before))}"
    rows = rows_of_files(schema, paths)

    def fixed(place: str) -> str:
        """Write whether the row at a place is in a file that is left alone."""
        return f"({place} >> 40) IN ({', '.join(map(str, alone))})" if alone else "false"

    traits = traits_of(schema)
    if not traits.changes:
        return (
            f"SELECT {PLACE} FROM ({rows}) "
            f"WHERE p_event_time < {limit} AND p_source_id IS NOT NULL AND NOT ({fixed(PLACE)})"
        )
    listed = ", ".join(map(literal, traits.closed))
    closed = f"coalesce(status IN ({listed}), false)" if listed and "status" in schema.names else "false"
    if "p_inferred" in schema.names:
        closed = f"({closed} OR p_inferred IS NOT NULL)"
    # One pass over narrow columns: each record with its newest version, and whether anything of it stays.
    records = (
        f"SELECT p_source_id, id, arg_max({PLACE}, {NEWEST_ORDER}) AS newest, "
        f"arg_max({closed}, {NEWEST_ORDER}) AS closed, "
        f"bool_and(coalesce(p_event_time < {limit}, false) AND NOT ({fixed(PLACE)})) AS all_go "
        f"FROM ({rows}) WHERE p_source_id IS NOT NULL AND id IS NOT NULL GROUP BY p_source_id, id "
        f"HAVING bool_or(coalesce(p_event_time < {limit}, false))"
    )
    return (
        f"SELECT versions.{PLACE} FROM ({rows}) AS versions JOIN ({records}) AS records USING (p_source_id, id) "
        f"WHERE versions.p_event_time < {limit} AND NOT ({fixed(f'versions.{PLACE}')}) "
        f"AND (versions.{PLACE} <> records.newest OR (records.closed AND records.all_go))"
    )


class _RowsToDelete:
    """The places of the rows that go, kept by an engine that spills."""

    def __init__(self, engine: duckdb.DuckDBPyConnection) -> None:
        self._engine = engine

    def count(self) -> int:
        """Return how many they are."""
        ((count,),) = self._engine.execute("SELECT count(*) FROM doomed").fetchall()
        return int(count)

    def files(self) -> list[tuple[int, int]]:
        """Return which files have some, and how many."""
        found = self._engine.execute("SELECT place >> 40, count(*) FROM doomed GROUP BY 1 ORDER BY 1").fetchall()
        return [(int(index), int(count)) for index, count in found]

    def rows(self, index: int) -> frozenset[int]:
        """Return the numbers of those in one file."""
        numbers = f"SELECT place & {2**40 - 1} FROM doomed WHERE place >> 40 = {index}"
        return frozenset(int(number) for (number,) in self._engine.execute(numbers).fetchall())


@contextmanager
def _doomed(home: Path, select: str) -> Iterator[_RowsToDelete]:
    with engine_that_spills(home, memory_mb=_MEMORY_MB) as engine:
        try:
            engine.execute(f"CREATE TEMP TABLE doomed AS SELECT {PLACE} AS place FROM ({select})")
            yield _RowsToDelete(engine)
        except duckdb.Error as error:
            raise LakeUnavailableError(f"Old rows could not be found: {error}. Run it again.") from error


def _copy_rest(path: Path, gone: frozenset[int], files: DataFiles) -> None:
    """Copy the rows of a file into `files` but for those numbered `gone`."""
    with pq.ParquetFile(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group, use_threads=False)
            kept = [n for n in range(rows.num_rows) if start + n not in gone]
            start += rows.num_rows
            if kept:
                files.append(by_event_time(conform(rows.take(pa.array(kept)), files.schema)))
