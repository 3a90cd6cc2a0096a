"""When a parked slice stands for others that could not be read either."""

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, and_, select, update

from ocelog.ledger import tables
from ocelog.ledger.rows import slices, streams
from ocelog.model import Origin, Slice, SliceState
from ocelog.times import from_us, to_us

_s = tables.slices.c


def park(tx: Connection, slice_: Slice, to: Slice, now_us: int) -> None:
    """Park `slice_` as `to`; parked slices that overlap or touch become one, so that polls do not add up to hundreds.

    So do those that are read as a whole, wherever they lie: one reading, once a day, shows the records of any time.
    One that somebody holds right now covers nothing: its requests may be older than this slice. Raises LostFenceError.
    """
    # One at a time parks in a stream, or two that park at once would not see each other.
    streams.hold(tx, slice_.source_id, slice_.log_type)
    since_us, until_us = to_us(to.since), to_us(to.until)
    met = [
        row
        for row in tx.execute(select(tables.slices).where(_same_question(slice_))).mappings()
        if row["narrowed"] == to.narrowed
        and (
            (row["since_us"] <= until_us and row["until_us"] >= since_us)
            or (to.checkpoint.whole and row["checkpoint"].get("whole"))
        )
    ]
    free = [row for row in met if row["holder"] is None]
    if any(row["since_us"] <= since_us and row["until_us"] >= until_us for row in free):
        slices.save(tx, replace(to, state=SliceState.RETIRED), now_us)
        return
    joined = [row for row in met if row in free or (row["since_us"] >= since_us and row["until_us"] <= until_us)]
    if joined:
        # What was tried in vain before is not tried later, or more often, because a neighbour joins it.
        tries = max(to.checkpoint.failures, *(row["checkpoint"].get("failures", 0) for row in joined))
        due = from_us(min(row["due_us"] for row in joined))
        to = replace(to, due_at=due, checkpoint=replace(to.checkpoint, failures=tries))
    slices.save(tx, to, now_us)
    if joined:
        # Whoever reads a joined one just now loses it by its fence.
        gone = {"state": SliceState.RETIRED, "fence": _s.fence + 1, "holder": None, "leased_until_us": None}
        tx.execute(update(tables.slices).where(_s.id.in_([row["id"] for row in joined])).values(gone))
        union = {
            "since_us": min(since_us, *(row["since_us"] for row in joined)),
            "until_us": max(until_us, *(row["until_us"] for row in joined)),
        }
        tx.execute(update(tables.slices).where(_s.id == slice_.id).values(union))


def _same_question(slice_: Slice) -> ColumnElement[bool]:
    """Hold for parked slices that ask the same, whatever time range: a sweep does not ask for every status."""
    sweep = slice_.origin is Origin.SWEEP
    return and_(
        _s.source_id == slice_.source_id,
        _s.log_type == slice_.log_type,
        _s.state == SliceState.PARKED,
        _s.asked_by == slice_.by,
        _s.origin == Origin.SWEEP if sweep else _s.origin != Origin.SWEEP,
        _s.id != slice_.id,
    )
