"""`ocelog status`: exit 0 if all is well, 1 if something needs attention, whatever else goes on."""

import sqlite3
from pathlib import Path

import pytest

from commands import Ocelog, simulator


@pytest.fixture(scope="module")
def ocelog(tmp_path_factory: pytest.TempPathFactory) -> Ocelog:
    made = Ocelog(tmp_path_factory.mktemp("status") / "home")
    made("init")
    with simulator("--audit", "30", "--issues", "20", "--findings", "0") as tenant:
        made.add(tenant, "prod", "--log-type", "audit", "--log-type", "findings")
        made("pull")
    return made


def test_all_is_well_after_a_pull(ocelog: Ocelog) -> None:
    assert "Nothing is running" in ocelog("status").out


def test_old_data_needs_attention_while_nothing_runs(ocelog: Ocelog) -> None:
    told = ocelog("status", "--max-lag", "0s", code=1).out
    assert "prod Wiz.Audit: nothing is running, and the data is" in told
    assert "Run: ocelog run" in told
    assert "'soon'" in ocelog("status", "--max-lag", "soon", code=2).err


def test_a_stream_that_never_delivered_is_not_shown_as_simply_fine(ocelog: Ocelog) -> None:
    told = ocelog("status")
    assert "prod Wiz.VulnerabilityFinding: no record has ever come" in told.out
    assert "ocelog source check prod" in told.out
    assert {each["state"] for each in ocelog("status", "--json").json["streams"]} == {"live", "empty"}


def test_status_looks_at_the_lake(ocelog: Ocelog, tmp_path: Path) -> None:
    ledger = sqlite3.connect(ocelog.home / "ledger.db")
    lake, away = ocelog.home / "lake", tmp_path / "lake"
    lake.rename(away)
    try:
        # As if the grace of ten minutes had passed: only the lake has these rows now.
        ledger.execute("UPDATE counters SET removed_through = last")
        ledger.commit()
        told = ocelog("status", code=1).out
        assert "wiz_audit" in told
        assert "restore" in told
    finally:
        away.rename(lake)
        ledger.execute("UPDATE counters SET removed_through = 0")
        ledger.commit()
        ledger.close()
    ocelog("status")


def test_sql_shows_what_status_shows(ocelog: Ocelog) -> None:
    told = {each["log_type"]: each for each in ocelog("status", "--json").json["streams"]}
    found = ocelog("query", "SELECT log_type, state, needs_attention, events, last_event FROM streams ORDER BY 1").lines
    assert [row["log_type"] for row in found] == sorted(told)
    for row in found:
        shown = told[row["log_type"]]
        assert (row["state"], row["needs_attention"]) == (shown["state"], shown["needs_person"])
        assert (row["events"], (row["last_event"] or "")[:19]) == (shown["events"], (shown["last_event"] or "")[:19])
    joined = "SELECT s.source, count(*) AS rows FROM wiz_audit w JOIN streams s ON s.source_id = w.p_source_id"
    (counted,) = ocelog("query", f"{joined} WHERE s.log_type = 'Wiz.Audit' GROUP BY ALL").lines
    assert counted == {"source": "prod", "rows": ocelog.count("wiz_audit")}
