"""A backup made beside a service is restored under another path, and pulling goes on without loss or double."""

import contextlib
import json
import os
import re
import shlex
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from commands import SIMULATED, Ocelog
from commands.kept import Kept
from ocelog.lake.upkeep.cleaning import clean
from ocelog.ledger.ledger import Ledger
from ocelog.model import LOOPS
from wizsim.clock import Clock
from wizsim.server import Server
from wizsim.world import World

TABLES = ("wiz_audit", "wiz_issues", "wiz_vulnerability_finding", "rejections")


@pytest.fixture(scope="module")
def tenant() -> Iterator[Server]:
    with Server(World(seed=7, audit=300, issues=80, findings=300, clock=Clock.wall())) as server:
        for name in sorted(server.world.current("issues"))[:2]:
            server.faults.add("odd-record", id=name, kind="null-required", type="issues")
        yield server


def added(home: Path, tenant: Server) -> Ocelog:
    command = Ocelog(home, WIZ_SECRET=tenant.client_secret)
    command.init_unjudged()
    command(
        *("source", "add", "wiz", "sim", "--token-url", tenant.token_url, "--api-url", tenant.api_url),
        *("--client-id", tenant.client_id, "--client-secret-file", "-", "--no-check"),
        *(*SIMULATED, "--backfill", "all", "--rate", "200"),
        stdin=tenant.client_secret + "\n",
    )
    return command


@pytest.fixture
def ocelog(tmp_path: Path, tenant: Server) -> Ocelog:
    return added(tmp_path / "home", tenant)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, tenant: Server) -> Kept:
    command = added(tmp_path_factory.mktemp("backup") / "home", tenant)
    older = command.home.with_name("older.db")
    with sqlite3.connect(command.home / "ledger.db") as source, sqlite3.connect(older) as target:
        source.backup(target)
    command("pull", code=None)
    return Kept(command)


@pytest.fixture
def pulled(once: Kept, tenant: Server) -> Ocelog:
    """Put back a home whose source was read; beside it is `older.db`, its ledger from before."""
    return once.again(WIZ_SECRET=tenant.client_secret)


def rows(ocelog: Ocelog) -> dict[str, list[Any]]:
    """Return the ids of every row by table; no row may be there twice."""
    found = {}
    for table in TABLES:
        lines = ocelog("query", f"SELECT p_row_id FROM {table} ORDER BY 1", "-o", "ndjson").lines  # noqa: S608 - ours
        found[table] = [line["p_row_id"] for line in lines]
        assert len(set(found[table])) == len(found[table]), table
    return found


def elsewhere(ocelog: Ocelog, path: Path) -> Ocelog:
    return Ocelog(path, WIZ_SECRET=ocelog.environment["WIZ_SECRET"])


@pytest.mark.slow
def test_a_backup_made_during_a_pull_goes_on_elsewhere_with_nothing_lost_or_twice(
    ocelog: Ocelog, tmp_path: Path
) -> None:
    pulling = threading.Thread(target=ocelog, args=("pull",), kwargs={"code": None})
    pulling.start()
    for _ in range(2):
        ocelog("backup", str(tmp_path / "kept"))
    pulling.join()
    ocelog("pull", code=None)
    truth = rows(ocelog)
    assert truth["rejections"]
    moved = elsewhere(ocelog, tmp_path / "other" / "home")
    shutil.move(ocelog.home, tmp_path / "gone")
    told = moved("restore", str(tmp_path / "kept"))
    assert "key is not in the backup" in told.out
    assert "OCELOG_HOME" not in told.out
    assert not (moved.home / "key").exists()
    shutil.copy(tmp_path / "gone" / "key", moved.home / "key")
    moved("pull", code=None)
    assert rows(moved) == truth
    moved("repair", "--check")
    assert not any(str(ocelog.home) in text for text in _texts(moved.home))


def _texts(home: Path) -> Iterator[str]:
    for path in [*home.rglob("*.metadata.json"), home / "home.json"]:
        yield path.read_text()


@pytest.mark.slow
def test_a_ledger_that_is_older_than_its_lake_lands_nothing_twice(pulled: Ocelog) -> None:
    truth = rows(pulled)
    assert truth["rejections"]
    for path in pulled.home.glob("ledger.db*"):
        path.unlink()
    shutil.copy(pulled.home.with_name("older.db"), pulled.home / "ledger.db")
    pulled("pull", code=None)
    assert rows(pulled) == truth


@pytest.mark.slow
def test_restoring_raises_what_an_earlier_process_may_have_been_given(pulled: Ocelog, tmp_path: Path) -> None:
    pulled("backup", str(tmp_path / "kept"), "--with-key")
    moved = elsewhere(pulled, tmp_path / "other")
    moved("restore", str(tmp_path / "kept"))
    assert (moved.home / "key").read_bytes() == (pulled.home / "key").read_bytes()

    def ask(home: Path, sql: str) -> list[tuple[int, ...]]:
        with sqlite3.connect(home / "ledger.db") as ledger:
            return ledger.execute(sql).fetchall()

    for sql in (
        "SELECT fence FROM slices ORDER BY id",
        "SELECT last FROM counters ORDER BY table_name",
        "SELECT seq FROM sqlite_sequence WHERE name = 'slices'",
    ):
        assert ask(moved.home, sql) == [(number + 1_000_000,) for (number,) in ask(pulled.home, sql)], sql
    assert ask(moved.home, "SELECT count(*) FROM slices WHERE holder IS NOT NULL") == [(0,)]


@pytest.mark.slow
def test_a_second_backup_copies_only_what_is_new_and_a_damaged_one_is_refused(pulled: Ocelog, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    pulled("backup", str(kept))
    assert "0 of them new" in pulled("backup", str(kept)).out
    names = json.loads((kept / "backup.json").read_text())["files"]
    there = {str(path.relative_to(kept)) for tree in ("lake", "landing") for path in (kept / tree).rglob("*.*")}
    assert {name for name in there if (kept / name).is_file()} == set(names)
    secret = pulled.environment["WIZ_SECRET"].encode()
    assert not any(secret in path.read_bytes() for path in kept.rglob("*") if path.is_file())
    moved = elsewhere(pulled, tmp_path / "other")
    # As if every loop were done, the grace of ten minutes had passed, and then the disk of the lake was not mounted.
    with contextlib.closing(Ledger.open(f"sqlite:///{pulled.home / 'ledger.db'}", create=False)) as ledger:
        for table in TABLES:
            for loop in LOOPS:
                ledger.lake.move_mark(loop, table, ledger.lake.counter(table))
            clean(pulled.home, table, ledger.lake, grace=timedelta(0))
    before = {path for path in kept.rglob("*") if path.suffix in (".parquet", ".avro", ".json")}
    (pulled.home / "lake").rename(tmp_path / "lake")
    assert "the lake is missing" in pulled("backup", str(kept), code=2).err
    assert {path for path in kept.rglob("*") if path.suffix in (".parquet", ".avro", ".json")} == before
    (tmp_path / "lake").rename(pulled.home / "lake")
    victim = next(kept.rglob("data/**/*.parquet"))
    victim.chmod(0o644)
    victim.write_bytes(b"")
    assert "Nothing was changed" in moved("restore", str(kept), code=2).err
    assert not moved.home.exists()
    pulled("backup", str(kept))
    # Opening it would wait for ever.
    os.mkfifo(kept / "key")
    assert "key is not a regular file. Nothing was changed" in moved("restore", str(kept), code=2).err
    (kept / "key").unlink()
    moved("restore", str(kept))
    assert "home at" in moved("restore", str(kept), code=2).err
    assert rows(moved) == rows(pulled)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["a page", "all of it"])
def test_a_damaged_ledger_is_told_with_a_command_that_brings_the_home_back(
    ocelog: Ocelog, tmp_path: Path, damage: str
) -> None:
    kept = tmp_path / "kept"
    ocelog("backup", str(kept), "--with-key")
    ledger = ocelog.home / "ledger.db"
    with sqlite3.connect(ledger) as connection:
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'sources'")
        ((size,),) = connection.execute("PRAGMA page_size")
    connection.close()
    content = ledger.read_bytes()
    if damage == "a page":
        start = (page - 1) * size
        ledger.write_bytes(content[:start] + b"\x2a" * size + content[start + size :])
    else:
        ledger.write_bytes(b"\x2a" * len(content))
    for arguments in (["status"], ["backup", str(kept)]):
        err = ocelog(*arguments, code=2).err
        (command,) = re.findall(r"run `ocelog (restore DIR [^`]*)`", err)
    moved = elsewhere(ocelog, ocelog.home.with_name("home-restored"))
    made = ocelog(*shlex.split(command.replace("DIR", shlex.quote(str(kept)))))
    assert f"Set OCELOG_HOME={moved.home} for every other command." in " ".join(made.out.split())
    assert moved("source", "list", "--json").json[0]["name"] == "sim"
