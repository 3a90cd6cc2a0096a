"""Where parts are written, and which versions are there already: the lake as pulling uses it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from ocelog.errors import LakeDamagedError, LakeUnavailableError
from ocelog.lake.ports import LakeLedger
from ocelog.lake.read.keys import Keys
from ocelog.lake.read.scan import CURSOR, RowFilter, opened, scan
from ocelog.lake.read.snapshot import Snapshot, Snapshots
from ocelog.lake.storage.checksums import damage, damaged
from ocelog.lake.write.parts import discard, write_part
from ocelog.model import RULE_MATCHES, KnownVersions, NewPart, Part
from ocelog.pull.ports import LoadedVersions, OpenRecords

T = TypeVar("T")

KEY_COLUMNS = ("id", "p_version_time", "p_observed_at", "p_row_id", "p_version")
_HEX = "^[0-9a-f]{32}$"
_NO_VERSIONS = pa.table({name: pa.array([], pa.string()) for name in KEY_COLUMNS})
_OPEN_COLUMNS = (*KEY_COLUMNS, "status")
_EVER_US = 2**62
_MAX_VIEWS = 5
"""A snapshot goes stale when a publish and a removal, at least ten minutes apart, both pass while it is read."""


class FileLake:
    """The lake of one home; fits pull.ports.Lake."""

    def __init__(self, home: Path, ledger: LakeLedger, schemas: Mapping[str, pa.Schema]) -> None:
        self.home = home
        self.schemas = schemas
        self.snapshots = Snapshots(home, ledger)
        self._keys = Keys(home)

    def write(self, table: str, name: str, rows: pa.Table) -> NewPart:
        """Write `landing/<table>/<name>.parquet`; file and directory are on disk when it returns."""
        part = write_part(self.home, table, name, rows)
        if "id" in rows.column_names:
            self._keys.note(self.home / part.path, "id", rows.column("id"))
        return part

    def discard(self, part: NewPart) -> None:
        """Delete a part that never landed."""
        discard(self.home, part.path)

    def load(
        self, table: str, source_id: str, *, since_us: int, until_us: int | None, ids: Collection[str] | None = None
    ) -> LoadedVersions:
        """Return every version with p_cursor_time in [since, until], both included, of `ids` (None: of all)."""
        wanted = RowFilter(
            source_id=source_id,
            since_us=since_us,
            until_us=until_us,
            column=None if ids is None else "id",
            values=ids or (),
        )

        def read(snapshot: Snapshot) -> LoadedVersions:
            return LoadedVersions(known=_known(self._rows(snapshot, wanted, KEY_COLUMNS)), through=snapshot.through)

        return self._settled(table, read)

    def load_open(
        self,
        table: str,
        source_id: str,
        *,
        created: str,
        since_us: int,
        until_us: int,
        statuses: Collection[str],
        most: int,
    ) -> OpenRecords:
        """Return the records whose latest version has one of `statuses`, `most` of them.

        Only versions whose date `created` lies in [since, until], both included, are looked at.
        """
        wanted = RowFilter(source_id=source_id, by=created, since_us=since_us, until_us=until_us)

        def read(snapshot: Snapshot) -> OpenRecords:
            found = map(_versions, self._rows(snapshot, wanted, _OPEN_COLUMNS))
            whole = [rows.select(_OPEN_COLUMNS) for rows in found if set(_OPEN_COLUMNS) <= set(rows.column_names)]
            return _opened(whole, statuses, most, snapshot.through)

        return self._settled(table, read)

    def read(self, parts: Iterable[Part], source_id: str) -> KnownVersions:
        """Return the versions in `parts`. Raises LakeUnavailableError if a file is gone: load again."""
        wanted = RowFilter(source_id=source_id)
        return _known(rows for part in parts for rows in scan(self.home / part.path, wanted, KEY_COLUMNS))

    def part_rows(self, part: Part) -> pa.Table:
        """Return the rows of a part, whose file is compared with its checksum first.

        Raises LakeUnavailableError if it is gone, LakeDamagedError if it is damaged.
        """
        return self._read_part(part, None)

    def part_row_ids(self, part: Part) -> list[str]:
        """Return the p_row_id of each row of a part. Raises as `part_rows` does."""
        found: list[str] = self._read_part(part, ["p_row_id"]).column("p_row_id").to_pylist()
        return found

    def _read_part(self, part: Part, columns: list[str] | None) -> pa.Table:
        path = self.home / part.path
        if (what := damage(path, part.bytes)) is not None:
            raise damaged(path, what)
        with opened(path) as file:
            return file.read(columns, use_threads=False)

    def load_ids(self, table: str, source_id: str, ids: Collection[str]) -> KnownVersions:
        """Return every version of records, from parts and table."""
        return self.load(table, source_id, since_us=-_EVER_US, until_us=None, ids=ids).known

    def rows(self, table: str, row_ids: Collection[str], columns: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return whole values of some columns by p_row_id, from parts and table, as Python values."""
        wanted = RowFilter(column="p_row_id", values=row_ids)
        names = ("p_row_id", *(name for name in columns if name != "p_row_id"))

        def read(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
            listed = [row for rows in self._rows(snapshot, wanted, names) for row in rows.to_pylist()]
            return {row["p_row_id"]: {name: row.get(name) for name in columns} for row in listed}

        return self._settled(table, read) if row_ids else {}

    def matches(
        self,
        rules: Collection[str],
        by: str,
        *,
        since_us: int,
        until_us: int | None = None,
        most_bytes: int | None = None,
    ) -> pa.Table:
        """Return the rows of `rule_matches` of these rules whose date `by` lies in [since, until], both included.

        Where they have more than `most_bytes`, some may be left out, and those that are returned have more than that.
        """
        wanted = RowFilter(by=by, since_us=since_us, until_us=until_us, column="rule_id", values=rules)
        schema = self.schemas[RULE_MATCHES].remove_metadata()

        def read(snapshot: Snapshot) -> pa.Table:
            found, size = list[pa.Table](), 0
            for rows in self._rows(snapshot, wanted, schema.names):
                found.append(rows)
                size += rows.nbytes
                if most_bytes is not None and size > most_bytes:
                    break
            return pa.concat_tables(found, promote_options="permissive") if found else schema.empty_table()

        return self._settled(RULE_MATCHES, read)

    def _rows(self, snapshot: Snapshot, wanted: RowFilter, columns: Collection[str]) -> Iterator[pa.Table]:
        for path in self._candidates(snapshot, wanted):
            yield from scan(path, wanted, tuple(columns))

    def _candidates(self, snapshot: Snapshot, wanted: RowFilter) -> list[Path]:
        """Return the files of `snapshot` that may hold a wanted row."""
        if wanted.by != CURSOR:
            ours = [part for part in snapshot.parts if wanted.source_id in {None, part.source_id}]
            return [*(Path(file.path) for file in snapshot.files), *(self.home / part.path for part in ours)]
        files = [Path(file.path) for file in snapshot.files if wanted.overlaps(file.min_cursor_us, file.max_cursor_us)]
        parts = [
            self.home / part.path
            for part in snapshot.parts
            if wanted.source_id in {None, part.source_id} and wanted.overlaps(part.min_cursor_us, part.max_cursor_us)
        ]
        if wanted.column is None:
            return [*files, *parts]
        everything = [
            *(Path(file.path) for file in snapshot.files),
            *(self.home / part.path for part in snapshot.parts),
        ]
        self._keys.keep(snapshot.table, everything)
        return self._keys.narrowed(snapshot.table, [*files, *parts], wanted.column, wanted.values)

    def _settled(self, table: str, read: Callable[[Snapshot], T]) -> T:
        """Read one snapshot; if a file of it went away meanwhile, its rows are in a newer snapshot."""
        for _ in range(_MAX_VIEWS - 1):
            try:
                return read(self.snapshots.take(table))
            except LakeUnavailableError:
                continue
        try:
            return read(self.snapshots.take(table))
        except LakeUnavailableError as error:
            # Snapshot after snapshot names it: it was not published meanwhile, it is lost.
            raise LakeDamagedError(error.what, table=error.table, todo=error.todo) from error


def _opened(found: list[pa.Table], statuses: Collection[str], most: int, through: int) -> OpenRecords:
    if not any(map(len, found)):
        return OpenRecords(rows={}, count=0, known=_known([]), through=through)
    rows = pa.concat_tables(found)
    order = [(name, "ascending") for name in ("id", "p_version_time", "p_observed_at", "p_row_id")]
    rows = rows.take(pc.sort_indices(rows, order)).combine_chunks()
    ids = rows.column("id")
    # The last row of each id is its latest version.
    last = pa.array([True]) if len(rows) == 1 else pc.not_equal(ids.slice(1), ids.slice(0, len(rows) - 1))
    if len(rows) > 1:
        last = pa.concat_arrays([*last.chunks, pa.array([True])])
    latest = rows.filter(last)
    opened = latest.filter(pc.is_in(latest.column("status"), value_set=pa.array(list(statuses), pa.string())))
    few = opened.slice(0, most)
    versions = rows.filter(pc.is_in(ids, value_set=few.column("id").combine_chunks()))
    return OpenRecords(
        rows=dict(zip(few.column("id").to_pylist(), few.column("p_row_id").to_pylist(), strict=True)),
        count=opened.num_rows,
        known=_known([versions]),
        through=through,
    )


def _known(tables: Iterable[pa.Table]) -> KnownVersions:
    ids: list[str] = []
    version_us: list[int] = []
    observed_us: list[int] = []
    row_ids: list[str] = []
    versions: list[str] = []
    for found in tables:
        rows = _versions(found)
        ids += rows.column("id").to_pylist()
        version_us += rows.column("p_version_time").cast(pa.int64()).to_pylist()
        observed_us += rows.column("p_observed_at").cast(pa.int64()).to_pylist()
        row_ids += rows.column("p_row_id").to_pylist()
        versions += rows.column("p_version").to_pylist()
    return KnownVersions(ids=ids, version_us=version_us, observed_us=observed_us, row_ids=row_ids, versions=versions)


def _versions(rows: pa.Table) -> pa.Table:
    """Return the rows that are versions as Ocelog lands them; another engine may have appended rows of any shape."""
    if not set(KEY_COLUMNS) <= set(rows.column_names):
        return _NO_VERSIONS
    mask = None
    for name in KEY_COLUMNS:
        column = rows.column(name)
        fits = pc.match_substring_regex(column, _HEX) if name in {"p_row_id", "p_version"} else column.is_valid()
        mask = fits if mask is None else pc.and_(mask, fits)
    return rows.filter(mask)
