"""How very many rows of a source go, some at a time, so that others write between two transactions."""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, delete, select, true

from ocelog.ledger import tables
from ocelog.ledger.database.transactions import Database
from ocelog.ledger.rows import alert_changes

_AT_ONCE = 500
"""Alerts that one transaction deletes, if there are many: it takes a twentieth of a second or so."""
_ROWS_AT_ONCE = 5_000
"""Rows of which nothing depends on that one deletes: in about the same time."""
_a = tables.alerts.c
_MANY: Sequence[tuple[Table, Column[Any]]] = (
    (tables.match_keys, tables.match_keys.c.match_id),
    (tables.rejection_keys, tables.rejection_keys.c.rejection_key),
    (tables.slices, tables.slices.c.id),
    (tables.unjudged, tables.unjudged.c.id),
)
"""What else there may be very much of, to which nothing refers, and what tells its rows apart."""


def purge_most(database: Database, source_id: str) -> None:
    """Delete what there is very much of, but for the last some, with which whatever else is of the source goes.

    Whoever is killed between two transactions calls it again: no alert is left without what belongs to it.
    """
    # First: their files are gone, and the rules would look for them.
    _purge_rows(database, tables.parts, tables.parts.c.path, source_id)
    _purge_alerts(database, source_id)
    for table, key in _MANY:
        _purge_rows(database, table, key, source_id)


def _purge_alerts(database: Database, source_id: str) -> None:
    with database.read() as tx:
        left = tx.execute(select(_a.id, _a.rule_id, _a.dedup).where(_a.source_id == source_id).order_by(_a.id)).all()
    while len(left) > _AT_ONCE:
        some, left = left[:_AT_ONCE], left[_AT_ONCE:]
        began = time.monotonic()
        with database.write() as tx:
            alert_changes.purge_alerts(tx, some)
        database.let_others(began)


def _purge_rows(database: Database, table: Table, key: Column[Any], source_id: str) -> None:
    this = table.c.source_id == source_id
    after: ColumnElement[bool] = true()
    while True:
        with database.read() as tx:
            last = tx.execute(select(key).where(this, after).order_by(key).offset(_ROWS_AT_ONCE).limit(1)).scalar()
        if last is None:
            return
        began = time.monotonic()
        with database.write() as tx:
            tx.execute(delete(table).where(this, after, key < last))
        database.let_others(began)
        after = key >= last
