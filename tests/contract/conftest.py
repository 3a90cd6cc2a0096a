"""The ledger on each database that it is made for: every test that asks for `ledger` runs on both. And a console."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bookkeeping.records import Clock
from bookkeeping.server import Databases, postgresql_server
from lakeside.loops import publishing_alone
from ocelog.ledger.ledger import Ledger

if TYPE_CHECKING:
    # What is not asked for a console does not wait for what that imports.
    from visiting import Console

__all__ = ["publishing_alone"]


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """Start a PostgreSQL server."""
    with postgresql_server() as served:
        yield served


@pytest.fixture
def postgresql(databases: Databases) -> Iterator[Databases]:
    """Hand out addresses of empty databases on a PostgreSQL server."""
    yield databases
    databases.take_back()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database(request: pytest.FixtureRequest) -> str:
    """Name the database that the test runs on."""
    return str(request.param)


@pytest.fixture
def address(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where a ledger may be made."""
    if database == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    new_database: Callable[[], str] = request.getfixturevalue("postgresql")
    return new_database()


@pytest.fixture(scope="session")
def new_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SQLite file that holds a new ledger, to be copied."""
    file = tmp_path_factory.mktemp("new") / "ledger.db"
    Ledger.open(f"sqlite:///{file}", durable=False).close()
    return file


@pytest.fixture
def ledger_address(database: str, request: pytest.FixtureRequest, tmp_path: Path, new_file: Path) -> str:
    """Return where a new ledger is: to make one takes longer than most tests do."""
    if database == "sqlite":
        shutil.copy(new_file, tmp_path / "ledger.db")
        return f"sqlite:///{tmp_path}/ledger.db"
    lent: Databases = request.getfixturevalue("postgresql")
    return lent.ledger()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_ledger(ledger_address: str, clock: Clock) -> Iterator[Callable[[], Ledger]]:
    """Open further ledgers on the same database, as further processes do."""
    opened = list[Ledger]()

    def open_another() -> Ledger:
        opened.append(Ledger.open(ledger_address, durable=False, now=clock))
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


@pytest.fixture
def new_console(tmp_path: Path) -> "Iterator[Console]":
    """Return a console over an empty home, also in a module whose tests share another."""
    from visiting import console_of  # noqa: PLC0415 - see above

    with console_of(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def console(new_console: "Console") -> "Console":
    """Return a console over an empty home, unless the tests of a module share one."""
    return new_console


@pytest.fixture
def console_with_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[Console]":
    """Return a console over a home with a source called prod, of which nothing is asked."""
    from visiting import console_of  # noqa: PLC0415 - see above
    from visiting.everything import add_source, nothing_is_asked  # noqa: PLC0415 - see above

    nothing_is_asked(monkeypatch)
    with console_of(tmp_path / "home") as opened:
        add_source(opened, "prod")
        yield opened
