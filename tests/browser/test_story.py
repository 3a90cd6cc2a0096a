"""What a person does who never opens a terminal, from the link that `ocelog run` prints to an alert that is over."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from browsing import NARROW, ROOT, WIDE, Admin, Person, person
from commands import Ocelog, Simulated, simulator
from ocelog.app.loops.health import AlertedErrors, age_silence, look_at_streams
from ocelog.installation.opening import opened
from ocelog.times import rfc3339

NAME, PASSWORD = "kim@example.com", "correct horse battery staple"
ADMIN = "story"
SIZE = ("--audit", "60", "--issues", "40", "--findings", "80", "--admin-token", ADMIN)
HOSTILE = "<img src=x onerror=alert(1)>" + "W" * 200
PICTURES = ROOT / "docs/img" if os.environ.get("OCELOG_SCREENSHOTS") == "1" else None
"""In English: few machines have the glyphs of Korean."""


@contextmanager
def served(ocelog: Ocelog, where: str = "0") -> Iterator[dict[str, Any]]:
    """Run the service within the block; return what it says first of each kind until it has started."""
    said = dict[str, Any]()
    with ocelog.start("run", "--listen", where) as process:
        assert process.stderr is not None
        for line in process.stderr:
            entry = json.loads(line)
            said.setdefault(entry["event"], entry)
            if entry["event"] == "started":
                break
        # A pipe that nobody reads fills up.
        reading = threading.Thread(target=process.stderr.read, daemon=True)
        reading.start()
        try:
            yield said
        finally:
            process.send_signal(signal.SIGTERM)
            reading.join()
    assert process.returncode == 0


@pytest.fixture
def tenant() -> Iterator[Simulated]:
    with simulator(*SIZE) as found:
        yield found


@pytest.mark.parametrize("language", ["en", "ko"])
def test_from_the_printed_link_to_an_alert_that_is_over(
    language: str, chromium: str, tenant: Simulated, tmp_path: Path
) -> None:
    # The simulator is on this machine, which a source of the console may not be.
    ocelog = Ocelog(tmp_path / "home", OCELOG_PUBLISH_AFTER="1s", OCELOG_PRIVATE_SOURCES="yes")
    ocelog.init()
    # What is refused on purpose, and a query that is cancelled.
    expected = (
        "status of 422",
        "/nowhere: Failed to load resource",
        "htmx:sendAbort",
        "htmx:afterRequest",
        # The page of sources asks for itself every 2 s, also in the instant in which its person signs out.
        "/sources: Failed to load resource: the server responded with a status of 401",
    )
    pictures = PICTURES if language == "en" else None
    # Between them they see each page wide and narrow, light and dark.
    by_axe = {"en": (WIDE,), "ko": (NARROW,)}[language]
    with person(chromium, language, expected=expected, by_axe=by_axe, pictures=pictures) as me:
        with served(ocelog) as said:
            port = said["listening"]["address"].rpartition(":")[2]
            become_admin(me, said["no user yet"]["open"])
            source_id = add_source(me, tenant)
            watch_it_being_read(me, ocelog)
            search(me)
            # One language each: what they add is the work of scripts, and of one form.
            if language == "en":
                ask_in_sql(me)
            else:
                change_the_source(me, source_id)
            triage(me, Wiz(Admin(api_url=tenant.api_url, token=ADMIN)))
        with opened(ocelog.home) as installation:
            # As the loop that looks at streams does each minute.
            look_at_streams(installation.ledger, AlertedErrors(installation.ledger), datetime.now(UTC))
            age_silence(installation, source_id, "Wiz.Audit", timedelta(hours=25))
        # The browser is still signed in.
        with served(ocelog, port):
            hear_of_silence(me)
            see_the_rest(me)
        me.is_content()


def become_admin(me: Person, link: str) -> None:
    me.page.goto(link)
    expect(me.page).to_have_title(f"{me.say('The first user')} · Ocelog")
    me.look("first")
    # By keyboard alone: the first field has the focus.
    me.page.keyboard.type(NAME)
    me.page.keyboard.press("Tab")
    me.page.keyboard.type(PASSWORD)
    me.page.keyboard.press("Tab")
    me.page.keyboard.press("Enter")
    expect(me.page.get_by_role("heading", name=me.say("Sources"), exact=True)).to_be_visible()
    me.look("no-sources")
    me.button("Sign out").click()
    expect(me.page.get_by_role("heading", name=me.say("Sign in"), exact=True)).to_be_visible()
    me.look("sign-in")
    me.page.keyboard.type(NAME)
    me.page.keyboard.press("Tab")
    me.page.keyboard.type(PASSWORD)
    me.page.keyboard.press("Enter")
    expect(me.page.get_by_role("heading", name=me.say("Sources"), exact=True)).to_be_visible()


def add_source(me: Person, tenant: Simulated) -> str:
    me.link("Create new").first.click()
    page = me.page
    page.get_by_label(me.say("A name for this tenant")).fill("prod")
    page.get_by_label(me.say("API Endpoint URL (empty: read it from the token)")).fill(tenant.api_url)
    page.get_by_label(me.say("Token URL"), exact=True).select_option("other")
    page.locator("[name=token_url_other]").fill(tenant.token_url)
    page.get_by_label(me.say("Client ID"), exact=True).fill(tenant.client_id)
    secret = page.get_by_label(me.say("Client Secret"), exact=True)
    secret.fill("not-the-secret")
    me.button("Check").click()
    expect(page.get_by_role("alert")).to_be_visible()
    # It is the secret that was refused, and nothing before it.
    expect(
        page.get_by_role("listitem").filter(has_text=me.say("fail")).filter(has_text=me.say("token"))
    ).to_be_visible()
    expect(page.get_by_text("private_sources")).to_have_count(0)
    me.look("refused-source")
    assert "not-the-secret" not in page.content()
    secret.fill(tenant.client_secret)
    me.button("Check").click()
    expect(page.get_by_text(me.say("Everything looks good."))).to_be_visible()
    me.look("new-source", picture=True)
    me.button("Check and create").click()
    expect(page.get_by_role("heading", name=me.say("Everything looks good!"))).to_be_visible()
    assert tenant.client_secret not in page.content()
    me.look("source-added", picture=True)
    name = str(page.get_by_role("switch", checked=True).first.get_attribute("aria-label"))
    for on in (False, True):
        page.get_by_role("switch", name=name, exact=True).click()
        expect(page.get_by_role("switch", name=name, exact=True, checked=on)).to_be_visible()
    other = page.locator("button[name=after][value='6h']")
    other.click()
    expect(other).to_have_attribute("aria-pressed", "true")
    return urlsplit(page.url).path.split("/")[2]


def watch_it_being_read(me: Person, ocelog: Ocelog) -> None:
    me.link("Watch it being read").click()
    expect(me.page.get_by_role("heading", name="prod", exact=True)).to_be_visible()
    me.link("Sources").click()
    ocelog("source", "edit", "prod", "--poll", "1s")
    row = me.page.get_by_role("row").filter(has_text="Wiz.Audit")
    me.until(lambda: row.locator("svg.sparkline").count() > 0)
    me.look("sources", picture=True)


def search(me: Person) -> None:
    page = me.page
    me.link("Search").click()
    me.settle()
    page.keyboard.press("/")
    expect(page.get_by_label(me.say("Any text in the event"), exact=True)).to_be_focused()
    page.keyboard.press("Escape")
    page.get_by_label(me.say("Log type"), exact=True).select_option("Wiz.Audit")
    page.keyboard.press("/")
    page.keyboard.press("Enter")
    page.wait_for_url("**log=Wiz.Audit**")
    rows = page.locator("#rows tbody tr[data-href]")
    me.until(lambda: rows.count() > 1)
    me.look("search", picture=True)
    # Drag over the newest half of the time.
    chart = page.locator("[data-chart=histogram]")
    chart.scroll_into_view_if_needed()
    place = chart.bounding_box()
    assert place
    middle = place["y"] + place["height"] / 2
    page.mouse.move(place["x"] + 0.5 * place["width"], middle)
    page.mouse.down()
    page.mouse.move(place["x"] + 0.97 * place["width"], middle, steps=5)
    page.mouse.up()
    page.wait_for_url("**since=**")
    me.settle()
    assert rows.count() > 1
    me.look("search-zoomed")
    # The second row, by keyboard.
    wanted = rows.nth(1).get_attribute("data-href")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{wanted}")
    me.look("event", picture=True)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    me.look("keys")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def ask_in_sql(me: Person) -> None:
    page = me.page
    page.goto(urljoin(page.url, "/search/sql"))
    field = page.locator("#sql")
    field.focus()
    page.keyboard.type("SELECT id, action FROM wiz_au")
    expect(page.locator("[data-completions] button").first).to_have_text("wiz_audit")
    me.look("sql-completion", alone=True)
    field.focus()
    page.keyboard.press("Tab")
    expect(field).to_have_value("SELECT id, action FROM wiz_audit")
    page.keyboard.type(" ORDER BY id")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**sql=SELECT**")
    expect(page.locator("#rows tbody tr").first).to_be_visible()
    me.look("sql", picture=True, alone=True)
    page.locator("#format").select_option("csv")
    with page.expect_download() as begun:
        me.button("Export").click()
    lines = Path(begun.value.path()).read_text(encoding="utf-8-sig").splitlines()
    assert begun.value.suggested_filename.endswith(".csv")
    assert (lines[0].replace('"', ""), len(lines) > 50) == ("id,action", True)
    # Longer than anybody waits.
    slow = urlencode({"sql": "SELECT sum(hash(a.range)) FROM range(10000000) a, range(10000000) b"})
    page.goto(urljoin(page.url, f"/search/sql?{slow}"))
    me.button("Cancel").click()
    expect(page.get_by_text(me.say("Cancelled."))).to_be_visible()
    me.look("cancelled", alone=True)


def change_the_source(me: Person, source_id: str) -> None:
    page = me.page
    page.goto(urljoin(page.url, f"/sources/{source_id}"))
    page.get_by_text(me.say("Change the settings")).click()
    rate = page.get_by_label(me.say("Requests per second"), exact=True)
    rate.fill("fast")
    me.look("source-settings", alone=True)
    me.button("Save").first.click()
    expect(page.get_by_text("'fast'")).to_be_visible()
    expect(rate).to_have_attribute("aria-invalid", "true")
    expect(rate).to_have_value("fast")
    rate.fill("4.5")
    me.button("Save").first.click()
    expect(page.get_by_text(me.say("Changed."), exact=True)).to_be_visible()
    expect(rate).to_have_value("4.5")
    page.goto(urljoin(page.url, f"/sources/{source_id}/purge"))
    me.look("purge", alone=True)


class Wiz:
    """What happens at the other side."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        self._templates = admin("current")

    def delete_connector(self) -> None:
        entries = [record for _, record in self._templates["audit"].values()]
        like = min((each for each in entries if each["user"] and each["sourceIP"]), key=lambda each: each["id"])
        done = {"id": str(uuid4()), "action": "DeleteConnector", "actionType": "MUTATION", "status": "SUCCESS"}
        given = {"timestamp": _now(), "actionParameters": {"input": {"id": str(uuid4())}}}
        self._admin("put", type="audit", record={**like, **done, **given})

    def threat(self) -> str:
        issues = [record for _, record in self._templates["issues"].values()]
        like = min((each for each in issues if each["type"] == "THREAT_DETECTION"), key=lambda each: each["id"])
        name, now = str(uuid4()), _now()
        fresh = {"status": "OPEN", "severity": "HIGH", "createdAt": now, "updatedAt": now, "statusChangedAt": now}
        ended = dict.fromkeys(("resolvedAt", "resolutionReason", "resolvedBy", "dueAt"))
        entity = {**like["entitySnapshot"], "name": HOSTILE}
        self._admin("put", type="issues", record={**like, **fresh, **ended, "id": name, "entitySnapshot": entity})
        return name

    def resolve(self, issue: str) -> None:
        now = _now()
        fields = {"status": "RESOLVED", "updatedAt": now, "statusChangedAt": now, "resolvedAt": now}
        self._admin("change", type="issues", id=issue, fields=fields)


def _now() -> str:
    return rfc3339(datetime.now(UTC))


def triage(me: Person, wiz: Wiz) -> None:
    page = me.page
    me.link("Alerts").click()
    expect(page.get_by_text(me.say("No alert is open."))).to_be_visible()
    me.look("no-alerts")
    wiz.delete_connector()
    threat = wiz.threat()
    rows = page.locator("tbody tr[data-href]")
    me.until(lambda: rows.count() == 2)
    me.look("alerts", picture=True)
    page.get_by_label(me.say("Choose all"), exact=True).check()
    expect(page.locator("[data-chosen]")).to_have_text("2")
    rows.first.get_by_role("checkbox").uncheck()
    expect(page.locator("[data-chosen]")).to_have_text("1")
    # Anywhere in a row.
    rows.filter(has_text=me.say("Wiz connector deleted")).get_by_role("cell").last.click()
    me.button("Triage").click()
    expect(page.get_by_text(me.say("TRIAGED")).first).to_be_visible()
    page.get_by_label(me.say("Comment"), exact=True).fill("Lee did it, as planned.")
    me.button("Comment").click()
    expect(page.get_by_text("Lee did it, as planned.")).to_be_visible()
    me.settle()
    me.look("alert", picture=True)
    page.get_by_label(me.say("Reason"), exact=True).select_option("benign")
    me.button("Close the alert").click()
    expect(page.get_by_text(f"{me.say('CLOSED')} ({me.say('benign')})")).to_be_visible()
    me.link("Alerts").click()
    expect(rows).to_have_count(1)
    rows.get_by_role("link").click()
    assert page.get_by_text(me.say("RESOLVED")).count() == 0
    wiz.resolve(threat)
    me.until(lambda: page.get_by_text(me.say("RESOLVED")).count() > 0)


def hear_of_silence(me: Person) -> None:
    page = me.page
    me.link("Alerts").click()
    rows = page.locator("tbody tr[data-href]").filter(has_text="prod")
    me.until(lambda: rows.count() > 0)
    me.link("Sources").click()
    audit = page.locator("tbody tr").filter(has_text="Wiz.Audit")
    me.until(lambda: audit.get_by_text(me.say("silent"), exact=True).count() > 0)
    me.look("silent")
    audit.get_by_role("link").click()
    me.look("source", picture=True)


def see_the_rest(me: Person) -> None:
    page = me.page
    for path, name in (
        ("/search", "search-all"),
        ("/search?q=no+such+text", "nothing-found"),
        ("/search?period=nonsense", "refused-search"),
        ("/rules", "rules"),
        ("/schemas", "schemas"),
        ("/schemas/Wiz.Audit", "schema"),
        ("/channels", "channels"),
        ("/channels/new?kind=webhook", "new-channel"),
        ("/users", "users"),
        ("/trail", "trail"),
        ("/account", "account"),
        ("/nowhere", "nowhere"),
    ):
        page.goto(urljoin(page.url, path))
        me.look(name, picture=name in ("rules", "schema"))
        if name == "rules":
            page.locator("tbody tr[data-href]").first.get_by_role("link").first.click()
            me.look("rule", picture=True)
        if name == "search-all":
            page.get_by_title("p_any_usernames").click()
            expect(page.locator("#values li").first).to_be_visible()
            me.look("values")
    # Where nothing is searched for.
    page.goto(urljoin(page.url, "/users"))
    page.keyboard.press("/")
    page.wait_for_url("**/search")
    page.goto(urljoin(page.url, "/sources"))
    before = page.get_attribute("html", "data-bs-theme")
    me.button("Light or dark").click()
    assert page.get_attribute("html", "data-bs-theme") != before
    page.reload()
    assert page.get_attribute("html", "data-bs-theme") != before
