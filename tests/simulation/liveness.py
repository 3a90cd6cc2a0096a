"""What getting on may cost: requests, time and ledger transactions, for the records and the faults of one world."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from types import TracebackType

from msgspec.structs import force_setattr

from ocelog.ledger.ledger import Ledger
from ocelog.model import Slice
from ocelog.times import to_us
from simulation.world import PAGE, World

SLACK_US = 2_000_000
"""Requests are widened by a second on both sides, and what is parked is rounded to seconds."""
READINGS = 4
"""So often a healthy stretch may be read: a reading can be resumed in its middle, and begins anew then."""
PER_SPOT = 120
"""Requests that one bad spot may cost each slice that meets it."""
PER_CROWD = 20
"""Requests more, for each slice, where more records than a page holds share an instant and a cursor skips them."""
PER_PIECE = 3
"""Requests for each record of a slice that is cut between them, for a cursor skips ties: a piece holds half a page."""
LASTING = 20
"""Requests more, for each slice, at an API that counts wrong or ignores dates."""
HEALTHY_WITHIN = timedelta(minutes=6)
"""What failed for a passing reason waits for five minutes at most."""
ALL_WITHIN = timedelta(hours=3)
RETRIED_WITHIN = timedelta(hours=26)
"""What was parked is tried again once a day at least."""


class Meter:
    """Counts what pulling costs from here on."""

    def __init__(self, world: World, ledger: Ledger) -> None:
        self._world = world
        self._asked, self._began_us = world.asked, world.now
        self.takes = self.writes = 0
        self._turn = ledger._database.turn
        # Each transaction that writes takes its turn. An event of SQLAlchemy would cost as much as the transaction.
        force_setattr(ledger._database, "turn", self)

    def __enter__(self) -> None:
        self.writes += 1
        self._turn.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turn.__exit__(kind, error, trace)

    @property
    def requests(self) -> int:
        """Requests since then."""
        return self._world.asked - self._asked

    @property
    def passed(self) -> timedelta:
        """Simulated time since then."""
        return timedelta(microseconds=self._world.now - self._began_us)


def meets(slice_: Slice, spots: Sequence[tuple[int, int]]) -> int:
    """Count those of `spots` that `slice_` asks for."""
    since, until = to_us(slice_.since) - SLACK_US, to_us(slice_.until) + SLACK_US
    return sum(begins <= until and ends >= since for begins, ends in spots)


def allowed(world: World, slices: Collection[Slice]) -> int:
    """Return how many requests it may cost to read `slices` to their end."""
    faults = world.faults
    wrong = LASTING if faults.overcount or faults.hidden or faults.counted_twice or faults.ignores_dates else 0
    instants = [{at for at in (thing.created, thing.changed) if at is not None} for thing in world.things]
    spots = [*world.spots(), *world.detours()]
    total = 20
    for each in slices:
        since, until = to_us(each.since) - SLACK_US, to_us(each.until) + SLACK_US
        records = sum(faults.ignores_dates or any(since <= at <= until for at in each_at) for each_at in instants)
        total += READINGS * (2 + records // PAGE) + wrong + PER_SPOT * meets(each, spots)
        total += PER_CROWD * meets(each, world.crowds()) + (0 if faults.tie_break else PER_PIECE * records)
    return total
