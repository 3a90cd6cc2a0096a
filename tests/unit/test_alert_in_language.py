"""An alert of our own is read in another language, on pages and in messages, and what others wrote stays as it is."""

import re
import runpy
import sys
from datetime import timedelta
from importlib import resources
from pathlib import Path

import pytest
from msgspec.structs import replace

from bookkeeping.alerts import alert_of
from ocelog.alert import changes
from ocelog.alert.alert import Alert, TimelineEntry
from ocelog.alert.changes import CloseReason
from ocelog.alert.delivery import delivering
from ocelog.alert.delivery.routing import ChannelRow
from ocelog.alert.in_language import answer, detail, kind, texts
from ocelog.alert.notice import AlertType, Happened, Notice
from ocelog.channels.message import render
from ocelog.detect.event import Event
from ocelog.health.settings import AlarmSettings
from ocelog.health.stream import AlarmState, ClockReading, Facts, State, Trouble, first_look
from ocelog.health.telling import ErrorNotice, ErrorType, OpenError, StreamName, left_behind, notices
from ocelog.kept_texts import kept_text, reworded
from ocelog.model import Severity
from ocelog.times import from_us

NOW = from_us(1_800_000_000_000_000)
STREAM = StreamName(source="운영", source_id="s1", log_type="Wiz.Audit")
NAMES = re.compile(r"Wiz\.Audit|UTC|ocelog [\w ./-]+|[A-Z]{4,}|Ocelog")


def english(text: str) -> list[str]:
    return re.findall(r"[A-Za-z]{2,}", NAMES.sub(" ", text))


def all_notices() -> list[ErrorNotice]:
    """Return all that health tells, but for what the texts of errors say."""
    facts = Facts(now=NOW, poll=timedelta(minutes=5))
    memory = first_look(NOW - timedelta(days=3))
    settings = AlarmSettings()
    silent = replace(memory, alarm=AlarmState.ALARM, silence=timedelta(hours=50), rejected_at=NOW)
    seen = ClockReading(ours=NOW - timedelta(hours=50), source=NOW - timedelta(hours=50))
    opened = [
        each
        for some in (
            facts,
            replace(facts, still_rejected=1_234, received=seen),
            replace(facts, unreadable=1),
            replace(facts, unreadable=7),
            replace(facts, trouble=Trouble.FORBIDDEN, trouble_text="막힘"),
            replace(facts, trouble=Trouble.PROCESSING, trouble_text="막힘"),
        )
        for each in notices(STREAM, some, silent, settings, {})
    ]
    before = {
        each: OpenError(stream=STREAM, type=each, opened=NOW - timedelta(hours=3), told=NOW) for each in ErrorType
    }
    well = replace(memory, alarm=AlarmState.OK)
    over = [
        *notices(STREAM, facts, well, settings, before),
        *notices(STREAM, replace(facts, still_rejected=3), replace(well, state=State.QUIET), settings, before),
        *notices(STREAM, facts, well, replace(settings, after=None), before),
        *left_behind(list(before.values()), (), NOW),
    ]
    assert {each.error.type for each in opened} == set(ErrorType)
    return opened + over


def system_alert(**more: object) -> Alert:
    return replace(alert_of(1), type=AlertType.SYSTEM_ERROR, rule_id="SOURCE_NO_DATA", **more)


def notice_of(alert: Alert, happened: Happened = Happened.OPENED, note: str = "") -> Notice:
    shared = set(Notice.__struct_fields__) & set(Alert.__struct_fields__)
    values = {name: getattr(alert, name) for name in shared}
    return Notice(**values, key="k", alert_id=alert.id, happened=happened, note=note, source=alert.source_label)


def test_what_is_told_of_a_stream_has_no_english_word_in_korean() -> None:
    for each in all_notices():
        assert english(reworded(each.text, "ko")) == [], each.text
        if each.turn.value != "recovered":
            shown = texts(system_alert(title=each.title, description=each.text), "ko")
            assert english(shown.title + shown.description) == []
            assert shown.title.startswith("운영 Wiz.Audit: ")


def test_what_is_told_of_channels_has_no_english_word_in_korean() -> None:
    row = ChannelRow(id="c1", name="당직", kind="file", added_us=1)
    for raised in (
        delivering.failed(None, row, "가득 참", 1, 2, lambda *_: False),
        delivering.unrouted(None, replace(alert_of(1), rule_id="규칙", id="1"), 1, 2, lambda *_: False),
    ):
        shown = texts(raised.alert, "ko")
        assert english(f"{shown.title} {shown.description.replace('file', '')} {shown.runbook}") == []
        assert kind(raised.alert, "ko") == "알림 전송 실패"


def test_a_message_of_our_own_is_in_the_language_of_its_destination() -> None:
    alert = system_alert(
        title="prod Wiz.Audit: no events",
        description="No event has ever come. It lasted 2d.",
        runbook="See how it is, and what to do: ocelog status prod",
        rule_name="SOURCE_NO_DATA",
    )
    made = render(notice_of(alert, Happened.ESCALATED, "it is still so"), language="ko")
    assert "prod Wiz.Audit: 이벤트 미수신" in made.title
    assert "이벤트가 들어온 적이 없습니다. 지속 시간: 2일." in made.body
    assert "상태와 할 일을 확인하십시오: ocelog status prod" in made.body
    assert "규칙: 이벤트 미수신" in made.body
    assert "여전히 그 상태임" in made.body
    plain = render(notice_of(alert), language="en")
    assert "prod Wiz.Audit: no events" in plain.title
    assert "Rule: No events" in plain.body


def test_what_a_rule_says_stays_as_it_is() -> None:
    said = replace(
        alert_of(1),
        rule_name="Keys",
        title="it works again",
        description="The alarm was turned off.",
        runbook="it is muted",
    )
    assert texts(said, "ko") == texts(said, "en")
    assert texts(said, "ko").title == "it works again"
    late = replace(said, title="Keys: events that were read late")
    assert texts(late, "ko").title == "Keys: 늦게 읽은 이벤트"
    another = replace(said, title="Other: events that were read late")
    assert texts(another, "ko").title == another.title


@pytest.mark.parametrize(
    ("reason", "shown"),
    [(None, "ann이(가) 사유 없이 거부했습니다."), ("WONT_FIX", "ann이(가) 거부했습니다. 사유: WONT_FIX.")],
)
def test_what_python_of_a_rule_that_comes_along_says_is_read_in_another_language(
    monkeypatch: pytest.MonkeyPatch, reason: str | None, shown: str
) -> None:
    folder = Path(str(resources.files("ocelog"))) / "content" / "rules" / "wiz"
    monkeypatch.syspath_prepend(str(folder / "global_helpers"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    rule = runpy.run_path(str(folder / "issues" / "critical_rejected.py"))
    said = rule["description"](Event({"resolutionReason": reason, "resolvedBy": {"user": {"name": "ann"}}}))
    alert = replace(alert_of(1), description=said, rule_id="Ocelog.Wiz.Issues.CriticalRejected")
    assert texts(alert, "ko").description == shown
    assert texts(alert, "en").description == said
    assert texts(replace(alert, rule_id="Mine.Rejected"), "ko").description == said


def test_a_rule_of_ones_own_stays_as_it_is_written_though_it_says_what_one_that_comes_along_says() -> None:
    runbook = "1. Open `url`; find the owner by `projects` and `entitySnapshot.tags`.\n2. Assign it within 7 days."
    alert = replace(alert_of(1), runbook=runbook, rule_id="Ocelog.Wiz.Issues.NewHigh")
    assert texts(alert, "ko").runbook.endswith("2. 7일 안에 담당자를 지정하십시오.")
    assert texts(replace(alert, rule_id="Mine.NewHigh"), "ko").runbook == runbook


@pytest.mark.parametrize(
    ("what", "told", "shown"),
    [
        ("comment", "it is muted", "it is muted"),
        ("closed", "true_positive", "정탐"),
        ("closed", "false_positive: 시험; nobody was told", "오탐: 시험; 아무에게도 알리지 않음"),
        ("reopened", "nobody was told", "아무에게도 알리지 않음"),
        ("assigned", "to ann@x.io", "→ ann@x.io"),
        ("unassigned", "was ann", "이전 담당자 ann"),
        ("severity", "LOW to HIGH", "LOW → HIGH"),
        ("escalated", "from LOW to HIGH", "LOW → HIGH"),
        ("escalated", "to ops: nobody acknowledged it within 30 minutes", "ops(으)로: 30분 안에 아무도 확인하지 않음"),
        ("untold", "ops: it came and went within its quiet time", "ops: 알리지 않는 시간 안에 나타났다가 사라짐"),
        ("resolved", "its record does not match any more", "레코드가 더 이상 일치하지 않음"),
        (
            "suppressed",
            "suppression 1a of ann until 2026-11-28T11:00:00Z: 교육",
            "ann의 음소거 1a, 2026-11-28T11:00:00Z까지: 교육",
        ),
        ("opened", "12 matches of its window before are not in it", "이 시간대의 앞선 일치 12건은 포함하지 않음"),
        ("opened", "", ""),
    ],
)
def test_a_timeline_is_read_in_korean(what: str, told: str, shown: str) -> None:
    assert detail(TimelineEntry(alert_id="a", at_us=1, who="ann", what=what, detail=told), "ko") == shown


def test_no_reason_is_shown_as_programs_write_it_in_english_either() -> None:
    entry = TimelineEntry(alert_id="a", at_us=1, who="ann", what="closed", detail="true_positive: seen")
    assert detail(entry, "en") == "true positive: seen"


def test_what_a_person_did_is_told_in_the_language_of_the_destination() -> None:
    change = changes.close(CloseReason.BENIGN, "계획된 일", who="ann")(replace(alert_of(1), to_be_told=True), 5)
    assert change is not None
    body = render(notice_of(change.alert, Happened.CLOSED, change.note), language="ko").body
    assert re.search(r"ann: \S+: 계획된 일", body)
    assert "benign" not in body


def test_what_came_of_a_delivery_is_read_in_korean() -> None:
    assert answer("written 1408 bytes", "ko") == "1408바이트를 기록함"
    assert answer("written 1408 bytes", "en") == "written 1408 bytes"
    assert answer("200 ok", "ko") == "200 ok"
    lost = "it is not known whether it was sent: it is sent again"
    assert answer(lost, "ko") == "보내졌는지 알 수 없어 다시 보냅니다"


def test_a_kind_is_a_word_and_a_rule_keeps_its_name() -> None:
    alert = system_alert()
    assert (kind(alert, "ko"), kind(alert, "en")) == ("이벤트 미수신", "No events")
    own = replace(alert, type=AlertType.ALERT, rule_name="SOURCE_NO_DATA")
    assert kind(own, "ko") == "SOURCE_NO_DATA"
    digest = Notice(
        key="k",
        alert_id="digest-1",
        happened=Happened.DIGEST,
        severity=Severity.INFO,
        title=kept_text("%(count)s alerts", count="12"),
        opened_us=1,
    )
    assert "알림 12건" in render(digest, language="ko").title
