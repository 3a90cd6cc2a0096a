"""Which streams are measured, and when: once all of their past is read, and after each complete sweep."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from bookkeeping.records import ISSUES, NOW, slice_of, source_row
from ocelog.app.loops.coverage import CoverageLoop, to_measure
from ocelog.ledger.ledger import Ledger
from ocelog.model import Origin, Slice, SliceState
from ocelog.pull.ports import Coverage
from ocelog.pull.sweep import Stage, SweepStep
from ocelog.times import to_us

AUDIT = "Wiz.Audit"
STREAMS: Any = [
    SimpleNamespace(key=("acme", name), row=SimpleNamespace(id="acme"), kind=SimpleNamespace(sweep_by=by))
    for name, by in ((ISSUES, "createdAt"), (AUDIT, None))
]


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger.open("sqlite:///:memory:", durable=False, now=lambda: NOW)
    ledger.sources.add(source_row())
    yield ledger
    ledger.close()


def due(ledger: Ledger) -> list[str]:
    installation: Any = SimpleNamespace(ledger=ledger)
    return [stream.key[1] for stream in to_measure(installation, STREAMS)]


def begin(ledger: Ledger, log_type: str) -> Slice:
    """Begin a stream whose past is being read."""
    marks = ledger.pulling.marks("acme", log_type)
    past = slice_of(log_type=log_type, origin=Origin.BACKFILL)
    ledger.pulling.plan(marks, replace(marks, edge=NOW), [past, replace(past, origin=Origin.LIVE)])
    taken = [ledger.pulling.take("one", now=NOW, log_types=[log_type]) for _ in range(2)]
    return next(each for each in taken if each is not None and each.origin is Origin.BACKFILL)


def measure(ledger: Ledger) -> None:
    for log_type in due(ledger):
        kept(ledger, log_type)


def kept(ledger: Ledger, log_type: str, *, ago: timedelta = timedelta(0), at_source: int = 1) -> None:
    measured_us = to_us(datetime.now(UTC) - ago)
    found = Coverage(status="", at_source=at_source, at_least=False, in_lake=1, since_us=0, measured_us=measured_us)
    ledger.sweeps.measured("acme", log_type, [found])


@pytest.mark.parametrize(("hours", "at_source", "again"), [(24, 1, False), (26, 1, True), (5, 2, False), (7, 2, True)])
def test_what_was_measured_long_ago_or_differed_some_hours_ago_is_measured_again(
    ledger: Ledger, hours: int, at_source: int, *, again: bool
) -> None:
    past = begin(ledger, AUDIT)
    ledger.pulling.move(past, replace(past, state=SliceState.PARKED))
    kept(ledger, AUDIT, ago=timedelta(hours=hours), at_source=at_source)
    assert due(ledger) == ([AUDIT] if again else [])


@pytest.mark.parametrize("read", [SliceState.DRAINED, SliceState.PARKED, SliceState.RETIRED])
def test_a_stream_is_measured_once_all_of_its_past_is_read_or_parked(ledger: Ledger, read: SliceState) -> None:
    assert due(ledger) == [], "nothing was asked yet"
    past = [begin(ledger, log_type) for log_type in (ISSUES, AUDIT)]
    assert due(ledger) == []
    ledger.pulling.move(past[1], replace(past[1], state=read))
    assert due(ledger) == [AUDIT]
    ledger.pulling.move(past[0], replace(past[0], state=read))
    assert due(ledger) == [ISSUES, AUDIT]
    measure(ledger)
    assert due(ledger) == []


@pytest.mark.parametrize("complete", [True, False])
def test_a_complete_sweep_has_its_stream_measured_again_and_the_log_types_that_are_never_swept(
    ledger: Ledger, *, complete: bool
) -> None:
    for slice_ in [begin(ledger, log_type) for log_type in (ISSUES, AUDIT)]:
        ledger.pulling.move(slice_, replace(slice_, state=SliceState.DRAINED))
    measure(ledger)
    marks = ledger.pulling.marks("acme", ISSUES)
    ledger.pulling.plan(marks, replace(marks, swept_at=NOW, sweep_round=2), [])
    sweep = ledger.sweeps.newest("acme", ISSUES)
    assert sweep is not None
    assert due(ledger) == []
    ledger.sweeps.step(sweep, SweepStep(to=replace(sweep, stage=Stage.DONE, complete=complete)))
    assert due(ledger) == ([ISSUES, AUDIT] if complete else [])
    measure(ledger)
    assert due(ledger) == []


def test_what_could_not_be_measured_is_tried_again_an_hour_later(ledger: Ledger) -> None:
    past = begin(ledger, AUDIT)
    ledger.pulling.move(past, replace(past, state=SliceState.DRAINED))
    tried, now = list[float](), 0
    work: Any = SimpleNamespace(
        streams=lambda: STREAMS,
        assembly=SimpleNamespace(installation=SimpleNamespace(ledger=ledger)),
        # Nothing is measured, so that the stream stays due.
        begin=lambda *_: not tried.append(now),  # type: ignore[func-returns-value] # None: True
    )
    loop = CoverageLoop(work)
    for now in range(0, 8_000, 600):
        loop.run_due(now)
    assert tried == [0, 3_600, 7_200]
