"""Which number the next part of a table gets: a row that one transaction holds at a time, and that never counts down.

Sequence order is thereby commit order. An identity column would not do: its numbers can commit out of order, and some
databases hand out a number again once its row is deleted.
"""

from sqlalchemy import Connection, Row, bindparam, select, update

from ocelog.ledger import tables
from ocelog.ledger.database.dialects import insert_missing
from ocelog.ledger.rows import marks

_c = tables.counters.c


def hold(tx: Connection, table: str) -> Row[int, int]:
    """Take the counter row of `table` until the transaction ends; a missing one is made, and each loop's mark."""
    row = tx.execute(_HELD, {"table": table}).one_or_none()
    if row is None:
        insert_missing(tx, tables.counters, table_name=table, last=0, removed_through=0)
        row = tx.execute(_HELD, {"table": table}).one()
        marks.begin(tx, table)
    return row


# Built once: building a statement takes as long as running it, and these run for every page.
_HELD = select(_c.last, _c.removed_through).where(_c.table_name == bindparam("table")).with_for_update()
_LAST = select(_c.last).where(_c.table_name == bindparam("table"))
_THIS = update(tables.counters).where(_c.table_name == bindparam("table"))


def hold_all(tx: Connection) -> None:
    """Take the counter rows of all tables until the transaction ends."""
    tx.execute(select(_c.table_name).order_by(_c.table_name).with_for_update()).all()


def set_last(tx: Connection, table: str, last: int) -> None:
    """Save the number of the newest part. The counter row must be held."""
    tx.execute(_THIS, {"table": table, "last": last})


def last(tx: Connection, table: str) -> int:
    """Return the number of the newest part that `table` ever had."""
    return tx.execute(_LAST, {"table": table}).scalar_one_or_none() or 0


def removed_through(tx: Connection, table: str) -> int:
    """Return the greatest number of a part whose row is gone."""
    return tx.execute(select(_c.removed_through).where(_c.table_name == table)).scalar_one_or_none() or 0


def raise_to(tx: Connection, table: str, to: int) -> None:
    """Let the next part be numbered above `to`; a counter that is there already stays."""
    if hold(tx, table).last < to:
        set_last(tx, table, to)


def raise_removed(tx: Connection, table: str, to: int) -> None:
    """Remember that parts up to `to` may be gone."""
    row = hold(tx, table)
    if row.removed_through < to:
        tx.execute(_THIS, {"table": table, "removed_through": to})
