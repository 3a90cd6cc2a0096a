"""What a shell is offered when Tab is pressed: everything there is, quickly, and never an error."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from commands import Ocelog, completions, is_forked
from ocelog.access import Deed, Role, User
from ocelog.app.log_types import short_names
from ocelog.cli.app import build
from ocelog.installation.making import make
from ocelog.installation.opening import opened
from ocelog.ledger.source_names import read_source_names
from ocelog.model import SourceRow


def asked(home: Path, words: str, shell: str = "bash") -> "subprocess.CompletedProcess[str]":
    """Press Tab after `words`, the last of which is begun."""
    environment = {
        **os.environ,
        "OCELOG_HOME": str(home),
        "_OCELOG_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
        "_TYPER_COMPLETE_ARGS": words,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_WORD_TO_COMPLETE": words.rsplit(" ", maxsplit=1)[-1],
    }
    if is_forked(environment):
        return completions().run([], environment=environment, timeout=60)
    return subprocess.run(
        [sys.executable, "-m", "ocelog"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def offered(home: Path, words: str) -> list[str]:
    done = asked(home, words)
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "home"
    make(path, ledger_url=None)
    with opened(path) as installation:
        for name in ("prod", "prod-eu", "내-Wiz", "a b; c"):
            installation.ledger.sources.add(SourceRow(id=f"id{len(name)}", name=name, kind="wiz", added_us=1))
        for name in ("ann@example.com", "bob", "bob b"):
            user = User(id=name, name=name, role=Role.ADMIN, added_us=1)
            installation.ledger.users.add(user, None, Deed(at_us=1, who="", what="user.added"))
    return path


@pytest.mark.slow
def test_users_are_offered(home: Path) -> None:
    assert offered(home, "ocelog user disable ") == ["ann@example.com", "bob"]
    assert offered(home, "ocelog user role b") == ["bob"]
    assert offered(home, "ocelog user role bob a") == ["analyst", "admin"]
    assert offered(home, "ocelog user add ") == [""], "a name that is not there yet"


def test_rules_packs_and_folders_of_rules_are_offered(home: Path) -> None:
    assert offered(home, "ocelog rules list w") == ["wiz"]
    assert "Ocelog.Wiz.Policies.RuleDeleted" in offered(home, "ocelog rules show Ocelog.Wiz.Pol")
    assert "Ocelog.Wiz.Policies" in offered(home, "ocelog rules disable Ocelog.Wiz.Pol")
    assert "Ocelog.Wiz.Policies" not in offered(home, "ocelog rules show Ocelog.Wiz.Pol")


@pytest.mark.slow
def test_every_option_of_every_command_is_known_without_what_the_commands_work_with() -> None:
    done = subprocess.run([sys.executable, "-c", _OPTIONS], capture_output=True, text=True, check=True)
    with_stand_ins, libraries = json.loads(done.stdout)
    assert with_stand_ins == listed(typer.main.get_command(build(None, whole=True)))
    assert with_stand_ins["pull"] != []
    assert libraries == []


def listed(top: Any) -> dict[str, list[str]]:
    """Return the options of each command."""
    found = dict[str, list[str]]()
    for name, command in top.commands.items():
        for path, each in [(f"{name} {sub}", one) for sub, one in getattr(command, "commands", {}).items()] or [
            (name, command)
        ]:
            found[path] = [option for one in each.params for option in one.opts]
    return found


# As `complete` does it, but for all commands at once.
_OPTIONS = """
import json, sys, typer
from ocelog.cli import completion
sys.meta_path.insert(0, completion._StandIns())
from ocelog.access import Deed, Role, User
from ocelog.app.log_types import short_names
from ocelog.cli.app import build
found = {}
for name, command in typer.main.get_command(build(None, whole=True)).commands.items():
    subs = [(f"{name} {sub}", one) for sub, one in getattr(command, "commands", {}).items()]
    for path, each in subs or [(name, command)]:
        found[path] = [option for one in each.params for option in one.opts]
real = [name for name, each in sys.modules.items()
        if name.split(".")[0] in completion._WORKED_WITH and getattr(each, "__file__", None)]
print(json.dumps([found, real]))
"""


@pytest.mark.parametrize("command", ["run", "source add", "query", "service install", "status"])
def test_options_are_offered(home: Path, command: str) -> None:
    options = listed(typer.main.get_command(build(None, whole=True)))[command]
    assert {each for each in options if each.startswith("--")} <= set(offered(home, f"ocelog {command} --"))


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("ocelog status ", ["id6", "prod", "prod-eu", "내-Wiz"]),
        ("ocelog status prod-", ["prod-eu"]),
        ("ocelog pull --source 내", ["내-Wiz"]),
        ("ocelog source rotate prod-", ["prod-eu"]),
        ("ocelog sweep prod-", ["prod-eu"]),
        ("ocelog pull --log-type ", short_names()),
        ("ocelog pull --log-type Wiz.I", ["Wiz.Issues"]),
        ("ocelog schema show iss", ["issues"]),
        ("ocelog tables wiz_a", ["wiz_audit", "wiz_audit_current"]),
        ("ocelog tables open_", ["open_findings", "open_issues"]),
        ("ocelog lake rej", ["rejections"]),
        ("ocelog query -o nd", ["ndjson"]),
        ("ocelog que", ["query"]),
    ],
)
def test_names_are_offered(home: Path, words: str, found: list[str]) -> None:
    assert offered(home, words) == found


@pytest.mark.whole_processes
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_it_in_its_own_form(home: Path, shell: str) -> None:
    done = asked(home, "ocelog status prod-", shell)
    assert "prod-eu" in done.stdout
    assert done.stderr == ""


def test_nothing_is_written_and_the_lake_is_not_opened(home: Path) -> None:
    (home / "lake" / "catalog.db").write_bytes(b"not a catalog")
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in (home, *home.rglob("*"))}
    assert "prod" in offered(home, "ocelog status ")
    assert "wiz_issues" in offered(home, "ocelog tables wiz_i")
    after = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in (home, *home.rglob("*"))}
    assert after == before
    (home / "lake" / "catalog.db").unlink()


def test_names_are_offered_while_the_ledger_is_in_use(home: Path) -> None:
    with opened(home) as installation:
        installation.ledger.sources.remove("id6")
        assert offered(home, "ocelog status ") == ["prod", "prod-eu", "내-Wiz"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda home: (home / "ledger.db").write_bytes(b"garbage" * 1000),
        lambda home: (home / "ledger.db").unlink(),
        lambda home: (home / "home.json").write_text("{"),
        lambda home: (home / "home.json").write_text('{"version": 1, "path": "/x", "ledger": 3}'),
        lambda home: (home / "config.yml").write_text(": : :\n- }"),
        lambda home: (home / "home.json").unlink(),
    ],
)
def test_a_damaged_home_offers_no_names_and_says_nothing(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "home"
    make(path, ledger_url=None)
    assert callable(damage)
    damage(path)
    done = asked(path, "ocelog status ")
    assert (done.stdout.strip(), done.stderr) == ("", "")
    assert "--json" in offered(path, "ocelog status --")


def test_a_server_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "home"
    make(path, ledger_url=None)
    note = (path / "home.json").read_text()
    # Reserved for documentation: nobody answers there.
    (path / "home.json").write_text(note.replace("null", '"postgresql://me:s3cret@192.0.2.1/ocelog"'))
    done = asked(path, "ocelog status ")
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_a_fault_of_ours_is_not_shown_between_a_person_and_the_prompt(home: Path) -> None:
    ocelog = Ocelog(home, _OCELOG_COMPLETE="complete_bash", COMP_WORDS="ocelog status ", COMP_CWORD="no number")
    done = ocelog(code=1)
    assert (done.out, done.err) == ("", "")


def test_a_ledger_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ledger.db")
    with pytest.raises(OSError, match="not a regular file"):
        read_source_names(f"sqlite:///{tmp_path}/ledger.db")
