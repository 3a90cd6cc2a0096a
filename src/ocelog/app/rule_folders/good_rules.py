"""Where the last good version of each folder of rules is kept: it goes on judging when a file or the folder breaks."""

import os
import time
import zlib
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import msgspec
import structlog

from ocelog.detect.bundle import Bundle
from ocelog.errors import OcelogError
from ocelog.files import read_regular
from ocelog.lake.storage.disk import disk_errors, make_directory, sync_directory, write_new

_FOLDER = "rules"
"""In the home."""
_MOST = 128 << 20
"""Bytes that the files of a folder may have together; of one that has more nothing is kept."""
_DIGEST = 16
log = structlog.get_logger()


class _GoodFiles(msgspec.Struct):
    """What is in the file of a folder."""

    root: str
    scope: str
    files: dict[str, bytes]


@dataclass(slots=True)
class GoodRules:
    """A file for each folder of rules, in the home. Whoever cannot read or write one judges without it."""

    home: Path
    _known: dict[str, str] = field(default_factory=dict)
    """The revision that is kept of each folder, by its id."""

    def read(self, folder_id: str) -> Bundle | None:
        """Return what was kept of a folder; None: nothing, or it is damaged."""
        path = self._path(folder_id)
        try:
            content = read_regular(path)
            digest, packed = content[:_DIGEST], content[_DIGEST:]
            if blake2b(packed, digest_size=_DIGEST).digest() != digest:
                log.warning("last good rules not read", path=str(path), reason="its checksum differs")
                return None
            unpacked = zlib.decompressobj().decompress(packed, 2 * _MOST)
            kept = msgspec.msgpack.decode(unpacked, type=_GoodFiles)
        except FileNotFoundError:
            return None
        except (OSError, zlib.error, msgspec.MsgspecError) as error:
            log.warning("last good rules not read", path=str(path), reason=str(error))
            return None
        found = Bundle(root=Path(kept.root), scope=kept.scope, files=kept.files)
        self._known[folder_id] = found.revision()
        return found

    def keep(self, folder_id: str, bundle: Bundle) -> None:
        """Keep the files of a folder in the place of what was kept before, unless they are the same."""
        revision = bundle.revision()
        if self._known.get(folder_id) == revision:
            return
        self._known[folder_id] = revision
        if sum(map(len, bundle.files.values())) > _MOST:
            log.warning("last good rules not kept", reason=f"their files have more than {_MOST:,} bytes")
            self.forget(folder_id)
            return
        kept = _GoodFiles(root=str(bundle.root), scope=bundle.scope, files=dict(bundle.files))
        packed = zlib.compress(msgspec.msgpack.encode(kept), 1)
        path = self._path(folder_id)
        draft = self.home / "tmp" / f"rules-{os.getpid()}-{time.monotonic_ns()}"
        try:
            with disk_errors(path):
                make_directory(path.parent, mode=0o700)
                write_new(draft, blake2b(packed, digest_size=_DIGEST).digest() + packed, mode=0o600)
                draft.rename(path)
                sync_directory(path.parent)
        except OcelogError as error:
            log.warning("last good rules not kept", path=str(path), reason=str(error))

    def forget(self, folder_id: str) -> None:
        """Keep nothing of a folder any more."""
        self._known.pop(folder_id, None)
        path = self._path(folder_id)
        with disk_errors(path):
            path.unlink(missing_ok=True)

    def _path(self, folder_id: str) -> Path:
        return self.home / _FOLDER / folder_id
