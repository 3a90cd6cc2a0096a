"""Who gets in, who may do what, and what no request gets past: from the table of routes itself."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from fastapi.routing import APIRoute

from ocelog.access import Role, Scope
from ocelog.app.users import users
from ocelog.console.site import ROUTERS
from ocelog.console.visitor import own_path
from ocelog.secrets.secret import Secret
from visiting import ADDRESS, HERE, PASSWORD, SAME_SITE, Console, console_of, program

OPEN = {("GET", "/first"), ("POST", "/first"), ("GET", "/sign-in"), ("POST", "/sign-in")} | {
    ("GET", "/sign-in/provider"),
    ("GET", "/sign-in/provider/answer"),
    ("GET", "/demo"),
    ("POST", "/demo"),
}
"""Routes for whoever comes."""


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with console_of(tmp_path_factory.mktemp("console") / "home") as opened:
        yield opened


def routes() -> list[tuple[str, str, Role | None]]:
    """Return method, path and needed role of every route."""
    found = []
    for route in (each for router in ROUTERS for each in router.routes if isinstance(each, APIRoute)):
        roles = [getattr(each.call, "role", None) for each in _dependants(route.dependant)]
        role = next((each for each in roles if each is not None), None)
        found += [(method, route.path, role) for method in sorted((route.methods or set()) - {"HEAD"})]
    return found


def _dependants(dependant: Any) -> Iterator[Any]:
    for each in dependant.dependencies:
        yield each
        yield from _dependants(each)


def test_every_route_names_the_role_that_it_takes() -> None:
    found = routes()
    assert len(found) > 10
    assert {(method, path) for method, path, role in found if role is None} == OPEN


def test_no_page_answers_a_browser_in_json(console: Console) -> None:
    admin = console.as_(Role.ADMIN)
    for method, path, _ in routes():
        if path == "/sign-out":
            continue
        answer = admin.client.request(method, path, headers={**SAME_SITE, "x-csrf-token": admin.token})
        assert "json" not in answer.headers.get("content-type", ""), (method, path)
    missing = admin.get("/search/values")
    assert (missing.status_code, "That did not work" in missing.text) == (422, True)


def test_who_has_not_signed_in_is_led_to_where_one_does(console: Console) -> None:
    guest = console.guest()
    for method, path, role in routes():
        if role is None:
            continue
        answer = guest.client.request(method, path, headers=SAME_SITE)
        if method == "GET":
            assert answer.status_code == 303, path
            assert answer.headers["location"].startswith("/sign-in"), path
            part = guest.get(path, headers={"hx-request": "true"})
            assert (part.status_code, part.headers["hx-redirect"]) == (401, "/sign-in"), path
        else:
            assert answer.status_code == 401, path


def test_a_form_that_is_sent_after_its_session_ended_leads_back_to_its_page(console: Console) -> None:
    console.as_(Role.ADMIN)
    guest = console.guest()
    assert guest.sign_in("admin@example.com").status_code == 303
    assert guest.post("/sign-out").status_code == 303
    sent = {"csrf": guest.token, "name": "a"}
    for came_from, then in (
        (f"{ADDRESS}/sources/new?kind=wiz", "/sign-in?next=%2Fsources%2Fnew%3Fkind%3Dwiz"),
        ("http://evil.example/%0d%0a//x", "/sign-in?next=%2F%250d%250a%2F%2Fx"),
        ("http://evil.example//evil.example", "/sign-in"),
        ("http://[", "/sign-in"),
        ("", "/sign-in"),
    ):
        answer = guest.client.post("/sources/new", data=sent, headers={**SAME_SITE, "referer": came_from})
        assert answer.status_code == 401
        assert f'href="{then}"' in answer.text, came_from
        part = guest.get("/sources", headers={"hx-request": "true", "hx-current-url": came_from})
        assert part.status_code == 401, came_from


@pytest.mark.parametrize("role", Role)
def test_each_role_is_refused_what_takes_a_greater_one(console: Console, role: Role) -> None:
    guest = console.as_(role)
    for method, path, needed in routes():
        if needed is None or path == "/sign-out":
            continue
        answer = guest.client.request(method, path, data={"csrf": guest.token}, headers=SAME_SITE)
        if role.covers(needed):
            assert answer.status_code != 403, path
        else:
            assert answer.status_code == 403, path
            assert needed.value in answer.text


@pytest.mark.slow
def test_what_changes_something_takes_the_token_and_a_page_of_this_console(console: Console) -> None:
    guest = console.as_(Role.ADMIN)
    for method, path, needed in routes():
        if method == "GET":
            continue
        for headers in (
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "none"},
            {"origin": "http://evil.example"},
            {"origin": "null"},
            {"origin": ADDRESS.replace("http", "https")},
            {},
        ):
            answer = guest.client.request(method, path, data={"csrf": guest.token}, headers=headers)
            assert answer.status_code == 403, (path, headers)
        if needed is not None:
            for token in ("", "x", guest.token[:-1], guest.token.upper()):
                answer = guest.client.request(method, path, data={"csrf": token}, headers=SAME_SITE)
                assert answer.status_code == 403, (path, token)
    assert guest.get("/sources").status_code == 200


def test_older_browsers_say_where_a_request_comes_from_too(console: Console) -> None:
    guest = console.as_(Role.VIEWER)
    assert guest.post("/account/language", headers={"origin": ADDRESS}, language="en").status_code == 303


def test_a_script_shows_the_token_of_its_page_in_a_header(console: Console) -> None:
    guest = console.as_(Role.VIEWER)
    for token, status in ((guest.token, 303), ("0" * 128, 403)):
        headers = {**SAME_SITE, "x-csrf-token": token}
        answer = guest.client.post("/account/language", data={"language": "en"}, headers=headers)
        assert answer.status_code == status


def test_the_first_user_takes_the_link_and_comes_once(new_console: Console) -> None:
    guest, token = new_console.guest(), new_console.site.first_token
    assert "Open the link" in guest.get("/sign-in").text
    assert guest.get("/first").status_code == 403
    assert guest.get("/first?token=wrong").status_code == 403
    assert guest.post("/first", token="wrong", name="eve", password=PASSWORD).status_code == 403
    assert guest.get(f"/first?token={token}").status_code == 200
    short = guest.post("/first", token=token, name="ann", password="short")
    assert short.status_code == 422
    assert "12 to 1,024 characters" in short.text
    assert not new_console.installation.ledger.users.any()
    made = guest.post("/first", token=token, name=" Ann@Example.com ", password=PASSWORD)
    assert (made.status_code, made.headers["location"]) == (303, "/")
    assert guest.get("/users").status_code == 200, "the first user is an admin, and signed in"
    (ann,) = new_console.installation.ledger.users.listed()
    assert (ann.name, ann.role) == ("ann@example.com", Role.ADMIN)
    again = new_console.guest()
    assert again.post("/first", token=token, name="eve", password=PASSWORD).status_code == 410
    used = again.get(f"/first?token={token}")
    assert used.status_code == 410
    assert "The link of the first user was used" in used.text
    assert '<form method="post" action="/sign-in"' in used.text
    assert guest.get(f"/first?token={token}").headers["location"] == "/"


def test_signing_in_gives_a_new_secret_and_ends_the_session_before(new_console: Console) -> None:
    new_console.as_(Role.ADMIN)
    guest = new_console.guest()
    guest.client.cookies.set(cookie := _cookie_name(new_console), "chosen-by-somebody-else", domain="127.0.0.1")
    assert guest.sign_in("admin@example.com").status_code == 303
    first = guest.client.cookies[cookie]
    assert first != "chosen-by-somebody-else"
    assert guest.sign_in("admin@example.com").status_code == 303
    assert guest.client.cookies[cookie] != first
    thief = new_console.guest()
    thief.client.cookies.set(cookie, first)
    assert thief.get("/sources").status_code == 303


def test_signing_out_ends_the_session_itself(new_console: Console) -> None:
    guest = new_console.as_(Role.VIEWER)
    kept = guest.client.cookies[_cookie_name(new_console)]
    assert guest.post("/sign-out").headers["location"] == "/sign-in"
    thief = new_console.guest()
    thief.client.cookies.set(_cookie_name(new_console), kept)
    assert thief.get("/sources").status_code == 303


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(new_console: Console) -> None:
    new_console.as_(Role.VIEWER)
    plain = new_console.guest().sign_in("viewer@example.com").headers["set-cookie"].lower()
    assert "httponly" in plain
    assert "samesite=lax" in plain
    tls = new_console.guest("https://127.0.0.1:8686").post("/sign-in", name="viewer@example.com", password=PASSWORD)
    cookie = tls.headers["set-cookie"].lower()
    assert cookie.startswith("__host-")
    assert "secure" in cookie
    assert "domain" not in cookie
    assert "strict-transport-security" in tls.headers


def test_a_wrong_name_and_a_wrong_password_read_the_same(new_console: Console) -> None:
    new_console.as_(Role.VIEWER)
    guest = new_console.guest()
    answers = [
        guest.post("/sign-in", name=name, password=password)
        for name, password in (("viewer@example.com", "wrong"), ("nobody", PASSWORD), ("nobody", "wrong"))
    ]
    assert {each.status_code for each in answers} == {403}
    assert len({re.sub(r'value="[^"]*"', "", each.text) for each in answers}) == 1


def test_who_tries_too_often_waits_longer_each_time_and_gets_in_then(new_console: Console) -> None:
    new_console.as_(Role.VIEWER)
    guest = new_console.guest()
    with time_machine.travel("2027-01-01T00:00:00Z", tick=False) as clock:
        new_console.guest().sign_in("viewer@example.com")
        for _ in range(5):
            assert guest.post("/sign-in", name="viewer@example.com", password="wrong").status_code == 403
        refused = guest.post("/sign-in", name="viewer@example.com", password=PASSWORD)
        assert refused.status_code == 429
        assert "try again in" in refused.text
        clock.shift(timedelta(seconds=2))
        assert guest.post("/sign-in", name="viewer@example.com", password="wrong").status_code == 403
        clock.shift(timedelta(seconds=1))
        assert guest.post("/sign-in", name="viewer@example.com", password="wrong").status_code == 429
        clock.shift(timedelta(hours=2))
        assert guest.sign_in("viewer@example.com").status_code == 303


def test_nobody_is_kept_out_by_others_who_guess(new_console: Console) -> None:
    """Whoever knows a name could shut its user out if all guesses counted alike."""
    new_console.as_(Role.VIEWER)

    def from_(address: str, password: str) -> int:
        guest = new_console.guest()
        guest.client._transport.client = (address, 1)  # type: ignore[attr-defined]
        return int(guest.post("/sign-in", name="viewer@example.com", password=password).status_code)

    with time_machine.travel("2027-01-01T00:00:00Z", tick=False) as clock:
        assert [from_("203.0.113.1", "wrong") for _ in range(7)] == [403] * 5 + [429] * 2
        assert from_("203.0.113.2", PASSWORD) == 303, "another address"
        for at in range(30):
            clock.shift(timedelta(seconds=6))
            assert from_(f"198.51.100.{at}", "wrong") == 403
        clock.shift(timedelta(seconds=1))
        assert from_("203.0.113.2", PASSWORD) == 429, "so many guess that all wait for seconds"
        clock.shift(timedelta(seconds=5))
        assert from_("203.0.113.2", PASSWORD) == 303


@pytest.mark.slow
def test_one_address_that_tries_many_names_waits_long_whoever_signs_in_meanwhile(new_console: Console) -> None:
    new_console.as_(Role.VIEWER)
    with time_machine.travel("2027-01-01T00:00:00Z", tick=False) as clock:
        guest = new_console.guest()
        guest.client._transport.client = ("2001:db8::1", 1)  # type: ignore[attr-defined]
        tried = list[int]()
        for at in range(60):
            guest.client._transport.client = (f"2001:db8::{at:x}", 1)  # type: ignore[attr-defined]
            guest.post("/sign-in", name="viewer@example.com", password=PASSWORD)
            tried.append(guest.post("/sign-in", name=f"user{at}", password="wrong").status_code)
            clock.shift(timedelta(milliseconds=100))
        assert tried.count(403) <= 25, "its own password gives it no more tries, nor do addresses of its network"
        clock.shift(timedelta(days=1))
        assert guest.post("/sign-in", name="viewer@example.com", password=PASSWORD).status_code == 303


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "/a\nb", "", "x"]
)
def test_nobody_is_led_elsewhere_after_signing_in(console: Console, elsewhere: str) -> None:
    console.as_(Role.VIEWER)
    assert own_path(elsewhere) == "/"
    answer = console.guest().post("/sign-in", name="viewer@example.com", password=PASSWORD, next=elsewhere)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_who_was_asked_to_sign_in_comes_to_what_they_wanted(console: Console) -> None:
    console.as_(Role.VIEWER)
    asked = console.guest().get("/sources?a=b%20c")
    assert asked.headers["location"] == "/sign-in?next=%2Fsources%3Fa%3Db%2520c"
    answer = console.guest().post("/sign-in", name="viewer@example.com", password=PASSWORD, next="/sources?a=b%20c")
    assert answer.headers["location"] == "/sources?a=b%20c"


def test_every_answer_carries_what_keeps_foreign_scripts_and_frames_out(console: Console) -> None:
    guest = console.as_(Role.VIEWER)
    for path in ("/sources", "/users", "/nowhere", "/sign-in", "/account"):
        headers = guest.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_pages_are_compressed_and_each_carries_the_token_in_another_form(console: Console) -> None:
    guest = console.as_(Role.VIEWER)
    answers = [guest.get("/account") for _ in range(2)]
    assert {each.headers["content-encoding"] for each in answers} == {"gzip"}
    one, other = (re.findall(r'name="csrf" (?:content|value)="(\w+)"', each.text) for each in answers)
    assert one[0] != other[0]
    assert len({*one}) == 1
    for token in (one[0], other[0]):
        guest.token = token
        assert guest.post("/account/language", language="en").status_code == 303
    for token in ("", "0" * 128, one[0][:-2], one[0] + "00", "x" * 128):
        guest.token = token
        assert guest.post("/account/language", language="en").status_code == 403


def test_an_account_names_each_browser_and_shows_on_hover_what_it_says_of_itself(console: Console) -> None:
    console.as_(Role.VIEWER)
    guest = console.guest()
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    guest.client.headers["user-agent"] = firefox
    assert guest.sign_in("viewer@example.com").status_code == 303
    assert f'title="{firefox}">Firefox on Linux</td>' in guest.get("/account").text


def test_another_name_of_this_machine_is_refused(console: Console) -> None:
    guest = console.guest("http://evil.example:8686")
    for path in ("/sign-in", "/sources", "/healthz", "/first"):
        assert guest.get(path).status_code == 403, path


def test_a_request_that_is_too_large_is_refused(console: Console) -> None:
    guest = console.as_(Role.ADMIN)
    answer = guest.post("/users", name="x" * 1_100_000, role="viewer", password=PASSWORD)
    assert answer.status_code == 413


def test_what_people_do_is_on_the_trail_and_no_password_is(new_console: Console) -> None:
    admin = new_console.as_(Role.ADMIN)
    hostile = "<script>alert(1)</script>"
    assert admin.post("/users", name=hostile, role="analyst", password=PASSWORD).status_code == 303
    assert admin.post("/users/role", name=hostile, role="viewer").status_code == 303
    assert admin.post("/users/disable", name=hostile).status_code == 303
    assert new_console.guest().post("/sign-in", name=hostile, password=PASSWORD).status_code == 403
    trail = admin.get("/trail").text
    for what in ("user.added", "user.role_changed", "user.disabled", "user.sign_in_refused", "user.signed_in"):
        assert what in trail
    assert hostile not in trail
    assert "&lt;script&gt;" in trail
    assert PASSWORD not in trail
    assert hostile not in admin.get("/users").text


def test_another_password_takes_the_present_one_and_ends_every_session(new_console: Console) -> None:
    guest, elsewhere = new_console.as_(Role.VIEWER), new_console.guest()
    elsewhere.sign_in("viewer@example.com")
    new = "another long password"
    refused = guest.post("/account/password", present="wrong", password=new)
    assert refused.status_code == 422
    assert guest.post("/account/password", present=PASSWORD, password=new).headers["location"] == "/sign-in"
    assert guest.get("/sources").status_code == elsewhere.get("/sources").status_code == 303
    assert guest.sign_in("viewer@example.com").status_code == 403
    assert guest.sign_in("viewer@example.com", new).status_code == 303


def test_who_signs_in_while_the_password_is_changed_stays_out(
    new_console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_console.as_(Role.VIEWER)
    installation, matches = new_console.installation, users._matches

    def changed_meanwhile(hashed: str, password: Secret) -> bool:
        found = matches(hashed, password)
        viewer = users.find(installation, "viewer@example.com")
        users.set_password(installation, viewer.name, Secret("four other random words"), by=viewer, origin=HERE)
        return found

    monkeypatch.setattr(users, "_matches", changed_meanwhile)
    thief = new_console.guest()
    assert thief.sign_in("viewer@example.com").status_code == 403
    assert thief.get("/account").status_code == 303


@pytest.mark.parametrize("disabled", [True, False])
def test_who_changes_a_password_while_it_is_taken_away_changes_nothing(
    new_console: Console, monkeypatch: pytest.MonkeyPatch, disabled: bool
) -> None:
    thief, admin = new_console.as_(Role.VIEWER), new_console.as_(Role.ADMIN)
    installation, hashed, taken = new_console.installation, users._hashed, Secret("four other random words")
    name, own = "viewer@example.com", "some words of a thief"

    def taken_meanwhile(password: Secret, who: str) -> str:
        monkeypatch.setattr(users, "_hashed", hashed)
        by = users.find(installation, "admin@example.com")
        if disabled:
            users.disable(installation, name, by=by, origin=HERE)
        else:
            users.set_password(installation, name, taken, by=by, origin=HERE)
        return hashed(password, who)

    monkeypatch.setattr(users, "_hashed", taken_meanwhile)
    answer = thief.post("/account/password", present=PASSWORD, password=own)
    assert (answer.status_code, "You were signed out before this was done." in answer.text) == (422, True)
    if disabled:
        assert admin.post("/users/enable", name=name).status_code == 303
    assert new_console.guest().sign_in(name, own).status_code == 403


@pytest.mark.parametrize("revoke", [True, False])
def test_who_changes_the_password_is_offered_to_revoke_the_tokens(new_console: Console, revoke: bool) -> None:
    guest, other = new_console.as_(Role.VIEWER), program(new_console)
    shown = program(new_console, Role.VIEWER, Scope.READ)
    assert re.search(r'name="revoke" value="yes" checked', guest.get("/account").text)
    more = {"revoke": "yes"} if revoke else {}
    answer = guest.post("/account/password", headers=None, present=PASSWORD, password="another long password", **more)
    assert answer.status_code == 303
    assert shown("GET", "/me").status_code == (401 if revoke else 200)
    assert other("GET", "/me").status_code == 200
    (deed,) = new_console.installation.ledger.users.trail(limit=1, what="user.password_set")
    assert deed.details == ({"tokens": "revoked"} if revoke else {})


def test_a_weak_password_is_refused_on_every_page_and_by_the_api(new_console: Console) -> None:
    admin, weak = new_console.as_(Role.ADMIN), "Welcome-2026!!"
    added = admin.post("/users", name="eve", role="viewer", password=weak)
    changed = admin.post("/account/password", present=PASSWORD, password=weak)
    for answer in (added, changed):
        assert answer.status_code == 422
        assert "words that many people use. Take another one: four random words do well." in answer.text
        assert weak not in answer.text
    call = program(new_console)
    for refused in (
        call("POST", "/users", json={"name": "eve", "role": "viewer", "password": weak}),
        call("PATCH", "/users/admin@example.com", json={"password": weak}),
    ):
        assert refused.status_code == 422
        assert "four random words do well" in refused.text
        assert weak not in refused.text


def test_a_session_in_another_browser_can_be_ended_and_nobody_elses(new_console: Console) -> None:
    guest, elsewhere, other = new_console.as_(Role.VIEWER), new_console.guest(), new_console.as_(Role.ANALYST)
    elsewhere.sign_in("viewer@example.com")
    ledger = new_console.installation.ledger.users
    viewer, analyst = ledger.find("viewer@example.com"), ledger.find("analyst@example.com")
    assert viewer
    assert analyst
    for each in [*ledger.sessions(viewer[0].id), *ledger.sessions(analyst[0].id)]:
        if each.mark in guest.get("/account").text:
            guest.post("/account/session", mark=each.mark)
    (kept,) = ledger.sessions(analyst[0].id)
    guest.post("/account/session", mark=kept.mark)
    assert elsewhere.get("/sources").status_code == 303
    assert other.get("/sources").status_code == 200


def _cookie_name(console: Console) -> str:
    return f"ocelog-{console.installation.ledger.id[:8]}"


def test_whose_session_has_ended_is_told_so_and_comes_back_to_the_page(new_console: Console) -> None:
    guest = new_console.as_(Role.VIEWER)
    new_console.as_(Role.ADMIN).post("/users/disable", name="viewer@example.com")
    page = guest.get("/alerts?text=a").headers["location"]
    assert page == "/sign-in?next=%2Falerts%3Ftext%3Da&ended=yes"
    at = {"hx-request": "true", "hx-current-url": "http://127.0.0.1:8686/alerts?text=a"}
    assert guest.get("/alerts?part=1", headers=at).headers["hx-redirect"] == page
    elsewhere = at | {"hx-current-url": "http://127.0.0.1:8686//evil.example/"}
    assert guest.get("/alerts", headers=elsewhere).headers["hx-redirect"] == "/sign-in?ended=yes"
    shown = guest.get(page).text
    assert "Your session has ended." in shown
    assert 'name="next" value="/alerts?text=a"' in shown
    assert "Your session has ended." not in guest.get("/sign-in").text


def test_the_menu_stays_on_pages_that_are_not_there_or_not_allowed(new_console: Console) -> None:
    viewer = new_console.as_(Role.VIEWER)
    for path, status in (("/nothing-such", 404), ("/users", 403), ("/sources/nothing-such", 404)):
        answer = viewer.get(path)
        assert (answer.status_code, 'aria-label="Main"' in answer.text) == (status, True), path
    stranger = new_console.guest().get("/nothing-such")
    assert (stranger.status_code, 'aria-label="Main"' in stranger.text) == (404, False)


def test_a_wrong_link_of_the_first_user_is_called_wrong(new_console: Console) -> None:
    guest = new_console.guest()
    for answer in (guest.get("/first?token=wrong"), guest.post("/first", token="wrong", name="eve", password=PASSWORD)):
        assert (answer.status_code, "This link is wrong" in answer.text) == (403, True)
    assert "This link is wrong" not in guest.get("/first").text
    assert "This link is wrong" not in guest.get("/sign-in").text
