"""Which slices there are, who holds them, and how they move, split and park."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, fields, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from ocelog.errors import LostFenceError
from ocelog.instants import from_us, to_us
from ocelog.ledger import tables
from ocelog.ledger.dialects import bounded, later
from ocelog.model import Checkpoint, Origin, Slice, SliceState

LEASE = timedelta(minutes=10)
"""A holder that has not moved its slice for so long is taken for dead."""
_CHECKPOINT_FIELDS = frozenset(field.name for field in fields(Checkpoint))
_ORDER = {Origin.LIVE: 0, Origin.SWEEP: 1, Origin.VERIFY: 1, Origin.INFER: 1, Origin.BACKFILL: 2}
_s = tables.slices.c


def take(  # noqa: PLR0913 - what to take, for whom, when
    tx: Connection,
    holder: str,
    *,
    now: datetime,
    sources: Collection[str] | None,
    log_types: Collection[str] | None,
    lease: timedelta,
) -> Slice | None:
    """Hand the most pressing slice that is due and free to `holder`, under a new fence."""
    now_us = to_us(now)
    rank = case((_s.state == SliceState.PARKED, len(_ORDER)), else_=case(_ORDER, value=_s.origin))
    wanted = [_to_do(), _s.due_us <= now_us, _free(now_us)]
    if sources is not None:
        wanted.append(_s.source_id.in_(sources))
    if log_types is not None:
        wanted.append(_s.log_type.in_(log_types))
    # A daily sweep may use only a share of its source's rate: one slice at a time is enough for that, and leaves the
    # other threads to news.
    other = tables.slices.alias()
    sweeping = exists().where(
        other.c.source_id == _s.source_id,
        other.c.sweep_round > 1,
        other.c.holder.is_not(None),
        other.c.leased_until_us > now_us,
    )
    wanted.append(or_(_s.sweep_round <= 1, ~sweeping))
    first = (
        select(tables.slices)
        .where(*wanted)
        .order_by(rank, _s.until_us.desc(), _s.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = tx.execute(first).mappings().one_or_none()
    if row is None:
        return None
    fence, lease_us = row["fence"] + 1, lease // timedelta(microseconds=1)
    held = {"holder": bounded(holder), "lease_us": lease_us, "leased_until_us": now_us + lease_us, "fence": fence}
    tx.execute(update(tables.slices).where(_s.id == row["id"]).values(held))
    return replace(slice_of(row), fence=fence)


def _to_do() -> ColumnElement[bool]:
    """Hold where a slice is to be read and its source wants that."""
    source = tables.sources.c
    resting = exists().where(source.id == _s.source_id, or_(source.paused, source.removed_us.is_not(None)))
    return and_(_s.state.in_([SliceState.WAITING, SliceState.PARKED]), ~resting)


def _free(now_us: int) -> ColumnElement[bool]:
    return or_(_s.holder.is_(None), _s.leased_until_us <= now_us)


def release(tx: Connection, slice_: Slice) -> None:
    """Let go of a slice, unless another holder has it already."""
    mine = and_(_s.id == slice_.id, _s.fence == slice_.fence)
    tx.execute(update(tables.slices).where(mine).values(holder=None, leased_until_us=None))


def release_all(tx: Connection, except_holder: str | None) -> None:
    """Let go of every slice that is held by anybody but `except_holder`."""
    held = _s.holder.is_not(None) if except_holder is None else _s.holder != except_holder
    tx.execute(update(tables.slices).where(held).values(holder=None, leased_until_us=None))


def save(tx: Connection, moving: Slice, to: Slice, now_us: int) -> None:
    """Put `to` in the place of `moving` and extend its lease; who is done with it lets go. Raises LostFenceError."""
    values: dict[str, Any] = {
        "state": to.state,
        "due_us": to_us(to.due_at),
        "checkpoint": asdict(to.checkpoint),
        "short_by": to.short_by,
        "reason": bounded(to.reason),
        "leased_until_us": later(_s.leased_until_us, now_us + func.coalesce(_s.lease_us, 0)),
        "failing_us": None,
    }
    if to.state is SliceState.WAITING and to.checkpoint.failures:
        values["failing_us"] = func.coalesce(_s.failing_us, now_us)
    if to.state is not SliceState.WAITING:
        values |= {"holder": None, "leased_until_us": None}
    held = and_(_s.id == moving.id, _s.fence == moving.fence)
    if tx.execute(update(tables.slices).where(held).values(values)).rowcount != 1:
        raise lost(moving)


def lost(slice_: Slice) -> LostFenceError:
    """Return what a holder is told whose slice is another's by now, or gone."""
    return LostFenceError(
        f"Slice {slice_.id} of {slice_.log_type} has another holder than fence {slice_.fence} by now; "
        "nothing was landed or moved."
    )


def add(tx: Connection, slices: Sequence[Slice]) -> list[Slice]:
    """Plan `slices` and return them with the numbers that they got."""
    return [replace(slice_, id=_insert(tx, slice_), fence=0) for slice_ in slices]


def _insert(tx: Connection, slice_: Slice) -> int:
    values = {
        "source_id": slice_.source_id,
        "log_type": slice_.log_type,
        "origin": slice_.origin,
        "asked_by": slice_.by,
        "since_us": to_us(slice_.since),
        "until_us": to_us(slice_.until),
        "state": slice_.state,
        "due_us": to_us(slice_.due_at),
        "fence": 0,
        "checkpoint": asdict(slice_.checkpoint),
        "short_by": slice_.short_by,
        "reason": bounded(slice_.reason),
        "sweep_round": slice_.sweep_round,
        "narrowed": None if slice_.narrowed is None else {name: list(kept) for name, kept in slice_.narrowed.items()},
    }
    number = tx.execute(insert(tables.slices).values(values)).inserted_primary_key
    return int(number[0]) if number is not None else 0


def split(tx: Connection, slice_: Slice, children: Sequence[Slice], now_us: int) -> None:
    """Retire `slice_` and plan `children` in its place. Raises LostFenceError."""
    save(tx, slice_, replace(slice_, state=SliceState.RETIRED), now_us)
    add(tx, children)


def forget(tx: Connection, source_id: str, log_type: str, until_us: int) -> int:
    """Delete the live slices that were read to their end, or split, and asked for nothing after `until_us`."""
    mine = and_(_s.source_id == source_id, _s.log_type == log_type)
    read = and_(_s.state.in_([SliceState.DRAINED, SliceState.RETIRED]), _s.origin == Origin.LIVE)
    return tx.execute(delete(tables.slices).where(mine, read, _s.until_us <= until_us)).rowcount


def listed(
    tx: Connection, *, source_id: str | None, log_type: str | None, states: Collection[SliceState] | None
) -> list[Slice]:
    """Return slices in the order in which they were planned."""
    found = select(tables.slices).order_by(_s.id)
    if source_id is not None:
        found = found.where(_s.source_id == source_id)
    if log_type is not None:
        found = found.where(_s.log_type == log_type)
    if states is not None:
        found = found.where(_s.state.in_(states))
    return [slice_of(row) for row in tx.execute(found).mappings()]


def next_due(tx: Connection) -> datetime | None:
    """Return when `take` may next find a slice; None: there is nothing to do. It may lie in the past."""
    found = tx.execute(select(func.min(later(_s.due_us, _s.leased_until_us))).where(_to_do())).scalar_one()
    return None if found is None else from_us(found)


def slice_of(row: RowMapping) -> Slice:
    """Read a row of the table as a value."""
    # A field that a newer program added to checkpoints may be there, and one that it dropped may be missing.
    known = {name: value for name, value in row["checkpoint"].items() if name in _CHECKPOINT_FIELDS}
    return Slice(
        id=row["id"],
        source_id=row["source_id"],
        log_type=row["log_type"],
        origin=Origin(row["origin"]),
        by=row["asked_by"],
        since=from_us(row["since_us"]),
        until=from_us(row["until_us"]),
        state=SliceState(row["state"]),
        due_at=from_us(row["due_us"]),
        fence=row["fence"],
        checkpoint=Checkpoint(**known),
        short_by=row["short_by"],
        reason=row["reason"],
        failing_since=None if row["failing_us"] is None else from_us(row["failing_us"]),
        sweep_round=row["sweep_round"],
        narrowed=row["narrowed"],
    )
