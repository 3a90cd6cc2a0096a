"""Which slices the ledger forgets once they are read."""

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from bookkeeping.records import ISSUES, NOW, Clock, planned, slice_of
from ocelog.ledger.store import Ledger
from ocelog.model import SliceState
from ocelog.planning import REMEMBERED, forget_old

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
