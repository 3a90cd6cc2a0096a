import pytest

from ocelog.errors import QueryError
from ocelog.lake.nearest import explained, mistyped
from ocelog.lake.statement import MAX_LENGTH, checked


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
    ],
)
def test_what_only_reads_may_run(sql: str) -> None:
    assert checked(sql).sql == sql


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
        checked(sql)


def test_a_statement_knows_the_tables_that_it_reads() -> None:
    sql = 'WITH x AS (SELECT * FROM Wiz_Audit) SELECT * FROM x JOIN "all_logs" USING (p_row_id)'
    assert checked(sql).tables == frozenset({"x", "wiz_audit", "all_logs"})
    assert checked("SELECT 1").tables == frozenset()


@pytest.mark.parametrize("sql", ["SHOW TABLES", "DESCRIBE x", "SELECT * FROM query_table('x')", "FROM query('FROM x')"])
def test_a_statement_that_names_tables_only_while_it_runs_says_so(sql: str) -> None:
    assert checked(sql).tables is None


def test_an_unknown_name_gets_the_nearest_one() -> None:
    names = ["wiz_audit", "wiz_issues"], ["sourceIP", "createdAt"], ["nativeType", "name"]
    table = explained('Catalog Error: Table with name wiz_isues does not exist!\nDid you mean "x"?', *names)
    column = explained('Binder Error: Referenced column "sourceip2" not found in FROM clause!', *names)
    of_table = explained('Binder Error: Table "a" does not have a column named "created_at"', *names)
    field = explained('Binder Error: Could not find key "nativetyp" in struct', *names)
    owner = explained('Binder Error: Referenced table "createdat" not found!', *names)
    assert "There is no table wiz_isues. Did you mean wiz_issues?" in str(table)
    assert "There is no column sourceip2. Did you mean sourceIP?" in str(column)
    assert "Did you mean createdAt?" in str(of_table)
    assert "There is no field nativetyp in it. Did you mean nativeType?" in str(field)
    assert "There is no column or table createdat. Did you mean createdAt?" in str(owner)
    assert "mean" not in str(explained("Table with name zzz does not exist", *names))
    assert explained("Parser Error: syntax error", *names) is None


@pytest.mark.parametrize(
    ("sql", "meant"),
    [
        ("selct 1", "`selct`: did you mean SELECT?"),
        ("SELECT 'form' /* wehre */ fro x -- limt", "`fro`: did you mean FROM?"),
        ("SELECT 1 FROM", ""),
    ],
)
def test_a_mistyped_word_of_sql_is_found_outside_of_texts_and_comments(sql: str, meant: str) -> None:
    assert mistyped(sql).strip() == meant
