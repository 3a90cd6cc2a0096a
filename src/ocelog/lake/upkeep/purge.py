"""How rows leave a table that must not be in it any more, such as those of one source."""

from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ocelog.errors import LakeUnavailableError
from ocelog.lake.catalog.conform import conform
from ocelog.lake.catalog.file_io import local_path
from ocelog.lake.catalog.iceberg import opened_catalog
from ocelog.lake.catalog.state import NAMESPACE, TableStates
from ocelog.lake.read.scan import opened, undecodable
from ocelog.lake.storage.checksums import damage
from ocelog.lake.storage.faults import translated
from ocelog.lake.write.append import commit, replacing
from ocelog.lake.write.datafiles import DataFiles, by_event_time

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.update.snapshot import _SnapshotProducer

_TELLING = ("p_source_id", "p_row_id")
"""By these columns it is told which rows go."""

# Rows are copied by our own writer: PyIceberg's makes empty lists of lists that are null.


def delete_rows(home: Path, table: str, source_id: str) -> int:
    """Rewrite the files that hold rows of `source_id` without them, in one commit; return how many rows went.

    Parts that wait are not touched: publish them before. Older snapshots expire at once; the files that only they
    named are leftovers then, and go after two more days, so that a query which reads them comes to its end. Raises
    LakeUnavailableError when another commit came first, HomeError for a table with delete files; nothing changed then.
    """
    if TableStates(home).state(table) is None:
        return 0
    return _delete(home, table, lambda rows: pc.is_in(rows.column("p_source_id"), value_set=pa.array([source_id])))


def keep_rows(home: Path, table: str, *, sources: Collection[str], without: Collection[str], named: str) -> int:
    """Rewrite the files that hold rows of a source that is in none of `sources`, or whose p_row_id is in `without`.

    Return how many rows went. `named` is the table's name in the catalog. Rows without p_source_id stay: another engine
    added them. A damaged file stays as it is.
    """
    kept, gone = pa.array(sorted(sources), pa.string()), pa.array(sorted(without), pa.string())

    def is_gone(rows: pa.Table) -> pa.ChunkedArray:
        known = rows.column("p_source_id")
        foreign = pc.and_(pc.invert(pc.is_in(known, value_set=kept)), pc.is_valid(known))
        return pc.or_(foreign, pc.is_in(rows.column("p_row_id"), value_set=gone))

    return _delete(home, table, is_gone, named=named, tolerant=True)


def _delete(
    home: Path,
    table: str,
    is_gone: Callable[[pa.Table], pa.ChunkedArray],
    *,
    named: str | None = None,
    tolerant: bool = False,
) -> int:
    """Rewrite the files that hold rows for which `is_gone` is true; those that are damaged stay, if `tolerant`."""
    with translated(table), opened_catalog(home) as catalog:
        loaded = catalog.load_table((NAMESPACE, named or table))
        files = DataFiles(table, loaded.metadata)
        old: list[DataFile] = []
        deleted = 0
        try:
            for task in loaded.scan().plan_files():
                path = local_path(task.file.file_path)
                if tolerant and (damage(path) or undecodable(path)) is not None:
                    continue
                gone = _copy_rest(path, is_gone, files)
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
                # What came may hold such rows too.
                raise LakeUnavailableError(
                    f"{table}: another program committed first; nothing was deleted. Run it again."
                )
            return replacing(loaded, transaction, table, old)

        commit(catalog, files, stage, keep_for=timedelta(0), named=named)
    return deleted


def _copy_rest(path: Path, is_gone: Callable[[pa.Table], pa.ChunkedArray], files: DataFiles) -> int:
    """Copy the rows that stay into `files`, if any row of the file goes; return how many go."""
    with opened(path) as file:
        if not set(file.schema_arrow.names).issuperset(_TELLING):
            return 0
        gone = is_gone(file.read(columns=list(_TELLING), use_threads=False))
        count = int(pc.sum(gone).as_py() or 0)
        for group in range(file.num_row_groups if 0 < count < len(gone) else 0):
            rows = conform(file.read_row_group(group, use_threads=False), files.schema)
            rest = rows.filter(pc.invert(is_gone(rows)))
            if rest.num_rows:
                files.append(by_event_time(rest))
    return count
