"""A full disk means the same wherever it is met."""

import errno
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from ocelog.errors import LakeUnavailableError, OcelogError
from ocelog.files import disk_full
from ocelog.installation.home import translated as home_errors
from ocelog.lake.storage.disk import disk_errors
from ocelog.lake.storage.faults import translated as lake_errors
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
