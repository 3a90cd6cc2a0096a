"""A full disk means the same wherever it is met."""

import errno
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from ocelog.errors import LakeUnavailableError, OcelogError
from ocelog.files import disk_full
from ocelog.installation.home import translated as home_errors
from ocelog.lake.storage.disk import DRAFT, disk_errors, replace_file
from ocelog.lake.storage.faults import translated as lake_errors
from ocelog.lake.storage.verified import DAMAGED, found_damaged
from ocelog.ledger.database.faults import of_sqlite
from ocelog.secrets import keys

FULL = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG]


@pytest.mark.parametrize("number", FULL)
def test_every_place_says_the_same_of_a_full_disk(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, "whatever this system says of it")

    def write_key() -> None:
        monkeypatch.setattr(keys, "_write_new", fail)
        keys.make_key(tmp_path / "key")

    def in_block(translated: object) -> None:
        with translated:  # type: ignore[attr-defined] # a context manager
            fail()

    found = list[OcelogError]()
    for call in (
        write_key,
        lambda: in_block(home_errors(tmp_path)),
        lambda: in_block(disk_errors(tmp_path)),
        lambda: in_block(lake_errors("wiz_issues")),
    ):
        with pytest.raises(LakeUnavailableError) as raised:
            call()
        found.append(raised.value)
    assert {each.code for each in found} == {"disk_full"}
    advice = "Raise it (ulimit -f unlimited)" if number == errno.EFBIG else "Free some space"
    assert all(str(each).endswith(f"could not be written. {advice} and run it again.") for each in found)


def test_what_is_no_full_disk_is_not_called_one() -> None:
    assert [disk_full(OSError(number, ""), "x") for number in (errno.EACCES, errno.EIO, errno.EROFS)] == [None] * 3


def test_a_full_disk_under_a_database_has_the_same_code() -> None:
    cause = sqlite3.OperationalError("in words that may change")
    cause.sqlite_errorname = "SQLITE_FULL"
    ledger = of_sqlite(cause, "ledger.db")
    assert ledger is not None
    with pytest.raises(LakeUnavailableError) as raised, lake_errors("wiz_issues"):
        raise OperationalError("INSERT", {}, cause)
    assert (ledger.code, raised.value.code) == ("disk_full", "disk_full")


@pytest.mark.parametrize("synced", [True, False])
def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synced: bool) -> None:
    path, other = tmp_path / "note", tmp_path / "other"
    (tmp_path / f"{DRAFT}note").write_text("of a process that was killed")
    replace_file(path, b"first", mode=0o600, synced=synced)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"first", 0o600)
    other.write_bytes(b"second")
    replace_file(path, other, mode=0o600, synced=synced)
    assert path.read_bytes() == b"second"

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(shutil, "copyfileobj", fail)
    with pytest.raises(OSError, match="no room"):
        replace_file(path, other, mode=0o600, synced=synced)
    assert path.read_bytes() == b"second"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["note", "other"]


def test_what_is_synced_is_on_disk_before_it_has_its_name_and_then_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = list[list[str]]()
    monkeypatch.setattr(os, "fsync", lambda _: names.append(sorted(each.name for each in tmp_path.iterdir())))
    replace_file(tmp_path / "note", b"x", mode=0o600, synced=True)
    assert names == [[f"{DRAFT}note"], ["note"]]
    replace_file(tmp_path / "note", b"x", mode=0o600, synced=False)
    assert len(names) == 2


def test_a_pipe_in_the_place_of_the_note_of_damaged_files_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    os.mkfifo(tmp_path / "tmp" / DAMAGED)
    assert found_damaged(tmp_path) == {}
