"""How the console is served: TLS, proxies, long answers, slow clients; and that what hangs takes nobody else along."""

import asyncio
import http.client
import json
import os
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace
from starlette.responses import PlainTextResponse, StreamingResponse
from uvicorn.protocols.http import h11_impl

from ocelog.access import Role
from ocelog.console import capacity
from ocelog.console import server as server_module
from ocelog.console import site as site_module
from ocelog.console.address import Address, listen
from ocelog.console.api import problems
from ocelog.console.front import Front
from ocelog.console.server import Server
from ocelog.console.serving import ServingOptions, plan
from ocelog.console.tls import Tls
from ocelog.errors import ConfigError
from ocelog.installation.config import load
from receivers.tls import certified
from visiting import PASSWORD, SAME_SITE, console_of, program

LOCAL = Address(host="127.0.0.1", port=0)


def key_pair(folder: Path, name: str) -> tuple[Path, Path, Path]:
    folder.mkdir(exist_ok=True)
    authority, _ = certified(folder, name)
    return authority, folder / "server.pem", folder / "server.pem"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Return an authority, and a certificate that it vouches for with its key."""
    return key_pair(tmp_path_factory.mktemp("tls"), "localhost")


async def plain(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse(f"{scope['scheme']} {scope['path']}")(scope, receive, send)


def serving(app: Any, **how: Any) -> Iterator[Server]:
    server = Server(app, listen(LOCAL), **how)
    server.start()
    yield server
    server.stop()
    assert not server.alive


@pytest.fixture
def secure(pair: tuple[Path, Path, Path]) -> Iterator[Server]:
    yield from serving(plain, tls=Tls(certificate=pair[1], key=pair[2]))


def trusting(authority: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority))


def ask(server: Server, authority: Path) -> str:
    with closing(http.client.HTTPSConnection("localhost", server.port, context=trusting(authority))) as connection:
        connection.request("GET", "/a")
        first = connection.getresponse().read()
        connection.request("GET", "/b")
        return (first + b", " + connection.getresponse().read()).decode()


def ended(connection: socket.socket) -> bool:
    """Read until the far end closes."""
    with suppress(ConnectionError):
        while connection.recv(65536):
            pass
    return True


def test_tls_by_files_is_served_with_a_connection_kept(secure: Server, pair: tuple[Path, Path, Path]) -> None:
    assert ask(secure, pair[0]) == "https /a, https /b"


def test_plain_http_gets_nothing_where_tls_is_spoken(secure: Server) -> None:
    with socket.create_connection(("127.0.0.1", secure.port), timeout=30) as connection:
        connection.sendall(b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
        found = b""
        with suppress(ConnectionError):
            while piece := connection.recv(65536):
                found += piece
    assert b"HTTP/1" not in found


def test_old_versions_of_tls_are_refused(secure: Server, pair: tuple[Path, Path, Path]) -> None:
    context = trusting(pair[0])
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", secure.port), timeout=30) as connection,
        pytest.raises((ssl.SSLError, OSError)),
    ):
        context.wrap_socket(connection, server_hostname="localhost")


def test_whoever_does_not_begin_tls_is_closed_and_counts(
    secure: Server, pair: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MOST_CONNECTIONS", 3)
    held = [socket.create_connection(("127.0.0.1", secure.port), timeout=30) for _ in range(3)]
    with socket.create_connection(("127.0.0.1", secure.port), timeout=30) as one_more:
        assert ended(one_more)
    for each in held:
        each.close()
    monkeypatch.setattr(server_module, "REQUEST_WITHIN", 0.2)
    with socket.create_connection(("127.0.0.1", secure.port), timeout=30) as silent:
        assert ended(silent)
    monkeypatch.undo()
    assert ask(secure, pair[0]).startswith("https")


def test_a_renewed_certificate_is_taken_and_a_broken_one_is_not(tmp_path: Path) -> None:
    first, second = (key_pair(tmp_path / name, "localhost") for name in ("a", "b"))
    certificate, key = tmp_path / "now.pem", tmp_path / "now.key"
    shutil.copy(first[1], certificate)
    shutil.copy(first[2], key)
    for server in serving(plain, tls=Tls(certificate=certificate, key=key)):
        assert ask(server, first[0])
        certificate.write_text("half of a file")
        assert ask(server, first[0])
        shutil.copy(second[1], certificate)
        shutil.copy(second[2], key)
        os.utime(key, ns=(1, 1))
        assert ask(server, second[0])
        with pytest.raises(ssl.SSLError):
            ask(server, first[0])


def test_files_that_hold_no_certificate_are_told(tmp_path: Path, pair: tuple[Path, Path, Path]) -> None:
    (tmp_path / "x").write_text("x")
    for certificate, key in ((tmp_path / "x", pair[2]), (pair[1], tmp_path / "x"), (pair[1], tmp_path / "none")):
        with pytest.raises(ConfigError, match="PEM"):
            Tls(certificate=certificate, key=key)


def test_what_could_be_read_on_the_way_is_not_served(tmp_path: Path, pair: tuple[Path, Path, Path]) -> None:
    settings = load({}, home=tmp_path)
    assert plan(settings, ServingOptions()) is None
    assert plan(settings, ServingOptions(listen="8686")) is not None
    for open_ in ("0.0.0.0:8686", "[::]:8686", "192.0.2.1:80", "example.com:80"):
        with pytest.raises(ConfigError, match=r"could read passwords.*--tls-cert.*--trusted-proxy.*--insecure"):
            plan(settings, ServingOptions(listen=open_))
    with pytest.raises(ConfigError, match="both files"):
        plan(settings, ServingOptions(listen="0.0.0.0:1", tls_cert=pair[1]))
    safe = plan(
        settings, ServingOptions(listen="0.0.0.0:1", tls_cert=pair[1], tls_key=pair[2], public_name="Ocelog.Example.")
    )
    assert safe is not None
    assert safe.link(443) == "https://ocelog.example"
    proxied = plan(
        settings, ServingOptions(listen="0.0.0.0:1", trusted_proxy="10.0.0.0/24", public_name="ocelog.example")
    )
    assert proxied is not None
    assert proxied.front.only_proxies
    assert proxied.link(8686) == "https://ocelog.example"
    insecure = plan(replace(settings, insecure=True), ServingOptions(listen="0.0.0.0:1"))
    assert insecure is not None
    assert insecure.link(5) == "http://127.0.0.1:5"
    for wrong in ("proxy.example", "10.0.0.1/24", "1.2.3.4;5.6.7.8", ""):
        with pytest.raises(ConfigError, match="such as"):
            plan(settings, ServingOptions(listen="1", trusted_proxy=wrong))
    for wrong in ("a b", "https://x", "x:1", "a\r\nb", "*"):
        with pytest.raises(ConfigError, match="such as"):
            plan(settings, ServingOptions(listen="1", public_name=wrong))


def scope(client: str, *headers: tuple[str, str], scheme: str = "http") -> Any:
    written = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return {"type": "http", "client": (client, 1), "scheme": scheme, "headers": written, "path": "/"}


BEHIND = Front(proxies=(ip_network("10.0.0.0/24"), ip_network("fd00::/64")))


@pytest.mark.parametrize(
    ("client", "headers", "seen"),
    [
        ("10.0.0.1", [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https")], ("203.0.113.9", "https")),
        ("10.0.0.1", [("X-Forwarded-For", "1.1.1.1, 203.0.113.9, 10.0.0.2")], ("203.0.113.9", "http")),
        ("10.0.0.1", [("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "203.0.113.9")], ("203.0.113.9", "http")),
        ("10.0.0.1", [("X-Forwarded-For", "1.1.1.1, <script>")], ("10.0.0.1", "http")),
        ("10.0.0.1", [("X-Forwarded-For", "1.1.1.1\t,")], ("1.1.1.1", "http")),
        ("10.0.0.1", [("X-Forwarded-Proto", "https, http")], ("10.0.0.1", "http")),
        ("10.0.0.1", [("X-Forwarded-Proto", "javascript")], ("10.0.0.1", "http")),
        ("10.0.0.1", [("Forwarded", "for=1.1.1.1;proto=https")], ("10.0.0.1", "http")),
        ("::ffff:10.0.0.1", [("X-Forwarded-For", "2001:db8::1")], ("2001:db8::1", "http")),
        ("fd00::1", [("X-Forwarded-For", "203.0.113.9")], ("203.0.113.9", "http")),
        ("10.0.1.1", [("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-Proto", "https")], ("10.0.1.1", "http")),
        ("127.0.0.1", [("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-Proto", "https")], ("127.0.0.1", "http")),
    ],
)
def test_only_a_proxy_of_ours_says_who_its_client_is(
    client: str, headers: list[tuple[str, str]], seen: tuple[str, str]
) -> None:
    found = BEHIND.seen(scope(client, *headers))
    assert (found["client"][0], found["scheme"]) == seen


@pytest.mark.parametrize(
    ("front", "client", "host", "served"),
    [
        (Front(), "127.0.0.1", "localhost:8686", True),
        (Front(), "127.0.0.1", "evil.example", False),
        (Front(public_name="ocelog.example"), "127.0.0.1", "ocelog.example", True),
        (Front(public_name="ocelog.example"), "127.0.0.1", "OCELOG.example:443", True),
        (Front(public_name="ocelog.example"), "127.0.0.1", "evil.example", False),
        (Front(only_local=False), "203.0.113.9", "anything.example", True),
        (Front(only_local=False, public_name="ocelog.example"), "203.0.113.9", "evil.example", False),
        (Front(only_local=False, public_name="ocelog.example"), "203.0.113.9", "192.0.2.1:9464", True),
        (replace(BEHIND, only_local=False, only_proxies=True), "203.0.113.9", "192.0.2.1", False),
        (replace(BEHIND, only_local=False, only_proxies=True), "10.0.0.1", "192.0.2.1", True),
    ],
)
def test_what_is_not_for_this_console_is_refused(front: Front, client: str, host: str, served: bool) -> None:
    assert (front.refuses(scope(client, ("Host", host))) is None) == served


def test_a_request_with_two_lengths_is_refused() -> None:
    twice = scope("127.0.0.1", ("Host", "localhost"), ("Content-Length", "5"), ("Transfer-Encoding", "chunked"))
    assert Front().refuses(twice) is not None


def test_behind_a_proxy_cookies_are_of_tls_and_its_clients_are_told_apart(tmp_path: Path) -> None:
    front = Front(public_name="ocelog.example", proxies=(ip_network("10.0.0.1/32"),))
    with console_of(tmp_path / "home", front) as console:
        console.as_(Role.VIEWER)
        guest = console.guest("http://ocelog.example")
        guest.client._transport.client = ("10.0.0.1", 5)  # type: ignore[attr-defined]
        proxied = {**SAME_SITE, "x-forwarded-proto": "https", "x-forwarded-for": "9.9.9.9, 203.0.113.9"}
        cookie = guest.post("/sign-in", headers=proxied, name="viewer@example.com", password=PASSWORD).headers
        assert cookie["set-cookie"].startswith("__Host-")
        assert "secure" in cookie["set-cookie"].lower()
        assert "strict-transport-security" in cookie
        ledger = console.installation.ledger.users
        assert [each.address for each in ledger.trail(limit=1)] == ["203.0.113.9"]
        direct = console.guest("http://127.0.0.1:8686")
        plain_ = direct.post("/sign-in", headers=proxied, name="viewer@example.com", password=PASSWORD).headers
        assert not plain_["set-cookie"].startswith("__Host-")
        assert [each.address for each in ledger.trail(limit=1)] != ["203.0.113.9"]


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://ocelog.example", 303),
        ("https://OCELOG.example.evil.example", 403),
        ("https://evil.example", 403),
        ("http://ocelog.example", 403),
        ("null", 403),
        (None, 403),
    ],
)
@pytest.mark.parametrize("host", ["ocelog.example", "127.0.0.1:8080"])
def test_behind_a_proxy_that_names_its_own_host_a_page_is_of_the_public_name(
    tmp_path: Path, host: str, origin: str | None, status: int
) -> None:
    """A browser that sends no Sec-Fetch-Site says by Origin alone whose page sent a form."""
    with console_of(
        tmp_path / "home", Front(public_name="ocelog.example", proxies=(ip_network("127.0.0.0/8"),))
    ) as console:
        console.as_(Role.VIEWER)
        guest = console.guest(f"http://{host}")
        guest.client._transport.client = ("127.0.0.1", 5)  # type: ignore[attr-defined]
        said = {"x-forwarded-proto": "https", **({} if origin is None else {"origin": origin})}
        assert guest.post("/sign-in", headers=said, name="viewer@example.com", password=PASSWORD).status_code == status


def test_without_a_proxy_the_public_name_is_no_page_of_another_host(tmp_path: Path) -> None:
    with console_of(tmp_path / "home", Front(public_name="ocelog.example")) as console:
        guest = console.guest("http://127.0.0.1:8080")
        answer = guest.post("/sign-in", headers={"origin": "https://ocelog.example"}, name="x", password=PASSWORD)
        assert answer.status_code == 403


class Exports:
    """Answers with a long stream whose next piece comes when the test says so."""

    def __init__(self, piece: bytes, pieces: int) -> None:
        self.piece, self.pieces, self.sent = piece, pieces, 0
        self.ended = threading.Event()
        self.next = threading.Semaphore(0)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await StreamingResponse(self._stream())(scope, receive, send)
        finally:
            self.ended.set()

    def _stream(self) -> Iterator[bytes]:
        for _ in range(self.pieces):
            self.next.acquire()
            self.sent += 1
            yield self.piece


def request(server: Server) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(30)
    connection.connect(("127.0.0.1", server.port))
    connection.sendall(b"GET /export HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    return connection


def test_an_answer_that_is_made_slowly_goes_on_beyond_the_time_for_its_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_module, "ANSWER_WITHIN", 0.05)
    export = Exports(b"row\n", 3)
    for server in serving(export):
        with request(server) as connection:
            found = b""
            for at in range(3):
                export.next.release()
                while found.count(b"row\n") <= at:
                    found += connection.recv(65536)
                # Longer than the time for a beginning: the server takes it, not the client.
                assert not export.ended.wait(0.2) or at == 2
            assert ended(connection)
        assert found.count(b"row\n") == 3


@pytest.mark.parametrize(
    ("method", "again", "said"),
    [
        ("GET", "5", b"Ocelog is stopping: try again once it runs.\n"),
        # Its thread goes on: whoever sends it again unseen may do it twice.
        (
            "POST",
            None,
            b"Ocelog is stopping, and this may have been done: see whether it was before you send it again.\n",
        ),
    ],
)
def test_a_request_that_is_given_up_as_the_server_stops_is_told_so(
    monkeypatch: pytest.MonkeyPatch, method: str, again: str | None, said: bytes
) -> None:
    monkeypatch.setattr(server_module, "_GRACEFUL", 0)
    has_come = threading.Event()

    async def app(*_: Any) -> None:
        has_come.set()
        await asyncio.Event().wait()

    for server in serving(app):
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
            connection.request(method, "/")
            assert has_come.wait(30)
            stopping = threading.Thread(target=server.stop)
            stopping.start()
            answer = connection.getresponse()
            assert (answer.status, answer.headers["retry-after"]) == (503, again)
            assert answer.read() == said
            stopping.join()


def test_a_request_that_came_before_the_answer_to_another_has_as_long_for_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given, at_begin = list[float](), list[float]()
    allow = server_module.BoundedConnection._allow

    def noting(self: server_module.BoundedConnection, seconds: float) -> None:
        given.append(seconds)
        allow(self, seconds)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        at_begin.append(given[-1])
        await plain(scope, receive, send)

    monkeypatch.setattr(server_module.BoundedConnection, "_allow", noting)
    for server in serving(app):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            one = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
            connection.sendall(one + b"\r\n" + one + b"\r\n" + one + b"Connection: close\r\n\r\n")
            assert ended(connection)
    assert at_begin == [server_module.ANSWER_WITHIN] * 3


def test_a_client_that_takes_nothing_of_an_export_is_closed_and_costs_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_module, "TAKEN_WITHIN", 0.3)
    export = Exports(b"x" * 65_536, 10_000)
    export.next.release(10_000)
    for server in serving(export):
        with request(server):
            assert export.ended.wait(30)
        assert export.sent < 200


def test_an_export_without_end_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "ANSWER_WITHIN", 0.1)
    monkeypatch.setattr(server_module, "LONGEST_ANSWER", 0.3)
    export = Exports(b"x", 10)
    export.next.release(1)
    for server in serving(export):
        with request(server) as connection:
            assert ended(connection)
        export.next.release(9)


@pytest.mark.parametrize("where", ["0.0.0.0:0", "[::]:0", "127.0.0.1:0", "[::1]:0"])
def test_the_link_that_is_printed_leads_to_what_listens(where: str, tmp_path: Path) -> None:
    how = plan(load({}, home=tmp_path), ServingOptions(listen=where, insecure=True))
    assert how
    server = Server(plain, listen(how.where))
    server.start()
    try:
        with closing(http.client.HTTPConnection(urlsplit(how.link(server.port)).netloc, timeout=30)) as connection:
            connection.request("GET", "/")
            assert connection.getresponse().status == 200
    finally:
        server.stop()


def is_third_answered(server: Server) -> bool:
    """Tell whether a client that comes beside two others has an answer."""
    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
        third = held.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
        third.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        try:
            return third.recv(12) == b"HTTP/1.1 200"
        except ConnectionError:
            return False


def test_one_address_does_not_take_all_connections_unless_it_is_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MOST_OF_ADDRESS", 2)
    for trusted in (False, True):
        for server in serving(plain, trusts=lambda _, trusted=trusted: trusted):
            assert is_third_answered(server) == trusted


def test_one_client_does_not_take_all_connections_by_its_many_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MOST_OF_ADDRESS", 2)
    for last, answered in (("2001:db8::3", False), ("2001:db8:0:1::3", True)):
        addresses = iter(["2001:db8::1", "2001:db8::2", last])
        monkeypatch.setattr(h11_impl, "get_remote_addr", lambda _, addresses=addresses: (next(addresses), 1))
        for server in serving(plain):
            assert is_third_answered(server) == answered


def test_one_address_does_not_take_all_connections_before_tls_either(
    pair: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MOST_OF_ADDRESS", 2)
    tls = Tls(certificate=pair[1], key=pair[2])
    for trusted in (False, True):
        for server in serving(plain, tls=tls, trusts=lambda _, trusted=trusted: trusted):
            held = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(2)]
            try:
                assert (ask(server, pair[0]) == "https /a, https /b") == trusted
            except (ConnectionError, ssl.SSLError):
                assert not trusted
            for each in held:
                each.close()


def test_while_pages_hang_health_is_told_and_others_are_refused_kindly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_module, "_MOST_BUSY", 2)
    with console_of(tmp_path / "home") as console:
        console.as_(Role.VIEWER)
        hangs, inside = threading.Event(), threading.Semaphore(0)
        ledger = console.installation.ledger.users
        monkeypatch.setattr(
            type(ledger),
            "any",
            lambda _: inside.release() or hangs.wait(30) or True,  # type: ignore[func-returns-value]
        )
        for server in serving(console.site):

            def get(path: str, server: Server = server) -> tuple[int, str | None]:
                with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
                    connection.request("GET", path)
                    answer = connection.getresponse()
                    answer.read()
                    return answer.status, answer.getheader("retry-after")

            threads = [threading.Thread(target=get, args=("/sign-in",)) for _ in range(2)]
            for each in threads:
                each.start()
            try:
                for _ in threads:
                    assert inside.acquire(timeout=30)
                assert get("/sources") == (503, "3")
                # As the API tells all errors: programs wait, and do not think that nothing runs here.
                with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
                    connection.request("GET", "/api/v1/sources")
                    answer = connection.getresponse()
                    assert (answer.status, answer.getheader("retry-after")) == (429, "5")
                    assert answer.getheader("content-type") == problems.MEDIA_TYPE
                    assert json.load(answer)["code"] == "too_many_requests"
                assert get("/healthz")[0] in (200, 503)
                assert get("/metrics")[0] == 200
            finally:
                hangs.set()
                for each in threads:
                    each.join()
            assert get("/sources")[0] == 303


def test_a_request_that_comes_drop_by_drop_takes_no_place_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_module, "_MOST_BUSY", 1)
    head = b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: same-origin\r\nConnection: close\r\n"
    form = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 17\r\n"
    with console_of(tmp_path / "home") as console:
        console.as_(Role.VIEWER)
        for server in serving(console.site):
            with (
                socket.create_connection(("127.0.0.1", server.port), timeout=30) as slow,
                closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as other,
            ):
                slow.sendall(head + form + b"Expect: 100-continue\r\n\r\n")
                # Its body is waited for.
                assert slow.recv(100).startswith(b"HTTP/1.1 100")
                other.request("GET", "/sign-in")
                assert other.getresponse().status == 200
                slow.sendall(b"name=a&password=b")
                assert slow.recv(100).startswith(b"HTTP/1.1 403")


def test_of_what_is_on_its_way_no_more_is_held_than_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_module, "_MOST_INCOMING", 300_000)
    with console_of(tmp_path / "home") as console:

        async def post(path: str, *pieces: Any, client: str = "127.0.0.1") -> int:
            """Send a body in pieces, each once the one before was taken, and return the status of the answer."""
            left, statuses = list(pieces), list[int]()

            async def receive() -> Any:
                piece = left.pop(0)
                return {
                    "type": "http.request",
                    "body": await piece() if callable(piece) else piece,
                    "more_body": bool(left),
                }

            async def send(message: Any) -> None:
                statuses.append(message.get("status", 0))

            headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
            scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
            scope |= {"headers": headers, "scheme": "http", "client": (client, 1), "server": ("127.0.0.1", 2)}
            await console.site(scope, receive, send)
            return statuses[0]

        async def all_of_it() -> None:
            large, small = b"x" * 200_000, b"x" * 60_000
            assert await post("/api/v1/query", large) == 401
            waits, goes_on = asyncio.Event(), asyncio.Event()

            async def last() -> bytes:
                waits.set()
                await goes_on.wait()
                return b"x"

            slow = asyncio.create_task(post("/api/v1/query", large, last))
            await waits.wait()
            assert await post("/api/v1/query", large) == 429
            assert await post("/sources/new", large) == 503
            assert await post("/api/v1/query", small) == 401
            monkeypatch.setattr(site_module, "_MOST_INCOMING", 1_000_000)
            monkeypatch.setattr(site_module, "_MOST_OF_CLIENT", 300_000)
            assert await post("/api/v1/query", large) == 429, "one client"
            assert await post("/api/v1/query", large, client="192.0.2.1") == 401, "another one"
            goes_on.set()
            assert await slow == 401
            assert await post("/api/v1/query", large) == 401

        asyncio.run(all_of_it())


def test_a_flood_of_sign_ins_takes_no_threads_from_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("at_once", "waiting"):
        monkeypatch.setattr(capacity.SIGNING_IN, name, 0)
    with console_of(tmp_path / "home") as console:
        busy = console.guest().post("/sign-in", name="x", password="y")
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "3")
        assert "Too much is going on" in busy.text


def test_what_waits_for_a_far_end_takes_no_threads_from_pages_by_the_api_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("at_once", "waiting"):
        monkeypatch.setattr(capacity.SLOW, name, 0)
    source = {"product": "wiz", "name": "n", "secret": "s", "settings": {}}
    with console_of(tmp_path / "home") as console:
        asked = program(console)
        for method, path, body in (
            ("POST", "/channels/x/test", None),
            ("POST", "/sources", source),
            ("PATCH", "/sources/x", {"paused": True}),
            ("POST", "/sources/x/check", None),
            ("POST", "/sources/x/secret", {"secret": "s"}),
        ):
            busy = asked(method, path, json=body)
            assert (busy.status_code, busy.json()["code"]) == (429, "too_many_requests"), path
            assert busy.headers["retry-after"] == "5"


def test_a_room_takes_so_many_and_of_one_user_fewer() -> None:
    async def visit() -> None:
        room = capacity.Room(at_once=2, waiting=2, most_of_one=3)
        free = threading.Event()
        for _ in range(3):
            going = [asyncio.ensure_future(room.run_for("ann", free.wait)) for _ in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(capacity.BusyError):
                await room.run_for("ann", free.wait)
            going.append(asyncio.ensure_future(room.run_for("eve", free.wait)))
            await asyncio.sleep(0)
            with pytest.raises(capacity.BusyError):
                await room.run(free.wait)
            # Whoever waited is gone, one with a thread and one without; their places are given back all the same.
            going[0].cancel()
            going[2].cancel()
            free.set()
            await asyncio.gather(*going, return_exceptions=True)
            for each in [each for each in threading.enumerate() if each.name == "slow page"]:
                each.join()
            await asyncio.sleep(0)
            free.clear()
        assert not room._of

    asyncio.run(visit())
