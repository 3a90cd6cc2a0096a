"""What is there at one instant: the table's files, and the parts that no commit of the table holds yet."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

from msgspec import Struct

from ocelog.errors import HomeError
from ocelog.lake.catalog.state import TableFile, TableState, TableStates
from ocelog.lake.ports import LakeLedger
from ocelog.model import Part

GRACE = timedelta(minutes=10)
"""How long a part outlives its publishing; no query may take longer."""


class Snapshot(Struct, frozen=True, kw_only=True):
    """Every row exactly once, as of one instant."""

    table: str
    state: TableState | None
    parts: tuple[Part, ...]
    """Those above the table's mark, in sequence order."""
    through: int
    """The last sequence that is in here."""

    @property
    def files(self) -> tuple[TableFile, ...]:
        """The files that the table's commits hold."""
        return self.state.files if self.state is not None else ()


class Snapshots:
    """Takes consistent snapshots of the tables of one home."""

    def __init__(self, home: Path, ledger: LakeLedger | Callable[[], LakeLedger]) -> None:
        # A query on no table takes no snapshot, and needs no ledger.
        self._ledger = ledger if callable(ledger) else lambda: ledger
        self._states = TableStates(home)

    def take(self, table: str) -> Snapshot:
        """Return the present snapshot of `table`.

        The ledger's parts first, then the table: a part published in between is in both, and the mark drops it. The
        other way round it would be in neither. A file of the snapshot may still be removed before it is read: whoever
        meets that takes a new snapshot. Raises HomeError for a lake that another ledger filled, or that lacks rows.
        """
        ledger = self._ledger()
        removed = ledger.removed_through(table)
        parts = ledger.parts(table)
        state = self._states.state(table)
        mark = checked_mark(
            table, (None, 0) if state is None else (state.ledger_id, state.mark), ours=ledger.id, removed=removed
        )
        return Snapshot(
            table=table,
            state=state,
            parts=tuple(part for part in parts if part.sequence > mark),
            through=max(mark, *(part.sequence for part in parts), 0),
        )


def check_lake(home: Path, ledger: LakeLedger, tables: Iterable[str]) -> None:
    """Raise HomeError if a table was filled from another ledger, or lacks rows that were published."""
    states = TableStates(home)
    for table in tables:
        removed = ledger.removed_through(table)
        checked_mark(table, states.mark(table), ours=ledger.id, removed=removed)


def checked_mark(table: str, found: tuple[str | None, int], *, ours: str, removed: int) -> int:
    """Return the table's mark, `found` as (ledger id, sequence), for the ledger `ours`.

    `removed` is what that ledger knew to be published before the mark was read. Raises HomeError for the mark of
    another ledger, and for one below `removed`: those rows were in the table, and are nowhere now.
    """
    theirs, mark = found
    if theirs not in {None, ours}:
        raise HomeError(foreign_mark(table, str(theirs), ours))
    if mark < removed:
        raise HomeError(
            f"The table {table} was published up to part {removed}, but the lake holds it up to part {mark}: the lake "
            "is missing, or older than its ledger. Mount it, or restore HOME/lake and the ledger from one backup. "
            "If it is lost for good, begin with an empty home. Nothing was changed."
        )
    return mark


def foreign_mark(table: str, theirs: str, ours: str) -> str:
    """Say that a table was filled from another ledger."""
    return (
        f"The table {table} was published from the ledger {theirs}, but this home's ledger is {ours}: their parts "
        "cannot be distinguished. Put back the ledger that belongs to this lake (both must be from one backup), or "
        "begin with an empty home."
    )
