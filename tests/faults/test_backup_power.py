"""The power goes right after a backup, or a restore, has said that it is done: all of it is on disk."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from ocelog.assemble import table_schemas
from ocelog.backup import back_up, restore
from ocelog.installation import Installation, make, opened
from ocelog.lake.parts import write_part
from ocelog.lake.publish import Publisher
from ocelog.repair import examine
from powercut import Disk

TABLE = "wiz_audit"


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """Make a home with a published part and one that waits."""
    schemas = table_schemas()
    with opened(make(tmp_path / "home", ledger_url=None).home.path) as installation:
        home, ledger = installation.home.path, installation.ledger
        for number in range(2):
            given = {"id": "a", "p_row_id": str(number)} | dict.fromkeys(
                ("p_event_time", "p_cursor_time"), datetime(2026, 5, 4, tzinfo=UTC)
            )
            part = write_part(home, TABLE, f"1-1-{number}", pa.Table.from_pylist([given], schema=schemas[TABLE]))
            ledger.readmit("nothing", part, "acme")
            if not number:
                Publisher(home, ledger, schemas).publish(TABLE, force=True)
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
        assert found.ledger.unpublished(TABLE)[:2] == (1, 1)
        assert found.vault() is not None
