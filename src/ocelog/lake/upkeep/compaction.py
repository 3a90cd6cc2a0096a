"""How the many small files that publishing leaves become few, so that reading a table costs the same for years."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from ocelog.errors import HomeError, LakeUnavailableError, without_number
from ocelog.lake.catalog.conform import conform
from ocelog.lake.catalog.file_io import local_path
from ocelog.lake.catalog.iceberg import check_partitions, file_schema, opened_catalog
from ocelog.lake.catalog.state import NAMESPACE, TableFile, TableState
from ocelog.lake.read.quoting import quoted
from ocelog.lake.read.sql import rows_of_files
from ocelog.lake.storage.checksums import damage
from ocelog.lake.storage.faults import translated
from ocelog.lake.upkeep.engine import engine_that_spills
from ocelog.lake.write.append import commit, replacing
from ocelog.lake.write.datafiles import DataFiles

if TYPE_CHECKING:
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.update.snapshot import _SnapshotProducer

FULL_BYTES = 128_000_000
"""No file is made larger; one of half this size is left as it is."""
_MOST_FILES = 100
"""Read at once: each costs the engine some 400 kB."""
_MEMORY_MB = 256
_GROUP_ROWS = 40_000
_GROUP_BYTES = 16_000_000
"""Rows that are sorted together in a file, decoded: what a reader skips or reads as a whole."""
_COLUMN_CHUNKS = 40_000
"""In the one file that is open; each is remembered with a kilobyte."""


class Policy(Struct, frozen=True, kw_only=True):
    """When files are rewritten: at least so many at once, the largest at most `ratio` times the others together."""

    least: int
    ratio: int


BUSY = Policy(least=8, ratio=1)
"""For a partition that still grows: a row is rewritten each time that its file at least doubles."""
QUIET = Policy(least=2, ratio=8)
"""For one that does not: hardly more than one file is left, and a late row does not rewrite a large one."""


def groups(files: Iterable[TableFile], policy: Policy) -> list[list[TableFile]]:
    """Return which files of one partition should become one.

    From the smallest on, a file joins while it has at most `ratio` times the rows of those before it. So what stays
    grows from file to file: there are as many files as a logarithm of the rows, and a row is rewritten as often.
    """
    small = sorted((file for file in files if file.bytes < FULL_BYTES // 2), key=lambda file: (file.rows, file.path))
    found: list[list[TableFile]] = []
    while small:
        sizes = accumulate(file.bytes for file in small[:_MOST_FILES])
        most = sum(size <= FULL_BYTES for size in sizes)
        rows = taken = 0
        for place, file in enumerate(small[:most]):
            if not place or file.rows <= policy.ratio * rows:
                taken = place + 1
            rows += file.rows
        if taken < max(policy.least, 2):
            break
        found.append(small[:taken])
        small = small[taken:]
    return found


def by_partition(files: Iterable[TableFile]) -> Iterator[tuple[tuple[Any, ...], list[TableFile]]]:
    """Yield the files of each partition."""

    def key(file: TableFile) -> tuple[int, str]:
        return file.spec_id, repr(file.partition)

    for _, some in groupby(sorted(files, key=key), key):
        listed = list(some)
        yield (listed[0].spec_id, *listed[0].partition), listed


def rewrite(home: Path, table: str, paths: Collection[str]) -> int:
    """Put one file, sorted by p_event_time, in the place of the data files at `paths`; return how many rows it has.

    All of them are of one partition, and none is among the `refusals`. Every row and value stays as it is, those of
    other engines too. The old files stay on disk for at least a day, for whoever reads them. Raises
    LakeUnavailableError if another commit took one of them out of the table meanwhile, HomeError if rows are
    missing in them; nothing changed then.
    """
    with translated(table), opened_catalog(home) as catalog:
        loaded = catalog.load_table((NAMESPACE, table))
        check_partitions(loaded, table)
        old = [task.file for task in loaded.scan().plan_files() if str(local_path(task.file.file_path)) in paths]
        if len(old) != len(paths):
            raise LakeUnavailableError(f"{table}: another program committed first; nothing was changed. Run it again.")
        schema = file_schema(loaded.metadata.schema())
        files = DataFiles(table, loaded.metadata, max_column_chunks=_COLUMN_CHUNKS)
        try:
            for rows in sorted_rows(home, schema, [str(local_path(file.file_path)) for file in old]):
                files.append(rows)
            files.finish()
            written, expected = sum(f.record_count for f in files.written), sum(f.record_count for f in old)
            if written != expected:
                raise HomeError(  # noqa: TRY301 - one way out for what was written
                    f"{table}: {expected} rows should be in {len(old)} files, but {written} were read. Nothing was "
                    "changed. Look for damaged files: ocelog status"
                )
        except BaseException:
            files.abandon()
            raise

        def stage(loaded: "Table", transaction: "Transaction") -> "_SnapshotProducer[Any]":
            if loaded.metadata.schema() != files.metadata.schema():
                raise LakeUnavailableError(f"{table}: another program changed the columns. Run it again.")
            return replacing(loaded, transaction, table, old)

        commit(catalog, files, stage)
        return written


def refusals(state: TableState, files: Iterable[TableFile]) -> dict[str, str]:
    """Say for each of `files` whose rows would not be the same after they were read by name why that is so, by path.

    Those are files that another engine wrote under other names, types or partitions, and files that are damaged.
    """
    from pyiceberg.schema import Schema  # noqa: PLC0415 - slow to import

    schema = file_schema(Schema.model_validate(state.schema))
    found = dict[str, str]()
    for file in files:
        # The engine that copies the rows would not notice flipped bits, and give them a checksum that holds.
        what = damage(Path(file.path), file.bytes)
        try:
            reason = what or _difference(list(pq.read_schema(file.path)), list(schema))
        except (OSError, pa.ArrowException) as error:
            reason = f"it cannot be read: {without_number(error)}"
        if file.spec_id != state.spec_id:
            reason = "another engine wrote it under other partitions"
        if reason is not None:
            found[file.path] = reason
    return found


def _difference(fields: Sequence[pa.Field], wanted: Sequence[pa.Field], within: str = "") -> str | None:
    """Say why a file with `fields` cannot be read by name as a table with the columns `wanted`; None: it can."""
    known = {field.name: field for field in wanted}
    for field in fields:
        name = within + field.name
        target = known.get(field.name)
        if target is None:
            return f"the table has no column {name} any more"
        if _field_id(field) != _field_id(target):
            return f"the column {name} was renamed, or carries no Iceberg id"
        if found := _type_difference(field.type, target.type, name):
            return found
    return None


def _type_difference(found: pa.DataType, wanted: pa.DataType, name: str) -> str | None:
    if pa.types.is_struct(wanted) and pa.types.is_struct(found):
        fields, targets = ([kind.field(i) for i in range(kind.num_fields)] for kind in (found, wanted))
        return _difference(fields, targets, f"{name}.")
    if _is_list(wanted) and _is_list(found):
        element, target = found.value_field, wanted.value_field
        if _field_id(element) != _field_id(target):
            return f"the elements of {name} carry another Iceberg id"
        return _type_difference(element.type, target.type, name)
    if _is_text(found) and _is_text(wanted):
        return None
    plain = pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_timestamp, pa.types.is_date
    if any(same(wanted) and same(found) for same in plain):
        return None
    return f"the column {name} is a {found}"


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _field_id(field: pa.Field) -> bytes | None:
    found: bytes | None = (field.metadata or {}).get(b"PARQUET:field_id")
    return found


def sorted_rows(home: Path, schema: pa.Schema, paths: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the rows of some data files in the order of p_event_time, as many at once as belong together in a file.

    Memory is bounded: what does not fit is sorted on disk.
    """
    columns = ", ".join(quoted(name) for name in schema.names)
    with engine_that_spills(home, memory_mb=_MEMORY_MB) as engine:
        rows = f"SELECT {columns} FROM ({rows_of_files(schema, paths)}) ORDER BY p_event_time"  # noqa: S608 - quoted
        try:
            yield from _together(engine.sql(rows).to_arrow_reader(2_000), schema)
        except duckdb.Error as error:
            raise LakeUnavailableError(
                f"{paths[0]} and others could not be rewritten: {error}. Run it again."
            ) from error


def _together(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    some: list[pa.Table] = []
    rows = size = 0
    for batch in batches:
        read = conform(pa.Table.from_batches([batch]), schema)
        some.append(read)
        rows += read.num_rows
        size += read.nbytes
        if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
            yield pa.concat_tables(some)
            some, rows, size = [], 0, 0
    if some:
        yield pa.concat_tables(some)
