"""A ledger that is only read: beside its writer, at rest, and left behind."""

import sqlite3
from pathlib import Path

import pytest

from ocelog.errors import HomeError, LedgerUnavailableError
from ocelog.ledger.ledger import Ledger


@pytest.mark.parametrize("writing", [False, True])
def test_a_ledger_for_reading_takes_nothing(tmp_path: Path, writing: bool) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    owner = Ledger.open(url)
    if not writing:
        owner.close()
    ledger = Ledger.for_reading(url)
    assert ledger.id == owner.id
    with pytest.raises(HomeError, match="may only be read"):
        ledger.lake.raise_counter("wiz_issues", 5)
    assert ledger.lake.counter("wiz_issues") == 0
    ledger.close()
    owner.close()


def test_an_empty_log_that_a_full_disk_left_is_as_good_as_none(tmp_path: Path) -> None:
    Ledger.open(f"sqlite:///{tmp_path}/ledger.db").close()
    (tmp_path / "ledger.db-wal").touch()
    (tmp_path / "ledger.db-shm").write_bytes(bytes(3))
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    Ledger.for_reading(f"sqlite:///{tmp_path}/ledger.db").close()
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_a_ledger_whose_writer_died_is_not_read_without_the_index_of_its_log(tmp_path: Path) -> None:
    owner = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    for each in tmp_path.iterdir():
        if not each.name.endswith("-shm"):
            (tmp_path / f"copy{each.name.removeprefix('ledger')}").write_bytes(each.read_bytes())
    owner.close()
    with pytest.raises(HomeError, match=r"was not closed.*its owner must run a command"):
        Ledger.for_reading(f"sqlite:///{tmp_path}/copy.db")


def test_a_ledger_that_never_rests_is_to_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Ledger.open(f"sqlite:///{tmp_path}/ledger.db").close()
    read = Path.read_bytes

    def touching(path: Path) -> bytes:
        content = read(path)
        with sqlite3.connect(path) as other:
            other.execute("UPDATE alembic_version SET version_num = version_num")
        other.close()
        return content

    monkeypatch.setattr(Path, "read_bytes", touching)
    with pytest.raises(LedgerUnavailableError, match="changed each time"):
        Ledger.for_reading(f"sqlite:///{tmp_path}/ledger.db")
