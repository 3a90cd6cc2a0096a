"""What a page says where something was done: beside it, in words, and where it is seen."""

import pytest

from bookkeeping.alerts import alert_of, opened
from ocelog.access import Role, Scope
from ocelog.app.users import users
from ocelog.errors import ConfigError
from visiting import PASSWORD, Console


def test_a_new_token_stands_above_all_else(console: Console) -> None:
    text = console.as_(Role.ADMIN).post("/account/tokens", name="ci", scope="read", lasts="30d").text
    assert 0 < text.index("Copy this token now") < text.index("<h2")


def test_a_user_who_was_added_is_named(console: Console) -> None:
    admin = console.as_(Role.ADMIN)
    answer = admin.post("/users", name="new@example.com", role="viewer", password=PASSWORD)
    assert "new@example.com is added" in admin.get(answer.headers["location"]).text


def test_statuses_are_words_and_an_alert_leads_to_its_rule_and_source(console: Console) -> None:
    alert = alert_of(1)
    opened(console.installation.ledger, alert)
    viewer = console.as_(Role.VIEWER)
    listed = viewer.get("/alerts").text
    assert ">TRIAGED<" not in listed
    assert ">ALERT<" not in listed
    shown = viewer.get(f"/alerts/{alert.id}").text
    assert f'href="/rules/{alert.rule_id}"' in shown
    assert f'href="/sources/{alert.source_id}"' in shown


def test_what_was_typed_about_an_alert_comes_back_if_it_is_refused(console: Console) -> None:
    alert = alert_of(1)
    opened(console.installation.ledger, alert)
    analyst, path = console.as_(Role.ANALYST), f"/alerts/{alert.id}"
    answer = analyst.post(path, do="close", text="<b>" + "what I found " * 400, reason="false_positive")
    assert answer.status_code == 422
    assert ">&lt;b&gt;what I found " in answer.text
    assert '<option value="false_positive" selected>' in answer.text
    nobody = analyst.post("/alerts", do="close", reason="benign")
    assert nobody.status_code == 422
    assert '<option value="benign" selected>' in nobody.text


def test_what_was_chosen_for_a_user_comes_back_if_it_is_refused(console: Console) -> None:
    answer = console.as_(Role.ADMIN).post("/users", name="new@example.com", role="analyst", password="short")
    assert answer.status_code == 422
    form = answer.text[answer.text.index('action="/users" ') :]
    assert 'value="new@example.com"' in form
    assert '<option value="analyst" selected>' in form
    assert "short" not in form.replace("shortcut", "")


def test_what_was_chosen_for_a_token_comes_back_if_it_is_refused(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConfigError("There are too many.")

    admin = console.as_(Role.ADMIN)
    monkeypatch.setattr(users, "add_token", refuse)
    answer = admin.post("/account/tokens", name="nightly", scope=Scope.ADMIN.value, lasts="365d")
    assert answer.status_code == 422
    assert 'value="nightly"' in answer.text
    assert f'<option value="{Scope.ADMIN.value}" selected>' in answer.text
    assert '<option value="365d" selected>' in answer.text
    assert '<option value="90d" selected>' not in answer.text
