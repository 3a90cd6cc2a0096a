"""The shell for SQL as a person at a terminal meets it, and as a script does."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import Ocelog, simulator
from commands.children import child_of, gone
from commands.terminal import conversation
from ocelog.cli.query import Output

ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = -1;"


@pytest.fixture(scope="module")
def ocelog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ocelog]:
    made = Ocelog(tmp_path_factory.mktemp("shell") / "home")
    made.init_unjudged()
    with simulator("--audit", "5", "--issues", "40", "--findings", "5") as tenant:
        made.add(tenant, "prod", "--backfill", "all")
        made("pull")
        yield made


@pytest.mark.slow
@pytest.mark.whole_processes
def test_a_person_asks_stops_mistypes_and_leaves(ocelog: Ocelog) -> None:
    with conversation(ocelog, "sql", "--no-pager") as shell:
        shell.until("ocelog>")
        shell.type("SELECT count(*) AS n, 'a;b'")
        shell.until("...>")
        shell.type("FROM wiz_issues; -- all of them")
        assert "40" in shell.until("1 row.")
        shell.until("ocelog>")
        shell.type("SELECT 1 AS one; SELECT 2 AS two;")
        assert "two" in shell.until("1 row.") + shell.until("1 row.")
        shell.until("ocelog>")
        for wrong, says in (
            ("SELCT 1;", "syntax error"),
            ("FROM open_isues;", "did you mean 'open_issues'"),
            ("COPY (SELECT 1) TO '/tmp/x';", "Expected a SELECT"),
            (".tabels", "There is no command .tabels"),
            (".schema", "Which table?"),
            (".tables open_issues", "Did you mean: .schema open_issues"),
            (".mode lines", "'line'?"),
        ):
            shell.type(wrong)
            shell.until(says)
            shell.until("ocelog>")
        shell.type(ENDLESS)
        child = child_of(shell.process.pid)
        os.write(shell.leader, b"\x03")
        shell.until("Stopped.")
        assert gone(child)
        shell.until("ocelog>")
        shell.type(".schema open_issues")
        shell.until("The name of the resource at risk.")
        # It is longer than the screen: the pager has it.
        shell.until("\n:")
        os.write(shell.leader, b"q")
        shell.until("ocelog>")
        os.write(shell.leader, b"SELECT sever")
        # Ctrl-C at the prompt drops the line.
        os.write(shell.leader, b"\x03")
        shell.until("ocelog>")
        os.write(shell.leader, b"SELECT count(*) AS n FROM open_iss\t WHERE entity\t")
        os.write(shell.leader, b"\x03")
        shell.until("FROM open_issues WHERE entity")
        shell.until("ocelog>")
        assert shell.ended(press=b"\x04") == 0
    history = ocelog.home / "sql_history"
    assert history.stat().st_mode & 0o777 == 0o600
    assert "+FROM wiz_issues; -- all of them\n" in history.read_text()


@pytest.mark.slow
def test_what_was_typed_before_comes_back(ocelog: Ocelog) -> None:
    (ocelog.home / "sql_history").unlink(missing_ok=True)
    with conversation(ocelog, "sql") as shell:
        shell.until("ocelog>")
        shell.type("\\q")
        assert shell.ended() == 0
    with conversation(ocelog, "sql") as shell:
        shell.until("ocelog>")
        # Arrow up.
        os.write(shell.leader, b"\x1b[A")
        shell.until("\\q")
        shell.type("")
        assert shell.ended() == 0


def test_a_script_is_answered_until_a_statement_fails(ocelog: Ocelog) -> None:
    done = ocelog("sql", stdin="SELECT 1 AS a; SELECT 2 AS a\n;\n-- the last one\nSELECT 3 AS a")
    assert done.lines == [{"a": 1}, {"a": 2}, {"a": 3}]
    stopped = ocelog("sql", "-o", "csv", stdin="SELECT 1 AS a;\nSELECT x;\nSELECT 3 AS a;", code=2)
    assert stopped.out == "a\n1\n"
    assert '"x" was not found' in stopped.err
    for opened, says in (("SELECT 'a' || 'it's'", "unterminated string"), ("SELECT 1 /* all;", "unterminated /* comm")):
        assert says in ocelog("sql", stdin=f"{opened};\n" + "SELECT 1;\n" * 50, code=2).err
    assert ocelog("sql", stdin="").out == ""
    assert "open_issues" in ocelog("sql", stdin=".tables\n").out
    assert not (ocelog.home / "sql_history").exists() or "SELECT 3" not in (ocelog.home / "sql_history").read_text()


def test_the_form_of_answers_is_chosen_within_the_shell(ocelog: Ocelog) -> None:
    script = (
        ".mode line\nSELECT 1 AS a, 2 AS bb;\n.mode csv\nSELECT 3 AS a;\n\\x\nSELECT 4 AS a;\n\\x off\nSELECT 5 AS a;\n"
    )
    done = ocelog("sql", "-o", "table", stdin=script)
    assert done.out == "a:  1\nbb: 2\na\n3\na: 4\na\n5\n"
    forms = ocelog("sql", stdin=".help\n").out.partition(".mode FORM")[2].partition(";")[0]
    assert all(str(each) in forms for each in Output)
    assert "Answers are written as: csv" in ocelog("sql", stdin=".mode csv\n.mode\n").err
    many = ocelog("sql", "-o", "table", stdin="SELECT * FROM range(101);").err
    assert ".mode ndjson writes all" in many


def test_a_history_that_grew_too_large_keeps_its_newer_half(tmp_path: Path) -> None:
    from ocelog.cli.history import history_file  # noqa: PLC0415 - what it imports is what this test is about

    file = tmp_path / "sql_history"
    file.write_text("".join(f"\n# 2026-11-26 20:00:00\n+SELECT {at};\n" for at in range(40_000)))
    file.chmod(0o644)
    before = file.stat().st_size
    found = list(history_file(file).load_history_strings())
    assert found[0] == "SELECT 39999;"
    assert all(each.startswith("SELECT ") and each.endswith(";") for each in found)
    assert 400_000 < file.stat().st_size < before / 2
    assert file.stat().st_mode & 0o777 == 0o600
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    history_file(file).store_string("SELECT 1;")
    assert not (tmp_path / "elsewhere").exists()
