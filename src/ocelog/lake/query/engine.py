"""How one statement is answered by a child process that can read nothing but the files it was given."""

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pyarrow as pa

from ocelog.errors import LakeUnavailableError, OcelogError, QueryError, SandboxError
from ocelog.lake.query.refusals import explained, put_together
from ocelog.languages.phrases import Phrase
from ocelog.sandbox.channel import Frame
from ocelog.sandbox.child import Bounds, Child, Spec, end
from ocelog.sandbox.kernel import EVERY, Layers
from ocelog.sandbox.spares import Spares
from ocelog.suggest import nearest

SPARES = Spares(entry="ocelog.lake.query.worker", packages=("duckdb", "pyarrow"))
"""Kept by a process that answers people: without them, half of the time of a short query passes before it begins."""
_ROOM = 2 * 1024**3
"""Bytes for the interpreter, libraries and buffers that the engine does not count."""
REMOTE_ROW_BYTES = 8_000_000
"""Of a row of an answer to somebody at a distance: the service holds it several times, for several of them."""
_BESIDE_ROWS = 8 << 20
"""Bytes of a frame beside its rows: names of columns, padding."""
_MOST_THREADS = 8
_MACHINE = ("/proc/self/cgroup", "/sys/fs/cgroup", "/proc/meminfo", "/sys/devices/system/cpu")
"""What the engine looks at whenever it starts, to learn how much of the machine is its."""
_NO_COLUMN = re.compile(r'Referenced column "([^"\n]{1,200})" not found')
_QUOTED = re.compile(r'"([^"\n]+)"')
_ALIKE = 0.7
"""How like a column, from 0 to 1, a word is that was meant as one."""
_PLAIN = {pa.time64("us"): pa.int64(), pa.time64("ns"): pa.int64()}
"""Types whose values are checked as numbers."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one query may use."""

    timeout: timedelta = timedelta(seconds=60)
    memory_mb: int = 1024
    temp_mb: int = 8192
    """Disk for what does not fit into memory; never more than half of what is free there."""
    row_bytes: int = 256_000_000
    """Of one row of the answer; rows together are handed on in pieces that are no larger."""


class Guards(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps a query in. Tests leave parts of it out, to show that the rest holds."""

    layers: Layers = EVERY
    """As if the kernel offered no more than these."""
    statement: bool = True
    """Whether the statement is checked before it runs."""


class Stop:
    """Ends a query from another thread, whether it runs or has not begun yet; it then raises QueryError."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kill: Callable[[], None] | None = None
        self._is_set = False

    @property
    def is_set(self) -> bool:
        """Whether the query is not wanted any more."""
        return self._is_set

    def set(self) -> None:
        """End the query."""
        with self._lock:
            self._is_set = True
            if self._kill is not None:
                self._kill()

    def ends(self, kill: Callable[[], None]) -> None:
        """Have `kill` called when it is set, at once if it is."""
        with self._lock:
            self._kill = kill
            if self._is_set:
                kill()


class Reads(msgspec.Struct, frozen=True):
    """What a statement reads, of the names that it was checked with."""

    tables: frozenset[str] | None
    """Tables, views and macros; None: all of them."""
    named: frozenset[str] | None
    """Those of them of which it may read rows; None: all of them."""
    columns: frozenset[str] | None
    """Those of the columns that it may read of a table that it names; None: all of them."""


class _Refusal(msgspec.Struct):
    kind: str
    text: str
    phrase: Any = None


@dataclass(slots=True, kw_only=True)
class Run:
    """One statement in a process of its own, which is locked in before it sees the statement."""

    limits: Limits
    folders: Sequence[str]
    """All that it may read before it is known which files it needs: those of the lake's tables."""
    temporary: Path
    guards: Guards
    stop: Stop | None = None
    _spec: Spec = field(init=False)
    _spare: "subprocess.Popen[bytes] | None" = field(init=False)
    """The process that was begun before, if it is one."""
    _child: Child = field(init=False)
    _deadline: float = field(init=False)
    _temp_mb: int = field(init=False)
    _files: Sequence[str] = ()

    def __post_init__(self) -> None:
        seconds = self.limits.timeout.total_seconds()
        self._deadline = time.monotonic() + seconds
        self._temp_mb = min(self.limits.temp_mb, _free_bytes(self.temporary) // 2 // 1_000_000)
        bounds = Bounds(
            memory_bytes=2 * self.limits.memory_mb * 1024**2 + _ROOM,
            cpu_seconds=int(seconds * _threads()) + 10,
            wall_seconds=int(seconds) + 60,
            open_files=1 << 20,
            scratch_bytes=self._temp_mb * 1_000_000,
        )
        self._spec = Spec(
            entry=SPARES.entry,
            packages=SPARES.packages,
            bounds=bounds,
            read=(*self.folders, *_machine()),
            scratch=str(self.temporary),
            longest_frame=self.limits.row_bytes + _BESIDE_ROWS,
        )
        self._spare = SPARES.take()
        try:
            self._begin()
        except SandboxError:
            if self._spare is None:
                raise
            self._begin_anew()

    @property
    def layers(self) -> Layers:
        """What keeps the process in. Raises SandboxError if it does not start."""
        try:
            return self._child.layers
        except SandboxError as error:
            if self._is_stopped():
                raise _stopped() from error
            if self._spare is None:
                raise
            self._begin_anew()
            return self.layers

    def _begin(self) -> None:
        self._child = Child(spec=self._spec, only=self.guards.layers, spare=self._spare)
        if self.stop is not None:
            self.stop.ends(self._child.kill)

    def _begin_anew(self) -> None:
        """Begin once more after a spare that failed: what became of one that waited says nothing of this job."""
        if self._spare is not None:
            end(self._spare)
        self._spare = None
        self._begin()

    def check(
        self,
        sql: str,
        names: Sequence[str],
        macros: Sequence[str],
        columns: Sequence[str] = (),
        *,
        held: bool = False,
    ) -> Reads:
        """Return which of `names`, `macros` and `columns` the query `sql` reads. `held`: its clock will be.

        Raises QueryError unless it only reads.
        """
        self._begin_clock()
        asked = {"sql": sql, **self._asked(names, macros, columns, held=held)}
        return msgspec.json.decode(self._ask("check", json.dumps(asked).encode(), "tables"), type=Reads)

    def begin(
        self,
        files: Sequence[str],
        creating: Sequence[str],
        sql: str,
        *,
        extras: Mapping[str, tuple[pa.Schema, Iterable[pa.RecordBatch]]],
    ) -> pa.Schema:
        """Run the statements `creating`, which make the views, and begin to answer `sql`.

        Returns the columns of the answer. `extras` are tables that are no files: the columns of each, and its rows,
        which are read one piece after the other; columns that a piece lacks are null in it.
        """
        self._files = files
        spec: dict[str, Any] = {
            "sql": sql,
            "files": list(files),
            "read": [*files, *_machine()],
            "creating": list(creating),
            "extras": list(extras),
            "threads": _threads(),
            "memory_mb": self.limits.memory_mb,
            "temporary": str(self.temporary) if self.layers.landlock else None,
            "temp_mb": self._temp_mb * 4 // 5,
            "row_bytes": self.limits.row_bytes,
            "locked": self.guards.statement,
        }
        self._send("run", json.dumps(spec).encode())
        for columns, rows in extras.values():
            self._ask("extra", _stream(columns.empty_table()), "taken")
            for piece in rows:
                self._ask("rows", _stream(pa.Table.from_batches([piece])), "taken")
        return self._open(self._ask("go", b"", "schema")).schema

    def plan(
        self, statements: Sequence[str], names: Sequence[str], macros: Sequence[str]
    ) -> Iterator[Reads | QueryError]:
        """Check and plan other statements, once one was begun: yield what each reads, or why it could not run.

        They go in one message; the process answers for one after the other, each of which has the time of a statement.
        Raises QueryError if the process was lost over the next of them: nothing is known of that and of those after it.
        """
        self._begin_clock()
        self._send("plan", json.dumps({"statements": list(statements), **self._asked(names, macros)}).encode())
        for _ in statements:
            self._begin_clock()
            try:
                frame = self._frame()
            except QueryError:
                self.close()
                raise
            match frame.kind:
                case "planned":
                    yield msgspec.json.decode(frame.payload, type=Reads)
                case "error":
                    refused = self._refused(frame)
                    if not isinstance(refused, QueryError):
                        raise refused
                    yield refused
                case _:
                    self._malformed()

    def _begin_clock(self) -> None:
        # It starts once the process is ready: on a busy machine that takes a while.
        _ = self.layers
        self._deadline = time.monotonic() + self.limits.timeout.total_seconds()

    def _asked(
        self, names: Sequence[str], macros: Sequence[str], columns: Sequence[str] = (), *, held: bool = False
    ) -> dict[str, Any]:
        return {
            "names": list(names),
            "macros": list(macros),
            "columns": list(columns),
            "checking": self.guards.statement,
            "held": held,
        }

    @property
    def is_over(self) -> bool:
        """Whether the process has ended, so that it answers nothing more."""
        return self._child.exit_code is not None

    def batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Yield the rows as they are computed."""
        while True:
            self._send("next")
            frame = self._receive()
            if frame.kind == "end":
                return
            if frame.kind != "batch":
                self._malformed()
            reader = self._open(frame.payload)
            if reader.schema != schema:
                self._malformed()
            try:
                found = list(reader)
            except pa.ArrowException:
                self._malformed()
            for batch in found:
                for name, column in zip(batch.schema.names, batch.columns, strict=True):
                    try:
                        # 24:00:00, which SQL has and Arrow has not, is no sign of a child that misbehaves.
                        plain = column.view(_PLAIN[column.type]) if column.type in _PLAIN else column
                        plain.validate(full=True)
                    except pa.ArrowException as error:
                        self._malformed(name, error)
            yield from found

    def count(self) -> int:
        """Return how many rows the answer has; the columns that only it shows are not read for that."""
        return msgspec.json.decode(self._ask("count", b"", "rows"), type=int)

    def close(self) -> None:
        """Stop the statement, if it still runs, and free what it used."""
        self._child.close()

    def _ask(self, kind: str, payload: bytes | memoryview, expected: str) -> bytearray:
        self._send(kind, payload)
        frame = self._receive()
        if frame.kind != expected:
            self._malformed()
        return frame.payload

    def _send(self, kind: str, payload: bytes | memoryview = b"") -> None:
        # A reader that was slow itself gets no more either: parts may be deleted by now.
        if time.monotonic() >= self._deadline:
            raise self._too_long()
        try:
            self._child.send(kind, payload, self._deadline)
        except TimeoutError:
            raise self._too_long() from None
        except EOFError:
            self._ended()

    def _receive(self) -> Frame:
        """Return the child's answer; an error of its becomes one of ours."""
        frame = self._frame()
        if frame.kind == "error":
            raise self._refused(frame)
        return frame

    def _frame(self) -> Frame:
        try:
            return self._child.receive(self._deadline)
        except TimeoutError:
            raise self._too_long() from None
        except EOFError:
            self._ended()
        except ValueError:
            most = self.limits.row_bytes // 1_000_000
            raise QueryError(
                Phrase("A row of the answer is larger than %(most)s MB: select less of it at once.", most=most)
            ) from None

    def _refused(self, frame: Frame) -> OcelogError:
        try:
            refusal = msgspec.json.decode(frame.payload, type=_Refusal)
        except msgspec.DecodeError:
            self._malformed()
        return self._translated(refusal)

    def _open(self, payload: bytearray) -> pa.RecordBatchReader:
        try:
            return pa.ipc.open_stream(pa.py_buffer(payload))
        except pa.ArrowException:
            self._malformed()

    def _translated(self, refusal: _Refusal) -> OcelogError:
        text = refusal.text
        if refusal.kind == "statement":
            return QueryError(put_together(refusal.phrase, text))
        if (gone := next((path for path in self._files if not Path(path).exists()), None)) is not None:
            return LakeUnavailableError(
                Phrase("The lake changed while it was read: %(gone)s is gone. Run it again.", gone=gone)
            )
        if refusal.kind == "memory":
            return self._too_hungry()
        if refusal.kind == "forbidden":
            return QueryError(
                Phrase(
                    "The query asks for something outside the lake: %(line)s",
                    line=text.strip().splitlines()[0],
                )
            )
        if refusal.kind == "binder":
            told = _no_such_column(text.strip())
            error = QueryError(
                told or Phrase("%(text)s\n`ocelog tables T` lists the columns of a table.", text=text.strip())
            )
            missing = _NO_COLUMN.search(text)
            error.column = None if missing is None else missing[1]
            return error
        return QueryError(explained(text.strip(), ""))

    def _ended(self) -> NoReturn:
        """Say why the process is gone."""
        self._child.close()
        if self._is_stopped():
            raise _stopped()
        if time.monotonic() >= self._deadline:
            raise self._too_long()
        raise self._too_hungry(Phrase(" (its process ended with code %(code)s)", code=self._child.exit_code))

    def _is_stopped(self) -> bool:
        return self.stop is not None and self.stop.is_set

    def _too_hungry(self, how: str = "") -> QueryError:
        return QueryError(
            Phrase(
                "The query needs more than its %(memory_mb)s MB of memory and %(temp_mb)s MB of "
                "disk%(how)s. Read fewer columns or a shorter time.",
                memory_mb=self.limits.memory_mb,
                temp_mb=self._temp_mb,
                how=how,
            )
        )

    def _malformed(self, column: str | None = None, why: Exception | None = None) -> NoReturn:
        self.close()
        if column is None:
            raise QueryError(Phrase("The process that runs the query sent a malformed answer, and was ended."))
        # An integer of 39 digits, for example, is none that a child made up.
        raise QueryError(
            Phrase(
                "The column %(column)s holds values that cannot be read (%(why)s), so the process that "
                "runs the query was ended. Cast the column to VARCHAR.",
                column=repr(column),
                why=why,
            )
        )

    def _too_long(self) -> QueryError:
        self._child.close()
        return QueryError(
            Phrase(
                "The query took longer than %(total_seconds)s s. Read a shorter time (p_event_time), or "
                "allow more with --timeout.",
                total_seconds=format(self.limits.timeout.total_seconds(), "g"),
            )
        )


def _stopped() -> QueryError:
    return QueryError(Phrase("The query was cancelled."), code="query_cancelled")


def _threads() -> int:
    return min(_MOST_THREADS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _machine() -> list[str]:
    return [path for path in _MACHINE if Path(path).exists()]


def _free_bytes(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def _stream(table: pa.Table) -> memoryview:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())


def _no_such_column(refusal: str) -> Phrase | None:
    """Say which column there is not, and what was meant: one that is like it, or a text; None: it is not about that."""
    found = _NO_COLUMN.search(refusal)
    if found is None:
        return None
    word = found[1]
    candidates, at_line, line = refusal[found.end() :].partition("\n\nLINE ")
    near, where = nearest(word, _QUOTED.findall(candidates), cutoff=_ALIKE), f"{at_line}{line}"
    if near is not None and "'" not in word:
        return Phrase(
            "There is no column %(word)s. Did you mean %(near)s? If you mean text, write '%(word)s'. `ocelog tables T` "
            "lists the columns of a table.%(where)s",
            word=word,
            near=near,
            where=where,
        )
    if near is not None:
        return Phrase(
            "There is no column %(word)s. Did you mean %(near)s? `ocelog tables T` lists the columns of a "
            "table.%(where)s",
            word=word,
            near=near,
            where=where,
        )
    if "'" in word:
        return None
    return Phrase(
        "There is no column %(word)s. Text is written in single quotes: '%(word)s'. `ocelog tables T` lists the "
        "columns of a table.%(where)s",
        word=word,
        where=where,
    )
