"""How a lost file of the lake is remembered."""

from sqlalchemy import Connection, RowMapping, delete, insert, select

from ocelog.ledger import tables
from ocelog.ledger.database.dialects import bounded
from ocelog.model import GivenUp

_g = tables.given_up.c


def note(tx: Connection, lost: GivenUp) -> None:
    """Remember a lost file; one that is known already, and not repaired, stays as it is."""
    known = tx.execute(select(_g.repaired_us).where(_g.path == lost.path)).one_or_none()
    if known is not None and known.repaired_us is None:
        return
    tx.execute(delete(tables.given_up).where(_g.path == lost.path))
    values = {
        "path": lost.path,
        "table_name": lost.table,
        "sequence": lost.sequence,
        "source_id": lost.source_id,
        "rows": lost.rows,
        "bytes": lost.bytes,
        "min_cursor_us": lost.min_cursor_us,
        "max_cursor_us": lost.max_cursor_us,
        "reason": bounded(lost.reason),
        "noticed_us": lost.noticed_us,
        "repaired_us": lost.repaired_us,
    }
    tx.execute(insert(tables.given_up).values(values))


def lost_of(row: RowMapping) -> GivenUp:
    """Read a row of `given_up` as a value."""
    return GivenUp(
        table=row["table_name"],
        path=row["path"],
        reason=row["reason"],
        noticed_us=row["noticed_us"],
        sequence=row["sequence"],
        source_id=row["source_id"],
        rows=row["rows"],
        bytes=row["bytes"],
        min_cursor_us=row["min_cursor_us"],
        max_cursor_us=row["max_cursor_us"],
        repaired_us=row["repaired_us"],
    )
