"""When the one summary of a new source comes, and that it comes once."""

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import select, update

from bookkeeping.alerts import alert_of, opened
from bookkeeping.records import ISSUES, NOW, slice_of, source_row
from ocelog.alert.ids import ONBOARDED
from ocelog.alert.listing import AlertFilter
from ocelog.app.loops.onboarding import Onboarding
from ocelog.ledger import tables
from ocelog.ledger.ledger import Ledger
from ocelog.model import Origin, Severity
from ocelog.times import to_us

AUDIT = "Wiz.Audit"
SUMMARIES = AlertFilter(rule=ONBOARDED, untold=True)
_s = tables.slices.c


def planned(ledger: Ledger, *, added_us: int = 1) -> None:
    """Plan the past of two streams of a new source."""
    ledger.sources.add(replace(source_row(), added_us=added_us))
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


def test_a_source_that_was_purged_and_came_again_has_a_summary_again(ledger: Ledger) -> None:
    onboarding = Onboarding(ledger)
    for added_us in (1, 2):
        planned(ledger, added_us=added_us)
        known(ledger, 1)
        for log_type in (ISSUES, AUDIT):
            change(ledger, log_type, state="drained")
        onboarding.look(to_us(NOW))
        assert [each.matches for each in ledger.alerts.listed(SUMMARIES, limit=9)] == [1]
        ledger.sources.purge("acme")


def test_of_a_source_that_is_purged_as_it_is_summarised_nothing_stays(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned(ledger)
    for log_type in (ISSUES, AUDIT):
        change(ledger, log_type, state="drained")

    def purged(source_id: str) -> dict[Severity, int]:
        ledger.sources.purge(source_id)
        return {Severity.HIGH: 3}

    monkeypatch.setattr(ledger.system_errors, "known_open", purged)
    assert summaries(ledger) == []
