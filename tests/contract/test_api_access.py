"""Who is let in by the REST API, and to what: from the table of its routes itself."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from fastapi.routing import APIRoute

from ocelog.access import Deed, Role, Scope, User
from ocelog.app.users import users
from ocelog.console.api.application import BASE, ROUTERS, application
from ocelog.console.api.caller import Rates
from ocelog.console.api.problems import CODES, RefusedError
from ocelog.errors import ConfigError
from ocelog.ledger.users import UserLedger
from ocelog.secrets.secret import Secret
from visiting import HERE, PASSWORD, SAME_SITE, Console, console_of, program

DONE = Deed(at_us=0, who="", what="test.done")
SCOPES = {Role.VIEWER: Scope.READ, Role.ANALYST: Scope.TRIAGE, Role.ADMIN: Scope.ADMIN}


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with console_of(tmp_path_factory.mktemp("console") / "home") as opened:
        yield opened


def routes() -> list[tuple[str, str, Role]]:
    """Return method, path and needed role of every route, with something in the place of each parameter."""
    found = list[tuple[str, str, Role]]()
    for route in (each for router in ROUTERS for each in router.routes if isinstance(each, APIRoute)):
        roles = [getattr(each.call, "role", None) for each in _dependants(route.dependant)]
        (role,) = [each for each in roles if isinstance(each, Role)]
        path = re.sub(r"\{\w+\}", "there-is-none", route.path)
        found += [(method, path, role) for method in sorted(route.methods or ())]
    return found


def _dependants(dependant: Any) -> Iterator[Any]:
    for each in dependant.dependencies:
        yield each
        yield from _dependants(each)


def is_problem(answer: Any, status: int, code: str) -> bool:
    """Whether an answer says why the request was not done, as every such answer does."""
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found.keys() >= {"type", "title", "status", "detail", "code"}
    assert found["type"] == f"urn:ocelog:error:{found['code']}"
    return (answer.status_code, found["status"], found["code"]) == (status, status, code)


def test_nobody_is_answered_without_a_token_whatever_they_ask(console: Console) -> None:
    guest = console.guest()
    for method, path, _ in [*routes(), ("GET", "/openapi.json", Role.VIEWER), ("GET", "/nowhere", Role.VIEWER)]:
        answer = guest.client.request(method, BASE + path, content=b"{")
        assert is_problem(answer, 401, "token_missing"), path
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_session_of_the_console_is_no_token(console: Console) -> None:
    guest = console.as_(Role.ADMIN)
    for method, path, _ in routes():
        answer = guest.client.request(method, BASE + path, headers={**SAME_SITE, "x-csrf-token": guest.token})
        assert is_problem(answer, 401, "token_missing"), path


@pytest.mark.parametrize("role", Role)
def test_each_role_is_refused_what_takes_a_greater_one(console: Console, role: Role) -> None:
    asked = program(console, role, SCOPES[role])
    for method, path, needed in routes():
        answer = asked(method, path)
        if role.covers(needed):
            assert answer.status_code != 403, path
        else:
            assert is_problem(answer, 403, "role_missing"), path
        assert answer.status_code < 500, path


def test_a_token_has_its_scope_and_never_more_than_its_user(new_console: Console) -> None:
    installation = new_console.installation
    new_console.as_(Role.ADMIN)
    reading = program(new_console, Role.ADMIN, Scope.READ)
    assert reading("GET", "/sources").status_code == 200
    assert is_problem(reading("POST", "/sources", json={}), 403, "role_missing")
    whole = program(new_console, Role.ADMIN, Scope.ADMIN)
    assert whole("POST", "/sources", json={}).status_code == 422
    first = users.find(installation, "first@example.com")
    users.change_role(installation, "admin@example.com", Role.VIEWER, by=first, origin=HERE)
    assert is_problem(whole("POST", "/sources", json={}), 403, "role_missing")
    users.disable(installation, "admin@example.com", by=first, origin=HERE)
    assert is_problem(whole("GET", "/sources"), 401, "sign_in_refused")


def test_nobody_makes_a_token_that_may_do_more_than_they_may(new_console: Console) -> None:
    installation = new_console.installation
    for each in Role:
        new_console.as_(each)
    admin, viewer = (users.find(installation, f"{role.value}@example.com") for role in (Role.ADMIN, Role.VIEWER))

    def make(owner: User, scope: Scope, by: User, **more: Any) -> None:
        users.add_token(installation, owner, "x", scope, by=by, origin=HERE, **more)

    for owner, scope, by in (
        (viewer, Scope.TRIAGE, viewer),
        (viewer, Scope.ADMIN, admin),
        (admin, Scope.READ, viewer),
    ):
        with pytest.raises(ConfigError):
            make(owner, scope, by)
    for lasts in (timedelta(0), timedelta(days=-1), timedelta(days=367)):
        with pytest.raises(ConfigError, match="at most 366 days"):
            make(viewer, Scope.READ, viewer, lasts=lasts)
    make(viewer, Scope.READ, admin)
    with pytest.raises(ConfigError, match="already"):
        make(viewer, Scope.READ, viewer)


def test_a_token_has_a_name_that_says_what_it_is_for_and_is_for_nobody_who_was_disabled(new_console: Console) -> None:
    installation, admin = new_console.installation, new_console.as_(Role.ADMIN)
    for name in (" ", "two\nlines", "x" * 101):
        answer = admin.post("/account/tokens", name=name, scope="read", lasts="30d")
        assert (answer.status_code, "one line of 1 to 100 characters" in answer.text) == (422, True), name
    assert admin.post("/account/tokens", name="x" * 100, scope="read", lasts="30d").status_code == 200
    new_console.as_(Role.VIEWER)
    by = users.find(installation, "admin@example.com")
    gone = users.disable(installation, "viewer@example.com", by=by, origin=HERE)
    with pytest.raises(ConfigError, match="enable them first"):
        users.add_token(installation, gone, "x", Scope.READ, by=by, origin=HERE)


def test_a_token_ends_by_time_and_by_hand(new_console: Console) -> None:
    installation = new_console.installation
    with time_machine.travel("2027-01-01T00:00:00Z", tick=False) as clock:
        asked = program(new_console, Role.VIEWER, Scope.READ)
        assert asked("GET", "/sources").status_code == 200
        clock.shift(timedelta(days=90))
        assert is_problem(asked("GET", "/sources"), 401, "sign_in_refused")
        other = program(new_console, Role.VIEWER, Scope.READ)
        viewer = users.find(installation, "viewer@example.com")
        assert [token.used_us is None for token, _ in users.tokens(installation, of=viewer)] == [True, False]
        assert other("GET", "/sources").status_code == 200
        token, owner = users.tokens(installation, of=viewer)[0]
        users.revoke_token(installation, token, owner, by=viewer, origin=HERE)
        assert is_problem(other("GET", "/sources"), 401, "sign_in_refused")


def test_the_ledger_does_not_know_the_token_itself(new_console: Console) -> None:
    asked = program(new_console)
    assert re.fullmatch(r"ocelog_[\w-]{43}", asked.token)
    asked("GET", "/sources")
    home = new_console.installation.home.path
    held = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert asked.token.encode() not in held
    assert asked.token.removeprefix("ocelog_").encode() not in held


def test_whoever_tries_tokens_waits_and_whoever_has_one_does_not(new_console: Console) -> None:
    asked, guest = program(new_console), new_console.guest()

    def tries(token: str) -> Any:
        return guest.client.get(f"{BASE}/sources", headers={"authorization": f"Bearer {token}"})

    with time_machine.travel("2027-01-01T00:00:00Z", tick=False) as clock:
        asked = program(new_console)
        for number in range(5):
            assert is_problem(tries(f"ocelog_{number}"), 401, "sign_in_refused")
        refused = tries("ocelog_6")
        assert is_problem(refused, 429, "sign_in_throttled")
        assert int(refused.headers["retry-after"]) > 0
        before = len(new_console.installation.ledger.users.trail())
        assert is_problem(tries("other"), 429, "sign_in_throttled")
        assert len(new_console.installation.ledger.users.trail()) == before, "a flood writes nothing"
        assert asked("GET", "/sources").status_code == 200
        clock.shift(timedelta(seconds=2))
        assert is_problem(tries("ocelog_7"), 401, "sign_in_refused")


@pytest.mark.parametrize(
    "given",
    [
        "", "Bearer", "Bearer ", "Basic b2NlbG9nOng=", "bearer ocelog_", "Bearer a b", "Bearer \xff\xfe", "x" * 10_000,
    ],
)  # fmt: skip
def test_what_is_no_token_is_refused(new_console: Console, given: str) -> None:
    answer = new_console.guest().client.get(f"{BASE}/sources", headers=[(b"authorization", given.encode("latin-1"))])
    assert answer.status_code == 401


def test_two_tokens_in_one_request_are_none(new_console: Console) -> None:
    asked = program(new_console)
    both = [("authorization", f"Bearer {asked.token}"), ("authorization", "Bearer x")]
    assert is_problem(asked.client.get(f"{BASE}/sources", headers=both), 401, "token_missing")


def test_of_many_tokens_the_one_that_asked_longest_ago_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocelog.console.api.caller._MOST_TOKENS", 2)
    rates = Rates(per_second=1.0, at_once=2, monotonic=lambda: 0.0)
    for each in ("a", "b", "a", "c", "b", "b"):
        rates.take(each)
    with pytest.raises(RefusedError):
        rates.take("b")


def test_a_token_asks_so_often_and_then_waits() -> None:
    now = 0.0
    rates = Rates(per_second=2.0, at_once=4, monotonic=lambda: now)
    for _ in range(4):
        rates.take("a")
    with pytest.raises(RefusedError) as refused:
        rates.take("a")
    assert (refused.value.status, refused.value.retry_after) == (429, 1)
    rates.take("b")
    now = 0.5
    rates.take("a")
    with pytest.raises(RefusedError):
        rates.take("a")
    now = 100.0
    for _ in range(4):
        rates.take("a")
    with pytest.raises(RefusedError):
        rates.take("a")


@pytest.mark.slow
def test_a_token_that_asks_too_often_is_answered_429(new_console: Console) -> None:
    asked = program(new_console)
    # On a slow machine some of what was used up comes back meanwhile.
    answers = (asked("GET", "/nowhere") for _ in range(1_000))
    late = next(each for each in answers if each.status_code == 429)
    assert is_problem(late, 429, "too_many_requests")
    assert int(late.headers["retry-after"]) >= 1


def test_errors_are_problems_and_repeat_no_secret(console: Console) -> None:
    asked = program(console)
    assert is_problem(asked("GET", "/nowhere"), 404, "not_found")
    wrong = asked("PUT", "/sources")
    assert is_problem(wrong, 405, "method_not_allowed")
    assert "GET" in wrong.headers["allow"]
    assert is_problem(asked("GET", "/sources/nobody"), 404, "not_found")
    assert is_problem(asked("POST", "/sources", content=b"x" * 1_100_000), 413, "request_too_large")
    for body in (b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000):
        answer = asked("POST", "/sources", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in {400, 422}, body[:10]
    sent = {"name": 5, "settings": {"client_id": "x"}, "secret": ["hunter2hunter2"], "more": "hunter3hunter3"}
    answer = asked("POST", "/sources", json=sent)
    assert is_problem(answer, 422, "request_invalid")
    assert {each["field"] for each in answer.json()["errors"]} >= {"body.name", "body.secret", "body.more"}
    assert "hunter" not in answer.text


def test_a_cursor_of_somebodys_own_is_refused(console: Console) -> None:
    asked = program(console)
    for cursor in ("x", "%00", "W10", "WzFd", "eyJhIjoxfQ", "A" * 2_000, "é", "WyJcdTAwMDAiXQ"):
        for path in ("/sources", "/alerts"):
            answer = asked("GET", f"{path}?cursor={cursor}")
            assert answer.status_code == 422, (path, cursor)
            assert answer.json()["code"] in {"cursor_invalid", "config_invalid"}, (path, cursor)
    for limit in ("0", "-1", "201", "x", "1e3", "99999999999999999999"):
        assert is_problem(asked("GET", f"/sources?limit={limit}"), 422, "request_invalid")


def test_every_answer_carries_what_keeps_it_out_of_other_pages(console: Console) -> None:
    answer = program(console)("GET", "/sources")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers
    assert "set-cookie" not in answer.headers


@pytest.mark.slow
def test_the_specification_is_for_whoever_has_a_token_and_names_every_route(console: Console) -> None:
    answer = program(console, Role.VIEWER, Scope.READ)("GET", "/openapi.json")
    assert answer.status_code == 200
    found = answer.json()
    assert found["openapi"].startswith("3.1")
    assert found == json.loads(json.dumps(application().openapi()))
    operations = [(path, method) for path, each in found["paths"].items() for method in each]
    assert len(operations) == len(routes())
    for path, method in operations:
        operation = found["paths"][path][method]
        assert operation["security"] == [{"token": []}], path
        assert operation["summary"]
        assert operation["description"]
        assert operation["responses"].keys() >= {"401", "403", "422", "429"}


def test_every_code_of_the_api_is_told() -> None:
    assert all(text.endswith(".") for text in CODES.values())


def test_no_token_and_no_user_outlives_a_change_of_password_amid_which_it_is_made(
    new_console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = new_console.as_(Role.ADMIN)
    installation = new_console.installation
    admin = users.find(installation, "admin@example.com")
    hashed = users._hashed

    def changed_meanwhile(make: Callable[..., Any]) -> Callable[..., Any]:
        def made(*args: Any, **named: Any) -> Any:
            monkeypatch.undo()
            ledger.change(admin.name, lambda user: user, DONE, password=hashed(Secret(PASSWORD), ""), ends_tokens=True)
            return make(*args, **named)

        return made

    ledger, before = installation.ledger.users, len(installation.ledger.users.listed())
    monkeypatch.setattr(UserLedger, "add_token", changed_meanwhile(UserLedger.add_token))
    answer = guest.post("/account/tokens", name="mine", scope="admin", lasts="30d")
    assert (answer.status_code, "ocelog_" in answer.text) == (401, False)
    assert users.tokens(installation, of=None) == []
    asked = program(new_console)
    monkeypatch.setattr(UserLedger, "add_token", changed_meanwhile(UserLedger.add_token))
    assert is_problem(asked("POST", "/tokens", json={"name": "mine", "scope": "admin"}), 401, "sign_in_refused")
    assert users.tokens(installation, of=None) == []
    asked = program(new_console)
    new = {"name": "eve", "role": "admin", "password": PASSWORD}
    monkeypatch.setattr(UserLedger, "add", changed_meanwhile(UserLedger.add))
    assert is_problem(asked("POST", "/users", json=new), 401, "sign_in_refused")
    assert len(installation.ledger.users.listed()) == before


def test_tokens_are_made_and_revoked_on_ones_own_page(new_console: Console) -> None:
    guest = new_console.as_(Role.ANALYST)
    page = guest.post("/account/tokens", name="<b>nightly</b>", scope="triage", lasts="30d")
    (token,) = re.findall(r"ocelog_[\w-]{43}", page.text)
    assert "<b>nightly" not in page.text
    assert token not in guest.get("/account").text, "shown once"
    headers = {"authorization": f"Bearer {token}"}
    client = new_console.guest().client
    assert client.get(f"{BASE}/sources", headers=headers).status_code == 200
    assert guest.post("/account/tokens", name="more", scope="admin", lasts="30d").status_code == 422
    assert guest.post("/account/tokens", name="more", scope="read", lasts="9999d").status_code == 422
    installation = new_console.installation
    ((made, owner),) = users.tokens(installation, of=None)
    other = new_console.as_(Role.VIEWER)
    assert other.post("/account/tokens/revoke", token=made.id).status_code == 422, "somebody else's"
    with pytest.raises(ConfigError, match="no such token"):
        users.revoke_token(installation, made, owner, by=users.find(installation, "viewer@example.com"), origin=HERE)
    assert client.get(f"{BASE}/sources", headers=headers).status_code == 200
    assert guest.post("/account/tokens/revoke", token=made.id).status_code == 303
    assert client.get(f"{BASE}/sources", headers=headers).status_code == 401
    assert {"token.added", "token.revoked"} <= {each.what for each in installation.ledger.users.trail()}
