"""Metrics say what status says, under names and labels that are documented."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from ocelog.alert.alert import Alert
from ocelog.alert.delivery.routing import ChannelFault, ChannelRow, ChannelStatus
from ocelog.alert.delivery.suppressing import Suppression
from ocelog.alert.listing import NotJudged
from ocelog.app.judging.judging_pace import RuleTime, Slowest
from ocelog.app.metrics import METRICS, MetricValue, render, samples
from ocelog.app.sources.sources import row_of
from ocelog.app.status.status import stream_statuses
from ocelog.detect.folders import RuleFolder, RuleState, RuleTrouble
from ocelog.health.telling import ErrorNotice, ErrorType, OpenError, StreamName, Turn
from ocelog.ledger.alerts import OpenAlerts
from ocelog.ledger.ledger import Ledger
from ocelog.model import LoopFault, LoopMark, Marks, Origin, Severity, Slice, SliceState
from ocelog.pull.ports import Coverage
from ocelog.sources.wiz.settings import from_mapping
from ocelog.times import to_us

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NAME = 'p"r\\o\nd'
ISSUES = "Wiz.Issues"


@pytest.fixture
def found(tmp_path: Path) -> Iterator[Any]:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", durable=False, now=lambda: NOW)
    settings = from_mapping({"token_url": "cognito", "client_id": "x", "log_types": ["issues"]})
    row = replace(row_of("prod", settings, {}), name=NAME)
    ledger.sources.add(row)
    live = Slice(
        source_id=row.id,
        log_type=ISSUES,
        origin=Origin.LIVE,
        by="statusChangedAt",
        since=NOW - 2 * HOUR,
        until=NOW - HOUR,
        state=SliceState.PARKED,
    )
    before = Marks(source_id=row.id, log_type=ISSUES)
    ledger.pulling.plan(before, replace(before, edge=NOW - HOUR, offset=timedelta(0)), [live])
    ledger.pulling.trouble(row.id, ISSUES, kind="access_refused", code="scope_missing", text="no", at_us=to_us(NOW))
    ledger.sweeps.measured(
        row.id,
        ISSUES,
        [Coverage(status="OPEN", at_source=7, at_least=False, in_lake=5, since_us=0, measured_us=to_us(NOW))],
    )
    stream = StreamName(source=NAME, source_id=row.id, log_type=ISSUES)
    error = OpenError(stream=stream, type=ErrorType.PERMISSIONS, opened=NOW, told=NOW)
    ledger.health.raise_(ErrorNotice(turn=Turn.OPENED, error=error, text=""))
    yield SimpleNamespace(
        streams=stream_statuses(ledger, NOW),
        system_errors=ledger.health.open_errors(),
        other_errors=[
            Alert(id=kind, severity=Severity.CRITICAL, title="x", rule_id=kind, dedup=about, opened_us=1, updated_us=1)
            for kind, about in (
                ("ALERT_DELIVERY", "ops"),
                ("ALERT_DELIVERY", ""),
                ("DETECTION_ALERT_LIMIT_EXCEEDED", "r"),
            )
        ],
        alerts=OpenAlerts(told={Severity.CRITICAL: 3, Severity.LOW: 40}, untold=5, oldest_us=7_500_000),
        suppressions=[
            Suppression(id="1", rule=None, owner="a", reason="b", since_us=0, until_us=1, added_us=0),
        ],
        not_judged=[
            NotJudged(table="wiz_audit", rule_id=rule, rows=rows, first_us=1, last_us=1, reason="x")
            for rule, rows in (("", 7), ("A.B", 8))
        ],
        failing_rules=["A.B"],
        judging_behind=NOW,
        slowest=Slowest(worst=(RuleTime("A.S", 9.0),), of=10.0, batches=2),
        suspended_rules=[RuleState(rule_id="A.C", suspended_us=1)],
        channels=[
            ChannelStatus(
                channel=ChannelRow(id="ops", name=NAME, kind="file", added_us=1),
                failures=0,
                failing_us=None,
                trouble=None,
                trouble_code=None,
                rests_until_us=None,
                waiting=4,
                waiting_since_us=7_000_000,
                delivered_us=None,
                given_up=2,
            )
        ],
        loop_faults=[LoopFault(loop="coverage", during="turn", code=None, reason="x", since=NOW)],
        channel_faults=[ChannelFault(id="ops", name="ops", since_us=1, reason="401", code=None)],
        rule_troubles=[RuleTrouble(folder_id="f", rule_id=name, reason="a.yml:1: wrong") for name in ("A", "B")],
        rule_folders={"f": RuleFolder(id="f", name="mine", path="/mine")},
        loops=[LoopMark(loop="publish", table="wiz_issues", sequence=1, parts=2, rows=3, oldest_us=0)],
        well=False,
        disk_free=17,
    )
    ledger.close()


def value(found: Any, name: str, *labels: str) -> float | None:
    return next((each.value for each in samples(found) if (each.name, each.labels) == (name, labels)), None)


def test_every_value_has_a_name_and_labels_that_are_listed(found: Any) -> None:
    told = list(samples(found))
    assert {each.name for each in told} <= METRICS.keys()
    assert [each for each in told if len(each.labels) != len(METRICS[each.name].labels)] == []
    keys = [(each.name, each.labels) for each in told]
    assert len(keys) == len(set(keys)), "Prometheus refuses a page that says something twice"


def test_every_metric_that_is_listed_has_a_value_once_there_is_one(found: Any) -> None:
    (stream,) = found.streams
    read = replace(stream, rate=2.0, last_received=NOW, last_event=NOW, last_success=NOW)
    found.streams = [read]
    assert {each.name for each in samples(found)} == METRICS.keys(), "`samples` yields its values"


def test_values_are_those_of_the_status(found: Any) -> None:
    assert value(found, "ocelog_judging_behind_since_timestamp_seconds", "A.S") == NOW.timestamp()
    (stream,) = found.streams
    names = (NAME, ISSUES)
    assert value(found, "ocelog_stream_health", *names, "forbidden") == 1
    assert value(found, "ocelog_stream_health", *names, "healthy") == 0
    assert value(found, "ocelog_stream_no_events_alarm", *names, "INSUFFICIENT_DATA") == 1
    assert value(found, "ocelog_stream_error", *names, "scope_missing") == 1
    assert value(found, "ocelog_stream_time_ranges", *names, "parked") == len(stream.parked) == 1
    assert value(found, "ocelog_stream_records_at_source", *names, "OPEN") == 7
    assert value(found, "ocelog_stream_records_in_lake", *names, "OPEN") == 5
    assert value(found, "ocelog_stream_lag_seconds", *names) == stream.lag.total_seconds()
    assert value(found, "ocelog_stream_last_received_timestamp_seconds", *names) is None, "it is not known"
    assert value(found, "ocelog_system_errors_open", "SOURCE_PERMISSIONS_CHECKS") == 1
    assert value(found, "ocelog_system_errors_open", "SOURCE_NO_DATA") == 0
    assert value(found, "ocelog_system_errors_open", "ALERT_DELIVERY") == 2
    assert value(found, "ocelog_system_errors_open", "DETECTION_ALERT_LIMIT_EXCEEDED") == 1
    open_ = [value(found, "ocelog_alerts_open", each) for each in ("CRITICAL", "HIGH", "LOW")]
    assert (open_, value(found, "ocelog_alerts_open_untold")) == ([3, 0, 40], 5)
    assert value(found, "ocelog_suppressions_active") == 1
    assert value(found, "ocelog_rows_not_judged", "wiz_audit", "") == 7
    assert value(found, "ocelog_rows_not_judged", "wiz_audit", "A.B") == 8
    assert value(found, "ocelog_rule_failing", "A.B") == value(found, "ocelog_rule_suspended", "A.C") == 1
    assert value(found, "ocelog_channel_waiting", NAME) == 4
    assert value(found, "ocelog_channel_given_up", NAME) == 2
    assert value(found, "ocelog_channel_waiting_since_timestamp_seconds", NAME) == 7
    assert value(found, "ocelog_well") == 0
    assert value(found, "ocelog_loop_failing", "coverage") == 1
    assert value(found, "ocelog_channel_failing", "ops") == 1
    assert value(found, "ocelog_rule_files_wrong", "mine") == 2
    assert value(found, "ocelog_loop_rows_behind", "publish", "wiz_issues") == 3


def test_prometheus_reads_the_page_whatever_a_source_is_called(found: Any) -> None:
    body, content_type = render(found)
    assert content_type.startswith("text/plain")
    families = {each.name: each for each in text_string_to_metric_families(body.decode())}
    assert families.keys() == METRICS.keys()
    assert {each.name: each.documentation for each in families.values()} == {
        name: spec.doc for name, spec in METRICS.items()
    }
    read = [
        MetricValue(
            name=family,
            labels=tuple(found_.labels[label] for label in METRICS[family].labels),
            value=found_.value,
        )
        for family, each in families.items()
        for found_ in each.samples
    ]
    assert sorted(read, key=repr) == sorted(
        (replace(each, value=float(each.value)) for each in samples(found)), key=repr
    )


def test_every_metric_is_documented_and_every_documented_one_is_there() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text()
    listed = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.+?) \|$", page, re.MULTILINE)
    assert listed == [(each.name, each.kind, ", ".join(each.labels), each.doc) for each in METRICS.values()]
