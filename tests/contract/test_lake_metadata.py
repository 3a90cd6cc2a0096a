"""Old metadata files of a table go, so that a year of publishing does not fill the disk with them."""

import json
from pathlib import Path
from struct import unpack

import pytest
from pyiceberg.manifest import read_manifest_list

from lakeside.ledger import MemoryLedger
from lakeside.things import SCHEMAS, row, rows
from ocelog.lake.catalog import iceberg
from ocelog.lake.catalog.file_io import durable_io
from ocelog.lake.catalog.iceberg import table_location
from ocelog.lake.catalog.state import TableStates
from ocelog.lake.lake import FileLake
from ocelog.lake.upkeep.maintenance import Maintenance
from ocelog.lake.write.publish import Publisher

TABLE = "wiz_issues"


def test_old_metadata_files_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert iceberg.PROPERTIES["write.metadata.previous-versions-max"] == "100"
    monkeypatch.setitem(iceberg.PROPERTIES, "write.metadata.previous-versions-max", "3")
    ledger = MemoryLedger()
    lake = FileLake(tmp_path, ledger, SCHEMAS)
    for number in range(8):
        ledger.land(lake.write(TABLE, f"1-1-{number}", rows([row(f"r{number}", number)])))
        Publisher(tmp_path, ledger, SCHEMAS).publish(TABLE)
    assert len(list((table_location(tmp_path, TABLE) / "metadata").glob("*.metadata.json"))) == 4


@pytest.mark.slow
def test_manifests_say_the_same_as_to_another_reader(tmp_path: Path) -> None:
    """Partitions, bounds and files that were deleted or rewritten, of a table by day and of one by month."""
    ledger = MemoryLedger()
    lake = FileLake(tmp_path, ledger, SCHEMAS)
    for table in (TABLE, "wiz_audit"):
        for number in range(6):
            ledger.land(lake.write(table, f"1-1-{number}", rows([row(f"r{number}", number * 1440)], SCHEMAS[table])))
            Publisher(tmp_path, ledger, SCHEMAS).publish(table)
        Maintenance(tmp_path, ledger, SCHEMAS).tend_whole(table)
        found = TableStates(tmp_path).state(table)
        assert found is not None
        metadata = json.loads(Path(found.location).read_text())
        (snapshot,) = (each for each in metadata["snapshots"] if each["snapshot-id"] == metadata["current-snapshot-id"])
        field = next(each["id"] for each in found.schema["fields"] if each["name"] == "p_cursor_time")
        io = durable_io()
        theirs = [
            (
                file.file_path,
                file.record_count,
                file.file_size_in_bytes,
                unpack("<q", file.lower_bounds[field])[0],
                unpack("<q", file.upper_bounds[field])[0],
                file.spec_id,
                tuple(file.partition[place] for place in range(len(file.partition))),
            )
            for manifest in read_manifest_list(io.new_input(snapshot["manifest-list"]))
            for file in (entry.data_file for entry in manifest.fetch_manifest_entry(io))
        ]
        ours = [
            (file.path, file.rows, file.bytes, file.min_cursor_us, file.max_cursor_us, file.spec_id, file.partition)
            for file in found.files
        ]
        assert ours == theirs
        assert ours
