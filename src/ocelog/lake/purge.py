"""How every row of one source leaves a table."""

from pathlib import Path

from ocelog.lake.faults import translated
from ocelog.lake.iceberg import opened_catalog
from ocelog.lake.state import MARK, NAMESPACE, TableStates


def delete_rows(home: Path, table: str, source_id: str) -> None:
    """Delete the rows of a source from `table` in one commit, which carries the mark on.

    Older snapshots name them until they expire. Raises LakeUnavailableError when another commit came first.
    """
    if TableStates(home).location(table) is None:
        return
    with translated(table), opened_catalog(home) as catalog:
        loaded = catalog.load_table((NAMESPACE, table))
        mark = loaded.properties.get(MARK)
        # A source's id is of letters, digits and hyphens: nothing in it needs quoting.
        loaded.delete(f"p_source_id == '{source_id}'", snapshot_properties={MARK: mark} if mark else {})
