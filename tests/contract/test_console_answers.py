"""What a page says where something was done: beside it, in words, and where it is seen."""

from bookkeeping.alerts import alert_of, opened
from ocelog.access import Role
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
