"""What every command opens first: settings, home, ledger, and the key when a secret is needed."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ocelog.errors import HomeError, LedgerUnavailableError
from ocelog.installation import config, home
from ocelog.installation.config import Settings
from ocelog.installation.home import Home

if TYPE_CHECKING:
    # Imported where they are used: they take most of the time that a short command takes.
    from ocelog.ledger.ledger import Ledger
    from ocelog.ledger.vault import Vault


@dataclass(slots=True, kw_only=True)
class Installation:
    """An open home."""

    settings: Settings
    home: Home
    opens: "Callable[[], Ledger]"
    loops_run: bool = False
    """Whether the loops of a service run in this process, which holds the home: what needs it goes beside them."""
    tables: threading.Lock = field(default_factory=threading.Lock)
    """Held by whoever changes the files of tables: within a process, one after the other."""
    _ledger: "Ledger | None" = None

    @property
    def ledger(self) -> "Ledger":
        """The open ledger; see `opened` for when it is opened."""
        if self._ledger is None:
            self._ledger = self.opens()
        return self._ledger

    def vault(self) -> "Vault":
        """Open the secrets of sources. Raises HomeError if the key is lost."""
        return self.ledger.vault(read_key(self.settings, self.home))

    def channel_vault(self) -> "Vault":
        """Open the secrets of channels. Raises HomeError if the key is lost."""
        return self.ledger.channel_vault(read_key(self.settings, self.home))

    def key_mark(self) -> str:
        """Return what changes when the file of the key does; empty if the key comes from elsewhere, or is lost."""
        from ocelog.ledger.vault import file_mark  # noqa: PLC0415 - see above

        return "" if config.key_text() is not None else file_mark(self.settings.key_file or self.home.key_file)

    def close(self) -> None:
        """Close what is open."""
        if self._ledger is not None:
            self._ledger.close()


@contextmanager
def opened(
    path: Path | None = None, *, reading: bool = False, reading_at_worst: bool = False, ledger_later: bool = False
) -> Iterator[Installation]:
    """Open the home at `path`, or the one that the environment names, within the block.

    For `reading`, a home that this user may not write will do, another user's too; for `reading_at_worst` only one that
    is on a file system that is mounted read-only. With `ledger_later` the ledger is
    opened by the first who asks for it, or not at all; only one thread may.
    """
    # First, since another user's settings cannot be read either, and it is the owner who must be named.
    home.exists(path or config.home_path())
    settings = config.load(home=path)
    reading |= reading_at_worst and home.is_read_only(settings.home)
    place = home.open_home(settings.home, reading=reading)
    installation = Installation(settings=settings, home=place, opens=partial(_open_ledger, place, reading=reading))
    if not ledger_later:
        _ = installation.ledger
    try:
        yield installation
    finally:
        installation.close()


def _open_ledger(place: Home, *, reading: bool) -> "Ledger":
    from ocelog.ledger.ledger import Ledger  # noqa: PLC0415 - see above

    if reading and not home.may_write(place.path):
        return Ledger.for_reading(place.ledger_url)
    try:
        ledger = Ledger.open(place.ledger_url, create=False)
    except LedgerUnavailableError as error:
        # SQLite needs room beside the file even to read it, and who asks what is wrong has none on a full disk.
        if reading and error.code == "disk_full":
            with suppress(HomeError):
                return Ledger.for_reading(place.ledger_url)
        raise
    if ledger.home is None:
        ledger.belong_to(place.id)
    return ledger


def read_key(settings: Settings, place: Home) -> bytes:
    """Return the key: OCELOG_KEY, else the file that OCELOG_KEY_FILE names, else the home's. Raises HomeError."""
    from ocelog.secrets import keys  # noqa: PLC0415 - see above

    given = config.key_text()
    if given is not None:
        return keys.parse_key(given.reveal(), origin="OCELOG_KEY")
    if settings.key_file is not None:
        return keys.read_key(settings.key_file, guarded=config.is_credential(settings.key_file))
    return keys.read_key(place.key_file, otherwise=keys.MADE_ANEW)
