"""Sources are added, changed, removed and taken up again; streams say how they fare."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection

from bookkeeping.crashes import before_statement, crash_everywhere
from bookkeeping.races import at_once, everything
from bookkeeping.records import (
    ISSUES,
    NOW,
    TABLE,
    Clock,
    begun,
    landing,
    planned,
    rejecting,
    slice_of,
    source_row,
    taken,
)
from ocelog.alert.deciding import DecisionQuery, Onboarding
from ocelog.app.sources.sources import begin_purge
from ocelog.errors import ConfigError
from ocelog.ledger.database.transactions import Database
from ocelog.ledger.ledger import Ledger
from ocelog.model import REJECTIONS, SourceRow
from ocelog.times import to_us


def test_a_source_comes_back_as_it_was_added_whatever_its_name(ledger: Ledger) -> None:
    row = SourceRow(
        id="nae-wiz-3f",
        name="내 Wiz 로그 '\"; --",
        kind="wiz",
        settings={"projects": ["ä", None], "rate": 3.5, "sweep": True},
        paused=True,
        added_us=5,
    )
    ledger.sources.add(row)
    assert ledger.sources.find(row.id) == row
    assert ledger.sources.find(row.name) == row
    assert ledger.sources.listed() == [row]
    assert ledger.sources.find("other") is None


def test_a_name_is_used_once(ledger: Ledger) -> None:
    ledger.sources.add(source_row("acme"))
    with pytest.raises(ConfigError, match="acme"):
        ledger.sources.add(source_row("acme"))
    with pytest.raises(ConfigError, match="acme"):
        ledger.sources.add(source_row("acme", id="another"))
    assert len(ledger.sources.listed()) == 1


def test_of_two_sources_added_at_once_under_one_name_one_is(ledger: Ledger, other: Ledger) -> None:
    for n in range(5):
        row = source_row(f"acme-{n}")
        calls = [lambda at=at, row=row: at.sources.add(row) for at in (ledger, other)]
        outcomes = at_once(calls)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ConfigError", "NoneType"], outcomes


def test_a_source_may_be_renamed_but_not_to_a_name_in_use(ledger: Ledger) -> None:
    ledger.sources.add(source_row("acme"))
    ledger.sources.add(source_row("other"))
    ledger.sources.save(source_row("acme", name="emca", paused=True))
    assert ledger.sources.find("emca") == source_row("acme", name="emca", paused=True)
    with pytest.raises(ConfigError, match="other"):
        ledger.sources.save(source_row("acme", name="other"))
    with pytest.raises(ConfigError, match="absent"):
        ledger.sources.save(source_row("absent"))


def test_a_removed_source_that_is_added_again_resumes(ledger: Ledger) -> None:
    ledger.sources.add(source_row())
    marks = begun(ledger, edge=NOW)
    held = taken(ledger)
    ledger.pulling.land(landing(held))
    ledger.sources.remove("acme")
    assert ledger.sources.listed() == []
    (gone,) = ledger.sources.listed(removed=True)
    assert gone == source_row(removed_us=to_us(NOW))
    ledger.sources.add(source_row(settings={"rate": 1}, added_us=9))
    assert ledger.sources.find("acme") == source_row(settings={"rate": 1}, added_us=9)
    assert ledger.pulling.marks("acme", ISSUES) == marks
    assert [found.sequence for found in ledger.lake.parts(TABLE)] == [1]
    assert ledger.pulling.slices()[0].checkpoint.after == "after 10"


def test_who_changes_a_source_brings_none_back_that_was_removed_meanwhile(ledger: Ledger, other: Ledger) -> None:
    row = source_row("acme")
    ledger.sources.add(row)
    for purging in (False, True):
        other.sources.remove("acme", purging=purging)
        for before in (None, row):
            with pytest.raises(ConfigError, match="no source named 'acme' any more"):
                ledger.sources.save(replace(row, paused=True), before=before)
    assert ledger.sources.listed() == []


def test_who_changes_a_source_does_not_undo_what_another_has_changed_meanwhile(ledger: Ledger, other: Ledger) -> None:
    # As it is made, and not as it is read: JSON knows no tuples.
    row = source_row("acme", settings={"projects": ("p1",)})
    ledger.sources.add(row)
    ledger.sources.save(replace(row, paused=True), before=row)
    # Such as a form that is sent twice: what is wanted is so already.
    other.sources.save(replace(row, paused=True), before=row)
    with pytest.raises(ConfigError, match="Somebody else changed the source 'acme'"):
        other.sources.save(replace(row, settings={"projects": ["p2"]}), before=row)
    (there,) = ledger.sources.listed()
    assert (there.paused, there.settings) == (True, {"projects": ["p1"]})
    other.sources.save(replace(there, name="emca"), before=there)
    assert [(each.name, each.paused) for each in ledger.sources.listed()] == [("emca", True)]


def test_a_source_cannot_be_added_again_amid_the_beginning_of_its_purge(
    ledger: Ledger, other: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, refused, write = source_row("acme"), list[str](), Database.write
    ledger.sources.add(row)

    @contextmanager
    def writing(database: Database) -> Iterator[Connection]:
        with write(database) as tx:
            yield tx
        if database is ledger._database:
            with pytest.raises(ConfigError) as error:
                other.sources.add(row)
            refused.append(str(error.value))

    monkeypatch.setattr(Database, "write", writing)
    at: Any = SimpleNamespace(ledger=ledger)
    begin_purge(at, row)
    assert refused
    assert all("half deleted" in each for each in refused)
    (there,) = ledger.sources.listed(removed=True)
    assert (there.removed_us is None, there.purging) == (False, True)


@pytest.mark.postgresql
def test_who_adds_a_source_again_as_its_purge_begins_is_refused(postgresql: Callable[[], str]) -> None:
    address = postgresql()
    with (
        closing(Ledger.open(address, durable=False)) as one,
        closing(Ledger.open(address, durable=False)) as another,
    ):
        one.sources.add(source_row("acme"))
        one.sources.remove("acme")
        begins = before_statement(one, "DELETE FROM rule_seeds", lambda: another.sources.remove("acme", purging=True))
        with begins, pytest.raises(ConfigError, match="half deleted"):
            one.sources.add(source_row("acme"))
        assert [each.purging for each in one.sources.listed(removed=True)] == [True]


def test_a_name_that_was_freed_by_removal_means_the_source_that_has_it_now(ledger: Ledger) -> None:
    ledger.sources.add(source_row("acme"))
    ledger.sources.remove("acme")
    ledger.sources.add(source_row("acme", id="acme-2"))
    found = ledger.sources.find("acme")
    assert found is not None
    assert found.id == "acme-2"


def test_purging_deletes_all_of_one_source_and_nothing_of_another(ledger: Ledger) -> None:
    ledger.sources.add(source_row("other"))
    kept = taken(ledger, slice_of("other"))
    ledger.pulling.land(landing(kept))
    ledger.pulling.land(rejecting(kept, ["kept"]))
    there = everything(ledger)
    held = taken(ledger)
    ledger.pulling.land(landing(held, loaded_through=1))
    ledger.pulling.land(rejecting(held, ["gone"]))
    ledger.sources.purge("acme")
    left = everything(ledger)
    assert left.pop("counters") != there.pop("counters")
    assert left == there
    assert ledger.pulling.known_rejections(["kept", "gone"]) == {"kept"}
    assert (ledger.lake.counter(TABLE), ledger.lake.counter(REJECTIONS)) == (2, 2)


def test_a_number_of_a_purged_slice_never_comes_again(ledger: Ledger) -> None:
    (old,) = planned(ledger, slice_of())
    ledger.sources.purge("acme")
    (new,) = planned(ledger, slice_of())
    assert new.id > old.id


@pytest.mark.slow
def test_a_crash_at_any_statement_of_a_purge_leaves_everything(ledger: Ledger) -> None:
    held = taken(ledger)
    ledger.pulling.land(landing(held))
    assert crash_everywhere(ledger, lambda: ledger.sources.purge("acme")) >= 7


def test_streams_say_how_they_fare(ledger: Ledger) -> None:
    held = taken(ledger)
    planned(ledger, slice_of("other"))
    ledger.pulling.trouble(
        "acme", ISSUES, kind="access_refused", code="scope_missing", text="no scope\0 " + "x" * 9_000, at_us=7
    )
    (stream,) = ledger.pulling.streams("acme")
    assert stream.trouble is not None
    assert stream.trouble.startswith("no scope\ufffd ")
    assert len(stream.trouble) == 4_000
    assert (stream.trouble_kind, stream.trouble_code, stream.trouble_us) == ("access_refused", "scope_missing", 7)
    assert [found.marks.source_id for found in ledger.pulling.streams()] == ["acme", "other"]
    ledger.pulling.land(landing(held))
    assert ledger.pulling.streams("acme")[0].trouble == stream.trouble, "whoever is well says so"
    ledger.pulling.well("acme", ISSUES)
    (stream,) = ledger.pulling.streams("acme")
    assert (stream.trouble, stream.trouble_kind, stream.trouble_code, stream.trouble_us) == (None,) * 4
    assert stream.events == 1


def test_trouble_of_a_stream_that_has_not_begun_is_kept(ledger: Ledger) -> None:
    ledger.sources.add(source_row())
    ledger.pulling.trouble("acme", ISSUES, kind="access_refused", code="access_refused", text="no", at_us=7)
    assert [found.trouble for found in ledger.pulling.streams("acme")] == ["no"]
    assert ledger.pulling.marks("acme", ISSUES) == replace(ledger.pulling.marks("acme", ISSUES), edge=None)


def test_trouble_of_a_source_that_is_gone_is_no_error(ledger: Ledger) -> None:
    ledger.pulling.trouble("acme", ISSUES, kind="access_refused", code="access_refused", text="no", at_us=7)
    ledger.pulling.well("acme", ISSUES)
    ledger.sources.remove("acme")
    ledger.sources.purge("acme")
    assert ledger.pulling.streams() == []


def test_what_a_source_shows_only_now_is_news_that_was_read_late(ledger: Ledger, clock: Clock) -> None:
    ledger.sources.add(source_row())
    begun(ledger, edge=NOW, offset=timedelta(minutes=1))
    clock.now += timedelta(days=9)
    ledger.sources.save(replace(source_row(), paused=True), sees_more={ISSUES})
    wanted = DecisionQuery(
        streams=frozenset({("acme", ISSUES)}),
        match_ids=frozenset(),
        groups={},
        records=frozenset(),
        alerts=frozenset(),
        limits=frozenset(),
    )
    now_us = to_us(clock.now + timedelta(minutes=1))
    assert ledger.judging.decision_state(wanted).streams["acme", ISSUES] == Onboarding(
        since_us=to_us(NOW), gap=(to_us(NOW), now_us)
    )
