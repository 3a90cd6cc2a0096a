"""What pages say in Korean when something is wrong: no sentence of ours is left in English."""

import re
from html import unescape
from typing import Any

import pytest

from ocelog.access import Role
from ocelog.app.alerts import channels
from ocelog.channels.addresses import is_forbidden
from ocelog.console.record_words import of_record
from ocelog.console.wording import introduced
from ocelog.lake.query.refusals import put_together, taken_apart
from ocelog.languages.phrases import Phrase, translated
from visiting import SAME_SITE, Console
from visiting.everything import SECRET

KOREAN = {"accept-language": "ko"}
RUN = re.compile(r"(?:[A-Za-z][A-Za-z'-]*[,:;.]? ){3,}[A-Za-z][A-Za-z'-]*")
"""Four English words in a row."""


def english_in(page: str) -> list[str]:
    """Return the runs of English words that the part of a page with its message shows."""
    main = (page.partition("<main")[2] or page).replace("info, low, medium, high", "")
    return RUN.findall(unescape(re.sub(r"(?s)<(script|style|pre|textarea|option).*?</\1>|<[^>]+>", " ", main)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        "/alerts/nope",
        "/alerts/0123456789abcdef",
        "/rules/nope",
        "/schemas/Nope",
        "/sources/nope",
        "/alerts?severity=XX",
    ],
)
def test_a_page_that_finds_nothing_says_so_in_korean(console: Console, path: str) -> None:
    answer = console.as_(Role.ADMIN).get(path, headers=KOREAN)
    assert english_in(answer.text) == []
    assert "설정이 올바르지 않습니다" not in answer.text


@pytest.mark.slow
@pytest.mark.parametrize(
    "sql",
    [
        "delete from wiz_audit",
        "select 1; select 2",
        "select * from read_csv('/etc/passwd')",
        "select * from wiz_audi",
        "select nosuchfunction(1)",
    ],
)
def test_sql_that_is_refused_is_told_in_korean(console: Console, sql: str) -> None:
    answer = console.as_(Role.ANALYST).get("/search/sql", params={"sql": sql}, headers=KOREAN)
    assert english_in(answer.text) == []


def test_the_mark_below_a_statement_stands_where_it_belongs() -> None:
    text = "Binder Error: no column\nLINE 1: select x from t\n               ^"
    shown = introduced(text, None, "ko")
    assert "<br><code>LINE\u00a01:" in shown
    assert shown.endswith("<code>" + "\u00a0" * 15 + "^</code>")
    assert introduced("<b>\nLINE 1: <b>", None, "ko") == "&lt;b&gt;<br>LINE 1: &lt;b&gt;".replace(
        "LINE 1: &lt;b&gt;", "<code>LINE\u00a01:\u00a0&lt;b&gt;</code>"
    )


def test_a_refusal_of_the_child_is_a_phrase_again_and_a_lie_is_its_plain_text() -> None:
    said = Phrase("There is no table %(full)s%(full2)s", full="'x'", full2=Phrase("; did you mean %(name)s?", name="y"))
    again = put_together(taken_apart(said), str(said))
    assert isinstance(again, Phrase)
    assert translated(again, "ko") == translated(said, "ko")
    for lie in (["%(a)99999999s", {"a": "x"}], ["%(b)s", {"a": "x"}], ["%s", {}], [1, 2], None, "other", {"a": 1}):
        assert type(put_together(lie, "text")) is str
        assert put_together(lie, "text") == "text"


NEW = "/channels/new"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("webhook", {"url": "https://127.0.0.1/x"}),
        ("webhook", {"url": "https://[::1]/x"}),
        ("webhook", {"url": "https://10.1.2.3/x"}),
        ("webhook", {"url": "https://169.254.169.254/x"}),
        ("webhook", {"url": "https://localhost/x"}),
        ("pagerduty", {"url": "https://192.168.1.1", "routing_key": "0" * 32}),
        ("apprise", {"url": "mmosts://127.0.0.1/token"}),
    ],
)
def test_no_destination_of_a_private_address_is_added(console: Console, kind: str, given: dict[str, str]) -> None:
    admin = console.as_(Role.ADMIN)
    form: dict[str, Any] = {"csrf": admin.token, "kind": kind, "name": "ops"}
    form |= {f"set.{name}": text for name, text in given.items()}
    answer = admin.client.post(NEW, data=form, headers=SAME_SITE | KOREAN)
    assert answer.status_code == 422
    assert console.installation.ledger.channels.listed() == []
    assert "명령줄" in answer.text
    english = admin.client.post(NEW, data=form, headers=SAME_SITE).text
    assert "command line of that machine" in english


def test_what_may_be_a_secret_is_not_looked_up(monkeypatch: pytest.MonkeyPatch, console: Console) -> None:
    asked = list[str]()

    def ask(host: str, _: int) -> bool:
        asked.append(host)
        return False

    monkeypatch.setattr(channels, "is_forbidden", ask)
    admin = console.as_(Role.ADMIN)
    for number, url in enumerate(("slack://TokenA/TokenB/TokenC", "https://hooks.slack.com/services/T1/B2/C3")):
        form = {"csrf": admin.token, "kind": "apprise", "name": f"chat{number}", "set.url": url}
        admin.client.post(NEW, data=form, headers=SAME_SITE)
    assert set(asked) <= {"hooks.slack.com"}


def test_a_name_that_is_not_known_here_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> list[str]:
        raise OSError

    monkeypatch.setattr("ocelog.channels.addresses.resolved", unknown)
    assert not is_forbidden("hooks.example.com", 443)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("webhook", {"url": "nothing"}),
        ("webhook", {"url": "https://hooks.example.com/x", "signing_key": "short"}),
        ("webhook", {"url": "https://hooks.example.com/x", "headers": "Bad Name: x"}),
        ("apprise", {"url": "nothing"}),
        ("apprise", {"url": "slak://x"}),
        ("apprise", {"url": "https://x.example.com"}),
        ("apprise", {"url": "mailto://x:y@example.com"}),
        ("pagerduty", {"routing_key": "short"}),
        ("opsgenie", {"api_key": "short"}),
        ("opsgenie", {"api_key": "a" * 36, "language": "xx"}),
    ],
)
def test_what_is_wrong_with_a_destination_is_told_in_korean(console: Console, kind: str, given: dict[str, str]) -> None:
    admin = console.as_(Role.ADMIN)
    form: dict[str, Any] = {"csrf": admin.token, "kind": kind, "name": "ops"}
    form |= {f"set.{name}": text for name, text in given.items()}
    answer = admin.client.post(NEW, data=form, headers=SAME_SITE | KOREAN)
    assert answer.status_code == 422
    told = re.findall(r'(?s)role="alert".*?</div>', answer.text)
    assert told
    assert [each for part in told for each in english_in(part)] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a timestamp (rfc3339): the field is required", "시각(rfc3339): 필수 필드"),
        ("nothing", "없음"),
        ("a whole number of 64 bits", "64비트 정수"),
        ("not JSON, x (JSON is malformed)", "JSON이 아님, x (JSON is malformed)"),
        ("what no version says", "what no version says"),
    ],
)
def test_what_does_not_fit_in_a_record_is_told_in_korean(text: str, said: str) -> None:
    assert of_record(text, "ko") == said
    assert of_record(text, "en") == text


def test_a_pasted_record_that_does_not_fit_is_told_in_korean(console: Console) -> None:
    page = console.as_(Role.ANALYST).post("/schemas/Wiz.Audit", text='{"id": "x"}', headers=SAME_SITE | KOREAN).text
    assert "필수 필드" in page
    assert "the field is required" not in page


def test_how_a_secret_is_kept_is_told_in_korean(console_with_source: Console) -> None:
    assert SECRET
    page = console_with_source.as_(Role.ADMIN).get("/sources/prod", headers=KOREAN).text
    assert "암호화하여 저장됨" in page
    assert "copied in, encrypted" not in page


def test_a_time_that_is_none_is_answered_with_one_that_is(console: Console) -> None:
    sought = {"f": "p_event_time:is:yesterday", "log": "Wiz.Audit"}
    page = console.as_(Role.ANALYST).get("/search", params=sought).text
    assert "2026-08-10T09:30:00Z" in page
    assert "timestamp[us" not in page
