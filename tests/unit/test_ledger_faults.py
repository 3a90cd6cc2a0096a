"""What a database reports becomes what happens next, and a mistake of our own stays as loud as it is."""

import shutil
import sqlite3
from pathlib import Path
from urllib.parse import quote_plus

import psycopg
import pytest
from sqlalchemy import URL, make_url
from sqlalchemy.exc import DBAPIError, InvalidRequestError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ocelog.errors import HomeError, LedgerUnavailableError, OcelogError
from ocelog.ledger.database.dialects import bounded
from ocelog.ledger.database.faults import translated

FILE = make_url("sqlite:////home/x/ledger.db")
SERVER = make_url("postgresql://user:hunter2@db.example/ledger")


class _Reported(Exception):  # noqa: N818 - stands for a driver's error
    """An error of the server, as psycopg shows it."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__("first line\nDETAIL: more")
        self.sqlstate = sqlstate


def _from_sqlite(name: str) -> DBAPIError:
    cause = sqlite3.OperationalError("told by SQLite")
    cause.sqlite_errorname = name
    return OperationalError("UPDATE", {}, cause)


def _from_server(sqlstate: str | None, *, lost: bool = False) -> DBAPIError:
    return DBAPIError("UPDATE", {}, _Reported(sqlstate), connection_invalidated=lost)


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("SQLITE_BUSY", LedgerUnavailableError, "another process"),
        ("SQLITE_BUSY_SNAPSHOT", LedgerUnavailableError, "another process"),
        ("SQLITE_LOCKED", LedgerUnavailableError, "try again"),
        ("SQLITE_FULL", LedgerUnavailableError, "free some space"),
        ("SQLITE_IOERR_FSYNC", LedgerUnavailableError, "look at the disk"),
        ("SQLITE_READONLY_DBMOVED", HomeError, "writable"),
        ("SQLITE_CANTOPEN", HomeError, "folder must exist"),
        ("SQLITE_NOTADB", HomeError, "run `ocelog restore DIR --home /home/x-restored`"),
        ("SQLITE_CORRUPT_INDEX", HomeError, "run `ocelog restore DIR --home /home/x-restored`"),
    ],
)
def test_what_sqlite_reports_says_what_to_do(name: str, kind: type[OcelogError], told: str) -> None:
    error = translated(_from_sqlite(name), FILE)
    assert type(error) is kind
    assert str(error).startswith("The ledger /home/x/ledger.db: ")
    assert told in str(error)
    assert "told by SQLite" in str(error)


@pytest.mark.parametrize(
    ("sqlstate", "kind", "told"),
    [
        ("40P01", LedgerUnavailableError, "try again"),
        ("55P03", LedgerUnavailableError, "another transaction"),
        ("53100", LedgerUnavailableError, "give it more"),
        ("57P01", LedgerUnavailableError, "restart"),
        ("25P03", LedgerUnavailableError, "took too long"),
        ("08006", LedgerUnavailableError, "try again"),
        ("25006", HomeError, "primary"),
        ("42501", HomeError, "grant"),
        ("3D000", HomeError, "create it"),
        ("28P01", HomeError, "password"),
    ],
)
def test_what_a_server_reports_says_what_to_do(sqlstate: str, kind: type[OcelogError], told: str) -> None:
    error = translated(_from_server(sqlstate), SERVER)
    assert type(error) is kind
    assert str(error).startswith("The ledger db.example/ledger: ")
    assert told in str(error)
    assert "(first line)" in str(error)
    assert "hunter2" not in str(error)


def test_a_server_that_is_gone_is_named() -> None:
    error = translated(_from_server(None, lost=True), SERVER)
    assert type(error) is LedgerUnavailableError
    assert "db.example/ledger does not answer" in str(error)


@pytest.mark.parametrize("kind", [psycopg.OperationalError, psycopg.errors.ConnectionTimeout, psycopg.InterfaceError])
def test_a_server_that_does_not_answer_at_all_is_named(kind: type[psycopg.Error]) -> None:
    error = translated(DBAPIError(None, None, kind("connection timeout expired")), SERVER)
    assert type(error) is LedgerUnavailableError
    assert "db.example/ledger does not answer" in str(error)


def test_too_few_connections_are_a_matter_of_time() -> None:
    assert type(translated(PoolTimeoutError("QueuePool limit"), FILE)) is LedgerUnavailableError


def test_a_mistake_of_our_own_is_not_dressed_up() -> None:
    for ours in (InvalidRequestError("no such column"), _from_sqlite("SQLITE_ERROR"), _from_server("42703")):
        assert translated(ours, FILE) is ours


def test_text_is_cut_and_made_fit_for_both_databases() -> None:
    assert bounded(None) is None
    assert bounded("내 \x00 \ud800 x") == "내 \ufffd ? x"
    assert len(bounded("x" * 9_999)) == 4_000


@pytest.mark.parametrize("password", ["p@ss/w:rd", "hunter2", "a b+c&d=e"])
def test_a_driver_that_repeats_the_address_tells_no_part_of_the_password(password: str) -> None:
    url = URL.create("postgresql", "user", password, "db.example", database="ledger", query={"sslpassword": "open-it"})
    cause = _Reported("08006")
    cause.args = (f"no {url.render_as_string(hide_password=False)} ({password}, {quote_plus(password)}, open-it)",)
    told = str(translated(DBAPIError("SELECT", {}, cause), url))
    assert "db.example" in told
    for secret in (password, quote_plus(password), "open-it"):
        assert secret not in told


@pytest.mark.parametrize("name", ["SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_WRITE", "SQLITE_CANTOPEN"])
def test_what_a_full_disk_brings_about_is_called_a_full_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    file = make_url(f"sqlite:///{tmp_path}/ledger.db")
    room = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: room._replace(free=4096))
    full = translated(_from_sqlite(name), file)
    assert isinstance(full, LedgerUnavailableError)
    assert "the disk is full; free some space, nothing is lost" in str(full)
    assert full.code == "disk_full"
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: room._replace(free=1 << 30))
    other = translated(_from_sqlite(name), file)
    assert isinstance(other, OcelogError)
    assert other.code != "disk_full"
