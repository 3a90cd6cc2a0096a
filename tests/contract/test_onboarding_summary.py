"""When the one summary of a new source comes, and that it comes once."""

from datetime import datetime, timedelta

from msgspec.structs import replace
from sqlalchemy import select, update

from bookkeeping.alerts import alert_of, opened
from bookkeeping.records import ISSUES, NOW, slice_of, source_row
from ocelog.alert.ids import ONBOARDED
from ocelog.app.loops.onboarding import Onboarding
from ocelog.ledger import tables
from ocelog.ledger.ledger import Ledger
from ocelog.model import Origin
from ocelog.times import to_us

AUDIT = "Wiz.Audit"
_s = tables.slices.c


def planned(ledger: Ledger) -> None:
    """Plan the past of two streams of a new source."""
    ledger.sources.add(source_row())
    for log_type in (ISSUES, AUDIT):
        before = ledger.pulling.marks("acme", log_type)
        ledger.pulling.plan(before, replace(before, edge=NOW), [slice_of(log_type=log_type, origin=Origin.BACKFILL)])


def change(ledger: Ledger, log_type: str, **values: object) -> None:
    with ledger._database.write() as tx:
        tx.execute(update(tables.slices).where(_s.log_type == log_type).values(values))


def summaries(ledger: Ledger, at: datetime = NOW) -> list[tuple[int, bool]]:
    """Let a new process look, and return how many each summary counts, and whether people hear of it."""
    Onboarding(ledger).look(to_us(at))
    a = tables.alerts.c
    with ledger._database.read() as tx:
        return [(row.matches, row.told) for row in tx.execute(select(a.matches, a.told).where(a.rule_id == ONBOARDED))]


def known(ledger: Ledger, number: int) -> None:
    opened(ledger, alert_of(number, record_id=f"r{number}", known=True, to_be_told=False))


def test_what_is_known_later_is_no_news_of_a_source_without_any(ledger: Ledger) -> None:
    planned(ledger)
    for log_type in (ISSUES, AUDIT):
        change(ledger, log_type, state="drained")
    assert summaries(ledger) == [(0, False)]
    known(ledger, 1)
    assert summaries(ledger, NOW + timedelta(days=90)) == [(0, False)]


def test_a_stream_that_cannot_be_read_keeps_the_summary_for_a_day(ledger: Ledger) -> None:
    planned(ledger)
    known(ledger, 1)
    change(ledger, ISSUES, state="drained")
    change(ledger, AUDIT, failing_us=to_us(NOW))
    assert summaries(ledger, NOW + timedelta(hours=23)) == []
    assert summaries(ledger, NOW + timedelta(hours=24)) == [(1, True)]
    assert summaries(ledger, NOW + timedelta(hours=48)) == [(1, True)]


def test_a_stream_that_is_still_read_keeps_the_summary(ledger: Ledger) -> None:
    planned(ledger)
    known(ledger, 1)
    change(ledger, ISSUES, state="drained")
    assert summaries(ledger, NOW + timedelta(days=9)) == []
