"""What is wrong with each table of the lake at the moment, for `ocelog status` to tell."""

from sqlalchemy import Connection, delete, insert, select, update

from ocelog.ledger import tables
from ocelog.ledger.dialects import bounded
from ocelog.model import TableFault
from ocelog.times import from_us

_t = tables.table_faults.c


def note(tx: Connection, table: str, what: str, reason: str, now_us: int) -> None:
    """Note that `what` failed for `table` just now; since when it fails stays."""
    this = (_t.table_name == table, _t.what == what)
    told = {"reason": bounded(reason), "last_us": now_us}
    if tx.execute(update(tables.table_faults).where(*this).values(told)).rowcount == 0:
        tx.execute(insert(tables.table_faults).values(table_name=table, what=what, since_us=now_us, **told))


def clear(tx: Connection, table: str, what: str) -> None:
    """Forget what was wrong."""
    tx.execute(delete(tables.table_faults).where(_t.table_name == table, _t.what == what))


def listed(tx: Connection) -> list[TableFault]:
    """Return what is wrong, by table."""
    rows = tx.execute(select(tables.table_faults).order_by(_t.table_name, _t.what))
    return [
        TableFault(
            table=row.table_name,
            what=row.what,
            reason=row.reason,
            since=from_us(row.since_us),
            last=from_us(row.last_us),
        )
        for row in rows
    ]
