"""The clock of a query can be held at a time of the past: it says that time, and what happened later is not there."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lakeside.ledger import MemoryLedger
from lakeside.things import ISSUES, SCHEMAS, instant, row, rows
from ocelog.errors import QueryError
from ocelog.lake.lake import FileLake
from ocelog.lake.query.clock import CLOCK, AsOf
from ocelog.lake.query.queries import ExtraTable, Queries
from ocelog.lake.query.statement import functions
from ocelog.lake.write.publish import Publisher

TABLE = "wiz_issues"


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def lake(tmp_path: Path, ledger: MemoryLedger) -> FileLake:
    return FileLake(tmp_path, ledger, SCHEMAS)


@pytest.fixture
def queries(lake: FileLake, ledger: MemoryLedger) -> Queries:
    return Queries(lake.home, ledger, SCHEMAS)


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


HELD = datetime(2025, 12, 31, 23, 30, 15, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("now()", "2025-12-31 23:30:15.25+00"),
        ("current_timestamp", "2025-12-31 23:30:15.25+00"),
        ("main.now()", "2025-12-31 23:30:15.25+00"),
        ("transaction_timestamp()", "2025-12-31 23:30:15.25+00"),
        ("get_current_timestamp()", "2025-12-31 23:30:15.25+00"),
        ("localtimestamp", "2025-12-31 23:30:15.25"),
        ("current_localtimestamp()", "2025-12-31 23:30:15.25"),
        ("current_date", "2025-12-31"),
        ("today()", "2025-12-31"),
        ("current_time", "23:30:15.25+00"),
        ("localtime", "23:30:15.25"),
        ("age(TIMESTAMP '2025-12-30 00:00')", "1 day"),
        ("age(TIMESTAMP '2020-01-03', TIMESTAMP '2020-01-01')", "2 days"),
        ("(SELECT max(t) FROM (SELECT NOW() - INTERVAL 1 HOUR AS t))", "2025-12-31 22:30:15.25+00"),
        ("(WITH now AS (SELECT now() AS t) SELECT t FROM now)", "2025-12-31 23:30:15.25+00"),
    ],
)
def test_the_clock_is_held_however_it_is_asked(queries: Queries, sql: str, said: str) -> None:
    with queries.run(f"SELECT ({sql})::VARCHAR AS said", at=AsOf(at=HELD)) as answer:
        assert [batch.to_pylist() for batch in answer.batches] == [[{"said": said}]]


def test_each_function_of_the_engine_that_asks_the_clock_is_held() -> None:
    """One of a newer engine would say when the query runs, and nobody would notice."""
    with duckdb.connect() as engine:
        found = engine.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('scalar', 'macro') AND "
            "len(parameters) = 0 AND (return_type IS NULL OR return_type SIMILAR TO '(DATE|TIME).*')"
        ).fetchall()
        dated = {
            name
            for (name,) in found
            if name in functions().scalar
            and engine.execute(f"SELECT typeof({name}()) SIMILAR TO '(DATE|TIME).*'").fetchone() == (True,)
        }
    assert {"now", "today"} < dated <= CLOCK


@pytest.mark.parametrize("sql", ["system.main.now()", "system.now()", "SYSTEM.MAIN.AGE(TIMESTAMP '2020-01-01')"])
def test_a_held_clock_is_not_passed_by(queries: Queries, sql: str) -> None:
    with pytest.raises(QueryError, match="without a schema"), queries.run(f"SELECT {sql}", at=AsOf(at=HELD)):
        pass


def test_what_happened_later_is_left_out_of_every_view(land: Land, queries: Queries) -> None:
    land(row("a", 1), row("b", 2), publish=True)
    land(row("a", 3), row("c", 4))

    def ids(sql: str, at: int) -> list[tuple[Any, ...]]:
        with queries.run(sql, at=AsOf(at=instant(at))) as answer:
            return [tuple(found.values()) for batch in answer.batches for found in batch.to_pylist()]

    counted = "SELECT id, count(*) FROM {} GROUP BY ALL ORDER BY id"
    assert ids(counted.format("wiz_issues"), 2) == [("a", 1), ("b", 1)]
    assert ids(counted.format("wiz_issues"), 4) == [("a", 2), ("b", 1), ("c", 1)]
    assert ids("SELECT id, p_event_time FROM wiz_issues_current ORDER BY id", 2) == [
        ("a", instant(1)),
        ("b", instant(2)),
    ]
    assert ids("SELECT p_event_time FROM wiz_issues_current WHERE id = 'a'", 3) == [(instant(3),)]
    assert ids("SELECT count(*) FROM all_logs", 1) == [(1,)]
    assert ids("SELECT count(*) FROM wiz_audit", 1) == [(0,)]


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("SELECT * FROM known", "known"),
        ("SELECT id FROM wiz_issues WHERE id IN (SELECT id FROM KNOWN)", "known"),
        ("SELECT * FROM known, information_schema.tables", "information_schema"),
        ("SHOW TABLES", "information_schema"),
    ],
)
def test_what_is_known_of_the_present_only_is_not_read_in_the_past(
    lake: FileLake, ledger: MemoryLedger, sql: str, named: str
) -> None:
    known = ExtraTable(
        schema=pa.schema([("id", pa.string())]), rows=lambda _: iter(pa.table({"id": ["a"]}).to_batches())
    )
    queries = Queries(lake.home, ledger, SCHEMAS, extras={"known": known})
    with pytest.raises(QueryError, match=f"about the past: {named}") as raised, queries.run(sql, at=AsOf(at=HELD)):
        pass
    assert raised.value.code == "query_only_now"
    with queries.run(sql) as answer:
        assert answer.schema.names
    with queries.run("SELECT id FROM wiz_issues", at=AsOf(at=HELD)) as answer:
        assert sum(batch.num_rows for batch in answer.batches) == 0


def test_a_record_went_away_when_a_sweep_noticed_it(lake: FileLake, ledger: MemoryLedger, land: Land) -> None:
    noted = ISSUES.append(pa.field("p_inferred", pa.string()))
    land(row("a", 1))
    land(row("a", 1, p_observed_at=instant(5), p_inferred="closed", status="RESOLVED"), schema=noted)
    queries = Queries(lake.home, ledger, {**SCHEMAS, "wiz_issues": noted})
    for at, said in ((4, ["OPEN"]), (5, ["RESOLVED"])):
        with queries.run("SELECT status FROM wiz_issues_current", at=AsOf(at=instant(at))) as answer:
            assert [found["status"] for batch in answer.batches for found in batch.to_pylist()] == said


def test_what_was_read_later_is_left_out_if_that_counts(land: Land, queries: Queries) -> None:
    land(row("a", 1), row("b", 1, p_parse_time=instant(9)))
    for read_by, count in ((None, 2), (instant(8), 1)):
        with queries.run("SELECT id FROM wiz_issues", at=AsOf(at=instant(2), read_by=read_by)) as answer:
            assert sum(batch.num_rows for batch in answer.batches) == count
