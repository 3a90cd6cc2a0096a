"""One seed of delivery: alerts that change, processes that are killed, far ends that fail, a clock that jumps.

What is checked is computed from what the world did: which entries were written, and what each far end took. A far end
drops what it has taken under the same key before, as the promise says that it can.
"""

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

from greenlet import getcurrent, greenlet
from sqlalchemy import select

from ocelog.alert.alert import Alert, Telling
from ocelog.alert.delivering import failure_id
from ocelog.alert.notice import AlertStatus, AlertType, Happened, Notice
from ocelog.alert.routing import ChannelRow, Route, Routing
from ocelog.app.delivering import DeliverLoop
from ocelog.channels.ports import Receipt
from ocelog.errors import ChannelRefusedError, ChannelUnavailableError
from ocelog.ledger import tables
from ocelog.ledger.delivery import LEASE, DeliveryLedger
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.rows import alerts
from ocelog.model import Severity
from ocelog.quiet_hours import read_quiet_hours
from ocelog.times import from_us

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
class FarEnd:
    """What a channel leads to."""

    fails: float = 0.0
    """How often it does not answer well, for a while."""
    refuses: bool = False
    dead: bool = False
    """Whether it fails for ever."""
    took: list[Notice] = field(default_factory=list)
    late: set[int] = field(default_factory=set)
    """Places in `took` of what came from a process that was thought dead: it hung for longer than its lease."""
    sending: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Who sends to it just now -> since when, and after how many jumps of the clock."""


@dataclass(slots=True)
class Process:
    """Something that delivers, one step at a time, until it is killed and begins anew."""

    home: str
    run: Any = None
    lives: int = 0


class Simulation:
    """Everything of one seed. `check` raises AssertionError with what went wrong."""

    def __init__(self, seed: int, home: Path, blank_ledger: Path) -> None:
        self.rng = random.Random(seed)
        path = home / f"delivering-{seed}.db"
        shutil.copy(blank_ledger, path)
        self.now = _START
        self.jumps = 0
        self.ledger = Ledger.open(f"sqlite:///{path}", durable=False, now=lambda: from_us(self.now))
        self.faulty = True
        self.hub = getcurrent()
        self.crashes = self.rng.choice((0.0, 0.02, 0.08))
        self.hangs = self.rng.choice((0.0, 0.02, 0.1))
        self.processes = [Process(home=f"h{number}") for number in range(self.rng.choice((1, 2, 3)))]
        self.ends = dict[str, FarEnd]()
        self.written = dict[tuple[str, str], list[tuple[int, int]]]()
        """(Alert, channel) -> number of each entry, and the version of the alert that it tells of."""
        self.versions = dict[str, int]()
        self.removed = set[str]()
        self.killed = WeakSet[Any]()
        for number in range(self.rng.randrange(2, 6)):
            self._add_channel(f"c{number}")

    def _add_channel(self, name: str) -> None:
        kind = self.rng.choice(("well", "well", "flaky", "dead", "refuses"))
        self.ends[name] = FarEnd(
            fails=self.rng.choice((0.1, 0.5)) if kind == "flaky" else 0.0,
            dead=kind == "dead",
            refuses=kind == "refuses",
        )
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
            alert = replace(alert, title=str(version), updated_us=self.now, opened_us=opened_us, told=True)
            assert alerts.save(tx, alert)
            channels = [each for each in self.ends if each not in self.removed or self.rng.random() < 0.1]
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
                self.ledger.channels.save(replace(row, paused=not row.paused))
            case _:
                pass

    def pass_time(self) -> None:
        """Let the clock go on, and now and then jump."""
        self.now += self.rng.choice((_SECOND, 20 * _SECOND, 3 * _MINUTE, 40 * _MINUTE))
        if self.faulty and self.rng.random() < 0.01:
            self.jumps += 1
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
        delivery = _Stepwise(
            DeliveryLedger(self.ledger._database, lambda: self.now, jitter=self.rng.random), self.pause
        )
        home = SimpleNamespace(id=process.home)
        ledger = SimpleNamespace(delivery=delivery, id="ledger")
        work: Any = SimpleNamespace(
            assembly=SimpleNamespace(installation=SimpleNamespace(ledger=ledger, home=home)),
            stop=lambda: False,
            monotonic=lambda: self.now / _SECOND,
        )
        loop = DeliverLoop(work, now_us=lambda: self.now, opened=lambda _, row: _Sender(self, row.id, me))  # type: ignore[arg-type, return-value] # as much of them as delivering needs
        delivery.release_home(process.home)
        while True:
            if self.rng.random() < 0.2:
                loop._tend()
            for waiting in delivery.waiting():
                loop._deliver(waiting)
            self.pause()

    def send(self, channel: str, me: str, notice: Notice) -> Receipt:
        """Be the far end of a channel."""
        end = self.ends[channel]
        for other, (since, jumps) in end.sending.items():
            lapsed = self.now - since >= LEASE // timedelta(microseconds=1)
            assert other == me or lapsed or jumps != self.jumps, f"{other} and {me} send to {channel} at once"
        end.sending[me] = (self.now, self.jumps)
        try:
            self.pause()
            if self.faulty and self.rng.random() < self.hangs:
                for _ in range(self.rng.randrange(60)):
                    self.pause()
            if end.refuses:
                raise ChannelRefusedError("no")
            fails = self.faulty and self.rng.random() < end.fails
            if end.dead or (fails and self.rng.random() < 0.5):
                raise ChannelUnavailableError("not now")
            since, jumps = end.sending[me]
            if self.now - since >= LEASE // timedelta(microseconds=1) or jumps != self.jumps:
                end.late.add(len(end.took))
            end.took.append(notice)
            self.pause()
            if fails:
                raise ChannelUnavailableError("cut off", retry_after=self.rng.choice((None, timedelta(minutes=5))))
        finally:
            end.sending.pop(me, None)
        return Receipt(status="200")

    def step(self) -> None:
        """Let one thing happen."""
        chosen = self.rng.random()
        if self.faulty and chosen < 0.08:
            self.tell()
        elif self.faulty and chosen < 0.09:
            self.meddle()
        elif chosen < 0.2:
            self.pass_time()
        else:
            process = self.rng.choice(self.processes)
            if process.run is None or process.run.dead:
                process.lives += 1
                process.run = greenlet(self._run)
                process.run.switch(process)
            elif self.faulty and self.rng.random() < self.crashes:
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
        self.faulty = False
        for row in self.ledger.channels.listed():
            self.ledger.channels.save(replace(row, paused=False))
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
        for channel, end in self.ends.items():
            self._check_keys(channel, end)
            given_up = [
                key for key, (delivered, final) in last.items() if key[1] == channel and final and not delivered
            ]
            about_others = [name for name, _ in given_up if name in self.versions]
            if (end.dead or end.refuses) and channel not in self.removed and about_others:
                assert opened.count(failure_id(channel)) == 1, f"one system error for {channel}"
        assert len(opened) == len(set(opened)), "a system error is opened once"

    def _check_told(
        self, name: str, channel: str, entries: list[tuple[int, int]], last: tuple[bool, bool] | None
    ) -> None:
        """Each entry reached a far end that takes messages, in order, and the last shows what was true at the end."""
        assert last is not None, f"{name}: {channel} was never tried"
        delivered, final = last
        assert delivered or final
        end = self.ends[channel]
        if end.dead or end.refuses:
            assert final
            assert not delivered
            return
        versions = _versions(end.took, name, frozenset())
        in_time = _versions(end.took, name, frozenset(end.late))
        assert in_time == sorted(in_time), f"{name} to {channel}: never something older"
        if delivered:
            assert max(versions) >= entries[-1][1], f"{name} to {channel}: the last shows what is true"

    def _check_keys(self, channel: str, end: FarEnd) -> None:
        about = dict[str, set[frozenset[str]]]()
        for notice in end.took:
            names = frozenset(each.alert_id for each in notice.digest) or frozenset({notice.alert_id})
            about.setdefault(notice.key, set()).add(names)
        assert all(len(each) == 1 for each in about.values()), f"{channel}: a key names one message"


@dataclass(slots=True)
class _Sender:
    """The near end of a channel. Fits Channel."""

    simulation: Simulation
    channel: str
    me: str

    def send(self, notice: Notice) -> Receipt:
        return self.simulation.send(self.channel, self.me, notice)


class _Stepwise:
    """A ledger whose process may be killed, or hang, before and after each of its steps."""

    def __init__(self, ledger: DeliveryLedger, pause: Callable[[], None]) -> None:
        self._ledger, self._pause = ledger, pause

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._ledger, name)

        def stepped(*given: Any, **named: Any) -> Any:
            self._pause()
            done = method(*given, **named)
            self._pause()
            return done

        return stepped


def _versions(took: list[Notice], name: str, without: frozenset[int]) -> list[int]:
    """Return the version in each message about an alert, without those whose key came before."""
    known, found = set[str](), list[int]()
    for place, notice in enumerate(took):
        if place not in without and notice.key not in known:
            found += [int(each.title) for each in notice.digest or (notice,) if each.alert_id == name]
        known.add(notice.key)
    return found


def blank(path: Path) -> Path:
    """Make an empty ledger that simulations begin with."""
    made = path / "blank.db"
    Ledger.open(f"sqlite:///{made}", durable=False).close()
    return made
