"""A rule that is turned on late: what is so already is known, and people hear of what changes from then on."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from commands import Ocelog
from commands.killed import can_be_killed, kill_throughout
from wizsim.clock import Clock
from wizsim.server import Server
from wizsim.world import World

RULE = """\
AnalysisType: rule
RuleID: Mine.Open
Enabled: false
LogTypes: [Wiz.Issues]
Severity: HIGH
AlertLivesWithRecord: true
AlertTitle: "Issue {id}"
DynamicSeverities:
  - ChangeTo: CRITICAL
    Conditions:
      - {Key: severity, Condition: Equals, Value: CRITICAL}
Detection:
  - {Key: status, Condition: IsIn, Values: [OPEN, IN_PROGRESS]}
"""


@pytest.fixture
def tenant() -> Iterator[Server]:
    with Server(World(seed=4, audit=0, issues=30, findings=0, clock=Clock.wall())) as server:
        yield server


def installed(tmp_path: Path, tenant: Server) -> tuple[Ocelog, Path]:
    """Return an installation with one rule, and the file in which it tells."""
    rules, told = tmp_path / "rules", tmp_path / "told.jsonl"
    rules.mkdir()
    told.touch()
    (rules / "open.yml").write_text(RULE)
    ocelog = Ocelog(tmp_path / "home", WIZ_SECRET=tenant.client_secret)
    ocelog.init()
    ocelog("rules", "disable", "Ocelog.*")
    ocelog("rules", "add", str(rules), "--name", "mine")
    ocelog("channel", "add", "file", "told", "--set", f"path={told}")
    ocelog(
        *("source", "add", "wiz", "sim", "--token-url", tenant.token_url, "--api-url", tenant.api_url),
        *("--client-id", tenant.client_id, "--client-secret-env", "WIZ_SECRET"),
        *("--log-type", "issues", "--backfill", "all", "--rate", "100", "--poll", "1s"),
    )
    return ocelog, told


def alerts(ocelog: Ocelog) -> dict[str, str]:
    with closing(sqlite3.connect(ocelog.home / "ledger.db")) as ledger:
        return dict(ledger.execute("SELECT record_id, status FROM alerts WHERE rule_id = 'Mine.Open'"))


def alert_of(ocelog: Ocelog, record_id: str) -> str:
    with closing(sqlite3.connect(ocelog.home / "ledger.db")) as ledger:
        found = "SELECT id FROM alerts WHERE rule_id = 'Mine.Open' AND record_id = ?"
        return str(ledger.execute(found, (record_id,)).fetchone()[0])


def test_a_rule_that_is_turned_on_tells_of_changes_and_not_of_what_is_so(tmp_path: Path, tenant: Server) -> None:
    ocelog, told = installed(tmp_path, tenant)

    def changed(*ids: str, **fields: str) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for id_ in ids:
            tenant.world.change("issues", id_, statusChangedAt=at, updatedAt=at, **fields)

    ocelog("pull")
    issues = tenant.world.current("issues").items()
    opened = sorted(id_ for id_, each in issues if each.own["status"] in {"OPEN", "IN_PROGRESS"})
    worse, ended, other, *_ = opened
    ocelog("rules", "enable", "Mine.Open")
    changed(worse, severity="CRITICAL")
    changed(ended, status="RESOLVED")
    changed(other, status="IN_PROGRESS")
    if can_be_killed(ocelog):
        assert kill_throughout(ocelog, "pull") > 1
    ocelog("pull")
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    # One that is killed as it has told may tell again.
    heard = {(each["event"], each["title"]) for each in lines if each["id"] == "Mine.Open"}
    assert heard == {("escalated", f"Issue {worse}")}, "people heard of what was so already"
    assert alerts(ocelog) == dict.fromkeys(opened, "OPEN") | {ended: "RESOLVED"}


def test_alerts_come_back_with_their_rule_also_if_nothing_lands(tmp_path: Path, tenant: Server) -> None:
    ocelog, _ = installed(tmp_path, tenant)
    ocelog("pull")
    ocelog("rules", "enable", "Mine.Open")
    ocelog("pull")
    opened = alerts(ocelog)
    assert opened
    assert set(opened.values()) == {"OPEN"}
    ocelog("rules", "disable", "Mine.Open")
    ocelog("pull")
    assert alerts(ocelog) == dict.fromkeys(opened, "RESOLVED")
    ocelog("rules", "enable", "Mine.Open")
    ocelog("pull")
    assert alerts(ocelog) == opened


def test_what_ends_while_no_rules_judge_ends_its_alert_once_they_do(tmp_path: Path, tenant: Server) -> None:
    ocelog, _ = installed(tmp_path, tenant)
    ocelog("rules", "enable", "Mine.Open")
    ocelog("pull")
    ended, closed, *_ = sorted(alerts(ocelog))
    ocelog("alerts", "close", alert_of(ocelog, closed), "--reason", "benign")
    opened = alerts(ocelog)

    def changed(*ids: str, status: str) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for id_ in ids:
            tenant.world.change("issues", id_, statusChangedAt=at, updatedAt=at, status=status)

    changed(ended, closed, status="RESOLVED")
    settings = ocelog.home / "config.yml"
    settings.write_text("detections: no\n")
    ocelog("pull")
    assert alerts(ocelog) == opened
    settings.unlink()
    ocelog("pull")
    # Nobody hears that what a person closed is over. It opens again with its record.
    assert alerts(ocelog) == opened | dict.fromkeys((ended, closed), "RESOLVED")
    changed(closed, status="OPEN")
    ocelog("pull")
    assert alerts(ocelog) == opened | {ended: "RESOLVED", closed: "OPEN"}


def test_a_source_that_was_read_without_rules_is_summed_up_once_they_judge(tmp_path: Path, tenant: Server) -> None:
    ocelog, told = installed(tmp_path, tenant)
    ocelog("rules", "enable", "Mine.Open")
    settings = ocelog.home / "config.yml"
    settings.write_text("detections: no\n")
    ocelog("pull")
    settings.unlink()
    ocelog("pull")
    opened = alerts(ocelog)
    assert opened
    heard = [json.loads(line)["title"] for line in told.read_text().splitlines()]
    assert heard == [f"sim is read: {len(opened)} open records that rules look for were there already"]
