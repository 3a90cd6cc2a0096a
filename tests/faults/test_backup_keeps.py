"""What a backup has copied stays, also if the power goes right after it, or a part is damaged before the next one."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from bookkeeping.records import source_row
from ocelog.app.log_types import table_schemas
from ocelog.app.maintenance.backup import back_up, restore
from ocelog.app.maintenance.repair import examine, repair
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
            given = {"id": "a", "p_row_id": str(number)} | dict.fromkeys(
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
