"""What other transactions do to the sweeps of a stream: begin the next one, or forget them all."""

import json
from hashlib import sha256

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, delete, insert, or_, select, update

from ocelog.ledger import tables
from ocelog.model import SWEEPING, Marks, Origin, SliceState
from ocelog.pull.ports import Coverage
from ocelog.pull.sweep import Stage, Sweep
from ocelog.times import to_us

_w = tables.sweeps.c
_s = tables.suspects.c
_slice = tables.slices.c


def begin(tx: Connection, marks: Marks) -> None:
    """Note that the sweep `marks.sweep_round` is planned; the slices of those before are forgotten.

    Suspects outlive it only if the last sweep was complete and saw the source with the same settings.
    """
    before = newest_sweep(tx, marks.source_id, marks.log_type)
    seen_by = settings(tx, marks.source_id)
    if before is not None and not (before.stage is Stage.DONE and before.complete and before.settings == seen_by):
        forget_suspects(tx, marks.source_id, marks.log_type)
    planned = {
        "round": marks.sweep_round,
        "stage": Stage.READING,
        "settings": seen_by,
        "planned_us": 0 if marks.swept_at is None else to_us(marks.swept_at),
    }
    if before is None:
        blank = {"complete": False, "seen": 0, "missing": 0, "inferred": 0, "vanished": False, "accepted": False}
        key = {"source_id": marks.source_id, "log_type": marks.log_type, "measured_round": 0}
        tx.execute(insert(tables.sweeps).values(**key, **blank, **planned))
    else:
        tx.execute(update(tables.sweeps).where(sweep_is(marks.source_id, marks.log_type)).values(planned))
    # A parked time range of an earlier sweep stays, and is tried again; the rest is of no use any more.
    old = and_(slices_of(marks.source_id, marks.log_type), _slice.origin.in_(SWEEPING))
    ended = or_(_slice.state.in_([SliceState.DRAINED, SliceState.RETIRED]), _slice.origin != Origin.SWEEP)
    tx.execute(delete(tables.slices).where(old, _slice.sweep_round < marks.sweep_round, ended))


def settings(tx: Connection, source_id: str) -> str:
    """Return a fingerprint of how the source is reached: other settings or secrets may show other records."""
    source, secret = tables.sources.c, tables.secrets.c
    settings = tx.execute(select(source.settings).where(source.id == source_id)).scalar_one_or_none()
    kept = tx.execute(
        select(secret.name, secret.sealed, secret.reference).where(secret.source_id == source_id).order_by(secret.name)
    ).all()
    sealed = [[name, None if value is None else sha256(value).hexdigest(), where] for name, value, where in kept]
    return sha256(json.dumps([settings, sealed], sort_keys=True).encode()).hexdigest()[:32]


def newest_sweep(tx: Connection, source_id: str, log_type: str) -> Sweep | None:
    """Return a stream's newest sweep; None: there was none."""
    row = tx.execute(select(tables.sweeps).where(sweep_is(source_id, log_type))).mappings().one_or_none()
    return None if row is None else sweep_of(row)


def purge(tx: Connection, source_id: str) -> None:
    """Delete all that is known of the sweeps and the coverage of a source."""
    for table in (tables.sweeps, tables.suspects, tables.coverage):
        tx.execute(delete(table).where(table.c.source_id == source_id))


def forget_suspects(tx: Connection, source_id: str, log_type: str) -> None:
    """Forget all suspects of a stream."""
    tx.execute(delete(tables.suspects).where(suspects_of(source_id, log_type)))


def sweep_is(source_id: str, log_type: str) -> ColumnElement[bool]:
    """Hold for the sweep of a stream."""
    return and_(_w.source_id == source_id, _w.log_type == log_type)


def suspects_of(source_id: str, log_type: str) -> ColumnElement[bool]:
    """Hold for the suspects of a stream."""
    return and_(_s.source_id == source_id, _s.log_type == log_type)


def slices_of(source_id: str, log_type: str) -> ColumnElement[bool]:
    """Hold for the slices of a stream."""
    return and_(_slice.source_id == source_id, _slice.log_type == log_type)


def sweep_of(row: RowMapping) -> Sweep:
    """Read a row of the table as a value."""
    return Sweep(**{**row, "stage": Stage(row["stage"])})


def coverages(tx: Connection, only: tuple[str, str] | None = None) -> dict[tuple[str, str], list[Coverage]]:
    """Return what was measured last of each stream, or `only` of one, by source id and log type; by status in each."""
    c = tables.coverage.c
    rows = select(tables.coverage).order_by(c.source_id, c.log_type, c.status)
    if only is not None:
        rows = rows.where(c.source_id == only[0], c.log_type == only[1])
    found = dict[tuple[str, str], list[Coverage]]()
    for row in tx.execute(rows).mappings():
        values = {name: value for name, value in row.items() if name not in {"source_id", "log_type"}}
        found.setdefault((row["source_id"], row["log_type"]), []).append(Coverage(**values))
    return found
