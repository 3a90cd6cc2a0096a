"""What a record that somebody pastes becomes: an event or a rejection, and which rules match it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from ocelog.access import Role, Scope
from ocelog.app.records.samples import MOST_RECORDS, sample
from ocelog.errors import ConfigError
from visiting import SAME_SITE, Console, console_of, program

AUDIT = "Wiz.Audit"
DELETED = {
    "id": "220d23be-f07c-4d97-b4a6-87ad04eddb14",
    "action": "DeleteConnector",
    "actionType": "MUTATION",
    "requestId": "0d9521b2-c3f8-4a73-bf7c-20257788752e",
    "status": "SUCCESS",
    "timestamp": "2026-07-29T09:40:15.66643Z",
    "actionParameters": {"input": {"id": "<script>alert(1)</script>"}},
    "userAgent": "Mozilla/5.0",
    "sourceIP": "8.8.8.8",
    "serviceAccount": None,
    "user": {"id": "kim@example.com", "name": "kim@example.com"},
}
WRONG = DELETED | {"id": "e0d5c1a2-0000-4000-8000-000000000000", "timestamp": "yesterday"}
RULE = "Ocelog.Wiz.Blinding.ConnectorDeleted"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with console_of(tmp_path_factory.mktemp("console") / "home") as opened:
        yield opened


def pasted(console: Console, text: str, log_type: str = AUDIT) -> Any:
    return console.as_(Role.ANALYST).post(f"/schemas/{log_type}", text=text)


def test_a_record_becomes_an_event_and_the_rules_that_match_are_named(console: Console) -> None:
    answer = pasted(console, json.dumps(DELETED, indent=2))
    assert answer.status_code == 200, answer.text
    assert "1 event ·" in answer.text
    assert "0 rejections" in answer.text
    assert 'href="/rules/' in answer.text
    assert "connector deleted" in answer.text
    assert "p_any_ip_addresses" in answer.text
    assert "<script>alert(1)" not in answer.text
    # It is there to be changed and sent again.
    assert "0d9521b2-c3f8-4a73-bf7c-20257788752e&" in answer.text


def test_log_types_and_their_columns_are_described_in_the_language_of_the_reader(console: Console) -> None:
    viewer, korean = console.as_(Role.VIEWER), {"accept-language": "ko"}
    for language, told in (
        ({}, "A risk that Wiz found on one resource"),
        (korean, "Wiz가 한 리소스에서 발견한 위험의"),
    ):
        for path in ("/schemas", "/schemas/Wiz.Issues"):
            assert told in viewer.get(path, headers=language).text
    columns = re.findall(r'<td class="long whole">([^<]*)</td>', viewer.get("/schemas/Wiz.Issues", headers=korean).text)
    assert "이슈의 담당자." in columns
    assert [each for each in columns if each and not re.search("[가-힣]", each)] == []
    assert "Who the issue is assigned to." in viewer.get("/schemas/Wiz.Issues").text


def test_titles_of_matches_of_a_record_are_in_the_language_of_the_reader(console: Console) -> None:
    headers = SAME_SITE | {"accept-language": "ko"}
    shown = console.as_(Role.ANALYST).post(f"/schemas/{AUDIT}", headers=headers, text=json.dumps(DELETED))
    assert "Wiz 커넥터 삭제" in shown.text


def test_what_does_not_fit_says_where(console: Console) -> None:
    answer = pasted(console, f"{json.dumps(DELETED)}\n{json.dumps(WRONG)}\n")
    assert "1 event ·" in answer.text
    assert "1 rejection ·" in answer.text
    assert "$.timestamp" in answer.text


@pytest.mark.parametrize(
    "text", ["", " \n", "nonsense", "[1, 2", "7", '{"id": ', "[" * 100_000, '{"a":' + "[" * 100_000]
)
def test_what_is_no_record_is_refused_or_rejected_with_a_reason(console: Console, text: str) -> None:
    answer = pasted(console, text)
    assert answer.status_code in (200, 422)
    assert 'role="alert"' in answer.text or "1 rejection ·" in answer.text


def test_too_much_is_refused(console: Console) -> None:
    many = json.dumps([DELETED] * (MOST_RECORDS + 1))
    assert f"up to {MOST_RECORDS}" in pasted(console, many).text
    with pytest.raises(ConfigError, match="are taken here"):
        sample(console.installation, AUDIT, json.dumps({**DELETED, "userAgent": "x" * 300_000}))


def test_an_array_is_as_good_and_nothing_is_kept(console: Console) -> None:
    found = sample(console.installation, AUDIT, json.dumps([DELETED, WRONG]))
    assert [each["id"] for each in found.events] == [DELETED["id"]]
    assert [each.record_id for each in found.rejections] == [WRONG["id"]]
    assert found.asked > 10
    assert found.troubles == []
    assert {each.event for each in found.matches} == {0}
    assert console.installation.ledger.lake.unpublished("wiz_audit")[0] == 0


def test_a_program_gets_the_same(console: Console) -> None:
    asked = program(console, Role.ANALYST, Scope.TRIAGE)
    answer = asked("POST", "/schemas/audit/sample", json={"text": json.dumps(DELETED)})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["events"][0]["p_event_time"].startswith("2026-07-29T09:40:15.66643")
    assert any(each["title"] for each in told["matches"])
    assert asked("POST", "/schemas/none/sample", json={"text": "{}"}).status_code == 404


def test_everybody_sees_the_columns_and_a_viewer_pastes_nothing(console: Console) -> None:
    viewer = console.as_(Role.VIEWER)
    assert AUDIT in viewer.get("/schemas").text
    page = viewer.get(f"/schemas/{AUDIT}")
    assert "p_any_usernames" in page.text
    assert "<textarea" not in page.text
    assert viewer.post(f"/schemas/{AUDIT}", text="{}").status_code == 403
    assert viewer.get("/schemas/Wiz.None").status_code == 404
