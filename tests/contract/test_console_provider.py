"""Signing in through an identity provider: a real one on loopback, and each way in which one may lie."""

import base64
import socketserver
import threading
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import OctKey, RSAKey
from msgspec.structs import replace

from ocelog.access import Role
from ocelog.app.users import oidc, users
from ocelog.app.users.oidc import IdentityProvider, provider_of, read_issuer, read_issuer_endpoint, read_roles
from ocelog.console import capacity
from ocelog.console.endpoints import endpoints
from ocelog.console.front import Front
from ocelog.console.site import site
from ocelog.errors import ConfigError, SignInRefusedError
from ocelog.secrets.secret import Secret
from visiting import ADDRESS, HERE, PASSWORD, Console, Guest, console_of
from visiting.provider import Provider, provider

LOOPBACK = ip_network("127.0.0.0/8")


@pytest.fixture
def there() -> Iterator[Provider]:
    with provider() as served:
        yield served


@pytest.fixture
def console(there: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Console]:
    monkeypatch.setenv("OCELOG_OIDC_ISSUER", there.issuer)
    monkeypatch.setenv("OCELOG_OIDC_CLIENT_ID", "ocelog")
    monkeypatch.setenv("OCELOG_OIDC_SECRET", "env:THE_SECRET")
    monkeypatch.setenv("OCELOG_OIDC_ROLES", "sec-admins=admin, soc=analyst")
    monkeypatch.setenv("THE_SECRET", "client-secret")
    with console_of(tmp_path / "home") as opened:
        yield opened


def provider_of_console(console: Console) -> IdentityProvider:
    app: Any = console.site.pages
    while not hasattr(app, "state"):
        app = app.app if hasattr(app, "app") else app._app
    found = app.state.provider
    assert isinstance(found, IdentityProvider)
    return found


def come_in(console: Console, there: Provider, guest: Guest | None = None, **brought: str) -> Any:
    guest = guest or console.guest()
    sent = guest.get("/sign-in/provider?next=/alerts")
    assert sent.status_code == 303
    assert sent.headers["location"].startswith(f"{there.issuer}/authorize?")
    back = {**there.log_in(sent.headers["location"]), **brought}
    return guest.get("/sign-in/provider/answer", params=back)


def test_who_the_provider_knows_comes_in_with_the_role_that_it_says(console: Console, there: Provider) -> None:
    guest = console.guest()
    assert "identity provider" in guest.get("/sign-in").text
    answer = come_in(console, there, guest)
    assert (answer.status_code, answer.headers["location"]) == (303, "/alerts")
    assert guest.get("/alerts").status_code == 200
    assert guest.get("/users").status_code == 403
    (ann,) = console.installation.ledger.users.listed()
    assert (ann.name, ann.role, ann.subject) == ("ann@example.com", Role.ANALYST, f"{there.issuer} s-1")
    (asked,) = there.asked
    assert asked["client_secret"] == "client-secret"
    assert len(asked["code_verifier"]) >= 43
    there.claims = {"groups": ["soc", "sec-admins"], "email": "ann.lee@example.com"}
    again = console.guest()
    assert come_in(console, there, again).status_code == 303
    assert again.get("/users").status_code == 200
    (ann,) = console.installation.ledger.users.listed()
    assert (ann.name, ann.role) == ("ann@example.com", Role.ADMIN), "the same person, by what never changes"
    trail = again.get("/trail").text
    assert "user.came" in trail
    assert "client-secret" not in trail


def test_coming_in_again_ends_the_session_before(console: Console, there: Provider) -> None:
    guest, elsewhere = console.guest(), console.guest()
    for browser in (guest, elsewhere, guest):
        assert come_in(console, there, browser).status_code == 303
    (ann,) = console.installation.ledger.users.listed()
    assert len(console.installation.ledger.users.sessions(ann.id)) == 2, "one of each browser"
    assert guest.get("/alerts").status_code == elsewhere.get("/alerts").status_code == 200


def test_nobody_signs_in_with_a_password_as_whom_only_the_provider_knows(console: Console, there: Provider) -> None:
    come_in(console, there)
    for password in ("", PASSWORD, "None"):
        assert console.guest().sign_in("ann@example.com", password).status_code in (403, 422)


def test_the_provider_takes_over_no_user_who_has_a_password(console: Console, there: Provider) -> None:
    users.add_first(console.installation, "ann@example.com", Secret(PASSWORD), HERE)
    answer = come_in(console, there)
    assert answer.status_code == 403
    assert "Another user is called" in answer.text
    assert [each.role for each in console.installation.ledger.users.listed()] == [Role.ADMIN]


def test_an_address_that_nobody_verified_names_nobody(console: Console, there: Provider) -> None:
    there.claims = {"email": "boss@example.com", "email_verified": False, "preferred_username": "eve"}
    assert come_in(console, there).status_code == 303
    assert [each.name for each in console.installation.ledger.users.listed()] == ["eve"]


def test_who_was_disabled_stays_out(console: Console, there: Provider) -> None:
    come_in(console, there)
    ledger = console.installation.ledger.users
    users.add(console.installation, "root", Role.ADMIN, Secret(PASSWORD), by=ledger.listed()[0], origin=HERE)
    users.disable(console.installation, "ann@example.com", by=ledger.listed()[0], origin=HERE)
    assert come_in(console, there).status_code == 403


def test_the_last_admin_whose_role_is_lowered_is_told_so_in_their_language(console: Console, there: Provider) -> None:
    there.claims = {"groups": ["sec-admins"]}
    assert come_in(console, there).status_code == 303
    there.claims = {"groups": ["soc"]}
    guest = console.guest()
    guest.client.headers["accept-language"] = "ko"
    answer = come_in(console, there, guest)
    assert (answer.status_code, "마지막 관리자입니다" in answer.text) == (403, True)
    assert [each.role for each in console.installation.ledger.users.listed()] == [Role.ADMIN]


def test_who_has_no_role_stays_out(console: Console, there: Provider) -> None:
    for groups in ([], ["other"], None, "sec-adminsx", {"sec-admins": 1}):
        there.claims = {"groups": groups}
        answer = come_in(console, there)
        assert answer.status_code == 403, groups
        assert "no role for you" in answer.text
    assert not console.installation.ledger.users.any()


def test_a_provider_whose_name_ends_with_a_slash_lets_people_in(console: Console, there: Provider) -> None:
    there.says = {"issuer": f"{there.issuer}/"}
    there.claims = {"iss": f"{there.issuer}/"}
    assert come_in(console, there).status_code == 303
    there.claims = {"iss": there.issuer}
    assert come_in(console, there).status_code == 403, "it is another name to the letter"


def test_a_name_that_no_user_can_have_is_told(console: Console, there: Provider) -> None:
    there.claims = {"email": "x" * 101}
    answer = come_in(console, there)
    assert answer.status_code == 403
    assert "1 to 100 characters" in answer.text


def test_a_provider_that_does_not_answer_takes_no_threads_from_pages(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("at_once", "waiting"):
        monkeypatch.setattr(capacity.PROVIDER, name, 0)
    for path in ("/sign-in/provider", "/sign-in/provider/answer"):
        busy = console.guest().get(path)
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "3")


def test_what_the_provider_nests_too_deeply_lets_nobody_in(console: Console, there: Provider) -> None:
    guest, nested = console.guest(), "[" * 100_000
    back = there.log_in(guest.get("/sign-in/provider").headers["location"])
    header, _, signature = there.id_token().split(".")
    there.token = f"{header}.{base64.urlsafe_b64encode(nested.encode()).decode()}.{signature}"
    answer = guest.get("/sign-in/provider/answer", params=back)
    assert (answer.status_code, "does not hold" in answer.text) == (403, True)
    provider_of_console(console)._said.clear()
    there.body = nested
    answer = guest.get("/sign-in/provider")
    assert (answer.status_code, "cannot be reached" in answer.text) == (403, True)


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, "{}", "it returned no ID token"),
        (200, "[]", "its answer is no JSON object"),
        (200, f'{{"a": "{"x" * 262_144}"}}', "its answer is too large"),
        (500, None, "it answered HTTP 500"),
    ],
)
def test_what_the_provider_answers_in_the_place_of_a_token_lets_nobody_in(
    console: Console, there: Provider, status: int, body: str | None, told: str
) -> None:
    guest = console.guest()
    back = there.log_in(guest.get("/sign-in/provider").headers["location"])
    there.status, there.body = status, body
    answer = guest.get("/sign-in/provider/answer", params=back)
    assert (answer.status_code, told in answer.text) == (403, True)
    assert guest.get("/alerts").status_code == 303


@pytest.mark.parametrize(
    "address", [None, "ftp://login.example.com/authorize", "https://login.example.com/a#b", "https:///a"]
)
def test_nobody_is_sent_where_no_provider_can_be(console: Console, there: Provider, address: str | None) -> None:
    there.says = {"authorization_endpoint": address}
    answer = console.guest().get("/sign-in/provider")
    assert (answer.status_code, "names no authorization_endpoint" in answer.text) == (403, True)


def test_what_an_issuer_over_tls_names_is_over_tls_too() -> None:
    with pytest.raises(ConfigError):
        read_issuer_endpoint("http://login.example.com/token", "https://login.example.com")


def test_whom_the_provider_refuses_is_told_so_and_no_token_is_asked_for(console: Console, there: Provider) -> None:
    answer = come_in(console, there, error="access_denied")
    assert (answer.status_code, "let nobody in" in answer.text) == (403, True)
    assert come_in(console, there, code="").status_code == 403
    assert there.asked == []


def test_without_the_client_secret_nobody_comes_in(
    console: Console, there: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("THE_SECRET")
    answer = come_in(console, there)
    assert (answer.status_code, "see oidc_secret" in answer.text) == (403, True)
    assert there.asked == []


def test_half_a_provider_is_refused(console: Console) -> None:
    settings = console.installation.settings
    assert provider_of(replace(settings, oidc_issuer=None)) is None
    for half in (replace(settings, oidc_client_id=None), replace(settings, oidc_secret=None)):
        with pytest.raises(ConfigError, match="takes oidc_client_id and oidc_secret"):
            provider_of(half)
    with pytest.raises(ConfigError, match="oidc_issuer: must begin with https"):
        provider_of(replace(settings, oidc_issuer="http://login.example.com"))


def test_a_provider_that_never_ends_its_header_lines_is_given_up(console: Console) -> None:
    over = threading.Event()

    class Drips(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nx-first: 1\r\n")
            over.wait(60)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drips) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        issuer = f"http://127.0.0.1:{server.server_address[1]}"
        times = iter([0.0, 0.0, 0.0, *[1_000.0] * 10])
        settings = replace(provider_of_console(console).settings, issuer=issuer)
        asked = IdentityProvider(settings, monotonic=lambda: next(times))
        try:
            with pytest.raises(SignInRefusedError, match="takes too long"):
                asked.begin("https://ocelog.example.com/answer", "/", "127.0.0.1")
        finally:
            over.set()
            server.shutdown()
            thread.join()


def test_an_answer_of_the_provider_that_comes_in_drops_ends(console: Console) -> None:
    times = iter([0.0, 0.0, *[1_000.0] * 10])
    asked = IdentityProvider(provider_of_console(console).settings, monotonic=lambda: next(times))
    with pytest.raises(SignInRefusedError, match="takes too long"):
        asked.begin("https://ocelog.example.com/answer", "/", "127.0.0.1")


LIES: dict[str, dict[str, Any]] = {
    "another issuer": {"claims": {"iss": "https://evil.example"}},
    "another program": {"claims": {"aud": "other"}},
    "another program among several": {"claims": {"aud": ["ocelog", "other"]}},
    "another party": {"claims": {"azp": "other"}},
    "too old": {"claims": {"exp": 1_000_000}},
    "no end": {"claims": {"exp": None}},
    "another nonce": {"claims": {"nonce": "other"}},
    "no nonce": {"claims": {"nonce": None}},
    "nobody": {"claims": {"sub": None}},
    "another key": {"signed_with": RSAKey.generate_key(2048, {"kid": "one"})},
    "the client secret as key": {"signed_with": OctKey.import_key("client-secret" * 4), "algorithm": "HS256"},
    "unsigned": {"token": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzLTEifQ."},
    "no token": {"token": "x"},
    "another name of itself": {"says": {"issuer": "https://evil.example"}},
}


@pytest.mark.slow
@pytest.mark.parametrize("lie", LIES)
def test_a_token_that_does_not_hold_lets_nobody_in(console: Console, there: Provider, lie: str) -> None:
    guest = console.guest()
    back = there.log_in(guest.get("/sign-in/provider").headers["location"])
    if lie == "another name of itself":
        # What it said before is kept for some minutes.
        provider_of_console(console)._said.clear()
    for name, value in LIES[lie].items():
        setattr(there, name, value)
    assert guest.get("/sign-in/provider/answer", params=back).status_code == 403
    assert guest.get("/alerts").status_code == 303
    assert not console.installation.ledger.users.any()


def test_what_one_browser_began_no_other_ends_and_nobody_twice(console: Console, there: Provider) -> None:
    guest, other = console.guest(), console.guest()
    back = there.log_in(guest.get("/sign-in/provider").headers["location"])
    assert other.get("/sign-in/provider/answer", params=back).status_code == 403
    assert guest.get("/sign-in/provider/answer", params={**back, "state": "x"}).status_code == 403
    assert guest.get("/sign-in/provider/answer", params=back).status_code == 303
    guest.client.cookies.set(f"ocelog-{console.installation.ledger.id[:8]}-sign-in", back["state"])
    assert guest.get("/sign-in/provider/answer", params=back).status_code == 403


def test_who_begins_again_and_again_keeps_nobody_out(
    console: Console, there: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "_MOST_WAITING", 5)
    guest, asked = console.guest(), provider_of_console(console)
    back = there.log_in(guest.get("/sign-in/provider").headers["location"])
    for number in range(10):
        asked.begin(f"{ADDRESS}/sign-in/provider/answer", "/", f"2001:db8::{number}")
    assert len(asked._waiting) == 5
    assert guest.get("/sign-in/provider/answer", params=back).status_code == 303


def test_no_other_host_or_home_sets_the_cookie_of_the_way_there(console: Console) -> None:
    guests = console.guest(), console.guest("https://127.0.0.1:8686")
    sent = [each.get("/sign-in/provider").headers["set-cookie"].partition("=")[0] for each in guests]
    mark = console.installation.ledger.id[:8]
    assert sent == [f"ocelog-{mark}-sign-in", f"__Host-ocelog-{mark}-sign-in"]


def test_nobody_is_led_elsewhere_by_way_of_the_provider(console: Console, there: Provider) -> None:
    guest = console.guest()
    sent = guest.get("/sign-in/provider", params={"next": "//evil.example"})
    answer = guest.get("/sign-in/provider/answer", params=there.log_in(sent.headers["location"]))
    assert answer.headers["location"] == "/"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("front", "host", "expected"),
    [
        (Front(public_name="ocelog.example.com", proxies=(LOOPBACK,)), "127.0.0.1:8686", "https://ocelog.example.com"),
        (Front(public_name="ocelog.example.com", only_local=False), "ocelog.example.com:8443", None),
        (Front(), "127.0.0.1:8686", None),
    ],
)
def test_the_provider_sends_people_back_to_the_name_by_which_they_came(
    there: Provider, console: Console, front: Front, host: str, expected: str | None
) -> None:
    served = site(console.installation, endpoints(console.installation, turned_at=lambda: 0.0, front=front))
    guest = Console(installation=console.installation, site=served).guest()
    guest.client.headers["host"] = host
    guest.client._transport.client = ("127.0.0.1", 5000)  # type: ignore[attr-defined] # a proxy of ours
    sent = guest.get("/sign-in/provider")
    back = parse_qs(urlsplit(sent.headers["location"]).query)["redirect_uri"]
    assert back == [f"{expected or f'http://{host}'}/sign-in/provider/answer"]
    # The provider demands the same address when the code is exchanged.
    brought = there.log_in(sent.headers["location"])
    assert guest.get("/sign-in/provider/answer", params=brought).status_code == 303
    assert there.asked[-1]["redirect_uri"] == back[0]


@pytest.mark.parametrize("text", ["ftp://x", "http://login.example.com", "https://u:p@x", "https://x?a=b", "x"])
def test_an_issuer_that_anybody_could_be_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        read_issuer(text)


@pytest.mark.parametrize("text", ["", "admins", "=admin", "a=root"])
def test_roles_that_say_nothing_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        read_roles(text)
