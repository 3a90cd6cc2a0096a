"""How each stream's sweeps go, and which open records they did not show: the ledger as sweeping uses it."""

from collections.abc import Collection, Sequence

from msgspec.structs import asdict
from sqlalchemy import Connection, RowMapping, and_, bindparam, case, delete, func, insert, select, update

from ocelog.errors import LostFenceError
from ocelog.ledger import tables
from ocelog.ledger.database.batches import batches
from ocelog.ledger.database.dialects import bounded
from ocelog.ledger.database.transactions import Database
from ocelog.ledger.rows import slices, streams
from ocelog.ledger.rows.sweeps import (
    coverages,
    forget_suspects,
    newest_sweep,
    settings,
    slices_of,
    suspects_of,
    sweep_is,
    sweep_of,
)
from ocelog.model import SWEEPING, Origin, Slice, SliceState
from ocelog.pull.ports import AGREEING_SWEEPS, Coverage, Suspect
from ocelog.pull.sweep import MOST_SUSPECTS, Outcome, Stage, Sweep, SweepStep, vanished
from ocelog.times import to_us

_w = tables.sweeps.c
_s = tables.suspects.c
_slice = tables.slices.c
# Built once: building a statement takes as long as running it, and this one runs for every page.
_SUSPECTS = select(_s.record_id).where(_s.source_id == bindparam("source"), _s.log_type == bindparam("type"))


class SweepLedger:
    """How sweeps go, what they did not show, and how much of it all the lake has."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, source_id: str, log_type: str) -> Sweep | None:
        """Return a stream's newest sweep; None: there was none."""
        with self._database.read() as tx:
            return newest_sweep(tx, source_id, log_type)

    def listed(self) -> list[Sweep]:
        """Return the newest sweep of every stream."""
        with self._database.read() as tx:
            return [sweep_of(row) for row in tx.execute(select(tables.sweeps)).mappings()]

    def outcome(self, sweep: Sweep) -> Outcome | None:
        """Return how the slices of `sweep` ended; None while one waits."""
        with self._database.read() as tx:
            if _waits(tx, sweep):
                return None
            rows = select(tables.slices).where(slices_of(sweep.source_id, sweep.log_type), _slice.origin.in_(SWEEPING))
            found = [slices.slice_of(row) for row in tx.execute(rows).mappings()]
            read = [
                each
                for each in found
                if each.origin is Origin.SWEEP and each.state is SliceState.DRAINED and each.sweep_round == sweep.round
            ]
            own = [each for each in found if each.sweep_round == sweep.round]
            inferred = [each for each in own if each.origin is Origin.INFER]
            asked_by = {each.by for each in own if each.origin is Origin.SWEEP}
            verifying = [to_us(each.until) for each in own if each.origin is Origin.VERIFY and each.by in asked_by]
            return Outcome(
                parked=sum(each.origin is Origin.SWEEP and each.state is SliceState.PARKED for each in found),
                unjudged=sum(each.checkpoint.missing is None or each.short_by > 0 for each in read),
                seen=sum(each.checkpoint.met for each in read),
                missing=sum(each.checkpoint.missing or 0 for each in read),
                inferred=sum(each.checkpoint.met for each in inferred),
                same_settings=settings(tx, sweep.source_id) == sweep.settings,
                edge=max((each.until for each in own if each.origin is Origin.SWEEP), default=None),
                verified_until_us=max(verifying, default=0),
            )

    def step(self, before: Sweep, step_: SweepStep) -> None:
        """Save `step_`, if the sweep is still as `before`. Raises LostFenceError: then nothing changed."""
        with self._database.write() as tx:
            streams.hold(tx, before.source_id, before.log_type)
            row = tx.execute(
                select(tables.sweeps).where(sweep_is(before.source_id, before.log_type)).with_for_update()
            ).mappings()
            found = row.one_or_none()
            # A stage can be followed by itself: then its new slices tell that another was here.
            overtaken = found is None or (found["round"], found["stage"]) != (before.round, before.stage)
            if found is None or overtaken or (step_.slices and _waits(tx, before)):
                raise LostFenceError(f"{before.log_type}: another process has continued this sweep.")
            to = step_.to
            values = {
                "stage": to.stage,
                "finished_us": to.finished_us,
                "complete": to.complete,
                "complete_us": to.complete_us,
                "seen": to.seen,
                "missing": to.missing,
                "inferred": to.inferred,
                "note": bounded(to.note),
                "vanished": to.vanished,
                # A person may have said so since `before` was read.
                "accepted": to.accepted or (found["accepted"] and not before.accepted),
            }
            tx.execute(update(tables.sweeps).where(sweep_is(before.source_id, before.log_type)).values(values))
            if step_.forget_all:
                forget_suspects(tx, before.source_id, before.log_type)
            else:
                # What this sweep showed, or some status, is no suspect any more.
                tx.execute(
                    delete(tables.suspects).where(
                        suspects_of(before.source_id, before.log_type), _s.round < before.round
                    )
                )
            slices.add(tx, step_.slices)

    def accept_vanished(self, source_id: str, log_type: str) -> None:
        """Note that a person said: what vanished is gone."""
        with self._database.write() as tx:
            tx.execute(update(tables.sweeps).where(sweep_is(source_id, log_type), _w.vanished).values(accepted=True))

    def measured(self, source_id: str, log_type: str, found: Sequence[Coverage]) -> None:
        """Keep the coverage of a stream, in the place of what was measured before."""
        with self._database.write() as tx:
            c = tables.coverage.c
            tx.execute(delete(tables.coverage).where(c.source_id == source_id, c.log_type == log_type))
            if found:
                rows = [{"source_id": source_id, "log_type": log_type, **asdict(each)} for each in found]
                tx.execute(insert(tables.coverage), rows)
            tx.execute(update(tables.sweeps).where(sweep_is(source_id, log_type)).values(measured_round=_w.round))

    def measured_streams(self) -> dict[tuple[str, str], tuple[int, bool]]:
        """Return when each stream was measured of which coverage is kept, and whether a count differed."""
        with self._database.read() as tx:
            c = tables.coverage.c
            differs = func.max(case((c.at_source != c.in_lake, 1), else_=0))
            found = select(
                c.source_id, c.log_type, func.max(c.measured_us).label("measured_us"), differs.label("differs")
            )
            rows = tx.execute(found.group_by(c.source_id, c.log_type))
            return {(row.source_id, row.log_type): (row.measured_us, bool(row.differs)) for row in rows}

    def coverage(self, source_id: str, log_type: str) -> list[Coverage]:
        """Return the coverage of a stream as it was last measured, by status."""
        with self._database.read() as tx:
            return coverages(tx, (source_id, log_type)).get((source_id, log_type), [])

    def suspects(self, sweep: Sweep) -> list[Suspect]:
        """Return the suspects of `sweep`, by when they were created."""
        with self._database.read() as tx:
            mine = and_(suspects_of(sweep.source_id, sweep.log_type), _s.round == sweep.round)
            rows = tx.execute(select(tables.suspects).where(mine).order_by(_s.created_us, _s.record_id)).mappings()
            return [_suspect_of(row) for row in rows]

    def suspect(self, slice_: Slice, missing: Sequence[Suspect]) -> None:
        """Keep the open records that `slice_` did not show, in place of what it kept before. Raises LostFenceError."""
        with self._database.write() as tx:
            _hold(tx, slice_)
            newest = tx.execute(
                select(_w.round).where(sweep_is(slice_.source_id, slice_.log_type))
            ).scalar_one_or_none()
            if newest is not None and slice_.sweep_round < newest:
                # A time range of an earlier sweep that was parked until now: what the newer one found there stands.
                return
            in_range = and_(
                suspects_of(slice_.source_id, slice_.log_type),
                _s.created_us >= to_us(slice_.since),
                _s.created_us < to_us(slice_.until),
            )
            before = {
                row["record_id"]: _suspect_of(row)
                for row in tx.execute(select(tables.suspects).where(in_range)).mappings()
            }
            tx.execute(delete(tables.suspects).where(in_range))
            count = select(func.count()).where(suspects_of(slice_.source_id, slice_.log_type))
            room = max(0, MOST_SUSPECTS - tx.execute(count).scalar_one())
            rows = []
            for each in missing[:room]:
                old = before.get(each.record_id)
                # What is kept is of this sweep or the one before: `begin` and `step` forget the rest.
                if old is not None and old.row_id != each.row_id:
                    old = None
                times = 1 if old is None else old.times + (old.round < slice_.sweep_round)
                rows.append(
                    {
                        "source_id": slice_.source_id,
                        "log_type": slice_.log_type,
                        "record_id": each.record_id,
                        "row_id": each.row_id,
                        "created_us": each.created_us,
                        "round": slice_.sweep_round,
                        "times": times,
                        "verified_round": 0 if old is None else old.verified_round,
                        "absent_us": 0 if old is None else old.absent_us,
                    }
                )
            for some in batches(rows):
                # A record whose created date has changed may be a suspect of another time range.
                names = [row["record_id"] for row in some]
                tx.execute(
                    delete(tables.suspects).where(
                        suspects_of(slice_.source_id, slice_.log_type), _s.record_id.in_(names)
                    )
                )
                tx.execute(insert(tables.suspects), some)

    def shown(self, slice_: Slice, seen: Collection[str]) -> None:
        """Forget the suspects of the stream that are `seen`, and take back the alarm that they raised, if any.

        Raises LostFenceError.
        """
        with self._database.read() as tx:
            this = {"source": slice_.source_id, "type": slice_.log_type}
            names = set(tx.execute(_SUSPECTS, this).scalars()).intersection(seen)
        if names:
            with self._database.write() as tx:
                _take_back(tx, slice_, sorted(names))

    def verified(self, slice_: Slice, seen: Collection[str], absent_us: int) -> None:
        """Forget the suspects in the time range of `slice_` that it has `seen`; the others were absent at `absent_us`.

        Raises LostFenceError.
        """
        with self._database.write() as tx:
            _hold(tx, slice_)
            in_range = and_(
                suspects_of(slice_.source_id, slice_.log_type),
                _s.round == slice_.sweep_round,
                _s.created_us >= to_us(slice_.since),
                _s.created_us < to_us(slice_.until),
            )
            names = list(tx.execute(select(_s.record_id).where(in_range)).scalars())
            shown = [name for name in names if name in seen]
            _clear(tx, slice_, shown)
            tx.execute(
                update(tables.suspects).where(in_range).values(verified_round=slice_.sweep_round, absent_us=absent_us)
            )

    def ready(self, slice_: Slice, limit: int) -> list[Suspect]:
        """Return suspects whose records are to be inferred closed under `slice_`, `limit` at most."""
        with self._database.read() as tx:
            wanted = and_(
                suspects_of(slice_.source_id, slice_.log_type),
                _s.round == slice_.sweep_round,
                _s.verified_round == slice_.sweep_round,
                _s.times >= AGREEING_SWEEPS,
            )
            rows = tx.execute(select(tables.suspects).where(wanted).order_by(_s.record_id).limit(limit)).mappings()
            return [_suspect_of(row) for row in rows]

    def cleared(self, slice_: Slice, record_ids: Sequence[str]) -> None:
        """Forget suspects that were dealt with. Raises LostFenceError."""
        with self._database.write() as tx:
            _hold(tx, slice_)
            _clear(tx, slice_, record_ids)


def _waits(tx: Connection, sweep: Sweep) -> bool:
    mine = and_(slices_of(sweep.source_id, sweep.log_type), _slice.origin.in_(SWEEPING))
    return tx.execute(select(_slice.id).where(mine, _slice.state == SliceState.WAITING).limit(1)).first() is not None


def _take_back(tx: Connection, slice_: Slice, record_ids: Sequence[str]) -> None:
    """Forget suspects that were shown after all, and take back the alarm that they raised. Raises LostFenceError."""
    _hold(tx, slice_)
    _clear(tx, slice_, record_ids)
    sweep = newest_sweep(tx, slice_.source_id, slice_.log_type)
    if sweep is None or not sweep.vanished or sweep.stage is not Stage.DONE:
        return
    absent = and_(
        suspects_of(slice_.source_id, slice_.log_type), _s.round == sweep.round, _s.verified_round == sweep.round
    )
    left = tx.execute(select(func.count()).where(absent)).scalar_one()
    missing = left if sweep.missing <= MOST_SUSPECTS else sweep.missing * left // MOST_SUSPECTS
    if not vanished(missing, sweep.seen):
        calm = {"vanished": False, "accepted": False, "note": None, "missing": missing}
        tx.execute(update(tables.sweeps).where(sweep_is(slice_.source_id, slice_.log_type)).values(calm))


def _clear(tx: Connection, slice_: Slice, record_ids: Sequence[str]) -> None:
    for some in batches(record_ids):
        tx.execute(
            delete(tables.suspects).where(suspects_of(slice_.source_id, slice_.log_type), _s.record_id.in_(some))
        )


def _hold(tx: Connection, slice_: Slice) -> None:
    """Take the row of a slice until the transaction ends. Raises LostFenceError if another holds the slice by now."""
    mine = select(_slice.id).where(_slice.id == slice_.id, _slice.fence == slice_.fence).with_for_update()
    if tx.execute(mine).first() is None:
        raise slices.lost(slice_)


def _suspect_of(row: RowMapping) -> Suspect:
    return Suspect(**{name: value for name, value in row.items() if name not in {"source_id", "log_type"}})
