"""Where the key of the secrets comes from, and who else could read it."""

import os
import secrets
import stat
import tempfile
from pathlib import Path

from ocelog.errors import HomeError
from ocelog.files import check_regular, disk_full
from ocelog.secrets.sealing import KEY_BYTES
from ocelog.secrets.secret import INIT_NAMES_THEM, shown_path

MADE_ANEW = f"Put the right one back. If it is lost, {INIT_NAMES_THEM}; the present one is renamed. No data is lost."
"""What to do about the key of a home."""
_GIVEN = "Put the right one back."
_LONGEST = 1024
"""Bytes of a file that are read as a key."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_key(path: Path) -> bytes:
    """Make a random key in a new file that only this user may read: whole, or not at all.

    Raises LakeUnavailableError if the disk is full, HomeError if there is a file already; an empty one, which a full
    disk may have left, is replaced.
    """
    key = secrets.token_bytes(KEY_BYTES)
    try:
        if is_missing(path):
            path.unlink(missing_ok=True)
        _write_new(path, key.hex() + "\n")
    except FileExistsError as error:
        raise HomeError(f"There is already a key at {path}; it was not changed.") from error
    except OSError as error:
        raise disk_full(error, f"the key {path}") or HomeError(
            f"The key {path} cannot be written ({error.strerror}): its folder must exist and be writable for this user."
        ) from error
    return key


def is_missing(path: Path) -> bool:
    """Whether there is no key file at `path`, or an empty one."""
    try:
        return path.stat().st_size == 0
    except FileNotFoundError:
        return True


def is_usable(path: Path) -> bool:
    """Whether the file at `path` holds a key, or may not be read by this user, so that nobody knows."""
    try:
        check_regular(path)
        with path.open("rb") as file:
            _parsed(file.read(_LONGEST).decode("ascii", "replace"))
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def _write_new(path: Path, text: str) -> None:
    """Write a file that appears with all of its text, and never in the place of another."""
    handle, draft = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".draft", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(handle)
        os.link(draft, path)
    finally:
        Path(draft).unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_key(path: Path, *, guarded: bool = False, otherwise: str = _GIVEN) -> bytes:
    """Return the key in `path`, refusing a file that other users may read.

    `guarded`: the folder keeps others out by other means than the file's mode bits, as systemd's credentials do.
    Raises HomeError with what to do: `otherwise` if it is not a key.
    """
    try:
        check_regular(path)
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            raw = file.read(_LONGEST)
    except OSError as error:
        raise HomeError(
            f"The key {shown_path(path)} cannot be read ({error.strerror}). Put it back. If it is lost, "
            f"{INIT_NAMES_THEM}. No data is lost."
        ) from error
    if mode & _OTHERS and not guarded:
        raise HomeError(f"The key {path} may be read by other users (mode {mode:o}); type: chmod 600 {path}")
    return parse_key(raw.decode("ascii", "replace"), origin=str(path), otherwise=otherwise)


def parse_key(text: str, *, origin: str, otherwise: str = _GIVEN) -> bytes:
    """Return the key that `text` writes as hex digits; an error names `origin`, and never shows the text."""
    try:
        return _parsed(text)
    except ValueError:
        raise HomeError(f"{origin} holds no key: expected {KEY_BYTES * 2} hex digits. {otherwise}") from None


def _parsed(text: str) -> bytes:
    key = bytes.fromhex(text.strip())
    if len(key) != KEY_BYTES:
        raise ValueError
    return key
