"""The client against bare sockets on loopback: what it sends, whom it trusts, and when it gives up."""

import gzip
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ocelog.errors import AccessRefusedError, ConfigError, ContractBrokenError, OcelogError, SourceUnavailableError
from ocelog.secrets.secret import Secret
from ocelog.sources.wiz.client import Client
from ocelog.sources.wiz.reach import demand_answer
from ocelog.sources.wiz.settings import from_mapping
from ocelog.sources.wiz.source import WizSource
from receivers.tls import certified

TOKEN = b'{"access_token": "the-token-itself", "expires_in": 3600}'


@dataclass(slots=True)
class Said:
    """What a server answers."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Far:
    """A far end in a thread: `answer` is called for each question, and what was asked is kept."""

    answer: Callable[[str], Said] = lambda _: Said()
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    address: str = ""

    def serve(self, context: ssl.SSLContext | None = None) -> ThreadingHTTPServer:
        far = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body leave as two packets: the second would wait 40 ms for a receipt of the first.
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                far.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                said = far.answer(self.path)
                self.send_response_only(said.status)
                for name, value in {"Content-Length": str(len(said.body)), **said.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said.body)

            def do_CONNECT(self) -> None:
                far.asked.append((self.path, {}, b""))
                self.send_response_only(403)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # a peer that hangs up is the test
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        scheme = "http" if context is None else "https"
        self.address = f"{scheme}://127.0.0.1:{server.server_address[1]}"
        return server


@pytest.fixture
def far() -> Iterator[Far]:
    far = Far()
    server = far.serve()
    yield far
    server.shutdown()
    server.server_close()


@pytest.fixture
def client() -> Iterator[Callable[..., Client]]:
    made = list[Client]()

    def make(**settings: Any) -> Client:
        made.append(Client(from_mapping({"token_url": "cognito", "client_id": "c", **settings})))
        return made[-1]

    yield make
    for one in made:
        one.close()


Make = Callable[..., Client]


def test_the_program_names_itself_and_says_what_it_can_unpack(far: Far, client: Make) -> None:
    client().post(f"{far.address}/x", b"question", {"Authorization": "Bearer t"})
    [(path, headers, body)] = far.asked
    assert (path, body, headers["authorization"]) == ("/x", b"question", "Bearer t")
    assert headers["user-agent"].startswith("ocelog/")
    assert headers["accept-encoding"] == "gzip"


def test_a_packed_body_is_unpacked(far: Far, client: Make) -> None:
    far.answer = lambda _: Said(body=gzip.compress(b'{"a": 1}'), headers={"Content-Encoding": "gzip", "X-Any": "Y"})
    answered = client().post(far.address, b"", {})
    assert (answered.body, answered.headers["x-any"]) == (b'{"a": 1}', "Y")


def test_a_few_bytes_that_unpack_to_more_than_allowed_never_fill_memory(far: Far, client: Make) -> None:
    bomb = gzip.compress(b" " * 100_000_000)
    assert len(bomb) < 200_000
    far.answer = lambda _: Said(body=bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(SourceUnavailableError, match="more than 1000000 bytes"):
        client(most_bytes=1_000_000).post(far.address, b"", {})


def test_a_body_that_is_not_packed_as_it_says_is_no_answer(far: Far, client: Make) -> None:
    far.answer = lambda _: Said(body=b"not gzip", headers={"Content-Encoding": "gzip"})
    with pytest.raises(SourceUnavailableError):
        client().post(far.address, b"", {})


def test_a_far_end_that_hangs_up_without_a_word_is_told_in_one_sentence(client: Make) -> None:
    def hang_up(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            heard = b""
            while not heard.endswith(b"question"):
                heard += connection.recv(65_536)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        hanging_up = threading.Thread(target=hang_up, args=(listening,))
        hanging_up.start()
        with pytest.raises(SourceUnavailableError, match=r"did not answer: Server disconnected [^.]+\.$"):
            client().post(f"http://127.0.0.1:{listening.getsockname()[1]}/", b"question", {})
        hanging_up.join(timeout=10)


def test_a_far_end_that_hangs_up_or_is_not_there_is_unavailable(far: Far, client: Make) -> None:
    far.answer = lambda _: Said(body=b"short", headers={"Content-Length": "5000", "Connection": "close"})
    with pytest.raises(SourceUnavailableError, match=r"127\.0\.0\.1 did not answer"):
        client(read_seconds=1).post(far.address, b"", {})
    with pytest.raises(SourceUnavailableError):
        client().post("http://127.0.0.1:9/", b"", {})


def test_silence_ends_the_wait(far: Far, client: Make) -> None:
    held = threading.Event()

    def hold(_: str) -> Said:
        held.wait(timeout=10)
        return Said()

    far.answer = hold
    with pytest.raises(SourceUnavailableError, match=r"did not answer within 0\.1 s"):
        client(read_seconds=0.1).post(far.address, b"", {})
    held.set()


@pytest.mark.parametrize(
    ("opening", "says"), [(b"", "did not answer within"), (b"HTTP/1.1 200 OK\r\nX: ", "stopped answering")]
)
def test_a_far_end_that_never_sent_a_byte_is_not_said_to_send_or_to_have_stopped(
    client: Make, opening: bytes, says: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/"

        def accept() -> None:
            for _ in range(2):
                connection, _peer = listening.accept()
                connections.append(connection)
                connection.sendall(opening)

        connections = list[socket.socket]()
        accepting = threading.Thread(target=accept)
        accepting.start()
        with pytest.raises(SourceUnavailableError, match=says):
            client(read_seconds=0.2).post(address, b"", {})
        with pytest.raises(SourceUnavailableError, match="still sending" if opening else "did not answer within") as it:
            client().post(address, b"", {}, within=0.2)
        # What the network did is not tried again by a check.
        assert it.value.__cause__ is not None
        accepting.join(timeout=10)
        for connection in connections:
            connection.close()


@pytest.mark.parametrize("status", [200, 400, 401, 403, 500])
def test_an_address_at_which_something_is_answers_whatever_it_says(far: Far, status: int) -> None:
    far.answer = lambda _: Said(status=status)
    demand_answer(f"{far.address}/graphql")


@pytest.mark.parametrize("status", [404, 405, 410])
def test_an_address_at_which_nothing_is_does_not_answer(far: Far, status: int) -> None:
    far.answer = lambda _: Said(status=status)
    with pytest.raises(SourceUnavailableError, match=rf"/oauth/tokn answered HTTP {status}: is its path right\?"):
        demand_answer(f"{far.address}/oauth/tokn")


def _source(far: Far) -> WizSource:
    settings = {"token_url": f"{far.address}/token", "api_url": far.address, "client_id": "c", "rate": 100}
    return WizSource(from_mapping(settings), lambda: Secret("the-secret-itself"))


@pytest.mark.parametrize("of", ["/token", "/graphql"])
def test_a_redirect_is_named_and_neither_secret_nor_token_goes_there(far: Far, of: str) -> None:
    other = Far()
    server = other.serve()

    def answer(path: str) -> Said:
        if path == of:
            return Said(status=307, headers={"Location": f"{other.address}/elsewhere"})
        return Said(body=TOKEN)

    far.answer = answer
    source = _source(far)
    with pytest.raises(ContractBrokenError, match=f"{other.address}/elsewhere") as caught:
        source.prime()
    assert other.asked == []
    assert "itself" not in str(caught.value)
    source.close()
    server.shutdown()
    server.server_close()


def _answers_at(dates: Iterator[datetime | None]) -> Callable[[str], Said]:
    def answer(path: str) -> Said:
        date = None if path == "/token" else next(dates)
        headers = {} if date is None else {"Date": format_datetime(date, usegmt=True)}
        return Said(body=TOKEN if path == "/token" else b'{"data":{"__typename":"Query"}}', headers=headers)

    return answer


def test_without_a_date_or_with_dates_that_never_agree_there_is_no_clock(far: Far) -> None:
    start, day = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=1)
    for dates in (iter([None] * 99), (start + day * n for n in range(99))):
        far.answer = _answers_at(dates)
        source = _source(far)
        with pytest.raises(SourceUnavailableError, match="Date"):
            source.prime()
        source.close()


def test_three_dates_that_agree_are_enough(far: Far) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    far.answer = _answers_at(iter([start + timedelta(days=3), *[start] * 3]))
    source = _source(far)
    assert timedelta(0) <= source.now() - start < timedelta(seconds=30)
    source.close()


def test_html_from_something_on_the_way_is_no_time_and_no_answer(far: Far) -> None:
    far.answer = lambda path: Said(body=TOKEN) if path == "/token" else Said(status=403, body=b"<html>blocked</html>")
    source = _source(far)
    with pytest.raises(AccessRefusedError, match="403"):
        source.prime()
    source.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Return a file with a certificate for 127.0.0.1 that nobody signed but itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path / "ca.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return file


def test_a_certificate_is_verified_and_a_ca_file_makes_it_trusted(certificate: Path, client: Make) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    far = Far()
    server = far.serve(context)
    with pytest.raises(SourceUnavailableError, match=r"not trusted.*--ca-file"):
        client().post(far.address, b"secret", {})
    assert far.asked == []
    assert client(ca_file=str(certificate)).post(far.address, b"", {}).status == 200
    server.shutdown()
    server.server_close()


def test_of_a_certificate_that_has_expired_no_other_authority_is_advised(tmp_path: Path, client: Make) -> None:
    authority, context = certified(tmp_path, "localhost", begins=timedelta(days=-2), ends=timedelta(days=-1))
    far = Far()
    server = far.serve(context)
    address = far.address.replace("127.0.0.1", "localhost")
    with pytest.raises(SourceUnavailableError, match=r"has expired\)\. The far end must renew it"):
        client(ca_file=str(authority)).post(address, b"secret", {})
    assert far.asked == []
    server.shutdown()
    server.server_close()


def test_a_ca_file_that_holds_no_certificate_is_said_at_once(tmp_path: Path, client: Make) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        client(ca_file=str(file)).post("https://auth.wiz.invalid/oauth/token", b"", {})


def test_https_goes_by_the_proxy_of_the_environment_and_this_machine_does_not(
    far: Far, client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Far()
    server = proxy.serve()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, proxy.address)
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SourceUnavailableError):
        client().post("https://auth.wiz.invalid/oauth/token", b"", {})
    assert [path for path, _, _ in proxy.asked] == ["auth.wiz.invalid:443"]
    assert client().post(far.address, b"", {}).status == 200
    monkeypatch.setenv("NO_PROXY", "auth.wiz.invalid")
    with pytest.raises(SourceUnavailableError):
        client().post("https://auth.wiz.invalid/oauth/token", b"", {})
    assert len(proxy.asked) == 1
    server.shutdown()
    server.server_close()


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.usefixtures("no_proxy")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("HTTPS_PROXY", "ftp://user:pass-word@proxy"),
        ("https_proxy", "http://user:pass-word@proxy:no-port"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
        ("SSL_CERT_FILE", __file__),
    ],
)
def test_a_variable_that_does_not_hold_is_named_without_its_password(
    client: Make, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=rf"^{name} .*unset it") as caught:
        client().post("https://auth.wiz.invalid/oauth/token", b"", {})
    assert "pass-word" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_ca_file_that_vanished_is_said_when_it_is_needed_and_taken_up_when_it_is_back(
    certificate: Path, client: Make, far: Far
) -> None:
    made = client(ca_file=str(certificate))
    kept = certificate.read_bytes()
    certificate.unlink()
    with pytest.raises(ConfigError, match=rf"{certificate} is not there.*--ca-file"):
        made.post(far.address, b"", {})
    certificate.write_bytes(kept)
    assert made.post(far.address, b"", {}).status == 200


@pytest.mark.usefixtures("no_proxy")
@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "127.255.255.254", "localhost", "[::1]"])
def test_nothing_for_this_machine_passes_a_proxy(client: Make, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    proxy = Far()
    server = proxy.serve()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.address)
    for scheme in ("http", "https"):
        with pytest.raises(SourceUnavailableError):
            client().post(f"{scheme}://{host}:9/oauth/token", b"the-secret-itself", {})
    assert proxy.asked == []
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "opening", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"]
)
def test_a_byte_now_and_then_does_not_hold_an_exchange_beyond_its_time(client: Make, opening: bytes) -> None:
    enough = threading.Event()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            connection.sendall(opening)
            for byte in b"HTTP/1.1 200 OK\r\nX: " * (not opening) + b"x" * 100:
                if enough.wait(0.05):
                    return
                connection.sendall(bytes([byte]))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        dripping = threading.Thread(target=drip, args=(listening,))
        dripping.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        with pytest.raises(SourceUnavailableError, match=r"still sending after 0\.5 s"):
            client(total_seconds=0.5, read_seconds=3).post(address, b"question", {})
        assert dripping.is_alive()
        enough.set()
        dripping.join(timeout=10)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 %b\r\n\r\n",
        b"%b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad header %b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 35\r\n\r\n%b",
        b"HTTP/1.1 403 %b\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_secret_that_the_far_end_sends_back_where_no_answer_should_be_is_not_told(answer: bytes) -> None:
    secret = "s3cr3t-CANARY-value/with+odd=signs&"
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(65_536)
            peer.sendall(answer % secret.encode())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = from_mapping({"token_url": f"{address}/token", "api_url": address, "client_id": "x", "read_seconds": 2})
    source = WizSource(settings, lambda: Secret(secret))
    with pytest.raises(OcelogError) as caught:
        source.fetch_token()
    source.close()
    thread.join(timeout=5)
    listener.close()
    told: BaseException | None = caught.value
    while told is not None:
        assert "CANARY" not in f"{told} {told!r}"
        told = told.__cause__ if told.__suppress_context__ else told.__cause__ or told.__context__
