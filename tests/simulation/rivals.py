"""The rules by which others move records from an API into a store, as small models on the simulation's worlds."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from ocelog.errors import HaltError, TransientError
from ocelog.pull.clock import ApiClock
from ocelog.pull.ports import Ask, Page, Unusable
from ocelog.times import from_us, to_us
from simulation.run import Simulation, by_id, lasting
from simulation.world import KIND, PAGE, Thing, World, WorldSource, draw_faults, draw_lasting

Row = dict[str, Any]
POLL_US = 60_000_000
_SETTLING = 30
"""Polls after the faults have ended: who has not come to an end by then never will."""
_MOST_PAGES = 200
_CRASHES = 0.02
"""How likely the process ends behind any request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How a poller works. Each rival differs from the first one, which has none of their flaws, in one point."""

    title: str
    why: str
    by: tuple[str, ...] = ("changedAt", "createdAt")
    """The date fields that it filters by."""
    mark_by: str | None = None
    """The date field whose greatest value is the next mark; None: the time at which the poll began."""
    mark_per_page: bool = False
    """The mark is saved behind each page, and not only when no page is left."""
    mark_first: bool = False
    """The mark is saved before the pages are read."""
    uses_errors: bool = False
    """The data beside an error is taken."""
    drops_by_id: bool = False
    """A record is dropped if its id is there; else if its latest version is the same."""
    drops_nothing: bool = False
    overlap: timedelta = timedelta(minutes=5)


RULES: dict[str, Rule] = {
    "plain": Rule(
        title="a careful poller",
        why="has none of the flaws below: overlapping windows, both dates, versions, the mark last; but it trusts each "
        "page, each count and each date",
    ),
    "page mark": Rule(
        title="advance the mark per page",
        why="pages that come in no order of time, or a crash, leave older records behind the mark",
        mark_by="changedAt",
        mark_per_page=True,
        overlap=timedelta(0),
    ),
    "two fields": Rule(
        title="filter by one date, advance by another",
        why="a record whose second date is ahead moves the mark past others",
        by=("changedAt",),
        mark_by="updatedAt",
        overlap=timedelta(0),
    ),
    "errors": Rule(
        title="accept pages with errors",
        why="data beside an error need not be true or whole",
        uses_errors=True,
    ),
    "created": Rule(
        title="ask by creation only",
        why="what changes later is never seen again",
        by=("createdAt",),
    ),
    "ids": Rule(
        title="drop by id",
        why="only the first version of each record is kept",
        drops_by_id=True,
    ),
    "append": Rule(
        title="append whatever comes",
        why="an overlap, a crash or a page that repeats a record doubles it",
        drops_nothing=True,
    ),
    "mark first": Rule(
        title="move the mark before the window is read",
        why="whatever ends the reading leaves a gap that nobody asks for again",
        mark_first=True,
    ),
    "no overlap": Rule(
        title="no overlap between windows",
        why="records that appear later than their date are missed",
        overlap=timedelta(0),
    ),
}


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What one seed came to, or many."""

    lost: int = 0
    """Records that could be seen and never came."""
    versions: int = 0
    """Versions that an answer showed and that are not in the store."""
    doubles: int = 0
    wrong: int = 0
    """Records whose latest row is not their present state."""
    stuck: int = 0
    """Seeds in which the reading never came to an end."""
    told: int = 0
    """Records that are missing, and a range that says so."""
    seeds: int = 0
    """Seeds with any of these but `told`."""

    def add(self, other: "Outcome") -> None:
        """Count another seed in."""
        for name in ("lost", "versions", "doubles", "wrong", "stuck", "told"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.seeds += other.bad

    @property
    def bad(self) -> bool:
        """Whether anything went wrong."""
        return any((self.lost, self.versions, self.doubles, self.wrong, self.stuck))


class _CrashError(Exception):
    """The process ends here; what was saved stays."""


@dataclass(slots=True)
class _Rival:
    rule: Rule
    world: World
    source: WorldSource
    rng: random.Random
    rows: dict[str, list[Row]] = field(default_factory=dict)
    shown: set[tuple[str, str]] = field(default_factory=set)
    mark_us: int = 0
    crashes: float = _CRASHES

    def poll(self) -> bool:
        """Read one window; False: it did not come to its end."""
        began = to_us(self.source._clock.now())
        since = from_us(max(0, self.mark_us - self.rule.overlap // timedelta(microseconds=1)))
        until = max(from_us(began), since + timedelta(seconds=1))
        greatest = self.mark_us
        if self.rule.mark_first:
            self.mark_us = began
        try:
            for by in self.rule.by:
                after: str | None = None
                for _ in range(_MOST_PAGES):
                    records, after = self._page(by, since, until, after)
                    self._store(records)
                    dates = [record[self.rule.mark_by] for record in records if self.rule.mark_by]
                    greatest = max([greatest, *(_us(date) for date in dates if date)])
                    if self.rule.mark_per_page:
                        self.mark_us = greatest
                    if after is None:
                        break
                else:
                    return False
        except (TransientError, HaltError, _CrashError):
            return False
        if not self.rule.mark_first:
            self.mark_us = greatest if self.rule.mark_by else began
        return True

    def _page(self, by: str, since: Any, until: Any, after: str | None) -> tuple[list[Row], str | None]:
        ask = Ask(log_type=KIND.log_type, by=by, since=since, until=until, open_only=False, after=after, page_size=PAGE)
        answer = self.source.ask(ask)
        if isinstance(answer, Unusable) and self.rule.uses_errors and answer.page is not None:
            answer = answer.page
        if not isinstance(answer, Page):
            raise TransientError(answer.reason)
        if self.rng.random() < self.crashes:
            raise _CrashError
        records: list[Row] = json.loads(answer.records if isinstance(answer.records, bytes) else b"[]")
        self.shown.update((record["id"], _state(record)) for record in records)
        return records, answer.end_cursor if answer.has_next else None

    def _store(self, records: Sequence[Row]) -> None:
        for record in records:
            there = self.rows.setdefault(record["id"], [])
            same = bool(there) and (self.rule.drops_by_id or _state(there[-1]) == _state(record))
            if not same or self.rule.drops_nothing:
                there.append(record)


def _us(date: str) -> int:
    return to_us(datetime.fromisoformat(date))


def _state(record: Row) -> str:
    return json.dumps([record[name] for name in ("status", "changedAt", "updatedAt", "tag")])


def play(rule: Rule, seed: int) -> Outcome:
    """Let a rival loose on the world of `seed`."""
    rng = random.Random(seed)
    faults = draw_lasting(random.Random(f"{seed}, lasting"), draw_faults(rng))
    world = World(rng, faults, things=rng.randrange(4, 14))
    source = WorldSource(world, ApiClock(lambda: world.now / 1_000_000), lambda: None)
    source.prime()
    rival = _Rival(rule, world, source, random.Random(f"{seed}, crashes"))
    first_us, polled_us = world.now, 0
    for _ in range(120):
        world.change()
        world.trouble()
        world.refusing_tag = faults.refused_tag and rng.random() < 0.3
        world.advance(rng.randrange(0, 4_000_000))
        if world.now - polled_us >= POLL_US:
            polled_us = world.now
            source.hear()
            rival.poll()
    world.faults = lasting(faults)
    world.refusing_tag = False
    world.lie = world.down_until = world.refused_until = 0
    world.advance(400_000_000)
    rival.crashes = 0
    for _ in range(5):
        source.hear()
    done = 0
    for _ in range(_SETTLING):
        world.advance(POLL_US)
        source.hear()
        done += rival.poll()
    kept = {(name, _state(row)) for name, rows in rival.rows.items() for row in rows}
    found = _compare(world, first_us, {name: [_shape(row) for row in rows] for name, rows in rival.rows.items()})
    found.versions = len(rival.shown - kept)
    found.stuck = int(not done)
    return found


def play_ours(seed: int) -> Outcome:
    """Run the real thing on the world of `seed`. Raises AssertionError where a promise is broken."""
    simulation = Simulation(seed, judged=False)
    simulation.run(500)
    simulation.settle()
    rows = simulation.rows()
    simulation.check_rows(rows, simulation.landed)
    excused = simulation.excused()
    shaped = {
        name: [
            (row["status"], None if row["changedAt"] is None else to_us(row["changedAt"]), row["p_version"])
            for row in versions
        ]
        for name, versions in by_id(rows).items()
    }
    return _compare(
        simulation.world,
        simulation.first_edge,
        shaped,
        told=lambda thing: excused(thing.changed) or excused(thing.created),
    )


def _shape(row: Row) -> tuple[str, int | None, str]:
    return row["status"], None if row["changedAt"] is None else _us(row["changedAt"]), _state(row)


def _compare(
    world: World,
    first_us: int,
    rows: dict[str, list[tuple[str, int | None, str]]],
    told: Callable[[Thing], bool] = lambda _: False,
) -> Outcome:
    """Compare a store with the world: what happened since the first poll, and appeared at most 4 minutes late."""
    found = Outcome()
    for thing in world.things:
        happened = [
            at
            for at in (thing.created, thing.changed)
            if at is not None and first_us <= at >= thing.visible - 240_000_000
        ]
        if thing.id in world.poisoned | world.hidden or not happened or thing.visible > world.now - 10_000_000:
            continue
        there = rows.get(thing.id)
        right = there is not None and (thing.changed not in happened or there[-1][:2] == (thing.status, thing.changed))
        if right:
            continue
        if told(thing):
            found.told += 1
        elif there is None:
            found.lost += 1
        else:
            found.wrong += 1
    found.doubles = sum(one[2] == next_[2] for versions in rows.values() for one, next_ in pairwise(versions))
    return found
