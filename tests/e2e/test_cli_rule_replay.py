"""`ocelog rules replay`: a rule judges what it has not judged, and each match lands once."""

import json
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import insert, update

from bookkeeping.alerts import alert_of, opened
from commands import Ocelog, simulator
from ocelog.alert.alert import RULE_OFF
from ocelog.alert.listing import AlertFilter
from ocelog.alert.notice import AlertStatus, AlertType
from ocelog.app.rules.rule_replay import replay_rule
from ocelog.installation.opening import opened as opened_home
from ocelog.ledger import tables
from ocelog.ledger.ledger import Ledger
from ocelog.model import DETECT

RULE = """\
AnalysisType: rule
RuleID: Mine.Replayed
Enabled: true
Filename: replayed.py
LogTypes: [Wiz.Audit]
Severity: High
DedupPeriodMinutes: 60
"""
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
LOGINS = """\
def rule(event):
    return event.get("action") == "Login"


def dedup(event):
    return event.deep_get("user", "name") or ""
"""
FAILS = """\
def rule(event):
    raise KeyError(event["action"])
"""
MATCHES = "SELECT event_row_id, alert_id FROM rule_matches WHERE rule_id = 'Mine.Replayed'"


@pytest.fixture
def ocelog(tmp_path: Path) -> Iterator[Ocelog]:
    """Return a home that has pulled everything before it got rules."""
    found = Ocelog(tmp_path / "home")
    found.init()
    found("rules", "disable", "Ocelog.*")
    with simulator("--audit", "400", "--issues", "40", "--findings", "20") as tenant:
        found.add(tenant, "prod", "--backfill", "30d")
        found("pull")
        yield found


@pytest.fixture
def told(tmp_path: Path, ocelog: Ocelog) -> Path:
    """Return what a channel is told."""
    path = tmp_path / "told.jsonl"
    ocelog("channel", "add", "file", "told", "--set", f"path={path}")
    return path


def registered(ocelog: Ocelog, folder: Path, python: str = LOGINS, **more: str) -> Path:
    rules = folder / "rules"
    rules.mkdir()
    (rules / "replayed.yml").write_text(RULE)
    (rules / "replayed.py").write_text(python)
    for name, text in more.items():
        (rules / f"{name}.yml").write_text(text)
    ocelog("rules", "add", str(rules), "--name", "mine")
    return rules


def replayed(ocelog: Ocelog, *more: str, rule: str = "Mine.Replayed", code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = ocelog("rules", "replay", rule, "--since", "30d", "--json", *more, code=code).json
    return found


def rows(ocelog: Ocelog, sql: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ocelog("query", "-o", "json", sql).json
    return found


def logins(ocelog: Ocelog) -> int:
    (counted,) = rows(ocelog, "SELECT count(*) AS n FROM wiz_audit WHERE action = 'Login'")
    return int(counted["n"])


@pytest.mark.slow
def test_history_is_judged_once_and_nobody_is_told(ocelog: Ocelog, told: Path, tmp_path: Path) -> None:
    registered(ocelog, tmp_path)
    done = replayed(ocelog)
    assert done["new_matches"] == logins(ocelog) > 10
    assert (done["told"], done["waiting"], done["failed"]) == (0, 0, [])
    assert replayed(ocelog)["new_matches"] == 0
    assert replayed(ocelog, "--alerts")["new_matches"] == 0
    found = rows(ocelog, MATCHES)
    assert len(found) == len({each["event_row_id"] for each in found}) == logins(ocelog)
    (history,) = rows(ocelog, "SELECT * FROM alerts WHERE rule_id = 'Mine.Replayed'")
    assert {each["alert_id"] for each in found} == {history["alert_id"]}
    assert (history["status"], history["matches"], history["told"]) == ("CLOSED", len(found), False)
    ocelog("pull")
    assert not told.exists()


@pytest.mark.slow
def test_alerts_are_opened_and_told_if_that_is_wanted(ocelog: Ocelog, told: Path, tmp_path: Path) -> None:
    registered(ocelog, tmp_path)
    (users,) = rows(ocelog, "SELECT count(DISTINCT coalesce(user.name, '')) AS n FROM wiz_audit WHERE action = 'Login'")
    done = replayed(ocelog, "--alerts")
    assert (done["new_matches"], done["told"]) == (logins(ocelog), users["n"])
    assert replayed(ocelog, "--alerts")["told"] == 0
    ocelog("pull")
    assert len(told.read_text().splitlines()) == users["n"]


@pytest.mark.slow
def test_alerts_of_records_open_as_known(ocelog: Ocelog, told: Path, tmp_path: Path) -> None:
    registered(ocelog, tmp_path, open=OPEN)
    assert replayed(ocelog, "--since", "2000d", rule="Mine.Open")["told"] == 0
    alerts = rows(ocelog, "SELECT record_id FROM alerts WHERE rule_id = 'Mine.Open' AND status = 'OPEN'")
    records = rows(ocelog, "SELECT id FROM wiz_issues_current WHERE status IN ('OPEN', 'IN_PROGRESS')")
    assert sorted(each["record_id"] for each in alerts) == sorted(each["id"] for each in records)
    assert records
    assert not told.exists()


@pytest.mark.slow
def test_what_was_left_unjudged_is_settled_once_it_is_judged(ocelog: Ocelog, tmp_path: Path) -> None:
    rules = registered(ocelog, tmp_path, FAILS)
    done = replayed(ocelog, code=1)
    (failed,) = done["failed"]
    assert failed["events"] == done["events"] > 100
    (left,) = ocelog("rules", "unjudged", "--json").json
    assert (left["rule"], left["events"]) == ("Mine.Replayed", done["events"])
    assert replayed(ocelog, code=1)["settled"] == 0, "the rule failed on all of it again"
    (left,) = ocelog("rules", "unjudged", "--json").json
    assert left["events"] == done["events"], "judging in vain again made it more"
    ledger = Ledger.open(f"sqlite:///{ocelog.home / 'ledger.db'}", create=False)
    opened(ledger, alert_of(1, rule_id="Mine.Replayed", type=AlertType.DETECTION_ERROR, rule_revision="r"))
    ledger.close()
    (rules / "replayed.py").write_text(LOGINS)
    done = replayed(ocelog)
    assert (done["settled"], done["new_matches"]) == (left["events"], logins(ocelog))
    assert ocelog("rules", "unjudged", "--json").json == []
    (error,) = ocelog("alerts", "list", "--status", "resolved", "--json").json
    assert error["type"] == "DETECTION_ERROR"


@pytest.mark.slow
def test_what_a_removed_source_left_unjudged_is_not_said_to_be_judged(ocelog: Ocelog, tmp_path: Path) -> None:
    rules = registered(ocelog, tmp_path, FAILS)
    events = replayed(ocelog, code=1)["events"]
    (rules / "replayed.py").write_text(LOGINS)
    ocelog("source", "remove", "prod", "--yes")
    said = ocelog("rules", "replay", "Mine.Replayed", "--since", "30d")
    assert "judged now" not in said.out
    assert f"{events} events that had been left unjudged stay so." in " ".join(said.err.split())
    (left,) = ocelog("rules", "unjudged", "--json").json
    assert left["events"] == events


@pytest.mark.slow
def test_a_suspended_rule_needs_attention_until_it_is_enabled_also_after_a_replay(
    ocelog: Ocelog, tmp_path: Path
) -> None:
    rules = registered(ocelog, tmp_path, FAILS)
    replayed(ocelog, code=1)
    with closing(Ledger.open(f"sqlite:///{ocelog.home / 'ledger.db'}", create=False)) as ledger:
        ledger.rules.suspend("Mine.Replayed", "it used up its time")
        for number, dedup in enumerate(("TimeoutError", "Suspended")):
            error = alert_of(number, rule_id="Mine.Replayed", type=AlertType.DETECTION_ERROR)
            opened(ledger, replace(error, rule_revision="r", dedup=dedup))
    status = ocelog("status", code=1)
    said = " ".join((status.out + status.err).split())
    assert "The rule Mine.Replayed is suspended since" in said
    assert "it used up its time To do: correct it, then run: ocelog rules enable Mine.Replayed" in said
    enable, again = "run: ocelog rules enable Mine.Replayed.", "ocelog rules replay Mine.Replayed --since "
    (left,) = ocelog("rules", "unjudged", "--json").json
    assert left["to_do"].index(enable) < left["to_do"].index(again)
    assert said.index(enable) < said.index(again)
    (rules / "replayed.py").write_text(LOGINS)
    assert replayed(ocelog)["settled"]
    (error,) = ocelog("alerts", "list", "--status", "open", "--rule", "Mine.Replayed", "--json").json
    assert "Suspended" in error["dedup"], "it is suspended still"
    assert ocelog("status", "--json", code=1).json["suspended_rules"] == ["Mine.Replayed"]
    ocelog("rules", "enable", "Mine.Replayed")
    assert ocelog("alerts", "list", "--status", "open", "--rule", "Mine.Replayed", "--json").json == []
    assert ocelog("status", "--json").json["suspended_rules"] == []


@pytest.mark.slow
def test_what_is_printed_has_even_the_oldest_of_what_was_left_judged(ocelog: Ocelog, tmp_path: Path) -> None:
    rules = registered(ocelog, tmp_path, FAILS)
    replayed(ocelog, code=1)
    (rules / "replayed.py").write_text(LOGINS)
    (left,) = ocelog("rules", "unjudged", "--json").json
    command = left["to_do"].rpartition(": ")[2]
    assert f"{command}" in " ".join(ocelog("status").out.split())
    done = " ".join(ocelog(*shlex.split(command)[1:]).out.split())
    assert f"{left['events']} events that had been left unjudged were judged now." in done
    assert ocelog("rules", "unjudged", "--json").json == []


@pytest.mark.slow
def test_that_judging_is_behind_is_told_with_the_rule_that_takes_the_most_time(ocelog: Ocelog, tmp_path: Path) -> None:
    def behind(us: int) -> None:
        with closing(sqlite3.connect(ocelog.home / "ledger.db")) as ledger, ledger:
            ledger.execute("UPDATE marks SET sequence = 0, row = 0 WHERE loop = 'detect' AND table_name = 'wiz_audit'")
            ledger.execute("UPDATE parts SET landed_us = landed_us - ? WHERE table_name = 'wiz_audit'", [us])

    registered(ocelog, tmp_path, "import time\n\n\ndef rule(event):\n    time.sleep(0.002)\n    return False\n")
    behind(0)
    assert ocelog("status", "--json").json["judging_behind_since"] is None, "it is not late yet"
    ocelog("pull")
    behind(600_000_000)
    status = ocelog("status", "--json").json
    assert (status["slowest_rule"], bool(status["judging_behind_since"])) == ("Mine.Replayed", True)
    said = " ".join(ocelog("status").out.split())
    assert "Judging is behind: events wait for the rules since" in said
    assert "The rule Mine.Replayed took the most time" in said

    def took(seconds: float, of: float, *others: str) -> None:
        worst = [{"rule": name, "seconds": seconds} for name in ("Mine.Replayed", *others)]
        long = 20 + len(worst) if others else int(seconds >= 4)
        pace = {"worst": worst, "of": of, "batches": 2, "long": long, "long_seconds": seconds * long}
        (ocelog.home / "tmp" / "judging.json").write_text(json.dumps(pace))

    for seconds, of in ((3.9, 4), (9, 19)):
        took(seconds, of)
        # Much is judged, and no rule is to blame.
        assert "Judging is behind" in ocelog("status", code=0).out
    took(4, 8)
    assert ocelog("status", code=1).out.startswith("Action required:")
    took(4, 100, "Mine.B", "Mine.C")
    said = " ".join(ocelog("status", code=1).out.split())
    assert said.startswith("Action required:")
    assert "The rules Mine.Replayed, Mine.B and Mine.C took the most time: 4, 4 and 4 of 100 s" in said
    assert "20 more take long, too." in said
    assert "make them quicker, or turn them off: ocelog rules disable Mine.Replayed Mine.B Mine.C" in said


@pytest.mark.slow
def test_that_judging_is_behind_is_a_note_from_one_minute_on(ocelog: Ocelog, tmp_path: Path) -> None:
    registered(ocelog, tmp_path, "def rule(event):\n    return False\n")
    worst = [{"rule": "Mine.Replayed", "seconds": 99}]
    pace = {"worst": worst, "of": 99, "batches": 2, "long": 1, "long_seconds": 99}
    (ocelog.home / "tmp" / "judging.json").write_text(json.dumps(pace))
    for seconds, told in ((50, False), (20, True), (200, True)):
        with closing(sqlite3.connect(ocelog.home / "ledger.db")) as ledger, ledger:
            ledger.execute("UPDATE marks SET sequence = 0, row = 0 WHERE loop = 'detect' AND table_name = 'wiz_audit'")
            ledger.execute(
                "UPDATE parts SET landed_us = landed_us - ? WHERE table_name = 'wiz_audit'", [seconds * 1_000_000]
            )
        said = ocelog("status", code=0).out
        assert ("The rule Mine.Replayed took the most time" in " ".join(said.split())) is told


@pytest.mark.slow
def test_a_rule_that_is_off_is_not_replayed(ocelog: Ocelog, tmp_path: Path) -> None:
    registered(ocelog, tmp_path)
    ocelog("rules", "disable", "Mine.Replayed")
    assert "rules enable Mine.Replayed" in ocelog("rules", "replay", "Mine.Replayed", code=2).err


@pytest.mark.slow
def test_what_the_loop_has_not_passed_is_left_to_it(ocelog: Ocelog, tmp_path: Path) -> None:
    registered(ocelog, tmp_path)
    with closing(sqlite3.connect(ocelog.home / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE marks SET sequence = 1, row = 3 WHERE loop = 'detect' AND table_name = 'wiz_audit'")
        ahead, first = ledger.execute(
            "SELECT sum(rows), min(sequence) FROM parts WHERE table_name = 'wiz_audit' AND sequence > 1"
        ).fetchone()
    assert first == 2
    done = replayed(ocelog)
    assert 0 < done["waiting"] == ahead - 3 < done["events"]
    ocelog("pull")
    found = rows(ocelog, MATCHES)
    assert len(found) == len({each["event_row_id"] for each in found}) == logins(ocelog)
    assert replayed(ocelog)["waiting"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("how", ["by a person", "with its folder", "in its file"])
def test_a_rule_that_is_disabled_or_removed_as_it_is_replayed_leaves_no_alert_open(
    ocelog: Ocelog, tmp_path: Path, how: str
) -> None:
    rules = registered(ocelog, tmp_path, open=OPEN)
    now = datetime.now(UTC)
    with opened_home(ocelog.home) as installation:
        ledger = installation.ledger

        def disable(*_: object) -> None:
            if how == "by a person":
                ledger.rules.enable(["Mine.Open"], enabled=False)
            elif how == "in its file":
                (rules / "open.yml").write_text(OPEN.replace("Enabled: true", "Enabled: false"))
            else:
                for folder in ledger.rules.folders():
                    ledger.rules.remove(folder.id, ["Mine.Open"])

        since = now - timedelta(days=30)
        assert replay_rule(installation, "Mine.Open", since=since, until=now, alerts=True, told=disable).matches > 0
        found = ledger.alerts.listed(AlertFilter(rule="Mine.Open", untold=True), limit=500)
        assert {(each.status, each.close_reason) for each in found} == {(AlertStatus.RESOLVED, RULE_OFF)}


@pytest.mark.slow
def test_what_a_purge_has_deleted_keeps_nobody_from_judging_the_past_of_others(ocelog: Ocelog, tmp_path: Path) -> None:
    registered(ocelog, tmp_path)
    now = datetime.now(UTC)
    with opened_home(ocelog.home) as installation:
        part = installation.ledger.lake.parts("wiz_audit")[-1]
        p, m = tables.parts.c, tables.marks.c
        with installation.ledger._database.write() as tx:
            # Of a source that was removed before it was judged, and whose purge was killed.
            removed = {"id": "gone", "name": "gone", "kind": "wiz", "settings": {}, "paused": False, "added_us": 1}
            tx.execute(insert(tables.sources).values(removed_us=2, **removed))
            tx.execute(update(tables.parts).where(p.path == part.path).values(source_id="gone", path="landing/gone"))
            judged = (m.loop == DETECT, m.table_name == "wiz_audit")
            tx.execute(update(tables.marks).where(*judged).values(sequence=part.sequence - 1))
        since = now - timedelta(days=30)
        assert replay_rule(installation, "Mine.Replayed", since=since, until=now, alerts=False).matches > 0
