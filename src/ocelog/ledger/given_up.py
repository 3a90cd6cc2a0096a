"""What was lost of the lake, and whether its time range is planned again.

A part that publishing passes is not a row of `parts` any more, so that the mark vouches for nothing that is nowhere
without a record here. Records stay: they say what the tables lack.
"""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, RowMapping, case, delete, func, insert, select, text, update

from ocelog.ledger import counters, landing, loops, slices, streams, tables
from ocelog.ledger.dialects import bounded
from ocelog.model import GivenUp, NewPart, Slice

_p = tables.parts.c
_g = tables.given_up.c


def failed(tx: Connection, table: str, sequence: int, at_us: int) -> tuple[int, int]:
    """Count one more try at which a part could not be read; return how many that makes, and since when.

    An instant that lies ahead of `at_us` is of a clock that was wrong: then it begins now.
    """
    this = (_p.table_name == table, _p.sequence == sequence)
    since = case((_p.failed_us <= at_us, _p.failed_us), else_=at_us)
    values = {"failures": func.coalesce(_p.failures, 0) + 1, "failed_us": since}
    found = tx.execute(update(tables.parts).where(*this).values(values).returning(_p.failures, _p.failed_us))
    row = found.one_or_none()
    return (0, at_us) if row is None else (row.failures, row.failed_us)


def whole(tx: Connection, table: str, sequences: Collection[int]) -> None:
    """Forget that parts could not be read: they can be now."""
    numbers = sorted(sequences)
    for start in range(0, len(numbers), 500):
        these = (_p.table_name == table, _p.sequence.in_(numbers[start : start + 500]), _p.failures.is_not(None))
        tx.execute(update(tables.parts).where(*these).values(failures=None, failed_us=None))


def set_aside(tx: Connection, lost: GivenUp) -> None:
    """Take a part out of what is to be published, and remember it as lost."""
    counters.hold(tx, lost.table)
    tx.execute(delete(tables.parts).where(_p.table_name == lost.table, _p.sequence == lost.sequence))
    note(tx, lost)


def note(tx: Connection, lost: GivenUp) -> None:
    """Remember a lost file; one that is known already, and not repaired, stays as it is."""
    known = tx.execute(select(_g.repaired_us).where(_g.path == lost.path)).one_or_none()
    if known is not None and known.repaired_us is None:
        return
    tx.execute(delete(tables.given_up).where(_g.path == lost.path))
    values = {
        "path": lost.path,
        "table_name": lost.table,
        "sequence": lost.sequence,
        "source_id": lost.source_id,
        "rows": lost.rows,
        "bytes": lost.bytes,
        "min_cursor_us": lost.min_cursor_us,
        "max_cursor_us": lost.max_cursor_us,
        "reason": bounded(lost.reason),
        "noticed_us": lost.noticed_us,
        "repaired_us": lost.repaired_us,
    }
    tx.execute(insert(tables.given_up).values(values))


def readmit(tx: Connection, path: str, part: NewPart | None, source_id: str, now_us: int) -> None:
    """Land again, as `part`, what of a part that was set aside is not there yet (None: all of it is)."""
    if part is not None:
        landing.add_part(tx, part, source_id, counters.hold(tx, part.table).last + 1, now_us)
    tx.execute(update(tables.given_up).where(_g.path == path).values(repaired_us=now_us))


def unpublish(tx: Connection, table: str, mark: int) -> None:
    """Let the parts above `mark`, to which the table went back, wait for being published again."""
    counters.hold(tx, table)
    above = (_p.table_name == table, _p.sequence > mark)
    tx.execute(update(tables.parts).where(*above).values(published_us=None))
    loops.set_back(tx, loops.PUBLISH, table, mark)


def outrun(tx: Connection, by: int) -> None:
    """Raise every counter, fence and number of a slice or claim by `by`, and let go of all of them.

    A ledger that is restored would else give out again what processes of its earlier life were given.
    """
    counters.hold_all(tx)
    tx.execute(update(tables.counters).values(last=tables.counters.c.last + by))
    for claimed in (tables.slices, tables.claims):
        fence = claimed.c.fence + by
        tx.execute(update(claimed).values(fence=fence, holder=None, lease_us=None, leased_until_us=None))
        if tx.dialect.name == "sqlite":
            seq = text("UPDATE sqlite_sequence SET seq = seq + :by WHERE name = :table")
            tx.execute(seq, {"by": by, "table": claimed.name})
        else:
            most = tx.execute(select(func.coalesce(func.max(claimed.c.id), 0))).scalar_one()
            seq = text("SELECT setval(pg_get_serial_sequence(:table, 'id'), :to)")
            tx.execute(seq, {"table": claimed.name, "to": most + by})


def listed(tx: Connection, *, repaired: bool) -> list[GivenUp]:
    """Return what was lost, the oldest first; what is repaired only if asked for."""
    found = select(tables.given_up).order_by(_g.noticed_us, _g.path)
    if not repaired:
        found = found.where(_g.repaired_us.is_(None))
    return [_given_up(row) for row in tx.execute(found).mappings()]


def plan(tx: Connection, paths: Sequence[str], again: Sequence[Slice], at_us: int) -> list[Slice]:
    """Plan the slices that read lost time ranges again, and note of `paths` that they are repaired."""
    for source_id, log_type in sorted({(each.source_id, each.log_type) for each in again}):
        streams.hold(tx, source_id, log_type)
    for path in paths:
        tx.execute(update(tables.given_up).where(_g.path == path).values(repaired_us=at_us))
    return slices.add(tx, again)


def forget_rejections(tx: Connection, keys: Sequence[str]) -> None:
    """Forget rejections whose rows are lost, so that they land once more if they come again."""
    key = tables.rejection_keys.c.rejection_key
    for start in range(0, len(keys), 500):
        tx.execute(delete(tables.rejection_keys).where(key.in_(keys[start : start + 500])))


def count_rejections(tx: Connection, found: Mapping[tuple[str, str], int]) -> None:
    """Lower each stream's count of rejections to what was `found` of (source id, log type)."""
    s = tables.streams.c
    for source_id, log_type, counted in tx.execute(select(s.source_id, s.log_type, s.rejections)).all():
        there = found.get((source_id, log_type), 0)
        if there < counted:
            this = (s.source_id == source_id, s.log_type == log_type)
            tx.execute(update(tables.streams).where(*this).values(rejections=there))


def rejection_keys(tx: Connection) -> list[str]:
    """Return the key of every rejection that has landed."""
    return list(tx.execute(select(tables.rejection_keys.c.rejection_key)).scalars())


def _given_up(row: RowMapping) -> GivenUp:
    return GivenUp(
        table=row["table_name"],
        path=row["path"],
        reason=row["reason"],
        noticed_us=row["noticed_us"],
        sequence=row["sequence"],
        source_id=row["source_id"],
        rows=row["rows"],
        bytes=row["bytes"],
        min_cursor_us=row["min_cursor_us"],
        max_cursor_us=row["max_cursor_us"],
        repaired_us=row["repaired_us"],
    )
