"""Which loops take parts in a test of publishing."""

import pytest

from ocelog.model import PUBLISH


@pytest.fixture(autouse=True)
def publishing_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let publishing be all that a part waits for, whatever loops there are: no other loop runs in such a test."""
    monkeypatch.setattr("ocelog.ledger.rows.marks.LOOPS", (PUBLISH,))
