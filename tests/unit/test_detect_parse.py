import re
from pathlib import Path
from typing import Any

import pytest

from ocelog.detect import rule as values
from ocelog.detect.parse import parse_item
from ocelog.errors import RuleFileError
from ocelog.model import Severity

CHECKOUT = Path(__file__).parents[1] / "rules" / "checkout"
RULE = """
AnalysisType: rule
RuleID: A.B
Enabled: true
Filename: b.py
LogTypes: [X.Y]
Severity: Low
"""
CORRELATION = """
AnalysisType: correlation_rule
RuleID: C
Enabled: true
Severity: Low
Detection:
  - Group: [{ID: a, RuleID: A}, {ID: b, RuleID: B}]
    Schedule: {RateMinutes: 10, TimeoutMinutes: 5}
"""
QUERY = "AnalysisType: scheduled_query\nQueryName: Q\nEnabled: true\nQuery: SELECT 1\nSchedule: {RateMinutes: 5}\n"
MODEL = "AnalysisType: datamodel\nDataModelID: M\nEnabled: true\nLogTypes: [X]\nMappings: [{Name: a, Path: b}]\n"


def item(text: str, file: str = "rules/b.yml") -> Any:
    return parse_item(text, file)


def test_every_field_of_a_rule_is_read() -> None:
    found = item((CHECKOUT / "rules/door/opened.yml").read_text(), "rules/door/opened.yml")
    about = found.about
    assert (found.kind, found.id, about.enabled, found.file) == (
        values.Kind.RULE,
        "Acme.Door.Opened",
        True,
        "rules/door/opened.py",
    )
    assert found.log_types == ("Acme.Door",)
    assert about.severity is Severity.MEDIUM
    assert (about.dedup_minutes, about.threshold) == (720, 1)
    assert about.reports == {"MITRE ATT&CK": ("TA0001:T1078",)}
    assert (about.tags, about.output_ids, about.summary_attributes) == (("doors",), ("night-shift",), ("person",))
    assert (about.description, about.reference) == ("Someone opened a door.", "https://example.com/doors")
    assert (about.runbook, about.name) == ("Ask whoever did it.", "A door was opened")
    assert str(found.place) == "rules/door/opened.yml:1"
    first, second, third = found.tests
    assert (first.name, first.expected, first.destinations) == ("Opened", True, ())
    assert second.destinations is None
    assert second.log == {"id": 2, "state": "OPEN", "openedAt": "2026-03-01", "person": None}
    assert third.expected is False


def test_what_is_not_said_has_its_default() -> None:
    about = item(RULE).about
    assert (about.dedup_minutes, about.threshold, about.create_alert) == (60, 1, True)
    assert (about.name, about.description, about.status) == ("A.B", "", values.Status.STABLE)


def test_signals_statuses_and_thresholds_are_read() -> None:
    about = item(RULE + "CreateAlert: false\nStatus: Experimental\nThreshold: 5\nDedupPeriodMinutes: 15").about
    assert (about.create_alert, about.status) == (False, values.Status.EXPERIMENTAL)
    assert (about.threshold, about.dedup_minutes) == (5, 15)


@pytest.mark.parametrize("word", ["Stable", "In review", "Open", "''", "prod"])
def test_a_status_of_ones_own_keeps_no_rule_out_of_packs(word: str) -> None:
    assert item(RULE + f"Status: {word}").about.status is values.Status.STABLE


def test_a_simple_detection_has_match_expressions_and_no_python() -> None:
    found = item((CHECKOUT / "simple/forced.yml").read_text())
    assert found.detection is not None
    assert found.file is None
    assert found.dynamic_severities[0].severity is Severity.CRITICAL
    assert [one.name for one in found.alert_context] == ["who"]
    assert [path.text for path in found.group_by] == ["address"]


def test_mocks_are_read_as_they_are_written() -> None:
    test = item(RULE + "Tests: [{Name: n, ExpectedResult: true, Log: {}, Mocks: [{objectName: f, returnValue: [1]}]}]")
    assert test.tests[0].mocks == (values.Mock(name="f", answer=[1]),)


def test_a_derived_rule_holds_only_what_it_replaces() -> None:
    found = item("AnalysisType: rule\nRuleID: D\nBaseDetection: A.B\nSeverity: High\nTags: [x]\n")
    assert isinstance(found, values.Derived)
    assert (found.id, found.base) == ("D", "A.B")
    assert found.about == {"severity": Severity.HIGH, "tags": ("x",)}


def test_a_correlation_rule_is_read() -> None:
    found = item((CHECKOUT / "correlation/forced_after.yml").read_text())
    (sequence,) = found.correlations
    assert sequence.is_sequence
    assert [(step.id, step.rule, step.least, step.absent) for step in sequence.steps] == [
        ("Attempts", "Acme.Door.Located", 3, False),
        ("Forced", "Acme.Door.Forced", 1, False),
    ]
    (transition,) = sequence.transitions
    assert (transition.within_minutes, transition.match) == (30, (("address", "p_alert_context.address"),))
    assert sequence.lookback_minutes == 120
    assert sequence.schedule == values.Schedule(rate_minutes=60, timeout_minutes=5)
    assert found.tests[0].outputs[0].matches == {"address": {"192.0.2.1": (0.0, 120.0, 240.0)}}


def test_queries_have_sql_by_dialect_and_a_schedule() -> None:
    found = item((CHECKOUT / "queries/doors.yml").read_text())
    assert found.sql == {"sql": "SELECT count(*) AS doors FROM acme_door"}
    assert (found.lookback_seconds, found.schedule.cron) == (3600, "0 3 * * 1-5")
    saved = item((CHECKOUT / "queries/saved.yml").read_text())
    assert (saved.sql, saved.schedule) == ({"snowflake": "SELECT 1"}, None)
    several = item(QUERY + "AthenaQuery: a\nDatabricksQuery: d\nEmailConfig: {Recipients: [x]}")
    assert several.sql == {"sql": "SELECT 1", "athena": "a", "databricks": "d"}
    assert several.email == {"Recipients": ["x"]}


def test_a_query_that_is_not_enabled_needs_no_schedule() -> None:
    off = QUERY.replace("Schedule: {RateMinutes: 5}", "").replace("true", "false")
    assert item(off).schedule is None
    with pytest.raises(RuleFileError, match="`Schedule` is missing"):
        item(off.replace("false", "true"))


def test_of_cron_and_rate_the_one_that_is_empty_does_not_count() -> None:
    by_cron = item(QUERY.replace("RateMinutes: 5", "CronExpression: '0 0 29 2 *', RateMinutes: 0, TimeoutMinutes: 2"))
    assert (by_cron.schedule.cron, by_cron.schedule.rate_minutes) == ("0 0 29 2 *", None)
    by_rate = item(QUERY.replace("RateMinutes: 5", "CronExpression: '', RateMinutes: 60"))
    assert (by_rate.schedule.cron, by_rate.schedule.rate_minutes) == (None, 60)
    with pytest.raises(RuleFileError, match="expected one of `CronExpression` and `RateMinutes`"):
        item(QUERY.replace("RateMinutes: 5", "CronExpression: '', RateMinutes: 0"))


def test_a_lookup_table_may_be_filled_by_a_query_that_is_not_run() -> None:
    table = item(
        "AnalysisType: lookup_table\nLookupName: T\nQuery: SELECT 1\nLogTypeMap: {PrimaryKey: id}\n"
        "Refresh: {PeriodMinutes: 60}\nIndicators: [{Field: id, Indicators: [ip]}]\nValidations: []\n"
    )
    assert (table.name, table.file, table.primary_key, table.enabled) == ("T", None, "id", True)


@pytest.mark.parametrize("file", sorted(CHECKOUT.rglob("*.yml")), ids=lambda path: path.name)
def test_an_unknown_key_is_refused_in_a_file_of_any_kind(file: Path) -> None:
    text = file.read_text()
    item(text)
    if "AnalysisType: policy" in text or "AnalysisType: scheduled_prompt" in text:
        return
    with pytest.raises(RuleFileError, match=r"b\.yml:\d+: unknown key 'Tgas'"):
        item(text + "\nTgas: [x]\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RuleID: x", "rules/b.yml:1: `AnalysisType` is missing"),
        ("AnalysisType: rul", "unknown AnalysisType 'rul'; did you mean 'rule'"),
        (RULE.replace("RuleID: A.B", ""), "`RuleID` is missing"),
        (RULE.replace("Enabled: true", ""), "`Enabled` is missing"),
        (RULE.replace("Enabled: true", "Enabled: maybe"), "rules/b.yml:4: expected true or false, found 'maybe'"),
        (RULE.replace("Severity: Low", ""), "`Severity` is missing"),
        (RULE.replace("Low", "Lowe"), "unknown severity 'Lowe'; did you mean 'Low'"),
        (RULE.replace("LogTypes: [X.Y]", ""), "`LogTypes` is missing"),
        (RULE.replace("Filename: b.py", ""), "expected one of `Filename` and `Detection`"),
        (RULE + "Detection: []", "expected one of `Filename` and `Detection`"),
        (RULE + "Severty: Low", "unknown key 'Severty'; did you mean 'Severity'"),
        (RULE + "Threshold: many", "expected a whole number from 0 to 1,000,000, found 'many'"),
        (RULE + "DedupPeriodMinutes: -1", "expected a whole number"),
        (RULE + "Status: Experimantal", "unknown status 'Experimantal'; did you mean 'Experimental'"),
        (RULE + "ScheduledQueries: [x]", "only a scheduled_rule has `ScheduledQueries`"),
        (RULE.replace("b.py", "../../b.py"), "leads out of the checkout"),
        (RULE.replace("b.py", "/etc/passwd"), "leads out of the checkout"),
        (RULE + "Tests: [{Name: n, ExpectedResult: true, Log: [1]}]", "expected a mapping: the event"),
        (RULE + "Tests: [{Name: n, Log: {}}]", "`ExpectedResult` is missing"),
        (RULE + "Tests: [{Name: n, ExpectedResult: true, Logs: {}}]", "unknown key 'Logs' of a test"),
        (RULE + "InlineFilters: [{Key: a, Condition: Equls, Value: 1}]", "unknown condition 'Equls'"),
        (RULE + "AlertTitle: 'x {a[} y'", "the path 'a[' cannot be read"),
        (RULE + "DynamicSeverities: [{ChangeTo: Worse, Conditions: []}]", "unknown severity 'Worse'"),
        (RULE + "GroupBy: [{Value: 1}]", "which key?"),
        ("AnalysisType: scheduled_rule\nRuleID: x\nEnabled: true\nSeverity: Low\nFilename: x.py", "`ScheduledQueries`"),
        (
            "AnalysisType: scheduled_rule\nScheduledQueries: [q]\nInlineFilters: []\nRuleID: x",
            "only a rule has `InlineFilters`",
        ),
        ("AnalysisType: rule\nRuleID: D\nBaseDetection: B\nLogTypes: [x]", "takes `LogTypes` from its base"),
        (CORRELATION.replace("RateMinutes: 10", "RateMinutes: 1"), "whole number from 2"),
        (CORRELATION.replace("TimeoutMinutes: 5", "TimeoutMinutes: 11"), "must not exceed `RateMinutes` (10)"),
        (CORRELATION.replace("RateMinutes: 10", "CronExpression: '* * *'"), "expected a cron expression"),
        (CORRELATION.replace("ID: b,", "ID: a,"), "each with an ID of its own"),
        (
            CORRELATION.replace("RuleID: A}", "RuleID: A, Absence: true}").replace(
                "RuleID: B}", "RuleID: B, Absence: true}"
            ),
            "must not be `Absence: true`",
        ),
        (CORRELATION + "    Sequence: []", "expected one of `Group` and `Sequence`"),
        (CORRELATION + "    MatchCriteria: {x: [{GroupID: c, Match: y}]}", "unknown step 'c'"),
        (CORRELATION + "    Transitions: []", "belong to a sequence"),
        (CORRELATION + "Tests: [{Name: n, ExpectedResult: true, RuleOutputs: [{ID: c}]}]", "unknown step 'c'"),
        (
            CORRELATION + "Tests: [{Name: n, ExpectedResult: true, RuleOutputs: [{ID: a, Matches: {k: {v: [soon]}}}]}]",
            "'soon' is not a date and time; expected one, or a number of minutes",
        ),
        (QUERY.replace("RateMinutes: 5", "RateMinutes: 5, CronExpression: '0 0 * * *'"), "one of `CronExpression` and"),
        (QUERY.replace("Query: SELECT 1", ""), "expected one of `Query`, `AthenaQuery`"),
        (MODEL.replace("Path: b", "Path: b, Method: c"), "expected one of `Path` and `Method`"),
        (MODEL.replace("Path: b", "Method: c"), "`Filename` is missing: a mapping names a method"),
        (MODEL.replace("Path: b", "Path: 'b['"), "cannot be read"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(RuleFileError) as error:
        item(text)
    assert re.match(r"rules/b\.yml:\d+: ", str(error.value))
    assert message in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        RULE,
        CORRELATION,
        QUERY,
        MODEL,
        "AnalysisType: rule\nRuleID: D\nBaseDetection: B\n",
        "AnalysisType: global\nGlobalID: g\nFilename: g.py\n",
        "AnalysisType: pack\nPackID: p\nPackDefinition: {IDs: []}\n",
        "AnalysisType: lookup_table\nLookupName: t\nLogTypeMap: {PrimaryKey: k}\n",
    ],
)
def test_what_panthers_tool_writes_into_items_that_it_clones_is_no_error(text: str) -> None:
    end = "" if text.endswith("\n") else "\n"
    assert type(item(f"{text}{end}BaseVersion: 3\nCreatedBy: somebody\n")) is type(item(text))


def test_policies_and_scheduled_prompts_are_not_run_and_say_why() -> None:
    policy = item("AnalysisType: policy\nPolicyID: P\nAnything: else")
    assert (policy.kind, policy.id) == ("policy", "P")
    assert "cloud resources" in policy.reason
    assert "AI service" in item("AnalysisType: scheduled_prompt\nPromptName: N").reason


RECORD = RULE + "AlertLivesWithRecord: true\n"


def test_an_alert_may_live_with_its_record() -> None:
    assert item(RECORD).about.lives_with_record
    assert not item(RECORD.replace("true\n", "false\n")).about.lives_with_record
    assert not item(RULE).about.lives_with_record


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (RECORD + "GroupBy: [id]\n", "each record has its own alert"),
        (RECORD + "Threshold: 2\n", "each record has its own alert"),
        (RECORD.replace("rule\n", "scheduled_rule\n", 1) + "ScheduledQueries: [Q]\n", "a row of a query is no record"),
        (
            "AnalysisType: rule\nRuleID: D\nBaseDetection: B\nAlertLivesWithRecord: true\n",
            "takes `AlertLivesWithRecord` from its base",
        ),
        (CORRELATION + "AlertLivesWithRecord: true\n", "unknown key 'AlertLivesWithRecord'"),
    ],
)
def test_what_cannot_live_with_a_record_is_refused(text: str, why: str) -> None:
    with pytest.raises(RuleFileError, match=re.escape(why)):
        item(text)
