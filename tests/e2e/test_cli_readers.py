"""Somebody who may read a home, and not write it."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from commands import Ocelog, simulator
from ocelog.ledger.ledger import Ledger

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture(scope="module")
def ocelog() -> Iterator[Ocelog]:
    # Not under pytest's own folder, which nobody else may enter.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        made = Ocelog(Path(folder) / "home")
        made.init()
        with simulator("--audit", "30", "--issues", "20", "--findings", "30") as tenant:
            made.add(tenant, "prod", "--backfill", "all")
            made("pull")
        yield made


@pytest.fixture
def shared(ocelog: Ocelog) -> Iterator[Ocelog]:
    """Let everybody read, as docs/how-to/let-others-read.md says for a group."""
    modes = {path: path.stat().st_mode for path in (ocelog.home, *ocelog.home.rglob("*"))}
    for path in (ocelog.home, *ocelog.home.rglob("*")):
        if path.name != "key":
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
    yield ocelog
    for path, mode in modes.items():
        if path.exists():
            path.chmod(mode)


def files(home: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_uid, path.stat().st_mode) for path in home.rglob("*")}


def leave_amid_a_write(catalog: Path) -> None:
    """Leave what `kill -9` leaves of a commit: the file changed, and the journal that takes the change back."""
    journal = catalog.with_name(catalog.name + "-journal")
    with closing(sqlite3.connect(catalog, isolation_level=None)) as connection:
        # So small a cache that changes are written before the commit.
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE iceberg_tables SET metadata_location = 'nowhere'")
        connection.execute("CREATE TABLE half AS SELECT zeroblob(100000) AS written")
        left = catalog.read_bytes(), journal.read_bytes()
        connection.execute("ROLLBACK")
    assert left[0] != catalog.read_bytes()
    for path, content in zip((catalog, journal), left, strict=True):
        path.write_bytes(content)


@pytest.mark.slow
def test_a_catalog_that_a_killed_process_left_amid_a_write_is_brought_back(shared: Ocelog) -> None:
    rows, catalog = shared.count("wiz_issues"), shared.home / "lake" / "catalog.db"
    leave_amid_a_write(catalog)
    catalog.with_name("catalog.db-journal").chmod(0o644)
    said = shared.as_reader("query", "SELECT count(*) AS rows FROM wiz_issues", code=2).err
    assert "was left amid a write" in said
    assert "`ocelog status`" in said
    assert "All 3 streams" in shared("status").out
    assert shared.as_reader("query", "SELECT count(*) AS rows FROM wiz_issues").lines == [{"rows": rows}]


@pytest.mark.slow
def test_a_reader_asks_and_looks_and_changes_nothing(shared: Ocelog) -> None:
    # The owner's own query notes which files it found whole.
    rows = shared.count("wiz_issues")
    before = files(shared.home)
    assert shared.as_reader("query", "SELECT count(*) AS rows FROM wiz_issues").lines == [{"rows": rows}]
    assert shared.as_reader("query", "SELECT count(*) FROM wiz_issues_current").err == ""
    assert [stream["state"] for stream in shared.as_reader("status", "--json").json["streams"]] == ["live"] * 3
    assert shared.as_reader("lake", "wiz_issues", "--json").json[0]["rows"] == rows
    assert shared.as_reader("source", "list", "--json").json[0]["name"] == "prod"
    assert shared.as_reader("source", "show", "prod", "--json").json["name"] == "prod"
    assert shared.as_reader("rejections", "--json").json == []
    assert {row["setting"] for row in shared.as_reader("config", "--json").json} >= {"home", "ledger"}
    assert files(shared.home) == before


@pytest.mark.slow
@pytest.mark.whole_processes
def test_a_reader_sees_what_a_writer_has_just_committed(shared: Ocelog) -> None:
    writer = Ledger.open(f"sqlite:///{shared.home}/ledger.db", create=False)
    try:
        (row,) = writer.sources.listed()
        writer.sources.save(row)
        assert (shared.home / "ledger.db-wal").stat().st_size > 0
        assert shared.as_reader("query", "SELECT 1 AS one").lines == [{"one": 1}]
        assert shared.as_reader("source", "list", "--json").json[0]["name"] == "prod"
    finally:
        writer.close()


def test_a_reader_changes_no_source(shared: Ocelog) -> None:
    assert str(shared.home) in shared.as_reader("source", "resume", "prod", code=2).err


def test_whether_anything_runs_may_be_hidden_from_a_reader(shared: Ocelog) -> None:
    (shared.home / "lock").chmod(0o600 if os.geteuid() == 0 else 0o000)
    assert "may not be read by this user" in shared.as_reader("status").out
    assert "unknown" in shared.as_reader("status", "--json").json["running"]


@ROOT_ONLY
@pytest.mark.parametrize("arguments", [["query", "SELECT 1"], ["config"], ["status"], ["lake"]])
def test_a_closed_home_names_its_owner(ocelog: Ocelog, arguments: list[str]) -> None:
    assert "belongs to nobody: run this as that user" in ocelog.as_reader(*arguments, code=2).err


@ROOT_ONLY
def test_a_ledger_that_may_not_be_read_is_named_with_what_to_do(shared: Ocelog) -> None:
    (shared.home / "ledger.db").chmod(0o600)
    err = shared.as_reader("query", "SELECT count(*) FROM wiz_issues", code=2).err
    assert "ledger.db may not be read by this user" in err
    assert "docs/how-to/let-others-read.md" in err


def test_whoever_publishes_clears_what_a_killed_query_left(ocelog: Ocelog) -> None:
    (ocelog.home / "tmp" / "query-killed").mkdir()
    ocelog("publish")
    assert list((ocelog.home / "tmp").glob("query-*")) == []


def test_whoever_may_only_read_sees_alerts_and_changes_none(shared: Ocelog) -> None:
    assert "There are no such alerts." in shared.as_reader("alerts", "list").out
    refused = shared.as_reader("alerts", "mute", "--for", "1h", "--reason", "x", "--as", "ann", code=2)
    assert "belongs to" in refused.err
    assert "Nothing is kept quiet." in shared.as_reader("alerts", "suppressions").out
