"""A stop is heard whatever hangs: the command ends within seconds, says so, and what has landed stays."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from commands import Ocelog, simulator
from commands.kept import Kept

WITHIN = 60.0
"""Seconds, on a machine however busy; a command that is not stopped waits for hours."""


@pytest.fixture(scope="module")
def abandoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kept, socket.socket]]:
    """Pull; from then on, what listens in the place of the tenant answers nothing."""
    ocelog = Ocelog(tmp_path_factory.mktemp("stopping") / "home")
    ocelog.init_unjudged()
    with simulator("--audit", "0", "--issues", "20", "--findings", "0") as tenant:
        ocelog.add(tenant, "prod", "--log-type", "issues")
        ocelog("pull")
    with socket.create_server(("127.0.0.1", urlsplit(tenant.api_url).port or 0)) as silent:
        yield Kept(ocelog), silent


@pytest.fixture
def ocelog(abandoned: tuple[Kept, socket.socket]) -> Ocelog:
    return abandoned[0].again()


@pytest.fixture
def silent(abandoned: tuple[Kept, socket.socket]) -> socket.socket:
    """Forget who called before: they have ended."""
    _, found = abandoned
    found.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            found.accept()[0].close()
    found.setblocking(True)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "number"),
    [
        pytest.param("pull", signal.SIGINT, marks=pytest.mark.whole_processes),
        ("pull", signal.SIGTERM),
        ("sweep", signal.SIGINT),
        ("sweep", signal.SIGTERM),
    ],
)
def test_a_stop_is_heard_while_the_source_does_not_answer(
    ocelog: Ocelog, silent: socket.socket, command: str, number: signal.Signals
) -> None:
    rows = ocelog.count("wiz_issues")
    process = ocelog.start(command, "--json")
    try:
        connection, _ = silent.accept()
        with connection:
            process.send_signal(number)
            out, err = process.communicate(timeout=WITHIN)
    finally:
        process.kill()
    assert process.returncode == 3, err
    assert '"exit": 3' in out
    assert "Stopped. What has landed stays" in err
    assert "Traceback" not in err
    assert ocelog.count("wiz_issues") == rows > 0


@pytest.mark.slow
def test_a_sweep_that_is_left_to_the_service_says_who_goes_on_with_it(ocelog: Ocelog, silent: socket.socket) -> None:
    begun = [ocelog.start("run")]
    try:
        silent.accept()[0].close()
        waiting = ocelog.start("sweep")
        begun.append(waiting)
        assert waiting.stderr is not None
        assert "is running: it sweeps at its next poll" in waiting.stderr.readline()
        waiting.send_signal(signal.SIGINT)
        _, err = waiting.communicate(timeout=WITHIN)
    finally:
        for process in begun:
            process.kill()
            process.communicate()
    assert waiting.returncode == 3
    assert "Stopped. What has landed stays. `ocelog run` goes on with the sweep." in " ".join(err.split())


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here that is always full")
def test_a_log_that_cannot_be_written_stops_no_service(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init_unjudged()
    with simulator("--audit", "0", "--issues", "20", "--findings", "0") as tenant, Path("/dev/full").open("w") as full:
        ocelog.add(tenant, "prod", "--log-type", "issues")
        process = subprocess.Popen([sys.executable, "-m", "ocelog", "run"], env=ocelog.environment, stderr=full)
        try:
            deadline = time.monotonic() + WITHIN
            while ocelog.count("wiz_issues") == 0 and process.poll() is None:
                assert time.monotonic() < deadline
            process.terminate()
            assert process.wait(WITHIN) == 0
        finally:
            process.kill()
    assert ocelog.count("wiz_issues") > 0
