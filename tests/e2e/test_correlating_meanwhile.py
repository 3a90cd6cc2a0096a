"""What happens while a correlation rule runs: a source is purged, or one of its steps judges the past."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from commands import SIMULATED, Ocelog
from ocelog.app.assemble import Assembly
from ocelog.app.loops.correlating import Correlator
from ocelog.app.loops.scheduled import ScheduledLoop
from ocelog.app.loops.service import Service
from ocelog.app.rules.rule_replay import replay_rule
from ocelog.app.sources import sources
from ocelog.app.sources.purge import purge
from ocelog.installation.home_lock import held
from ocelog.installation.opening import Installation, opened
from ocelog.ledger import tables
from ocelog.workers.threads import Stop
from wizsim.clock import Clock
from wizsim.server import Server
from wizsim.world import World

pytestmark = pytest.mark.slow
STEP = """\
AnalysisType: rule
RuleID: Mine.{name}
Enabled: true
LogTypes: [Wiz.Audit]
Severity: Info
CreateAlert: false
Detection:
  - {{Key: p_source_label, Condition: Equals, Value: {source}}}
  - {{Key: action, Condition: Equals, Value: {action}}}
"""
TOGETHER = """\
AnalysisType: correlation_rule
RuleID: Mine.{name}
Enabled: true
Severity: High
Detection:
  - Sequence:
      - {{ID: First, RuleID: Mine.{first}}}
      - {{ID: Second, RuleID: Mine.{second}}}
    Transitions:
      - ID: then
        From: First
        To: Second
        WithinTimeFrameMinutes: 1440
        Match: [{{'On': user.id}}]
    LookbackWindowMinutes: 1440
    Schedule: {{RateMinutes: 2, TimeoutMinutes: 1}}
"""
RULES = {"Mine.Across", "Mine.Kept"}


@dataclass
class Home:
    """Two sources that show the same, and the loop that correlates what they show."""

    ocelog: Ocelog
    installation: Installation
    loop: ScheduledLoop
    at: datetime

    def after(self, minutes: float) -> None:
        self.at += timedelta(minutes=minutes)
        self.loop.run()

    def to_tell(self) -> list[tuple[str, str]]:
        """Return of which alerts what waits to be told."""
        with self.installation.ledger._database.read() as tx:
            return [(row.alert_id, row.happened) for row in tx.execute(tables.outbox.select())]

    def rows(self, sql: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ocelog("query", "-o", "json", sql).json
        return found

    def matches(self, *rules: str) -> list[dict[str, Any]]:
        return [each for each in self.rows("SELECT * FROM rule_matches") if each["rule_id"] in rules]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    rules = tmp_path / "rules"
    rules.mkdir()
    for name, source, action in (("First", "gone", "Begin"), ("Second", "kept", "End"), ("Third", "kept", "Begin")):
        (rules / f"{name}.yml").write_text(STEP.format(name=name, source=source, action=action))
    for name, first in (("Across", "First"), ("Kept", "Third")):
        (rules / f"{name}.yml").write_text(TOGETHER.format(name=name, first=first, second="Second"))
    world = World(seed=4, audit=20, issues=0, findings=0, clock=Clock.wall())
    with Server(world) as tenant:
        ocelog = Ocelog(tmp_path / "home", WIZ_SECRET=tenant.client_secret)
        ocelog.init()
        ocelog("rules", "add", str(rules), "--name", "mine")
        ocelog("rules", "disable", "Ocelog.*", "Mine.Third")
        ocelog("channel", "add", "file", "told", "--set", f"path={tmp_path / 'told.jsonl'}")
        for source in ("gone", "kept"):
            ocelog(
                *("source", "add", "wiz", source, "--token-url", tenant.token_url, "--api-url", tenant.api_url),
                *("--client-id", tenant.client_id, "--client-secret-env", "WIZ_SECRET", "--no-check", "--anyway"),
                *(*SIMULATED, "--log-type", "audit", "--backfill", "all", "--rate", "200"),
            )
        ocelog("pull")
        entry = next(each.own for each in world.current("audit").values() if each.own.get("user"))
        now = datetime.now(UTC)
        for action, at in (("Begin", now - timedelta(milliseconds=2)), ("End", now)):
            when = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            world.put("audit", {**entry, "id": str(uuid4()), "action": action, "timestamp": when})
        ocelog("pull")
        for name in ("OCELOG_HOME", "WIZ_SECRET"):
            monkeypatch.setenv(name, ocelog.environment[name])
        with opened() as installation, held(installation.home, "a test"):
            service = Service(assembly=Assembly(installation=installation, told=lambda _, __: None), stop=Stop())
            (loop,) = [each for each in service.loops if isinstance(each, ScheduledLoop)]
            found = Home(ocelog, installation, loop, datetime.now(UTC))
            loop.now = lambda: found.at
            installation.loops_run = True
            yield found
            loop.finish()


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> list[int]:
    """Let something happen once, when the first run has found what it will land; return how much each run found."""
    find, found = Correlator.find, list[int]()

    def find_and_wait(self: Correlator, rule: Any, *given: Any, **more: Any) -> Any:
        answer = find(self, rule, *given, **more)
        if not found:
            happens()
        found.append(len(answer[0].matches))
        return answer

    monkeypatch.setattr(Correlator, "find", find_and_wait)
    return found


def test_nothing_of_a_source_that_is_purged_meanwhile_is_landed_or_told(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    purged = {each["p_row_id"] for each in home.matches("Mine.First")}
    assert purged
    found = meanwhile(monkeypatch, lambda: purge(home.installation, sources.find(home.installation, "gone")))
    home.ocelog("rules", "disable", "Mine.Kept")
    home.after(3)
    assert found == [1], "it had found what it must not land, of which the last is of the source that stays"
    for _ in range(2):
        home.after(3)
    assert found[1:] == [0, 0]
    assert home.matches(*RULES, "Mine.First") == []
    assert len(home.matches("Mine.Second")) > 0
    assert home.to_tell() == []
    known = {str(row) for table in ("rule_matches", "alerts", "alert_events") for row in home.rows(f"FROM {table}")}
    assert not [row for row in known for name in purged if name in row]


def test_what_a_step_finds_in_the_past_meanwhile_is_correlated_once(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replay() -> None:
        home.ocelog("rules", "enable", "Mine.Third")
        now = datetime.now(UTC)
        done = replay_rule(home.installation, "Mine.Third", since=now - timedelta(days=300), until=now, alerts=False)
        assert done.matches > 0
        assert (
            replay_rule(
                home.installation, "Mine.Third", since=now - timedelta(days=300), until=now, alerts=False
            ).matches
            == 0
        )

    home.ocelog("rules", "disable", "Mine.Across")
    found = meanwhile(monkeypatch, replay)
    home.after(3)
    assert found == [0], "it looked before these matches landed"
    for _ in range(3):
        home.after(3)
    together = home.matches("Mine.Kept")
    assert len(together) == found[1] > 0
    members = [str(each["alert_context"]) for each in together]
    assert len(set(members)) == len({each["p_row_id"] for each in together}) == len(together)
    alerts = home.rows("SELECT alert_id, told FROM alerts WHERE rule_id = 'Mine.Kept'")
    told = [(each["alert_id"], "opened") for each in alerts if each["told"]]
    assert sorted(home.to_tell()) == sorted(told)
    assert told
    assert {each["alert_id"] for each in alerts} == {each["alert_id"] for each in together}
