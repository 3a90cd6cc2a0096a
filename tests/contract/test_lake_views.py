"""The views and macros that come with Ocelog, on rows of every kind."""

# ruff: noqa: S608 - the statements are the tests' own
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakeside.ledger import MemoryLedger
from lakeside.things import instant, row, rows
from ocelog.app.log_types import table_schemas
from ocelog.errors import QueryError
from ocelog.lake.catalog.iceberg import opened_catalog
from ocelog.lake.lake import FileLake
from ocelog.lake.query.queries import Queries
from ocelog.lake.read.saved_views import saved_views
from ocelog.lake.read.sql import sql_type
from ocelog.lake.write.publish import Publisher
from ocelog.model import NOT_JUDGED

SCHEMAS = table_schemas()
FINDINGS, ISSUES = "wiz_vulnerability_finding", "wiz_issues"
DAY = 24 * 60
"""Minutes."""
Ask = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def ask(tmp_path: Path, ledger: MemoryLedger) -> Ask:
    queries = Queries(tmp_path, ledger, SCHEMAS, saved=saved_views())

    def run(sql: str) -> list[dict[str, Any]]:
        with queries.run(sql) as answer:
            return [found for batch in answer.batches for found in batch.to_pylist()]

    return run


@pytest.fixture
def land(tmp_path: Path, ledger: MemoryLedger) -> Callable[..., None]:
    """Land rows, the first half of them published."""
    lake = FileLake(tmp_path, ledger, SCHEMAS)

    def land_rows(table: str, *listed: dict[str, Any]) -> None:
        schema, half = SCHEMAS[table], (len(listed) + 1) // 2
        for some in (listed[:half], listed[half:]):
            known = [{name: value for name, value in one.items() if name in schema.names} for one in some]
            if known:
                ledger.land(lake.write(table, f"1-1-{ledger.counter(table)}", rows(known, schema)))
            if some == listed[:half]:
                Publisher(tmp_path, ledger, SCHEMAS).publish(table)

    return land_rows


def issue(id_: str, status: str | None, *, seen: float, created: float = 0, **values: Any) -> dict[str, Any]:
    """Return a version of an issue that was seen at `seen` and, unless told otherwise, changed when it was created."""
    changed = values.pop("changed", created)
    dates = {"createdAt": instant(created), "updatedAt": instant(changed), "statusChangedAt": instant(changed)}
    standard = {"p_version_time": instant(changed), "p_observed_at": instant(seen)}
    return row(id_, seen, status=status) | dates | standard | values


def finding(id_: str, status: str | None, *, seen: float, first: float = 0, **values: Any) -> dict[str, Any]:
    """Return a version of a finding in the same way."""
    changed = values.pop("changed", first)
    dates = {"firstDetectedAt": instant(first), "lastDetectedAt": instant(changed), "updatedAt": instant(changed)}
    standard = {"p_version_time": instant(changed), "p_observed_at": instant(seen)}
    return row(id_, seen, status=status) | dates | standard | values


GONE: dict[str, Any] = {"p_inferred": "inferred_closed"}


@pytest.mark.parametrize("name", saved_views())
def test_each_is_there_before_anything_landed_with_the_columns_that_it_documents(ask: Ask, name: str) -> None:
    view = saved_views()[name]
    called = name if view.argument is None else f"{name}(now())"
    described = {one["column_name"]: one["column_type"] for one in ask(f"DESCRIBE SELECT * FROM {called}")}
    names = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}
    documented = {column.name: sql_type(column.type) for column in view.columns()}
    assert {column: names.get(kind, kind) for column, kind in described.items()} == documented
    assert list(described) == list(documented)
    assert all((column.metadata or {})[b"doc"].endswith(b".") for column in view.columns())
    assert ask(f"SELECT * FROM {called}") == []


def test_an_open_finding_is_one_row_without_structs(ask: Ask, land: Callable[..., None]) -> None:
    person = {"id": "1", "name": "Ann Example", "email": "ann@example.com"}
    shared = {"riskProfile": '{"businessImpact": "LBI"}', "projectOwners": [person, None]}
    land(
        FINDINGS,
        finding(
            "a",
            "OPEN",
            seen=5,
            name="CVE-2026-1",
            severity="CRITICAL",
            hasCisaKevExploit=True,
            cisaKevDueDate=instant(9),
            projects=[
                {"name": "web"} | shared,
                None,
                {
                    "name": "billing",
                    "riskProfile": '{"businessImpact": "MBI"}',
                    "projectOwners": [person, {"email": "b@x"}],
                },
                {"name": "web", "riskProfile": "no JSON", "projectOwners": None},
            ],
            vulnerableAsset={"name": "vm-1", "hasWideInternetExposure": False, "hasLimitedInternetExposure": True},
        ),
    )
    (found,) = ask("FROM open_findings")
    assert not [name for name, value in found.items() if isinstance(value, list | dict)]
    wanted = {"cve": "CVE-2026-1", "severity": "CRITICAL", "kev": True, "due": instant(9), "resource": "vm-1"}
    wanted |= {"projects": "billing, web", "owners": "Ann Example, b@x", "business_impact": "MBI"}
    wanted |= {"exposure": "limited", "internet_exposed": True, "source": "Wiz", "source_id": "s1"}
    assert found == found | wanted
    assert found["age_days"] == (datetime.now(instant(0).tzinfo) - instant(0)).days


@pytest.mark.parametrize(
    ("asset", "exposure", "exposed"),
    [
        (None, None, None),
        ({"hasWideInternetExposure": None}, None, None),
        ({"hasWideInternetExposure": False}, None, None),
        ({"hasWideInternetExposure": False, "hasLimitedInternetExposure": False}, "none", False),
        ({"hasWideInternetExposure": True, "hasLimitedInternetExposure": True}, "internet", True),
        ({"isAccessibleFromVPN": True, "hasWideInternetExposure": False}, "VPN", None),
    ],
)
def test_exposure_is_unknown_unless_wiz_said_it(
    ask: Ask, land: Callable[..., None], asset: dict[str, Any] | None, exposure: str | None, exposed: bool | None
) -> None:
    land(FINDINGS, finding("a", "OPEN", seen=5, vulnerableAsset=asset))
    assert ask("SELECT exposure, internet_exposed FROM open_findings") == [
        {"exposure": exposure, "internet_exposed": exposed}
    ]


def test_an_open_issue_names_its_rule_whichever_field_has_it(ask: Ask, land: Callable[..., None]) -> None:
    land(
        ISSUES,
        issue("old", "OPEN", seen=1, sourceRule='{"name": "Old rule"}'),
        issue("new", "OPEN", seen=1, sourceRules='[{"name": "New rule"}]', dueAt=instant(7)),
        issue("none", "OPEN", seen=1, sourceRule="[1", assignee={"name": None, "primaryEmail": "a@x"}),
    )
    found = {one["id"]: one for one in ask("FROM open_issues")}
    assert {name: one["title"] for name, one in found.items()} == {"old": "Old rule", "new": "New rule", "none": None}
    assert found["new"]["due"] == instant(7)
    assert found["none"]["assignee"] == "a@x"
    assert found["none"]["owners"] is None


@pytest.mark.parametrize(("table", "make"), [(ISSUES, issue), (FINDINGS, finding)])
def test_what_nothing_says_is_closed_is_open(
    ask: Ask, land: Callable[..., None], table: str, make: Callable[..., dict[str, Any]]
) -> None:
    land(
        table,
        make("open", "OPEN", seen=1),
        make("in progress", "IN_PROGRESS", seen=1),
        make("unknown", None, seen=1),
        make("a status that is new", "SNOOZED", seen=1),
        make("reopened", "RESOLVED", seen=1, resolvedAt=instant(1)),
        make("reopened", "OPEN", seen=2, changed=2),
        make("back again", None, seen=2, **GONE),
        make("back again", "OPEN", seen=3),
        make("resolved", "OPEN", seen=1),
        make("resolved", "RESOLVED", seen=2, changed=2),
        make("rejected", "REJECTED", seen=1),
        make("gone", "OPEN", seen=1),
        make("gone", None, seen=2, **GONE),
        make("no dates", "OPEN", seen=1, createdAt=None, firstDetectedAt=None, updatedAt=None),
    )
    view = "open_issues" if table == ISSUES else "open_findings"
    found = {one["id"]: one["age_days"] for one in ask(f"SELECT id, age_days FROM {view}")}
    assert set(found) == {
        *("open", "in progress", "unknown", "a status that is new", "reopened", "back again", "no dates")
    }
    assert found["no dates"] is None


def test_deleted_and_vanished_findings_are_told_apart_from_fixed_ones(ask: Ask, land: Callable[..., None]) -> None:
    closed: dict[str, Any] = {"changed": 3 * DAY, "resolvedAt": instant(2 * DAY)}
    land(
        FINDINGS,
        finding("fixed", "RESOLVED", seen=4 * DAY, resolutionReason="FINDING_FIXED", **closed),
        finding("deleted", "RESOLVED", seen=4 * DAY, resolutionReason="OBJECT_DELETED", **closed),
        finding("no date", "RESOLVED", seen=4 * DAY, **closed | {"resolvedAt": None}),
        finding("seen only", "OPEN", seen=2 * DAY),
        finding("seen only", "RESOLVED", seen=5 * DAY),
        finding("dated by a change", "OPEN", seen=2 * DAY),
        finding("dated by a change", "RESOLVED", seen=5 * DAY, changed=3 * DAY),
        finding("another reason", "RESOLVED", seen=4 * DAY, resolutionReason="CUSTOM", **closed),
        finding("gone", "OPEN", seen=1),
        finding("gone", None, seen=4 * DAY, **GONE),
        finding("rejected", "REJECTED", seen=1, resolutionReason="RISK_ACCEPTED"),
        finding("reopened", "RESOLVED", seen=1, resolvedAt=instant(1)),
        finding("reopened", "OPEN", seen=2, changed=2),
    )
    found = {
        one.pop("id"): tuple(one.values())
        for one in ask("SELECT id, outcome, resolved, resolved_from, age_days FROM resolved_findings")
    }
    assert found == {
        "fixed": ("fixed", instant(2 * DAY), "resolvedAt", 2),
        "deleted": ("deleted", instant(2 * DAY), "resolvedAt", 2),
        "no date": ("unknown", instant(3 * DAY), "updatedAt", 3),
        "seen only": ("unknown", instant(5 * DAY), "seen", 5),
        "dated by a change": ("unknown", instant(3 * DAY), "updatedAt", 3),
        "another reason": ("unknown", instant(2 * DAY), "resolvedAt", 2),
        "gone": ("gone", instant(4 * DAY), "sweep", 4),
    }


def test_issues_that_ended_say_how_and_when_as_findings_do(ask: Ask, land: Callable[..., None]) -> None:
    land(
        ISSUES,
        issue("fixed", "RESOLVED", seen=4 * DAY, resolutionReason="ISSUE_FIXED", resolvedAt=instant(2 * DAY)),
        issue("deleted", "RESOLVED", seen=4 * DAY, resolutionReason="OBJECT_DELETED", resolvedAt=instant(2 * DAY)),
        issue("gone", "OPEN", seen=1),
        issue("gone", None, seen=4 * DAY, **GONE),
        issue("rejected", "REJECTED", seen=1, resolutionReason="WONT_FIX"),
        issue("reopened", "RESOLVED", seen=1, resolvedAt=instant(1)),
        issue("reopened", "OPEN", seen=2, changed=2),
    )
    found = {one["id"]: one for one in ask("FROM resolved_issues")}
    assert {key: (one["outcome"], one["resolved"], one["resolved_from"]) for key, one in found.items()} == {
        "fixed": ("fixed", instant(2 * DAY), "resolvedAt"),
        "deleted": ("deleted", instant(2 * DAY), "resolvedAt"),
        "gone": ("gone", instant(4 * DAY), "sweep"),
    }
    assert found["fixed"]["age_days"] == 2


def states(ask: Ask, macro: str, minute: float) -> dict[str, tuple[str | None, str]]:
    """Return status and certainty by id."""
    listed = ask(f"SELECT id, status, certainty FROM {macro}('{instant(minute).isoformat()}')")
    assert len({one["id"] for one in listed}) == len(listed)
    return {one["id"]: (one["status"], one["certainty"]) for one in listed}


@pytest.mark.slow
@pytest.mark.parametrize(("macro", "table", "make"), [("issues_at", ISSUES, issue), ("findings_at", FINDINGS, finding)])
def test_a_column_of_any_name_may_be_the_instant(
    ask: Ask, land: Callable[..., None], macro: str, table: str, make: Callable[..., dict[str, Any]]
) -> None:
    land(
        table, make("a", "OPEN", seen=10), make("b", "OPEN", seen=30, **{"created" if table == ISSUES else "first": 30})
    )
    names = sorted({"t", "createdAt", "status", *re.findall(r" AS (\w+)", saved_views()[macro].sql)})
    asked = ask(
        " UNION ALL ".join(
            f"SELECT '{name}' AS name, count(*) AS rows FROM "
            f"(SELECT TIMESTAMPTZ '{instant(20).isoformat()}' AS {name}) AS theirs, {macro}({name})"
            for name in names
        )
    )
    assert {one["name"]: one["rows"] for one in asked} == dict.fromkeys(names, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("macro", "table", "make"), [("issues_at", ISSUES, issue), ("findings_at", FINDINGS, finding)])
def test_the_past_is_the_version_of_then(
    ask: Ask, land: Callable[..., None], macro: str, table: str, make: Callable[..., dict[str, Any]]
) -> None:
    land(
        table,
        make("a", "OPEN", seen=10, severity="LOW"),
        make("a", "RESOLVED", seen=21, changed=20, resolvedAt=instant(20)),
        make("a", "OPEN", seen=31, changed=30),
        # What a sweep found changed, though no date moved, is known from when it was seen.
        make("b", "OPEN", seen=10, severity="LOW"),
        make("b", "OPEN", seen=25, severity="HIGH"),
        # An older version that came late.
        make("c", "IN_PROGRESS", seen=21, changed=20),
        make("c", "OPEN", seen=40, changed=5),
        # Gone since the sweep, and back.
        make("d", "OPEN", seen=10),
        make("d", None, seen=20, **GONE),
        make("d", "OPEN", seen=30),
        # A date in the future holds from when it was seen.
        make("e", "OPEN", seen=15, changed=10**6),
    )
    assert states(ask, macro, -1) == {}
    known = {"a": ("OPEN", "recorded"), "b": ("OPEN", "recorded"), "d": ("OPEN", "recorded")}
    assert states(ask, macro, 16) == known | {"c": ("OPEN", "recorded"), "e": ("OPEN", "recorded")}
    assert states(ask, macro, 20) == {
        "a": ("RESOLVED", "recorded"),
        "b": ("OPEN", "recorded"),
        "c": ("IN_PROGRESS", "recorded"),
        "d": (None, "gone"),
        "e": ("OPEN", "recorded"),
    }
    assert states(ask, macro, 30)["a"] == ("OPEN", "recorded")
    assert states(ask, macro, 30)["d"] == ("OPEN", "recorded")
    severity = f"SELECT severity FROM {macro}('{{}}') WHERE id = 'b'"
    assert ask(severity.format(instant(24).isoformat())) == [{"severity": "LOW"}]
    assert ask(severity.format(instant(25).isoformat())) == [{"severity": "HIGH"}]


@pytest.mark.parametrize(("macro", "table", "make"), [("issues_at", ISSUES, issue), ("findings_at", FINDINGS, finding)])
def test_a_status_is_as_old_as_its_own_date_says(
    ask: Ask, land: Callable[..., None], macro: str, table: str, make: Callable[..., dict[str, Any]]
) -> None:
    resolved = {"resolvedAt": instant(20), "statusChangedAt": instant(20)}
    land(
        table,
        # Nobody looked for a while: resolved at 20, changed again at 90, and seen at 100.
        make("missed", "OPEN", seen=10),
        make("missed", "RESOLVED", seen=100, changed=90, **resolved),
        # No other date moved when it was resolved.
        make("unmoved", "OPEN", seen=10),
        make("unmoved", "RESOLVED", seen=100, **resolved),
        make("first seen late", "RESOLVED", seen=100, **resolved),
        # The date is older than an answer that showed it open.
        make("impossible", "OPEN", seen=30),
        make("impossible", "RESOLVED", seen=100, changed=90, **resolved),
    )
    opened, closed = ("OPEN", "recorded"), ("RESOLVED", "dated")
    ahead = ("OPEN", "assumed")
    names = ("missed", "unmoved", "first seen late", "impossible")
    assert states(ask, macro, 15) == dict(zip(names, (opened, opened, ahead, opened), strict=True))
    assert states(ask, macro, 50) == dict(zip(names, (closed, closed, ("RESOLVED", "recorded"), opened), strict=True))
    assert set(states(ask, macro, 100).values()) == {("RESOLVED", "recorded")}


def test_before_the_first_pull_the_dates_of_an_issue_say_what_they_can(ask: Ask, land: Callable[..., None]) -> None:
    late: dict[str, Any] = {"created": 0, "seen": 100}
    land(
        ISSUES,
        issue("resolved before", "RESOLVED", **late, changed=90, statusChangedAt=instant(20), resolvedAt=instant(20)),
        issue("resolved after", "RESOLVED", **late, changed=90, resolvedAt=instant(90)),
        issue("rejected after", "REJECTED", **late, changed=90),
        issue("taken up after", "IN_PROGRESS", **late, changed=90),
        issue("reopened after", "OPEN", **late, changed=90),
        issue("never moved", "OPEN", **late, changed=90, statusChangedAt=None),
        issue("no date of the end", "RESOLVED", **late, changed=90, statusChangedAt=None),
        issue("status unknown", None, **late, changed=90),
        issue("no created date", "OPEN", seen=100, changed=90, createdAt=None),
        issue("created after", "OPEN", created=80, seen=100),
    )
    assert states(ask, "issues_at", 50) == {
        "resolved before": ("RESOLVED", "dated"),
        "resolved after": ("OPEN", "assumed"),
        "rejected after": ("OPEN", "assumed"),
        "taken up after": ("OPEN", "assumed"),
        "reopened after": (None, "unknown"),
        "never moved": ("OPEN", "dated"),
        "no date of the end": (None, "unknown"),
        "status unknown": (None, "unknown"),
        "no created date": (None, "unknown"),
    }
    assert {sure for _, sure in states(ask, "issues_at", 95).values()} == {"recorded"}
    assert {one["first_seen"] for one in ask("FROM issues_at('2026-12-01')")} == {instant(100)}


def test_before_the_first_pull_the_dates_of_a_finding_say_what_they_can(ask: Ask, land: Callable[..., None]) -> None:
    late: dict[str, Any] = {"first": 0, "seen": 100, "changed": 90}
    land(
        FINDINGS,
        finding("resolved before", "RESOLVED", **late, resolvedAt=instant(20)),
        finding("resolved after", "RESOLVED", **late, resolvedAt=instant(90)),
        finding("no date of the end", "RESOLVED", **late),
        finding("rejected", "REJECTED", **late),
        finding("open", "OPEN", **late),
        finding("no first date", "OPEN", seen=100, changed=90, firstDetectedAt=None),
        finding("detected after", "OPEN", first=80, seen=100),
    )
    assert states(ask, "findings_at", 50) == {
        "resolved before": ("RESOLVED", "dated"),
        "resolved after": ("OPEN", "assumed"),
        "no date of the end": (None, "unknown"),
        "rejected": (None, "unknown"),
        "open": ("OPEN", "assumed"),
        "no first date": (None, "unknown"),
    }


@pytest.mark.slow
def test_a_row_of_another_engine_is_open_but_has_no_past(tmp_path: Path, ask: Ask, land: Callable[..., None]) -> None:
    land(ISSUES, issue("a", "OPEN", seen=1), issue("b", "OPEN", seen=1))
    with opened_catalog(tmp_path) as catalog:
        table = catalog.load_table(("ocelog", ISSUES))
        for shape in ({"id": "theirs"}, {"id": "theirs too", "status": "OPEN"}, {"id": "a", "p_source_id": "s1"}):
            columns = {"p_event_time": None} | shape
            table.append(
                pa.table({name: pa.array([value], SCHEMAS[ISSUES].field(name).type) for name, value in columns.items()})
            )
    assert sorted(one["id"] for one in ask("SELECT id FROM open_issues")) == ["a", "b", "theirs", "theirs too"]
    assert states(ask, "issues_at", 5) == {"a": ("OPEN", "recorded"), "b": ("OPEN", "recorded")}


def test_records_of_two_sources_stay_apart(ask: Ask, land: Callable[..., None]) -> None:
    land(
        ISSUES,
        issue("a", "OPEN", seen=1),
        issue("a", "RESOLVED", seen=2, changed=2, p_source_id="s2", p_row_id="f" * 32, resolvedAt=instant(2)),
    )
    assert [one["source_id"] for one in ask("FROM open_issues")] == ["s1"]
    found = ask(f"SELECT source_id, status FROM issues_at('{instant(3).isoformat()}') ORDER BY ALL")
    assert [tuple(one.values()) for one in found] == [("s1", "OPEN"), ("s2", "RESOLVED")]


def test_a_macro_can_be_asked_for_many_instants_at_once(ask: Ask, land: Callable[..., None]) -> None:
    land(ISSUES, issue("a", "OPEN", seen=1), issue("b", "OPEN", created=5, seen=6))
    begin, end = instant(0).isoformat(), instant(10).isoformat()
    found = ask(
        f"SELECT day, count(*) AS n FROM generate_series('{begin}'::TIMESTAMPTZ, '{end}'::TIMESTAMPTZ, "
        "INTERVAL 5 MINUTES) AS days(day), issues_at(day) WHERE status = 'OPEN' GROUP BY day ORDER BY day"
    )
    assert [tuple(one.values()) for one in found] == [(instant(0), 1), (instant(5), 2), (instant(10), 2)]


def test_without_an_instant_a_macro_looks_at_now(ask: Ask, land: Callable[..., None]) -> None:
    land(ISSUES, issue("a", "OPEN", seen=1), issue("b", "RESOLVED", seen=1))
    assert ask("SELECT id, status, certainty FROM issues_at ORDER BY id") == [
        {"id": "a", "status": "OPEN", "certainty": "recorded"},
        {"id": "b", "status": "RESOLVED", "certainty": "recorded"},
    ]


def test_only_the_tables_of_a_view_are_read(tmp_path: Path, ask: Ask, land: Callable[..., None]) -> None:
    land(ISSUES, issue("a", "OPEN", seen=1), issue("b", "OPEN", seen=1))
    land(FINDINGS, finding("a", "OPEN", seen=1))
    for file in (tmp_path / "lake" / "warehouse" / "ocelog" / FINDINGS).rglob("*.parquet"):
        file.unlink()
    assert len(ask("FROM open_issues")) == 2
    assert len(ask("FROM issues_at(now())")) == 2
    with pytest.raises(Exception, match="missing"):
        ask("FROM open_findings")


def test_what_a_view_is_made_of_counts_as_read(tmp_path: Path, ledger: MemoryLedger) -> None:
    queries = Queries(tmp_path, ledger, SCHEMAS, saved=saved_views())
    with queries.run("FROM open_issues, findings_at(now())") as answer:
        assert answer.tables == {"open_issues", "wiz_issues_current", "findings_at", FINDINGS}


def test_a_name_that_only_looks_like_a_macro_is_refused(ask: Ask, land: Callable[..., None]) -> None:
    land(ISSUES, issue("a", "OPEN", seen=1))
    for sql in ("FROM other.issues_at(now())", "FROM issue_at(now())", "SELECT other.issues_at(1)"):
        with pytest.raises(QueryError, match="There is no function"):
            ask(sql)
    with pytest.raises(QueryError, match="read_text"):
        ask("FROM issues_at((SELECT content FROM read_text('/etc/passwd')))")
    with pytest.raises(QueryError, match="table function"):
        ask("SELECT issues_at(now())")
    with pytest.raises(QueryError, match="timestamp"):
        ask("FROM issues_at('yesterday')")


def test_every_table_has_its_own_name(ask: Ask) -> None:
    listed = {one["name"] for one in ask("SHOW TABLES")}
    current = {f"{each}_current" for each in SCHEMAS if each not in NOT_JUDGED}
    assert listed == {*saved_views(), "all_logs", *SCHEMAS, *current}
