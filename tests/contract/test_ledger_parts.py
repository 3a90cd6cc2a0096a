"""Parts are listed, published and forgotten; what is forgotten is never taken for something new."""

from datetime import timedelta

from bookkeeping.crashes import before_statement, crash_everywhere
from bookkeeping.races import at_once
from bookkeeping.records import NOW, TABLE, landing, planned, rejecting, slice_of, taken
from ocelog.ledger.ledger import Ledger
from ocelog.model import REJECTIONS, GivenUp, Slice
from ocelog.pull.ports import Landed
from ocelog.times import to_us


def _landed(ledger: Ledger, count: int) -> Slice:
    held = taken(ledger)
    for n in range(count):
        assert isinstance(ledger.pulling.land(landing(held, loaded_through=n)), Landed)
    return held


def _sequences(ledger: Ledger, above: int = 0) -> list[int]:
    return [part.sequence for part in ledger.lake.parts(TABLE, above)]


def test_parts_come_in_the_order_of_their_commits(ledger: Ledger) -> None:
    _landed(ledger, 3)
    assert _sequences(ledger) == [1, 2, 3]
    assert _sequences(ledger, above=1) == [2, 3]
    assert _sequences(ledger, above=3) == []
    assert ledger.lake.parts("wiz_audit") == []


def test_a_table_without_parts_counts_from_nothing(ledger: Ledger) -> None:
    assert ledger.lake.counter("wiz_audit") == 0
    assert ledger.lake.removed_through("wiz_audit") == 0
    assert ledger.lake.unpublished("wiz_audit") == (0, 0, 0, None)
    assert ledger.lake.removable("wiz_audit", 1) == []


def test_a_counter_is_raised_to_a_mark_and_never_lowered(ledger: Ledger) -> None:
    ledger.lake.raise_counter(TABLE, 7)
    ledger.lake.raise_counter(TABLE, 3)
    assert ledger.lake.counter(TABLE) == 7
    assert ledger.pulling.land(landing(taken(ledger))) == Landed(sequence=8)


def test_a_counter_never_shrinks_whatever_is_deleted(ledger: Ledger) -> None:
    held = _landed(ledger, 3)
    ledger.lake.published(TABLE, 3, at_us=1)
    ledger.lake.forget(TABLE, [1, 2, 3])
    assert _sequences(ledger) == []
    assert ledger.lake.counter(TABLE) == 3
    assert ledger.pulling.land(landing(held, loaded_through=3)) == Landed(sequence=4)
    ledger.sources.purge("acme")
    assert ledger.lake.counter(TABLE) == 4
    assert ledger.pulling.land(landing(taken(ledger), loaded_through=4)) == Landed(sequence=5)


def test_counters_of_one_table_made_at_once_are_one(ledger: Ledger, other: Ledger) -> None:
    for n in range(10):
        table = f"table_{n}"
        calls = [lambda at=at, to=to: at.lake.raise_counter(table, to) for at, to in ((ledger, 3), (other, 5))]  # noqa: B023 - called at once
        assert at_once(calls) == [None, None]
        assert ledger.lake.counter(table) == 5


def test_what_is_published_is_removable_after_a_while(ledger: Ledger) -> None:
    _landed(ledger, 3)
    ledger.lake.published(TABLE, 2, at_us=100)
    assert [part.sequence for part in ledger.lake.removable(TABLE, 100)] == []
    assert [part.sequence for part in ledger.lake.removable(TABLE, 101)] == [1, 2]
    ledger.lake.published(TABLE, 3, at_us=200)
    assert [part.sequence for part in ledger.lake.removable(TABLE, 101)] == [1, 2], (
        "the first time of publishing counts"
    )
    ledger.lake.published(TABLE, 3, at_us=150)
    assert [part.sequence for part in ledger.lake.removable(TABLE, 151)] == [1, 2, 3], "unless our clock was ahead then"


def test_parts_that_are_not_published_are_not_forgotten(ledger: Ledger) -> None:
    _landed(ledger, 3)
    ledger.lake.published(TABLE, 1, at_us=1)
    ledger.lake.forget(TABLE, [1, 2])
    assert _sequences(ledger) == [2, 3]
    assert ledger.lake.removed_through(TABLE) == 1
    ledger.lake.forget(TABLE, [1])
    ledger.lake.forget(TABLE, [])
    assert ledger.lake.removed_through(TABLE) == 1


def test_what_is_forgotten_later_may_lie_before_what_was_forgotten_first(ledger: Ledger) -> None:
    _landed(ledger, 3)
    ledger.lake.published(TABLE, 3, at_us=1)
    ledger.lake.forget(TABLE, [3])
    ledger.lake.forget(TABLE, [1])
    assert ledger.lake.removed_through(TABLE) == 3


def test_many_parts_are_forgotten_at_once(ledger: Ledger) -> None:
    _landed(ledger, 3)
    ledger.lake.published(TABLE, 3, at_us=1)
    ledger.lake.forget(TABLE, range(1_200))
    assert _sequences(ledger) == []
    assert ledger.lake.removed_through(TABLE) == 3


def test_a_crash_at_any_statement_of_forgetting_leaves_nothing_behind(ledger: Ledger) -> None:
    _landed(ledger, 2)
    ledger.lake.published(TABLE, 2, at_us=1)
    assert crash_everywhere(ledger, lambda: ledger.lake.forget(TABLE, [1, 2])) >= 4


def test_what_is_unpublished_is_counted(ledger: Ledger) -> None:
    _landed(ledger, 3)
    ledger.lake.published(TABLE, 1, at_us=1)
    assert ledger.lake.unpublished(TABLE) == (2, 2, 200, to_us(NOW))


def test_the_landing_state_is_of_one_table_and_all_slices(ledger: Ledger) -> None:
    held = _landed(ledger, 1)
    ledger.pulling.land(rejecting(held, ["a"]))
    planned(ledger, slice_of())
    paths, fences = ledger.lake.landing_state(REJECTIONS)
    assert paths == {part.path for part in ledger.lake.parts(REJECTIONS)}
    assert len(paths) == 1
    assert fences == {held.claim.name: 1, str(held.id + 1): 0}


def test_the_landing_state_is_of_one_instant(ledger: Ledger, other: Ledger) -> None:
    held = taken(ledger)
    with before_statement(ledger, "FROM slices", lambda: other.pulling.take("two", now=NOW + timedelta(minutes=10))):
        paths, fences = ledger.lake.landing_state(TABLE)
    assert (paths, fences) == (frozenset(), {held.claim.name: 1})
    assert ledger.lake.landing_state(TABLE) == (frozenset(), {held.claim.name: 2})


def test_a_part_that_was_set_aside_counts_as_landed_also_once_it_is_planned_again(ledger: Ledger) -> None:
    _landed(ledger, 2)
    first, second = ledger.lake.parts(TABLE)
    lost = GivenUp(
        table=TABLE, path=first.path, reason="is missing", noticed_us=1, sequence=first.sequence, source_id="acme"
    )
    ledger.lake.set_aside(lost)
    assert ledger.lake.parts(TABLE) == [second]
    assert ledger.lake.landing_state(TABLE)[0] == {first.path, second.path}
    ledger.losses.plan([first.path], [])
    assert ledger.lake.landing_state(TABLE)[0] == {first.path, second.path}
    assert ledger.lake.landing_state(REJECTIONS)[0] == frozenset()


def test_how_often_and_since_when_a_part_cannot_be_read_is_kept_until_it_can_be(ledger: Ledger) -> None:
    _landed(ledger, 2)
    assert ledger.lake.part_failed(TABLE, 1, 100) == (1, 100)
    assert ledger.lake.part_failed(TABLE, 1, 150) == (2, 100)
    assert ledger.lake.part_failed(TABLE, 2, 160) == (1, 160)
    ledger.lake.parts_whole(TABLE, [1])
    assert ledger.lake.part_failed(TABLE, 1, 200) == (1, 200)
    assert ledger.lake.part_failed(TABLE, 2, 200) == (2, 160)
    assert ledger.lake.part_failed(TABLE, 3, 200)[0] == 0


def test_a_clock_that_was_ahead_when_a_part_failed_first_does_not_count(ledger: Ledger) -> None:
    _landed(ledger, 1)
    assert ledger.lake.part_failed(TABLE, 1, 9_000) == (1, 9_000)
    assert ledger.lake.part_failed(TABLE, 1, 100) == (2, 100)
    assert ledger.lake.part_failed(TABLE, 1, 150) == (3, 100)
