"""One instant for all that a thread reads of any port."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from bookkeeping.records import NOW, source_row
from ocelog.health.stream import first_look
from ocelog.ledger.ledger import Ledger

KEY = ("acme", "Wiz.Issues")


def test_all_that_is_read_in_a_snapshot_is_of_one_instant(ledger: Ledger, other: Ledger) -> None:
    ledger.sources.add(source_row())
    with ledger.snapshot():
        assert ledger.health.remembered() == {}
        other.health.remember({KEY: first_look(NOW)})
        # The port of one table or another, and one snapshot within the other.
        with ledger.snapshot():
            assert ledger.health.remembered() == {}
        assert ledger.health.view().remembered == {}
    assert ledger.health.remembered().keys() == {KEY}


def test_other_threads_see_what_is_there_now(ledger: Ledger, other: Ledger) -> None:
    ledger.sources.add(source_row())
    with ledger.snapshot(), ThreadPoolExecutor(1) as elsewhere:
        assert ledger.health.remembered() == {}
        other.health.remember({KEY: first_look(NOW)})
        assert elsewhere.submit(ledger.health.remembered).result().keys() == {KEY}


def test_whoever_holds_a_snapshot_changes_nothing(ledger: Ledger) -> None:
    ledger.sources.add(source_row())
    with pytest.raises(RuntimeError, match="only reads"), ledger.snapshot():
        ledger.health.remember({KEY: first_look(NOW)})
    # It is let go of, whatever happened.
    ledger.health.remember({KEY: first_look(NOW)})
    assert ledger.health.remembered().keys() == {KEY}
