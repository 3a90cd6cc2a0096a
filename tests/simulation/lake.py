"""A lake in memory with the real one's order of durable steps, and a point at which others may run between any two.

It passes the suite of the real one: tests/contract/test_lake_port.py.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import pyarrow as pa

from ocelog.errors import LakeUnavailableError
from ocelog.lake.ports import LakeLedger
from ocelog.model import KnownVersions, NewPart, Part
from ocelog.pull.ports import LoadedVersions, OpenRecords
from ocelog.times import to_us

Row = dict[str, Any]
_MAX_LOOKS = 1_000


class MemoryLake:
    """Parts and tables of one home; what is in here survives a crash."""

    def __init__(self, ledger: LakeLedger, yields: Callable[[], None]) -> None:
        self._ledger = ledger
        self._yield = yields
        self.files: dict[str, list[Row]] = {}
        self.tables: dict[str, list[Row]] = {}
        self.marks: dict[str, int] = {}
        self._written: dict[str, pa.Table] = {}

    def write(self, table: str, name: str, rows: pa.Table) -> NewPart:
        """Make a part durable."""
        self._yield()
        path = f"landing/{table}/{name}.parquet"
        if path in self.files:
            raise LakeUnavailableError(f"{path} is written twice")
        listed = rows.to_pylist()
        self.files[path] = listed
        self._written[path] = rows
        self._yield()
        times = [to_us(row["p_cursor_time"]) for row in listed]
        return NewPart(
            table=table,
            path=path,
            rows=len(listed),
            bytes=rows.nbytes,
            min_cursor_us=min(times),
            max_cursor_us=max(times),
        )

    def discard(self, part: NewPart) -> None:
        """Delete a part that never landed."""
        self._yield()
        self.files.pop(part.path, None)

    def load(
        self, table: str, source_id: str, *, since_us: int, until_us: int | None, ids: Collection[str] | None = None
    ) -> LoadedVersions:
        """Return the versions that fit, from one consistent view."""
        rows, through = self.view(table)
        wanted = None if ids is None else set(ids)
        fitting = [
            row
            for row in rows
            if row["p_source_id"] == source_id
            and since_us <= to_us(row["p_cursor_time"])
            and (until_us is None or to_us(row["p_cursor_time"]) <= until_us)
            and (wanted is None or row["id"] in wanted)
        ]
        return LoadedVersions(known=_known(fitting), through=through)

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
        """Return the records that are open by their latest version created in the stretch."""
        rows, through = self.view(table)
        rows = [row for row in rows if row["p_source_id"] == source_id and since_us <= to_us(row[created]) <= until_us]
        rows.sort(key=lambda row: (row["p_version_time"], row["p_observed_at"], row["p_row_id"]))
        latest = {row["id"]: row for row in rows if "status" in row}
        opened = {name: row["p_row_id"] for name, row in latest.items() if row["status"] in statuses}
        few = dict(list(opened.items())[:most])
        known = _known([row for row in rows if row["id"] in few])
        return OpenRecords(rows=few, count=len(opened), known=known, through=through)

    def read(self, parts: Iterable[Part], source_id: str) -> KnownVersions:
        """Return the versions in `parts`."""
        rows: list[Row] = []
        for part in parts:
            self._yield()
            if part.path not in self.files:
                raise LakeUnavailableError(part.path)
            rows += self.files[part.path]
        return _known([row for row in rows if row["p_source_id"] == source_id])

    def part_rows(self, part: Part) -> pa.Table:
        """Return the rows of a part as the file holds them."""
        self._yield()
        if part.path not in self.files:
            raise LakeUnavailableError(part.path)
        return self._written[part.path]

    def load_ids(self, table: str, source_id: str, ids: Collection[str]) -> KnownVersions:
        """Return every version of records."""
        return self.load(table, source_id, since_us=-(2**62), until_us=None, ids=ids).known

    def rows(self, table: str, row_ids: Collection[str], columns: Collection[str]) -> dict[str, Row]:
        """Return some columns of some rows."""
        rows, _ = self.view(table)
        wanted = set(row_ids)
        return {row["p_row_id"]: {c: row.get(c) for c in columns} for row in rows if row["p_row_id"] in wanted}

    def view(self, table: str) -> tuple[list[Row], int]:
        """Return all rows and the last sequence among them: the ledger's parts first, then the table."""
        for _ in range(_MAX_LOOKS):
            parts = self._ledger.parts(table)
            self._yield()
            rows, mark = list(self.tables.get(table, ())), self.marks.get(table, 0)
            waiting = [part for part in parts if part.sequence > mark]
            self._yield()
            if all(part.path in self.files for part in waiting):
                for part in waiting:
                    rows += self.files[part.path]
                return rows, max([mark, *(part.sequence for part in parts)])
        raise AssertionError(f"{table}: a part without a file stays")

    def publish(self, table: str, at_us: int) -> None:
        """Append what waits, rows and mark in one commit, then tell the ledger."""
        seen = self.marks.get(table, 0)
        parts = self._ledger.parts(table, above=seen)
        self._yield()
        rows = [row for part in parts for row in self.files[part.path]]
        if not parts or self.marks.get(table, 0) != seen:
            return
        self.tables.setdefault(table, []).extend(rows)
        self.marks[table] = parts[-1].sequence
        self._yield()
        self._ledger.published(table, parts[-1].sequence, at_us)

    def clean(self, table: str, published_before_us: int) -> None:
        """Remove parts that were published long ago, and files of holders that can never commit them."""
        mark = self.marks.get(table, 0)
        old = [part for part in self._ledger.removable(table, published_before_us) if part.sequence <= mark]
        self._yield()
        # The file first: a file without a row would be found by no one.
        for part in old:
            self.files.pop(part.path, None)
            self._yield()
        self._ledger.forget(table, [part.sequence for part in old])
        names = [path for path in self.files if path.startswith(f"landing/{table}/")]
        self._yield()
        landed, fences = self._ledger.landing_state(table)
        newest = max((int(claim) for claim in fences if claim.isdecimal()), default=0)
        for path in names:
            claim, fence, _ = path.rsplit("/", 1)[1].split("-")
            forgotten = claim.isdecimal() and claim not in fences and int(claim) <= newest
            if path not in landed and (forgotten or int(fence) < fences.get(claim, 0)):
                self.files.pop(path, None)


def _known(rows: list[Row]) -> KnownVersions:
    return KnownVersions(
        ids=[row["id"] for row in rows],
        version_us=[to_us(row["p_version_time"]) for row in rows],
        observed_us=[to_us(row["p_observed_at"]) for row in rows],
        row_ids=[row["p_row_id"] for row in rows],
        versions=[row["p_version"] for row in rows],
    )
