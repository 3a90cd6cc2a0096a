"""Which records a rule gets to know when it is turned on: the open ones, as they were where the loop is."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from lakeside.ledger import MemoryLedger
from lakeside.things import SCHEMAS, row, rows
from ocelog.alert.ports import LoopBacklog
from ocelog.app.loops import seeding
from ocelog.app.loops.seeding import CurrentRecords
from ocelog.lake.lake import FileLake
from ocelog.lake.write.publish import Publisher
from ocelog.model import Position
from ocelog.sources.wiz.streams import ROOTS

TABLE = "wiz_issues"
KIND = ROOTS["Wiz.Issues"].kind


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CurrentRecords:
    """Return the records of a table with a published part and two that wait, of which the loop is amid the first."""
    monkeypatch.setattr(seeding, "table_schemas", lambda: SCHEMAS)
    ledger = MemoryLedger()
    lake = FileLake(tmp_path, ledger, SCHEMAS)
    parts = (
        [row("a", 1), row("b", 1), row("c", 1), row("d", 1), row("a", 1, source="s2"), row("x", 1, source="gone")],
        # The loop has passed the first two of these.
        [row("b", 2, severity="HIGH"), row("c", 2, status="RESOLVED"), row("a", 3, status="RESOLVED"), row("f", 3)],
        [row("d", 4, status="RESOLVED"), row("c", 4)],
    )
    for number, listed in enumerate(parts):
        ledger.land(lake.write(TABLE, f"1-1-{number}", rows(listed)))
        if number == 0:
            Publisher(tmp_path, ledger, SCHEMAS).publish(TABLE)
    mark = Position(sequence=1, row=2)
    ahead = [part for part in ledger.parts(TABLE) if part.sequence > mark.sequence]
    waiting = LoopBacklog(since=mark, last=3, parts=ahead)
    installation = SimpleNamespace(
        home=SimpleNamespace(path=tmp_path),
        ledger=SimpleNamespace(
            lake=ledger,
            alerts=SimpleNamespace(alerted_records=lambda _log_type: [("s1", "c"), ("s2", "b"), ("s1", "b")]),
            judging=SimpleNamespace(waiting=lambda *_, **__: waiting),
            sources=SimpleNamespace(listed=lambda: [SimpleNamespace(id="s1"), SimpleNamespace(id="s2")]),
        ),
    )
    return CurrentRecords(installation=cast("Any", installation), lake=lake, jury=cast("Any", None), page_rows=2)


def test_records_come_in_pages_as_they_were_at_the_mark(records: CurrentRecords) -> None:
    after, found = None, list[tuple[str, str, str | None]]()
    for _ in range(3):
        page, is_last = records.page(TABLE, KIND, after, Position(sequence=1, row=2))
        listed = [(each["p_source_id"], each["id"], each["severity"]) for each in page.to_pylist()]
        found += listed
        if is_last:
            break
        after = listed[-1][:2]
    assert is_last
    # One that is not open has an alert that is.
    of_first = [("s1", "a", None), ("s1", "b", "HIGH"), ("s1", "c", None), ("s1", "d", None)]
    assert found == [*of_first, ("s2", "a", None)]


def test_a_table_with_nothing_in_it_asks_no_engine(records: CurrentRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeding, "Queries", None)
    page, is_last = records.page("wiz_audit", KIND, None, Position(sequence=1))
    assert (len(page), is_last) == (0, True)


def test_a_part_that_a_purge_has_deleted_keeps_nobody_from_what_others_have(records: CurrentRecords) -> None:
    judging = records.installation.ledger.judging
    there = judging.waiting(TABLE)
    gone = replace(there.parts[-1], sequence=4, source_id="gone", path="landing/wiz_issues/deleted.parquet")
    waiting = replace(there, last=4, parts=[*there.parts, gone], removed=frozenset({"gone"}))
    judging.waiting = lambda *_, **__: waiting  # type: ignore[method-assign] # stands in for the ledger
    page, _ = records.page(TABLE, KIND, None, Position(sequence=1, row=2))
    assert len(page) == 2
