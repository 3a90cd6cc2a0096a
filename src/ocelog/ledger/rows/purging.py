"""How very many rows of a source go, some at a time, so that others write between two transactions."""

import time

from sqlalchemy import Table, delete, select

from ocelog.ledger import tables
from ocelog.ledger.database.transactions import Database
from ocelog.ledger.rows import alert_changes

_AT_ONCE = 500
"""Alerts that one transaction deletes, if there are many: it takes a twentieth of a second or so."""
_KEYS_AT_ONCE = 5_000
"""Rows of a key alone that one deletes: in about the same time."""
_a = tables.alerts.c
_MANY = (tables.match_keys, tables.rejection_keys)
"""What there is for each match and rejection of a source: nothing else refers to it."""


def purge_most(database: Database, source_id: str) -> None:
    """Delete what there is very much of, but for the last some, with which whatever else is of the source goes.

    Whoever is killed between two transactions calls it again: no alert is left without what belongs to it.
    """
    _purge_alerts(database, source_id)
    for table in _MANY:
        _purge_keys(database, table, source_id)


def _purge_alerts(database: Database, source_id: str) -> None:
    with database.read() as tx:
        left = tx.execute(select(_a.id, _a.rule_id, _a.dedup).where(_a.source_id == source_id).order_by(_a.id)).all()
    while len(left) > _AT_ONCE:
        some, left = left[:_AT_ONCE], left[_AT_ONCE:]
        began = time.monotonic()
        with database.write() as tx:
            alert_changes.purge_alerts(tx, some)
        database.let_others(began)


def _purge_keys(database: Database, table: Table, source_id: str) -> None:
    (key,) = table.primary_key.columns
    this = table.c.source_id == source_id
    after = key >= ""
    while True:
        with database.read() as tx:
            last = tx.execute(select(key).where(this, after).order_by(key).offset(_KEYS_AT_ONCE).limit(1)).scalar()
        if last is None:
            return
        began = time.monotonic()
        with database.write() as tx:
            tx.execute(delete(table).where(this, after, key < last))
        database.let_others(began)
        after = key >= last
