# ruff: noqa: S608 - the statements are the tests' own
"""SQL that wants out: with both layers, and with each of them alone."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lakeside.ledger import MemoryLedger
from lakeside.things import AUDIT, SCHEMAS, row, rows
from ocelog.errors import HomeError, OcelogError, QueryError, SandboxError
from ocelog.lake.lake import FileLake
from ocelog.lake.query import engine
from ocelog.lake.query.queries import ExtraTable, Guards, Limits, Queries
from ocelog.lake.write.publish import Publisher
from ocelog.sandbox.kernel import Layers, landlock_version, seccomp_supported

pytestmark = pytest.mark.skipif(
    landlock_version() < 7 or not seccomp_supported(), reason="this kernel offers less than what is tested here"
)

EVERY = Layers(landlock=7, seccomp=True)
DEBIAN_12 = Layers(landlock=2, seccomp=True)
ONLY_SECCOMP = Layers(landlock=0, seccomp=True)
ONLY_LANDLOCK = Layers(landlock=7, seccomp=False)
NONE = Layers(landlock=0, seccomp=False)
# As it is on a new kernel, with children that are begun whole; the others are forked.
AS_SHIPPED = pytest.param(EVERY, marks=pytest.mark.whole_processes)


class Home:
    """A lake with a published file, a part, and secrets beside them."""

    def __init__(self, path: Path) -> None:
        self.path, self.ledger = path, MemoryLedger()
        lake = FileLake(path, self.ledger, SCHEMAS)
        self.ledger.land(lake.write("wiz_audit", "1-1-0", rows([row("a", 1)], AUDIT)))
        Publisher(path, self.ledger, SCHEMAS).publish("wiz_audit")
        self.ledger.land(lake.write("wiz_issues", "1-1-0", rows([row("b", 1)])))
        for name in ("key", "ledger.db"):
            (path / name).write_text("hunter2")
        (self.data,) = (path / "lake" / "warehouse" / "ocelog" / "wiz_audit" / "data").rglob("*.parquet")
        (self.part,) = (path / "landing" / "wiz_issues").iterdir()
        self.before = self.state()

    def state(self) -> dict[str, tuple[float, int, int]]:
        """Return what can be changed about each file, apart from what queries spilled."""
        return {
            str(each): ((found := each.stat()).st_mtime, found.st_mode, found.st_size)
            for each in self.path.rglob("*")
            if "tmp" not in each.relative_to(self.path).parts
        }

    def ask(self, sql: str, guards: Guards | None = None, **more: Any) -> list[dict[str, Any]]:
        """Answer `sql`."""
        queries = Queries(self.path, self.ledger, SCHEMAS, guards=guards)
        with queries.run(sql, **more) as answer:
            return [found for batch in answer.batches for found in batch.to_pylist()]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def serialized(sql: str) -> str:
    """Return `sql` as json_execute_serialized_sql takes it, for use in a literal."""
    found = duckdb.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    assert found is not None
    assert json.loads(found[0])["error"] is False
    return str(found[0]).replace("'", "''")


def hidden(target: Path) -> str:
    options = "FORMAT parquet, PER_THREAD_OUTPUT true, OVERWRITE true"
    inner = f"WITH x AS (COPY (SELECT 1 AS a) TO '{target}' ({options})) SELECT 1"
    return f"SELECT (SELECT count(*) FROM wiz_audit), * FROM json_execute_serialized_sql('{serialized(inner)}')"


def test_a_select_that_hides_a_copy_in_a_text_deletes_no_file_of_the_lake(home: Home) -> None:
    # It did: the folder that COPY overwrites was emptied first.
    for target in (home.data, home.part, home.data.parent, home.path):
        with pytest.raises(QueryError, match="hidden in a text"):
            home.ask(hidden(target))
    assert home.state() == home.before
    assert home.ask("SELECT id FROM wiz_audit") == [{"id": "a"}]


WRITES: list[Callable[[Path], str]] = [
    hidden,
    lambda target: f"COPY (SELECT 1 AS a) TO '{target}' (FORMAT parquet)",
    lambda target: f"COPY (SELECT 1 AS a) TO '{target}' (FORMAT csv, PER_THREAD_OUTPUT true, OVERWRITE true)",
    lambda target: f"COPY (SELECT 1 AS a, 2 AS b) TO '{target.parent}/new' (FORMAT parquet, PARTITION_BY (a))",
    lambda target: f"WITH x AS (COPY (SELECT 1) TO '{target}' (FORMAT parquet)) SELECT * FROM x, wiz_audit",
    lambda target: f"EXPORT DATABASE '{target.parent}/new'",
    lambda target: f"ATTACH '{target.parent}/new.db'",
    lambda target: f"COPY (SELECT 'x') TO '{target}.csv'",
]


@pytest.mark.parametrize("layers", [AS_SHIPPED, DEBIAN_12, ONLY_SECCOMP, ONLY_LANDLOCK], ids=str)
def test_a_statement_that_was_not_checked_writes_nothing_either(home: Home, layers: Layers) -> None:
    for number, write in enumerate(WRITES):
        target = (home.data, home.part, home.path / "key")[number % 3]
        with pytest.raises(OcelogError):
            home.ask(write(target), Guards(layers=layers, statement=False))
        assert home.state() == home.before, write(target)


@pytest.mark.slow
@pytest.mark.parametrize("layers", [AS_SHIPPED, DEBIAN_12, ONLY_LANDLOCK], ids=str)
def test_a_statement_that_was_not_checked_reads_only_the_lake(home: Home, layers: Layers) -> None:
    guards = Guards(layers=layers, statement=False)
    for path in (home.path / "key", home.path / "ledger.db", "/etc/passwd", f"/proc/{os.getpid()}/environ"):
        with pytest.raises(OcelogError) as refused:
            home.ask(f"SELECT content FROM read_text('{path}')", guards)
        assert "outside the lake" in str(refused.value)
        assert "hunter2" not in str(refused.value)
    with pytest.raises(OcelogError):
        home.ask("SELECT * FROM read_parquet('http://127.0.0.1:9/x.parquet')", guards)


def test_a_query_reads_no_file_of_a_table_that_it_does_not_name(home: Home, tmp_path: Path) -> None:
    scratch = tmp_path / "tmp" / "mine"
    scratch.mkdir(parents=True)

    def read(path: Path) -> None:
        run = engine.Run(
            limits=Limits(),
            folders=[str(home.path / "landing"), str(home.path / "lake" / "warehouse")],
            temporary=scratch,
            guards=Guards(statement=False),
        )
        try:
            run.check("", [], [])
            run.begin([str(home.data)], [], f"FROM read_parquet('{path}')", extras={})
        finally:
            run.close()

    read(home.data)
    with pytest.raises(QueryError, match="outside the lake"):
        read(home.part)


def test_a_checked_statement_leaves_no_thread_that_landlock_would_not_bind() -> None:
    program = """
import json
import pyarrow  # which begins one of its own
from ocelog.sandbox.channel import Frame
from ocelog.sandbox.kernel import Layers, threads

before = threads()
from ocelog.lake.query.worker import _Worker

asked = Frame(
    kind="check",
    payload=json.dumps(
        {"sql": "FROM t", "names": ["t"], "macros": [], "columns": [], "checking": True, "held": False}
    ).encode(),
)
worker = _Worker(Layers(landlock=7, seccomp=True))
print(worker.answer(asked), threads() - before)
"""
    # In a process of its own: other threads of the tests would be counted, too.
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == """('tables', b'{"tables": ["t"], "named": ["t"], "columns": null}') 0\n"""


def test_with_neither_layer_the_file_would_be_gone(home: Home) -> None:
    # So that the tests above say something about the layers.
    guards = Guards(layers=NONE, statement=False)
    assert "root" in str(home.ask("SELECT content FROM read_text('/etc/passwd')", guards))
    home.ask(f"COPY (SELECT 1 AS a) TO '{home.part}' (FORMAT parquet)", guards)
    assert home.state() != home.before


SPILLING = "SELECT count(DISTINCT s) AS n FROM (SELECT md5(range::VARCHAR) AS s FROM range(1000000))"


@pytest.mark.parametrize("layers", [AS_SHIPPED, DEBIAN_12, ONLY_LANDLOCK], ids=str)
def test_a_query_spills_into_its_scratch_folder(home: Home, layers: Layers) -> None:
    assert home.ask(SPILLING, Guards(layers=layers), limits=Limits(memory_mb=64)) == [{"n": 1_000_000}]
    assert list((home.path / "tmp").iterdir()) == []


def test_without_landlock_a_query_cannot_spill_and_all_else_works(home: Home) -> None:
    guards = Guards(layers=ONLY_SECCOMP)
    with pytest.raises(QueryError, match="needs more than its 64 MB of memory"):
        home.ask(SPILLING, guards, limits=Limits(memory_mb=64))
    assert home.ask("SELECT a.id AS a, b.id AS b FROM wiz_audit a, wiz_issues_current b", guards) == [
        {"a": "a", "b": "b"}
    ]


def test_without_seccomp_the_sql_of_others_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    guards = Guards(layers=ONLY_LANDLOCK)
    assert home.ask("SELECT 1 AS a", guards) == [{"a": 1}]
    monkeypatch.setattr(os, "geteuid", lambda: home.path.stat().st_uid + 1)
    with pytest.raises(SandboxError, match=r"another user is refused.*--unsafe"):
        home.ask("SELECT 1 AS a", guards)
    assert home.ask("SELECT 1 AS a", guards, trusted=True) == [{"a": 1}]
    assert home.ask("SELECT 1 AS a", Guards(layers=ONLY_SECCOMP)) == [{"a": 1}]


def test_scratch_space_is_at_most_half_of_what_is_free(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_free_bytes", lambda _: 20_000_000)
    with pytest.raises(QueryError, match="64 MB of memory and 10 MB of disk"):
        home.ask(SPILLING, limits=Limits(memory_mb=64))
    monkeypatch.setattr(engine, "_free_bytes", lambda _: 0)
    assert home.ask("SELECT id FROM wiz_audit") == [{"id": "a"}]


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("SELECT count(*) AS n FROM notes", []),
        ("SELECT id, upper(n.kind) AS kind FROM notes n", ["id", "kind"]),
        ("SELECT * FROM notes", ["id", "kind", "text"]),
        ("SELECT n FROM notes n", ["id", "kind", "text"]),
        ("SELECT a.id FROM notes a JOIN notes b USING (Text)", ["id", "text"]),
        ("SELECT id FROM notes, (SHOW TABLES) LIMIT 1", ["id", "kind", "text"]),
    ],
)
def test_of_a_table_from_elsewhere_only_the_columns_are_read_that_a_statement_names(
    home: Home, sql: str, wanted: list[str]
) -> None:
    rows = [{"id": "1", "kind": "a", "text": "long"}, {"id": "2", "kind": "b", "text": "longer"}]
    schema = pa.schema([("id", pa.string()), ("kind", pa.string()), ("text", pa.string())])
    asked = list[list[str]]()

    def read(columns: Collection[str]) -> Iterator[pa.RecordBatch]:
        asked.append(list(columns))
        some = pa.schema([schema.field(name) for name in columns] or [schema.field("id")])
        yield pa.RecordBatch.from_pylist(rows, schema=some)

    queries = Queries(home.path, home.ledger, SCHEMAS, {"notes": ExtraTable(schema=schema, rows=read)})
    with queries.run(sql) as answer:
        found = [row for batch in answer.batches for row in batch.to_pylist()]
    assert asked == [wanted]
    assert found


def test_what_lists_the_tables_reads_no_rows_of_those_from_elsewhere(home: Home) -> None:
    def read(_: Collection[str]) -> Iterator[pa.RecordBatch]:
        asked.append(1)
        yield from pa.table({"id": ["a"]}).to_batches()

    asked = list[int]()
    schema = pa.schema([("id", pa.string())])
    queries = Queries(home.path, home.ledger, SCHEMAS, {"notes": ExtraTable(schema=schema, rows=read)})
    with queries.run("SELECT column_name FROM information_schema.columns WHERE table_name = 'notes'") as answer:
        assert [row for batch in answer.batches for row in batch.to_pylist()] == [{"column_name": "id"}]
    assert asked == []


@pytest.mark.slow
def test_a_table_from_elsewhere_is_copied_piece_by_piece_and_within_the_limits_of_the_query(home: Home) -> None:
    schema = pa.schema([("text", pa.string())])
    pieces = list[int]()

    def endless(_: Collection[str]) -> Iterator[pa.RecordBatch]:
        try:
            while True:
                pieces.append(len(pieces))
                letters = [f"{number:06}".encode().hex() * 80 for number in range(len(pieces), len(pieces) + 1_000)]
                yield pa.record_batch([pa.array(letters)], schema=schema)
        finally:
            pieces.append(-1)

    queries = Queries(home.path, home.ledger, SCHEMAS, {"notes": ExtraTable(schema=schema, rows=endless)})
    limits = Limits(memory_mb=64, temp_mb=16)
    with (
        pytest.raises(QueryError, match=r"more than its 64 MB of memory and 16 MB of disk\. Read fewer columns"),
        queries.run("SELECT count(text) FROM notes", limits=limits),
    ):
        pass
    assert pieces[-1] == -1
    assert len(pieces) < 200


def test_a_small_table_from_elsewhere_is_queried_like_one_of_the_lake(home: Home) -> None:
    table = pa.table({"source": ["prod", "test"], "lag_seconds": [1, None], "tags": [["a"], []]})
    made = list[int]()

    def make(_: Collection[str]) -> Iterator[pa.RecordBatch]:
        made.append(1)
        yield from table.to_batches(max_chunksize=1)

    queries = Queries(home.path, home.ledger, SCHEMAS, {"streams": ExtraTable(schema=table.schema, rows=make)})
    assert queries.names[-1] == "streams"

    def ask(sql: str) -> list[dict[str, Any]]:
        with queries.run(sql) as answer:
            return [found for batch in answer.batches for found in batch.to_pylist()]

    assert ask("SELECT 1 AS a") == [{"a": 1}]
    assert made == []
    assert ask("SELECT * FROM Streams ORDER BY source") == table.to_pylist()
    assert ask("SELECT s.source, a.id FROM streams s, wiz_audit a WHERE lag_seconds = 1") == [
        {"source": "prod", "id": "a"}
    ]
    assert {"streams", "wiz_audit"} <= {each["name"] for each in ask("SHOW TABLES")}
    with pytest.raises(QueryError, match=r"There is no column lag_second\. Did you mean lag_seconds\?"):
        ask("SELECT lag_second FROM streams")
    with pytest.raises(QueryError, match="There is no table 'stream'; did you mean 'streams'"):
        ask("FROM stream")


def test_a_frame_that_is_larger_than_any_row_may_be_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_BESIDE_ROWS", -1_000_000)
    with pytest.raises(QueryError, match=r"A row of the answer is larger than 2 MB: select less of it"):
        home.ask("SELECT repeat('x', 1_500_000)", limits=Limits(row_bytes=2_000_000))


def test_large_batches_come_in_pieces(home: Home) -> None:
    with Queries(home.path, home.ledger, SCHEMAS).run("SELECT repeat('x', 10_000) AS x FROM range(8000)") as answer:
        sizes = [batch.num_rows for batch in answer.batches]
    assert sum(sizes) == 8000
    assert max(sizes) * 10_000 <= 20_000_000


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"channel.send('nonsense', b'')", "malformed"),
        (b"channel.send('batch', b'x' * 100)", "malformed"),
        (b"channel.send('error', b'[1]')", "malformed"),
        (b"__import__('os')._exit(3)", "ended with code 3"),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_ends_the_query(home: Home, answer: bytes, says: str) -> None:
    with Queries(home.path, home.ledger, SCHEMAS).run("SELECT 1") as found:
        run = found.count.__self__  # type: ignore[attr-defined]
        child = run._child
        replaced = _Replaced(child, answer)
        run._child = replaced
        with pytest.raises(QueryError, match=says):
            next(found.batches)
        child.close()


class _Replaced:
    """Stands for a child that was taken over: it answers what it likes."""

    def __init__(self, child: Any, answer: bytes) -> None:
        self.child, self.source = child, answer.decode()
        self.exit_code = 3

    def send(self, *_: object) -> None: ...

    def close(self) -> None:
        self.child.close()

    def receive(self, _: float) -> Any:
        from ocelog.sandbox.channel import Frame  # noqa: PLC0415 - for this stand-in only

        sent = list[Frame]()

        class channel:  # noqa: N801 - as the sources call it
            @staticmethod
            def send(kind: str, payload: bytes) -> None:
                sent.append(Frame(kind=kind, payload=bytearray(payload)))

        if "_exit" in self.source:
            raise EOFError
        exec(self.source, {"channel": channel})  # noqa: S102 - ours
        return sent[0]


def test_leaving_early_ends_the_process(home: Home) -> None:
    with Queries(home.path, home.ledger, SCHEMAS).run("FROM range(10000000) a, range(10000000) b") as answer:
        assert next(answer.batches).num_rows > 0
        child = answer.count.__self__._child  # type: ignore[attr-defined]
        assert child.exit_code is None
    assert child.exit_code == -9


def test_a_query_that_nobody_reads_on_is_over_when_its_time_is_up(home: Home) -> None:
    with Queries(home.path, home.ledger, SCHEMAS).run("FROM range(100000)") as answer:
        next(answer.batches)
        run = answer.count.__self__  # type: ignore[attr-defined]
        run._deadline = time.monotonic()
        with pytest.raises(QueryError, match="took longer than"):
            list(answer.batches)


def test_a_file_outside_the_lake_that_another_engine_named_is_told(home: Home, tmp_path: Path) -> None:
    queries = Queries(home.path, home.ledger, SCHEMAS)
    take: Callable[[str], Any] = queries._snapshots.take
    stranger = tmp_path / "elsewhere.parquet"

    class Views:
        def take(self, table: str) -> Any:
            view = take(table)
            from msgspec.structs import replace  # noqa: PLC0415 - for this stand-in only

            files = tuple(replace(file, path=str(stranger)) for file in view.files)
            return replace(view, state=replace(view.state, files=files))

    queries._snapshots = Views()  # type: ignore[assignment]
    with pytest.raises(HomeError, match="which another engine wrote outside the lake"), queries.run("FROM wiz_audit"):
        pass


def test_starting_a_query_takes_little(home: Home) -> None:
    # Loosely bounded, since the machine may be busy; docs/adr/0016 has the figures.
    began = time.process_time()
    home.ask("SELECT 1")
    assert time.process_time() - began < 1
