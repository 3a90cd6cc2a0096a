# ruff: noqa: S608 - the statements are the tests' own
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakeside.ledger import MemoryLedger
from lakeside.things import AUDIT, ISSUES, REJECTIONS, SCHEMAS, instant, row, rows
from ocelog.app.log_types import table_schemas
from ocelog.errors import LakeDamagedError, OcelogError, QueryError
from ocelog.lake.lake import FileLake
from ocelog.lake.query.queries import Limits, Queries
from ocelog.lake.read.current import current_sql
from ocelog.lake.read.snapshot import Snapshot
from ocelog.lake.upkeep.cleaning import clean
from ocelog.lake.write.publish import Publisher

TABLE = "wiz_issues"
Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def lake(tmp_path: Path, ledger: MemoryLedger) -> FileLake:
    return FileLake(tmp_path, ledger, SCHEMAS)


@pytest.fixture
def queries(lake: FileLake, ledger: MemoryLedger) -> Queries:
    return Queries(lake.home, ledger, SCHEMAS)


@pytest.fixture
def ask(queries: Queries) -> Ask:
    def run(sql: str, limits: Limits | None = None) -> list[dict[str, Any]]:
        with queries.run(sql, limits=limits) as answer:
            return [found for batch in answer.batches for found in batch.to_pylist()]

    return run


Land = Callable[..., None]


@pytest.fixture
def land(lake: FileLake, ledger: MemoryLedger) -> Land:
    def land_rows(
        *listed: dict[str, Any], table: str = TABLE, schema: pa.Schema = ISSUES, publish: bool = False
    ) -> None:
        ledger.land(lake.write(table, f"1-1-{ledger.counter(table)}", rows(listed, schema)))
        if publish:
            Publisher(lake.home, ledger, SCHEMAS).publish(table)

    return land_rows


def test_every_view_is_there_and_typed_before_anything_landed(queries: Queries, ask: Ask) -> None:
    assert queries.names == [
        *("wiz_audit", "wiz_audit_current", "wiz_issues", "wiz_issues_current", "all_logs", "rejections")
    ]
    for name in queries.names:
        assert ask(f"SELECT * FROM {name}") == []
        types = {one["column_name"]: one["column_type"] for one in ask(f"DESCRIBE {name}")}
        assert types["p_event_time"] == "TIMESTAMP WITH TIME ZONE"
    assert {one["name"] for one in ask("SHOW TABLES")} == set(queries.names)


def test_a_table_that_is_published_first_while_it_is_asked_for_is_read(
    land: Land, ask: Ask, queries: Queries, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(row("a", 1))
    take = queries._snapshots.take

    def published(table: str) -> Snapshot:
        Publisher(queries._home, ledger, SCHEMAS).publish(table)
        return take(table)

    monkeypatch.setattr(queries._snapshots, "take", published)
    assert ask("SELECT id FROM wiz_issues") == [{"id": "a"}]


def test_published_and_waiting_rows_are_one_table(land: Land, ask: Ask) -> None:
    land(row("a", 1), publish=True)
    land(row("b", 2))
    assert ask("SELECT id, p_event_time FROM wiz_issues ORDER BY id") == [
        {"id": "a", "p_event_time": instant(1)},
        {"id": "b", "p_event_time": instant(2)},
    ]


def test_types_are_the_same_before_and_after_publishing(land: Land, ask: Ask) -> None:
    before = ask("DESCRIBE wiz_issues")
    land(row("a", 1, notes=[{"text": "x"}], score=1.5))
    waiting = ask("DESCRIBE wiz_issues")
    land(row("b", 1), publish=True)
    assert before == waiting == ask("DESCRIBE wiz_issues")
    assert ask("SELECT notes[1].text AS text FROM wiz_issues WHERE id = 'a'") == [{"text": "x"}]


def test_current_is_one_row_an_id_and_source(land: Land, ask: Ask) -> None:
    land(row("a", 1, status="OPEN"), row("b", 5), publish=True)
    land(row("a", 3, status="RESOLVED"), row("a", 1, source="s2", status="REJECTED"))
    land(row("a", 2, status="IN_PROGRESS"))
    found = ask("SELECT p_source_id, id, status FROM wiz_issues_current ORDER BY ALL")
    assert [tuple(one.values()) for one in found] == [
        ("s1", "a", "RESOLVED"),
        ("s1", "b", "OPEN"),
        ("s2", "a", "REJECTED"),
    ]


def test_versions_are_ordered_by_version_time_then_by_when_they_were_seen_then_by_row_id(land: Land, ask: Ask) -> None:
    def version(state: str, at: float, seen: float, name: str) -> dict[str, Any]:
        made = row("a", 1, version=state, status=state, p_row_id=name * 32)
        return made | {"p_version_time": instant(at), "p_observed_at": instant(seen)}

    land(
        version("older", 1, 9, "f"),
        version("newest", 2, 5, "b"),
        version("tie", 2, 5, "a"),
        version("early", 2, 4, "e"),
    )
    for current in ("wiz_issues_current", f"({current_sql(TABLE)})"):
        assert ask(f"SELECT status FROM {current}") == [{"status": "newest"}]


def test_the_sql_of_current_for_other_engines_says_the_same(land: Land, ask: Ask) -> None:
    for minute in range(9):
        other = row("a", minute, source="s2")
        land(row("a", minute % 5, version=str(minute)), row(f"b{minute % 4}", minute), other, publish=minute == 4)
    ours = ask("SELECT p_row_id FROM wiz_issues_current ORDER BY 1")
    theirs = ask(f"SELECT p_row_id FROM ({current_sql(TABLE)}) ORDER BY 1")
    assert ours == theirs
    assert len(ours) == 6


def test_all_logs_holds_the_standard_fields_of_every_log_type(land: Land, ask: Ask) -> None:
    land(row("a", 1, p_log_type="Wiz.Audit", p_any_ip_addresses=["10.0.0.1"]), table="wiz_audit", schema=AUDIT)
    land(row("b", 2, p_any_ip_addresses=["10.0.0.2"]))
    found = ask("SELECT p_log_type FROM all_logs WHERE list_contains(p_any_ip_addresses, '10.0.0.1')")
    assert found == [{"p_log_type": "Wiz.Audit"}]
    assert ask("SELECT count(*) AS n FROM all_logs") == [{"n": 2}]


def test_columns_of_all_logs_stand_in_one_order_whatever_log_types_there_are(tmp_path: Path) -> None:
    def names(*tables: str) -> list[str]:
        known = table_schemas()
        schemas = {name: known["wiz_audit" if "audit" in name else "wiz_issues"] for name in tables}
        with Queries(tmp_path, MemoryLedger(), schemas).run("SELECT * FROM all_logs") as answer:
            return list(answer.schema.names)

    before = names("wiz_audit", "wiz_issues")
    assert names("wiz_audit", "wiz_a_new_one") == names("wiz_issues", "wiz_new_audit") == before
    assert before == [name for name in names("wiz_issues") if name in before]


def test_rejections_are_a_table(land: Land, ask: Ask) -> None:
    one = {name: value for name, value in row("x", 1).items() if name in REJECTIONS.names} | {"raw": "{", "path": "$"}
    land(one, table="rejections", schema=REJECTIONS, publish=True)
    assert ask("SELECT path, raw FROM rejections") == [{"path": "$", "raw": "{"}]


def test_json_text_opens_with_json_functions(land: Land, ask: Ask) -> None:
    land(row("a", 1, actionParameters='{"user": {"ids": [7, 8]}}'), table="wiz_audit", schema=AUDIT)
    sql = "SELECT actionParameters->'user'->'ids'->>1 AS a, json_extract(actionParameters, '$.user.ids[0]')::INT AS b"
    assert ask(f"{sql} FROM wiz_audit") == [{"a": "8", "b": 7}]


def test_rows_of_an_older_schema_have_nulls_in_newer_columns(lake: FileLake, ledger: MemoryLedger, land: Land) -> None:
    note = pa.field("notes", pa.list_(pa.struct([pa.field("text", pa.string()), pa.field("by", pa.string())])))
    grown = ISSUES.set(ISSUES.get_field_index("notes"), note).append(pa.field("added", pa.int16()))
    land(row("a", 1, notes=[{"text": "x"}]), publish=True)
    land(row("b", 2, notes=[{"text": "y"}]))
    queries = Queries(lake.home, ledger, {TABLE: grown})
    with queries.run("SELECT id, notes, added FROM wiz_issues ORDER BY id") as answer:
        found = [one for batch in answer.batches for one in batch.to_pylist()]
    assert found == [
        {"id": "a", "notes": [{"text": "x", "by": None}], "added": None},
        {"id": "b", "notes": [{"text": "y", "by": None}], "added": None},
    ]


def test_the_answer_names_the_views_it_was_read_from(queries: Queries) -> None:
    with queries.run("SELECT * FROM Wiz_Issues_Current, all_logs") as answer:
        assert answer.tables == {"wiz_issues_current", "all_logs"}


def test_a_question_without_a_table_is_answered(ask: Ask) -> None:
    assert ask("SELECT 1 AS one, TIMESTAMPTZ '2026-03-30 12:00:00+02' AS t") == [{"one": 1, "t": instant(-120)}]
    assert ask("SELECT TIMESTAMPTZ '2026-03-30 12:00:00'::VARCHAR AS z") == [{"z": "2026-03-30 12:00:00+00"}]


@pytest.mark.parametrize(
    "reach",
    [
        "read_text('{home}/key')",
        "read_blob('{home}/ledger.db')",
        "read_csv('/etc/passwd')",
        "read_json('/etc/passwd')",
        "read_parquet('{home}/landing/other.parquet')",
        "glob('{home}/*')",
        "glob('/etc/*')",
        "parquet_metadata('/etc/passwd')",
        "read_text('{part}/../../../key')",
        "read_parquet('http://127.0.0.1:9/x.parquet')",
        "read_parquet('s3://bucket/x.parquet')",
        "'{home}/key'",
        "query('COPY (SELECT 1) TO ''{part}''')",
        "query('WITH x AS (COPY (SELECT 1) TO ''{part}'') SELECT 1')",
        "query('SELECT * FROM read_text(''{home}/key'')')",
        "sqlite_scan('{home}/ledger.db', 'sources')",
        "duckdb_secrets()",
        "secret_table",
    ],
)
def test_nothing_but_the_lake_is_in_reach(lake: FileLake, land: Land, ask: Ask, reach: str) -> None:
    secret_table = pa.table({"secret": ["hunter2"]})
    (lake.home / "key").write_text("hunter2")
    land(row("a", 1))
    part = next((lake.home / "landing" / TABLE).iterdir())
    before = part.read_bytes()
    with pytest.raises(QueryError) as refused:
        ask(f"SELECT * FROM wiz_issues, {reach.format(home=lake.home, part=part)}")
    assert "hunter2" not in str(refused.value)
    assert part.read_bytes() == before
    assert secret_table.num_rows == 1


def test_the_environment_is_out_of_reach(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCELOG_KEY", "hunter2")
    with pytest.raises(QueryError):
        ask("SELECT getenv('OCELOG_KEY')")


def test_a_part_cannot_be_overwritten_by_a_copy_inside_a_select(lake: FileLake, land: Land, ask: Ask) -> None:
    land(row("a", 1))
    part = next((lake.home / "landing" / TABLE).iterdir())
    before = part.read_bytes()
    with pytest.raises(QueryError, match="COPY"):
        ask(f"WITH x AS (COPY (SELECT 1) TO '{part}') SELECT * FROM wiz_issues")
    assert part.read_bytes() == before


def test_settings_cannot_be_changed_from_within(ask: Ask) -> None:
    with pytest.raises(QueryError):
        ask("SELECT * FROM query('SET memory_limit = ''100GB''')")


def test_an_unknown_table_or_column_gets_the_nearest_name(ask: Ask) -> None:
    with pytest.raises(QueryError, match="There is no table 'wiz_isues'; did you mean 'wiz_issues'"):
        ask("SELECT * FROM wiz_isues")
    with pytest.raises(QueryError, match=r"There is no column severty\. Did you mean severity\?"):
        ask("SELECT severty FROM wiz_issues")


def test_a_wrong_statement_shows_where(ask: Ask) -> None:
    with pytest.raises(QueryError, match="syntax error at or near"):
        ask("SELECT * FROM wiz_issues WHERE ORDER")
    with pytest.raises(QueryError, match="Conversion Error"):
        ask("SELECT CAST(range::VARCHAR || 'x' AS INT) FROM range(30000)")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b",
        "SELECT a.range FROM range(10000000) a, range(10000000) b",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT * FROM n",
    ],
)
def test_a_query_ends_when_its_time_is_up(ask: Ask, sql: str) -> None:
    with pytest.raises(QueryError, match=r"took longer than 0\.3 s"):
        ask(sql, Limits(timeout=timedelta(seconds=0.3)))


def test_no_query_may_outlast_the_grace_of_parts(ask: Ask) -> None:
    for seconds in (0, -1, 600):
        with pytest.raises(QueryError, match="time limit"):
            ask("SELECT 1", Limits(timeout=timedelta(seconds=seconds)))


@pytest.mark.parametrize(
    "value",
    [
        "repeat(chr(1), 1100000)",
        "(SELECT list(i) FROM range(200000) AS numbers(i))",
        "(SELECT list(NULL) FROM range(200000))",
        "(SELECT list(true) FROM range(200000))",
        "(SELECT list({'a': {'b': NULL}}) FROM range(20000))",
        "(SELECT map(range(70000), range(70000)))",
        "[['x']::VARCHAR[1] for _ in range(30000)]",
    ],
)
def test_a_row_that_is_too_large_to_be_handed_over_is_refused_by_its_column(ask: Ask, value: str) -> None:
    with pytest.raises(QueryError, match="Row 1 of the answer is larger than 1 MB, mostly by its column 'much'"):
        ask(f"SELECT 1 AS a, {value} AS much", Limits(row_bytes=1_000_000))
    assert len(ask(f"SELECT 1 AS a, {value} AS much", Limits(row_bytes=8_000_000))) == 1


def test_a_row_that_is_too_large_is_named_so_that_it_can_be_left_out(ask: Ask) -> None:
    sql = (
        "SELECT printf('%032x', range) AS p_row_id, repeat('x', CASE range WHEN 20000 THEN 1100000 ELSE 1 END) AS much "
        "FROM range(20005)"
    )
    with pytest.raises(QueryError) as refused:
        ask(sql, Limits(row_bytes=1_000_000))
    assert "Row 20,001 of the answer is larger than 1 MB" in str(refused.value)
    assert f"p_row_id, which is not to be {20_000:032x}" in str(refused.value)
    left = ask(f"SELECT * FROM ({sql}) WHERE p_row_id <> '{20_000:032x}'", Limits(row_bytes=1_000_000))
    assert len(left) == 20_004


def test_large_rows_are_handed_over_in_pieces_of_the_size_of_one(queries: Queries) -> None:
    sql = "SELECT repeat('x', 400000) AS a, [range] AS b FROM range(7)"
    with queries.run(sql, limits=Limits(row_bytes=1_000_000)) as answer:
        pieces = list(answer.batches)
    assert sum(each.num_rows for each in pieces) == 7
    assert max(each.nbytes for each in pieces) < 1_000_000
    assert [row["b"] for each in pieces for row in each.to_pylist()] == [[at] for at in range(7)]


def test_a_query_keeps_to_its_memory_and_disk(ask: Ask) -> None:
    with pytest.raises(QueryError, match="needs more than its 64 MB"):
        ask(
            "SELECT count(DISTINCT s) FROM (SELECT md5(range::VARCHAR) AS s FROM range(3000000))",
            Limits(memory_mb=64, temp_mb=1),
        )


def test_what_a_query_spills_is_gone_afterwards(lake: FileLake, ask: Ask) -> None:
    sql = "SELECT count(DISTINCT s) AS n FROM (SELECT md5(range::VARCHAR) AS s FROM range(1000000))"
    assert ask(sql, Limits(memory_mb=64)) == [{"n": 1_000_000}]
    assert list((lake.home / "tmp").iterdir()) == []


def test_leaving_early_stops_the_query(queries: Queries) -> None:
    with queries.run("SELECT a.range FROM range(10000000) a, range(10000000) b") as answer:
        assert next(answer.batches).num_rows > 0
    watching = [thread for thread in threading.enumerate() if thread.name == "query-limit"]
    for thread in watching:
        thread.join(10)
    assert not any(thread.is_alive() for thread in watching)


def test_a_part_that_goes_before_the_engine_has_it_is_read_from_the_table(
    lake: FileLake, ledger: MemoryLedger, queries: Queries, land: Land, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(row("a", 1))
    stale = queries._snapshots.take(TABLE)
    Publisher(lake.home, ledger, SCHEMAS).publish(TABLE)
    clean(lake.home, TABLE, ledger, grace=timedelta(0))
    taken = [stale]
    take = queries._snapshots.take
    monkeypatch.setattr(type(queries._snapshots), "take", lambda _, table: taken.pop() if taken else take(table))
    assert ask("SELECT id FROM wiz_issues") == [{"id": "a"}]


def test_a_part_that_is_lost_is_said_to_be_missing(lake: FileLake, land: Land, ask: Ask) -> None:
    land(row("a", 1))
    next((lake.home / "landing" / TABLE).iterdir()).unlink()
    with pytest.raises(LakeDamagedError, match=r"parquet is missing\. .*ocelog repair"):
        ask("SELECT * FROM wiz_issues")


@pytest.mark.parametrize(
    "name", ["내 Wiz 로그", "it's", "wh?t", "[old]", "a*b", "{x,y}", "50% #1", 'a "b"', "back\\slash"]
)
def test_a_home_whose_path_is_odd_is_read(tmp_path: Path, ledger: MemoryLedger, name: str) -> None:
    home = tmp_path / name
    home.mkdir()
    lake = FileLake(home, ledger, SCHEMAS)
    for n in range(2):
        ledger.land(lake.write(TABLE, f"1-1-{n}", rows([row(f"a{n}", 1)])))
        if n == 0:
            Publisher(home, ledger, SCHEMAS).publish(TABLE)
    with Queries(home, ledger, SCHEMAS).run("SELECT count(*) AS n FROM wiz_issues") as answer:
        assert next(answer.batches).to_pylist() == [{"n": 2}]


def test_errors_are_ours(ask: Ask) -> None:
    for sql in ("SELECT 1/0::INT", "SELECT error('x')", "SELECT x(1)", "SELECT 1::bogus", "SELECT * FROM range(1, 2"):
        try:
            ask(sql)
        except OcelogError:
            continue


def test_a_column_whose_values_cannot_be_read_is_named(ask: Ask) -> None:
    with pytest.raises(QueryError, match=r"The column 'most' holds values that cannot be read .* VARCHAR"):
        ask("SELECT 1 AS one, 170141183460469231731687303715884105727::HUGEINT AS most")
    assert ask("SELECT 5::UHUGEINT AS n, [BIT '101'] AS b") == [{"n": "5", "b": ["101"]}]
