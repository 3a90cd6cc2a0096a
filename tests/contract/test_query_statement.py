# ruff: noqa: S608 - the statements are the tests' own
from functools import partial

import duckdb
import pytest

from ocelog.errors import QueryError
from ocelog.lake.query.limits import MAX_LENGTH
from ocelog.lake.query.statement import checked as checked_by
from ocelog.lake.query.statement import functions

checked = partial(checked_by, connection=duckdb.connect(":memory:"))
NAMES = ["wiz_audit", "wiz_issues", "all_logs"]


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT count(*) AS n FROM wiz_audit ORDER BY n", set()),
        ('SELECT a."ID" FROM wiz_audit a WHERE status IS NULL', {"id", "status"}),
        ("SELECT t.c FROM (SELECT status AS c FROM wiz_audit) t", {"status"}),
        ("SELECT 1 FROM wiz_audit a JOIN wiz_audit b USING (id)", {"id"}),
        ("SELECT count(id) OVER (PARTITION BY status) FROM wiz_audit", {"id", "status"}),
        ("FROM wiz_audit", None),
        ("SELECT a FROM wiz_audit a", None),
        ("SELECT to_json(wiz_audit) FROM wiz_audit", None),
        ("SELECT COLUMNS('stat.*') FROM wiz_audit", None),
        ("SELECT * EXCLUDE (id) FROM wiz_audit", None),
        ("SELECT 1 FROM wiz_audit NATURAL JOIN all_logs", None),
        ("SELECT x FROM wiz_audit a(x)", None),
        ("SELECT #1 FROM wiz_audit", None),
        ("SUMMARIZE wiz_audit", None),
    ],
)
def test_which_columns_it_may_read_is_known(sql: str, columns: set[str] | None) -> None:
    assert checked(sql, NAMES, columns=("id", "status")).columns == columns


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "FROM wiz_audit",
        "TABLE wiz_audit",
        "VALUES (1)",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT * FROM n;",
        "-- said first\nSELECT 1 -- said last",
        "DESCRIBE wiz_audit",
        "SHOW TABLES",
        "SUMMARIZE wiz_audit",
        "SELECT 'COPY x TO y', \"insert\" FROM wiz_audit",
        "SELECT * FROM main.wiz_audit, memory.main.all_logs",
        "SELECT * FROM range(3) r(i), generate_series(1, 2), unnest([1, 2]), LATERAL (SELECT i + 1)",
        "SELECT key, value FROM wiz_audit, json_each(actionParameters)",
        "SELECT Upper(x), x.lower(), list_transform(y, lambda z: z + 1), [a FOR a IN y IF a > 1] FROM wiz_audit",
        "SELECT sum(x) FILTER (y) OVER (PARTITION BY z), rank() OVER v FROM wiz_audit WINDOW v AS (ORDER BY w)",
        "SELECT DISTINCT ON (x) x FROM wiz_audit ORDER BY y DESC NULLS LAST LIMIT 5% OFFSET 1",
        "FROM (FROM wiz_audit) PIVOT (count(*) FOR result IN ('SUCCESS', 'FAILED'))",
        "SELECT COLUMNS(c -> c LIKE 'p_%') FROM wiz_audit TABLESAMPLE 10%",
        "SELECT * EXCLUDE (x) REPLACE (y AS z) FROM wiz_audit ASOF JOIN all_logs USING (p_event_time)",
        "SELECT x::STRUCT(a INT, b VARCHAR[]), TRY_CAST(y AS JSON)->>'$.a', z COLLATE NOCASE FROM wiz_audit",
        "SELECT w AT TIME ZONE 'UTC' FROM wiz_audit",
        "SELECT table_name FROM information_schema.tables",
        "FROM wiz_audit POSITIONAL JOIN all_logs",
    ],
)
def test_what_only_reads_may_run(sql: str) -> None:
    assert checked(sql, NAMES).sql == sql


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO 'x.csv'",
        "WITH x AS (COPY (SELECT 1) TO 'x.parquet') SELECT 1",
        "WITH x AS MATERIALIZED (COPY (SELECT 1) TO 'x.parquet') SELECT 1",
        "SELECT * FROM (WITH x AS (COPY (SELECT 1) TO 'x.parquet') SELECT 1)",
        "WITH y AS (WITH x AS (COPY (SELECT 1) TO 'x.parquet') SELECT 1) SELECT * FROM y",
        "SELECT (WITH x AS (COPY (SELECT 1) TO 'x.parquet') SELECT 1)",
        "SELECT 1 UNION ALL (WITH x AS (COPY (SELECT 1) TO 'x.parquet') SELECT 1)",
        "WITH x AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM x",
        "WITH x AS (DELETE FROM t) SELECT 1",
        "WITH x AS (UPDATE t SET i = 1) SELECT 1",
        "SELECT 1; SELECT 2",
        "SELECT 1; COPY (SELECT 1) TO 'x'",
        "",
        " ; ",
        "ATTACH 'x.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '100GB'",
        "RESET enable_external_access",
        "PRAGMA version",
        "CALL pragma_version()",
        "CREATE TABLE t (i INT)",
        "CREATE VIEW wiz_audit AS SELECT 1",
        "DROP VIEW wiz_audit",
        "INSERT INTO t VALUES (1)",
        "EXPORT DATABASE 'x'",
        "PREPARE p AS SELECT 1",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 'x'",
        "USE x",
        "CHECKPOINT",
        "SELECT FROM WHERE",
        "SELECT " + "(" * 5000 + "1" + ")" * 5000,
        "SELECT " + " + ".join("1" for _ in range(50_000)),
        "SELECT '" + "x" * MAX_LENGTH + "'",
        "SELECT \0",
    ],
)
def test_what_writes_sets_or_is_no_statement_is_refused(sql: str) -> None:
    with pytest.raises(QueryError):
        checked(sql, NAMES)


REACHING = [
    "read_csv('/etc/passwd')",
    "READ_TEXT('/etc/passwd')",
    "main.\"Read_Blob\"('/etc/passwd')",
    "system.main.read_parquet('x')",
    "parquet_scan('x')",
    "glob('*')",
    "sniff_csv('x')",
    "duckdb_settings()",
    "duckdb_secrets()",
    "duckdb_functions()",
    "pragma_database_size()",
    "parquet_metadata('x')",
    "query('SELECT 1')",
    "query_table('wiz_audit')",
    "histogram('wiz_audit', x)",
    "json_execute_serialized_sql('{}')",
    "checkpoint()",
    "force_checkpoint('x')",
    "enable_logging()",
    "arrow_scan(1, 2, 3)",
    "seq_scan()",
    "which_secret('x', 's3')",
    "test_all_types()",
    "from_substrait('x')",
    "sqlite_scan('x', 'y')",
    "sql_auto_complete('x')",
    "a_function_of_the_next_version()",
]
PLACES = [
    "SELECT * FROM {}",
    "SELECT * FROM wiz_audit, {} AS x",
    "SELECT (SELECT count(*) FROM {})",
    "SELECT 1 FROM wiz_audit WHERE EXISTS (FROM {})",
    "SELECT 1 FROM wiz_audit WHERE x IN (FROM {})",
    "WITH x AS (FROM {}) SELECT 1",
    "WITH RECURSIVE x AS (SELECT 1 UNION ALL (FROM {})) FROM x",
    "(SELECT 1) UNION ALL (SELECT 2 INTERSECT (FROM {}))",
    "SELECT 1 FROM wiz_audit, LATERAL (FROM {})",
    "SELECT 1 ORDER BY (SELECT 1 FROM {})",
    "SELECT 1 LIMIT (SELECT 1 FROM {})",
    "SELECT 1 FROM wiz_audit GROUP BY ALL HAVING (SELECT true FROM {})",
    "SELECT 1 FROM wiz_audit QUALIFY (SELECT true FROM {})",
    "SELECT sum(1) FILTER ((SELECT true FROM {})) OVER (PARTITION BY (SELECT 1 FROM wiz_audit))",
    "SELECT sum(1) OVER (ORDER BY (SELECT 1 FROM {}))",
    "SELECT 1 FROM wiz_audit JOIN all_logs ON (SELECT true FROM {})",
    "SELECT list_transform([1], lambda x: (SELECT 1 FROM {}))",
    "SELECT CASE WHEN true THEN (SELECT 1 FROM {}) END",
    "VALUES ((SELECT 1 FROM {}))",
    "FROM range((SELECT 1 FROM {}))",
    "FROM (FROM {}) PIVOT (count(*) FOR x IN (1))",
    "FROM wiz_audit POSITIONAL JOIN {}",
    "DESCRIBE FROM {}",
    "SUMMARIZE FROM {}",
    "SELECT * REPLACE ((SELECT 1 FROM {}) AS x) FROM wiz_audit",
    "SELECT ARRAY(SELECT 1 FROM {})",
    "SELECT 1 FROM wiz_audit GROUP BY (SELECT 1 FROM {})",
    "SELECT DISTINCT ON ((SELECT 1 FROM {})) 1",
]


@pytest.mark.parametrize("function", REACHING)
def test_a_table_function_that_is_not_on_the_list_is_refused(function: str) -> None:
    with pytest.raises(QueryError, match=r"may reach outside the lake|hidden in a text|There is no function"):
        checked(f"SELECT * FROM {function}", NAMES)


@pytest.mark.parametrize("place", PLACES)
def test_it_is_refused_wherever_it_stands(place: str) -> None:
    checked(place.format("range(3)"), NAMES)
    with pytest.raises(QueryError, match="hidden in a text"):
        checked(place.format("json_execute_serialized_sql('{}')"), NAMES)
    with pytest.raises(QueryError, match="There is no table"):
        checked(place.format("'x.parquet'"), NAMES)


@pytest.mark.parametrize(
    "call",
    [
        "getenv('HOME')",
        "current_setting('threads')",
        "Current_Setting('threads')",
        "main.getvariable('x')",
        "json_serialize_sql('SELECT 1')",
        "json_deserialize_sql('{}')",
        "write_log('x')",
        "sleep_ms(1000)",
        "pg_sleep(1)",
        "nextval('x')",
        "pg_get_viewdef(1)",
        "finalize('x'::BLOB)",
        "to_aggregate_state('x')",
        "'x'.getenv()",
        "sum(1) EXPORT_STATE",
        "__internal_decompress_string(1)",
        "a_function_of_the_next_version()",
    ],
)
def test_a_scalar_function_that_is_not_on_the_list_is_refused(call: str) -> None:
    for place in ("SELECT {}", "SELECT 1 FROM wiz_audit WHERE {}", "SELECT sum({}) OVER ()", "FROM range({})"):
        with pytest.raises(QueryError):
            checked(place.format(call), NAMES)


def test_every_function_of_the_engine_was_looked_at() -> None:
    # A function of a new version of DuckDB is refused until somebody has decided about it in functions.txt.
    known = functions()
    rows = duckdb.connect().execute("SELECT DISTINCT function_type, function_name FROM duckdb_functions()").fetchall()
    there = {str(name) for kind, name in rows if kind != "pragma"}
    assert there - known.scalar - known.table - known.refused == set()
    assert known.scalar.isdisjoint(known.refused)
    assert known.table.isdisjoint(known.refused)
    assert known.table == {
        *("generate_series", "range", "repeat", "repeat_row", "unnest", "json_each", "json_tree"),
        *("icu_calendar_names", "pg_timezone_names"),
    }


@pytest.mark.parametrize(
    "sql",
    [
        "FROM 'x.parquet'",
        'FROM "/home/landing/wiz_audit/1.parquet"',
        "FROM other.wiz_audit",
        "FROM other.main.wiz_audit",
        "FROM information_schema.views",
        "FROM pg_catalog.pg_views",
        "FROM duckdb_views",
        "FROM sqlite_master",
        "FROM secret_table",
        "WITH \"x.parquet\" AS (SELECT 1) FROM 'x.parquet'",
        "SHOW secrets",
        "SHOW threads",
        "SHOW DATABASES",
        "SHOW VARIABLES",
        "DESCRIBE 'x.csv'",
        "SUMMARIZE 'x.csv'",
    ],
)
def test_what_is_no_table_of_the_lake_is_not_read(sql: str) -> None:
    with pytest.raises(QueryError, match=r"There is no table|Use SHOW TABLES"):
        checked(sql, NAMES)


def test_a_statement_knows_the_tables_that_it_reads() -> None:
    sql = 'WITH x AS (SELECT * FROM Wiz_Audit) SELECT * FROM x JOIN "all_logs" USING (p_row_id)'
    assert checked(sql, NAMES).tables == frozenset({"wiz_audit", "all_logs"})
    assert checked("SELECT 1", NAMES).tables == frozenset()


@pytest.mark.parametrize("sql", ["SHOW TABLES", "SHOW ALL TABLES", "DESCRIBE", "FROM information_schema.columns"])
def test_a_statement_that_lists_tables_sees_all_of_them(sql: str) -> None:
    assert checked(sql, NAMES).tables is None


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param(f"SELECT '{'a' * 900_000}' y x", id="one long word"),
        pytest.param(f"SELECT 1 {'a x ' * 200_000}", id="many words before one that is wrong"),
        pytest.param(f"SELECT 1 selec {'y' * 900_000} z", id="a long word is what is wrong"),
    ],
)
def test_what_was_meant_by_a_huge_statement_is_not_looked_for_for_ever(sql: str) -> None:
    with pytest.raises(QueryError, match="syntax error"):
        checked(sql, NAMES)


def test_a_mistyped_word_of_sql_is_named_wherever_the_mistake_is_noticed() -> None:
    for sql in ("SELCT 1", "SELECT id FORM wiz_audit", "SELECT id FROM wiz_audit WEHRE id = 'a'"):
        with pytest.raises(QueryError, match=r"Did you mean (SELECT|FROM|WHERE) instead of"):
            checked(sql, NAMES)
