"""One commit of a table: rows of some parts and the mark that vouches for them, both or neither."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ocelog.errors import HomeError, LakeUnavailableError
from ocelog.lake.catalog.conform import compact, conform, covers, dictionaries
from ocelog.lake.catalog.file_io import local_path
from ocelog.lake.catalog.iceberg import (
    MERGE_COUNT,
    PROPERTIES,
    SNAPSHOT_AGE,
    change,
    file_schema,
    open_table,
    opened_catalog,
    optional,
)
from ocelog.lake.catalog.state import MARK, NAMESPACE, parse_mark
from ocelog.lake.read.snapshot import foreign_mark
from ocelog.lake.storage.faults import translated
from ocelog.lake.write.datafiles import DataFiles, by_event_time
from ocelog.model import Part

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.update.snapshot import _SnapshotProducer

_TRIES = 5
"""Of a commit that loses against those of others: upkeep beside a service, another engine."""
_RECENT = 10
"""Snapshots that all stay while they are young enough; of those before them, the last of every four hours."""
_PERIOD_MS = 4 * 3_600_000
CHUNK_ROWS = 10_000
CHUNK_BYTES = 4 * 1024 * 1024
"""Rows in memory at once: while they are sorted they are there twice, and then some of them again as plain text."""


def append(home: Path, table: str, schema: pa.Schema, parts: Sequence[Part], *, ledger_id: str) -> int:
    """Commit the rows of `parts`, all above the table's mark and in sequence order, and return how many they are.

    Raises LakeUnavailableError when another commit came first; then nothing was appended.
    """
    paths = [home / part.path for part in parts]
    with translated(table), opened_catalog(home) as catalog:
        loaded = open_table(catalog, home, table, schema)
        _check_mark(loaded, table, parts, ledger_id)
        columns = [pq.read_schema(path) for path in paths]
        files = DataFiles(table, evolve(loaded, change(loaded), schema, columns))
        try:
            for chunk in map(by_event_time, _chunks(zip(paths, columns, strict=True), files.schema)):
                files.append(chunk)
            files.finish()
        except BaseException:
            files.abandon()
            raise

        def stage(loaded: "Table", transaction: "Transaction") -> "_SnapshotProducer[Any]":
            _check_mark(loaded, table, parts, ledger_id)
            if evolve(loaded, transaction, schema, columns).schema() != files.metadata.schema():
                raise LakeUnavailableError("another program changed the columns. Run it again.", table=table)
            mark = {MARK: f"{ledger_id}:{parts[-1].sequence}"}
            return transaction.update_snapshot(snapshot_properties=mark).merge_append()

        commit(catalog, files, stage)
    return sum(part.rows for part in parts)


def _check_mark(loaded: "Table", table: str, parts: Sequence[Part], ledger_id: str) -> None:
    """Compare with the mark of the very metadata that the commit builds on."""
    theirs, mark = parse_mark(loaded.properties.get(MARK))
    if theirs not in {None, ledger_id}:
        raise HomeError(foreign_mark(table, str(theirs), ledger_id))
    if mark >= parts[0].sequence:
        raise LakeUnavailableError("another process published first. Run it again.", table=table)


def evolve(
    loaded: "Table", transaction: "Transaction", schema: pa.Schema, parts: Iterable[pa.Schema] = ()
) -> "TableMetadata":
    """Add the columns that the log schema or one of `parts` has and the table lacks; return the metadata that has them.

    Nothing is ever taken away.
    """
    metadata = loaded.metadata
    for wanted in (optional(schema), *{str(part): part for part in parts}.values()):
        if not covers(file_schema(metadata.schema()), wanted):
            with transaction.update_schema() as update:
                update.union_by_name(wanted)
            metadata = transaction.table_metadata
    return metadata


def _chunks(parts: Iterable[tuple[Path, pa.Schema]], schema: pa.Schema) -> Iterator[pa.Table]:
    some: list[pa.Table] = []
    rows = size = 0
    for path, columns in parts:
        read = conform(_rows(path, columns), schema)
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


def _rows(path: Path, columns: pa.Schema) -> pa.Table:
    """Read a part, which has these columns, its texts as dictionaries."""
    repeating = dictionaries(compact(columns))
    with pq.ParquetFile(path, read_dictionary=repeating, page_checksum_verification=True) as file:
        return file.read(use_threads=False)


def commit(
    catalog: "SqlCatalog",
    files: DataFiles,
    stage: "Callable[[Table, Transaction], _SnapshotProducer[Any]]",
    *,
    keep_for: timedelta | None = None,
    named: str | None = None,
) -> None:
    """Commit `files`, which are written, together with the mark, on the condition that no other snapshot came since.

    `stage` is given the table as it is, and returns what the commit does beside adding `files`; it raises where that
    makes no sense any more. When another commit came first, it is asked again about the newer table: never does the
    library try again by itself, since it would look at nothing. Snapshots older than `keep_for` (by default what the
    table's properties say) expire in the same commit. What was written is deleted if it is known that the commit
    did not land. `named` is the table's name in the catalog, if that is another one for now.
    """
    from pyiceberg.exceptions import CommitFailedException  # noqa: PLC0415 - slow to import

    for left in reversed(range(_TRIES)):
        loaded = catalog.load_table((NAMESPACE, named or files.table))
        transaction = change(loaded)
        producer = None
        try:
            producer = stage(loaded, transaction)
            _refuse_removed(files)
            for file in files.written:
                producer.append_data_file(file)
            producer.commit()
            _expire(loaded, transaction, keep_for)
            if MERGE_COUNT not in loaded.properties:
                transaction.set_properties({MERGE_COUNT: PROPERTIES[MERGE_COUNT]})
            if MARK in producer.snapshot_properties:
                transaction.set_properties({MARK: producer.snapshot_properties[MARK]})
            transaction.commit_transaction()
        except Exception as error:
            # The commit may have landed although it was reported as failed.
            if producer is None or loaded.refresh().snapshot_by_id(producer.snapshot_id) is None:
                if left and isinstance(error, CommitFailedException):
                    continue
                files.abandon()
                raise
        return


def _refuse_removed(files: DataFiles) -> None:
    """Refuse to name files that are not there any more: a process that was stopped for days finds its files gone.

    Until it commits nothing names them, so another process takes them for leftovers.
    """
    if any(not local_path(file.file_path).exists() for file in files.written):
        raise LakeUnavailableError(
            f"{files.table}: files that were written for this commit have been removed since, as happens to a process "
            "that was stopped for days. Nothing was changed. Run it again."
        )


def replacing(
    loaded: "Table", transaction: "Transaction", table: str, old: "Collection[DataFile]"
) -> "_SnapshotProducer[Any]":
    """Return a commit that takes `old` out of the table and carries the mark on.

    Raises LakeUnavailableError if one of them is not in the table any more: its rows are elsewhere, or deleted.
    """
    there = {task.file.file_path for task in loaded.scan().plan_files()}
    if any(file.file_path not in there for file in old):
        raise LakeUnavailableError("another program committed first; nothing was changed. Run it again.", table=table)
    mark = {MARK: loaded.properties[MARK]} if MARK in loaded.properties else {}
    overwriting = transaction.update_snapshot(snapshot_properties=mark).overwrite()
    for file in old:
        overwriting.delete_data_file(file)
    return overwriting


def _expire(loaded: "Table", transaction: "Transaction", keep_for: timedelta | None) -> None:
    """Let old snapshots go, and most of those that lie close together: a commit costs more with each that stays."""
    from pyiceberg.table.refs import MAIN_BRANCH  # noqa: PLC0415 - slow to import
    from pyiceberg.table.update.snapshot import ExpireSnapshots  # noqa: PLC0415 - slow to import

    metadata = loaded.metadata
    if keep_for is None:
        keep_for = timedelta(milliseconds=int(metadata.properties.get(SNAPSHOT_AGE, PROPERTIES[SNAPSHOT_AGE])))
    before_ms = (datetime.now(UTC) - keep_for).timestamp() * 1000
    # The main branch ends in what is just being committed.
    named = {reference.snapshot_id for name, reference in metadata.refs.items() if name != MAIN_BRANCH}
    gone = list[int]()
    period = None
    for place, snapshot in enumerate(sorted(metadata.snapshots, key=lambda one: -one.timestamp_ms)):
        crowded = place >= _RECENT and snapshot.timestamp_ms // _PERIOD_MS == period
        period = snapshot.timestamp_ms // _PERIOD_MS
        if snapshot.snapshot_id not in named and (crowded or snapshot.timestamp_ms < before_ms):
            gone.append(snapshot.snapshot_id)
    if gone:
        expiring = ExpireSnapshots(transaction)
        # Its public way makes the whole metadata anew for each of them, twice.
        expiring._snapshot_ids_to_expire.update(gone)  # noqa: SLF001 - see above
        expiring.commit()
