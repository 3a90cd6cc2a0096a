"""What one process notes in the home for others to read: nothing stands on it, and who finds none is told less."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ocelog.files import read_regular

_T = TypeVar("_T")


def write(home: Path, name: str, value: Any) -> None:
    """Put `value` in the place of what was noted under that name; if that fails, what was noted stays."""
    path = _path(home, name)
    draft = path.with_name(f"{name}-{os.getpid()}-{time.monotonic_ns()}")
    with suppress(OSError):
        draft.write_bytes(msgspec.json.encode(value))
        draft.rename(path)


def read(home: Path, name: str, kind: type[_T]) -> _T | None:
    """Return what was noted under that name; None: nothing, or nothing that can be read."""
    try:
        return msgspec.json.decode(read_regular(_path(home, name)), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None


def _path(home: Path, name: str) -> Path:
    return home / "tmp" / f"{name}.json"
