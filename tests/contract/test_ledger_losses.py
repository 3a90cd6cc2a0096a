"""What was lost of the lake is remembered, and put right once."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from bookkeeping.crashes import crash_everywhere
from bookkeeping.records import NOW, TABLE, landing, part, rejecting, slice_of, taken
from ocelog.errors import LostFenceError
from ocelog.ledger.ledger import Ledger
from ocelog.model import GivenUp
from ocelog.pull.ports import Coverage

FILE = GivenUp(table=TABLE, path="lake/warehouse/x.parquet", reason="is missing", noticed_us=5)


def test_a_lost_file_is_remembered_once_and_again_after_it_was_repaired(ledger: Ledger) -> None:
    ledger.losses.note(FILE)
    ledger.losses.note(replace(FILE, reason="is missing still", noticed_us=9))
    assert ledger.losses.listed() == [FILE]
    ledger.losses.plan([FILE.path], [])
    assert ledger.losses.listed() == []
    (repaired,) = ledger.losses.listed(repaired=True)
    assert repaired.repaired_us is not None
    ledger.losses.note(replace(FILE, noticed_us=20))
    assert [each.noticed_us for each in ledger.losses.listed()] == [20]


def test_stretches_are_planned_and_their_losses_noted_together(ledger: Ledger) -> None:
    taken(ledger)
    ledger.losses.note(FILE)
    (again,) = ledger.losses.plan([FILE.path], [slice_of(since=NOW - timedelta(days=2))])
    assert again in ledger.pulling.slices()
    assert ledger.losses.listed() == []


def test_a_crash_at_any_statement_of_planning_leaves_the_loss(ledger: Ledger) -> None:
    taken(ledger)
    ledger.losses.note(FILE)
    assert crash_everywhere(ledger, lambda: ledger.losses.plan([FILE.path], [slice_of()])) >= 3


def test_a_part_that_came_back_lands_under_a_number_of_its_own(ledger: Ledger) -> None:
    ledger.pulling.land(landing(taken(ledger)))
    (first,) = ledger.lake.parts(TABLE)
    claim = ledger.pulling.take_claim("repair", "acme", "home/one")
    ledger.lake.set_aside(replace(FILE, path=first.path, sequence=1))
    ledger.losses.readmit(first.path, part(), "acme", claim=claim)
    assert [each.sequence for each in ledger.lake.parts(TABLE)] == [2]
    assert ledger.losses.listed() == []
    ledger.lake.set_aside(replace(FILE, path="another", sequence=9))
    ledger.losses.readmit("another", None, "acme", claim=claim)
    assert [each.sequence for each in ledger.lake.parts(TABLE)] == [2], "all of it is there"


def test_who_has_lost_the_claim_of_a_repair_lands_nothing(ledger: Ledger) -> None:
    ledger.pulling.land(landing(taken(ledger)))
    (first,) = ledger.lake.parts(TABLE)
    ledger.lake.set_aside(replace(FILE, path=first.path, sequence=1))
    stale = ledger.pulling.take_claim("repair", "acme", "home/one")
    ledger.pulling.release_home("home")
    ledger.pulling.take_claim("repair", "acme", "home/two")
    with pytest.raises(LostFenceError):
        ledger.losses.readmit(first.path, part(), "acme", claim=stale)
    assert ledger.lake.parts(TABLE) == []
    assert len(ledger.losses.listed()) == 1


def test_rejections_whose_rows_are_lost_land_once_more(ledger: Ledger) -> None:
    held = taken(ledger)
    ledger.pulling.land(rejecting(held, ["kept", "lost"]))
    assert sorted(ledger.losses.rejection_keys()) == ["kept", "lost"]
    ledger.losses.forget_rejections(["lost", "never there"])
    assert ledger.losses.rejection_keys() == ["kept"]
    assert ledger.pulling.known_rejections(["kept", "lost"]) == {"kept"}


def test_a_count_of_rejections_is_lowered_to_what_is_there_and_never_raised(ledger: Ledger) -> None:
    held = taken(ledger)
    stream = (held.source_id, held.log_type)
    tally = replace(landing(held).tally, events=0, rejections=3)
    ledger.pulling.land(rejecting(held, ["a", "b", "c"], tally=tally))
    for there, counted in ((5, 3), (2, 2), (4, 2)):
        ledger.losses.count_rejections({stream: there})
        assert [each.rejections for each in ledger.pulling.streams()] == [counted]


def test_a_replay_counts_what_fits_and_never_more_than_there_are(ledger: Ledger) -> None:
    stream = rejected(ledger, 3)
    assert counts(ledger) == (3, 0)
    # The last two: of what has expired since, nothing is tried again, and it stays in the lake.
    for fit, replayed in ((2, 2), (2, 2), (9, 3), (1, 3)):
        ledger.losses.note_replay(*stream, fit=fit, landed=0)
        assert counts(ledger) == (3, replayed)


def test_a_replay_of_a_stream_that_is_gone_notes_nothing(ledger: Ledger) -> None:
    stream = rejected(ledger, 3)
    ledger.sources.purge("acme")
    ledger.losses.note_replay(*stream, fit=2, landed=2)
    assert ledger.pulling.streams() == []


def test_rejections_that_are_lost_are_taken_for_replayed_ones(ledger: Ledger) -> None:
    stream = rejected(ledger, 5)
    ledger.losses.note_replay(*stream, fit=3, landed=3)
    for there, replayed in ((4, 2), (4, 2), (1, 0)):
        ledger.losses.count_rejections({stream: there})
        assert counts(ledger) == (there, replayed)


@pytest.mark.parametrize(("fit", "landed", "kept"), [(1, 0, True), (2, 0, False), (1, 1, False)])
def test_a_coverage_that_was_measured_without_replayed_records_is_forgotten(
    ledger: Ledger, *, fit: int, landed: int, kept: bool
) -> None:
    stream = rejected(ledger, 3)
    ledger.losses.note_replay(*stream, fit=1, landed=1)
    found = Coverage(status="OPEN", at_source=3, at_least=False, in_lake=2, since_us=0, measured_us=1)
    other = (stream[0], "Wiz.Audit")
    for each in (stream, other):
        ledger.sweeps.measured(*each, [found])
    ledger.losses.note_replay(*stream, fit=fit, landed=landed)
    assert set(ledger.sweeps.measured_streams()) == ({stream, other} if kept else {other})


def rejected(ledger: Ledger, number: int) -> tuple[str, str]:
    """Land so many rejections; return source id and log type of their stream."""
    held = taken(ledger)
    tally = replace(landing(held).tally, events=0, rejections=number)
    ledger.pulling.land(rejecting(held, [str(each) for each in range(number)], tally=tally))
    return held.source_id, held.log_type


def counts(ledger: Ledger) -> tuple[int, int]:
    (stream,) = ledger.pulling.streams()
    return stream.rejections, stream.replayed
