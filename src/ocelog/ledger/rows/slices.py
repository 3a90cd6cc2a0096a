"""Which slices there are, who holds them, and how they move, split and park."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from msgspec.structs import asdict, fields, replace
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    and_,
    bindparam,
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
from ocelog.ledger import tables
from ocelog.ledger.database.batches import AT_ONCE, batches
from ocelog.ledger.database.dialects import bounded, later
from ocelog.model import Checkpoint, Due, Origin, Slice, SliceState
from ocelog.pull.ports import LEASE, LONGEST_WAITS
from ocelog.times import CLOCKS_APART, from_us, to_us

_CHECKPOINT_FIELDS = frozenset(field.name for field in fields(Checkpoint))
_ORDER = {Origin.LIVE: 0, Origin.SWEEP: 1, Origin.VERIFY: 1, Origin.INFER: 1, Origin.BACKFILL: 2}
_PARKED = max(_ORDER.values()) + 1
_BEHIND_THE_PAST = _PARKED - 0.5
_s = tables.slices.c


def due(tx: Connection, now_us: int) -> dict[tuple[str, str], Due]:
    """Return what `take` would find, by (source id, log type), for each stream that has anything left to read."""
    rows = tx.execute(_due(), {"now_us": now_us})
    return {(source_id, log_type): Due(rank=first, free_at=from_us(free)) for source_id, log_type, first, free in rows}


def take(
    tx: Connection,
    holder: str,
    *,
    now: datetime,
    sources: Collection[str] | None,
    log_types: Collection[str] | None,
    lease: timedelta,
    sweeps_together: bool,
    past_first: bool,
) -> Slice | None:
    """Hand the most pressing slice that is due and free to `holder`, under a new fence.

    `past_first`: news wait for once.
    """
    now_us = to_us(now)
    of = {"sources": sources is not None, "log_types": log_types is not None}
    first = _first(**of, sweeps_together=sweeps_together, past_first=past_first)
    asked = {"now_us": now_us, "sources": sources, "log_types": log_types}
    row = tx.execute(first, asked).mappings().one_or_none()
    if row is None:
        return None
    fence, lease_us = row["fence"] + 1, _length_us(lease)
    held = {"holder": bounded(holder), "lease_us": lease_us, "leased_until_us": now_us + lease_us, "fence": fence}
    tx.execute(_THIS, {"slice": row["id"], **held})
    return replace(slice_of(row), fence=fence)


def may_take(
    tx: Connection, now: datetime, *, sources: Collection[str] | None, log_types: Collection[str] | None
) -> bool:
    """Whether `take` would find a slice. Only reads: whoever finds nothing has kept no writer waiting."""
    any_ = _any(sources=sources is not None, log_types=log_types is not None)
    asked = {"now_us": to_us(now), "sources": sources, "log_types": log_types}
    return tx.execute(any_, asked).first() is not None


# Building a statement takes as long as running it, and these run for every page: each is built once.


@cache
def _due() -> Select[Any]:
    found = select(_s.source_id, _s.log_type, func.min(case((_ready(), _rank()))), func.min(_free_at()))
    return found.where(_to_do()).group_by(_s.source_id, _s.log_type)


@cache
def _first(*, sources: bool, log_types: bool, sweeps_together: bool, past_first: bool) -> Select[Any]:
    wanted = _wanted(sources=sources, log_types=log_types, sweeps_together=sweeps_together)
    rank = case((_is_news(), _BEHIND_THE_PAST), else_=_rank()) if past_first else _rank()
    found = select(tables.slices).where(wanted).order_by(rank, _s.until_us.desc(), _s.id)
    return found.limit(1).with_for_update(skip_locked=True)


@cache
def _any(*, sources: bool, log_types: bool) -> Select[Any]:
    return select(_s.id).where(_wanted(sources=sources, log_types=log_types)).limit(1)


_THIS = update(tables.slices).where(_s.id == bindparam("slice"))
_NOW: ColumnElement[Any] = bindparam("now_us", type_=BigInteger())


def _wanted(*, sources: bool, log_types: bool, sweeps_together: bool = False) -> ColumnElement[bool]:
    """Hold if a slice may be taken `now_us`, and is of the `sources` and `log_types` if these are given."""
    wanted = [_to_do(), _ready(sweeps_together=sweeps_together)]
    if sources:
        wanted.append(_s.source_id.in_(bindparam("sources", expanding=True)))
    if log_types:
        wanted.append(_s.log_type.in_(bindparam("log_types", expanding=True)))
    return and_(*wanted)


def _to_do() -> ColumnElement[bool]:
    """Hold if a slice is to be read and its source wants that."""
    source = tables.sources.c
    resting = exists().where(source.id == _s.source_id, or_(source.paused, source.removed_us.is_not(None)))
    return and_(_s.state.in_([SliceState.WAITING, SliceState.PARKED]), ~resting)


def _is_news() -> ColumnElement[bool]:
    return and_(_s.origin == Origin.LIVE, _s.state == SliceState.WAITING)


def _rank() -> ColumnElement[int]:
    return case((_s.state == SliceState.PARKED, _PARKED), else_=case(_ORDER, value=_s.origin))


def _ready(*, sweeps_together: bool = False) -> ColumnElement[bool]:
    """Hold if a slice is due `now_us` and nobody's, and nothing else of its source keeps it from being read."""
    # A daily sweep may use only a share of its source's rate: one slice at a time is enough for that, and leaves the
    # other threads to news.
    other = tables.slices.alias()
    sweeping = exists().where(
        other.c.source_id == _s.source_id,
        other.c.sweep_round > 1,
        _held(other.c),
    )
    alone = or_(_s.sweep_round <= 1, ~sweeping)
    free = and_(_due_at() <= _NOW, ~_held())
    return free if sweeps_together else and_(free, alone)


def _due_at() -> ColumnElement[Any]:
    """Return when a slice is due: now, if that is so far ahead that our clock was wrong (as in `has_passed`)."""
    furthest_us = case(
        *((_s.state == state, _NOW + _length_us(wait + CLOCKS_APART)) for state, wait in LONGEST_WAITS.items()),
        else_=_NOW,
    )
    return case((_s.due_us > furthest_us, _NOW), else_=_s.due_us)


def _held(slices: Any = _s) -> ColumnElement[bool]:
    """Hold while somebody has a slice whose lease runs, and is no longer than a lease can be."""
    length = func.coalesce(slices.lease_us, _length_us(LEASE))
    until_us = func.coalesce(slices.leased_until_us, 0)
    runs = until_us.between(_NOW + 1, _NOW + length + _length_us(CLOCKS_APART))
    return and_(slices.holder.is_not(None), runs)


def _free_at() -> ColumnElement[Any]:
    """Return when a slice is both due and free; only a lease that somebody holds counts."""
    return case((_held(), later(_due_at(), _s.leased_until_us)), else_=_due_at())


def _length_us(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


def release(tx: Connection, slice_: Slice) -> None:
    """Let go of a slice, unless another holder has it already."""
    mine = {"slice": slice_.id, "held": slice_.fence}
    tx.execute(_MINE, {**mine, "holder": None, "leased_until_us": None})


def release_home(tx: Connection, home_id: str) -> None:
    """Let go of the slices that holders of a home have; what others hold is theirs until its lease lapses.

    A holder's name begins with its home.
    """
    ours = _s.holder.startswith(f"{home_id}/", autoescape=True)
    tx.execute(update(tables.slices).where(ours).values(holder=None, leased_until_us=None))


def hurry(tx: Connection, streams: Collection[tuple[str, str]], now_us: int) -> int:
    """Make due now what waits after a failure, and what is parked, in `streams`; return how many slices that is."""
    failed = or_(_s.state == SliceState.PARKED, _s.checkpoint["failures"].as_integer() > 0)
    hurried, asked = 0, {"now_us": now_us}
    for source_id, log_type in streams:
        these = and_(_to_do(), _s.source_id == source_id, _s.log_type == log_type, _s.due_us > _NOW, ~_held())
        hurried += tx.execute(update(tables.slices).where(these, failed).values(due_us=now_us), asked).rowcount
    return hurried


def failing(tx: Connection, source_id: str, log_type: str) -> bool:
    """Whether a slice of a stream waits after a failure. What is parked is shown by itself."""
    return tx.execute(_FAILING, {"source": source_id, "type": log_type}).first() is not None


_FAILING = (
    select(_s.id)
    .where(
        _s.source_id == bindparam("source"),
        _s.log_type == bindparam("type"),
        _s.state == SliceState.WAITING,
        _s.checkpoint["failures"].as_integer() > 0,
    )
    .limit(1)
)


def move(tx: Connection, before: Slice, to: Slice, now_us: int) -> None:
    """Put `to` in the place of `before`, of which no page has landed. Raises LostFenceError."""
    after = to.checkpoint.after
    save(tx, to, now_us, got_on=after is not None and after != before.checkpoint.after)


def save(tx: Connection, to: Slice, now_us: int, *, got_on: bool = False) -> None:
    """Save a slice under its fence and extend its lease; who is done with it lets go. Raises LostFenceError.

    Since when it fails is forgotten if it `got_on`: a page of it landed, or it moves on to another. Asking otherwise is
    neither.
    """
    values: dict[str, Any] = {
        "state": to.state,
        "due_us": to_us(to.due_at),
        "checkpoint": asdict(to.checkpoint),
        "short_by": to.short_by,
        "reason": bounded(to.reason),
    }
    if to.state is not SliceState.WAITING:
        saved = _MINE
        values |= {"holder": None, "leased_until_us": None, "failing_us": None}
    elif to.checkpoint.failures:
        saved, values["now_us"] = _KEPT_FAILING, now_us
    else:
        saved, values["now_us"] = _KEPT, now_us
        if got_on:
            values["failing_us"] = None
    held = {"slice": to.id, "held": to.fence}
    if tx.execute(saved, {**held, **values}).rowcount != 1:
        raise lost(to)


_MINE = _THIS.where(_s.fence == bindparam("held"))
_KEPT = _MINE.values(
    # What nobody holds gets no lease: nobody would wait for it to lapse but those who look for work.
    leased_until_us=case((_s.holder.is_not(None), _NOW + func.coalesce(_s.lease_us, _length_us(LEASE))), else_=None)
)
# What a clock ahead of ours has noted would hide for as long how long it fails.
_KEPT_FAILING = _KEPT.values(failing_us=case((_s.failing_us <= _NOW, _s.failing_us), else_=_NOW))


def lost(slice_: Slice) -> LostFenceError:
    """Return what a holder is told whose slice another has taken, or is gone."""
    return LostFenceError(
        f"Slice {slice_.id} of {slice_.log_type} was taken by another process (fence {slice_.fence} is outdated); "
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
    number = tx.execute(_NEW, values).inserted_primary_key
    return int(number[0]) if number is not None else 0


_NEW = insert(tables.slices)


def split(tx: Connection, slice_: Slice, children: Sequence[Slice], now_us: int) -> None:
    """Retire `slice_` and plan `children` in its place. Raises LostFenceError.

    What was cut since it fails still does, as far as is known: each piece until it is read.
    """
    failing = tx.execute(_FAILING_SINCE, {"slice": slice_.id}).one_or_none()
    save(tx, replace(slice_, state=SliceState.RETIRED), now_us)
    for child in add(tx, children):
        if failing is not None:
            tx.execute(_THIS, {"slice": child.id, "failing_us": failing.failing_us, "reason": failing.reason})


_FAILING_SINCE = select(_s.failing_us, _s.reason).where(_s.id == bindparam("slice"), _s.failing_us.is_not(None))


def forget(tx: Connection, ids: Sequence[int]) -> int:
    """Delete those of these slices that were read to their end, or split."""
    ended = _s.state.in_([SliceState.DRAINED, SliceState.RETIRED])
    return sum(tx.execute(delete(tables.slices).where(ended, _s.id.in_(some))).rowcount for some in batches(ids))


def left(tx: Connection, sources: Collection[str]) -> dict[tuple[str, str], list[Slice]]:
    """Return the slices of some sources that are not read to their end, by (source id, log type)."""
    found = select(tables.slices).where(_s.state.in_([SliceState.WAITING, SliceState.PARKED])).order_by(_s.id)
    if len(sources) <= AT_ONCE:
        found = found.where(_s.source_id.in_(sources))
    by_stream: dict[tuple[str, str], list[Slice]] = {}
    for row in tx.execute(found).mappings():
        by_stream.setdefault((row["source_id"], row["log_type"]), []).append(slice_of(row))
    return by_stream


def listed(
    tx: Connection, *, source_id: str | None, log_type: str | None, states: Collection[SliceState] | None
) -> list[Slice]:
    """Return slices in the order in which they were planned."""
    found = _listed(source=source_id is not None, log_type=log_type is not None, states=states is not None)
    asked = {"source": source_id, "type": log_type, "states": states}
    return [slice_of(row) for row in tx.execute(found, asked).mappings()]


@cache
def _listed(*, source: bool, log_type: bool, states: bool) -> Select[Any]:
    found = select(tables.slices).order_by(_s.id)
    if source:
        found = found.where(_s.source_id == bindparam("source"))
    if log_type:
        found = found.where(_s.log_type == bindparam("type"))
    if states:
        found = found.where(_s.state.in_(bindparam("states", expanding=True)))
    return found


def names(tx: Connection, source_id: str) -> list[str]:
    """Return the names of the claims of the slices of a source."""
    return [str(number) for number in tx.execute(select(_s.id).where(_s.source_id == source_id)).scalars()]


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
