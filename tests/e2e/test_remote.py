"""A remote Ocelog, asked over HTTP: each command prints what it prints beside the home."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commands import Done, Ocelog, fork_server
from ocelog.access import Role, Scope
from ocelog.app.users import users
from ocelog.cli.place import REMOTE
from ocelog.console import serving
from receivers.tls import certified
from visiting import HERE, Console, console_of
from visiting.everything import RULE, SECRET, fill, nothing_is_asked

NOW = re.compile(r"\b\d+(?:[smhd]|ms)( \d+[smhd])?\b|\d{4}-\d\d-\d\dT[\d:.]+Z|Cost: .*|[\d.]+ [GMT]B|\d{9,}")
"""What differs from one moment to the next."""


@dataclass(frozen=True)
class Both:
    """The same home, beside it and from elsewhere."""

    console: Console
    link: str
    near: Ocelog
    far: Ocelog

    def token(self, role: Role, scope: Scope) -> str:
        installation = self.console.installation
        user = users.find(installation, f"{role.value}@example.com")
        name = f"token {len(users.tokens(installation, of=None))}"
        return users.add_token(installation, user, name, scope, by=user, origin=HERE)[1].reveal()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("elsewhere")
    home = folder / "home"
    with pytest.MonkeyPatch.context() as patch, console_of(home) as console:
        nothing_is_asked(patch)
        fill(console)
        how = serving.plan(console.installation.settings, serving.ServingOptions(listen="127.0.0.1:0"))
        assert how is not None
        with serving.served(console.installation, how, lambda: 0.0) as link:
            found = Both(console, link, Ocelog(home), Ocelog(folder / "nothing", OCELOG_URL=link))
            found.far.environment["OCELOG_TOKEN"] = found.token(Role.ADMIN, Scope.ADMIN)
            yield found


def said(done: Done) -> tuple[int, str, str]:
    return done.code, NOW.sub("-", done.out), NOW.sub("-", done.err)


@pytest.mark.slow
@pytest.mark.parametrize(
    "typed",
    [
        "status prod --json --max-lag 30d", "status prod",
        "query SELECT~1~AS~a,~'수'~AS~b,~now()::DATE~AS~c,~[1,2]~AS~d -o table",
        "query SELECT~range~AS~n~FROM~range(250) -o table",
        "query SELECT~*~EXCLUDE~(p_observed_at)~FROM~wiz_issues_current~ORDER~BY~id -o json",
        "query SELECT~'infinity'::TIMESTAMP~AS~t,~TIME~'24:00:00'~AS~u -o ndjson",
        "query SELECT~nothing~FROM~wiz_issues",
        "source list", "source show prod --json", "source show nobody",
        "alerts list", "alerts list --severity high --all",
        "alerts list --sort severity --all", "alerts list --sort last-match --limit 2", "alerts list --sort luck",
        "alerts list --severity hihg", "alerts list --after 00000000000000000000000000000005",
        "alerts show 00000000000000000000000000000003 --json",
        "alerts show ffff", "alerts close --rule * --reason benign --dry-run --json",
        "alerts suppressions --json",
        "rules list", f"rules show {RULE} --json",
        f"rules try {RULE} --json", "rules unjudged",
        "channel list", "channel show ops", "channel test ops --json",
        "rejections --json", "coverage", "tables", "tables nothing",
        "schema list --json", "schema show issues --json", "user list --json",
    ],
)  # fmt: skip
def test_a_command_prints_from_elsewhere_what_it_prints_beside_the_home(both: Both, typed: str) -> None:
    arguments = [each.replace("~", " ") for each in typed.split()]
    assert said(both.far(*arguments, code=None)) == said(both.near(*arguments, code=None))


def test_every_command_that_may_be_asked_elsewhere_is_compared_or_changes_something() -> None:
    changing = {
        *("source check", "source pause", "source resume", "rules enable", "rules disable"),
        *("source add", "source edit", "source rotate", "source remove"),
        *("channel add", "channel edit", "channel remove"),
        *("alerts assign", "alerts comment", "alerts triage", "alerts reopen", "alerts resend"),
        *("alerts suppress", "alerts mute", "alerts unsuppress", "channel pause", "channel resume", "channel resend"),
    }
    marks = test_a_command_prints_from_elsewhere_what_it_prints_beside_the_home.pytestmark  # type: ignore[attr-defined]
    compared = {typed for mark in marks if mark.name == "parametrize" for typed in mark.args[1]}
    every = {f"{name} {each}".strip() for name, below in REMOTE.items() for each in below or {""}}
    assert {each for each in every - changing if not any(one.startswith(each) for one in compared)} == set()


ALERT = "00000000000000000000000000000006"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "undone"),
    [
        ("source pause spare", "source resume spare"),
        ("source check prod", ""),
        ("channel resend ops", ""),
        ("channel pause spare", "channel resume spare"),
        (f"rules disable {RULE}", f"rules enable {RULE}"),
        (f"alerts assign {ALERT} --to ann", f"alerts assign {ALERT} --nobody"),
        (f"alerts close {ALERT} --reason benign", f"alerts reopen {ALERT}"),
        (f"alerts comment {ALERT} ffff -m seen", ""),
        (f"alerts resend {ALERT} --channel ops", ""),
        ("alerts close --rule * --reason benign --yes --json", "alerts reopen --rule * --yes"),
    ],
)  # fmt: skip
def test_a_command_changes_elsewhere_what_it_changes_beside_the_home(both: Both, typed: str, undone: str) -> None:
    told = list[Any]()
    for ocelog in (both.near, both.far):
        for each in filter(None, (typed, undone)):
            if not each.startswith("source check") or ocelog is both.far:
                told.append(said(ocelog(*each.split(), code=None)))
    if typed.startswith("source check"):
        begins = "Trying the account; an answer may take up to a minute ...\n"
        assert told == [(0, "ok    token: A token was given.\n", begins)]
    else:
        half = len(told) // 2
        assert told[half:] == told[:half]


NEW = "--token-url cognito --client-id other --api-url https://api.us1.app.wiz.io/graphql"


@pytest.mark.slow
def test_a_source_is_added_changed_and_removed_from_elsewhere(both: Both, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    handed = ("--client-secret-file", str(secret))
    added = both.far("source", "add", "wiz", "far away", *NEW.split(), "--backfill", "3d", "--no-events-after",
                     "audit=6h", "--log-type", "audit", *handed)  # fmt: skip
    (source_id,) = re.findall(r"^Added 'far away' \(id ([a-z0-9-]+)\)\.$", added.out, re.MULTILINE)
    shown = both.near("source", "show", source_id, "--json").json
    assert (shown["client_id"], shown["backfill"]) == ("other", "3d")
    assert {log_type: alarm["after"] for log_type, alarm in shown["no_events"].items()} == {"Wiz.Audit": "6h"}
    edited = both.far("source", "edit", "far away", "--poll", "1m", "--no-events-after", "off", "--no-sweep")
    assert edited.out == "Changed 'far away'.\n"
    shown = both.near("source", "show", source_id, "--json").json
    assert (shown["poll"], shown["sweep"], shown["client_id"]) == ("1m", False, "other")
    assert shown["no_events"]["Wiz.Audit"]["after"] == "6h"
    rotated = both.far("source", "rotate", "far away", "--client-id", "newer", *handed)
    assert rotated.out == "'far away' has its new secret. Now revoke the old one in Wiz.\n"
    shown = both.near("source", "show", source_id, "--json").json
    assert shown["client_id"] == "newer"
    assert both.far("source", "remove", "far away").out.startswith("Removed 'far away'; its rows stay.")
    assert source_id not in both.near("source", "list").out


def test_what_a_source_cannot_take_from_elsewhere_is_refused(both: Both, tmp_path: Path) -> None:
    def refused(*typed: str) -> str:
        return both.far(*typed, code=2).err.replace("\n", " ")

    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    handed = ("--client-secret-file", str(secret))
    twin = NEW.replace("other", "client-of-prod").split()
    assert "the machine of the home" in refused("source", "rotate", "prod", "--client-secret-ref", f"file:{secret}")
    assert "the machine of the home" in refused("source", "edit", "prod", "--ca-file", str(secret))
    assert "the machine of the home" in refused("source", "remove", "prod", "--purge")
    assert "'prod'" in refused("source", "add", "wiz", "twin", *twin, *handed)
    assert both.far("source", "add", "wiz", "twin", *twin, *handed, "--anyway", "--no-check").code == 0
    assert both.far("source", "remove", "twin").code == 0
    assert "takes the client secret, too" in refused("source", "edit", "prod", "--api-url", "eu1")
    assert "No change was given" in refused("source", "edit", "prod")
    assert "Missing" in refused("source", "add", "wiz", "nothing")


@pytest.mark.slow
def test_a_channel_is_added_changed_and_removed_from_elsewhere(both: Both, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("https://example.com/hush")
    told = list[Any]()
    for ocelog in (both.near, both.far):
        added = ocelog("channel", "add", "webhook", "far hook", "--severity",
                       "high+", "--quiet-hours", "22:00-07:00 Asia/Seoul", "--per-hour", "9",
                       "--secret-file", f"url={secret}")  # fmt: skip
        (channel_id,) = re.findall(r"^Added 'far hook' \(id ([a-z0-9-]+)\)\.$", added.out, re.MULTILINE)
        shown = both.near("channel", "show", channel_id, "--json").json
        ocelog("channel", "edit", "far hook", "--name", "farther", "--per-hour", "off", "--escalate-after", "30m",
               "--quiet-hours", "off", "--critical-waits", "--secret-file", f"signing_key={secret}")  # fmt: skip
        edited = both.near("channel", "show", channel_id, "--json").json
        removed = ocelog("channel", "remove", "farther").out
        told.append([{**each, "id": None} for each in (shown, edited)] + [removed])
    assert told[1] == told[0]
    assert told[0][0]["severities"] == ["HIGH", "CRITICAL"]
    assert (told[0][1]["per_hour"], told[0][1]["escalate_after"]) == (None, "30m")
    assert "only by a command" in both.far("channel", "add", "file", "x", "--set", "path=/x", code=2).err.replace(
        "\n", " "
    )


def test_the_timeline_says_whose_token_it_was(both: Both) -> None:
    alert = "00000000000000000000000000000007"
    both.far("alerts", "comment", alert, "-m", "seen from elsewhere")
    (shown,) = both.near("alerts", "show", alert, "--json").json
    assert shown["timeline"][-1]["who"] == "admin@example.com"
    assert both.far("alerts", "assign", alert).out.split()[-4:].count("admin@example.com") == 1
    refused = both.far("alerts", "comment", alert, "-m", "x", "--as", "somebody", code=2)
    assert "the token says who you are" in refused.err


def test_alerts_are_kept_quiet_from_elsewhere(both: Both) -> None:
    made = both.far("alerts", "suppress", "Acme.*", "--reason", "a test", "--for", "4h", "--json").json
    assert made["id"] in both.near("alerts", "suppressions", "--json").out
    assert both.far("alerts", "suppressions", "--json").out == both.near("alerts", "suppressions", "--json").out
    assert both.far("alerts", "unsuppress", made["id"]).out == f"{made['id']}: ended.\n"
    assert both.far("alerts", "unsuppress", made["id"]).out == f"{made['id']}: it was over already.\n"
    muted = both.far("alerts", "mute", "--source", "prod", "--reason", "moving", "--for", "1h").out
    assert "source=prod: nobody is told until" in muted


def test_parquet_from_elsewhere_holds_the_same(both: Both, tmp_path: Path) -> None:
    found = list[pa.Table]()
    for name, ocelog in (("near", both.near), ("far", both.far)):
        file = tmp_path / name
        file.touch()
        typed = ("query", "SELECT id, severity, p_event_time FROM wiz_issues_current ORDER BY id", "-o", "parquet")
        process = fork_server().start(typed, environment=ocelog.environment, onto=str(file))
        process.communicate(timeout=60)
        assert process.returncode == 0
        found.append(pq.read_table(file))
    assert found[0].num_rows == 30
    assert found[0].equals(found[1], check_metadata=True)


def test_what_needs_the_home_says_so_and_what_needs_none_works(both: Both, tmp_path: Path) -> None:
    for typed in ("pull", "init", "sql", "backup x", "config", "rules add x", "user add x"):
        refused = both.far(*typed.split(), code=2)
        assert "works only on the machine of the home" in refused.err, typed
    assert "user list" in both.far("user", "add", "x", code=2).err
    # Also if the address stands where it does not belong: no advice that ends in another refusal.
    for command in (("add", "x"), ("password", "x"), ("token", "add", "x")):
        said = both.near("user", *command, "--url", both.link, code=2).err
        assert "run it there" in said
        assert "the page Users of its console" in said
        assert "before the command" not in said
    assert "ocelog --url ... user list." in both.near("user", "list", "--url", both.link, code=2).err
    assert "--measure works only" in both.far("coverage", "--measure", code=2).err
    assert both.far("source", "edit", "--help").out
    assert both.far("rules", "new", "Acme.X", "--in", str(tmp_path)).out.startswith("Wrote ")
    assert not both.far.home.exists()


def test_a_token_says_what_it_may_and_errors_say_what_to_do(both: Both, tmp_path: Path) -> None:
    def asked(*typed: str, code: int = 2, **environment: str) -> str:
        far = Ocelog(tmp_path / "home", OCELOG_URL=both.link, **environment)
        return far(*typed, code=code).err

    reading = both.token(Role.ADMIN, Scope.READ)
    assert "does not let this token" in asked("source", "pause", "prod", OCELOG_TOKEN=reading)
    assert "--scope admin" in asked("source", "pause", "prod", OCELOG_TOKEN=reading)
    assert "--scope triage" in asked("alerts", "triage", ALERT, OCELOG_TOKEN=reading)
    assert "There is no token" in asked("status")
    assert "refuses the token" in asked("status", OCELOG_TOKEN="ocelog_" + "x" * 43)
    (tmp_path / "token").write_text(f"{reading}\n")
    far = Ocelog(tmp_path / "home")
    assert far("--url", both.link, "--token-file", str(tmp_path / "token"), "source", "list", "--json").json
    assert far(f"--url={both.link}/api/v1/", "--token-file", "-", "source", "list", stdin=reading).out
    assert "before the command" in far("source", "list", "--url", both.link, code=2).err
    assert "give --url, too" in far("--token-file", "x", "status", code=2).err
    assert reading not in asked("status", OCELOG_TOKEN=reading + "x")


def test_a_shell_is_offered_no_names_of_this_machine_for_another(both: Both) -> None:
    both.near("source", "list")
    for words, offered in (("ocelog source show ", True), (f"ocelog --url {both.link} source show ", False)):
        environment = {
            "_OCELOG_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split())),
        }
        near = Ocelog(both.near.home, **environment)
        assert ("prod" in near(code=None).out) is offered, words


def test_a_certificate_must_be_trusted(both: Both, tmp_path: Path) -> None:
    authority, _ = certified(tmp_path, "localhost")
    pem = tmp_path / "server.pem"
    wanted = serving.ServingOptions(listen="127.0.0.1:0", tls_cert=pem, tls_key=pem)
    how = serving.plan(both.console.installation.settings, wanted)
    assert how is not None
    with serving.served(both.console.installation, how, lambda: 0.0) as link:
        url = link.replace("127.0.0.1", "localhost")
        token = both.far.environment["OCELOG_TOKEN"]
        far = Ocelog(tmp_path / "home", OCELOG_URL=url, OCELOG_TOKEN=token)
        assert "SSL_CERT_FILE" in far("source", "list", code=2).err
        trusting = Ocelog(tmp_path / "home", OCELOG_URL=url, OCELOG_TOKEN=token, SSL_CERT_FILE=str(authority))
        assert trusting("source", "list", "--json").json == both.near("source", "list", "--json").json
    assert "cannot be reached" in trusting("source", "list", code=3).err
