"""Which slices the ledger forgets once they are read."""

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from bookkeeping.records import ISSUES, NOW, Clock, planned, slice_of
from ocelog.app.loops.planning import REMEMBERED, forget_old, lacking, plan_time_range, totals_are_right_again
from ocelog.ledger.ledger import Ledger
from ocelog.model import Checkpoint, Origin, Slice, SliceState, StreamFaults
from ocelog.times import to_us

STREAM: Any = SimpleNamespace(key=("acme", ISSUES), source=SimpleNamespace(now=lambda: NOW))
OLD = NOW - REMEMBERED
HOUR = timedelta(hours=1)


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger.open("sqlite:///:memory:", durable=False, now=Clock())
    yield ledger
    ledger.close()


def test_what_was_read_long_ago_is_forgotten(ledger: Ledger) -> None:
    read = slice_of(state=SliceState.DRAINED, since=OLD - HOUR, until=OLD)
    split = replace(read, state=SliceState.RETIRED)
    past = replace(read, origin=Origin.BACKFILL)
    later = slice_of(state=SliceState.DRAINED, since=OLD, until=OLD + HOUR)
    planned(ledger, read, split, past, later)
    forget_old(ledger, STREAM)
    assert [each.until for each in ledger.pulling.slices()] == [OLD + HOUR]


def test_what_lies_where_something_is_short_is_kept_and_nothing_else(ledger: Ledger) -> None:
    short = slice_of(state=SliceState.DRAINED, since=OLD - HOUR, until=OLD, short_by=3)
    beside = slice_of(state=SliceState.DRAINED, since=OLD - 2 * HOUR, until=OLD - HOUR)
    by_another = replace(beside, by="createdAt")
    elsewhere = slice_of(state=SliceState.DRAINED, since=OLD - 3 * HOUR, until=OLD - 2 * HOUR)
    last = slice_of(state=SliceState.DRAINED, since=OLD - 9 * HOUR, until=OLD - 8 * HOUR)
    planned(ledger, short, beside, by_another, elsewhere, last)
    forget_old(ledger, STREAM)
    assert [(each.since, each.by) for each in ledger.pulling.slices()] == [
        (short.since, short.by),
        (beside.since, beside.by),
        (last.since, last.by),
    ]


def test_a_stretch_that_was_made_good_goes_together_with_what_made_it_good(ledger: Ledger) -> None:
    short = slice_of(state=SliceState.DRAINED, since=OLD - HOUR, until=OLD, short_by=3)
    good = slice_of(state=SliceState.DRAINED, since=OLD - HOUR, until=OLD)
    last = replace(good, since=OLD - 2 * HOUR, until=OLD - HOUR)
    planned(ledger, short, good, last)
    forget_old(ledger, STREAM)
    assert [each.since for each in ledger.pulling.slices()] == [last.since], "a replay needs one that was read"


def test_the_past_is_kept_while_it_is_read_and_where_it_shows_a_wrong_total(ledger: Ledger) -> None:
    past = slice_of(state=SliceState.DRAINED, origin=Origin.BACKFILL, since=OLD - HOUR, until=OLD)
    wrong = replace(past, checkpoint=Checkpoint(met=8, total=9))
    waiting = replace(past, state=SliceState.WAITING)
    planned(ledger, past, wrong, waiting, slice_of(state=SliceState.DRAINED))
    forget_old(ledger, STREAM)
    assert len(ledger.pulling.slices()) == 4
    (left,) = ledger.pulling.slices(states={SliceState.WAITING})
    ledger.pulling.move(left, replace(left, state=SliceState.DRAINED))
    forget_old(ledger, STREAM)
    assert [each.checkpoint.total for each in ledger.pulling.slices()][:1] == [9]
    assert len(ledger.pulling.slices()) == 2


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
    plan_time_range(ledger, stream, (OLD - HOUR, OLD))
    assert [each.by for each in ledger.pulling.slices(states={SliceState.WAITING})] == ["statusChangedAt"]
    plan_time_range(ledger, stream, (OLD, OLD + HOUR))
    assert [each.by for each in ledger.pulling.slices(states={SliceState.WAITING})][1:] == [
        "statusChangedAt",
        "createdAt",
    ]
    assert lacking(ledger, stream) == 1
    for each in ledger.pulling.slices(states={SliceState.WAITING}):
        ledger.pulling.move(each, replace(each, state=SliceState.DRAINED))
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
        ledger.pulling.save_stream_faults(first, StreamFaults(total_off_by=1, total_off_at=NOW + 24 * day * HOUR))
    (found,) = ledger.pulling.streams()
    assert (found.total_off_by, found.total_off_since_us) == (1, to_us(NOW))
    (half,) = planned(ledger, read(0, 2, 9, 9, origin=Origin.BACKFILL))
    assert not totals_are_right_again(ledger, half)
    (again,) = planned(ledger, read(1, 4, 15, 15, origin=Origin.BACKFILL))
    assert totals_are_right_again(ledger, again)
    (found,) = ledger.pulling.streams()
    assert (found.total_off_by, found.total_off_since_us) == (None, None)
