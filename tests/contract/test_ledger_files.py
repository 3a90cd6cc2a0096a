"""A ledger in a file is one durable file of one owner; what the disk refuses says what to do."""

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from bookkeeping.races import at_once, everything
from bookkeeping.records import source_row
from ocelog.errors import HomeError, LedgerUnavailableError
from ocelog.ledger.ledger import Ledger


def test_a_file_ledger_is_for_its_owner_alone(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    ledger.sources.add(source_row())
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    ledger.close()
    assert modes == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.db"], "a closed ledger is one file, to be copied"


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    file.write_bytes(b"no database at all" * 400)
    with pytest.raises(HomeError, match="not a SQLite file"):
        Ledger.open(f"sqlite:///{file}")
    assert file.read_bytes() == b"no database at all" * 400


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match=r"absent/ledger\.db cannot be opened.*No such file"):
        Ledger.open(f"sqlite:///{tmp_path}/absent/ledger.db")


def test_a_write_to_a_file_that_may_only_be_read_says_what_to_do(tmp_path: Path) -> None:
    path = f"{tmp_path}/ledger.db"
    Ledger.open(f"sqlite:///{path}").close()
    ledger = Ledger.open(f"sqlite:///{path}")
    with ledger._database.read() as tx:
        tx.exec_driver_sql("PRAGMA query_only = ON")
    with pytest.raises(HomeError, match=r"may only be read.*writable"):
        ledger.sources.add(source_row())
    ledger.close()


def test_a_full_disk_is_a_matter_of_making_room_and_loses_nothing(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    with ledger._database.read() as tx:
        tx.exec_driver_sql("PRAGMA max_page_count = 1")
    before = everything(ledger)
    with pytest.raises(LedgerUnavailableError, match="disk is full; free some space, nothing is lost"):
        ledger.sources.add(source_row(settings={"long": "x" * 100_000}))
    assert everything(ledger) == before
    ledger.close()


def test_a_ledger_that_another_process_holds_for_too_long_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocelog.ledger.database.transactions._BUSY_SECONDS", 0)
    path = tmp_path / "ledger.db"
    ledger = Ledger.open(f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailableError, match="another process"):
            ledger.sources.add(source_row())
        assert ledger.sources.listed() == [], "readers go on"
    ledger.sources.add(source_row())
    ledger.close()


def test_a_durable_ledger_waits_for_the_disk(tmp_path: Path) -> None:
    for durable, synchronous in ((True, 2), (False, 0)):
        ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", durable=durable)
        for database in (ledger._database.read, ledger._database.write):
            with database() as tx:
                assert tx.exec_driver_sql("PRAGMA synchronous").scalar_one() == synchronous
                assert tx.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
                assert tx.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
        ledger.close()


def test_a_ledger_in_memory_serves_many_threads() -> None:
    ledger = Ledger.open("sqlite://")
    calls = [lambda n=n: ledger.sources.add(source_row(f"s{n}")) for n in range(8)]
    outcomes = at_once(calls)
    assert outcomes == [None] * 8
    assert len(ledger.sources.listed()) == 8
    ledger.close()


@pytest.mark.postgresql
def test_a_connection_that_the_server_ended_is_made_anew(postgresql: Callable[[], str]) -> None:
    address = postgresql()
    ledger, other = Ledger.open(address), Ledger.open(address)
    with ledger._database.write() as tx:
        end = {"process": tx.execute(text("SELECT pg_backend_pid()")).scalar_one()}
    with other._database.write() as tx:
        tx.execute(text("SELECT pg_terminate_backend(:process, 5000)"), end)
    assert ledger.sources.listed() == []
    with pytest.raises(LedgerUnavailableError, match="try again"), ledger._database.write() as tx:
        tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert ledger.sources.listed() == []
    ledger.close()
    other.close()


def test_the_environment_is_not_asked_for_a_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "PGHOST", str(tmp_path))
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    assert ledger.url == f"sqlite:///{tmp_path}/ledger.db"
    ledger.close()
