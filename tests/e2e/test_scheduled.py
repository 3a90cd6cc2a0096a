"""Scheduled queries and correlation rules run when they are due, and each thing that they find is told once."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any
from uuid import uuid4

import pytest

from commands import SIMULATED, Ocelog
from ocelog.app.assemble import Assembly
from ocelog.app.loops.query_runs import run_query
from ocelog.app.loops.scheduled import ScheduledLoop
from ocelog.app.loops.scheduled_rows import found_rows
from ocelog.app.loops.service import Service
from ocelog.installation.home_lock import held
from ocelog.installation.opening import opened
from ocelog.workers.threads import Stop
from wizsim.clock import Clock
from wizsim.server import Server
from wizsim.world import World

QUERY = """\
AnalysisType: scheduled_query
QueryName: {name}
Enabled: true
Query: {sql}
Schedule: {{RateMinutes: 60, TimeoutMinutes: 1}}
"""
RULE = """\
AnalysisType: scheduled_rule
RuleID: {name}
Enabled: true
Severity: High
Filename: {python}
ScheduledQueries: [{query}]
DedupPeriodMinutes: {minutes}
"""
STEP = """\
AnalysisType: rule
RuleID: {name}
Enabled: true
LogTypes: [Wiz.Audit]
Severity: Info
CreateAlert: false
Detection:
  - {{Key: id, Condition: Exists}}
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
      - ID: then
        From: First
        To: Second
        WithinTimeFrameMinutes: 1440
        Match: [{'On': user.id}]
    LookbackWindowMinutes: 1440
    Schedule: {RateMinutes: 60, TimeoutMinutes: 5}
"""
OURS = (
    "Issues.Overdue",
    "Issues.Overdue.Rows",
    "Identity.ProviderChanged",
    "Identity.AdminCreated",
    "Identity.UserRaisedToAdmin",
    "Identity.ProviderThenAdmin",
)
TYPES: dict[str, tuple[str, object]] = {
    "never": ("'infinity'::TIMESTAMPTZ", "infinity"),
    "day": ("'-infinity'::DATE", "-infinity"),
    "ides": ("DATE '0044-03-15 (BC)'", "0044-03-15 (BC)"),
    "far": ("TIMESTAMP '12000-01-01'", "12000-01-01 00:00:00"),
    "fine": ("make_timestamp_ns(1700000000000000001)", "2023-11-14T22:13:20"),
    "ratio": ("'infinity'::DOUBLE", None),
    "nothing": ("'nan'::FLOAT", None),
    "total": ("sum(9223372036854775807::BIGINT) FILTER (true)", 9223372036854775807),
    "huge": ("99999999999999999999999999999999999999::HUGEINT", 1e38),
    "unsigned": ("340282366920938463463374607431768211455::UHUGEINT", "340282366920938463463374607431768211455"),
    "bits": ("'10101'::BIT", "10101"),
    "either": ("union_value(k := 'infinity'::TIMESTAMP)", "infinity"),
    "lasts": ("INTERVAL '1 month 2 days 3.5 seconds'", "1 months 2 days 3.5 seconds"),
    "nested": ("{'a': DATE '12000-01-01', 'b': [{'c': 'nan'::DOUBLE}]}", {"a": "12000-01-01", "b": [{"c": None}]}),
    "pairs": ("MAP {'x': 'infinity'::TIMESTAMP}", [["x", "infinity"]]),
}
"""What a query may return, by the name of its column: in SQL, and as rules see it."""
GRAVE = "FROM wiz_issues_current WHERE severity IN ('CRITICAL', 'HIGH')"


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Ocelog:
    path = tmp_path_factory.mktemp("scheduled")
    rules = path / "rules"
    rules.mkdir()
    sql = {
        "Rows": f"SELECT p_row_id, p_source_id, p_event_time, id {GRAVE}",
        "Counts": "SELECT count(*) AS issues, sum(1) AS more FROM wiz_issues_current",
        "Wrong": "SELECT no_such_column FROM wiz_issues",
        "View": "SELECT count(*) AS issues, 'https://app.wiz.io/issues' AS wizUrl FROM open_issues",
        "Both": "SELECT i.p_source_id, 'ftp://x' AS url FROM wiz_issues AS i CROSS JOIN wiz_audit LIMIT 1",
        "Foreign": "SELECT 1 AS n",
        "Types": json.dumps(f"SELECT {', '.join(f'{sql} AS {name}' for name, (sql, _) in TYPES.items())}"),
    }
    python = {
        "Rows": "def title(event):\n    return event.get('id')\n",
        "Types": "def rule(event):\n    return True\ndef alert_context(event):\n    return dict(event)\n",
        "Counts": "def rule(event):\n    return event['issues'] > 5 and event['more'] > 5\n",
    }
    for name, text in sql.items():
        (rules / f"{name}_rows.yml").write_text(QUERY.format(name=f"Mine.{name}.Rows", sql=text))
        (rules / f"{name}.py").write_text(python.get(name, "def rule(event):\n    return True\n"))
        rule = RULE.format(name=f"Mine.{name}", python=f"{name}.py", query=f"Mine.{name}.Rows", minutes=240)
        (rules / f"{name}.yml").write_text(rule)
    foreign = (rules / "Foreign_rows.yml").read_text().replace("Query: SELECT 1", "SnowflakeQuery: SELECT nothing()")
    (rules / "Foreign_rows.yml").write_text(foreign)
    for name in ("First", "Second"):
        (rules / f"{name}.yml").write_text(STEP.format(name=f"Mine.{name}"))
    (rules / "together.yml").write_text(TOGETHER)
    world = World(seed=4, audit=60, issues=120, findings=0, clock=Clock.wall())
    happen(world)
    with Server(world) as tenant:
        command = Ocelog(path / "home", WIZ_SECRET=tenant.client_secret)
        command.init()
        command("rules", "add", str(rules), "--name", "mine")
        command("rules", "disable", "Ocelog.*")
        for name in OURS:
            command("rules", "enable", f"Ocelog.Wiz.{name}")
        command(
            *("source", "add", "wiz", "sim", "--token-url", tenant.token_url, "--api-url", tenant.api_url),
            *("--client-id", tenant.client_id, "--client-secret-env", "WIZ_SECRET", "--no-check"),
            *(*SIMULATED, "--backfill", "all", "--rate", "200"),
        )
        command("pull")
    return command


def happen(world: World) -> None:
    """Let an issue be overdue, and a person change single sign-on and make an administrator."""
    now = datetime.now(UTC)
    overdue = next(iter(world.current("issues")))
    world.change("issues", overdue, status="OPEN", severity="CRITICAL", dueAt=written(now - timedelta(hours=1)))
    entry = next(each.own for each in world.current("audit").values() if each.own.get("user"))
    for at, (action, parameters) in enumerate(
        [("UpdateSAMLIdentityProvider", {}), ("UpdateUser", {"input": {"patch": {"role": "GLOBAL_ADMIN"}}})]
    ):
        what = {"action": action, "actionParameters": parameters, "status": "SUCCESS"}
        when = written(now - timedelta(minutes=20 - at))
        world.put("audit", {**entry, **what, "id": str(uuid4()), "timestamp": when})


def written(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Scheduled:
    """The loop on the home of a command, at a time that a test sets."""

    ocelog: Ocelog
    loop: ScheduledLoop
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def after(self, hours: float) -> None:
        """Run what is due so many hours later."""
        self.at += timedelta(hours=hours)
        self.loop.run()

    def query(self, sql: str) -> list[dict[str, object]]:
        found: list[dict[str, object]] = self.ocelog("query", "-o", "json", sql).json
        return found

    def matches(self, rule: str) -> list[dict[str, object]]:
        return [each for each in self.query("SELECT * FROM rule_matches") if each["rule_id"] == rule]

    def alerts(self, rule: str, kind: str = "ALERT") -> list[dict[str, object]]:
        return [each for each in self.query("SELECT * FROM alerts") if (each["rule_id"], each["type"]) == (rule, kind)]


@pytest.fixture(scope="module")
def scheduled(pulled: Ocelog) -> Iterator[Scheduled]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OCELOG_HOME", "WIZ_SECRET"):
            patch.setenv(name, pulled.environment[name])
        with opened() as installation, held(installation.home, "a test"):
            service = Service(assembly=Assembly(installation=installation, told=lambda _, __: None), stop=Stop())
            (loop,) = [each for each in service.loops if isinstance(each, ScheduledLoop)]
            made = Scheduled(pulled, loop)
            loop.now = lambda: made.at
            yield made
            loop.finish()


def test_what_is_due_is_run_and_told_once(scheduled: Scheduled) -> None:
    assert scheduled.matches("Mine.Rows") == []
    scheduled.after(2)
    found = scheduled.matches("Mine.Rows")
    issues = scheduled.query(f"SELECT p_row_id {GRAVE}")
    assert {each["event_row_id"] for each in found} == {each["p_row_id"] for each in issues}
    assert len(found) == len(issues) > 1
    assert len(scheduled.alerts("Mine.Rows")) == len(found)
    assert len(scheduled.matches("Mine.Counts")) == len(scheduled.alerts("Mine.Counts")) == 1
    # Runs that were missed are made up by one; a row of the lake is told once, a count joins its alert.
    scheduled.after(3)
    assert len(scheduled.matches("Mine.Rows")) == len(found)
    assert len(scheduled.matches("Mine.Counts")) == 2
    assert len(scheduled.alerts("Mine.Counts")) == 1


@pytest.mark.slow
def test_an_alert_about_rows_links_to_their_page_and_is_routed_by_their_log_type(scheduled: Scheduled) -> None:
    scheduled.after(1)
    view = scheduled.alerts("Mine.View")[0]
    assert view["log_type"] == "Wiz.Issues"
    assert str(view["link"]).startswith("https://app.wiz.io/issues")
    both = scheduled.alerts("Mine.Both")[0]
    assert not both["log_type"]
    assert not both["link"]


@pytest.mark.slow
def test_each_type_of_sql_is_a_value_of_json_to_rules(scheduled: Scheduled) -> None:
    if not scheduled.matches("Mine.Types"):
        scheduled.after(1)
    assert scheduled.alerts("Mine.Types", "DETECTION_ERROR") == []
    (match, *_) = scheduled.matches("Mine.Types")
    context = json.loads(str(match["alert_context"]))
    assert {name: context[name] for name in TYPES} == {name: value for name, (_, value) in TYPES.items()}


@pytest.mark.slow
def test_a_slow_query_holds_up_no_other(scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch) -> None:
    last_asked, waited = Event(), list[bool]()
    before = len(scheduled.matches("Mine.View"))

    def run(installation: Any, query: Any, **more: Any) -> Any:
        if query.name == "Mine.Both.Rows":
            waited.append(last_asked.wait(20))
        elif query.name == "Mine.View.Rows":
            last_asked.set()
        return run_query(installation, query, **more)

    monkeypatch.setattr("ocelog.app.loops.scheduled.run_query", run)
    scheduled.after(1)
    assert waited == [True], "it was answered before the last one was asked"
    assert len(scheduled.matches("Mine.View")) > before


@pytest.mark.slow
def test_a_query_that_fails_is_an_error_of_its_rule_and_the_others_go_on(
    scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(rows: Any, query: str, **more: Any) -> Any:
        if query == "Mine.Both.Rows":
            raise ValueError("nobody expected it")
        return found_rows(rows, query, **more)

    monkeypatch.setattr("ocelog.app.loops.scheduled.found_rows", found)
    scheduled.after(1)
    (told,) = scheduled.alerts("Mine.Wrong", "DETECTION_ERROR")[:1]
    assert "no_such_column" in str(told["description"])
    # What goes with a source, or is told of it alone, is not for the error.
    assert told["source_id"] is None
    (left,) = scheduled.ocelog("rules", "unjudged", "Mine.Wrong", "--json").json
    assert (left["table"], left["source"]) == ("query Mine.Wrong.Rows", "")
    assert scheduled.alerts("Mine.Foreign", "DETECTION_ERROR") == []
    # What nobody expected is an error of its rule, too.
    assert "cannot be used" in str(scheduled.alerts("Mine.Both", "DETECTION_ERROR")[0]["description"])
    (mine,) = scheduled.ocelog("rules", "list", "mine", "--json").json
    listed: dict[str, Any] = {each["id"]: each for each in mine["rules"]}
    assert listed["Mine.Foreign.Rows"]["status"] == listed["Mine.Wrong.Rows"]["status"] == "not run"
    assert "it is for snowflake: There is no function 'nothing'" in listed["Mine.Foreign.Rows"]["why"]
    assert listed["Mine.Wrong"]["why"] == "its query Mine.Wrong.Rows cannot run"
    assert {"Mine.Foreign.Rows", "Mine.Wrong.Rows"} <= {each["id"] for each in mine["not_run"]}
    shown = scheduled.ocelog("rules", "show", "Mine.Wrong", "--json").json
    assert (shown["fails"], shown["matches"], shown["alerts_made"]) == (True, 0, 0)
    assert "no_such_column" in shown["last_error"]
    rows = scheduled.ocelog("rules", "show", "Mine.Rows", "--json").json
    assert (rows["fails"], rows["alerts_made"]) == (False, len(scheduled.alerts("Mine.Rows")))
    assert rows["matches"] == len(scheduled.matches("Mine.Rows")) > 0


@pytest.mark.slow
def test_matches_that_belong_together_are_told_once_and_not_of_themselves(scheduled: Scheduled) -> None:
    scheduled.after(1)
    found = scheduled.matches("Mine.Together")
    assert found
    assert scheduled.alerts("Mine.Together")
    scheduled.after(1)
    assert len(scheduled.matches("Mine.Together")) == len(found)


@pytest.mark.slow
def test_rules_that_come_with_ocelog_find_what_they_are_about(scheduled: Scheduled) -> None:
    scheduled.after(1)
    assert len(scheduled.matches("Ocelog.Wiz.Issues.Overdue")) == 1
    (overdue,) = scheduled.alerts("Ocelog.Wiz.Issues.Overdue")
    assert overdue["log_type"] == "Wiz.Issues"
    assert str(overdue["link"]).startswith("https://app.wiz.io/issues")
    assert len(scheduled.matches("Ocelog.Wiz.Identity.ProviderThenAdmin")) == 1
    assert len(scheduled.alerts("Ocelog.Wiz.Identity.ProviderThenAdmin")) == 1


@pytest.mark.slow
def test_what_is_not_due_is_not_run(scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduled.after(1)
    monkeypatch.setattr("ocelog.app.loops.scheduled.run_query", None)
    scheduled.after(0)


@pytest.mark.slow
def test_a_query_that_is_on_again_does_not_make_up_for_its_pause(scheduled: Scheduled) -> None:
    scheduled.after(1)
    before = len(scheduled.matches("Mine.Counts"))
    for turned, hours in (("disable", 24), ("enable", 48)):
        scheduled.ocelog("rules", turned, "Mine.Counts.Rows")
        scheduled.loop.jury._looked_at = float("-inf")
        scheduled.after(hours)
        assert len(scheduled.matches("Mine.Counts")) == before
    scheduled.after(1)
    assert len(scheduled.matches("Mine.Counts")) == before + 1


@pytest.mark.slow
def test_errors_of_a_schedule_are_over_once_it_works_again(
    scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_errors() -> set[object]:
        found = [
            *scheduled.alerts("Mine.Counts", "DETECTION_ERROR"),
            *scheduled.alerts("Mine.Together", "DETECTION_ERROR"),
        ]
        return {each["rule_id"] for each in found if each["status"] == "OPEN"}

    def fails(*_: object, **__: object) -> Any:
        raise ValueError("a bug")

    with monkeypatch.context() as broken:
        broken.setattr("ocelog.app.loops.scheduled.run_query", fails)
        broken.setattr(type(scheduled.loop._correlator), "find", fails)
        scheduled.after(2)
    assert open_errors() == {"Mine.Counts", "Mine.Together"}
    scheduled.after(2)
    assert open_errors() == set()
    (wrong, *_) = scheduled.alerts("Mine.Wrong", "DETECTION_ERROR")
    assert wrong["status"] == "OPEN", "it fails still"
