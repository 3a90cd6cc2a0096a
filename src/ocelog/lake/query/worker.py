"""What runs in the child of a query: the engine, shut off from everything but the files it was given.

The parent sends `check` (a statement and the names of tables) and hears what it reads. Then it sends `run` (the files
and views), for each table that has no file `extra` (its columns) and `rows` per piece of it, and `go`; then `next` per
batch, or `count`; or `plan` (other statements, to be checked and planned) and hears of each in turn. Answers are JSON
and Arrow streams. This module imports all that it will need, since afterwards nothing can be read.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

# Nothing here needs it, and it would begin threads before the process is locked in.
sys.modules["numpy"] = None  # type: ignore[assignment]

import duckdb  # noqa: E402 - see above
import pyarrow as pa  # noqa: E402

from ocelog.errors import QueryError  # noqa: E402
from ocelog.lake.query.refusals import taken_apart  # noqa: E402
from ocelog.lake.query.statement import Statement, checked, functions, trees  # noqa: E402
from ocelog.lake.read.quoting import literal, quoted  # noqa: E402
from ocelog.languages.phrases import Phrase  # noqa: E402
from ocelog.sandbox import kernel  # noqa: E402
from ocelog.sandbox.channel import Channel, Frame  # noqa: E402
from ocelog.sandbox.kernel import Layers  # noqa: E402

functions()

# One engine checks and answers: to make it takes longer than most queries do, so it comes with the imports. It has no
# thread until the files that are not of the query are out of reach: one that was there before would still reach them.
_CONNECTION = duckdb.connect(":memory:", config={"threads": 1, "async_threads": 0})
_BATCH_ROWS = 10_000
_BATCH_BYTES = 16_000_000
_ROW_ID = "p_row_id"
_HEX = re.compile("[0-9a-f]{1,64}")
_STRUCT_BYTES, _LIST_BYTES, _VALUE_BYTES = 64, 32, 8
"""What each of them weighs at least: a million of nothing is a million objects to whoever reads the answer."""
_WHOLE = "ocelog_whole_answer"
"""What an answer is called whose columns are written in another way."""
_LONGEST_TEXT = 20_000
"""Characters of an error."""
_Answer: TypeAlias = tuple[str, bytes | memoryview] | None


def main(channel: Channel, layers: Layers) -> None:
    """Check and run one statement, as the parent asks for it, until the parent is gone."""
    worker = _Worker(layers)
    while True:
        frame = channel.receive()
        answers = worker.plan(frame) if frame.kind == "plan" else iter([partial(worker.answer, frame)])
        for each in answers:
            try:
                answer = each()
            except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
                answer = _refusal(error)
            if answer is not None:
                channel.send(*answer)


def _refusal(error: Exception) -> tuple[str, bytes]:
    text = str(error).encode("utf-8", "replace").decode()[:_LONGEST_TEXT]
    refusal: dict[str, Any] = {"kind": _kind(error, text), "text": text}
    if isinstance(error, QueryError):
        refusal["phrase"] = taken_apart(error.phrase)
    return "error", json.dumps(refusal).encode()


def _reads(statement: Statement | None) -> bytes:
    """Write what a statement reads; None: it was not checked."""
    names = ("tables", "named", "columns")
    found = {name: None if statement is None else getattr(statement, name) for name in names}
    return json.dumps({name: None if each is None else sorted(each) for name, each in found.items()}).encode()


def _kind(error: Exception, text: str) -> str:
    """Say what kind of failure it is: statement, gone, memory, forbidden, binder, or else engine."""
    match error:
        case QueryError():
            return "statement"
        case FileNotFoundError():
            return "gone"
        case MemoryError() | duckdb.OutOfMemoryException():
            return "memory"
        case duckdb.PermissionException():
            return "forbidden"
        case duckdb.BinderException():
            return "binder"
    # What fails while rows are fetched comes through Arrow, which hands on nothing but DuckDB's text; and of what the
    # kernel refuses DuckDB keeps no error number.
    if "Out of Memory" in text or "bad_alloc" in text:
        return "memory"
    if any(each in text for each in ("Permission Error", "Permission denied", "Operation not permitted")):
        return "forbidden"
    return "engine"


class _Worker:
    """What has been asked so far."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self._connection = _CONNECTION
        self._spec: dict[str, Any] = {}
        self._extras = 0
        self._is_ready = False

    def answer(self, frame: Frame) -> _Answer:
        match frame.kind:
            case "check":
                asked = json.loads(frame.payload)
                read = self._checked(asked, asked["sql"]) if asked["checking"] else None
                return "tables", _reads(read)
            case "run":
                self._spec = json.loads(frame.payload)
            case "extra":
                self._prepare()
                self._extras += 1
                self._copy("CREATE TABLE {} AS SELECT * FROM extra", frame.payload)
                return "taken", b""
            case "rows":
                self._copy("INSERT INTO {} BY NAME SELECT * FROM extra", frame.payload)
                return "taken", b""
            case "go":
                self._prepare()
                self._engine = _Engine(self._connection, self._spec)
                return "schema", self._engine.schema()
            case "next":
                batch = self._engine.next()
                return ("end", b"") if batch is None else ("batch", batch)
            case _:
                return "rows", json.dumps(self._engine.count()).encode()
        return None

    def plan(self, frame: Frame) -> Iterator[Callable[[], _Answer]]:
        """Yield what plans each of several statements."""
        asked = json.loads(frame.payload)
        several = asked["statements"]
        for sql, tree in zip(several, trees(several, self._connection), strict=True):
            yield partial(self._plan, asked, sql, tree)

    def _plan(self, asked: dict[str, Any], sql: str, tree: str | None) -> _Answer:
        read = self._checked(asked, sql, tree) if asked["checking"] else None
        self._connection.sql(sql)
        return "planned", _reads(read)

    def _checked(self, asked: dict[str, Any], sql: str, tree: str | None = None) -> Statement:
        names, macros, columns, held = asked["names"], asked["macros"], asked["columns"], asked["held"]
        return checked(sql, names, macros, columns, held=held, connection=self._connection, tree=tree)

    def _prepare(self) -> None:
        """Put the files out of reach that are not of the query, and say what the engine may use."""
        if self._is_ready:
            return
        self._is_ready = True
        if self._layers.landlock:
            read, scratch = self._spec["read"], self._spec["temporary"]
            kernel.restrict_files(self._layers.landlock, read=read, scratch=scratch)
        temporary = self._spec["temporary"]
        self._connection.execute(f"""
            SET TimeZone = 'UTC';
            SET python_enable_replacements = false;
            SET autoinstall_known_extensions = false;
            SET autoload_known_extensions = false;
            SET allow_community_extensions = false;
            SET threads = {int(self._spec["threads"])};
            SET memory_limit = '{int(self._spec["memory_mb"])}MB';
            SET temp_directory = {literal(temporary or "")};
            SET max_temp_directory_size = '{int(self._spec["temp_mb"]) if temporary else 0}MB';
        """)

    def _copy(self, sql: str, rows: bytearray) -> None:
        """Copy rows into the newest table: reading them in place needs modules that are out of reach by now."""
        self._connection.register("extra", pa.ipc.open_stream(pa.py_buffer(rows)))
        self._connection.execute(sql.format(quoted(self._spec["extras"][self._extras - 1])))
        self._connection.unregister("extra")


def _told_as_text(answer: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Write as text what Arrow cannot hold.

    That is the offset of a time, the time 24:00:00 within a list or struct, bits, and integers of more than 38 digits.
    """
    kinds = [_written(kind, nested=False) for kind in answer.types]
    if all(kind is None for kind in kinds):
        return answer
    names = [f"c{at}" for at in range(len(kinds))]
    columns = ", ".join(
        (name if kind is None else f"CAST({name} AS {kind})") + f" AS {quoted(shown)}"
        for name, kind, shown in zip(names, kinds, answer.columns, strict=True)
    )
    sql = f"SELECT {columns} FROM {_WHOLE} AS answer({', '.join(names)})"  # noqa: S608 - quoted
    written = answer.query(_WHOLE, sql)
    return answer if written is None else written


def _written(kind: Any, *, nested: bool) -> str | None:
    """Write the type `kind` in SQL with texts in the place of such values; None: it has none."""
    match kind.id:
        case "time with time zone" | "bit" | "uhugeint" | "bignum":
            return "VARCHAR"
        case "time" if nested:
            return "VARCHAR"
        case "list" | "array":
            inner = _written(kind.children[0][1], nested=True)
            return None if inner is None else f"{inner}[]"
        case "struct":
            fields = [(name, child, _written(child, nested=True)) for name, child in kind.children]
            if all(inner is None for _, _, inner in fields):
                return None
            return f"STRUCT({', '.join(f'{quoted(name)} {inner or child}' for name, child, inner in fields)})"
        case "map":
            (_, key), (_, value) = kind.children
            keys, values = _written(key, nested=True), _written(value, nested=True)
            return f"MAP({keys or key}, {values or value})" if keys or values else None
        case _:
            return None


class _Engine:
    """One statement that is being answered."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, spec: dict[str, Any]) -> None:
        self._connection = connection
        allowed = ", ".join(map(literal, spec["files"]))
        if spec["locked"]:
            self._connection.execute(f"""
                SET allowed_paths = [{allowed}];
                SET enable_external_access = false;
                SET lock_configuration = true;
            """)
        for statement in spec["creating"]:
            self._connection.execute(statement)
        self._answer = _told_as_text(self._connection.sql(spec["sql"]))
        self._reader = self._answer.to_arrow_reader(_BATCH_ROWS)
        self._batches = self._pieces(int(spec["row_bytes"]))

    def schema(self) -> memoryview:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self._reader.schema):
            pass
        return memoryview(sink.getvalue())

    def next(self) -> memoryview | None:
        batch = next(self._batches, None)
        if batch is None:
            return None
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        return memoryview(sink.getvalue())

    def count(self) -> int:
        """Return how many rows the answer has; the columns that only it shows are not read for that."""
        # One connection has one open answer.
        self._reader.close()
        ((rows,),) = self._answer.aggregate("count(*)").fetchall()
        return int(rows)

    def _pieces(self, row_bytes: int) -> Iterator[pa.RecordBatch]:
        """Yield batches that are small enough to be held several times. Raises QueryError for a row that is not."""
        most, before = min(_BATCH_BYTES, row_bytes), 0
        for batch in self._reader:
            left = [batch]
            while left:
                one = left.pop()
                weight = sum(map(_weight, one.columns))
                if weight > most and one.num_rows > 1:
                    half = one.num_rows // 2
                    left += [one.slice(half), one.slice(0, half)]
                    continue
                if weight > row_bytes:
                    raise _too_large(one, row_bytes, before + 1)
                before += one.num_rows
                yield one


def _weight(values: pa.Array) -> int:
    """Return how many bytes a column takes, about, here or as objects of Python."""
    kind, many = values.type, len(values)
    if pa.types.is_map(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        first, last = values.offsets[0].as_py(), values.offsets[many].as_py()
        inner = _weight(values.values.slice(first, last - first))
        return many * _LIST_BYTES + inner
    if pa.types.is_fixed_size_list(kind):
        inner = values.values.slice(values.offset * kind.list_size, many * kind.list_size)
        return many * _LIST_BYTES + _weight(inner)
    if pa.types.is_struct(kind):
        return many * _STRUCT_BYTES + sum(_weight(values.field(at)) for at in range(kind.num_fields))
    return max(int(values.nbytes), many * _VALUE_BYTES)


def _too_large(row: pa.RecordBatch, row_bytes: int, number: int) -> QueryError:
    """Return which row it is, and how it is left out."""
    weights = dict(zip(row.schema.names, map(_weight, row.columns), strict=False))
    largest = max(weights, key=lambda name: weights[name])
    values = {"number": f"{number:,}", "value": row_bytes // 1_000_000, "largest": repr(largest[:200])}
    names = row.schema.names
    row_id = row.column(names.index(_ROW_ID))[0].as_py() if names.count(_ROW_ID) == 1 else None
    if isinstance(row_id, str) and _HEX.fullmatch(row_id):
        return QueryError(
            Phrase(
                "Row %(number)s of the answer is larger than %(value)s MB, mostly by its column %(largest)s. Leave out "
                "that column, or the row by its p_row_id, which is not to be %(row)s.",
                **values,
                row=row_id,
            )
        )
    return QueryError(
        Phrase(
            "Row %(number)s of the answer is larger than %(value)s MB, mostly by its column %(largest)s: select less "
            "of it at once, or leave out such rows by a condition on the length of that column.",
            **values,
        )
    )
