"""Every command that a message tells a person to type works as printed: it lacks nothing, and does what is said."""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from commands import Ocelog, simulator
from documents import DOCS, blocks, typed_commands
from ocelog.cli.app import build
from ocelog.detect.folders import BUILT_IN
from parsed import nodes

SOURCE = Path(__file__).parents[2] / "src" / "ocelog"
ROOT: Any = typer.main.get_command(build(None, whole=True))
PRINTED = re.compile(r"(?<![/\w])ocelog((?: (?:[a-z][a-z-]*|--[a-z-]+|[A-Z][A-Z_]*|\"[^\"]*\"|7d|30d|X|-o|-))+)")
"""What a person would copy: words, options and stand-ins (`X` is what a program puts in); it ends with the sentence."""


NO_COMMANDS = {"X", "backup"}
"""A version, and a command that is only named: the help of `ocelog restore` says what wrote the folder."""


TO_COME = set[str]()
"""Commands that messages name before they are there. Whoever adds one takes it out of here: a test demands it."""


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(each) for each in node.values)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return "X"


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module but its docstrings, f-strings as one."""
    found = nodes(path)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    apart = {id(part) for node in found if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    apart |= {id(node.body[0].value) for node in found if isinstance(node, documented) and _is_text(node)}  # type: ignore[attr-defined] # found by _is_text
    for node in found:
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, _text(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in apart:
            yield node.lineno, re.sub(r"(?:%\(\w+\)s)+", "X", node.value)


def _is_text(node: Any) -> bool:
    return bool(node.body) and isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)


@cache
def printed() -> list[tuple[str, str]]:
    """Return where a command is printed, and which."""
    found = list[tuple[str, str]]()
    for path in sorted(SOURCE.rglob("*.py")):
        for line, text in _texts(path):
            commands = (each[1].strip() for each in PRINTED.finditer(text))
            left_out = NO_COMMANDS | TO_COME
            found += [(f"{path.relative_to(SOURCE)}:{line}", each) for each in commands if each not in left_out]
    return found


def lacking_in(words: list[str]) -> str | None:
    """Say what a printed command lacks; None: it works. What follows a whole command is the sentence around it."""
    here = ROOT
    if "--help" in words:
        return None
    while words and getattr(here, "commands", None):
        if words[0].startswith("-"):
            return None
        if words[0] not in here.commands:
            return f"there is no command {words[0]!r}"
        here, words = here.commands[words[0]], words[1:]
    if getattr(here, "commands", None):
        return f"{here.name!r} is a group, and which of its commands is not said"
    options = {name: each for each in here.params for name in each.opts}
    for word in words:
        if word.startswith("--") and word not in options:
            return f"there is no option {word}"
    given = [word for word in words if not word.startswith("-")]
    wanted = [each.name for each in here.params if each.param_type_name == "argument" and each.required]
    return f"it needs {wanted[len(given)]!r}" if len(given) < len(wanted) else None


_ON_A_MACHINE = "it would change this machine; tests/e2e/test_host_service.py runs it on another"
_WITH_ALERTS = "it names an alert or a suppression; tests/e2e/test_cli_alerts.py has them"
SHOWN_ELSEWHERE = {
    "service install": _ON_A_MACHINE,
    "service install --user": _ON_A_MACHINE,
    "service install --dry-run": _ON_A_MACHINE,
    "alerts show X": _WITH_ALERTS,
    "alerts reopen X": _WITH_ALERTS,
    "alerts unsuppress X": _WITH_ALERTS,
    "run": "it goes on without end; tests/e2e/test_cli_run.py runs it",
    "demo": "tests/e2e/test_cli_start.py runs it",
    "source add": "without options it asks on a terminal; tests/e2e/test_cli_sources.py answers",
    "query": "it is only named; with a statement it is below",
    "query X": "the console offers it to be copied; tests/e2e/test_cli_query.py runs queries",
    "init --ledger": "it is only named; with an address it is below",
}
DOES: dict[str, tuple[str, int, str]] = {
    # As printed: (as typed here, exit code, what it says). X is what a program puts in.
    "init": ("", 0, "is a home already|Made|complete"),
    "init --home X": ("init --home FOLDER/other", 0, "Made the home"),
    "init --home FOLDER --ledger URL": (
        "init --home FOLDER/4 --ledger postgresql://127.0.0.1:1/x",
        3,
        "does not answer",
    ),
    "init --home X --ledger URL": (
        "init --home FOLDER/3 --ledger postgresql://127.0.0.1:1/x",
        3,
        "does not answer",
    ),
    "config": ("", 0, "publish_bytes"),
    "sql": ("", 0, ""),
    "status": ("", 0, "complete through"),
    "status --json": ("", 0, "complete_through"),
    "tables": ("", 0, "wiz_issues_current"),
    "tables T": ("tables wiz_issues", 0, "severity"),
    "alerts list": ("", 0, "no such alerts"),
    "alerts list --all": ("", 0, "Wiz threat"),
    "alerts suppressions": ("", 0, "Nothing is kept quiet"),
    "rejections": ("", 0, ""),
    "rejections --replay": ("", 0, "still_rejected"),
    "rules list": ("", 0, "wiz"),
    "rules list X": ("rules list wiz", 0, "wiz"),
    "rules remove X": ("rules remove wiz", 2, "comes with Ocelog"),
    "rules list --queries": ("", 0, "Ocelog.Wiz.Issues.Overdue.Rows"),
    "rules check X": (f"rules check {BUILT_IN.path}", 0, "no problem"),
    "rules test X": (f"rules test {BUILT_IN.path}/policies", 0, "passed"),
    "status X": ("status prod", 0, "prod"),
    "rules disable X": ("rules disable Ocelog.Wiz.Policies.RuleDeleted", 0, "Ocelog.Wiz.Policies.RuleDeleted"),
    "rules try X": ("rules try Ocelog.Wiz.Policies.RuleDeleted --since 7d", 0, "Ocelog.Wiz.Policies.RuleDeleted"),
    "rules enable X": ("rules enable Ocelog.Wiz.Policies.RuleDeleted", 0, "Ocelog.Wiz.Policies.RuleDeleted"),
    "rules replay X": ("rules replay Ocelog.Wiz.Identity.ProviderChanged --since 7d", 0, "new match"),
    "rules replay X --since X": ("rules replay Ocelog.Wiz.Identity.ProviderThenAdmin --since 7d", 0, "new match"),
    "rules replay X --since X --until X": (
        "rules replay Ocelog.Wiz.Issues.Overdue --since 5h --until 2h",
        0,
        "new match",
    ),
    "alerts list --untold --source X": ("alerts list --untold --source prod", 0, "Wiz"),
    "alerts list --rule X": ("alerts list --rule Ocelog.Wiz.Policies.RuleDeleted", 0, ""),
    "rules replay RULE --since X": ("rules replay Ocelog.Wiz.Identity.ProviderChanged --since 7d", 0, "new match"),
    "rules unjudged": ("", 0, "No event was left unjudged"),
    "rules unjudged --dismiss": ("rules unjudged --dismiss", 0, "No event was left unjudged"),
    "rules unjudged X --dismiss": ("rules unjudged X --dismiss", 0, "No event was left unjudged"),
    "rules show X": ("rules show Ocelog.Wiz.Policies.RuleDeleted", 0, "runbook"),
    "rules show ID": ("rules show Ocelog.Wiz.Policies.RuleDeleted", 0, "runbook"),
    "channel add webhook ops": ("channel add file out --set path=FOLDER/out.jsonl", 0, "Added"),
    "channel add --help": ("", 0, "--severity"),
    "channel list": ("", 0, "out"),
    "channel add apprise X": ("", 2, "url"),
    "channel edit NAME": ("channel edit out", 2, "No change was given"),
    "channel show X": ("channel show out", 0, "out"),
    "channel test X": ("channel test out", 0, "took it"),
    "channel resend X": ("channel resend out", 0, "Nothing was given up"),
    "channel resume X": ("channel resume out", 0, "Resumed"),
    "channel edit X": ("channel edit out", 2, "No change was given"),
    "channel edit --help": ("", 0, "--severity"),
    "user add you": ("user add ann@example.com --role admin --password-file FOLDER/password", 0, "Added"),
    "user list": ("", 0, "ann@example.com"),
    "user add --help": ("", 0, "--role"),
    "user token add --help": ("", 0, "--scope"),
    "user token list": ("", 0, ""),
    "rules try --help": ("", 0, "--since"),
    "shape --help": ("", 0, "--log-type"),
    "source add wiz --help": ("", 0, "--client-id"),
    "source list": ("", 0, "prod"),
    "source check X": ("source check prod", 0, "granted"),
    "source add --help": ("", 0, "--client-id"),
    "source add X X": ("source add wiz other", 2, "Missing: --token-url"),
    "source edit --help": ("", 0, "--poll"),
    "source edit X --help": ("source edit prod --help", 0, "--poll"),
    "source edit X": ("source edit prod", 2, "No change was given"),
    "source edit X --no-events-after X": ("source edit prod --no-events-after audit=7d", 0, "Changed"),
    "source rotate X": ("source rotate prod", 2, "secret"),
    "source rotate NAME": ("source rotate prod", 2, "secret"),
    "source resume X": ("source resume prod", 0, "Resumed"),
    "coverage": ("", 0, "Wiz.Issues"),
    "coverage --measure": ("", 0, "Wiz.Issues"),
    "pull": ("", 0, "Wiz.Audit"),
    "pull --since 7d": ("", 0, "Wiz.Audit"),
    "pull --since 30d": ("pull --since 7d", 0, "Wiz.Audit"),
    "pull --since T --until T": ("pull --since 2026-08-01 --until 2026-08-02", 0, "Wiz.Audit"),
    "pull --since X --until X": ("pull --since 2026-08-01 --until 2026-08-02", 0, "Wiz.Audit"),
    'query "SELECT count(*) FROM wiz_issues_current"': ("", 0, r"\d"),
    "publish": ("", 0, ""),
    "sweep": ("sweep prod --accept", 0, "Wiz.Issues"),
    "sweep X --accept": ("sweep prod --accept", 0, "Wiz.Issues"),
    "repair": ("", 0, "whole|nothing|Nothing"),
    "repair --yes": ("", 0, "whole|nothing|Nothing"),
    "upkeep --trust-clock": ("", 0, "wiz_audit"),
    "backup DIR": ("backup FOLDER/backup", 0, "backup"),
    "restore DIR --home FOLDER": (
        "restore FOLDER/backup --home FOLDER/new",
        0,
        "To go on, once the key is there: ocelog pull",
    ),
    "restore DIR --home X": (
        "restore FOLDER/backup --home FOLDER/new",
        0,
        "To go on, once the key is there: ocelog pull",
    ),
    "restore DIR --home FOLDER --ledger URL": (
        "restore FOLDER/backup --home FOLDER/far --ledger postgresql://127.0.0.1:1/x",
        3,
        "does not answer",
    ),
    "source remove X": ("source remove prod", 0, "prod"),
    "source remove X --purge": ("source remove prod --purge --yes", 0, "prod"),
}


def test_commands_are_found_in_the_messages() -> None:
    assert len(printed()) > 50
    assert lacking_in(["source", "resume"]) == "it needs 'name'"
    assert lacking_in(["source", "resum", "X"]) == "there is no command 'resum'"
    assert lacking_in(["pull", "--sinc"]) == "there is no option --sinc"


def test_what_is_to_come_is_not_there_yet() -> None:
    assert {command for command in TO_COME if lacking_in(command.split()) is None} == set()


def test_a_printed_command_lacks_nothing() -> None:
    assert {(at, command): why for at, command in printed() if (why := lacking_in(command.split())) is not None} == {}


@pytest.mark.slow
def test_each_printed_command_does_what_its_message_says(tmp_path: Path) -> None:
    known = DOES.keys() | SHOWN_ELSEWHERE.keys()
    assert {command for _, command in printed()} == known, "say in DOES what a new command does"
    ocelog = Ocelog(tmp_path / "home", COLUMNS="200")
    ocelog("init")
    (tmp_path / "password").write_text("four random words do well")
    wrong = {}
    with simulator("--audit", "40", "--issues", "30", "--findings", "60") as tenant:
        ocelog.add(tenant, "prod", "--backfill", "7d")
        ocelog("pull")
        once = dict.fromkeys((typed or each, code, says) for each, (typed, code, says) in DOES.items())
        for typed, code, says in once:
            done = ocelog(*shlex.split(typed.replace("FOLDER", str(tmp_path))), code=None)
            if done.code != code or not re.search(says, done.out + done.err):
                wrong[typed] = done
    assert wrong == {}


def test_a_command_of_a_document_lacks_nothing() -> None:
    found = [
        (str(page.relative_to(DOCS)), command.removeprefix("ocelog "))
        for page in DOCS.rglob("*.md")
        for language in ("sh", "console", "")
        for block in blocks(page, language)
        for command in typed_commands(block)
        if command.startswith("ocelog ") and " [" not in command
    ]
    assert len(found) > 20
    assert {(page, each) for page, each in found if lacking_in(shlex.split(each)) is not None} == set()


FROM_AN_INDEX = re.compile(
    r"(?<!un)install\s+(?:-\S+\s+)*[\"'`]?ocelog(?![-\w.]*\.whl)\b|\b(?:uvx|pipx run)\s+ocelog\b|\bocelog\["
)
"""Ocelog taken from a package index, where nothing says that whoever offers that name is us."""


def offered() -> Iterator[tuple[str, str]]:
    """Yield each text that tells a person, or a program, how to install: messages, pages, scripts."""
    tree = DOCS.parent
    for folder in ("src", "scripts"):
        for path in sorted((tree / folder).rglob("*.py")):
            yield from ((f"{path.relative_to(tree)}:{line}", text) for line, text in _texts(path))
    others = [*tree.glob("*.md"), *DOCS.rglob("*.md"), *tree.glob("scripts/*.sh"), tree / "Makefile"]
    others += [path for folder in (".ci", ".github") for path in (tree / folder).rglob("*") if path.is_file()]
    others += [path for path in (tree / "src").rglob("*") if path.suffix in {".sql", ".yml", ".service"}]
    yield from ((str(path.relative_to(tree)), path.read_text()) for path in sorted(others))


def test_nobody_is_told_to_install_ocelog_from_an_index() -> None:
    assert {at: found[0] for at, text in offered() if (found := FROM_AN_INDEX.search(text)) is not None} == {}


def test_advice_to_install_from_an_index_would_be_noticed() -> None:
    wrong = ("pip install ocelog", "pip install -U 'ocelog[demo]'", "pipx install\nocelog", "the extra ocelog[demo]")
    right = (
        "pip install .",
        "uv tool uninstall ocelog",
        "pip install ocelog-0.1.0-py3-none-any.whl",
        "service install",
    )
    assert [each for each in (*wrong, *right) if FROM_AN_INDEX.search(each)] == list(wrong)


def test_a_message_about_one_source_names_it() -> None:
    """NAME stands only in what is said once for each source."""
    unnamed = {place for place, words in printed() if "NAME" in words.split()}
    assert {place.partition(":")[0] for place in unnamed} == {"cli/start.py"}
