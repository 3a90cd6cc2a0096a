"""The same commands with a ledger on PostgreSQL."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from bookkeeping.server import postgresql_server
from commands import Ocelog, Process, Simulated, simulator
from commands.hastened import hastened

TABLES = ("wiz_audit", "wiz_vulnerability_finding")


@pytest.fixture(scope="module")
def new_database() -> Iterator[Callable[[], str]]:
    with postgresql_server() as new:
        yield new


@pytest.fixture(scope="module")
def tenant() -> Iterator[Simulated]:
    with simulator("--audit", "20", "--issues", "10", "--findings", "20") as simulated:
        yield simulated


@pytest.mark.slow
def test_a_home_whose_ledger_is_a_server_is_made_filled_published_and_asked(
    tmp_path: Path, new_database: Callable[[], str], tenant: Simulated
) -> None:
    ledger_url = new_database()
    ocelog = Ocelog(tmp_path / "home")
    ocelog("init", "--ledger", ledger_url)
    assert not (ocelog.home / "ledger.db").exists()
    several = ("--log-type", "audit", "--log-type", "issues")
    ocelog.add(tenant, "prod", *several, "--backfill", "all")
    ocelog("pull")
    assert ocelog.count("all_logs") == 30
    ocelog("source", "remove", "prod")
    assert "again (id" in ocelog.add(tenant, "prod", *several).out
    assert sum(stream["new"] for stream in ocelog("pull", "--json").json["streams"]) == 0
    ledger = {row["setting"]: row for row in ocelog("config", "--json").json}["ledger"]
    assert ledger["value"].startswith("postgresql://")
    assert ledger["origin"] == str(ocelog.home / "home.json")

    (ocelog.home / "home.json").write_bytes(b"rubbish")
    assert "--ledger URL" in ocelog("status", code=2).err
    assert "--ledger URL" in ocelog("init", code=2).err
    assert not (ocelog.home / "ledger.db").exists()
    assert "Wrote home.json again" in ocelog("init", "--ledger", ledger_url).out
    assert ocelog.count("all_logs") == 30

    other = Ocelog(tmp_path / "other")
    assert "belongs to another home already" in other("init", "--ledger", ledger_url, code=2).err
    assert "run `ocelog init`" in other("status", code=2).err


@pytest.mark.slow
def test_a_second_home_is_refused_a_ledger_although_nothing_has_landed_in_it(
    tmp_path: Path, new_database: Callable[[], str], tenant: Simulated
) -> None:
    ledger_url = new_database()
    first, second = Ocelog(tmp_path / "first"), Ocelog(tmp_path / "second")
    first("init", "--ledger", ledger_url)
    assert "belongs to another home already" in second("init", "--ledger", ledger_url, code=2).err
    # Two homes that an older version has let share a ledger.
    second("init", "--ledger", new_database())
    note = second.home / "home.json"
    note.write_text(note.read_text().replace(json.loads(note.read_text())["ledger"], ledger_url))
    first.add(tenant, "prod", "--log-type", "audit", "--backfill", "all")
    first("pull")
    assert "belongs to another home" in second("repair", "--yes", code=2).err
    assert first.count("wiz_audit") == 20


def logged(service: Process) -> dict[str, Any]:
    """Return what it logs next."""
    assert service.stderr is not None
    line = service.stderr.readline()
    assert line, "The log ended."
    return dict(json.loads(line))


def heard(service: Process, event: str) -> dict[str, Any]:
    """Read the log until `event` is in it."""
    while (entry := logged(service))["event"] != event:
        pass
    return entry


def healthz(address: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"http://{address}/healthz", timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.slow
def test_a_ledger_that_goes_away_is_told_by_the_log_healthz_and_silence_until_it_is_back(
    tmp_path: Path, new_database: Callable[[], str], tenant: Simulated
) -> None:
    ledger_url = new_database()
    database = make_url(ledger_url).database
    # Nobody listens there: a beat that is not heard is due again sooner than one that is.
    watcher = "http://127.0.0.1:9/beat"
    ocelog = Ocelog(tmp_path / "home", OCELOG_HEARTBEAT_URL=watcher)
    ocelog("init", "--ledger", ledger_url)
    ocelog.add(tenant, "prod", "--log-type", "audit", "--poll", "1s")
    elsewhere = create_engine(make_url(ledger_url).set(drivername="postgresql+psycopg", database="postgres"))
    service = hastened(ocelog, {"ocelog.app.loops.heartbeat._AGAIN": 0.5}, "run", "--listen", "0")
    with service, elsewhere.connect() as admin:
        admin.execution_options(isolation_level="AUTOCOMMIT")
        try:
            address = heard(service, "listening")["address"]
            heard(service, "heartbeat not sent")
            assert healthz(address)[0] == 200
            admin.execute(text(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false'))
            admin.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": database}
            )
            failed = dict[str, str]()
            while (entry := logged(service))["event"] != "no heartbeat":
                if entry["event"] == "failed" and "loop" in entry:
                    failed[entry["loop"]] = entry["code"]
            assert set(failed.values()) == {"ledger_unavailable"}
            assert failed.keys() >= set(entry["failing"])
            # Its last look is good for some seconds.
            while (status := healthz(address))[0] == 200:
                heard(service, "failed")
            assert status == (503, {"status": "failing", "error_code": "ledger_unavailable"})
            admin.execute(text(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true'))
            heard(service, "works again")
            while healthz(address)[0] != 200:
                heard(service, "works again")
        finally:
            service.terminate()
            service.communicate()
    assert service.returncode == 0
    elsewhere.dispose()


@pytest.mark.slow
def test_a_backup_made_beside_a_service_goes_on_in_another_database(
    tmp_path: Path, new_database: Callable[[], str], tenant: Simulated
) -> None:
    ocelog, moved, kept = Ocelog(tmp_path / "home"), Ocelog(tmp_path / "moved"), str(tmp_path / "kept")
    ocelog("init", "--ledger", new_database())
    several = ("--log-type", "audit", "--log-type", "findings")
    ocelog.add(tenant, "prod", *several, "--backfill", "all", "--page-size", "5", "--poll", "1s")
    with ocelog.start("run") as service:
        assert service.stderr is not None
        assert any('"event": "landed"' in line for line in service.stderr)
        listening = threading.Thread(target=service.stderr.read)
        listening.start()
        assert "Backed up" in ocelog("backup", kept, "--with-key").out
        service.terminate()
        assert service.wait() == 0
        listening.join()
    moved("restore", kept, "--ledger", new_database())
    moved("pull")
    assert not (moved.home / "ledger.db").exists()
    every = " UNION ALL ".join(f"SELECT p_row_id FROM {table}" for table in TABLES)  # noqa: S608 - ours
    rows = [line["p_row_id"] for line in moved("query", every, "-o", "ndjson").lines]
    assert (len(rows), len(set(rows))) == (40, 40)
