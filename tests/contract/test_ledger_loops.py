"""A part stays until every loop is done with it, and a loop that is no more keeps nothing."""

from collections.abc import Callable

import pytest
from sqlalchemy import text

from bookkeeping.crashes import crash_everywhere
from bookkeeping.records import NOW, TABLE, landing, rejecting, taken
from ocelog.ledger.database import open as opening
from ocelog.ledger.database.transactions import connect
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.rows import marks
from ocelog.model import PUBLISH, REJECTIONS, LoopMark
from ocelog.times import to_us


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> Callable[[int], None]:
    """Register a second loop, and return what moves its mark."""
    monkeypatch.setattr(marks, "LOOPS", (PUBLISH, "detect"))
    return lambda to: ledger.lake.move_mark("detect", TABLE, to)


def _land(ledger: Ledger, count: int) -> None:
    held = taken(ledger)
    for n in range(count):
        ledger.pulling.land(landing(held, loaded_through=n))


def _removable(ledger: Ledger) -> list[int]:
    return [part.sequence for part in ledger.lake.removable(TABLE, 2)]


def test_a_part_stays_until_every_loop_is_done_with_it(ledger: Ledger, judged: Callable[[int], None]) -> None:
    _land(ledger, 3)
    ledger.lake.published(TABLE, 3, at_us=1)
    assert _removable(ledger) == []
    ledger.lake.forget(TABLE, [1, 2, 3])
    assert [part.sequence for part in ledger.lake.parts(TABLE)] == [1, 2, 3], "whoever asks"
    judged(2)
    assert _removable(ledger) == [1, 2]
    judged(1)
    assert [ledger.lake.mark(loop, TABLE) for loop in ("detect", PUBLISH)] == [2, 3]
    assert _removable(ledger) == [1, 2], "a mark does not go back by itself"
    ledger.lake.forget(TABLE, [1, 2, 3])
    assert [part.sequence for part in ledger.lake.parts(TABLE)] == [3]


def test_a_table_that_went_back_sets_the_mark_back_and_never_on(ledger: Ledger) -> None:
    _land(ledger, 3)
    ledger.lake.published(TABLE, 2, at_us=1)
    ledger.lake.unpublish(TABLE, 3)
    assert ledger.lake.mark(PUBLISH, TABLE) == 2
    ledger.lake.unpublish(TABLE, 1)
    assert ledger.lake.mark(PUBLISH, TABLE) == 1
    assert ledger.lake.unpublished(TABLE)[0] == 2


@pytest.mark.usefixtures("judged")
def test_what_no_rule_judges_keeps_no_rule_busy(ledger: Ledger) -> None:
    held = taken(ledger)
    ledger.pulling.land(rejecting(held, ["r1"]))
    assert ledger.lake.counter(REJECTIONS) == 1
    assert ledger.judging.due() == set()
    ledger.pulling.land(landing(held, loaded_through=1))
    assert ledger.judging.due() == {TABLE}


def test_what_another_loop_is_done_with_stays_until_it_is_published(
    ledger: Ledger, judged: Callable[[int], None]
) -> None:
    _land(ledger, 2)
    judged(2)
    ledger.lake.published(TABLE, 1, at_us=1)
    assert _removable(ledger) == [1]


def test_a_loop_that_is_no_more_keeps_nothing(
    ledger: Ledger, judged: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    _land(ledger, 2)
    judged(1)
    ledger.lake.published(TABLE, 2, at_us=1)
    monkeypatch.setattr(marks, "LOOPS", (PUBLISH,))
    assert _removable(ledger) == [1], "its mark stands until it is given up"
    with ledger._database.write() as tx:
        # As a migration does.
        tx.execute(text("DELETE FROM marks WHERE loop = 'detect'"))
    assert _removable(ledger) == [1, 2]
    assert [each.loop for each in ledger.lake.loop_marks()] == ["publish"]


def test_a_loop_that_has_no_mark_yet_is_done_with_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    _land(ledger, 1)
    ledger.lake.published(TABLE, 1, at_us=1)
    monkeypatch.setattr(marks, "LOOPS", (PUBLISH, "detect"))
    assert _removable(ledger) == []


@pytest.mark.usefixtures("judged")
def test_a_mark_is_born_with_the_counter_of_its_table(ledger: Ledger) -> None:
    _land(ledger, 1)
    assert ledger.lake.loop_marks() == [
        LoopMark(loop=loop, table=TABLE, sequence=0, parts=1, rows=1, oldest_us=to_us(NOW))
        for loop in ("detect", "publish")
    ]


def test_a_loop_that_lags_is_told_with_what_lies_before_it(ledger: Ledger, judged: Callable[[int], None]) -> None:
    _land(ledger, 3)
    judged(1)
    ledger.lake.published(TABLE, 3, at_us=1)
    detect, publish = ledger.lake.loop_marks()
    assert (detect.sequence, detect.parts, detect.rows, detect.oldest_us) == (1, 2, 2, to_us(NOW))
    assert (publish.sequence, publish.parts, publish.rows, publish.oldest_us) == (3, 0, 0, None)


def test_a_table_that_went_back_is_published_again_from_there(ledger: Ledger) -> None:
    _land(ledger, 3)
    ledger.lake.published(TABLE, 3, at_us=1)
    ledger.lake.unpublish(TABLE, 1)
    assert [each.sequence for each in ledger.lake.loop_marks()] == [1]
    assert _removable(ledger) == [1]


def test_a_crash_at_any_statement_of_a_note_of_publishing_leaves_nothing_behind(ledger: Ledger) -> None:
    _land(ledger, 2)
    assert crash_everywhere(ledger, lambda: ledger.lake.published(TABLE, 2, at_us=1)) >= 4


def test_what_fails_is_kept_with_its_code_and_since_when_until_it_works(ledger: Ledger) -> None:
    ledger.lake.table_failed(TABLE, "publishing", code="disk_full", reason="no room")
    ledger.lake.loop_failed("detect", "work", code="unexpected", reason="a bug")
    (before,) = ledger.lake.table_faults()
    ledger.lake.table_failed(TABLE, "publishing", code="lake_damaged", reason="cut")
    (after,) = ledger.lake.table_faults()
    assert (before.code, before.reason, after.code, after.reason) == ("disk_full", "no room", "lake_damaged", "cut")
    assert (after.table, after.what, after.since) == (TABLE, "publishing", before.since)
    (loop,) = ledger.lake.loop_faults()
    assert (loop.loop, loop.during, loop.code, loop.reason) == ("detect", "work", "unexpected", "a bug")
    ledger.lake.table_well(TABLE, "publishing")
    ledger.lake.loop_well("detect", "work")
    assert (ledger.lake.table_faults(), ledger.lake.loop_faults()) == ([], [])


def test_publishing_is_where_it_was_after_the_migration(address: str) -> None:
    database = connect(address, durable=False)
    part = (
        "INSERT INTO parts (table_name, sequence, path, source_id, rows, bytes, min_cursor_us, max_cursor_us, landed_us"
        ", published_us) VALUES (:table, :number, :path, 'acme', 1, 1, 0, 0, 0, :published)"
    )
    with database.write() as tx:
        opening.migrate(tx, "0009")
        for table, last in (("waiting", 4), ("published", 3), ("cleaned", 7)):
            counter = text("INSERT INTO counters (table_name, last, removed_through) VALUES (:table, :last, 0)")
            tx.execute(counter, {"table": table, "last": last})
        for number, published in ((2, 5), (3, None), (4, None)):
            told = {"table": "waiting", "number": number, "path": f"w{number}", "published": published}
            tx.execute(text(part), told)
        tx.execute(text(part), {"table": "published", "number": 3, "path": "p", "published": 5})
    database.close()
    migrated = Ledger.open(address)
    assert {each.table: each.sequence for each in migrated.lake.loop_marks()} == {
        "waiting": 2,
        "published": 3,
        "cleaned": 7,
    }
    migrated.close()
