"""Where everything of one installation lives, and whether it is fit for use."""

import contextlib
import errno
import json
import os
import pwd
import re
import shlex
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from ocelog.errors import HomeError
from ocelog.files import disk_full, read_regular
from ocelog.secrets import redaction
from ocelog.times import rfc3339

VERSION = 1
"""Of the home's layout; a newer one is refused, an older one is brought up to this."""
_FOLDERS = ("landing", "lake", "tmp")
_OURS = {*_FOLDERS, "rules", "home.json", "key", "ledger.db", "ledger.db-wal", "ledger.db-shm", "lock", "config.yml"}
_OURS_BESIDE = re.compile(r"key\..*\.draft|(key|home\.json)\.damaged.*|ledger\.db.*")
"""What a crash leaves of a key that was being written, what was moved aside, and copies of the ledger."""
_MAX_NOTE = 100_000
"""Bytes that home.json may have, and the note in the lock."""


class Home(Struct, frozen=True, kw_only=True):
    """An installation's folder, found fit for use."""

    path: Path
    ledger_url: str
    created: str = ""
    """When it was made, as its note says."""

    @property
    def id(self) -> str:
        """What tells it from other homes, also of other machines that share its ledger, for as long as it lives."""
        return blake2b(f"{self.path}\0{self.created}".encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()

    @property
    def key_file(self) -> Path:
        """Where the key is that encrypts secrets, unless a setting names another place."""
        return self.path / "key"

    @property
    def tmp(self) -> Path:
        """What a crash may leave behind for anyone to delete."""
        return self.path / "tmp"

    @property
    def lock_file(self) -> Path:
        """Held by whoever pulls or publishes."""
        return self.path / "lock"


def exists(path: Path) -> bool:
    """Whether a finished home is at `path`."""
    with translated(path):
        try:
            (path / "home.json").lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


def has_remains(path: Path) -> bool:
    """Whether a ledger or a lake is in the folder `path`, whatever its home.json says."""
    with translated(path):
        try:
            return (path / "ledger.db").stat().st_size > 0
        except (FileNotFoundError, NotADirectoryError):
            return (path / "lake" / "catalog.db").exists()


def note_is_whole(path: Path) -> bool:
    """Whether the home.json of the home at `path` can be read, and says what it must."""
    note = read_note(path / "home.json")
    return (
        isinstance(note.get("version"), int)
        and isinstance(note.get("path"), str)
        and isinstance(note.get("ledger"), str | None)
    )


def move_aside(path: Path) -> Path:
    """Rename what is at `path` so that it says that it is damaged, and return how it is called now."""
    aside = path.with_name(f"{path.name}.damaged")
    if os.path.lexists(aside):
        aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    with translated(path):
        path.rename(aside)
        _sync_folder(path.parent)
    return aside


def prepare(path: Path) -> Path:
    """Make the folders of a home at `path`, which is not a home before `finish`. Raises HomeError."""
    path = path.expanduser().absolute()
    with translated(path):
        missing = [each for each in (path, *path.parents) if not each.exists()]
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for made in missing:
            # What is in a folder is on disk only if the folder itself is.
            _sync_folder(made.parent)
        strangers = {each.name for each in path.iterdir() if not _OURS_BESIDE.fullmatch(each.name)} - _OURS
        if strangers and not has_remains(path):
            raise HomeError(
                f"{path} is not empty and not a home of Ocelog ({min(strangers)!r} is in it): name an empty folder."
            )
        _check_owner(path)
        for name in _FOLDERS:
            (path / name).mkdir(mode=0o700, exist_ok=True)
    return Path(os.path.realpath(path))


def finish(path: Path, *, ledger_url: str | None) -> Home:
    """Declare the prepared folder `path` a home whose ledger is at `ledger_url` (None: beside the lake)."""
    note = {
        "version": VERSION,
        "path": str(path),
        "ledger": ledger_url,
        "created": rfc3339(datetime.now(UTC).replace(microsecond=0)),
    }
    with translated(path):
        draft = path / "tmp" / "home.json"
        draft.touch(mode=0o600)
        with draft.open("w", encoding="utf-8") as file:
            json.dump(note, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path / "home.json")
        _sync_folder(path)
    return open_home(path)


without_password = redaction.without_password


def default_ledger(path: Path) -> str:
    """Return the address of the ledger that lives in the home."""
    return f"sqlite:///{quote(str(path / 'ledger.db'))}"


def open_home(path: Path, *, reading: bool = False) -> Home:
    """Return the home at `path`. Raises HomeError if it is none, or not fit for this user, version and place.

    For `reading`, any user is fit who may read it.
    """
    anew = (
        f"run `ocelog init --home {shlex.quote(str(path))}`, which writes it again from the ledger and the lake (for a "
        "ledger on PostgreSQL, add --ledger URL)"
    )
    if not exists(path):
        if has_remains(path):
            raise HomeError(f"{path / 'home.json'} is missing: {anew}, or copy it back from a backup.")
        raise HomeError(f"There is no home of Ocelog at {path}: run `ocelog init`, or set OCELOG_HOME to its path.")
    if not reading:
        _check_owner(path)
    note = read_note(path / "home.json")
    if not note_is_whole(path):
        raise HomeError(f"{path / 'home.json'} is damaged: {anew}, or copy it back from a backup.")
    version, written = int(note["version"]), str(note["path"])
    if version > VERSION:
        raise HomeError(
            f"The home {path} was made by a newer Ocelog (layout {version}; this one knows up to {VERSION}): "
            "upgrade Ocelog, or restore the backup from before the upgrade. Nothing was changed."
        )
    if os.path.realpath(path) != os.path.realpath(written):
        raise HomeError(
            f"The home {path} was made at {written} and moved since; the lake's files name each other by absolute "
            f"paths. Move it back, or put a symbolic link to it at {written} and set OCELOG_HOME={written}."
        )
    return Home(
        path=Path(written),
        ledger_url=note.get("ledger") or default_ledger(Path(written)),
        created=str(note.get("created", "")),
    )


def may_write(path: Path) -> bool:
    """Whether this user owns the home at `path` and it may be written."""
    with translated(path):
        return owns(path) and os.access(path, os.W_OK, effective_ids=True)


def owns(path: Path) -> bool:
    """Whether the home at `path` is this user's. Raises OSError."""
    return path.stat().st_uid == os.geteuid()


def is_read_only(path: Path) -> bool:
    """Whether the file system of the home at `path` is mounted read-only, as many are once their disk fails."""
    with translated(path):
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def free_bytes(home: Home) -> int:
    """Return how much room is left where `home` is."""
    found = os.statvfs(home.path)
    return found.f_bavail * found.f_frsize


def _check_owner(path: Path) -> None:
    owner = path.stat().st_uid
    if owner == os.geteuid():
        return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"user {owner}"
    raise HomeError(
        f"The home {path} belongs to {name}: run this as that user, such as: sudo -u {name} {_program()} ..."
    )


def _program() -> str:
    return Path(sys.argv[0]).name or "ocelog"


def read_note(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`, an empty one if it is damaged."""
    with translated(path):
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_NOTE:
            return {}
        text = read_regular(path).decode("utf-8", "replace")
    with contextlib.suppress(ValueError):
        found = json.loads(text)
        return found if isinstance(found, dict) else {}
    return {}


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Say what an error of the file system means for a home."""
    try:
        yield
    except OSError as error:
        full = disk_full(error, path)
        if full is not None:
            raise full from error
        match error.errno:
            case errno.EROFS:
                raise HomeError(f"{path} is on a file system that is mounted read-only: mount it writable.") from error
            case errno.EACCES | errno.EPERM:
                with contextlib.suppress(OSError):
                    _check_owner(path)
                raise HomeError(f"This user may not use {path}: run as its owner, or set OCELOG_HOME.") from error
            case errno.ENOTDIR | errno.EEXIST:
                raise HomeError(f"{path} is not a folder: name another with OCELOG_HOME or --home.") from error
            case _:
                raise HomeError(f"{path} cannot be used: {error.strerror or error}. Name another folder.") from error
