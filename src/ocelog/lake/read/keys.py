"""Which files cannot hold any of some ids: asked for every page of a sweep, when most files hold none."""

import os
from array import array
from collections import OrderedDict
from collections.abc import Collection, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from threading import Lock, get_ident
from typing import TypeAlias
from zlib import crc32

import pyarrow as pa
import pyarrow.compute as pc

from ocelog.files import read_regular
from ocelog.lake.read.scan import opened

_MAX_KEYS = 4_000_000
"""Hashes in memory, four bytes each; the others are read from their files, which costs a hundredth of the data file."""
_HEADER = Struct("<4sII")
"""What it is, how many hashes follow, and their checksum: what a power failure left must not hide an id."""
_MAGIC = b"OCK1"

Key: TypeAlias = tuple[Path, str]
"""A file and one of its columns."""


class Keys:
    """Remembers a hash of every id in a file, since a file never changes: in memory, and of data files on disk too.

    What is on disk is a cache, in HOME/lake/keys: it may be deleted at any time.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._hashes: OrderedDict[Key, pa.Array] = OrderedDict()
        self._count = 0
        self._kept: dict[str, frozenset[Path]] = {}
        self._lock = Lock()

    def note(self, path: Path, column: str, values: pa.ChunkedArray) -> None:
        """Remember the values of `column` of a file that was just written."""
        self._remember((path, column), _hashed(values.to_pylist()))

    def narrowed(self, table: str, paths: Sequence[Path], column: str, values: Collection[str]) -> list[Path]:
        """Return those of `paths` that may hold one of `values`. Raises LakeUnavailableError if one is gone."""
        wanted = _hashed(values)
        return [path for path in paths if pc.any(pc.is_in(self._of(table, path, column), value_set=wanted)).as_py()]

    def keep(self, table: str, paths: Collection[Path]) -> None:
        """Forget all other files of `table`: they are published, rewritten, or never landed."""
        kept = frozenset(paths)
        with self._lock:
            before = self._kept.get(table, frozenset())
            if kept == before:
                return
            self._kept[table] = kept
            for key in [key for key in self._hashes if key[0] in before - kept]:
                self._count -= len(self._hashes.pop(key))
        named = {_name(path) for path in kept}
        with suppress(OSError):
            for file in self._folder(table).iterdir():
                if file.name.split(".")[0] not in named:
                    file.unlink(missing_ok=True)

    def _of(self, table: str, path: Path, column: str) -> pa.Array:
        key = path, column
        with self._lock:
            if key in self._hashes:
                self._hashes.move_to_end(key)
                return self._hashes[key]
        cache = self._folder(table) / f"{_name(path)}.{column}"
        lasting = path.is_relative_to(self._home / "lake")
        hashes = _read(cache) if lasting else None
        if hashes is None:
            with opened(path) as file:
                there = column in file.schema_arrow.names
                ids = file.read(columns=[column], use_threads=False).column(0).to_pylist() if there else []
            hashes = _hashed(ids)
            if lasting:
                _write(cache, hashes)
        self._remember(key, hashes)
        return hashes

    def _remember(self, key: Key, hashes: pa.Array) -> None:
        """Keep what was asked for last."""
        with self._lock:
            if key in self._hashes:
                return
            self._hashes[key] = hashes
            self._count += len(hashes)
            while self._count > _MAX_KEYS:
                _, oldest = self._hashes.popitem(last=False)
                self._count -= len(oldest)

    def _folder(self, table: str) -> Path:
        return self._home / "lake" / "keys" / table


def _name(path: Path) -> str:
    return blake2b(str(path).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _read(cache: Path) -> pa.Array | None:
    """Return what is in the cache, None if it is not whole."""
    try:
        content = read_regular(cache)
    except OSError:
        return None
    if len(content) < _HEADER.size:
        return None
    magic, count, checksum = _HEADER.unpack_from(content)
    hashes = memoryview(content)[_HEADER.size :]
    if magic != _MAGIC or len(hashes) != 4 * count or crc32(hashes) != checksum:
        return None
    return pa.Array.from_buffers(pa.uint32(), count, [None, pa.py_buffer(hashes)])


def _write(cache: Path, hashes: pa.Array) -> None:
    """Write the cache as a whole or not at all. On a full disk, or in a home that may only be read, there is none."""
    with suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        content = hashes.buffers()[1].to_pybytes()[: 4 * len(hashes)]
        fresh = cache.with_name(f"{cache.name}.{os.getpid()}-{get_ident()}")
        fresh.write_bytes(_HEADER.pack(_MAGIC, len(hashes), crc32(content)) + content)
        fresh.replace(cache)


def _hashed(values: Collection[str | None]) -> pa.Array:
    # Not Python's own hash, which is another one in each process.
    texts = (value.encode("utf-8", "surrogatepass") for value in values if value is not None)
    hashes = array("I", map(crc32, texts))
    return pa.Array.from_buffers(pa.uint32(), len(hashes), [None, pa.py_buffer(hashes)])
