"""`kill -9` at random instants: each version is judged once, and people hear of each alert that it opens."""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import SIMULATED, Ocelog
from commands.amid import kill_after
from wizsim.clock import Clock
from wizsim.server import Server
from wizsim.world import World

KILLS = int(os.environ.get("OCELOG_KILLS", "4"))
OPEN = """\
AnalysisType: rule
RuleID: Mine.Open
Enabled: true
LogTypes: [Wiz.Issues]
Severity: HIGH
AlertLivesWithRecord: true
AlertTitle: "Issue {id}"
Detection:
  - {Key: status, Condition: IsIn, Values: [OPEN, IN_PROGRESS]}
"""
EACH = """\
AnalysisType: rule
RuleID: Mine.Each
Enabled: true
Filename: each.py
LogTypes: [Wiz.Audit, Wiz.Issues]
Severity: LOW
DedupPeriodMinutes: 15
"""
EACH_PYTHON = """\
def rule(event):
    return event.get("id", "")[-1:] < "8"


def title(event):
    return "one"


def dedup(event):
    return event.get("id")[-1:]
"""


@pytest.fixture
def tenant() -> Iterator[Server]:
    world = World(seed=12, audit=200, issues=150, findings=50, rate=10, late=0.1, clock=Clock.wall())
    with Server(world, latency=0.002) as server:
        yield server


def test_each_match_and_each_alert_is_there_once_however_often_the_process_is_killed(
    tmp_path: Path, tenant: Server
) -> None:
    rng = random.Random(6 + int(os.environ.get("OCELOG_FIRST_SEED", "0")))
    rules, told = tmp_path / "rules", tmp_path / "told.jsonl"
    rules.mkdir()
    (rules / "open.yml").write_text(OPEN)
    (rules / "each.yml").write_text(EACH)
    (rules / "each.py").write_text(EACH_PYTHON)
    ocelog = Ocelog(tmp_path / "home", WIZ_SECRET=tenant.client_secret)
    ocelog.init()
    ocelog("rules", "add", str(rules), "--name", "mine")
    ocelog("rules", "disable", "Ocelog.*")
    ocelog("channel", "add", "file", "told", "--set", f"path={told}")
    ocelog(
        *("source", "add", "wiz", "sim", "--token-url", tenant.token_url, "--api-url", tenant.api_url),
        *("--client-id", tenant.client_id, "--client-secret-env", "WIZ_SECRET"),
        *(*SIMULATED, "--backfill", "all", "--rate", "100", "--page-size", "15", "--poll", "1s"),
    )
    killed_at_work = 0
    for _ in range(10 * KILLS):
        if killed_at_work == KILLS:
            break
        killed, _running = kill_after(ocelog, rng.randrange(0, 12), "pull" if rng.random() < 0.5 else "run")
        killed_at_work += killed
    assert killed_at_work == KILLS
    ocelog("pull")
    check(ocelog, told)


def check(ocelog: Ocelog, told: Path) -> None:
    """Raise unless matches, alerts and deliveries are what the lake's rows ask for."""
    expected = rows(
        ocelog,
        "SELECT p_row_id, 'Mine.Open' AS rule FROM wiz_issues WHERE status IN ('OPEN', 'IN_PROGRESS') UNION ALL "
        "SELECT p_row_id, 'Mine.Each' FROM all_logs SEMI JOIN (SELECT id, p_row_id FROM wiz_issues UNION ALL "
        "SELECT id, p_row_id FROM wiz_audit) e ON e.p_row_id = all_logs.p_row_id AND right(e.id, 1) < '8'",
    )
    found = rows(ocelog, "SELECT event_row_id AS p_row_id, rule_id AS rule FROM rule_matches")
    assert len(found) == len({tuple(each.values()) for each in found}), "a match is there twice"
    assert {tuple(each.values()) for each in found} == {tuple(each.values()) for each in expected}
    orphans = rows(ocelog, "SELECT * FROM rule_matches ANTI JOIN alerts ON alerts.alert_id = rule_matches.alert_id")
    assert orphans == []
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    heard = {line["alertId"] for line in lines}
    assert len({(line["key"], line["alertId"]) for line in lines}) == len({line["key"] for line in lines})
    must = {each["alert_id"] for each in rows(ocelog, "SELECT alert_id FROM alerts WHERE told")}
    assert heard == must, f"{len(must - heard)} alerts were told to nobody, {len(heard - must)} should not have been"
    assert len(heard) > 1, "nothing was told: the test shows nothing"


def rows(ocelog: Ocelog, sql: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = ocelog("query", "-o", "json", sql).json
    return found
