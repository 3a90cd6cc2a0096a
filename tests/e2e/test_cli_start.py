"""The first steps: help, init, the wizard, settings, the demo; and how errors look."""

import codecs
import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from commands import SIMULATED, Ocelog, simulator
from commands.children import child_of, gone
from commands.terminal import at_a_terminal, bare_lines, conversation
from ocelog.app.log_types import kinds
from ocelog.cli import app, main
from ocelog.installation.making import make

FURTHER = [(f"Read {kind.title}?", "n") for kind in kinds().values() if kind.short not in SIMULATED]
"""What the wizard asks about log types of which the simulator has no records."""


@pytest.fixture
def ocelog(tmp_path: Path) -> Ocelog:
    return Ocelog(tmp_path / "home")


def test_help_names_every_command_and_imports_neither_lake_nor_ledger(ocelog: Ocelog) -> None:
    script = (
        "import sys; from ocelog.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print({'pyarrow', 'sqlalchemy', 'pyiceberg', 'duckdb', 'httpx2', 'pydantic', 'structlog'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
    assert all(f"  {name} " in done.stdout for name in app.COMMANDS)
    assert ocelog("--version").out.startswith("ocelog 0.")


def test_help_takes_less_than_0_4_seconds_of_work(ocelog: Ocelog) -> None:
    def work() -> float:
        before = os.times()
        ocelog("--help")
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(work() for _ in range(3)) < 0.4


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for name in app.COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        assert len(capsys.readouterr().out) > 150, name


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["stauts"], "Did you mean 'status'?"),
        (["source", "lst"], "Did you mean 'list'?"),
        (["pull", "--sorce", "x"], "--source"),
        (["qeury", "SELECT 1"], "Did you mean 'query'?"),
        (["query", "SELECT 1", "-o", "xml"], "choose one of table, line, json, ndjson, csv, parquet."),
        (["query", "SELECT 1", "-o", "tabel"], "did you mean 'table'?"),
    ],
)
def test_an_unknown_word_gets_the_nearest_one(arguments: list[str], says: str, ocelog: Ocelog) -> None:
    assert says in ocelog(*arguments, code=2).err


def test_a_shell_is_offered_commands_and_their_options(ocelog: Ocelog) -> None:
    def offered(words: str) -> str:
        environment = {"_OCELOG_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()))}
        ocelog.environment |= environment
        return ocelog(code=None).out

    assert "status" in offered("ocelog ").split()
    assert "rotate" in offered("ocelog source ").split()


def test_making_a_home_twice_changes_nothing(ocelog: Ocelog) -> None:
    assert "Made the home" in ocelog("init").out
    key = (ocelog.home / "key").read_bytes()
    assert "There is a home already" in ocelog("init").out
    assert (ocelog.home / "key").read_bytes() == key
    assert (ocelog.home / "key").stat().st_mode & 0o077 == 0
    refused = ocelog("init", "--ledger", "postgresql://me:s3cret@127.0.0.1:1/x", code=2)
    assert "another ledger" in refused.err
    assert "s3cret" not in refused.err


def test_a_folder_that_will_not_do_is_refused_with_what_to_do(tmp_path: Path) -> None:
    assert "cannot be used: No such file or directory. Name another folder." in (
        Ocelog(Path("/proc/ocelog"))("init", code=2).err
    )
    home = Ocelog(tmp_path / "home")
    home.init_unjudged()
    (tmp_path / "empty").mkdir()
    restored = Ocelog(tmp_path / "other")("restore", str(tmp_path / "empty"), code=2).err
    assert restored.endswith("Name the folder that `ocelog backup` wrote.\n")
    nobody = home("user", "token", "add", "eve", "--name", "nightly", code=2).err
    assert "There is no user named 'eve'. See who there is with `ocelog user list`." in nobody


def test_a_ledger_that_does_not_answer_leaves_no_home_behind(ocelog: Ocelog) -> None:
    away = ocelog("init", "--ledger", "postgresql://me:s3cret@127.0.0.1:1/x", code=3)
    assert "s3cret" not in away.err
    assert not ocelog.home.exists()
    mistyped = ocelog("init", "--ledger", "postgresql://me:s3cret@127.0.0.1:1/x?foo=bar", code=2)
    assert 'The ledger\'s address is not one that can be used: invalid connection option "foo"' in mistyped.err
    assert "s3cret" not in mistyped.err
    assert not ocelog.home.exists()
    assert "run `ocelog init`" in ocelog("status", code=2).err
    ocelog("init")


def test_with_a_key_in_the_environment_no_key_file_is_made(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home", OCELOG_KEY="5e" * 32)
    ocelog("init")
    assert not (tmp_path / "home" / "key").exists()
    shown = ocelog("config", "--json")
    assert {"setting": "key", "value": "(hidden)", "origin": "OCELOG_KEY"}.items() <= {
        row["setting"]: row for row in shown.json
    }["key"].items()
    assert "5e5e" not in shown.out


def test_settings_are_shown_with_where_they_came_from(ocelog: Ocelog) -> None:
    ocelog("init")
    (ocelog.home / "config.yml").write_text("threads: 6\n")
    ocelog.environment["OCELOG_LOG_LEVEL"] = "debug"
    rows = {row["setting"]: (row["value"], row["origin"]) for row in ocelog("config", "--json").json}
    assert rows["threads"] == (6, str(ocelog.home / "config.yml"))
    assert rows["log_level"] == ("debug", "OCELOG_LOG_LEVEL")
    assert rows["home"] == (str(ocelog.home), "OCELOG_HOME")
    assert rows["publish_after"] == ("5m", "default")
    assert all(row["meaning"] for row in ocelog("config", "--json").json)


def test_a_mistake_of_ours_is_one_line_and_the_traceback_is_for_who_asks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise KeyError("surprise")

    monkeypatch.setattr("ocelog.installation.config.explain", fail)
    with pytest.raises(SystemExit) as ended:
        main(["config"])
    assert ended.value.code == 1
    err = capsys.readouterr().err
    assert "Unexpected KeyError: 'surprise'" in err
    assert "OCELOG_DEBUG=1" in err
    monkeypatch.setenv("OCELOG_DEBUG", "1")
    with pytest.raises(KeyError):
        main(["config"])


def test_whoever_reads_our_output_may_leave(ocelog: Ocelog) -> None:
    ocelog("init")
    process = ocelog.start("query", "SELECT range FROM range(1000000)")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.wait()
    process.stderr.close()
    assert err == ""


class Terminal:
    """A person at a terminal."""

    def __init__(self, ocelog: Ocelog, *arguments: str) -> None:
        self.heard = ""
        # A piece may end within a character.
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.process, self.master = at_a_terminal(ocelog, *arguments, TERM="dumb", COLUMNS="200")

    def waits_for(self, text: str) -> str:
        """Return what was shown until `text`."""
        end = time.monotonic() + 60
        while text not in self.heard:
            assert time.monotonic() < end, self.heard
            if select.select([self.master], [], [], 1)[0]:
                try:
                    self.heard += self._decoder.decode(os.read(self.master, 4096))
                except OSError:
                    break
        assert text in self.heard, self.heard
        before, self.heard = self.heard.split(text, 1)
        return before

    def types(self, text: str) -> None:
        os.write(self.master, text.encode() + b"\n")

    def answers(self, *questions: tuple[str, str]) -> str:
        """Answer each question when it comes; return all that was shown meanwhile."""
        told = ""
        for asks, answer in questions:
            told += self.waits_for(asks)
            self.types(answer)
        return told

    def close(self) -> int:
        self.process.kill() if self.process.poll() is None else None
        code = self.process.wait()
        os.close(self.master)
        return code


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    found: list[Terminal] = []
    yield found
    for terminal in found:
        terminal.close()


@pytest.mark.slow
@pytest.mark.whole_processes
def test_adding_a_source_on_a_terminal_asks_in_the_order_of_the_vendors_page(
    ocelog: Ocelog, terminals: list[Terminal]
) -> None:
    ocelog("init")
    with simulator("--audit", "5", "--issues", "5", "--findings", "5") as tenant:
        person = Terminal(ocelog, "source", "add")
        terminals.append(person)
        told = person.answers(
            ("A name for this tenant, for example prod: ", "prod"),
            ("(empty: read it from the token): ", tenant.api_url),
            ("govcloud or a URL [cognito]: ", tenant.token_url),
            ("Read the audit log? [Y/n]: ", "n"),
            ("Read issues?", "y"),
            ("Read vulnerability findings?", "y"),
            *FURTHER,
            ("(empty: all): ", ""),
            ("Client ID: ", tenant.client_id),
            ("Client secret: ", tenant.client_secret),
            ("How far back to read (30d, 90d, all) [30d]: ", "90d"),
        )
        told += person.waits_for("Added 'prod'")
        assert person.process.wait(30) == 0
    assert told.count("It answers.") == 2
    assert tenant.client_secret not in told
    told = " ".join(told.split())
    for click in ("Tenant Info", "Service Accounts", "Custom Integration", "read:issues, read:vulnerabilities"):
        assert click in told
    assert "admin:audit" not in told
    shown = ocelog("source", "show", "prod", "--json").json
    assert (shown["log_types"], shown["backfill"]) == (["Wiz.Issues", "Wiz.VulnerabilityFinding"], "90d")


@pytest.mark.slow
def test_the_wizard_asks_again_for_what_was_wrong_and_keeps_the_other_answers(
    ocelog: Ocelog, terminals: list[Terminal]
) -> None:
    ocelog("init")
    with simulator("--audit", "5", "--issues", "5", "--findings", "5") as tenant:
        ocelog.add(tenant, "taken", "--no-check")
        person = Terminal(ocelog, "source", "add", "--anyway")
        terminals.append(person)
        told = person.answers(
            ("for example prod: ", ""),
            ("for example prod: ", "-"),
            ("for example prod: ", "https://app.wiz.io"),
            ("for example prod: ", "taken"),
            ("for example prod: ", "prod"),
            ("from the token): ", "htp://api.us1.app.wiz.io"),
            ("from the token): ", tenant.token_url),
            ("from the token): ", tenant.api_url),
            ("or a URL [cognito]: ", "cognto"),
            ("or a URL [cognito]: ", "US1"),
            ("or a URL [cognito]: ", tenant.token_url),
            ("Read the audit log? [Y/n]: ", "what"),
            ("Read the audit log? [Y/n]: ", "n"),
            ("Read issues?", "n"),
            ("Read vulnerability findings?", "n"),
            *FURTHER,
            ("Read the audit log? [Y/n]: ", ""),
            ("Read issues?", ""),
            ("Read vulnerability findings?", "n"),
            *FURTHER,
            ("Client ID: ", ""),
            ("Client ID: ", "nobody"),
            ("Client secret: ", tenant.client_secret),
            ("What now? [r]: ", "?"),
            ("What now? [r]: ", "i"),
            ("Client ID [nobody]: ", tenant.client_id),
            ("all) [30d]: ", "long"),
            ("all) [30d]: ", "all"),
        )
        told += person.waits_for("Added 'prod'")
        assert person.process.wait(30) == 0
    told = " ".join(told.split())
    for mistake in (
        "A source's name is one line of 1 to 200 characters.",
        "'-' is not a name: type what you call the tenant",
        "The client ID is one word without spaces, as Wiz shows it.",
        "There is a source 'taken' already",
        "API URL must be a URL",
        "did you mean 'cognito'?",
        "choose at least one",
        "FAIL token",
        "Invalid duration 'long'",
        "Or write all: then everything is read.",
        "Type y for yes or n for no.",
        "'US1' is a data center: it belongs to the question before (API Endpoint URL). Here, type cognito.",
        "'https://app.wiz.io' looks like an address.",
        "looks like the token URL, which is asked for next.",
        "Type one of r, u, i, s, l, n, k, q.",
    ):
        assert told.count(mistake) == 1, mistake
    shown = ocelog("source", "show", "prod", "--json").json
    assert (shown["log_types"], shown["backfill"]) == (["Wiz.Audit", "Wiz.Issues"], "all")
    assert shown["api_url"] == tenant.api_url


def test_what_wiz_refuses_may_be_kept_or_left_at_the_end_of_the_wizard(
    ocelog: Ocelog, terminals: list[Terminal]
) -> None:
    ocelog("init")
    with simulator("--audit", "5", "--issues", "5", "--findings", "5") as tenant:
        for last in ("q", "k"):
            person = Terminal(ocelog, "source", "add")
            terminals.append(person)
            person.answers(
                ("for example prod: ", "prod"),
                ("from the token): ", tenant.api_url),
                ("or a URL [cognito]: ", tenant.token_url),
                ("Read the audit log?", ""),
                ("Read issues?", ""),
                ("Read vulnerability findings?", ""),
                *FURTHER,
                ("Client ID: ", tenant.client_id),
                ("Client secret: ", "wrong-s3cret"),
            )
            told = person.waits_for("What now? [r]: ")
            assert "correct it later: ocelog source edit prod" in " ".join(told.split())
            assert "NAME" not in told
            person.types(last)
            person.answers(*([("all) [30d]: ", "")] if last == "k" else []))
            person.waits_for({"q": "Nothing was saved.", "k": "Added 'prod'"}[last])
            person.waits_for({"q": "\n", "k": "Next, correct it: ocelog source edit prod"}[last])
            assert person.process.wait(30) == {"q": 2, "k": 0}[last]
            assert len(ocelog("source", "list", "--json").json) == {"q": 0, "k": 1}[last]


@pytest.mark.slow
def test_what_was_kept_is_corrected_on_a_terminal_and_what_works_stays(
    ocelog: Ocelog, terminals: list[Terminal]
) -> None:
    ocelog("init")
    with simulator("--audit", "5", "--issues", "5", "--findings", "5") as tenant:
        typed = ["--client-secret-file", "-", "--log-type", "issues", "--project", "p1", "--no-check"]
        ocelog("source", "add", "wiz", "prod", *tenant.options, *typed, stdin="wrong-s3cret")

        def edited(projects: tuple[str, str], secret: str, *then: tuple[str, str]) -> str:
            person = Terminal(ocelog, "source", "edit", "prod")
            terminals.append(person)
            told = person.answers(
                (f"API Endpoint URL (type - for none) [{tenant.api_url}]: ", ""),
                (f"or a URL [{tenant.token_url}]: ", ""),
                ("Read the audit log? [y/N]: ", ""),
                ("Read issues? [Y/n]: ", ""),
                ("Read vulnerability findings? [y/N]: ", ""),
                *FURTHER,
                projects,
                (f"Client ID [{tenant.client_id}]: ", ""),
                ("Client secret (Enter keeps the present one): ", secret),
                *then,
            )
            assert person.process.wait(30) == (2 if ("What now? [r]: ", "q") in then else 0)
            return " ".join(f"{told} {os.read(person.master, 65536).decode()}".split())

        before = ocelog("source", "show", "prod", "--json").json
        left = edited(("[p1]: ", "p1, p2"), "another", ("What now? [r]: ", "q"))
        assert "change the projects (p1, p2)" in left
        assert "Nothing was changed." in left
        assert ocelog("source", "show", "prod", "--json").json == before
        # Of a project that is not there Wiz shows nothing: whoever misspelt it may correct that.
        again = ("What now? [r]: ", "p"), ("Project ids, comma between them (type - for none) [p2]: ", "-")
        done = edited(("[p1]: ", "p2"), tenant.client_secret, ("as it is? [Y/n]: ", "n"), *again)
        assert "Changed 'prod'." in done
        after = ocelog("source", "show", "prod", "--json").json
        assert after == before | {"projects": []}
        assert "Nothing to change" in edited(("(empty: all): ", ""), "")
        assert "No change was given" in ocelog("source", "edit", "prod", code=2).err
        assert "There is no source 'prdo'" in ocelog("source", "edit", "prdo", code=2).err


@pytest.mark.slow
def test_an_address_that_does_not_answer_is_told_before_anything_else_is_asked(
    ocelog: Ocelog, terminals: list[Terminal]
) -> None:
    ocelog("init")
    dead = "http://127.0.0.1:9"
    with simulator("--audit", "5", "--issues", "5", "--findings", "5") as tenant:
        person = Terminal(ocelog, "source", "add", "wiz", "prod")
        terminals.append(person)
        told = person.answers(
            ("from the token): ", "https://app.wiz.io/issues#open"),
            ("from the token): ", f"{dead}/graphql"),
            # Before anything else is asked.
            (f"API Endpoint URL (type - for none) [{dead}/graphql]: ", tenant.api_url),
            ("or a URL [cognito]: ", tenant.token_url),
            ("Read the audit log? [Y/n]: ", "n"),
            ("Read issues? [Y/n]: ", ""),
            ("Read vulnerability findings? [Y/n]: ", "n"),
            *FURTHER,
            ("(empty: all): ", ""),
            ("Client ID: ", tenant.client_id),
            ("Client secret: ", "wrong"),
        )
        # The account is tried before the last question.
        told += person.waits_for("FAIL  token")
        told += person.answers(
            ("What now? [r]: ", "l"),
            ("Read the audit log? [y/N]: ", ""),
            ("Read issues? [Y/n]: ", ""),
            ("Read vulnerability findings? [y/N]: ", ""),
            *FURTHER,
            ("What now? [r]: ", "s"),
            ("Client secret: ", tenant.client_secret),
            ("all) [30d]: ", ""),
        )
        person.waits_for("Added 'prod'")
        assert person.process.wait(30) == 0
    told = " ".join(told.split())
    assert "app.wiz.io is Wiz's portal, where people log in, and not its API" in told
    assert told.count("The API Endpoint URL does not work: 127.0.0.1 did not answer: ") == 1
    shown = ocelog("source", "show", "prod", "--json").json
    assert (shown["api_url"], shown["log_types"]) == (tenant.api_url, ["Wiz.Issues"])


def test_who_insists_keeps_an_address_that_does_not_answer(ocelog: Ocelog, terminals: list[Terminal]) -> None:
    ocelog("init")
    dead = "http://127.0.0.1:9"
    person = Terminal(ocelog, "source", "add", "wiz", "prod")
    terminals.append(person)
    person.answers(
        ("from the token): ", f"{dead}/graphql"),
        (f"[{dead}/graphql]: ", ""),
        ("or a URL [cognito]: ", f"{dead}/token"),
        (f"[{dead}/token]: ", ""),
        ("Read the audit log?", ""),
        ("Read issues?", ""),
        ("Read vulnerability findings?", ""),
        *FURTHER,
        ("Client ID: ", "x"),
        ("Client secret: ", "y"),
        ("What now? [r]: ", "k"),
        ("all) [30d]: ", ""),
    )
    person.waits_for("Added 'prod'")
    assert person.process.wait(30) == 0


def test_the_token_url_alone_is_asked_again_if_it_alone_does_not_answer(
    ocelog: Ocelog, terminals: list[Terminal]
) -> None:
    ocelog("init")
    with simulator("--audit", "5", "--issues", "5", "--findings", "5") as tenant:
        person = Terminal(ocelog, "source", "add", "wiz", "prod")
        terminals.append(person)
        told = person.answers(
            ("from the token): ", tenant.api_url),
            ("or a URL [cognito]: ", "http://127.0.0.1:9/token"),
            ("[http://127.0.0.1:9/token]: ", tenant.token_url),
        )
        person.waits_for("Read the audit log?")
    assert told.count("API Endpoint URL (") == 1
    assert "The Token URL does not work: 127.0.0.1 did not answer" in told


@pytest.mark.slow
def test_a_tenant_that_is_read_already_is_told_behind_the_client_id_and_may_be_read_a_second_time(
    ocelog: Ocelog, terminals: list[Terminal]
) -> None:
    ocelog("init")
    with simulator("--audit", "5", "--issues", "5", "--findings", "5") as tenant:
        ocelog.add(tenant, "prod", "--no-check")
        person = Terminal(ocelog, "source", "add", "wiz", "again")
        terminals.append(person)
        person.answers(
            ("from the token): ", tenant.api_url),
            ("or a URL [cognito]: ", tenant.token_url),
            ("Read the audit log?", ""),
            ("Read issues?", ""),
            ("Read vulnerability findings?", ""),
            *FURTHER,
            ("Client ID: ", tenant.client_id),
        )
        told = person.waits_for("What now?: ")
        assert "The source 'prod' reads this tenant with this account already." in told
        letters = [line.split()[0] for line in told.splitlines() if line.startswith("  ") and line[3:5] == "  "]
        assert letters == ["u", "i", "a", "q"]
        person.types("a")
        person.answers(("Client secret: ", tenant.client_secret), ("all) [30d]: ", ""))
        person.waits_for("Added 'again'")
        assert person.process.wait(30) == 0
    assert len(ocelog("source", "list", "--json").json) == 2


@pytest.mark.slow
@pytest.mark.parametrize("until", ["for example prod: ", "Client secret: "])
def test_ctrl_c_at_a_prompt_ends_it_and_saves_nothing(ocelog: Ocelog, terminals: list[Terminal], until: str) -> None:
    ocelog("init")
    person = Terminal(ocelog, "source", "add", "--no-check")
    terminals.append(person)
    questions = (
        ("for example prod: ", "prod"),
        ("from the token): ", ""),
        ("or a URL [cognito]: ", ""),
        ("Read the audit log?", ""),
        ("Read issues?", ""),
        ("Read vulnerability findings?", ""),
        *FURTHER,
        ("Client ID: ", "x"),
    )
    if until == "Client secret: ":
        person.answers(*questions)
    person.waits_for(until)
    before = termios.tcgetattr(person.master)[3] & termios.ECHO
    # Python misses a Ctrl-C that comes just before it begins to wait; a person presses again.
    for _ in range(15):
        os.write(person.master, b"\x03")
        with suppress(subprocess.TimeoutExpired):
            person.process.wait(2)
            break
    person.waits_for("Nothing was saved.")
    assert person.process.returncode == 2
    assert bool(before) == (until != "Client secret: ")
    assert termios.tcgetattr(person.master)[3] & termios.ECHO
    assert ocelog("source", "list", "--json").json == []


@pytest.mark.slow
def test_a_pull_on_a_terminal_draws_bars(ocelog: Ocelog, terminals: list[Terminal]) -> None:
    ocelog("init")
    with simulator("--audit", "20", "--issues", "0", "--findings", "0") as tenant:
        ocelog.add(tenant, "prod", "--no-check", "--log-type", "audit")
        person = Terminal(ocelog, "pull")
        terminals.append(person)
        person.waits_for("prod Wiz.Audit")
        person.waits_for("log_type")
        assert person.process.wait(60) == 0


@pytest.mark.slow
def test_the_demo_shows_everything_serves_the_console_and_each_command_that_it_names_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    nowhere = Ocelog(tmp_path)
    del nowhere.environment["OCELOG_HOME"]
    with conversation(nowhere, "demo") as demo:
        shown = demo.until("signed in already:")
        told = demo.until("Ctrl-C.")
        _open_the_console(told)
        assert '"console": "http://127.0.0.1:' in (tmp_path / ".demo/home/lock").read_text(), "commands name it"
        assert demo.interrupt() == 0
    shown = "\n".join(bare_lines(shown + told))
    assert (tmp_path / ".demo" / "home" / "home.json").exists()
    for title in ("What landed", "Open critical findings", "Who did the most in Wiz", "Try next"):
        assert title in shown
    assert "CVE-" in shown
    told = shown.split("Alerts, as a webhook")[1].split("All of that took")[0]
    lines = [line.split(maxsplit=2) for line in told.splitlines() if line.startswith("  ")]
    for title, happened in {
        "Wiz connector deleted": [("opened", "HIGH")],
        "Wiz threat: ": [("opened", "HIGH"), ("escalated", "CRITICAL"), ("resolved", "CRITICAL")],
        "demo Wiz.Audit: no events": [("opened", "CRITICAL"), ("resolved", "CRITICAL")],
    }.items():
        assert [(what, severity) for what, severity, text in lines if text.startswith(title)] == happened
    assert f"Each of the {len(lines)} signatures held, and a file got the same messages." in told
    assert [line for line in told.splitlines() if len(line) > 80] == []
    matched = shown.split("What rules matched")[1].split("Alerts, as a webhook")[0]
    drawn = [line for line in matched.splitlines() if line.endswith("━")]
    assert len(drawn) == 10
    assert all(line.startswith("Ocelog.Wiz.") and len(line) <= 80 for line in drawn), "names that commands take"
    assert Ocelog(Path(".demo/home"))("channel", "list").out.startswith("There is no channel")
    silent = Ocelog(Path(".demo/home"))("alerts", "list", "--all", "--rule", "SOURCE_NO_DATA", "--json").json
    about_it = Ocelog(Path(".demo/home"))("alerts", "show", silent[0]["id"]).out
    assert "The demo cannot wait for silence" in " ".join(about_it.split())
    assert "The last event came" not in about_it, "a minute ago, it was"
    assert [each.name for each in (tmp_path / ".demo").iterdir()] == ["home"]
    named = shown.split("Try next, in another terminal, in this folder:")[1].split("See all of it")[0]
    first, *others = [line.strip() for line in named.splitlines() if line.strip()]
    assert len(others) >= 3
    pasted = subprocess.run(
        ["/bin/sh", "-c", first], env=nowhere.environment, capture_output=True, text=True, check=False
    )
    assert pasted.returncode == 0, f"{first}\n{pasted.stderr}"
    assert pasted.stdout, first
    beginning = ["OCELOG_HOME=.demo/home", sys.executable, "-m", "ocelog"]
    for line in others:
        as_the_shell_reads = ["/bin/sh", "-c", f"printf '%s\\0' {line}"]
        read = subprocess.run(as_the_shell_reads, capture_output=True, text=True, check=True).stdout
        words = read.removesuffix("\0").split("\0")
        assert words[:4] == beginning
        assert Ocelog(Path(".demo/home"))(*words[4:]).out, line


def _open_the_console(told: str) -> None:
    link = re.search(r"http://127\.0\.0\.1:\d+/demo\?token=[\w-]+", told)
    assert link is not None
    with httpx2.Client(follow_redirects=True, timeout=60) as browser:
        home = browser.get(link[0])
        assert home.status_code == 200
        assert "Wiz.Issues" in home.text, "its sources"
        assert "Wiz connector deleted" in browser.get(str(home.url.join("/alerts"))).text
    with httpx2.Client(timeout=60) as other:
        assert other.get(link[0]).status_code == 403, "it works once"


def test_a_home_that_has_sources_is_to_be_pulled_and_not_to_get_one(ocelog: Ocelog) -> None:
    assert ocelog("init").out.endswith("Next: ocelog source add\n")
    assert ocelog("init").out.endswith("Next: ocelog source add\n")
    options = ("--token-url", "cognito", "--client-id", "x", "--client-secret-file", "-", "--no-check")
    ocelog("source", "add", "wiz", "prod", *options, stdin="secret")
    assert ocelog("init").out.endswith("Next: ocelog pull\n")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_the_simulator_of_a_demo_that_is_killed_ends_with_it(number: int) -> None:
    program = (
        "import sys\nfrom ocelog.cli.simulator import simulated_tenant\n"
        "with simulated_tenant():\n    print('there', flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as demo:
        assert demo.stdout is not None
        assert demo.stdout.readline() == b"there\n"
        served = child_of(demo.pid, 0)
        demo.send_signal(number)
        demo.wait(timeout=10)
        ended = gone(served)
        if not ended:
            os.kill(served, signal.SIGKILL)
        assert ended


def test_the_demo_does_not_mix_with_real_sources(ocelog: Ocelog) -> None:
    ocelog("init")
    with simulator("--audit", "5", "--issues", "5", "--findings", "5") as tenant:
        ocelog.add(tenant, "prod", "--no-check")
    assert "holds other sources ('prod')" in ocelog("demo", "--exit", code=2).err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("channel", "add", "stdout", "ops", "--per-hour", "x"), "--per-hour: expected a whole number"),
        (("channel", "add", "stdout", "ops", "--severity", "hihg"), "--severity: There is no severity 'hihg'"),
        (("channel", "add", "stdout", "ops", "--escalate-after", "x"), "--escalate-after: invalid duration 'x'"),
        (("channel", "add", "stdout", "ops", "--quiet-hours", "22:00-07:00 Berlin"), "--quiet-hours: there is no time"),
        (("status", "--max-lag", "x"), "--max-lag: invalid duration 'x'"),
        (("query", "SELECT 1", "--timeout", "x"), "--timeout: invalid duration 'x'"),
        (("run", "--listen", "80000"), "--listen: invalid address '80000' to listen on: write a port of at most 65535"),
        (("pull", "--since", "7x"), "--since: invalid time '7x'"),
        (("pull", "--since", "7d", "--until", "soon"), "--until: invalid time 'soon'"),
        (("rules", "try", "R", "--since", "7x"), "--since: invalid time '7x'"),
        (("rules", "replay", "R", "--since", "7d", "--until", "soon"), "--until: invalid time 'soon'"),
        (("alerts", "list", "--since", "7x"), "--since: invalid time '7x'"),
        (("alerts", "list", "--status", "opne"), "--status: 'opne' is not known; did you mean 'open'?"),
    ],
)
def test_a_value_that_means_nothing_is_told_with_its_option(
    tmp_path: Path,
    arguments: tuple[str, ...],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make(tmp_path / "home", ledger_url=None)
    monkeypatch.setenv("OCELOG_HOME", str(tmp_path / "home"))
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"ocelog: {says}")
