"""Small files become few: no row is lost, doubled or changed, whoever reads, publishes or commits meanwhile."""

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import log2
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import StringType

from lakeside.ledger import MemoryLedger
from lakeside.things import AUDIT, ISSUES, SCHEMAS, row, rows
from ocelog.errors import HomeError, LakeUnavailableError
from ocelog.lake.catalog.iceberg import opened_catalog
from ocelog.lake.catalog.state import MARK, TableFile, TableStates
from ocelog.lake.lake import KEY_COLUMNS, FileLake
from ocelog.lake.read.scan import RowFilter
from ocelog.lake.upkeep import compaction, maintenance
from ocelog.lake.upkeep.compaction import BUSY, FULL_BYTES, QUIET, by_partition, groups, rewrite
from ocelog.lake.upkeep.leftovers import remove_leftovers
from ocelog.lake.upkeep.maintenance import Maintenance
from ocelog.lake.write import append
from ocelog.lake.write.publish import Publisher

TABLE = "wiz_issues"


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def lake(tmp_path: Path, ledger: MemoryLedger) -> FileLake:
    return FileLake(tmp_path, ledger, SCHEMAS)


def publish(
    lake: FileLake, ledger: MemoryLedger, *listed: Mapping[str, Any], table: str = TABLE, schema: pa.Schema = ISSUES
) -> None:
    ledger.land(lake.write(table, f"1-1-{ledger.counter(table)}", rows(listed, schema)))
    Publisher(lake.home, ledger, SCHEMAS).publish(table)


def files(lake: FileLake, table: str = TABLE) -> tuple[TableFile, ...]:
    state = TableStates(lake.home).state(table)
    return () if state is None else state.files


def paths(lake: FileLake) -> set[str]:
    return {file.path for file in files(lake)}


def content(lake: FileLake, table: str = TABLE) -> list[str]:
    """Return every row of the table with every value, also where a list is null or a column is not in the file."""
    listed = [one for file in files(lake, table) for one in pq.ParquetFile(file.path).read().to_pylist()]
    return sorted(str({name: value for name, value in one.items() if value is not None}) for one in listed)


def append_foreign(lake: FileLake, table: pa.Table) -> None:
    with opened_catalog(lake.home) as catalog:
        catalog.load_table(("ocelog", TABLE)).append(table)


def tend(lake: FileLake, ledger: MemoryLedger, table: str = TABLE) -> maintenance.TableUpkeep:
    return Maintenance(lake.home, ledger, SCHEMAS).tend_whole(table)


def file(number: int, row_count: int, size: int = 1_000) -> TableFile:
    return TableFile(path=f"{number:09}", rows=row_count, bytes=size, min_cursor_us=0, max_cursor_us=0)


def test_nothing_is_rewritten_while_there_are_few_files() -> None:
    assert groups([file(n, 5) for n in range(7)], BUSY) == []
    assert [len(some) for some in groups([file(n, 5) for n in range(8)], BUSY)] == [8]
    assert groups([file(1, 5)], QUIET) == []
    assert [len(some) for some in groups([file(n, 5) for n in range(2)], QUIET)] == [2]


def test_a_large_file_is_left_alone_while_little_comes_to_it() -> None:
    fresh = [file(n, 5) for n in range(8)]
    assert [len(some) for some in groups([file(100, 1_000), *fresh], BUSY)] == [8]
    assert [len(some) for some in groups([file(100, 40), *fresh], BUSY)] == [9]
    assert [len(some) for some in groups([file(100, 1_000), *fresh], QUIET)] == [8]
    assert groups([file(100, 1_000), file(1, 5)], QUIET) == []


def test_no_file_becomes_larger_than_is_good() -> None:
    full = file(100, 10, FULL_BYTES)
    (some,) = groups([full, *(file(n, 5, FULL_BYTES // 10) for n in range(9))], BUSY)
    assert full not in some
    assert [len(some) for some in groups([file(n, 5, FULL_BYTES // 10) for n in range(20)], BUSY)] == [10, 10]
    assert [len(some) for some in groups([file(n, 1, 1) for n in range(230)], BUSY)] == [100, 100, 30]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=200, max_size=400))
def test_files_stay_as_few_as_a_logarithm_and_a_row_is_rewritten_as_often(published: list[int]) -> None:
    there: list[TableFile] = []
    rewritten: dict[str, int] = {}
    for number, count in enumerate(published):
        there.append(file(number, count))
        rewritten[there[-1].path] = 0
        for some in groups(there, BUSY):
            merged = replace(file(10_000 + number, 0), rows=sum(one.rows for one in some))
            rewritten[merged.path] = 1 + max(rewritten[one.path] for one in some)
            there = [one for one in there if one not in some] + [merged]
    steps = log2(sum(published))
    assert len(there) <= 8 + steps
    assert max(rewritten.values()) <= steps


def odd_rows() -> list[dict[str, Any]]:
    return [
        row("c", 3, notes=None, score=None),
        row("a", 1, notes=[], score=float("inf")),
        row("b", 2, notes=[{"text": None}, {"text": 'x"\0é'}], score=-0.0),
        row("e", 9, p_any_ip_addresses=["10.0.0.1"], p_extra='{"a":1}'),
        row("end", 5, p_cursor_time=datetime.max.replace(tzinfo=UTC), p_version_time=datetime.min.replace(tzinfo=UTC)),
        row("d", 4, p_any_ip_addresses=[]),
    ]


def test_every_row_and_value_stays_as_it_was_sorted_by_event_time(lake: FileLake, ledger: MemoryLedger) -> None:
    for one in odd_rows():
        publish(lake, ledger, one, row(f"{one['id']}2", 7))
    before = content(lake)
    known = lake.load(TABLE, "s1", since_us=-(2**62), until_us=None).known
    done = tend(lake, ledger)
    assert (done.files_before, done.files_after, done.rewritten) == (6, 1, 6)
    assert content(lake) == before
    after = FileLake(lake.home, ledger, SCHEMAS).load(TABLE, "s1", since_us=-(2**62), until_us=None).known
    assert sorted(zip(known.row_ids, known.versions, strict=True)) == sorted(
        zip(after.row_ids, after.versions, strict=True)
    )
    (only,) = paths(lake)
    times = pq.ParquetFile(only).read().column("p_event_time").to_pylist()
    assert times == sorted(times)
    assert Path(only).stat().st_mode & 0o777 == 0o444


@pytest.mark.slow
def test_each_partition_keeps_files_of_its_own(lake: FileLake, ledger: MemoryLedger) -> None:
    listed = [{k: v for k, v in row(f"{day}", 60 * 24 * day).items() if k in AUDIT.names} for day in range(4)]
    listed[3]["p_event_time"] = datetime.max.replace(tzinfo=UTC)
    for _ in range(3):
        publish(lake, ledger, *listed, table="wiz_audit", schema=AUDIT)
    before = content(lake, "wiz_audit")
    assert tend(lake, ledger, "wiz_audit").files_after == 4
    assert content(lake, "wiz_audit") == before


def test_the_mark_is_carried_on_and_publishing_goes_on(lake: FileLake, ledger: MemoryLedger) -> None:
    for n in range(3):
        publish(lake, ledger, row(f"{n}", n))
    tend(lake, ledger)
    assert TableStates(lake.home).mark(TABLE) == ("ledger-1", 3)
    with opened_catalog(lake.home) as catalog:
        snapshot = catalog.load_table(("ocelog", TABLE)).current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary[MARK] == "ledger-1:3"
    assert Publisher(lake.home, ledger, SCHEMAS).publish(TABLE).parts == 0
    publish(lake, ledger, row("later", 1))
    assert len(content(lake)) == 4


def test_a_publish_that_comes_first_stays_and_the_rewriting_is_committed_after_it(
    lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        publish(lake, ledger, row(f"{n}", n))
    sorted_rows = compaction.sorted_rows

    def meanwhile(*args: Any) -> Any:
        publish(lake, ledger, row("meanwhile", 1))
        return sorted_rows(*args)

    monkeypatch.setattr(compaction, "sorted_rows", meanwhile)
    assert rewrite(lake.home, TABLE, paths(lake)) == 3
    assert len(files(lake)) == 2
    assert sorted(lake.load(TABLE, "s1", since_us=0, until_us=None).known.ids) == ["0", "1", "2", "meanwhile"]
    assert TableStates(lake.home).mark(TABLE) == ("ledger-1", 4)


def test_a_commit_between_the_last_look_and_ours_is_noticed(
    lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        publish(lake, ledger, row(f"{n}", n))
    commit_table = SqlCatalog.commit_table
    lost = list[CommitFailedException]()

    def meanwhile(*args: Any, **named: Any) -> Any:
        monkeypatch.setattr(SqlCatalog, "commit_table", commit_table)
        publish(lake, ledger, row("meanwhile", 1))
        try:
            return commit_table(*args, **named)
        except CommitFailedException as error:
            lost.append(error)
            raise

    monkeypatch.setattr(SqlCatalog, "commit_table", meanwhile)
    assert rewrite(lake.home, TABLE, paths(lake)) == 3
    assert len(lost) == 1
    assert sorted(lake.load(TABLE, "s1", since_us=0, until_us=None).known.ids) == ["0", "1", "2", "meanwhile"]
    assert len(content(lake)) == 4


def test_a_publish_that_upkeep_overtakes_is_committed_after_it(
    lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        publish(lake, ledger, row(f"{n}", n))
    chunks = append._chunks

    def meanwhile(*args: Any) -> Any:
        tend(lake, ledger)
        return chunks(*args)

    monkeypatch.setattr(append, "_chunks", meanwhile)
    publish(lake, ledger, row("later", 1))
    assert len(files(lake)) == 2
    assert len(content(lake)) == 4
    assert TableStates(lake.home).mark(TABLE) == ("ledger-1", 4)


def test_two_that_rewrite_the_same_files_double_nothing(
    lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        publish(lake, ledger, row(f"{n}", n))
    sorted_rows = compaction.sorted_rows

    def meanwhile(*args: Any) -> Any:
        monkeypatch.setattr(compaction, "sorted_rows", sorted_rows)
        tend(lake, ledger)
        return sorted_rows(*args)

    monkeypatch.setattr(compaction, "sorted_rows", meanwhile)
    with pytest.raises(LakeUnavailableError, match="another program committed first"):
        rewrite(lake.home, TABLE, paths(lake))
    assert len(content(lake)) == 3
    there = list((lake.home / "lake/warehouse/ocelog" / TABLE / "data").rglob("*.parquet"))
    assert len(there) == 3 + 1, "the loser deletes what it wrote"


def test_rows_and_columns_of_another_engine_stay(lake: FileLake, ledger: MemoryLedger) -> None:
    publish(lake, ledger, row("a", 1))
    with opened_catalog(lake.home) as catalog, catalog.load_table(("ocelog", TABLE)).update_schema() as update:
        update.add_column("team", StringType())
    append_foreign(
        lake, pa.table({"id": ["theirs"], "p_event_time": pa.array([None], ISSUES.field("p_event_time").type)})
    )
    whole = rows([row("mine", 2)]).append_column("team", pa.array(["blue"]))
    append_foreign(lake, whole)
    append_foreign(lake, whole)
    before = content(lake)
    assert tend(lake, ledger).files_after == 2
    assert content(lake) == before
    assert sum("'team': 'blue'" in one for one in content(lake)) == 2


def test_a_column_that_was_renamed_keeps_its_values(lake: FileLake, ledger: MemoryLedger) -> None:
    publish(lake, ledger, row("a", 1))
    with opened_catalog(lake.home) as catalog, catalog.load_table(("ocelog", TABLE)).update_schema() as update:
        update.add_column("team", StringType())
    whole = rows([row("mine", 2)]).append_column("team", pa.array(["blue"]))
    append_foreign(lake, whole)
    with opened_catalog(lake.home) as catalog, catalog.load_table(("ocelog", TABLE)).update_schema() as update:
        update.rename_column("team", "squad")
    publish(lake, ledger, row("b", 1))
    done = tend(lake, ledger)
    (reason,) = done.left_alone.values()
    assert "no column team" in reason
    assert done.files_after == 2
    with opened_catalog(lake.home) as catalog:
        found = catalog.load_table(("ocelog", TABLE)).scan().to_arrow()
    assert sorted(found.column("squad").to_pylist(), key=str) == [None, None, "blue"]


def test_a_table_whose_partitions_were_changed_is_left_alone(lake: FileLake, ledger: MemoryLedger) -> None:
    for n in range(3):
        publish(lake, ledger, row(f"{n}", n))
    with opened_catalog(lake.home) as catalog, catalog.load_table(("ocelog", TABLE)).update_spec() as update:
        update.add_field("status", IdentityTransform(), "status")
    before = content(lake)
    done = tend(lake, ledger)
    assert (done.files_after, done.rewritten, len(done.left_alone)) == (3, 0, 3)
    assert content(lake) == before
    with pytest.raises(HomeError, match="partitions"):
        rewrite(lake.home, TABLE, paths(lake))


def test_a_damaged_file_is_named_and_the_others_are_rewritten(lake: FileLake, ledger: MemoryLedger) -> None:
    for n in range(4):
        publish(lake, ledger, row(f"{n}", n))
    gone, cut, *_ = (Path(file.path) for file in files(lake))
    gone.unlink()
    cut.chmod(0o644)
    cut.write_bytes(cut.read_bytes()[:100])
    done = tend(lake, ledger)
    assert (done.files_after, set(done.left_alone)) == (3, {str(gone), str(cut)})


def test_files_that_lack_rows_are_not_replaced(
    lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        publish(lake, ledger, row(f"{n}", n))
    monkeypatch.setattr(compaction, "sorted_rows", lambda *_: iter([]))
    with pytest.raises(HomeError, match="3 rows should be in 3 files, but 0 were read"):
        rewrite(lake.home, TABLE, paths(lake))
    assert len(content(lake)) == 3


def test_whoever_reads_an_older_view_finds_its_files(lake: FileLake, ledger: MemoryLedger) -> None:
    for n in range(3):
        publish(lake, ledger, row(f"{n}", n))
    snapshot = lake.snapshots.take(TABLE)
    remove_leftovers(lake.home, TABLE)
    tend(lake, ledger)
    remove_leftovers(lake.home, TABLE)
    read = [one for found in lake._rows(snapshot, RowFilter(), KEY_COLUMNS) for one in found.to_pylist()]
    assert len(read) == 3


@pytest.mark.slow
def test_a_service_rewrites_when_many_files_have_come_and_once_a_partition_is_quiet(
    lake: FileLake, ledger: MemoryLedger
) -> None:
    service = Maintenance(lake.home, ledger, SCHEMAS)
    for n in range(7):
        publish(lake, ledger, row(f"{n}", n))
        assert service.tend(TABLE).rewritten == 0
    publish(lake, ledger, row("eighth", 1))
    assert service.tend(TABLE).rewritten == 8
    assert service.tend(TABLE).rewritten == 0
    publish(lake, ledger, row("ninth", 1))
    assert service.tend(TABLE).rewritten == 0
    yesterday = time.time() - 100_000
    for path in paths(lake):
        os.utime(path, (yesterday, yesterday))
    assert service.tend(TABLE).rewritten == 0, "it looks at a table that did not change once an hour"
    next_month = time.time() + 30 * 86_400
    for path in paths(lake):
        os.utime(path, (next_month, next_month))
    assert Maintenance(lake.home, ledger, SCHEMAS).tend(TABLE).rewritten == 2, "our clock was ahead when it wrote them"


def test_a_dry_run_says_what_there_is_to_do_and_does_nothing(lake: FileLake, ledger: MemoryLedger) -> None:
    for n in range(3):
        publish(lake, ledger, row(f"{n}", n))
    before = paths(lake)
    planned = Maintenance(lake.home, ledger, SCHEMAS).tend_whole(TABLE, dry_run=True)
    assert paths(lake) == before
    done = tend(lake, ledger)
    assert (planned.files_before, planned.files_after, planned.rewritten) == (3, 1, 3)
    assert (done.files_before, done.files_after, done.rewritten) == (3, 1, 3)


def test_files_that_are_merged_in_several_steps_are_told_in_one_line(
    lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "_MOST_FILES", 3)
    for n in range(5):
        publish(lake, ledger, row(f"{n}", n))
    told = list[str]()
    done = Maintenance(lake.home, ledger, SCHEMAS).tend_whole(TABLE, told=told.append)
    assert (done.rewritten or 0) > 5
    assert told == ["wiz_issues: 5 files became 1"]


@pytest.mark.slow
def test_a_dry_run_counts_files_that_are_rewritten_twice(
    lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "_MOST_FILES", 10)
    for n in range(13):
        publish(lake, ledger, row(f"{n}", n % 20))
    planned = Maintenance(lake.home, ledger, SCHEMAS).tend_whole(TABLE, dry_run=True)
    done = tend(lake, ledger)
    assert (planned.files_after, planned.rewritten) == (done.files_after, done.rewritten)
    assert (done.rewritten or 0) > 13


def test_a_table_that_was_never_made_needs_nothing(lake: FileLake, ledger: MemoryLedger) -> None:
    assert tend(lake, ledger).files_after == 0
    assert Maintenance(lake.home, ledger, SCHEMAS).tend(TABLE).rewritten == 0


def test_a_disk_without_room_to_sort_is_told_and_nothing_is_rewritten(
    lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        publish(lake, ledger, row(f"{n}", n))
    monkeypatch.setattr(maintenance, "_SPARE_BYTES", 2**62)
    with pytest.raises(LakeUnavailableError, match="too little room"):
        tend(lake, ledger)
    assert len(files(lake)) == 3


@pytest.mark.slow
def test_files_stay_few_however_often_a_table_is_published(lake: FileLake, ledger: MemoryLedger) -> None:
    service = Maintenance(lake.home, ledger, SCHEMAS)
    most = 0
    for n in range(45):
        publish(lake, ledger, row(f"{n}", n))
        while service.tend(TABLE).rewritten:
            pass
        most = max(most, len(files(lake)))
    assert most <= 11
    assert len(content(lake)) == 45
    with opened_catalog(lake.home) as catalog:
        table = catalog.load_table(("ocelog", TABLE))
    assert len(table.snapshots()) <= append._RECENT + 3
    assert len(list(by_partition(files(lake)))) == 1


def test_a_process_that_was_stopped_for_days_commits_no_file_that_was_taken_for_a_leftover(
    lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        publish(lake, ledger, row(f"i{number}", number))
    before, whole = content(lake), append.commit

    def days_later(*args: Any, **kwargs: Any) -> None:
        for _ in range(3):
            remove_leftovers(lake.home, TABLE, every=timedelta(0))
        whole(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(compaction, "commit", days_later)
        with pytest.raises(LakeUnavailableError, match="stopped for days"):
            rewrite(lake.home, TABLE, paths(lake))
    assert content(lake) == before
    ledger.land(lake.write(TABLE, f"1-1-{ledger.counter(TABLE)}", rows([row("late", 5)], ISSUES)))
    with monkeypatch.context() as patch:
        patch.setattr(append, "commit", days_later)
        with pytest.raises(LakeUnavailableError, match="stopped for days"):
            Publisher(lake.home, ledger, SCHEMAS).publish(TABLE)
    Publisher(lake.home, ledger, SCHEMAS).publish(TABLE)
    assert len(content(lake)) == 3
