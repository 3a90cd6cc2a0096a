import json
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest

from ocelog.errors import (
    AccessRefusedError,
    ConfigError,
    ContractBrokenError,
    OcelogError,
    SourceThrottledError,
    SourceUnavailableError,
)
from ocelog.secrets.secret import Secret
from ocelog.sources.wiz.exchange import HttpAnswer
from ocelog.sources.wiz.settings import from_mapping
from ocelog.sources.wiz.tokens import Tokens

SETTINGS = from_mapping({"token_url": "cognito", "client_id": "client&id"})
SECRET = "s3cret+with/odd=signs&more"


class Endpoint:
    """A token endpoint in memory."""

    def __init__(self, status: int = 200, body: object = None, **headers: str) -> None:
        self.asked: list[tuple[str, dict[str, list[str]], dict[str, str]]] = []
        self.status, self.headers = status, {name.replace("_", "-"): value for name, value in headers.items()}
        self.body = {"access_token": "t", "expires_in": 86400} if body is None else body

    def __call__(self, url: str, content: bytes, headers: dict[str, str]) -> HttpAnswer:
        self.asked.append((url, parse_qs(content.decode()), headers))
        raw = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return HttpAnswer(status=self.status, headers=self.headers, body=raw)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _tokens(endpoint: Endpoint, clock: Clock | None = None, secret: Callable[[], Secret] | None = None) -> Tokens:
    return Tokens(SETTINGS, secret or (lambda: Secret(SECRET)), endpoint, monotonic=clock or Clock())


def test_a_token_is_asked_for_as_a_form_with_the_right_audience() -> None:
    endpoint = Endpoint()
    assert _tokens(endpoint).get().value.reveal() == "t"
    [(url, form, headers)] = endpoint.asked
    assert url == "https://auth.app.wiz.io/oauth/token"
    assert headers == {"Content-Type": "application/x-www-form-urlencoded"}
    assert form == {
        "grant_type": ["client_credentials"],
        "audience": ["wiz-api"],
        "client_id": ["client&id"],
        "client_secret": [SECRET],
    }


def test_one_token_serves_until_shortly_before_it_lapses() -> None:
    endpoint, clock = Endpoint(), Clock()
    tokens = _tokens(endpoint, clock)
    tokens.get()
    clock.now = 86400 - 301
    tokens.get()
    assert len(endpoint.asked) == 1
    clock.now = 86400 - 299
    tokens.get()
    assert len(endpoint.asked) == 2


@pytest.mark.parametrize(
    ("life", "renewed"),
    [(60, 48), (3600, 3300), (None, 3300), (0, 3300), (-5, 3300), ("60", 48), ("3600", 3300), ("0", 3300)],
)
def test_short_lives_are_lived_with(life: float | str | None, renewed: float) -> None:
    endpoint, clock = Endpoint(body={"access_token": "t", "expires_in": life}), Clock()
    tokens = _tokens(endpoint, clock)
    tokens.get()
    clock.now = renewed - 1
    tokens.get()
    assert len(endpoint.asked) == 1
    clock.now = renewed
    tokens.get()
    assert len(endpoint.asked) == 2


def test_a_token_that_was_refused_is_replaced_once_however_many_had_it() -> None:
    endpoint = Endpoint()
    tokens = _tokens(endpoint)
    old = tokens.get()
    new = [tokens.get(refused=old) for _ in range(5)]
    assert len(endpoint.asked) == 2
    assert {token.number for token in new} == {2}


def _at_once(work: Callable[[], object], threads: int = 8) -> list[object]:
    found = list[object]()

    def run() -> None:
        try:
            found.append(work())
        except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
            found.append(error)

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(timeout=10)
    return found


def _all_together(tokens: Tokens, threads: int) -> Callable[[], object]:
    """Return a call of `get` that starts only once so many threads are there."""
    begun = threading.Barrier(threads)

    def get() -> object:
        begun.wait(timeout=10)
        return tokens.get()

    return get


def test_threads_that_need_a_token_at_once_share_one() -> None:
    endpoint = Endpoint()
    tokens = _tokens(endpoint)
    found = _at_once(_all_together(tokens, 8))
    assert len(found) == 8
    assert len(endpoint.asked) == 1


def test_threads_that_waited_for_a_failure_share_it_and_later_ones_try_again() -> None:
    endpoint, clock = Endpoint(status=503), Clock()
    tokens = _tokens(endpoint, clock)
    found = _at_once(_all_together(tokens, 8))
    assert all(isinstance(error, SourceUnavailableError) for error in found)
    assert len({id(error) for error in found}) == 8
    assert len(endpoint.asked) == 1
    clock.now += 1
    endpoint.status = 200
    assert tokens.get().number == 1


def test_a_rotated_secret_is_taken_up_with_the_next_token() -> None:
    endpoint, secrets = Endpoint(), iter(("old", "new"))
    tokens = _tokens(endpoint, secret=lambda: Secret(next(secrets)))
    tokens.get(refused=tokens.get())
    assert [form["client_secret"] for _, form, _ in endpoint.asked] == [["old"], ["new"]]


def test_a_secret_that_cannot_be_read_stops_the_streams_of_this_source_alone() -> None:
    def secret() -> Secret:
        raise ConfigError("the file /etc/secret is not there")

    with pytest.raises(AccessRefusedError, match="/etc/secret"):
        _tokens(Endpoint(), secret=secret).get()


@pytest.mark.parametrize(
    ("endpoint", "error", "match"),
    [
        (Endpoint(401, {"error": "access_denied", "error_description": SECRET}), AccessRefusedError, "access_denied"),
        (Endpoint(400, {"error": SECRET}), AccessRefusedError, "was not rotated"),
        (Endpoint(403, b"<html>"), AccessRefusedError, "403"),
        (Endpoint(404, SECRET), ContractBrokenError, "404"),
        (Endpoint(302, SECRET, location="https://evil.example/?s=" + SECRET), ContractBrokenError, "evil.example/[.]"),
        (Endpoint(429, SECRET, retry_after="9"), SourceThrottledError, "rate-limiting"),
        (Endpoint(500, SECRET), SourceUnavailableError, "500"),
        (Endpoint(200, SECRET), SourceUnavailableError, "no access token"),
        (Endpoint(200, {"access_token": None, "x": SECRET}), SourceUnavailableError, "no access token"),
        (Endpoint(200, {"access_token": f"{SECRET}\n"}), SourceUnavailableError, "no access token"),
        (Endpoint(200, {"access_token": f"{SECRET}é"}), SourceUnavailableError, "no access token"),
        (Endpoint(200, b"<html>" + SECRET.encode()), SourceUnavailableError, "no access token"),
        (Endpoint(200, b'{"access_token": "' + SECRET.encode() + b"\xff"), SourceUnavailableError, "no access token"),
    ],
)
def test_no_refusal_tells_a_secret(endpoint: Endpoint, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match) as caught:
        _tokens(endpoint).get()
    told: BaseException | None = caught.value
    while told is not None:
        assert SECRET not in f"{told} {told!r}"
        told = told.__cause__ if told.__suppress_context__ else told.__cause__ or told.__context__


def test_a_secret_that_is_no_text_is_refused_unseen() -> None:
    with pytest.raises(AccessRefusedError, match="enter it again") as caught:
        _tokens(Endpoint(), secret=lambda: Secret(f"{SECRET}\udcff")).get()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_nothing_that_keeps_a_token_shows_it() -> None:
    token: Any = _tokens(Endpoint(body={"access_token": "tell-no-one"})).get()
    assert "tell-no-one" not in repr(token)


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        (Endpoint(403, b"<html><title>403 Forbidden</title><body>policy", content_type="text/html"), "403 Forbidden"),
        (Endpoint(401, b"<!DOCTYPE html><title>\n Sign\x1b[2J\xe2\x80\xae in </title>"), "Sign [2J in"),
        (Endpoint(403, b"<html><body>Blocked: <b>R&amp;D</b><script>x()</script>"), "Blocked: R&D"),
        (Endpoint(405, b"<html>Method Not Allowed", content_type="text/html"), "Method Not Allowed"),
        (Endpoint(200, b"<html><body><h1>Sign in to GuestWiFi</h1>"), "Sign in to GuestWiFi"),
        (Endpoint(404, b"<html><title>" + b"long " * 900 + b"</title>"), "long long"),
    ],
)
def test_a_web_page_in_place_of_a_token_names_proxy_and_firewall_and_the_pages_title(
    endpoint: Endpoint, shown: str
) -> None:
    with pytest.raises(OcelogError, match="proxy or firewall") as caught:
        _tokens(endpoint).get()
    assert f'("{shown}' in str(caught.value)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()
    assert "secret was not rotated" not in str(caught.value)


def test_the_reason_that_the_token_endpoint_gives_is_told() -> None:
    expired = {"error": "invalid_grant", "error_description": "service account is expired"}
    with pytest.raises(AccessRefusedError, match=r"invalid_grant: service account is expired\)\. Check.*not expired"):
        _tokens(Endpoint(403, expired)).get()
    with pytest.raises(AccessRefusedError, match=r"HTTP 403, Forbidden\)"):
        _tokens(Endpoint(403, {"message": "Forbidden"})).get()
    with pytest.raises(AccessRefusedError) as caught:
        _tokens(Endpoint(401, {"error": "x", "error_description": "y\n" * 5_000})).get()
    assert len(str(caught.value)) < 800


def test_a_proxy_that_asks_for_a_login_is_named() -> None:
    with pytest.raises(AccessRefusedError, match="HTTPS_PROXY"):
        _tokens(Endpoint(407, b"<html>Proxy Authentication Required")).get()
