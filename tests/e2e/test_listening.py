"""`ocelog run --listen`: what it serves is what status and SQL show."""

import json
import signal
import socket
import sqlite3
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from commands import Ocelog, Process, simulator


def address(process: Process) -> str:
    """Read the log until the service says where it listens."""
    assert process.stderr is not None
    for line in process.stderr:
        entry = json.loads(line)
        if entry["event"] == "listening":
            return f"http://{entry['address']}"
    raise AssertionError("it never listened")


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - our own address
        return bytes(answer.read())


@pytest.mark.slow
def test_metrics_healthz_status_and_sql_show_the_same(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init()
    with simulator("--audit", "30", "--issues", "20", "--findings", "0") as tenant:
        # Nothing is asked after the first poll, so that nothing changes while it is looked at.
        ocelog.add(tenant, "prod", "--poll", "1d")
        ocelog("pull")
        process = ocelog.start("run", "--listen", "0")
        try:
            site = address(process)
            healthz = json.loads(get(f"{site}/healthz"))
            pages = {each.name: each for each in text_string_to_metric_families(get(f"{site}/metrics").decode())}
            status = ocelog("status", "--json").json["streams"]
            rows = ocelog("query", "SELECT log_type, health, no_events_alarm, events FROM streams").lines
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
        assert process.returncode == 0
    assert healthz["status"] == "ok"

    def told(name: str, log_type: str) -> list[Any]:
        return [each for each in pages[name].samples if each.labels["log_type"] == log_type]

    for stream in status:
        log_type = stream["log_type"]
        (there,) = [each for each in healthz["streams"] if each["log_type"] == log_type]
        (row,) = [each for each in rows if each["log_type"] == log_type]
        assert there["health"] == row["health"] == stream["health"]
        assert there["no_events_alarm"] == row["no_events_alarm"] == stream["no_events_alarm"]
        states = [each.labels["state"] for each in told("ocelog_stream_health", log_type) if each.value]
        alarms = [each.labels["state"] for each in told("ocelog_stream_no_events_alarm", log_type) if each.value]
        assert (states, alarms) == ([stream["health"]], [stream["no_events_alarm"]])
        (events,) = told("ocelog_stream_events", log_type)
        assert events.value == row["events"] == stream["events"]
    assert {stream["health"] for stream in status} <= {"healthy", "silent", "catching up"}


@pytest.mark.slow
def test_an_address_that_cannot_be_served_is_told_before_anything_is_read(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init()
    assert "such as 9464" in ocelog("run", "--listen", "nine", code=2).err
    assert "--listen" in ocelog("run", "--listen", "203.0.113.1:9464", code=2).err
    (ocelog.home / "config.yml").write_text("listen: 70000\n")
    assert "such as 9464" in ocelog("status", code=2).err


@pytest.mark.slow
def test_what_others_could_read_on_the_way_is_not_served_unless_somebody_insists(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init()
    for command in ("run", "serve"):
        refused = ocelog(command, "--listen", "0.0.0.0:0", code=2).err
        assert "could read passwords" in refused
        assert "--insecure" in refused
    process = ocelog.start("run", "--listen", "0.0.0.0:0", "--insecure")
    try:
        assert json.loads(get(address(process).replace("0.0.0.0", "127.0.0.1") + "/healthz"))["status"] == "ok"  # noqa: S104
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


@pytest.mark.slow
def test_the_console_is_served_alone_and_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init()
    process = ocelog.start("serve", "--listen", "0")
    try:
        site = address(process)
        assert json.loads(get(f"{site}/healthz"))["status"] == "ok"
        assert b"ocelog user add" in get(f"{site}/sign-in")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.whole_processes
@pytest.mark.parametrize("command", ["run", "serve"])
def test_it_ends_within_five_seconds_whatever_pages_queries_and_clients_hang(tmp_path: Path, command: str) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog("init")
    password = "four random words do well"
    ocelog("user", "add", "ann@example.com", "--role", "admin", "--password-file", "-", stdin=password)
    token = ocelog("user", "token", "add", "ann@example.com", "--name", "test", "--scope", "admin").out.strip()
    process = ocelog.start(command, "--listen", "0")
    try:
        place = urlsplit(address(process))
        with closing(sqlite3.connect(ocelog.home / "ledger.db")) as ledger:
            # Whoever writes now waits for up to half a minute.
            ledger.isolation_level = None
            ledger.execute("BEGIN IMMEDIATE")
            head = f"HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {token}\r\n"

            def asked(path: str, **body: str) -> str:
                text = json.dumps(body)
                length = f"Content-Type: application/json\r\nContent-Length: {len(text)}"
                return f"POST /api/v1/{path} {head}{length}\r\n\r\n{text}"

            slow = asked("query", sql="SELECT sum(hash(a.range)) FROM range(10000000) a, range(10000000) b")
            texts = [asked("tokens", name="one", scope="read"), slow, f"POST /api/v1/tokens {head}", "GET /", ""]
            clients = [socket.create_connection((place.hostname, place.port)) for _ in texts]
            for client, text in zip(clients, texts, strict=True):
                client.sendall(text.encode())
            # They came, and are not answered: one waits for the ledger, one is a query that takes hours.
            for client in clients[:2]:
                client.settimeout(1)
                with pytest.raises(TimeoutError):
                    client.recv(1)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            seconds = time.monotonic() - began
            ledger.execute("ROLLBACK")
        for client in clients:
            client.close()
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, seconds < 5) == (0, True), seconds
