"""The ledger on each database that it is made for: every test that asks for `ledger` runs on both."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bookkeeping.records import Clock
from bookkeeping.server import Databases, postgresql_server
from lakeside.loops import publishing_alone
from ocelog.ledger.ledger import Ledger

__all__ = ["publishing_alone"]


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """Start a PostgreSQL server."""
    with postgresql_server() as served:
        yield served


@pytest.fixture
def postgresql(databases: Databases) -> Iterator[Callable[[], str]]:
    """Hand out addresses of empty databases on a PostgreSQL server."""
    yield databases
    databases.take_back()


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
