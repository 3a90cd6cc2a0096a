"""One seed of delivery: alerts that change, processes that are killed, far ends that fail, a clock that jumps.

What is checked is computed from what the world did: which entries were written, and what each far end took. A far end
drops what it has taken under the same key before, as the promise says that it can.
"""

import gc
import random
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from greenlet import getcurrent, greenlet
from msgspec.structs import replace
from sqlalchemy import select

from ocelog.alert.alert import Alert, Telling
from ocelog.alert.delivery.routing import ChannelRow, Route, Routing
from ocelog.alert.ids import failure_id
from ocelog.alert.notice import AlertStatus, AlertType, Happened
from ocelog.ledger import tables
from ocelog.ledger.rows import alerts
from ocelog.model import Severity
from ocelog.quiet_hours import read_quiet_hours
from ocelog.times import from_us
from simulation.far_ends import FarEnds, first_tellings
from simulation.ledgers import new_ledger

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_START = 1_780_000_000 * _SECOND
_ROUNDS = 900
"""Steps of the world with faults."""
_MOST_AFTER = 40_000
"""Steps within which all must be told once faults are over."""


class Crash(BaseException):
    """The process is gone at this instruction."""


@dataclass(slots=True)
class Process:
    """Something that delivers, one step at a time, until it is killed and begins anew."""

    home: str
    run: Any = None
    lives: int = 0


class Simulation:
    """Everything of one seed. `check` raises AssertionError with what went wrong."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = _START
        self.ledger = new_ledger(lambda: from_us(self.now))
        self.hub = getcurrent()
        self.crashes = self.rng.choice((0.0, 0.02, 0.08))
        self.far = FarEnds(
            ledger=self.ledger,
            rng=self.rng,
            now_us=lambda: self.now,
            pause=self.pause,
            hangs=self.rng.choice((0.0, 0.02, 0.1)),
        )
        self.processes = [Process(home=f"h{number}") for number in range(self.rng.choice((1, 2, 3)))]
        self.written = dict[tuple[str, str], list[tuple[int, int]]]()
        """(Alert, channel) -> number of each entry, and the version of the alert that it tells of."""
        self.versions = dict[str, int]()
        self.removed = set[str]()
        self.killed = WeakSet[Any]()
        for number in range(self.rng.randrange(2, 6)):
            self._add_channel(f"c{number}")

    def _add_channel(self, name: str) -> None:
        self.far.add(name)
        hour = from_us(self.now).hour
        quiet = f"{(hour + 1) % 24:02}:00-{(hour + 3) % 24:02}:30 UTC" if self.rng.random() < 0.3 else "off"
        routing = Routing(
            route=Route(types=frozenset(self.rng.choice(((), (AlertType.ALERT,))))),
            quiet_hours=read_quiet_hours(quiet),
            critical_pierces=self.rng.random() < 0.7,
            per_hour=self.rng.choice((None, None, 1, 6, 40)),
        )
        self.ledger.channels.add(ChannelRow(id=name, name=name, kind="sim", routing=routing, added_us=self.now))

    # What happens in the world.

    def tell(self) -> None:
        """Let something happen to an alert, and write that for the channels that are there."""
        name = f"a{self.rng.randrange(6)}"
        with self.ledger._database.write() as tx:
            before = alerts.of_ids(tx, [name]).get(name)
            happened = Happened.OPENED
            if before is None:
                alert = Alert(id=name, severity=Severity.HIGH, title="", rule_id="r", opened_us=0, updated_us=0)
            elif before.is_open:
                happened = self.rng.choice((Happened.RESOLVED, Happened.CLOSED, Happened.ESCALATED))
                status = {Happened.RESOLVED: AlertStatus.RESOLVED, Happened.CLOSED: AlertStatus.CLOSED}
                alert = replace(before, status=status.get(happened, before.status), severity=Severity.CRITICAL)
            else:
                happened = Happened.REOPENED
                alert = replace(before, status=AlertStatus.OPEN, severity=self.rng.choice(list(Severity)))
            version = self.versions[name] = self.versions.get(name, 0) + 1
            opened_us = alert.opened_us or self.now
            alert = replace(alert, title=str(version), updated_us=self.now, opened_us=opened_us, to_be_told=True)
            assert alerts.save(tx, alert)
            channels = [each for each in self.far.ends if each not in self.removed or self.rng.random() < 0.1]
            tellings = [
                Telling(alert_id=name, channel_id=each, happened=happened, due_us=self.now) for each in channels
            ]
            last = tx.execute(select(tables.outbox.c.id).order_by(tables.outbox.c.id.desc()).limit(1)).scalar() or 0
            alerts.add_tellings(tx, tellings, self.now)
            new = select(tables.outbox.c.id, tables.outbox.c.channel_id).where(tables.outbox.c.id > last)
            for number, channel in tx.execute(new):
                if tellings and channel in channels:
                    self.written.setdefault((name, channel), []).append((number, version))

    def meddle(self) -> None:
        """Let a person pause, resume or remove a channel, or have sent again what was given up."""
        there = self.ledger.channels.listed()
        row = self.rng.choice(there)
        match self.rng.randrange(12):
            case 0 if len(there) > 2:
                self.removed.add(row.id)
                self.ledger.channels.remove(row.id)
            case 1 | 2 | 3:
                self.ledger.channels.change(row, lambda there: replace(there, paused=not there.paused))
            case _:
                pass

    def pass_time(self) -> None:
        """Let the clock go on, and now and then jump."""
        self.now += self.rng.choice((_SECOND, 20 * _SECOND, 3 * _MINUTE, 40 * _MINUTE))
        if self.far.faulty and self.rng.random() < 0.01:
            self.far.jumps += 1
            self.now += self.rng.choice((-26, -3, -1, 2)) * _HOUR

    # Whoever delivers.

    def pause(self) -> None:
        """Let others run; the process may be killed meanwhile, and what is left of it does nothing more."""
        me = getcurrent()
        if me in self.killed:
            raise Crash
        try:
            self.hub.switch()
        except Crash:
            self.killed.add(me)
            raise

    def _run(self, process: Process) -> None:
        me = f"{process.home}/{process.lives}"
        delivery = self.far.loop(process.home, me)
        delivery.begin()
        while True:
            delivery.once(tend=self.rng.random() < 0.2)
            self.pause()

    def step(self) -> None:
        """Let one thing happen."""
        chosen = self.rng.random()
        if self.far.faulty and chosen < 0.08:
            self.tell()
        elif self.far.faulty and chosen < 0.09:
            self.meddle()
        elif chosen < 0.2:
            self.pass_time()
        else:
            process = self.rng.choice(self.processes)
            if process.run is None or process.run.dead:
                process.lives += 1
                process.run = greenlet(self._run)
                process.run.switch(process)
            elif self.far.faulty and self.rng.random() < self.crashes:
                try:
                    process.run.throw(Crash)
                except Crash:
                    process.run = None
            else:
                process.run.switch()

    def run(self) -> None:
        """Let everything happen, and then end all faults until nothing waits."""
        for _ in range(_ROUNDS):
            self.step()
        self.far.faulty = False
        for row in self.ledger.channels.listed():
            self.ledger.channels.change(row, lambda there: replace(there, paused=False))
        for _ in range(_MOST_AFTER):
            self.step()
            with self.ledger._database.read() as tx:
                if tx.execute(select(tables.outbox.c.id).limit(1)).first() is None:
                    break
        # Whoever has sent something may not have noted it yet.
        for process in self.processes:
            for _ in range(50):
                if process.run is not None and not process.run.dead:
                    process.run.switch()

    # What must be true.

    def check(self) -> None:
        """Compare what the far ends took with what was written."""
        with self.ledger._database.read() as tx:
            left = tx.execute(select(tables.outbox.c.alert_id, tables.outbox.c.channel_id)).all()
            d = tables.deliveries.c
            attempts = tx.execute(select(d.alert_id, d.channel_id, d.delivered, d.final).order_by(d.id)).all()
            e = tables.alert_events.c
            opened = [row.alert_id for row in tx.execute(select(e.alert_id).where(e.what == "opened"))]
        assert left == [], "it is told within a bounded time, or given up"
        last = {(name, channel): (delivered, final) for name, channel, delivered, final in attempts}
        for (name, channel), entries in self.written.items():
            if channel not in self.removed:
                self._check_told(name, channel, entries, last.get((name, channel)))
        self.far.check_keys()
        for channel, end in self.far.ends.items():
            given_up = [
                key for key, (delivered, final) in last.items() if key[1] == channel and final and not delivered
            ]
            about_others = [name for name, _ in given_up if name in self.versions]
            if not end.takes and channel not in self.removed and about_others:
                assert opened.count(failure_id(channel)) == 1, f"one system error for {channel}"
        assert len(opened) == len(set(opened)), "a system error is opened once"

    def _check_told(
        self, name: str, channel: str, entries: list[tuple[int, int]], last: tuple[bool, bool] | None
    ) -> None:
        """Each entry reached a far end that takes messages, in order, and the last shows what was true at the end."""
        assert last is not None, f"{name}: {channel} was never tried"
        delivered, final = last
        assert delivered or final
        end = self.far.ends[channel]
        if not end.takes:
            assert final
            assert not delivered
            return
        versions = [int(each.title) for each in first_tellings(end.took, name, frozenset())]
        in_time = [int(each.title) for each in first_tellings(end.took, name, frozenset(end.late))]
        assert in_time == sorted(in_time), f"{name} to {channel}: never something older"
        if delivered:
            assert max(versions) >= entries[-1][1], f"{name} to {channel}: the last shows what is true"


def run(seed: int) -> None:
    """Run one seed. Raises AssertionError."""
    simulation = Simulation(seed)
    # As in `run.py`.
    gc.disable()
    try:
        simulation.run()
        simulation.check()
    finally:
        gc.enable()
