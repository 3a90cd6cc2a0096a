"""One seed of the small simulation: versions land in any order while processes judge them, crash and overtake."""

import contextlib
import gc
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from greenlet import getcurrent, greenlet
from sqlalchemy import select

from ocelog.alert.alert import TimelineEntry
from ocelog.alert.notice import AlertStatus
from ocelog.ledger import tables
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.rows import alerts
from ocelog.ledger.rows.alerts import alert_of
from ocelog.model import RULE_MATCHES, Claim, Marks, Origin, SourceRow, Stamp, table_name
from ocelog.pull.part_names import part_name
from ocelog.pull.ports import Landed, Landing, Tally
from ocelog.pull.versions import row_names
from ocelog.schema.columns.table import MATCH_SCHEMA
from ocelog.schema.language.parse import parse_schema
from ocelog.schema.shape import compile_shaper
from ocelog.times import EPOCH, from_us, rfc3339, to_us
from simulation.judging import Bench
from simulation.lake import MemoryLake
from simulation.world import KIND, SCHEMA

TABLE = table_name(KIND.log_type)
SHAPER = compile_shaper(parse_schema(SCHEMA, "simulation"), KIND)
SOURCES = ("s1", "s2")
LEASE = timedelta(seconds=30)
GRACE_US = 60_000_000
START = to_us(EPOCH + timedelta(days=50))
_STATUSES = ("OPEN", "IN_PROGRESS", "RESOLVED", "REJECTED")


class Crash(BaseException):
    """The process is gone at this instruction."""


class Small:
    """Records of two sources whose versions land in any order, and all that judges them."""

    def __init__(self, seed: int, home: Path, blank_ledger: Path) -> None:
        self.rng = random.Random(seed)
        self.now = START
        path = home / f"{seed}.db"
        shutil.copy(blank_ledger, path)
        self.ledger = Ledger.open(f"sqlite:///{path}", durable=False, now=self.our_now)
        self.lake = MemoryLake(self.ledger.lake, self.pause)
        self.lake.columns = {TABLE: SHAPER.columns, RULE_MATCHES: MATCH_SCHEMA}
        self.hub = getcurrent()
        self.interleaving = True
        self.numbers = count()
        self.things: dict[str, dict[str, Any]] = {}
        self.waiting: list[tuple[str, dict[str, Any], str | None]] = []
        """Versions that are still to land: source, record as shown, whether it is inferred."""
        self.landers: dict[str, Claim] = {}
        self.crashes = self.rng.choice((0.0, 0.03, 0.1))
        self.bench = Bench(
            ledger=self.ledger,
            lake=self.lake,
            kind=KIND,
            rng=self.rng,
            now_us=lambda: self.now,
            pause=self.pause,
            lease=LEASE,
            wait=lambda: setattr(self, "now", self.now + 60_000_000),
        )
        for source in SOURCES:
            self.ledger.sources.add(SourceRow(id=source, name=source, kind="sim", added_us=0))
            before = Marks(source_id=source, log_type=KIND.log_type)
            edge = from_us(START - self.rng.choice((0, 120_000_000, 40 * 86_400_000_000)))
            after = Marks(source_id=source, log_type=KIND.log_type, edge=edge)
            self.ledger.pulling.plan(before, after, [])
        self.runs: list[Any] = [None] * 4
        self.work: list[tuple[Callable[[], None], bool]] = [
            (self.bench.work, True),
            (self.bench.work, True),
            (self.publish, True),
            (self.clean, True),
        ]

    def our_now(self) -> datetime:
        """Return the world's time: our clock here."""
        return from_us(self.now)

    def pause(self) -> None:
        """Let others run; a process may also end here."""
        if self.interleaving and getcurrent() is not self.hub:
            self.hub.switch()

    def run(self, steps: int) -> None:
        """Let everything happen in an order that the seed decides."""
        for _ in range(steps):
            roll = self.rng.random()
            if roll < 0.12:
                self.change()
            elif roll < 0.24:
                self.land()
            elif roll < 0.26:
                self.bench.change_rules()
            elif roll < 0.28:
                self.bench.suppress = not self.bench.suppress
            elif roll < 0.32:
                self.touch()
            else:
                self.go_on(self.rng.choice((0, 0, 0, 1, 1, 1, 2, 3)))
            self.now += self.rng.choice((1_000, 300_000, 3_000_000, 20_000_000))
        for at, run in enumerate(self.runs):
            if run is not None and not run.dead:
                self.crash(at)

    def go_on(self, at: int) -> None:
        """Let one process take a step, or end it."""
        work, mortal = self.work[at]
        if self.runs[at] is None or self.runs[at].dead:
            self.runs[at] = greenlet(work)
        elif mortal and self.rng.random() < self.crashes:
            self.crash(at)
            return
        self.runs[at].switch()

    def crash(self, at: int) -> None:
        """End a process where it stands; what is durable stays."""
        with contextlib.suppress(Crash):
            self.runs[at].throw(Crash())
        self.runs[at] = None

    def publish(self) -> None:
        """Publish both tables."""
        for table in (TABLE, RULE_MATCHES):
            self.lake.publish(table, self.now)

    def clean(self) -> None:
        """Delete what is not needed any more."""
        for table in (TABLE, RULE_MATCHES):
            self.lake.clean(table, self.now - GRACE_US)

    def change(self) -> None:
        """Let a record come into being or change; its version lands some time."""
        if not self.things or self.rng.random() < 0.2:
            name = f"t{len(self.things)}"
            at = self.now - self.rng.choice((0, 0, 0, 60_000_000, 30 * 86_400_000_000))
            self.things[name] = {
                "id": name,
                "created": at,
                "updated": at,
                "status": "OPEN",
                "tag": "a",
                "inferred": None,
            }
        thing = self.things[self.rng.choice(sorted(self.things))]
        if self.rng.random() < 0.1 and thing["status"] in ("OPEN", "IN_PROGRESS"):
            self.waiting.append((self.source_of(thing), {**thing, "seen": self.now}, "inferred_closed"))
            return
        if self.rng.random() < 0.6:
            thing["status"] = self.rng.choice(_STATUSES)
        else:
            thing["tag"] = "b" if thing["tag"] == "a" else "a"
        if self.rng.random() < 0.9:
            thing["updated"] = max(thing["updated"] + 1_000, self.now)
        self.waiting.append((self.source_of(thing), {**thing, "seen": self.now}, None))

    @staticmethod
    def source_of(thing: dict[str, Any]) -> str:
        """Return which source shows a record."""
        return SOURCES[int(thing["id"][1:]) % 2]

    def land(self) -> None:
        """Land some versions that wait, in any order."""
        self.rng.shuffle(self.waiting)
        source = self.waiting[0][0] if self.waiting else SOURCES[0]
        some = [each for each in self.waiting if each[0] == source][: self.rng.randrange(1, 5)]
        if not some:
            return
        self.waiting = [each for each in self.waiting if each not in some]
        for each in some:
            self.land_one(*each)

    def land_one(self, source: str, thing: dict[str, Any], inferred: str | None) -> None:
        """Land one version."""
        if source not in self.landers:
            self.landers[source] = self.ledger.pulling.take_claim("replay", source, "lander", lease=timedelta(days=900))
        claim = self.landers[source]
        shown = {
            "id": thing["id"],
            "createdAt": rfc3339(from_us(thing["created"])),
            "changedAt": rfc3339(from_us(thing["updated"])),
            "updatedAt": rfc3339(from_us(thing["updated"])),
            "status": thing["status"],
            "tag": thing["tag"],
        }
        shaped = SHAPER.shape(json.dumps([shown]).encode())
        number = next(self.numbers)
        row_ids = [row_names(source, KIND.log_type)(thing["id"], f"{number}", 0)]
        stamp = Stamp(
            source_id=source, source_label=source, origin=Origin.LIVE, observed_us=thing["seen"], parsed_us=self.now
        )
        rows = shaped.table([0], row_ids, stamp)
        if inferred is not None:
            at = rows.column_names.index("p_inferred")
            rows = rows.set_column(at, rows.schema.field(at), [[inferred]])
        self.interleaving = False
        part = self.lake.write(TABLE, part_name(claim, number), rows)
        outcome = self.ledger.pulling.land(
            Landing(
                claim=claim,
                source_id=source,
                log_type=KIND.log_type,
                to=None,
                table=TABLE,
                part=part,
                page_min_us=None,
                page_max_us=None,
                loaded_through=0,
                loaded=frozenset(),
                rejections=None,
                rejection_keys=[],
                tally=Tally(events=1),
            )
        )
        self.interleaving = True
        assert isinstance(outcome, Landed)

    def touch(self) -> None:
        """Let a person comment on an alert, or close it."""
        with self.ledger._database.write() as tx:
            rows = [*tx.execute(select(tables.alerts).order_by(tables.alerts.c.id)).mappings()]
            if not rows:
                return
            alert = alert_of(self.rng.choice(rows))
            closes = self.rng.random() < 0.3 and alert.is_open
            after = replace(alert, assignee="ann", acknowledged_us=self.now)
            if closes:
                after = replace(after, status=AlertStatus.CLOSED, ended_us=self.now, close_reason="benign")
                self.bench.closed_by_hand.add(alert.id)
            assert alerts.save(tx, after)
            alerts.add_to_timeline(
                tx,
                [TimelineEntry(alert_id=alert.id, at_us=self.now, who="ann", what="closed" if closes else "assigned")],
            )

    def settle(self) -> None:
        """Land and judge what is left."""
        self.interleaving = False
        self.now += 60_000_000
        while self.waiting:
            self.land()
            self.interleaving = False
        self.now += 60_000_000
        self.bench.drain()

    def close(self) -> None:
        """Let go of the ledger."""
        self.ledger.close()


def run(seed: int, home: Path, blank_ledger: Path, steps: int = 110) -> None:
    """Run one seed. Raises AssertionError, which names the seed."""
    small = Small(seed, home, blank_ledger)
    gc.disable()
    try:
        small.run(steps)
        small.settle()
        small.bench.check()
    except AssertionError as error:
        replay = f"OCELOG_FIRST_SEED={seed} OCELOG_SEEDS=1 .venv/bin/python -m pytest tests/faults/test_judging.py"
        raise AssertionError(f"seed {seed}: {error}\n{replay}") from error
    finally:
        gc.enable()
        small.close()
