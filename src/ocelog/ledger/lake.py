"""Which parts have landed, how far they are published, and which may go: the ledger as the lake uses it."""

from collections.abc import Callable, Collection

from sqlalchemy import and_, bindparam, case, delete, func, insert, or_, select, update

from ocelog.ledger import tables
from ocelog.ledger.database.batches import batches
from ocelog.ledger.database.dialects import bounded
from ocelog.ledger.database.transactions import Database
from ocelog.ledger.rows import claims, counters, losses, marks
from ocelog.ledger.rows.parts import part_of
from ocelog.model import PUBLISH, GivenUp, LoopFault, LoopMark, Part, TableFault
from ocelog.times import from_us

_NO_TABLE = ""
"""Stands for a table where something is wrong with a loop as a whole."""
_p = tables.parts.c
_g = tables.given_up.c
_t = tables.table_faults.c
_ABOVE = (
    select(tables.parts)
    .where(_p.table_name == bindparam("table"), _p.sequence > bindparam("above"))
    .order_by(_p.sequence)
)


class PartLedger:
    """The parts of each table: in which order they landed, which are published, and which may go. Fits LakeLedger."""

    def __init__(self, database: Database, ledger_id: str, now_us: Callable[[], int]) -> None:
        self._database = database
        self._now_us = now_us
        self.id = ledger_id
        """Names the ledger: a mark says whose sequence numbers it counts in."""

    def parts(self, table: str, above: int = 0) -> list[Part]:
        """Return the parts of `table` whose sequence is greater than `above`, in the order of their commits."""
        with self._database.read() as tx:
            return [part_of(row) for row in tx.execute(_ABOVE, {"table": table, "above": above}).mappings()]

    def tables(self) -> list[str]:
        """Return the tables into which anything has landed."""
        with self._database.read() as tx:
            return list(tx.execute(select(tables.counters.c.table_name)).scalars())

    def counter(self, table: str) -> int:
        """Return the sequence of the newest part that `table` ever had."""
        with self._database.read() as tx:
            return counters.last(tx, table)

    def raise_counter(self, table: str, to: int) -> None:
        """Let the next part of `table` be numbered above `to`. Never lowers it."""
        with self._database.write() as tx:
            counters.raise_to(tx, table, to)

    def removed_through(self, table: str) -> int:
        """Return the greatest sequence of a part of `table` whose row is gone."""
        with self._database.read() as tx:
            return counters.removed_through(tx, table)

    def published(self, table: str, through: int, at_us: int) -> None:
        """Note that the parts up to `through` are in the lake's table; an earlier note stays.

        One that is dated later was made by a clock that was ahead, and would keep their files for as long.
        """
        with self._database.write() as tx:
            counters.hold(tx, table)
            undated = or_(_p.published_us.is_(None), _p.published_us > at_us)
            fresh = and_(_p.table_name == table, _p.sequence <= through, undated)
            tx.execute(update(tables.parts).where(fresh).values(published_us=at_us))
            marks.advance(tx, PUBLISH, table, through)

    def unpublish(self, table: str, mark: int) -> None:
        """Let the parts above `mark`, to which the table went back, wait for being published again."""
        with self._database.write() as tx:
            counters.hold(tx, table)
            above = (_p.table_name == table, _p.sequence > mark)
            tx.execute(update(tables.parts).where(*above).values(published_us=None))
            marks.set_back(tx, PUBLISH, table, mark)

    def unpublished(self, table: str) -> tuple[int, int, int, int | None]:
        """Return parts, rows and bytes that are not in the lake's table yet, and when the oldest of them landed."""
        with self._database.read() as tx:
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

    def loop_marks(self) -> list[LoopMark]:
        """Return how far each loop has come in each table, and how much lies before it."""
        with self._database.read() as tx:
            return marks.listed(tx)

    def mark(self, loop: str, table: str) -> int:
        """Return the sequence of the last part of `table` that `loop` is done with; 0: it has not begun."""
        with self._database.read() as tx:
            return marks.mark(tx, loop, table)

    def move_mark(self, loop: str, table: str, to: int) -> None:
        """Note that `loop` is done with the parts up to `to`; a mark never goes back.

        For a loop whose result is durable somewhere else. One that lands in the ledger has a port of its own, which
        moves the mark in the transaction of its result, by `marks.advance`.
        """
        with self._database.write() as tx:
            counters.hold(tx, table)
            marks.advance(tx, loop, table, to)

    def removable(self, table: str, published_before_us: int) -> list[Part]:
        """Return the parts that every loop is done with, and that were published before an instant of our clock."""
        with self._database.read() as tx:
            old = and_(
                _p.table_name == table, _p.published_us < published_before_us, _p.sequence <= marks.passed(tx, table)
            )
            return [
                part_of(row) for row in tx.execute(select(tables.parts).where(old).order_by(_p.sequence)).mappings()
            ]

    def forget(self, table: str, sequences: Collection[int]) -> None:
        """Delete the rows of parts, and remember how far that went; what a loop is not done with stays.

        Publishing is one of the loops, so what is not published stays too.
        """
        with self._database.write() as tx:
            counters.hold(tx, table)
            passed = marks.passed(tx, table)
            gone = list[int]()
            for some in batches(sorted(sequence for sequence in sequences if sequence <= passed)):
                these = _p.sequence.in_(some)
                old = delete(tables.parts).where(_p.table_name == table, these)
                gone += tx.execute(old.returning(_p.sequence)).scalars()
            if gone:
                counters.raise_removed(tx, table, max(gone))

    def landing_state(self, table: str) -> tuple[frozenset[str], dict[str, int]]:
        """Return the paths of the parts of `table`, and the fence of every claim by its name, of one instant.

        A part that was set aside is one of them, also once its time range is planned again: it may come back whole, and
        then it may be all that is left of its records.
        """
        with self._database.read() as tx:
            landed = select(_p.path).where(_p.table_name == table)
            paths = tx.execute(landed.union_all(select(_g.path).where(_g.table_name == table))).scalars()
            fences = tx.execute(select(tables.slices.c.id, tables.slices.c.fence))
            return frozenset(paths), {str(row.id): row.fence for row in fences} | claims.fences(tx)

    def part_failed(self, table: str, sequence: int, at_us: int) -> tuple[int, int]:
        """Count one more try at which a part could not be read; return how many that makes, and since when.

        An instant that lies ahead of `at_us` is of a clock that was wrong: then it begins now.
        """
        with self._database.write() as tx:
            this = (_p.table_name == table, _p.sequence == sequence)
            since = case((_p.failed_us <= at_us, _p.failed_us), else_=at_us)
            values = {"failures": func.coalesce(_p.failures, 0) + 1, "failed_us": since}
            found = tx.execute(update(tables.parts).where(*this).values(values).returning(_p.failures, _p.failed_us))
            row = found.one_or_none()
            return (0, at_us) if row is None else (row.failures, row.failed_us)

    def parts_whole(self, table: str, sequences: Collection[int]) -> None:
        """Forget that parts could not be read: they can be now."""
        with self._database.write() as tx:
            for some in batches(sorted(sequences)):
                these = (_p.table_name == table, _p.sequence.in_(some), _p.failures.is_not(None))
                tx.execute(update(tables.parts).where(*these).values(failures=None, failed_us=None))

    def set_aside(self, lost: GivenUp) -> None:
        """Take a part out of what is to be published, and remember it as lost."""
        with self._database.write() as tx:
            counters.hold(tx, lost.table)
            tx.execute(delete(tables.parts).where(_p.table_name == lost.table, _p.sequence == lost.sequence))
            losses.note(tx, lost)

    def table_failed(self, table: str, what: str, *, code: str, reason: str) -> None:
        """Note that `what` failed for `table` just now, by an error of this `code`; since when it fails stays."""
        now_us = self._now_us()
        with self._database.write() as tx:
            this = (_t.table_name == table, _t.what == what)
            told = {"code": code, "reason": bounded(reason), "last_us": now_us}
            if tx.execute(update(tables.table_faults).where(*this).values(told)).rowcount == 0:
                tx.execute(insert(tables.table_faults).values(table_name=table, what=what, since_us=now_us, **told))

    def table_well(self, table: str, what: str) -> None:
        """Forget what was wrong."""
        with self._database.write() as tx:
            tx.execute(delete(tables.table_faults).where(_t.table_name == table, _t.what == what))

    def table_faults(self) -> list[TableFault]:
        """Return what is wrong, by table."""
        with self._database.read() as tx:
            of_tables = select(tables.table_faults).where(_t.table_name != _NO_TABLE)
            rows = tx.execute(of_tables.order_by(_t.table_name, _t.what))
            return [
                TableFault(
                    table=row.table_name,
                    what=row.what,
                    code=row.code,
                    reason=row.reason,
                    since=from_us(row.since_us),
                    last=from_us(row.last_us),
                )
                for row in rows
            ]

    def loop_failed(self, loop: str, during: str, *, code: str, reason: str) -> None:
        """Note that a loop fails, and `during` what: one word; since when it fails stays."""
        self.table_failed(_NO_TABLE, f"{loop} {during}", code=code, reason=reason)

    def loop_well(self, loop: str, during: str) -> None:
        """Forget what was wrong with a loop."""
        self.table_well(_NO_TABLE, f"{loop} {during}")

    def loop_faults(self) -> list[LoopFault]:
        """Return what is wrong with loops, by their names."""
        with self._database.read() as tx:
            of_loops = select(tables.table_faults).where(_t.table_name == _NO_TABLE)
            named = [(row.what.rpartition(" "), row) for row in tx.execute(of_loops.order_by(_t.what))]
            return [
                LoopFault(loop=loop, during=during, code=row.code, reason=row.reason, since=from_us(row.since_us))
                for (loop, _, during), row in named
            ]
