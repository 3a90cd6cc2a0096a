"""How a ledger that is restored hands out nothing that its earlier life has handed out."""

from sqlalchemy import Column, Connection, Table, delete, func, select, text, update

from ocelog.ledger import tables
from ocelog.ledger.rows import counters


def outrun(tx: Connection, by: int) -> None:
    """Raise every counter, fence and number of a slice, claim or message by `by`, and let go of all of them.

    Sessions end: who was signed in when the copy was made may have been signed out since, or disabled.
    A ledger that is restored would else give out again what processes of its earlier life were given.
    """
    counters.hold_all(tx)
    # The restored home is another one.
    tx.execute(update(tables.identity).values(home=None))
    tx.execute(update(tables.counters).values(last=tables.counters.c.last + by))
    for claimed in (tables.slices, tables.claims, tables.channels):
        fence = claimed.c.fence + by
        tx.execute(update(claimed).values(fence=fence, holder=None, lease_us=None, leased_until_us=None))
    _raise_numbers(tx, tables.slices, by)
    _raise_numbers(tx, tables.claims, by)
    tx.execute(delete(tables.sessions))
    # One of the outbox names a message at its receiver, who drops what it knows. Most of them are no rows any more.
    _raise_numbers(tx, tables.outbox, by, beside=tables.deliveries.c.outbox_id)


def _raise_numbers(tx: Connection, table: Table, by: int, *, beside: Column[int] | None = None) -> None:
    """Let the next row of `table` have a number that is higher by `by` than all that are there, or noted `beside`."""
    columns = [table.c.id] if beside is None else [table.c.id, beside]
    most = max(tx.execute(select(func.coalesce(func.max(column), 0))).scalar_one() for column in columns)
    if tx.dialect.name == "sqlite":
        seq = text("SELECT seq FROM sqlite_sequence WHERE name = :table")
        most = max(most, tx.execute(seq, {"table": table.name}).scalar() or 0)
        tx.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), {"table": table.name})
        seq = text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :to)")
    else:
        seq = text("SELECT setval(pg_get_serial_sequence(:table, 'id'), :to)")
    tx.execute(seq, {"table": table.name, "to": most + by})
