"""A source's whole life at the command line."""

import re
import socket
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from commands import Ocelog, Simulated, simulator
from commands.kept import Kept
from commands.terminal import conversation
from ocelog.app.sources import sources
from ocelog.cli import main
from ocelog.installation.home import open_home
from ocelog.installation.home_lock import held
from ocelog.installation.making import make
from ocelog.installation.opening import opened
from ocelog.secrets.secret import Secret
from ocelog.sources.wiz.settings import from_mapping


@pytest.fixture(scope="module")
def tenant() -> Iterator[Simulated]:
    with simulator("--audit", "40", "--issues", "15", "--findings", "20") as found:
        yield found


@pytest.fixture
def ocelog(tmp_path: Path) -> Ocelog:
    made = Ocelog(tmp_path / "home")
    made.init_unjudged()
    return made


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, tenant: Simulated) -> Kept:
    made = Ocelog(tmp_path_factory.mktemp("sources") / "home")
    made.init_unjudged()
    made.add(tenant)
    made("pull")
    return Kept(made)


@pytest.fixture
def pulled(once: Kept) -> Ocelog:
    """Put back a home whose source `prod` was pulled."""
    return once.again()


def test_while_a_service_runs_nobody_is_told_to_pull(ocelog: Ocelog, tenant: Simulated) -> None:
    assert ocelog.add(tenant, "first", "--no-check", "--project", "a").out.endswith("Next: ocelog pull\n")
    home = open_home(ocelog.home)
    with held(home, "ocelog pull"):
        assert ocelog.add(tenant, "second", "--no-check", "--anyway").out.endswith("Next: ocelog pull\n")
    with held(home, "ocelog run"):
        assert "ocelog pull" not in ocelog("init").out
        added = ocelog.add(tenant, "third", "--no-check", "--anyway", "--log-type", "issues").out
        assert added.endswith("The service begins to read it within seconds. Next: ocelog status third\n")
        changed = ocelog("source", "edit", "first", "--no-project", "--no-check", "--anyway").err
        assert "too (stop the service first): ocelog pull --since 30d" in " ".join(changed.split())


@pytest.mark.slow
def test_a_source_of_any_name_is_added_shown_and_listed_without_its_secret(ocelog: Ocelog, tenant: Simulated) -> None:
    added = ocelog.add(tenant, "내 Wiz 로그", "--backfill", "90d", "--poll", "120s", "--page-size", "100")
    assert "ok    token" in added.err
    shown = ocelog("source", "show", "내 Wiz 로그", "--json").json
    assert (shown["backfill"], shown["poll"], shown["page_size"], shown["sweep"]) == ("90d", "2m", 100, True)
    assert shown["log_types"] == ["Wiz.Audit", "Wiz.Issues", "Wiz.VulnerabilityFinding"]
    (listed,) = ocelog("source", "list", "--json").json
    assert (listed["name"], listed["id"]) == ("내 Wiz 로그", shown["id"])
    assert ocelog("source", "show", shown["id"]).out
    everything = added.out + added.err + ocelog("source", "show", "내 Wiz 로그").out + str(shown) + str(listed)
    assert tenant.client_secret not in everything
    assert tenant.client_secret.encode() not in (ocelog.home / "ledger.db").read_bytes()


def test_a_wrong_secret_saves_nothing_and_says_what_to_do(ocelog: Ocelog, tenant: Simulated) -> None:
    arguments = ["source", "add", "wiz", "prod", *tenant.options, "--client-secret-file", "-"]
    refused = ocelog(*arguments, stdin="wrong-s3cret", code=2)
    assert "FAIL  token" in refused.err
    assert "source rotate" not in refused.err
    assert "Nothing was saved" in refused.err
    assert "wrong-s3cret" not in refused.err
    assert ocelog("source", "list", "--json").json == []
    ocelog(*arguments, "--no-check", stdin="wrong-s3cret")
    checked = ocelog("source", "check", "prod", "--json", code=2).json
    assert [(item["name"], item["state"]) for item in checked] == [("token", "fail")]
    assert "ocelog source rotate prod\n" in ocelog("source", "check", "prod", code=2).err
    assert checked[0]["todo"]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["add", "edit", "check"])
def test_a_check_tells_what_it_knows_before_it_ends_and_what_stopping_it_means(
    ocelog: Ocelog, tenant: Simulated, tmp_path: Path, command: str
) -> None:
    (tmp_path / "secret").write_text(tenant.client_secret)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_url = f"http://127.0.0.1:{silent.getsockname()[1]}/graphql"
        options = [*tenant.options, "--client-secret-file", str(tmp_path / "secret")]
        options[options.index("--api-url") + 1] = silent_url
        arguments = {
            "add": ["add", "wiz", "prod", *options],
            "edit": ["edit", "prod", "--api-url", silent_url],
            "check": ["check", "prod"],
        }[command]
        if command != "add":
            ocelog("source", "add", "wiz", "prod", *options, "--no-check")
        with conversation(ocelog, "source", *arguments) as person:
            person.until("Trying the account")
            person.until("ok    token")
            assert person.interrupt() == 130
    meaning = {"add": "Nothing was saved;", "edit": "Nothing was changed", "check": ""}[command]
    assert meaning in person.shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["wiz"], "Missing: wiz NAME, --token-url, --client-id"),
        (["wix", "prod"], "no kind of source 'wix'; did you mean 'wiz'?"),
        (["prod"], "no kind of source 'prod'. If that is its name, run: ocelog source add wiz prod"),
        (["wizz"], "no kind of source 'wizz'; did you mean 'wiz'?"),
        (["wiz", "prod", "--token-url", "cognito", "--client-id", "x"], "no terminal to ask for the client secret"),
        (["wiz", "prod", "--token-ulr", "cognito"], "There is no option --token-ulr; did you mean '--token-url'?"),
        (["wiz", "a\nb", "--token-url", "cognito", "--client-id", "x"], "name is one line"),
        (["wiz", "prod", "--token-url", "cognto", "--client-id", "x"], "did you mean 'cognito'?"),
        (["wiz", "prod", "--token-url", "vendor", "--client-id", "x"], "not 'vendor'."),
        (["wiz", "prod", "--token-url", "cognito", "--client-id", "x", "--log-type", "issue"], "did you mean 'issues'"),
        (
            ["wiz", "prod", "--token-url", "cognito", "--client-id", "x", "--backfill", "long"],
            "--backfill: invalid duration 'long'",
        ),
        (["wiz", "prod", "--token-url", "cognito", "--client-id", "x", "--project", ""], "give --no-project"),
        (["wiz", "prod", "--token-url", "http://x.example/t", "--client-id", "x"], "must begin with https://"),
        (["wiz", "prod", "--client-secret-ref", "vault:x"], "file:PATH or env:VARIABLE"),
        (["wiz", "prod", "--client-secret-file", "a", "--client-secret-env", "B"], "one way only"),
        (["wiz", "prod", "--client-secret-file", "/nowhere/at/all"], "cannot be read: No such file"),
    ],
)
def test_what_does_not_hold_is_refused_in_words(
    tmp_path: Path,
    arguments: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OCELOG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("sys.stdin", StringIO())
    make(tmp_path / "home", ledger_url=None)
    with pytest.raises(SystemExit) as ended:
        main(["source", "add", *arguments])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_a_prompt_that_nobody_answers_needs_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCELOG_HOME", str(tmp_path / "home"))
    make(tmp_path / "home", ledger_url=None)
    monkeypatch.setattr("ocelog.cli.source_change.somebody_is_there", lambda: True)
    monkeypatch.setattr("sys.stdin", StringIO())
    with pytest.raises(SystemExit) as ended:
        main(["source", "add"])
    assert ended.value.code == 2
    assert "Nothing was saved." in capsys.readouterr().err


def test_a_second_source_of_the_name_is_refused(ocelog: Ocelog, tenant: Simulated) -> None:
    ocelog.add(tenant, "prod", "--no-check")
    assert "There is a source 'prod' already" in ocelog.add(tenant, "prod", code=2).err
    assert "did you mean 'prod'" in ocelog("source", "show", "prd", code=2).err


def test_the_audit_log_and_projects_are_said_not_to_go_together(ocelog: Ocelog, tenant: Simulated) -> None:
    both = ocelog.add(tenant, "prod", "--project", "p1", "--no-check")
    assert "audit log cannot be limited to projects" in both.err
    one = ocelog.add(tenant, "less", "--project", "p1", "--log-type", "issues", "--no-check", "--anyway")
    assert "audit log" not in one.err


@pytest.mark.slow
def test_rotating_proves_the_new_secret_before_the_old_one_goes(pulled: Ocelog, tenant: Simulated) -> None:
    refused = pulled("source", "rotate", "prod", "--client-secret-file", "-", stdin="wrong-s3cret", code=2)
    assert "The old secret stays" in refused.err
    pulled("source", "check", "prod")
    pulled("source", "rotate", "prod", "--client-secret-file", "-", stdin=tenant.client_secret)
    rows = pulled.count("wiz_issues")
    pulled("pull")
    assert pulled.count("wiz_issues") == rows


@pytest.mark.slow
def test_a_referenced_secret_is_read_anew_each_time(tmp_path: Path, tenant: Simulated) -> None:
    file = tmp_path / "secret"
    file.write_text(tenant.client_secret)
    ocelog = Ocelog(tmp_path / "home", WIZ_SECRET=tenant.client_secret)
    ocelog.init_unjudged()
    options = (*tenant.options, "--rate", "1000", "--anyway")
    ocelog("source", "add", "wiz", "by-file", *options, "--client-secret-ref", f"file:{file}")
    ocelog("source", "add", "wiz", "by-variable", *options, "--client-secret-ref", "env:WIZ_SECRET")
    ocelog("source", "add", "wiz", "copied", *options, "--client-secret-env", "WIZ_SECRET")
    kept = [
        ocelog("source", "show", name, "--json").json["client_secret"] for name in ("by-file", "by-variable", "copied")
    ]
    assert kept == [f"file:{file}", "env:WIZ_SECRET", "copied in, encrypted"]
    file.write_text("rotated elsewhere")
    elsewhere = Ocelog(tmp_path / "home", WIZ_SECRET="rotated elsewhere")
    assert elsewhere("source", "check", "by-file", code=2)
    assert elsewhere("source", "check", "by-variable", code=2)
    assert elsewhere("source", "check", "copied")


def test_editing_keeps_what_is_not_named(ocelog: Ocelog, tenant: Simulated) -> None:
    ocelog.add(tenant, "prod", "--poll", "1m")
    ocelog("source", "edit", "prod", "--log-type", "issues", "--backfill", "all", "--no-sweep", "--project", "p1")
    shown = ocelog("source", "show", "prod", "--json").json
    assert (shown["log_types"], shown["backfill"], shown["sweep"]) == (["Wiz.Issues"], "all", False)
    assert (shown["poll"], shown["rate"], shown["projects"]) == ("1m", 1000.0, ["p1"])
    ocelog("source", "edit", "prod", "--no-project", "--sweep")
    shown = ocelog("source", "show", "prod", "--json").json
    assert (shown["projects"], shown["sweep"], shown["log_types"]) == ([], True, ["Wiz.Issues"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rate", "nan"], "The rate must be from 0.01 to 1000 requests per second, not nan."),
        (["--rate", "inf"], "from 0.01 to 1000 requests per second, not inf."),
        (["--rate", "0"], "from 0.01 to 1000 requests per second, not 0."),
        (["--rate=-1"], "from 0.01 to 1000 requests per second, not -1."),
        (["--page-size", "501"], "The page size must be from 1 to 500 records, not 501."),
        (["--page-size", "0"], "from 1 to 500 records, not 0."),
        (["--poll", "0"], "--poll: invalid duration '0'"),
        (["--poll", "0s"], "--poll 0s: choose something from 1s to 1d."),
        (["--no-events-after", "10m"], "--no-events-after: '10m' is not between 15m and 30d."),
        (["--no-events-after", "audti=6h"], "There is no log type"),
        (["--no-events-repeat", "often"], "--no-events-repeat: invalid duration 'often'"),
        (["--no-events-quiet-hours", "22:00-07:00 Europe/Berlim"], "did you mean 'Europe/Berlin'?"),
        (["--project", " "], "give --no-project"),
        ([], "No change was given"),
    ],
)
def test_an_edit_to_what_cannot_be_says_what_can(
    tmp_path: Path,
    arguments: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = make(tmp_path / "home", ledger_url=None).home.path
    settings = from_mapping({"token_url": "cognito", "client_id": "x"})
    with opened(place) as installation:
        sources.add(installation, sources.row_of("prod", settings, {}), sources.GivenSecret(value=Secret("x")))
    monkeypatch.setenv("OCELOG_HOME", str(place))
    with pytest.raises(SystemExit) as ended:
        main(["source", "edit", "prod", *arguments])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_the_no_events_alarm_is_set_for_all_log_types_or_for_one(ocelog: Ocelog, tenant: Simulated) -> None:
    ocelog.add(tenant, "prod", "--no-events-after", "6h", "--no-events-after", "audit=off")

    def shown() -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = ocelog("source", "show", "prod", "--json").json["no_events"]
        return found

    assert {name: each["after"] for name, each in shown().items()} == {
        "Wiz.Audit": "off",
        "Wiz.Issues": "6h",
        "Wiz.VulnerabilityFinding": "6h",
    }
    quiet = ["--no-events-quiet-hours", "22:00-07:00 Europe/Berlin", "--no-events-even-if-quiet"]
    ocelog("source", "edit", "prod", "--no-events-repeat", "issues=1d", *quiet)
    assert shown()["Wiz.Issues"] == {
        "after": "6h",
        "repeat": "1d",
        "quiet_hours": "22:00-07:00 Europe/Berlin",
        "even_if_quiet": True,
    }
    ocelog("source", "edit", "prod", "--no-events-after", "audit=default", "--no-events-after", "default")
    assert {each["after"] for each in shown().values()} == {"1d"}
    assert shown()["Wiz.Audit"]["repeat"] == "off"


def test_an_edit_that_would_break_the_source_changes_nothing(ocelog: Ocelog, tenant: Simulated) -> None:
    ocelog.add(tenant)
    assert "Nothing was changed" in ocelog("source", "edit", "prod", "--client-id", "nobody", code=2).err
    assert ocelog("source", "show", "prod", "--json").json["client_id"] == tenant.client_id


@pytest.mark.slow
def test_a_paused_source_is_not_read_and_goes_on_where_it_stopped(ocelog: Ocelog, tenant: Simulated) -> None:
    ocelog.add(tenant, "prod", "--log-type", "audit")
    ocelog("source", "pause", "prod")
    assert "paused" in ocelog("pull", code=2).err
    assert {stream["state"] for stream in ocelog("status", "--json").json["streams"]} == {"paused"}
    ocelog("source", "resume", "prod")
    ocelog("pull")
    assert ocelog.count("wiz_audit") > 0


@pytest.mark.slow
def test_a_removed_source_keeps_its_rows_and_resumes_without_doubles(pulled: Ocelog, tenant: Simulated) -> None:
    rows = pulled.count("all_logs")
    assert "its rows stay" in pulled("source", "remove", "prod").out
    assert pulled("source", "list", "--json").json == []
    assert pulled.count("all_logs") == rows
    assert "again (id" in pulled.add(tenant).out
    again = pulled("pull", "--json").json
    assert sum(stream["new"] for stream in again["streams"]) == 0
    assert pulled.count("all_logs") == rows


def test_a_source_is_removed_at_a_terminal_only_after_a_yes(ocelog: Ocelog, tenant: Simulated) -> None:
    ocelog.add(tenant, "prod", "--no-check")
    for answer, code in (("", 2), ("y", 0)):
        with conversation(ocelog, "source", "remove", "prod") as person:
            person.until("Remove the source 'prod', with its client secret? Its rows stay. [y/N]:")
            person.type(answer)
            assert person.ended() == code
            assert "error code" not in person.shown, "nothing is wrong"
        assert len(ocelog("source", "list", "--json").json) == (code == 2)
    ocelog.add(tenant, "prod", "--no-check")
    with conversation(ocelog, "source", "remove", "prod", "--yes") as person:
        assert person.ended() == 0


def test_an_error_ends_with_its_code_on_a_terminal_alone(ocelog: Ocelog) -> None:
    with conversation(ocelog, "source", "show", "nobody") as person:
        assert person.ended() == 2
    assert person.shown.splitlines() == [
        "ocelog: There is no source 'nobody'. See: ocelog source list",
        "    (error code: config_invalid)",
    ]
    assert "error code" not in ocelog("source", "show", "nobody", code=2).err


def test_every_setting_that_no_option_gives_is_explained_where_it_is_shown(ocelog: Ocelog, tenant: Simulated) -> None:
    ocelog.add(tenant, "prod", "--no-check")
    shown, known = ocelog("source", "show", "prod").out, ocelog("source", "edit", "--help").out
    for setting in from_mapping({"token_url": "cognito", "client_id": "x"}).to_mapping():
        flag = f"--{setting.removesuffix('s') if setting in ('projects', 'log_types') else setting}".replace("_", "-")
        assert re.search(rf"^{setting}: [A-Z].*\.$", shown, re.MULTILINE) or flag in known, setting


def test_another_tenant_does_not_take_up_a_removed_one(ocelog: Ocelog, tenant: Simulated) -> None:
    ocelog.add(tenant)
    ocelog("source", "remove", "prod")
    other = [option.replace("127.0.0.1", "localhost") for option in tenant.options]
    refused = ocelog(
        *("source", "add", "wiz", "prod", *other, "--client-secret-file", "-", "--no-check"), stdin="x", code=2
    )
    assert "read another tenant" in refused.err


@pytest.mark.slow
def test_a_source_is_not_moved_to_another_tenant_once_it_was_read(ocelog: Ocelog, tenant: Simulated) -> None:
    ocelog.add(tenant, "prod", "--log-type", "audit")
    other = tenant.api_url.replace("127.0.0.1", "localhost")
    ocelog("source", "edit", "prod", "--api-url", other, "--no-check")
    ocelog("source", "edit", "prod", "--api-url", tenant.api_url)
    ocelog("pull")
    refused = ocelog("source", "edit", "prod", "--api-url", other, "--no-check", code=2).err
    assert "as a source of its own" in refused
    assert "keeps its rows" in refused
    assert ocelog("source", "show", "prod", "--json").json["api_url"] == tenant.api_url
    ocelog("source", "edit", "prod", "--api-url", tenant.api_url.replace("http://", "HTTP://") + "/", "--no-check")


@pytest.mark.slow
def test_purging_asks_first_then_leaves_no_row_behind(ocelog: Ocelog, tenant: Simulated) -> None:
    audit_alone = ("--log-type", "audit", "--anyway")
    ocelog.add(tenant, "prod", *audit_alone)
    ocelog.add(tenant, "twin", *audit_alone)
    ocelog("pull")
    rows = ocelog.count("all_logs")
    assert "Nothing was deleted" in ocelog("source", "remove", "prod", "--purge", stdin="n\n", code=2).err
    assert "add --yes" in ocelog("source", "remove", "prod", "--purge", code=2).err
    for question, command in (("[y/N]:", ("remove", "prod", "--purge")), ("New client secret:", ("rotate", "prod"))):
        with conversation(ocelog, "source", *command) as person:
            person.until(question)
            assert person.interrupt() == 2
            assert re.search(r"ocelog: Nothing was (deleted|changed): you stopped at the question\.", person.shown)
    ocelog("source", "remove", "prod", "--purge", "--yes")
    assert ocelog.count("all_logs") == rows // 2
    assert ocelog.count("all_logs WHERE p_source_id = 'prod'") == 0
    ocelog.add(tenant, "prod", *audit_alone)
    ocelog("pull")
    assert ocelog.count("all_logs") == rows


@pytest.mark.slow
def test_a_lost_key_means_entering_the_secret_again_and_no_lost_data(pulled: Ocelog, tenant: Simulated) -> None:
    rows = pulled.count("all_logs")
    (pulled.home / "key").unlink()
    lost = pulled("pull", code=2)
    remarks = [line for line in lost.err.splitlines() if not line.startswith("{")]
    assert sum("ocelog init" in line for line in remarks) == 1, "once for all streams"
    assert pulled.count("all_logs") == rows
    assert "enter each secret again. Run:\n    ocelog source rotate prod\n" in pulled("init").err
    assert "another key" in pulled("source", "check", "prod", code=2).err
    pulled("source", "rotate", "prod", "--client-secret-file", "-", stdin=tenant.client_secret)
    pulled("pull")
    assert pulled.count("all_logs") == rows


@pytest.mark.slow
def test_widening_the_backfill_reads_only_what_is_missing(ocelog: Ocelog, tenant: Simulated) -> None:
    ocelog.add(tenant, "prod", "--backfill", "3d", "--log-type", "audit")
    ocelog("pull")
    few = ocelog.count("wiz_audit")
    ocelog("source", "edit", "prod", "--backfill", "all")
    (stream,) = ocelog("pull", "--json").json["streams"]
    assert stream["new"] == ocelog.count("wiz_audit") - few > 0
    assert stream["repeats"] <= few / 2


def test_a_tenant_under_a_second_name_needs_insisting(ocelog: Ocelog, tenant: Simulated) -> None:
    ocelog.add(tenant)
    assert "'prod' reads this tenant" in ocelog.add(tenant, "again", "--no-check", code=2).err
    ocelog.add(tenant, "again", "--no-check", "--anyway")
    assert [row["name"] for row in ocelog("source", "list", "--json").json] == ["prod", "again"]
    assert "'again' reads this tenant" in ocelog("source", "edit", "prod", "--log-type", "issues", code=2).err
    ocelog("source", "edit", "prod", "--poll", "1m")
