"""What the pages of sources say after something was tried or done, and where."""

import re
from typing import Any

import pytest

from ocelog.access import Role
from ocelog.app.sources import sources
from ocelog.errors import OcelogError
from ocelog.pull.ports import HealthItem, HealthState
from visiting import Console
from visiting.everything import SECRET, add_source

REFUSED = [
    HealthItem(name="token", state=HealthState.OK, text="A token was given."),
    HealthItem(name="address", state=HealthState.FAIL, text="Wiz refused <this>."),
]
FORM: dict[str, Any] = {
    "name": "far",
    "client_id": "x",
    "secret": SECRET,
    "log_types": ["Wiz.Audit"],
    "api_url": "https://api.example.com/graphql",
    "token_url": "cognito",
    "backfill": "30d",
    "do": "check",
}


@pytest.fixture
def console(console_with_source: Console) -> Console:
    return console_with_source


def fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "check", lambda *_, **__: REFUSED)


def test_the_verdict_stands_before_what_was_found_and_what_fails_before_what_works(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = console.as_(Role.ADMIN)
    well = admin.post("/sources/new", **FORM).text
    assert well.index("data-verdict") < well.index("Everything looks good.") < well.index("A token was given.")
    fails(monkeypatch)
    bad = admin.post("/sources/new", **FORM).text
    said = [bad.index(each) for each in ("data-verdict", "does not work as", "Wiz refused", "A token was given.")]
    assert said == sorted(said)
    assert "data-verdict" not in admin.get("/sources/new").text


def test_each_field_that_does_not_hold_is_marked_so_that_one_is_led_to_it(console: Console) -> None:
    text = console.as_(Role.ADMIN).post("/sources/new", **(FORM | {"client_id": "", "log_types": []})).text
    assert "data-leads" in text
    marked = re.findall(r'<input class="[^"]* is-invalid"[^>]* name="(\w+)"', text)
    assert set(marked) == {"client_id", "log_types"}
    assert "data-verdict" not in text


def test_a_secret_that_is_refused_gets_the_reason(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch)
    answer = console.as_(Role.ADMIN).post("/sources/prod/rotate", secret="another-secret")
    assert answer.status_code == 422
    assert "The old secret stays." in answer.text
    assert "Wiz refused &lt;this&gt;." in answer.text
    assert "another-secret" not in answer.text
    assert re.search(r"<details[^>]* open><summary>Replace the client secret", answer.text)


def test_the_headline_says_that_the_client_id_and_the_secret_were_refused(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = HealthItem(name="token", state=HealthState.FAIL, text="HTTP 401", code="credentials_refused")
    monkeypatch.setattr(sources, "check", lambda *_, **__: [told])
    admin = console.as_(Role.ADMIN)
    for path, given in (("/sources/new", FORM), ("/sources/prod/rotate", {"secret": "another-secret"})):
        answer = admin.post(path, **given)
        assert answer.status_code == 422
        assert "Wiz refused this client ID and secret." in answer.text
        assert "does not work as it is set up" not in answer.text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("page_size", "9000", "from 1 to 500 records, not 9000."),
        ("page_size", "many", "Records per request: &#39;many&#39; is not a number."),
        ("rate", "0", "from 0.01 to 1000 requests per second, not 0."),
        ("sweep_share", "7", "from 0.01 to 1 of the rate, not 7."),
        ("token_url", "ftp://x", "token URL"),
        ("sweep_every", "1s", "Sweep them again every"),
    ],
)
def test_a_setting_that_does_not_hold_is_told_beside_its_field(
    console: Console, name: str, value: str, why: str
) -> None:
    admin = console.as_(Role.ADMIN)
    given: dict[str, Any] = {"log_types": "Wiz.Audit", name: value}
    answer = admin.post("/sources/prod/edit", **given)
    assert answer.status_code == 422
    told = dict(re.findall(r'<div class="invalid-feedback d-block long" id="wrong-(\w+)">(.*?)</div>', answer.text))
    assert list(told) == [name]
    assert why in told[name]
    assert "_" not in told[name]
    assert 'role="alert"' not in answer.text


def test_who_insists_saves_what_does_not_work_or_reads_a_tenant_twice(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = console.as_(Role.ADMIN)
    assert 'name="unchecked"' not in admin.get("/sources/prod").text
    fails(monkeypatch)
    given: dict[str, Any] = {"log_types": "Wiz.Audit", "client_id": "not-yet-there"}
    refused = admin.post("/sources/prod/edit", **given)
    assert refused.status_code == 422
    assert 'name="unchecked" value="yes"' in refused.text
    assert 'name="anyway"' not in refused.text
    assert admin.post("/sources/prod/edit", **given, unchecked="yes").status_code == 303
    add_source(console, "other")
    given = {"log_types": "Wiz.Audit", "client_id": "client-of-other"}
    doubled = admin.post("/sources/prod/edit", **given, unchecked="yes")
    assert doubled.status_code == 422
    assert 'name="anyway" value="yes"' in doubled.text
    assert 'name="unchecked" value="yes" checked' in doubled.text
    assert admin.post("/sources/prod/edit", **given, unchecked="yes", anyway="yes").status_code == 303


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "given"), [("check", {}), ("rotate", {"secret": "x"}), ("edit", {}), ("remove", {"name": "other"})]
)
def test_the_streams_stay_on_the_page_whatever_was_tried(
    console: Console, monkeypatch: pytest.MonkeyPatch, what: str, given: dict[str, Any]
) -> None:
    fails(monkeypatch)
    text = console.as_(Role.ADMIN).post(f"/sources/prod/{what}", **given).text
    assert 'href="/schemas/Wiz.Audit"' in text


def test_what_was_tried_is_told_though_nobody_knows_how_the_streams_are(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any, **__: Any) -> Any:
        raise OcelogError("The ledger is busy.")

    monkeypatch.setattr("ocelog.console.endpoints.overview", breaks)
    answer = console.as_(Role.ADMIN).post("/sources/prod/check")
    assert answer.status_code == 200
    assert "A token was given." in answer.text


def test_it_says_that_a_source_was_removed_and_says_it_once(console: Console) -> None:
    admin = console.as_(Role.ADMIN)
    then = admin.post("/sources/prod/remove", name="prod").headers["location"]
    text = admin.get(then).text
    assert "Removed. Its rows stay." in text
    assert 'hx-get="/sources"' in text
    assert "Removed. Its rows stay." not in admin.get("/sources").text


def test_a_row_of_the_list_says_on_a_phone_what_each_value_is(console: Console) -> None:
    text = console.as_(Role.ADMIN).get("/sources").text
    assert '<table class="table table-vcenter card-table stacked">' in text
    assert {"Last event", "Complete through", "Lag"} <= set(re.findall(r'<td[^>]* data-label="([^"]+)"', text))


def test_a_long_name_of_a_user_is_cut_at_its_end(console: Console) -> None:
    text = console.as_(Role.ADMIN).get("/sources").text
    assert re.search(r'<a [^>]*href="/account" title="[^"]+"><span class="cut">', text)


def test_the_page_of_a_source_leads_to_its_events_and_alerts_and_keeps_itself_up_to_date(console: Console) -> None:
    text = console.as_(Role.ADMIN).get("/sources/prod").text
    assert 'href="/search?log=Wiz.Audit&amp;period=7d&amp;f=p_source_id%3Ais%3Aprod"' in text
    assert 'href="/alerts?source=prod&amp;log_type=Wiz.Audit"' in text
    assert 'href="/search?period=7d&amp;f=p_source_id%3Ais%3Aprod"' in text
    assert 'href="/alerts?source=prod">Its alerts' in text
    assert re.search(r'<div id="streams" hx-get="/sources/prod" hx-trigger="every \d+s"', text)


def test_whoever_has_created_a_source_is_led_to_its_page_and_turns_packs_by_switches(console: Console) -> None:
    text = console.as_(Role.ADMIN).get("/sources/prod/added?said=added").text
    assert re.search(r'href="/sources/prod">Watch it being read', text)
    assert set(re.findall(r'role="switch" aria-checked="(\w+)"', text)) <= {"true", "false"}
    assert "Packs overlap." in text
    assert ">Save<" not in text


def test_what_does_not_exist_is_said_without_a_code_of_programs(console: Console) -> None:
    answer = console.as_(Role.ADMIN).get("/sources/nothing")
    assert answer.status_code == 404
    assert "config_invalid" not in answer.text


def test_only_of_a_source_that_was_just_added_it_says_that_everything_looks_good(console: Console) -> None:
    admin = console.as_(Role.ADMIN)
    new = "/sources/prod/added?said=added"
    shown = admin.get(new).text
    assert "Everything looks good" in shown
    forms = re.findall(r'<form method="post" action="/sources/prod/\w+".*?</form>', shown, re.DOTALL)
    assert forms
    assert all('name="said" value="added"' in each for each in forms)
    assert admin.post("/sources/prod/alarm", after="6h", said="added").headers["location"] == new
    again = admin.get("/sources/prod/added").text
    assert "Everything looks good" not in again
    assert "<h1" in again
    assert "prod: Detections and alarm</h1>" in again


@pytest.mark.parametrize(
    ("name", "said"), [("", "This is needed."), (" ", "This is needed."), ("prod", "There is a source")]
)
def test_a_name_that_does_not_hold_is_told_beside_its_field(console: Console, name: str, said: str) -> None:
    text = console.as_(Role.ADMIN).post("/sources/new", **(FORM | {"name": name})).text
    assert re.search(r'<input class="form-control is-invalid" id="name"[^>]* aria-invalid="true"', text)
    assert said in re.findall(r'id="name-wrong">([^<]*)', text)[0]


def test_korean_words_of_periods_and_examples_say_what_they_mean(console: Console) -> None:
    admin, korean = console.as_(Role.ADMIN), {"accept-language": "ko"}
    assert '<option value="all">전체 기간</option>' in admin.get("/sources/new", headers=korean).text
    assert "::" not in admin.get("/channels/new?kind=webhook", headers=korean).text
    admin.post("/account/tokens", name="nightly", scope="read", lasts="30d")
    assert "사용한 적 없음" in admin.get("/account", headers=korean).text
    assert "추가한 날" in admin.get("/users", headers=korean).text
    refused = console.as_(Role.VIEWER).get("/users", headers=korean)
    assert (refused.status_code, "관리자 역할" in refused.text) == (403, True)
