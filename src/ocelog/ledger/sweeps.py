"""How each stream's sweeps go, and which open records they did not show."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict
from hashlib import sha256

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, case, delete, func, insert, or_, select, update

from ocelog.errors import LostFenceError
from ocelog.ledger import slices, tables
from ocelog.ledger.dialects import bounded
from ocelog.model import SWEEPING, Marks, Origin, Slice, SliceState
from ocelog.pull.ports import AGREEING_SWEEPS, Coverage, Suspect
from ocelog.pull.sweep import MOST_SUSPECTS, Outcome, Stage, Step, Sweep, vanished
from ocelog.times import to_us

_w = tables.sweeps.c
_s = tables.suspects.c
_slice = tables.slices.c
_AT_ONCE = 500


def begin(tx: Connection, marks: Marks) -> None:
    """Note that the sweep `marks.sweep_round` is planned; the slices of those before are forgotten.

    Suspects outlive it only if the last sweep was complete and saw the source with the same settings.
    """
    before = get(tx, marks.source_id, marks.log_type)
    settings = _settings(tx, marks.source_id)
    if before is not None and not (before.stage is Stage.DONE and before.complete and before.settings == settings):
        _forget_all(tx, marks.source_id, marks.log_type)
    planned = {
        "round": marks.sweep_round,
        "stage": Stage.READING,
        "settings": settings,
        "planned_us": 0 if marks.swept_at is None else to_us(marks.swept_at),
    }
    if before is None:
        blank = {"complete": False, "seen": 0, "missing": 0, "inferred": 0, "vanished": False, "accepted": False}
        key = {"source_id": marks.source_id, "log_type": marks.log_type, "measured_round": 0}
        tx.execute(insert(tables.sweeps).values(**key, **blank, **planned))
    else:
        tx.execute(update(tables.sweeps).where(_this(marks.source_id, marks.log_type)).values(planned))
    # A parked time range of an earlier sweep stays, and is tried again; the rest is of no use any more.
    old = and_(_stream(marks.source_id, marks.log_type), _slice.origin.in_(SWEEPING))
    ended = or_(_slice.state.in_([SliceState.DRAINED, SliceState.RETIRED]), _slice.origin != Origin.SWEEP)
    tx.execute(delete(tables.slices).where(old, _slice.sweep_round < marks.sweep_round, ended))


def _settings(tx: Connection, source_id: str) -> str:
    """Return a fingerprint of how the source is reached: other settings or secrets may show other records."""
    source, secret = tables.sources.c, tables.secrets.c
    settings = tx.execute(select(source.settings).where(source.id == source_id)).scalar_one_or_none()
    kept = tx.execute(
        select(secret.name, secret.sealed, secret.reference).where(secret.source_id == source_id).order_by(secret.name)
    ).all()
    sealed = [[name, None if value is None else sha256(value).hexdigest(), where] for name, value, where in kept]
    return sha256(json.dumps([settings, sealed], sort_keys=True).encode()).hexdigest()[:32]


def get(tx: Connection, source_id: str, log_type: str) -> Sweep | None:
    """Return a stream's newest sweep; None: there was none."""
    row = tx.execute(select(tables.sweeps).where(_this(source_id, log_type))).mappings().one_or_none()
    return None if row is None else _sweep_of(row)


def listed(tx: Connection) -> list[Sweep]:
    """Return the newest sweep of every stream."""
    return [_sweep_of(row) for row in tx.execute(select(tables.sweeps)).mappings()]


def outcome(tx: Connection, sweep: Sweep) -> Outcome | None:
    """Return how the slices of `sweep` ended; None while one waits."""
    if _waits(tx, sweep):
        return None
    rows = select(tables.slices).where(_stream(sweep.source_id, sweep.log_type), _slice.origin.in_(SWEEPING))
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
        same_settings=_settings(tx, sweep.source_id) == sweep.settings,
        edge=max((each.until for each in own if each.origin is Origin.SWEEP), default=None),
        verified_until_us=max(verifying, default=0),
    )


def _waits(tx: Connection, sweep: Sweep) -> bool:
    mine = and_(_stream(sweep.source_id, sweep.log_type), _slice.origin.in_(SWEEPING))
    return tx.execute(select(_slice.id).where(mine, _slice.state == SliceState.WAITING).limit(1)).first() is not None


def step(tx: Connection, before: Sweep, step_: Step) -> None:
    """Save `step_`, if the sweep is still as `before`. Raises LostFenceError: then nothing changed."""
    row = tx.execute(select(tables.sweeps).where(_this(before.source_id, before.log_type)).with_for_update()).mappings()
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
    tx.execute(update(tables.sweeps).where(_this(before.source_id, before.log_type)).values(values))
    if step_.forget_all:
        _forget_all(tx, before.source_id, before.log_type)
    else:
        # What this sweep showed, or some status, is no suspect any more.
        tx.execute(delete(tables.suspects).where(_of(before.source_id, before.log_type), _s.round < before.round))
    slices.add(tx, step_.slices)


def accept(tx: Connection, source_id: str, log_type: str) -> None:
    """Note that a person said: what vanished is gone."""
    tx.execute(update(tables.sweeps).where(_this(source_id, log_type), _w.vanished).values(accepted=True))


def measured(tx: Connection, source_id: str, log_type: str, found: Sequence[Coverage]) -> None:
    """Keep the coverage of a stream, in the place of what was measured before."""
    c = tables.coverage.c
    tx.execute(delete(tables.coverage).where(c.source_id == source_id, c.log_type == log_type))
    if found:
        rows = [{"source_id": source_id, "log_type": log_type, **asdict(each)} for each in found]
        tx.execute(insert(tables.coverage), rows)
    tx.execute(update(tables.sweeps).where(_this(source_id, log_type)).values(measured_round=_w.round))


def measured_streams(tx: Connection) -> dict[tuple[str, str], tuple[int, bool]]:
    """Return when each stream was measured of which coverage is kept, and whether a count differed."""
    c = tables.coverage.c
    differs = func.max(case((c.at_source != c.in_lake, 1), else_=0))
    found = select(c.source_id, c.log_type, func.max(c.measured_us).label("measured_us"), differs.label("differs"))
    rows = tx.execute(found.group_by(c.source_id, c.log_type))
    return {(row.source_id, row.log_type): (row.measured_us, bool(row.differs)) for row in rows}


def coverage(tx: Connection, source_id: str, log_type: str) -> list[Coverage]:
    """Return the coverage of a stream as it was last measured, by status."""
    c = tables.coverage.c
    rows = select(tables.coverage).where(c.source_id == source_id, c.log_type == log_type).order_by(c.status)
    return [
        Coverage(**{name: value for name, value in row.items() if name not in {"source_id", "log_type"}})
        for row in tx.execute(rows).mappings()
    ]


def suspects(tx: Connection, sweep: Sweep) -> list[Suspect]:
    """Return the suspects of `sweep`, by when they were created."""
    mine = and_(_of(sweep.source_id, sweep.log_type), _s.round == sweep.round)
    rows = tx.execute(select(tables.suspects).where(mine).order_by(_s.created_us, _s.record_id)).mappings()
    return [_suspect_of(row) for row in rows]


def suspect(tx: Connection, slice_: Slice, missing: Sequence[Suspect]) -> None:
    """Keep the open records that `slice_` did not show, in the place of what it kept before. Raises LostFenceError."""
    _hold(tx, slice_)
    newest = tx.execute(select(_w.round).where(_this(slice_.source_id, slice_.log_type))).scalar_one_or_none()
    if newest is not None and slice_.sweep_round < newest:
        # A time range of an earlier sweep that was parked until now: what the newer one found there stands.
        return
    stretch = and_(
        _of(slice_.source_id, slice_.log_type),
        _s.created_us >= to_us(slice_.since),
        _s.created_us < to_us(slice_.until),
    )
    before = {
        row["record_id"]: _suspect_of(row) for row in tx.execute(select(tables.suspects).where(stretch)).mappings()
    }
    tx.execute(delete(tables.suspects).where(stretch))
    count = select(func.count()).where(_of(slice_.source_id, slice_.log_type))
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
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        # A record whose created date has changed may be a suspect of another time range.
        names = [row["record_id"] for row in some]
        tx.execute(delete(tables.suspects).where(_of(slice_.source_id, slice_.log_type), _s.record_id.in_(names)))
        tx.execute(insert(tables.suspects), some)


def suspected(tx: Connection, source_id: str, log_type: str) -> set[str]:
    """Return the ids of the suspects of a stream."""
    return set(tx.execute(select(_s.record_id).where(_of(source_id, log_type))).scalars())


def shown(tx: Connection, slice_: Slice, record_ids: Sequence[str]) -> None:
    """Forget suspects that were shown after all, and take back the alarm that they raised. Raises LostFenceError."""
    _hold(tx, slice_)
    _clear(tx, slice_, record_ids)
    sweep = get(tx, slice_.source_id, slice_.log_type)
    if sweep is None or not sweep.vanished or sweep.stage is not Stage.DONE:
        return
    absent = and_(_of(slice_.source_id, slice_.log_type), _s.round == sweep.round, _s.verified_round == sweep.round)
    left = tx.execute(select(func.count()).where(absent)).scalar_one()
    missing = left if sweep.missing <= MOST_SUSPECTS else sweep.missing * left // MOST_SUSPECTS
    if not vanished(missing, sweep.seen):
        calm = {"vanished": False, "accepted": False, "note": None, "missing": missing}
        tx.execute(update(tables.sweeps).where(_this(slice_.source_id, slice_.log_type)).values(calm))


def verified(tx: Connection, slice_: Slice, seen: Collection[str], absent_us: int) -> None:
    """Forget the suspects in the time range of `slice_` that it has `seen`; no status showed the others at `absent_us`.

    Raises LostFenceError.
    """
    _hold(tx, slice_)
    stretch = and_(
        _of(slice_.source_id, slice_.log_type),
        _s.round == slice_.sweep_round,
        _s.created_us >= to_us(slice_.since),
        _s.created_us < to_us(slice_.until),
    )
    names = list(tx.execute(select(_s.record_id).where(stretch)).scalars())
    shown = [name for name in names if name in seen]
    _clear(tx, slice_, shown)
    tx.execute(update(tables.suspects).where(stretch).values(verified_round=slice_.sweep_round, absent_us=absent_us))


def ready(tx: Connection, slice_: Slice, limit: int) -> list[Suspect]:
    """Return suspects whose records are to be inferred closed under `slice_`, `limit` at most."""
    wanted = and_(
        _of(slice_.source_id, slice_.log_type),
        _s.round == slice_.sweep_round,
        _s.verified_round == slice_.sweep_round,
        _s.times >= AGREEING_SWEEPS,
    )
    rows = tx.execute(select(tables.suspects).where(wanted).order_by(_s.record_id).limit(limit)).mappings()
    return [_suspect_of(row) for row in rows]


def cleared(tx: Connection, slice_: Slice, record_ids: Sequence[str]) -> None:
    """Forget suspects that were dealt with. Raises LostFenceError."""
    _hold(tx, slice_)
    _clear(tx, slice_, record_ids)


def purge(tx: Connection, source_id: str) -> None:
    """Delete all that is known of the sweeps and the coverage of a source."""
    for table in (tables.sweeps, tables.suspects, tables.coverage):
        tx.execute(delete(table).where(table.c.source_id == source_id))


def _clear(tx: Connection, slice_: Slice, record_ids: Sequence[str]) -> None:
    for start in range(0, len(record_ids), _AT_ONCE):
        some = record_ids[start : start + _AT_ONCE]
        tx.execute(delete(tables.suspects).where(_of(slice_.source_id, slice_.log_type), _s.record_id.in_(some)))


def _hold(tx: Connection, slice_: Slice) -> None:
    """Take the row of a slice until the transaction ends. Raises LostFenceError if another holds the slice by now."""
    mine = select(_slice.id).where(_slice.id == slice_.id, _slice.fence == slice_.fence).with_for_update()
    if tx.execute(mine).first() is None:
        raise slices.lost(slice_)


def _forget_all(tx: Connection, source_id: str, log_type: str) -> None:
    tx.execute(delete(tables.suspects).where(_of(source_id, log_type)))


def _this(source_id: str, log_type: str) -> ColumnElement[bool]:
    return and_(_w.source_id == source_id, _w.log_type == log_type)


def _of(source_id: str, log_type: str) -> ColumnElement[bool]:
    return and_(_s.source_id == source_id, _s.log_type == log_type)


def _stream(source_id: str, log_type: str) -> ColumnElement[bool]:
    return and_(_slice.source_id == source_id, _slice.log_type == log_type)


def _sweep_of(row: RowMapping) -> Sweep:
    return Sweep(**{**row, "stage": Stage(row["stage"])})


def _suspect_of(row: RowMapping) -> Suspect:
    return Suspect(**{name: value for name, value in row.items() if name not in {"source_id", "log_type"}})
