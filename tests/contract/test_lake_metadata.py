"""Old metadata files of a table go, so that a year of publishing does not fill the disk with them."""

from pathlib import Path

import pytest

from lakeside.ledger import FakeLedger
from lakeside.things import SCHEMAS, row, rows
from ocelog.lake.catalog import iceberg
from ocelog.lake.catalog.iceberg import table_location
from ocelog.lake.lake import FileLake
from ocelog.lake.write.publish import Publisher

TABLE = "wiz_issues"


def test_old_metadata_files_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert iceberg.PROPERTIES["write.metadata.previous-versions-max"] == "100"
    monkeypatch.setitem(iceberg.PROPERTIES, "write.metadata.previous-versions-max", "3")
    ledger = FakeLedger()
    lake = FileLake(tmp_path, ledger, SCHEMAS)
    for number in range(8):
        ledger.land(lake.write(TABLE, f"1-1-{number}", rows([row(f"r{number}", number)])))
        Publisher(tmp_path, ledger, SCHEMAS).publish(TABLE, force=True)
    assert len(list((table_location(tmp_path, TABLE) / "metadata").glob("*.metadata.json"))) == 4
