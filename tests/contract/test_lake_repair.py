"""How a table is made anew from its data files, and how files leave it."""

import errno
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from lakeside.ledger import MemoryLedger
from lakeside.things import ISSUES, SCHEMAS, row, rows
from ocelog.errors import HomeError, LakeDamagedError, LakeUnavailableError
from ocelog.files import read_regular
from ocelog.lake.catalog import state
from ocelog.lake.catalog.state import TableStates, catalog_path
from ocelog.lake.lake import FileLake
from ocelog.lake.query.queries import Queries
from ocelog.lake.read import scan
from ocelog.lake.storage import checksums
from ocelog.lake.upkeep import repair
from ocelog.lake.upkeep.inspect import inspect
from ocelog.lake.upkeep.purge import delete_rows
from ocelog.lake.upkeep.repair import begin_catalog, candidates, catalog_is_whole, drop_files, go_back, point, rebuild
from ocelog.lake.write.publish import Publisher

TABLE = "wiz_issues"


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def lake(tmp_path: Path, ledger: MemoryLedger) -> FileLake:
    return FileLake(tmp_path, ledger, SCHEMAS)


def land(lake: FileLake, ledger: MemoryLedger, *names: str, source: str = "s1", publish: bool = True) -> None:
    listed = rows([row(name, 1, source=source) for name in names], ISSUES)
    ledger.land(lake.write(TABLE, f"1-1-{ledger.counter(TABLE)}", listed))
    if publish:
        Publisher(lake.home, ledger, SCHEMAS).publish(TABLE)


def ids(lake: FileLake, ledger: MemoryLedger) -> list[str]:
    with Queries(lake.home, ledger, SCHEMAS).run(f"SELECT id FROM {TABLE} ORDER BY id") as answer:  # noqa: S608 - ours
        return [str(found["id"]) for batch in answer.batches for found in batch.to_pylist()]


def folder(lake: FileLake) -> Path:
    return lake.home / "lake/warehouse/ocelog" / TABLE


def made_anew(lake: FileLake, ledger: MemoryLedger, mark: int) -> int:
    waiting = ledger.parts(TABLE, above=mark)
    made = rebuild(lake.home, TABLE, ISSUES, mark=(ledger.id, mark), waiting=waiting, sources=["s1"])
    return made.rows


def test_a_table_made_anew_has_every_row_once_whatever_lies_in_its_folder(lake: FileLake, ledger: MemoryLedger) -> None:
    land(lake, ledger, "a", "b")
    land(lake, ledger, "c")
    (file,) = [path for path in folder(lake).rglob("data/**/*.parquet") if path.stat().st_size > 0][:1]
    file.with_name("copy-of-a-killed-commit.parquet").write_bytes(file.read_bytes())
    for path in folder(lake).glob("metadata/*"):
        path.unlink()
    assert made_anew(lake, ledger, 2) == 3
    assert ids(lake, ledger) == ["a", "b", "c"]
    assert TableStates(lake.home).mark(TABLE) == ("ledger-1", 2)
    assert inspect(lake.home, ledger, SCHEMAS, content=True) == []
    land(lake, ledger, "d")
    assert ids(lake, ledger) == ["a", "b", "c", "d"]


def test_rows_that_wait_in_a_part_are_left_to_it(lake: FileLake, ledger: MemoryLedger) -> None:
    land(lake, ledger, "a")
    land(lake, ledger, "b")
    for path in folder(lake).glob("metadata/*"):
        path.unlink()
    assert made_anew(lake, ledger, 1) == 1
    assert ids(lake, ledger) == ["a", "b"]
    Publisher(lake.home, ledger, SCHEMAS).publish(TABLE)
    assert ids(lake, ledger) == ["a", "b"]


def test_rows_of_a_purged_source_do_not_come_back(lake: FileLake, ledger: MemoryLedger) -> None:
    land(lake, ledger, "a")
    land(lake, ledger, "secret", source="purged")
    assert made_anew(lake, ledger, 2) == 1
    assert ids(lake, ledger) == ["a"]


def test_the_newest_whole_metadata_is_found_and_named_again(lake: FileLake, ledger: MemoryLedger) -> None:
    for name in "abc":
        land(lake, ledger, name)
    newest = candidates(lake.home, TABLE)[0]
    assert (newest.mark, newest.rows, newest.whole) == (3, 3, True)
    newest.location.chmod(0o644)
    newest.location.write_bytes(b"")
    found = candidates(lake.home, TABLE)[0]
    assert (found.mark, found.rows, found.whole) == (2, 2, True)
    point(lake.home, TABLE, str(found.location))
    assert ids(lake, ledger) == ["a", "b", "c"]
    Publisher(lake.home, ledger, SCHEMAS).publish(TABLE)
    assert TableStates(lake.home).mark(TABLE) == ("ledger-1", 3)
    assert ids(lake, ledger) == ["a", "b", "c"]


def gone_back(lake: FileLake, ledger: MemoryLedger, sources: Sequence[str] = ("s1",)) -> int:
    """Damage the newest metadata, and go back to the one before it."""
    newest, base = candidates(lake.home, TABLE)[:2]
    newest.location.chmod(0o644)
    newest.location.write_bytes(b"{")
    waiting = ledger.parts(TABLE, above=base.mark)
    return go_back(lake.home, TABLE, str(base.location), waiting=waiting, sources=sources)


def test_a_table_that_goes_back_is_without_the_rows_of_a_purged_source(lake: FileLake, ledger: MemoryLedger) -> None:
    land(lake, ledger, "a")
    land(lake, ledger, "secret", source="purged")
    assert delete_rows(lake.home, TABLE, "purged") == 1
    assert gone_back(lake, ledger) == 1
    assert ids(lake, ledger) == ["a"]
    assert TableStates(lake.home).mark(TABLE) == ("ledger-1", 2)
    land(lake, ledger, "b")
    assert ids(lake, ledger) == ["a", "b"]
    assert inspect(lake.home, ledger, SCHEMAS, content=True) == []


def test_a_table_that_goes_back_never_shows_those_rows_even_if_that_is_killed(
    lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, ledger, "a")
    land(lake, ledger, "secret", source="purged")
    delete_rows(lake.home, TABLE, "purged")
    monkeypatch.setattr(repair, "keep_rows", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        gone_back(lake, ledger)
    with pytest.raises(LakeDamagedError):
        ids(lake, ledger)


def test_rows_that_a_source_landed_again_after_its_purge_are_there_once(lake: FileLake, ledger: MemoryLedger) -> None:
    land(lake, ledger, "a", "b")
    delete_rows(lake.home, TABLE, "s1")
    land(lake, ledger, "b", publish=False)
    ledger.lose_row(ledger.parts(TABLE)[0])
    assert gone_back(lake, ledger) == 1
    assert ids(lake, ledger) == ["a", "b"]


def test_a_table_goes_back_although_one_of_its_files_is_damaged(lake: FileLake, ledger: MemoryLedger) -> None:
    land(lake, ledger, "a")
    (damaged,) = folder(lake).rglob("data/**/*.parquet")
    land(lake, ledger, "secret", source="purged")
    delete_rows(lake.home, TABLE, "purged")
    damaged.chmod(0o644)
    damaged.write_bytes(b"")
    assert gone_back(lake, ledger) == 1
    assert drop_files(lake.home, TABLE, {str(damaged)}) == 1
    assert ids(lake, ledger) == []


def test_a_new_catalog_keeps_the_damaged_one_beside_it(lake: FileLake, ledger: MemoryLedger) -> None:
    land(lake, ledger, "a")
    assert catalog_is_whole(lake.home)
    catalog_path(lake.home).write_bytes(b"garbage")
    assert not catalog_is_whole(lake.home)
    begin_catalog(lake.home, SCHEMAS)
    assert catalog_is_whole(lake.home)
    assert [path.read_bytes() for path in (lake.home / "lake").glob("catalog.db.damaged-*")] == [b"garbage"]
    point(lake.home, TABLE, str(candidates(lake.home, TABLE)[0].location))
    assert ids(lake, ledger) == ["a"]


@contextmanager
def committing(lake: FileLake) -> Iterator[sqlite3.Connection]:
    """Hold the catalog as another engine does amid a commit."""
    with closing(sqlite3.connect(catalog_path(lake.home), isolation_level=None)) as engine:
        engine.execute("BEGIN EXCLUSIVE")
        engine.execute("UPDATE iceberg_tables SET previous_metadata_location = metadata_location")
        yield engine
        engine.execute("COMMIT")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait for a locked catalog."""
    connect = sqlite3.connect
    for module in (sqlite3, sqlite3.dbapi2):
        monkeypatch.setattr(module, "connect", lambda *args, **more: connect(*args, **(more | {"timeout": 0})))


@pytest.mark.usefixtures("impatient")
def test_a_catalog_that_another_engine_holds_is_not_damaged(lake: FileLake, ledger: MemoryLedger) -> None:
    land(lake, ledger, "a")
    said = r"catalog\.db .*database is locked.* Run it again"
    with committing(lake), pytest.raises(LakeUnavailableError, match=said):
        catalog_is_whole(lake.home)
    assert catalog_is_whole(lake.home)


@pytest.mark.usefixtures("impatient")
def test_a_catalog_is_not_replaced_under_an_engine_that_commits(lake: FileLake, ledger: MemoryLedger) -> None:
    land(lake, ledger, "a")
    with committing(lake):
        before = catalog_path(lake.home).stat().st_ino
        with pytest.raises(LakeUnavailableError, match="database is locked"):
            begin_catalog(lake.home, SCHEMAS)
        with pytest.raises(LakeUnavailableError, match="database is locked"):
            point(lake.home, TABLE, str(candidates(lake.home, TABLE)[0].location))
    assert [path.name for path in (lake.home / "lake").glob("catalog.db*")] == ["catalog.db"]
    assert catalog_path(lake.home).stat().st_ino == before
    assert ids(lake, ledger) == ["a"]


def test_no_engine_can_commit_while_a_catalog_is_replaced(
    lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, ledger, "a")
    rename, refused = Path.rename, list[str]()

    def renamed(path: Path, target: Path) -> Path:
        with closing(sqlite3.connect(path, timeout=0)) as engine, pytest.raises(sqlite3.OperationalError) as found:
            engine.execute("BEGIN IMMEDIATE")
        refused.append(found.value.sqlite_errorname)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", renamed)
    begin_catalog(lake.home, SCHEMAS)
    assert refused == ["SQLITE_BUSY"]
    assert ids(lake, ledger) == ["a"]


class FailingDisk(sqlite3.Connection):
    """A connection that fails with the code `fails`, such as one that SQLite gives if the disk does."""

    fails: str

    def execute(self, *_: object) -> sqlite3.Cursor:
        error = sqlite3.OperationalError(f"fails with {self.fails}")
        error.sqlite_errorcode, error.sqlite_errorname = getattr(sqlite3, self.fails), self.fails
        raise error


@pytest.mark.parametrize("code", ["SQLITE_IOERR_READ", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_NOMEM", "SQLITE_BUSY"])
def test_a_disk_that_fails_just_now_is_no_damage(
    code: str, lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, ledger, "a")
    connect = sqlite3.connect
    monkeypatch.setattr(FailingDisk, "fails", code, raising=False)
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **more: connect(*args, **(more | {"factory": FailingDisk})))
    for ask in (lambda: catalog_is_whole(lake.home), lambda: begin_catalog(lake.home, SCHEMAS)):
        with pytest.raises(LakeUnavailableError, match=f"fails with {code}"):
            ask()
    monkeypatch.undo()
    assert [path.name for path in (lake.home / "lake").glob("catalog.db*")] == ["catalog.db"]
    assert ids(lake, ledger) == ["a"]


@pytest.mark.parametrize("spoil", ["DROP TABLE iceberg_tables", "ALTER TABLE iceberg_tables RENAME TO lost"])
def test_a_catalog_without_its_table_is_damaged(spoil: str, lake: FileLake, ledger: MemoryLedger) -> None:
    land(lake, ledger, "a")
    with closing(sqlite3.connect(catalog_path(lake.home))) as connection:
        connection.execute(spoil)
    assert not catalog_is_whole(lake.home)
    begin_catalog(lake.home, SCHEMAS)
    assert catalog_is_whole(lake.home)


def test_metadata_that_may_not_be_read_is_not_passed_over_for_older_metadata(
    lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, ledger, "a")
    land(lake, ledger, "b")
    newest = candidates(lake.home, TABLE)[0].location

    def refused(path: Path) -> bytes:
        if path == newest:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return read_regular(path)

    monkeypatch.setattr(repair, "read_regular", refused)
    with pytest.raises(HomeError, match="may not be read by this user"):
        candidates(lake.home, TABLE)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_process_that_has_run_out_of_something_finds_no_damage(
    number: int, lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, ledger, "a")
    (file,) = folder(lake).rglob("data/**/*.parquet")

    def refused(path: Path) -> NoReturn:
        raise OSError(number, os.strerror(number), str(path))

    for module, name in ((repair, "read_regular"), (state, "read_regular"), (checksums, "file_sum")):
        monkeypatch.setattr(module, name, refused)
    monkeypatch.setattr(scan, "check_regular", refused)
    for look in (
        lambda: candidates(lake.home, TABLE),
        lambda: TableStates(lake.home).state(TABLE),
        lambda: checksums.damage(file),
        lambda: scan.undecodable(file),
    ):
        with pytest.raises(LakeUnavailableError, match=f"{os.strerror(number)}. Run it again"):
            look()


def test_a_lost_file_leaves_its_table_and_the_mark_stays(lake: FileLake, ledger: MemoryLedger) -> None:
    land(lake, ledger, "a")
    land(lake, ledger, "b")
    lost = next(path for path in folder(lake).rglob("data/**/*.parquet"))
    lost.unlink()
    assert drop_files(lake.home, TABLE, {str(lost)}) == 1
    assert drop_files(lake.home, TABLE, {str(lost)}) == 0
    assert len(ids(lake, ledger)) == 1
    assert TableStates(lake.home).mark(TABLE) == ("ledger-1", 2)
