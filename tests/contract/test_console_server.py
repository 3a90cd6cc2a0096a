"""A server that no client can hold up, fill up or mislead."""

import asyncio
import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from ocelog.app import metrics
from ocelog.app.status.overview import Overview
from ocelog.console import endpoints as endpoints_module
from ocelog.console import server as server_module
from ocelog.console.address import Address, listen, read_address
from ocelog.console.endpoints import Endpoints, Looks
from ocelog.console.front import Front
from ocelog.console.server import Server
from ocelog.errors import ConfigError, HomeError, LedgerUnavailableError
from ocelog.ledger.alerts import OpenAlerts
from ocelog.model import HANGING, LoopFault

LOCAL = Address(host="127.0.0.1", port=0)
NOTHING: Any = SimpleNamespace(
    streams=[],
    system_errors=[],
    other_errors=[],
    alerts=OpenAlerts(told={}, untold=0),
    suppressions=[],
    not_judged=[],
    failing_rules=[],
    suspended_rules=[],
    judging_behind=None,
    channels=[],
    loop_faults=[],
    channel_faults=[],
    loops=[],
    rule_troubles=[],
    well=True,
    disk_free=1_000_000_000,
)


class Site:
    """A server, and what the things behind it do."""

    def __init__(self) -> None:
        self.found: Overview | Exception = NOTHING
        self.hangs: threading.Event | None = None
        self.looked, self.turned_at, self.now = 0, 0.0, 0.0
        looks = Looks(self.look, monotonic=lambda: self.now)
        self.app = Endpoints(looks=looks, turned_at=lambda: self.turned_at, front=Front(), monotonic=lambda: self.now)
        self.server = Server(self.app, listen(LOCAL))
        self.server.start()

    def look(self) -> Overview:
        self.looked += 1
        if self.hangs is not None:
            self.hangs.wait()
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)) as connection:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=30)


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.server.stop()
    assert not made.server.alive


def closed(connection: socket.socket) -> bool:
    """Read until the far end closes."""
    with suppress(ConnectionError):
        while connection.recv(65536):
            pass
    return True


def test_it_says_whether_the_service_works_and_how_everything_is(site: Site) -> None:
    status, body = site.ask("/healthz")
    assert (status, json.loads(body)) == (200, {"status": "ok", "well": True, "streams": []})
    status, body = site.ask("/metrics")
    assert (status, "ocelog_well 1.0" in body.splitlines()) == (200, True)
    assert site.ask("/metrics", "HEAD") == (200, "")
    assert site.ask("/metrics", "POST")[0] == 405
    assert site.ask("/")[0] == site.ask("/healthz/../x")[0] == 404


def test_nothing_is_read_behind_a_request_that_says_twice_how_long_it_is(site: Site) -> None:
    twice = b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    with site.connect() as connection:
        connection.sendall(twice + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        found = b""
        while piece := connection.recv(65_536):
            found += piece
    assert found.startswith(b"HTTP/1.1 403")
    assert found.count(b"HTTP/1.1") == 1


def test_one_look_answers_all_requests_for_some_seconds(site: Site) -> None:
    for _ in range(5):
        assert site.ask("/metrics")[0] == 200
    assert site.looked == 1
    site.now += 6
    site.ask("/healthz")
    assert site.looked == 2


def test_metrics_are_written_once_for_a_look_and_not_in_the_thread_that_answers(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_loop, real = list[bool](), metrics.render

    def render(found: Overview) -> tuple[bytes, str]:
        in_loop.append(asyncio._get_running_loop() is not None)
        return real(found)

    monkeypatch.setattr(endpoints_module, "render", render)
    assert [site.ask("/metrics")[0] for _ in range(2)] == [200, 200]
    site.now = 6.0
    another: Any = SimpleNamespace(**vars(NOTHING))
    site.found = another
    assert site.ask("/metrics")[0] == 200
    assert in_loop == [False, False]


STOPPED_WHILE_IT_WRITES = """
import threading, urllib.request
from types import SimpleNamespace
from ocelog.console import endpoints
from ocelog.console.address import Address, listen
from ocelog.console.front import Front
from ocelog.console.server import Server

writes = threading.Event()
def write(found):
    writes.set()
    threading.Event().wait(300)
endpoints.render = endpoints._works = write
looks = endpoints.Looks(lambda: SimpleNamespace(loop_faults=[]), monotonic=lambda: 0.0)
app = endpoints.Endpoints(looks=looks, turned_at=lambda: 0.0, front=Front(), monotonic=lambda: 0.0)
server = Server(app, listen(Address(host="127.0.0.1", port=0)))
server.start()
address = f"http://127.0.0.1:{server.port}/PATH"
threading.Thread(target=urllib.request.urlopen, args=(address,), daemon=True).start()
assert writes.wait(60)
server.stop()
print("stopped", flush=True)
"""


@pytest.mark.parametrize("path", ["metrics", "healthz"])
def test_a_process_ends_while_an_answer_is_written(path: str) -> None:
    program = STOPPED_WHILE_IT_WRITES.replace("PATH", path)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "stopped\n"), done.stderr


def test_a_look_outlives_the_loop_of_who_asked_first() -> None:
    began, may_end = threading.Event(), threading.Event()

    def look() -> int:
        began.set()
        assert may_end.wait(30)
        return 7

    async def first() -> None:
        assert await looks.latest() is None
        assert await asyncio.to_thread(began.wait, 30)

    async def second() -> int:
        may_end.set()
        return await looks.take()

    looks: Looks[int] = Looks(look)
    asyncio.run(first())
    assert asyncio.run(second()) == 7


def test_loops_that_stand_still_and_a_ledger_that_fails_are_told(site: Site) -> None:
    site.now = 61
    status, body = site.ask("/healthz")
    assert (status, json.loads(body)["status"]) == (503, "hangs")
    site.turned_at, site.found = 61.0, LedgerUnavailableError("postgresql://user:secret@host does not answer")
    status, body = site.ask("/healthz")
    assert (status, json.loads(body)) == (503, {"status": "failing", "error_code": "ledger_unavailable"})
    assert site.ask("/metrics") == (503, "ledger_unavailable\n")
    site.found = ValueError("a bug")
    assert site.ask("/healthz")[0] == 500
    site.found = NOTHING
    assert site.ask("/healthz")[0] == 200


def test_a_loop_that_hangs_is_told_and_one_that_fails_is_not(site: Site) -> None:
    faults = [
        LoopFault(loop=loop, during=during, code=None, reason="x", since=datetime.now(UTC))
        for loop, during in (("detect", HANGING), ("publish", "work"))
    ]
    found: Any = SimpleNamespace(**{**vars(NOTHING), "loop_faults": faults})
    site.found = found
    status, body = site.ask("/healthz")
    assert (status, json.loads(body)) == (503, {"status": "hangs", "loops": ["detect"]})


def test_a_look_that_comes_too_late_for_who_asked_is_kept_for_the_next(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints_module, "_LOOK_WITHIN", 0.05)
    site.hangs = threading.Event()
    assert site.ask("/healthz")[0] == 503
    site.hangs.set()
    for each in (each for each in threading.enumerate() if each.name == "look"):
        each.join()
    assert site.ask("/healthz")[0] == 200
    assert site.looked == 1


def test_a_page_shows_the_look_before_if_another_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    hangs, now = threading.Event(), [0.0]
    looks = Looks(lambda: len(now) == 1 or hangs.wait(30), monotonic=lambda: now[0])
    monkeypatch.setattr(endpoints_module, "_LOOK_WITHIN", 0.05)

    async def look() -> None:
        with pytest.raises(TimeoutError):
            await Looks(lambda: hangs.wait(30)).shown()
        assert await looks.shown() is True
        now[:] = [30.0, 0.0]
        assert await looks.shown() is True
        with pytest.raises(TimeoutError):
            await looks.take()
        now[:] = [1_000.0, 0.0]
        with pytest.raises(TimeoutError):
            await looks.shown()

    try:
        asyncio.run(look())
    finally:
        hangs.set()


def test_a_look_that_hangs_costs_one_thread_however_often_it_is_asked_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints_module, "_LOOK_WITHIN", 0.05)
    site.hangs = threading.Event()
    try:
        for path in ("/healthz", "/metrics", "/healthz"):
            assert site.ask(path)[0] == 503
        assert site.looked == 1
        assert sum(thread.name == "look" for thread in threading.enumerate()) == 1
    finally:
        site.hangs.set()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1",
    ],
    ids=["nothing", "half a head", "half a body"],
)
def test_a_request_that_does_not_come_in_time_is_closed(
    site: Site, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(server_module, "REQUEST_WITHIN", 0.2)
    with site.connect() as connection:
        connection.sendall(sent)
        assert closed(connection)


def test_a_request_that_comes_drop_by_drop_does_not_get_more_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "REQUEST_WITHIN", 0.3)
    with site.connect() as connection:
        connection.settimeout(0.02)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        for _ in range(1_000):
            try:
                connection.sendall(b"x")
                if connection.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        else:
            raise AssertionError("it went on for 20 seconds")


def test_a_client_that_does_not_take_its_answer_is_closed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "REQUEST_WITHIN", 0.2)
    monkeypatch.setattr(server_module, "ANSWER_WITHIN", 0.2)
    site.hangs = threading.Event()
    try:
        with site.connect() as connection:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert closed(connection)
    finally:
        site.hangs.set()


def test_connections_above_the_limit_are_closed_and_the_others_served(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MOST_CONNECTIONS", 4)
    held = [site.connect() for _ in range(4)]
    try:
        with site.connect() as one_more:
            assert closed(one_more)
        held[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert held[0].recv(12) == b"HTTP/1.1 200"
        assert closed(held[0])
        assert site.ask("/healthz")[0] == 200
    finally:
        for each in held:
            each.close()


def test_a_head_that_is_too_long_is_refused(site: Site) -> None:
    with site.connect() as connection:
        with suppress(ConnectionError):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 100_000)
        assert closed(connection)
    assert site.ask("/healthz")[0] == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:9464", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:9464", 403),
        ("localhost.evil.example", 403),
        ("", 403),
    ],
)
def test_a_page_that_led_a_browser_here_by_its_own_name_reads_nothing(site: Site, host: str, status: int) -> None:
    assert site.ask("/metrics", Host=host)[0] == status


def test_a_port_alone_is_for_this_machine_only() -> None:
    assert read_address("9464") == Address(host="127.0.0.1", port=9464)
    assert read_address("[::1]:9464").is_local
    assert not read_address("0.0.0.0:9464").is_local
    assert not read_address("[::]:9464").is_local
    assert str(read_address("[::1]:9464")) == "[::1]:9464"
    for wrong in ("", "x", "70000", ":9464", "a b:1", "http://x:1", "1:2:3"):
        with pytest.raises(ConfigError, match="such as 9464"):
            read_address(wrong)


def test_an_address_that_is_taken_or_not_ours_is_told(site: Site) -> None:
    taken = site.server.port
    with pytest.raises(HomeError, match=rf"at 127\.0\.0\.1:{taken} \(Address already in use\): choose .* --listen"):
        listen(Address(host="127.0.0.1", port=taken))
    with pytest.raises(HomeError, match=r"at nowhere\.invalid:0 \([A-Z][\w ]+\): choose .* --listen"):
        listen(Address(host="nowhere.invalid", port=0))


def test_it_begins_to_end_while_the_process_still_ends_other_things(site: Site) -> None:
    asked = threading.Event()
    server = Server(site.app, listen(LOCAL), stopping=asked.is_set)
    server.start()
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
    asked.set()
    server._thread.join(30)
    assert not server.alive
    server.stop()
