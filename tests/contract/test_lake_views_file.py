"""The one file by which other tools read tables and views, in an engine that knows nothing of Ocelog."""

# ruff: noqa: S608 - the statements are the tests' own
import errno
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from lakeside.ledger import MemoryLedger
from lakeside.things import instant, row, rows
from ocelog.app.log_types import table_schemas
from ocelog.errors import HomeError, LakeUnavailableError
from ocelog.lake.catalog.state import TableStates
from ocelog.lake.lake import FileLake
from ocelog.lake.query.queries import Queries
from ocelog.lake.read.engine_snippets import lake_info
from ocelog.lake.read.saved_views import saved_views
from ocelog.lake.read.views_file import ViewsFile, views_folder
from ocelog.lake.write.publish import Publisher

SCHEMAS = table_schemas()
TABLE = "wiz_issues"


class Home:
    """A lake whose path needs quoting, and what a stranger's DuckDB sees of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = MemoryLedger()
        self.lake = FileLake(path, self.ledger, SCHEMAS)
        self.views = ViewsFile(path, SCHEMAS)

    def publish(self, *listed: dict[str, Any], table: str = TABLE) -> None:
        name = f"1-1-{self.ledger.counter(table)}"
        self.ledger.land(self.lake.write(table, name, rows(listed, SCHEMAS[table])))
        Publisher(self.path, self.ledger, SCHEMAS).publish(table)

    def stranger(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        connection.execute("SET TimeZone = 'UTC'")
        self.read_in(connection)
        return connection

    def read_in(self, connection: duckdb.DuckDBPyConnection) -> None:
        folder = str(views_folder(self.path)).replace("'", "''")
        connection.execute(f"IMPORT DATABASE '{folder}'").fetchall()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    path = tmp_path / "Ann's home;\nof 2026"
    path.mkdir()
    return Home(path)


def opened(name: str, minute: float) -> dict[str, Any]:
    made = row(name, minute, createdAt=instant(0), updatedAt=instant(minute), severity="HIGH")
    return {column: value for column, value in made.items() if column in SCHEMAS[TABLE].names}


def ids(connection: duckdb.DuckDBPyConnection, view: str) -> list[str]:
    return [name for (name,) in connection.sql(f"SELECT id FROM {view} ORDER BY id").fetchall()]


@pytest.mark.slow
def test_another_tool_sees_every_table_and_view_that_a_query_sees(home: Home) -> None:
    home.publish(opened("a", 1), opened("b", 2))
    home.publish(opened("a", 3))
    assert home.views.refresh()
    stranger = home.stranger()
    queries = Queries(home.path, home.ledger, SCHEMAS, saved=saved_views())
    assert {name for (name,) in stranger.sql("SHOW TABLES").fetchall()} == set(queries.names)
    for name in [*queries.names, f"issues_at('{instant(2).isoformat()}')"]:
        with queries.run(f"SELECT count(*) AS n, max(hash(q)) AS h FROM {name} AS q") as answer:
            ours = [tuple(one.values()) for batch in answer.batches for one in batch.to_pylist()]
        assert stranger.sql(f"SELECT count(*), max(hash(q)) FROM {name} AS q").fetchall() == ours
    assert ids(stranger, TABLE) == ["a", "a", "b"]
    assert ids(stranger, f"{TABLE}_current") == ids(stranger, "open_issues") == ["a", "b"]
    location = TableStates(home.path).location(TABLE)
    assert location is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")
        assert pl.scan_iceberg(location).select(pl.len()).collect().item() == 3


def test_the_lines_for_duckdb_run_as_they_are(home: Home) -> None:
    home.publish(opened("a", 1))
    home.views.refresh()
    printed = lake_info(home.path, home.ledger, TABLE).lines["DuckDB"]
    assert duckdb.connect().execute(printed).fetchall() == [(1,)]


def test_it_works_before_anything_is_published(home: Home) -> None:
    assert home.views.refresh()
    stranger = home.stranger()
    for (name,) in stranger.sql("SHOW TABLES").fetchall():
        assert stranger.sql(f"FROM {name}").fetchall() == []


def test_an_open_connection_goes_on_and_follows_when_it_imports_again(home: Home) -> None:
    home.publish(opened("a", 1))
    home.views.refresh()
    stranger = home.stranger()
    home.publish(opened("b", 2))
    home.views.refresh()
    assert ids(stranger, "open_issues") == ["a"]
    home.read_in(stranger)
    assert ids(stranger, "open_issues") == ["a", "b"]


def test_it_is_written_only_if_a_table_has_changed(home: Home) -> None:
    home.publish(opened("a", 1))
    file = views_folder(home.path) / "schema.sql"
    assert home.views.refresh()
    before = file.stat().st_ino
    assert not home.views.refresh()
    assert not ViewsFile(home.path, SCHEMAS).refresh()
    assert file.stat().st_ino == before
    home.publish(opened("b", 2))
    assert ViewsFile(home.path, SCHEMAS).refresh()
    # Another inode: whoever has it open reads the old text to its end.
    assert file.stat().st_ino != before
    assert {each.name for each in file.parent.iterdir()} == {"schema.sql", "load.sql"}


def test_a_damaged_table_keeps_no_other_out(home: Home) -> None:
    home.publish(opened("a", 1))
    home.publish(row("e", 1) | {"p_log_type": "Wiz.Audit"}, table="wiz_audit")
    location = TableStates(home.path).location("wiz_audit")
    assert location is not None
    Path(location).chmod(0o644)
    Path(location).write_bytes(b"{")
    assert home.views.refresh()
    stranger = home.stranger()
    assert ids(stranger, "open_issues") == ["a"]
    found = {name for (name,) in stranger.sql("SHOW TABLES").fetchall()}
    assert not found & {"wiz_audit", "wiz_audit_current"}
    assert stranger.sql("SELECT count(*) FROM all_logs").fetchall() == [(1,)]
    assert not home.views.refresh()


@pytest.mark.parametrize("name", ["", "schema.sql", "load.sql"])
def test_what_is_in_the_way_is_told_until_it_is_moved_aside(home: Home, name: str) -> None:
    home.publish(opened("a", 1))
    place = views_folder(home.path) / name
    if name:
        place.mkdir(parents=True)
        (views_folder(home.path) / ".draft-7").write_text("of a process that was killed")
    else:
        place.write_text("in the way")
    for _ in range(2):
        with pytest.raises(HomeError, match="cannot be written") as told:
            home.views.refresh()
    subprocess.run(["/bin/sh", "-c", str(told.value).partition("Move it aside: ")[2]], check=True)
    assert home.views.refresh()
    assert ids(home.stranger(), TABLE) == ["a"]
    assert not list(views_folder(home.path).glob(".draft*"))


def test_a_full_disk_leaves_no_draft(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.publish(opened("a", 1))

    def refuse(_: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    with monkeypatch.context() as full:
        full.setattr(Path, "replace", refuse)
        with pytest.raises(LakeUnavailableError, match="The disk is full"):
            home.views.refresh()
    assert {each.name for each in views_folder(home.path).iterdir()} == {"load.sql"}
    assert home.views.refresh()
