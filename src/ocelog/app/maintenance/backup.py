"""How an installation is copied beside its service, and begins again from the copy under any path."""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from ocelog.app.assemble import publisher
from ocelog.app.log_types import table_schemas
from ocelog.app.other_tools import tables_change
from ocelog.errors import HomeError, LakeDamagedError, LakeUnavailableError, without_number
from ocelog.files import read_regular
from ocelog.installation import home as homes
from ocelog.installation.opening import Installation
from ocelog.lake.catalog.state import TableStates
from ocelog.lake.read.snapshot import check_lake
from ocelog.lake.storage.checksums import OTHER_BYTES, damage, damaged, read_error, unreadable, written_sum
from ocelog.lake.storage.disk import DRAFT, make_directory, refusal, replace_file, sync_directory
from ocelog.lake.upkeep.inspect import inspect
from ocelog.lake.upkeep.relocate import begin_in_home, check_copy, table_files
from ocelog.ledger.database.open import absolute
from ocelog.ledger.ledger import Ledger
from ocelog.times import rfc3339

_NOTE = "backup.json"
_VERSION = 1
_LONGEST_NOTE = 1_000_000_000
"""Bytes; it names each file, in some 400 of them."""
_OUTRUN = 1_000_000
"""Numbers and fences that processes may have been given since the backup was made; none of them must come again."""
_TREES = ("landing", "lake")
_SETTINGS = ("home.json", "config.yml", "key")
_PIECE = 1 << 20
_FILLING = "restoring"
"""In a home's `tmp`: which database a restore has begun to fill, so that it may do so again after it was killed."""


class BackedUp(Struct, frozen=True, kw_only=True):
    """What a backup holds."""

    folder: Path
    files: int
    bytes: int
    copied: int
    """Files that were not there from an earlier run."""
    with_key: bool


def back_up(installation: Installation, folder: Path, *, with_key: bool) -> BackedUp:
    """Copy ledger, lake and settings into `folder`, which may hold an earlier backup of the same home.

    A service may run meanwhile. The ledger goes first: what it vouches for is then in its parts, or published by the
    time that the tables are copied; what the tables hold beyond is met again as repeats. The note that names all of it
    is written last, so that a backup that was killed leaves the earlier one whole. Raises LakeDamagedError for a file
    that is lost or damaged, and is in no earlier backup either.
    """
    home, ledger = installation.home.path, installation.ledger
    folder = folder.expanduser().absolute()
    _refuse_unfit(folder, home, ledger.id)
    with _only_one(folder):
        stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{time.monotonic_ns()}"
        copy = folder / f"ledger-{stamp}.db"
        ledger.copy_to(copy)
        sums = dict(_read_note(folder)["sums"]) if (folder / _NOTE).exists() else {}
        parts = _copy_parts(home, folder, copy, sums)
        states = TableStates(home)
        published = _copy_tables(home, folder, states, sums)
        for table, sequence, lost in parts.waiting:
            if sequence > states.mark(table)[1]:
                raise damaged(home / lost, "is missing")
        settings = _copy_settings(home, folder, with_key=with_key)
        files = {**parts.files, **published.files}
        note = {
            "version": _VERSION,
            "created": rfc3339(datetime.now(UTC).replace(microsecond=0)),
            "home": str(home),
            "ledger_id": ledger.id,
            "ledger": copy.name,
            "tables": published.tables,
            "files": files,
            "sums": {**{name: sums[name] for name in files}, copy.name: _sum(copy), **settings},
        }
        replace_file(folder / _NOTE, json.dumps(note, indent=1).encode(), mode=0o600, synced=True)
        _prune(folder, {*files, copy.name})
    return BackedUp(
        folder=folder,
        files=len(files),
        bytes=sum(files.values()),
        copied=parts.copied + published.copied,
        with_key=(folder / "key").exists(),
    )


class _Parts(Struct, frozen=True, kw_only=True):
    """Parts that were copied."""

    files: Mapping[str, int]
    copied: int
    waiting: Sequence[tuple[str, int, str]]
    """Table, number and path of those that are gone: the tables must hold what was in them."""


def _copy_parts(home: Path, folder: Path, ledger_copy: Path, sums: dict[str, str]) -> _Parts:
    """Copy the parts for which a copy of the ledger vouches."""
    files, copied, waiting = dict[str, int](), 0, list[tuple[str, int, str]]()
    kept = Ledger.open(f"sqlite:///{ledger_copy}", create=False)
    try:
        for table in table_schemas():
            for part in kept.lake.parts(table):
                try:
                    copied += _copy(home, folder, part.path, part.bytes, sums)
                except FileNotFoundError:
                    waiting.append((table, part.sequence, part.path))
                else:
                    files[part.path] = part.bytes
        for aside in kept.losses.listed(repaired=True):
            # An earlier backup may hold the only whole copy of a part that was set aside: a repair lands it.
            if aside.sequence is not None and aside.path not in files:
                with suppress(FileNotFoundError, LakeDamagedError):
                    copied += _copy(home, folder, aside.path, aside.bytes, sums)
                    files[aside.path] = (folder / aside.path).stat().st_size
        # Before anything of an earlier backup is replaced: a lake that is not mounted must not empty it.
        check_lake(home, kept.lake, table_schemas())
    finally:
        kept.close()
    return _Parts(files=files, copied=copied, waiting=waiting)


class _Tables(Struct, frozen=True, kw_only=True):
    """Files of tables that were copied."""

    files: Mapping[str, int]
    copied: int
    tables: Mapping[str, str]
    """Where the metadata of each is."""


def _copy_tables(home: Path, folder: Path, states: TableStates, sums: dict[str, str]) -> _Tables:
    files, copied, tables = dict[str, int](), 0, dict[str, str]()
    for table in table_schemas():
        location = states.location(table)
        if location is None:
            continue
        found = table_files(location)
        tables[table] = str(found.metadata.relative_to(home))
        named: dict[Path, int | None] = {found.metadata: None, **found.others}
        for path, size in named.items():
            if not path.is_relative_to(home):
                raise HomeError(f"The table {table} holds {path}, outside the home: it cannot be backed up.")
            name = str(path.relative_to(home))
            try:
                copied += _copy(home, folder, name, size, sums)
            except FileNotFoundError as error:
                raise damaged(path, "is missing") from error
            files[name] = (folder / name).stat().st_size
    return _Tables(files=files, copied=copied, tables=tables)


def _copy_settings(home: Path, folder: Path, *, with_key: bool) -> Mapping[str, str]:
    """Copy what lies beside ledger and lake, and return the SHA-256 of each file."""
    sums = dict[str, str]()
    for name in _SETTINGS:
        wanted = with_key or name != "key"
        if wanted and (home / name).exists():
            try:
                content = read_regular(home / name)
            except PermissionError as error:
                raise unreadable(home / name) from error
            except OSError as error:
                raise HomeError(f"{home / name} cannot be read: {error.strerror or error}.") from error
            replace_file(folder / name, content, mode=0o600, synced=True)
            sums[name] = hashlib.sha256(content).hexdigest()
        elif not wanted:
            (folder / name).unlink(missing_ok=True)
    return sums


def _refuse_unfit(folder: Path, home: Path, ledger_id: str) -> None:
    if os.path.realpath(folder).startswith(os.path.realpath(home) + os.sep) or folder == home:
        raise HomeError(f"{folder} is inside the home: choose a folder elsewhere, best on another disk.")
    with homes.translated(folder), _permitted(folder):
        if not folder.is_dir():
            make_directory(folder, mode=0o700)
        if (folder / _NOTE).exists():
            there = _read_note(folder)
            if there["ledger_id"] != ledger_id:
                raise HomeError(f"{folder} holds the backup of another home, {there['home']}: name another folder.")
        elif any(not _is_ours(path.name) for path in folder.iterdir()):
            raise HomeError(f"{folder} is not empty and holds no backup: name an empty folder.")


@contextmanager
def _permitted(folder: Path) -> Iterator[None]:
    """Say what it means that `folder`, which is no home, cannot be used."""
    try:
        yield
    except PermissionError as error:
        raise HomeError(
            f"This user may not read and write {error.filename or folder}: name another folder for the backup, or let "
            "this user write that one."
        ) from error
    except (NotADirectoryError, FileExistsError) as error:
        raise HomeError(f"{folder} is not a folder: name another for the backup.") from error


def _is_ours(name: str) -> bool:
    """Tell whether a backup that was killed may have left a file of that name."""
    return name in {*_TREES, "lock", "key", "config.yml", "home.json"} or name.startswith(("ledger-", DRAFT))


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    with homes.translated(folder), _permitted(folder):
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LakeUnavailableError(f"Another backup to {folder} is running: wait for it to end.") from None
        yield
    finally:
        os.close(handle)


def _copy(source: Path, target: Path, name: str, size: int | None, sums: dict[str, str]) -> int:
    """Copy a file that never changes, unless it is there already; return 1 if it was copied. FileNotFoundError if gone.

    `sums` has the SHA-256 of what was copied before; that of this file is put into it.
    It is copied, not linked: a bad disk or a mistaken hand must not reach both at once.
    """
    there = target / name
    if there.exists() and (size is None or there.stat().st_size == size) and damage(there, size) is None:
        held = _held(source / name, there, sums.get(name))
        if held is not None:
            sums[name] = held
            return 0
    what = damage(source / name, size)
    if what is not None:
        if not (source / name).exists():
            raise FileNotFoundError(source / name)
        raise damaged(source / name, what)
    try:
        if not there.parent.exists():
            make_directory(there.parent, mode=0o700)
        draft = there.with_name(f"{DRAFT}{there.name}")
        copied = _copy_bytes(source / name, draft)
        draft.replace(there)
        sync_directory(there.parent)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise refusal(error, there) from error
    if (what := damage(there, size)) is not None:
        raise damaged(there, what)
    sums[name] = copied
    return 1


def _held(source: Path, there: Path, known: str | None) -> str | None:
    """Return the SHA-256 of a copy that an earlier backup made; None: it is not what was copied."""
    if written_sum(there) is not None:
        # Its content was compared with that of its name.
        return known or _sum(there)
    held = _sum(there)
    if known is not None:
        return held if held == known else None
    # No earlier backup noted it, so only the file itself can say.
    return held if not source.exists() or _sum(source) == held else None


def _copy_bytes(source: Path, target: Path) -> str:
    """Write what `source` holds into `target`, on disk when this returns, and return its SHA-256."""
    sha = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb") as writing:
        while piece := reading.read(_PIECE):
            sha.update(piece)
            writing.write(piece)
        writing.flush()
        os.fsync(writing.fileno())
    return sha.hexdigest()


def _sum(path: Path) -> str:
    """Read a file whole and return its SHA-256."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise read_error(path, error) from error


def _prune(folder: Path, named: set[str]) -> None:
    """Delete what earlier backups held and this one does not name."""
    for path in [*folder.glob("ledger-*"), *(each for tree in _TREES for each in (folder / tree).rglob("*"))]:
        if path.is_file() and str(path.relative_to(folder)) not in named:
            path.unlink()


def _read_note(folder: Path) -> Mapping[str, Any]:
    if (folder / _NOTE).is_file() and (folder / _NOTE).stat().st_size > _LONGEST_NOTE:
        raise HomeError(
            f"{folder} holds no complete backup: {_NOTE} is larger than {_LONGEST_NOTE // 10**9} GB, so no backup "
            "wrote it. Name another folder."
        )
    try:
        note = json.loads(read_regular(folder / _NOTE))
        version = int(note["version"])
        found = {name: note[name] for name in ("home", "ledger_id", "ledger", "tables", "files", "created")}
        # Older releases noted no checksums.
        found["sums"] = dict(note.get("sums", {}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HomeError(
            f"{folder} holds no complete backup: {_NOTE} cannot be read ({without_number(error)}). "
            "Name the folder that `ocelog backup` wrote."
        ) from error
    if version > _VERSION:
        raise HomeError(f"The backup {folder} was made by a newer Ocelog: upgrade first.")
    return found


class RestoreResult(Struct, frozen=True, kw_only=True):
    """What a restore made."""

    home: Path
    created: str
    """When the backup was made."""
    files: int
    has_key: bool


def restore(folder: Path, path: Path, *, ledger_url: str | None = None) -> RestoreResult:
    """Make a home at `path`, which must be empty, of the backup in `folder`.

    The ledger goes into `ledger_url`, an empty database (None: into a file in the home), whichever kind of database it
    was in before. Killed at any point, this leaves no home, and can be called again in the same way. Raises HomeError,
    also for a backup that lacks a file or whose files are damaged, and LedgerUnavailableError.
    """
    folder = folder.expanduser().absolute()
    note = _read_note(folder)
    _refuse_damaged(folder, note)
    if homes.exists(path):
        raise HomeError(f"There is a home at {path} already: name an empty folder with --home. Nothing was changed.")
    begun = path.expanduser().absolute() / "tmp" / _FILLING
    if ledger_url is not None:
        # Before anything is made: a database that is in use, or does not answer, leaves nothing behind.
        ledger_url = absolute(ledger_url)
        _refuse_used(ledger_url, begun)
    real = homes.prepare(path)
    for tree in _TREES:
        shutil.rmtree(real / tree)
        (real / tree).mkdir(mode=0o700)
    for name in note["files"]:
        if "/metadata/" not in name:
            _copy(folder, real, name, note["files"][name], {})
            (real / name).chmod(0o444)
    for table, metadata in note["tables"].items():
        begin_in_home(table, copy=folder, made_in=Path(note["home"]), metadata=metadata, home=real)
    for name in ("config.yml", "key"):
        if (folder / name).exists():
            replace_file(real / name, folder / name, mode=0o600, synced=True)
    for each in real.glob("ledger.db*"):
        each.unlink()
    if ledger_url is None:
        replace_file(real / "ledger.db", folder / note["ledger"], mode=0o600, synced=True)
    else:
        replace_file(begun, ledger_url.encode(), mode=0o600, synced=True)
        copy = real / "tmp" / "ledger.db"
        copy.unlink(missing_ok=True)
        shutil.copyfile(folder / note["ledger"], copy)
        ledger = Ledger.open(ledger_url)
        try:
            ledger.fill_from(copy)
        finally:
            ledger.close()
        copy.unlink()
    ledger = Ledger.open(ledger_url or homes.default_ledger(real), create=False)
    try:
        with tables_change(real):
            ledger.outrun(_OUTRUN)
            publisher(real, ledger).reconcile()
            found = inspect(real, ledger.lake, table_schemas())
            if found:
                raise HomeError(f"The restored home is not complete: {found[0].text}")
    finally:
        ledger.close()
    homes.finish(real, ledger_url=ledger_url)
    begun.unlink(missing_ok=True)
    return RestoreResult(home=real, created=note["created"], files=len(note["files"]), has_key=(real / "key").exists())


def _refuse_damaged(folder: Path, note: Mapping[str, Any]) -> None:
    """Refuse a backup of which a file is lost or damaged."""
    sums, ledger = note["sums"], note["ledger"]
    names: dict[str, int | None] = {**note["files"], ledger: None}
    # People may take the key out of a backup, and put one into it.
    names |= {name: None for name in _SETTINGS if (folder / name).exists() or (name in sums and name != "key")}
    for name, size in names.items():
        known = sums.get(name)
        what = damage(folder / name, size, content=known is None)
        if what is None and known is not None and _sum(folder / name) != known:
            what = OTHER_BYTES
        if what is None and name == ledger and (told := Ledger.damage_of_copy(folder / name)) is not None:
            what = f"is not a whole database ({told})"
        if what is not None:
            raise HomeError(f"The backup {folder} is damaged: {name} {what}. Nothing was changed.")
    for table, metadata in note["tables"].items():
        try:
            check_copy(table, copy=folder, made_in=Path(note["home"]), metadata=metadata)
        except LakeDamagedError as error:
            raise HomeError(f"The backup {folder} is damaged: {error.what} Nothing was changed.") from error


def _refuse_used(ledger_url: str, begun: Path) -> None:
    """Refuse a ledger that holds anything, unless `begun` says that a restore to the same place has put it there."""
    ledger = Ledger.open(ledger_url)
    try:
        used = bool(ledger.sources.listed(removed=True)) or ledger.users.any()
        place = ledger.url
    finally:
        ledger.close()
    if used and not (begun.exists() and begun.read_bytes() == ledger_url.encode()):
        raise HomeError(
            f"The ledger {place} is in use: give the restored home an empty database of its own. Nothing was changed."
        )
