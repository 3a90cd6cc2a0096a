"""One commit of a table: rows of some parts and the mark that vouches for them, both or neither."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ocelog.errors import HomeError, LakeUnavailableError
from ocelog.lake.conform import compact, conform, covers, dictionaries
from ocelog.lake.datafiles import DataFiles, by_event_time
from ocelog.lake.faults import translated
from ocelog.lake.iceberg import PROPERTIES, SNAPSHOT_AGE, file_schema, open_table, opened_catalog, optional
from ocelog.lake.state import MARK, parse_mark
from ocelog.lake.view import foreign_mark
from ocelog.model import Part

if TYPE_CHECKING:
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.update.snapshot import _SnapshotProducer

CHUNK_ROWS = 10_000
CHUNK_BYTES = 4 * 1024 * 1024
"""Rows in memory at once: while they are sorted they are there twice, and then some of them again as plain text."""


def append(home: Path, table: str, schema: pa.Schema, parts: Sequence[Part], *, ledger_id: str) -> int:
    """Commit the rows of `parts`, all above the table's mark and in sequence order, and return how many they are.

    Raises LakeUnavailableError when another commit came first; then nothing was appended.
    """
    with translated(table), opened_catalog(home) as catalog:
        loaded = open_table(catalog, home, table, schema)
        _check_mark(loaded, table, parts, ledger_id)
        transaction = loaded.transaction()
        _evolve(transaction, schema, [home / part.path for part in parts])
        files = DataFiles(table, transaction.table_metadata)
        try:
            for chunk in map(by_event_time, _chunks([home / part.path for part in parts], files.schema)):
                files.append(chunk)
            files.finish()
        except BaseException:
            files.abandon()
            raise
        mark = {MARK: f"{ledger_id}:{parts[-1].sequence}"}
        appending = transaction.update_snapshot(snapshot_properties=mark).merge_append()
        for file in files.written:
            appending.append_data_file(file)
        commit(transaction, loaded, appending, files)
    return sum(part.rows for part in parts)


def _check_mark(loaded: "Table", table: str, parts: Sequence[Part], ledger_id: str) -> None:
    """Compare with the mark of the very metadata that the commit builds on."""
    theirs, mark = parse_mark(loaded.properties.get(MARK))
    if theirs not in {None, ledger_id}:
        raise HomeError(foreign_mark(table, str(theirs), ledger_id))
    if mark >= parts[0].sequence:
        raise LakeUnavailableError(f"{table}: another publish came first. Run it again.")


def _evolve(transaction: "Transaction", schema: pa.Schema, paths: Sequence[Path]) -> None:
    """Add the columns that the log schema or a part has and the table lacks. Nothing is ever taken away."""
    for wanted in (optional(schema), *{str(s): s for s in map(pq.read_schema, paths)}.values()):
        if not covers(file_schema(transaction.table_metadata.schema()), wanted):
            with transaction.update_schema() as update:
                update.union_by_name(wanted)


def _chunks(paths: Sequence[Path], schema: pa.Schema) -> Iterator[pa.Table]:
    some: list[pa.Table] = []
    rows = size = 0
    for path in paths:
        read = conform(_rows(path), schema)
        if some and (rows + read.num_rows > CHUNK_ROWS or size + read.nbytes > CHUNK_BYTES):
            yield _merged(some)
            rows = size = 0
        some.append(read)
        rows += read.num_rows
        size += read.nbytes
    yield _merged(some)


def _merged(some: list[pa.Table]) -> pa.Table:
    """Return `some` as one table, and keep nothing of it."""
    whole = pa.concat_tables(some)
    some.clear()
    return whole


def _rows(path: Path) -> pa.Table:
    """Read a part, its texts as dictionaries."""
    repeating = dictionaries(compact(pq.read_schema(path)))
    with pq.ParquetFile(path, read_dictionary=repeating) as file:
        return file.read(use_threads=False)


def commit(
    transaction: "Transaction",
    loaded: "Table",
    producer: "_SnapshotProducer[Any]",
    files: DataFiles,
    *,
    keep_for: timedelta | None = None,
) -> None:
    """Commit what `producer` holds together with the mark, on the condition that no other snapshot came since.

    Snapshots older than `keep_for` (by default what the table's properties say) expire in the same commit. Files that
    no snapshot names are deleted. Where it is not known whether the commit landed, they stay.
    """
    try:
        producer.commit()
        _expire(transaction, keep_for)
        transaction.set_properties({MARK: producer.snapshot_properties[MARK]})
        transaction.commit_transaction()
    except Exception:
        # The commit may have landed although it was reported as failed.
        if loaded.refresh().snapshot_by_id(producer.snapshot_id) is None:
            files.abandon()
            raise


def _expire(transaction: "Transaction", keep_for: timedelta | None) -> None:
    """Let old snapshots go: with a thousand of them a commit takes a second, with five thousand six."""
    from pyiceberg.table.update.snapshot import ExpireSnapshots  # noqa: PLC0415 - slow to import

    metadata = transaction.table_metadata
    if keep_for is None:
        keep_for = timedelta(milliseconds=int(metadata.properties.get(SNAPSHOT_AGE, PROPERTIES[SNAPSHOT_AGE])))
    before = datetime.now(UTC) - keep_for
    if min(snapshot.timestamp_ms for snapshot in metadata.snapshots) < before.timestamp() * 1000:
        ExpireSnapshots(transaction).older_than(before).commit()
