import errno
import os
import zlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from lakeside.ledger import MemoryLedger
from lakeside.things import ISSUES, SCHEMAS, instant, row, rows
from ocelog.errors import LakeDamagedError, LakeUnavailableError
from ocelog.lake import lake as lake_module
from ocelog.lake.lake import FileLake
from ocelog.lake.read import keys
from ocelog.lake.read.scan import opened
from ocelog.lake.upkeep.cleaning import clean
from ocelog.lake.upkeep.maintenance import Maintenance
from ocelog.lake.write.damage import lost_part
from ocelog.lake.write.parts import remove_orphans
from ocelog.lake.write.publish import Publisher
from ocelog.model import Part
from ocelog.times import to_us

TABLE = "wiz_issues"
Land = Callable[..., Part]


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def lake(tmp_path: Path, ledger: MemoryLedger) -> FileLake:
    return FileLake(tmp_path, ledger, SCHEMAS)


@pytest.fixture(params=["waiting", "published", "published, part gone"])
def land(request: pytest.FixtureRequest, lake: FileLake, ledger: MemoryLedger) -> Land:
    """Land rows, wherever they end up: what a puller finds must not depend on it."""

    def land_rows(*listed: dict[str, Any], source: str = "s1", schema: pa.Schema = ISSUES) -> Part:
        part = land_waiting(lake, ledger, *listed, source=source, schema=schema)
        if request.param != "waiting":
            Publisher(lake.home, ledger, SCHEMAS).publish(TABLE)
        if request.param == "published, part gone":
            assert clean(lake.home, TABLE, ledger, grace=timedelta(0)) == 1
        return part

    return land_rows


def land_waiting(
    lake: FileLake, ledger: MemoryLedger, *listed: dict[str, Any], source: str = "s1", schema: pa.Schema = ISSUES
) -> Part:
    return ledger.land(lake.write(TABLE, f"1-1-{ledger.counter(TABLE)}", rows(listed, schema)), source)


def us(minute: float) -> int:
    return to_us(instant(minute))


def test_a_part_is_written_under_its_name_and_knows_its_range(lake: FileLake) -> None:
    part = lake.write(TABLE, "12-3-7", rows([row("a", 5), row("b", 2), row("c", 9)]))
    file = lake.home / part.path
    assert part.path == f"landing/wiz_issues/12-3-7.{zlib.crc32(file.read_bytes()):08x}.parquet"
    assert (part.rows, part.min_cursor_us, part.max_cursor_us) == (3, us(2), us(9))
    assert part.bytes == file.stat().st_size
    assert file.stat().st_mode & 0o777 == 0o444


def test_a_part_is_never_overwritten(lake: FileLake) -> None:
    part = lake.write(TABLE, "1-1-0", rows([row("a", 5)]))
    with pytest.raises(LakeUnavailableError):
        lake.write(TABLE, "1-1-0", rows([row("a", 5)]))
    assert (lake.home / part.path).stat().st_size == part.bytes


def test_ids_are_found_in_files_that_there_was_no_room_to_remember(
    lake: FileLake, land: Land, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_MAX_KEYS", 3)
    for n in range(4):
        land(row(f"a{n}", n), row(f"b{n}", n))
    for n in range(4):
        known = lake.load(TABLE, "s1", since_us=0, until_us=None, ids=[f"a{n}", f"b{n}", "c"]).known
        assert sorted(known.ids) == [f"a{n}", f"b{n}"]


def test_the_ids_of_a_data_file_are_read_once_whoever_looks_for_them(
    lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        land_waiting(lake, ledger, row(f"a{n}", n), row("a", n))
        Publisher(lake.home, ledger, SCHEMAS).publish(TABLE)
        clean(lake.home, TABLE, ledger, grace=timedelta(0))
    read: list[Path] = []

    def counted(path: Path) -> Any:
        read.append(path)
        return opened(path)

    monkeypatch.setattr("ocelog.lake.read.keys.opened", counted)
    for _ in range(2):
        found = FileLake(lake.home, ledger, SCHEMAS).load(TABLE, "s1", since_us=0, until_us=None, ids=["a", "a1"])
        assert sorted(found.known.ids) == ["a", "a", "a", "a1"]
        assert len(read) == 3
    Maintenance(lake.home, ledger, SCHEMAS).tend_whole(TABLE)
    assert len(lake.load(TABLE, "s1", since_us=0, until_us=None, ids=["a", "a1"]).known.ids) == 4
    assert len(read) == 4
    assert len(list((lake.home / "lake" / "keys" / TABLE).iterdir())) == 1, "those of files that were rewritten go"


@pytest.mark.parametrize("left", [b"", b"\0" * 8, b"\0" * 20, None])
def test_what_a_power_failure_left_of_remembered_ids_hides_no_id(
    lake: FileLake, ledger: MemoryLedger, left: bytes | None
) -> None:
    land_waiting(lake, ledger, row("a", 1), row("b", 1))
    Publisher(lake.home, ledger, SCHEMAS).publish(TABLE)
    (remembered,) = remember(lake, ledger)
    content = remembered.read_bytes()
    remembered.write_bytes(content[:-8] + b"\0" * 8 if left is None else left)
    found = FileLake(lake.home, ledger, SCHEMAS).load(TABLE, "s1", since_us=0, until_us=None, ids=["a", "b"])
    assert sorted(found.known.ids) == ["a", "b"]
    assert remembered.read_bytes() == content


def remember(lake: FileLake, ledger: MemoryLedger) -> list[Path]:
    FileLake(lake.home, ledger, SCHEMAS).load(TABLE, "s1", since_us=0, until_us=None, ids=["a"])
    return list((lake.home / "lake" / "keys" / TABLE).iterdir())


def test_a_file_without_a_wanted_id_is_not_read_again(
    lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [land_waiting(lake, ledger, row(f"a{n}", n)) for n in range(3)]
    read: list[Path] = []

    def scan(path: Path, *_: object) -> list[pa.Table]:
        read.append(path)
        return []

    monkeypatch.setattr(lake_module, "scan", scan)
    lake.load(TABLE, "s1", since_us=0, until_us=None, ids=["a1"])
    assert read == [lake.home / parts[1].path]


def test_a_view_taken_before_a_part_was_published_and_removed_is_taken_again(
    lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_waiting(lake, ledger, row("a", 1))
    taken = lake.snapshots.take(TABLE)
    Publisher(lake.home, ledger, SCHEMAS).publish(TABLE)
    clean(lake.home, TABLE, ledger, grace=timedelta(0))
    views = [taken]
    take = lake.snapshots.take
    monkeypatch.setattr(lake, "snapshots", SimpleNamespace(take=lambda name: views.pop() if views else take(name)))
    assert list(lake.load(TABLE, "s1", since_us=0, until_us=None).known.ids) == ["a"]
    assert views == []


def test_a_part_that_is_gone_says_load_anew_and_one_that_is_cut_is_damaged(
    lake: FileLake, ledger: MemoryLedger
) -> None:
    gone, cut = land_waiting(lake, ledger, row("a", 1)), land_waiting(lake, ledger, row("b", 1))
    (lake.home / gone.path).unlink()
    file = lake.home / cut.path
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[:-9])
    with pytest.raises(LakeUnavailableError):
        lake.read([gone], "s1")
    with pytest.raises(LakeDamagedError, match="ocelog repair"):
        lake.read([cut], "s1")


def test_orphans_go_only_when_their_holder_has_lost_the_slice(lake: FileLake, ledger: MemoryLedger) -> None:
    landed = land_waiting(lake, ledger, row("a", 1))
    stale = lake.write(TABLE, "2-4-0", rows([row("b", 1)]))
    asleep = lake.write(TABLE, "2-5-0", rows([row("b", 1)]))
    unknown = lake.write(TABLE, "99-1-0", rows([row("b", 1)]))
    ledger.hold({1: 7, 2: 5})
    assert remove_orphans(lake.home, TABLE, ledger) == [stale.path]
    assert all((lake.home / part.path).exists() for part in (landed, asleep, unknown))


def test_a_file_of_a_slice_that_is_forgotten_goes(lake: FileLake, ledger: MemoryLedger) -> None:
    forgotten = lake.write(TABLE, "3-1-0", rows([row("a", 1)]))
    ledger.hold({4: 1})
    assert remove_orphans(lake.home, TABLE, ledger) == [forgotten.path]


def test_a_part_that_was_set_aside_is_no_orphan(lake: FileLake, ledger: MemoryLedger) -> None:
    part = land_waiting(lake, ledger, row("a", 1))
    ledger.set_aside(lost_part(part, "is missing"))
    assert ledger.parts(TABLE) == []
    ledger.hold({1: 7})
    assert remove_orphans(lake.home, TABLE, ledger) == []
    assert (lake.home / part.path).exists()


def test_a_part_that_commits_while_orphans_are_sought_stays(lake: FileLake, ledger: MemoryLedger) -> None:
    late = lake.write(TABLE, "2-4-0", rows([row("b", 1)]))
    state = ledger.landing_state

    class CommitsMeanwhile(MemoryLedger):
        def landing_state(self, table: str) -> tuple[frozenset[str], dict[str, int]]:
            ledger.land(late)
            ledger.hold({2: 5})
            return state(table)

    assert remove_orphans(lake.home, TABLE, CommitsMeanwhile()) == []


@pytest.mark.parametrize("number", ["ENOSPC", "EROFS"])
def test_a_disk_that_refuses_leaves_no_file(lake: FileLake, monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    def refuse(_handle: int) -> None:
        code = getattr(errno, number)
        raise OSError(code, os.strerror(code))

    kept = lake.write(TABLE, "1-1-0", rows([row("a", 1)]))
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(Exception, match=r"disk is full|may not be written"):
        lake.write(TABLE, "1-1-1", rows([row("b", 1)]))
    assert [file.name for file in (lake.home / "landing" / TABLE).iterdir()] == [Path(kept.path).name]
