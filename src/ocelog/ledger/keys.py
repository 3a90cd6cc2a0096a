"""Where the key of the secrets comes from, and who else could read it."""

import os
import secrets
import stat
from pathlib import Path

from ocelog.errors import HomeError
from ocelog.ledger.vault import KEY_BYTES

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_key(path: Path) -> bytes:
    """Make a random key in a new file that only this user may read. Raises HomeError where there is a file already."""
    key = secrets.token_bytes(KEY_BYTES)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(key.hex() + "\n")
            file.flush()
            os.fsync(handle)
    except FileExistsError as error:
        raise HomeError(f"There is a key at {path} already; it stays as it is.") from error
    except OSError as error:
        raise HomeError(f"The key {path} cannot be written ({error.strerror}).") from error
    return key


def read_key(path: Path, *, guarded: bool = False) -> bytes:
    """Return the key in `path`, refusing a file that other users may read.

    `guarded`: the folder keeps others out by other means than the file's mode bits, as systemd's credentials do.
    Raises HomeError with what to do.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            raw = file.read(1024)
    except OSError as error:
        raise HomeError(
            f"The key {path} cannot be read ({error.strerror}). Put it back; where it is lost, make a new one with "
            "ocelog init and enter the secrets again: ocelog source rotate NAME. No data is lost."
        ) from error
    if mode & _OTHERS and not guarded:
        raise HomeError(f"The key {path} may be read by other users (mode {mode:o}); type: chmod 600 {path}")
    return parse_key(raw.decode("ascii", "replace"), origin=str(path))


def parse_key(text: str, *, origin: str) -> bytes:
    """Return the key that `text` writes as hex digits; an error names `origin`, and never shows the text."""
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise HomeError(f"{origin} holds no key: expected {KEY_BYTES * 2} hex digits. Put the right one back.")
    return key
