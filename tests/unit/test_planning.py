"""Which slices the ledger forgets once they are read."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from bookkeeping.records import ISSUES, NOW, Clock, planned, slice_of
from ocelog.instants import to_us
from ocelog.ledger.store import Ledger
from ocelog.model import Checkpoint, Origin, Slice, SliceState, StreamFaults
from ocelog.planning import REMEMBERED, forget_old, lacking, plan_stretch, totals_are_right_again

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


def test_totals_that_were_off_are_right_again_once_their_ranges_are_read_in_full(ledger: Ledger) -> None:
    def read(since: int, until: int, met: int, total: int, **more: Any) -> Slice:
        checkpoint = Checkpoint(met=met, total=total)
        return slice_of(
            state=SliceState.DRAINED, since=NOW + since * HOUR, until=NOW + until * HOUR, checkpoint=checkpoint, **more
        )

    (first, *_) = planned(ledger, read(0, 2, 8, 9), read(2, 4, 7, 8))
    assert not totals_are_right_again(ledger, first), "they were never found to be off"
    for day in range(2):
        ledger.save_stream_faults(first, StreamFaults(total_off_by=1, total_off_at=NOW + 24 * day * HOUR))
    (found,) = ledger.streams()
    assert (found.total_off_by, found.total_off_since_us) == (1, to_us(NOW))
    (half,) = planned(ledger, read(0, 2, 9, 9, origin=Origin.BACKFILL))
    assert not totals_are_right_again(ledger, half)
    (again,) = planned(ledger, read(1, 4, 15, 15, origin=Origin.BACKFILL))
    assert totals_are_right_again(ledger, again)
    (found,) = ledger.streams()
    assert (found.total_off_by, found.total_off_since_us) == (None, None)
