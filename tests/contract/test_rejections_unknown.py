"""A rejection remembers which fields its answer could not show, so that no replay takes null for a change."""

from pathlib import Path

import pyarrow.parquet as pq

from ocelog.assemble import table_schemas
from ocelog.instants import from_us
from ocelog.lake.lake import FileLake
from ocelog.ledger.store import Ledger, SourceRow
from ocelog.model import REJECTIONS, Origin, Slice, table_name
from ocelog.pull.landing import Lander
from ocelog.pull.memory import Memory
from ocelog.pull.ports import Page
from ocelog.pull.slices import ask_of
from ocelog.schema.table import rejection_rows
from ocelog.sources.wiz.streams import KINDS
from shaping import ISSUES, shaper_of


def test_a_rejection_keeps_the_fields_that_were_refused_or_failed_in_its_answer(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", durable=False)
    ledger.add_source(SourceRow(id="s", name="s", kind="wiz", added_us=0))
    kind = KINDS["Wiz.Issues"]
    marks = ledger.marks("s", kind.log_type)
    since, until = from_us(0), from_us(10**15)
    (slice_,) = ledger.plan(
        marks,
        marks,
        [Slice(source_id="s", log_type=kind.log_type, origin=Origin.LIVE, by="createdAt", since=since, until=until)],
    )
    lake = FileLake(tmp_path, ledger, table_schemas())
    table = table_name(kind.log_type)
    lander = Lander(
        ledger=ledger,
        lake=lake,
        kind=kind,
        table=table,
        source_label="s",
        rejection_rows=rejection_rows,
        memory=Memory(lake, table, slice_, kind.cursor_field),
    )
    page = Page(
        records=b'[{"id":"good","createdAt":"2001-01-01T00:00:00Z"},{"id":"bad","createdAt":"2001-01-01T00:00:00Z",'
        b'"projects":"none"}]',
        end_cursor=None,
        has_next=False,
        total=2,
        capped=False,
        asked_us=1,
        refused=frozenset({"notes"}),
        unknown={1: frozenset({"dueAt"}), 0: frozenset({"type"})},
    )
    landed = lander.land(page, ask_of(slice_, 500), shaper_of(ISSUES).shape(page.records), moving=slice_, to=slice_)
    assert (landed.events, landed.rejections) == (1, 1)
    (part,) = ledger.parts(REJECTIONS)
    (row,) = pq.read_table(tmp_path / part.path).to_pylist()
    assert (row["record_id"], row["unknown_fields"]) == ("bad", ["dueAt", "notes"])
    ledger.close()
