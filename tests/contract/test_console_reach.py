"""Where a source that was added at a distance may lead: never to what only this machine can reach."""

import ast
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ocelog.access import Role
from ocelog.app.source_settings import source_settings
from ocelog.app.sources import sources
from ocelog.app.sources.source_changes import Listener, SourceChange, edit
from ocelog.errors import ConfigError
from ocelog.secrets.secret import Secret
from ocelog.sources.registry import SOURCES
from ocelog.sources.wiz.client import Client
from ocelog.sources.wiz.settings import WizSettings, from_mapping
from visiting import Console, console_of

PUBLIC = "203.0.114.7"
"""An address as any on the internet, to which no test ever connects."""


class Inside:
    """A server of this machine that nobody at a distance should reach; it counts who connects."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self.listening.accept()
                self.reached.set()
                with peer:
                    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\ninner secret")


@pytest.fixture
def inside() -> Iterator[Inside]:
    made = Inside()
    yield made
    made.listening.close()


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    with console_of(tmp_path / "home", private_sources=False) as opened:
        yield opened


def named(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[tuple[str, int]]:
    """Give each look for the addresses of a name the next of the answers; return where was connected to."""
    left, connected = list(answers), list[tuple[str, int]]()
    real = socket.create_connection

    def look(_: str, port: int, *__: Any, **___: Any) -> Any:
        answer = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answer, port))]

    def connect(address: tuple[str, int], *args: Any, **more: Any) -> Any:
        connected.append(address)
        if address[0] == PUBLIC:
            raise ConnectionRefusedError("far away")
        return real(address, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look)
    monkeypatch.setattr(socket, "create_connection", connect)
    return connected


def settings(url: str, *, public_only: bool = True) -> WizSettings:
    values = {"token_url": url, "api_url": "https://api.us1.app.wiz.io/graphql", "client_id": "x"}
    made = SOURCES["wiz"].confined(from_mapping(values), public_only=public_only)
    assert isinstance(made, WizSettings)
    return made


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "0.0.0.0",  # noqa: S104 - asked for, not listened to
        "10.1.2.3",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[64:ff9b::a9fe:a9fe]",
        "2130706433",
        "0x7f.1",
        "127.1",
    ],
)
def test_no_spelling_of_an_inner_address_is_connected_to(host: str, inside: Inside) -> None:
    client = Client(settings(f"https://{host}:{inside.port}/oauth/token"))
    with pytest.raises(ConfigError, match="private network or to the machine of Ocelog"):
        client.post(f"https://{host}:{inside.port}/oauth/token", b"", {})
    assert not inside.reached.is_set()


def test_a_name_that_changes_its_meaning_leads_nowhere(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"https://rebound.example:{inside.port}/oauth/token"
    client = Client(settings(url))
    connected = named(monkeypatch, PUBLIC, "127.0.0.1")
    with pytest.raises(ConfigError, match="private network or to the machine of Ocelog"):
        client.post(url, b"", {})
    assert connected == []
    assert not inside.reached.is_set()


def test_what_is_connected_to_is_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(settings("https://far.example/oauth/token"))
    connected = named(monkeypatch, PUBLIC, PUBLIC, "127.0.0.1")
    with pytest.raises(Exception, match=r"far\.example did not answer"):
        client.post("https://far.example/oauth/token", b"", {})
    assert connected == [(PUBLIC, 443)]


def test_a_proxy_does_not_lead_there_either(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{inside.port}")
    client = Client(settings("https://10.0.0.1/oauth/token"))
    with pytest.raises(ConfigError, match="private network"):
        client.post("https://10.0.0.1/oauth/token", b"", {})
    assert not inside.reached.is_set()


def test_a_form_of_the_console_reaches_nothing_inside_and_tells_nothing(console: Console, inside: Inside) -> None:
    admin = console.as_(Role.ADMIN)
    fields: dict[str, Any] = {
        "name": "prod",
        "token_url": f"http://127.0.0.1:{inside.port}/oauth/token",
        "api_url": f"http://127.0.0.1:{inside.port}/graphql",
        "client_id": "x",
        "secret": "s3cret-of-wiz",
        "log_types": "Wiz.Issues",
        "do": "save",
    }
    answer = admin.post("/sources/new", **fields)
    assert answer.status_code == 422
    assert "private_sources" in answer.text
    # Nothing was asked, so that the secret may well be right.
    assert "Check the client ID" not in answer.text
    assert "inner secret" not in answer.text
    assert "s3cret-of-wiz" not in answer.text
    assert not inside.reached.is_set()
    assert sources.listed(console.installation) == []


def test_the_confinement_stays_with_the_source_until_somebody_at_the_machine_names_an_address(
    console: Console,
) -> None:
    installation = console.installation
    change = SourceChange(
        own={"token_url": "cognito", "api_url": "us1", "client_id": "x"},
        secret=sources.GivenSecret(value=Secret("x")),
        public_only=True,
    )
    row = sources.row_of("prod", change.settings(SOURCES["wiz"], None), {})
    assert change.secret
    sources.add(installation, row, change.secret)

    def confined() -> bool:
        found = source_settings(sources.find(installation, "prod"))
        assert isinstance(found, WizSettings)
        return found.public_only

    assert confined()

    def edited(change: SourceChange) -> None:
        edit(installation, sources.find(installation, "prod"), change, Listener())

    edited(SourceChange(own={"rate": 1.0}, check=False))
    edited(SourceChange(own={"client_id": "y"}, check=False))
    assert confined(), "neither of them says where a secret is sent to"
    edited(SourceChange(own={"api_url": "us2"}, check=False, anyway=True))
    assert not confined()


def test_a_form_names_no_file_of_the_machine() -> None:
    own = {"token_url": "cognito", "client_id": "x", "ca_file": "/etc/passwd"}
    with pytest.raises(ConfigError, match="ca_file names a file of the machine"):
        SourceChange(own=own, public_only=True).settings(SOURCES["wiz"], None)


def test_whatever_the_console_and_the_api_make_of_addresses_is_confined() -> None:
    found = 0
    for path in Path("src/ocelog/console").rglob("*.py"):
        for call in (each for each in ast.walk(ast.parse(path.read_text())) if isinstance(each, ast.Call)):
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            given = {each.arg: ast.unparse(each.value) for each in call.keywords}
            if (
                name == "SourceChange"
                and "own" in given
                and given["own"] != "{} if body.client_id is None else {'client_id': body.client_id}"
            ):
                assert "public_only" in given, f"{path}:{call.lineno}"
                found += 1
    assert found >= 2
