"""What a check of a Wiz source says to whoever reads Korean: nothing in English but names and Wiz's own words."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest

from ocelog.console.wording import linked
from ocelog.errors import ConfigError
from ocelog.languages.phrases import say_in, translated
from ocelog.pull.ports import HealthItem, HealthState
from ocelog.secrets.secret import Secret
from ocelog.sources.wiz import endpoints
from ocelog.sources.wiz.check import check
from ocelog.sources.wiz.settings import from_mapping
from ocelog.sources.wiz.source import WizSource
from wizsim.server import Server
from wizsim.world import World

WIZ_SAYS = re.compile(
    r"Settings > Access Management > [\w ]+|access denied, at least.*\]|(?:oops! )?an internal error has occurred"
    r"|rate limit exceeded|access from this address is not allowed"
)
RUN = re.compile(r"(?:[A-Za-z][A-Za-z'-]*[,:;.]? ){3,}[A-Za-z][A-Za-z'-]*")
"""Four English words in a row."""


@pytest.fixture(scope="module")
def tenant() -> Iterator[Server]:
    with Server(World(seed=11, audit=3, issues=3, findings=3)) as server:
        yield server


@pytest.fixture
def server(tenant: Server) -> Iterator[Server]:
    account = tenant.accounts.all()[0]
    yield tenant
    tenant.faults.clear()
    tenant.accounts.replace(account.client_id, scopes=account.scopes, projects=account.projects)


def _checked(server: Server, **settings: Any) -> list[HealthItem]:
    given = {"token_url": server.token_url, "api_url": server.api_url, "client_id": server.client_id, "rate": 100}
    given |= {"log_types": ["audit", "issues", "findings"], "total_seconds": 5, "read_seconds": 3}
    source = WizSource(from_mapping(given | settings), lambda: Secret(server.client_secret))
    try:
        return check(source, sleep=lambda _: None)
    finally:
        source.close()


def english_in(text: str) -> list[str]:
    """Return the runs of English words in what a page shows of a text in Korean."""
    plain = unescape(re.sub("<[^>]+>", "", str(linked(translated(text, "ko"), "ko"))))
    return RUN.findall(WIZ_SAYS.sub("", plain))


def _assert_korean(items: list[HealthItem]) -> None:
    for item in items:
        assert english_in(item.text) == [], translated(item.text, "ko")
        assert english_in(item.todo) == [], translated(item.todo, "ko")
        if not item.name.startswith("Wiz."):
            assert say_in("ko", item.name) != item.name


FAULTS = [
    (fault, where, args)
    for where in ("token", "audit", None)
    for fault, args in (
        ("throttled", {"retry_after": 60}),
        ("throttled-silent", {}),
        ("rate-limit", {}),
        ("server-error", {"status": 500}),
        ("forbidden", {}),
        ("unauthorized", {}),
        ("cut-body", {}),
        ("cut-json", {}),
        ("cut-gzip", {}),
        ("html", {}),
    )
]


@pytest.mark.parametrize(("fault", "where", "args"), FAULTS)
def test_whatever_goes_wrong_is_told_in_korean(
    server: Server, fault: str, where: str | None, args: dict[str, Any]
) -> None:
    server.faults.add(fault, **({"type": where} if where else {}), **args)
    items = _checked(server)
    assert items
    _assert_korean(items)


def test_what_the_account_may_not_do_is_told_in_korean(server: Server) -> None:
    server.faults.add("hidden-field", field="Issue.sourceRule")
    server.accounts.replace(server.client_id, scopes=("read:resources", "read:issues"))
    refused = _checked(server)
    assert {str(item.state) for item in refused} >= {"ok", "warn", "fail"}
    _assert_korean(refused)
    server.accounts.replace(server.client_id, projects=frozenset({"p1"}))
    _assert_korean(_checked(server))
    _assert_korean(_checked(server, projects=["no-such-id"]))


@pytest.mark.parametrize(
    "settings",
    [
        {"token_url": "http://127.0.0.1:9/oauth/token"},
        {"api_url": "http://127.0.0.1:9/graphql"},
        {"public_only": True},
    ],
)
def test_what_cannot_be_reached_is_told_in_korean(server: Server, settings: dict[str, Any]) -> None:
    _assert_korean(_checked(server, **settings))


def test_a_wrong_address_is_told_in_korean_with_where_the_right_one_is(server: Server) -> None:
    _assert_korean(_checked(server, api_url=server.api_url + "/not/there"))
    for text in ("app.wiz.io", "auth.app.wiz.io", "https://x.io/token", "http://x.io/graphql", "?"):
        with pytest.raises(ConfigError) as caught:
            endpoints.api_url(text, endpoints.TOKEN_URLS["cognito"])
        assert english_in(caught.value.phrase) == []
    for text in ("us1", "nothing", "https://api.us1.app.wiz.io", "https://x.io/graphql", "http://x.io"):
        with pytest.raises(ConfigError) as caught:
            endpoints.token_url(text)
        assert english_in(caught.value.phrase) == []


def test_wrong_credentials_are_told_in_korean(server: Server) -> None:
    [item] = _checked(server, client_id="somebody-else")
    assert item.code == "credentials_refused"
    _assert_korean([item])
    assert "서비스 계정" in translated(item.todo, "ko")


@pytest.mark.parametrize("setting", ["api_url", "token_url"])
def test_an_address_that_answers_404_is_told_of_once_with_what_to_do(server: Server, setting: str) -> None:
    address = (
        server.api_url.replace("/graphql", "/nothing/graphql") if setting == "api_url" else f"{server.token_url}/x"
    )
    failed = next(each for each in _checked(server, **{setting: address}) if each.state is HealthState.FAIL)
    what = "API" if setting == "api_url" else "token"
    assert failed.text == f"{address}: The {what} URL answered HTTP 404."
    assert failed.todo == "Check that it is the right one."
    _assert_korean([failed])
