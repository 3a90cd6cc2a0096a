"""The ledger as the lake's tests use it: the real one, in memory, with a short way to land a part."""

import time
import weakref
from collections.abc import Mapping

from sqlalchemy import delete, insert, select

from ocelog.ledger import tables
from ocelog.ledger.database.dialects import insert_missing
from ocelog.ledger.database.open import open_database
from ocelog.ledger.lake import PartLedger
from ocelog.ledger.losses import LossLedger
from ocelog.ledger.rows import counters as counter_rows
from ocelog.ledger.rows import landing
from ocelog.ledger.rows.parts import part_of
from ocelog.model import GivenUp, NewPart, Part


class MemoryLedger(PartLedger):
    """Parts that landed without anybody who reads a source."""

    def __init__(self, *, ledger_id: str = "ledger-1", counters: Mapping[str, int] | None = None) -> None:
        database = open_database("sqlite:///:memory:", durable=False, create=True)
        weakref.finalize(self, database.close)
        super().__init__(database, ledger_id, lambda: time.time_ns() // 1000)
        for table, last in (counters or {}).items():
            self.raise_counter(table, last)

    def copy(self) -> "MemoryLedger":
        """Return a ledger of the same name that knows what this one knows now."""
        twin = MemoryLedger(ledger_id=self.id)
        with self._database.read() as here, twin._database.write() as there:
            for table in tables.metadata.sorted_tables:
                there.execute(delete(table))
                rows = [dict(row) for row in here.execute(select(table)).mappings()]
                if rows:
                    there.execute(insert(table), rows)
        return twin

    def land(self, part: NewPart, source_id: str = "s1", landed_us: int = 0) -> Part:
        """Commit a part under the next sequence of its table."""
        with self._database.write() as tx:
            sequence = counter_rows.hold(tx, part.table).last + 1
            landing.add_part(tx, part, source_id, sequence, landed_us)
            here = (tables.parts.c.table_name == part.table, tables.parts.c.sequence == sequence)
            return part_of(tx.execute(select(tables.parts).where(*here)).mappings().one())

    def content(self) -> bytes:
        """Return all that it holds."""
        with self._database.read() as tx:
            return repr([tx.execute(select(table)).all() for table in tables.metadata.sorted_tables]).encode()

    def lose_row(self, part: Part) -> None:
        """Forget a part that nobody has published."""
        with self._database.write() as tx:
            here = (tables.parts.c.table_name == part.table, tables.parts.c.sequence == part.sequence)
            tx.execute(delete(tables.parts).where(*here))

    def hold(self, fences: Mapping[int, int]) -> None:
        """Let there be slices with these numbers, and with the fences of their holders."""
        stream = {"source_id": "s1", "log_type": "Wiz.Issues"}
        blank = {"origin": "live", "asked_by": "x", "since_us": 0, "until_us": 1, "state": "waiting", "due_us": 0}
        with self._database.write() as tx:
            insert_missing(tx, tables.sources, id="s1", name="s1", kind="wiz", settings={}, paused=False, added_us=0)
            insert_missing(
                tx, tables.streams, **stream, events=0, repeats=0, rejections=0, unknown_fields={}, refused=[]
            )
            tx.execute(delete(tables.slices))
            for number, fence in fences.items():
                row = {"id": number, "fence": fence, "checkpoint": {}, "short_by": 0}
                tx.execute(insert(tables.slices).values(**stream, **blank, **row))

    @property
    def given_up(self) -> list[GivenUp]:
        """What was lost."""
        return LossLedger(self._database, lambda: 0).listed(repaired=True)

    @property
    def published_through(self) -> dict[str, int]:
        """How far the ledger knows each table to be published."""
        return {each.table: each.sequence for each in self.loop_marks() if each.loop == "publish"}
