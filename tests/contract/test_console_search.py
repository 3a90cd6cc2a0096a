"""What a search shows, what it hands out as a file, and that no query outlives whoever asked."""

import csv
import io
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import anyio
import pyarrow.parquet as pq
import pytest

from ocelog.access import Role, User
from ocelog.app.log_types import kinds
from ocelog.app.search import saved_searches
from ocelog.app.search.export import Format, exported
from ocelog.app.search.queries import Stop, ask
from ocelog.app.search.query_slots import QuerySlots
from ocelog.console.event_view import page_of
from ocelog.errors import QueryBusyError, QueryError
from ocelog.installation.opening import Installation
from ocelog.lake.query.engine import Run
from ocelog.sandbox.child import Child
from visiting import ADDRESS, Console, console_of, program
from visiting.events import BEGIN, land, land_matches, later, row

AUDIT = "Wiz.Audit"
TIME = {"since": "2026-03-30T00:00:00Z", "until": "2026-03-31T00:00:00Z"}
ENDLESS = "SELECT sum(hash(a.range + b.range)) AS n FROM range(10000000) a, range(10000000) b"
HOSTILE = [
    *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1", "\uff20x", "plain"),
    *("<script>alert(1)</script>", 'a,"b"\nc', "수정"),
]


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with console_of(tmp_path_factory.mktemp("console") / "home") as opened:
        rows = [row(AUDIT, f"e{at}", later(minutes=at), action=text) for at, text in enumerate(HOSTILE)]
        land(opened.installation, AUDIT, rows)
        yield opened


def export(console: Console, form: str, **more: Any) -> Any:
    query = urlencode({"log": AUDIT, "c": "action", **TIME})
    return console.as_(Role.VIEWER).post("/search/export", format=form, query=query, **more)


def test_a_search_is_exported_whole_and_no_cell_of_csv_is_a_formula(console: Console) -> None:
    answer = export(console, "csv")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith('attachment; filename="ocelog-wiz_audit-')
    assert disposition.endswith('Z.csv"')
    head, *rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert head == ["p_event_time", "p_log_type", "p_row_id", "action"]
    written = [each[3] for each in reversed(rows)]
    assert written == [f"'{text}" if text[0] in "=+-@\t\r\uff1d\uff20" else text for text in HOSTILE]


def test_json_and_parquet_hold_the_very_values(console: Console) -> None:
    rows = [json.loads(line) for line in export(console, "ndjson").text.splitlines()]
    assert [each["action"] for each in reversed(rows)] == HOSTILE
    assert rows[-1]["p_event_time"] == "2026-03-30T12:00:00.000000Z"
    table = pq.read_table(io.BytesIO(export(console, "parquet", every="yes").content))
    assert table["action"].to_pylist()[::-1] == HOSTILE
    assert table["p_event_time"].to_pylist()[-1] == BEGIN
    assert {"user", "p_any_ip_addresses", "p_extra"} <= set(table.column_names)


def test_an_export_is_on_the_trail(console: Console) -> None:
    export(console, "csv")
    deed = console.installation.ledger.users.trail(limit=1)[0]
    assert (deed.who, deed.what, deed.target) == ("viewer@example.com", "search.exported", "csv")
    assert "Wiz.Audit" in deed.details["asked"]


def test_an_export_that_is_wrong_is_refused_before_its_first_byte(console: Console) -> None:
    for form, query in (("exe", ""), ("csv", "log=Wiz.Audits"), ("csv", "f=nothing:is:1"), ("csv", "since=x")):
        answer = console.as_(Role.VIEWER).post("/search/export", format=form, query=query)
        assert answer.status_code == 422, (form, query)
        assert "content-disposition" not in answer.headers


@dataclass(slots=True)
class Runs:
    """The queries that begin."""

    begun: threading.Event = field(default_factory=threading.Event)
    children: list[Child] = field(default_factory=list)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    found, begin = Runs(), Run.begin

    def noted(run: Run, *arguments: Any, **more: Any) -> Any:
        found.children.append(run._child)
        found.begun.set()
        return begin(run, *arguments, **more)

    monkeypatch.setattr(Run, "begin", noted)
    return found


def test_a_query_ends_when_whoever_asked_stops_it(console: Console, runs: Runs) -> None:
    stop = Stop()

    def leave() -> None:
        runs.begun.wait(30)
        stop.set()

    leaving = threading.Thread(target=leave)
    leaving.start()
    with pytest.raises(QueryError) as raised, ask(console.installation, ENDLESS, stop=stop):
        raise AssertionError
    leaving.join()
    assert raised.value.code == "query_cancelled"
    assert [each.exit_code for each in runs.children] == [-9]


def test_a_query_that_was_stopped_before_it_began_does_not_begin(console: Console) -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(QueryError, match="cancelled"), ask(console.installation, ENDLESS, stop=stop):
        raise AssertionError


def test_a_query_that_was_stopped_before_it_had_a_slot_says_by_its_code_that_it_was_cancelled() -> None:
    slots, stop = QuerySlots(), Stop()
    stop.set()
    with pytest.raises(QueryError) as raised, slots.taken("ann", stop):
        raise AssertionError
    assert (raised.value.code, slots.running) == ("query_cancelled", 0)


def test_each_user_has_two_slots_and_all_have_four() -> None:
    slots, stop = QuerySlots(), Stop()
    with ExitStack() as held:
        for user in ("ann", "ann", "bob"):
            held.enter_context(slots.taken(user, stop))
        assert refusal(slots, "ann").startswith("2 of your queries are running")
        assert refusal(slots, "bob").startswith("3 queries of several users are running"), "the last is for a third"
        held.enter_context(slots.taken("eve", stop))
        assert refusal(slots, "joe").startswith("4 queries of several users are running")
    assert slots.running == 0
    with slots.taken("ann", stop), slots.taken("ann", stop):
        assert slots.running == 2


def refusal(slots: QuerySlots, user: str) -> str:
    with pytest.raises(QueryBusyError) as raised, slots.taken(user, Stop(), wait=timedelta(0)):
        raise AssertionError
    return str(raised.value)


def test_who_waits_for_a_slot_has_it_when_another_ends() -> None:
    slots, stop, has_it, waits = QuerySlots(per_user=1), Stop(), threading.Event(), threading.Event()

    def wait() -> None:
        waits.set()
        with slots.taken("ann", stop, wait=timedelta(seconds=20)):
            has_it.set()

    thread = threading.Thread(target=wait)
    with slots.taken("ann", stop):
        thread.start()
        waits.wait(10)
        assert not has_it.is_set()
    thread.join(10)
    assert has_it.is_set()


def test_a_newer_query_for_the_same_place_of_a_page_ends_the_older() -> None:
    slots, older, other = QuerySlots(per_user=2), Stop(), Stop()
    begun, ended = threading.Event(), threading.Event()
    older.ends(ended.set)

    def hold() -> None:
        with slots.taken("ann", older, place="tab /search/rows"):
            begun.set()
            ended.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait(10)
    with slots.taken("ann", other), slots.taken("ann", Stop(), wait=timedelta(seconds=20), place="tab /search/rows"):
        assert (older.is_set, other.is_set) == (True, False)
    thread.join(10)
    assert (slots.running, slots._places) == (0, {})


def test_a_query_that_is_stopped_while_it_waits_takes_no_slot() -> None:
    slots, stop = QuerySlots(per_user=1), Stop()
    stop.set()
    with (
        slots.taken("ann", Stop()),
        pytest.raises(QueryError, match="cancelled"),
        slots.taken("ann", stop, wait=timedelta(seconds=20)),
    ):
        raise AssertionError
    assert slots.running == 0


def test_a_search_of_the_same_tab_takes_the_place_of_the_one_before(console: Console) -> None:
    guest, viewer, older = console.as_(Role.VIEWER), user(console, "viewer@example.com"), Stop()
    with slots_of(console).taken(viewer.id, older, place="1-2 /search/rows"):
        for tab, path in (("2-1", "/search/rows"), ("1-2", "/search/histogram"), ("", "/search/rows")):
            assert guest.get(f"{path}?{urlencode(TIME)}", headers={"x-ocelog-tab": tab}).status_code == 200
            assert not older.is_set, (tab, path)
        assert guest.get(f"/search/rows?{urlencode(TIME)}", headers={"x-ocelog-tab": "1-2"}).status_code == 200
        assert older.is_set


def leave_once_it_runs(console: Console, path: str, query: str, runs: Runs) -> float:
    """Ask for a page, go away once its query runs, and return after how many seconds the request was over then."""
    guest = console.as_(Role.VIEWER)
    cookie = "; ".join(f"{name}={value}" for name, value in guest.client.cookies.items())
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", ADDRESS.removeprefix("http://").encode()), (b"cookie", cookie.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8686),
    }
    sent, left = list[Any](), [0.0]

    async def main() -> None:
        waiting = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            if waiting:
                return waiting.pop()
            await anyio.to_thread.run_sync(runs.begun.wait, 30)
            left[0] = time.monotonic()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await console.site(scope, receive, send)

    anyio.run(main)
    assert sent[0]["status"] == 499
    return time.monotonic() - left[0]


def slots_of(console: Console) -> QuerySlots:
    app: Any = console.site.pages
    while not hasattr(app, "state"):
        app = getattr(app, "app", None) or app._app
    found = app.state.query_slots
    assert isinstance(found, QuerySlots)
    return found


def test_a_request_that_goes_away_ends_its_query_within_a_second(
    console: Console, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocelog.app.search.search.statement", lambda *_, **__: ENDLESS)
    assert leave_once_it_runs(console, "/search/rows", urlencode(TIME), runs) < 1
    slots = slots_of(console)
    with slots._changed:
        assert slots._changed.wait_for(lambda: not slots._running, 1)
    assert [each.exit_code for each in runs.children] == [-9]


@pytest.mark.parametrize("path", ["/sources/prod/rejections", "/rules/Wiz.Audit.UserCreated/past"])
def test_parts_of_pages_that_read_the_lake_end_with_their_request(
    console: Console, runs: Runs, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def endless(installation: Installation, *_: Any, stop: Stop, **__: Any) -> Any:
        with ask(installation, ENDLESS, stop=stop) as answer:
            return list(answer.batches)

    found = SimpleNamespace(id="x")
    monkeypatch.setattr("ocelog.app.sources.sources.find", lambda *_: found)
    monkeypatch.setattr("ocelog.app.rule_folders.rule_folders.find_rule", lambda *_: found)
    monkeypatch.setattr("ocelog.console.pages.source_rows.rejected", endless)
    monkeypatch.setattr("ocelog.app.rules.rule_showing.history", endless)
    assert leave_once_it_runs(console, path, "", runs) < 1
    slots = slots_of(console)
    with slots._changed:
        assert slots._changed.wait_for(lambda: not slots._running, 5)
    assert [each.exit_code for each in runs.children] == [-9]


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/sources/{}/rejections", "/rules/{}/past"])
def test_parts_of_pages_that_read_the_lake_take_a_slot(
    console: Console, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("ocelog.console.pages.source_rows.rejected", lambda *_, **__: pytest.fail("it is asked"))
    monkeypatch.setattr("ocelog.app.rules.rule_showing.history", lambda *_, **__: pytest.fail("it is asked"))
    guest = console.as_(Role.VIEWER)
    viewer = user(console, "viewer@example.com")
    with slots_of(console).taken(viewer.id, Stop()), slots_of(console).taken(viewer.id, Stop()):
        assert "2 of your queries are running" in guest.get(path.format("x")).text


@pytest.mark.slow
def test_who_has_two_queries_running_is_told_so_and_asks_again(console: Console) -> None:
    guest = console.as_(Role.VIEWER)
    slots = slots_of(console)
    viewer = user(console, "viewer@example.com")
    with slots.taken(viewer.id, Stop()), slots.taken(viewer.id, Stop()):
        waiting = guest.get(f"/search/rows?{urlencode(TIME)}", headers={"hx-request": "true"})
    assert waiting.status_code == 200
    assert "2 of your queries are running" in waiting.text
    assert 'hx-get="/search/rows?since=' in waiting.text
    assert 'id="rows"' in waiting.text


def test_searches_are_kept_for_oneself_or_for_all_and_removed_by_owner_or_admin(new_console: Console) -> None:
    analyst, viewer, admin = map(new_console.as_, (Role.ANALYST, Role.VIEWER, Role.ADMIN))
    hostile = "<b>mine</b>"
    for name, shared in ((hostile, ""), ("ours", "yes")):
        answer = analyst.post("/search/save", name=name, address="/search?q=a%22b", shared=shared)
        assert (answer.status_code, answer.headers["location"]) == (303, "/search?q=a%22b")
    shown = analyst.get("/search").text
    assert "&lt;b&gt;mine&lt;/b&gt;" in shown
    assert hostile not in shown
    assert "mine" not in (page := viewer.get("/search").text)
    assert ">ours<" in page
    mine, ours = saved_searches.listed(new_console.installation, user(new_console, "analyst@example.com"))
    assert viewer.post("/search/forget", search=ours.id).status_code == 403
    assert analyst.post("/search/forget", search="another").status_code == 422
    assert analyst.post("/search/forget", search=mine.id).status_code == 303
    assert admin.post("/search/forget", search=ours.id).status_code == 303
    assert saved_searches.listed(new_console.installation, user(new_console, "analyst@example.com")) == []


@pytest.mark.parametrize(
    "address", ["https://evil.example/search?", "//evil.example", "/users", "javascript:alert(1)", "/search?q=\n", ""]
)
def test_only_addresses_of_searches_are_kept(console: Console, address: str) -> None:
    answer = console.as_(Role.ANALYST).post("/search/save", name="x", address=address)
    assert answer.status_code == 422


def test_an_event_shows_its_history_its_alerts_and_where_it_is_at_the_source(new_console: Console) -> None:
    hostile, at = "<img src=x onerror=alert(1)>", later(hours=1)
    rows = [
        row("Wiz.Issues", "i1", later(hours=hour), status=status, p_extra=json.dumps({"newField": {"inner": hostile}}))
        for hour, status in enumerate(("OPEN", "RESOLVED"), 1)
    ]
    land(new_console.installation, "Wiz.Issues", rows)
    page = new_console.as_(Role.VIEWER).get(f"/events/Wiz.Issues/{rows[0]['p_row_id']}").text
    assert "<mark>RESOLVED</mark>" in page
    assert "p_extra.newField.inner" in page
    assert hostile not in page
    assert "f=status%3Ais_not%3AOPEN" in page
    assert at.strftime("%Y-%m-%dT%H:%M:%SZ") in page
    assert new_console.as_(Role.VIEWER).get("/events/Wiz.Issues/nothing").status_code == 404
    assert new_console.as_(Role.VIEWER).get("/events/Wiz.Isues/nothing").status_code == 422


AUGUST = {"since": "2026-08-01T00:00:00Z", "until": "2026-08-31T00:00:00Z"}


SAID = {
    "a1": "DeleteUser · SUCCESS · ann",
    "a2": "a2",
    "i1": "HIGH · Bucket &lt;b&gt;open&lt;/b&gt; to all · web-1 · OPEN",
    "f1": "LOW · CVE-2024-1 · web-1 · RESOLVED",
}
"""What the line about each event of `several` is, by its id."""


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """Open the console of a home with events of each log type."""
    at = later(days=130)
    asset, rule = {"name": "web-1"}, json.dumps({"name": "Bucket <b>open</b> to all"})
    events = {
        "Wiz.Audit": {"a1": {"action": "DeleteUser", "status": "SUCCESS", "user": {"name": "ann"}}, "a2": {}},
        "Wiz.Issues": {"i1": {"severity": "HIGH", "sourceRule": rule, "entitySnapshot": asset, "status": "OPEN"}},
        "Wiz.VulnerabilityFinding": {
            "f1": {"severity": "LOW", "name": "CVE-2024-1", "vulnerableAsset": asset, "status": "RESOLVED"}
        },
    }
    with console_of(tmp_path_factory.mktemp("several") / "home") as opened:
        for number, (log_type, each) in enumerate(events.items()):
            # Days apart, and partly published.
            rows = [row(log_type, name, at + timedelta(days=3 * number), **values) for name, values in each.items()]
            land(opened.installation, log_type, rows, publish=number == 1)
        yield opened


def found_by(console: Console, **more: str) -> list[tuple[str, str]]:
    """Return where each row of a search leads, and what that link says."""
    text = console.as_(Role.VIEWER).get(f"/search/rows?{urlencode({**AUGUST, **more})}").text
    links = re.findall(r'<a class="text-reset" href="/events/([\w.]+)/\w+">(.*?)</a>', text, re.DOTALL)
    return [(log_type, " ".join(re.sub("<[^>]*>", "", words).split())) for log_type, words in links]


@pytest.mark.slow
def test_a_row_says_what_happened_and_leads_to_its_event(several: Console) -> None:
    audit, issue, finding = "Wiz.Audit", "Wiz.Issues", "Wiz.VulnerabilityFinding"
    every = [(finding, SAID["f1"]), (issue, SAID["i1"]), *sorted([(audit, SAID["a1"]), (audit, SAID["a2"])])]
    found = found_by(several)
    assert [*found[:2], *sorted(found[2:])] == every
    assert found_by(several, log=issue) == [(issue, SAID["i1"])]
    assert sorted(found_by(several, log=audit)) == every[2:]
    assert found_by(several, q="no such text") == []


def test_what_happened_stands_before_the_columns_that_may_be_empty(several: Console) -> None:
    text = several.as_(Role.VIEWER).get(f"/search/rows?{urlencode(AUGUST)}").text
    heads = re.findall(r"<th [^>]*>(?:<a [^>]*>)?([^<]+)", text)
    assert heads[:4] == ["Time", "Log type", "What happened", "Source"]
    cells = re.findall(r'<tr data-href="[^"]*/Wiz.Issues/.*?</tr>', text, re.DOTALL)[0].split("<td")
    assert SAID["i1"].partition(" · ")[2] in cells[3]
    assert ['class="cut blank"' in each for each in cells[4:]] == [False, True, True]


def test_a_page_reads_what_its_rows_say_in_one_query_more(several: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[str]()

    def noted(installation: Installation, sql: str, **more: Any) -> Any:
        asked.append(sql)
        return ask(installation, sql, **more)

    monkeypatch.setattr("ocelog.app.search.search.ask", noted)
    assert len(found_by(several)) == len(SAID)
    assert len(asked) == 2
    # Each table between the first and the last instant of its own rows, and no row but these.
    for table, day in (("wiz_audit", "2026-08-07"), ("wiz_issues", "2026-08-10")):
        (part,) = [each for each in asked[1].split(" UNION ALL BY NAME ") if f"FROM {table} " in each]
        assert re.findall(r"TIMESTAMPTZ '(\S+) ", part) == [day, day]
        assert "p_row_id IN (" in part
    asked.clear()
    assert found_by(several, q="no such text") == []
    assert len(asked) == 1


def test_an_event_is_called_by_what_it_says_also_in_its_history_and_in_the_api(several: Console) -> None:
    rows = [
        row("Wiz.Issues", "i2", later(days=day), severity="HIGH", status=status)
        for day, status in ((200, "OPEN"), (201, "RESOLVED"))
    ]
    land(several.installation, "Wiz.Issues", rows)
    shown = several.as_(Role.VIEWER).get(f"/events/Wiz.Issues/{rows[1]['p_row_id']}").text
    assert "<title>HIGH · RESOLVED · Ocelog</title>" in shown
    assert re.findall(r"<h1[^>]*>([^<]*)</h1>", shown) == ["HIGH · RESOLVED"]
    assert re.findall(r'<div class="heading">([^<]*)</div>', shown) == ["HIGH · OPEN", "HIGH · RESOLVED"]
    record = program(several)("GET", f"/events/issues/{rows[1]['p_row_id']}").json()
    assert record["summary"] == "HIGH · RESOLVED"


def test_an_event_of_an_alert_says_what_happened_and_else_the_title_of_its_match(
    several: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = later(days=130)
    match = {"p_event_time": at, "p_source_label": "Wiz", "p_log_type": "Wiz.Audit"}
    event = row("Wiz.Audit", "a1", at)["p_row_id"]
    rows = [
        {**match, "event_row_id": event, "title": None},
        {**match, "event_row_id": event, "title": "Its own title"},
        {**match, "event_row_id": "gone", "title": "Its own title"},
        {**match, "event_row_id": "gone", "title": None},
        {**match, "event_row_id": None, "title": None, "p_log_type": None},
        {**match, "event_row_id": "x", "title": "", "p_log_type": "Of.Query"},
    ]
    monkeypatch.setattr("ocelog.console.pages.alerts.matched_events", lambda *_, **__: rows)
    shown = several.as_(Role.VIEWER).get("/alerts/any/events").text
    told = [each.strip() for each in re.findall(r"</a>([^<]*)</li>", shown)]
    assert told == [SAID["a1"], SAID["a1"], "Its own title", "Wiz.Audit", "", "Of.Query"]


def test_each_part_of_a_search_is_a_chip_that_takes_it_away(console: Console) -> None:
    given = {"log": "Wiz.Audit", "q": "<b>", "indicator": "192.0.2.7", "c": "action", **TIME}
    conditions = ["status:is:FAILED", "p_source_label:is:Wiz"]
    text = console.as_(Role.VIEWER).get(f"/search?{urlencode({**given, 'f': conditions}, doseq=True)}").text
    chips = dict(re.findall(r'chip"><span class="long">(.*?)</span> <a href="/search\?([^"]*)"', text))
    without = {re.sub("<[^>]*>", "", words): parse_qs(unescape(query)) for words, query in chips.items()}
    gone = [[name for name in ("log", "since", "q", "indicator") if name not in query] for query in without.values()]
    assert gone == [["log"], ["since"], ["q"], ["indicator"], [], []]
    assert [query["f"] for query in without.values()] == [
        conditions[1:],
        *[conditions] * 3,
        conditions[1:],
        conditions[:1],
    ]
    assert "has the text &lt;b&gt;" in without
    # What all log types have in common stays: they lack the fields of this one.
    assert without["Wiz.Audit"] == {
        **{name: [given[name]] for name in ("q", "indicator", *TIME)},
        "f": conditions[1:],
    }
    bare = console.as_(Role.VIEWER).get("/search").text
    assert "bg-blue-lt chip" not in bare
    assert all(f'placeholder="such as {each}"' in bare for each in ("DeleteUser", "203.0.113.9"))


def test_an_event_shows_first_what_matters_then_its_fields_by_group(several: Console) -> None:
    notes = json.dumps([{"text": "Look here", "createdBy": "ann"}])
    rule = json.dumps({"name": "Open port", "remediationInstructions": "### Close\n1. Close it.\n2. Look again."})
    rows = [
        row("Wiz.Issues", "i3", later(days=day), severity="HIGH", status=status, notes=notes, sourceRule=rule)
        for day, status in ((210, "OPEN"), (211, "RESOLVED"))
    ]
    rows[1]["p_inferred"] = "swept"
    land(several.installation, "Wiz.Issues", rows)
    guest = several.as_(Role.VIEWER)
    shown = guest.get(f"/events/Wiz.Issues/{rows[1]['p_row_id']}").text
    card = shown[shown.index("<dl") : shown.index("</dl>")]
    assert re.search(r'<dt class="mono">severity</dt><dd [^>]*>\s*<span class="badge bg-orange-lt">HIGH</span>', card)
    assert shown.index("<dl") < shown.index("What changed") < shown.index("Every field")
    assert "How to put it right</dt>" in card
    assert "<strong>Close</strong>" in card
    assert '<li value="1">Close it.</li><li value="2">Look again.</li></ol></dd>' in card
    groups = re.findall(r'<details class="fold" data-fold="([^"]*)" open><summary[^>]*>([^<]*)</summary>', shown)
    # Of a list, each element is a group of its own, which folds as the others do.
    assert ("Wiz.Issues notes[]", "notes[0]") in groups
    assert groups[-1][1] == "Kept by Ocelog"
    # A field in a list is sought in the whole of it, and each column may be shown.
    link = unescape(re.findall(r'href="(/search[^"]*notes%3Ahas%3ALook\+here)"', shown)[0])
    assert guest.get(link.replace("/search?", "/search/rows?")).status_code == 200
    assert "/search/column?log=Wiz.Issues&amp;period=30d&amp;column=severity" in shown
    # In its history instants are shown as below.
    changed = shown[shown.index("What changed") : shown.index("Every field")]
    assert not re.search(r">\d{4}-\d\d-\d\dT[\d:.]+Z<", changed)
    # Of what Ocelog adds, which differs between any two versions, only what says something of the record.
    names = re.findall(r'<th scope="row" class="mono">([^<]*)</th>', changed)
    assert sorted(names) == ["p_inferred", "status"]


def test_a_wrong_condition_keeps_the_form_and_suggests_the_field(console: Console) -> None:
    guest = console.as_(Role.VIEWER)
    given = {"log": AUDIT, "q": "kept", **TIME, "field": "acton", "operator": "has", "value": "Cre"}
    for path in (f"/search/condition?{urlencode(given)}", f"/search?{urlencode({**given, 'f': 'acton:is:x'})}"):
        answer = guest.get(path)
        assert answer.status_code == 422
        assert "did you mean &#39;action&#39;?" in answer.text
        assert 'name="q" value="kept"' in answer.text
        assert 'hx-get="/search/rows' not in answer.text
    answer = guest.get(f"/search/condition?{urlencode(given)}")
    assert 'name="field" value="acton"' in answer.text
    assert '<option value="has" selected>' in answer.text
    assert 'name="value" value="Cre"' in answer.text


def test_a_column_is_added_by_the_form_and_suggested_if_it_is_misspelt(console: Console) -> None:
    guest, query = console.as_(Role.VIEWER), urlencode({"log": AUDIT, **TIME})
    shown = guest.get(f"/search?{query}").text
    assert 'action="/search/column"' in shown
    added = guest.get(f"/search/column?{query}&column=user.name", follow_redirects=False)
    assert added.status_code == 303
    assert parse_qs(added.headers["location"].partition("?")[2])["c"][-1] == "user.name"
    again = guest.get(f"/search/column?{query}&c=user.name&column=user.name", follow_redirects=False)
    assert parse_qs(again.headers["location"].partition("?")[2])["c"] == ["user.name"]
    wrong = guest.get(f"/search/column?{query}&column=user.nam")
    assert (wrong.status_code, "did you mean &#39;user.name&#39;?" in wrong.text) == (422, True)


def test_the_values_of_a_column_stand_above_the_rows_and_are_gone_to(console: Console) -> None:
    guest, query = console.as_(Role.VIEWER), urlencode({"log": AUDIT, **TIME})
    rows = guest.get(f"/search/rows?{query}").text
    assert rows.index('id="values"') < rows.index("<table")
    values = guest.get(f"/search/values?{query}&field=action").text
    assert 'tabindex="-1" data-arrives' in values
    assert 'data-empties="#values"' in values


def test_nothing_found_says_what_may_help(console: Console) -> None:
    guest = console.as_(Role.VIEWER)
    ranged = guest.get(f"/search/rows?{urlencode({**TIME, 'indicator': '203.0.113.0/24'})}").text
    assert "203.0.113.0/24 is a range of addresses" in ranged or "There is no source yet" in ranged


def test_a_severity_has_a_badge_and_no_default_column_repeats_what_happened(several: Console) -> None:
    text = several.as_(Role.VIEWER).get(f"/search/rows?{urlencode({**AUGUST, 'log': 'Wiz.Issues'})}").text
    assert re.search(r'class="badge bg-\w+-lt">(CRITICAL|HIGH|MEDIUM|LOW)</span>', text)
    for kind in kinds().values():
        summed = {each for one in kind.summary for each in ((one,) if isinstance(one, str) else one)}
        assert not set(kind.columns) & (summed - {"type"}), kind.log_type


def large(console: Console, path: str) -> bool:
    answer = console.as_(Role.VIEWER).get(path)
    assert answer.status_code == 200
    return len(answer.text) > 400_000


def test_no_address_of_a_search_makes_a_large_page(console: Console) -> None:
    long = [f"action:is_not:{'x' * 700}" for _ in range(20)]
    columns = ["p_source_label", "p_any_usernames", "action", *["action"] * 60]
    for asked in ({"f": long, "c": "action"}, {"f": long[:2], "c": columns}):
        assert not large(console, f"/search/rows?{urlencode({'log': AUDIT, **TIME, **asked}, doseq=True)}")


def test_no_list_and_no_long_text_of_an_event_makes_a_large_page(tmp_path: Path) -> None:
    with console_of(tmp_path / "home") as made:
        now = datetime.now(UTC)
        names, text = [f"user-{number}" for number in range(2_000)], "<" * 20_000
        events = [
            row(AUDIT, f"a{number}", now - timedelta(minutes=1), action=text, p_any_usernames=names)
            for number in range(20)
        ]
        land(made.installation, AUDIT, events)
        path = f"/search/rows?{urlencode({'log': AUDIT, 'c': ['action', 'p_any_usernames']}, doseq=True)}"
        assert not large(made, path)
        shown = made.as_(Role.VIEWER).get(path).text
        assert shown.count("p_any_usernames%3Ais%3Auser-9&") == 20
        assert "p_any_usernames%3Ais%3Auser-10&" not in shown
        assert "f=action%3A" not in shown


def test_further_columns_of_an_answer_are_added_until_it_has_many(console: Console) -> None:
    sql = f"SELECT {', '.join(f'{each} AS n{each}' for each in range(200))} --".ljust(5_000, "%")
    asked = [f"n{each % 60}" for each in range(400)]
    assert not large(console, f"/search/sql/rows?{urlencode({'sql': sql})}")
    few = sql_page(console, "/rows", sql).text
    (added,) = re.findall(r'<form method="get" action="/search/sql".*?</form>', few)
    assert 'name="c" value="n11">' in added
    assert 'name="c" value="n12">n12</button>' in added
    many = console.as_(Role.VIEWER).get(f"/search/sql/rows?{urlencode({'sql': sql, 'c': asked}, doseq=True)}").text
    assert many.count('<th scope="col"') == 50
    assert 'action="/search/sql"' not in many
    # Nobody takes them for all.
    assert "50 of 200 columns are shown" in many
    assert "columns are shown" not in few


@pytest.mark.parametrize("address", ["javascript:alert(1)", "http://plain.example", None, 5, "data:text/html,x"])
def test_only_secure_addresses_of_records_are_linked(address: Any) -> None:
    assert page_of({"url": address}, "url") is None
    assert page_of({"url": "https://app.wiz.io/x"}, "url") == "https://app.wiz.io/x"
    assert page_of({"links": [{"url": address}]}, "links.url") is None
    for inside in ([{"url": "https://app.wiz.io/x"}], '{"url": "https://app.wiz.io/x"}'):
        assert page_of({"links": inside}, "links.url") == "https://app.wiz.io/x"


def sql_page(console: Console, part: str, sql: str, **more: str) -> Any:
    return console.as_(Role.VIEWER).get(f"/search/sql{part}?{urlencode({'sql': sql, **more})}")


def test_sql_begins_with_examples_and_tables_that_work(console: Console) -> None:
    shown = console.as_(Role.VIEWER).get("/search/sql").text
    examples = re.findall(r'href="(/search/sql\?sql=[^"]*)"', shown)
    assert len(examples) == 3
    for each in examples:
        answer = console.as_(Role.VIEWER).get(unescape(each).replace("/search/sql?", "/search/sql/rows?"))
        assert answer.status_code == 200, answer.text
    assert '<a class="mono me-2" href="/schemas">wiz_audit</a>' in shown


def test_numbers_of_an_answer_stand_at_the_right(console: Console) -> None:
    shown = sql_page(console, "/rows", "SELECT action, count(*) AS events FROM wiz_audit GROUP BY ALL").text
    assert re.findall(r'<th scope="col"( class="text-end")?><a [^>]*>(\w+)', shown) == [
        ("", "action"),
        (' class="text-end"', "events"),
    ]


@pytest.mark.parametrize("path", ["/search", "/search/sql?sql=SELECT+1", "/sources/prod"])
def test_who_runs_no_scripts_is_told_what_never_comes(console: Console, path: str) -> None:
    (told,) = re.findall("<noscript>(.*?)</noscript>", console.as_(Role.VIEWER).get(path).text)
    assert "runs no scripts" in told


@pytest.mark.parametrize(("path", "name"), [("/search", "curl"), ("/search/sql?sql=SELECT+1", "CLI")])
def test_what_is_copied_stands_where_the_language_of_the_reader_has_it(console: Console, path: str, name: str) -> None:
    for language, said in (("en", f"Copy {name}"), ("ko", f"{name} 복사")):
        assert f">{said}</button>" in console.as_(Role.VIEWER).get(path, headers={"accept-language": language}).text


def test_advice_on_tables_leads_to_their_page(console: Console) -> None:
    shown = sql_page(console, "/rows", "SELECT * FROM wiz_audi").text
    assert "ocelog tables" not in shown
    assert '<a href="/schemas">Schemas</a> lists them' in shown


def test_sql_is_answered_counted_over_time_and_by_value(console: Console) -> None:
    sql = "SELECT p_event_time, p_log_type, p_row_id, action, ['x', 'y'] AS names FROM wiz_audit ORDER BY 1; -- all"
    shown = sql_page(console, "", sql)
    assert shown.status_code == 200
    assert "wiz_audit_current" in shown.text
    assert "ocelog query" in shown.text
    rows = sql_page(console, "/rows", sql).text
    assert "12 rows" in rows
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in rows
    assert "<script>alert" not in rows
    assert 'hx-get="/search/sql/histogram?' in rows
    assert 'href="/events/Wiz.Audit/' in rows
    sql = sql.partition(";")[0]
    bars = sql_page(console, "/histogram", sql).text
    assert "12 events" in bars
    values = sql_page(console, "/values", sql, field="names", each="yes").text
    assert "12 x" in " ".join(values.split())
    assert sql_page(console, "/histogram", f"{sql} LIMIT 0").status_code == 200


def test_dragging_over_the_histogram_of_an_answer_narrows_the_answer(console: Console) -> None:
    viewer = console.as_(Role.VIEWER)
    sql = "SELECT id, p_event_time FROM wiz_audit ORDER BY id DESC -- all"
    chart = re.search(r'data-since="(\d+)".*data-address="([^"]+)"', sql_page(console, "/histogram", sql, c="id").text)
    assert chart
    first = datetime.fromtimestamp(int(chart[1]), UTC)

    def drag(address: str, until: datetime) -> str:
        """Do as `frontend/src/charts.js` does: put the time into the address of the chart."""
        led = viewer.get(f"{address}&{urlencode({'since': first.isoformat(), 'until': until.isoformat()})}")
        assert led.status_code == 303
        assert parse_qs(urlsplit(led.headers["location"]).query)["c"] == ["id"]
        return str(parse_qs(urlsplit(led.headers["location"]).query)["sql"][0])

    narrow = drag(unescape(chart[2]), first + timedelta(seconds=1))
    assert sql in narrow
    with ask(console.installation, narrow) as answer:
        kept = [one for batch in answer.batches for one in batch.to_pylist()]
    assert {one["p_event_time"].replace(microsecond=0) for one in kept} == {first}
    again = f"/search/sql/narrowed?{urlencode({'sql': narrow, 'c': 'id'})}"
    assert drag(again, first + timedelta(seconds=2)).count("SELECT") == narrow.count("SELECT") == 2
    assert viewer.get(f"{again}&since=x&until=now").status_code == 422


@pytest.mark.parametrize(
    "moment",
    [
        "'infinity'::TIMESTAMPTZ",
        "'9999-12-31 23:59:59.999999'::TIMESTAMP",
        "'9999-12-31 24:00:00'::TIMESTAMP",
        "'1000-01-01 (BC) 00:00:00'::TIMESTAMP",
    ],
)
def test_instants_that_python_does_not_know_are_no_fault(console: Console, moment: str) -> None:
    sql = f"SELECT unnest([{moment}, '2026-01-01 00:00:00', NULL]) AS p_event_time"
    for part, more in (("/rows", {}), ("/histogram", {}), ("/values", {"field": "p_event_time"})):
        assert sql_page(console, part, sql, **more).status_code == 200
    bars = sql_page(console, "/histogram", sql).text
    assert f"{2 if '999999' in moment else 1} event" in bars


def test_values_that_are_too_large_together_are_refused(console: Console) -> None:
    sql = "SELECT repeat(chr((65 + range)::INT), 1000000) AS a FROM range(10)"
    assert "larger than 8 MB together" in sql_page(console, "/values", sql, field="a").text


def test_only_the_first_rows_of_an_answer_are_shown_and_all_are_exported(console: Console) -> None:
    sql = 'SELECT range AS "=n" FROM range(3000)'
    assert "The first 1,000 rows" in sql_page(console, "/rows", sql).text
    answer = console.as_(Role.VIEWER).post("/search/sql/export", format="csv", sql=sql)
    lines = answer.text.splitlines()
    # Without the mark Excel takes it for its own code page, and shows no Korean.
    assert (lines[0], lines[-1], len(lines)) == ("\ufeff'=n", "2999", 3001)
    assert console.installation.ledger.users.trail(limit=1)[0].what == "query.exported"


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT actoin FROM wiz_audit", "Did you mean action?"),
        ("SELECT a.actionParametrs FROM wiz_audit a", "Did you mean &#39;actionParameters&#39;?"),
        ("SELECT * FROM wiz_adit", "did you mean &#39;wiz_audit&#39;?"),
        ("DELETE FROM wiz_audit", "Queries only read"),
        ("SELECT 1; SELECT 2", "found 2 statements"),
        ("SELECT * FROM read_csv('/etc/passwd')", "is not allowed"),
        ("SELECT '" + "x" * 5_000 + "'", "at most 5,000 characters"),
        ("", "no statement"),
    ],
)
def test_sql_that_is_wrong_says_why_and_names_what_is_nearest(console: Console, sql: str, told: str) -> None:
    for part in ("/rows", "/histogram"):
        answer = sql_page(console, part, sql)
        assert answer.status_code == 422
        assert "Traceback" not in answer.text
    assert told in sql_page(console, "/rows", sql).text


@pytest.mark.parametrize("field", ['"; DROP TABLE x; --', "a) AS value FROM (SELECT 1 AS a", "nothing", ""])
def test_no_name_of_a_column_gets_out_of_its_quotes(console: Console, field: str) -> None:
    answer = sql_page(console, "/values", "SELECT 1 AS a", field=field)
    assert answer.status_code == 422


def test_what_parquet_cannot_hold_is_told_before_the_first_byte(console: Console) -> None:
    for sql in ("SELECT INTERVAL 1 DAY AS a", "SELECT 1 AS a, 2 AS a"):
        answer = console.as_(Role.VIEWER).post("/search/sql/export", format="parquet", sql=sql)
        assert answer.status_code == 422, sql
        assert "content-disposition" not in answer.headers


def test_a_row_that_is_too_large_for_a_file_is_told(console: Console) -> None:
    sql = "SELECT range AS n, repeat('x', CASE range WHEN 20003 THEN 9000000 ELSE 1 END) AS much FROM range(30005)"
    for form in Format:
        # Of a file that is not large, nothing was sent yet, and a page says it.
        answer = console.as_(Role.VIEWER).post("/search/sql/export", format=form.value, sql=sql)
        assert (answer.status_code, "content-disposition" in answer.headers) == (422, False), form
        assert "Row 20,004 of the answer is larger than 8 MB" in unescape(answer.text)


@pytest.mark.slow
def test_a_file_of_text_ends_with_why_it_is_not_complete(console: Console) -> None:
    sql = "SELECT repeat('x', CASE range WHEN 30000 THEN 9000000 ELSE 200 END) AS much FROM range(30005)"
    for form, language, told in (
        (Format.CSV, "en", '"This file is not complete: Row 30,001 of'),
        (Format.NDJSON, "ko", '{"error": "이 파일은 완전하지 않습니다: 결과의 30,001번째'),
    ):
        made, pieces = exported(console.installation, sql, form, language=language), list[bytes]()
        with pytest.raises(QueryError, match="Row 30,001"):
            pieces.extend(made)
        *rows, last = b"".join(pieces).decode().splitlines()
        assert last.startswith(told)
        assert len(rows) == 30_000 + (form is Format.CSV)


def user(console: Console, name: str) -> User:
    found = console.installation.ledger.users.find(name)
    assert found
    return found[0]


def test_a_search_takes_the_place_of_another_of_its_name_only_if_that_is_asked_for(new_console: Console) -> None:
    analyst, other = new_console.as_(Role.ANALYST), new_console.as_(Role.ADMIN)

    def kept() -> list[str]:
        who = user(new_console, "analyst@example.com")
        return [each.address for each in saved_searches.listed(new_console.installation, who)]

    analyst.post("/search/save", name="mine", address="/search?q=a")
    refused = analyst.post("/search/save", name=" mine ", address="/search?q=b", shared="yes")
    assert refused.status_code == 409
    assert kept() == ["/search?q=a"]
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', refused.text))
    assert re.search(r'<button [^>]*name="replaces" value="yes">', refused.text)
    assert '<a class="btn" href="/search?q=b">' in refused.text
    assert other.post("/search/save", name="mine", address="/search?q=c").status_code == 303
    answer = analyst.post("/search/save", **(fields | {"csrf": analyst.token, "replaces": "yes"}))
    assert (answer.status_code, answer.headers["location"]) == (303, "/search?q=b")
    assert kept() == ["/search?q=b"]


def test_instants_of_an_answer_are_shown_in_the_viewers_zone_and_whole_on_hover(new_console: Console) -> None:
    land(new_console.installation, "Wiz.Issues", [row("Wiz.Issues", "i1", later(hours=1))])
    asked = urlencode({"sql": "SELECT p_event_time, DATE '2026-11-28' AS day FROM wiz_issues"})
    shown = new_console.as_(Role.VIEWER).get(f"/search/sql/rows?{asked}").text
    when = f"{later(hours=1):%Y-%m-%dT%H:%M:%S}"
    assert re.search(rf'<td class="cut" title="{when}\.\d+Z"><time datetime="{when}Z" data-precise>', shown)
    assert '<td class="cut" title="2026-11-28">2026-11-28</td>' in shown


def test_an_event_shows_its_alerts_in_the_language_of_the_reader(new_console: Console) -> None:
    event = row("Wiz.Audit", "outpost", later(hours=3), action="DeleteOutpost")
    land(new_console.installation, "Wiz.Audit", [event])
    at = dict.fromkeys(("p_event_time", "p_cursor_time"), later(hours=3))
    matched = {**at, "event_row_id": event["p_row_id"], "title": "Wiz outpost removed"}
    rules = {"a1": "Ocelog.Wiz.Blinding.OutpostRemoved", "b2": "Mine.OutpostRemoved"}
    matches = [{**matched, "p_row_id": alert, "alert_id": alert, "rule_id": rule} for alert, rule in rules.items()]
    land_matches(new_console.installation, matches)
    for language, ours in (("ko", "Wiz 아웃포스트 제거"), ("en", "Wiz outpost removed")):
        address, asked = f"/events/Wiz.Audit/{event['p_row_id']}", {"accept-language": language}
        shown = new_console.as_(Role.VIEWER).get(address, headers=asked).text
        assert re.findall(r'<a href="/alerts/(\w+)">([^<]*)', shown) == [("a1", ours), ("b2", "Wiz outpost removed")]
