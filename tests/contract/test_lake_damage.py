"""What happens when files of the lake are lost or damaged: nothing is passed in silence, and all else goes on."""

import errno
import os
import random
import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import time_machine

from lakeside.ledger import MemoryLedger
from lakeside.things import AUDIT, ISSUES, SCHEMAS, row, rows
from ocelog.errors import LakeDamagedError, OcelogError
from ocelog.lake.catalog.state import TableStates, catalog_path
from ocelog.lake.lake import FileLake
from ocelog.lake.query.queries import Queries
from ocelog.lake.storage import checksums
from ocelog.lake.storage.verified import AGAIN, VerifiedFiles
from ocelog.lake.upkeep.inspect import inspect
from ocelog.lake.upkeep.leftovers import remove_leftovers
from ocelog.lake.upkeep.maintenance import Maintenance
from ocelog.lake.write.damage import AWAY_FOR, TRIES
from ocelog.lake.write.publish import Publisher
from ocelog.model import Part

TABLE = "wiz_issues"
OTHER = "wiz_audit"
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def lake(tmp_path: Path, ledger: MemoryLedger) -> FileLake:
    (tmp_path / "tmp").mkdir()
    return FileLake(tmp_path, ledger, SCHEMAS)


def land(lake: FileLake, ledger: MemoryLedger, *names: str, table: str = TABLE) -> Part:
    schema = ISSUES if table == TABLE else AUDIT
    listed = rows([row(name, 1) for name in names], schema)
    return ledger.land(lake.write(table, f"1-1-{ledger.counter(table)}", listed))


def publish(lake: FileLake, ledger: MemoryLedger, table: str = TABLE) -> int:
    return Publisher(lake.home, ledger, SCHEMAS).publish(table).rows


def ask(lake: FileLake, ledger: MemoryLedger, sql: str) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    with Queries(lake.home, ledger, SCHEMAS).run(sql) as answer:
        return [found for batch in answer.batches for found in batch.to_pylist()], answer.missing


def count(lake: FileLake, ledger: MemoryLedger, table: str = TABLE) -> int:
    return int(ask(lake, ledger, f"SELECT count(*) AS n FROM {table}")[0][0]["n"])  # noqa: S608 - a test's own table


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    replace(path, bytes(content))


def replace(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


def data_files(lake: FileLake, table: str = TABLE) -> list[Path]:
    return sorted((lake.home / "lake/warehouse/ocelog" / table / "data").rglob("*.parquet"))


def metadata(lake: FileLake, pattern: str, table: str = TABLE) -> list[Path]:
    return sorted((lake.home / "lake/warehouse/ocelog" / table / "metadata").glob(pattern))


def texts(lake: FileLake, ledger: MemoryLedger, *, content: bool = False) -> str:
    return "\n".join(found.text for found in inspect(lake.home, ledger, SCHEMAS, content=content))


LOSSES: dict[str, Callable[[Path], None]] = {
    "gone": Path.unlink,
    "empty": lambda path: replace(path, b""),
    "cut": lambda path: replace(path, path.read_bytes()[: path.stat().st_size // 2]),
    "flipped": lambda path: flip(path, path.stat().st_size // 3),
    "garbage": lambda path: replace(path, random.Random(1).randbytes(path.stat().st_size)),
}


@pytest.mark.parametrize("how", LOSSES)
def test_a_lost_part_is_set_aside_with_a_record_and_only_then_passed(
    lake: FileLake, ledger: MemoryLedger, how: str
) -> None:
    lost = land(lake, ledger, "a", "b")
    land(lake, ledger, "c")
    LOSSES[how](lake.home / lost.path)
    for _ in range(TRIES - 1):
        with pytest.raises(LakeDamagedError, match="ocelog repair"):
            publish(lake, ledger)
        assert TableStates(lake.home).mark(TABLE) == (None, 0)
        assert not ledger.given_up
    assert publish(lake, ledger) == 1
    assert TableStates(lake.home).mark(TABLE) == ("ledger-1", 2)
    assert [(each.path, each.sequence, each.rows) for each in ledger.given_up] == [(lost.path, 1, 2)]
    assert count(lake, ledger) == 1


def test_a_part_that_the_disk_fails_to_read_is_set_aside_only_if_that_lasts_ten_minutes(
    lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: Path) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    lost = land(lake, ledger, "a")
    with time_machine.travel(NOW, tick=False) as clock:
        with monkeypatch.context() as patch:
            patch.setattr(checksums, "file_sum", failing)
            for _ in range(119):
                with pytest.raises(LakeDamagedError):
                    publish(lake, ledger)
                clock.shift(timedelta(seconds=5))
        assert publish(lake, ledger) == 1
        assert not ledger.given_up
        land(lake, ledger, "b")
        with monkeypatch.context() as patch:
            patch.setattr(checksums, "file_sum", failing)
            for _ in range(TRIES):
                with pytest.raises(LakeDamagedError):
                    publish(lake, ledger)
            clock.shift(AWAY_FOR)
            publish(lake, ledger)
    assert [each.sequence for each in ledger.given_up] == [lost.sequence + 1]


def test_tries_of_before_a_part_could_be_read_again_do_not_count(lake: FileLake, ledger: MemoryLedger) -> None:
    first, second = land(lake, ledger, "a"), land(lake, ledger, "b")
    for away in (first, first, second, first):
        (lake.home / away.path).rename(lake.home / "away")
        with pytest.raises(LakeDamagedError):
            publish(lake, ledger)
        (lake.home / "away").rename(lake.home / away.path)
    assert not ledger.given_up
    assert publish(lake, ledger) == 2


def test_any_flipped_bit_of_a_part_is_noticed(lake: FileLake, ledger: MemoryLedger) -> None:
    part = land(lake, ledger, "a", "b")
    whole = (lake.home / part.path).read_bytes()
    for seed in range(20):
        replace(lake.home / part.path, whole)
        flip(lake.home / part.path, random.Random(seed).randrange(len(whole)))
        with pytest.raises(LakeDamagedError):
            # What a query does before anything else, in a process of its own.
            VerifiedFiles(lake.home).check({str(lake.home / part.path): part.bytes})
        if seed % 10 == 0:
            with pytest.raises(LakeDamagedError):
                ask(lake, ledger, f"SELECT * FROM {TABLE}")  # noqa: S608 - a test's own table
        assert part.path in texts(lake, ledger, content=True)
    replace(lake.home / part.path, whole)
    assert count(lake, ledger) == 2


@pytest.mark.parametrize("kind", ["part", "data file"])
def test_pages_of_a_file_tell_any_reader_of_a_flipped_bit_whatever_its_name_says(
    lake: FileLake, ledger: MemoryLedger, kind: str
) -> None:
    source = random.Random(1)
    text = ["".join(source.choices(string.ascii_letters + string.digits, k=600)) for _ in range(60)]
    listed = rows([row(f"{n}", 1, p_extra=each) for n, each in enumerate(text)], ISSUES)
    part = ledger.land(lake.write(TABLE, "1-1-0", listed))
    path = lake.home / part.path
    if kind == "data file":
        publish(lake, ledger)
        (path,) = data_files(lake)

    def read() -> list[str]:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return [str(each) for each in file.read(columns=["p_extra"]).column(0).to_pylist()]

    whole, before = path.read_bytes(), read()
    with pq.ParquetFile(path) as file:
        group = file.metadata.row_group(0)
        (column,) = [group.column(n) for n in range(group.num_columns) if group.column(n).path_in_schema == "p_extra"]
    begin = column.dictionary_page_offset or column.data_page_offset
    noticed = 0
    for _ in range(20):
        replace(path, whole)
        # Behind the page's header.
        flip(path, begin + source.randrange(200, column.total_compressed_size * 3 // 4))
        try:
            assert read() == before
        except OSError:
            noticed += 1
    assert noticed == 20


def test_a_landing_folder_that_is_away_gives_up_nothing(lake: FileLake, ledger: MemoryLedger) -> None:
    land(lake, ledger, "a")
    (lake.home / "landing" / TABLE).rename(lake.home / "landing" / "elsewhere")
    for _ in range(TRIES + 1):
        with pytest.raises(LakeDamagedError, match="is missing, and with it 1 part"):
            publish(lake, ledger)
    (lake.home / "landing" / "elsewhere").rename(lake.home / "landing" / TABLE)
    assert publish(lake, ledger) == 1
    assert not ledger.given_up


def test_a_part_that_comes_back_in_time_is_published_whole(lake: FileLake, ledger: MemoryLedger) -> None:
    part = land(lake, ledger, "a")
    (lake.home / part.path).rename(lake.home / "kept")
    with pytest.raises(LakeDamagedError):
        publish(lake, ledger)
    (lake.home / "kept").rename(lake.home / part.path)
    assert publish(lake, ledger) == 1


@pytest.mark.parametrize("how", LOSSES)
def test_a_lost_data_file_is_named_and_its_bytes_are_never_shown(
    lake: FileLake, ledger: MemoryLedger, how: str
) -> None:
    land(lake, ledger, "a", "b")
    publish(lake, ledger)
    land(lake, ledger, "c", table=OTHER)
    assert count(lake, ledger) == 2
    assert texts(lake, ledger, content=True) == ""
    (file,) = data_files(lake)
    LOSSES[how](file)
    for sql in (f"SELECT * FROM {TABLE}", f"SELECT count(id) FROM {TABLE}_current"):  # noqa: S608 - a test's own
        with pytest.raises(LakeDamagedError, match="ocelog repair"):
            ask(lake, ledger, sql)
    assert str(file) in texts(lake, ledger, content=True)
    if how in {"gone", "empty", "cut"}:
        assert str(file) in texts(lake, ledger)
    assert count(lake, ledger, OTHER) == 1
    found, missing = ask(lake, ledger, "SELECT count(*) AS n FROM all_logs")
    assert found == [{"n": 1}]
    assert [TABLE in line for line in missing] == [True]
    if how != "flipped":  # that one lies in a column that landing does not read
        with pytest.raises(LakeDamagedError):
            lake.load(TABLE, "s1", since_us=0, until_us=None)


METADATA: dict[str, str] = {
    "metadata": "*.metadata.json",
    "manifest lists": "snap-*.avro",
    "manifests": "[!s]*.avro",
}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["gone", "empty", "cut", "garbage"])
@pytest.mark.parametrize("what", METADATA)
def test_lost_metadata_stops_its_table_alone_and_is_named(
    lake: FileLake, ledger: MemoryLedger, what: str, how: str
) -> None:
    for table in (TABLE, OTHER):
        land(lake, ledger, "a", table=table)
        publish(lake, ledger, table)
    for path in metadata(lake, METADATA[what]):
        LOSSES[how](path)
    land(lake, ledger, "b")
    land(lake, ledger, "b", table=OTHER)
    told = texts(lake, ledger)
    assert "ocelog repair" in told
    assert f"{TABLE}: " in told
    assert f"{OTHER}: " not in told
    Publisher(lake.home, ledger, SCHEMAS).reconcile()
    with pytest.raises(LakeDamagedError, match="ocelog repair"):
        publish(lake, ledger)
    assert publish(lake, ledger, OTHER) == 1
    assert count(lake, ledger, OTHER) == 2
    with pytest.raises(LakeDamagedError):
        count(lake, ledger)
    assert remove_leftovers(lake.home, TABLE) == 0


def zeroed(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + bytes(len(content) - 4096))


@pytest.mark.parametrize("how", [*(name for name in LOSSES if name != "flipped"), "zeroed"])
def test_a_lost_catalog_is_named_and_nothing_begins_anew_in_its_place(
    lake: FileLake, ledger: MemoryLedger, how: str
) -> None:
    land(lake, ledger, "a")
    publish(lake, ledger)
    (LOSSES | {"zeroed": zeroed})[how](catalog_path(lake.home))
    land(lake, ledger, "b")
    assert "catalog" in texts(lake, ledger)
    assert "ocelog repair" in texts(lake, ledger)
    with pytest.raises(LakeDamagedError, match="catalog"):
        publish(lake, ledger)
    with pytest.raises(LakeDamagedError, match="catalog"):
        lake.load(TABLE, "s1", since_us=0, until_us=None)


@pytest.mark.parametrize("content", [b"", b"[1]", b"{}", b'["a', b"\xff\xfe"])
def test_a_damaged_note_of_leftovers_is_named_and_begun_anew(
    lake: FileLake, ledger: MemoryLedger, content: bytes
) -> None:
    land(lake, ledger, "a")
    publish(lake, ledger)
    note = lake.home / "landing" / TABLE / "leftovers.json"
    remove_leftovers(lake.home, TABLE)
    note.write_bytes(content)
    assert str(note) in texts(lake, ledger)
    os.utime(note, (1, 1))
    orphan = data_files(lake)[0].with_name("left-behind.parquet")
    orphan.write_bytes(b"half")
    assert remove_leftovers(lake.home, TABLE) == 0
    assert texts(lake, ledger) == ""
    os.utime(note, (1, 1))
    assert remove_leftovers(lake.home, TABLE) == 1


def test_a_note_of_leftovers_is_never_half_written(
    lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, ledger, "a")
    publish(lake, ledger)
    remove_leftovers(lake.home, TABLE)
    note = lake.home / "landing" / TABLE / "leftovers.json"
    before = note.read_bytes()
    os.utime(note, (1, 1))

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OcelogError, match="disk is full"):
            remove_leftovers(lake.home, TABLE)
    assert note.read_bytes() == before
    assert remove_leftovers(lake.home, TABLE) == 0


def test_a_file_is_compared_once_a_day_and_again_as_soon_as_it_is_written_to(
    lake: FileLake, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = land(lake, ledger, "a")
    path = lake.home / part.path
    compared = list[Path]()
    monkeypatch.setattr("ocelog.lake.storage.verified.damage", lambda path, _size: compared.append(path))
    for _ in range(2):
        VerifiedFiles(lake.home).check({str(path): part.bytes})
    assert compared == [path]
    tomorrow = path.stat().st_mtime + AGAIN.total_seconds() + 60
    monkeypatch.setattr("time.time", lambda: tomorrow)
    VerifiedFiles(lake.home).check({str(path): part.bytes})
    assert len(compared) == 2
    replace(path, path.read_bytes())
    VerifiedFiles(lake.home).check({str(path): part.bytes})
    assert len(compared) == 3
    monkeypatch.undo()
    monkeypatch.setattr("ocelog.lake.storage.verified.damage", lambda path, _size: compared.append(path))
    for _ in range(2):
        # That clock was ahead, so nobody knows how long ago it was.
        VerifiedFiles(lake.home).check({str(path): part.bytes})
    assert len(compared) == 4


def test_at_most_so_many_files_are_asked_for_at_each_look(lake: FileLake, ledger: MemoryLedger) -> None:
    for name in "abc":
        land(lake, ledger, name)
    for part in ledger.parts(TABLE):
        (lake.home / part.path).unlink()
    assert len(inspect(lake.home, ledger, SCHEMAS, most=2)) == 2
    assert len(inspect(lake.home, ledger, SCHEMAS)) == 3


def test_upkeep_leaves_a_damaged_file_alone(lake: FileLake, ledger: MemoryLedger) -> None:
    for name in "abc":
        land(lake, ledger, name)
        publish(lake, ledger)
    flip(data_files(lake)[0], data_files(lake)[0].stat().st_size // 3)
    told = texts(lake, ledger, content=True)
    done = Maintenance(lake.home, ledger, SCHEMAS).tend_whole(TABLE)
    assert [path for path in done.left_alone if path in told] == list(done.left_alone) != []
    assert texts(lake, ledger, content=True) == told


def test_what_a_query_found_damaged_is_told_until_the_file_is_another(lake: FileLake, ledger: MemoryLedger) -> None:
    land(lake, ledger, "a", "b")
    publish(lake, ledger)
    (file,) = data_files(lake)
    whole = file.read_bytes()
    flip(file, len(whole) // 3)
    assert texts(lake, ledger) == "", "its size is right, and its content is not looked at"
    with pytest.raises(LakeDamagedError):
        count(lake, ledger)
    assert str(file) in texts(lake, ledger)
    replace(file, whole)
    assert texts(lake, ledger) == ""
    assert count(lake, ledger) == 2
