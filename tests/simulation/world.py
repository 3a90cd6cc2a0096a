"""A small changing world, and an API over it with every fault that pulling must survive."""

import json
import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ocelog.errors import AccessRefusedError, ContractBrokenError, SourceUnavailableError
from ocelog.model import Kind
from ocelog.pull.clock import ApiClock
from ocelog.pull.ports import Answer, Ask, CursorLost, Page, Unusable
from ocelog.times import EPOCH, from_us, rfc3339, to_us

SCHEMA = """
schema: Sim.Thing
fields:
  - {name: id, type: string, required: true}
  - {name: createdAt, type: timestamp, required: true, timeFormats: [rfc3339]}
  - {name: changedAt, type: timestamp, timeFormats: [rfc3339]}
  - {name: updatedAt, type: timestamp, timeFormats: [rfc3339], isEventTime: true}
  - {name: status, type: string}
  - {name: tag, type: string}
"""
KIND = Kind(
    log_type="Sim.Thing",
    cursor_field="changedAt",
    created_field="createdAt",
    version_times=("updatedAt",),
    also_live_by=("createdAt",),
    sweep_by="createdAt",
    created_filter="createdAt",
    version_fields=("id", "createdAt", "changedAt", "updatedAt", "status", "tag"),
    statuses=("OPEN", "IN_PROGRESS", "RESOLVED", "REJECTED"),
    open_statuses=("OPEN", "IN_PROGRESS"),
)
START = EPOCH + timedelta(days=5)
"""So early that a sweep of all time is one slice, and seeds are spent on what matters."""
GHOST = "GHOST"
"""A status that no thing ever has: data beside an error need not be true."""
PAGE = 3
"""Records of a page, unless a request says otherwise."""
_MOST_ASKS = 20_000
OPEN = ("OPEN", "IN_PROGRESS")
TAGS = ("a", "b")
_ALL = (*OPEN, "RESOLVED", "REJECTED")


@dataclass(slots=True)
class Thing:
    """A record as it is now."""

    id: str
    created: int
    visible: int
    """It can be asked for only from here on: late records."""
    changed: int | None
    updated: int
    status: str = "OPEN"
    tag: str = TAGS[0]
    gone: bool = False
    """The API does not show it at present."""
    was_gone: bool = False

    def shown(self) -> dict[str, Any]:
        """Return the record as the API sends it."""
        return {
            "id": self.id,
            "createdAt": rfc3339(from_us(self.created)),
            "changedAt": None if self.changed is None else rfc3339(from_us(self.changed)),
            "updatedAt": rfc3339(from_us(self.updated)),
            "status": self.status,
            "tag": self.tag,
        }


class Faults(Struct, frozen=True, kw_only=True):
    """How this world's API misbehaves; drawn once a seed. Probabilities are of one answer."""

    transient: float = 0.0
    lost_cursor: float = 0.0
    repeated_cursor: float = 0.0
    missing_cursor: float = 0.0
    empty_page: float = 0.0
    overlap_page: float = 0.0
    partial: float = 0.0
    """`tag` fails in one record of the page."""
    page_error: float = 0.0
    """An error beside data that no rule lets us use, once."""
    circles: bool = False
    """A page that shows one certain record always sends its reader back."""
    shuffled: bool = False
    tie_break: bool = True
    ties: bool = False
    inclusive: tuple[bool, bool] = (True, False)
    capped: int | None = None
    poison: str | None = None
    """Any page with a certain record errs, as `_err` says: "beside" an answer, data "null", or no answer at all."""
    poisons: int = 1
    """So many records are such."""
    refused_tag: bool = False
    """`tag` may not be asked for, for some time."""
    date_jumps: float = 0.0
    outages: float = 0.0
    """The API is down for minutes; of one change of the world."""
    refusals: float = 0.0
    """It refuses this account for minutes; of one change of the world."""
    lies: float = 0.0
    """Its Date moves by minutes to days, and stays there for a while; of one change of the world."""
    overcount: int = 0
    """It counts so many records more than there are."""
    hidden: bool = False
    """It counts some records, and never shows them."""
    counted_twice: bool = False
    """It counts one of the records twice."""
    ignores_dates: bool = False
    """It shows the records of all time, whatever was asked for."""
    bad_stretch: str | None = None
    """Any request that concerns a certain stretch of the past errs, as `_err` says."""


ERRS = ("beside", "null", "down", "contract", "access")
"""How a request can err: an error beside data, data null, a 5xx or a garbled or too large answer, a 4xx, a 403."""
LIES = tuple(minutes * 60_000_000 for minutes in (-4_320, -60, -2, 2, 10, 60, 1_200, 4_320, 14_400))


def draw_faults(rng: random.Random) -> Faults:
    """Draw a misbehaving API: about half of the faults, each at its own rate."""

    def maybe(most: float) -> float:
        return rng.uniform(0, most) if rng.random() < 0.5 else 0.0

    return Faults(
        transient=maybe(0.1),
        lost_cursor=maybe(0.05),
        repeated_cursor=maybe(0.05),
        missing_cursor=maybe(0.05),
        empty_page=maybe(0.1),
        overlap_page=maybe(0.2),
        partial=maybe(0.1),
        page_error=maybe(0.05),
        circles=rng.random() < 0.1,
        shuffled=rng.random() < 0.3,
        tie_break=rng.random() < 0.6,
        ties=rng.random() < 0.4,
        inclusive=(rng.random() < 0.5, rng.random() < 0.5),
        capped=rng.choice((None, None, 4)),
        poison=rng.choice((None, None, None, None, None, "beside", "beside", "null")),
        refused_tag=rng.random() < 0.2,
        date_jumps=maybe(0.05),
    )


def draw_lasting(rng: random.Random, faults: Faults) -> Faults:
    """Add to `faults` what lasts: what the API never gets right, or not for long. In an eighth of the seeds."""
    if rng.random() > 1 / 8:
        return faults
    kind = rng.choice(list(_LASTING))
    return _LASTING[kind](faults, rng)


_LASTING: Mapping[str, Callable[[Faults, random.Random], Faults]] = {
    "poison by status": lambda faults, rng: replace(
        faults, poison=rng.choice(("down", "contract", "access")), poisons=rng.choice((1, 1, 2))
    ),
    "bad stretch": lambda faults, rng: replace(faults, bad_stretch=rng.choice(ERRS[1:])),
    "overcount": lambda faults, rng: replace(faults, overcount=rng.choice((1, 1, 2, 50))),
    "hidden": lambda faults, _: replace(faults, hidden=True),
    "counted twice": lambda faults, _: replace(faults, counted_twice=True),
    # A record that leaves no way on would make such an API fail on whatever it is asked: that is an outage.
    "ignores dates": lambda faults, _: replace(
        faults, ignores_dates=True, circles=False, poison="beside" if faults.poison else None
    ),
    "outages": lambda faults, rng: replace(faults, outages=rng.uniform(0, 0.1)),
    "refusals": lambda faults, rng: replace(faults, refusals=rng.uniform(0, 0.1)),
    "lies": lambda faults, rng: replace(faults, lies=rng.uniform(0, 0.2)),
}


class World:
    """Things that open, move, close, reopen and change their tag and back, on a clock that only steps when told."""

    def __init__(self, rng: random.Random, faults: Faults, things: int) -> None:
        self.rng = rng
        self.faults = faults
        self.now = to_us(START)
        self.things: list[Thing] = []
        self.poisoned: frozenset[str] = frozenset()
        self.hidden: frozenset[str] = frozenset()
        self.twice: str | None = None
        self.bad_stretch: tuple[int, int] | None = None
        self.asked = 0
        """Requests so far, of all processes."""
        self.pace = 0
        """How long a request takes, in microseconds."""
        self.lie = 0
        self.down_until = self.refused_until = 0
        self.circling: str | None = None
        self.refusing_tag = False
        for _ in range(things):
            self.now += self._gap() * 60
            self._open()
        for _ in range(things):
            self.change()
        if faults.poison is not None:
            self.poisoned = frozenset(rng.choice(self.things).id for _ in range(faults.poisons))
        if faults.circles:
            self.circling = rng.choice(self.things).id
        if faults.hidden:
            self.hidden = frozenset(rng.choice(self.things).id for _ in range(2))
        if faults.counted_twice:
            self.twice = rng.choice(self.things).id
        if faults.bad_stretch is not None:
            begins = rng.choice(self.things).created + rng.randrange(-60_000_000, 60_000_000)
            self.bad_stretch = begins, begins + rng.choice((500_000, 20_000_000, 120_000_000))

    def advance(self, us: int) -> None:
        """Let time pass."""
        self.now += us

    def trouble(self) -> None:
        """Let the API as a whole go wrong for a while, or come back."""
        faults, rng = self.faults, self.rng
        if faults.outages and rng.random() < faults.outages:
            self.down_until = self.now + rng.choice((30_000_000, 200_000_000, 900_000_000))
        if faults.refusals and rng.random() < faults.refusals:
            self.refused_until = self.now + rng.choice((30_000_000, 200_000_000, 900_000_000))
        if faults.lies and rng.random() < faults.lies:
            self.lie = rng.choice((0, *LIES)) if self.lie == 0 else rng.choice((0, 0, *LIES))

    def spots(self) -> list[tuple[int, int]]:
        """Return the stretches, by either field, in which requests err for ever."""
        return [*self._instants(self.poisoned), *([self.bad_stretch] if self.bad_stretch else [])]

    def detours(self) -> list[tuple[int, int]]:
        """Return the instants, by either field, from which no cursor leads on."""
        return self._instants({self.circling})

    def crowds(self) -> list[tuple[int, int]]:
        """Return the instants, by either field, that a cursor which skips ties cannot show whole."""
        if self.faults.tie_break:
            return []
        each_by = ([thing.created for thing in self.things], [thing.changed for thing in self.things])
        return [(at, at) for by in each_by for at, many in Counter(by).items() if at is not None and many > PAGE]

    def _instants(self, ids: Collection[str | None]) -> list[tuple[int, int]]:
        things = [thing for thing in self.things if thing.id in ids]
        return [(at, at) for thing in things for at in (thing.created, thing.changed) if at is not None]

    def change(self) -> None:
        """Let one thing happen."""
        self.now += self._gap()
        roll = self.rng.random()
        if roll < 0.15:
            self._open()
            return
        thing = self.rng.choice(self.things)
        same = self.faults.ties and thing.updated > self.now - 60_000_000 and self.rng.random() < 0.2
        at = thing.updated if same else self._instant()
        if roll < 0.3:
            thing.tag = TAGS[thing.tag == TAGS[0]]
            if self.rng.random() < 0.5:
                thing.updated = max(at, thing.updated)
            return
        thing.status = self.rng.choice([status for status in _ALL if status != thing.status])
        thing.changed = thing.updated = max(at, thing.updated)

    def change_unseen(self, share: float) -> None:
        """Let some things vanish or return, and some change their tag without a date that moves."""
        chance = random.Random(self.now)
        for thing in self.things:
            if chance.random() < share:
                thing.gone, thing.was_gone = not thing.gone, True
            elif chance.random() < share:
                thing.tag = TAGS[thing.tag == TAGS[0]]

    def _open(self) -> None:
        at = self._instant()
        late = self.rng.randrange(0, 200_000_000) if self.rng.random() < 0.2 else 0
        changed = None if self.rng.random() < 0.3 else at
        self.things.append(Thing(id=f"t{len(self.things)}", created=at, visible=at + late, changed=changed, updated=at))

    def _gap(self) -> int:
        return self.rng.choice((1_000, 300_000, 3_000_000, 20_000_000))

    def _instant(self) -> int:
        """Return now, often rounded to whole seconds so that records share an instant."""
        return self.now // 1_000_000 * 1_000_000 if self.faults.ties else self.now


class WorldSource:
    """The API over a world, as one process sees it: implements the puller's Source port."""

    def __init__(self, world: World, clock: ApiClock, yields: Callable[[], None]) -> None:
        self._world = world
        self._clock = clock
        self._yield = yields

    def hear(self) -> bool:
        """Let the clock hear the API's Date."""
        world = self._world
        jump = 3_600_000_000 if world.rng.random() < world.faults.date_jumps else 0
        date = from_us((world.now + world.lie + jump) // 1_000_000 * 1_000_000)
        return self._clock.hear(date, self._clock.reading())

    def prime(self) -> None:
        """Ask until the clock has started."""
        while not self._clock.started:
            self.hear()

    def ask(self, ask: Ask) -> Answer:
        """Answer from the world as it is between two points at which others may run."""
        self._world.asked += 1
        self._world.advance(self._world.pace)
        assert self._world.asked < _MOST_ASKS, "pulling never ends"
        for _ in range(20):
            asked_us = self._clock.stamp()
            self._yield()
            answer = self._answer(ask, asked_us)
            if self.hear():
                self._yield()
                now_us = to_us(self._clock.now())
                return replace(answer, answered_us=now_us) if isinstance(answer, Page) else answer
        raise SourceUnavailableError("the Date jumps")

    def _answer(self, ask: Ask, asked_us: int) -> Answer:
        rng, faults = self._world.rng, self._world.faults
        if self._world.now < self._world.down_until:
            raise SourceUnavailableError("502")
        if self._world.now < self._world.refused_until:
            raise AccessRefusedError("403")
        if rng.random() < faults.transient:
            raise SourceUnavailableError("503")
        if faults.bad_stretch is not None and self._concerns_bad_stretch(ask):
            return _err(faults.bad_stretch)
        if ask.after is not None and rng.random() < faults.lost_cursor:
            return CursorLost(reason="no such cursor")
        matching = self._matching(ask)
        total = len(matching) + faults.overcount + sum(thing.id == self._world.twice for thing in matching)
        matching = [thing for thing in matching if thing.id not in self._world.hidden]
        size = ask.page_size or PAGE
        start = self._start(ask, matching)
        page = matching[start : start + size]
        poisoned = [thing for thing in page if thing.id in self._world.poisoned]
        if poisoned and faults.poison != "beside":
            return _err(str(faults.poison))
        made = self._page(ask, page, start + size < len(matching), total, asked_us)
        if poisoned or (page and rng.random() < faults.page_error):
            return Unusable(reason="an error beside data", page=_ghostly(made))
        return made

    def _concerns_bad_stretch(self, ask: Ask) -> bool:
        begins, ends = self._world.bad_stretch or (0, 0)
        return to_us(ask.since) < ends and to_us(ask.until) > begins

    def _matching(self, ask: Ask) -> list[Thing]:
        narrowed = (ask.narrowed or {}).get("createdAt", (0, self._world.now + 1))
        wanted = {"by": (to_us(ask.since), to_us(ask.until)), "created": (int(narrowed[0]), int(narrowed[1]))}
        if self._world.faults.ignores_dates:
            wanted = dict.fromkeys(wanted, (0, self._world.now + 1))
        low, high = self._world.faults.inclusive
        statuses = OPEN if ask.open_only else _ALL

        def within(at: int, since: int, until: int) -> bool:
            return (at >= since if low else at > since) and (at <= until if high else at < until)

        def fits(thing: Thing) -> bool:
            at = thing.created if ask.by == "createdAt" else thing.changed
            return (
                at is not None
                and within(at, *wanted["by"])
                and within(thing.created, *wanted["created"])
                and thing.visible <= self._world.now
                and not thing.gone
                and thing.status in statuses
            )

        return sorted((thing for thing in self._world.things if fits(thing)), key=lambda thing: self._key(ask, thing))

    @staticmethod
    def _key(ask: Ask, thing: Thing) -> tuple[int, str]:
        at = thing.created if ask.by == "createdAt" else thing.changed
        return (at or 0, thing.id)

    def _start(self, ask: Ask, matching: list[Thing]) -> int:
        if ask.after is None:
            return 0
        at, record_id = json.loads(ask.after)[:2]
        if self._world.faults.tie_break:
            start = sum(self._key(ask, thing) <= (at, record_id) for thing in matching)
        else:
            start = sum(self._key(ask, thing)[0] <= at for thing in matching)
        if start and self._world.rng.random() < self._world.faults.overlap_page:
            start -= 1
        return start

    def _page(self, ask: Ask, page: list[Thing], has_next: bool, total: int, asked_us: int) -> Page:
        rng, faults = self._world.rng, self._world.faults
        cursor = json.dumps(self._key(ask, page[-1])) if page else None
        if has_next and ask.after is not None and rng.random() < faults.empty_page:
            cursor = json.dumps([*json.loads(ask.after)[:2], rng.random()])
            return self._sent(ask, [], cursor, True, total, asked_us)
        circling = self._world.circling in [thing.id for thing in page]
        if has_next and (circling or rng.random() < faults.repeated_cursor):
            cursor = ask.after
        if has_next and rng.random() < faults.missing_cursor:
            cursor = None
        return self._sent(ask, page, cursor, has_next, total, asked_us)

    def _sent(
        self,
        ask: Ask,
        things: list[Thing],
        cursor: str | None,
        has_next: bool,
        total: int,
        asked_us: int,
    ) -> Page:
        rng, faults = self._world.rng, self._world.faults
        records = [thing.shown() for thing in things]
        if faults.shuffled:
            rng.shuffle(records)
        refused = frozenset({"tag"}) if self._world.refusing_tag else frozenset[str]()
        unknown: dict[int, frozenset[str]] = {}
        if records and rng.random() < faults.partial:
            unknown = {rng.randrange(len(records)): frozenset({"tag"})}
        for position, record in enumerate(records):
            if refused or position in unknown:
                record["tag"] = None
        capped = faults.capped is not None and total > faults.capped and ask.until - ask.since > timedelta(minutes=10)
        return Page(
            records=json.dumps(records).encode(),
            end_cursor=cursor,
            has_next=has_next,
            total=faults.capped if capped else total,
            capped=capped,
            asked_us=asked_us,
            request_id=f"r{rng.getrandbits(32):08x}",
            refused=refused,
            unknown=unknown,
        )


def _err(how: str) -> Unusable:
    """Err at the source's port as Wiz does over HTTP; "beside" data is made elsewhere."""
    if how == "down":
        raise SourceUnavailableError("500")
    if how == "contract":
        raise ContractBrokenError("400")
    if how == "access":
        raise AccessRefusedError("403")
    return Unusable(reason="oops! an internal error has occurred")


def _ghostly(page: Page) -> Page:
    records = json.loads(page.records if isinstance(page.records, bytes) else b"[]")
    return replace(page, records=json.dumps([record | {"status": GHOST} for record in records]).encode())
