"""How every row of one source leaves a table."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ocelog.errors import LakeUnavailableError
from ocelog.lake.append import commit, replacing
from ocelog.lake.conform import conform
from ocelog.lake.datafiles import DataFiles, by_event_time
from ocelog.lake.durable import local_path
from ocelog.lake.faults import translated
from ocelog.lake.iceberg import opened_catalog
from ocelog.lake.scan import opened
from ocelog.lake.state import NAMESPACE, TableStates

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.update.snapshot import _SnapshotProducer

# Rows are copied by our own writer: PyIceberg's makes empty lists of lists that are null.


def delete_rows(home: Path, table: str, source_id: str) -> int:
    """Rewrite the files that hold rows of `source_id` without them, in one commit; return how many rows went.

    Parts that wait are not touched: publish them before. Older snapshots expire at once; the files that only they
    named are leftovers then, and go after two more days, so that a query which reads them comes to its end. Raises
    LakeUnavailableError when another commit came first, HomeError for a table with delete files; nothing changed then.
    """
    if TableStates(home).state(table) is None:
        return 0
    with translated(table), opened_catalog(home) as catalog:
        loaded = catalog.load_table((NAMESPACE, table))
        transaction = loaded.transaction()
        files = DataFiles(table, transaction.table_metadata)
        old: list[DataFile] = []
        deleted = 0
        try:
            for task in loaded.scan().plan_files():
                gone = _copy_rest(local_path(task.file.file_path), source_id, files)
                deleted += gone
                old += [task.file] if gone else []
            files.finish()
        except BaseException:
            files.abandon()
            raise
        if not old:
            return 0
        base = loaded.metadata.current_snapshot_id

        def stage(loaded: "Table", transaction: "Transaction") -> "_SnapshotProducer[Any]":
            if loaded.metadata.current_snapshot_id != base:
                # What came may hold rows of the source.
                raise LakeUnavailableError(f"{table}: another commit came first; nothing was deleted. Run it again.")
            return replacing(loaded, transaction, table, old)

        commit(catalog, files, stage, keep_for=timedelta(0))
    return deleted


def _copy_rest(path: Path, source_id: str, files: DataFiles) -> int:
    """Copy the rows of other sources into `files`, where the file has any of `source_id`; return how many it had."""
    with opened(path) as file:
        if "p_source_id" not in file.schema_arrow.names:
            return 0
        sources = file.read(columns=["p_source_id"], use_threads=False).column(0)
        gone = int(pc.sum(_of(sources, source_id)).as_py() or 0)
        for group in range(file.num_row_groups if 0 < gone < len(sources) else 0):
            rows = conform(file.read_row_group(group, use_threads=False), files.schema)
            rest = rows.filter(pc.invert(_of(rows.column("p_source_id"), source_id)))
            if rest.num_rows:
                files.append(by_event_time(rest))
    return gone


def _of(sources: pa.ChunkedArray, source_id: str) -> pa.ChunkedArray:
    """Tell for each row whether it is of the source; false where that is null."""
    return pc.is_in(sources, value_set=pa.array([source_id]))
