"""Which parts have landed, which of them are published, and which may go."""

from collections.abc import Collection

from sqlalchemy import Connection, RowMapping, and_, bindparam, delete, func, or_, select, update

from ocelog.ledger import claims, counters, loops, tables
from ocelog.model import Part

_AT_ONCE = 500
"""Values in one IN list."""
_p = tables.parts.c
_g = tables.given_up.c


def listed(tx: Connection, table: str, above: int) -> list[Part]:
    """Return the parts of `table` whose sequence is greater than `above`, in the order of their commits."""
    return [part_of(row) for row in tx.execute(_ABOVE, {"table": table, "above": above}).mappings()]


_ABOVE = (
    select(tables.parts)
    .where(_p.table_name == bindparam("table"), _p.sequence > bindparam("above"))
    .order_by(_p.sequence)
)


def published(tx: Connection, table: str, through: int, at_us: int) -> None:
    """Note that the parts up to `through` are in the lake's table; an earlier note stays.

    One that is dated later was made by a clock that was ahead, and would keep their files for as long.
    """
    counters.hold(tx, table)
    undated = or_(_p.published_us.is_(None), _p.published_us > at_us)
    fresh = and_(_p.table_name == table, _p.sequence <= through, undated)
    tx.execute(update(tables.parts).where(fresh).values(published_us=at_us))
    loops.advance(tx, loops.PUBLISH, table, through)


def removable(tx: Connection, table: str, published_before_us: int) -> list[Part]:
    """Return the parts that every loop is done with, and that were published before an instant of our clock."""
    old = and_(_p.table_name == table, _p.published_us < published_before_us, _p.sequence <= loops.passed(tx, table))
    return [part_of(row) for row in tx.execute(select(tables.parts).where(old).order_by(_p.sequence)).mappings()]


def forget(tx: Connection, table: str, sequences: Collection[int]) -> None:
    """Delete the rows of parts, and remember how far that went; what a loop is not done with stays, whoever asks."""
    counters.hold(tx, table)
    passed = loops.passed(tx, table)
    numbers = sorted(sequence for sequence in sequences if sequence <= passed)
    gone = list[int]()
    for start in range(0, len(numbers), _AT_ONCE):
        some = _p.sequence.in_(numbers[start : start + _AT_ONCE])
        old = delete(tables.parts).where(_p.table_name == table, some, _p.published_us.is_not(None))
        gone += tx.execute(old.returning(_p.sequence)).scalars()
    if gone:
        counters.raise_removed(tx, table, max(gone))


def landing_state(tx: Connection, table: str) -> tuple[frozenset[str], dict[str, int]]:
    """Return the paths of the parts of `table`, and the fence of every claim by its name, of one instant.

    A part that was set aside is one of them, also once its range is planned again: it may come back whole, and then
    it may be all that is left of its records.
    """
    landed = select(_p.path).where(_p.table_name == table)
    paths = tx.execute(landed.union_all(select(_g.path).where(_g.table_name == table))).scalars()
    fences = tx.execute(select(tables.slices.c.id, tables.slices.c.fence))
    return frozenset(paths), {str(row.id): row.fence for row in fences} | claims.fences(tx)


def unpublished(tx: Connection, table: str) -> tuple[int, int, int, int | None]:
    """Return parts, rows and bytes that are not in the lake's table yet, and when the oldest of them landed."""
    waiting = and_(_p.table_name == table, _p.published_us.is_(None))
    figures = select(
        func.count(),
        func.coalesce(func.sum(_p.rows), 0),
        func.coalesce(func.sum(_p.bytes), 0),
        func.min(_p.landed_us),
    ).where(waiting)
    count, rows, bytes_, oldest = tx.execute(figures).one()
    # PostgreSQL sums BIGINT into NUMERIC.
    return count, int(rows), int(bytes_), oldest


def part_of(row: RowMapping) -> Part:
    """Read a row of the table as a value."""
    return Part(
        table=row["table_name"],
        sequence=row["sequence"],
        path=row["path"],
        rows=row["rows"],
        bytes=row["bytes"],
        min_cursor_us=row["min_cursor_us"],
        max_cursor_us=row["max_cursor_us"],
        landed_us=row["landed_us"],
        source_id=row["source_id"],
    )
