"""How one statement runs in an engine that is shut off from everything but the files it was given."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from ocelog.errors import LakeUnavailableError, OcelogError, QueryError
from ocelog.lake.sql import literal, quoted

_BATCH_ROWS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one query may use."""

    timeout: timedelta = timedelta(seconds=60)
    memory_mb: int = 1024
    temp_mb: int = 8192
    """Disk for what does not fit into memory."""


@dataclass(slots=True, kw_only=True)
class Run:
    """One statement in an engine of its own."""

    limits: Limits
    files: Sequence[str]
    """All that it may read."""
    explain: Callable[[str], QueryError | None]
    """Says in the lake's words what is wrong with a question, where it can."""
    temporary: Path
    connection: duckdb.DuckDBPyConnection = field(init=False)
    _answer: duckdb.DuckDBPyRelation = field(init=False)
    _reader: pa.RecordBatchReader = field(init=False)
    _watcher: threading.Thread = field(init=False)
    _late: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.connection = _connected(self.limits, self.temporary, self.files)
        self._watcher = threading.Thread(target=self._watch, name="query-limit", daemon=True)

    def begin(self, views: Mapping[str, str], sql: str) -> pa.RecordBatchReader:
        """Make `views` (SQL by name, in an order in which each knows its sources) and begin to answer `sql`."""
        self._watcher.start()
        try:
            for name, select in views.items():
                self.connection.execute(f"CREATE VIEW {quoted(name)} AS {select}")
            self._answer = self.connection.sql(sql)
            self._reader = self._answer.to_arrow_reader(_BATCH_ROWS)
        except (duckdb.Error, RuntimeError) as error:
            raise self._translated(error) from error
        return self._reader

    def batches(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        """Yield the rows as they are computed."""
        while True:
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
            except (duckdb.Error, OSError, RuntimeError, pa.ArrowException) as error:
                raise self._translated(error) from error
            if self._late.is_set():
                raise self._too_long()
            yield batch

    def count(self) -> int:
        """Return how many rows the answer has; the columns that only it shows are not read for that."""
        # One connection has one open answer.
        self._reader.close()
        try:
            ((rows,),) = self._answer.aggregate("count(*)").fetchall()
        except (duckdb.Error, RuntimeError) as error:
            raise self._translated(error) from error
        return int(rows)

    def close(self) -> None:
        """Stop the statement, if it still runs, and free what it used."""
        self._over.set()
        self.connection.interrupt()
        self.connection.close()
        if self._watcher.is_alive():
            # At the interpreter's end nobody may hold the engine any more: it would complain on stderr.
            self._watcher.join()

    def _watch(self) -> None:
        """Interrupt the statement when its time is up, again and again: between two steps no one hears it."""
        if self._over.wait(self.limits.timeout.total_seconds()):
            return
        self._late.set()
        while not self._over.wait(0.05):
            self.connection.interrupt()

    def _translated(self, error: Exception) -> OcelogError:
        text = str(error)
        if self._late.is_set():
            return self._too_long()
        if (gone := next((path for path in self.files if not Path(path).exists()), None)) is not None:
            return LakeUnavailableError(f"The lake changed while it was read: {gone} is gone. Run it again.")
        if "Permission Error" in text:
            return QueryError(f"The query reaches for something outside the lake: {_first_line(text)}")
        if isinstance(error, RuntimeError) and "interrupted" in text:
            return QueryError("The query was interrupted.")
        if "Out of Memory" in text:
            return QueryError(
                f"The query needs more than its {self.limits.memory_mb} MB of memory and {self.limits.temp_mb} MB of "
                "disk. Read fewer columns or a shorter time."
            )
        return self.explain(text) or QueryError(text.strip())

    def _too_long(self) -> QueryError:
        return QueryError(
            f"The query took longer than {self.limits.timeout.total_seconds():g} s. Read a shorter time "
            "(p_event_time), or allow more with --timeout."
        )


def _connected(limits: Limits, temporary: Path, files: Sequence[str]) -> duckdb.DuckDBPyConnection:
    """Open an engine that may read `files` and nothing else, writes only in `temporary`, and downloads nothing."""
    connection = duckdb.connect(":memory:")
    allowed = ", ".join(map(literal, files))
    connection.execute(f"""
        SET TimeZone = 'UTC';
        SET python_enable_replacements = false;
        SET autoinstall_known_extensions = false;
        SET autoload_known_extensions = false;
        SET allow_community_extensions = false;
        SET memory_limit = '{limits.memory_mb}MB';
        SET temp_directory = {literal(str(temporary))};
        SET max_temp_directory_size = '{limits.temp_mb}MB';
        SET allowed_paths = [{allowed}];
        SET enable_external_access = false;
        SET lock_configuration = true;
    """)
    return connection


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0]
