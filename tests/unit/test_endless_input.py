"""Input that never ends is refused while little of it is read."""

import io
import os
from collections import deque
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from ocelog.app.maintenance.backup import restore
from ocelog.app.search.queries import MAX_LENGTH
from ocelog.cli import query, shape, sql
from ocelog.errors import ConfigError, HomeError, SchemaError
from ocelog.schema.language.parse import read_schema


class Endless(io.RawIOBase):
    """Repeats a few bytes for ever, and counts what is taken."""

    def __init__(self, repeated: bytes) -> None:
        self._period = len(repeated)
        self._repeated = memoryview(repeated * (2**16 // len(repeated) + 2))
        self.taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        if self.taken > 3 * shape.LONGEST_LINE:
            raise AssertionError("what never ends was read on and on")
        at = self.taken % self._period
        size = min(len(buffer), len(self._repeated) - at)
        buffer[:size] = self._repeated[at : at + size]
        self.taken += size
        return size


@pytest.mark.parametrize(
    "repeated", [b"y", b"\0", b"SELECT 1 ", b"/*" + b" " * 999 + b"\n", b"'" + b"x" * 998 + b"\n", b"SELECT 1; "]
)
def test_a_shell_reads_no_more_than_one_query_may_have(repeated: bytes) -> None:
    endless = Endless(repeated)
    with pytest.raises(ConfigError, match="longer than 1,000,000 characters"):
        deque(sql.statements(io.TextIOWrapper(io.BufferedReader(endless), "utf-8")), maxlen=0)
    assert endless.taken < 3 * MAX_LENGTH


def test_a_query_is_read_no_further_than_it_may_be_long(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = Endless(b"SELECT 1\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(endless), "utf-8"))
    with pytest.raises(ConfigError, match="The SQL in stdin is longer than 1,000,000 characters"):
        query.command("-")
    assert endless.taken < 2 * MAX_LENGTH


def test_records_in_a_file_are_taken_a_few_megabytes_at_a_time() -> None:
    with pytest.raises(ConfigError, match="x: line 1 is longer than 64 MB"):
        list(shape.batches(io.BufferedReader(Endless(b"[" * 2**16)), "x"))
    large = io.BufferedReader(Endless(b"x" * 2**20 + b"\n"))
    assert len(next(shape.batches(large, "x"))) < 20
    short = io.BufferedReader(Endless(b"{}\n"))
    assert len(next(shape.batches(short, "x"))) == 500


def test_a_schema_of_unknown_size_is_read_no_further_than_it_may_be_long() -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), os.fdopen(writing, "wb") as file:
            file.write(b"# much\n" * 500_000)

    writer = Thread(target=write)
    writer.start()
    try:
        with pytest.raises(SchemaError, match="at most 1,000,000 bytes"):
            read_schema(Path(f"/dev/fd/{reading}"))
    finally:
        os.close(reading)
        writer.join()


def test_a_backup_whose_note_is_vast_is_refused_unread(tmp_path: Path) -> None:
    note = tmp_path / "backup.json"
    note.touch()
    # It takes no room on the disk.
    os.truncate(note, 2 * 10**9)
    with pytest.raises(HomeError, match=r"holds no complete backup: .*larger than 1 GB"):
        restore(tmp_path, tmp_path / "home")
