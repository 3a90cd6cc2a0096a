"""How a ledger is copied beside its users, from either database into a SQLite file, and back."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import cast

from sqlalchemy import Connection, Table, delete, func, insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from ocelog.errors import HomeError, without_number
from ocelog.ledger import tables
from ocelog.ledger.database.faults import damaged, of_sqlite, translated
from ocelog.ledger.database.open import open_database
from ocelog.ledger.database.transactions import Database

_AT_ONCE = 1_000


def copy_database(database: Database, path: Path) -> None:
    """Write the ledger, as of one instant, into the new file `path`, which is on disk when this returns."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        if database.is_sqlite:
            # A connection of the database's own: one that is only read may lie where nothing can be written.
            with database.readers.connect() as source, closing(sqlite3.connect(path)) as target:
                cast("sqlite3.Connection", source.connection.driver_connection).backup(target)
                # Pages are copied unread: a damaged ledger must not take the place of an earlier copy that is whole.
                if (found := _damage(target)) is not None:
                    raise damaged(str(database.url.database), found)
                # Complete in one file, without a log beside it.
                target.execute("PRAGMA journal_mode = DELETE")
        else:
            path.unlink()
            _copy_rows(database, path)
        with path.open("rb") as file:
            os.fsync(file.fileno())
    except SQLAlchemyError as error:
        raise translated(error, database.url) from error
    except sqlite3.Error as error:
        raise of_sqlite(error, str(database.url.database)) or _failed(path, error) from error
    except OSError as error:
        raise _failed(path, error) from error


def damage_of_copy(path: Path) -> str | None:
    """Return what SQLite finds wrong with a copy of a ledger; None: nothing. Nothing is written beside it."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            return _damage(connection)
    except sqlite3.Error as error:
        return str(error)


def database_damage(database: Database) -> HomeError | None:
    """Read a ledger in SQLite whole, and return what is wrong with it; None: nothing, or it is not in SQLite."""
    if not database.is_sqlite:
        return None
    try:
        with database.read() as connection:
            found = connection.execute(text("PRAGMA integrity_check(1)")).scalar_one()
    except HomeError as error:
        return error
    return None if found == "ok" else damaged(str(database.url.database), found)


def _damage(connection: sqlite3.Connection) -> str | None:
    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    return None if found == "ok" else str(found)


def _failed(path: Path, error: Exception) -> HomeError:
    return HomeError(f"The ledger could not be copied to {path}: {without_number(error)}.")


def _copy_rows(database: Database, path: Path) -> None:
    target = open_database(f"sqlite:///{path}", durable=True, create=True)
    try:
        with database.read() as reading, target.write() as writing:
            _move(reading, writing)
    finally:
        target.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def fill_database(database: Database, path: Path) -> None:
    """Put the rows of the copy at `path` into `database`, a new ledger, in the place of its own."""
    source = open_database(f"sqlite:///{path}", durable=True, create=False)
    try:
        with source.read() as reading, database.write() as writing:
            _move(reading, writing)
            if not database.is_sqlite:
                for table in tables.metadata.sorted_tables:
                    _number_on(writing, table)
    finally:
        source.close()


def _number_on(writing: Connection, table: Table) -> None:
    """Let PostgreSQL number new rows from where those that were copied end, if it numbers the rows of `table`."""
    column = table.autoincrement_column
    most = None if column is None else writing.execute(select(func.max(column))).scalar_one()
    if column is not None and most is not None:
        to = {"table": table.name, "column": column.name, "to": most}
        writing.execute(text("SELECT setval(pg_get_serial_sequence(:table, :column), :to)"), to)


def _move(reading: Connection, writing: Connection) -> None:
    for table in reversed(tables.metadata.sorted_tables):
        writing.execute(delete(table))
    for table in tables.metadata.sorted_tables:
        # A server would else hand over all rows of a table at once.
        found = reading.execute(select(table), execution_options={"stream_results": True}).mappings()
        while rows := [dict(row) for row in found.fetchmany(_AT_ONCE)]:
            writing.execute(insert(table), rows)
