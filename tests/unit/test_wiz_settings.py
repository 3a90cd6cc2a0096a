import base64
import json
from typing import Any

import pytest

from ocelog.errors import AccessRefusedError, ConfigError
from ocelog.product import Question
from ocelog.sources.wiz import settings
from ocelog.sources.wiz.endpoints import TOKEN_URLS, api_url, api_url_of, audience, is_loopback, token_url
from ocelog.sources.wiz.product import WIZ
from ocelog.sources.wiz.settings import WizSettings, changed, from_mapping
from ocelog.sources.wiz.streams import KINDS

COGNITO = TOKEN_URLS["cognito"]
GIVEN: dict[str, Any] = {"token_url": "cognito", "client_id": "c" * 53}


def _jwt(claims: object) -> str:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{middle}.signature"


@pytest.mark.parametrize(
    ("text", "token", "url"),
    [
        ("us1", "cognito", "https://api.us1.app.wiz.io/graphql"),
        ("us1", "auth0", "https://api.us1.app.wiz.io/graphql"),
        ("us2", "fedramp", "https://api.us2.app.wiz.us/graphql"),
        ("gov1", "govcloud", "https://api.gov1.gov.wiz.io/graphql"),
        ("https://api.eu1.app.wiz.io", "cognito", "https://api.eu1.app.wiz.io/graphql"),
        ("https://api.eu1.app.wiz.io/", "cognito", "https://api.eu1.app.wiz.io/graphql"),
        ("https://api.eu1.app.wiz.io/graphql", "cognito", "https://api.eu1.app.wiz.io/graphql"),
        (" https://api.eu1.app.wiz.io/graphql/ ", "cognito", "https://api.eu1.app.wiz.io/graphql"),
        ("https://proxy.example/wiz", "cognito", "https://proxy.example/wiz/graphql"),
        ("http://127.0.0.1:8080", "cognito", "http://127.0.0.1:8080/graphql"),
        (" US1 ", "cognito", "https://api.us1.app.wiz.io/graphql"),
        ("api.us1.app.wiz.io", "cognito", "https://api.us1.app.wiz.io/graphql"),
        ("api.us1.app.wiz.io/graphql", "cognito", "https://api.us1.app.wiz.io/graphql"),
        ("us1.app.wiz.io", "cognito", "https://api.us1.app.wiz.io/graphql"),
        ("https://eu1.app.wiz.us/issues#open", "cognito", "https://api.eu1.app.wiz.us/graphql"),
    ],
)
def test_an_api_address_may_be_short_or_long(text: str, token: str, url: str) -> None:
    assert api_url(text, TOKEN_URLS[token]) == url


def question(option: str) -> Question:
    questions = [each for step in WIZ.steps for each in step.questions if isinstance(each, Question)]
    return next(each for each in questions if each.option == option)


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("api_url", "app.wiz.io", r"Leave it empty \(press Enter\) to have it read from the token"),
        ("api_url", "https://auth.app.wiz.io/oauth/token", "looks like the token URL, which is asked for next"),
        ("api_url", "https://127.0.0.1:1/oauth/token", "looks like the token URL, which is asked for next"),
        ("token_url", "http://127.0.0.1:1/graphql", "belongs to the question before"),
        ("client_id", "30 days", "one word without spaces"),
    ],
)
def test_whoever_answers_questions_is_told_of_them_and_of_no_option(option: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        question(option).read(text, {})
    assert "--" not in str(caught.value)


def test_each_cloud_that_is_offered_is_told_by_its_login_address() -> None:
    asks = question("token_url")
    assert all(f" is {cloud}" in asks.before for cloud in asks.choices)


def test_a_word_that_is_no_data_center_is_not_made_an_address() -> None:
    with pytest.raises(ConfigError, match="The API URL is a data center such as us1"):
        from_mapping({"token_url": "cognito", "client_id": "x", "api_url": "q"})


@pytest.mark.parametrize("portal", ["acme.app.wiz.io", "https://acme.app.wiz.io/"])
def test_where_people_log_in_under_a_name_of_their_own_says_which_cloud_it_is(portal: str) -> None:
    assert from_mapping({"token_url": portal, "client_id": "x"}).token_url == "https://auth.app.wiz.io/oauth/token"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("app.wiz.io", "app.wiz.io is Wiz's portal"),
        ("acme.app.wiz.io", "acme.app.wiz.io is Wiz's portal"),
        ("https://acme.app.wiz.us/login", "acme.app.wiz.us is Wiz's portal"),
        ("fedramp", "'fedramp' is a cloud, which belongs to the token URL"),
        ("https://app.wiz.io/issues?a=b#open", "app.wiz.io is Wiz's portal"),
        ("https://APP.WIZ.US", "app.wiz.us is Wiz's portal"),
        ("gov.wiz.io/login", "gov.wiz.io is Wiz's portal"),
        ("https://auth.app.wiz.io/oauth/token", "auth.app.wiz.io gives tokens"),
    ],
)
def test_what_is_not_the_api_is_called_by_its_name_and_the_api_is_shown(text: str, said: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"{said}.*Tenant Info; it looks like https://api\.us1\.app\.wiz\.io/graphql"
    ):
        api_url(text, COGNITO)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("COGNITO", "cognito"),
        ("app.wiz.io", "cognito"),
        ("https://app.wiz.io/settings?tab=x#y", "cognito"),
        ("app.wiz.us", "fedramp"),
        ("https://gov.wiz.io/", "govcloud"),
        ("auth.app.wiz.io", "cognito"),
        ("https://auth.wiz.io", "auth0"),
        ("auth.app.wiz.us/oauth/token", "fedramp"),
    ],
)
def test_a_cloud_is_known_by_where_people_log_in(text: str, name: str) -> None:
    assert token_url(text) == TOKEN_URLS[name]


def test_the_address_of_the_api_gives_no_tokens() -> None:
    with pytest.raises(ConfigError, match=r"api\.us1\.app\.wiz\.us is the API.*is fedramp"):
        token_url("https://api.us1.app.wiz.us/graphql")


@pytest.mark.parametrize(
    "text",
    [
        "app.wiz.io.evil.example",
        "https://app.wiz.io@evil.example/",
        "app.wiz.io@evil.example",
        "evilapp.wiz.io.x",
        "wiz.io",
    ],
)
def test_a_host_that_only_looks_like_one_of_wiz_is_not_completed(text: str) -> None:
    for read in (token_url, lambda each: api_url(each, COGNITO)):
        with pytest.raises(ConfigError):
            read(text)


@pytest.mark.parametrize(
    "text",
    ["", "us 1", "http://api.us1.app.wiz.io", "ftp://x", "https://", "https://u:p@api.wiz", "https://h/graphql?x=1",
     "https://h/#f", "https://h:port/", "https://[::1", "US1.EVIL.example/", "http://127.0.0.1.evil.example/"],
)  # fmt: skip
def test_an_address_that_a_token_must_not_go_to_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        api_url(text, COGNITO)


def test_token_addresses_have_short_names_and_each_its_audience() -> None:
    assert token_url("fedramp") == "https://auth.app.wiz.us/oauth/token"
    assert token_url("https://auth.example/t") == "https://auth.example/t"
    assert audience(TOKEN_URLS["auth0"]) == "beyond-api"
    assert {audience(TOKEN_URLS[name]) for name in ("cognito", "fedramp", "govcloud")} == {"wiz-api"}
    for text in ("cognit", "", "http://auth.app.wiz.io/oauth/token"):
        with pytest.raises(ConfigError):
            token_url(text)


def test_the_token_says_where_the_tenant_is() -> None:
    assert api_url_of(_jwt({"dc": "us17"}), COGNITO) == "https://api.us17.app.wiz.io/graphql"
    assert api_url_of(_jwt({"dc": "us1"}), TOKEN_URLS["fedramp"]) == "https://api.us1.app.wiz.us/graphql"


@pytest.mark.parametrize(
    "token",
    ["", "a.b", "a.!!.c", _jwt({}), _jwt([]), _jwt({"dc": 5}), _jwt({"dc": "evil.example/"}), _jwt({"dc": ""}),
     _jwt({"dc": "x" * 300}), "a.\xff.c"],
)  # fmt: skip
def test_a_token_that_names_no_data_centre_asks_for_the_address_and_is_not_shown(token: str) -> None:
    with pytest.raises(AccessRefusedError, match="API URL") as caught:
        api_url_of(token, COGNITO)
    assert len(token) < 5 or token not in str(caught.value)


def test_a_token_url_of_ones_own_has_no_data_centers() -> None:
    with pytest.raises(ConfigError, match="give the whole of it"):
        api_url("us1", "https://auth.example/token")
    with pytest.raises(AccessRefusedError, match="give the whole of it"):
        api_url_of(_jwt({"dc": "us1"}), "https://auth.example/token")


def test_this_machine_is_known_by_all_its_names() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.8.9.1", "::1")))
    assert not any(map(is_loopback, ("", None, "10.0.0.1", "localhost.evil.example", "example")))


def test_settings_go_to_json_and_back() -> None:
    settings = from_mapping(
        GIVEN | {"api_url": "us1", "projects": ["p1"], "log_types": ["audit", "findings"], "rate": 2}
    )
    assert settings.log_types == ("Wiz.Audit", "Wiz.VulnerabilityFinding")
    assert from_mapping(json.loads(json.dumps(settings.to_mapping()))) == settings


def test_what_is_left_out_has_its_default() -> None:
    settings = from_mapping(GIVEN)
    assert settings == WizSettings(token_url=COGNITO, client_id="c" * 53, audience="wiz-api")
    assert (settings.rate, settings.page_size, settings.log_types, settings.api_url) == (3.0, 500, (*KINDS,), None)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"page_siz": 5}, "did you mean 'page_size'"),
        ({"zzz": 5}, "no setting 'zzz'"),
        ({"log_types": ["audi"]}, "did you mean 'audit'"),
        ({"log_types": []}, "at least one log type"),
        ({"rate": 0}, "rate"),
        ({"rate": "fast"}, "rate"),
        ({"page_size": 501}, "page size"),
        ({"page_size": 0}, "page size"),
        ({"client_id": " "}, "client ID"),
        ({"client_id": "a\nb"}, "client ID"),
        ({"projects": [""]}, "project ids"),
        ({"ca_file": "/nowhere/ca.pem"}, "not there"),
    ],
)
def test_a_setting_that_does_not_hold_says_which(wrong: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        from_mapping(GIVEN | wrong)


def test_a_change_is_checked_and_takes_along_what_follows_from_it() -> None:
    before = from_mapping(GIVEN)
    assert changed(before, {"token_url": "auth0"}).audience == "beyond-api"
    assert changed(before, {"rate": 5}).rate == 5
    with pytest.raises(ConfigError):
        changed(before, {"rate": -1})


@pytest.mark.parametrize("given", ["30 days", "--projects", "-n", "a\tb", "", "x" * 201])
def test_what_no_client_id_looks_like_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match="Invalid client ID"):
        from_mapping({**GIVEN, "client_id": given})
    with pytest.raises(ConfigError, match="Invalid client ID"):
        changed(from_mapping(GIVEN), {"client_id": given})


def test_a_client_id_that_was_kept_is_not_judged_anew() -> None:
    kept = {**from_mapping(GIVEN).to_mapping(), "client_id": "30 days"}
    assert changed(settings.read(kept), {"rate": 1}).client_id == "30 days"


@pytest.mark.parametrize(
    # As Cognito makes them, the simulator, and Auth0 did; and blanks from copying around it.
    "given",
    ["dt7jv050gvm4p45gnglex1z3fchvshw2kq0r2u2jpgwp6wbvhl3y4", "AaiyAPdpYdesoKnqjj8HJqRn4T5titww", "a_b+c-d.e", " ab "],
)
def test_what_a_client_id_may_look_like_is_taken(given: str) -> None:
    assert from_mapping({**GIVEN, "client_id": given}).client_id == given.strip()
