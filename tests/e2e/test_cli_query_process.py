# ruff: noqa: S608 - the statements are the tests' own
"""The process that answers a query goes with its command, however that ends; and what a terminal is shown."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import Ocelog, Process
from commands.children import child_of, gone
from commands.terminal import bare_lines, conversation, on_a_terminal

ENDLESS = "SELECT sum(a.range * b.range) FROM range(100000000) a, range(100000000) b"
STEERING = "\x1b[31mred\x1b[0m \x9b31m \u202egpj.exe \u2066x \x07\x7f\u3000\u00a0"


@pytest.fixture(scope="module")
def ocelog(tmp_path_factory: pytest.TempPathFactory) -> Ocelog:
    made = Ocelog(tmp_path_factory.mktemp("home") / "home")
    made.init_unjudged()
    return made


@pytest.fixture
def asking(ocelog: Ocelog) -> Iterator[Process]:
    process = ocelog.start("query", ENDLESS)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.whole_processes)]
)
def test_the_process_of_a_query_ends_with_its_command(asking: Process, number: signal.Signals) -> None:
    child = child_of(asking.pid)
    asking.send_signal(number)
    assert gone(child)
    _, err = asking.communicate(timeout=60)
    assert asking.returncode != 0
    assert "Traceback" not in err


def test_the_process_of_a_query_ends_when_nobody_reads_the_answer(ocelog: Ocelog) -> None:
    process = ocelog.start("query", "SELECT range, md5(range::VARCHAR) AS x FROM range(100000000)")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["range"] == 0
    child = child_of(process.pid, 0)
    process.stdout.close()
    assert gone(child)
    assert process.wait(60) != 0
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


def steering(text: str) -> set[str]:
    """Return the characters that could steer a terminal, apart from line ends and what rich uses for bold heads.

    And for the code of an error, which is faint.
    """
    text = re.sub(r"\x1b\[2m( *\(error code: \w+\))\x1b\[0m", r"\1", text)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text.replace("\x1b[31m", "!")) if "\x1b[1m" in text else text
    return {each for each in plain if not each.isprintable() and each not in "\n\u3000\u00a0"}


@pytest.mark.parametrize("form", ["table", "json", "ndjson", "csv"])
def test_no_output_steers_a_terminal(ocelog: Ocelog, form: str) -> None:
    quoted = STEERING.replace("'", "''")
    shown = on_a_terminal(ocelog, "query", f"SELECT '{quoted}' AS \"a\x1b[2J\u202e\", 1 AS b", "-o", form)
    assert steering(shown) == set()
    assert "red" in shown
    assert "\u3000" in shown
    if form == "ndjson":
        assert json.loads(shown)["a\x1b[2J\u202e"] == STEERING


def test_no_error_steers_a_terminal(ocelog: Ocelog) -> None:
    for sql in (
        f'SELECT 1 FROM "{STEERING}"',
        f'SELECT "{STEERING}"',
        f"SELECT '{STEERING}'::INT",
        f"SELEC {STEERING}",
    ):
        assert steering(on_a_terminal(ocelog, "query", sql)) == set()


@pytest.mark.parametrize("form", ["json", "ndjson", "csv"])
def test_in_a_pipe_the_bytes_are_those_of_the_record(ocelog: Ocelog, form: str) -> None:
    quoted = STEERING.replace("'", "''")
    out = ocelog("query", f"SELECT '{quoted}' AS a", "-o", form).out
    if form == "csv":
        assert list(csv.DictReader(io.StringIO(out))) == [{"a": STEERING}]
    else:
        found = json.loads(out)
        assert (found[0] if isinstance(found, list) else found) == {"a": STEERING}
        assert "\u202e" in out


@pytest.mark.slow
def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe_when_asked(ocelog: Ocelog) -> None:
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "a=1", "", "'=1"]
    listed = ", ".join(f"('{text.replace(chr(39), chr(39) * 2)}', -1, NULL, ['=1'])" for text in texts)
    sql = f'SELECT a AS "=a", b, c, d FROM (VALUES {listed}) t(a, b, c, d)'
    plain = rows_of(ocelog, sql)
    assert [row[0] for row in plain] == ["=a", *texts]
    safe = rows_of(ocelog, sql, "--csv-safe")
    assert [row[0] for row in safe] == ["'=a", *(f"'{text}" for text in texts[:7]), *texts[7:]]
    assert {tuple(row[1:]) for row in safe[1:]} == {("-1", "", '["=1"]')}
    assert "--csv-safe is for CSV" in ocelog("query", sql, "--csv-safe", code=2).err


def rows_of(ocelog: Ocelog, sql: str, *options: str) -> list[list[str]]:
    """Return the cells of an answer in CSV, whose line ends are left as they came."""
    command = [sys.executable, "-m", "ocelog", "query", sql, "-o", "csv", *options]
    out = subprocess.run(command, env=ocelog.environment, capture_output=True, check=True).stdout
    return list(csv.reader(io.StringIO(out.decode(), newline="")))


def test_which_layers_there_are_is_shown(ocelog: Ocelog) -> None:
    shown = {row["setting"]: row["value"] for row in ocelog("config", "--json").json}["SQL sandbox"]
    assert shown == ocelog("status", "--json", code=None).json["sql_sandbox"]
    assert f"SQL sandbox: {shown}" in ocelog("status", code=None).out


def test_columns_that_do_not_fit_on_a_terminal_are_named_and_long_values_cut(ocelog: Ocelog) -> None:
    many = ", ".join(f"'value-{n}' AS column_{n}" for n in range(20))
    sql = f"SELECT repeat('long ', 60) AS text, {many} FROM range(2)"
    lines = bare_lines(on_a_terminal(ocelog, "query", sql))
    assert max(map(len, lines[:3])) <= 80
    assert lines[0].split() == ["text", *(f"column_{n}" for n in range(6))]
    assert lines[1] == lines[2]
    assert re.match(r"(long )+long… +value-0", lines[1])
    hidden = ", ".join(f"column_{n}" for n in range(6, 20))
    assert max(map(len, lines)) <= 80
    told = " ".join(line.strip() for line in lines[3:])
    assert told.startswith(f"14 columns do not fit: {hidden}. -o line shows every field, one per line. 2 rows.")
    few = on_a_terminal(ocelog, "query", "SELECT 'value-1' AS column_1, 2 AS b, now() AS c")
    assert re.search(r"column_1 +b +c", bare_lines(few)[0])
    assert re.search(r"\d\d:\d\d:\d\dZ$", bare_lines(few)[1]), "an instant is shown to the second"


def test_wide_columns_are_cut_before_short_ones_that_were_named_are_hidden(ocelog: Ocelog) -> None:
    sql = (
        "SELECT repeat('owner ', 20) AS owners, 'host-' || repeat('x', 40) AS resource, "
        "1234567890123.5 AS age_days, now() AS due, 'CRITICAL' AS severity FROM range(2)"
    )
    lines = bare_lines(on_a_terminal(ocelog, "query", sql))
    assert lines[0].split() == ["owners", "resource", "age_days", "due", "severity"]
    assert re.search(r"… +1234567890123\.5 +\S{19}Z +CRITICAL$", lines[1]), "no number and no instant is cut"
    assert max(map(len, lines[:3])) <= 80


def test_room_that_is_left_goes_to_what_would_be_cut(ocelog: Ocelog) -> None:
    lines = bare_lines(on_a_terminal(ocelog, "query", "SELECT 1 AS n, repeat('abcde ', 12) AS title FROM range(2)"))
    assert lines[1].split(None, 1)[1].rstrip() == ("abcde " * 12).rstrip()
    assert "is cut" not in " ".join(lines)
    lines = bare_lines(on_a_terminal(ocelog, "query", "SELECT 1 AS n, repeat('abcde ', 30) AS title FROM range(2)"))
    assert len(lines[1]) in (79, 80)
    assert lines[1].endswith("…")
    assert "What ends in … is cut: -o line shows every field whole." in " ".join(lines)


def test_of_whole_records_a_narrow_terminal_shows_when_who_and_how_bad(ocelog: Ocelog) -> None:
    sql = (
        "SELECT uuid() AS id, repeat('{} ', 40) AS note, NULL AS dueAt, now() AS timestamp, 'GraphSearch' AS action, "
        "'FAILED' AS status, now() AS p_event_time, 'eve' AS p_any_usernames, uuid() AS p_row_id FROM range(2)"
    )
    lines = bare_lines(on_a_terminal(ocelog, "query", sql))
    assert lines[0].split()[:4] == ["p_event_time", "p_any_usernames", "status", "action"]
    assert "columns do not fit: note, dueAt, timestamp, p_row_id." in lines[3]
    chosen = bare_lines(on_a_terminal(ocelog, "query", sql.replace("p_row_id", "b")))
    assert chosen[0].split()[0] == "id", "who names columns has chosen their order"


def test_of_records_of_one_log_type_a_narrow_terminal_shows_what_sums_them_up(ocelog: Ocelog) -> None:
    sql = (
        "SELECT uuid() AS id, now() AS statusChangedAt, 'CHANGED' AS openReason, 'Wiz.Issues' AS p_log_type, "
        "{'id': 'r1', 'name': 'Bucket is public to everyone on the internet'} AS sourceRule, 'OPEN' AS status, "
        "'HIGH' AS severity, {'id': 'e1', 'name': 'invoices-of-the-year-2026'} AS entitySnapshot, "
        "now() AS p_event_time, uuid() AS p_row_id FROM range(2)"
    )
    lines = bare_lines(on_a_terminal(ocelog, "query", sql))
    assert lines[0].split()[:4] == ["p_event_time", "severity", "sourceRule.name", "entitySnapshot.name"]
    assert "HIGH" in lines[1]
    assert "Bucket is public" in lines[1]
    assert "invoices-of-the" in lines[1]
    assert max(map(len, lines)) <= 80
    said = " ".join(lines[3:])
    assert "sourceRule," in said
    assert "sourceRule.name" not in said, "a column that is only made for the table is not missing"


def test_lines_show_instants_as_a_table_does(ocelog: Ocelog) -> None:
    sql = "SELECT TIMESTAMPTZ '2026-08-01 12:00:00.123456Z' AS at"
    assert ocelog("query", sql, "-o", "line").out == "at: 2026-08-01T12:00:00Z\n"
    assert ocelog("query", sql, "-o", "ndjson").lines == [{"at": "2026-08-01T12:00:00.123456Z"}]


def test_what_lists_many_things_is_a_table_at_80_columns(ocelog: Ocelog) -> None:
    for command in ("issues", "findings"):
        lines = bare_lines(on_a_terminal(ocelog, "schema", "show", command))
        assert lines[0].split() == ["field", "type", "description"]
        assert max(map(len, lines)) <= 80
    assert max(map(len, bare_lines(on_a_terminal(ocelog, "tables", "open_issues")))) <= 80
    with conversation(ocelog, "config") as paged:
        # More than the screen holds goes through a pager, which waits for a key.
        paged.until("meaning")
        paged.type("q")
        assert paged.ended() == 0


def test_one_wide_row_is_shown_field_by_field_whole(ocelog: Ocelog) -> None:
    many = ", ".join(f"'value-{n}' AS column_{n}" for n in range(20))
    sql = f"SELECT repeat('long ', 60) AS text, {many}, '\u202e' AS odd"
    for shown in (on_a_terminal(ocelog, "query", sql), on_a_terminal(ocelog, "query", sql, "-o", "line")):
        lines = bare_lines(shown)
        assert "column_7:  value-7" in lines
        assert sum(line.count("long") for line in lines) == 60
        assert "odd:       \\u202e" in lines
    two = ocelog("query", f"{sql} FROM range(2)", "-o", "line").out
    assert two.count("column_7:  value-7\n") == 2
    assert "\n\n" in two


ODD_TIMES = {
    "'-infinity'::timestamptz": "-infinity",
    "'infinity'::timestamp": "infinity",
    "'infinity'::timestamp_ns": "infinity",
    "'-infinity'::date": "-infinity",
    "'5000000-01-01'::date": "5000000-01-01",
    "'290000-01-01 (BC)'::date": "290000-01-01 (BC)",
    "'12000-01-01 01:02:03.5'::timestamp": "12000-01-01 01:02:03.5",
    "'12000-01-01 01:02:03.5'::timestamptz": "12000-01-01 01:02:03.5+00",
    "'12:00:00+05'::timetz": "12:00:00+05",
    "time '24:00:00'": "24:00:00",
    "time '01:02:03'": "01:02:03",
    "['infinity'::timestamp, NULL]": ["infinity", None],
    "{'a': time '24:00:00', 'b': [1]}": {"a": "24:00:00", "b": [1]},
    "map {'a': '12:00:00+05'::timetz}": [["a", "12:00:00+05"]],
    "'2024-02-03 04:05:06'::timestamp": "2024-02-03T04:05:06",
}


@pytest.mark.parametrize("form", ["json", "ndjson", "csv", "table"])
def test_times_that_python_does_not_know_are_shown_as_the_engine_shows_them(ocelog: Ocelog, form: str) -> None:
    columns = ", ".join(f"{sql} AS c{at}" for at, sql in enumerate(ODD_TIMES))
    out = ocelog("query", f"SELECT {columns} UNION ALL SELECT {columns}", "-o", form).out
    if form in {"json", "ndjson"}:
        found = json.loads(out) if form == "json" else [json.loads(line) for line in out.splitlines()]
        assert [list(row.values()) for row in found] == [list(ODD_TIMES.values())] * 2
    else:
        assert all(shown in out for shown in ODD_TIMES.values() if isinstance(shown, str))


def test_numbers_get_no_apostrophe_in_csv(ocelog: Ocelog) -> None:
    sql = "SELECT (-170141183460469231731687303715884105728)::HUGEINT, -1.50::DECIMAL(10, 2), -1.5::DOUBLE, -1"
    assert rows_of(ocelog, sql, "--csv-safe")[1] == ["-170141183460469231731687303715884105728", "-1.50", "-1.5", "-1"]


def test_a_sum_is_a_number(ocelog: Ocelog) -> None:
    sums = "sum(range) AS whole, sum(1.5::DECIMAL(4, 2)) AS money"
    sql = f"SELECT {sums}, max(170141183460469231731687303715::HUGEINT) AS most"
    found = ocelog("query", f"{sql} FROM range(3)", "-o", "json").json
    assert found == [{"whole": 3, "money": "4.50", "most": "170141183460469231731687303715"}]
    lines = ocelog("query", f"SELECT {sums} FROM range(3)", "-o", "table")
    assert lines.out.splitlines() == ["whole  money", "    3   4.50"]


ROWS = "SELECT range AS n FROM range(60)"


@pytest.fixture
def paged(ocelog: Ocelog, tmp_path: Path) -> Ocelog:
    """Return the command with a pager that says how many lines it was given, and waits for a line."""
    pager = tmp_path / "pager.py"
    pager.write_text("import sys; print('PAGED', len(sys.stdin.readlines())); open('/dev/tty').readline()")
    return Ocelog(ocelog.home, PAGER=f"{sys.executable} {pager}")


def test_a_table_longer_than_the_screen_goes_through_the_pager(paged: Ocelog) -> None:
    for form, lines in (("table", 61), ("line", 119)):
        with conversation(paged, "query", ROWS, "-o", form) as person:
            person.until(f"PAGED {lines}\n")
            # It is the pager's now: Ctrl-C there does not end the command under it.
            os.kill(person.process.pid, signal.SIGINT)
            person.type("")
            assert person.ended() == 0
            assert "59" not in person.shown


@pytest.mark.parametrize(
    ("sql", "options", "pager"),
    [
        (ROWS, ["--no-pager"], None),
        (ROWS, ["-o", "csv"], None),
        ("FROM range(53, 60)", [], None),
        (ROWS, [], "cat"),
        (ROWS, [], ""),
        (ROWS, [], "there-is-no-such-pager"),
    ],
)
def test_without_a_pager_it_is_printed_whole(paged: Ocelog, sql: str, options: list[str], pager: str | None) -> None:
    command = paged if pager is None else Ocelog(paged.home, PAGER=pager)
    with conversation(command, "query", sql, *options) as person:
        assert person.ended() == 0
        assert "59" in person.shown
        assert "PAGED" not in person.shown


@pytest.mark.slow
@pytest.mark.parametrize("pager", ["less '", "exit 3", "/no/such/pager -x", "cat >&-; false"])
@pytest.mark.parametrize("rows", [60, 9_000])
def test_a_pager_that_fails_loses_no_line(ocelog: Ocelog, pager: str, rows: int) -> None:
    with conversation(Ocelog(ocelog.home, PAGER=pager), "query", f"FROM range({rows})", "-o", "line") as person:
        assert person.ended() == 0
        assert "a bug" not in person.shown
        assert re.findall(r"range: +(\d+)\n", person.shown) == [str(number) for number in range(rows)]


def test_a_pager_may_be_a_line_for_a_shell(ocelog: Ocelog, tmp_path: Path) -> None:
    marked = Ocelog(ocelog.home, PAGER=f"touch '{tmp_path}/p'; grep -c . | sed 's/^/COUNTED /'")
    with conversation(marked, "query", ROWS) as person:
        person.until("COUNTED 61")
        assert person.ended() == 0
    assert (tmp_path / "p").exists()


def test_a_pager_is_not_looked_at_without_a_terminal(ocelog: Ocelog) -> None:
    assert "1" in Ocelog(ocelog.home, PAGER="less '")("query", "SELECT 1", "-o", "table").out


def test_the_views_of_other_tools_are_promised_before_they_are_there(ocelog: Ocelog) -> None:
    shown = ocelog("lake").out
    assert "lake/views" in shown
    assert "after the next pull: ocelog pull" in shown


def test_nobody_is_waited_for_without_a_person_at_the_keyboard(paged: Ocelog) -> None:
    shown = on_a_terminal(paged, "query", ROWS)
    assert "59" in shown
    assert "PAGED" not in shown


def test_a_pager_that_is_left_early_ends_the_answer(ocelog: Ocelog, tmp_path: Path) -> None:
    pager = tmp_path / "left.py"
    pager.write_text("import sys; print('LEFT', sys.stdin.readline().strip())")
    command = Ocelog(ocelog.home, PAGER=f"{sys.executable} {pager}")
    with conversation(command, "query", "SELECT range AS n FROM range(100_000_000)", "-o", "line") as person:
        person.until("LEFT n: 0\n")
        assert person.ended() == 0


def test_less_shows_one_screen_and_is_left_by_q(ocelog: Ocelog) -> None:
    if shutil.which("less") is None:
        pytest.skip("less is not installed")
    command = Ocelog(ocelog.home)
    command.environment = {name: value for name, value in command.environment.items() if name not in {"PAGER", "LESS"}}
    with conversation(command, "query", ROWS) as person:
        person.until("\n:")
        os.write(person.leader, b"q")
        assert person.ended() == 0
        assert "59" not in person.shown
