"""The database of everything but events: one class per port, over one database."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from ocelog.ledger import tables
from ocelog.ledger.alerts import AlertLedger
from ocelog.ledger.channels import ChannelLedger
from ocelog.ledger.database.clocks import our_clock
from ocelog.ledger.database.copying import copy_database, damage_of_copy, database_damage, fill_database
from ocelog.ledger.database.open import open_database, open_reading
from ocelog.ledger.database.transactions import Database
from ocelog.ledger.health import HealthLedger
from ocelog.ledger.lake import PartLedger
from ocelog.ledger.losses import LossLedger
from ocelog.ledger.pulling import SliceLedger
from ocelog.ledger.rows.outrun import outrun
from ocelog.ledger.rules import RuleLedger
from ocelog.ledger.sources import SourceLedger
from ocelog.ledger.sweeps import SweepLedger
from ocelog.ledger.system_errors import SystemErrorLedger
from ocelog.ledger.vault import CHANNELS, SOURCES, Vault, enter_again
from ocelog.secrets.redaction import without_password
from ocelog.times import to_us

if TYPE_CHECKING:
    # Imported where they are used: they take a good part of the time that a command takes which only reads.
    from ocelog.ledger.delivery import DeliveryLedger
    from ocelog.ledger.detecting import JudgingLedger
    from ocelog.ledger.saved_searches import SavedSearchLedger
    from ocelog.ledger.users import UserLedger


class Ledger:
    """The database of everything but events, on SQLite or PostgreSQL, and its ports.

    Every method of a port is one transaction, or one snapshot if it only reads, and any thread may call it. All raise
    LedgerUnavailableError if the database does not answer, is busy or full, and HomeError if a person must act.

    `now` is our clock: by it leases are extended, and landings are dated.
    """

    def __init__(self, database: Database, *, now: Callable[[], datetime] = our_clock) -> None:
        def now_us() -> int:
            return to_us(now())

        with database.read() as tx:
            found = tx.execute(select(tables.identity.c.id, tables.identity.c.home)).one()
        self.id: str = found.id
        """The random name that it got when it was made; the lake's marks carry it."""
        self.home: str | None = found.home
        """The id of the home that it belongs to: only that folder has the files that it speaks of. None: not known."""
        self._database = database
        self._now_us = now_us
        self.sources = SourceLedger(database, now_us)
        self.pulling = SliceLedger(database, now_us)
        self.sweeps = SweepLedger(database)
        self.health = HealthLedger(database)
        self.lake = PartLedger(database, self.id, now_us)
        self.losses = LossLedger(database, now_us)
        self.channels = ChannelLedger(database, now_us)
        self.rules = RuleLedger(database, now_us)
        self.alerts = AlertLedger(database, now_us)
        self.system_errors = SystemErrorLedger(database, now_us)

    @cached_property
    def judging(self) -> "JudgingLedger":
        """How far the rules have judged."""
        from ocelog.ledger.detecting import JudgingLedger  # noqa: PLC0415 - see above

        return JudgingLedger(self._database, self._now_us)

    @cached_property
    def delivery(self) -> "DeliveryLedger":
        """What channels are to be sent."""
        from ocelog.ledger.delivery import DeliveryLedger  # noqa: PLC0415 - see above

        return DeliveryLedger(self._database, self._now_us)

    @cached_property
    def users(self) -> "UserLedger":
        """Who may use the console, and what they did."""
        from ocelog.ledger.users import UserLedger  # noqa: PLC0415 - see above

        return UserLedger(self._database, self._now_us)

    @cached_property
    def saved_searches(self) -> "SavedSearchLedger":
        """Searches that people keep."""
        from ocelog.ledger.saved_searches import SavedSearchLedger  # noqa: PLC0415 - see above

        return SavedSearchLedger(self._database, self._now_us)

    @classmethod
    def open(
        cls, url: str, *, create: bool = True, durable: bool = True, now: Callable[[], datetime] = our_clock
    ) -> "Ledger":
        """Open the ledger at `sqlite:///PATH` or `postgresql://...`, migrated if that is due.

        `create` makes one if there is none. Not `durable` does not wait for the disk: for tests that open thousands.
        `now` must be the clock by which slices are taken.
        """
        return cls(open_database(url, create=create, durable=durable), now=now)

    @classmethod
    def for_reading(cls, url: str) -> "Ledger":
        """Open a ledger that this user may not write; whatever would change it raises HomeError."""
        return cls(open_reading(url))

    def snapshot(self) -> AbstractContextManager[None]:
        """Let all that this thread asks of any port within the block be as of one instant; it must change nothing."""
        return self._database.held()

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    @property
    def url(self) -> str:
        """Where it is, without the password."""
        return without_password(self._database.url.render_as_string(hide_password=False))

    def __repr__(self) -> str:
        return f"Ledger({self.url!r})"

    def vault(self, key: bytes) -> Vault:
        """Return the secrets of sources, which `key` opens."""
        return Vault(self._database, key)

    def channel_vault(self, key: bytes) -> Vault:
        """Return the secrets of channels, which `key` opens."""
        return Vault(self._database, key, CHANNELS)

    def enter_again(self) -> list[str]:
        """Return the commands by which the secrets are entered again that another key does not open."""
        with self._database.read() as tx:
            return [*enter_again(tx, SOURCES), *enter_again(tx, CHANNELS)]

    def copy_to(self, path: Path) -> None:
        """Write all that the ledger holds, as of one instant, into a new SQLite file. Raises HomeError."""
        copy_database(self._database, path)

    @staticmethod
    def damage_of_copy(path: Path) -> str | None:
        """Read a copy of a ledger whole, and return what SQLite finds wrong with it; None: nothing."""
        return damage_of_copy(path)

    def damage(self) -> str | None:
        """Read a ledger in a file whole, and return what is wrong and what to do, in a sentence; None: nothing."""
        found = database_damage(self._database)
        return None if found is None else str(found)

    def fill_from(self, path: Path) -> None:
        """Put the rows of a copy into this ledger, which is new, in the place of its own."""
        fill_database(self._database, path)

    def belong_to(self, home: str) -> None:
        """Note which home the ledger is of, by its id."""
        with self._database.write() as tx:
            tx.execute(update(tables.identity).values(home=home))
        self.home = home

    def outrun(self, by: int) -> None:
        """Raise every counter, fence and number of a slice or claim, as a ledger that was restored must be first."""
        with self._database.write() as tx:
            outrun(tx, by)
