"""How a ledger that is restored hands out nothing that its earlier life has handed out."""

from sqlalchemy import Connection, func, select, text, update

from ocelog.ledger import tables
from ocelog.ledger.rows import counters


def outrun(tx: Connection, by: int) -> None:
    """Raise every counter, fence and number of a slice or claim by `by`, and let go of all of them.

    A ledger that is restored would else give out again what processes of its earlier life were given.
    """
    counters.hold_all(tx)
    # The restored home is another one.
    tx.execute(update(tables.identity).values(home=None))
    tx.execute(update(tables.counters).values(last=tables.counters.c.last + by))
    for claimed in (tables.slices, tables.claims):
        fence = claimed.c.fence + by
        tx.execute(update(claimed).values(fence=fence, holder=None, lease_us=None, leased_until_us=None))
        if tx.dialect.name == "sqlite":
            seq = text("UPDATE sqlite_sequence SET seq = seq + :by WHERE name = :table")
            tx.execute(seq, {"by": by, "table": claimed.name})
        else:
            most = tx.execute(select(func.coalesce(func.max(claimed.c.id), 0))).scalar_one()
            seq = text("SELECT setval(pg_get_serial_sequence(:table, 'id'), :to)")
            tx.execute(seq, {"table": claimed.name, "to": most + by})
