"""A second source that pushes: versions of its records land late, several at once and in any order."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from ocelog.ledger.ledger import Ledger
from ocelog.model import Claim, Marks, Origin, SourceRow, Stamp, table_name
from ocelog.pull.part_names import part_name
from ocelog.pull.ports import Landed, Landing, Tally
from ocelog.pull.versions import row_names
from ocelog.schema.shape import Shaper
from ocelog.times import from_us, rfc3339
from simulation.lake import MemoryLake
from simulation.world import KIND

PUSHED = "s2"
"""The source's id."""
_OLD_US = 8 * 86_400_000_000
_TABLE = table_name(KIND.log_type)


@dataclass(slots=True, kw_only=True)
class Pushing:
    """Records that change, and versions of them that are still to land."""

    ledger: Ledger
    lake: MemoryLake
    shaper: Shaper
    rng: random.Random
    now_us: Callable[[], int]
    things: dict[str, dict[str, Any]] = field(default_factory=dict)
    waiting: list[tuple[dict[str, Any], str | None]] = field(default_factory=list)
    """Records as they were shown, and whether that is inferred."""
    landed: int = 0
    _claim: Claim | None = None

    def begin(self) -> None:
        """Add the source, some of whose records may be older than it."""
        self.ledger.sources.add(SourceRow(id=PUSHED, name=PUSHED, kind="sim", added_us=0))
        edge = from_us(self.now_us() - self.rng.choice((0, 120_000_000, 2 * _OLD_US)))
        before = Marks(source_id=PUSHED, log_type=KIND.log_type)
        self.ledger.pulling.plan(before, replace(before, edge=edge), [])

    def go_on(self) -> None:
        """Let a record change, or some of what waits land."""
        if self.rng.random() < 0.5:
            self.change()
        else:
            self.land()

    def change(self) -> None:
        """Let a record come into being or change; its version lands some time."""
        rng, now = self.rng, self.now_us()
        if not self.things or rng.random() < 0.1:
            name = f"w{len(self.things)}"
            at = now - rng.choice((0, 0, 0, 60_000_000, _OLD_US))
            self.things[name] = {"id": name, "created": at, "updated": at, "status": "OPEN", "tag": "a"}
        thing = self.things[rng.choice(sorted(self.things))]
        if rng.random() < 0.1 and thing["status"] in KIND.open_statuses:
            self.waiting.append(({**thing, "seen": now}, "inferred_closed"))
            return
        if rng.random() < 0.6:
            thing["status"] = rng.choice(KIND.statuses)
        else:
            thing["tag"] = "b" if thing["tag"] == "a" else "a"
        if rng.random() < 0.9:
            thing["updated"] = max(thing["updated"] + 1_000, now - rng.choice((0, 0, 0, _OLD_US)))
        self.waiting.append(({**thing, "seen": now}, None))

    def land(self) -> None:
        """Land some versions that wait, in any order, each as a part of its own."""
        self.rng.shuffle(self.waiting)
        for _ in range(self.rng.randrange(1, 5)):
            if self.waiting:
                self._land_one(*self.waiting.pop())

    def settle(self) -> None:
        """Land all that waits."""
        while self.waiting:
            self.land()

    def _land_one(self, thing: dict[str, Any], inferred: str | None) -> None:
        if self._claim is None:
            self._claim = self.ledger.pulling.take_claim("replay", PUSHED, "lander", lease=timedelta(days=900))
        updated = rfc3339(from_us(thing["updated"]))
        shown = {
            "id": thing["id"],
            "createdAt": rfc3339(from_us(thing["created"])),
            "changedAt": updated,
            "updatedAt": updated,
            "status": thing["status"],
            "tag": thing["tag"],
        }
        shaped = self.shaper.shape(json.dumps([shown]).encode())
        self.landed += 1
        row_ids = [row_names(PUSHED, KIND.log_type)(thing["id"], f"{self.landed}", 0)]
        stamp = Stamp(
            source_id=PUSHED,
            source_label=PUSHED,
            origin=Origin.LIVE,
            observed_us=thing["seen"],
            parsed_us=self.now_us(),
        )
        rows = shaped.table([0], row_ids, stamp)
        if inferred is not None:
            at = rows.column_names.index("p_inferred")
            rows = rows.set_column(at, rows.schema.field(at), [[inferred]])
        part = self.lake.write(_TABLE, part_name(self._claim, self.landed), rows)
        outcome = self.ledger.pulling.land(
            Landing(
                claim=self._claim,
                source_id=PUSHED,
                log_type=KIND.log_type,
                to=None,
                table=_TABLE,
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
        assert isinstance(outcome, Landed)
