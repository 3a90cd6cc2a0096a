"""Rows leave a table when they are old enough, and what `_current` shows of an open record never does."""

import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakeside.ledger import MemoryLedger
from lakeside.things import AUDIT, ISSUES, SCHEMAS, row, rows
from ocelog.errors import HomeError, OcelogError
from ocelog.lake.catalog.iceberg import opened_catalog
from ocelog.lake.catalog.state import TableStates
from ocelog.lake.lake import FileLake
from ocelog.lake.query.queries import Queries
from ocelog.lake.upkeep import retention
from ocelog.lake.upkeep.maintenance import Maintenance, TableUpkeep
from ocelog.lake.write.publish import Publisher

TABLE = "wiz_issues"
NOW = datetime.now(UTC)
KEPT = timedelta(days=30)


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def lake(tmp_path: Path, ledger: MemoryLedger) -> FileLake:
    return FileLake(tmp_path, ledger, SCHEMAS)


def version(name: str, days_ago: float, status: str = "OPEN", **more: Any) -> dict[str, Any]:
    when = NOW - timedelta(days=days_ago)
    times = ("p_event_time", "p_cursor_time", "p_version_time", "p_observed_at", "timestamp")
    made = row(name, 0, version=f"{name} {days_ago} {status}", status=status)
    return made | dict.fromkeys(times, when) | more


def publish(lake: FileLake, ledger: MemoryLedger, *listed: Mapping[str, Any], table: str = TABLE) -> None:
    schema = SCHEMAS[table]
    fitting = [{name: value for name, value in one.items() if name in schema.names} for one in listed]
    ledger.land(lake.write(table, f"1-1-{ledger.counter(table)}", rows(fitting, schema)))
    Publisher(lake.home, ledger, SCHEMAS).publish(table)


def expire(lake: FileLake, ledger: MemoryLedger, table: str = TABLE, *, dry_run: bool = False) -> TableUpkeep:
    upkeep = Maintenance(lake.home, ledger, SCHEMAS, retention={table: KEPT}, now=lambda: NOW)
    return upkeep.tend_whole(table, dry_run=dry_run)


def ask(lake: FileLake, ledger: MemoryLedger, columns: str, table: str = TABLE) -> list[tuple[Any, ...]]:
    with Queries(lake.home, ledger, SCHEMAS).run(f"SELECT {columns} FROM {table} ORDER BY ALL") as answer:  # noqa: S608
        return [tuple(one.values()) for batch in answer.batches for one in batch.to_pylist()]


def test_without_a_retention_nothing_goes(lake: FileLake, ledger: MemoryLedger) -> None:
    publish(lake, ledger, version("a", 9_000, "RESOLVED"))
    assert Maintenance(lake.home, ledger, SCHEMAS).tend_whole(TABLE).rows_expired == 0
    assert len(ask(lake, ledger, "id")) == 1


def test_a_dry_run_tells_no_number_of_files_that_depends_on_what_goes(lake: FileLake, ledger: MemoryLedger) -> None:
    for days in (31, 90, 29):
        publish(lake, ledger, version(f"{days}", days), table="wiz_audit")
    planned = expire(lake, ledger, "wiz_audit", dry_run=True)
    assert (planned.rows_expired, planned.files_after, planned.rewritten) == (2, None, None)
    assert expire(lake, ledger, "wiz_audit").files_after == 1
    assert expire(lake, ledger, "wiz_audit", dry_run=True).files_after == 1


def test_entries_of_the_audit_log_go_by_their_time(lake: FileLake, ledger: MemoryLedger) -> None:
    publish(lake, ledger, version("old", 31), version("older", 90), version("young", 29), table="wiz_audit")
    publish(lake, ledger, version("mixed old", 30.01), version("mixed young", 29.99), table="wiz_audit")
    assert expire(lake, ledger, "wiz_audit").rows_expired == 3
    assert ask(lake, ledger, "id", "wiz_audit") == [("mixed young",), ("young",)]
    assert TableStates(lake.home).mark("wiz_audit") == ("ledger-1", 2)
    assert expire(lake, ledger, "wiz_audit").rows_expired == 0


def test_the_present_version_of_an_open_record_stays_however_old(lake: FileLake, ledger: MemoryLedger) -> None:
    publish(lake, ledger, version("open", 400), version("open", 500), version("progress", 400, "IN_PROGRESS"))
    publish(lake, ledger, version("new status", 400, "SNOOZED"), version("no status", 400) | {"status": None})
    before = ask(lake, ledger, "id, status", "wiz_issues_current")
    assert expire(lake, ledger).rows_expired == 1
    assert ask(lake, ledger, "id, status", "wiz_issues_current") == before
    assert len(ask(lake, ledger, "id")) == 4


def test_a_closed_record_goes_as_a_whole_once_all_of_it_is_old(lake: FileLake, ledger: MemoryLedger) -> None:
    publish(
        lake, ledger, version("closed", 400), version("closed", 50, "RESOLVED"), version("rejected", 40, "REJECTED")
    )
    publish(lake, ledger, version("just closed", 400), version("just closed", 5, "RESOLVED"))
    publish(lake, ledger, version("reopened", 400, "RESOLVED"), version("reopened", 50))
    assert expire(lake, ledger).rows_expired == 5
    assert ask(lake, ledger, "id, status") == [("just closed", "RESOLVED"), ("reopened", "OPEN")]


def test_a_record_that_two_sources_know_is_two_records(lake: FileLake, ledger: MemoryLedger) -> None:
    publish(lake, ledger, version("a", 400, "RESOLVED"), version("a", 50, p_source_id="s2"))
    assert expire(lake, ledger).rows_expired == 1
    assert ask(lake, ledger, "p_source_id, status") == [("s2", "OPEN")]


def test_an_old_open_version_never_becomes_the_present_one_again(lake: FileLake, ledger: MemoryLedger) -> None:
    """A closed version that is older by its event time than an open one before it must not go first."""
    young = {"p_event_time": NOW - timedelta(days=5)}
    publish(lake, ledger, version("a", 60) | young, version("a", 50, "RESOLVED"))
    assert expire(lake, ledger).rows_expired == 0
    assert ask(lake, ledger, "status", "wiz_issues_current") == [("RESOLVED",)]


def test_rows_of_another_engine_stay(lake: FileLake, ledger: MemoryLedger) -> None:
    publish(lake, ledger, version("old", 400, "RESOLVED"))
    theirs = version("theirs", 400, "RESOLVED") | {"p_source_id": None}
    undated = version("undated", 400, "RESOLVED") | {"p_event_time": None}
    with opened_catalog(lake.home) as catalog:
        catalog.load_table(("ocelog", TABLE)).append(rows([theirs, undated]))
    assert expire(lake, ledger).rows_expired == 1
    assert ask(lake, ledger, "id") == [("theirs",), ("undated",)]


def test_a_dry_run_counts_and_deletes_nothing(lake: FileLake, ledger: MemoryLedger) -> None:
    publish(lake, ledger, version("old", 400, "RESOLVED"), version("young", 1))
    assert expire(lake, ledger, dry_run=True).rows_expired == 1
    assert len(ask(lake, ledger, "id")) == 2


def test_what_is_published_meanwhile_stays(
    lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(lake, ledger, version("old", 400, "RESOLVED"), version("young", 1))
    copy_rest: Callable[..., None] = retention._copy_rest

    def meanwhile(*args: Any) -> None:
        monkeypatch.setattr(retention, "_copy_rest", copy_rest)
        publish(lake, ledger, version("later", 2))
        copy_rest(*args)

    publish(lake, ledger, version("old2", 30.001, "RESOLVED"), version("young2", 29.999))
    monkeypatch.setattr(retention, "_copy_rest", meanwhile)
    assert expire(lake, ledger).rows_expired == 2
    assert ask(lake, ledger, "id") == [("later",), ("young",), ("young2",)]
    assert TableStates(lake.home).mark(TABLE) == ("ledger-1", ledger.counter(TABLE))


def test_a_service_deletes_old_rows_once_a_day(lake: FileLake, ledger: MemoryLedger) -> None:
    def service() -> Maintenance:
        return Maintenance(lake.home, ledger, SCHEMAS, retention={TABLE: KEPT})

    publish(lake, ledger, version("a", 400, "RESOLVED"))
    assert service().tend(TABLE).rows_expired == 1
    publish(lake, ledger, version("b", 400, "RESOLVED"))
    assert service().tend(TABLE).rows_expired == 0
    yesterday = time.time() - 86_401
    noted = lake.home / "lake" / f"{TABLE}.expired"
    os.utime(noted, (yesterday, yesterday))
    assert service().tend(TABLE).rows_expired == 1
    publish(lake, ledger, version("c", 400, "RESOLVED"))
    next_month = time.time() + 30 * 86_400
    os.utime(noted, (next_month, next_month))
    assert service().tend(TABLE).rows_expired == 1, "our clock was ahead when it was noted"
    assert noted.stat().st_mtime <= time.time()


@pytest.mark.slow
def test_nothing_goes_while_the_clock_may_be_wrong_but_files_are_rewritten_all_the_same(
    lake: FileLake, ledger: MemoryLedger
) -> None:
    def now() -> datetime:
        raise HomeError("the clock is wrong")

    def service(now: Callable[[], datetime]) -> Maintenance:
        return Maintenance(lake.home, ledger, SCHEMAS, retention={TABLE: KEPT}, now=now)

    for days in range(400, 410):
        publish(lake, ledger, version("a", days, "RESOLVED"), version("b", 1, f"status {days}"))
    tended = service(now).tend(TABLE)
    assert (tended.rows_expired, tended.not_expired) == (0, "the clock is wrong")
    assert tended.rewritten
    for dry_run in (True, False):
        tended = service(now).tend_whole(TABLE, dry_run=dry_run)
        assert (tended.rows_expired, tended.not_expired) == (0, "the clock is wrong")
    assert len(ask(lake, ledger, "id")) == 20
    assert service(lambda: NOW).tend(TABLE).rows_expired == 10, "at once, not only a day later"


def test_what_the_disk_refuses_in_upkeep_is_told_as_such(lake: FileLake, ledger: MemoryLedger) -> None:
    publish(lake, ledger, version("a", 400, "RESOLVED"))
    (lake.home / "lake" / f"{TABLE}.expired").symlink_to("/proc/1/nowhere/x")
    with pytest.raises(OcelogError, match=f"{TABLE}.expired"):
        Maintenance(lake.home, ledger, SCHEMAS, retention={TABLE: KEPT}).tend(TABLE)


def test_a_table_without_statuses_keeps_the_present_version(tmp_path: Path, ledger: MemoryLedger) -> None:
    bare = pa.schema([field for field in ISSUES if field.name != "status"])
    schemas = {TABLE: bare, "wiz_audit": AUDIT}
    lake = FileLake(tmp_path, ledger, schemas)
    listed = [{k: v for k, v in one.items() if k in bare.names} for one in (version("a", 400), version("a", 300))]
    ledger.land(lake.write(TABLE, "1-1-0", rows(listed, bare)))
    Publisher(tmp_path, ledger, schemas).publish(TABLE)
    assert Maintenance(tmp_path, ledger, schemas, retention={TABLE: KEPT}).tend_whole(TABLE).rows_expired == 1
