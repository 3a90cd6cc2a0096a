"""What a backup has copied stays, also if the power goes right after it, or a part is damaged before the next one."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from bookkeeping.records import source_row
from ocelog.app.log_types import table_schemas
from ocelog.app.maintenance.backup import back_up, restore
from ocelog.app.maintenance.repair import examine, repair
from ocelog.app.sources.purge import purge
from ocelog.app.status.overview import overview
from ocelog.errors import HomeError
from ocelog.installation import home as homes
from ocelog.installation.making import make
from ocelog.installation.opening import Installation, opened
from ocelog.lake.write.damage import lost_part
from ocelog.lake.write.parts import write_part
from ocelog.lake.write.publish import Publisher
from powercut import Disk

TABLE = "wiz_audit"


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """Make a home with a published part and one that waits."""
    schemas = table_schemas()
    with opened(make(tmp_path / "home", ledger_url=None).home.path) as installation:
        home, ledger = installation.home.path, installation.ledger
        ledger.sources.add(source_row("acme"))
        for number in range(2):
            given = {"id": "a", "p_row_id": str(number), "p_source_id": "acme"} | dict.fromkeys(
                ("p_event_time", "p_cursor_time"), datetime(2026, 5, 4, tzinfo=UTC)
            )
            part = write_part(home, TABLE, f"1-1-{number}", pa.Table.from_pylist([given], schema=schemas[TABLE]))
            claim = ledger.pulling.take_claim("repair", "acme", "a test")
            ledger.losses.readmit("nothing", part, "acme", claim=claim)
            ledger.pulling.release_claim(claim)
            if not number:
                Publisher(home, ledger.lake, schemas).publish(TABLE)
        yield installation


def test_a_backup_and_what_is_restored_from_it_are_whole_after_the_power_went(
    installation: Installation, tmp_path: Path
) -> None:
    disk = Disk(tmp_path / "kept")
    disk.folder.mkdir()
    with disk.recorded():
        made = back_up(installation, disk.folder / "new" / "backup", with_key=True)
    disk.cut()
    assert made.files > 4
    other = Disk(tmp_path / "other")
    other.folder.mkdir()
    with other.recorded():
        restored = restore(disk.folder / "new" / "backup", other.folder / "new" / "home")
    other.cut()
    assert (restored.files, restored.has_key) == (made.files, True)
    with opened(restored.home) as found:
        assert examine(found) == []
        assert found.ledger.lake.unpublished(TABLE)[:2] == (1, 1)
        assert found.vault() is not None


def test_the_next_backup_keeps_the_whole_copy_of_a_part_that_was_set_aside_and_a_repair_lands_it(
    installation: Installation, tmp_path: Path
) -> None:
    home, ledger = installation.home.path, installation.ledger
    back_up(installation, tmp_path / "kept", with_key=True)
    part = ledger.lake.parts(TABLE, above=1)[0]
    (home / part.path).unlink()
    ledger.lake.set_aside(lost_part(part, "is missing"))
    back_up(installation, tmp_path / "kept", with_key=True)
    restored = restore(tmp_path / "kept", tmp_path / "restored")
    with opened(restored.home) as found:
        assert found.ledger.lake.unpublished(TABLE)[1] == 0
        repair(found, dry_run=False)
        assert found.ledger.lake.unpublished(TABLE)[1] == 1
        assert examine(found) == []


def _inverted(path: Path, count: int) -> bytes:
    """Invert bytes in the middle of a file; return what it held."""
    content = path.read_bytes()
    begin = (len(content) - count) // 2
    end = begin + count
    path.chmod(0o644)
    path.write_bytes(content[:begin] + bytes(each ^ 0xFF for each in content[begin:end]) + content[end:])
    return content


@pytest.mark.parametrize("name", ["ledger-*.db", "*.metadata.json", "*.avro", "*.parquet", "config.yml", "key"])
def test_a_backup_with_a_file_that_changed_is_refused_before_anything_is_made_and_the_next_one_mends_it(
    installation: Installation, tmp_path: Path, name: str
) -> None:
    kept, made = tmp_path / "kept", tmp_path / "restored"
    (installation.home.path / "config.yml").write_text("log_format: json\n")
    back_up(installation, kept, with_key=True)
    note = json.loads((kept / "backup.json").read_text())
    assert note["sums"].keys() >= {*note["files"], note["ledger"], "config.yml", "key", "home.json"}
    victim = next(kept.rglob(name))
    _inverted(victim, 8)
    with pytest.raises(HomeError, match=rf"is damaged: {victim.relative_to(kept)} does not hold the bytes"):
        restore(kept, made)
    assert not made.exists()
    back_up(installation, kept, with_key=True)
    assert restore(kept, made).has_key


def test_a_backup_of_an_older_release_is_restored_unless_its_ledger_is_damaged(
    installation: Installation, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    back_up(installation, kept, with_key=True)
    note = json.loads((kept / "backup.json").read_text())
    before = note.pop("sums")
    (kept / "backup.json").write_text(json.dumps(note))
    content = _inverted(kept / note["ledger"], 8_192)
    with pytest.raises(HomeError, match=r"is damaged: ledger-\S*\.db is not a whole database"):
        restore(kept, tmp_path / "restored")
    assert not (tmp_path / "restored").exists()
    (kept / note["ledger"]).write_bytes(content)
    restore(kept, tmp_path / "restored")
    _inverted(next(kept.rglob("*.metadata.json")), 8)
    assert back_up(installation, kept, with_key=True).copied == 1
    after = json.loads((kept / "backup.json").read_text())
    assert {name: after["sums"][name] for name in after["files"]} == {name: before[name] for name in after["files"]}


@pytest.mark.parametrize("name", ["*.metadata.json", "snap-*.avro", "*-m0.avro"])
@pytest.mark.parametrize("bytes_changed", [8, 100_000])
def test_a_backup_of_an_older_release_with_damaged_metadata_leaves_nothing_behind(
    installation: Installation, tmp_path: Path, name: str, bytes_changed: int
) -> None:
    kept = tmp_path / "kept"
    back_up(installation, kept, with_key=True)
    note = json.loads((kept / "backup.json").read_text())
    del note["sums"]
    (kept / "backup.json").write_text(json.dumps(note))
    victim = next(kept.rglob(name))
    _inverted(victim, min(bytes_changed, victim.stat().st_size))
    with pytest.raises(HomeError, match=f"is damaged: {victim} cannot be read: .*Nothing was changed"):
        restore(kept, tmp_path / "restored")
    assert not (tmp_path / "restored").exists()


def test_metadata_of_a_backup_that_is_still_json_but_no_table_is_refused(
    installation: Installation, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    back_up(installation, kept, with_key=True)
    note = json.loads((kept / "backup.json").read_text())
    del note["sums"]
    victim = kept / note["tables"][TABLE]
    damaged = victim.read_bytes().replace(b'"schemas"', b'"schembs"')
    victim.write_bytes(damaged)
    note["files"][note["tables"][TABLE]] = len(damaged)
    (kept / "backup.json").write_text(json.dumps(note))
    with pytest.raises(HomeError, match=f"is damaged: {victim} cannot be read"):
        restore(kept, tmp_path / "restored")
    assert not (tmp_path / "restored").exists()


def test_a_home_on_a_disk_that_is_mounted_read_only_is_backed_up_and_checked(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = installation.home.path
    installation.close()
    monkeypatch.setattr(homes, "may_write", lambda _: False)
    monkeypatch.setattr(homes, "is_read_only", lambda _: True)
    before = {path: path.stat().st_mtime_ns for path in (home, *home.rglob("*"))}
    with opened(home, reading_at_worst=True) as found:
        assert examine(found) == []
        back_up(found, tmp_path / "kept", with_key=True)
    assert {path: path.stat().st_mtime_ns for path in (home, *home.rglob("*"))} == before
    with opened(restore(tmp_path / "kept", tmp_path / "restored").home) as found:
        assert found.ledger.lake.unpublished(TABLE)[:2] == (1, 1)


def test_status_says_that_the_disk_of_the_home_is_mounted_read_only(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    assert overview(installation, allowed=timedelta(hours=1), now=now).lake == []
    monkeypatch.setattr(homes, "is_read_only", lambda _: True)
    found = overview(installation, allowed=timedelta(hours=1), now=now)
    assert f"the disk of {installation.home.path} is mounted read-only" in found.lake[0]
    assert not found.well


def test_after_a_purge_the_next_backup_holds_no_row_of_the_source(installation: Installation, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    back_up(installation, kept, with_key=False)
    assert [*kept.rglob("*.parquet")]
    purge(installation, installation.ledger.sources.listed()[0])
    back_up(installation, kept, with_key=False)
    assert [*kept.rglob("*.parquet")] == []


def test_a_check_tells_of_a_damaged_ledger(installation: Installation) -> None:
    assert examine(installation) == []
    ledger = installation.home.path / "ledger.db"
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'deeds'")
        ((size,),) = connection.execute("PRAGMA page_size")
    with ledger.open("r+b") as content:
        content.seek((page - 1) * size)
        content.write(b"\x2a" * size)
    (told,) = examine(installation)
    assert f"The ledger {ledger}: the file is damaged; if there is a backup" in told
