"""Which slices the ledger forgets once they are read."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from bookkeeping.records import ISSUES, NOW, Clock, planned, slice_of
from ocelog.ledger.store import Ledger
from ocelog.model import Origin, SliceState
from ocelog.planning import REMEMBERED, forget_old, lacking, plan_stretch

STREAM: Any = SimpleNamespace(key=("acme", ISSUES), source=SimpleNamespace(now=lambda: NOW))
OLD = NOW - REMEMBERED
HOUR = timedelta(hours=1)


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger.open("sqlite:///:memory:", durable=False, now=Clock())
    yield ledger
    ledger.close()


def test_a_week_of_slices_is_kept(ledger: Ledger) -> None:
    read = slice_of(state=SliceState.DRAINED, since=OLD - HOUR, until=OLD)
    later = slice_of(state=SliceState.DRAINED, since=OLD, until=OLD + HOUR)
    planned(ledger, read, later)
    forget_old(ledger, STREAM)
    assert [each.until for each in ledger.slices()] == [OLD + HOUR]


def test_nothing_is_forgotten_while_a_stretch_is_short(ledger: Ledger) -> None:
    short = slice_of(state=SliceState.DRAINED, since=OLD - HOUR, until=OLD, short_by=3)
    planned(ledger, short, slice_of(state=SliceState.DRAINED, since=OLD - 2 * HOUR, until=OLD - HOUR))
    forget_old(ledger, STREAM)
    assert len(ledger.slices()) == 2


def test_a_stretch_that_was_made_good_goes_together_with_what_made_it_good(ledger: Ledger) -> None:
    short = slice_of(state=SliceState.DRAINED, since=OLD - HOUR, until=OLD, short_by=3)
    planned(ledger, short, slice_of(state=SliceState.DRAINED, since=OLD - HOUR, until=OLD))
    forget_old(ledger, STREAM)
    assert ledger.slices() == []


def test_a_stretch_is_asked_by_the_date_too_by_which_something_in_it_was_short(ledger: Ledger) -> None:
    short = slice_of(
        state=SliceState.DRAINED, origin=Origin.SWEEP, by="createdAt", since=OLD, until=OLD + HOUR, short_by=1
    )
    planned(ledger, short)
    stream: Any = SimpleNamespace(
        key=("acme", ISSUES),
        source=STREAM.source,
        kind=SimpleNamespace(cursor_field="statusChangedAt", also_live_by=()),
    )
    plan_stretch(ledger, stream, (OLD - HOUR, OLD))
    assert [each.by for each in ledger.slices(states={SliceState.WAITING})] == ["statusChangedAt"]
    plan_stretch(ledger, stream, (OLD, OLD + HOUR))
    assert [each.by for each in ledger.slices(states={SliceState.WAITING})][1:] == ["statusChangedAt", "createdAt"]
    assert lacking(ledger, stream) == 1
    for each in ledger.slices(states={SliceState.WAITING}):
        ledger.move(each, replace(each, state=SliceState.DRAINED))
    assert lacking(ledger, stream) == 0
