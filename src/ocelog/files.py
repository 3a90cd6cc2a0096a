"""Files that a person, or another program, may have replaced by something else, and disks without room for more."""

import errno
import os
import shutil
import stat
from pathlib import Path

from ocelog.errors import LakeUnavailableError

_MAKE_ROOM = "Free some space and run it again."
_FULL = {
    errno.ENOSPC: ("The disk is full", _MAKE_ROOM),
    errno.EDQUOT: ("The disk quota is used up", _MAKE_ROOM),
    errno.EFBIG: ("A limit on the size of files is reached", "Raise it (ulimit -f unlimited) and run it again."),
}

_LEAST_ROOM = 64 * 1024
"""Bytes on a disk without which a database cannot be worked with: the index of its log alone takes half of it."""


def disk_full(error: OSError, what: Path | str) -> LakeUnavailableError | None:
    """Return what to raise if `error` means that there is no room for `what`; None: it means something else."""
    told = _FULL.get(error.errno or 0)
    if told is None:
        return None
    wrong, advice = told
    return LakeUnavailableError(f"{wrong}: {what} could not be written. {advice}", code="disk_full")


def sqlite_disk_full(name: str, database: Path | str) -> bool:
    """Whether an error of SQLite, of that name, in the file `database` is about a full disk.

    Where it cannot make or lengthen the files beside a database, it tells of input and output, or of opening.
    """
    kind = "_".join(name.split("_")[:2])
    if kind == "SQLITE_FULL":
        return True
    if kind not in {"SQLITE_IOERR", "SQLITE_CANTOPEN"}:
        return False
    try:
        return shutil.disk_usage(Path(database).parent).free < _LEAST_ROOM
    except OSError:
        return False


def check_regular(path: Path | str) -> None:
    """Raise OSError if there is something at `path` that is not a regular file.

    Opening a named pipe waits for ever, and a device has no end.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - a Path takes longer to make than to look
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def read_regular(path: Path | str) -> bytes:
    """Return what is in a regular file. Raises OSError."""
    check_regular(path)
    return Path(path).read_bytes()
