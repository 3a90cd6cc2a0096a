"""What a table is after the steps of a change so far, made once a step, and not each time that PyIceberg asks for it.

A commit asks some fifteen times, and PyIceberg's own answer is a deep copy of all columns and snapshots.
"""

from typing import Any

from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import update_table_metadata


class Change(Transaction):
    """A transaction that commits just what PyIceberg's own would."""

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self._made: tuple[TableMetadata, tuple[Any, ...], TableMetadata] | None = None
        """From which metadata, by which steps, and what came of it."""

    @property
    def table_metadata(self) -> TableMetadata:
        """The metadata of the table with all steps so far; nobody changes it in place."""
        before, steps = self._table.metadata, self._updates
        if not steps:
            return before
        if self._made is None or self._made[0] is not before or self._made[1] is not steps:
            self._made = before, steps, update_table_metadata(before, steps)
        return self._made[2]
