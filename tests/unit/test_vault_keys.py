"""Keys are made for one user, read only from files that others cannot read, and never shown; nor are secrets."""

import copy
import errno
import os
import pickle
import stat
from pathlib import Path

import pytest

from ocelog.errors import HomeError, LakeUnavailableError
from ocelog.secrets.keys import is_missing, make_key, parse_key, read_key
from ocelog.secrets.secret import Secret


def test_a_key_is_made_for_its_owner_alone_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = make_key(path)
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key(path) == key
    assert make_key(tmp_path / "other") != key


def test_a_key_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = make_key(path)
    with pytest.raises(HomeError, match="already"):
        make_key(path)
    assert read_key(path) == key


def test_a_key_in_a_folder_that_is_not_there_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="absent"):
        make_key(tmp_path / "absent" / "key")


def test_a_key_that_a_full_disk_cut_short_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LakeUnavailableError, match=r"The disk is full: the key .*Free some space"):
        make_key(tmp_path / "key")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_key_file_is_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch(0o600)
    assert is_missing(path)
    key = make_key(path)
    assert read_key(path) == key
    assert not is_missing(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_key_that_others_may_read_is_refused_with_what_to_type(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    key = make_key(path)
    path.chmod(mode)
    with pytest.raises(HomeError, match=f"mode {mode:o}.*chmod 600 ") as caught:
        read_key(path)
    assert key.hex() not in str(caught.value)
    assert read_key(path, guarded=True) == key


def test_a_key_that_only_its_owner_may_read_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = make_key(path)
    path.chmod(0o400)
    assert read_key(path) == key


def test_a_lost_key_says_that_no_data_is_lost_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match=r"`ocelog init` makes a new one.*No data is lost"):
        read_key(tmp_path / "key")


@pytest.mark.parametrize("text", ["", "abc", "00" * 31, "00" * 33, "zz" * 32, "ab" * 31 + "\0\0", "é" * 64])
def test_what_is_no_key_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(HomeError, match="OCELOG_KEY holds no key: expected 64 hex digits") as caught:
        parse_key(text, origin="OCELOG_KEY")
    assert not text or text not in str(caught.value)
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(HomeError, match="expected 64 hex digits"):
        read_key(path)


def test_a_key_may_stand_between_white_space() -> None:
    assert parse_key(f"  {'0f' * 32}\n", origin="x") == b"\x0f" * 32


def test_a_secret_is_shown_only_when_asked() -> None:
    secret = Secret("hunter2")
    assert secret.reveal() == "hunter2"
    assert {str(secret), repr(secret), f"{secret}", f"{secret!r:>5}"} == {"Secret(...)"}


def test_secrets_are_compared_by_what_they_hide() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("ü")}) == 2


def test_a_secret_is_neither_pickled_nor_copied() -> None:
    for spread in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            spread(Secret("hunter2"))
