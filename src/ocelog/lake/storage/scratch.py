"""Where a query spills what does not fit into memory, and how what a killed one left there goes."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ocelog.lake.storage.disk import refusal

_PREFIX = "query-"
_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def temporary_directory(home: Path) -> Iterator[Path]:
    """Lend a directory under the home's `tmp`; if the home may only be read, under the system's."""
    clear_abandoned(home)
    try:
        path, lock = _made(home / "tmp")
    except OSError as error:
        if error.errno not in _CLOSED:
            raise refusal(error, home / "tmp") from error
        path, lock = _made(Path(tempfile.gettempdir()))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def clear_abandoned(home: Path) -> None:
    """Delete the directories of queries that were killed: whoever still uses one holds its lock."""
    for path in (home / "tmp").glob(f"{_PREFIX}*"):
        with suppress(OSError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


def _made(folder: Path) -> tuple[Path, int]:
    """Make a directory and return it with the descriptor that locks it."""
    folder.mkdir(exist_ok=True)
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
        # Between the two, another query may take it for abandoned.
        with suppress(FileNotFoundError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)
