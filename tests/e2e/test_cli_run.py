"""`ocelog run`: as a service would be run, beside other commands, and stopped."""

import json
import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from commands import Ocelog, Process, Simulated, simulator
from commands.hastened import hastened

SMALL = ("--audit", "60", "--issues", "40", "--findings", "80")


@pytest.fixture(scope="module")
def tenant() -> Iterator[Simulated]:
    with simulator(*SMALL, "--rate", "5", "--late", "0.1") as found:
        yield found


@contextmanager
def ended(process: Process) -> Iterator[Process]:
    """Make sure that the process is gone after the block."""
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def heard(process: Process, event: str, **wanted: Any) -> dict[str, Any]:
    """Read the log until `event` is in it, with these values."""
    assert process.stderr is not None
    for line in process.stderr:
        entry = json.loads(line)
        if entry["event"] == event and wanted.items() <= entry.items():
            return dict(entry)
    raise AssertionError(f"The log ended without {event!r}.")


def stuck_pipe() -> tuple[int, int]:
    """Return the ends of a pipe that is full, and that nobody reads."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while os.write(writing, b"x" * 65_536):
            pass
    os.set_blocking(writing, True)
    return reading, writing


@pytest.mark.slow
@pytest.mark.whole_processes
def test_a_log_that_nobody_reads_stops_no_loop(tmp_path: Path, tenant: Simulated) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init_unjudged()
    ocelog.add(tenant, "prod", "--poll", "1s", "--log-type", "issues")
    reading, writing = stuck_pipe()
    process = hastened(ocelog, {"ocelog.cli.output._UNREAD_FOR": 0.3}, "run", onto=writing)
    try:
        deadline = time.monotonic() + 60
        while ocelog.count("wiz_issues WHERE p_origin = 'live'") == 0:
            assert time.monotonic() < deadline, "It stands still."
        assert stopped(process)[0] == 0
    finally:
        process.kill()
        process.wait()
        os.close(writing)
        os.close(reading)


@pytest.mark.slow
@pytest.mark.whole_processes
def test_nothing_but_the_log_is_on_stderr_at_the_end_of_a_service(tmp_path: Path, tenant: Simulated) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init()
    ocelog.add(tenant, "prod", "--poll", "1s")
    with ended(hastened(ocelog, {}, "run")) as process:
        heard(process, "landed")
        process.terminate()
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert [json.loads(line)["event"] for line in log.splitlines()][-1] == "stopped"


def stopped(process: Process, number: int = signal.SIGTERM) -> tuple[int, float]:
    began = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=30)
    return process.wait(), time.monotonic() - began


@pytest.mark.slow
def test_a_source_added_beside_the_service_is_taken_up_followed_paused_and_left(
    tmp_path: Path, tenant: Simulated
) -> None:
    ocelog = Ocelog(tmp_path / "home", OCELOG_PUBLISH_AFTER="1s")
    ocelog.init()
    with ended(ocelog.start("run")) as process:
        heard(process, "started")
        ocelog.add(tenant, "prod", "--poll", "1s")
        heard(process, "source taken up", source="prod")
        landed = heard(process, "landed", source="prod")
        assert {"request_id", "log_type", "slice", "rows", "repeats", "rejections", "timestamp"} <= landed.keys()
        heard(process, "published")
        # What happens in the tenant from now on is seen too.
        first = ocelog.count("wiz_issues WHERE p_origin = 'live'")
        while ocelog.count("wiz_issues WHERE p_origin = 'live'") <= first:
            heard(process, "landed", log_type="Wiz.Issues")
        running = ocelog("status", "--json").json["running"]
        assert (running["command"], running["pid"]) == ("ocelog run", process.pid)
        refused = ocelog("pull", code=2).err
        assert f"`ocelog run` holds the home {ocelog.home} since" in refused
        assert f"process {process.pid} on {socket.gethostname()}" in refused
        assert "holds the home" in ocelog("publish", code=2).err
        assert "holds the home" in ocelog("run", code=2).err
        ocelog("source", "edit", "prod", "--poll", "2s")
        heard(process, "source taken up", source="prod")
        code, seconds = stopped(process)
    assert (code, seconds < 5) == (0, True)
    assert ocelog("status", "--json").json["running"] is None


@pytest.mark.slow
def test_a_failure_is_logged_with_source_log_type_request_and_what_to_do(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init()
    with simulator(*SMALL, "--scopes", "read:resources,read:issues,read:vulnerabilities") as tenant:
        ocelog.add(tenant, "prod", "--no-check")
        with ended(ocelog.start("run")) as process:
            failed = heard(process, "failed", log_type="Wiz.Audit")
            heard(process, "landed", log_type="Wiz.Issues")
    assert (failed["source"], failed["error"]) == ("prod", "AccessRefusedError")
    assert failed["slice"]
    assert re.search(r"Wiz request [0-9a-f-]{36}", failed["reason"])
    assert failed["todo"]
    assert tenant.client_secret not in json.dumps(failed)


@pytest.mark.slow
def test_it_starts_as_the_systemd_unit_says(tmp_path: Path, tenant: Simulated) -> None:
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign] # systemd's names have capitals
    Ocelog(tmp_path / "nowhere")("service", "install", "--root", str(tmp_path / "machine"))
    text = (tmp_path / "machine" / "etc" / "systemd" / "system" / "ocelog.service").read_text()
    unit.read_string(re.sub(r"^Environment=(\w+)=", r"Environment-\1=", text, flags=re.MULTILINE))
    service = unit["Service"]
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == "2"
    assert service["StateDirectory"] == "ocelog"
    assert service["User"] == "ocelog"

    state, credentials, notify = tmp_path / "state", tmp_path / "credentials", tmp_path / "notify"
    (state / "ocelog").mkdir(parents=True, mode=0o700)
    credentials.mkdir(mode=0o700)
    (credentials / service["LoadCredential"].split(":")[0]).write_text("5e" * 32 + "\n")
    # As systemd makes them: the folder is the service's own, and the file's bits say less than that.
    (credentials / "key").chmod(0o440)
    environment = {
        name.removeprefix("Environment-"): value.replace("/var/lib", str(state)).replace("%d", str(credentials))
        for name, value in service.items()
        if name.startswith("Environment-")
    }
    environment |= {"CREDENTIALS_DIRECTORY": str(credentials), "NOTIFY_SOCKET": str(notify), "HOME": "/nonexistent"}

    def command(line: str) -> list[str]:
        program, *arguments = shlex.split(line)
        assert program == str(Path(sys.executable).with_name("ocelog"))
        return [sys.executable, "-m", "ocelog", *arguments]

    subprocess.run(command(service["ExecStartPre"]), env=environment, check=True, capture_output=True)
    assert not (state / "ocelog" / "key").exists()
    beside = Ocelog(state / "ocelog", **environment)
    beside.environment = {"PATH": os.environ["PATH"]} | environment
    beside.add(tenant)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(notify))
        line.settimeout(60)
        start = command(service["ExecStart"])
        with ended(subprocess.Popen(start, env=environment, stderr=subprocess.PIPE, text=True)) as process:
            assert line.recv(100) == b"READY=1"
            heard(process, "landed", source="prod")
            code, seconds = stopped(process)
            assert line.recv(100) == b"STOPPING=1"
    assert (code, seconds < 5) == (0, True)


@pytest.mark.slow
def test_it_stops_within_seconds_although_the_ledger_hangs(tmp_path: Path, tenant: Simulated) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init()
    ocelog.add(tenant, "prod", "--no-check", "--poll", "1s")
    with ended(ocelog.start("run")) as process, closing(sqlite3.connect(ocelog.home / "ledger.db")) as ledger:
        heard(process, "landed", source="prod")
        # Whoever writes now waits for up to half a minute.
        ledger.isolation_level = None
        ledger.execute("BEGIN IMMEDIATE")
        code, seconds = stopped(process)
        ledger.execute("ROLLBACK")
    assert (code, seconds < 5) == (0, True)


def test_the_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home", OCELOG_LOG_LEVEL="debug")
    ocelog.init()
    with simulator(*SMALL, "--fault", "slow-body:1:seconds=40") as tenant:
        ocelog.add(tenant, "prod", "--no-check")
        with ended(ocelog.start("run")) as process:
            heard(process, "source taken up")
            process.send_signal(signal.SIGINT)
            heard(process, "stopping")
            code, seconds = stopped(process, signal.SIGINT)
    assert code in (0, 130)
    assert seconds < 4
