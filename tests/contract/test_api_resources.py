"""What programs do through the REST API: pages, what is made once, what is refused, and what no answer holds."""

import json
import re
import shlex
import threading
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fastapi import routing
from msgspec.structs import replace
from sqlalchemy import select

from ocelog.access import Role, Scope
from ocelog.app.alerts import channels
from ocelog.app.alerts.channels import ChannelChange
from ocelog.app.rule_folders import rule_folders
from ocelog.app.status.status_report import status_report
from ocelog.app.users import users
from ocelog.console.api.paging import write_cursor
from ocelog.detect.folders import RuleFolder
from ocelog.detect.unjudged import UnjudgedRows
from ocelog.errors import ChannelRefusedError
from ocelog.ledger import tables
from visiting import Console, Program, console_of, program
from visiting.everything import ISSUES, RULE, SECRET, add_source, fill, nothing_is_asked


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with (
        pytest.MonkeyPatch.context() as patch,
        console_of(tmp_path_factory.mktemp("console") / "home") as opened,
    ):
        nothing_is_asked(patch)
        yield opened


@pytest.fixture(scope="module")
def there(console: Console) -> Mapping[str, str]:
    return fill(console)


@pytest.fixture
def asked(console: Console, there: Mapping[str, str]) -> Program:
    assert there
    return program(console)


def pages(asked: Program, path: str, **more: Any) -> list[list[Any]]:
    """Return the pages of a list."""
    found, cursor = list[list[Any]](), ""
    while True:
        answer = asked("GET", f"{path}{cursor}", **more)
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["items"])
        if answer.json()["next"] is None:
            return found
        cursor = f"&cursor={answer.json()['next']}"


@pytest.mark.slow
@pytest.mark.parametrize(("path", "key"), [("/sources", "id"), ("/alerts", "id"), ("/rules", "id"), ("/users", "name")])
def test_pages_hold_each_entry_once(asked: Program, path: str, key: str) -> None:
    whole = [each[key] for page in pages(asked, f"{path}?limit=200") for each in page]
    assert len(whole) > 1
    limit = max(1, len(whole) // 4)
    apart = pages(asked, f"{path}?limit={limit}")
    assert [each[key] for page in apart for each in page] == whole
    assert all(len(page) == limit for page in apart[:-1])


def test_events_are_searched_page_by_page(asked: Program) -> None:
    found, cursor = list[Any](), None
    while True:
        body = {"log_type": "issues", "since": "7d", "limit": 7, "columns": ["id"], "cursor": cursor}
        answer = asked("POST", "/events/search", json=body)
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        cursor = answer.json()["next"]
        if cursor is None:
            break
    assert len({each["p_row_id"] for each in found}) == len(found) == 31
    one = asked("GET", f"/events/{ISSUES}/{found[0]['p_row_id']}").json()
    assert one["event"]["p_row_id"] == found[0]["p_row_id"]
    assert {each["id"] for each in one["versions"]} == {found[0]["id"]}
    for wrong in (
        {"conditions": [{"field": "'; DROP TABLE x --", "operator": "is", "value": "1"}], "log_type": "issues"},
        {"columns": ['x" FROM secrets --']},
        {"since": "never"},
        {"log_type": "nothing"},
    ):
        answer = asked("POST", "/events/search", json=wrong)
        assert (answer.status_code, answer.json()["code"]) == (422, "config_invalid"), wrong


def test_sql_is_answered_with_so_many_rows_and_reads_nothing_else(asked: Program) -> None:
    answer = asked("POST", "/query", json={"sql": "SELECT range AS n, 'NaN'::DOUBLE AS x FROM range(9)", "limit": 3})
    found = answer.json()
    assert (len(found["rows"]), found["truncated"], found["rows"][2]) == (3, True, {"n": 2, "x": None})
    lines = asked("POST", "/query", json={"sql": "SELECT 1 AS a, '수' AS b", "format": "ndjson"})
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(each) for each in lines.text.splitlines()] == [{"a": 1, "b": "수"}]
    for sql in (
        "SELECT * FROM read_text('/etc/passwd')",
        "DROP TABLE wiz_issues",
        "SELECT 1; SELECT 2",
        "SELEC",
    ):
        answer = asked("POST", "/query", json={"sql": sql})
        assert answer.status_code == 422, sql

    huge = asked("POST", "/query", json={"sql": "SELECT repeat(chr(1), 9000000) AS much"})
    assert (huge.status_code, "by its column 'much'" in huge.json()["detail"]) == (422, True)
    strange = asked("POST", "/query", json={"sql": f"SELECT {', '.join(STRANGE)}"})
    assert list(strange.json()["rows"][0].values()) == list(STRANGE.values())

    half = asked("POST", "/query", content=b'{"sql": "\\ud83d"}', headers={"content-type": "application/json"})
    assert half.status_code == 422


STRANGE = {
    "'infinity'::TIMESTAMP AS a": "infinity",
    "'9999-12-31 24:00:00'::TIMESTAMP AS b": "10000-01-01 00:00:00",
    "'-infinity'::TIMESTAMPTZ AS c": "-infinity",
    "[DATE 'infinity'] AS d": ["infinity"],
    "TIME '24:00:00' AS e": "24:00:00",
}
"""Values of SQL that Python does not know."""
NEW_CHANNEL = {"kind": "webhook", "secrets": {"url": "https://hooks.example.com/x", "secret": "s" * 40}}


def test_what_is_made_with_a_key_is_made_once(asked: Program, console: Console) -> None:
    body = {"name": "once@example.com", "role": "viewer", "password": "four random words do well"}
    headers = {"idempotency-key": "a-key"}
    first = asked("POST", "/users", json=body, headers=headers)
    again = asked("POST", "/users", json=body, headers=headers)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    other = asked("POST", "/users", json={**body, "role": "admin"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    without = asked("POST", "/users", json=body)
    assert without.status_code == 422, "the name is taken"
    stranger = program(console)("POST", "/users", json=body, headers=headers)
    assert stranger.status_code == 422, "a key is of its token"


def test_of_what_is_done_with_an_alert_by_a_key_no_copy_of_it_is_kept(asked: Program, console: Console) -> None:
    alert = asked("GET", "/alerts?limit=200").json()["items"][-1]["id"]
    body = {"do": "comment", "text": "x" * 4_000}
    headers = {"idempotency-key": "comment"}
    first = asked("POST", f"/alerts/{alert}/changes", json=body, headers=headers)
    later = asked("POST", f"/alerts/{alert}/changes", json={"do": "comment", "text": "later"})
    again = asked("POST", f"/alerts/{alert}/changes", json=body, headers=headers)
    assert (first.status_code, again.status_code, again.headers["idempotent-replayed"]) == (200, 200, "true")
    assert again.json()["timeline"] == later.json()["timeline"], "it was not done again, and is as it is by now"
    with console.installation.ledger._database.read() as tx:
        kept = tx.execute(select(tables.api_answers.c.body)).scalars().all()
    assert not any("xxxx" in (each or "") for each in kept)


def test_of_two_requests_with_a_key_at_once_one_is_done(asked: Program, console: Console) -> None:
    body = {"name": "two@example.com", "role": "viewer", "password": "four random words do well"}
    barrier, answers = threading.Barrier(2), list[Any]()

    def ask() -> None:
        one = Program(console.guest().client, asked.token)
        barrier.wait()
        answers.append(one("POST", "/users", json=body, headers={"idempotency-key": "both"}))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert {each.status_code for each in answers} <= {201, 409}
    assert sum(each.status_code == 201 and "idempotent-replayed" not in each.headers for each in answers) == 1
    added = [each for each in users.listed(console.installation) if each.name == "two@example.com"]
    assert len(added) == 1


def test_what_failed_with_a_key_may_be_sent_again(asked: Program) -> None:
    headers = {"idempotency-key": "again"}
    body = {"name": "again@example.com", "role": "viewer", "password": "short"}
    assert asked("POST", "/users", json=body, headers=headers).status_code == 422
    body["password"] = "four random words do well"
    assert asked("POST", "/users", json=body, headers=headers).status_code == 201


def test_a_token_is_shown_once_even_with_a_key(asked: Program, console: Console) -> None:
    body = {"user": "viewer@example.com", "name": "made by a program", "scope": "read", "lasts": "1d"}
    first = asked("POST", "/tokens", json=body, headers={"idempotency-key": "t"})
    again = asked("POST", "/tokens", json=body, headers={"idempotency-key": "t"})
    token = first.json()["token"]
    assert token.startswith("ocelog_")
    assert again.json() == {**first.json(), "token": None}
    made = Program(console.guest().client, token)
    assert made("GET", "/me").json()["role"] == "viewer"
    assert token not in asked("GET", "/tokens").text
    assert asked("DELETE", f"/tokens/{first.json()['id']}").status_code == 204
    assert made("GET", "/me").status_code == 401


def test_no_answer_holds_the_secret_of_a_source(asked: Program) -> None:
    assert SECRET not in asked("GET", "/sources/prod").text
    body = {
        "name": "third",
        "settings": {"token_url": "cognito", "client_id": "third", "api_url": "us1"},
        "log_types": ["issues"],
        "secret": SECRET,
    }
    made = asked("POST", "/sources", json=body)
    assert made.status_code == 201, made.text
    assert SECRET not in made.text
    for wrong in ({"ca_file": "/etc/passwd"}, {"rate": "much"}, {"nothing": "x"}, {"projects": "x"}):
        answer = asked("POST", "/sources", json={**body, "name": "x", "settings": {**body["settings"], **wrong}})  # type: ignore[dict-item]
        assert answer.status_code == 422, wrong
    assert asked("PATCH", "/sources/third", json={"paused": True, "no_events_after": "6h"}).json()["paused"] is True
    assert asked("GET", "/sources/third").json()["no_events_after"] == "6h"
    assert asked("POST", "/sources/third/secret", json={"secret": "other-secret"}).status_code == 204
    assert asked("DELETE", "/sources/third").status_code == 204
    assert asked("GET", "/sources/third").status_code == 404


def test_a_program_works_with_alerts(asked: Program, console: Console, there: Mapping[str, str]) -> None:
    alert = there["alert"]
    assert asked("GET", f"/alerts/{alert}").json()["status"] == "OPEN"
    triage = program(console, Role.ANALYST, Scope.TRIAGE)
    noted = triage("POST", f"/alerts/{alert}/changes", json={"do": "comment", "text": "<b>seen</b>"}).json()
    assert noted["timeline"][-1]["detail"] == "<b>seen</b>"
    assert noted["timeline"][-1]["who"] == "analyst@example.com"
    quiet = triage("POST", f"/alerts/{alert}/changes", json={"do": "comment", "text": "hush", "quiet": True}).json()
    assert quiet["timeline"][-1]["detail"] == "hush; nobody was told"
    closed = triage("POST", f"/alerts/{alert}/changes", json={"do": "close", "reason": "benign"}).json()
    assert (closed["status"], closed["close_reason"]) == ("CLOSED", "benign")
    assert triage("POST", f"/alerts/{alert}/changes", json={"do": "close"}).status_code == 422
    some = [each["id"] for each in asked("GET", "/alerts?limit=2").json()["items"]]
    body = {"ids": some, "do": "assign", "assignee": "ann"}
    assert triage("POST", "/alerts/changes", json=body).json() == {"changed": 2, "alerts": []}
    assert asked("GET", f"/alerts/{alert}/events").status_code == 200


def test_who_gives_a_secret_as_a_setting_is_told_how_to_give_it(asked: Program) -> None:
    body = {"name": "x", "kind": "webhook", "settings": {"url": "https://hook.example/very-secret"}}
    refused = asked("POST", "/channels", json=body)
    assert (refused.status_code, "very-secret" in refused.text) == (422, False)
    assert "Give it in `secrets`." in refused.json()["detail"]


def test_channels_reach_no_file_and_no_private_address(asked: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    for body in (
        {"name": "x", "kind": "file", "settings": {"path": "/tmp/x"}},
        {"name": "x", "kind": " File", "settings": {"path": "/tmp/x"}},
        {"name": "x", "kind": "stdout"},
        {"name": "x", **NEW_CHANNEL, "settings": {"allow_private": "yes"}},
        {"name": "x", **NEW_CHANNEL, "settings": {"ca_file": "/etc/passwd"}},
    ):
        answer = asked("POST", "/channels", json=body)
        assert (answer.status_code, "only by a command" in answer.text) == (422, True), answer.text
    assert asked("PATCH", "/channels/ops", json={"settings": {"path": "/tmp/y"}}).status_code == 422
    routed = asked("PATCH", "/channels/ops", json={"route": {"severities": ["HIGH"], "per_hour": 5}, "paused": True})
    assert (routed.json()["route"]["severities"], routed.json()["paused"]) == (["HIGH"], True)
    assert asked("POST", "/channels/ops/test").json()["delivered"] is True

    def refuse(*_: Any) -> None:
        raise ChannelRefusedError("It answered 401.")

    monkeypatch.setattr(channels, "send_test", refuse)
    told = asked("POST", "/channels/ops/test").json()
    refused = {"delivered": False, "status": None, "answer": "It answered 401.", "code": "channel_refused"}
    assert told == {**refused, "later": False}


def test_the_secrets_of_a_channel_go_to_no_address_that_is_named_remotely(asked: Program) -> None:
    key, elsewhere = "k" * 16, "https://elsewhere.example.com/x"
    genie_key = "01234567-89ab-cdef-0123-456789abcdef"
    address = {"url": "https://hooks.example.com/x"}
    hook = {"name": "signed", "kind": "webhook", "secrets": {**address, "signing_key": key}}
    assert asked("POST", "/channels", json=hook).status_code == 201
    genie = {"name": "genie", "kind": "opsgenie", "secrets": {"api_key": genie_key}}
    assert asked("POST", "/channels", json=genie).status_code == 201
    for name, moved, secrets in (
        ("signed", {"secrets": {"url": elsewhere}}, {"url": elsewhere, "signing_key": key}),
        ("genie", {"settings": {"url": elsewhere}}, {"api_key": genie_key}),
    ):
        answer = asked("PATCH", f"/channels/{name}", json=moved)
        assert (answer.status_code, "is sent there" in answer.text) == (422, True), answer.text
        assert asked("PATCH", f"/channels/{name}", json={**moved, "secrets": secrets}).status_code == 200
        assert asked("DELETE", f"/channels/{name}").status_code == 204


def test_rules_are_turned_tested_and_tried(asked: Program) -> None:
    listed = asked("GET", f"/rules?text={RULE}").json()["items"]
    assert listed
    rule = listed[0]["id"]
    turned = asked("PATCH", f"/rules/{rule}", json={"enabled": not listed[0]["enabled"]}).json()
    assert turned["enabled"] is not listed[0]["enabled"]
    report = asked("POST", f"/rules/{rule}/tests").json()
    assert report["passed"] == report["tests"] > 0
    tried = asked("POST", f"/rules/{rule}/try", json={"since": "7d"})
    assert tried.status_code == 200, tried.text
    assert asked("POST", f"/rules/{rule}/try", json={"since": "31d"}).status_code == 422


def test_what_programs_change_is_on_the_trail_with_their_token(asked: Program) -> None:
    asked("PATCH", "/sources/spare", json={"paused": True})
    deed, before = asked("GET", "/trail?limit=2").json()["items"]
    assert (deed["what"], deed["target"]) == ("source.paused", "spare")
    assert (before["what"], before["target"]) != ("source.edited", "spare"), "nothing else was changed"
    assert deed["details"]["token"].startswith("test ")


def test_streams_health_and_schemas_are_told(asked: Program) -> None:
    assert {each["source"] for each in asked("GET", "/streams").json()["items"]} >= {"prod", "spare"}
    assert asked("GET", "/health").json()["streams"] >= 6
    named = [each["log_type"] for each in asked("GET", "/schemas").json()["items"]]
    columns = asked("GET", f"/schemas/{named[0]}").json()["columns"]
    assert {"p_row_id", "p_event_time"} <= {each["name"] for each in columns}
    assert asked("GET", "/rejections").json() == {"items": [], "next": None}


@pytest.mark.slow
def test_the_lines_of_the_guide_work(asked: Program) -> None:
    text = (Path(__file__).parents[2] / "docs" / "how-to" / "use-the-api.md").read_text()
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    lines = [line for line in blocks.splitlines() if line.startswith("curl ")]
    assert len(lines) > 6
    for line in lines:
        words = shlex.split(line.replace("$OCELOG_API", "").replace("$OCELOG_TOKEN", asked.token))
        data = words[words.index("-d") + 1] if "-d" in words else None
        headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
        assert headers.pop("Authorization") == f"Bearer {asked.token}"
        answer = asked("GET" if data is None else "POST", words[-1], content=data, headers=headers)
        assert answer.status_code in {200, 201}, (line, answer.text)


def test_every_setting_of_a_source_is_edited_and_its_secret_stays_where_it_was(
    asked: Program, console: Console
) -> None:
    add_source(console, "edited")
    body: dict[str, Any] = {
        "settings": {"rate": 2.5, "projects": ["p-1"]},
        "log_types": ["issues"],
        "backfill": "90d",
        "poll": "1m",
        "sweep_every": "2d",
        "no_events_after": "6h",
        "no_events": {"issues": {"after": "off", "quiet_hours": "22:00-07:00 Europe/Berlin"}},
    }
    edited = asked("PATCH", "/sources/edited", json=body)
    assert edited.status_code == 200, edited.text
    found = edited.json()
    assert (found["log_types"], found["projects"], found["settings"]["rate"]) == ([ISSUES], ["p-1"], 2.5)
    assert (found["backfill"], found["poll"], found["sweep"], found["sweep_every"]) == ("90d", "1m", True, "2d")
    assert found["no_events"][ISSUES]["after"] == "off"
    assert found["no_events"][ISSUES]["quiet_hours"].startswith("22:00-07:00")
    again = asked("PATCH", "/sources/edited", json={"no_events": {"issues": {"after": None}}}).json()
    assert again["no_events"][ISSUES]["after"] == "6h", "as for all of them"
    deed = next(
        each for each in asked("GET", "/trail?limit=5").json()["items"] if "rate" in each["details"].get("changed", "")
    )
    assert (deed["what"], deed["target"]) == ("source.edited", "edited")
    for wrong in (
        {"poll": "0s"},
        {"sweep_every": "1m"},
        {"backfill": "soon"},
        {"log_types": ["nothing"]},
        {"settings": {"ca_file": "/etc/passwd"}},
        {"no_events": {"issues": {"after": "1s"}}},
        {"settings": {"token_url": "https://elsewhere.example.com/oauth/token"}},
    ):
        assert asked("PATCH", "/sources/edited", json=wrong).status_code == 422, wrong
    assert asked("GET", "/sources/edited").json() == again


def test_each_part_of_a_route_is_edited_and_what_is_left_out_stays(asked: Program, console: Console) -> None:
    path = console.installation.home.path.parent / "routed.json"
    channels.add(console.installation, "file", "routed", ChannelChange(settings={"path": str(path)}))
    route: dict[str, Any] = {
        "severities": ["HIGH"],
        "types": ["ALERT"],
        "log_types": [ISSUES],
        "rules": ["Wiz.*"],
        "quiet_hours": "22:00-07:00 Asia/Seoul",
        "critical_pierces": False,
        "per_hour": 5,
        "escalate_after": "30m",
    }
    assert asked("PATCH", "/channels/routed", json={"route": route}).json()["route"] == route
    any_ = {"severities": [], "types": [], "log_types": [], "rules": [], "critical_pierces": True, "per_hour": 0}
    for name, given in (any_ | {"quiet_hours": "off", "escalate_after": "off"}).items():
        route[name] = None if given == "off" else given
        assert asked("PATCH", "/channels/routed", json={"route": {name: given}}).json()["route"] == route, name


def test_packs_and_rules_are_turned_and_listed_by_folder(asked: Program) -> None:
    packs = {each["id"]: each for page in pages(asked, "/packs?limit=3") for each in page}
    pack = next(each for each in packs.values() if each["on"] > 0 and each["turned"] is None)
    off = asked("PATCH", f"/packs/{pack['id']}", json={"enabled": False}).json()
    assert (off["turned"], off["on"] < pack["on"]) == (False, True)
    assert asked("PATCH", f"/packs/{pack['id']}", json={"enabled": True}).json()["on"] == pack["rules"]
    assert asked("PATCH", "/packs/nothing", json={"enabled": True}).status_code == 404
    (folder,) = asked("GET", "/rule-folders").json()
    assert folder["built_in"] is True
    assert {each["id"] for each in folder["rules"]} >= {RULE}
    turned = asked("POST", "/rules/changes", json={"names": [RULE, pack["id"]], "enabled": False}).json()
    assert (turned["rules"], turned["packs"]) == ([RULE], [pack["id"]])
    refused = asked("POST", "/rules/changes", json={"names": [RULE, "Nothing"], "enabled": True})
    assert refused.status_code == 422
    assert asked("GET", f"/rules/{RULE}").json()["enabled"] is False, "all of them or none"
    assert asked("POST", "/rules/changes", json={"names": [RULE, pack["id"]], "enabled": True}).status_code == 200
    assert asked("GET", f"/rules/{RULE}/report").json()["folder"] == folder["folder"]


def test_a_folder_that_is_being_written_is_listed_as_a_command_lists_it(
    asked: Program, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(number: int) -> None:
        lines = f"RuleID: Mine.R{number}", "AnalysisType: rule", f"Filename: r{number}.py", "LogTypes: [Wiz.Audit]"
        (tmp_path / f"r{number}.py").write_text("def rule(event):\n    return False\n")
        (tmp_path / f"r{number}.yml").write_text("\n".join([*lines, "Enabled: true", "Severity: LOW", ""]))

    def wait(folders: Collection[RuleFolder], _good: object) -> list[RuleFolder]:
        write(2)
        assert tmp_path in [Path(each.path) for each in folders]
        return []

    write(1)
    added = rule_folders.register(console.installation, tmp_path, name="written").folder
    monkeypatch.setattr(rule_folders, "wait_for_rest", wait)
    (folder,) = asked("GET", "/rule-folders?folder=written").json()
    assert [each["id"] for each in folder["rules"]] == ["Mine.R1", "Mine.R2"]
    monkeypatch.undo()
    rule_folders.unregister(console.installation, added.name)


def test_what_was_not_judged_is_listed_up_to_a_limit_that_fits(asked: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(_: object, rule: str | None) -> list[UnjudgedRows]:
        assert rule is None
        one = UnjudgedRows(
            rule_id="", table="wiz_audit", source_id="acme", reason="slow", rows=1, first_us=1, last_us=1, noted_us=1
        )
        return [replace(one, rule_id=f"R.{number}") for number in range(3)]

    monkeypatch.setattr(rule_folders, "unjudged", rows)
    for bad in ("0", "-1", "201", "x"):
        assert asked("GET", f"/unjudged?limit={bad}").status_code == 422
    assert [each["rule"] for each in asked("GET", "/unjudged?limit=2").json()] == ["R.0", "R.1"]
    assert len(asked("GET", "/unjudged").json()) == 3


def test_searches_are_kept_for_oneself_or_for_all(asked: Program, console: Console) -> None:
    triage = program(console, Role.ANALYST, Scope.TRIAGE)
    own, shared = (
        triage("POST", "/saved-searches", json={"name": name, "address": "/search?log=issues", "shared": share}).json()
        for name, share in (("mine", False), ("ours", True))
    )
    assert {each["id"] for each in triage("GET", "/saved-searches").json()["items"]} >= {own["id"], shared["id"]}
    others = {each["id"] for each in asked("GET", "/saved-searches").json()["items"]}
    assert (shared["id"] in others, own["id"] in others) == (True, False)
    wrong = triage("POST", "/saved-searches", json={"name": "x", "address": "https://elsewhere.example.com/"})
    assert wrong.status_code == 422
    assert triage("DELETE", f"/saved-searches/{own['id']}").status_code == 204
    assert triage("DELETE", f"/saved-searches/{own['id']}").status_code == 404
    assert asked("DELETE", f"/saved-searches/{shared['id']}").status_code == 204, "an admin removes any"


def test_alerts_are_kept_quiet_for_a_while(asked: Program) -> None:
    body = {"rule": "Acme.*", "where": ["severity=LOW"], "sources": ["prod"], "lasts": "4h", "reason": "a test"}
    made = asked("POST", "/suppressions", json=body)
    assert made.status_code == 201, made.text
    found = made.json()
    assert (found["owner"], found["where"]) == ("admin@example.com", {"severity": ["LOW"], "source": ["prod"]})
    assert found["unknown_rule"]
    assert found["id"] in {each["id"] for each in asked("GET", "/suppressions").json()["items"]}
    assert asked("DELETE", f"/suppressions/{found['id']}").json() == {"id": found["id"], "changed": True}
    assert asked("DELETE", f"/suppressions/{found['id']}").json()["changed"] is False
    assert asked("GET", "/suppressions?over=true").json()["items"]
    assert asked("POST", "/suppressions", json={"reason": "for ever"}).status_code == 422


@pytest.mark.parametrize("sort", ["opened", "severity", "last_match"])
def test_alerts_are_read_in_each_order_and_counted(asked: Program, sort: str) -> None:
    whole = asked("GET", f"/alerts?everything=true&sort={sort}&limit=200").json()
    assert whole["total"] == len(whole["items"]) > 1
    seen = list[str]()
    cursor: str | None = ""
    while cursor is not None:
        page = asked("GET", f"/alerts?everything=true&sort={sort}&limit=1{cursor and f'&cursor={cursor}'}").json()
        assert page["total"] == whole["total"]
        seen += [each["id"] for each in page["items"]]
        cursor = page["next"]
    assert seen == [each["id"] for each in whole["items"]]


def test_a_cursor_of_alerts_is_one_that_the_list_returned(asked: Program) -> None:
    for place in ("", "1.2", "9999", "0.1.zz"):
        cursor = write_cursor(place)
        assert asked("GET", f"/alerts?cursor={cursor}").json()["code"] == "cursor_invalid"
    assert asked("GET", "/alerts?sort=luck").json()["code"] == "request_invalid"


def test_a_page_of_alerts_with_large_contexts_is_short_and_none_is_missed(
    asked: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = [each["id"] for each in asked("GET", "/alerts?everything=true&limit=200").json()["items"]]
    assert len(every) > 1
    monkeypatch.setattr("ocelog.console.api.alerts._MOST_CONTEXT", 1)
    further, seen = "", list[str]()
    while True:
        page = asked("GET", f"/alerts?everything=true&limit=200{further}").json()
        assert (len(page["items"]), page["total"]) == (1, len(every))
        seen += [each["id"] for each in page["items"]]
        if page["next"] is None:
            break
        further = f"&cursor={page['next']}"
    assert seen == every


def test_several_alerts_change_together_or_not_at_all(asked: Program) -> None:
    some = [each["id"] for each in asked("GET", "/alerts?limit=2").json()["items"]]
    body = {"do": "comment", "text": "seen", "all_or_none": True, "quiet": True}
    refused = asked("POST", "/alerts/changes", json={**body, "ids": [*some, "f" * 32]})
    assert refused.status_code == 422
    done = asked("POST", "/alerts/changes", json={**body, "ids": some}).json()
    assert {each["id"] for each in done["alerts"]} == set(some)
    sent = asked("POST", "/alerts/resend", json={"ids": some}).json()
    for each in (*done["alerts"], *sent["alerts"]):
        assert not {"context", "description", "runbook", "reference"} & each.keys(), "so many may be of megabytes"
    timeline = asked("GET", f"/alerts/{some[0]}").json()["timeline"]
    assert [each["detail"] for each in timeline if each["what"] == "comment"] == ["seen; nobody was told"]
    after = asked("GET", f"/alerts?limit=1&after={some[0]}").json()["items"]
    assert [each["id"] for each in after] == some[1:]


def ending_of(content: bytes) -> tuple[pa.Table, Any]:
    """Return the rows of an Arrow stream, and what it says at its end."""
    reader = pa.ipc.open_stream(content)
    batches, metadata = list[pa.RecordBatch](), None
    while True:
        try:
            found = reader.read_next_batch_with_custom_metadata()
        except StopIteration:
            break
        batches.append(found.batch)
        metadata = found.custom_metadata
    assert metadata is not None
    return pa.Table.from_batches(batches), json.loads(metadata[b"ocelog.ending"])


def test_an_answer_is_exported_whole_and_says_how_it_ended(asked: Program) -> None:
    def export(sql: str, form: str, **more: Any) -> Any:
        return asked("POST", "/query/export", json={"sql": sql, "format": form, **more})

    table, ending = ending_of(export("SELECT range AS n FROM range(25000)", "arrow").content)
    assert table.column("n").to_pylist() == list(range(25_000))
    assert ending == {"rows": None, "truncated": False, "remarks": [], "error": None, "code": None, "later": False}
    table, ending = ending_of(export("SELECT range AS n FROM range(25000)", "arrow", limit=10).content)
    assert (table.num_rows, ending["rows"], ending["truncated"]) == (10, 25_000, True)
    table, ending = ending_of(export("SELECT 1 AS n WHERE false", "arrow").content)
    assert (table.num_rows, table.column_names, ending["truncated"]) == (0, ["n"], False)
    late = "SELECT CASE WHEN range < 1900000 THEN 1 ELSE error('late')::INT END AS n FROM range(2000000)"
    table, ending = ending_of(export(late, "arrow").content)
    assert (ending["code"], ending["truncated"]) == ("query_invalid", True)
    assert "late" in ending["error"]
    assert export("SELECT '=1+1' AS a", "csv").text == "a\r\n'=1+1\r\n"
    table, ending = ending_of(export("SELECT repeat(chr(1), 9000000) AS much", "arrow").content)
    assert (table.num_rows, ending["code"], "by its column 'much'" in ending["error"]) == (0, "query_invalid", True)
    lines = export("SELECT repeat('x', 700000) AS a FROM range(5)", "ndjson").text.splitlines()
    assert [len(json.loads(line)["a"]) for line in lines] == [700_000] * 5
    assert export("SELECT 1 AS a", "ndjson").json() == {"a": 1}
    assert export("SELECT 1 AS a", "parquet").content.startswith(b"PAR1")
    assert export("SELEC", "arrow").status_code == 422
    assert export("SELECT 1 AS a", "csv", limit=1).status_code == 422
    assert asked("GET", "/trail?limit=1").json()["items"][0]["what"] == "query.exported"


def test_no_large_answer_is_written_by_the_thread_that_answers_all(
    asked: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert, rule = (asked("GET", f"{path}?limit=1").json()["items"][0]["id"] for path in ("/alerts", "/rules"))

    async def write(**named: Any) -> None:
        pytest.fail(f"{named['field'].name} is written here")

    monkeypatch.setattr(routing, "serialize_response", write)
    large = ("/status", "/coverage", "/rejections", "/alerts", f"/alerts/{alert}", f"/alerts/{alert}/events")
    for path in (*large, f"/rules/{rule}/report"):
        answer = asked("GET", path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), path


def test_status_is_told_in_the_words_of_the_command(asked: Program, console: Console) -> None:
    told = asked("GET", "/status?max_lag=30d").json()
    found = status_report(console.installation, allowed=timedelta(days=30), now=datetime.now(UTC))
    assert (told["first"], told["urgent"], told["streams"]) == (found.first, found.urgent, found.streams)
    assert told["values"].keys() == found.values.keys()
    one = asked("GET", "/status?source=prod").json()
    assert {each["source"] for each in one["streams"]} == {"prod"}
    assert one["details"]
    assert asked("GET", "/status?source=nobody").status_code == 404
    assert asked("GET", "/status?max_lag=soon").status_code == 422
    assert asked("GET", "/coverage").json()["not_measured"]
    assert {"table", "meaning"} <= asked("GET", "/tables").json()[0].keys()
    columns = asked("GET", "/tables/wiz_issues_current").json()["columns"]
    assert "p_row_id" in {each["column"] for each in columns}


def test_a_user_is_changed_in_all_that_is_asked_or_in_nothing(asked: Program) -> None:
    new = {"name": "kim", "role": "admin", "password": "four random words do"}
    assert asked("POST", "/users", json=new).status_code == 201
    refused = asked("PATCH", "/users/kim", json={"role": "viewer", "password": "short", "disabled": True})
    assert refused.status_code == 422
    now = asked("GET", "/users/kim").json()
    assert (now["role"], now["disabled_at"]) == ("admin", None)
