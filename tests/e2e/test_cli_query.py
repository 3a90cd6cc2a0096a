"""Questions, tables, schemas and records at the command line."""

import csv
import io
import json
import re
import subprocess
import sys
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest

from commands import Ocelog, simulator
from ocelog.cli import main

RFC3339_Z = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


@pytest.fixture(scope="module")
def ocelog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ocelog]:
    made = Ocelog(tmp_path_factory.mktemp("pulled") / "home")
    made.init_unjudged()
    with simulator("--audit", "120", "--issues", "40", "--findings", "150") as tenant:
        made.add(tenant, "prod", "--backfill", "all")
        made("pull")
        yield made


@pytest.fixture
def say(ocelog: Ocelog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "Inside":
    monkeypatch.setenv("OCELOG_HOME", str(ocelog.home))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return Inside(capsys)


class Inside:
    """Commands in this process: quick, for those that only look."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = self.capsys.readouterr()
        assert (ended.value.code or 0) == code, err
        return out, err


@pytest.mark.slow
def test_an_answer_is_ndjson_where_no_terminal_is(say: Inside) -> None:
    out, _ = say("query", "SELECT id, p_event_time, p_any_usernames, performer FROM wiz_audit ORDER BY id")
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == 120
    assert all(RFC3339_Z.fullmatch(row["p_event_time"]) for row in rows)
    assert any(isinstance(row["performer"], dict) and row["performer"]["name"] for row in rows)


def test_a_table_shows_100_rows_and_says_how_many_there_are(say: Inside) -> None:
    out, err = say("query", "SELECT id FROM wiz_audit", "-o", "table")
    assert len(out.splitlines()) == 1 + 100
    assert "120 rows, the first 100 of them shown" in err
    out, err = say("query", "SELECT id, status FROM wiz_audit WHERE false", "-o", "table")
    assert (out.split(), err.strip()) == (["id", "status"], "0 rows.")


def test_a_table_counts_the_rows_that_it_does_not_show_without_computing_them(say: Inside) -> None:
    # A hundred gigabytes of text.
    vast = "SELECT repeat(md5(range::VARCHAR), 30) AS x FROM range(100_000_000)"
    out, err = say("query", vast, "-o", "table", "--timeout", "20s")
    assert len(out.splitlines()) == 1 + 100
    assert "100,000,000 rows, the first 100 of them shown" in err


@pytest.mark.slow
def test_rows_that_take_too_long_to_count_are_said_to_be_many(say: Inside) -> None:
    slow = "SELECT md5(a.range::VARCHAR) AS x FROM range(10_000_000_000) a WHERE md5(a.range::VARCHAR) > '0'"
    _, err = say("query", slow, "-o", "table", "--timeout", "1s")
    assert "More than 100 rows (counting them takes too long), the first 100 of them shown" in err


@pytest.mark.parametrize("arguments", [("tables",), ("tables", "wiz_issues"), ("schema", "show", "findings")])
def test_what_is_piped_is_as_wide_as_a_page_and_cuts_no_word(say: Inside, arguments: tuple[str, ...]) -> None:
    out, _ = say(*arguments)
    assert max(map(len, out.splitlines())) <= 120
    heads = out.splitlines()[0].split()
    rows = json.loads(say(*arguments, "--json")[0])
    words = {word for row in rows for head in heads for word in str(row[head]).split()}
    assert {word for word in words if word[0] != "["} - {"True", "False", "None"} - set(out.split()) == set()


def test_json_and_csv_hold_every_row(say: Inside) -> None:
    sql = "SELECT id, severity, p_event_time, projects, 0.0::DOUBLE / 0 AS nan FROM wiz_issues_current ORDER BY id"
    rows = json.loads(say("query", sql, "-o", "json")[0])
    assert (len(rows), rows[0]["nan"]) == (40, None)
    table = list(csv.DictReader(io.StringIO(say("query", sql, "-o", "csv")[0])))
    assert [row["id"] for row in table] == [row["id"] for row in rows]
    assert json.loads(table[0]["projects"] or "null") == rows[0]["projects"]
    assert json.loads(say("query", "SELECT 1 AS a WHERE false", "-o", "json")[0]) == []


@pytest.mark.slow
def test_parquet_goes_to_a_file(ocelog: Ocelog, tmp_path: Path) -> None:
    file = tmp_path / "issues.parquet"
    with file.open("wb") as out:
        command = [sys.executable, "-m", "ocelog", "query", "SELECT * FROM wiz_issues", "-o", "parquet"]
        subprocess.run(command, env=ocelog.environment, stdout=out, check=True)
    assert pq.read_table(file).num_rows == 40


def test_a_question_that_wants_more_memory_than_there_is_for_it_is_refused(ocelog: Ocelog) -> None:
    assert "memory" in ocelog("query", "SELECT list_aggregate(range(1000000000), 'sum')", code=2).err


@pytest.mark.slow
def test_a_question_that_does_not_hear_its_end_is_ended(ocelog: Ocelog) -> None:
    deaf = "SELECT list_aggregate(range(100000000), 'histogram')"
    assert "took longer than 1 s" in ocelog("query", deaf, "--timeout", "1s", code=2).err


def test_the_sql_may_come_from_a_file_or_stdin(ocelog: Ocelog, tmp_path: Path) -> None:
    file = tmp_path / "question.sql"
    file.write_text("SELECT count(*) AS n FROM wiz_issues;\n")
    assert ocelog("query", "-f", str(file)).lines == [{"n": 40}]
    assert ocelog("query", stdin="SELECT count(*) AS n FROM wiz_issues").lines == [{"n": 40}]
    assert "not both" in ocelog("query", "SELECT 1", "-f", str(file), code=2).err
    assert "cannot be read" in ocelog("query", "-f", str(tmp_path / "none.sql"), code=2).err


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT * FROM wiz_isues", "There is no table 'wiz_isues'; did you mean 'wiz_issues'?"),
        (
            "SELECT severty FROM wiz_issues",
            "no column severty. Did you mean severity? If you mean text, write 'severty'.",
        ),
        ("SELECT id FROM open_issues WHERE severity = CRITICAL", "Text is written in single quotes: 'CRITICAL'."),
        ('SELECT id FROM wiz_issues WHERE severity = "HIGH"', "Text is written in single quotes: 'HIGH'."),
        ("SELECT id FROM wiz_audit WHERE action = GraphSearch", "Text is written in single quotes: 'GraphSearch'."),
        ("SELECT entitySnapshot.nam FROM wiz_issues", 'Could not find key "nam" in struct'),
        ("SELECT i.projects[1].slgu FROM wiz_issues i", '"slug"'),
        ("SELECT perfomer.name FROM wiz_audit", 'Referenced table "perfomer" not found!'),
        ("SELEKT 1", 'syntax error at or near "SELEKT"'),
        ("SELECT id, 'formm' form wiz_issues", 'syntax error at or near "wiz_issues"'),
        ("SELECT id FROM wiz_issues wehre true", 'syntax error at or near "true"'),
        ("SELEKT 1", "Did you mean SELECT instead of SELEKT?"),
        ("SELECT id FROM wiz_issues wehre true", "Did you mean WHERE instead of wehre?"),
        ("SELECT 1 LIMIT WHERE", "The mistake is there or just before."),
        ("SELECT severity::INT FROM wiz_issues", "write TRY_CAST(x AS type)"),
        ("COPY wiz_issues TO '/tmp/x.csv'", "Expected a SELECT"),
        ("SELECT * FROM read_text('/etc/passwd')", "outside the lake"),
        ("SELECT 1; SELECT 2", "found 2 statements"),
        ("", "Expected one SELECT, found no statement."),
    ],
)
def test_a_wrong_question_gets_an_answer_in_words(say: Inside, sql: str, says: str) -> None:
    _, err = say("query", sql, code=2)
    assert says in err
    assert "Traceback" not in err
    assert ("single quotes" in err) is ("single quotes" in says), "only what is not like a column"


@pytest.mark.slow
def test_a_question_that_takes_too_long_is_interrupted(say: Inside) -> None:
    endless = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = -1"
    _, err = say("query", endless, "--timeout", "1s", code=2)
    assert "took longer than 1 s" in err
    assert "from 1s to 9m" in say("query", "SELECT 1", "--timeout", "1h", code=2)[1]


def test_a_record_cannot_steer_the_terminal(say: Inside) -> None:
    out, _ = say("query", "SELECT 'a' || chr(27) || '[31mred' || chr(10) || 'b' AS a", "-o", "table")
    assert "\x1b" not in out
    assert r"a\x1b[31mred\nb" in out


def test_tables_and_what_their_columns_mean_are_listed(say: Inside) -> None:
    tables = {row["table"]: row["meaning"] for row in json.loads(say("tables", "--json")[0])}
    assert set(tables) == {
        *("wiz_audit", "wiz_issues", "wiz_vulnerability_finding"),
        *(
            "wiz_audit_current",
            "wiz_issues_current",
            "wiz_vulnerability_finding_current",
            "all_logs",
            "rejections",
            "rule_matches",
        ),
        *(
            "streams",
            "coverage",
            "alerts",
            "alert_events",
            "deliveries",
            "open_issues",
            "open_findings",
            "resolved_issues",
            "resolved_findings",
            "issues_at",
            "findings_at",
        ),
    }
    assert all(tables.values())
    for table in tables:
        columns = json.loads(say("tables", table, "--json")[0])
        described = json.loads(say("query", f"FROM (DESCRIBE {table})", "-o", "json")[0])
        assert {column["column"] for column in columns} == {column["column_name"] for column in described}
        assert [column["column"] for column in columns if not column["meaning"]] == []
    assert "did you mean 'wiz_audit'" in say("tables", "wiz_adit", code=2)[1]


def test_a_pull_keeps_the_views_for_other_tools(say: Inside) -> None:
    printed, _ = say("lake")
    line = next(each for each in printed.splitlines() if "IMPORT DATABASE" in each)
    with duckdb.connect() as connection:
        connection.execute(line.partition(": ")[2]).fetchall()
        counts = "SELECT (SELECT count(*) FROM wiz_audit), (SELECT count(*) FROM open_issues)"
        found = connection.sql(counts).fetchall()
    ours = json.loads(say("query", "SELECT count(*) AS n FROM open_issues")[0])["n"]
    assert found == [(120, ours)]
    assert "IMPORT DATABASE" in say("lake", "open_issues", code=2)[1]
    assert "other engines do not have it" in say("lake", "streams", code=2)[1]


def test_the_lines_for_polars_read_the_table(say: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")
    (info,) = json.loads(say("lake", "wiz_issues", "--json")[0])
    assert pl.scan_iceberg(info["metadata"]).select(pl.len()).collect().item() == 40
    out, _ = say("lake", "wiz_issues")
    for engine in ("DuckDB", "Polars", "PyIceberg", "Spark", "Trino"):
        assert f"# {engine}" in out


def test_schemas_are_listed_shown_and_checked_with_line_and_nearest_name(say: Inside, tmp_path: Path) -> None:
    assert [row["table"] for row in json.loads(say("schema", "list", "--json")[0])] == [
        *("wiz_audit", "wiz_issues", "wiz_vulnerability_finding"),
    ]
    fields = {row["field"]: row for row in json.loads(say("schema", "show", "issues", "--json")[0])}
    assert (fields["id"]["type"], fields["id"]["required"]) == ("string", True)
    assert "did you mean 'issues'" in say("schema", "show", "isues", code=2)[1]
    file = tmp_path / "mine.yml"
    file.write_text("schema: Custom.Mine\nfields:\n  - name: id\n    type: strin\n")
    assert f"{file}:4:" in say("schema", "check", str(file), code=2)[1]
    file.write_text("schema: Custom.Mine\nfields:\n  - name: id\n    type: string\n")
    assert "Custom.Mine, 1 fields" in say("schema", "check", str(file))[0]


def test_shaping_a_file_shows_events_and_rejections_and_saves_nothing(say: Inside, tmp_path: Path) -> None:
    good = {
        "id": "a-1", "createdAt": "2026-08-01T00:00:00Z", "updatedAt": "2026-08-01T00:00:00.1234567Z", "status": "OPEN",
        "severity": "HIGH", "type": "TOXIC_COMBINATION", "projects": [], "new": 1,
    }  # fmt: skip
    file = tmp_path / "records.jsonl"
    file.write_bytes(BOM_UTF8 + json.dumps(good).encode() + b'\n\n{"id": 3\n\xff\xfe\n')
    out, err = say("shape", "--log-type", "issues", str(file))
    found = [json.loads(line) for line in out.splitlines()]
    events = [each["event"] for each in found if "event" in each]
    rejected = [each["rejection"] for each in found if "rejection" in each]
    assert [(event["id"], event["p_version_time"]) for event in events] == [("a-1", "2026-08-01T00:00:00.123456Z")]
    assert json.loads(events[0]["p_extra"]) == {"new": 1}
    assert len(rejected) == 2
    assert "1 events, 2 rejections" in err
    assert "cannot be read" in say("shape", "--log-type", "issues", str(tmp_path / "no"), code=2)[1]


@pytest.mark.slow
def test_a_current_view_says_how_much_of_the_first_sweep_is_missing(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init_unjudged()
    with simulator("--issues", "40", "--findings", "10", "--audit", "10") as tenant:
        ocelog.add(tenant, "prod", "--no-check", "--log-type", "issues", "--page-size", "1", "--rate", "4")
        process = ocelog.start("pull")
        assert process.stderr is not None
        while '"landed"' not in process.stderr.readline():
            assert process.poll() is None
        process.kill()
        process.communicate()
    asked = ocelog("query", "SELECT count(*) FROM wiz_issues_current")
    assert "prod Wiz.Issues: the first sweep has read" in asked.err
    assert "first sweep" not in ocelog("query", "SELECT count(*) FROM wiz_issues").err
    sweep = ocelog("status", "--json", code=None).json["streams"][0]["first_sweep"]
    assert sweep["slices_left"] > 0


@pytest.mark.parametrize("view", ["all_logs", "wiz_issues_current"])
def test_a_view_has_no_place_for_other_engines(say: Inside, view: str) -> None:
    _, err = say("lake", view, code=2)
    assert "is a view" in err
    assert "docs/lake.md" in err


@pytest.mark.parametrize("arguments", [["-"], ["-f", "-"]])
def test_a_dash_means_stdin(say: Inside, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 42 AS answer"))
    out, _ = say("query", *arguments)
    assert json.loads(out) == {"answer": 42}


def test_a_home_without_a_source_says_so_below_an_answer_of_no_rows(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init()
    for table in ("open_issues", "wiz_audit"):
        asked = ocelog("query", f"SELECT * FROM {table}", "-o", "table")  # noqa: S608 - a name of ours
        assert "There is no source yet. Add one: ocelog source add" in asked.err
    assert "no source" not in ocelog("query", "SELECT 1").err
