"""Alerts in the browser: what was done to many is said, and to which it was."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine, event, insert, update

from bookkeeping.alerts import alert_of, opened
from bookkeeping.records import source_row
from ocelog.access import Role
from ocelog.alert.alert import Telling
from ocelog.alert.delivery.delivering import DeliveryRefusal, OutgoingMessage
from ocelog.alert.delivery.suppressing import Suppression
from ocelog.alert.notice import AlertType, Happened
from ocelog.app.alerts import alerts, channels
from ocelog.app.alerts.channels import ChannelChange
from ocelog.console.pages import alerts as console_alerts
from ocelog.ledger import tables
from ocelog.ledger.rows import alerts as rows
from ocelog.model import Severity
from ocelog.times import to_us
from visiting import SAME_SITE, Console, Guest, console_of, pages_around


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    with console_of(tmp_path / "home") as made:
        channels.add(made.installation, "file", "ops", ChannelChange(settings={"path": str(tmp_path / "ops.json")}))
        opened(made.installation.ledger, *(alert_of(number) for number in range(1, 5)), told=["ops"])
        yield made


def bulk(guest: Guest, do: str, *numbers: int) -> str:
    ids = [alert_of(number).id for number in numbers]
    form = {"csrf": guest.token, "do": do, "ids": ids, "reason": "benign"}
    answer = guest.client.post("/alerts?status=OPEN", data=form, headers=SAME_SITE)
    assert answer.status_code == 303
    shown = guest.get(answer.headers["location"])
    assert shown.status_code == 200
    return str(shown.text)


def chosen(text: str) -> set[str]:
    return set(re.findall(r'name="ids" value="([^"]+)" checked', text))


def test_it_says_to_how_many_it_was_done_and_to_how_many_not(console: Console) -> None:
    analyst = console.as_(Role.ANALYST)
    assert "3 alerts were closed." in bulk(analyst, "close", 1, 2, 3)
    again = bulk(analyst, "close", 1, 4)
    assert "1 alert was closed." in again
    assert "1 stayed as it was." in again
    assert "1 alert was opened again." in bulk(analyst, "reopen", 4)


def test_what_is_no_id_is_not_told_back(console: Console) -> None:
    analyst = console.as_(Role.ANALYST)
    form = {"csrf": analyst.token, "do": "triage", "ids": ["f" * 20_000] * 50}
    answer = analyst.client.post("/alerts", data=form, headers=SAME_SITE)
    assert (answer.status_code, "location" in answer.headers) == (422, False)


def test_what_was_chosen_stays_chosen_for_what_is_done_next(console: Console) -> None:
    analyst = console.as_(Role.ANALYST)
    taken = bulk(analyst, "take", 1, 3)
    assert "2 alerts were assigned to you." in taken
    assert chosen(taken) == {alert_of(1).id, alert_of(3).id}
    # What is sent from there is done to the same list, and says nothing old.
    assert 'action="/alerts?status=OPEN"' in taken
    assert chosen(bulk(analyst, "close", 1)) == set()


@pytest.mark.parametrize("query", ["said=nonsense&count=3", f"said=close&count={'9' * 5000}", "said=close&count=-1"])
def test_an_address_makes_up_nothing(console: Console, query: str) -> None:
    text = console.as_(Role.ANALYST).get(f"/alerts?{query}").text
    assert "nonsense" not in re.sub(r"<form.*?>", "", text)
    assert not re.search(r"\b[1-9]\d* alerts? w", text)


def test_what_is_sent_again_says_so_and_what_waits_for_nothing_is_due(console: Console) -> None:
    analyst, path = console.as_(Role.ANALYST), f"/alerts/{alert_of(2).id}"
    assert "It is being sent again." in analyst.get(analyst.post(path, do="resend").headers["location"]).text
    later = analyst.get(path).text
    assert "It is being sent again." not in later
    assert "ops: is due" in later
    assert "waits until" not in later


def test_closing_does_not_look_like_what_is_done_by_default(console: Console) -> None:
    text = console.as_(Role.ANALYST).get(f"/alerts/{alert_of(2).id}").text
    assert re.search(r'<button class="btn" name="do" value="close">', text)


def test_no_address_is_a_link_but_that_of_the_record(console: Console) -> None:
    page, other = "https://app.wiz.io/issues/1", "https://evil.example/sign-in"
    opened(console.installation.ledger, alert_of(9, link=page, context={"url": page, "note": other}))
    text = console.as_(Role.VIEWER).get(f"/alerts/{alert_of(9).id}").text
    assert text.count(f'href="{page}"') == 2
    assert other in text
    assert f'href="{other}"' not in text


def listed(text: str) -> list[int]:
    return [int(each, 16) for each in re.findall(r'<tr data-href="/alerts/([0-9a-f]+)">', text)]


def test_a_list_says_how_many_there_are_on_all_its_pages(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = console.as_(Role.VIEWER)
    assert re.search(r"<p[^>]*>4 alerts</p>", viewer.get("/alerts").text)
    assert re.search(r"<p[^>]*>1 alert</p>", viewer.get("/alerts?text=Alert+3").text)
    monkeypatch.setattr("ocelog.app.alerts.alerts.MOST_COUNTED", 3)
    monkeypatch.setattr("ocelog.console.pages.alerts._PAGE", 2)
    text = viewer.get("/alerts").text
    assert "3 alerts or more" in text
    assert listed(text) == [4, 3]


def test_a_long_timeline_begins_with_its_newest_entries(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_alerts, "_ENTRIES", 2)
    analyst, alert = console.as_(Role.ANALYST), alert_of(1).id
    for text in ("first note", "second note", "third note"):
        assert analyst.post(f"/alerts/{alert}", do="comment", text=text).status_code == 303
    shown = analyst.get(f"/alerts/{alert}").text
    assert ("first note" in shown, "second note" in shown, "third note" in shown) == (False, True, True)
    assert "2 earlier entries are not shown." in shown
    every = analyst.get(f"/alerts/{alert}?everything=1").text
    assert ("first note" in every, "not shown" in every) == (True, False)


def test_a_source_among_many_is_named_rather_than_chosen(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer, names = console.as_(Role.VIEWER), [f"tenant-{number}" for number in range(3)]
    for number, name in enumerate(names):
        console.installation.ledger.sources.add(source_row(f"id-{number}", name=name))
    assert all(f">{name}</option>" in viewer.get("/alerts").text for name in names)
    monkeypatch.setattr(console_alerts, "_MOST_OFFERED", 2)
    text = viewer.get("/alerts").text
    assert not any(name in text for name in names)
    assert 'name="source" value=""' in text
    for asked in ("id-1", "tenant-1"):
        assert 'name="source" value="tenant-1"' in viewer.get(f"/alerts?source={asked}").text
    wrong = viewer.get("/alerts?source=tenant-1x")
    assert (wrong.status_code, 'name="source" value="tenant-1x"' in wrong.text) == (422, True)


def test_a_list_is_sorted_and_its_pages_hold_whatever_becomes_of_their_last_alert(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocelog.console.pages.alerts._PAGE", 2)
    ledger, viewer = console.installation.ledger, console.as_(Role.VIEWER)
    worst = alert_of(1, id=f"{11:032x}", severity=Severity.CRITICAL, last_event_us=alert_of(3).opened_us + 1)
    opened(ledger, worst)
    assert listed(viewer.get("/alerts?sort=severity").text) == [11, 4]
    first = viewer.get("/alerts?sort=last_match").text
    assert listed(first) == [4, 11]
    assert 'aria-sort="descending">Last match' in first
    # It matches again, and stands elsewhere by now.
    with ledger._database.write() as tx:
        later = {"last_event_us": alert_of(9).opened_us}
        tx.execute(update(tables.alerts).where(tables.alerts.c.id == worst.id).values(later))
    assert listed(viewer.get(pages_around(first)["More"]).text) == [3, 2]


def test_what_is_done_to_many_leads_back_to_their_page_or_the_one_before_if_none_is_left(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocelog.console.pages.alerts._PAGE", 1)
    opened(console.installation.ledger, alert_of(5))
    analyst = console.as_(Role.ANALYST)
    text = analyst.get("/alerts?status=OPEN&sort=severity").text
    for _ in range(3):
        text = analyst.get(pages_around(text)["More"]).text
    assert listed(text) == [2]

    def done(do: str, number: int) -> str:
        action = re.search(r'<form method="post" action="(/alerts[^"]*)"', text)
        assert action
        form = {"csrf": analyst.token, "do": do, "ids": [alert_of(number).id], "reason": "benign"}
        answer = analyst.client.post(unescape(action[1]), data=form, headers=SAME_SITE)
        return str(analyst.get(answer.headers["location"]).text if answer.is_redirect else answer.text)

    text = done("take", 2)
    assert (listed(text), "Previous page" in text) == ([2], True)
    assert '<option value="severity" selected>' in text
    # The one behind it takes its place; then there is none, and the one before it is shown.
    text = done("close", 2)
    assert listed(text) == [1]
    text = done("close", 1)
    assert (listed(text), "1 alert was closed." in text) == ([3], True)
    # What is refused stays there, too.
    assert listed(done("nonsense", 3)) == [3]
    # Nothing of what was said is sent with the next deed.
    assert "said=" not in text


def test_an_address_that_names_hundreds_of_empty_pages_costs_as_little_as_one(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, page_of, asked = console.as_(Role.VIEWER), console_alerts._page_of, list[object]()

    def counted(*given: Any) -> Any:
        asked.append(given)
        return page_of(*given)

    monkeypatch.setattr(console_alerts, "_page_of", counted)
    # Behind the last of all, and behind the newest but one.
    nowhere, second = "0.-1.0", alert_of(3).id
    assert listed(viewer.get(f"/alerts?after={nowhere}{f'&after={nowhere}' * 299}").text) == [4, 3, 2, 1]
    assert listed(viewer.get(f"/alerts?after={second}&after={second}{f'&after={nowhere}' * 299}").text) == [2, 1]
    assert len(asked) < 30


def test_a_list_leads_back_page_by_page_and_to_its_first(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocelog.console.pages.alerts._PAGE", 1)
    viewer = console.as_(Role.VIEWER)
    first = viewer.get("/alerts?text=Alert").text
    assert list(pages_around(first)) == ["Older"]
    second = viewer.get(pages_around(first)["Older"]).text
    assert list(pages_around(second)) == ["First page", "Older"], "what is before the second is the first"
    third = viewer.get(pages_around(second)["Older"]).text
    assert list(pages_around(third)) == ["First page", "Previous page", "Older"]
    last = viewer.get(pages_around(third)["Older"]).text
    assert [listed(each) for each in (first, second, third, last)] == [[4], [3], [2], [1]]
    assert list(pages_around(last)) == ["First page", "Previous page"]
    assert listed(viewer.get(pages_around(last)["Previous page"]).text) == [2]
    assert listed(viewer.get(pages_around(third)["Previous page"]).text) == [3]
    assert pages_around(last)["First page"] == "/alerts?text=Alert"


def test_a_list_is_of_one_source_and_what_an_address_makes_up_is_refused(console: Console) -> None:
    ledger, viewer = console.installation.ledger, console.as_(Role.VIEWER)
    ledger.sources.add(source_row(id="other", name="Other tenant"))
    opened(ledger, alert_of(9, source_id="other", source_label="Other tenant"))
    text = viewer.get("/alerts?source=other").text
    assert listed(text) == [9]
    assert '<option value="other" selected>Other tenant</option>' in text
    for query in ("source=nowhere", "sort=luck", "after=1.2.3.4", "after=0.9.zz", "sort=severity&after=9.-.0"):
        assert viewer.get(f"/alerts?{query}").status_code == 422


def test_it_says_by_which_values_an_alert_is_grouped_and_leaves_out_those_that_are_not_there(console: Console) -> None:
    dedups = {
        9: "user.id=null, user.name=ann=null, sourceIP=null",
        10: "user.id=null, sourceIP=null",
        11: "name=nullable, status=null",
    }
    opened(console.installation.ledger, *(alert_of(number, dedup=dedup) for number, dedup in dedups.items()))
    viewer = console.as_(Role.VIEWER)
    shown = [
        re.search(r"<dt[^>]*>Grouped by</dt><dd[^>]*>([^<]*)<", viewer.get(f"/alerts/{alert_of(number).id}").text)
        for number in dedups
    ]
    assert [found and found[1] for found in shown] == ["user.name=ann=null", None, "name=nullable"]


def test_instants_in_what_an_alert_says_are_shown_as_all_others_but_not_in_code(console: Console) -> None:
    said = (
        "Since 2026-11-28 11:20 UTC, and <b> 2026-11-28T11:20:30Z. Not `2026-11-28 11:21 UTC`, 2026-13-28 11:20 UTC or "
        "x2026-11-28T11:20:00Z."
    )
    todo = "Run: ocelog pull --since 2026-11-28T11:00:00Z, once it is 2026-11-28 11:22 UTC"
    opened(console.installation.ledger, alert_of(9, description=said, runbook=todo))
    text = console.as_(Role.VIEWER).get(f"/alerts/{alert_of(9).id}").text
    assert (
        'Since <time datetime="2026-11-28T11:20:00Z">2026-11-28 11:20 UTC</time>, and &lt;b&gt; '
        '<time datetime="2026-11-28T11:20:30Z" data-precise>2026-11-28 11:20:30 UTC</time>. '
        "Not <code>2026-11-28 11:21 UTC</code>, 2026-13-28 11:20 UTC or x2026-11-28T11:20:00Z."
    ) in text
    assert (
        '--since 2026-11-28T11:00:00Z, once it is <time datetime="2026-11-28T11:22:00Z">2026-11-28 11:22 UTC</time>'
    ) in text


def test_a_runbook_that_says_to_open_the_record_leads_there(console: Console) -> None:
    page, runbook = (
        "https://app.wiz.io/issues/1?a=\\1&b=<i>",
        "1. Open `url`, <b>read</b> `url`.\n2. See: ocelog rules list",
    )
    opened(console.installation.ledger, alert_of(9, link=page, runbook=runbook), alert_of(10, runbook=runbook))
    viewer = console.as_(Role.VIEWER)
    text = viewer.get(f"/alerts/{alert_of(9).id}").text
    opens = re.findall(r'<a href="([^"]+)" rel="noreferrer noopener" target="_blank"><code>url</code></a>', text)
    assert [unescape(each) for each in opens] == [page]
    assert "&lt;b&gt;read" in text
    assert '<a href="/rules">' in text
    # Without an address of its own it stays a name.
    other = viewer.get(f"/alerts/{alert_of(10).id}").text
    assert "Open <code>url</code>" in other
    assert "ocelog rules list" not in other


def test_a_rule_is_a_link_where_it_has_a_page_and_what_is_empty_is_left_out(console: Console) -> None:
    context: dict[str, Any] = {"user": None, "parameters": {}, "tags": [], "note": "", "count": 0}
    first = alert_of(9, context=context, title="the same", dedup="the same")
    opened(console.installation.ledger, first, alert_of(10, rule_id="ONBOARDED"), alert_of(11, rule_id="mine/*"))
    viewer = console.as_(Role.VIEWER)
    links = [f'<a href="/rules/{each.rule_id}' in viewer.get(f"/alerts/{each.id}").text
             for each in (first, alert_of(10, rule_id="ONBOARDED"), alert_of(11, rule_id="mine/*"))]  # fmt: skip
    assert links == [True, False, False]
    text = viewer.get(f"/alerts/{first.id}").text
    shown = re.findall(r'<dt class="col-12 col-md-3 long">([^<]*)</dt><dd[^>]*>([^<]*)', text)
    assert shown == [("count", "0")]
    assert "Grouped by" not in text


def test_the_fields_of_an_alert_are_named_in_the_language_of_the_reader(console: Console) -> None:
    context = {"resource_type": "BUCKET", "severity": "HIGH", "own_field": "x"}
    opened(console.installation.ledger, alert_of(9, context=context))
    path, viewer = f"/alerts/{alert_of(9).id}", console.as_(Role.VIEWER)
    for language, names in (("en", ["resource type", "own field"]), ("ko", ["리소스 유형", "심각도", "own field"])):
        text = viewer.get(path, headers={"accept-language": language}).text
        for name in names:
            assert f">{name}</dt>" in text, name


def test_what_says_how_to_go_on_in_a_page_types_no_command(console: Console) -> None:
    ledger, analyst = console.installation.ledger, console.as_(Role.ANALYST)
    opened(ledger, alert_of(9, severity=Severity.INFO))
    (row,) = ledger.channels.listed()
    channels.edit(
        console.installation,
        row,
        ChannelChange(
            routing=lambda before: replace(
                before, route=replace(before.route, severities=frozenset({Severity.CRITICAL}))
            )
        ),
    )
    refused = analyst.post(f"/alerts/{alert_of(9).id}", do="resend")
    assert refused.status_code == 422
    assert "No destination takes the alert" in refused.text
    assert '<a href="/channels">' in refused.text
    assert "--channel" not in refused.text
    unknown = console.as_(Role.ADMIN).post(f"/channels/{'x' * 40}/pause").text
    assert "There is no destination a text that is not shown" in unknown
    assert "not shown: perhaps" not in unknown


def test_alerts_of_rules_that_come_along_have_titles_in_the_language_of_the_reader(console: Console) -> None:
    ours = {"rule_id": "Ocelog.Wiz.Blinding.OutpostRemoved", "rule_name": "Wiz outpost removed"}
    opened(console.installation.ledger, alert_of(9, title="Wiz outpost: DeleteOutpost succeeded", **ours))
    viewer, korean = console.as_(Role.VIEWER), {"accept-language": "ko"}
    title = "Wiz 아웃포스트: DeleteOutpost 성공"
    listed = viewer.get("/alerts", headers=korean).text
    assert f">{title}</a>" in listed
    assert "Wiz 아웃포스트 제거" in listed
    path = f"/alerts/{alert_of(9).id}"
    assert f'<h1 class="long">{title}</h1>' in viewer.get(path, headers=korean).text
    assert "Wiz outpost: DeleteOutpost succeeded" in viewer.get(path).text


def test_alerts_of_rules_that_come_along_say_what_to_do_in_the_language_of_the_reader(console: Console) -> None:
    ours = {"rule_id": "Ocelog.Wiz.Issues.NewHigh", "link": "https://app.wiz.io/issues/1"}
    runbook = "1. Open `url`; find the owner by `projects` and `entitySnapshot.tags`.\n2. Assign it within 7 days."
    former = runbook.replace("7 days", "9 days")
    description = "A high issue is open. Most tenants have many: it is off by default; see ImportantProject."
    written = {"description": description, "runbook": runbook}
    opened(
        console.installation.ledger,
        alert_of(9, **written, **ours),
        alert_of(10, **{**written, "runbook": former}, **ours),
        alert_of(11, **{**written, **ours, "rule_id": "Mine.NewHigh"}),
    )
    viewer = console.as_(Role.VIEWER)
    now, changed, own = (
        viewer.get(f"/alerts/{alert_of(number).id}", headers={"accept-language": "ko"}).text for number in (9, 10, 11)
    )
    link = '<a href="https://app.wiz.io/issues/1" rel="noreferrer noopener" target="_blank"><code>url</code></a>'
    assert f"1. {link}을 열고, <code>projects</code>와 <code>entitySnapshot.tags</code>로 소유자를 찾으십시오." in now
    for text in (now, changed):
        assert "High 이슈가 열려 있습니다." in text
    assert "2. Assign it within 9 days." in changed, "what its rule no longer says stands as it was written"
    assert "A high issue is open." in own
    assert "2. Assign it within 7 days." in own
    assert "2. Assign it within 7 days." in viewer.get(f"/alerts/{alert_of(9).id}").text


def test_an_alert_is_closed_and_a_part_of_a_page_too_in_words_of_their_own(console: Console) -> None:
    opened(console.installation.ledger, alert_of(9))
    analyst = console.as_(Role.ANALYST)
    for language, word in (("en", "Close"), ("ko", "종료")):
        for path in ("/alerts", f"/alerts/{alert_of(9).id}"):
            text = analyst.get(path, headers={"accept-language": language}).text
            assert f'value="close">{word}</button>' in text
    assert "data-close>닫기</button>" in text


def test_an_alert_of_our_own_is_shown_in_the_language_of_the_reader(console: Console) -> None:
    ours = alert_of(
        9,
        type=AlertType.SYSTEM_ERROR,
        rule_id="SOURCE_NO_DATA",
        rule_name="SOURCE_NO_DATA",
        title="acme Wiz.Audit: no events",
        description="No event has ever come. The last event came at 2026-11-28 11:20 UTC.",
        runbook="See how it is, and what to do: ocelog status acme",
    )
    opened(console.installation.ledger, ours)
    viewer = console.as_(Role.VIEWER)
    text = viewer.get(f"/alerts/{ours.id}", headers={"accept-language": "ko"}).text
    listed = viewer.get("/alerts", headers={"accept-language": "ko"}).text
    for page in (text, listed):
        assert "acme Wiz.Audit: 이벤트 미수신" in page
        assert '<span title="SOURCE_NO_DATA">이벤트 미수신</span>' in page
    assert "이벤트가 들어온 적이 없습니다." in text
    assert '마지막 이벤트 수신: <time datetime="2026-11-28T11:20:00Z">' in text
    assert "상태와 할 일을 확인하십시오: <a href=" in text
    assert "no events" not in text + listed
    assert '<span title="SOURCE_NO_DATA">No events</span>' in viewer.get("/alerts").text


def test_a_timeline_and_deliveries_are_read_in_the_language_of_the_reader(console: Console) -> None:
    analyst, path = console.as_(Role.ANALYST), f"/alerts/{alert_of(2).id}"
    alert, ledger = alert_of(2), console.installation.ledger
    analyst.post(path, do="close", reason="true_positive", text="it is muted")
    analyst.post(path, do="reopen")
    analyst.post(path, do="take")
    (row,) = ledger.channels.listed()
    with ledger._database.write() as tx:
        values = {
            "alert_id": alert.id,
            "channel_id": row.id,
            "outbox_id": 1,
            "happened": "opened",
            "at_us": 1,
        }
        done = {"delivered": True, "final": True, "answer": "written 1408 bytes", "merged": 1}
        tx.execute(insert(tables.deliveries).values(**values, **done))
    text = analyst.get(path, headers={"accept-language": "ko"}).text
    assert re.search(r" · <time [^>]*>[^<]*</time>에 열림 · ", text), "when, and not another status"
    items = re.findall(r"<li class=.list-group-item.*?</li>", text)
    shown = [" ".join(unescape(re.sub("<[^>]*>", " ", each)).split()) for each in items]
    told = [each.split(" UTC ", 1)[-1] for each in shown]
    who = "analyst@example.com"
    assert told[:4] == [
        "ocelog 열림",
        f"{who} 종료됨 정탐: it is muted",
        f"{who} 다시 열림",
        f"{who} 담당자 지정 → {who}",
    ]
    assert told[-1] == "ops 열림 전송됨 1408바이트를 기록함"
    waiting = [each for each in told[4:-1] if "ops" in each]
    assert len(waiting) == len(set(waiting)) == 1, "what holds a destination up is said once"


def test_lines_of_what_a_rule_says_flow(console: Console) -> None:
    runbook = "1. Read the permissions, and ask whether\n   they were planned.\n2. Take it\nback."
    opened(console.installation.ledger, alert_of(9, runbook=runbook, description="A bucket\nis open."))
    text = console.as_(Role.VIEWER).get(f"/alerts/{alert_of(9).id}").text
    assert "A bucket is open." in text
    assert "1. Read the permissions, and ask whether they were planned.\n2. Take it back." in text


def test_alerts_are_found_by_what_their_reader_is_shown(console: Console) -> None:
    rule = {"rule_id": "Ocelog.Wiz.Blinding.OutpostRemoved", "rule_name": "Wiz outpost removed"}
    made = [
        alert_of(11, title="Wiz outpost removed", **rule),
        alert_of(12, title="Wiz access request: Approve succeeded", rule_id="Ocelog.Wiz.Access", rule_name="Access"),
        alert_of(13, title="Something else", **rule),
        alert_of(14, title="prod Wiz.Audit: no events", type=AlertType.SYSTEM_ERROR, rule_id="SOURCE_NO_DATA"),
        # Of a rule that says the same by chance: it is shown as it is.
        alert_of(15, title="Wiz outpost removed"),
    ]
    opened(console.installation.ledger, *made)
    analyst = console.as_(Role.ANALYST)

    def found(text: str, language: str) -> set[int]:
        shown = analyst.get("/alerts", params={"text": text}, headers={"accept-language": language})
        assert shown.status_code == 200
        return {int(each, 16) for each in re.findall(r'data-href="/alerts/(\w+)"', shown.text)}

    # The title, or the name of the rule.
    assert found("아웃포스트", "ko") == {11, 13}
    assert found("APPROVE 성공", "ko") == {12}
    assert found("이벤트 미수신", "ko") == {14}
    assert found("outpost", "ko") == {11, 13, 15}
    assert found("아웃포스트", "en") == set()
    assert found("아무것도", "ko") == set()


def test_a_list_reads_no_context_of_its_alerts(console: Console) -> None:
    statements = list[str]()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        assert "Alert 3" in console.as_(Role.ANALYST).get("/alerts").text
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    read = [each for each in statements if "alerts.title" in each]
    assert read
    assert not any("alerts.context" in each for each in read)


def test_a_rule_is_muted_by_what_covers_it_now_and_by_nothing_else(console: Console) -> None:
    now_us = to_us(datetime.now(UTC))
    times = {"past": (-20, -10), "future": (10, 20)}
    rules = {"window": None, "like": "Wiz.*", "other": "Other", "past": "Wiz.*", "future": "Wiz.*"}
    for name, rule in rules.items():
        since, until = (now_us + each * 60_000_000 for each in times.get(name, (-10, 10)))
        made = Suppression(
            id=name, rule=rule, owner="ann", reason="why", since_us=since, until_us=until, added_us=now_us
        )
        console.installation.ledger.alerts.suppress(made)
    assert {each.id for each in alerts.muting(console.installation, "Wiz.Issue")} == {"window", "like"}


def test_what_may_have_been_sent_before_a_kill_is_not_shown_as_failed(console: Console) -> None:
    delivery = console.installation.ledger.delivery
    (ops,) = console.installation.ledger.channels.listed()
    with console.installation.ledger._database.write() as tx:
        telling = Telling(alert_id=alert_of(1).id, channel_id=ops.id, happened=Happened.OPENED, due_us=1)
        rows.add_tellings(tx, [telling], 1)
    claim = delivery.take(ops.id, "home/one")
    assert claim is not None
    for _ in range(2):
        handed = delivery.hand(claim)
    page = console.as_(Role.VIEWER).get(f"/alerts/{alert_of(1).id}").text
    assert "it is not known whether it was sent" in page
    assert ">failed<" not in page
    assert isinstance(handed, OutgoingMessage)
    delivery.settle(claim, handed, DeliveryRefusal(answer="no such room", code="CHANNEL_REFUSED"))
    assert ">failed<" in console.as_(Role.VIEWER).get(f"/alerts/{alert_of(1).id}").text
