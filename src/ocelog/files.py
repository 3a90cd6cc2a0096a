"""How a file is opened that a person, or another program, may have replaced by something else."""

import errno
import stat
from pathlib import Path


def check_regular(path: Path | str) -> None:
    """Raise OSError if there is something at `path` that is not a regular file.

    Opening a named pipe waits for ever, and a device has no end.
    """
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def read_regular(path: Path | str) -> bytes:
    """Return what is in a regular file. Raises OSError."""
    check_regular(path)
    return Path(path).read_bytes()
