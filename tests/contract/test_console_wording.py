"""What people read of errors, checks and alerts: in their language, with links in the place of commands."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from bookkeeping.alerts import alert_of
from ocelog import errors
from ocelog.access import Role
from ocelog.alert.changes import CloseReason
from ocelog.alert.delivery import delivering
from ocelog.alert.delivery.routing import ChannelRow
from ocelog.alert.notice import AlertType, Happened, Notice
from ocelog.app.advice import todo
from ocelog.channels.kind import Values
from ocelog.channels.message import headline, render
from ocelog.channels.registry import CHANNELS
from ocelog.channels.text import Form
from ocelog.console.wording import SUMMARIES, introduced, linked, told
from ocelog.errors import CAUSES, ConfigError, LakeUnavailableError, OcelogError
from ocelog.languages.phrases import Phrase, catalogue, translated
from ocelog.languages.rule_texts import title_in
from ocelog.model import Severity
from ocelog.units import about
from visiting import console_of
from visiting.events import land, row

CODES = {each.code for each in vars(errors).values() if isinstance(each, type) and issubclass(each, OcelogError)}


def test_each_code_of_an_error_has_a_sentence_in_each_language() -> None:
    codes, here = CODES | set(CAUSES), "SUMMARIES in src/ocelog/console/wording.py"
    assert sorted(codes - SUMMARIES.keys()) == [], f'add "<code>": translatable("<a sentence>") to {here}'
    assert sorted(SUMMARIES.keys() - codes) == [], f"no error has these codes any more: delete their lines in {here}"
    untranslated = [text for text in SUMMARIES.values() if not catalogue("ko").has(text)]
    assert untranslated == [], "run scripts/catalogue.py, then fill these msgids in src/ocelog/languages/ko.po"


def test_an_error_is_told_in_the_language_of_its_reader_with_its_values() -> None:
    error = ConfigError(Phrase("There is no user named %(name)s.", name="'<eve>'"))
    assert str(error) == "There is no user named '<eve>'."
    assert told(error, "en") == "There is no user named &#39;&lt;eve&gt;&#39;."
    assert told(error, "ko") == "이름이 &#39;&lt;eve&gt;&#39;인 사용자가 없습니다."
    other = LakeUnavailableError("wiz_audit: <busy>")
    assert told(other, "en") == "wiz_audit: &lt;busy&gt;"
    assert told(other, "ko").startswith("지금은 레이크를 읽거나 쓸 수 없습니다. <span")
    assert "wiz_audit: &lt;busy&gt;" in told(other, "ko"), "what is not translated is not left out"


def test_what_was_noted_with_its_code_is_introduced_by_what_that_means() -> None:
    assert introduced("HTTP 503 <x>", "source_unavailable", "en") == "HTTP 503 &lt;x&gt;"
    assert introduced("HTTP 503 <x>", "source_unavailable", "ko").startswith(
        "소스가 응답하지 않거나 중단되었습니다. <span"
    )
    assert introduced("HTTP 503 <x>", None, "ko") == "HTTP 503 &lt;x&gt;"


def test_a_phrase_within_a_phrase_is_translated_too() -> None:
    text = todo("source_unavailable", "prod")
    assert text == "Nothing yet: it is tried again. If it goes on, run: ocelog source check prod"
    assert translated(text, "ko") == "아직 할 일이 없습니다. 다시 시도합니다. 계속되면: ocelog source check prod"


@pytest.mark.parametrize(
    ("text", "links", "rest"),
    [
        ("Run: ocelog source check prod. Then <wait>.", ["/sources/prod"], "Run: prod > Check. Then &lt;wait&gt;."),
        ("finish that: ocelog source remove a.b --purge", ["/sources/a.b/purge"], "finish that: a.b > Delete with all"),
        ("Leave audit out (--log-type), or wait.", [], "Leave audit out, or wait."),
        ("It is yours (--set allow_private=yes).", [], "It is yours."),
        ("no: Add one: ocelog channel add --help", ["/channels"], "no: Add one: Destinations"),
        ("See: ocelog source edit prod --help", ["/sources/prod"], "See: prod > Change the settings"),
        ("To resume: ocelog channel resend ops", ["/channels"], "To resume: ops > Destinations"),
        ("ocelog rules show Acme.Rule and ocelog alerts show x1", ["/rules/Acme.Rule", "/alerts/x1"], "Acme.Rule > "),
        ("Run: ocelog pull, or ocelog run", [], "Run: ocelog pull, or ocelog run"),
        ("ocelog source check ../users", [], "ocelog source check ../users"),
    ],
)
def test_a_command_for_which_there_is_a_page_is_a_link(text: str, links: list[str], rest: str) -> None:
    made = linked(text, "en")
    assert re.findall(r'href="([^"]*)"', made) == links
    assert re.sub(r"<a [^>]*>|</a>", "", made).replace("&gt; ", "> ").startswith(rest)


def test_a_page_tells_an_error_in_the_language_of_whoever_asks(tmp_path: Path) -> None:
    with console_of(tmp_path / "home") as console:
        guest = console.guest()
        guest.client.headers["accept-language"] = "ko"
        from ocelog.access import Role  # noqa: PLC0415

        console.as_(Role.VIEWER)
        answer = guest.sign_in("viewer@example.com", "not the password")
        assert "이름이나 비밀번호가 틀렸습니다." in answer.text
        assert "password are wrong" not in answer.text


def notice(happened: Happened, kind: AlertType = AlertType.ALERT) -> Notice:
    one = Notice(
        key="k",
        alert_id="a1",
        happened=Happened.OPENED,
        severity=Severity.HIGH,
        type=kind,
        title="제목",
        rule_id="규칙",
        rule_name="규칙",
        source="운영",
        log_type="Wiz.Audit",
        opened_us=0,
        description="설명",
        runbook="한 줄",
        note="참고할 것",
        link="https://x.io/1",
        reference="https://x.io/2",
        merged=3,
    )
    digest = (one,) if happened is Happened.DIGEST else ()
    return Notice(
        **{**{name: getattr(one, name) for name in one.__struct_fields__}, "happened": happened, "digest": digest}
    )


KEPT = re.compile(r"https?://\S+|ocelog alerts show \w+|\[(HIGH|INFO)\]|HIGH|Ocelog|Wiz\.Audit|UTC")


@pytest.mark.parametrize("kind", AlertType)
@pytest.mark.parametrize("happened", Happened)
def test_a_message_in_korean_has_no_english_word_of_ours(happened: Happened, kind: AlertType) -> None:
    for form in Form:
        made = render(notice(happened, kind), form, language="ko")
        text = re.sub(r"<[^>]*>", " ", f"{made.title}\n{made.body}")
        assert re.findall(r"[A-Za-z]{2,}", KEPT.sub(" ", text)) == [], text
        assert made != render(notice(happened, kind), form), "English is another"


def test_what_people_hear_of_a_channel_calls_it_a_destination() -> None:
    row = ChannelRow(id="c", name="oncall", kind="file", added_us=1)
    raised = (
        delivering.failed(None, row, "it is full", 1, 2, lambda *_: False),
        delivering.unrouted(None, alert_of(1), 1, 2, lambda *_: False),
    )
    texts = [f"{each.alert.title} {each.alert.description} {each.alert.runbook}" for each in raised if each.alert]
    texts.append(render(notice(Happened.TEST, AlertType.ALERT)).body)
    for text in texts:
        assert "destination" in text
        assert "channel" not in re.sub(r"ocelog channel \w+", "", text)


def test_a_channel_speaks_the_language_that_it_is_set_to(tmp_path: Path) -> None:
    given = {
        "apprise": {"url": "slack://TokenA/TokenB/TokenC"},
        "pagerduty": {"routing_key": "0" * 32},
        "opsgenie": {"api_key": "a" * 36},
    }
    people = {name for name, kind in CHANNELS.items() if "language" in {each.name for each in kind.settings}}
    assert people == set(given)
    for name, settings in given.items():
        for language, expected in (({}, "en"), ({"language": "ko"}, "ko"), ({"language": " EN "}, "en")):
            values = Values(kind=name, given={**settings, **language}, home=tmp_path)
            assert CHANNELS[name].build(values).language == expected  # type: ignore[attr-defined] # of these kinds
        with pytest.raises(ConfigError, match="one of en, ko"):
            CHANNELS[name].build(Values(kind=name, given={**settings, "language": "fr"}, home=tmp_path))
    assert headline(notice(Happened.CLOSED), "ko") == "[HIGH] 종료됨: 제목"


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("Wiz outpost removed", "Wiz 아웃포스트 제거"),
        ("Wiz outpost: DeleteOutpost succeeded", "Wiz 아웃포스트: DeleteOutpost 성공"),
        ("Critical Wiz issue: Wiz threat on vm: 1", "Critical Wiz 이슈: Wiz threat on vm: 1"),
        (
            "Wiz issue raised from LOW to HIGH: A: {a} on c",
            "Wiz 이슈 심각도가 LOW에서 HIGH로 상승: A: {a} on c",
        ),
        ("Wiz: Kim {b} came from 192.0.2.1 for the first time", "Wiz: Kim {b}, 192.0.2.1에서 처음 접속"),
        ("Many Wiz issues rejected by Kim", "Wiz 이슈 다수 거부: Kim"),
        ("Wiz outpost: two words succeeded", "Wiz outpost: two words succeeded"),
        ("What nobody has written", "What nobody has written"),
    ],
)
def test_titles_are_in_a_language_and_what_they_name_is_not(title: str, shown: str) -> None:
    assert title_in("ko", title, "Ocelog.Wiz.X") == shown
    assert title_in("en", title, "Ocelog.Wiz.X") == title
    assert title_in("ko", title, "Mine.X") == title
    told = notice(Happened.OPENED)
    ours = replace(told, title=title, rule_id="Ocelog.Wiz.X")
    assert headline(ours, "ko") == f"[HIGH] {shown}"


@pytest.mark.parametrize("form", Form)
def test_a_message_of_a_rule_that_comes_along_says_what_to_do_in_the_language_of_its_channel(form: Form) -> None:
    ours = replace(
        notice(Happened.OPENED),
        rule_id="Ocelog.Wiz.Issues.NewHigh",
        description="Wiz tried what an attacker would do, and it worked; the issue is open.",
        runbook="1. Open `url`; find the owner by `projects` and `entitySnapshot.tags`.\n2. Assign it within 7 days.",
    )
    made = render(ours, form, language="ko").body
    assert "Wiz가 공격자가 할 만한 일을 시도하여 성공했으며" in made
    assert "할 일: 1" in made
    assert "7일 안에 담당자를 지정하십시오" in made
    assert "Assign it" not in made
    for language, rule in (("en", ours.rule_id), ("ko", "Mine.NewHigh")):
        assert "Assign it within 7 days" in render(replace(ours, rule_id=rule), form, language=language).body


def test_no_reason_is_shown_as_programs_write_it() -> None:
    for language in ("en", "ko"):
        shown = [catalogue(language).gettext(each.value) for each in CloseReason]
        assert [each for each in shown if "_" in each] == []


def test_times_and_counts_are_written_as_the_reader_writes_them(tmp_path: Path) -> None:
    with console_of(tmp_path / "home") as console:
        now = datetime.now(UTC)
        at = timedelta(minutes=1)
        events = [row("Wiz.Audit", f"a{number}", now - at, action="Login") for number in range(1_200)]
        land(console.installation, "Wiz.Audit", events)
        guest = console.as_(Role.VIEWER)
        counted = guest.get("/search/histogram?log=Wiz.Audit").text
        assert "1,200 events" in counted
        picker = {
            language: re.findall(
                r'<option value="(\w+)"[^>]*>([^<]*)',
                guest.get("/search?period=45m", headers={"accept-language": language}).text.split('id="period"')[1],
            )[:7]
            for language in ("en", "ko")
        }
    assert picker["en"] == [
        *(("1h", "1 hour"), ("24h", "24 hours"), ("7d", "7 days"), ("30d", "30 days"), ("90d", "90 days")),
        *(("365d", "1 year"), ("45m", "45 minutes")),
    ]
    assert [text for _, text in picker["ko"]] == ["1시간", "24시간", "7일", "30일", "90일", "1년", "45분"]


def test_how_long_something_is_so_is_told_in_each_language() -> None:
    text = Phrase("No event for %(time)s, as of %(asked)s", time=about(timedelta(hours=50, minutes=3)), asked="12:00")
    assert text == "No event for 2d 2h, as of 12:00"
    assert "2일 2시간" in translated(text, "ko")
    assert translated(about(timedelta(0)), "ko") == "0초"
