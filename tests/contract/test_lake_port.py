"""What every lake does for whoever pulls: the one of files, and the one in memory that the simulation runs on."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pytest

from lakeside.ledger import MemoryLedger
from lakeside.things import ISSUES, SCHEMAS, instant, row, rows
from ocelog.errors import LakeUnavailableError
from ocelog.lake.lake import FileLake
from ocelog.lake.upkeep.cleaning import clean
from ocelog.lake.write.damage import lost_part
from ocelog.lake.write.publish import Publisher
from ocelog.model import NewPart, Part
from ocelog.pull.ports import Lake
from ocelog.times import to_us
from simulation.lake import MemoryLake

TABLE = "wiz_issues"
OPEN = ("OPEN", "IN_PROGRESS")


class Kept(Protocol):
    """A lake, and what a service does to it beside pulling."""

    @property
    def lake(self) -> Lake: ...

    def publish(self) -> None: ...

    def clean(self) -> None:
        """Remove what is published, without any grace, and what nobody will ever commit."""

    def files(self) -> set[str]:
        """Return the paths of all part files."""


@dataclass
class KeptInFiles:
    lake: FileLake
    ledger: MemoryLedger

    def publish(self) -> None:
        Publisher(self.lake.home, self.ledger, SCHEMAS).publish(TABLE)

    def clean(self) -> None:
        clean(self.lake.home, TABLE, self.ledger, grace=timedelta(0))

    def files(self) -> set[str]:
        return {str(path.relative_to(self.lake.home)) for path in self.lake.home.glob("landing/*/*.parquet")}


@dataclass
class KeptInMemory:
    lake: MemoryLake

    def publish(self) -> None:
        self.lake.publish(TABLE, at_us=1)

    def clean(self) -> None:
        self.lake.clean(TABLE, published_before_us=2)

    def files(self) -> set[str]:
        return set(self.lake.files)


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture(params=["files", "memory"])
def kept(request: pytest.FixtureRequest, tmp_path: Path, ledger: MemoryLedger) -> Kept:
    if request.param == "files":
        return KeptInFiles(FileLake(tmp_path, ledger, SCHEMAS), ledger)
    return KeptInMemory(MemoryLake(ledger, lambda: None))


Land = Callable[..., Part]


def land_waiting(kept: Kept, ledger: MemoryLedger, *listed: dict[str, Any], schema: pa.Schema = ISSUES) -> Part:
    return ledger.land(kept.lake.write(TABLE, f"1-1-{ledger.counter(TABLE)}", rows(listed, schema)))


@pytest.fixture(params=["waiting", "published", "published, part gone"])
def land(request: pytest.FixtureRequest, kept: Kept, ledger: MemoryLedger) -> Land:
    """Land rows, wherever they end up: what a puller finds must not depend on it."""

    def land_rows(*listed: dict[str, Any], source: str = "s1", schema: pa.Schema = ISSUES) -> Part:
        written = kept.lake.write(TABLE, f"1-1-{ledger.counter(TABLE)}", rows(listed, schema))
        part = ledger.land(written, source)
        if request.param != "waiting":
            kept.publish()
        if request.param == "published, part gone":
            kept.clean()
            assert kept.files() == set()
        return part

    return land_rows


def us(minute: float) -> int:
    return to_us(instant(minute))


def test_a_part_knows_its_range(kept: Kept) -> None:
    part = kept.lake.write(TABLE, "12-3-7", rows([row("a", 5), row("b", 2), row("c", 9)]))
    assert (part.table, part.rows, part.min_cursor_us, part.max_cursor_us) == (TABLE, 3, us(2), us(9))
    assert part.path.startswith("landing/wiz_issues/12-3-7.")
    assert part.bytes > 0
    assert kept.files() == {part.path}


def test_a_part_is_never_overwritten(kept: Kept) -> None:
    part = kept.lake.write(TABLE, "1-1-0", rows([row("a", 5)]))
    with pytest.raises(LakeUnavailableError):
        kept.lake.write(TABLE, "1-1-0", rows([row("a", 5)]))
    assert kept.files() == {part.path}


def test_a_discarded_part_is_gone(kept: Kept) -> None:
    part = kept.lake.write(TABLE, "1-1-0", rows([row("a", 1)]))
    kept.lake.discard(part)
    kept.lake.discard(part)
    assert kept.files() == set()


def test_an_empty_lake_holds_nothing(kept: Kept) -> None:
    loaded = kept.lake.load(TABLE, "s1", since_us=0, until_us=None)
    assert (list(loaded.known.ids), loaded.through) == ([], 0)
    opened = open_records(kept)
    assert (dict(opened.rows), opened.count, opened.through) == ({}, 0, 0)
    assert kept.lake.rows(TABLE, ["a"], ["status"]) == {}


def test_loading_gives_the_versions_of_a_stretch_with_both_ends(kept: Kept, land: Land) -> None:
    land(row("a", 1), row("b", 2), row("c", 3))
    land(row("d", 4), row("e", 5))
    loaded = kept.lake.load(TABLE, "s1", since_us=us(2), until_us=us(4))
    assert sorted(loaded.known.ids) == ["b", "c", "d"]
    assert loaded.through == 2


def test_loading_gives_all_that_tells_versions_apart(kept: Kept, land: Land) -> None:
    one = row("a", 1, p_version_time=instant(2), p_observed_at=instant(3))
    land(one)
    known = kept.lake.load(TABLE, "s1", since_us=0, until_us=None).known
    assert list(known.version_us) == [us(2)]
    assert list(known.observed_us) == [us(3)]
    assert list(known.row_ids) == [one["p_row_id"]]
    assert list(known.versions) == [one["p_version"]]


def test_loading_some_ids_gives_every_version_of_them(kept: Kept, land: Land) -> None:
    land(row("a", 1), row("b", 1))
    land(row("a", 2), row("c", 2))
    known = kept.lake.load(TABLE, "s1", since_us=0, until_us=None, ids=["a", "c"]).known
    assert sorted(known.ids) == ["a", "a", "c"]


def test_loading_keeps_to_one_source(kept: Kept, land: Land) -> None:
    land(row("a", 1))
    land(row("a", 1, source="s2"), source="s2")
    loaded = kept.lake.load(TABLE, "s2", since_us=0, until_us=None)
    assert len(loaded.known.ids) == 1
    assert loaded.through == 2


def open_records(kept: Kept, since: float = 0, until: float = 100, most: int = 10) -> Any:
    return kept.lake.load_open(
        TABLE, "s1", created="p_event_time", since_us=us(since), until_us=us(until), statuses=OPEN, most=most
    )


def test_a_record_is_open_by_its_latest_version(kept: Kept, land: Land) -> None:
    born: dict[str, Any] = {"p_event_time": instant(1)}
    closed, again = row("a", 1, **born), row("a", 5, status="RESOLVED", **born)
    opened, progress = row("b", 2, **born), row("b", 3, status="IN_PROGRESS", **born)
    land(closed, opened)
    land(progress, again)
    land(row("c", 4, source="s2", **born), source="s2")
    found = open_records(kept)
    assert (dict(found.rows), found.count, found.through) == ({"b": progress["p_row_id"]}, 1, 3)
    assert sorted(found.known.row_ids) == sorted([opened["p_row_id"], progress["p_row_id"]])


def test_only_records_that_were_created_in_the_stretch_are_open_there(kept: Kept, land: Land) -> None:
    land(*(row(f"r{n}", 50, p_event_time=instant(n)) for n in range(6)))
    assert sorted(open_records(kept, since=2, until=4).rows) == ["r2", "r3", "r4"]


def test_of_many_open_records_as_many_are_given_as_asked_for_and_all_are_counted(kept: Kept, land: Land) -> None:
    land(*(row(f"r{n}", n) for n in range(6)))
    found = open_records(kept, most=4)
    assert (len(found.rows), found.count) == (4, 6)
    assert set(found.known.ids) == set(found.rows)


def test_rows_of_before_a_table_had_statuses_are_not_open(kept: Kept, land: Land) -> None:
    old = row("old", 1)
    del old["status"]
    land(old, schema=ISSUES.remove(ISSUES.get_field_index("status")))
    land(row("new", 2))
    assert list(open_records(kept).rows) == ["new"]


def test_parts_are_read_whole_as_far_as_they_are_of_the_source(kept: Kept, ledger: MemoryLedger) -> None:
    parts = [
        land_waiting(kept, ledger, row("a", 1)),
        land_waiting(kept, ledger, row("b", 2), row("c", 3), row("d", 3, source="s2")),
    ]
    assert sorted(kept.lake.read(parts, "s1").ids) == ["a", "b", "c"]


def test_a_part_that_is_gone_says_load_anew(kept: Kept, ledger: MemoryLedger) -> None:
    part = land_waiting(kept, ledger, row("a", 1))
    kept.publish()
    kept.clean()
    with pytest.raises(LakeUnavailableError):
        kept.lake.read([part], "s1")


def test_rows_give_whole_values_by_row_id(kept: Kept, land: Land) -> None:
    one = row("a", 1, notes=[{"text": "x"}], severity="HIGH")
    land(one, row("b", 1))
    found = kept.lake.rows(TABLE, [one["p_row_id"]], ["notes", "severity", "p_event_time"])
    assert found == {one["p_row_id"]: {"notes": [{"text": "x"}], "severity": "HIGH", "p_event_time": instant(1)}}
    assert isinstance(found[one["p_row_id"]]["p_event_time"], datetime)


def test_a_column_that_an_older_part_lacks_is_none(kept: Kept, land: Land) -> None:
    one = row("a", 1)
    del one["status"]
    land(one, schema=ISSUES.remove(ISSUES.get_field_index("status")))
    assert kept.lake.rows(TABLE, [one["p_row_id"]], ["status"]) == {one["p_row_id"]: {"status": None}}


def test_what_is_published_is_there_once_also_if_it_is_published_again(kept: Kept, ledger: MemoryLedger) -> None:
    land_waiting(kept, ledger, row("a", 1))
    kept.publish()
    land_waiting(kept, ledger, row("b", 2))
    kept.publish()
    kept.publish()
    assert sorted(kept.lake.load(TABLE, "s1", since_us=0, until_us=None).known.ids) == ["a", "b"]
    assert ledger.unpublished(TABLE)[0] == 0


def test_a_part_stays_until_it_is_published(kept: Kept, ledger: MemoryLedger) -> None:
    first = land_waiting(kept, ledger, row("a", 1))
    kept.publish()
    second = land_waiting(kept, ledger, row("b", 1))
    kept.clean()
    assert kept.files() == {second.path}
    assert ledger.parts(TABLE) == [second]
    assert first.path not in kept.files()


def written(kept: Kept, name: str) -> NewPart:
    return kept.lake.write(TABLE, name, rows([row(name, 1)]))


def test_orphans_go_only_if_their_holder_has_lost_the_claim(kept: Kept, ledger: MemoryLedger) -> None:
    landed = land_waiting(kept, ledger, row("a", 1))
    names = ("2-4-0", "2-5-0", "99-1-0", "1-1-8")
    stale, asleep, unknown, forgotten = (written(kept, name) for name in names)
    ledger.hold({2: 5})
    kept.clean()
    assert kept.files() == {landed.path, asleep.path, unknown.path}
    assert stale.path != forgotten.path


def test_a_part_that_was_set_aside_is_no_orphan(kept: Kept, ledger: MemoryLedger) -> None:
    part = land_waiting(kept, ledger, row("a", 1))
    ledger.set_aside(lost_part(part, "is missing"))
    assert ledger.parts(TABLE) == []
    ledger.hold({1: 7})
    kept.clean()
    assert kept.files() == {part.path}
