"""The list of sources: what it says when there is none, and that thousands do not break it."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from msgspec.structs import replace

from ocelog.access import Role
from ocelog.app.assemble import Assembly
from ocelog.app.log_types import table_schemas
from ocelog.app.loops.service import Service
from ocelog.app.search.queries import ask
from ocelog.app.source_settings import source_settings
from ocelog.app.sources import source_changes, sources
from ocelog.app.sources.source_changes import Listener, SourceChange
from ocelog.app.sources.sources import GivenSecret
from ocelog.app.sources.stream_health import alarm_settings
from ocelog.app.status.status import stream_statuses
from ocelog.console import endpoints as endpoints_module
from ocelog.console.endpoints import Looks
from ocelog.errors import LakeUnavailableError, SourceUnavailableError
from ocelog.installation.home_lock import SERVICE, held
from ocelog.lake.lake import FileLake
from ocelog.ledger.rows import counters, landing
from ocelog.model import REJECTIONS, Origin, Rejection, Stamp
from ocelog.pull.landing import rejection_key
from ocelog.pull.ports import HealthItem, HealthState
from ocelog.schema.columns.table import rejection_rows
from ocelog.secrets.secret import Secret
from ocelog.sources.registry import SOURCES
from ocelog.times import to_us
from ocelog.workers.threads import Stop
from visiting import Console, console_of, pages_around, program
from visiting.events import land, later, row
from visiting.everything import SECRET, add_source, nothing_is_asked


def test_the_settings_of_a_source_are_read_once_for_all_its_streams(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        add_source(console, name)
    read, wiz = list[str](), sources.products()["wiz"]

    def counted(values: Mapping[str, Any]) -> Any:
        read.append(values["client_id"])
        return wiz.read(values)

    monkeypatch.setitem(SOURCES, "wiz", replace(wiz, read=counted))
    statuses = stream_statuses(console.installation.ledger)
    assert len(statuses) > 2
    assert {"client-of-one", "client-of-two"} <= set(read)
    assert len(read) == len(set(read))


def test_a_look_at_all_sources_that_takes_long_is_no_bug(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = console.as_(Role.VIEWER)
    monkeypatch.setattr(Looks, "shown", AsyncMock(side_effect=TimeoutError))
    answer = viewer.get("/sources")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert "Too much is going on" in answer.text


def test_a_pause_by_a_command_has_one_look_taken_anew_however_long_that_takes(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, viewer = console.site.endpoints.looks, console.as_(Role.VIEWER)
    add_source(console, "late")
    row = sources.find(console.installation, "late")
    page, look, begun, hangs = f"/sources/{row.id}", looks.look, list[str](), threading.Event()
    assert viewer.get(page).status_code == 200
    source_changes.pause(console.installation, row, paused=True)

    def late() -> Any:
        begun.append(threading.current_thread().name)
        assert hangs.wait(30)
        return look()

    monkeypatch.setattr(looks, "look", late)
    monkeypatch.setattr(endpoints_module, "_LOOK_WITHIN", 0.05)
    try:
        for _ in range(3):
            assert viewer.get(page).status_code == 200
    finally:
        hangs.set()
    assert len(begun) == 1


def test_whoever_has_no_source_is_told_how_to_create_one(tmp_path: Path) -> None:
    with console_of(tmp_path / "home") as console:
        assert 'href="/sources/new"' in console.as_(Role.ADMIN).get("/sources").text
        assert "An admin can create one." in console.as_(Role.VIEWER).get("/sources").text


@pytest.mark.slow
def test_many_sources_are_shown_page_by_page_and_found_by_name(tmp_path: Path) -> None:
    with console_of(tmp_path / "home") as console:
        for number in range(120):
            given = {"client_id": "x", "token_url": "cognito", "log_types": ["audit"]}
            row = sources.row_of(f"tenant-{number:03}", sources.products()["wiz"].choose(None, given), {})
            sources.add(console.installation, row, GivenSecret(value=Secret("x")))
        guest, address, shown = console.as_(Role.VIEWER), "/sources", list[str]()
        while address:
            text = guest.get(address).text
            found = re.findall(r'title="(tenant-\d+)"', text)
            assert len(found) <= 50
            # What the page asks for again is itself.
            assert f'hx-get="{address.replace("&", "&amp;")}"' in text
            shown += found
            around = pages_around(text)
            address = around.get("More sources", "")
        assert shown == [f"tenant-{number:03}" for number in range(120)]
        assert around["First page"] == "/sources"
        assert 'title="tenant-050"' in guest.get(around["Previous page"]).text
        assert re.findall(r'title="(tenant-\d+)"', guest.get("/sources?text=T-11").text) == [
            f"tenant-{number}" for number in range(110, 120)
        ]
        assert "No source is called like that." in guest.get("/sources?text=nothing").text


@pytest.fixture
def console(console_with_source: Console) -> Console:
    return console_with_source


def until(condition: Callable[[], Any]) -> Any:
    """Return what a condition comes to hold."""
    give_up, never = time.monotonic() + 30, threading.Event()
    while not (found := condition()):
        assert time.monotonic() < give_up
        never.wait(0.02)
    return found


def form_of(page: str) -> dict[str, Any]:
    """Return what the form of the settings holds, as a browser would send it."""
    form = page[page.index('action="/sources/prod/edit"') : page.index("</form></details>")]
    found: dict[str, Any] = dict(
        re.findall(r'<input class="form-control[^"]*"[^>]* name="([^"]+)" value="([^"]*)"', form)
    )
    for name, options in re.findall(r'<select[^>]* name="([^"]+)"[^>]*>(.*?)</select>', form):
        found[name] = re.findall(r'value="([^"]*)" selected', options)[0]
    for name in [each.removesuffix("_other") for each in found if each.endswith("_other")]:
        typed = found.pop(f"{name}_other")
        found[name] = typed if found[name] == "other" else found[name]
    found["log_types"] = re.findall(r'name="log_types" value="([^"]+)" checked', form)
    return {name: unescape(value) if isinstance(value, str) else value for name, value in found.items()}


def saved(console: Console) -> dict[str, Any]:
    row = sources.find(console.installation, "prod")
    return {"streams": row.settings, **source_settings(row).to_mapping()}


def test_a_form_that_is_sent_as_it_came_changes_nothing(console: Console) -> None:
    guest, before = console.as_(Role.ADMIN), saved(console)
    form = form_of(guest.get("/sources/prod").text)
    assert form["token_url"].startswith("https://auth.app.wiz.io/")
    assert (form["rate"], form["backfill"], form["sweep"], form["after"]) == ("3", "7d", "yes", "1d")
    assert guest.post("/sources/prod/edit", **form).headers["location"] == "/sources/prod?said=changed"
    assert saved(console) == before


def test_settings_are_changed_in_the_browser(console: Console) -> None:
    guest = console.as_(Role.ADMIN)
    form = form_of(guest.get("/sources/prod").text)
    wanted = {"rate": "1.5", "projects": "one, two", "page_size": "50", "poll": "10m", "sweep": "no"}
    alarms = {"after": "6h", "quiet_hours": "22:00-07:00 Asia/Seoul", "after:Wiz.Audit": "off"}
    given = {**form, **wanted, **alarms, "log_types": ["Wiz.Issues", "Wiz.Audit"]}
    assert guest.post("/sources/prod/edit", **given).status_code == 303
    now = saved(console)
    assert (now["rate"], now["page_size"], list(now["projects"])) == (1.5, 50, ["one", "two"])
    assert sorted(now["log_types"]) == ["Wiz.Audit", "Wiz.Issues"]
    assert (now["streams"]["poll"], now["streams"]["sweep"], now["streams"]["backfill"]) == ("10m", False, "7d")
    row = sources.find(console.installation, "prod")
    assert alarm_settings(row, "Wiz.Issues").after == timedelta(hours=6)
    assert alarm_settings(row, "Wiz.Issues").quiet_hours is not None
    assert alarm_settings(row, "Wiz.Audit").after is None
    shown = guest.get("/sources/prod").text
    given |= {"log_types": sorted(given["log_types"], key=lambda each: shown.index(f'value="{each}"'))}
    assert form_of(shown) == {name: value for name, value in given.items() if name != "after:Wiz.VulnerabilityFinding"}
    (deed,) = [each for each in console.installation.ledger.users.trail() if each.what == "source.changed"]
    assert "rate" in deed.details["settings"]
    assert "no_events_after" in deed.details["settings"]
    # Limited to fewer projects no more: what can be seen now is swept.
    form = form_of(shown) | {"projects": "", "sweep": "yes", "after:Wiz.Audit": ""}
    assert guest.post("/sources/prod/edit", **form).headers["location"] == "/sources/prod?said=swept"
    assert "are read by a sweep" in guest.get("/sources/prod?said=swept").text
    assert alarm_settings(sources.find(console.installation, "prod"), "Wiz.Audit").after == timedelta(hours=6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "text", "why"),
    [
        ("rate", "fast", "is not a number"),
        ("rate", "5000", "from 0.01 to 1000"),
        ("page_size", "1.5", "is not a number"),
        ("client_id", "", "Client ID is needed"),
        ("poll", "0s", ""),
        ("poll", "2d", "Request new records every 2d: choose something from 1s to 1d"),
        ("sweep_every", "1m", "from 10m to 30d"),
        ("backfill", "long", "write all"),
        ("after", "1s", "Alarm without events after: "),
        ("quiet_hours", "at night", "No alarm without events during these hours: "),
        ("log_types", "", "at least one log type"),
    ],
)
def test_a_setting_that_does_not_hold_is_told_beside_what_was_typed(
    console: Console, field: str, text: str, why: str
) -> None:
    console.installation.settings = replace(console.installation.settings, private_sources=False)
    guest, before = console.as_(Role.ADMIN), saved(console)
    form: dict[str, Any] = form_of(guest.get("/sources/prod").text) | {"rate": "2", field: text}
    form["log_types"] = form["log_types"] or []
    answer = guest.post("/sources/prod/edit", **form)
    assert answer.status_code == 422
    assert why in unescape(answer.text)
    if field != "log_types" and text != "5000":
        assert f'is-invalid" id="set-{field}"' in answer.text
    assert form_of(answer.text) == form
    assert saved(console) == before


def test_what_is_reached_is_tried_before_it_is_kept(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[Any]()

    def refuse(settings: Any, secret: Secret, *_: Any) -> list[HealthItem]:
        asked.append((settings.client_id, secret.reveal()))
        return [HealthItem(name="token", state=HealthState.FAIL, text="The id is <unknown>.", todo="Look in Wiz.")]

    monkeypatch.setattr(sources, "check", refuse)
    guest = console.as_(Role.ADMIN)
    form = form_of(guest.get("/sources/prod").text)
    assert guest.post("/sources/prod/edit", **(form | {"poll": "1h"})).status_code == 303
    assert asked == [], "how often it is read needs no check"
    answer = guest.post("/sources/prod/edit", **(form | {"client_id": "other"}))
    assert asked == [("other", SECRET)]
    assert answer.status_code == 422
    assert "The id is &lt;unknown&gt;." in answer.text
    assert SECRET not in answer.text
    assert saved(console)["client_id"] == "client-of-prod"


REQUIRED = "text: the field is required"


def reject(console: Console) -> None:
    """Keep a record as a rejection which fits the schema: as if that had learned what the record needs."""
    ledger, log_type, observed = console.installation.ledger, "Wiz.Issues", datetime(2026, 8, 2, tzinfo=UTC)
    raw = {"id": "late-1", "createdAt": "2026-08-01T00:00:00Z", "updatedAt": "2026-08-01T01:00:00Z", "status": "OPEN"}
    found = Rejection(path="$.status", expected=REQUIRED, found="42", raw=json.dumps(raw).encode(), record_id="late-1")
    at = to_us(observed)
    stamp = Stamp(source_id="prod", source_label="prod", origin=Origin.LIVE, observed_us=at, parsed_us=at)
    before = ledger.pulling.marks("prod", log_type)
    ledger.pulling.plan(before, replace(before, edge=observed), [])
    keys = [rejection_key("prod", log_type, found.raw)]
    rows = rejection_rows([found], log_type=log_type, keys=keys, stamp=stamp)
    lake = FileLake(console.installation.home.path, ledger.lake, table_schemas())
    part = lake.write(REJECTIONS, f"1-1-{ledger.lake.counter(REJECTIONS)}", rows)
    with ledger._database.write() as tx:
        landing.add_part(tx, part, "prod", counters.hold(tx, REJECTIONS).last + 1, 0)


@contextmanager
def service(console: Console) -> Iterator[None]:
    """Have the loops of a service run in this process, as `ocelog run` does beside the console. Nothing is judged."""
    stop = Stop()
    console.installation.settings = replace(console.installation.settings, detections=False)
    source_changes.pause(console.installation, sources.find(console.installation, "prod"), paused=True)
    with held(console.installation.home, SERVICE):
        running = Service(
            assembly=Assembly(installation=console.installation, told=lambda _stream, _step: None), stop=stop
        )
        thread = threading.Thread(target=running.run)
        thread.start()
        try:
            until(lambda: console.installation.loops_run)
            yield
        finally:
            stop.ask()
            thread.join()
    assert not console.installation.loops_run


def test_why_a_record_is_rejected_is_said_in_the_language_of_the_reader(console: Console) -> None:
    reject(console)
    viewer = console.as_(Role.VIEWER)
    for language, said in (("en", REQUIRED), ("ko", "텍스트: 필수 필드")):
        assert said in viewer.get("/sources/prod/rejections", headers={"accept-language": language}).text


@pytest.mark.slow
def test_rejections_are_tried_again_while_the_service_runs(console: Console) -> None:
    reject(console)
    guest, viewer = console.as_(Role.ANALYST), console.as_(Role.VIEWER)
    assert "Try them again" not in viewer.get("/sources/prod/rejections").text
    with service(console):
        assert "Try them again" in guest.get("/sources/prod/rejections").text
        guest.post("/sources/prod/replay")
        until(lambda: "fit now and landed" in guest.get("/sources/prod/rejections").text)
        text = guest.get("/sources/prod/rejections").text
        assert "Of 1 rejected records, 1 fit now and landed." in text
        assert "being tried again" not in text
        asked = program(console)
        assert asked("POST", "/rejections/replay").json()["repeats"] == 1, "the API does so too, and nothing twice"
    with ask(console.installation, "SELECT id FROM wiz_issues", trusted=True) as answer:
        assert [row["id"] for batch in answer.batches for row in batch.to_pylist()] == ["late-1"]


@pytest.mark.slow
@pytest.mark.parametrize("beside_a_service", [False, True])
def test_a_source_is_deleted_with_its_rows_by_whoever_types_its_name(
    console: Console, *, beside_a_service: bool
) -> None:
    add_source(console, "kept")
    for source_id in ("prod", "kept"):
        rows = [
            row("Wiz.Issues", f"{source_id}-{number}", later(hours=number), p_source_id=source_id) for number in (1, 2)
        ]
        land(console.installation, "Wiz.Issues", rows[:1], publish=True)
        land(console.installation, "Wiz.Issues", rows[1:])
    guest = console.as_(Role.ADMIN)
    assert 'href="/sources/prod/purge"' in guest.get("/sources/prod").text
    refused = guest.post("/sources/prod/purge", name="Prod")
    assert (refused.status_code, "type its name" in refused.text) == (422, True)
    assert console.as_(Role.ANALYST).post("/sources/prod/purge", name="prod").status_code == 403
    with service(console) if beside_a_service else nullcontext():
        assert guest.post("/sources/prod/purge", name="prod").headers["location"] == "/sources/prod/purge"
        until(lambda: "The source is gone" in guest.get("/sources/prod/purge").text)
    with ask(console.installation, "SELECT id FROM wiz_issues ORDER BY id", trusted=True) as answer:
        left = [row["id"] for batch in answer.batches for row in batch.to_pylist()]
    assert left == ["kept-1", "kept-2"]
    assert [each.name for each in sources.listed(console.installation, removed=True)] == ["kept"]
    assert "source.purged" in [each.what for each in console.installation.ledger.users.trail()]


def test_nothing_is_said_to_be_deleted_while_another_process_holds_the_home(console: Console) -> None:
    guest = console.as_(Role.ADMIN)
    with held(console.installation.home, SERVICE) as pulse:
        pulse.serves("https://ocelog.example")
        refused = guest.post("/sources/prod/purge", name="prod")
    assert refused.status_code == 422
    assert "do it in its console, https://ocelog.example, or stop it" in unescape(refused.text)
    assert "source.purged" not in [each.what for each in console.installation.ledger.users.trail()]


def test_a_removed_source_can_still_be_deleted_and_a_half_deleted_one_stands_first(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_source(console, "aaa")
    guest = console.as_(Role.ADMIN)
    for name in ("aaa", "prod"):
        guest.post(f"/sources/{name}/remove", name=name)

    def fails(*_: object) -> None:
        raise LakeUnavailableError("The disk <hangs>.")

    monkeypatch.setattr("ocelog.app.sources.purge.delete_rows", fails)
    guest.post("/sources/prod/purge", name="prod")
    until(lambda: "The disk &lt;hangs&gt;." in guest.get("/sources/prod/purge").text)
    shown = guest.get("/sources").text
    assert re.findall(r'href="/sources/(\w+)/purge"', shown) == ["prod", "aaa"]
    assert "half deleted" in shown
    monkeypatch.undo()
    assert "finish that" in guest.get("/sources/prod/purge").text
    guest.post("/sources/prod/purge", name="prod")
    until(lambda: "The source is gone" in guest.get("/sources/prod/purge").text)
    assert guest.get("/sources/nothing/purge").status_code == 404


@pytest.mark.parametrize("address", ["token_url", "api_url"])
def test_the_secret_that_is_kept_goes_to_no_address_that_is_named_remotely(
    console: Console, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    asked = list[str]()

    def check(_: Any, secret: Secret, *__: Any) -> list[HealthItem]:
        asked.append(secret.reveal())
        return [HealthItem(name="token", state=HealthState.OK, text="It works.")]

    monkeypatch.setattr(sources, "check", check)
    guest, before = console.as_(Role.ADMIN), saved(console)
    form = form_of(guest.get("/sources/prod").text) | {address: "https://elsewhere.example.com/x"}
    answer = guest.post("/sources/prod/edit", **form)
    assert (answer.status_code, asked, saved(console)) == (422, [], before)
    assert "takes the client secret, too" in answer.text
    given = guest.post("/sources/prod/edit", **form, secret="another-secret")
    assert (given.status_code, asked) == (303, ["another-secret"])
    assert saved(console)[address].startswith("https://elsewhere.example.com/x")
    assert "another-secret" not in answer.text


def test_a_source_that_was_set_up_on_the_machine_stays_what_it_is_if_something_else_is_changed(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "check", lambda *_, **__: [])
    local = SourceChange(own={"api_url": "https://127.0.0.1:8443/graphql"}, check=False)
    source_changes.edit(console.installation, sources.find(console.installation, "prod"), local, Listener())
    console.installation.settings = replace(console.installation.settings, private_sources=False)
    guest = console.as_(Role.ADMIN)
    form = form_of(guest.get("/sources/prod").text)
    assert guest.post("/sources/prod/edit", **(form | {"poll": "20m", "rate": "2"})).status_code == 303
    assert (saved(console)["public_only"], saved(console)["rate"]) == (False, 2.0)
    moved = form | {"api_url": "https://api.example.com/graphql"}
    assert guest.post("/sources/prod/edit", **moved, secret="other").status_code == 303
    assert saved(console)["public_only"] is True


def test_it_says_that_a_source_was_paused_resumed_or_given_another_secret(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing_is_asked(monkeypatch)
    admin = console.as_(Role.ADMIN)
    for what, said in (("pause", "Paused. Nothing is read"), ("resume", "Resumed. It is read")):
        assert said in admin.get(admin.post("/sources/prod/" + what).headers["location"]).text
    rotated = admin.post("/sources/prod/rotate", secret="another")
    assert "The client secret is replaced." in admin.get(rotated.headers["location"]).text


def test_what_a_command_paused_is_shown_paused_at_the_next_request(console: Console) -> None:
    viewer, badges = console.as_(Role.VIEWER), re.compile(r'<span class="badge bg-\w+-lt">([\w ]+)</span>')

    def states() -> set[str]:
        return set(badges.findall(viewer.get("/sources/prod").text))

    before = states()
    assert "paused" not in before
    for paused in (True, False):
        source_changes.pause(console.installation, sources.find(console.installation, "prod"), paused=paused)
        assert states() == ({"paused"} if paused else before)


def test_why_a_stream_is_not_read_is_said_once_and_its_state_in_the_language_of_the_reader(console: Console) -> None:
    viewer, text = console.as_(Role.VIEWER), "tenant.example did not answer: Connection refused."
    found = sources.find(console.installation, "prod")
    kind, now_us = SourceUnavailableError.code, to_us(datetime.now(UTC))
    streams = stream_statuses(console.installation.ledger)
    for log_type in [each.log_type for each in streams if each.source_id == found.id]:
        console.installation.ledger.pulling.trouble(found.id, log_type, kind=kind, code=kind, text=text, at_us=now_us)
    console.site.endpoints.looks.forget()
    for path in ("/sources", "/sources/prod"):
        shown = viewer.get(path).text
        assert shown.count(text) == len(streams)
        assert shown.count('<span class="badge bg-orange-lt">retrying</span>') == len(streams) + (path == "/sources")
        assert "healthy" not in shown
    assert "다시 시도 중" in viewer.get("/sources", headers={"accept-language": "ko"}).text


def test_what_is_shown_right_after_a_pause_is_true_on_the_page_and_in_the_list(console: Console) -> None:
    admin = console.as_(Role.ADMIN)
    states = re.compile(r'<span class="badge bg-\w+-lt">([\w ]+)</span>')
    for what, is_paused in (("pause", True), ("resume", False)):
        # These are kept for some seconds.
        before = [set(states.findall(admin.get(path).text)) for path in ("/sources", "/sources/prod")]
        assert all(("paused" in each) is not is_paused for each in before)
        shown = admin.get(admin.post("/sources/prod/" + what).headers["location"]).text
        for text in (shown, admin.get("/sources").text):
            found = set(states.findall(text))
            assert (found == {"paused"}) is is_paused
            assert ("paused" in found) is is_paused


def test_times_are_chosen_from_a_list_or_typed(console: Console) -> None:
    admin = console.as_(Role.ADMIN)
    shown = admin.get("/sources/prod").text
    assert '<option value="30d">30 days</option>' in shown
    assert '<option value="off">off</option>' in shown
    assert "Tell of the no-events alarm again every" in shown
    assert re.search(r'<option value="https://[^"]*" selected>Commercial', shown)
    form = form_of(shown)
    for chosen, typed, kept in (("3d", "", "3d"), ("other", "45m", "45m"), ("off", "45m", "off")):
        given = form | {"after": chosen, "after_other": typed}
        assert admin.post("/sources/prod/edit", **given).status_code == 303
        assert saved(console)["streams"]["no_events"]["after"] == kept
    admin.post("/sources/prod/edit", **(form | {"after": "other", "after_other": "45m"}))
    again = admin.get("/sources/prod").text
    assert re.search(r'<option value="other" selected>[^<]*</option></select>\s*<input [^>]*value="45m"', again)
    refused = admin.post("/sources/prod/edit", **(form | {"after": "other", "after_other": "soon"}))
    assert refused.status_code == 422
    assert re.search(r'<select class="form-select is-invalid" id="set-after"', refused.text)
    assert 'name="after_other" value="soon"' in refused.text
