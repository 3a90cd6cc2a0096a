"""A sweep by hand holds what it reads, in its home's name, for as long as its longest request takes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from bookkeeping.records import ISSUES, planned, slice_of
from ocelog.app.loops.sweep import SweepResult, _read_due, run_sweep
from ocelog.errors import HomeError, LedgerUnavailableError
from ocelog.ledger.ledger import Ledger
from ocelog.model import Origin, Slice
from ocelog.pull.sweep import Stage

LONGEST = 600.0
"""Seconds of one request."""


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger.open("sqlite:///:memory:", durable=False)
    yield ledger
    ledger.close()


def test_nobody_else_reads_what_a_sweep_by_hand_reads(ledger: Ledger) -> None:
    planned(ledger, slice_of(origin=Origin.SWEEP, sweep_round=2))
    free = list[Slice | None]()

    def drain(slice_: Slice, **_: object) -> Any:
        # The service of another home on this ledger starts, and then one of this home.
        for home, minutes in (("other", 0), ("other", 30), ("ours", 0)):
            ledger.pulling.release_home(home)
            later = datetime.now(UTC) + timedelta(minutes=minutes)
            free.append(ledger.pulling.take(f"{home}/host:1", now=later, sweeps_together=True))
        return SimpleNamespace(slice_=slice_, error=None)

    stream: Any = SimpleNamespace(
        key=("acme", ISSUES), lease=timedelta(seconds=3 * LONGEST + 60), puller=SimpleNamespace(drain=drain)
    )
    _read_due(ledger, stream, "ours", 1, lambda: bool(free))
    assert [found is not None for found in free] == [False, False, True]


def test_whoever_waits_for_a_sweep_hears_of_each_stage_when_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    left = [Stage.READING, Stage.VERIFYING, Stage.INFERRING, Stage.DONE]
    told = list[Stage | str]()

    def advance(*_: object) -> bool:
        left.pop(0)
        return left == [Stage.DONE]

    def read(*_: object) -> tuple[None, int]:
        told.append("read")
        return None, 1

    where = "ocelog.app.loops.sweep."
    monkeypatch.setattr(f"{where}_stage", lambda *_: left[0])
    monkeypatch.setattr(f"{where}_read_due", read)
    stream: Any = SimpleNamespace(
        key=("acme", ISSUES), source=SimpleNamespace(hurry=lambda: None, prime=lambda: None), row=None, kind=None
    )
    newest = SimpleNamespace(newest=lambda *_: None)
    ledger: Any = SimpleNamespace(pulling=SimpleNamespace(marks=lambda *_: SimpleNamespace(edge=1)), sweeps=newest)
    # It is under way.
    monkeypatch.setattr(f"{where}advance", lambda *_: False if not told else advance())
    swept = run_sweep(ledger, stream, home_id="h", threads=1, stop=lambda: False, at=told.append)
    assert swept.done
    assert told == [Stage.READING, "read", Stage.VERIFYING, "read", Stage.INFERRING, "read"]


def test_a_sweep_exits_by_what_keeps_its_rows_from_being_published() -> None:
    def code(**found: Any) -> int:
        return SweepResult(streams=(), **found).exit_code

    assert code() == 0
    assert code(publishing=HomeError("no room")) == code(lost=("a part",)) == 2
    assert code(publishing=LedgerUnavailableError("busy")) == code(lost=("a part",), stopped=True) == 3
