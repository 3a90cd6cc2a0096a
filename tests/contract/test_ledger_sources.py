"""Sources are added, changed, removed and taken up again; streams say how they fare."""

from dataclasses import replace

import pytest

from bookkeeping.crashes import crash_everywhere
from bookkeeping.races import at_once, everything
from bookkeeping.records import ISSUES, NOW, TABLE, begun, landing, planned, rejecting, slice_of, source_row, taken
from ocelog.errors import ConfigError
from ocelog.ledger.store import Ledger
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
    ledger.add_source(row)
    assert ledger.source(row.id) == row
    assert ledger.source(row.name) == row
    assert ledger.sources() == [row]
    assert ledger.source("other") is None


def test_a_name_is_used_once(ledger: Ledger) -> None:
    ledger.add_source(source_row("acme"))
    with pytest.raises(ConfigError, match="acme"):
        ledger.add_source(source_row("acme"))
    with pytest.raises(ConfigError, match="acme"):
        ledger.add_source(source_row("acme", id="another"))
    assert len(ledger.sources()) == 1


def test_of_two_sources_added_at_once_under_one_name_one_is(ledger: Ledger, other: Ledger) -> None:
    for n in range(5):
        row = source_row(f"acme-{n}")
        calls = [lambda at=at, row=row: at.add_source(row) for at in (ledger, other)]
        outcomes = at_once(calls)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ConfigError", "NoneType"], outcomes


def test_a_source_may_be_renamed_but_not_to_a_name_in_use(ledger: Ledger) -> None:
    ledger.add_source(source_row("acme"))
    ledger.add_source(source_row("other"))
    ledger.save_source(source_row("acme", name="emca", paused=True))
    assert ledger.source("emca") == source_row("acme", name="emca", paused=True)
    with pytest.raises(ConfigError, match="other"):
        ledger.save_source(source_row("acme", name="other"))
    with pytest.raises(ConfigError, match="absent"):
        ledger.save_source(source_row("absent"))


def test_a_removed_source_that_is_added_again_resumes(ledger: Ledger) -> None:
    ledger.add_source(source_row())
    marks = begun(ledger, edge=NOW)
    held = taken(ledger)
    ledger.land(landing(held))
    ledger.remove_source("acme")
    assert ledger.sources() == []
    (gone,) = ledger.sources(removed=True)
    assert gone == source_row(removed_us=to_us(NOW))
    ledger.add_source(source_row(settings={"rate": 1}, added_us=9))
    assert ledger.source("acme") == source_row(settings={"rate": 1}, added_us=9)
    assert ledger.marks("acme", ISSUES) == marks
    assert [found.sequence for found in ledger.parts(TABLE)] == [1]
    assert ledger.slices()[0].checkpoint.after == "after 10"


def test_a_name_that_was_freed_by_removal_means_the_source_that_has_it_now(ledger: Ledger) -> None:
    ledger.add_source(source_row("acme"))
    ledger.remove_source("acme")
    ledger.add_source(source_row("acme", id="acme-2"))
    found = ledger.source("acme")
    assert found is not None
    assert found.id == "acme-2"


def test_purging_deletes_all_of_one_source_and_nothing_of_another(ledger: Ledger) -> None:
    ledger.add_source(source_row("other"))
    kept = taken(ledger, slice_of("other"))
    ledger.land(landing(kept))
    ledger.land(rejecting(kept, ["kept"]))
    there = everything(ledger)
    held = taken(ledger)
    ledger.land(landing(held, loaded_through=1))
    ledger.land(rejecting(held, ["gone"]))
    ledger.purge_source("acme")
    left = everything(ledger)
    assert left.pop("counters") != there.pop("counters")
    assert left == there
    assert ledger.known_rejections(["kept", "gone"]) == {"kept"}
    assert (ledger.counter(TABLE), ledger.counter(REJECTIONS)) == (2, 2)


def test_a_number_of_a_purged_slice_never_comes_again(ledger: Ledger) -> None:
    (old,) = planned(ledger, slice_of())
    ledger.purge_source("acme")
    (new,) = planned(ledger, slice_of())
    assert new.id > old.id


def test_a_crash_at_any_statement_of_a_purge_leaves_everything(ledger: Ledger) -> None:
    held = taken(ledger)
    ledger.land(landing(held))
    assert crash_everywhere(ledger, lambda: ledger.purge_source("acme")) >= 7


def test_streams_say_how_they_fare(ledger: Ledger) -> None:
    held = taken(ledger)
    planned(ledger, slice_of("other"))
    ledger.trouble(
        "acme", ISSUES, kind="AccessRefusedError", text="no scope\0 " + "x" * 9_000, todo="add read:issues", at_us=7
    )
    (stream,) = ledger.streams("acme")
    assert stream.trouble is not None
    assert stream.trouble.startswith("no scope\ufffd ")
    assert len(stream.trouble) == 4_000
    assert (stream.trouble_kind, stream.trouble_todo, stream.trouble_us) == ("AccessRefusedError", "add read:issues", 7)
    assert [found.marks.source_id for found in ledger.streams()] == ["acme", "other"]
    ledger.land(landing(held))
    assert ledger.streams("acme")[0].trouble == stream.trouble, "whoever is well says so"
    ledger.well("acme", ISSUES)
    (stream,) = ledger.streams("acme")
    assert (stream.trouble, stream.trouble_kind, stream.trouble_todo, stream.trouble_us) == (None,) * 4
    assert stream.events == 1


def test_trouble_of_a_stream_that_has_not_begun_is_kept(ledger: Ledger) -> None:
    ledger.add_source(source_row())
    ledger.trouble("acme", ISSUES, kind="AccessRefusedError", text="no", todo="do", at_us=7)
    assert [found.trouble for found in ledger.streams("acme")] == ["no"]
    assert ledger.marks("acme", ISSUES) == replace(ledger.marks("acme", ISSUES), edge=None)


def test_trouble_of_a_source_that_is_gone_is_no_error(ledger: Ledger) -> None:
    ledger.trouble("acme", ISSUES, kind="AccessRefusedError", text="no", todo="do", at_us=7)
    ledger.well("acme", ISSUES)
    ledger.remove_source("acme")
    ledger.purge_source("acme")
    assert ledger.streams() == []
