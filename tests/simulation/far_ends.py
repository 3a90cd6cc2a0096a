"""What channels lead to, and the loop that delivers there: a step at a time, so that it can be killed at each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any

from ocelog.alert.delivery.routing import ChannelRow
from ocelog.alert.notice import Notice
from ocelog.app.loops.delivering import DeliverLoop
from ocelog.channels.ports import Receipt
from ocelog.errors import ChannelRefusedError, ChannelUnavailableError
from ocelog.ledger.delivery import LEASE, DeliveryLedger
from ocelog.ledger.ledger import Ledger

LEDGER = "ledger"
"""What the keys of messages begin with."""
_LEASE_US = LEASE // timedelta(microseconds=1)


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

    @property
    def takes(self) -> bool:
        """Whether it takes messages, once no faults are left that pass."""
        return not (self.dead or self.refuses)


@dataclass(slots=True, kw_only=True)
class FarEnds:
    """All far ends of a world. They drop nothing: what came twice under one key is looked at by whoever checks."""

    ledger: Ledger
    rng: Random
    now_us: Callable[[], int]
    pause: Callable[[], None]
    hangs: float = 0.0
    """How likely a process hangs while it sends."""
    faulty: bool = True
    jumps: int = 0
    """How often the clock has jumped."""
    ends: dict[str, FarEnd] = field(default_factory=dict)

    def add(self, name: str, kinds: Sequence[str] = ("well", "well", "flaky", "dead", "refuses")) -> None:
        """Draw another one."""
        kind = self.rng.choice(kinds)
        self.ends[name] = FarEnd(
            fails=self.rng.choice((0.1, 0.5)) if kind == "flaky" else 0.0,
            dead=kind == "dead",
            refuses=kind == "refuses",
        )

    def send(self, channel: str, me: str, notice: Notice) -> Receipt:
        """Be the far end of a channel."""
        end = self.ends[channel]
        for other, (since, jumps) in end.sending.items():
            lapsed = self.now_us() - since >= _LEASE_US
            assert other == me or lapsed or jumps != self.jumps, f"{other} and {me} send to {channel} at once"
        end.sending[me] = (self.now_us(), self.jumps)
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
            if self.now_us() - since >= _LEASE_US or jumps != self.jumps:
                end.late.add(len(end.took))
            end.took.append(notice)
            self.pause()
            if fails:
                raise ChannelUnavailableError("cut off", retry_after=self.rng.choice((None, timedelta(minutes=5))))
        finally:
            end.sending.pop(me, None)
        return Receipt(status="200")

    def loop(self, home: str, me: str) -> "Delivery":
        """Return what a new process of `home` delivers with."""
        ledger: Any = _Stepwise(DeliveryLedger(self.ledger._database, self.now_us, jitter=self.rng.random), self.pause)
        installation = SimpleNamespace(
            ledger=SimpleNamespace(delivery=ledger, id="ledger"), home=SimpleNamespace(id=home)
        )
        work: Any = SimpleNamespace(
            assembly=SimpleNamespace(installation=installation),
            stop=lambda: False,
            went_on=lambda: None,
            takes_up=lambda *_: None,
            monotonic=lambda: self.now_us() / 1_000_000,
        )
        opened: Any = partial(_opened, self, me)
        loop = DeliverLoop(work, now_us=self.now_us, opened=opened)
        return Delivery(loop, ledger, home)

    def check_keys(self) -> None:
        """Raise unless each key names one message, whatever was sent under it again."""
        for channel, end in self.ends.items():
            about = dict[str, set[frozenset[str]]]()
            for notice in end.took:
                names = frozenset(each.alert_id for each in notice.digest) or frozenset({notice.alert_id})
                about.setdefault(notice.key, set()).add(names)
            assert all(len(each) == 1 for each in about.values()), f"{channel}: a key names one message"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One process that delivers."""

    loop: DeliverLoop
    ledger: DeliveryLedger
    home: str

    def begin(self) -> None:
        """Take over what an earlier process of the home held."""
        self.ledger.release_home(self.home)

    def once(self, *, tend: bool) -> None:
        """Deliver what is due."""
        if tend:
            self.loop._tend()
        for waiting in self.ledger.waiting():
            self.loop._deliver(waiting)


@dataclass(slots=True)
class _Sender:
    """The near end of a channel. Fits Channel."""

    far: FarEnds
    channel: str
    me: str

    def send(self, notice: Notice) -> Receipt:
        return self.far.send(self.channel, self.me, notice)


def _opened(far: FarEnds, me: str, _: object, row: ChannelRow) -> _Sender:
    return _Sender(far, row.id, me)


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


def first_tellings(took: Sequence[Notice], name: str, without: frozenset[int]) -> list[Notice]:
    """Return each message about an alert, without those whose key came before, as a receiver that knows keys does."""
    known, found = set[str](), list[Notice]()
    for place, notice in enumerate(took):
        if place not in without and notice.key not in known:
            found += [each for each in notice.digest or (notice,) if each.alert_id == name]
        known.add(notice.key)
    return found
