"""What a disk holds after the power went: only what was synced, under the names whose folders were synced.

`Disk` watches one folder. While it is `recorded`, it notes what each fsync of this process makes durable. `cut` then
turns the folder into what such a disk may look like at its worst: file contents that were not synced are gone, so are
names whose folder was not synced since, and a file whose removal was not synced is back. Databases (SQLite syncs its
own files, out of our sight) stay as they are.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

_DATABASE = (".db", ".db-wal", ".db-shm", ".db-journal")


class PowerCut(BaseException):
    """The machine is off at this instruction."""


class Disk:
    """A folder of a disk that loses what was not synced."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.steps = 0
        """Syncs and removals so far: before each of them the power may go."""
        self.cut_before: int | None = None
        self._sizes: dict[int, int] = {}
        """Inode -> bytes of it that are on disk."""
        self._names: dict[int, dict[str, int]] = {}
        """Inode of a folder -> the names in it that are on disk, and the inode each one stands for."""
        self._kept: dict[int, Path] = {}
        """Removed files, kept under another name: the removal may not be on disk yet."""
        self._spare = folder.with_name(folder.name + ".removed")

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Note every sync within the block; what is there at its begin is on disk. Raises PowerCut at `cut_before`."""
        self._spare.mkdir()
        for path in (self.folder, *self.folder.rglob("*")):
            self._sync(path)
        fsync, unlink, rename, replace = os.fsync, os.unlink, os.rename, os.replace

        def synced(descriptor: int) -> None:
            self._step()
            fsync(descriptor)
            self._sync(Path(f"/proc/self/fd/{descriptor}").readlink())

        def unlinked(path: Any, **more: Any) -> None:
            self._step()
            self._keep(Path(path))
            unlink(path, **more)

        def renamed(move: Callable[..., None]) -> Callable[..., None]:
            def moved(source: Any, target: Any, **more: Any) -> None:
                self._step()
                self._keep(Path(target))
                self._keep(Path(source))
                move(source, target, **more)

            return moved

        with (
            patch.object(os, "fsync", synced),
            patch.object(os, "unlink", unlinked),
            patch.object(os, "remove", unlinked),
            patch.object(os, "rename", renamed(rename)),
            patch.object(os, "replace", renamed(replace)),
        ):
            yield

    def cut(self) -> None:
        """Leave in the folder what is on disk for certain."""
        self._cut(self.folder)
        shutil.rmtree(self._spare)

    def _step(self) -> None:
        self.steps += 1
        if self.cut_before == self.steps:
            raise PowerCut

    def _sync(self, path: Path) -> None:
        if not path.is_relative_to(self.folder):
            return
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            self._names[found.st_ino] = {entry.name: entry.inode() for entry in os.scandir(path)}
        else:
            self._sizes[found.st_ino] = found.st_size

    def _keep(self, path: Path) -> None:
        if path.is_relative_to(self.folder) and path.exists():
            inode = path.stat().st_ino
            if inode not in self._kept:
                self._kept[inode] = self._spare / str(inode)
                os.link(path, self._kept[inode])

    def _cut(self, folder: Path) -> None:
        on_disk = self._names.get(folder.stat().st_ino, {})
        for entry in list(os.scandir(folder)):
            path = Path(entry.path)
            if path.name.endswith(_DATABASE):
                continue
            if on_disk.get(entry.name) != entry.inode():
                shutil.rmtree(path) if entry.is_dir(follow_symlinks=False) else path.unlink()
        for name, inode in on_disk.items():
            path = folder / name
            if not path.exists() and inode in self._kept:
                shutil.copy(self._kept[inode], path)
                self._cut_content(path, inode)
            elif path.is_dir():
                self._cut(path)
            elif path.exists() and not name.endswith(_DATABASE):
                self._cut_content(path, path.stat().st_ino)

    def _cut_content(self, path: Path, inode: int) -> None:
        size = self._sizes.get(inode, 0)
        if path.stat().st_size > size:
            path.chmod(0o644)
            os.truncate(path, size)
