"""How a ledger on SQLite is read by who may not write it: beside its writer, or if nobody may write at all."""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from ocelog.errors import HomeError, LedgerUnavailableError

_TRIES = 5
_FORMATS = slice(18, 20)
"""Bytes of the file's header that say how it is written and read: 2 for a write-ahead log, 1 for none."""


def connected(path: Path) -> sqlite3.Connection:
    """Return a connection that changes nothing, not even beside the file.

    While its writer works, the log and its index lie beside the file, and SQLite reads all three. Without them it would
    have to make them anew, so the file, which is complete then, is read into memory instead. Raises HomeError if
    this user may not read it, LedgerUnavailableError if it changes at just that moment.
    """
    try:
        for _ in range(_TRIES):
            found = _beside_writer(path) if _holds_news(path) else _at_rest(path)
            if found is not None:
                found.execute("PRAGMA query_only = ON")
                return found
    except PermissionError as error:
        raise HomeError(
            f"{error.filename} may not be read by this user: its owner can allow that, see "
            "docs/how-to/let-others-read.md."
        ) from error
    raise LedgerUnavailableError(f"The ledger {path} changed each time that it was read: try again.")


def _beside_writer(path: Path) -> sqlite3.Connection | None:
    """Return a connection to the file, None if its log has gone meanwhile."""
    try:
        for each in (path, _log(path), path.with_name(path.name + "-shm")):
            each.open("rb").close()
    except FileNotFoundError as error:
        if _log(path).exists() and path.exists():
            raise HomeError(
                f"The ledger {path} was not closed, and {error.filename} is not there: its owner must run a command "
                "first, such as `ocelog status`."
            ) from error
        return None
    return _connect(f"file:{quote(str(path))}?mode=ro")


def _at_rest(path: Path) -> sqlite3.Connection | None:
    """Return a copy in memory, None if the file changed while it was copied."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    after = path.stat()
    if _holds_news(path) or (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        return None
    # A log has no place in memory, and there is none to be read.
    content[_FORMATS] = b"\x01\x01"
    found = _connect("file::memory:")
    found.deserialize(bytes(content))
    return found


def _connect(uri: str) -> sqlite3.Connection:
    # As SQLAlchemy opens its own: it begins transactions, and hands a connection on from thread to thread.
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=30)


def _holds_news(path: Path) -> bool:
    """Whether its log says more than the file. Who could not open it, as on a full disk, leaves an empty one."""
    try:
        return _log(path).stat().st_size > 0
    except FileNotFoundError:
        return False


def _log(path: Path) -> Path:
    return path.with_name(path.name + "-wal")
