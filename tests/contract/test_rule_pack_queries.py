"""Queries of our rules find what they say, and nothing else, in rows that tell the difference."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ocelog.app.log_types import kinds, table_schemas
from ocelog.detect.checkout import Checkout, read_checkout
from ocelog.detect.evaluate import RuleSet
from ocelog.lake.read.current import current_sql
from ocelog.model import table_name

FOLDER = Path(__file__).parents[2] / "src" / "ocelog" / "content" / "rules" / "wiz"
CHECKOUT: Checkout = read_checkout(FOLDER)
NOW = "2026-11-27 12:00:00+00"


class Lake:
    """The tables that queries read, with the rows that a test puts there, at a fixed present."""

    def __init__(self) -> None:
        self._connection = duckdb.connect()
        self._connection.execute("SET TimeZone = 'UTC'")
        for name in map(table_name, kinds()):
            self._connection.register("empty", table_schemas()[name].empty_table())
            self._connection.execute(f"CREATE TABLE {name} AS SELECT * FROM empty")  # noqa: S608
            self._connection.execute(f"CREATE VIEW {name}_current AS {current_sql(name)}")
        self._rows = 0

    def put(self, table: str, ago: str, **columns: str) -> None:
        """Put a row there that was seen `ago`; `columns` are SQL, such as "'OPEN'"."""
        self._rows += 1
        at = f"TIMESTAMPTZ '{NOW}' - INTERVAL '{ago}'"
        standard = dict.fromkeys(("p_event_time", "p_version_time", "p_observed_at"), at)
        values = {"p_row_id": f"'{self._rows}'", "p_source_id": "'s-1'", **standard, **columns}
        selected = ", ".join(f"{value} AS {name}" for name, value in values.items())
        self._connection.execute(f"INSERT INTO {table} BY NAME SELECT {selected}")

    def rows(self, rule: str) -> list[dict[str, Any]]:
        """Return what the query of `rule` finds and the rule matches, as rules see it."""
        full = f"Ocelog.Wiz.{rule}"
        sql = CHECKOUT.queries[f"{full}.Rows"].sql["sql"].replace("now()", f"TIMESTAMPTZ '{NOW}'")
        rows: list[dict[str, Any]] = self._connection.sql(sql).to_arrow_table().to_pylist()
        rules = RuleSet(CHECKOUT)
        detector = rules.load(CHECKOUT.rules[full])
        return [row for row in rows if detector.judge(rules.event(as_json(row), None)).matched]

    def columns(self, sql: str) -> list[str]:
        """Return the columns of an answer."""
        return self._connection.sql(sql).columns

    def close(self) -> None:
        self._connection.close()


def as_json(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


@pytest.fixture
def lake() -> Iterator[Lake]:
    found = Lake()
    yield found
    found.close()


def test_each_query_about_records_with_a_page_says_which(lake: Lake) -> None:
    pages = {table_name(name): kind.page for name, kind in kinds().items()}
    asked = 0
    for query in CHECKOUT.queries.values():
        tables = {table.removesuffix("_current") for table in re.findall(r"\bwiz_\w+", query.sql["sql"])} & pages.keys()
        assert len(tables) == 1, f"{query.name} is of no one log type"
        page = pages[tables.pop()]
        if page is not None:
            asked += 1
            assert page in lake.columns(query.sql["sql"]), query.name
    assert asked > 5


def test_an_issue_raised_is_told_and_one_lowered_or_new_is_not(lake: Lake) -> None:
    for id_, before, after in (
        ("raised", "MEDIUM", "CRITICAL"),
        ("lowered", "CRITICAL", "HIGH"),
        ("same", "HIGH", "HIGH"),
    ):
        lake.put("wiz_issues", "3 days", id=f"'{id_}'", severity=f"'{before}'", status="'OPEN'")
        lake.put("wiz_issues", "10 minutes", id=f"'{id_}'", severity=f"'{after}'", status="'OPEN'")
    lake.put("wiz_issues", "10 minutes", id="'new'", severity="'CRITICAL'", status="'OPEN'")
    lake.put("wiz_issues", "10 days", id="'long ago'", severity="'LOW'", status="'OPEN'")
    lake.put("wiz_issues", "9 days", id="'long ago'", severity="'CRITICAL'", status="'OPEN'")
    assert [(row["id"], row["before"], row["p_row_id"]) for row in lake.rows("Issues.SeverityRaised")] == [
        ("raised", "MEDIUM", "2")
    ]


def test_an_issue_of_another_tenant_is_not_its_former_self(lake: Lake) -> None:
    lake.put("wiz_issues", "3 days", id="'a'", severity="'LOW'", status="'RESOLVED'", p_source_id="'s-2'")
    lake.put("wiz_issues", "10 minutes", id="'a'", severity="'CRITICAL'", status="'OPEN'")
    assert lake.rows("Issues.SeverityRaised") == lake.rows("Issues.Reopened") == []


def test_an_issue_open_again_is_told_unless_a_sweep_had_inferred_its_end(lake: Lake) -> None:
    for id_, more in (("fixed", {}), ("gone", {"p_inferred": "'inferred_closed'"})):
        lake.put("wiz_issues", "9 days", id=f"'{id_}'", severity="'HIGH'", status="'OPEN'")
        lake.put("wiz_issues", "3 days", id=f"'{id_}'", severity="'HIGH'", status="'RESOLVED'", **more)
        lake.put("wiz_issues", "1 hour", id=f"'{id_}'", severity="'HIGH'", status="'OPEN'")
    assert [row["id"] for row in lake.rows("Issues.Reopened")] == ["fixed"]


def test_an_issue_is_overdue_on_the_day_that_its_date_passes(lake: Lake) -> None:
    for id_, due, status in (
        ("yesterday", "- INTERVAL 20 HOUR", "OPEN"),
        ("last week", "- INTERVAL 7 DAY", "OPEN"),
        ("tomorrow", "+ INTERVAL 1 DAY", "OPEN"),
        ("resolved", "- INTERVAL 20 HOUR", "RESOLVED"),
    ):
        at = f"TIMESTAMPTZ '{NOW}' {due}"
        lake.put("wiz_issues", "30 days", id=f"'{id_}'", severity="'HIGH'", status=f"'{status}'", dueAt=at)
    assert [row["id"] for row in lake.rows("Issues.Overdue")] == ["yesterday"]
    assert lake.rows("Issues.DueSoon") == []


def test_a_rise_of_epss_is_told_once_per_vulnerability(lake: Lake) -> None:
    for asset in ("a", "b"):
        finding = {"id": f"'{asset}'", "name": "'CVE-2026-1'", "status": "'OPEN'"}
        lake.put("wiz_vulnerability_finding", "5 days", **finding, epssProbability="1.5")
        lake.put("wiz_vulnerability_finding", "1 hour", **finding, epssProbability="60.0")
    lake.put(
        "wiz_vulnerability_finding", "5 days", id="'c'", name="'CVE-2026-2'", status="'OPEN'", epssProbability="50"
    )
    lake.put(
        "wiz_vulnerability_finding", "1 hour", id="'c'", name="'CVE-2026-2'", status="'OPEN'", epssProbability="55"
    )
    assert [(row["name"], row["before_percent"]) for row in lake.rows("Vulnerabilities.EpssRise")] == [
        ("CVE-2026-1", 1.5)
    ]


def test_nothing_is_new_in_the_estate_while_everything_is(lake: Lake) -> None:
    finding = {"name": "'CVE-2026-1'", "status": "'OPEN'", "hasCisaKevExploit": "true", "severity": "'CRITICAL'"}
    lake.put("wiz_vulnerability_finding", "1 hour", id="'a'", **finding)
    assert lake.rows("Vulnerabilities.FirstSight") == []
    lake.put("wiz_vulnerability_finding", "30 days", id="'b'", name="'CVE-2020-1'", status="'OPEN'")
    assert [row["name"] for row in lake.rows("Vulnerabilities.FirstSight")] == ["CVE-2026-1"]
    lake.put("wiz_vulnerability_finding", "20 days", id="'c'", **{**finding, "status": "'RESOLVED'"})
    assert lake.rows("Vulnerabilities.FirstSight") == []


def test_what_cisa_asks_for_is_told_in_the_week_before(lake: Lake) -> None:
    for name, due in (("soon", "+ INTERVAL 5 DAY"), ("later", "+ INTERVAL 30 DAY"), ("long ago", "- INTERVAL 400 DAY")):
        at = f"TIMESTAMPTZ '{NOW}' {due}"
        finding = {"id": f"'{name}'", "name": f"'{name}'", "status": "'OPEN'", "hasCisaKevExploit": "true"}
        lake.put("wiz_vulnerability_finding", "30 days", **finding, cisaKevDueDate=at)
    assert [row["name"] for row in lake.rows("Vulnerabilities.KevDue")] == ["soon"]


def entry(lake: Lake, ago: str, **columns: str) -> None:
    lake.put("wiz_audit", ago, **{"id": "'e'", "action": "'Login'", "status": "'SUCCESS'", **columns})


MACHINE, PERSON = "{'id': 'sa-1', 'name': 'ci'}", "{'id': 'dana', 'name': 'Dana'}"


def test_a_service_account_in_a_new_network_is_told_if_it_is_known_long_enough(lake: Lake) -> None:
    entry(lake, "30 days", serviceAccount=MACHINE, sourceIP="'192.0.2.1'")
    entry(lake, "1 hour", serviceAccount=MACHINE, sourceIP="'192.0.2.99'")
    entry(lake, "1 hour", serviceAccount=MACHINE.replace("sa-1", "young"), sourceIP="'203.0.113.9'")
    assert lake.rows("Actors.ServiceAccountNewNetwork") == []
    entry(lake, "1 hour", serviceAccount=MACHINE, sourceIP="'203.0.113.9'")
    assert [row["sourceIP"] for row in lake.rows("Actors.ServiceAccountNewNetwork")] == ["203.0.113.9"]
    entry(lake, "20 days", serviceAccount=MACHINE, sourceIP="'203.0.113.1'")
    assert lake.rows("Actors.ServiceAccountNewNetwork") == []


def test_a_new_country_of_a_person_is_told_once_it_was_let_in(lake: Lake) -> None:
    person = {'"user"': PERSON}
    entry(lake, "30 days", sourceIPCountryCode="'KR'", **person)
    entry(lake, "1 hour", sourceIPCountryCode="'KR'", **person)
    entry(lake, "1 hour", sourceIPCountryCode="'NL'", **{**person, "status": "'FAILED'"})
    assert lake.rows("Actors.UserNewCountry") == []
    entry(lake, "1 hour", sourceIPCountryCode="'NL'", **person)
    assert [row["place"] for row in lake.rows("Actors.UserNewCountry")] == ["NL"]


def test_our_own_account_in_the_hands_of_another_program_is_told(lake: Lake) -> None:
    entry(lake, "1 day", serviceAccount=MACHINE, userAgent="'ocelog/0.1.0'")
    entry(lake, "1 hour", serviceAccount=MACHINE)
    entry(lake, "1 hour", serviceAccount=MACHINE.replace("sa-1", "other"), userAgent="'curl/8'")
    assert lake.rows("Actors.CollectorUsedElsewhere") == []
    entry(lake, "1 hour", serviceAccount=MACHINE, userAgent="'curl/8'", sourceIP="'203.0.113.9'")
    assert [(row["account"], row["userAgent"]) for row in lake.rows("Actors.CollectorUsedElsewhere")] == [
        ("ci", "curl/8")
    ]


def test_an_actor_who_comes_back_after_months_is_told(lake: Lake) -> None:
    person = {'"user"': PERSON}
    entry(lake, "90 days", **person)
    assert lake.rows("Actors.ReturnedAfterLong") == []
    entry(lake, "1 hour", **person)
    entry(lake, "30 minutes", **person)
    assert [row["days_away"] for row in lake.rows("Actors.ReturnedAfterLong")] == [90]


@pytest.mark.slow
def test_what_is_nobodys_or_opens_everywhere_is_told(lake: Lake) -> None:
    week = f"TIMESTAMPTZ '{NOW}' - INTERVAL 8 DAY"
    lake.put("wiz_issues", "8 days", id="'a'", severity="'CRITICAL'", status="'OPEN'", createdAt=week)
    assert [row["id"] for row in lake.rows("Issues.Unassigned")] == ["a"]
    finding = {"name": "'CVE-2026-1'", "status": "'OPEN'", "severity": "'HIGH'"}
    for number in range(50):
        assert lake.rows("Vulnerabilities.ManyAssets") == []
        asset = f"{{'id': '{number}'}}"
        detected = f"TIMESTAMPTZ '{NOW}' - INTERVAL 1 HOUR"
        lake.put(
            "wiz_vulnerability_finding",
            "1 hour",
            id=f"'{number}'",
            vulnerableAsset=asset,
            firstDetectedAt=detected,
            **finding,
        )
    assert [row["assets"] for row in lake.rows("Vulnerabilities.ManyAssets")] == [50]
