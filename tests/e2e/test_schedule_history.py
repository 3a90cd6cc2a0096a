"""Rules that run on a schedule are tried on the past, and judge it again: as they would have, and each match once."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from commands import SIMULATED, Ocelog
from commands.terminal import conversation
from ocelog.app.assemble import Assembly
from ocelog.app.loops.scheduled import ScheduledLoop
from ocelog.app.loops.service import Service
from ocelog.installation.home_lock import held
from ocelog.installation.opening import opened
from ocelog.workers.threads import Stop
from wizsim.clock import Clock
from wizsim.server import Server
from wizsim.world import World

QUERY = """\
AnalysisType: scheduled_query
QueryName: Mine.{name}.Rows
Enabled: true
Query: >-
  {sql}
Schedule: {schedule}
"""
RULE = """\
AnalysisType: scheduled_rule
RuleID: Mine.{name}
Enabled: true
Severity: High
Filename: {name}.py
ScheduledQueries: [Mine.{name}.Rows]
DedupPeriodMinutes: 1440
{more}
"""
STEP = """\
AnalysisType: rule
RuleID: Mine.{name}
Enabled: true
LogTypes: [Wiz.Audit]
Severity: Info
CreateAlert: false
Detection:
  - {{Key: action, Condition: Equals, Value: {action}}}
"""
TOGETHER = """\
AnalysisType: correlation_rule
RuleID: Mine.Together
Enabled: true
Severity: High
Detection:
  - Sequence:
      - {ID: First, RuleID: Mine.First}
      - {ID: Second, RuleID: Mine.Second}
    Transitions:
      - {ID: then, From: First, To: Second, WithinTimeFrameMinutes: 60, Match: [{'On': user.id}]}
    LookbackWindowMinutes: 120
    Schedule: {RateMinutes: 60, TimeoutMinutes: 5}
"""
GRAVE = "FROM wiz_issues_current WHERE severity IN ('CRITICAL', 'HIGH')"
SQL = {
    # No upper bound: what happened after a run must not be there.
    "Counts": "SELECT count(*) AS n FROM wiz_audit WHERE action = 'Mine' AND p_event_time > now() - INTERVAL 1 DAY",
    "Grave": f"SELECT p_row_id, p_source_id, p_event_time, id, url AS wizUrl {GRAVE}",
    "Outside": "SELECT * FROM read_csv('/etc/passwd')",
    "Present": "SELECT count(*) AS n FROM wiz_audit, alerts, streams",
    "Clock": "SELECT system.main.now() AS n",
}
PYTHON = {
    "Counts": "def rule(event):\n    return event['n'] >= 3\n\n\ndef title(event):\n    return str(event['n'])\n",
    "Grave": "def rule(event):\n    return True\n\n\ndef dedup(event):\n    return event['id']\n",
}
DAILY = "{CronExpression: '0 0 * * *', TimeoutMinutes: 1}"
MATCHES = "SELECT event_row_id, alert_id FROM rule_matches WHERE rule_id = '{}'"


def midnight(days: int) -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)


def written(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def happen(world: World) -> None:
    """Let one person do something three times on the fourth day before today, and two things in order on the third."""
    entry = next(each.own for each in world.current("audit").values() if each.own.get("user"))
    deeds = [("Mine", midnight(4) + timedelta(hours=hour)) for hour in (3, 4, 5)]
    deeds += [("Uno", midnight(3) + timedelta(hours=7)), ("Due", midnight(3) + timedelta(hours=7, minutes=20))]
    for action, at in deeds:
        own = {"id": str(uuid4()), "action": action, "status": "SUCCESS", "timestamp": written(at)}
        world.put("audit", {**entry, **own})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("schedule-history")


@pytest.fixture(scope="module")
def rules(folder: Path) -> Path:
    found = folder / "rules"
    found.mkdir()
    for name, sql in SQL.items():
        (found / f"{name}_rows.yml").write_text(QUERY.format(name=name, sql=sql, schedule=DAILY))
        (found / f"{name}.yml").write_text(RULE.format(name=name, more=""))
        (found / f"{name}.py").write_text(PYTHON.get(name, "def rule(event):\n    return True\n"))
    for name, action in (("First", "Uno"), ("Second", "Due")):
        (found / f"{name}.yml").write_text(STEP.format(name=name, action=action))
    (found / "together.yml").write_text(TOGETHER)
    return found


@pytest.fixture(scope="module")
def ocelog(folder: Path, rules: Path) -> Ocelog:
    """Return a home that has read everything before it got these rules, and that runs no schedule."""
    return made(folder, rules)


def made(folder: Path, rules: Path) -> Ocelog:
    world = World(seed=4, audit=60, issues=60, findings=0, clock=Clock.wall())
    happen(world)
    with Server(world) as tenant:
        found = Ocelog(folder / "home", WIZ_SECRET=tenant.client_secret)
        found.init()
        found("rules", "disable", "Ocelog.*")
        found(
            *("source", "add", "wiz", "sim", "--token-url", tenant.token_url, "--api-url", tenant.api_url),
            *("--client-id", tenant.client_id, "--client-secret-env", "WIZ_SECRET", "--no-check"),
            *(*SIMULATED, "--backfill", "all", "--rate", "200"),
        )
        found("pull")
    found("rules", "add", str(rules), "--name", "mine")
    found("channel", "add", "file", "told", "--set", f"path={folder / 'told.jsonl'}")
    return found


def tried(ocelog: Ocelog, rule: str, *more: str, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = ocelog("rules", "try", rule, "--since", "7d", "--json", *more, code=code).json
    return found


def replayed(ocelog: Ocelog, rule: str, *more: str, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = ocelog("rules", "replay", rule, "--since", "7d", "--json", *more, code=code).json
    return found


def rows(ocelog: Ocelog, sql: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ocelog("query", "-o", "json", sql).json
    return found


def matched(ocelog: Ocelog, rule: str) -> Counter[str]:
    return Counter(each["event_row_id"] for each in rows(ocelog, MATCHES.format(rule)))


@pytest.mark.slow
def test_a_query_is_tried_at_each_time_that_it_was_due_as_of_then(ocelog: Ocelog) -> None:
    found = tried(ocelog, "Mine.Counts")
    days = {str(midnight(each).date()): {"events": 1, "matches": int(each == 3)} for each in range(7)}
    assert found["by_day"] == days, "three deeds of a day are seen by the run at its end, and by no other"
    assert (found["runs"], found["events"], found["matches"]) == (7, 7, 1)
    assert [(each["opened"], each["title"]) for each in found["first_alerts"]] == [
        (written(midnight(3)).replace(".000", ""), "3")
    ]
    assert (found["kind"], found["bounded"], found["failed_runs"]) == ("scheduled_rule", False, [])
    assert found["ms_per_run"] > 0
    shown = ocelog("rules", "try", "Mine.Counts.Rows", "--since", "7d")
    assert "Mine.Counts: 1 of 7 rows match, which Mine.Counts.Rows returns in 7 runs since" in " ".join(
        shown.out.split()
    )
    assert re.search(r"^20\d\d-\d\d-\d\d +1  ━+$", shown.out, re.MULTILINE)
    assert "ms per run" in shown.out
    assert "as it is in the lake now" in " ".join(shown.err.split())


@pytest.mark.slow
def test_a_row_of_the_lake_matches_once_whichever_run_returns_it(ocelog: Ocelog) -> None:
    found = tried(ocelog, "Mine.Grave")
    assert 0 < found["matches"] < found["events"]
    assert found["matches"] >= len(rows(ocelog, f"SELECT p_row_id {GRAVE}")) > 1
    assert found["told"] == len(found["first_alerts"]) <= found["matches"]


@pytest.mark.slow
def test_hostile_sql_fails_in_a_few_runs_and_reaches_nothing(ocelog: Ocelog) -> None:
    for name, why in (("Outside", "read_csv is not allowed"), ("Clock", "without a schema")):
        found = tried(ocelog, f"Mine.{name}", code=1)
        ((failed),) = found["failed_runs"]
        assert why in failed["why"]
        assert (failed["runs"], found["left_runs"], found["events"]) == (3, 4, 0)
        again = replayed(ocelog, f"Mine.{name}", code=1)
        assert (again["failed_runs"], again["left_runs"]) == (found["failed_runs"], 4)
        (left,) = [each for each in ocelog("rules", "unjudged", "--json").json if each["rule"] == f"Mine.{name}"]
        assert (left["table"], left["events"]) == (f"query Mine.{name}.Rows", 3)


def test_what_is_known_as_of_now_only_is_not_asked_about_the_past(ocelog: Ocelog) -> None:
    for command in ("try", "replay"):
        done = ocelog("rules", command, "Mine.Present", "--since", "7d", code=2)
        said = " ".join(done.err.split())
        assert "Mine.Present.Rows: It cannot be asked about the past: streams and alerts say" in said
    assert "Mine.Present" not in {each["rule"] for each in ocelog("rules", "unjudged", "--json").json}


@pytest.mark.slow
def test_what_was_due_is_judged_again_once_and_nobody_is_told(ocelog: Ocelog, folder: Path) -> None:
    for name in ("Counts", "Grave"):
        rule = f"Mine.{name}"
        expected = tried(ocelog, rule)["matches"]
        done = replayed(ocelog, rule)
        assert (done["new_matches"], done["told"], done["waiting"]) == (expected, 0, 0)
        assert expected > 0
        for more in ((), ("--alerts",)):
            assert replayed(ocelog, rule, *more)["new_matches"] == 0
        assert len(matched(ocelog, rule)) == matched(ocelog, rule).total() == expected
        (alert,) = [each for each in rows(ocelog, "SELECT * FROM alerts") if each["rule_id"] == rule]
        assert (alert["status"], alert["told"]) == ("CLOSED", False)
    assert not (folder / "told.jsonl").exists()


@pytest.mark.slow
def test_a_correlation_says_which_of_its_rules_have_no_matches_and_finds_those_of_the_past(ocelog: Ocelog) -> None:
    found = tried(ocelog, "Mine.Together")
    assert {each["rule"] for each in found["lacking"]} == {"Mine.First", "Mine.Second"}
    shown = " ".join(ocelog("rules", "try", "Mine.Together", "--since", "7d").err.split())
    assert "ocelog rules replay Mine.First --since 7d" in shown
    for step in ("Mine.First", "Mine.Second"):
        assert replayed(ocelog, step)["new_matches"] == 1
    found = tried(ocelog, "Mine.Together")
    assert (found["events"], found["matches"], found["told"], found["lacking"]) == (2, 1, 1, [])
    assert found["by_day"] == {str(midnight(3).date()): {"events": 2, "matches": 1}}
    assert matched(ocelog, "Mine.Together") == Counter()
    done = replayed(ocelog, "Mine.Together", "--alerts")
    assert (done["new_matches"], done["told"], done["events"]) == (1, 1, 2)
    assert replayed(ocelog, "Mine.Together")["new_matches"] == 0
    assert matched(ocelog, "Mine.Together").total() == 1


def run_at(times: list[datetime]) -> None:
    """Let the loop of schedules look at these times."""
    with opened() as installation, held(installation.home, "a test"):
        service = Service(assembly=Assembly(installation=installation, told=lambda _, __: None), stop=Stop())
        (loop,) = [each for each in service.loops if isinstance(each, ScheduledLoop)]
        for at in times:
            loop.now = lambda at=at: at  # type: ignore[misc]
            loop.run()
        loop.finish()


def test_what_the_loop_has_run_is_not_found_again_and_what_it_will_run_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (rules := tmp_path / "rules").mkdir()
    # A row that says what time it is has no other like it: what a run says is known by when it was due.
    sql = "SELECT count(*) AS n, now() AS at FROM wiz_audit"
    past = written(datetime.now(UTC) - timedelta(hours=1))
    fresh = f"SELECT p_row_id, p_source_id, p_event_time FROM wiz_issues WHERE now() < '{past}'::TIMESTAMPTZ"  # noqa: S608 - ours
    for name, text in (("Late", sql), ("Fresh", fresh)):
        (rules / f"{name}_rows.yml").write_text(QUERY.format(name=name, sql=text, schedule="{RateMinutes: 60}"))
        (rules / f"{name}.yml").write_text(RULE.format(name=name, more=""))
        (rules / f"{name}.py").write_text("def rule(event):\n    return True\n")
    ocelog = made(tmp_path, rules)
    for name in ("OCELOG_HOME", "WIZ_SECRET"):
        monkeypatch.setenv(name, ocelog.environment[name])
    at = datetime.now(UTC).replace(minute=30) - timedelta(hours=6)
    run_at([at + timedelta(hours=hour) for hour in range(4)])
    at += timedelta(hours=3)
    ran = matched(ocelog, "Mine.Late")
    assert ran.total() == 3
    since = ("--since", written(at - timedelta(hours=5)))
    done = ocelog("rules", "replay", "Mine.Late", *since, "--alerts", "--json").json
    assert (done["runs"], done["new_matches"]) == (5, 2), "two runs were due before the loop began"
    assert done["waiting"] == 3
    assert ran.items() <= matched(ocelog, "Mine.Late").items()
    # What was read since the loop's last run may be news that it has not told of yet.
    quiet = ocelog("rules", "replay", "Mine.Fresh", *since, "--json").json
    assert (quiet["events"], quiet["new_matches"]) == (0, 0)
    assert quiet["read_by"] == written(at.replace(minute=0, second=0, microsecond=0) - timedelta(minutes=5))[:19] + "Z"
    assert ocelog("rules", "replay", "Mine.Fresh", *since, "--alerts", "--json").json["new_matches"] > 0
    # What ran by a schedule that was changed since is known by that one, before the loop has seen the change and after.
    (rules / "Late_rows.yml").write_text(
        QUERY.format(name="Late", sql=sql, schedule="{CronExpression: '20 * * * *', TimeoutMinutes: 1}")
    )
    for landed in (0, 1, 1):
        again = ocelog("rules", "replay", "Mine.Late", *since, "--alerts", "--json").json
        assert (again["runs"], again["new_matches"]) == (5 + landed, 0)
        assert matched(ocelog, "Mine.Late").total() == 5 + landed
        run_at([at + timedelta(minutes=1)])


@pytest.mark.slow
@pytest.mark.whole_processes
def test_ctrl_c_ends_a_trial_between_runs(ocelog: Ocelog) -> None:
    with conversation(ocelog, "rules", "try", "Mine.Grave", "--since", "3000d") as typed:
        typed.until("of 500")
        assert typed.interrupt() == 130
