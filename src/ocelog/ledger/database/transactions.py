"""How a transaction begins and ends on the two databases."""

import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from msgspec import Struct, field
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from ocelog.errors import ConfigError
from ocelog.ledger.database import reading
from ocelog.ledger.database.faults import translated

_BUSY_SECONDS = 30
_READS = "ocelog_reads"
# A holder of the counter row that is suspended must not stop all others for ever: the server ends its transaction.
_POSTGRES_LIMITS = "-c lock_timeout=30s -c statement_timeout=120s -c idle_in_transaction_session_timeout=120s"
_ADDRESSES = "sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE"


class Database(Struct, frozen=True, kw_only=True):
    """An open database: transactions that write, and snapshots that only read."""

    writers: Engine
    readers: Engine
    turn: AbstractContextManager[object]
    """One writer of this process at a time if the database has room for one only."""
    _held: threading.local = field(default_factory=threading.local)
    """The snapshot that this thread holds, if it does."""

    @property
    def url(self) -> URL:
        """Where it is; its repr hides the password."""
        return self.writers.url

    @property
    def is_sqlite(self) -> bool:
        """Whether this is a file of our own, and not a server."""
        return self.writers.dialect.name == "sqlite"

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that commits at the end of the block, and leaves no trace if that raises."""
        if self._snapshot is not None:
            raise RuntimeError("whoever holds a snapshot only reads")
        try:
            with self.turn, self.writers.begin() as connection:
                if self.is_sqlite:
                    # A transaction that reads first and writes later fails at once when another has written between,
                    # whatever the timeout; so a writer waits for its turn at the start.
                    _begin(connection, "BEGIN IMMEDIATE")
                yield connection
        except SQLAlchemyError as error:
            raise translated(error, self.url) from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a snapshot, unless one is held: every statement in the block sees the same instant."""
        try:
            if self._snapshot is not None:
                yield self._snapshot
                return
            with self.readers.begin() as connection:
                if self.is_sqlite:
                    _begin(connection, "BEGIN")
                yield connection
        except SQLAlchemyError as error:
            raise translated(error, self.url) from error

    def let_others(self, began: float) -> None:
        """Let others write, for whoever has written since `began`, by the monotonic clock, and is about to go on."""
        if self.is_sqlite:
            # Its writers are in no queue: who waits asks again and again, and meets only such a pause.
            time.sleep((time.monotonic() - began) / 2)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let all that this thread reads within the block be read in one snapshot; it must write nothing there."""
        with self.read() as connection:
            before, self._held.snapshot = self._snapshot, connection
            try:
                yield
            finally:
                self._held.snapshot = before

    @property
    def _snapshot(self) -> Connection | None:
        found: Connection | None = getattr(self._held, "snapshot", None)
        return found

    def close(self) -> None:
        """Close every connection."""
        self.writers.dispose()


def connect(address: str, *, durable: bool, read_only: bool = False) -> Database:
    """Prepare connections to `address`; nothing is opened yet. `read_only` never touches a file.

    Raises ConfigError, which never shows the address.
    """
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise ConfigError(f"The ledger's address is not a URL; expected {_ADDRESSES}.") from None
    if url.get_backend_name() != "sqlite" and "@" in address[_user_and_password(address) :]:
        # Read as it stands, the rest of the password would be the server's name, and be told in every error.
        raise ConfigError(
            "The ledger's address holds an @ that is not the one before the server's name. In a user name, a password "
            "or a value write it as %40 (and / as %2F, : as %3A), or keep the password in a .pgpass file."
        )
    match url.get_backend_name():
        case "sqlite":
            return _sqlite_reading(url) if read_only else _sqlite(url, durable=durable)
        case "postgresql" | "postgres":
            return _postgresql(url, durable=durable)
        case other:
            raise ConfigError(f"The ledger cannot be in {other!r}; expected {_ADDRESSES}.")


def _user_and_password(address: str) -> int:
    """Return where user and password end in `address`, as SQLAlchemy finds them."""
    found = re.match(r"[^:]*://(?:[^:/]*(?::[^@]*)?@)?", address)
    return found.end() if found is not None else 0


def _write_ahead(cursor: DBAPICursor) -> None:
    """Write the log ahead. SQLite does not wait by itself while another connection begins that in a new file."""
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _sqlite(url: URL, *, durable: bool) -> Database:
    in_memory = url.database in (None, "", ":memory:")
    # A database in memory belongs to its connection: there is one, which threads hand on to each other.
    pool = {"pool_size": 1, "max_overflow": 0} if in_memory else {"pool_size": 8, "max_overflow": 32}
    engine = create_engine(
        url.set(drivername="sqlite"),
        poolclass=QueuePool,
        connect_args={"isolation_level": None, "check_same_thread": False, "timeout": _BUSY_SECONDS},
        **pool,
    )
    synchronous = "FULL" if durable else "OFF"

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        _write_ahead(cursor)
        cursor.execute(f"PRAGMA synchronous={synchronous}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    # SQLite's own wait is a sleep that grows; a lock hands the turn on at once between threads.
    return Database(writers=engine, readers=engine.execution_options(**{_READS: True}), turn=threading.Lock())


def _sqlite_reading(url: URL) -> Database:
    engine = create_engine(
        url.set(drivername="sqlite"),
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        creator=partial(reading.connected, Path(str(url.database))),
    )
    return Database(writers=engine, readers=engine.execution_options(**{_READS: True}), turn=threading.Lock())


def _begin(connection: Connection, statement: str) -> None:
    # As an event and a statement of SQLAlchemy, this would be half of what a short transaction costs.
    sqlite = cast("sqlite3.Connection", connection.connection.dbapi_connection)
    try:
        sqlite.execute(statement)
    except sqlite3.Error as error:
        raise DBAPIError(statement, None, error) from error


def _postgresql(url: URL, *, durable: bool) -> Database:
    if find_spec("psycopg") is None:
        raise ConfigError(
            "A ledger on PostgreSQL needs its driver. Type in the checkout: uv tool install '.[postgresql]' (or with "
            "pip: pip install '.[postgresql]')"
        )
    limits = _POSTGRES_LIMITS if durable else f"{_POSTGRES_LIMITS} -c synchronous_commit=off"
    options = " ".join(filter(None, (limits, str(url.query.get("options", "")))))
    engine = create_engine(
        url.set(drivername="postgresql+psycopg").difference_update_query(["options"]),
        # What a landing sees once it holds the counter row must be all that committed before: no older snapshot.
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_size=8,
        max_overflow=32,
        connect_args={"connect_timeout": 10, "options": options, "application_name": "ocelog"},
    )
    snapshot = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return Database(writers=engine, readers=snapshot, turn=nullcontext())
