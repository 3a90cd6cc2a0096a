"""Saved searches in the ledger, on each database."""

import pytest
from msgspec.structs import replace

from bookkeeping.records import NOW
from ocelog.access import Deed, Role, SavedSearch, User
from ocelog.errors import ConfigError
from ocelog.ledger.ledger import Ledger
from ocelog.times import to_us

T = to_us(NOW)
ANN = User(id="1", name="ann@example.com", role=Role.ADMIN, added_us=T)
BOB = User(id="2", name="bob@example.com", role=Role.ANALYST, added_us=T)
DONE = Deed(at_us=T, who="ann@example.com", what="test.done")
MINE = SavedSearch(id="a", owner_id="1", owner=ANN.name, name="mine", address="/search?q=x", shared=False, saved_us=T)
OURS = replace(MINE, id="b", name="ours", shared=True)


@pytest.fixture
def kept(ledger: Ledger) -> Ledger:
    ledger.users.add(ANN, "hash", DONE)
    ledger.users.add(BOB, "hash", DONE)
    for each in (OURS, MINE):
        ledger.saved_searches.save(each, DONE, most=3)
    return ledger


def test_one_sees_ones_own_and_what_others_share(kept: Ledger) -> None:
    assert kept.saved_searches.listed("1") == [MINE, OURS]
    assert kept.saved_searches.listed("2") == [OURS]


def test_a_search_takes_the_place_of_ones_own_of_that_name(kept: Ledger) -> None:
    newer = replace(MINE, id="c", address="/search?q=y")
    kept.saved_searches.save(newer, DONE, most=3)
    bobs = replace(MINE, id="d", owner_id="2", owner=BOB.name)
    kept.saved_searches.save(bobs, DONE, most=3)
    assert kept.saved_searches.listed("1") == [newer, OURS]
    assert kept.saved_searches.listed("2") == [bobs, OURS]


def test_a_user_has_a_bounded_number(kept: Ledger) -> None:
    with pytest.raises(ConfigError, match="2 saved searches"):
        kept.saved_searches.save(replace(MINE, id="c", name="third"), DONE, most=2)
    assert kept.saved_searches.listed("1") == [MINE, OURS]


def test_only_the_owner_removes_a_search_or_whoever_may_remove_any(kept: Ledger) -> None:
    done = len(kept.users.trail())
    assert not kept.saved_searches.remove("b", DONE, of="2")
    assert not kept.saved_searches.remove("nothing", DONE, of=None)
    assert len(kept.users.trail()) == done
    assert kept.saved_searches.remove("a", DONE, of="1")
    assert kept.saved_searches.remove("b", DONE, of=None)
    assert kept.saved_searches.listed("1") == []
    assert len(kept.users.trail()) == done + 2
