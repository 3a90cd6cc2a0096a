"""Which files a table has now, and up to which part it holds everything."""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from struct import unpack
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from ocelog.errors import HomeError, LakeDamagedError, LakeUnavailableError, OcelogError
from ocelog.files import read_regular
from ocelog.lake.catalog.file_io import local_path
from ocelog.lake.catalog.manifests import Entry, Manifest, read_entries, read_list
from ocelog.lake.storage.checksums import damaged, read_error, unreadable

NAMESPACE = "ocelog"
CATALOG_NAME = "ocelog"
MARK = "ocelog.published-through"
"""Table property `<ledger id>:<sequence>`. A property, because a snapshot summary goes with the next foreign commit."""


class TableFile(msgspec.Struct, frozen=True, kw_only=True):
    """A Parquet file of a table. The range of p_cursor_time is None if its writer did not note it."""

    path: str
    rows: int
    bytes: int
    min_cursor_us: int | None
    max_cursor_us: int | None
    spec_id: int = 0
    partition: tuple[Any, ...] = ()
    """Its values under the partitioning `spec_id`."""


class TableState(msgspec.Struct, frozen=True, kw_only=True):
    """A table at one commit."""

    table: str
    location: str
    """Path of its metadata file."""
    ledger_id: str | None
    """Whose sequence numbers `mark` counts in; None: nothing was published yet."""
    mark: int
    files: tuple[TableFile, ...]
    schema: Mapping[str, Any]
    """The present schema, as the metadata spells it."""
    spec_id: int = 0
    """The present partitioning."""


def catalog_path(home: Path) -> Path:
    """Return where the catalog of the tables is kept."""
    return home / "lake" / "catalog.db"


def catalog_uri(home: Path) -> str:
    """Return the address of the catalog, whatever characters the home's path has."""
    return f"sqlite:///{quote(str(catalog_path(home)))}"


def parse_mark(text: str | None) -> tuple[str | None, int]:
    """Split a mark into ledger id and sequence."""
    if text is None:
        return None, 0
    ledger_id, _, sequence = text.rpartition(":")
    return ledger_id, int(sequence)


class TableStates:
    """Reads the state of each table, anew only if its metadata has moved, since metadata files never change."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._states: dict[str, TableState] = {}
        self._manifests: dict[str, dict[str, tuple[TableFile, ...]]] = {}

    def state(self, table: str) -> TableState | None:
        """Return the table's state, None if it was never made."""
        location = self.location(table)
        if location is None:
            return None
        known = self._states.get(table)
        if known is None or known.location != location:
            known = self.read_at(table, location)
            self._states[table] = known
        return known

    def mark(self, table: str) -> tuple[str | None, int]:
        """Return whose sequence numbers the table's mark counts in (None: there is no mark), and the mark."""
        location = self.location(table)
        if location is None:
            return None, 0
        return parse_mark(_load(location)["properties"].get(MARK))

    def schema(self, table: str) -> Mapping[str, Any] | None:
        """Return the table's present schema as its metadata spells it, None if the table was never made."""
        location = self.location(table)
        return None if location is None else _present_schema(_load(location))

    def location(self, table: str) -> str | None:
        """Return the path of the table's metadata file, None if the table was never made."""
        path = catalog_path(self._home)
        if not path.exists():
            self._refuse_lost(table)
            return None
        if not path.is_file():
            raise damaged(path, "(the catalog of the lake) is not a regular file")
        try:
            try:
                row = _row(path, table, mode="ro")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
                    raise
                # SQLite rolls the journal of a killed writer back by itself, if it may write.
                row = _row(path, table, mode="rw")
        except sqlite3.DatabaseError as error:
            raise catalog_error(path, error) from error
        if row is None:
            self._refuse_lost(table)
            return None
        return self._inside(row)

    def _refuse_lost(self, table: str) -> None:
        """Refuse a table that the catalog does not name although its files are there: the catalog was lost."""
        data = self._home / "lake" / "warehouse" / NAMESPACE / table / "data"
        if next(data.rglob("*.parquet"), None) is not None:
            what = "does not name this table" if catalog_path(self._home).exists() else "is missing"
            # No backup holds it: a restore makes one for the new place.
            raise LakeDamagedError(
                f"{catalog_path(self._home)} (the catalog of the lake) {what}, but {data} has files.",
                todo="Run: ocelog repair",
            )

    def _inside(self, location: str) -> str:
        path = local_path(location)
        if not path.is_relative_to(self._home):
            made = str(path).split("/lake/warehouse/", maxsplit=1)[0]
            raise HomeError(
                f"This home was moved: the lake was made in {made}, and its files are listed by their full paths, but "
                f"the home is {self._home} now. Move it back, or put a symbolic link at {made} and set "
                f"OCELOG_HOME={made}."
            )
        return str(path)

    def read_at(self, table: str, location: str) -> TableState:
        """Return the state that a metadata file tells. Raises LakeDamagedError."""
        metadata = _load(location)
        ledger_id, mark = parse_mark(metadata["properties"].get(MARK))
        return TableState(
            table=table,
            location=location,
            ledger_id=ledger_id,
            mark=mark,
            files=tuple(self._files(table, metadata)),
            spec_id=metadata["default-spec-id"],
            schema=_present_schema(metadata),
        )

    def _files(self, table: str, metadata: Mapping[str, Any]) -> Iterator[TableFile]:
        current = metadata.get("current-snapshot-id")
        if current in {None, -1}:
            return
        with readable(metadata["location"]):
            snapshot = next(s for s in metadata["snapshots"] if s["snapshot-id"] == current)
        cursor_field = _field_id(metadata, "p_cursor_time")
        before, now = self._manifests.get(table, {}), dict[str, tuple[TableFile, ...]]()
        with readable(snapshot["manifest-list"]):
            manifests = read_list(snapshot["manifest-list"])
        for manifest in manifests:
            if not manifest.of_data:
                raise HomeError(_foreign(table, "holds delete files"))
            known = before.get(manifest.path)
            if known is None:
                with readable(manifest.path):
                    entries = list(read_entries(manifest))
                known = tuple(_table_file(table, entry, manifest, cursor_field) for entry in entries)
            now[manifest.path] = known
            yield from known
        # Only those of the present snapshot: each publish adds one.
        self._manifests[table] = now


def catalog_connection(path: Path, *, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    """Open the catalog at `path`, which is there, and wait for the commit of another engine."""
    return sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=10)


def catalog_error(path: Path, error: sqlite3.Error) -> OcelogError:
    """Sort what SQLite said about the catalog at `path`: only a damaged one is a LakeDamagedError."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return damaged(path, f"(the catalog of the lake) is damaged: {error}")
    if code & 0xFF == sqlite3.SQLITE_CANTOPEN and not os.access(path, os.R_OK):
        return unreadable(path)
    if code == sqlite3.SQLITE_READONLY_ROLLBACK:
        return HomeError(
            f"{path} (the catalog of the lake) was left amid a write, by a process that was killed: its owner must "
            "run a command first, such as `ocelog status`."
        )
    return LakeUnavailableError(f"{path} (the catalog of the lake): {error}. Run it again.")


def _row(path: Path, table: str, *, mode: Literal["ro", "rw"]) -> str | None:
    """Return where the catalog says that the metadata of `table` is, None if it names none."""
    with closing(catalog_connection(path, mode=mode)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'iceberg_tables'").fetchone():
            return None
        found = connection.execute(
            "SELECT metadata_location FROM iceberg_tables"
            " WHERE catalog_name = ? AND table_namespace = ? AND table_name = ?",
            (CATALOG_NAME, NAMESPACE, table),
        ).fetchone()
    return found and str(found[0])


def _load(location: str) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = json.loads(read_regular(location))
    except FileNotFoundError as error:
        raise damaged(location, "(metadata of the table) is missing") from error
    except (OSError, ValueError) as error:
        raise read_error(location, error) from error
    if not isinstance(loaded, dict) or "properties" not in loaded or "schemas" not in loaded:
        raise damaged(location, "is not metadata of a table")
    return loaded


@contextmanager
def readable(location: str) -> Iterator[None]:
    """Say which metadata file is lost or damaged if reading it raises anything within the block."""
    path = local_path(location)
    try:
        yield
    except OcelogError:
        raise
    except FileNotFoundError as error:
        raise damaged(path, "(metadata of the table) is missing") from error
    except Exception as error:
        # Whatever a decoder trips over first: lengths, marks, types, memory.
        raise read_error(path, error) from error


def _present_schema(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(s for s in metadata["schemas"] if s["schema-id"] == metadata["current-schema-id"])
    return found


def _field_id(metadata: Mapping[str, Any], name: str) -> int:
    found = [f["id"] for schema in metadata["schemas"] for f in schema["fields"] if f["name"] == name]
    return int(found[-1])


def _table_file(table: str, file: Entry, manifest: Manifest, cursor_field: int) -> TableFile:
    if file.format != "PARQUET":
        raise HomeError(_foreign(table, f"holds a file that is not Parquet, {file.path}"))
    return TableFile(
        path=str(local_path(file.path)),
        rows=file.rows,
        bytes=file.size,
        min_cursor_us=_bound(file.lower, cursor_field),
        max_cursor_us=_bound(file.upper, cursor_field),
        spec_id=manifest.spec_id,
        partition=file.partition,
    )


def _bound(bounds: Mapping[int, bytes], field: int) -> int | None:
    found = bounds.get(field)
    return None if found is None else int(unpack("<q", found)[0])


def _foreign(table: str, what: str) -> str:
    return (
        f"The table {table} {what}, which another engine wrote. Ocelog reads only tables of plain Parquet rows: have "
        f"that engine rewrite the table (in Spark: CALL system.rewrite_data_files with delete-file-threshold 1)."
    )
