"""What the rest of Ocelog may ask of the ledger: every method is one transaction, and any thread may call it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from ocelog.errors import LostFenceError
from ocelog.ledger import (
    claims,
    counters,
    given_up,
    landing,
    loops,
    parking,
    parts,
    slices,
    sources,
    streams,
    sweeps,
    table_faults,
    tables,
)
from ocelog.ledger.clocks import check_clocks, our_clock
from ocelog.ledger.copying import copy_database, fill_database
from ocelog.ledger.loops import LoopMark
from ocelog.ledger.open import open_database, open_reading
from ocelog.ledger.slices import Due
from ocelog.ledger.streams import StreamRow
from ocelog.ledger.transactions import Database
from ocelog.ledger.vault import Vault, kept, marks
from ocelog.model import Claim, GivenUp, Marks, NewPart, Part, Slice, SliceState, SourceRow, StreamFaults, TableFault
from ocelog.pull.ports import LEASE, Behind, Coverage, Landed, Landing, Suspect
from ocelog.pull.sweep import Outcome, Step, Sweep
from ocelog.redaction import without_password
from ocelog.times import to_us

__all__ = ["Due", "Ledger", "LoopMark", "SourceRow", "StreamRow"]


class Ledger:
    """The database of everything but events, on SQLite or PostgreSQL.

    Raises LedgerUnavailableError if the database does not answer, is busy or full, and HomeError if a person must
    act. `now` is our clock: by it leases are extended, and landings are dated.
    """

    def __init__(self, database: Database, *, now: Callable[[], datetime] = our_clock) -> None:
        self._database = database
        self._now = now
        with database.read() as tx:
            self.id: str = tx.execute(select(tables.identity.c.id)).scalar_one()
            """The random name that it got when it was made; the lake's marks carry it."""

    @classmethod
    def open(
        cls, url: str, *, create: bool = True, durable: bool = True, now: Callable[[], datetime] = our_clock
    ) -> "Ledger":
        """Open the ledger at `sqlite:///PATH` or `postgresql://...`, migrated if that is due.

        `create` makes one if none is. Not `durable` does not wait for the disk: for tests that open thousands.
        `now` must be the clock by which slices are taken.
        """
        return cls(open_database(url, create=create, durable=durable), now=now)

    @classmethod
    def for_reading(cls, url: str) -> "Ledger":
        """Open a ledger that this user may not write; whatever would change it raises HomeError."""
        return cls(open_reading(url))

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    @property
    def url(self) -> str:
        """Where it is, without the password."""
        return without_password(self._database.url.render_as_string(hide_password=False))

    def __repr__(self) -> str:
        return f"Ledger({self.url!r})"

    def _now_us(self) -> int:
        return to_us(self._now())

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
            slices.split(tx, slice_, children, self._now_us())

    def park(self, slice_: Slice, to: Slice) -> None:
        """Park `slice_` as `to`, or retire it if a parked slice of the same request covers it. LostFenceError."""
        with self._database.write() as tx:
            parking.park(tx, slice_, to, self._now_us())

    def known_rejections(self, keys: Sequence[str]) -> frozenset[str]:
        """Return those of `keys` that have landed before."""
        with self._database.read() as tx:
            return landing.known_rejections(tx, keys)

    def suspect(self, slice_: Slice, missing: Sequence[Suspect]) -> None:
        """Keep the open records that `slice_` did not show, in the place of those it kept before. LostFenceError."""
        with self._database.write() as tx:
            sweeps.suspect(tx, slice_, missing)

    def shown(self, slice_: Slice, seen: Collection[str]) -> None:
        """Forget the suspects of the stream that are `seen`, and take back the alarm that they raised, if any."""
        with self._database.read() as tx:
            names = sweeps.suspected(tx, slice_.source_id, slice_.log_type).intersection(seen)
        if names:
            with self._database.write() as tx:
                sweeps.shown(tx, slice_, sorted(names))

    def verified(self, slice_: Slice, seen: Collection[str], absent_us: int) -> None:
        """Forget the suspects in the time range of `slice_` that are `seen`; the others were absent. LostFenceError."""
        with self._database.write() as tx:
            sweeps.verified(tx, slice_, seen, absent_us)

    def ready(self, slice_: Slice, limit: int) -> list[Suspect]:
        """Return suspects whose records are to be inferred closed under `slice_`, `limit` at most."""
        with self._database.read() as tx:
            return sweeps.ready(tx, slice_, limit)

    def cleared(self, slice_: Slice, record_ids: Sequence[str]) -> None:
        """Forget suspects that were dealt with. Raises LostFenceError."""
        with self._database.write() as tx:
            sweeps.cleared(tx, slice_, record_ids)

    def sweep(self, source_id: str, log_type: str) -> Sweep | None:
        """Return a stream's newest sweep; None: there was none."""
        with self._database.read() as tx:
            return sweeps.get(tx, source_id, log_type)

    def sweeps(self) -> list[Sweep]:
        """Return the newest sweep of every stream."""
        with self._database.read() as tx:
            return sweeps.listed(tx)

    def sweep_outcome(self, sweep: Sweep) -> Outcome | None:
        """Return how the slices of `sweep` ended; None while one waits."""
        with self._database.read() as tx:
            return sweeps.outcome(tx, sweep)

    def suspects(self, sweep: Sweep) -> list[Suspect]:
        """Return the open records that `sweep` did not show, by when they were created."""
        with self._database.read() as tx:
            return sweeps.suspects(tx, sweep)

    def step_sweep(self, before: Sweep, step: Step) -> None:
        """Carry on with a sweep. Raises LostFenceError if it is not as `before` any more."""
        with self._database.write() as tx:
            sweeps.step(tx, before, step)

    def accept_vanished(self, source_id: str, log_type: str) -> None:
        """Note that a person said: the records that vanished at once are gone."""
        with self._database.write() as tx:
            sweeps.accept(tx, source_id, log_type)

    def measured(self, source_id: str, log_type: str, found: Sequence[Coverage]) -> None:
        """Keep the coverage of a stream, in the place of what was measured before."""
        with self._database.write() as tx:
            sweeps.measured(tx, source_id, log_type, found)

    def measured_streams(self) -> dict[tuple[str, str], tuple[int, bool]]:
        """Return when the coverage of each stream (source id, log type) was measured, and whether a count differed."""
        with self._database.read() as tx:
            return sweeps.measured_streams(tx)

    def coverage(self, source_id: str, log_type: str) -> list[Coverage]:
        """Return the coverage of a stream as it was last measured, by status."""
        with self._database.read() as tx:
            return sweeps.coverage(tx, source_id, log_type)

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

    def take(  # noqa: PLR0913 - what to take, for whom, when
        self,
        holder: str,
        *,
        now: datetime,
        sources: Collection[str] | None = None,
        log_types: Collection[str] | None = None,
        lease: timedelta = LEASE,
        sweeps_together: bool = False,
    ) -> Slice | None:
        """Hand the most pressing slice that is due and free to `holder`, under a new fence; None: there is none.

        Live goes first, then sweep, then backfill, each from the newest; parked ones come last. Landing and moving
        extend the lease. Where there is nothing to take, nothing is written.
        Of a source's daily sweeps one slice is read at a time, unless `sweeps_together`.
        """
        check_clocks(now, self._now())
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
            )

    def release(self, slice_: Slice) -> None:
        """Let go of a slice, unless another holder has it by now."""
        with self._database.write() as tx:
            slices.release(tx, slice_)

    def release_home(self, home_id: str) -> None:
        """Let go of what processes of a home hold: for whoever has its lock, so that they must be gone."""
        with self._database.write() as tx:
            slices.release_home(tx, home_id)
            claims.release_home(tx, home_id)

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

    def next_due(self) -> datetime | None:
        """Return when `take` may next find a slice, which may lie in the past; None: nothing is left to do."""
        with self._database.read() as tx:
            return slices.next_due(tx, self._now_us())

    def parts(self, table: str, above: int = 0) -> list[Part]:
        """Return the parts of `table` whose sequence is greater than `above`, in the order of their commits."""
        with self._database.read() as tx:
            return parts.listed(tx, table, above)

    def counter(self, table: str) -> int:
        """Return the sequence of the newest part that `table` ever had."""
        with self._database.read() as tx:
            return counters.last(tx, table)

    def raise_counter(self, table: str, to: int) -> None:
        """Let the next part of `table` be numbered above `to`. Never lowers it."""
        with self._database.write() as tx:
            counters.raise_to(tx, table, to)

    def tables(self) -> list[str]:
        """Return the tables into which anything has landed."""
        with self._database.read() as tx:
            return list(tx.execute(select(tables.counters.c.table_name)).scalars())

    def removed_through(self, table: str) -> int:
        """Return the greatest sequence of a part of `table` whose row is gone."""
        with self._database.read() as tx:
            return counters.removed_through(tx, table)

    def published(self, table: str, through: int, at_us: int) -> None:
        """Note that the parts of `table` up to `through` are in the lake's table since `at_us`."""
        with self._database.write() as tx:
            parts.published(tx, table, through, at_us)

    def loop_marks(self) -> list[LoopMark]:
        """Return how far each loop has come in each table, and how much lies before it."""
        with self._database.read() as tx:
            return loops.listed(tx)

    def give_up_marks(self, loop: str) -> None:
        """Forget the marks of a loop that is no more: no part is kept for it."""
        with self._database.write() as tx:
            loops.give_up(tx, loop)

    def removable(self, table: str, published_before_us: int) -> list[Part]:
        """Return the parts of `table` that every loop is done with, and that were published before an instant."""
        with self._database.read() as tx:
            return parts.removable(tx, table, published_before_us)

    def forget(self, table: str, sequences: Collection[int]) -> None:
        """Delete the rows of parts that every loop is done with; other parts stay."""
        with self._database.write() as tx:
            parts.forget(tx, table, sequences)

    def landing_state(self, table: str) -> tuple[frozenset[str], dict[str, int]]:
        """Return the paths of the parts of `table`, also of those set aside, and the fence of every claim by its name.

        All of it is of one instant.
        """
        with self._database.read() as tx:
            return parts.landing_state(tx, table)

    def unpublished(self, table: str) -> tuple[int, int, int, int | None]:
        """Return parts, rows and bytes that are not in the lake's table yet, and when the oldest of them landed."""
        with self._database.read() as tx:
            return parts.unpublished(tx, table)

    def table_failed(self, table: str, what: str, reason: str) -> None:
        """Note that `what` ("publishing") failed for `table` just now, and why."""
        with self._database.write() as tx:
            table_faults.note(tx, table, what, reason, self._now_us())

    def table_well(self, table: str, what: str) -> None:
        """Forget that `what` failed for `table`."""
        with self._database.write() as tx:
            table_faults.clear(tx, table, what)

    def table_faults(self) -> list[TableFault]:
        """Return what is wrong with tables at the moment."""
        with self._database.read() as tx:
            return table_faults.listed(tx)

    def part_failed(self, table: str, sequence: int, at_us: int) -> tuple[int, int]:
        """Count one more try at which a part could not be read; return how many that makes, and since when."""
        with self._database.write() as tx:
            return given_up.failed(tx, table, sequence, at_us)

    def parts_whole(self, table: str, sequences: Collection[int]) -> None:
        """Forget that parts could not be read: they can be now."""
        with self._database.write() as tx:
            given_up.whole(tx, table, sequences)

    def set_aside(self, lost: GivenUp) -> None:
        """Take a lost part out of what is to be published, and remember it."""
        with self._database.write() as tx:
            given_up.set_aside(tx, lost)

    def note_lost(self, lost: GivenUp) -> None:
        """Remember a lost file of the lake."""
        with self._database.write() as tx:
            given_up.note(tx, lost)

    def given_up(self, *, repaired: bool = False) -> list[GivenUp]:
        """Return what was lost and is not planned again yet; what is, too, if asked for."""
        with self._database.read() as tx:
            return given_up.listed(tx, repaired=repaired)

    def plan_lost(self, paths: Sequence[str], again: Sequence[Slice]) -> list[Slice]:
        """Plan slices that read lost time ranges again, and note the files at `paths` as repaired."""
        with self._database.write() as tx:
            return given_up.plan(tx, paths, again, self._now_us())

    def readmit(self, path: str, part: NewPart | None, source_id: str) -> None:
        """Land again, as `part`, what of the part set aside at `path` is not there yet (None: all of it is)."""
        with self._database.write() as tx:
            given_up.readmit(tx, path, part, source_id, self._now_us())

    def unpublish(self, table: str, mark: int) -> None:
        """Let the parts above `mark`, to which the table went back, wait for being published again."""
        with self._database.write() as tx:
            given_up.unpublish(tx, table, mark)

    def outrun(self, by: int) -> None:
        """Raise every counter, fence and slice number, as a ledger that was restored must before it is used."""
        with self._database.write() as tx:
            given_up.outrun(tx, by)

    def copy_to(self, path: Path) -> None:
        """Write all that the ledger holds, as of one instant, into a new SQLite file. Raises HomeError."""
        copy_database(self._database, path)

    def fill_from(self, path: Path) -> None:
        """Put the rows of a copy into this ledger, which is new, in the place of its own."""
        fill_database(self._database, path)

    def rejection_keys(self) -> list[str]:
        """Return the key of every rejection that has landed."""
        with self._database.read() as tx:
            return given_up.rejection_keys(tx)

    def forget_rejections(self, keys: Sequence[str]) -> None:
        """Forget rejections whose rows are lost: they land once more if they come again."""
        with self._database.write() as tx:
            given_up.forget_rejections(tx, keys)

    def count_rejections(self, found: Mapping[tuple[str, str], int]) -> None:
        """Lower each stream's count of rejections to what was `found` of (source id, log type)."""
        with self._database.write() as tx:
            given_up.count_rejections(tx, found)

    def add_source(self, row: SourceRow) -> None:
        """Add a source, or take up a removed one of the same id. Raises ConfigError for a name in use."""
        with self._database.write() as tx:
            sources.add(tx, row)

    def source(self, id_or_name: str) -> SourceRow | None:
        """Return the source of that id or name, a removed one only if no other is called so."""
        with self._database.read() as tx:
            return sources.get(tx, id_or_name)

    def sources(self, *, removed: bool = False) -> list[SourceRow]:
        """Return the sources by the time of their adding; those that were removed only if asked for."""
        with self._database.read() as tx:
            return sources.listed(tx, removed=removed)

    def save_source(self, row: SourceRow) -> None:
        """Put `row` in the place of the source with its id. Raises ConfigError if there is none."""
        with self._database.write() as tx:
            sources.save(tx, row)

    def remove_source(self, source_id: str) -> None:
        """Take a source out of work; all but its secrets stays, so that adding it again resumes."""
        with self._database.write() as tx:
            sources.remove(tx, source_id, self._now_us())

    def purge_source(self, source_id: str) -> None:
        """Delete all that the ledger knows of a source, once its part files are gone."""
        with self._database.write() as tx:
            sources.purge(tx, source_id)

    def streams(self, source_id: str | None = None) -> list[StreamRow]:
        """Return the streams of one source, or of all."""
        with self._database.read() as tx:
            return streams.listed(tx, source_id)

    def trouble(  # noqa: PLR0913 - what, where, when
        self, source_id: str, log_type: str, *, kind: str, text: str, todo: str, at_us: int
    ) -> None:
        """Remember what is wrong with a stream and what to do about it."""
        with self._database.write() as tx:
            streams.trouble(tx, (source_id, log_type), kind=kind, text=text, todo=todo, at_us=at_us)

    def well(self, source_id: str, log_type: str) -> bool:
        """Forget what was wrong with a stream, unless a slice of it still waits after a failure; False: one does.

        Writes only where there is something to forget.
        """
        with self._database.read() as tx:
            if slices.failing(tx, source_id, log_type):
                return False
            ill = streams.is_ill(tx, source_id, log_type)
        if ill:
            with self._database.write() as tx:
                streams.well(tx, source_id, log_type)
        return True

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

    def secret_kept(self, source_id: str, name: str) -> str | None:
        """Say how a secret is kept; None: there is none. Never the secret."""
        with self._database.read() as tx:
            return kept(tx, source_id, name)

    def secret_marks(self) -> dict[str, str]:
        """Return, by source id, what changes whenever a secret of it does. Never the secret."""
        with self._database.read() as tx:
            return marks(tx)

    def vault(self, key: bytes) -> Vault:
        """Return the secrets, which `key` opens."""
        return Vault(self._database, key)
