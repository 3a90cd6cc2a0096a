"""How a home is made, or completed if something of it is lost: what `ocelog init` does."""

import os
import shlex
from pathlib import Path

from msgspec import Struct

from ocelog.errors import HomeError, LakeDamagedError
from ocelog.installation import config, home
from ocelog.installation.home import Home
from ocelog.lake.catalog.state import NAMESPACE, TableStates
from ocelog.lake.read.snapshot import checked_mark
from ocelog.lake.upkeep.repair import candidates
from ocelog.ledger.database.open import absolute
from ocelog.ledger.ledger import Ledger
from ocelog.secrets import keys
from ocelog.secrets.secret import shown_path


class MadeHome(Struct, frozen=True, kw_only=True):
    """What `make` did."""

    home: Home
    new: bool
    new_key: Path | None
    old_key: Path | None = None
    """Where an unusable key is now."""
    repaired: bool = False
    """Whether only its home.json was written again."""


def make(path: Path, *, ledger_url: str | None) -> MadeHome:
    """Make a home at `path`, or complete one whose key or home.json is lost or damaged.

    Raises HomeError, also if the ledger is gone, or is not that of the lake in `path`.
    """
    ledger_url = None if ledger_url is None else absolute(ledger_url)
    damaged = home.exists(path) and not home.note_is_whole(path)
    there = home.exists(path) and not damaged
    _check_key_file(config.load().key_file)
    if there:
        place = home.open_home(path)
        if ledger_url is not None and ledger_url != place.ledger_url:
            raise HomeError(f"{path} is a home already, with another ledger: choose another folder with --home.")
        Ledger.open(place.ledger_url, create=False).close()
        new_key, old_key = _make_key(place.key_file)
        return MadeHome(home=place, new=False, new_key=new_key, old_key=old_key)
    remains = home.has_remains(path)
    if ledger_url is None and (damaged or remains):
        _refuse_lost_ledger(path)
    if ledger_url is not None and not ledger_url.startswith("sqlite"):
        # First of all: if the server does not answer, nothing is left behind.
        _make_ledger(ledger_url, Path(os.path.realpath(path.expanduser())), inside=False)
    real = home.prepare(path)
    _make_ledger(ledger_url or home.default_ledger(real), real, inside=ledger_url is None)
    new_key, old_key = _make_key(real / "key")
    if damaged:
        home.move_aside(real / "home.json")
    made = home.finish(real, ledger_url=ledger_url)
    ledger = Ledger.open(made.ledger_url, create=False)
    try:
        ledger.belong_to(made.id)
    finally:
        ledger.close()
    return MadeHome(home=made, new=not remains, new_key=new_key, old_key=old_key, repaired=remains)


def _refuse_lost_ledger(path: Path) -> None:
    """Refuse to begin a new ledger in a folder that was a home: its lake, or its home.json, is of another one."""
    try:
        lost = (path / "ledger.db").stat().st_size == 0
    except FileNotFoundError:
        lost = True
    if lost:
        raise HomeError(
            f"{path} was a home, but its home.json cannot be read and there is no ledger.db in it. If the ledger is on "
            f"PostgreSQL, run: ocelog init --home {shlex.quote(str(path))} --ledger URL. Otherwise restore a backup "
            "into an empty folder: ocelog restore DIR --home FOLDER. Nothing was changed."
        )


def _make_ledger(url: str, real: Path, *, inside: bool) -> None:
    """Make the ledger at `url`, or find that it is the one of the lake in `real`. Raises HomeError."""
    ledger = Ledger.open(url)
    try:
        if not _belongs(ledger, real, inside=inside):
            raise HomeError(
                f"The ledger {ledger.url} belongs to another home already: each home has one of its own. Give this one "
                "a database of its own, or open the home that it belongs to."
            )
    finally:
        ledger.close()


def _belongs(ledger: Ledger, real: Path, *, inside: bool) -> bool:
    """Tell whether `ledger` is new, or that of the folder `real`: its lake or its parts must say so.

    One that notes another home is not new, though nothing has landed yet. A ledger `inside` the folder needs no such
    witness before it has landed anything. Raises HomeError for a lake of
    another ledger, and for one that lacks what the ledger knows to be published.
    """
    states, witnessed, missing = TableStates(real), False, False
    made = (real / "lake" / "warehouse" / NAMESPACE).glob("*")
    for table in sorted({*ledger.lake.tables(), *(path.name for path in made)}):
        try:
            theirs, mark = states.mark(table)
        except LakeDamagedError:
            # `ocelog repair` mends it, but needs a home first.
            found = [each for each in candidates(real, table) if each.ledger_id is not None]
            theirs, mark = (found[0].ledger_id, ledger.lake.removed_through(table)) if found else (None, 0)
            if not found:
                continue
        checked_mark(table, (theirs, mark), ours=ledger.id, removed=ledger.lake.removed_through(table))
        parts = ledger.lake.parts(table)
        there = any((real / part.path).exists() for part in parts)
        witnessed = witnessed or theirs is not None or there
        missing = missing or (bool(parts) and not there)
    if witnessed or (ledger.home is None and not ledger.sources.listed(removed=True)):
        return True
    return inside and not missing


def _check_key_file(path: Path | None) -> None:
    """Refuse a key file that is named and not there: it is the person's own, and none is made in its place."""
    if path is not None and config.key_text() is None and not path.is_file():
        raise HomeError(
            f"OCELOG_KEY_FILE names {shown_path(path)}, and no such file is there: put the key there, or unset "
            "OCELOG_KEY_FILE to have a key made in the home. Nothing was changed."
        )


def _make_key(path: Path) -> tuple[Path | None, Path | None]:
    """Make a key file unless the key comes from elsewhere, or is there; return it, and where an unusable one is now."""
    settings = config.load()
    if config.key_text() is not None or settings.key_file is not None:
        return None, None
    missing = keys.is_missing(path)
    if not missing and keys.is_usable(path):
        return None, None
    aside = None if missing else home.move_aside(path)
    keys.make_key(path)
    return path, aside
