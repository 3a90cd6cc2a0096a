"""A stretch of an earlier sweep that is read late leaves alone what the newest sweep found out there."""

from datetime import timedelta

from msgspec.structs import replace

from bookkeeping.records import ISSUES, NOW, source_row
from bookkeeping.records import slice_of as blank
from ocelog.ledger.ledger import Ledger
from ocelog.model import Origin, Slice
from ocelog.pull.ports import Suspect
from ocelog.times import to_us


def sweeping(ledger: Ledger, round_: int) -> Slice:
    """Begin a sweep of one slice."""
    before = ledger.pulling.marks("acme", ISSUES)
    after = replace(before, edge=NOW, swept_at=NOW, sweep_round=round_)
    slice_ = blank(origin=Origin.SWEEP, by="createdAt", sweep_round=round_)
    (planned,) = ledger.pulling.plan(before, after, [slice_])
    return planned


def test_a_stretch_of_an_earlier_sweep_forgets_no_suspect_of_the_newest(ledger: Ledger) -> None:
    ledger.sources.add(source_row())
    earlier, newest = sweeping(ledger, 2), sweeping(ledger, 3)
    created_us = to_us(NOW - timedelta(minutes=5))
    gone = Suspect(record_id="i1", row_id="r1", created_us=created_us)
    ledger.sweeps.suspect(newest, [gone])
    ledger.sweeps.suspect(earlier, [])
    sweep = ledger.sweeps.newest("acme", ISSUES)
    assert sweep is not None
    assert [each.record_id for each in ledger.sweeps.suspects(sweep)] == ["i1"]
    ledger.sweeps.suspect(newest, [])
    assert ledger.sweeps.suspects(sweep) == []
