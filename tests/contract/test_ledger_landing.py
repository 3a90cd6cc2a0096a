"""A landing commits rows, checkpoint and figures together, in the order of its sequence, or not at all."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from bookkeeping.crashes import crash_everywhere
from bookkeeping.races import everything
from bookkeeping.records import NOW, TABLE, landing, part, planned, rejecting, slice_of, source_row, taken
from ocelog.errors import LostFenceError
from ocelog.ledger.ledger import Ledger
from ocelog.model import REJECTIONS, Checkpoint, Part, Slice, SliceState
from ocelog.pull.ports import Behind, Landed, Tally
from ocelog.times import to_us


def _two_taken(ledger: Ledger) -> tuple[Slice, Slice]:
    planned(ledger, slice_of(), slice_of())
    one, two = ledger.pulling.take("one", now=NOW), ledger.pulling.take("two", now=NOW)
    assert one is not None
    assert two is not None
    return one, two


def test_a_landing_adds_its_part_and_moves_the_checkpoint(ledger: Ledger) -> None:
    held = taken(ledger)
    new = landing(held, 5, 9)
    assert ledger.pulling.land(new) == Landed(sequence=1)
    assert new.part is not None
    assert ledger.lake.parts(TABLE) == [
        Part(
            table=TABLE,
            sequence=1,
            path=new.part.path,
            rows=1,
            bytes=100,
            min_cursor_us=5,
            max_cursor_us=9,
            landed_us=to_us(NOW),
            source_id="acme",
        )
    ]
    assert ledger.pulling.slices() == [new.to]
    assert ledger.lake.counter(TABLE) == 1


def test_each_table_counts_on_its_own(ledger: Ledger) -> None:
    held = taken(ledger)
    assert ledger.pulling.land(landing(held)) == Landed(sequence=1)
    audit = landing(held, table="wiz_audit", part=part(table="wiz_audit"))
    assert ledger.pulling.land(audit) == Landed(sequence=1)
    assert ledger.pulling.land(landing(held, loaded_through=1)) == Landed(sequence=2)


def test_a_page_with_nothing_new_moves_only_the_checkpoint(ledger: Ledger) -> None:
    held = taken(ledger)
    new = landing(held, part=None)
    assert ledger.pulling.land(new) == Landed(sequence=None)
    assert ledger.lake.parts(TABLE) == []
    assert ledger.pulling.slices() == [new.to]


def test_a_holder_that_lost_its_slice_lands_nothing(ledger: Ledger, other: Ledger) -> None:
    stale = taken(ledger)
    fresh = other.pulling.take("two", now=NOW + timedelta(minutes=10))
    assert fresh is not None
    before = everything(ledger)
    for try_it in (
        lambda: ledger.pulling.land(landing(stale)),
        lambda: ledger.pulling.land(landing(stale, part=None)),
        lambda: ledger.pulling.move(stale, stale),
        lambda: ledger.pulling.split(stale, [slice_of(), slice_of()]),
        lambda: ledger.pulling.park(stale, replace(stale, state=SliceState.PARKED)),
    ):
        with pytest.raises(LostFenceError):
            try_it()
        assert everything(ledger) == before
    ledger.pulling.release(stale)
    assert everything(ledger) == before
    assert other.pulling.land(landing(fresh)) == Landed(sequence=1)


def test_a_landing_for_a_source_that_was_purged_is_refused(ledger: Ledger) -> None:
    held = taken(ledger)
    ledger.sources.purge("acme")
    with pytest.raises(LostFenceError):
        ledger.pulling.land(landing(held))
    assert ledger.lake.parts(TABLE) == []


@pytest.mark.parametrize("new", [True, False], ids=["something new", "nothing new"])
def test_a_part_that_the_landing_has_not_read_turns_it_back(ledger: Ledger, new: bool) -> None:
    one, two = _two_taken(ledger)
    ledger.pulling.land(landing(one, 0, 10))
    late = landing(two, 10, 20) if new else landing(two, 10, 20, part=None)
    before = everything(ledger)
    assert ledger.pulling.land(late) == Behind(parts=ledger.lake.parts(TABLE))
    assert everything(ledger) == before
    assert isinstance(ledger.pulling.land(replace(late, loaded={1})), Landed)


def test_a_part_that_was_loaded_or_does_not_overlap_turns_nothing_back(ledger: Ledger) -> None:
    one, two = _two_taken(ledger)
    ledger.pulling.land(landing(one, 0, 10))
    assert ledger.pulling.land(landing(two, 11, 20)) == Landed(sequence=2)
    assert ledger.pulling.land(landing(one, 0, 15, loaded_through=2)) == Landed(sequence=3)


def test_the_parts_of_another_source_turn_nothing_back(ledger: Ledger) -> None:
    ledger.sources.add(source_row("other"))
    ledger.pulling.land(landing(taken(ledger)))
    elsewhere = taken(ledger, slice_of("other"))
    assert elsewhere.source_id == "other"
    assert ledger.pulling.land(landing(elsewhere)) == Landed(sequence=2)


def test_a_page_without_events_is_not_turned_back(ledger: Ledger) -> None:
    one, two = _two_taken(ledger)
    ledger.pulling.land(landing(one))
    ledger.lake.published(TABLE, 1, at_us=1)
    ledger.lake.forget(TABLE, [1])
    assert ledger.pulling.land(landing(two, None, None)) == Landed(sequence=None)


def test_parts_that_were_removed_above_what_was_loaded_mean_loading_anew(ledger: Ledger) -> None:
    one, two = _two_taken(ledger)
    ledger.pulling.land(landing(one, 0, 10))
    ledger.lake.published(TABLE, 1, at_us=1)
    ledger.lake.forget(TABLE, [1])
    for late in (landing(two, 90, 99), landing(two, 90, 99, part=None)):
        before = everything(ledger)
        assert ledger.pulling.land(late) == Behind(reload=True)
        assert everything(ledger) == before
    assert ledger.pulling.land(landing(two, 90, 99, loaded_through=1)) == Landed(sequence=2)


def test_rejections_land_in_a_table_of_their_own_under_keys_that_stay(ledger: Ledger) -> None:
    held = taken(ledger)
    assert ledger.pulling.known_rejections(["a", "b"]) == frozenset()
    assert ledger.pulling.land(rejecting(held, ["a", "b"])) == Landed(sequence=None)
    assert [found.sequence for found in ledger.lake.parts(REJECTIONS)] == [1]
    assert ledger.pulling.known_rejections(["b", "c"]) == {"b"}
    before = everything(ledger)
    assert ledger.pulling.land(rejecting(held, ["b", "c"])) == Behind(known_rejections=frozenset({"b"}))
    assert everything(ledger) == before


def test_events_and_rejections_of_one_page_land_together(ledger: Ledger) -> None:
    held = taken(ledger)
    both = landing(held, rejections=part(table=REJECTIONS), rejection_keys=["a"])
    assert ledger.pulling.land(both) == Landed(sequence=1)
    assert ledger.lake.counter(TABLE) == ledger.lake.counter(REJECTIONS) == 1


def test_more_keys_than_a_statement_holds_are_looked_up(ledger: Ledger) -> None:
    keys = [f"{n:032x}" for n in range(1_200)]
    ledger.pulling.land(rejecting(taken(ledger), keys))
    assert ledger.pulling.known_rejections([*keys, "other"]) == frozenset(keys)


def test_a_landing_adds_to_the_figures_of_its_stream(ledger: Ledger) -> None:
    held = taken(ledger)
    first = Tally(
        events=2, repeats=3, rejections=1, unknown_fields={"x": 1}, last_event_us=50, refused=frozenset({"notes", "a"})
    )
    second = Tally(events=1, repeats=1, unknown_fields={"x": 2, "nul\0 \ud800": 1}, last_event_us=40)
    ledger.pulling.land(landing(held, tally=first))
    ledger.pulling.land(landing(held, loaded_through=1, tally=second))
    (stream,) = ledger.pulling.streams("acme")
    assert (stream.events, stream.repeats, stream.rejections) == (3, 4, 1)
    assert stream.unknown_fields["x"] == 3
    assert len(stream.unknown_fields) == 2
    assert stream.refused == {"notes", "a"}
    assert (stream.last_event_us, stream.last_success_us) == (50, to_us(NOW))
    ledger.pulling.land(landing(held, loaded_through=2, tally=Tally(refused=frozenset())))
    assert ledger.pulling.streams()[0].refused == frozenset()


def test_the_latest_observation_of_a_source_is_that_of_any_landing(ledger: Ledger) -> None:
    held = taken(ledger)
    assert ledger.sources.observed_us("acme") == 0
    ledger.pulling.land(landing(held, tally=Tally(observed_us=70, answered_us=80)))
    ledger.pulling.land(landing(held, None, None, tally=Tally(observed_us=60, answered_us=80)))
    ledger.pulling.land(landing(held, None, None, tally=Tally()))
    assert ledger.sources.observed_us("acme") == 70
    assert ledger.sources.observed_us("other") == 0


def test_an_observation_by_a_clock_that_lied_does_not_count_once_the_clock_is_right(ledger: Ledger) -> None:
    held, minute = taken(ledger), 60_000_000
    ledger.pulling.land(landing(held, tally=Tally(observed_us=9 * minute, answered_us=9 * minute)))
    ledger.pulling.land(landing(held, None, None, tally=Tally(observed_us=7 * minute, answered_us=8 * minute)))
    assert ledger.sources.observed_us("acme") == 9 * minute
    ledger.pulling.land(landing(held, None, None, tally=Tally(observed_us=7 * minute, answered_us=8 * minute - 1)))
    assert ledger.sources.observed_us("acme") == 7 * minute


def test_a_source_that_invents_field_names_does_not_fill_the_ledger(ledger: Ledger) -> None:
    held = taken(ledger)
    for start in (0, 400):
        names = {f"field {n}": 1 for n in range(start, start + 400)}
        ledger.pulling.land(landing(held, None, None, tally=Tally(unknown_fields=names)))
    assert len(ledger.pulling.streams()[0].unknown_fields) == 500


def test_a_checkpoint_comes_back_as_it_was_saved(ledger: Ledger) -> None:
    held = taken(ledger)
    to = replace(
        held,
        checkpoint=Checkpoint(after="c\0ursor \ud800 내", page_size=20, restarts=1, short_readings=2, failures=3),
        due_at=NOW + timedelta(seconds=1.000001),
        short_by=4,
        reason="throttled",
    )
    ledger.pulling.land(landing(held, to=to))
    assert ledger.pulling.slices() == [replace(to, failing_since=NOW)]


def test_a_reason_of_any_text_and_length_can_be_saved(ledger: Ledger) -> None:
    held = taken(ledger)
    ledger.pulling.move(held, replace(held, reason="a\0b\ud800" + "x" * 100_000))
    (saved,) = ledger.pulling.slices()
    assert saved.reason is not None
    assert saved.reason.startswith("a\ufffdb?x")
    assert len(saved.reason) == 4_000


def test_a_crash_at_any_statement_of_a_landing_leaves_nothing_behind(ledger: Ledger) -> None:
    held = taken(ledger)
    full = landing(
        held, rejections=part(table=REJECTIONS), rejection_keys=["a"], tally=Tally(events=1, unknown_fields={"x": 1})
    )
    assert crash_everywhere(ledger, lambda: ledger.pulling.land(full)) >= 9
    assert ledger.lake.counter(TABLE) == 1
