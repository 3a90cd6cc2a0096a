"""`ocelog pull`, `publish` and `status`: what is read, how it ends, and what is said about it."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import Ocelog, Simulated, simulator

SMALL = ("--audit", "20", "--issues", "10", "--findings", "30")


@pytest.fixture(scope="module")
def tenant() -> Iterator[Simulated]:
    with simulator(*SMALL) as found:
        yield found


@pytest.fixture
def ocelog(tmp_path: Path) -> Ocelog:
    made = Ocelog(tmp_path / "home")
    made.init_unjudged()
    return made


@pytest.mark.slow
def test_pulling_reads_everything_publishes_it_and_a_second_time_finds_nothing_new(
    ocelog: Ocelog, tenant: Simulated
) -> None:
    ocelog.add(tenant, "prod", "--backfill", "all")
    first = ocelog("pull", "--json").json
    assert (first["exit"], first["left"]) == (0, 0)
    found = {stream["log_type"]: stream["new"] for stream in first["streams"]}
    assert found == {"Wiz.Audit": 20, "Wiz.Issues": 10, "Wiz.VulnerabilityFinding": 30}
    assert sum(stream["new"] for stream in ocelog("pull", "--json").json["streams"]) == 0
    assert ocelog.count("all_logs") == 60

    stand = ocelog("status", "--json").json
    assert stand["running"] is None
    assert [stream["state"] for stream in stand["streams"]] == ["live"] * 3
    assert {stream["unpublished"]["parts"] for stream in stand["streams"]} == {0}
    assert all(stream["complete_through"].endswith("Z") for stream in stand["streams"])
    assert all(stream["lag_seconds"] < 300 for stream in stand["streams"])
    published = {info["table"]: info for info in ocelog("lake", "--json").json}
    assert published["wiz_issues"]["rows"] == 10
    assert "Nothing is running" in ocelog("status").out


def test_each_landing_is_a_log_line_where_no_terminal_is(ocelog: Ocelog, tenant: Simulated) -> None:
    ocelog.add(tenant, "prod", "--log-type", "audit")
    err = ocelog("pull").err
    landed = [line for line in err.splitlines() if '"event": "landed"' in line]
    assert landed
    for each in ("request_id", "log_type", "slice", "rows", "source"):
        assert f'"{each}"' in landed[0]


@pytest.mark.slow
def test_only_the_chosen_source_log_type_and_stretch_is_read(ocelog: Ocelog, tenant: Simulated) -> None:
    ocelog.add(tenant, "one")
    ocelog.add(tenant, "two", "--anyway")
    ocelog("pull", "--source", "two", "--log-type", "audit", "--since", "2d")
    few = ocelog.count("wiz_audit")
    assert ocelog.count("wiz_issues") == 0
    assert ocelog.count("wiz_audit WHERE p_source_label = 'two' AND p_event_time > now() - INTERVAL 2 DAY") == few > 0
    ocelog("pull", "--source", "two", "--log-type", "audit")
    assert ocelog.count("wiz_audit") > few
    assert ocelog.count("wiz_audit WHERE p_source_label = 'one'") == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--since", "2026-01-01T00:00:00"], "has no time zone"),
        (["--until", "2d"], "--until needs --since"),
        (["--since", "1d", "--until", "2d"], "must lie before"),
        (["--log-type", "finding"], "did you mean 'findings'?"),
        (["--source", "produ"], "did you mean 'prod'?"),
    ],
)
def test_a_wrong_choice_is_refused(ocelog: Ocelog, tenant: Simulated, arguments: list[str], says: str) -> None:
    ocelog.add(tenant, "prod", "--no-check")
    assert says in ocelog("pull", *arguments, code=2).err


def test_without_a_source_or_a_home_it_says_what_comes_first(tmp_path: Path) -> None:
    nowhere = Ocelog(tmp_path / "nowhere")
    assert "run `ocelog init`" in nowhere("pull", code=2).err
    nowhere("init")
    assert "ocelog source add" in nowhere("pull", code=2).err


@pytest.mark.slow
def test_a_tenant_that_is_away_means_try_later_and_costs_nothing(ocelog: Ocelog) -> None:
    with simulator(*SMALL) as tenant:
        ocelog.add(tenant, "prod", "--log-type", "audit", "--log-type", "issues")
        ocelog("pull")
    rows = ocelog.count("all_logs")
    away = ocelog("pull", code=3)
    assert "SourceUnavailableError" in away.err
    stand = ocelog("status", "--json", code=None).json
    assert {stream["state"] for stream in stand["streams"]} == {"retrying"}
    assert ocelog.count("all_logs") == rows


@pytest.mark.slow
def test_a_log_type_that_is_refused_does_not_stop_the_others(ocelog: Ocelog) -> None:
    with simulator(*SMALL, "--scopes", "read:resources,read:issues,read:vulnerabilities") as tenant:
        ocelog.add(tenant, "prod", "--no-check")
        refused = ocelog("pull", code=2)
        assert "admin:audit" in refused.err
        assert refused.out.splitlines()[0].split() == ["source", "log_type", "new", "repeats", "rejections"]
        again = ocelog("pull", "--json", code=2).json["streams"]
        assert [stream["error_code"] for stream in again] == ["scope_missing", None, None]
        assert ocelog.count("wiz_audit") == 0
        assert ocelog.count("wiz_issues") > 0
        assert ocelog.count("wiz_vulnerability_finding") > 0
        stand = ocelog("status", "--json", code=1).json
        states = {stream["log_type"]: stream["state"] for stream in stand["streams"]}
        assert states == {"Wiz.Audit": "broken", "Wiz.Issues": "live", "Wiz.VulnerabilityFinding": "live"}
        (audit,) = (stream for stream in stand["streams"] if stream["log_type"] == "Wiz.Audit")
        assert "admin:audit" in audit["error"]
        assert audit["todo"]
        assert "admin:audit" in ocelog("status", code=1).out


@pytest.mark.slow
def test_a_short_trouble_is_sat_out(ocelog: Ocelog) -> None:
    with simulator(*SMALL, "--fault", "server-error:1:type=issues:times=2") as tenant:
        ocelog.add(tenant, "prod", "--no-check", "--log-type", "issues", "--backfill", "all")
        ocelog("pull")
        assert ocelog.count("wiz_issues") == 10
        assert {stream["error"] for stream in ocelog("status", "--json").json["streams"]} == {None}


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["token-lapsed", "unauthorized"])
def test_tokens_that_are_refused_every_now_and_then_cost_nothing(ocelog: Ocelog, fault: str) -> None:
    with simulator(*SMALL, "--fault", f"{fault}:0.3") as tenant:
        several = ("--log-type", "audit", "--log-type", "findings", "--backfill", "all")
        ocelog.add(tenant, "prod", "--no-check", *several, "--rate", "200", "--page-size", "5")
        pulled = ocelog("pull", "--json").json
        found = {stream["log_type"]: stream["new"] for stream in pulled["streams"]}
        assert found == {"Wiz.Audit": 20, "Wiz.VulnerabilityFinding": 30}


@pytest.mark.slow
def test_findings_that_share_an_instant_are_all_found_with_few_answers(ocelog: Ocelog, tmp_path: Path) -> None:
    truth = tmp_path / "truth"
    with simulator(
        *("--audit", "0", "--issues", "0", "--findings", "150", "--ties", "0.98", "--truth", str(truth))
    ) as tenant:
        ocelog.add(tenant, "prod", "--no-check", "--log-type", "findings", "--backfill", "all", "--page-size", "20")
        pulled = ocelog("pull", "--json").json
    assert (pulled["left"], pulled["lacking"]) == (0, 0)
    assert ocelog("status", "--json", code=None).json["streams"][0]["short"] == []
    assert ocelog.count("wiz_vulnerability_finding") == 150
    assert sum('"kind":"answer"' in line for line in truth.read_text().splitlines()) < 200


@pytest.mark.slow
def test_records_that_do_not_fit_are_kept_and_shown(ocelog: Ocelog) -> None:
    with simulator(*SMALL, "--fault", "odd-record:1:type=issues:kind=wrong-type") as tenant:
        ocelog.add(tenant, "prod", "--no-check", "--log-type", "issues", "--backfill", "all")
        pulled = ocelog("pull", "--json").json
        (issues,) = (stream for stream in pulled["streams"] if stream["log_type"] == "Wiz.Issues")
        assert issues["rejections"] > 0
        assert f"{issues['rejections']} records did not fit" in ocelog("status", code=0).out
        found = ocelog("rejections", "--json").json
        assert len(found) == issues["rejections"]
        assert all(each["record"] and each["expected"] and each["found"] for each in found)
        assert "rows" in ocelog("rejections").err
        again = ocelog("rejections", "--replay", "--json").json
        assert [(each["tried"], each["events"], each["still_rejected"]) for each in again] == [
            (len(found), 0, len(found))
        ]
        assert ocelog.count("rejections") == len(found)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_within_five_seconds_although_an_answer_takes_longer(ocelog: Ocelog, number: signal.Signals) -> None:
    with simulator(*SMALL, "--fault", "slow-body:1:seconds=40:type=issues") as tenant:
        ocelog.add(tenant, "prod", "--no-check", "--log-type", "issues", "--log-type", "audit")
        process = ocelog.start("pull")
        assert process.stderr is not None
        while '"landed"' not in (line := process.stderr.readline()) or '"rows": 0' in line:
            assert process.poll() is None
        process.send_signal(number)
        began = time.monotonic()
        out, err = process.communicate(timeout=30)
        assert time.monotonic() - began < 5
        assert process.returncode == 3, err
        assert "Stopped" in err
        assert "Wiz.Audit" in out
        assert ocelog.count("wiz_audit") > 0


@pytest.mark.slow
def test_publishing_is_a_command_of_its_own(ocelog: Ocelog, tenant: Simulated) -> None:
    ocelog.add(tenant)
    process = ocelog.start("pull")
    assert process.stderr is not None
    while '"landed"' not in (line := process.stderr.readline()) or '"rows": 0' in line:
        assert process.poll() is None
    process.kill()
    process.communicate()
    waiting = ocelog("lake", "--json").json
    assert sum(info["waiting_rows"] for info in waiting) > 0
    before = ocelog.count("all_logs")
    published = ocelog("publish", "--json").json
    assert sum(each["parts"] for each in published) > 0
    assert {info["waiting_rows"] for info in ocelog("lake", "--json").json} == {0}
    assert ocelog.count("all_logs") == before
