"""How the data files of a table are rewritten whose rows keep in p_extra what has a column by now."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
from msgspec import Struct

from ocelog.errors import HomeError, LakeUnavailableError
from ocelog.lake.catalog.conform import conform
from ocelog.lake.catalog.file_io import local_path
from ocelog.lake.catalog.iceberg import change, check_partitions, file_schema, opened_catalog
from ocelog.lake.catalog.state import NAMESPACE, TableFile, TableStates
from ocelog.lake.read.scan import opened
from ocelog.lake.storage.faults import translated
from ocelog.lake.upkeep.compaction import refusals
from ocelog.lake.write.append import commit, evolve, replacing
from ocelog.lake.write.datafiles import DataFiles, by_event_time
from ocelog.schema.columns.refill import EXTRA, Refill

if TYPE_CHECKING:
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.update.snapshot import _SnapshotProducer

_COLUMN_CHUNKS = 40_000
"""In the one file that is open: see compaction."""


@dataclass(slots=True, kw_only=True)
class ReshapeResult:
    """What was refilled in a table, or would be."""

    table: str
    files: int = 0
    """Data files that were replaced."""
    rows: int = 0
    values: dict[str, int] = field(default_factory=dict)
    """Values that left p_extra, by path: `projects[].owner`."""
    left_alone: dict[str, str] = field(default_factory=dict)
    """Files that have such rows and cannot be rewritten, and why."""


class _FileRefill(Struct, frozen=True, kw_only=True):
    """What was refilled in one file."""

    rows: int = 0
    values: Mapping[str, int] = msgspec.field(default_factory=dict)
    paths: frozenset[str] = frozenset()
    """The files in its place."""


def reshape(
    home: Path,
    table: str,
    schema: pa.Schema,
    refill: Refill,
    *,
    dry_run: bool = False,
    told: Callable[[int, int], None] = lambda _, __: None,
) -> ReshapeResult:
    """Refill the rows of `table` file by file, one commit for each; with `dry_run` only count.

    `told` hears how many files were looked at, of how many. `schema` is the table's present one. Every row stays, with
    its ids and dates. Files that were rewritten stay on disk for at least a day, for whoever reads them. Raises
    LakeUnavailableError and HomeError: what was done until then stays done, and the next call goes on with the rest.
    """
    done = ReshapeResult(table=table)
    states = TableStates(home)
    seen: set[str] = set()
    while (state := states.state(table)) is not None:
        file = next((one for one in state.files if one.path not in seen), None)
        if file is None:
            break
        told(len(seen), len(seen) + sum(one.path not in seen for one in state.files))
        seen.add(file.path)
        try:
            if next(_groups(Path(file.path), refill, [EXTRA]), None) is None:
                continue
            if refused := refusals(state, [file]):
                done.left_alone |= refused
                continue
            found = _reshape_file(home, table, schema, file, refill, dry_run=dry_run)
        except LakeUnavailableError:
            now = states.state(table)
            if now is not None and any(one.path == file.path for one in now.files):
                raise
            # Upkeep, say, put another file in its place, which comes next.
            continue
        if found.rows:
            seen |= found.paths
            done.files += 1
            done.rows += found.rows
            done.values = dict(Counter(done.values) + Counter(found.values))
    told(len(seen), len(seen))
    return done


def _groups(path: Path, refill: Refill, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Yield the row groups of a file that have candidates."""
    with opened(path) as file:
        if EXTRA not in file.schema_arrow.names:
            return
        for group in range(file.num_row_groups):
            extras = file.read_row_group(group, columns=[EXTRA], use_threads=False).column(EXTRA)
            if refill.candidates(extras.to_pylist()):
                yield file.read_row_group(group, columns=columns, use_threads=False)


def _every_group(path: Path) -> Iterator[pa.Table]:
    with opened(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, use_threads=False)


def _reshape_file(
    home: Path, table: str, schema: pa.Schema, file: TableFile, refill: Refill, *, dry_run: bool
) -> _FileRefill:
    """Put another file in the place of one, if something fits in it."""
    path = Path(file.path)
    with translated(table), opened_catalog(home) as catalog:
        loaded = catalog.load_table((NAMESPACE, table))
        check_partitions(loaded, table)
        old = [task.file for task in loaded.scan().plan_files() if local_path(task.file.file_path) == path]
        if not old:
            raise LakeUnavailableError(f"{table}: another program committed first; nothing was changed. Run it again.")
        # The table lacks the new columns if nothing was published since the upgrade.
        files = DataFiles(table, evolve(loaded, change(loaded), schema), max_column_chunks=_COLUMN_CHUNKS)
        columns = file_schema(files.metadata.schema())
        # Counted first: a file in which nothing fits is not written at all.
        rows, values = 0, Counter[str]()
        for group in _groups(path, refill):
            found = refill.refill(conform(group, columns))
            rows += found.changed
            values.update(found.values)
        if dry_run or not rows:
            return _FileRefill(rows=rows, values=values)
        try:
            for group in _every_group(path):
                filled = refill.refill(conform(group, columns)).rows
                files.append(by_event_time(conform(filled, files.schema)))
            files.finish()
            written, expected = (sum(each.record_count for each in some) for some in (files.written, old))
            if written != expected:
                raise HomeError(  # noqa: TRY301 - one way out for what was written
                    f"{table}: {expected} rows should be in {path}, but {written} were read. Nothing was changed. "
                    "Look for damaged files: ocelog status"
                )
        except BaseException:
            files.abandon()
            raise

        def stage(loaded: "Table", transaction: "Transaction") -> "_SnapshotProducer[Any]":
            if evolve(loaded, transaction, schema).schema() != files.metadata.schema():
                raise LakeUnavailableError(f"{table}: another program changed the columns. Run it again.")
            return replacing(loaded, transaction, table, old)

        commit(catalog, files, stage)
        return _FileRefill(rows=rows, values=values, paths=frozenset(map(str, files.paths)))
