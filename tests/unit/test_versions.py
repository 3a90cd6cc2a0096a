from dataclasses import dataclass, field
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from ocelog.model import KnownVersions
from ocelog.pull.ports import ShapedRecords
from ocelog.pull.versions import History, PlacedEvents


def digest(version: str) -> str:
    return version.encode().hex().ljust(32, "0")


@dataclass
class Events:
    """As much of a shaped page as placing looks at."""

    ids: list[str] = field(default_factory=list)
    version_us: list[int] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    old_versions: list[list[str]] = field(default_factory=list)

    @classmethod
    def of(cls, *events: tuple[str, int, str]) -> ShapedRecords:
        """Return events by id, version time and version; `new/old/older` is a version and what it was before."""
        new = [digest(e[2].partition("/")[0]) for e in events]
        old = [list(map(digest, e[2].split("/")[1:])) for e in events]
        return cast("ShapedRecords", cls([e[0] for e in events], [e[1] for e in events], new, old))


def land(history: History, observed: int, *events: tuple[str, int, str]) -> PlacedEvents:
    placed = history.place(Events.of(*events), observed)
    history.commit(placed)
    return placed


def blank() -> History:
    return History("s", "Wiz.Issues")


def test_a_version_that_is_there_is_dropped() -> None:
    history = blank()
    assert land(history, 1, ("i", 10, "A")).keep == [0]
    assert land(history, 2, ("i", 10, "A")).keep == []


def test_what_is_seen_now_is_newer_than_what_a_lying_clock_dated() -> None:
    history, minute = blank(), 60_000_000
    land(history, 9 * minute, ("i", 10, "A"), ("j", 10, "A"), ("k", 11, "A"))
    now = history.place(Events.of(("i", 10, "B"), ("j", 10, "A"), ("k", 10, "B"), ("l", 10, "B")), 7, 8 * minute - 1)
    assert now.keep == [0, 2, 3]
    assert now.new.observed_us == (9 * minute + 1, 7, 7), "behind a lie of the same version time only"
    assert history.before("i", 10, 7, 8 * minute - 1) == history.newest("i")[2]  # type: ignore[index]
    history.commit(now)
    assert land(history, 8 * minute, ("i", 10, "B")).new.observed_us == (8 * minute,), "of another time: as it was seen"


def test_an_instant_that_another_process_may_have_given_is_no_lie() -> None:
    history, minute = blank(), 60_000_000
    land(history, 9 * minute, ("i", 10, "A"))
    assert history.place(Events.of(("i", 10, "B")), 7, 8 * minute).new.observed_us == (7,)


def test_a_row_from_before_an_upgrade_is_repeated_by_its_record_and_by_nothing_else() -> None:
    history = blank()
    land(history, 1, ("i", 10, "old A"))
    assert land(history, 2, ("i", 10, "new A/old A")).keep == []
    assert land(history, 3, ("i", 10, "new A, assigned/old A")).keep == []
    assert land(history, 4, ("i", 11, "new B/old B")).keep == [0]
    assert land(history, 5, ("i", 11, "new B/old B")).keep == []
    assert land(history, 6, ("i", 11, "new B, assigned/old B")).keep == [0]
    assert land(history, 7, ("i", 12, "newest B/new B, assigned/old B")).keep == []
    assert land(history, 8, ("j", 10, "oldest")).keep == [0]
    assert land(history, 9, ("j", 10, "newest/newer/oldest")).keep == []


def test_a_b_a_is_three_versions_with_three_row_ids() -> None:
    history = blank()
    names = [land(history, at, ("i", 10, version)).row_ids[0] for at, version in enumerate("ABA")]
    assert len(set(names)) == 3


def test_an_old_state_that_comes_late_takes_its_place_in_the_past() -> None:
    history = blank()
    land(history, 1, ("i", 10, "A"))
    land(history, 2, ("i", 30, "C"))
    assert land(history, 3, ("i", 20, "B")).keep == [0]
    assert land(history, 4, ("i", 20, "B")).keep == []
    assert land(history, 5, ("i", 10, "A")).keep == []


def test_a_repeat_equals_the_neighbour_after_it_too() -> None:
    history = blank()
    land(history, 9, ("i", 10, "A"))
    assert land(history, 3, ("i", 10, "A")).keep == []


def test_repeats_within_one_page_are_dropped() -> None:
    assert land(blank(), 1, ("i", 10, "A"), ("i", 10, "A"), ("j", 10, "A")).keep == [0, 2]


def test_placing_alone_changes_nothing() -> None:
    history = blank()
    history.place(Events.of(("i", 10, "A")), 1)
    assert land(history, 2, ("i", 10, "A")).keep == [0]


def test_the_version_just_before_is_found_by_time_then_observation() -> None:
    history = blank()
    first = land(history, 1, ("i", 10, "A")).row_ids[0]
    second = land(history, 5, ("i", 10, "B")).row_ids[0]
    assert history.before("i", 10, 1) is None
    assert history.before("i", 10, 3) == first
    assert history.before("i", 11, 0) == second
    assert history.before("other", 11, 0) is None


def rows(*placed: PlacedEvents) -> KnownVersions:
    return KnownVersions(
        ids=[name for one in placed for name in one.new.ids],
        version_us=[at for one in placed for at in one.new.version_us],
        observed_us=[at for one in placed for at in one.new.observed_us],
        row_ids=[name for one in placed for name in one.new.row_ids],
        versions=[version for one in placed for version in one.new.versions],
    )


answers = st.lists(
    st.lists(st.tuples(st.sampled_from("ij"), st.integers(0, 3), st.sampled_from("AB")), max_size=4), max_size=8
)


@given(pages=answers, data=st.data())
def test_whatever_comes_neighbours_differ_row_ids_are_unique_and_memory_reloads_alike(
    pages: list[list[tuple[str, int, str]]], data: Any
) -> None:
    pages = [[(record_id, at, f"{version}{at}") for record_id, at, version in events] for events in pages]
    history, landed = blank(), []
    for observed, events in enumerate(pages):
        landed.append(land(history, observed, *events))
        if data.draw(st.booleans()):
            reloaded = blank()
            reloaded.add(rows(*landed))
            reloaded.add(rows(*landed))
            history = reloaded
    known = rows(*landed)
    assert len(set(known.row_ids)) == len(known.row_ids)
    placed = list(zip(known.ids, known.version_us, known.observed_us, known.row_ids, known.versions, strict=True))
    for wanted in "ij":
        in_order = sorted(row for row in placed if row[0] == wanted)
        assert all(one[4] != other[4] for one, other in zip(in_order, in_order[1:], strict=False))
    there = {(name, version_us, version) for name, version_us, _, _, version in placed}
    for events in pages:
        assert {(name, version_us, digest(version)) for name, version_us, version in events} <= there
