"""How a table goes on whose catalog, metadata or data files are lost, with every row that can still be read.

A table that can be read is never rebuilt. One that cannot goes back to its newest whole metadata; if that lacks rows
which were published, or there is none, the table is made again from the data files that are there, each row once.
"""

import json
import os
import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct

from ocelog.errors import HomeError, LakeDamagedError, LakeUnavailableError, OcelogError
from ocelog.files import read_regular
from ocelog.lake.catalog.conform import conform, covers
from ocelog.lake.catalog.file_io import local_path
from ocelog.lake.catalog.iceberg import file_schema, open_table, opened_catalog, optional, table_location
from ocelog.lake.catalog.state import (
    CATALOG_NAME,
    MARK,
    NAMESPACE,
    TableStates,
    catalog_connection,
    catalog_error,
    catalog_path,
    parse_mark,
)
from ocelog.lake.read.scan import opened, undecodable
from ocelog.lake.storage.checksums import damage, read_error, unreadable
from ocelog.lake.storage.faults import translated
from ocelog.lake.upkeep.purge import keep_rows
from ocelog.lake.write.append import commit, replacing
from ocelog.lake.write.datafiles import DataFiles
from ocelog.model import Part

if TYPE_CHECKING:
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.update.snapshot import _SnapshotProducer

_DRAFT = "__repair"
"""Ends the name under which a table is made again; it takes its own name when it is whole."""


class Candidate(Struct, frozen=True, kw_only=True):
    """Metadata of a table that can be parsed."""

    location: Path
    ledger_id: str | None
    mark: int
    updated_ms: int
    rows: int | None
    """How many rows its snapshot holds, as it says itself; None: it does not say."""
    whole: bool
    """Whether all that it names is there, and the metadata among it can be read."""


class Rebuilt(Struct, frozen=True, kw_only=True):
    """A table that was made again."""

    rows: int
    lost: tuple[str, ...]
    """Data files that could not be read, with what is wrong."""


def catalog_is_whole(home: Path) -> bool:
    """Tell whether the catalog can be read, or was never made.

    Raises HomeError if this user may not read it, and LakeUnavailableError if another engine holds it or the disk
    fails: that is not damage.
    """
    path = catalog_path(home)
    if path.exists() and not os.access(path, os.R_OK, effective_ids=True):
        raise unreadable(path)
    if not path.exists():
        return not any((home / "lake" / "warehouse" / NAMESPACE).glob("*/data/**/*.parquet"))
    if not path.is_file():
        return False
    try:
        with closing(catalog_connection(path, mode="rw")) as connection:
            (answer,) = connection.execute("PRAGMA quick_check").fetchone()
            connection.execute("SELECT count(*) FROM iceberg_tables").fetchone()
    except sqlite3.DatabaseError as error:
        if _is_damage(error):
            return False
        raise catalog_error(path, error) from error
    return bool(answer == "ok")


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    # SQLITE_ERROR: the table is missing, or is another one.
    code = getattr(error, "sqlite_errorcode", 0)
    return code == sqlite3.SQLITE_ERROR or code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def begin_catalog(home: Path, tables: Collection[str]) -> None:
    """Make a new catalog of the tables that can still be told from the damaged one, which is kept beside it.

    Raises LakeUnavailableError, before anything changes, if another engine holds the damaged one, or
    this process has run out of memory or open files.
    """
    path = catalog_path(home)
    sound = dict[str, str]()
    with _held(path) as named:
        for table in tables:
            location = named.get(table)
            if isinstance(location, str) and location.startswith(str(table_location(home, table))):
                with suppress(LakeDamagedError, HomeError):
                    TableStates(home).read_at(table, location)
                    sound[table] = location
        # Its journal would be taken for that of the new one.
        kept = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        for each in path.parent.glob(f"{path.name}*"):
            if ".damaged-" not in each.name:
                each.rename(each.with_name(f"{each.name}.damaged-{kept}"))
    with opened_catalog(home) as catalog:
        catalog.create_namespace_if_not_exists(NAMESPACE)
    for table, location in sound.items():
        point(home, table, location)


@contextmanager
def _held(path: Path) -> Iterator[Mapping[str, Any]]:
    """Let no other engine commit within the block, and yield where the metadata of each table is said to be.

    Of a file that is not a database any more, nothing can be read and nothing can be held.
    """
    named = dict[str, Any]()
    if not path.is_file():
        yield named
        return
    with closing(catalog_connection(path, mode="rw")) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
            for name, location in connection.execute("SELECT table_name, metadata_location FROM iceberg_tables"):
                named[name] = location
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise catalog_error(path, error) from error
        yield named


def candidates(home: Path, table: str) -> list[Candidate]:
    """Return the metadata files of a table that can be parsed, the newest first.

    Raises HomeError if this user may not read one, LakeUnavailableError if this process has run out of memory or open
    files.
    """
    found = list[Candidate]()
    for path in (table_location(home, table) / "metadata").glob("*.metadata.json"):
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            try:
                metadata: Mapping[str, Any] = json.loads(read_regular(path))
            except FileNotFoundError:
                continue
            except OSError as error:
                # What is not damaged may be the newest.
                if not isinstance(sorted_out := read_error(path, error), LakeDamagedError):
                    raise sorted_out from error
                raise
            ledger_id, mark = parse_mark(metadata["properties"].get(MARK))
            try:
                state = TableStates(home).read_at(table, str(path))
                whole = all(Path(file.path).exists() for file in state.files)
            except LakeUnavailableError:
                raise
            except (OcelogError, StopIteration, RuntimeError):
                whole = False
            current = metadata.get("current-snapshot-id")
            said = [each["summary"] for each in metadata.get("snapshots") or () if each["snapshot-id"] == current]
            found.append(
                Candidate(
                    location=path,
                    ledger_id=ledger_id,
                    mark=mark,
                    updated_ms=int(metadata["last-updated-ms"]),
                    rows=int(said[0]["total-records"]) if said and "total-records" in said[0] else None,
                    whole=whole,
                )
            )
    return sorted(found, key=lambda each: (each.mark, each.updated_ms), reverse=True)


def point(home: Path, table: str, location: str, *, named: str | None = None) -> None:
    """Let the catalog name `location` as the metadata of `table`, in one transaction; of its draft, if so `named`."""
    with translated(table), opened_catalog(home) as catalog:
        catalog.create_namespace_if_not_exists(NAMESPACE)
    with translated(table), closing(catalog_connection(catalog_path(home), mode="rw")) as connection, connection:
        names = (table, table + _DRAFT) if named is None else (named, named)
        connection.execute(
            "DELETE FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ? AND table_name IN (?, ?)",
            (CATALOG_NAME, NAMESPACE, *names),
        )
        connection.execute(
            "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type)"
            " VALUES (?, ?, ?, ?, 'TABLE')",
            (CATALOG_NAME, NAMESPACE, named or table, location),
        )


def go_back(home: Path, table: str, location: str, *, waiting: Sequence[Part], sources: Collection[str]) -> int:
    """Let `location` be the metadata of `table` again, without the rows that must not come back; return how many.

    Those are the rows of a source that is in none of `sources`: it was purged since. And those that are in parts
    `waiting` above the mark: a source that was purged and added again has landed them anew. In one step: the table is
    never there with them.
    """
    draft = table + _DRAFT
    point(home, table, location, named=draft)
    gone = keep_rows(home, table, sources=sources, without=_row_ids(home, waiting), named=draft)
    with translated(table), opened_catalog(home) as catalog:
        made = catalog.load_table((NAMESPACE, draft)).metadata_location
    point(home, table, str(local_path(made)))
    return gone


def _row_ids(home: Path, parts: Sequence[Part]) -> set[str]:
    """Return the row ids in those of `parts` that can be read."""
    found = set[str]()
    for part in parts:
        with suppress(OcelogError), opened(home / part.path) as file:
            found.update(file.read(columns=["p_row_id"], use_threads=False).column(0).to_pylist())
    return found


def rebuild(
    home: Path,
    table: str,
    schema: pa.Schema,
    *,
    mark: tuple[str, int],
    waiting: Sequence[Part],
    sources: Collection[str],
) -> Rebuilt:
    """Make `table` anew from the data files in its folder, with `mark` as (ledger id, sequence).

    Each row is taken once, by its p_row_id; not those that the parts `waiting` above the mark hold, nor those of a
    source that is in none of `sources`: it was purged. The old files become leftovers.
    """
    lost = list[str]()
    seen = _row_ids(home, waiting)
    whole = list[Path]()
    for path in sorted((table_location(home, table) / "data").rglob("*.parquet")):
        what = damage(path) or undecodable(path)
        if what is None:
            whole.append(path)
        else:
            lost.append(f"{path} {what}")
    with translated(table), opened_catalog(home) as catalog:
        draft = table + _DRAFT
        with closing(catalog_connection(catalog_path(home), mode="rw")) as connection, connection:
            connection.execute("DELETE FROM iceberg_tables WHERE table_name = ?", (draft,))
        loaded = open_table(catalog, home, table, schema, named=draft)
        with loaded.transaction() as widening:
            _widen(widening, whole)
        files = DataFiles(table, loaded.metadata)
        rows = 0
        try:
            for path in whole:
                for some in _fresh(path, files.schema, seen, sources):
                    files.append(some)
                    rows += some.num_rows
            files.finish()
        except BaseException:
            files.abandon()
            raise

        def stage(_: "Table", transaction: "Transaction") -> "_SnapshotProducer[Any]":
            return transaction.update_snapshot(snapshot_properties={MARK: f"{mark[0]}:{mark[1]}"}).merge_append()

        commit(catalog, files, stage, named=draft)
        location = loaded.refresh().metadata_location
    point(home, table, str(local_path(location)))
    return Rebuilt(rows=rows, lost=tuple(lost))


def _widen(transaction: "Transaction", paths: Sequence[Path]) -> None:
    """Add the columns that some of the files have and the table lacks."""
    known = set[str]()
    for path in paths:
        # Without the column numbers of the table that they were written for.
        wanted = pa.schema([_plain(field) for field in optional(pq.read_schema(path))])
        if str(wanted) not in known and not covers(file_schema(transaction.table_metadata.schema()), wanted):
            with transaction.update_schema() as update:
                update.union_by_name(wanted)
        known.add(str(wanted))


def _plain(field: pa.Field) -> pa.Field:
    kind = field.type
    if pa.types.is_struct(kind):
        kind = pa.struct([_plain(kind.field(index)) for index in range(kind.num_fields)])
    elif pa.types.is_list(kind):
        kind = pa.list_(_plain(kind.value_field))
    return pa.field(field.name, kind)


def _fresh(path: Path, schema: pa.Schema, seen: set[str], sources: Collection[str]) -> Iterator[pa.Table]:
    """Yield the rows of a file that are to be kept and were not met before, and note them as met."""
    with opened(path) as file:
        for group in range(file.num_row_groups):
            rows = conform(file.read_row_group(group, use_threads=False), schema)
            names = rows.column("p_row_id").to_pylist()
            fresh = [name is None or name not in seen for name in names]
            known = pc.or_(
                pc.is_in(rows.column("p_source_id"), value_set=pa.array(sorted(sources), pa.string())),
                pc.is_null(rows.column("p_source_id")),
            )
            kept = rows.filter(pc.and_(pa.array(fresh, pa.bool_()), known))
            seen.update(name for name in names if name is not None)
            if kept.num_rows:
                yield kept


def drop_files(home: Path, table: str, paths: Collection[str]) -> int:
    """Take lost data files out of `table` in one commit; the mark stays. Return how many the table named.

    Raises LakeUnavailableError when another commit came first; nothing changed then.
    """
    with translated(table), opened_catalog(home) as catalog:
        loaded = catalog.load_table((NAMESPACE, table))
        gone = [task.file for task in loaded.scan().plan_files() if str(local_path(task.file.file_path)) in paths]
        if not gone:
            return 0

        def stage(loaded: "Table", transaction: "Transaction") -> "_SnapshotProducer[Any]":
            return replacing(loaded, transaction, table, gone)

        commit(catalog, DataFiles(table, loaded.metadata), stage)
    return len(gone)
