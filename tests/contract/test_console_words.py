"""What a page says to somebody who has a browser and no terminal: words, and fields in the place of options."""

import re
from html import unescape
from typing import Any

import pytest

from ocelog.access import Role
from ocelog.app.alerts.channels import channel_kinds
from visiting import Console
from visiting.everything import SECRET


@pytest.fixture
def console(console_with_source: Console) -> Console:
    return console_with_source


def test_whoever_reads_a_tenant_twice_is_asked_in_the_form_whether_to_go_on(console: Console) -> None:
    guest = console.as_(Role.ADMIN)
    given: dict[str, Any] = {
        "name": "again",
        "client_id": "client-of-prod",
        "token_url": "cognito",
        "secret": SECRET,
        "do": "save",
    }
    given |= {"api_url": "https://api.us1.app.wiz.io/graphql", "log_types": ["Wiz.Audit"], "backfill": "30d"}
    refused = guest.post("/sources/new", **given)
    assert refused.status_code == 422
    assert "--" not in unescape(re.sub("<[^>]+>", "", refused.text))
    assert 'name="anyway" value="yes"' in refused.text
    assert guest.post("/sources/new", **given, anyway="yes").headers["location"] == "/sources/again/added?said=added"


def test_what_an_earlier_check_found_gives_way_at_once(console: Console) -> None:
    guest = console.as_(Role.ADMIN)
    (place,) = re.findall(r'<div id="verdict"[^>]*>', guest.get("/sources/new").text)
    assert 'hx-get="/sources/new/verdict" hx-trigger="submit from:#new-source"' in place
    assert "Checking ..." in guest.get("/sources/new/verdict").text
    assert "Check again." in guest.get("/sources/new/verdict?failed=true").text


def test_rules_and_packs_are_told_in_words_of_people(console: Console) -> None:
    guest = console.as_(Role.ADMIN)
    for page in ("/rules", "/rules/Ocelog.Wiz.Identity.ProviderThenAdmin", "/sources/prod/added"):
        text = unescape(re.sub("(?s)<pre.*?</pre>|<[^>]+>", "", guest.get(page).text))
        assert "Enabled: true" not in text
        assert not re.search(r"\b(scheduled|correlation)_(rule|query)\b", text)
    added = guest.get("/sources/prod/added").text
    assert "<strong>Wiz: blinding the scanner</strong>" in added
    assert "Whatever makes Wiz see less" in added
    korean = guest.get("/rules", headers={"accept-language": "ko"}).text
    assert "Whatever makes Wiz see less" not in korean
    assert "처음부터 켜져 있음" in korean


def test_the_alarm_is_chosen_by_yes_by_no_or_by_another_time(console: Console) -> None:
    guest, now = console.as_(Role.ADMIN), "/sources/prod/added"
    for after, said in (("off", "There is none now."), ("6h", "Now: after 6 hours."), ("1d", "Now: after 1 day.")):
        assert guest.post("/sources/prod/alarm", after=after).headers["location"] == now
        assert said in guest.get(now).text


def test_a_destination_is_described_in_words_and_its_address_is_seen_while_it_is_typed(console: Console) -> None:
    guest = console.as_(Role.ADMIN)
    form = guest.get("/channels/new?kind=webhook").text
    labels = re.findall(r'<label class="form-label" for="set[^"]*">([^<]*)', form)
    assert [each.strip() for each in labels] == ["Address (URL)", "Key of the signature", "Headers"]
    (address,) = re.findall(r'<input[^>]* id="set.url"[^>]*>', form)
    (key,) = re.findall(r'<input[^>]* id="set.signing_key"[^>]*>', form)
    assert "password" not in address
    assert "password" in key
    given: dict[str, Any] = {"kind": "webhook", "name": "ops", "set.url": "http://hooks.example.com/s3cret-path"}
    refused = guest.post("/channels/new", **given)
    assert refused.status_code == 422
    assert "s3cret-path" not in refused.text
    assert "--set" not in refused.text


def test_the_settings_of_a_source_are_told_as_its_form_calls_them(console: Console) -> None:
    page = console.as_(Role.VIEWER).get("/sources/prod").text
    listed = dict(re.findall(r"<dt[^>]*>([^<]*)</dt><dd[^>]*>([^<]*)</dd>", page))
    assert listed["Token URL"] == "https://auth.app.wiz.io/oauth/token"
    assert listed["How far back to read"] == "7 days"
    assert listed["Projects"] == "all"
    assert listed["Sweep open records"] == "yes"
    assert not re.search(r"most_bytes|public_only|token_url|\(OK\)|INSUFFICIENT_DATA", page)


def test_what_can_be_done_with_a_source_stands_first_and_what_a_check_found_beside_it(console: Console) -> None:
    page = console.as_(Role.ADMIN).post("/sources/prod/check").text
    done, found, streams = (page.index(each) for each in ("/sources/prod/check", "A token was given.", "Rejections"))
    assert done < found < streams


def test_the_wizard_offers_the_clouds_by_name_and_takes_any_other_address(console: Console) -> None:
    guest = console.as_(Role.ADMIN)
    form = guest.get("/sources/new").text
    assert re.findall(r'<option value="(\w+)" selected>([^<]*)', form)[0] == ("cognito", "Commercial (app.wiz.io)")
    own = "https://login.example.com/oauth/token"
    given: dict[str, Any] = {"name": "far", "client_id": "x", "secret": SECRET, "log_types": ["Wiz.Audit"]}
    given |= {"api_url": "https://api.example.com/graphql", "token_url": "other", "token_url_other": own}
    given |= {"backfill": "30d", "do": "check"}
    checked = guest.post("/sources/new", **given).text
    assert "Everything looks good." in checked
    assert f'name="token_url_other" value="{own}"' in checked
    assert '<option value="other" selected>' in checked
    assert guest.post("/sources/new", **(given | {"do": "save"})).status_code == 303
    assert own in guest.get("/sources/far").text


def test_the_scopes_that_are_needed_follow_the_log_types(console: Console) -> None:
    guest = console.as_(Role.ADMIN)
    assert "admin:audit" in guest.get("/sources/new").text
    less = guest.get("/sources/new/rights?log_types=Wiz.Issues").text
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", less)
    assert cells == ["read:resources", "all log types", "read:issues", "issues"]


def test_whoever_adds_a_destination_reads_what_each_kind_is_and_chooses_the_language(console: Console) -> None:
    admin = console.as_(Role.ADMIN)
    kinds = admin.get("/channels").text
    assert "Slack, Teams, mail and more (apprise)" in kinds
    assert all(f'href="/channels/new?kind={each}"' in kinds for each in channel_kinds(remote=True))
    form = admin.get("/channels/new?kind=apprise", headers={"accept-language": "ko"}).text
    assert '<label class="form-label" for="set.url">주소(URL)' in form
    assert re.search(r'<select [^>]*name="set.language"[^>]*>.*<option value="ko" lang="ko" selected>', form)


def test_dates_on_a_phone_say_what_they_are_and_columns_are_stacked(console: Console) -> None:
    admin = console.as_(Role.ADMIN)
    admin.post("/account/tokens", name="nightly", scope="read", lasts="30d")
    for path in ("/account", "/users"):
        cells = re.findall(r"<td([^>]*)>(?:{%[^%]*%})?<time", admin.get(path).text)
        assert cells
        assert all("data-label=" in each for each in cells), path
    assert re.search(r'<table class="[^"]*stacked">\s*<caption[^>]*>Columns', admin.get("/schemas/Wiz.Audit").text)
