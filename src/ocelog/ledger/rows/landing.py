"""How rows and the checkpoint that vouches for them commit together, or not at all."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, Row, RowMapping, bindparam, insert, select, update

from ocelog.errors import LostFenceError
from ocelog.ledger import tables
from ocelog.ledger.database.batches import batches
from ocelog.ledger.database.dialects import bounded
from ocelog.ledger.rows import claims, counters, slices, streams
from ocelog.ledger.rows.parts import part_of
from ocelog.model import REJECTIONS, NewPart, Part
from ocelog.pull.ports import Behind, Landed, Landing
from ocelog.pull.versions import AHEAD_US

_MOST_NAMES = 500
"""Names of unknown fields that a stream remembers: a source that invents names must not fill the ledger."""
_MOST_BEHIND = 10_000
"""Parts that a landing is told of; more of them, and loading anew is cheaper."""


def land(tx: Connection, landing: Landing, now_us: int) -> Landed | Behind:
    """Commit `landing`, unless others landed what it has not read: then nothing is committed."""
    rejects = landing.rejections is not None or landing.rejection_keys
    names = {landing.table, REJECTIONS} if rejects else {landing.table}
    held = {table: counters.hold(tx, table) for table in sorted(names)}
    stream = streams.hold(tx, landing.source_id, landing.log_type)
    if stream is None:
        raise LostFenceError(f"{landing.source_id}: its {landing.log_type} is not there any more; nothing was landed.")
    if landing.to is None:
        claims.hold(tx, landing.claim, now_us)
    else:
        slices.save(tx, landing.to, now_us, got_on=True)
    behind = _behind(tx, landing, held[landing.table])
    if behind is not None:
        tx.rollback()
        return behind
    sequence = None
    for part in (landing.part, landing.rejections):
        if part is not None:
            number = add_part(tx, part, landing.source_id, held[part.table].last + 1, now_us)
            sequence = number if part is landing.part else sequence
    keys = [{"rejection_key": key, "source_id": landing.source_id} for key in landing.rejection_keys]
    if keys:
        tx.execute(insert(tables.rejection_keys), keys)
    _count(tx, landing, stream, now_us)
    return Landed(sequence=sequence)


def _behind(tx: Connection, landing: Landing, counter: Row[int, int]) -> Behind | None:
    """Return what `landing` has not read; also if it lands nothing new: another may have landed the neighbour."""
    parts: Sequence[Part] = ()
    if landing.page_min_us is not None:
        if counter.removed_through > landing.loaded_through:
            return Behind(reload=True)
        parts = _unread(tx, landing)
        if len(parts) > _MOST_BEHIND:
            return Behind(reload=True)
    known = known_rejections(tx, landing.rejection_keys)
    return Behind(parts=parts, known_rejections=known) if parts or known else None


def _unread(tx: Connection, landing: Landing) -> list[Part]:
    asked = {
        "table": landing.table,
        "loaded": landing.loaded_through,
        "source": landing.source_id,
        "page_min": landing.page_min_us,
        "page_max": landing.page_max_us,
    }
    found = (part_of(row) for row in tx.execute(_OVERLAPPING, asked).mappings())
    return [part for part in found if part.sequence not in landing.loaded]


# Built once: building a statement takes as long as running it, and these run for every page.
_p, _s = tables.parts.c, tables.streams.c
_OVERLAPPING = (
    select(tables.parts)
    .where(
        _p.table_name == bindparam("table"),
        _p.sequence > bindparam("loaded"),
        _p.source_id == bindparam("source"),
        _p.min_cursor_us <= bindparam("page_max"),
        _p.max_cursor_us >= bindparam("page_min"),
    )
    .order_by(_p.sequence)
)
_NEW = insert(tables.parts)
_COUNTED = (
    update(tables.streams)
    .where(_s.source_id == bindparam("source"), _s.log_type == bindparam("type"))
    .values(
        events=_s.events + bindparam("more_events"),
        repeats=_s.repeats + bindparam("more_repeats"),
        rejections=_s.rejections + bindparam("more_rejections"),
    )
)


def add_part(tx: Connection, part: NewPart, source_id: str, sequence: int, now_us: int) -> int:
    """Add a part under `sequence`. The counter row must be held."""
    values = {
        "table_name": part.table,
        "sequence": sequence,
        "path": part.path,
        "source_id": source_id,
        "rows": part.rows,
        "bytes": part.bytes,
        "min_cursor_us": part.min_cursor_us,
        "max_cursor_us": part.max_cursor_us,
        "landed_us": now_us,
    }
    tx.execute(_NEW, values)
    counters.set_last(tx, part.table, sequence)
    return sequence


def known_rejections(tx: Connection, keys: Iterable[str]) -> frozenset[str]:
    """Return those of `keys` that have landed before."""
    key = tables.rejection_keys.c.rejection_key
    found = set[str]()
    for some in batches(keys):
        found.update(tx.execute(select(key).where(key.in_(some))).scalars())
    return frozenset(found)


def _count(tx: Connection, landing: Landing, stream: RowMapping, now_us: int) -> None:
    """Add what landed to the stream's figures."""
    tally = landing.tally
    latest = [us for us in (stream["last_event_us"], tally.last_event_us) if us is not None]
    values = {
        "source": landing.source_id,
        "type": landing.log_type,
        "more_events": tally.events,
        "more_repeats": tally.repeats,
        "more_rejections": tally.rejections,
        "last_event_us": max(latest, default=None),
        "last_success_us": now_us,
    }
    if tally.observed_us is not None and tally.answered_us is not None:
        last_us = stream["observed_us"] or 0
        # One that is far ahead came from a clock that lied: the next process goes on from what is true now.
        lied = last_us > tally.answered_us + AHEAD_US
        values["observed_us"] = tally.observed_us if lied else max(last_us, tally.observed_us)
    if tally.received_us is not None and tally.answered_us is not None:
        received_us = now_us - max(0, tally.answered_us - tally.received_us)
        known_us = stream["received_us"]
        # What lies ahead was noted by a clock that was wrong then.
        if known_us is None or known_us > now_us or received_us > known_us:
            values |= {"received_us": received_us, "received_source_us": tally.received_us}
    if tally.unknown_fields:
        values["unknown_fields"] = _summed(stream["unknown_fields"], tally.unknown_fields)
    if tally.refused is not None:
        values["refused"] = sorted(tally.refused)
    tx.execute(_COUNTED, values)


def _summed(before: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    summed = dict(before)
    for name, count in more.items():
        short = bounded(name)
        if short in summed or len(summed) < _MOST_NAMES:
            summed[short] = summed.get(short, 0) + count
    return summed
