"""When a parked slice stands for another one that could not be read either."""

from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, and_, select, update

from ocelog.instants import to_us
from ocelog.ledger import slices, streams, tables
from ocelog.model import Origin, Slice, SliceState

_s = tables.slices.c


def park(tx: Connection, slice_: Slice, to: Slice, now_us: int) -> None:
    """Park `slice_` as `to`; of two parked slices of which one covers the other, only that one stays.

    One that somebody holds right now covers nothing: its questions may be older than this slice. Raises LostFenceError.
    """
    # One at a time parks in a stream, or two that park at once would not see each other.
    streams.hold(tx, slice_.source_id, slice_.log_type)
    same = _same_question(slice_)
    since_us, until_us = to_us(to.since), to_us(to.until)
    covering = and_(same, _s.since_us <= since_us, _s.until_us >= until_us, _s.holder.is_(None))
    if tx.execute(select(_s.id).where(covering).limit(1)).first() is not None:
        slices.save(tx, slice_, replace(to, state=SliceState.RETIRED), now_us)
        return
    slices.save(tx, slice_, to, now_us)
    covered = and_(same, _s.since_us >= since_us, _s.until_us <= until_us)
    # Whoever reads a covered one just now loses it by its fence.
    gone = {"state": SliceState.RETIRED, "fence": _s.fence + 1, "holder": None, "leased_until_us": None}
    tx.execute(update(tables.slices).where(covered).values(gone))


def _same_question(slice_: Slice) -> ColumnElement[bool]:
    """Hold for parked slices that ask the same, whatever stretch: a sweep does not ask for every status."""
    sweep = slice_.origin is Origin.SWEEP
    return and_(
        _s.source_id == slice_.source_id,
        _s.log_type == slice_.log_type,
        _s.state == SliceState.PARKED,
        _s.asked_by == slice_.by,
        _s.origin == Origin.SWEEP if sweep else _s.origin != Origin.SWEEP,
        _s.id != slice_.id,
    )
