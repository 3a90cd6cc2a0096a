# ruff: noqa: S608 - the statements are the tests' own
"""A sweep brings what no other question shows: changes without a status change, and the end of what is gone."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from commands import Ocelog, Simulated, simulator
from commands.kept import Kept
from ocelog.times import rfc3339

ADMIN = "sweeping"
SIZE = ["--audit", "20", "--issues", "60", "--findings", "60", "--admin-token", ADMIN]


class Tenant:
    """A simulated tenant in which things happen when the test says so."""

    def __init__(self, simulated: Simulated) -> None:
        self.simulated = simulated

    def __call__(self, call: str, **values: Any) -> Any:
        url = self.simulated.api_url.replace("/graphql", f"/admin/{call}")
        headers = {"Authorization": f"Bearer {ADMIN}"}
        data = json.dumps(values).encode() if values else None
        with urlopen(Request(url, data=data, headers=headers)) as answer:  # noqa: S310 - loopback
            return json.load(answer)

    def records(self) -> dict[str, dict[str, Any]]:
        current = self("current")
        return {type_: {id_: record for id_, (_, record) in found.items()} for type_, found in current.items()}

    def opened(self, type_: str) -> list[dict[str, Any]]:
        records = self.records()[type_].values()
        return sorted((each for each in records if each["status"] == "OPEN"), key=lambda each: each["id"])


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulated]:
    with simulator(*SIZE) as found:
        yield found


@pytest.fixture
def tenant(simulated: Simulated) -> Iterator[Tenant]:
    """Let a test change the tenant, and change it back."""
    tenant = Tenant(simulated)
    before = tenant.records()
    yield tenant
    for type_, now in tenant.records().items():
        for id_ in now.keys() - before[type_].keys():
            tenant("remove", type=type_, id=id_)
        for id_, record in before[type_].items():
            if now.get(id_) != record:
                tenant("put", type=type_, record=record)
    assert tenant.records() == before


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory, simulated: Simulated) -> Kept:
    ocelog = Ocelog(tmp_path_factory.mktemp("sweeping") / "home")
    ocelog.init_unjudged()
    ocelog.add(simulated, "prod", "--log-type", "issues", "--log-type", "findings")
    ocelog("pull", "--json")
    return Kept(ocelog)


@pytest.fixture
def ocelog(pulled: Kept) -> Ocelog:
    return pulled.again()


def state(ocelog: Ocelog, table: str, record_id: str) -> dict[str, Any]:
    columns = "status, severity, p_inferred, p_origin, p_version_time, p_observed_at"
    (row,) = ocelog("query", f"SELECT {columns} FROM {table}_current WHERE id = '{record_id}'").lines
    found: dict[str, Any] = row
    return found


def certainty(ocelog: Ocelog, what: str, record_id: str, at: str) -> list[dict[str, Any]]:
    sql = f"SELECT status, certainty FROM {what}_at('{at}') WHERE id = '{record_id}'"
    found: list[dict[str, Any]] = ocelog("query", sql).lines
    return found


def swept(ocelog: Ocelog, code: int = 0) -> dict[str, dict[str, Any]]:
    return {row["log_type"]: row for row in ocelog("sweep", "--json", code=code).json["streams"]}


def test_what_changes_unseen_is_brought_and_what_is_gone_is_closed_until_it_returns(
    tenant: Tenant, ocelog: Ocelog
) -> None:
    changed, gone = tenant.opened("issues")[:2]
    severity = "LOW" if changed["severity"] != "LOW" else "HIGH"
    tenant("change", type="issues", id=changed["id"], fields={"severity": severity})
    tenant("remove", type="issues", id=gone["id"])
    rows = ocelog.count("wiz_issues")
    first = swept(ocelog)["Wiz.Issues"]
    assert (first["complete"], first["missing"], first["inferred_closed"]) == (True, 1, 0)
    assert state(ocelog, "wiz_issues", changed["id"])["severity"] == severity
    assert ocelog.count("wiz_issues") == rows + 1, "what is unchanged must not land again"
    before = state(ocelog, "wiz_issues", gone["id"])
    assert before["status"] == "OPEN"

    assert swept(ocelog)["Wiz.Issues"]["inferred_closed"] == 1
    after = state(ocelog, "wiz_issues", gone["id"])
    assert (after["status"], after["p_inferred"], after["p_origin"]) == (None, "inferred_closed", "sweep")
    assert after["p_version_time"] == before["p_version_time"]
    assert after["p_observed_at"] > before["p_observed_at"]
    assert swept(ocelog)["Wiz.Issues"]["missing"] == 0, "what is inferred closed is missed no more"
    assert certainty(ocelog, "issues", gone["id"], after["p_observed_at"]) == [{"status": None, "certainty": "gone"}]
    assert certainty(ocelog, "issues", gone["id"], before["p_observed_at"])[0]["status"] == "OPEN"
    assert ocelog("query", f"SELECT id FROM open_issues WHERE id = '{gone['id']}'").lines == []

    tenant("put", type="issues", record=gone)
    swept(ocelog)
    assert state(ocelog, "wiz_issues", gone["id"])["status"] == "OPEN"
    assert {row["difference"] for row in ocelog("coverage", "-o", "json").json["coverage"]} == {0}
    told = [
        (row["log_type"], row["status"], row["in_lake"]) for row in ocelog("coverage", "-o", "json").json["coverage"]
    ]
    asked = ocelog("query", "SELECT log_type, status, in_lake FROM coverage").lines
    assert sorted(told) == sorted((row["log_type"], row["status"], row["in_lake"]) for row in asked)


@pytest.mark.slow
def test_what_was_read_while_the_date_lied_is_outdone_and_closed_once_it_is_right(
    tenant: Tenant, simulated: Simulated, tmp_path: Path
) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init_unjudged()
    tenant("faults", add="date-jump:seconds=31536000")
    ocelog.add(simulated, "prod", "--log-type", "issues", "--backfill", "all")
    ocelog("pull", "--json")
    tenant("faults", clear=True)
    changed, gone = tenant.opened("issues")[:2]
    severity = "LOW" if changed["severity"] != "LOW" else "HIGH"
    tenant("change", type="issues", id=changed["id"], fields={"severity": severity})
    tenant("remove", type="issues", id=gone["id"])
    swept(ocelog)
    assert state(ocelog, "wiz_issues", changed["id"])["severity"] == severity
    swept(ocelog)
    assert state(ocelog, "wiz_issues", gone["id"])["p_inferred"] == "inferred_closed"
    rows = ocelog.count("wiz_issues")
    tenant("put", type="issues", record=gone)
    swept(ocelog)
    assert state(ocelog, "wiz_issues", gone["id"])["status"] == "OPEN"
    assert ocelog.count("wiz_issues") == rows + 1
    assert swept(ocelog)["Wiz.Issues"]["missing"] == 0


@pytest.mark.slow
def test_what_closed_unseen_lands_as_it_was_closed(tenant: Tenant, ocelog: Ocelog) -> None:
    closed = tenant.opened("findings")[0]
    # Its date does not move, so no live slice shows it.
    tenant("change", type="findings", id=closed["id"], fields={"status": "RESOLVED", "updatedAt": closed["updatedAt"]})
    assert swept(ocelog)["Wiz.VulnerabilityFinding"]["missing"] == 0
    found = state(ocelog, "wiz_vulnerability_finding", closed["id"])
    assert (found["status"], found["p_inferred"]) == ("RESOLVED", None)
    # Neither does resolvedAt say when: not before it was last seen open.
    resolved = f"SELECT resolved, resolved_from FROM resolved_findings WHERE id = '{closed['id']}'"
    assert ocelog("query", resolved).lines == [{"resolved": found["p_observed_at"], "resolved_from": "seen"}]


@pytest.mark.slow
def test_records_that_were_resolved_all_at_once_raise_no_alarm(tenant: Tenant, ocelog: Ocelog) -> None:
    now = rfc3339(datetime.now(UTC))
    patched = tenant.opened("findings")[:25]
    for number, each in enumerate(patched):
        # The date of some does not move: only a verification shows them.
        dates = {"updatedAt": now, "resolvedAt": now} if number % 5 else {"updatedAt": each["updatedAt"]}
        tenant("change", type="findings", id=each["id"], fields={"status": "RESOLVED", **dates})
    assert swept(ocelog)["Wiz.VulnerabilityFinding"]["missing"] == 0
    assert "SOURCE_PERMISSIONS_CHECKS" not in ocelog("status", code=None).out
    found = {state(ocelog, "wiz_vulnerability_finding", each["id"])["status"] for each in patched[:6]}
    assert found == {"RESOLVED"}


@pytest.mark.slow
def test_an_alarm_ends_when_a_pull_shows_the_records_again(tenant: Tenant, ocelog: Ocelog) -> None:
    gone = tenant.opened("findings")[:25]
    for each in gone:
        tenant("remove", type="findings", id=each["id"])
    swept(ocelog, code=2)
    for each in gone:
        tenant("put", type="findings", record=each)
    ocelog("pull", "--json", "--since", "90d", "--log-type", "findings")
    assert "SOURCE_PERMISSIONS_CHECKS" not in ocelog("status", code=None).out


@pytest.mark.slow
def test_a_sweep_names_the_pause_and_the_damage_of_a_source(tenant: Tenant, ocelog: Ocelog) -> None:
    ocelog.add(tenant.simulated, "other", "--log-type", "findings", "--anyway")
    ocelog("source", "pause", "other")
    told = ocelog("sweep", "other", code=2).err
    assert "ocelog source resume other" in told
    ledger = sqlite3.connect(ocelog.home / "ledger.db")
    with closing(ledger), ledger:
        ledger.execute("UPDATE sources SET paused = 0, settings = '{}' WHERE id = 'other'")
    found = ocelog("sweep", "--json", code=2).json
    assert {row["source"] for row in found["streams"]} == {"prod"}
    assert "settings of the source 'other' are damaged" in found["damaged"]["other"]["error"]
    assert "are damaged" in ocelog("sweep", "other", code=2).err
    measured = ocelog("coverage", "--measure", code=2)
    assert "prod" in measured.out
    assert "settings of the source 'other' are damaged" in measured.err


@pytest.mark.slow
def test_coverage_says_what_was_not_measured_and_compares_what_retention_keeps(tenant: Tenant, ocelog: Ocelog) -> None:
    ocelog.add(tenant.simulated, "other", "--log-type", "audit", "--log-type", "issues", "--anyway")
    told = ocelog("coverage", code=3).err
    assert "Not measured yet: other Wiz.Audit, other Wiz.Issues" in told
    ocelog("source", "remove", "other")
    rows = ocelog.count("wiz_issues_current")
    ocelog.environment["OCELOG_RETENTION"] = "wiz_issues=7d, wiz_vulnerability_finding=7d"
    ocelog("upkeep")
    assert ocelog.count("wiz_issues_current") < rows
    found = ocelog("coverage", "--measure", "-o", "json").json["coverage"]
    assert {row["difference"] for row in found} == {0}
    assert any(row["in_lake"] for row in found if row["status"] == "RESOLVED")
    assert "counts differ" not in ocelog("status", code=None).out


@pytest.mark.slow
def test_a_pull_that_has_read_all_measures_and_a_sweep_measures_again(tenant: Tenant, ocelog: Ocelog) -> None:
    def counted() -> dict[str, tuple[int, int]]:
        rows = ocelog("coverage", "-o", "json").json["coverage"]
        prod = [row for row in rows if row["source"] == "prod"]
        return {row["log_type"]: (row["at_wiz"], row["in_lake"]) for row in prod if row["status"] in {None, "OPEN"}}

    first = counted()
    assert first["Wiz.VulnerabilityFinding"] == (len(tenant.opened("findings")),) * 2
    ocelog("source", "edit", "prod", "--log-type", "audit", "--log-type", "findings")
    ocelog("pull", "--json")
    audit = counted()["Wiz.Audit"]
    assert audit[0] == audit[1] > 0
    one = tenant.opened("findings")[0]
    tenant("remove", type="findings", id=one["id"])
    ocelog("pull", "--json")
    findings = first["Wiz.VulnerabilityFinding"]
    assert counted() == {"Wiz.VulnerabilityFinding": findings, "Wiz.Audit": audit}, (
        "what was measured stays, until a sweep was complete"
    )
    ocelog("sweep", "--json")
    at_wiz, in_lake = counted()["Wiz.VulnerabilityFinding"]
    assert (at_wiz, in_lake) == (findings[0] - 1, findings[1])
    assert "A small difference is normal" in ocelog("coverage").err


def test_where_one_table_cannot_be_counted_the_others_are(ocelog: Ocelog) -> None:
    next((ocelog.home / "lake" / "warehouse" / "ocelog" / "wiz_issues" / "data").rglob("*.parquet")).unlink()
    before = {row["log_type"]: row["measured"] for row in ocelog("coverage", "-o", "json").json["coverage"]}
    after = before
    # The instant is told in whole seconds.
    deadline = time.monotonic() + 20
    while after["Wiz.VulnerabilityFinding"] == before["Wiz.VulnerabilityFinding"] and time.monotonic() < deadline:
        told = ocelog("coverage", "--measure", "-o", "json", code=3)
        after = {row["log_type"]: row["measured"] for row in told.json["coverage"]}
    assert after["Wiz.VulnerabilityFinding"] > before["Wiz.VulnerabilityFinding"]
    assert after["Wiz.Issues"] == before["Wiz.Issues"]
    assert "prod Wiz.Issues: " in told.err


def test_an_account_that_lost_access_closes_nothing_until_a_person_says_so(tenant: Tenant, ocelog: Ocelog) -> None:
    gone = tenant.opened("findings")[:25]
    for each in gone:
        tenant("remove", type="findings", id=each["id"])
    for _ in range(2):
        found = swept(ocelog, code=2)["Wiz.VulnerabilityFinding"]
        assert (found["missing"], found["inferred_closed"]) == (25, 0)
    told = ocelog("status", code=1).out
    assert "SOURCE_PERMISSIONS_CHECKS" in told
    assert "ocelog sweep prod --accept" in told
    assert state(ocelog, "wiz_vulnerability_finding", gone[0]["id"])["status"] == "OPEN"
    accepted = ocelog("sweep", "prod", "--accept", "--json").json["streams"]
    assert {row["log_type"]: row["inferred_closed"] for row in accepted}["Wiz.VulnerabilityFinding"] == 25
    assert "SOURCE_PERMISSIONS_CHECKS" not in ocelog("status", code=None).out
