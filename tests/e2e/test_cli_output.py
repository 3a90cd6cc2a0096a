"""What is said where an answer cannot be written, or not in every character."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from commands import TIMEOUT, Ocelog, fork_server, is_forked
from commands.terminal import on_a_terminal
from ocelog.cli.app import COMMANDS

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LATIN_1 = {"PYTHONIOENCODING": "latin-1"}


@pytest.fixture(scope="module")
def ocelog(tmp_path_factory: pytest.TempPathFactory) -> Ocelog:
    made = Ocelog(tmp_path_factory.mktemp("made") / "home")
    made.init()
    return made


def shell(ocelog: Ocelog, redirection: str, *arguments: str | bytes, **more: str) -> tuple[int, bytes, str]:
    """Run a command with `redirection` behind it."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "ocelog", *arguments],
        env=ocelog.environment | more,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("query", "SELECT 1"),
        ("query", "SELECT * FROM range(100000)"),
        ("query", "SELECT 1", "-o", "parquet"),
        ("status",),
        ("--help",),
    ],
)
def test_a_full_disk_behind_stdout_is_named(ocelog: Ocelog, arguments: tuple[str, ...], unbuffered: str) -> None:
    if unbuffered or not is_forked(ocelog.environment):
        code, _, err = shell(ocelog, ">/dev/full", *arguments, PYTHONUNBUFFERED=unbuffered)
    else:
        done = fork_server().run(arguments, environment=ocelog.environment, timeout=TIMEOUT, onto="/dev/full")
        code, err = done.returncode, done.stderr
    assert (code, err.count("\n")) == (3, 1), err
    assert "could not be written. Free some space" in err


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here that is always full")
def test_a_full_disk_behind_stderr_changes_no_exit_code(ocelog: Ocelog) -> None:
    assert shell(ocelog, "2>/dev/full", "query", "SELECT 1 AS one")[:2] == (0, b'{"one": 1}\n')
    assert shell(ocelog, "2>/dev/full", "query", "SELEKT")[0] == 2
    assert shell(ocelog, "2>/dev/full", "no-such-command")[0] == 2
    assert shell(ocelog, ">/dev/full 2>/dev/full", "query", "SELECT 1")[0] == 3


@pytest.mark.parametrize("arguments", [("query", "SELECT 1"), ("status",)])
def test_a_closed_stdout_is_named(ocelog: Ocelog, arguments: tuple[str, ...]) -> None:
    code, _, err = shell(ocelog, ">&-", *arguments)
    assert (code, err.count("\n")) == (2, 1), err
    assert "stdout is closed" in err


def test_without_stdin_and_stderr_an_answer_is_as_ever(ocelog: Ocelog) -> None:
    code, out, _ = shell(ocelog, "<&- 2>&-", "query", "SELECT 1 AS one")
    assert (code, json.loads(out)) == (0, {"one": 1})


@pytest.mark.parametrize("encoding", [{}, ASCII, LATIN_1])
def test_sql_that_is_no_utf_8_is_refused(ocelog: Ocelog, encoding: dict[str, str]) -> None:
    code, _, err = shell(ocelog, "", "query", b"SELECT '\xff'", **encoding)
    assert (code, err) == (2, "ocelog: The SQL is not UTF-8 text.\n")


@pytest.mark.parametrize("encoding", [{"PYTHONIOENCODING": "utf-8:surrogateescape"}, ASCII])
def test_sql_on_stdin_that_is_no_utf_8_is_refused(ocelog: Ocelog, tmp_path: Path, encoding: dict[str, str]) -> None:
    file = tmp_path / "wrong.sql"
    file.write_bytes(b"SELECT '\xff'")
    code, _, err = shell(ocelog, f"<'{file}'", "query", **encoding)
    assert (code, err) == (2, "ocelog: The SQL is not UTF-8 text.\n")


# The encoding is chosen before the form is looked at, so not each form needs each encoding.
@pytest.mark.slow
@pytest.mark.parametrize(("form", "encoding"), [("json", ASCII), ("ndjson", LATIN_1), ("csv", ASCII)])
def test_what_programs_read_is_utf_8_in_every_encoding(ocelog: Ocelog, form: str, encoding: dict[str, str]) -> None:
    arguments = ("query", "SELECT 'grün ☃' AS said", "-o", form)
    assert "grün ☃" in ocelog(*arguments).out
    code, out, err = shell(ocelog, "", *arguments, **encoding)
    assert code == 0, err
    assert "grün ☃" in out.decode("utf-8")


@pytest.mark.parametrize("encoding", [ASCII, LATIN_1])
def test_a_table_shows_escaped_what_the_encoding_lacks(ocelog: Ocelog, encoding: dict[str, str]) -> None:
    code, out, err = shell(ocelog, "", "query", "SELECT 'snow ☃' AS said", "-o", "table", **encoding)
    assert (code, err) == (0, "1 row.\n")
    assert b"snow" in out


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("source", "check", b"\xff"), ("source", "show", b"x\xff")])
def test_an_argument_that_is_no_utf_8_is_refused(ocelog: Ocelog, arguments: tuple[str | bytes, ...]) -> None:
    code, _, told = shell(ocelog, "", *arguments)
    assert (code, told) == (2, "ocelog: An argument is not valid UTF-8: type it again.\n")


def test_an_error_ends_a_command_at_once_if_a_thread_is_still_at_work() -> None:
    program = """
import atexit, threading
from ocelog import cli
from ocelog.workers.threads import Threads
from ocelog.errors import LedgerUnavailableError

def run(arguments):
    Threads().start(threading.Event().wait)
    raise LedgerUnavailableError("The disk is full.")

atexit.register(print, "Python ends, and libraries complain.")
cli._run = run
cli.main([])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "ocelog: The disk is full.\n")


def test_errors_and_remarks_end_between_words_at_80_columns_and_are_whole_lines_in_a_file(ocelog: Ocelog) -> None:
    ocelog.init()
    for arguments in (
        ("source", "add", "wiz", "https://app.wiz.io", "--token-url", "cognito", "--client-id", "x", "--no-check"),
        ("source", "add", "other", "kind"),
        ("pull", "--log-type", "vulns"),
        ("init",),
    ):
        shown = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", on_a_terminal(ocelog, *arguments)).strip()
        done = ocelog(*arguments, code=None)
        plain = (done.out + done.err).strip()
        # Which only a person is told.
        shown = re.sub(r"\n    \(error code: [a-z_]+\)$", "", shown)
        assert shown.split() == plain.split()
        words = set(plain.split())
        assert all(len(line) <= 80 or line.strip() in words for line in shown.splitlines()), shown
        if any(len(line) > 80 for line in plain.splitlines()):
            assert shown.count("\n") > plain.count("\n")


@pytest.mark.parametrize("command", ["coverage", "upkeep"])
def test_a_form_that_does_not_exist_is_refused_with_those_that_do(ocelog: Ocelog, command: str) -> None:
    said = ocelog(command, "-o", "jsno", code=2).err
    assert "-o jsno: choose one of table, json; did you mean 'json'?" in said


@pytest.mark.parametrize(
    "group", [(), *((name,) for name, each in COMMANDS.items() if each.group), ("user", "token")], ids=" ".join
)
def test_what_a_command_does_is_said_in_one_line_of_80_columns(tmp_path: Path, group: tuple[str, ...]) -> None:
    shown = Ocelog(tmp_path / "home", COLUMNS="80")(*group, "--help").out
    lines = shown[shown.index("Commands:") :].split("\n\n")[0].splitlines()[1:]
    assert len(lines) > 1
    for line in lines:
        assert re.match(r"  [a-z]", line), f"goes on in a second line: {line}"
        assert line.endswith("."), f"is cut: {line}"
        assert not line.endswith("...")
        assert len(line) <= 80
