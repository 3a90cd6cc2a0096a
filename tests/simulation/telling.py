"""The channels of a world, and the processes that deliver to them."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace
from sqlalchemy import select

from ocelog.alert.delivery.routing import ChannelRow, Routing
from ocelog.ledger import tables
from ocelog.ledger.ledger import Ledger
from ocelog.quiet_hours import read_quiet_hours
from ocelog.times import from_us
from simulation.far_ends import FarEnds

_LONGEST = 40
"""Rounds within which all must be told, or given up."""
_ROUND_US = timedelta(hours=3) // timedelta(microseconds=1)


@dataclass(slots=True, kw_only=True)
class Telling:
    """Whoever delivers in a simulation."""

    ledger: Ledger
    far: FarEnds
    rng: random.Random
    now_us: Callable[[], int]
    pause: Callable[[], None]
    wait: Callable[[int], None]
    """Lets microseconds pass."""
    births: int = 0

    def begin(self) -> None:
        """Add some channels that hear of everything."""
        # One that fails for ever is tried for a day, which costs as much as all else.
        kinds = ("well", "flaky", "refuses", *(["dead"] if self.rng.random() < 1 / 8 else ["well"]))
        for number in range(self.rng.choice((1, 2, 3))):
            name = f"c{number}"
            self.far.add(name, kinds)
            hour = from_us(self.now_us()).hour
            quiet = f"{hour:02}:00-{(hour + 2) % 24:02}:30 UTC" if self.rng.random() < 0.2 else "off"
            routing = Routing(quiet_hours=read_quiet_hours(quiet), per_hour=self.rng.choice((None, None, 2, 10)))
            self.ledger.channels.add(ChannelRow(id=name, name=name, kind="sim", routing=routing, added_us=0))

    def work(self, home: str) -> None:
        """Be one process: deliver what there is, and end."""
        self.births += 1
        delivery = self.far.loop(home, f"{home}/{self.births}")
        delivery.begin()
        for _ in range(3):
            delivery.once(tend=self.rng.random() < 0.3)
            self.pause()

    def meddle(self) -> None:
        """Let a person pause a channel, or let it go on."""
        row = self.rng.choice(self.ledger.channels.listed())
        self.ledger.channels.change(row, lambda there: replace(there, paused=not there.paused))

    def drain(self) -> None:
        """Deliver all that there is; what never works is given up within days."""
        self.far.faulty = False
        for row in self.ledger.channels.listed():
            if row.paused:
                self.ledger.channels.change(row, lambda there: replace(there, paused=False))
        delivery = self.far.loop("last", "last")
        for number in range(_LONGEST):
            delivery.once(tend=number == 0)
            with self.ledger._database.read() as tx:
                if tx.execute(select(tables.outbox.c.id).limit(1)).first() is None:
                    return
            self.wait(_ROUND_US)
        raise AssertionError("it is never told, and never given up")
