"""One seed of the simulation: whoever pulls, plans, publishes, cleans, reads, judges and delivers, and is killed there.

Parts come to judging by pulling and landing, and from a second source that pushes. Most seeds are short, and look at
what is landed, judged and told; in the long ones the API comes to rest, and all that it has must be there.
"""

import contextlib
import gc
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeAlias

from greenlet import getcurrent, greenlet
from msgspec.structs import replace

from ocelog.app.loops.sweep_stages import advance
from ocelog.errors import LostFenceError
from ocelog.model import REJECTIONS, RULE_MATCHES, Origin, Slice, SliceState, SourceRow, table_name
from ocelog.pull import planner
from ocelog.pull.clock import ApiClock
from ocelog.pull.planner import StreamSettings
from ocelog.pull.ports import Behind, Landed, Landing, ShapedRecords
from ocelog.pull.puller import Puller
from ocelog.pull.sweep import Stage
from ocelog.schema.columns.table import rejection_rows
from ocelog.schema.language.parse import parse_schema
from ocelog.schema.shape import compile_shaper
from ocelog.times import from_us, to_us
from simulation import verdicts
from simulation.far_ends import FarEnds
from simulation.judging import Bench
from simulation.lake import MemoryLake, Row
from simulation.ledgers import new_ledger
from simulation.liveness import ALL_WITHIN, HEALTHY_WITHIN, RETRIED_WITHIN, Meter, allowed, meets
from simulation.pushing import Pushing
from simulation.telling import Telling
from simulation.world import (
    GHOST,
    KIND,
    OPEN,
    PAGE,
    SCHEMA,
    TAGS,
    Faults,
    Thing,
    World,
    WorldSource,
    draw_faults,
    draw_lasting,
)

SOURCE = "s1"
TABLE = table_name(KIND.log_type)
SHAPER = compile_shaper(parse_schema(SCHEMA, "simulation"), KIND)
LEASE = timedelta(seconds=30)
GRACE_US = 60_000_000
SETTINGS = StreamSettings(backfill=timedelta(minutes=5), poll=timedelta(seconds=60), sweep_every=timedelta(minutes=8))


def _stream(now: datetime) -> Any:
    """Return as much of a stream as a sweep needs to go on at the API's instant `now`."""
    return SimpleNamespace(key=(SOURCE, KIND.log_type), kind=KIND, source=SimpleNamespace(now=lambda: now))


LONG = 8
"""Each so many-th seed is long."""
QUIET = Faults()
Promise: TypeAlias = tuple[str, frozenset[str]]
"""A record's id, and the versions of which the lake must hold one."""


class Crash(BaseException):
    """The process is gone at this instruction."""


@dataclass(slots=True)
class Actor:
    """Something that runs, one step at a time."""

    name: str
    work: Callable[[], None]
    mortal: bool
    weight: int = 1
    run: Any = None
    wakes_us: int = 0


class Simulation:
    """Everything of one seed. `check` raises AssertionError with what went wrong."""

    def __init__(self, seed: int, *, judged: bool = True) -> None:
        self.rng = random.Random(seed)
        # Dice of its own, so that a seed keeps the other faults that it ever had.
        faults = draw_lasting(random.Random(f"{seed}, lasting"), draw_faults(self.rng))
        self.world = World(self.rng, faults, things=self.rng.randrange(4, 14))
        self.ledger = new_ledger(self.our_now)
        self.lake = MemoryLake(self.ledger.lake, self.pause)
        self.landed: set[Promise] = set()
        self.sequences: dict[str, int] = {}
        """Row id -> sequence of the part that it was committed with."""
        self.hub = getcurrent()
        self.births = 0
        self.first_edge = 0
        self.meter = Meter(self.world, self.ledger)
        self.interleaving = True
        self.crashes = self.rng.choice((0.0, 0.02, 0.08))
        self.sleeps = self.rng.choice((0.0, 0.01, 0.05))
        self.actors = [
            *(Actor(f"puller {n}", self.pull, mortal=True, weight=6) for n in range(self.rng.choice((1, 2, 3)))),
            Actor("planner", self.plan, mortal=True),
            Actor("person", self.ask_again, mortal=False),
            Actor("publisher", self.publish, mortal=True),
            Actor("cleaner", self.clean, mortal=True),
            Actor("reader", self.read, mortal=False),
            Actor("life", self.live, mortal=False, weight=2),
        ]
        self.planning_source = self.source()
        self.ledger.sources.add(
            SourceRow(id=SOURCE, name="sim", kind="sim", settings={}, paused=False, removed_us=None, added_us=0)
        )
        self.tables = [TABLE]
        if judged:
            self._judge()

    def _judge(self) -> None:
        """Let what lands be judged, and people be told."""
        # Dice of their own here too.
        rng = random.Random(f"{self.rng.random()}, judged")
        self.tables = [TABLE, TABLE, RULE_MATCHES]
        self.pushing = Pushing(ledger=self.ledger, lake=self.lake, shaper=SHAPER, rng=rng, now_us=self.now_us)
        self.bench = Bench(
            ledger=self.ledger,
            lake=self.lake,
            kind=KIND,
            rng=rng,
            now_us=self.now_us,
            pause=self.pause,
            lease=LEASE,
            wait=lambda: self.world.advance(60_000_000),
        )
        self.far = FarEnds(
            ledger=self.ledger, rng=rng, now_us=self.now_us, pause=self.pause, hangs=rng.choice((0.0, 0.1))
        )
        self.telling = Telling(
            ledger=self.ledger,
            far=self.far,
            rng=rng,
            now_us=self.now_us,
            pause=self.pause,
            wait=self.world.advance,
        )
        self.pushing.begin()
        self.telling.begin()
        self.actors += [
            Actor("pusher", self.pushing.go_on, mortal=False, weight=5),
            *(Actor(f"judge {number}", self.bench.work, mortal=True, weight=6) for number in range(2)),
            *(Actor(home, partial(self.telling.work, home), mortal=True, weight=2) for home in ("h1", "h2")),
            Actor("people", self.meddle, mortal=False, weight=3),
        ]

    def our_now(self) -> datetime:
        """Return the world's time: our clock here."""
        return from_us(self.world.now)

    def now_us(self) -> int:
        """Return the world's time in microseconds."""
        return self.world.now

    def pause(self) -> None:
        """Let others run; a process may also end here."""
        if self.interleaving and getcurrent() is not self.hub:
            self.hub.switch()

    def run(self, steps: int) -> None:
        """Let everything happen in an order that the seed decides."""
        for _ in range(steps):
            awake = [actor for actor in self.actors if actor.wakes_us <= self.world.now]
            (actor,) = self.rng.choices(awake, [actor.weight for actor in awake])
            if actor.run is None or actor.run.dead:
                actor.run = greenlet(actor.work)
            elif actor.mortal and self.rng.random() < self.crashes:
                self.crash(actor)
                continue
            actor.run.switch()
            self.world.advance(self.rng.randrange(0, 400_000))
            if actor.mortal and self.rng.random() < self.sleeps:
                actor.wakes_us = self.world.now + self.rng.randrange(0, 200_000_000)
        for actor in self.actors:
            if actor.run is not None and not actor.run.dead:
                self.crash(actor)

    def crash(self, actor: Actor) -> None:
        """End a process where it stands; what is durable stays."""
        with contextlib.suppress(Crash):
            actor.run.throw(Crash())
        actor.run = None

    def source(self) -> WorldSource:
        """Return the API as a new process sees it."""
        boot = self.world.now - self.rng.randrange(0, 10**12)
        stamped_us = self.ledger.sources.observed_us(SOURCE)
        clock = ApiClock(lambda: (self.world.now - boot) / 1_000_000, stamped_us=stamped_us)
        source = WorldSource(self.world, clock, self.pause)
        source.prime()
        return source

    def puller(self, source: WorldSource) -> Puller:
        """Return a puller that notes what landed."""
        noting = _Noting(self)
        return Puller(
            source=source,
            shaper=noting,
            ledger=noting,
            suspects=noting,
            lake=self.lake,
            kind=KIND,
            rejection_rows=rejection_rows,
            source_label="sim",
            page_size=PAGE,
            our_now=self.our_now,
            rng=self.rng,
        )

    def pull(self) -> None:
        """One process: take slices and drain them, until it has nothing to do."""
        self.births += 1
        holder = f"p{self.births}"
        puller = self.puller(self.source())
        while True:
            self.pause()
            slice_ = self.ledger.pulling.take(holder, now=self.our_now(), lease=LEASE)
            if slice_ is None:
                return
            try:
                drained = puller.drain(slice_)
            except LostFenceError:
                continue
            self.pause()
            self.ledger.pulling.release(drained.slice_)

    def plan(self) -> None:
        """Plan what is due."""
        marks = self.ledger.pulling.marks(SOURCE, KIND.log_type)
        self.planning_source.hear()
        now, true_now = self.planning_source._clock.now(), self.world.now
        waiting = self.ledger.pulling.slices(source_id=SOURCE, states=[SliceState.WAITING])
        self.pause()
        with contextlib.suppress(LostFenceError):
            advance(self.ledger, _stream(now))
        self.pause()
        planned = planner.plan(marks, KIND, SETTINGS, now, waiting, our_now=self.our_now())
        if planned is not None:
            try:
                self.ledger.pulling.plan(planned.before, planned.after, planned.slices)
            except LostFenceError:
                return
            self.first_edge = self.first_edge or (true_now if self.world.lie else to_us(now))
        self.pause()

    def ask_again(self) -> None:
        """Have a stretch that was read before read again, by either field, as `pull --since` does."""
        marks = self.ledger.pulling.marks(SOURCE, KIND.log_type)
        if marks.edge is None or self.rng.random() < 0.8:
            return
        since = marks.edge - timedelta(seconds=self.rng.randrange(1, 600))
        by = self.rng.choice(("changedAt", "createdAt"))
        again = Slice(
            source_id=SOURCE, log_type=KIND.log_type, origin=Origin.BACKFILL, by=by, since=since, until=marks.edge
        )
        self.ledger.pulling.plan(marks, marks, [again])

    def publish(self) -> None:
        """Publish a table."""
        self.lake.publish(self.rng.choice(self.tables), self.world.now)

    def clean(self) -> None:
        """Delete what nobody needs any more."""
        self.lake.clean(self.rng.choice(self.tables), self.world.now - GRACE_US)

    def meddle(self) -> None:
        """Let people change what is judged, and who is told."""
        if self.bench.rng.random() < 0.2:
            self.telling.meddle()
        else:
            self.bench.meddle()

    def live(self) -> None:
        """Let the world change."""
        self.world.change()
        self.world.trouble()
        if self.world.faults.refused_tag:
            self.world.refusing_tag = self.rng.random() < 0.3

    def rows(self) -> list[Row]:
        """Return all that the lake has of what was pulled."""
        rows, _ = self.lake.view(TABLE)
        return [row for row in rows if row["p_source_id"] == SOURCE]

    def read(self) -> None:
        """Look at the lake as a person would, at any instant."""
        promised = set(self.landed)
        rows = self.rows()
        self.check_rows(rows, promised)

    def check_promised(self, promised: set[Promise]) -> None:
        """Raise unless every promised version is there at this very instant."""
        before, self.interleaving = self.interleaving, False
        rows = self.rows()
        self.interleaving = before
        self.check_there(rows, promised)

    @staticmethod
    def check_there(rows: list[Row], promised: set[Promise]) -> None:
        """Raise unless `rows` hold every promised version."""
        there = {(row["id"], row["p_version"]) for row in rows}
        missing = [(name, any_of) for name, any_of in promised if not any((name, one) in there for one in any_of)]
        assert not missing, f"a reader misses versions that have landed: {missing}"

    def check_rows(self, rows: list[Row], promised: set[Promise]) -> None:
        """Raise unless every promised version is there, and none twice."""
        self.check_there(rows, promised)
        names = [row["p_row_id"] for row in rows]
        assert len(names) == len(set(names)), "one row id stands twice"
        for record_id, versions in by_id(rows).items():
            for one, next_ in zip(versions, versions[1:], strict=False):
                assert one["p_version"] != next_["p_version"], f"{record_id}: one version landed twice: {one}"

    def settle(self) -> None:
        """Let the API behave but for what it never gets right, and read everything due."""
        self.interleaving = False
        self.world.faults = lasting(self.world.faults)
        self.world.refusing_tag = False
        self.world.lie = self.world.down_until = self.world.refused_until = 0
        self.world.advance(400_000_000)
        self.world.pace = 100_000
        for _ in range(5):
            self.planning_source.hear()
        while not self.first_edge:
            self.plan()
        self.recover()
        self.check_nothing_missed()

    def judge_rest(self) -> None:
        """Land and judge what is left, tell of it, and compare that with what must have come of it."""
        self.interleaving = self.bench.suppress = False
        self.pushing.settle()
        self.world.advance(60_000_000)
        self.bench.drain()
        self.telling.drain()
        verdicts.check(self.bench, self.far)

    def change_unseen(self) -> None:
        """Let some things vanish or change, then some of those return and others vanish: two sweeps must tell."""
        # An hour later: what the API claimed of dates further ahead is known for a lie, and what is seen now is newer.
        self.world.advance(3_720_000_000)
        for share in (0.3, 0.5):
            self.world.change_unseen(share)
            # Each of them must be complete: a stretch that is still parked from before keeps one from that.
            complete = [self.sweep() for _ in range(2)]
            self.check_open(agreed=all(complete))

    def read_again(self) -> None:
        """Read all of the past once more."""
        # An hour later: what the API claimed of dates further ahead is known for a lie, and what is seen now is newer.
        self.world.advance(3_720_000_000)
        now = self.source()._clock.now()
        marks = self.ledger.pulling.marks(SOURCE, KIND.log_type)
        again = [
            Slice(source_id=SOURCE, log_type=KIND.log_type, origin=Origin.BACKFILL, by=by, since=from_us(0), until=now)
            for by in ("changedAt", "createdAt")
        ]
        self.ledger.pulling.plan(marks, marks, again)
        self.drain_all()
        self.lake.publish(TABLE, self.world.now)

    def recover(self) -> None:
        """Come to rest after the faults, and raise unless that costs what it may."""
        meter = self.meter = Meter(self.world, self.ledger)
        owed = self.unread()
        self.drain_all()
        self.world.advance(60_000_000)
        self.plan()
        owed += [each for each in self.unread() if each.id > max((one.id for one in owed), default=0)]
        self.drain_all()
        assert meter.passed <= ALL_WITHIN, f"it took {meter.passed} to read what was due"
        # What the passing faults have parked is tried again, and then only what never works is left.
        most = allowed(self.world, owed)
        for _ in range(200):
            parked = self.ledger.pulling.slices(source_id=SOURCE, states=[SliceState.PARKED])
            hopeless = [*self.world.spots(), *self.world.detours()]
            curable = [each for each in parked if not meets(each, hopeless)]
            if not curable:
                break
            self.world.now = max(self.world.now, to_us(min(each.due_at for each in parked)))
            assert meter.passed <= RETRIED_WITHIN, f"still parked after {meter.passed}: {curable}"
            most += allowed(self.world, parked)
            self.drain_all()
        assert meter.requests <= most, f"{meter.requests} requests, and {most} were enough"
        assert meter.takes <= meter.requests + 10, f"{meter.takes} slices taken for {meter.requests} requests"
        assert meter.writes <= 6 * meter.requests + 40, f"{meter.writes} transactions for {meter.requests} requests"

    def unread(self) -> list[Slice]:
        """Return the slices that are still to be read."""
        return self.ledger.pulling.slices(source_id=SOURCE, states=[SliceState.WAITING, SliceState.PARKED])

    def sweep(self) -> bool:
        """Let one more sweep begin, carry it to its end, and return whether it was complete."""
        began = self.ledger.pulling.marks(SOURCE, KIND.log_type).sweep_round
        for _ in range(100):
            self.world.advance(100_000_000)
            self.plan()
            self.drain_all()
            sweep = self.ledger.sweeps.newest(SOURCE, KIND.log_type)
            if sweep is not None and sweep.round > began and sweep.stage is Stage.DONE:
                return sweep.complete
        raise AssertionError("a sweep never ends")

    def check_open(self, *, agreed: bool) -> None:
        """Raise unless sweeps have brought the present state of what is open, and, if `agreed`, closed what is gone."""
        rows = self.rows()
        self.check_rows(rows, self.landed)
        current = {record_id: versions[-1] for record_id, versions in by_id(rows).items()}
        for thing in self.owed():
            if thing.status in OPEN:
                assert thing.id in current, f"{thing} is open and not in the lake after two sweeps"
                row = current[thing.id]
                assert (row["status"], row["tag"]) == (thing.status, thing.tag), f"{thing} is stale in the lake: {row}"
        if not agreed:
            return
        excused, hiding = self.excused(), self.hiding()
        for thing in self.world.things:
            # Where every status cannot be asked for, or one more is counted than shown, nobody knows if it is closed.
            unknown = excused(thing.created) or any(since <= thing.created <= until for since, until in hiding)
            if thing.gone and thing.id in current and not unknown:
                assert current[thing.id]["status"] not in OPEN, (
                    f"{thing} is gone, and open in the lake after two sweeps"
                )
        for row in current.values():
            thing = next(thing for thing in self.world.things if thing.id == row["id"])
            assert row["p_inferred"] is None or thing.gone or thing.status not in OPEN, f"{thing} is there: {row}"

    def hiding(self) -> list[tuple[int, int]]:
        """Return the stretches in which a verification was shown fewer records than are counted there, by a lying API.

        Records that it hides, or counts twice, are told apart from vanished ones by nobody.
        """
        faults = self.world.faults
        return [
            (to_us(each.since) - 1_000_000, to_us(each.until) + 1_000_000)
            for each in self.ledger.pulling.slices(source_id=SOURCE)
            if each.origin is Origin.VERIFY and each.state is SliceState.DRAINED
            if (each.checkpoint.total or 0) - faults.overcount > each.checkpoint.met
            if faults.hidden or faults.counted_twice
        ]

    def drain_all(self) -> None:
        """Pull until nothing but parked slices is left; what is healthy must not wait for what is not."""
        source = self.source()
        puller = self.puller(source)
        began = self.world.now, self.world.asked
        waiting = self.ledger.pulling.slices(source_id=SOURCE, states=[SliceState.WAITING])
        spots = [*self.world.spots(), *self.world.detours()]
        healthy = {each.id for each in waiting if not meets(each, spots)}
        for _ in range(5_000):
            slice_ = self.ledger.pulling.take("settling", now=self.our_now(), lease=LEASE)
            if slice_ is not None:
                self.meter.takes += 1
                self.ledger.pulling.release(puller.drain(slice_).slice_)
                continue
            waiting = self.ledger.pulling.slices(source_id=SOURCE, states=[SliceState.WAITING])
            if not waiting:
                return
            late = timedelta(microseconds=self.world.now - began[0] - (self.world.asked - began[1]) * self.world.pace)
            left = [each for each in waiting if each.id in healthy]
            assert not left or late <= HEALTHY_WITHIN, f"nothing is wrong with these, and they still wait: {left}"
            due = min(to_us(each.due_at) for each in waiting)
            self.world.advance(max(1_000_000, min(due - self.world.now, 60_000_000)))
            source.hear()
        raise AssertionError("pulling never ends")

    def excused(self) -> Callable[[int | None], bool]:
        """Return whether an instant lies in a stretch that is parked or stays short: shown, never hidden.

        Where the API counts wrong, every stretch may be short; that excuses nothing if its cursors tell ties apart.
        """
        faults = self.world.faults
        lies = faults.tie_break and (faults.overcount or faults.hidden or faults.counted_twice)
        stretches = [
            (to_us(s.since) - 1_000_000, to_us(s.until) + 1_000_000)
            for s in self.ledger.pulling.slices(source_id=SOURCE)
            if s.state is SliceState.PARKED or (s.short_by and not lies)
        ]
        return lambda at: at is not None and any(since <= at <= until for since, until in stretches)

    def owed(self) -> list[Any]:
        """Return the things whose present state must be in the lake."""
        unseen, excused = self.world.poisoned | self.world.hidden, self.excused()
        return [
            thing
            for thing in self.world.things
            if thing.id not in unseen
            and not thing.gone
            and thing.visible <= self.world.now - 10_000_000
            and not excused(thing.changed)
            and not excused(thing.created)
        ]

    def check_nothing_missed(self) -> None:
        """Raise unless live, backfill and sweep alone brought each thing that they can see."""
        marks = self.ledger.pulling.marks(SOURCE, KIND.log_type)
        assert marks.edge is not None
        assert marks.backfill_since is not None
        rows = self.rows()
        ids = {row["id"] for row in rows}
        there = {(row["id"], row["p_cursor_time"], row["status"]) for row in rows}
        for thing in self.owed():
            if thing.was_gone:
                continue
            if thing.changed is not None and self.in_reach(thing, thing.changed, to_us(marks.backfill_since)):
                assert (thing.id, from_us(thing.changed), thing.status) in there, f"{thing}: its change never came"
            if self.in_reach(thing, thing.created, self.first_edge):
                assert thing.id in ids, f"{thing}: it never came"
            untouched = max(thing.visible, thing.changed or 0) < self.first_edge - 5_000_000
            if untouched and thing.status in OPEN:
                assert thing.id in ids, f"{thing}: open since before the backfill, and never swept"

    @staticmethod
    def in_reach(thing: Thing, at: int, since: int) -> bool:
        """Whether live slices must have met what happened at that instant: not before them, and not too late."""
        return at >= since and thing.visible <= at + 240_000_000

    def check(self) -> None:
        """Raise unless the lake holds what it must."""
        rows = self.rows()
        self.check_rows(rows, self.landed)
        current = {record_id: versions[-1] for record_id, versions in by_id(rows).items()}
        for thing in self.owed():
            assert thing.id in current, f"{thing} is not in the lake"
            row = current[thing.id]
            shown = {"status": row["status"], "tag": row["tag"], "updated": to_us(row["updatedAt"])}
            assert shown == {"status": thing.status, "tag": thing.tag, "updated": thing.updated}, (
                f"current shows {shown}, but it is {thing}"
            )
        self.check_files()

        assert not any(row["status"] == GHOST for row in rows), "a version landed that never was"
        self.check_poison()
        self.check_unknown(rows)

    def check_poison(self) -> None:
        """Raise unless the record that always comes with an error is a rejection, and does not block the rest."""
        if self.world.faults.poison != "beside" or any(
            thing.was_gone for thing in self.world.things if thing.id in self.world.poisoned
        ):
            return
        rejections, _ = self.lake.view(REJECTIONS)
        # What is hidden from the account never comes, with an error or without.
        nowhere = self.world.poisoned - self.world.hidden - {row["record_id"] for row in rejections}
        if not self.world.faults.tie_break:
            # A cursor that skips ties can skip this one too, even record by record: its range is shown as short then.
            excused = self.excused()
            shown = (thing for thing in self.world.things if excused(thing.changed) or excused(thing.created))
            nowhere -= {thing.id for thing in shown}
        assert not nowhere, f"the record that errs is nowhere: {nowhere}"
        assert len({row["p_row_id"] for row in rejections}) == len(rejections), "one rejection landed twice"

    def check_unknown(self, rows: list[Row]) -> None:
        """Raise when a field that could not be shown was taken for a change: a tag is never null in this world."""
        for record_id, versions in by_id(rows).items():
            for before, after in zip(versions, versions[1:], strict=False):
                lost = after["tag"] is None and before["tag"] is not None
                # What was committed later, though it belongs before, could not be known.
                known = self.sequences[before["p_row_id"]] < self.sequences[after["p_row_id"]]
                assert not (lost and known), f"{record_id}: tag got lost: {after}"

    def check_files(self) -> None:
        """Raise when a landed part has no file; of one that is published, the file goes before the row."""
        for part in self.ledger.lake.parts(TABLE, above=self.lake.marks.get(TABLE, 0)):
            assert part.path in self.lake.files, f"the ledger vouches for {part.path}, which is gone"


class _Noting:
    """Shaper and ledger as one process sees them, pausing around each transaction; notes what landed answers showed."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._ledger = simulation.ledger
        self.columns = SHAPER.columns
        self._page: ShapedRecords | None = None
        self._shown: list[Promise] = []

    def shape(self, records: bytes | list[bytes]) -> ShapedRecords:
        page = SHAPER.shape(records)
        things = json.loads(records) if isinstance(records, bytes) else list(map(json.loads, records))
        self._shown = [_promise(things[position], page.versions[at]) for at, position in enumerate(page.positions)]
        self._page = page
        return page

    def land(self, landing: Landing) -> Landed | Behind:
        self._simulation.pause()
        outcome = self._ledger.pulling.land(landing)
        if isinstance(outcome, Landed) and landing.part is not None and outcome.sequence is not None:
            rows = self._simulation.lake.files[landing.part.path]
            self._simulation.sequences |= {row["p_row_id"]: outcome.sequence for row in rows}
        page = self._page
        used = page is not None and landing.tally.events + landing.tally.repeats == len(page.ids)
        infers = landing.to is not None and landing.to.origin is Origin.INFER
        if isinstance(outcome, Landed) and page is not None and used and not infers:
            self._simulation.landed.update(self._shown)
            if any(len(any_of) > 1 for _, any_of in self._shown):
                # The next page may mend what a field that was not shown has spoilt: look before it comes.
                self._simulation.check_promised(set(self._shown))
        self._simulation.pause()
        return outcome

    def __getattr__(self, name: str) -> Any:
        ledger = self._ledger
        method = getattr(ledger.pulling if hasattr(ledger.pulling, name) else ledger.sweeps, name)

        def paused(*args: Any, **more: Any) -> Any:
            self._simulation.pause()
            answer = method(*args, **more)
            self._simulation.pause()
            return answer

        return paused


def lasting(faults: Faults) -> Faults:
    """Return those of `faults` that never end."""
    return replace(
        QUIET,
        tie_break=faults.tie_break,
        ties=faults.ties,
        inclusive=faults.inclusive,
        poison=faults.poison,
        overcount=faults.overcount,
        hidden=faults.hidden,
        counted_twice=faults.counted_twice,
        ignores_dates=faults.ignores_dates,
        bad_stretch=faults.bad_stretch,
    )


def _promise(thing: dict[str, Any], version: str) -> Promise:
    """Say what must be in the lake once `thing` has landed: it as it was shown; a tag that was not shown may be any."""
    if thing["tag"] is not None:
        return thing["id"], frozenset({version})
    tagged = SHAPER.shape(json.dumps([thing | {"tag": tag} for tag in TAGS]).encode())
    return thing["id"], frozenset({version, *tagged.versions})


def by_id(rows: list[Row]) -> dict[str, list[Row]]:
    """Return each id's versions in their order."""
    found: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row["p_version_time"], row["p_observed_at"], row["p_row_id"])):
        found.setdefault(row["id"], []).append(row)
    return found


def run(seed: int) -> None:
    """Run one seed. Raises AssertionError, which names the seed."""
    simulation = Simulation(seed)
    long = seed % LONG == 0
    # A seed leaves little behind, and a fifth of its time would go into looking for that.
    gc.disable()
    try:
        simulation.run(500 if long else 150)
        if long:
            simulation.settle()
            if seed // LONG % 3 == 0:
                simulation.change_unseen()
            simulation.read_again()
            simulation.check()
        simulation.judge_rest()
        simulation.check_rows(simulation.rows(), simulation.landed)
    except AssertionError as error:
        replay = f"OCELOG_FIRST_SEED={seed} OCELOG_SEEDS=1 .venv/bin/python -m pytest tests/faults/test_simulation.py"
        raise AssertionError(f"seed {seed}: {error}\n{replay}") from error
    finally:
        gc.enable()
