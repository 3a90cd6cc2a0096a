"""What was typed into a shell of Ocelog, kept for the next time: for its user alone, and not for ever."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prompt_toolkit.history import History

_MOST_BYTES = 1_000_000


def history_file(path: Path) -> "History":
    """Return the history in `path`, mode 0600; one in memory if this user may not write there.

    Of a file that has grown too large the older half goes.
    """
    from prompt_toolkit.history import FileHistory, InMemoryHistory  # noqa: PLC0415 - slow to import

    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(handle, 0o600)
            size = os.fstat(handle).st_size
            if size > _MOST_BYTES:
                kept = os.pread(handle, _MOST_BYTES // 2, size - _MOST_BYTES // 2)
                # Each entry begins with a blank line.
                kept = kept[kept.find(b"\n\n") + 1 :]
                os.ftruncate(handle, 0)
                os.pwrite(handle, kept, 0)
        finally:
            os.close(handle)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))
