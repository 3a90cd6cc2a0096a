"""How far each loop has come in each table: a part may go once every loop's mark has passed it.

A loop takes the parts of a table in the order of their numbers. Its mark is the number of the last one that it is done
with. A mark is born 0 together with its table's counter, so that a loop meets the first part of a new table; for the
tables of an installation that is there already, the migration that brings a new loop says where it begins.
"""

from sqlalchemy import Connection, and_, bindparam, func, select, update

from ocelog.ledger import tables
from ocelog.ledger.database.dialects import insert_missing
from ocelog.model import DETECT, LOOPS, NOT_JUDGED, LoopMark, Position

_c = tables.counters.c
_m = tables.marks.c
_p = tables.parts.c


def loops_of(table: str) -> list[str]:
    """Return the loops that take the parts of `table`."""
    return [loop for loop in LOOPS if loop != DETECT or table not in NOT_JUDGED]


def begin(tx: Connection, table: str) -> None:
    """Give every loop its mark of a new table. The counter row must be held."""
    for loop in loops_of(table):
        insert_missing(tx, tables.marks, loop=loop, table_name=table, sequence=0)


def advance(tx: Connection, loop: str, table: str, to: int) -> None:
    """Move a mark on; it never goes back. The counter row must be held."""
    insert_missing(tx, tables.marks, loop=loop, table_name=table, sequence=0)
    tx.execute(_BEFORE, {"of": loop, "table": table, "to": to, "sequence": to, "row": 0})


def set_back(tx: Connection, loop: str, table: str, to: int) -> None:
    """Let a loop do again what lies above `to`. The counter row must be held."""
    this = and_(_m.loop == loop, _m.table_name == table)
    tx.execute(update(tables.marks).where(this, _m.sequence > to).values(sequence=to, row=0))


def mark(tx: Connection, loop: str, table: str) -> int:
    """Return the number of the last part of `table` that `loop` is done with."""
    return position(tx, loop, table).sequence


def position(tx: Connection, loop: str, table: str) -> Position:
    """Return how far `loop` has come in `table`, to the row."""
    row = tx.execute(_POSITION, {"of": loop, "table": table}).one_or_none()
    return Position() if row is None else Position(sequence=row.sequence, row=row.row)


def move(tx: Connection, loop: str, table: str, since: Position, to: Position) -> bool:
    """Move a mark that is at `since` to `to`; False: it is somewhere else. The counter row must be held."""
    if position(tx, loop, table) != since:
        return False
    insert_missing(tx, tables.marks, loop=loop, table_name=table, sequence=0, row=0)
    tx.execute(_MOVED, {"of": loop, "table": table, "sequence": to.sequence, "row": to.row})
    return True


# Built once: building a statement takes as long as running it.
_THIS = (_m.loop == bindparam("of"), _m.table_name == bindparam("table"))
_POSITION = select(_m.sequence, _m.row).where(*_THIS)
_MOVED = update(tables.marks).where(*_THIS)
_BEFORE = _MOVED.where(_m.sequence < bindparam("to"))
_ALL = select(_m.loop, _m.sequence).where(_m.table_name == bindparam("table"))


def behind(tx: Connection, loop: str) -> set[str]:
    """Return the tables in which something has landed that `loop` is not done with."""
    here = and_(_m.loop == loop, _m.table_name == _c.table_name)
    found = select(_c.table_name).select_from(tables.counters.outerjoin(tables.marks, here))
    late = tx.execute(found.where(_c.last > func.coalesce(_m.sequence, 0))).scalars()
    return {table for table in late if loop in loops_of(table)}


def held_bytes(tx: Connection, loop: str) -> dict[str, int]:
    """Return how much the parts hold that `loop` is not done with, by table."""
    here = and_(_m.loop == loop, _m.table_name == _p.table_name)
    found = select(_p.table_name, func.sum(_p.bytes)).select_from(tables.parts.outerjoin(tables.marks, here))
    held = found.where(_p.sequence > func.coalesce(_m.sequence, 0)).group_by(_p.table_name)
    return {table: int(size) for table, size in tx.execute(held) if loop in loops_of(table)}


def passed(tx: Connection, table: str) -> int:
    """Return the number of the last part of `table` that every loop is done with."""
    found: dict[str, int] = {row.loop: row.sequence for row in tx.execute(_ALL, {"table": table})}
    return min([*found.values(), *(0 for loop in loops_of(table) if loop not in found)])


def listed(tx: Connection) -> list[LoopMark]:
    """Return how far each loop has come in each table, and how much lies before it."""
    before = and_(_p.table_name == _m.table_name, _p.sequence > _m.sequence)
    found = (
        select(
            _m.loop,
            _m.table_name,
            _m.sequence,
            func.count(_p.sequence).label("parts"),
            func.coalesce(func.sum(_p.rows), 0).label("rows"),
            func.min(_p.landed_us).label("oldest_us"),
        )
        .select_from(tables.marks.outerjoin(tables.parts, before))
        .group_by(_m.loop, _m.table_name, _m.sequence)
        .order_by(_m.loop, _m.table_name)
    )
    return [
        LoopMark(
            loop=row.loop,
            table=row.table_name,
            sequence=row.sequence,
            parts=row.parts,
            # PostgreSQL sums BIGINT into NUMERIC.
            rows=int(row.rows),
            oldest_us=row.oldest_us,
        )
        for row in tx.execute(found)
    ]
