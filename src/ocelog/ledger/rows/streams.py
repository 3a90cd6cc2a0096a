"""How far each stream's planning has come, and its status."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, bindparam, func, select, update

from ocelog.errors import LostFenceError
from ocelog.ledger import tables
from ocelog.ledger.database.dialects import bounded, insert_missing
from ocelog.ledger.rows import slices as slice_rows
from ocelog.ledger.rows import sweeps
from ocelog.model import Marks, Origin, PlannedRange, Slice, StreamFaults, StreamRow
from ocelog.times import from_us, to_us

LONG_GAP = timedelta(days=1)
"""What happened while a stream was not read for longer is told of in one summary per rule."""
_s = tables.streams.c


def plan(tx: Connection, before: Marks, after: Marks, slices: Sequence[Slice]) -> list[Slice]:
    """Add `slices` and save `after`, if the stream's marks are `before`.

    Raises LostFenceError if another has planned meanwhile, or the source is gone: then nothing was planned.
    """
    row = _begun(tx, before.source_id, before.log_type)
    if row is None:
        raise LostFenceError(f"There is no source {before.source_id!r} in the ledger (any more); nothing was planned.")
    if marks_of(row) != before:
        raise LostFenceError(
            f"{before.log_type}: another process has planned this stream; nothing was planned. Plan again."
        )
    this = {"source": before.source_id, "type": before.log_type}
    tx.execute(_SAVED, {**this, **_columns(after), **_news(row, before, after)})
    if after.sweep_round != before.sweep_round and after.swept_at is not None:
        sweeps.begin(tx, after)
    return slice_rows.add(tx, slices)


def hold(tx: Connection, source_id: str, log_type: str) -> RowMapping | None:
    """Take the row of a stream until the transaction ends; None: there is none (any more).

    Its key stays free, or a transaction that adds a slice, and so refers to the stream, would wait for no reason.
    """
    return tx.execute(_HELD, {"source": source_id, "type": log_type}).mappings().one_or_none()


# Built once: building a statement takes as long as running it, and these run for every page.
_ONE = select(tables.streams).where(_s.source_id == bindparam("source"), _s.log_type == bindparam("type"))
_HELD = _ONE.with_for_update(key_share=True)
_SAVED = update(tables.streams).where(_s.source_id == bindparam("source"), _s.log_type == bindparam("type"))
_ILL = _ONE.with_only_columns(_s.log_type).where(_s.trouble.is_not(None))


def _begun(tx: Connection, source_id: str, log_type: str) -> RowMapping | None:
    """Take the row of a stream, made if it is missing; another may make it just now. None: the source is gone."""
    row = hold(tx, source_id, log_type)
    if row is not None:
        return row
    source = select(tables.sources.c.id).where(tables.sources.c.id == source_id)
    if tx.execute(source.with_for_update(read=True, key_share=True)).first() is not None:
        insert_missing(tx, tables.streams, source_id=source_id, log_type=log_type)
    return hold(tx, source_id, log_type)


def marks(tx: Connection, source_id: str, log_type: str) -> Marks:
    """Return how far a stream's planning has come; all None if it has not begun."""
    row = tx.execute(_ONE, {"source": source_id, "type": log_type}).mappings().one_or_none()
    return Marks(source_id=source_id, log_type=log_type) if row is None else marks_of(row)


def listed(tx: Connection, source_id: str | None) -> list[StreamRow]:
    """Return the streams of one source, or of all, by source and log type."""
    found = select(tables.streams).order_by(_s.source_id, _s.log_type)
    if source_id is not None:
        found = found.where(_s.source_id == source_id)
    return [_row_of(row) for row in tx.execute(found).mappings()]


def trouble(tx: Connection, this: tuple[str, str], *, kind: str, code: str, text: str, at_us: int) -> None:
    """Remember what is wrong with the stream `this` (source id, log type), begun or not."""
    _begun(tx, *this)
    told = {"trouble": bounded(text), "trouble_kind": kind, "trouble_code": code, "trouble_us": at_us}
    tx.execute(update(tables.streams).where(_this(*this)).values(**told, trouble_todo=None))


def is_ill(tx: Connection, source_id: str, log_type: str) -> bool:
    """Whether something is noted to be wrong with a stream."""
    return tx.execute(_ILL, {"source": source_id, "type": log_type}).first() is not None


def well(tx: Connection, source_id: str, log_type: str) -> None:
    """Forget what was wrong with a stream."""
    ill = and_(_this(source_id, log_type), _s.trouble.is_not(None))
    told = dict.fromkeys(["trouble", "trouble_kind", "trouble_code", "trouble_todo", "trouble_us"])
    tx.execute(update(tables.streams).where(ill).values(told))


def faults(tx: Connection, source_id: str, log_type: str) -> StreamFaults:
    """Return what the source is known to get wrong in a stream; nothing if the stream has not begun."""
    row = tx.execute(_ONE, {"source": source_id, "type": log_type}).mappings().one_or_none()
    if row is None:
        return StreamFaults()
    return StreamFaults(
        total_off_by=row["total_off_by"] or 0,
        total_off_floor=row["total_off_floor"] or 0,
        total_off_at=_instant(row["total_off_us"]),
    )


def save_total_off(tx: Connection, source_id: str, log_type: str, found: StreamFaults) -> None:
    """Remember how far a stream's totals are off, or that they are right."""
    known = found.total_off_at is not None
    told = {
        "total_off_by": found.total_off_by if known else None,
        "total_off_floor": found.total_off_floor if known else None,
        "total_off_us": _us(found.total_off_at),
        "total_off_since_us": func.coalesce(_s.total_off_since_us, _us(found.total_off_at)) if known else None,
    }
    tx.execute(update(tables.streams).where(_this(source_id, log_type)).values(told))


def claim_whole(tx: Connection, slice_: Slice, now: datetime, every: timedelta) -> datetime | None:
    """Note that `slice_` is read as a whole now, unless one that asks the same was within `every`; return until when.

    What is asked by another date, for every status, or with a filter more is read in its own turn: one reading does not
    show the other's.
    """
    row = hold(tx, slice_.source_id, slice_.log_type)
    if row is None:
        return now + every
    which = "some" if slice_.narrowed else "open" if slice_.origin is Origin.SWEEP else "all"
    question = f"{which} by {slice_.by}"
    before_us = row["whole_readings"].get(question)
    if before_us is not None and to_us(now - every) < before_us <= to_us(now):
        return from_us(before_us) + every
    claimed = {**row["whole_readings"], question: to_us(now)}
    this = _this(slice_.source_id, slice_.log_type)
    tx.execute(update(tables.streams).where(this).values(whole_readings=claimed))
    return None


def _this(source_id: str, log_type: str) -> ColumnElement[bool]:
    return and_(_s.source_id == source_id, _s.log_type == log_type)


def marks_of(row: RowMapping) -> Marks:
    """Read the marks in a row of the table."""
    return Marks(
        source_id=row["source_id"],
        log_type=row["log_type"],
        edge=_instant(row["edge_us"]),
        backfill_since=_instant(row["backfill_since_us"]),
        relook_at=_instant(row["relook_us"]),
        swept_at=_instant(row["swept_us"]),
        offset=_length(row["offset_us"]),
        covered=tuple(
            PlannedRange(
                lowest=_length(lowest),
                highest=timedelta(microseconds=highest),
                through=from_us(through),
                since=from_us(since),
            )
            for lowest, highest, through, since in row["covered"]
        ),
        sweep_round=row["sweep_round"],
    )


def _columns(marks: Marks) -> dict[str, Any]:
    return {
        "edge_us": _us(marks.edge),
        "backfill_since_us": _us(marks.backfill_since),
        "relook_us": _us(marks.relook_at),
        "swept_us": _us(marks.swept_at),
        "offset_us": _length_us(marks.offset),
        "covered": [
            [_length_us(each.lowest), each.highest // timedelta(microseconds=1), to_us(each.through), to_us(each.since)]
            for each in marks.covered
        ],
        "sweep_round": marks.sweep_round,
    }


def _news(row: RowMapping, before: Marks, after: Marks) -> dict[str, Any]:
    """Return where history ends, as far as `after` moves that: with the first edge, or one that is taken back."""
    if after.edge is None:
        return {}
    edge_us, onboarded_us = to_us(after.edge), row["onboarded_us"]
    if onboarded_us is None or edge_us < onboarded_us:
        return {"onboarded_us": edge_us}
    if before.edge is not None and after.edge - before.edge > LONG_GAP:
        return {"gap_since_us": to_us(before.edge), "gap_until_us": edge_us}
    return {}


def sees_more(
    tx: Connection, source_id: str, log_types: Collection[str], to: Callable[[Marks], Marks] | None, now_us: int
) -> None:
    """Note that a source shows more records of these log types from now on: their past is told of as read late.

    Of what comes, nobody knows whether it was shown before: nothing is lost, and no rule tells of each. `to`
    returns the marks of each of these streams from now on; None: they stay.
    """
    these = (_s.source_id == source_id, _s.log_type.in_(sorted(log_types)), _s.onboarded_us.is_not(None))
    found = select(tables.streams).where(*these)
    for row in tx.execute(found.order_by(_s.log_type).with_for_update(key_share=True)).mappings():
        gap = {
            "gap_since_us": row["onboarded_us"],
            "gap_until_us": max(row["edge_us"] or 0, now_us + (row["offset_us"] or 0)),
        }
        marks = {} if to is None else _columns(to(marks_of(row)))
        tx.execute(_SAVED, {"source": source_id, "type": row["log_type"], **marks, **gap})


def _instant(us: int | None) -> datetime | None:
    return None if us is None else from_us(us)


def _us(instant: datetime | None) -> int | None:
    return None if instant is None else to_us(instant)


def _length(us: int | None) -> timedelta | None:
    return None if us is None else timedelta(microseconds=us)


def _length_us(length: timedelta | None) -> int | None:
    return None if length is None else length // timedelta(microseconds=1)


def _row_of(row: RowMapping) -> StreamRow:
    return StreamRow(
        marks=marks_of(row),
        events=row["events"],
        repeats=row["repeats"],
        rejections=row["rejections"],
        replayed=row["replayed"],
        unknown_fields=row["unknown_fields"],
        refused=frozenset(row["refused"]),
        last_success_us=row["last_success_us"],
        last_event_us=row["last_event_us"],
        received_us=row["received_us"],
        received_source_us=row["received_source_us"],
        trouble=row["trouble"],
        trouble_kind=row["trouble_kind"],
        trouble_code=row["trouble_code"],
        trouble_todo=row["trouble_todo"],
        trouble_us=row["trouble_us"],
        total_off_by=row["total_off_by"],
        total_off_us=row["total_off_us"],
        total_off_since_us=row["total_off_since_us"],
    )
