"""What every command opens first: settings, home, ledger, and the key when a secret is needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ocelog import config, home
from ocelog.config import Settings
from ocelog.errors import HomeError
from ocelog.home import Home
from ocelog.ledger import keys
from ocelog.ledger.open import absolute
from ocelog.ledger.store import Ledger
from ocelog.ledger.vault import Vault, file_mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """An open home."""

    settings: Settings
    home: Home
    ledger: Ledger

    def vault(self) -> Vault:
        """Open the secrets. Raises HomeError where the key is lost."""
        return self.ledger.vault(read_key(self.settings, self.home))

    def key_mark(self) -> str:
        """Return what changes when the file of the key does; empty if the key comes from elsewhere, or is lost."""
        return "" if config.key_text() is not None else file_mark(self.settings.key_file or self.home.key_file)


@contextmanager
def opened(path: Path | None = None, *, reading: bool = False) -> Iterator[Installation]:
    """Open the home at `path`, or the one that the environment names, within the block.

    For `reading`, a home that this user may not write will do, another user's too.
    """
    # First, since another user's settings cannot be read either, and it is the owner who must be named.
    home.exists(path or config.home_path())
    settings = config.load(home=path)
    place = home.open_home(settings.home, reading=reading)
    if reading and not home.may_write(place.path):
        ledger = Ledger.for_reading(place.ledger_url)
    else:
        ledger = Ledger.open(place.ledger_url, create=False)
    try:
        yield Installation(settings=settings, home=place, ledger=ledger)
    finally:
        ledger.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What `make` did."""

    home: Home
    new: bool
    new_key: Path | None


def make(path: Path, *, ledger_url: str | None) -> Made:
    """Make a home at `path`, or complete one that lacks its key. Raises HomeError, also where the ledger is gone."""
    ledger_url = None if ledger_url is None else absolute(ledger_url)
    there = home.exists(path)
    _check_key_file(config.load().key_file)
    if there:
        place = home.open_home(path)
        if ledger_url is not None and ledger_url != place.ledger_url:
            raise HomeError(f"{path} is a home already, with another ledger: choose another folder with --home.")
        Ledger.open(place.ledger_url, create=False).close()
        return Made(home=place, new=False, new_key=_make_key(place.key_file))
    if ledger_url is not None and not ledger_url.startswith("sqlite"):
        # First of all: where the server does not answer, nothing is left behind.
        _make_ledger(ledger_url)
    real = home.prepare(path)
    new_key = _make_key(real / "key")
    _make_ledger(ledger_url or home.default_ledger(real))
    return Made(home=home.finish(real, ledger_url=ledger_url), new=True, new_key=new_key)


def _make_ledger(url: str) -> None:
    ledger = Ledger.open(url)
    try:
        if ledger.sources(removed=True):
            raise HomeError(
                f"The ledger {ledger.url} belongs to another home already: each home has one of its own. Give this one "
                "a database of its own, or open the home that it belongs to."
            )
    finally:
        ledger.close()


def _check_key_file(path: Path | None) -> None:
    """Refuse a key file that is named and not there: it is the person's own, and none is made in its place."""
    if path is not None and config.key_text() is None and not path.is_file():
        raise HomeError(
            f"OCELOG_KEY_FILE names {path}, and no such file is there: put the key there, or unset OCELOG_KEY_FILE to "
            "have a key made in the home. Nothing was changed."
        )


def _make_key(path: Path) -> Path | None:
    """Make a key file unless the key comes from elsewhere, or is there."""
    settings = config.load()
    if config.key_text() is not None or settings.key_file is not None or not keys.is_missing(path):
        return None
    keys.make_key(path)
    return path


def read_key(settings: Settings, place: Home) -> bytes:
    """Return the key: OCELOG_KEY, else the file that OCELOG_KEY_FILE names, else the home's. Raises HomeError."""
    given = config.key_text()
    if given is not None:
        return keys.parse_key(given.reveal(), origin="OCELOG_KEY")
    if settings.key_file is not None:
        return keys.read_key(settings.key_file, guarded=config.is_credential(settings.key_file))
    return keys.read_key(place.key_file)
