"""Which files cannot hold any of some ids: asked for every page of a sweep, when most files hold none."""

from array import array
from collections.abc import Collection, Sequence
from pathlib import Path
from threading import Lock
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from ocelog.lake.scan import opened

_MAX_KEYS = 2_000_000
"""Eight bytes each. Files beyond are read whenever ids are looked for."""

Key: TypeAlias = tuple[Path, str]
"""A file and one of its columns."""


class Keys:
    """Remembers a hash of every id in a file, since a file never changes."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[Key, pa.Array]] = {}
        self._count = 0
        self._lock = Lock()

    def note(self, table: str, path: Path, column: str, values: pa.ChunkedArray) -> None:
        """Remember the values of `column` of a file, as far as there is room."""
        with self._lock:
            hashes = self._tables.setdefault(table, {})
            if (path, column) not in hashes and self._count + len(values) <= _MAX_KEYS:
                hashes[path, column] = _hashed(values.to_pylist())
                self._count += len(values)

    def narrowed(self, table: str, paths: Sequence[Path], column: str, values: Collection[str]) -> list[Path]:
        """Return those of `paths` that may hold one of `values`. Raises LakeUnavailableError where one is gone."""
        known = self._tables.setdefault(table, {})
        for path in paths:
            if (path, column) not in known:
                self._read(table, path, column)
        wanted = _hashed(values)
        return [path for path in paths if (hashes := known.get((path, column))) is None or _share(hashes, wanted)]

    def keep(self, table: str, paths: Collection[Path]) -> None:
        """Forget all other files of `table`: they are published, rewritten, or never landed."""
        kept = set(paths)
        with self._lock:
            hashes = self._tables.setdefault(table, {})
            for key in [key for key in hashes if key[0] not in kept]:
                self._count -= len(hashes.pop(key))

    def _read(self, table: str, path: Path, column: str) -> None:
        with opened(path) as file:
            if self._count + file.metadata.num_rows <= _MAX_KEYS:
                self.note(table, path, column, file.read(columns=[column], use_threads=False).column(0))


def _hashed(values: Collection[str]) -> pa.Array:
    hashes = array("q", map(hash, values))
    return pa.Array.from_buffers(pa.int64(), len(hashes), [None, pa.py_buffer(hashes)])


def _share(hashes: pa.Array, wanted: pa.Array) -> bool:
    return bool(pc.any(pc.is_in(hashes, value_set=wanted)).as_py())
