"""How a file of the lake proves that it still holds the bytes that were written."""

import errno
import os
import re
import stat
import zlib
from pathlib import Path

from ocelog.errors import HomeError, LakeDamagedError, LakeUnavailableError

REPAIR = "Put it back from a backup, or run: ocelog repair"
"""What to do about a file that is lost or damaged."""
NOT_REGULAR = "is not a regular file"
OTHER_BYTES = "does not hold the bytes that were written (its checksum differs)"
_UNREADABLE = "cannot be read"
_SUM = re.compile(r"\.([0-9a-f]{8})\.parquet")
_PIECE = 1 << 20
_RUN_OUT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What this process or this machine has run out of says nothing about the file."""


def stamped(name: str, crc: int) -> str:
    """Return the file name of `name` with the CRC-32 of the whole file in it, such as `1-2-3.0badcafe.parquet`."""
    return f"{name}.{crc:08x}.parquet"


def written_sum(path: Path | str) -> int | None:
    """Return the CRC-32 in a file's name; None: the file is older than these names, or another engine wrote it."""
    found = _SUM.search(Path(path).name)
    return None if found is None else int(found[1], 16)


def file_sum(path: Path) -> int:
    """Read a file whole and return its CRC-32."""
    crc = 0
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            crc = zlib.crc32(piece, crc)
    return crc


def damage(path: Path, size: int | None = None, *, content: bool = True) -> str | None:
    """Say what is wrong with a file; None: it is there, has `size` bytes, and holds what was written.

    The content is read only if asked for, and if the name has a checksum. What is not damage is raised: HomeError if
    this user may not read it, LakeUnavailableError if this process has run out of memory or open files.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return NOT_REGULAR
        if size is not None and found.st_size != size:
            return f"has {found.st_size:,} bytes instead of {size:,}"
        if not content and not os.access(path, os.R_OK, effective_ids=True):
            raise unreadable(path)
        wanted = written_sum(path) if content else None
        if wanted is not None and file_sum(path) != wanted:
            return OTHER_BYTES
    except FileNotFoundError:
        return "is missing"
    except PermissionError as error:
        raise unreadable(path) from error
    except OSError as error:
        if error.errno in _RUN_OUT:
            raise read_error(path, error) from error
        return f"{_UNREADABLE} ({error.strerror or error})"
    return None


def may_come_back(what: str) -> bool:
    """Tell whether the damage `what` may be that of a disk which is away: it failed, and nothing wrong was seen."""
    return what.startswith(_UNREADABLE)


def unreadable(path: Path | str) -> HomeError:
    """Say that this user may not read a file."""
    return HomeError(
        f"{path} may not be read by this user: run as the owner of the home, or give the file its rights back "
        f"(chmod u+r {path}; the folders above it need u+x)."
    )


def damaged(path: Path | str, what: str) -> LakeDamagedError:
    """Return the error for a file that the lake names and that is lost or damaged."""
    return LakeDamagedError(f"{path} {what}.", todo=REPAIR)


def read_error(path: Path | str, error: BaseException) -> LakeDamagedError | LakeUnavailableError | HomeError:
    """Sort what reading `path` raised: gone (perhaps only published meanwhile), forbidden, damaged, or ours."""
    match error:
        case FileNotFoundError():
            return LakeUnavailableError(f"{path} is missing. Run it again; if it stays so, run: ocelog repair")
        case PermissionError():
            return unreadable(path)
        case OSError() if error.errno in _RUN_OUT:
            return LakeUnavailableError(f"{path} cannot be read: {os.strerror(error.errno or 0)}. Run it again.")
        case _:
            told = (str(error).splitlines() or [type(error).__name__])[0]
            return damaged(path, f"cannot be read: {told[:200].rstrip('.')}")
