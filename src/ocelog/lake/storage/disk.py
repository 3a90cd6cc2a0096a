"""How a file is made durable, and what an operating system's refusal means to a person."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ocelog.errors import HomeError, LakeUnavailableError, OcelogError
from ocelog.files import disk_full

READ_ONLY = 0o444
"""Files of the lake never change: not even by a mistaken hand."""
DRAFT = ".draft-"
"""What the name begins with under which a file is written that replaces another."""


def refusal(error: OSError, path: Path | str) -> OcelogError:
    """Say what `error` means: a full disk may pass, a disk that must not be written needs attention."""
    full = disk_full(error, path)
    if full is not None:
        return full
    if error.errno == errno.ENOENT:
        return LakeUnavailableError(f"{path} is missing. Run it again; if it stays so, run: ocelog repair")
    if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
        return HomeError(
            f"{path} may not be written ({error.strerror}). Make the home writable for this user, or choose another "
            "home by OCELOG_HOME."
        )
    return LakeUnavailableError(f"{path}: {error.strerror or error}. Run it again.")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Say what the operating system refuses within the block; `path` is named if it names none."""
    try:
        yield
    except OSError as error:
        raise refusal(error, error.filename or path) from error


def make_directory(path: Path, *, mode: int = 0o777) -> None:
    """Create `path`, with `mode`, and what is missing above it, each entry on disk when it returns."""
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    for made in missing:
        sync_directory(made.parent)


def write_new(path: Path, content: memoryview | bytes, *, mode: int = READ_ONLY) -> None:
    """Write a file that was not there; it is on disk when this returns. Its directory's entry is not."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)


def replace_file(path: Path, content: bytes | Path, *, mode: int, synced: bool) -> None:
    """Write a file whole or not at all, in the place of what is there: these bytes, or what another file holds.

    That one may be larger than the memory. `synced`: the new file is on disk when this returns; otherwise a power
    failure may undo or damage it. One process at a time may write `path`: the draft of one that was killed goes.
    """
    draft = path.with_name(f"{DRAFT}{path.name}")
    draft.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                with content.open("rb") as source:
                    shutil.copyfileobj(source, file)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    if synced:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Put the entries of a directory on disk: without it, a durable file may have no name after a power failure."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
