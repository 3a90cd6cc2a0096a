"""The audit trail in the browser: every deed and every refusal is on it, in words, and it can be filtered."""

import ast
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.routing import APIRoute

import ocelog
from bookkeeping.alerts import alert_of, opened
from ocelog.access import Deed, Role, Scope
from ocelog.channels.ports import Receipt
from ocelog.console import deeds
from ocelog.console.deeds import WORDS, deed_of_route, said, told
from ocelog.console.pages import sign_in
from ocelog.console.site import ROUTERS
from ocelog.errors import TransientError
from ocelog.pull.ports import HealthItem, HealthState
from parsed import parsed
from visiting import Console, pages_around, program
from visiting.everything import fill

CODE = Path(ocelog.__file__).parent
ROUTES = [
    route
    for router in ROUTERS
    if router is not sign_in.anonymous
    for route in router.routes
    if isinstance(route, APIRoute) and (route.methods or set()) - {"GET", "HEAD"}
]
"""Every route that changes something, for whoever has signed in."""


def last(console: Console) -> Deed:
    return console.installation.ledger.users.trail(limit=1)[0]


@pytest.mark.slow
@pytest.mark.parametrize("route", ROUTES, ids=deed_of_route)
def test_every_route_notes_what_it_refuses_or_does(console: Console, route: APIRoute) -> None:
    guest = console.as_(Role.ADMIN)
    before = console.installation.ledger.users.trail(limit=1)[0].number
    params = dict.fromkeys(route.param_convertors, "nothing-such")
    answer = guest.post(route.path.format(**params))
    found = [each for each in console.installation.ledger.users.trail() if each.number > before]
    assert found, (route.path, answer.status_code)
    assert found[0].who == "admin@example.com"
    if answer.status_code >= 400:
        assert found[0].what == f"{deed_of_route(route)}_refused"


def test_every_route_has_words_in_each_language() -> None:
    here = 'add "<name>": translatable("<what it is called>") to WORDS in src/ocelog/console/deeds.py'
    assert sorted({deed_of_route(route) for route in ROUTES} - WORDS.keys()) == [], here
    untranslated = [what for what in WORDS if said(what, "ko") == said(what, "en")]
    assert untranslated == [], "run scripts/catalogue.py, then fill these msgids in src/ocelog/languages/ko.po"


@pytest.mark.slow
def test_all_that_is_noted_has_words() -> None:
    found = {what for path in sorted(CODE.rglob("*.py")) for what in deeds_noted(parsed(path))}
    assert found > {"channel.paused", "channel.resumed", "search.saved", "user.signed_in"}
    here = 'add "<name>": translatable("<what somebody did>") to WORDS in src/ocelog/console/deeds.py'
    assert sorted(found - WORDS.keys()) == [], here
    assert deeds_noted(ast.parse("users.note(i, who, 'a.b' if x else 'a.c', 'd.e f', origin)")) == {"a.b", "a.c"}


def deeds_noted(module: ast.AST) -> set[str]:
    """Return the names of deeds that a module puts on the trail."""
    calls = (each for each in ast.walk(module) if isinstance(each, ast.Call))
    notes = re.compile(r"\b(note|note_command|_noted?|_deed|deed_of|Deed)$")
    noting = [each for each in calls if notes.search(ast.unparse(each.func))]
    texts = (part.value for each in noting for part in ast.walk(each) if isinstance(part, ast.Constant))
    return {text for text in texts if isinstance(text, str) and re.fullmatch(r"[a-z_]+\.[a-z_]+", text)}


def test_a_role_that_does_not_suffice_is_on_the_trail(console: Console) -> None:
    viewer = console.as_(Role.VIEWER)
    assert viewer.get("/users").status_code == 403
    assert (last(console).who, last(console).what) == ("viewer@example.com", "page.open_refused")
    assert last(console).details == {"page": "/users", "reason": "role"}
    assert viewer.post("/users/role", name="viewer@example.com", role="admin").status_code == 403
    assert (last(console).what, last(console).details) == ("users.role_refused", {"reason": "role"})


def test_a_language_that_is_left_to_the_browser_is_on_the_trail(console: Console) -> None:
    viewer = console.as_(Role.VIEWER)
    for chosen in ("ko", ""):
        assert viewer.post("/account/language", language=chosen).status_code == 303
        assert (last(console).what, last(console).details) == ("user.language_set", {"language": chosen})
    assert program(console)("GET", "/trail").status_code == 200


def test_a_demotion_that_is_refused_is_on_the_trail(console: Console) -> None:
    admin = console.as_(Role.ADMIN)
    for each in console.installation.ledger.users.listed():
        if each.role is Role.ADMIN and each.name != "admin@example.com":
            admin.post("/users/disable", name=each.name)
    assert admin.post("/users/role", name="admin@example.com", role="viewer").status_code == 422
    deed = last(console)
    assert (deed.what, deed.target, deed.details) == (
        "users.role_refused",
        "admin@example.com",
        {"reason": "config_invalid"},
    )


def test_what_is_done_to_alerts_is_on_the_trail(console: Console) -> None:
    one, other = alert_of(1), alert_of(2)
    opened(console.installation.ledger, one, other)
    analyst = console.as_(Role.ANALYST)
    assert analyst.post("/alerts", do="triage", ids=other.id).status_code == 303
    assert (last(console).what, last(console).target) == ("alert.triaged", other.id)
    assert analyst.post(f"/alerts/{one.id}", do="comment", text="a remark").status_code == 303
    assert (last(console).what, last(console).target) == ("alert.commented", one.id)
    assert analyst.post(f"/alerts/{one.id}", do="close", reason="false_positive").status_code == 303
    assert (last(console).what, last(console).details) == ("alert.closed", {"reason": "false_positive"})
    assert analyst.post(f"/alerts/{one.id}", do="reopen").status_code == 303
    assert last(console).what == "alert.reopened"


def test_a_test_of_a_destination_is_on_the_trail_and_its_card_whatever_came_of_it(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = console.as_(Role.ADMIN)
    form: dict[str, Any] = {"kind": "webhook", "name": "ops", "set.url": "https://hooks.example.com/secret-path"}
    admin.post("/channels/new", **form)
    (row,) = console.installation.ledger.channels.listed()

    def refuse(_: object) -> Receipt:
        raise TransientError("hooks.example.com answered 500")

    monkeypatch.setattr("ocelog.app.alerts.channels.open_channel", lambda *_: SimpleNamespace(send=refuse))
    at_once = admin.post(f"/channels/{row.id}/test").text
    assert (last(console).what, last(console).target) == ("channel.test_failed", "ops")
    assert last(console).details == {"reason": "try_later"}
    for text in (at_once, admin.get("/channels").text):
        assert "test failed" in text
        assert "not tried yet" not in text
        assert "Nobody knows yet" not in text
        assert "hooks.example.com" in text
        assert "secret-path" not in text
        assert "Hears of every severity." in text
    monkeypatch.setattr(
        "ocelog.app.alerts.channels.open_channel", lambda *_: SimpleNamespace(send=lambda _: Receipt(status="200"))
    )
    assert "test failed" not in admin.post(f"/channels/{row.id}/test").text
    assert last(console).what == "channel.tested"


def test_the_trail_is_read_in_words_and_filtered(console: Console) -> None:
    admin = console.as_(Role.ADMIN)
    console.as_(Role.VIEWER).get("/users")
    everything = admin.get("/trail").text
    assert "refused: open a page" in everything
    assert "reason: their role does not allow it" in everything
    by_viewer = admin.get("/trail?who=viewer%40example.com").text
    assert by_viewer.count("<tr><td>") < everything.count("<tr><td>")
    refusals = admin.get("/trail?what=page.open_refused").text
    assert refusals.count("<tr><td>") == 1
    assert "No entries match." in admin.get("/trail?who=nobody&what=x").text


def test_what_was_asked_and_shared_is_told_as_people_write_it() -> None:
    assert told({"shared": "false"}, "en") == "shared: no"
    assert (
        told({"asked": "log=Wiz.Audit&since=2026-10-29T06%3A09"}, "en")
        == "asked: log=Wiz.Audit, since=2026-10-29T06:09"
    )


def test_nobody_fills_the_trail_by_asking_for_what_they_may_not(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deeds, "_APART", 3600.0)
    analyst, admin = console.as_(Role.ANALYST), console.as_(Role.ADMIN)
    before = admin.get("/trail?what=page.open_refused").text.count("analyst@example.com")
    for _ in range(20):
        assert analyst.get("/users").status_code == 403
    after = admin.get("/trail?what=page.open_refused").text.count("analyst@example.com")
    assert after - before == 1


def test_a_test_through_the_api_counts_as_a_try_whatever_came_of_it(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, asked = console.as_(Role.ADMIN), program(console)
    asked(
        "POST", "/channels", json={"name": "ops", "kind": "webhook", "secrets": {"url": "https://hooks.example.com/"}}
    )
    assert "not tried yet" in admin.get("/channels").text

    def refuse(_: object) -> Receipt:
        raise TransientError("hooks.example.com answered 500")

    for send, what, badge in (
        (refuse, "channel.test_failed", "test failed</span>"),
        (lambda _: Receipt(status="200"), "channel.tested", "works</span>"),
    ):
        far_end = SimpleNamespace(send=send)
        monkeypatch.setattr("ocelog.app.alerts.channels.open_channel", lambda *_, end=far_end: end)
        assert asked("POST", "/channels/ops/test").status_code == 200
        assert (last(console).what, last(console).target) == (what, "ops")
        assert badge in admin.get("/channels").text


def test_who_may_not_test_a_destination_does_not_make_it_look_as_if_it_failed(console: Console) -> None:
    admin = console.as_(Role.ADMIN)
    form: dict[str, Any] = {"kind": "webhook", "name": "ops", "set.url": "https://hooks.example.com/x"}
    admin.post("/channels/new", **form)
    assert console.as_(Role.VIEWER).post("/channels/ops/test").status_code == 403
    assert last(console).what == "channels.test_refused"
    assert "not tried yet" in admin.get("/channels").text


def test_a_check_of_a_source_is_on_the_trail_with_its_verdict(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, asked = console.as_(Role.ADMIN), program(console)
    fill(console)
    source = console.installation.ledger.sources.listed()[0]
    good = HealthItem(name="scope", state=HealthState.OK, text="")
    bad = HealthItem(name="token", state=HealthState.FAIL, text="wrong")
    for found, details in (([good], {"verdict": "passed"}), ([good, bad], {"failed": "token"})):
        monkeypatch.setattr("ocelog.app.sources.sources.check", lambda *_, items=found: items)
        assert admin.post(f"/sources/{source.id}/check").status_code == 200
        assert (last(console).what, last(console).target, last(console).details) == (
            "source.checked",
            source.name,
            details,
        )
        assert asked("POST", f"/sources/{source.id}/check").status_code == 200
        assert last(console).details.items() >= details.items()
    assert "what failed: token" in admin.get("/trail").text


def test_what_the_api_refuses_is_on_the_trail(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer, admin = program(console, Role.VIEWER, Scope.READ), program(console)
    assert viewer("GET", "/users").status_code == 403
    assert (last(console).who, last(console).what) == ("viewer@example.com", "page.open_refused")
    assert last(console).details["page"] == "/api/v1/users"
    assert viewer("PATCH", "/channels/ops", json={"paused": True}).status_code == 403
    deed = last(console)
    assert (deed.what, deed.target, deed.details["reason"]) == ("api.change_refused", "ops", "role")
    assert deed.details["request"] == "PATCH /api/v1/channels/ops"
    assert deed.details["token"].startswith("test ")
    for body, reason in (({"name": "x"}, "request_invalid"), ({"name": "x", "kind": "nothing"}, "config_invalid")):
        assert admin("POST", "/channels", json=body).status_code == 422
        assert (last(console).what, last(console).details["reason"]) == ("api.change_refused", reason)
    number = last(console).number
    # What is only read is no change, and is no refusal of one either.
    assert admin("GET", "/alerts/zz").status_code == 404
    assert admin("POST", "/query", json={"sql": "SELEC 1"}).status_code == 422
    assert last(console).number == number
    assert "refused: change something through the API" in console.as_(Role.ADMIN).get("/trail").text
    monkeypatch.setattr(deeds, "_APART", 3600.0)
    for _ in range(5):
        assert viewer("PATCH", "/channels/ops", json={"paused": True}).status_code == 403
    assert last(console).number == number


def test_the_trail_leads_back_page_by_page(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocelog.console.pages.trail._PAGE", 1)
    admin = console.as_(Role.ADMIN)
    assert admin.get("/alerts?sort=luck").status_code == 422
    first = admin.get("/trail").text
    second = admin.get(pages_around(first)["Older"]).text
    third = admin.get(pages_around(second)["Older"]).text
    assert list(pages_around(third))[:2] == ["First page", "Previous page"]
    assert pages_around(admin.get(pages_around(third)["Previous page"]).text) == pages_around(second)
    assert pages_around(third)["First page"] == "/trail"
    assert admin.get("/trail?before=3&before=zz").status_code == 422


def test_a_mere_check_in_the_form_of_a_new_source_is_called_one(console: Console) -> None:
    admin = console.as_(Role.ADMIN)
    assert admin.post("/sources/new", name="prod", do="check").status_code == 422
    assert last(console).what == "new_source.check_refused"
    assert said("new_source.check", "ko") == "소스 점검"
    assert admin.post("/sources/new", name="prod", do="save").status_code == 422
    assert last(console).what == "new_source.answer_refused"


def test_a_wrong_present_password_is_told_and_noted_as_one(console: Console) -> None:
    viewer = console.as_(Role.VIEWER)
    before = last(console).number
    refused = viewer.post("/account/password", present="wrong", password="another long password")
    assert "The present password is wrong." in refused.text
    (deed,) = (each for each in console.installation.ledger.users.trail() if each.number > before)
    assert (deed.who, deed.what, deed.target) == ("viewer@example.com", "user.password_refused", "viewer@example.com")
