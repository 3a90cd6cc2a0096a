"""What is there at one instant: the table's files, and the parts that no commit of the table holds yet."""

from dataclasses import dataclass
from pathlib import Path

from ocelog.errors import HomeError
from ocelog.lake.ports import LakeLedger
from ocelog.lake.state import TableFile, TableState, TableStates
from ocelog.model import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
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


class Views:
    """Takes consistent views of the tables of one home."""

    def __init__(self, home: Path, ledger: LakeLedger) -> None:
        self._ledger = ledger
        self._states = TableStates(home)

    def take(self, table: str) -> View:
        """Return the present view of `table`.

        The ledger's parts first, then the table: a part published in between is in both, and the mark drops it. The
        other way round it would be in neither. A file of the view may still be removed before it is read: whoever
        meets that takes a new view.
        """
        parts = self._ledger.parts(table)
        state = self._states.state(table)
        mark = self._mark(state)
        return View(
            table=table,
            state=state,
            parts=tuple(part for part in parts if part.sequence > mark),
            through=max(mark, *(part.sequence for part in parts), 0),
        )

    def _mark(self, state: TableState | None) -> int:
        if state is None or state.ledger_id is None:
            return 0
        if state.ledger_id != self._ledger.id:
            raise HomeError(foreign_mark(state.table, state.ledger_id, self._ledger.id))
        return state.mark


def foreign_mark(table: str, theirs: str, ours: str) -> str:
    """Say that a table was filled from another ledger."""
    return (
        f"The table {table} was published from the ledger {theirs}, but this home's ledger is {ours}: their parts "
        "cannot be told apart. Bring back the ledger that belongs to this lake (a backup is good only as a whole), or "
        "begin with an empty home."
    )
