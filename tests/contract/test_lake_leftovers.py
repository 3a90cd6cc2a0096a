"""When old snapshots and files without a name go, and that nothing else does."""

import json
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lakeside.ledger import MemoryLedger
from lakeside.things import ISSUES, SCHEMAS, row, rows
from ocelog.lake.catalog.iceberg import SNAPSHOT_AGE, opened_catalog, table_location
from ocelog.lake.lake import FileLake
from ocelog.lake.upkeep.leftovers import remove_leftovers
from ocelog.lake.upkeep.purge import delete_rows
from ocelog.lake.write.publish import Publisher

TABLE = "wiz_issues"
NOW = timedelta(0)


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def lake(tmp_path: Path, ledger: MemoryLedger) -> FileLake:
    return FileLake(tmp_path, ledger, SCHEMAS)


def publish(lake: FileLake, ledger: MemoryLedger, *listed: dict[str, Any]) -> None:
    ledger.land(lake.write(TABLE, f"1-1-{ledger.counter(TABLE)}", rows(listed, ISSUES)))
    Publisher(lake.home, ledger, SCHEMAS).publish(TABLE)


def snapshots(lake: FileLake) -> int:
    with opened_catalog(lake.home) as catalog:
        return len(catalog.load_table(("ocelog", TABLE)).snapshots())


def keep_snapshots_for(lake: FileLake, milliseconds: int) -> None:
    with opened_catalog(lake.home) as catalog, catalog.load_table(("ocelog", TABLE)).transaction() as changing:
        changing.set_properties({SNAPSHOT_AGE: str(milliseconds)})


def ids(lake: FileLake) -> list[str]:
    with opened_catalog(lake.home) as catalog:
        found: list[str] = catalog.load_table(("ocelog", TABLE)).scan().to_arrow().column("id").to_pylist()
    return sorted(found)


def files(lake: FileLake) -> set[str]:
    return {str(file) for file in table_location(lake.home, TABLE).rglob("*") if file.is_file()}


def looked_twice(lake: FileLake) -> int:
    return sum(remove_leftovers(lake.home, TABLE, every=NOW) for _ in range(3))


def test_a_day_of_snapshots_is_kept(lake: FileLake, ledger: MemoryLedger) -> None:
    for name in "abc":
        publish(lake, ledger, row(name, 1))
    assert snapshots(lake) == 3
    with opened_catalog(lake.home) as catalog:
        assert catalog.load_table(("ocelog", TABLE)).properties[SNAPSHOT_AGE] == "86400000"


def test_what_is_older_expires_with_the_next_commit_and_every_row_stays(lake: FileLake, ledger: MemoryLedger) -> None:
    for name in "abc":
        publish(lake, ledger, row(name, 1))
    keep_snapshots_for(lake, 0)
    publish(lake, ledger, row("d", 1))
    assert snapshots(lake) == 1
    assert ids(lake) == ["a", "b", "c", "d"]
    assert looked_twice(lake) > 0
    assert ids(lake) == ["a", "b", "c", "d"]
    publish(lake, ledger, row("e", 1))
    assert ids(lake) == ["a", "b", "c", "d", "e"]


def test_nothing_that_a_snapshot_names_goes(lake: FileLake, ledger: MemoryLedger) -> None:
    for name in "abc":
        publish(lake, ledger, row(name, 1))
    before = files(lake)
    assert looked_twice(lake) == 0
    assert files(lake) == before


def test_the_file_of_a_killed_commit_goes_when_two_looks_have_found_it(lake: FileLake, ledger: MemoryLedger) -> None:
    publish(lake, ledger, row("a", 1))
    orphan = table_location(lake.home, TABLE) / "data" / "left-behind.parquet"
    orphan.write_bytes(b"half")
    stranger = orphan.with_name("notes.txt")
    stranger.write_text("not ours")
    assert remove_leftovers(lake.home, TABLE, every=NOW) == 0
    assert orphan.exists(), "a commit may be under way"
    assert remove_leftovers(lake.home, TABLE, every=NOW) == 1
    assert not orphan.exists()
    assert stranger.exists()


def test_a_note_of_a_clock_that_was_ahead_is_begun_anew_and_nothing_goes_by_it(
    lake: FileLake, ledger: MemoryLedger
) -> None:
    publish(lake, ledger, row("a", 1))
    orphan = table_location(lake.home, TABLE) / "data" / "left-behind.parquet"
    orphan.write_bytes(b"half")
    remove_leftovers(lake.home, TABLE, every=NOW)
    note = lake.home / "landing" / TABLE / "leftovers.json"
    for _ in range(2):
        later = time.time() + 300 * 86_400
        os.utime(note, (later, later))
        assert remove_leftovers(lake.home, TABLE) == 0
        assert orphan.exists(), "the last look may have been a minute ago"
    assert note.stat().st_mtime <= time.time()
    yesterday = time.time() - 86_401
    os.utime(note, (yesterday, yesterday))
    assert remove_leftovers(lake.home, TABLE) == 1


def test_a_file_that_is_committed_between_two_looks_stays(lake: FileLake, ledger: MemoryLedger) -> None:
    publish(lake, ledger, row("a", 1))
    remove_leftovers(lake.home, TABLE, every=NOW)
    note = lake.home / "landing" / TABLE / "leftovers.json"
    publish(lake, ledger, row("b", 1))
    note.write_text(json.dumps(sorted(files(lake))))
    assert remove_leftovers(lake.home, TABLE, every=NOW) == 0
    assert ids(lake) == ["a", "b"]


def test_the_next_look_is_due_a_day_after_the_last(lake: FileLake, ledger: MemoryLedger) -> None:
    publish(lake, ledger, row("a", 1))
    orphan = table_location(lake.home, TABLE) / "data" / "left-behind.parquet"
    orphan.write_bytes(b"half")
    note = lake.home / "landing" / TABLE / "leftovers.json"
    for _ in range(3):
        assert remove_leftovers(lake.home, TABLE) == 0
    assert json.loads(note.read_bytes()) == []
    for gone in (0, 1):
        a_day_ago = note.stat().st_mtime - 86_401
        os.utime(note, (a_day_ago, a_day_ago))
        assert remove_leftovers(lake.home, TABLE) == gone


def test_what_was_purged_leaves_the_disk(lake: FileLake, ledger: MemoryLedger) -> None:
    publish(lake, ledger, row("secret-a", 1, source="s2"), row("b", 2))
    publish(lake, ledger, row("secret-c", 3, source="s2"))
    assert delete_rows(lake.home, TABLE, "s2") == 2
    assert snapshots(lake) == 1
    looked_twice(lake)
    assert ids(lake) == ["b"]
    assert len([name for name in files(lake) if name.endswith(".parquet")]) == 1


def test_a_table_that_was_never_made_has_no_leftovers(tmp_path: Path) -> None:
    assert remove_leftovers(tmp_path, TABLE, every=NOW) == 0
    assert not list(tmp_path.iterdir())


def test_nothing_goes_while_what_names_the_files_cannot_be_read(lake: FileLake, ledger: MemoryLedger) -> None:
    for name in "ab":
        publish(lake, ledger, row(name, 1))
    orphan = table_location(lake.home, TABLE) / "data" / "left-behind.parquet"
    orphan.write_bytes(b"half")
    manifest = min((table_location(lake.home, TABLE) / "metadata").glob("snap-*.avro"))
    manifest.rename(manifest.with_suffix(".away"))
    assert looked_twice(lake) == 0
    manifest.with_suffix(".away").rename(manifest)
    assert looked_twice(lake) == 1
