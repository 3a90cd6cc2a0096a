"""What the guides teach works: each statement is allowed and answers, each piece of Python runs."""

import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from commands import Ocelog, simulator
from documents import DOCS, blocks, typed_commands
from ocelog.app.search.tables import meanings
from ocelog.errors import QueryError
from ocelog.lake.query.statement import checked

GUIDES = sorted([*(DOCS / "how-to").glob("*.md"), *DOCS.glob("*.md"), DOCS.parent / "README.md", *DOCS.glob("ko/*.md")])
ELSEWHERE = ("INSTALL", "LOAD", "icebergLocal", "METADATA_FILE", "IMPORT DATABASE", "newest_first")
"""Statements for other engines; tests/contract/test_lake_publish.py runs them."""
IN_THE_LEDGER = ("FROM alert", "FROM deliveries", "FROM streams")
"""Tables that only our own queries see."""
EMPTY = (
    "FROM rejections",
    "FROM alerts",
    "FROM alert_events",
    "FROM deliveries",
    "lag(status)",
    "IS NOT NULL\n",
    "p_inferred IS NOT NULL",
    "p_parse_time >",
    "certainty",
)
"""What a tenant that has just been read need not have."""


def statements(page: Path) -> Iterator[str]:
    for block in blocks(page, "sql"):
        yield from filter(None, (each.strip() for each in block.split(";")))
    for language in ("sh", "console"):
        for command in (each for block in blocks(page, language) for each in typed_commands(block)):
            words = shlex.split(command)
            if words[:2] == ["ocelog", "query"] and not words[2].startswith("-"):
                yield words[2]


ALL = [(str(page.relative_to(DOCS.parent)), sql) for page in GUIDES for sql in statements(page)]


@pytest.fixture(scope="module")
def ocelog(tmp_path_factory: pytest.TempPathFactory) -> Ocelog:
    made = Ocelog(tmp_path_factory.mktemp("guides") / "home")
    made("init")
    with simulator("--seed", "7", "--age", "1") as tenant:
        made.add(tenant, "prod", "--no-check", "--backfill", "all")
        made("pull")
    return made


@pytest.mark.slow
def test_each_statement_of_the_guides_is_allowed_and_answers(ocelog: Ocelog) -> None:
    assert len(ALL) > 30
    tables = meanings()
    lake = duckdb.connect()
    lake.execute("SET TimeZone = 'UTC'")
    lake.execute(f"IMPORT DATABASE '{ocelog.home}/lake/views'")
    wrong, empty = {}, set()
    for page, sql in ALL:
        if any(word in sql for word in ELSEWHERE):
            continue
        try:
            checked(sql, list(tables), [name for name in tables if name.endswith("_at")], connection=lake.cursor())
            if any(name in sql for name in IN_THE_LEDGER):
                asked = ocelog("query", sql, code=None)
                if asked.code != 0:
                    wrong[page, sql] = asked.err
                continue
            rows = lake.sql(sql).to_arrow_table().num_rows
        except (QueryError, duckdb.Error) as error:
            wrong[page, sql] = str(error)
        else:
            if not rows and not any(word in sql for word in EMPTY):
                empty.add((page, sql))
    assert wrong == {}
    assert empty == set(), "a reader would take an empty answer for a mistake"


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in GUIDES if blocks(page, "python")], ids=lambda page: page.name)
def test_each_piece_of_python_runs(ocelog: Ocelog, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCELOG_HOME", str(ocelog.home))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")
    metadata = max((ocelog.home / "lake/warehouse/ocelog/wiz_issues/metadata").glob("*.metadata.json"))
    for block in blocks(page, "python"):
        text = block.replace("METADATA_FILE", str(metadata)).replace("HOME", str(ocelog.home)).replace(".df()", ".pl()")
        exec(compile(text, str(page), "exec"), {})  # noqa: S102 - as a reader types it


def test_a_statement_that_is_wrong_would_be_noticed() -> None:
    with duckdb.connect(":memory:") as engine, pytest.raises(QueryError):
        checked("SELECT 1 FROM read_csv('x')", ["wiz_issues"], connection=engine)
    assert [each for each in ALL if re.search(r"\bopen_findings\b", each[1])]
