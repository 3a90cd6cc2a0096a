"""`kill -9` at steps of a replay, and of a run that asks a scheduled query and tells of it: nothing is doubled."""

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from commands import Ocelog, simulator
from commands.killed import can_be_killed, kill_throughout

OFTEN = int(os.environ.get("OCELOG_KILLS", "4")) > 4
"""Whether a command is killed at each of its steps, and not at some."""
LOGINS = """\
AnalysisType: rule
RuleID: Mine.Logins
Enabled: true
Filename: logins.py
LogTypes: [Wiz.Audit]
Severity: High
"""
LOGINS_PYTHON = """\
def rule(event):
    return event.get("action") == "Login"


def dedup(event):
    return event.deep_get("user", "name") or ""
"""
OPEN = """\
AnalysisType: rule
RuleID: Mine.Open
Enabled: true
LogTypes: [Wiz.Issues]
Severity: High
AlertLivesWithRecord: true
Detection:
  - {Key: status, Condition: IsIn, Values: [OPEN, IN_PROGRESS]}
"""
GRAVE = "FROM wiz_issues_current WHERE severity IN ('CRITICAL', 'HIGH')"
QUERY = f"""\
AnalysisType: scheduled_query
QueryName: Mine.Grave.Rows
Enabled: true
Query: SELECT p_row_id, p_source_id, p_event_time, id {GRAVE}
Schedule: {{RateMinutes: 60, TimeoutMinutes: 1}}
"""
GRAVE_RULE = """\
AnalysisType: scheduled_rule
RuleID: Mine.Grave
Enabled: true
Severity: High
Filename: grave.py
ScheduledQueries: [Mine.Grave.Rows]
"""
GRAVE_PYTHON = """\
def rule(event):
    return True


def title(event):
    return event.get("id")
"""
DAYS = """\
AnalysisType: scheduled_query
QueryName: Mine.Days.Rows
Enabled: true
Query: SELECT count(*) AS n FROM wiz_issues
Schedule: {CronExpression: '0 0 * * *', TimeoutMinutes: 1}
"""
DAYS_RULE = GRAVE_RULE.replace("Mine.Grave", "Mine.Days").replace("grave.py", "days.py")
DAYS_PYTHON = """\
def rule(event):
    return True


def dedup(event):
    return str(event["n"])
"""
BOTH = """\
AnalysisType: correlation_rule
RuleID: Mine.Both
Enabled: true
Severity: High
Detection:
  - Group:
      - {ID: Login, RuleID: Mine.Logins}
      - {ID: Days, RuleID: Mine.Days}
    LookbackWindowMinutes: 1440
    Schedule: {RateMinutes: 60, TimeoutMinutes: 5}
"""
HOURS_AGO = "UPDATE schedules SET fired_us = fired_us - 7200000000 WHERE name = 'query Mine.Grave.Rows'"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("killed")


@pytest.fixture(scope="module")
def ocelog(folder: Path) -> Iterator[Ocelog]:
    """Return a home that has pulled everything, and then got a channel and rules that look at events."""
    found = Ocelog(folder / "home")
    if not can_be_killed(found):
        pytest.skip("commands are not forks here")
    found.init()
    found("rules", "disable", "Ocelog.*")
    with simulator("--audit", "120", "--issues", "40", "--findings", "0") as tenant:
        found.add(tenant, "prod", "--backfill", "30d")
        found("pull")
        found("channel", "add", "file", "told", "--set", f"path={folder / 'told.jsonl'}")
        registered(found, folder / "history", logins__yml=LOGINS, logins__py=LOGINS_PYTHON, open__yml=OPEN)
        yield found


def registered(ocelog: Ocelog, folder: Path, **files: str) -> None:
    folder.mkdir()
    for name, text in files.items():
        path = folder / name.replace("__", ".")
        path.write_text(text)
    ocelog("rules", "add", str(folder), "--name", folder.name)


def rows(ocelog: Ocelog, sql: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ocelog("query", "-o", "json", sql).json
    return found


def matched(ocelog: Ocelog, rule: str) -> Counter[str]:
    found = rows(ocelog, f"SELECT event_row_id, alert_id FROM rule_matches WHERE rule_id = '{rule}'")  # noqa: S608 - ours
    (strays,) = rows(ocelog, "SELECT count(*) AS n FROM rule_matches ANTI JOIN alerts USING (alert_id)")
    assert strays["n"] == 0
    return Counter(each["event_row_id"] for each in found)


def check_told(ocelog: Ocelog, told: Path) -> list[dict[str, Any]]:
    """Raise unless people heard of each alert, and of nothing twice but under one key; return what they heard."""
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    by_key = {line["key"]: line["alertId"] for line in lines}
    assert all(by_key[line["key"]] == line["alertId"] for line in lines)
    assert Counter(by_key.values()) == Counter(
        each["alert_id"] for each in rows(ocelog, "SELECT alert_id FROM alerts WHERE told")
    )
    # Of what was under way at a kill nobody knows; it was sent again.
    lost = "it is not known whether it was sent"
    failed = rows(ocelog, "SELECT answer FROM deliveries WHERE NOT delivered")
    assert [each for each in failed if not each["answer"].startswith(lost)] == []
    return lines


@pytest.mark.slow
def test_a_replay_that_is_killed_is_run_again_and_doubles_nothing(ocelog: Ocelog, folder: Path) -> None:
    for rule in ("Mine.Logins", "Mine.Open"):
        command = ("rules", "replay", rule, "--since", "2000d", "--alerts")
        assert kill_throughout(ocelog, *command, often=OFTEN) > 1
    ocelog("pull")
    for rule, truth in (
        ("Mine.Logins", "SELECT p_row_id FROM wiz_audit WHERE action = 'Login'"),
        ("Mine.Open", "SELECT p_row_id FROM wiz_issues WHERE status IN ('OPEN', 'IN_PROGRESS')"),
    ):
        assert matched(ocelog, rule) == Counter(each["p_row_id"] for each in rows(ocelog, truth))
    (users,) = rows(ocelog, "SELECT count(DISTINCT coalesce(user.name, '')) AS n FROM wiz_audit WHERE action = 'Login'")
    told = Counter(each["rule_id"] for each in rows(ocelog, "SELECT rule_id FROM alerts WHERE told"))
    assert told["Mine.Logins"] == users["n"] > 1
    assert told["Mine.Open"] == matched(ocelog, "Mine.Open").total() > 1
    check_told(ocelog, folder / "told.jsonl")


def test_a_replay_of_a_schedule_that_is_killed_is_run_again_and_doubles_nothing(ocelog: Ocelog, folder: Path) -> None:
    files = {"rows__yml": DAYS, "days__yml": DAYS_RULE, "days__py": DAYS_PYTHON, "both__yml": BOTH}
    registered(ocelog, folder / "schedules", **files)
    ocelog("rules", "replay", "Mine.Logins", "--since", "2000d", "--alerts")
    for rule in ("Mine.Days", "Mine.Both"):
        expected = ocelog("rules", "try", rule, "--since", "4d", "--json").json
        assert kill_throughout(ocelog, "rules", "replay", rule, "--since", "4d", "--alerts", often=OFTEN) > 1
        assert sum(matched(ocelog, rule).values()) == len(matched(ocelog, rule)) == expected["matches"] > 0
        told = Counter(each["rule_id"] for each in rows(ocelog, "SELECT rule_id FROM alerts WHERE told"))
        assert told[rule] > 0
    ocelog("pull")
    check_told(ocelog, folder / "told.jsonl")


@pytest.mark.slow
def test_a_scheduled_query_whose_run_is_killed_is_asked_once_and_told_of(ocelog: Ocelog, folder: Path) -> None:
    files = {"rows__yml": QUERY, "grave__yml": GRAVE_RULE, "grave__py": GRAVE_PYTHON}
    registered(ocelog, folder / "scheduled", **files)
    ocelog("pull")
    assert matched(ocelog, "Mine.Grave") == Counter()
    with closing(sqlite3.connect(ocelog.home / "ledger.db")) as ledger, ledger:
        assert ledger.execute(HOURS_AGO).rowcount == 1
    assert kill_throughout(ocelog, "pull", often=OFTEN) > 2
    truth = Counter(each["p_row_id"] for each in rows(ocelog, f"SELECT p_row_id {GRAVE}"))
    assert matched(ocelog, "Mine.Grave") == truth
    assert len(truth) > 1
    heard = check_told(ocelog, folder / "told.jsonl")
    assert {each["alertId"] for each in heard if each["id"] == "Mine.Grave"} == {
        each["alert_id"] for each in rows(ocelog, "SELECT alert_id FROM rule_matches WHERE rule_id = 'Mine.Grave'")
    }
