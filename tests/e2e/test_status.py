"""`ocelog status`: exit 0 if all is well, 1 if something needs attention, whatever else goes on."""

import os
import re
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from commands import Ocelog, simulator
from commands.terminal import bare_lines, on_a_terminal
from ocelog.installation import home as homes
from ocelog.installation.home_lock import SILENT, held


@pytest.fixture(scope="module")
def ocelog(tmp_path_factory: pytest.TempPathFactory) -> Ocelog:
    made = Ocelog(tmp_path_factory.mktemp("status") / "home")
    made.init()
    with simulator("--audit", "30", "--issues", "20", "--findings", "0") as tenant:
        made.add(tenant, "prod", "--log-type", "audit", "--log-type", "findings")
        made("pull")
    return made


@pytest.mark.slow
def test_all_is_well_after_a_pull(ocelog: Ocelog) -> None:
    assert "Nothing is running" in ocelog("status").out


@pytest.mark.slow
def test_old_data_needs_attention_while_nothing_runs(ocelog: Ocelog) -> None:
    told = ocelog("status", "--max-lag", "0s", code=1).out
    assert "prod Wiz.Audit: the data is" in told
    assert "and nothing is running. Run: ocelog run" in told
    assert "'soon'" in ocelog("status", "--max-lag", "soon", code=2).err


@pytest.mark.slow
def test_a_source_that_was_never_pulled_needs_attention_once_it_waits_for_long(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init()
    with simulator("--audit", "1", "--issues", "0", "--findings", "0") as tenant:
        ocelog.add(tenant, "prod", "--log-type", "audit")
    ocelog("status")
    told = ocelog("status", "--max-lag", "0s", code=1).out
    assert re.search(r"prod Wiz.Audit: added 20\S+Z and never read, and nothing is running\. Run: ocelog run", told)
    in_a_month = (time.time_ns() // 1000) + 30 * 86_400_000_000
    with closing(sqlite3.connect(ocelog.home / "ledger.db")) as ledger:
        ledger.execute("UPDATE sources SET added_us = ?", (in_a_month,))
        ledger.commit()
    assert "never read" in ocelog("status", code=1).out, "our clock was ahead when it was added"
    ocelog("source", "pause", "prod")
    ocelog("status")


@pytest.mark.slow
def test_a_range_of_a_paused_source_is_never_said_to_be_tried_again(ocelog: Ocelog) -> None:
    with closing(sqlite3.connect(ocelog.home / "ledger.db")) as ledger:
        slices = ledger.execute("SELECT id, state, failing_us, due_us FROM slices ORDER BY id").fetchall()
        hours_ago = time.time_ns() // 1000 - 7_200_000_000
        ledger.execute("UPDATE slices SET state = 'waiting', failing_us = ? WHERE id = 1", (hours_ago,))
        ledger.execute("UPDATE slices SET state = 'parked' WHERE id = 2")
        ledger.commit()
        try:
            # Nothing runs, so nothing keeps such a promise.
            told = ocelog("status", code=1).out
            assert "tried again" not in told
            assert "Run: ocelog pull, or to keep it going: ocelog run" in told
            assert told.startswith("Action required:")
            with held(homes.open_home(ocelog.home), "ocelog run"):
                told = ocelog("status", code=1).out
            assert "it is tried again at" in told
            assert told.startswith("Needs attention, and is tried again by itself:")
            ocelog("source", "pause", "prod")
            told = ocelog("status", code=1).out
            assert "failing since" in told
            assert "parked" in told
            assert "tried again" not in told
            assert told.count("ocelog source resume prod") == 2
            ledger.execute("UPDATE slices SET state = 'drained' WHERE id = 2")
            ledger.commit()
            assert "failing since" in ocelog("status").out
        finally:
            ocelog("source", "resume", "prod")
            again = "UPDATE slices SET state = ?, failing_us = ?, due_us = ? WHERE id = ?"
            ledger.executemany(again, [(*before, number) for number, *before in slices])
            ledger.commit()


@pytest.mark.slow
def test_what_ails_all_streams_of_a_source_is_said_once(ocelog: Ocelog) -> None:
    with closing(sqlite3.connect(ocelog.home / "ledger.db")) as ledger:
        columns = "trouble, trouble_kind, trouble_code, trouble_us, last_success_us"
        before = ledger.execute(f"SELECT {columns}, log_type FROM streams").fetchall()  # noqa: S608 - the test's own
        again = f"UPDATE streams SET ({columns}) = (?, ?, ?, ?, ?) WHERE log_type = ?"  # noqa: S608 - the test's own
        for at, row in enumerate(before):
            text = f"x.test did not answer (Wiz request {at})"
            ledger.execute(again, (text, "source_unavailable", "source_unavailable", 0, 0, row[-1]))
        kept = ledger.execute("SELECT state, failing_us, reason, id FROM slices WHERE id = 1").fetchone()
        failing = "UPDATE slices SET state = ?, failing_us = ?, reason = ? WHERE id = ?"
        ledger.execute(failing, ("waiting", 0, "x.test did not answer (Wiz request 9)", 1))
        ledger.commit()
        try:
            told = ocelog("status", code=1).out
            (shown, _) = ocelog("status", "--json", code=1).json["streams"]
            (row, _) = ocelog("query", "SELECT error_code, todo FROM streams").lines
        finally:
            ledger.executemany(again, before)
            ledger.execute(failing, kept)
            ledger.commit()
    assert "failing since" in told
    assert told.count("did not answer") == told.count("To do: ") == 1
    assert "prod Wiz.Audit and Wiz.VulnerabilityFinding: x.test did not answer" in told
    assert "tried again." not in told
    assert "Run: ocelog pull, or to keep it going: ocelog run. If it goes on, run: ocelog source check prod" in told
    assert row == {"error_code": shown["error_code"], "todo": shown["todo"]}
    assert shown["error_code"] == "source_unavailable"
    assert shown["todo"].startswith("Nothing is running"), "a program reads the same advice"


@pytest.mark.parametrize(("in_lake", "explained"), [(38, True), (37, False)])
def test_a_difference_that_rejections_explain_is_not_laid_to_changes(
    ocelog: Ocelog, *, in_lake: int, explained: bool
) -> None:
    with closing(sqlite3.connect(ocelog.home / "ledger.db")) as ledger:
        kept = ledger.execute("SELECT source_id, log_type, status, at_source, in_lake FROM coverage").fetchall()
        count = "UPDATE coverage SET at_source = ?, in_lake = ? WHERE log_type = 'Wiz.Audit'"
        ledger.execute(count, (41, in_lake))
        ledger.execute("UPDATE streams SET rejections = 3 WHERE log_type = 'Wiz.Audit'")
        ledger.commit()
        assert kept
        try:
            told = ocelog("status").out
        finally:
            ledger.execute("UPDATE streams SET rejections = 0")
            where = "source_id = ?1 AND log_type = ?2 AND status = ?3"
            ledger.executemany(f"UPDATE coverage SET at_source = ?4, in_lake = ?5 WHERE {where}", kept)  # noqa: S608 - the test's own
            ledger.commit()
    assert ("The difference is the 3 records that did not fit" in told) == explained
    assert ("A few are normal while records change" in told) != explained


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


@pytest.mark.slow
def test_sql_shows_what_status_shows(ocelog: Ocelog) -> None:
    told = {each["log_type"]: each for each in ocelog("status", "--json").json["streams"]}
    health = "health, health_why, no_events_alarm, silent_seconds, last_received"
    found = ocelog(
        "query",
        f"SELECT log_type, state, needs_attention, events, last_event, {health} FROM streams ORDER BY 1",  # noqa: S608 - names of columns
    ).lines
    assert [row["log_type"] for row in found] == sorted(told)
    for row in found:
        shown = told[row["log_type"]]
        assert (row["state"], row["needs_attention"]) == (shown["state"], shown["needs_attention"])
        for name in ("health", "health_why", "no_events_alarm", "silent_seconds"):
            assert row[name] == (None if shown[name] == "" else shown[name]), name
        assert (row["last_received"] or "")[:19] == (shown["last_received"] or "")[:19]
        assert (row["events"], (row["last_event"] or "")[:19]) == (shown["events"], (shown["last_event"] or "")[:19])
    joined = "SELECT s.source, count(*) AS rows FROM wiz_audit w JOIN streams s ON s.source_id = w.p_source_id"
    (counted,) = ocelog("query", f"{joined} WHERE s.log_type = 'Wiz.Audit' GROUP BY ALL").lines
    assert counted == {"source": "prod", "rows": ocelog.count("wiz_audit")}


@pytest.mark.slow
def test_publishing_that_fails_is_told_with_the_reason_until_it_works(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init()
    # No table can be made where something else is.
    (ocelog.home / "lake" / "warehouse").touch()
    with simulator("--audit", "30", "--issues", "0", "--findings", "0") as tenant:
        ocelog.add(tenant, "prod", "--log-type", "audit")
        assert "Publishing: " in ocelog("pull", code=3).err
    told = ocelog("status", code=1).out
    assert "wiz_audit: publishing has been failing since" in " ".join(told.split())
    assert "ocelog publish" in told
    failing, *others = ocelog("status", "--json", code=1).json["not_published"]
    assert {each["table"] for each in others} <= {"rule_matches"}
    assert (failing["table"], bool(failing["error"]), failing["rows"] > 0) == ("wiz_audit", True, True)
    assert failing["error_code"] == "lake_unavailable"
    (ocelog.home / "lake" / "warehouse").unlink()
    ocelog("publish")
    assert "publishing fails" not in ocelog("status").out
    with closing(sqlite3.connect(ocelog.home / "ledger.db")) as ledger:
        assert ledger.execute("SELECT * FROM table_faults").fetchall() == []


@pytest.mark.slow
def test_a_service_that_gives_no_sign_of_life_needs_attention(ocelog: Ocelog) -> None:
    lock = ocelog.home / "lock"
    process = ocelog.start("run")
    try:
        assert process.stderr is not None
        assert any('"started"' in line for line in process.stderr)
        assert "Running: ocelog run" in ocelog("status").out
        process.send_signal(signal.SIGSTOP)
        silent = time.time() - SILENT.total_seconds() - 15
        os.utime(lock, (silent, silent))
        told = ocelog("status", code=1)
        assert f"Hanging: `ocelog run` (process {process.pid} on" in told.out
        found = ocelog("status", "--json", code=1).json
        assert found["hangs"]
        assert found["running"]["service"]
    finally:
        process.kill()
        process.communicate()


def test_old_data_needs_attention_whatever_holds_the_home(ocelog: Ocelog) -> None:
    with held(homes.open_home(ocelog.home), "ocelog publish"):
        told = ocelog("status", "--max-lag", "0s", code=1).out
        assert "No service is running; `ocelog publish` is at work since" in told
        assert "prod Wiz.Audit: the data is" in told
        assert "`ocelog publish` is not a service" in told
        ocelog("status")


@pytest.mark.slow
def test_status_says_in_its_first_line_whether_all_is_well_and_fits_80_columns(ocelog: Ocelog) -> None:
    well = bare_lines(on_a_terminal(ocelog, "status"))
    assert re.match(r"(All \d streams are|The stream is) complete through \S+Z, .* ago\.$", well[0])
    stale = bare_lines(on_a_terminal(ocelog, "status", "--max-lag", "0s"))
    assert stale[0] == "Action required:"
    assert max(map(len, well + stale)) <= 80
    source = ocelog("source", "list", "--json").json[0]["name"]
    details = ocelog("status", source).out
    assert f"stream:            {source} Wiz." in details
    assert "rejections:        " in details
    assert f"did you mean '{source}'?" in ocelog("status", source[:-1], code=2).err


@pytest.mark.slow
@pytest.mark.parametrize("command", ["config", "status", "run"])
def test_a_retention_of_no_table_is_refused_before_a_service_is_started(tmp_path: Path, command: str) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init()
    wrong = Ocelog(tmp_path / "home", OCELOG_RETENTION="wiz_audi=400d")
    assert "OCELOG_RETENTION: retention: there is no table 'wiz_audi'; did you mean" in wrong(command, code=2).err
    file = tmp_path / "home" / "config.yml"
    file.write_text("retention: wiz_audi=400d")
    assert f"{file}: retention: there is no table" in " ".join(ocelog(command, code=2).err.split())
