"""Which slices a pull by hand tries at once: those that failed, for a person may have fixed why, and no others."""

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from bookkeeping.records import ISSUES, NOW, Clock, next_due, planned, slice_of, taken
from ocelog.app.loops.pulling import Reader
from ocelog.errors import (
    AccessRefusedError,
    ContractBrokenError,
    OcelogError,
    SourceThrottledError,
    SourceUnavailableError,
)
from ocelog.ledger.ledger import Ledger
from ocelog.model import Checkpoint, SliceState
from ocelog.workers.threads import Stop, Threads

LATER = NOW + timedelta(hours=1)
STREAM: Any = SimpleNamespace(key=("acme", ISSUES), row=SimpleNamespace(id="acme"))


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger.open("sqlite:///:memory:", durable=False, now=Clock())
    yield ledger
    ledger.close()


def hurried(ledger: Ledger, kind: str, failures: int, state: SliceState = SliceState.WAITING) -> bool:
    """Whether a slice that waits for an hour is tried at once."""
    (slice_,) = planned(ledger, slice_of())
    ledger.pulling.move(slice_, replace(slice_, due_at=LATER, state=state, checkpoint=Checkpoint(failures=failures)))
    ledger.pulling.trouble(*STREAM.key, kind=kind, code="try_later", text="what", at_us=1)
    reader = Reader(ledger=ledger, threads=Threads(), stop=Stop(), limit=1, home_id="home", now=lambda: NOW)
    reader.follow([STREAM])
    reader.hurry()
    return ledger.pulling.slices()[0].due_at == NOW


@pytest.mark.parametrize("error", [AccessRefusedError, ContractBrokenError, SourceUnavailableError])
def test_what_failed_is_tried_at_once(ledger: Ledger, error: type[OcelogError]) -> None:
    assert hurried(ledger, error.code, failures=1)
    # And nobody waits for a lease that nobody holds.
    assert next_due(ledger) == NOW


def test_what_is_parked_is_tried_at_once(ledger: Ledger) -> None:
    assert hurried(ledger, AccessRefusedError.code, failures=1, state=SliceState.PARKED)


def test_what_the_source_asked_to_wait_for_is_waited_for(ledger: Ledger) -> None:
    assert not hurried(ledger, SourceThrottledError.code, failures=1)


def test_what_has_not_failed_itself_keeps_its_turn(ledger: Ledger) -> None:
    assert not hurried(ledger, AccessRefusedError.code, failures=0)


def test_what_another_holds_is_left_to_it(ledger: Ledger) -> None:
    held = taken(ledger)
    ledger.pulling.move(held, replace(held, due_at=LATER, checkpoint=Checkpoint(failures=1)))
    assert ledger.pulling.hurry([STREAM.key], NOW) == 0
    assert ledger.pulling.slices()[0].due_at == LATER
