"""Streams, their slices, and who may land what: the ledger as pulling uses it."""

import os
import socket
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

from ocelog.errors import LostFenceError
from ocelog.ledger.database.clocks import check_clocks
from ocelog.ledger.database.transactions import Database
from ocelog.ledger.rows import claims, landing, parking, slices, streams
from ocelog.model import Claim, Due, Marks, Slice, SliceState, StreamFaults, StreamRow
from ocelog.pull.ports import LEASE, Behind, Landed, Landing
from ocelog.times import from_us, to_us


def holder_of(home_id: str) -> str:
    """Return who holds what this process reads: the home first, so that its next process can let go of it."""
    return f"{home_id}/{socket.gethostname()}:{os.getpid()}"


class SliceLedger:
    """Streams and their slices: planned, handed to whoever reads them, landed and moved on. Fits LandingLedger."""

    def __init__(self, database: Database, now_us: Callable[[], int]) -> None:
        self._database = database
        self._now_us = now_us

    def land(self, landing_: Landing) -> Landed | Behind:
        """Commit a landing with the counter row of its table held. Raises LostFenceError: then nothing changed."""
        with self._database.write() as tx:
            return landing.land(tx, landing_, self._now_us())

    def move(self, slice_: Slice, to: Slice) -> None:
        """Save `to` in the place of `slice_` without landing anything. Raises LostFenceError."""
        with self._database.write() as tx:
            slices.move(tx, slice_, to, self._now_us())

    def split(self, slice_: Slice, children: Sequence[Slice]) -> None:
        """Retire `slice_` and plan `children`. Raises LostFenceError."""
        with self._database.write() as tx:
            streams.hold(tx, slice_.source_id, slice_.log_type)
            slices.split(tx, slice_, children, self._now_us())

    def park(self, slice_: Slice, to: Slice) -> None:
        """Park `slice_` as `to`, or retire it if a parked slice that asks the same covers it. LostFenceError."""
        with self._database.write() as tx:
            parking.park(tx, slice_, to, self._now_us())

    def known_rejections(self, keys: Sequence[str]) -> frozenset[str]:
        """Return those of `keys` that have landed before."""
        with self._database.read() as tx:
            return landing.known_rejections(tx, keys)

    def stream_faults(self, source_id: str, log_type: str) -> StreamFaults:
        """Return what the source is known to get wrong in a stream."""
        with self._database.read() as tx:
            return streams.faults(tx, source_id, log_type)

    def save_stream_faults(self, slice_: Slice, faults: StreamFaults) -> None:
        """Remember `faults` of the totals in the stream of `slice_`."""
        with self._database.write() as tx:
            streams.save_total_off(tx, slice_.source_id, slice_.log_type, faults)

    def claim_whole(self, slice_: Slice, now: datetime, every: timedelta) -> datetime | None:
        """Have `slice_` read as a whole now; if one that asks the same was within `every`, return when it may be.

        Both times are by our clock.
        """
        with self._database.write() as tx:
            return streams.claim_whole(tx, slice_, now, every)

    def marks(self, source_id: str, log_type: str) -> Marks:
        """Return how far the planning of a stream has come."""
        with self._database.read() as tx:
            return streams.marks(tx, source_id, log_type)

    def plan(self, before: Marks, after: Marks, slices: Sequence[Slice]) -> list[Slice]:
        """Add `slices` and save `after` together. Raises LostFenceError if the marks are not `before` any more."""
        with self._database.write() as tx:
            return streams.plan(tx, before, after, slices)

    def planning(self, streams_: Collection[tuple[str, str]]) -> dict[tuple[str, str], tuple[Marks, list[Slice]]]:
        """Return the marks of each of `streams_`, and its slices that are not read to their end, as of one instant."""
        with self._database.read() as tx:
            marks = {(row.marks.source_id, row.marks.log_type): row.marks for row in streams.listed(tx, None)}
            left = slices.left(tx, {source_id for source_id, _ in streams_})
        return {key: (marks.get(key, Marks(source_id=key[0], log_type=key[1])), left.get(key, [])) for key in streams_}

    def plan_all(self, plans: Sequence[tuple[Marks, Marks, Sequence[Slice]]]) -> list[Marks]:
        """Do what `plan` does for many streams at once; return the marks before of those that another has planned."""
        overtaken = list[Marks]()
        # Everyone takes the rows of several streams in this order.
        with self._database.write() as tx:
            for before, after, added in sorted(plans, key=lambda plan: (plan[0].source_id, plan[0].log_type)):
                try:
                    streams.plan(tx, before, after, added)
                except LostFenceError:
                    overtaken.append(before)
        return overtaken

    def take(
        self,
        holder: str,
        *,
        now: datetime,
        sources: Collection[str] | None = None,
        log_types: Collection[str] | None = None,
        lease: timedelta = LEASE,
        sweeps_together: bool = False,
        past_first: bool = False,
    ) -> Slice | None:
        """Hand the most pressing slice that is due and free to `holder`, under a new fence; None: there is none.

        Live goes first, then sweep, then backfill, each from the newest; parked ones come last. Landing and moving
        extend the lease. If there is nothing to take, nothing is written.
        Of a source's daily sweeps one slice is read at a time, unless `sweeps_together`. With `past_first` live goes
        after backfill for once.
        """
        check_clocks(now, from_us(self._now_us()))
        with self._database.read() as tx:
            if not sweeps_together and not slices.may_take(tx, now, sources=sources, log_types=log_types):
                return None
        with self._database.write() as tx:
            return slices.take(
                tx,
                holder,
                now=now,
                sources=sources,
                log_types=log_types,
                lease=lease,
                sweeps_together=sweeps_together,
                past_first=past_first,
            )

    def release(self, slice_: Slice) -> None:
        """Let go of a slice, unless another holder has it by now."""
        with self._database.write() as tx:
            slices.release(tx, slice_)

    def take_claim(self, work: str, source_id: str, holder: str, *, lease: timedelta = LEASE) -> Claim:
        """Hand the claim to `work`, such as a replay, on a source to `holder`, under a new fence.

        Landing extends the lease. Raises LostFenceError while another has it, and if the source is gone.
        """
        with self._database.write() as tx:
            return claims.take(tx, work, source_id, holder, self._now_us(), lease)

    def release_claim(self, claim: Claim) -> None:
        """Let go of a claim, unless another holder has it by now."""
        with self._database.write() as tx:
            claims.release(tx, claim)

    def release_home(self, home_id: str) -> None:
        """Let go of what processes of a home hold: for whoever has its lock, so that they must be gone."""
        with self._database.write() as tx:
            slices.release_home(tx, home_id)
            claims.release_home(tx, home_id)

    def claims_of(self, source_id: str) -> list[str]:
        """Return the names of all claims to land records of a source: those of its slices, and the others."""
        with self._database.read() as tx:
            return [*slices.names(tx, source_id), *claims.of_source(tx, source_id)]

    def due(self, now: datetime) -> dict[tuple[str, str], Due]:
        """Return what may be taken at `now`, and when more may be, by (source id, log type). Only reads."""
        with self._database.read() as tx:
            return slices.due(tx, to_us(now))

    def hurry(self, streams: Collection[tuple[str, str]], now: datetime) -> int:
        """Make due at `now` what waits after a failure, and what is parked; return how many slices that is."""
        with self._database.write() as tx:
            return slices.hurry(tx, streams, to_us(now))

    def slices(
        self,
        *,
        source_id: str | None = None,
        log_type: str | None = None,
        states: Collection[SliceState] | None = None,
    ) -> list[Slice]:
        """Return slices in the order in which they were planned."""
        with self._database.read() as tx:
            return slices.listed(tx, source_id=source_id, log_type=log_type, states=states)

    def forget_slices(self, ids: Sequence[int]) -> int:
        """Delete those of these slices that are read to their end; return how many."""
        with self._database.write() as tx:
            return slices.forget(tx, ids)

    def streams(self, source_id: str | None = None) -> list[StreamRow]:
        """Return the streams of one source, or of all."""
        with self._database.read() as tx:
            return streams.listed(tx, source_id)

    def trouble(self, source_id: str, log_type: str, *, kind: str, code: str, text: str, at_us: int) -> None:
        """Remember what is wrong with a stream: the code of an error's class, its own code and its text."""
        with self._database.write() as tx:
            streams.trouble(tx, (source_id, log_type), kind=kind, code=code, text=text, at_us=at_us)

    def well(self, source_id: str, log_type: str) -> bool:
        """Forget what was wrong with a stream, unless a slice of it still waits after a failure; False: one does.

        Writes only if there is something to forget.
        """
        with self._database.read() as tx:
            if slices.failing(tx, source_id, log_type):
                return False
            ill = streams.is_ill(tx, source_id, log_type)
        if ill:
            with self._database.write() as tx:
                streams.well(tx, source_id, log_type)
        return True
