"""How waiting parts become rows of an Iceberg table, each exactly once; `app/loops/publishing` says when."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from msgspec import Struct

from ocelog.errors import LakeDamagedError
from ocelog.lake.catalog.state import TableStates
from ocelog.lake.ports import LakeLedger
from ocelog.lake.read.snapshot import checked_mark
from ocelog.lake.write.append import append
from ocelog.lake.write.damage import sound_parts
from ocelog.model import Part

_COMMIT_BYTES = 512 * 1024 * 1024
"""Parts in one commit; what waits beyond goes into the next."""


class PublishResult(Struct, frozen=True, kw_only=True):
    """What one call brought into a table."""

    table: str
    parts: int = 0
    rows: int = 0
    through: int = 0
    """The table's mark now."""


class Publisher:
    """The one holder that appends to the tables of a home."""

    def __init__(self, home: Path, ledger: LakeLedger, schemas: Mapping[str, pa.Schema]) -> None:
        self._home = home
        self._ledger = ledger
        self._schemas = schemas
        self._states = TableStates(home)

    def reconcile(self) -> None:
        """Raise the ledger's counters to the tables' marks; call this before anything lands.

        A ledger that was restored from a copy would give out again the numbers of parts that are published, and
        theirs would look published before they are. Raises HomeError for a lake that another ledger filled, or that
        lacks rows which were published. A table that is damaged is left out: nothing lands in it before it is repaired.
        """
        for table in self._schemas:
            try:
                mark = self._mark(table)
            except LakeDamagedError:
                continue
            if self._ledger.counter(table) < mark:
                self._ledger.raise_counter(table, mark)

    def publish(self, table: str, *, went_on: Callable[[], None] = lambda: None) -> PublishResult:
        """Append everything that waits; when it is time for that, `is_time` in `app/loops/publishing` says.

        `went_on` is called with each commit.
        Raises LakeUnavailableError when another commit came first: nothing was appended, and the same call works.
        """
        mark = self._mark(table)
        parts = self._ledger.parts(table)
        if any(part.sequence <= mark for part in parts):
            # Perhaps a crash came between a commit and the ledger's note of it; a note that is there stays.
            self._ledger.published(table, mark, _now_us())
        # A commit on top of metadata that cannot be read would bury what is lost.
        self._states.state(table)
        waiting = sound_parts(self._home, self._ledger, [part for part in parts if part.sequence > mark])
        done = PublishResult(table=table, through=mark)
        for some in _commits(waiting):
            rows = append(self._home, table, self._schemas[table], some, ledger_id=self._ledger.id)
            self._ledger.published(table, some[-1].sequence, _now_us())
            went_on()
            done = PublishResult(
                table=table, parts=done.parts + len(some), rows=done.rows + rows, through=some[-1].sequence
            )
        return done

    def _mark(self, table: str) -> int:
        removed = self._ledger.removed_through(table)
        return checked_mark(table, self._states.mark(table), ours=self._ledger.id, removed=removed)


def _commits(waiting: Sequence[Part]) -> Iterator[list[Part]]:
    """Cut what waits into commits of bounded size."""
    some: list[Part] = []
    for part in waiting:
        if some and sum(one.bytes for one in some) + part.bytes > _COMMIT_BYTES:
            yield some
            some = []
        some.append(part)
    if some:
        yield some


def _now_us() -> int:
    return time.time_ns() // 1000
