"""Which slices a pull by hand tries at once: those of a refusal that a person may have mended, and no others."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from bookkeeping.records import ISSUES, NOW, Clock, planned, slice_of
from ocelog.errors import AccessRefusedError, ContractBrokenError, SourceThrottledError, SourceUnavailableError
from ocelog.ledger.store import Ledger
from ocelog.model import Checkpoint
from ocelog.reading import Reader

LATER = NOW + timedelta(hours=1)
STREAM: Any = SimpleNamespace(key=("acme", ISSUES))


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger.open("sqlite:///:memory:", durable=False, now=Clock())
    yield ledger
    ledger.close()


def hurried(ledger: Ledger, kind: str, failures: int) -> bool:
    """Whether a slice that waits for an hour is tried at once."""
    (slice_,) = planned(ledger, slice_of())
    ledger.move(slice_, replace(slice_, due_at=LATER, checkpoint=Checkpoint(failures=failures)))
    ledger.trouble(*STREAM.key, kind=kind, text="what", todo="do", at_us=1)
    Reader(ledger=ledger, threads=None, stop=lambda: False, limit=1).hurry([STREAM])  # type: ignore[arg-type] # it starts none
    return ledger.slices()[0].due_at != LATER


@pytest.mark.parametrize("error", [AccessRefusedError, ContractBrokenError])
def test_what_was_refused_is_tried_at_once(ledger: Ledger, error: type[Exception]) -> None:
    assert hurried(ledger, error.__name__, failures=1)


@pytest.mark.parametrize("error", [SourceThrottledError, SourceUnavailableError])
def test_what_passes_by_itself_waits_as_long_as_it_must(ledger: Ledger, error: type[Exception]) -> None:
    assert not hurried(ledger, error.__name__, failures=1)


def test_what_has_not_failed_itself_keeps_its_turn(ledger: Ledger) -> None:
    assert not hurried(ledger, AccessRefusedError.__name__, failures=0)
