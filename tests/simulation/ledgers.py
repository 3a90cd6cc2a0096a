"""A new ledger for each seed at the price of a copy in memory: all of a process share their connection.

So statements are compiled once, and not for each seed. Beside it stands a log of all that was ever to be told.
"""

import sqlite3
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import cast

from msgspec.structs import replace
from sqlalchemy import text

from ocelog.ledger.database.open import open_database
from ocelog.ledger.database.transactions import Database
from ocelog.ledger.ledger import Ledger

_LOG = "CREATE TABLE told_log (id INTEGER PRIMARY KEY, alert_id TEXT, channel_id TEXT, happened TEXT)"
_LOGS = (
    "CREATE TRIGGER log_told AFTER INSERT ON outbox BEGIN "
    "INSERT INTO told_log VALUES (new.id, new.alert_id, new.channel_id, new.happened); END"
)


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that was put into the outbox, whatever became of it there."""

    id: int
    alert_id: str
    channel_id: str
    happened: str


def new_ledger(now: Callable[[], datetime]) -> Ledger:
    """Return an empty ledger. The one that was made before it is gone then."""
    database, blank = _shared()
    with database.writers.connect() as connection:
        blank.backup(cast("sqlite3.Connection", connection.connection.dbapi_connection))
    return Ledger(replace(database, turn=nullcontext()), now=now)


def told_log(ledger: Ledger) -> list[Told]:
    """Return all that was ever put into the outbox, in its order."""
    with ledger._database.read() as tx:
        found = tx.execute(text("SELECT id, alert_id, channel_id, happened FROM told_log ORDER BY id"))

        return [Told(*row) for row in found]


@cache
def _shared() -> tuple[Database, sqlite3.Connection]:
    database = open_database("sqlite://", durable=False, create=True)
    with database.write() as tx:
        for statement in (_LOG, _LOGS):
            tx.execute(text(statement))
    blank = sqlite3.connect(":memory:")
    with database.writers.connect() as connection:
        cast("sqlite3.Connection", connection.connection.dbapi_connection).backup(blank)
    return database, blank
