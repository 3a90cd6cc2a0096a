"""What the scripts of the console do beside the story: focus, scrolling, tabs, folds, and columns by a click."""

import json
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Request, expect

from bookkeeping.alerts import alert_of
from bookkeeping.alerts import opened as raised
from browsing import NARROW, Person, person
from commands import Ocelog
from ocelog.access import Role
from ocelog.app.users import users
from ocelog.installation.opening import opened
from ocelog.secrets.secret import Secret
from visiting import HERE, PASSWORD
from visiting.events import land, row

NAME = "kim@example.com"
IN_VIEW = """(each) => { const { top, bottom } = each.getBoundingClientRect()
    return top >= 0 && bottom <= innerHeight }"""

NOTHING_COPIED = """navigator.clipboard.write([
    new ClipboardItem({ 'text/plain': new Blob(['nothing'], { type: 'text/plain' }) })])"""


@contextmanager
def console(home: Path) -> Iterator[str]:
    """Serve a home with forty issues, two alerts and a user, without the loops; return where."""
    ocelog, now = Ocelog(home), datetime.now(UTC)
    ocelog.init_unjudged()
    rule = json.dumps({"name": "Open port", "remediationInstructions": "Close it.", "id": "r1"})
    rows = [
        row("Wiz.Issues", f"i{at}", now - timedelta(minutes=at + 1), severity="HIGH", status="OPEN", sourceRule=rule)
        for at in range(40)
    ]
    with opened(home) as installation:
        land(installation, "Wiz.Issues", rows)
        raised(installation.ledger, alert_of(1), alert_of(2))
        admin = users.add_first(installation, NAME, Secret(PASSWORD), HERE)
        assert admin.role is Role.ADMIN
    with ocelog.start("serve", "--listen", "0") as process:
        assert process.stderr is not None
        said = next(entry for entry in map(json.loads, process.stderr) if entry["event"] == "listening")
        reading = threading.Thread(target=process.stderr.read, daemon=True)
        reading.start()
        try:
            yield str(said["open"])
        finally:
            process.send_signal(signal.SIGTERM)
            reading.join()


@pytest.mark.slow
def test_scripts_keep_focus_folds_and_columns_and_name_the_tab(chromium: str, tmp_path: Path) -> None:
    refused = ("status of 401", "status of 422", "htmx:sendAbort", "htmx:afterRequest")
    with console(tmp_path / "home") as at, person(chromium, "en", expected=refused) as me:
        me.page.goto(f"{at}/sign-in")
        sign_in(me)
        expect(me.page.get_by_role("heading", name="Sources", exact=True)).to_be_visible()
        name_the_tab(me, at)
        show_values(me)
        pick_columns(me)
        fold(me)
        lead_to_what_is_wrong(me, at)
        press_keys(me, at)
        go_on_after_the_list(me, at)
        skip_the_menu(me, at)
        read_days(me, at)
        copy_with_and_without_a_clipboard(me, at)
        type_once(me, at)
        choose_again(me, at, tmp_path / "home")
        keep_answers(me, at, tmp_path / "home")
        keep_no_secret(me, at)
        me.is_content()


def sign_in(me: Person) -> None:
    me.page.get_by_label("Name", exact=True).fill(NAME)
    me.page.get_by_label("Password", exact=True).fill(PASSWORD)
    me.button("Sign in").click()


def copy_with_and_without_a_clipboard(me: Person, at: str) -> None:
    """See that a text is copied, and that it is said, also where the browser lends no clipboard."""
    page = me.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{at}/search?log=Wiz.Issues&period=7d")
    page.get_by_text("The same as SQL").click()
    button = page.get_by_role("button", name="Copy SQL")
    for lends in (True, False):
        if not lends:
            page.evaluate("Object.defineProperty(navigator.clipboard, 'writeText', { value: undefined })")
        page.evaluate(NOTHING_COPIED)
        button.click()
        expect(page.get_by_role("button", name="Copied")).to_be_focused()
        assert "FROM wiz_issues" in page.evaluate("navigator.clipboard.readText()")
        expect(button).to_be_visible()


def type_once(me: Person, at: str) -> None:
    """See that what was typed when a session ended is there after signing in, but for secrets, and only once."""
    page, comment, reason = me.page, me.page.get_by_label("Comment"), me.page.get_by_label("Reason")
    page.goto(f"{at}/alerts/{alert_of(1).id}")
    comment.fill("Seen.")
    reason.select_option("benign")
    page.context.clear_cookies()
    me.button("Comment").click()
    me.link("Sign in").click()
    sign_in(me)
    expect(comment).to_have_value("Seen.")
    expect(reason).to_have_value("benign")
    page.reload()
    expect(comment).to_have_value("")
    page.goto(f"{at}/sources/new")
    name, secret = page.get_by_label("A name for this tenant"), page.get_by_label("Client Secret", exact=True)
    name.fill("prod")
    secret.fill("not for the browser to keep")
    page.context.clear_cookies()
    me.button("Check", within=page.locator("main")).click()
    sign_in(me)
    expect(name).to_have_value("prod")
    expect(secret).to_have_value("")
    page.evaluate("name => { document.querySelector('[name=name]').value = name }", "left behind")
    me.button("Sign out").click()
    expect(me.button("Sign in")).to_be_visible()
    assert page.evaluate("sessionStorage.getItem('unsent')") is None


def choose_again(me: Person, at: str, home: Path) -> None:
    """See that the alert that was ticked is ticked again, and no other that took its row meanwhile."""
    page, ticked = me.page, me.page.locator("main tbody input:checked")
    page.goto(f"{at}/sign-in")
    sign_in(me)
    page.goto(f"{at}/alerts")
    page.locator("main tbody input").first.check()
    chosen = ticked.get_attribute("value")
    page.context.clear_cookies()
    with opened(home) as installation:
        raised(installation.ledger, alert_of(3))
    page.goto(f"{at}/alerts")
    sign_in(me)
    expect(page.locator("main tbody input")).to_have_count(3)
    expect(page.locator("main tbody input").first).not_to_have_value(str(chosen))
    expect(ticked).to_have_count(1)
    expect(ticked).to_have_value(str(chosen))


def keep_answers(me: Person, at: str, home: Path) -> None:
    """See that what was typed is kept, too, once the console has answered with it, and nothing beside it."""
    page, name = me.page, me.page.get_by_label("A name for this tenant")
    with opened(home) as installation:
        kim = users.find(installation, NAME)
        users.add(installation, "lee", Role.VIEWER, Secret(PASSWORD), by=kim, origin=HERE)
    page.goto(f"{at}/users")
    page.get_by_label("Name", exact=True).fill("lee")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    me.button("Add").click()
    expect(page.get_by_role("alert")).to_be_visible()
    with opened(home) as installation:
        users.change_role(installation, "lee", Role.ANALYST, by=kim, origin=HERE)
    page.context.clear_cookies()
    page.goto(f"{at}/users")
    sign_in(me)
    expect(page.get_by_label("Name", exact=True)).to_have_value("lee")
    expect(page.get_by_label("Role of lee")).to_have_value("analyst")
    page.goto(f"{at}/sources/new")
    name.fill("prod")
    me.button("Check", within=page.locator("main")).click()
    expect(page.locator("main .is-invalid").first).to_be_visible()
    page.context.clear_cookies()
    page.goto(f"{at}/sources/new")
    sign_in(me)
    expect(name).to_have_value("prod")


def keep_no_secret(me: Person, at: str) -> None:
    """See that no address or header that holds a secret is kept, and nothing once somebody signs out."""
    page = me.page
    page.goto(f"{at}/channels/new?kind=webhook")
    page.get_by_label("Name", exact=True).fill("ops")
    for field in ("url", "signing_key", "headers"):
        page.locator(f'[name="set.{field}"]').fill("https://example.com/never-kept")
    page.context.clear_cookies()
    page.goto(f"{at}/alerts")
    kept = page.evaluate("sessionStorage.getItem('unsent')")
    assert "ops" in kept
    assert "never-kept" not in kept
    sign_in(me)
    me.button("Sign out").click()
    expect(me.button("Sign in")).to_be_visible()
    assert page.evaluate("sessionStorage.getItem('unsent')") is None


def name_the_tab(me: Person, at: str) -> None:
    """See that every search of a tab bears one name, and those of another tab another."""

    def hear(names: set[str], request: Request) -> None:
        names.add(request.headers.get("x-ocelog-tab", ""))

    named: dict[str, set[str]] = {"first": set(), "second": set()}
    second = me.page.context.new_page()
    for which, page, texts in (("first", me.page, ("LOW", "HIGH")), ("second", second, ("LOW",))):
        page.on("request", partial(hear, named[which]))
        for text in texts:
            page.goto(f"{at}/search?log=Wiz.Issues&q={text}")
            expect(page.locator("#rows table, #rows .empty")).to_be_visible()
    second.close()
    first, other = (each - {""} for each in named.values())
    assert (len(first), len(other), len(first | other)) == (1, 1, 2)


def show_values(me: Person) -> None:
    """See that what a click asks for is led to, and goes with another click."""
    header = me.page.get_by_title("Most frequent values of type")
    header.click()
    values = me.page.locator("#values")
    expect(values).to_be_focused()
    assert values.evaluate(IN_VIEW)
    me.button("Close", within=values).click()
    expect(values).to_be_empty()


def pick_columns(me: Person) -> None:
    """Make a field a column by its name, and by a click at an event of the search that one came from."""
    page = me.page
    page.get_by_text("Columns", exact=True).click()
    page.locator("#column").fill("severity")
    me.button("Show as a column").click()
    expect(page.get_by_title("Most frequent values of severity")).to_be_visible()
    page.locator("#rows tbody tr[data-href] .what a").first.click()
    page.locator('[data-column="status"]').click()
    expect(page.get_by_title("Most frequent values of status")).to_be_visible()
    asked = parse_qs(urlsplit(page.url).query)
    assert asked["q"] == ["HIGH"], "the search that one came from"
    assert {"severity", "status"} <= set(asked["c"])


def fold(me: Person) -> None:
    """See that a group of fields that was folded is so in the next event, until it is opened again."""
    page, group = me.page, me.page.locator("details[data-fold='Wiz.Issues sourceRule']")
    for at, is_open in ((0, True), (1, False)):
        page.locator("#rows tbody tr[data-href] .what a").nth(at).click()
        expect(group).to_have_js_property("open", is_open)
        group.locator("summary").click()
        expect(group).to_have_js_property("open", not is_open)
        # Kept by an event of the browser, which comes a moment later.
        kept = "(is_folded) => (localStorage.getItem('folded') ?? '').includes('sourceRule') === is_folded"
        page.wait_for_function(kept, arg=is_open)
        page.go_back()


def lead_to_what_is_wrong(me: Person, at: str) -> None:
    """See that whoever sends a long form is led to the first field that does not hold, which has the focus."""
    page = me.page
    page.goto(f"{at}/sources/new")
    check = me.button("Check")
    check.scroll_into_view_if_needed()
    check.click()
    wrong = page.locator(".is-invalid").first
    expect(wrong).to_be_focused()
    assert wrong.evaluate(IN_VIEW)


def press_keys(me: Person, at: str) -> None:
    """See that rows are gone to and chosen by keys, whatever an input method makes of them."""
    page = me.page
    page.goto(f"{at}/alerts?everything=1")
    rows, chosen = page.locator("tbody tr[data-href]"), page.locator("[data-chosen]")
    press = "([key, code]) => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, code, bubbles: true }))"
    for key, code, which in (("ㅓ", "KeyJ", 0), ("Process", "KeyJ", 1), ("ㅏ", "KeyK", 0)):
        page.evaluate(press, [key, code])
        expect(rows.nth(which)).to_have_class(re.compile(r"\bat\b"))
    page.keyboard.press("Space")
    expect(rows.nth(0).get_by_role("checkbox")).to_be_checked()
    page.keyboard.press("j")
    page.keyboard.press("Space")
    expect(chosen).to_have_text("2")
    page.keyboard.press("Space")
    expect(rows.nth(1).get_by_role("checkbox")).not_to_be_checked()
    # A box that has the focus itself is turned once.
    rows.nth(1).get_by_role("checkbox").focus()
    page.keyboard.press("Space")
    expect(chosen).to_have_text("2")
    page.keyboard.press("k")
    expect(rows.nth(0)).to_have_class(re.compile(r"\bat\b"))
    page.evaluate(press, ["?", "Slash"])
    expect(page.locator("dialog.help")).to_be_visible()
    me.button("Close", within=page.locator("dialog.help")).click()
    # Where rows lead nowhere they are read one by one.
    page.goto(f"{at}/trail")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("main tbody tr").nth(1)).to_be_focused()


def go_on_after_the_list(me: Person, at: str) -> None:
    """See that Escape closes the list of names first, and what is typed next still goes into the field."""
    page = me.page
    page.goto(f"{at}/search/sql")
    field, names = page.locator("#sql"), page.locator("[data-completions]")
    field.focus()
    page.keyboard.type("SELECT co")
    expect(names).to_be_visible()
    page.keyboard.press("Escape")
    expect(names).to_be_hidden()
    page.keyboard.type("unt(*) g a")
    expect(field).to_have_value("SELECT count(*) g a")
    page.keyboard.press("Escape")
    expect(field).not_to_be_focused()


def skip_the_menu(me: Person, at: str) -> None:
    """See that the first Tab leads to the link past the menu, whose own entry is seen as a whole."""
    page = me.page
    wide = page.viewport_size
    assert wide is not None
    page.set_viewport_size({"width": NARROW, "height": wide["height"]})
    for path in ("/sources", "/trail"):
        page.goto(f"{at}{path}")
        seen = """(each) => { const menu = each.closest('.sections')
            const faded = parseFloat(getComputedStyle(menu).paddingInlineEnd)
            return each.getBoundingClientRect().right <= menu.getBoundingClientRect().right - faded + 1 }"""
        assert page.locator("header [aria-current]").evaluate(seen), path
        page.keyboard.press("Tab")
        expect(page.locator("a.skip")).to_be_focused()
    page.set_viewport_size(wide)


def read_days(me: Person, at: str) -> None:
    """See that bars of whole days, which are those of UTC, are called by their day alone."""
    for period, has_hours in (("24h", True), ("30d", False)):
        me.page.goto(f"{at}/search?log=Wiz.Issues&period={period}")
        chart = me.page.locator("[data-chart=histogram] canvas").locator("xpath=ancestor::*[@data-chart]")
        expect(chart).to_have_attribute("aria-label", re.compile(r" \d+/\d+/\d+.* \u2013 \d+/\d+/\d+"))
        label = chart.get_attribute("aria-label") or ""
        assert (":" in label, label.endswith(" UTC")) == (has_hours, not has_hours)
