"""What a page makes of data that somebody hostile has put into logs, alerts, rules and names: text, and no more."""

import os
import re
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import insert

from bookkeeping.alerts import alert_of, opened
from ocelog.access import Role
from ocelog.alert.alert import TimelineEntry
from ocelog.app.rule_folders import rule_folders
from ocelog.app.users import users
from ocelog.console.rendering import _visible
from ocelog.console.site import ROUTERS
from ocelog.console.wording import SUMMARIES
from ocelog.errors import LedgerUnavailableError
from ocelog.languages.phrases import say_in
from ocelog.ledger import tables
from ocelog.ledger.rows import alerts as alert_rows
from ocelog.model import SourceRow
from visiting import HERE, PASSWORD, SAME_SITE, Console, console_of, program
from visiting.events import BEGIN, land, row

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><svg/onload=alert(3)>{{7*7}}${7*7}"
BIDI = "\u202eexe.gpj\u202c\u2066\x1b[31m\x00\x9b\u2028"
HOSTILE = SCRIPT + BIDI
LINK = "javascript:alert(4)"
RULE = "AnalysisType: rule\nRuleID: {id}\nDisplayName: {name}\nEnabled: true\nSeverity: High\nFilename: {file}\n"
RULE += "LogTypes: [Wiz.Audit]\nDescription: {name}\nRunbook: {name}\nReference: {link}\nTests: []\n"
ALLOWED = {"src", "href", "action", "hx-get", "hx-post", "formaction", "data-href"}
"""Attributes that hold an address."""


class Seen(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags, self.wrong, self.texts = set[str](), list[str](), list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = {name: value or "" for name, value in attrs}
        self.wrong += [f"{tag} {name}" for name in given if name.startswith("on") or name in ("style", "srcdoc")]
        if tag == "script" and "src" not in given:
            self.wrong.append("an inline script")
        if tag in {"iframe", "object", "embed", "base", "style"}:
            self.wrong.append(tag)
        for name in ALLOWED & given.keys():
            address = given[name].strip().lower()
            if not address.startswith(("/", "#", "?", "https://", "http://", "mailto:", "data:,")) and address:
                self.wrong.append(f"{tag} {name}={address[:40]}")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    folder = tmp_path_factory.mktemp("hostile")
    with console_of(folder / "home") as opened_:
        plant(opened_, folder)
        yield opened_


def plant(console: Console, folder: Path) -> None:
    installation = console.installation
    source = SourceRow(
        id="s1",
        name=HOSTILE.replace("\x00", ""),
        kind="wiz",
        settings={"wiz": {"token_url": "https://auth.app.wiz.io/oauth/token", "client_id": SCRIPT, "api_url": None}},
        added_us=1,
    )
    installation.ledger.sources.add(source)
    values: dict[str, Any] = {"action": HOSTILE, "requestId": "x" * 1_000_000, "p_source_label": HOSTILE}
    land(installation, "Wiz.Audit", [row("Wiz.Audit", HOSTILE, BEGIN, **values), row("Wiz.Audit", LINK, BEGIN)])
    alert = alert_of(
        1,
        title=HOSTILE.replace("\x00", ""),
        rule_id=SCRIPT,
        rule_name=SCRIPT,
        dedup=SCRIPT,
        source_label=SCRIPT,
        log_type="Wiz.Audit",
        assignee=SCRIPT,
    )
    opened(installation.ledger, alert)
    with installation.ledger._database.write() as tx:
        said = TimelineEntry(alert_id=alert.id, at_us=alert.opened_us + 1, who=SCRIPT, what="comment", detail=SCRIPT)
        alert_rows.add_to_timeline(tx, [said])
        made = {"id": "c1", "name": SCRIPT, "kind": "webhook", "settings": {}, "routing": {}, "added_us": 1}
        tx.execute(insert(tables.channels).values(paused=False, **made))
    checkout = folder / "rules"
    checkout.mkdir()
    name = '"' + SCRIPT.replace('"', '\\"') + '"'
    (checkout / "a.yml").write_text(RULE.format(id="Hostile.Rule", name=name, file="a.py", link=LINK))
    (checkout / "a.py").write_text(f"# {SCRIPT}\ndef rule(event):\n    return False\n")
    rule_folders.register(installation, checkout)
    admin = console.as_(Role.ADMIN)
    admin.client.headers["user-agent"] = SCRIPT
    assert admin.post("/sign-in", name="admin@example.com", password=PASSWORD).status_code == 303
    assert admin.sign_in("admin@example.com").status_code == 303
    for hostile in (SCRIPT, BIDI, "x" * 15_000):
        console.guest().post("/sign-in", name=hostile, password=hostile)
    by = users.find(installation, "admin@example.com")
    users.note(installation, by, HOSTILE, HOSTILE, HERE, detail=HOSTILE)


def pages() -> list[str]:
    """Return the address of each page, with what is planted in the place of what its path names."""
    alert, rid = f"{1:032x}", row("Wiz.Audit", HOSTILE, BEGIN)["p_row_id"]
    time = "since=2026-03-30T00:00:00Z&until=2026-03-31T00:00:00Z&log=Wiz.Audit"
    names = {
        "source_id": ["s1", quote(SCRIPT, safe="")],
        "alert_id": [alert, quote(SCRIPT, safe="")],
        "rule_id": ["Hostile.Rule", quote(SCRIPT, safe="")],
        "log_type": ["Wiz.Audit", quote(SCRIPT, safe="")],
        "row_id": [rid, quote(SCRIPT, safe="")],
        "channel_id": ["c1"],
    }
    found = []
    for route in (each for router in ROUTERS for each in router.routes if isinstance(each, APIRoute)):
        if "GET" not in (route.methods or ()):
            continue
        parameters = re.findall(r"{(\w+)(?::\w+)?}", route.path)
        for at in range(2 if parameters else 1):
            path = route.path
            for name in parameters:
                known = names.get(name, [quote(SCRIPT, safe="")])
                path = re.sub(rf"{{{name}(:\w+)?}}", known[min(at, len(known) - 1)].replace("\\", r"\\"), path)
            found.append(f"{path}?{time}&c=action&field=action")
            hostile = quote(HOSTILE, safe="")
            found.append(
                f"{path}?{time}&q={hostile}&text={hostile}&f=action:is:{hostile}&c={hostile}&field={hostile}"
                f"&kind={hostile}&status={hostile}&next={hostile}&token={hostile}&operator={hostile}&before=1"
                f"&sql={hostile}&name={hostile}&cursor={hostile}&after={hostile}&after_row={hostile}"
            )
    return found


@pytest.mark.slow
def test_no_page_makes_more_than_text_of_what_is_hostile(console: Console) -> None:
    admin, shown = console.as_(Role.ADMIN), 0
    wrong = list[str]()
    for path in pages():
        for headers in ({}, {"hx-request": "true"}):
            answer = admin.get(path, headers=headers)
            if answer.status_code >= 500:
                wrong.append(f"{path[:80]}: {answer.status_code}")
            if not answer.headers.get("content-type", "").startswith("text/html"):
                continue
            seen = Seen()
            seen.feed(answer.text)
            wrong += [f"{path[:80]}: {each}" for each in seen.wrong]
            text = "".join(seen.texts)
            shown += "<script>alert(1)" in text
            wrong += [f"{path[:80]}: {each!r}" for each in set(BIDI) - set("exe.gpj[31m") if each in answer.text]
            if "7*7" in text and "{{49}}" in text:
                wrong.append(f"{path[:80]}: a template was run")
    assert wrong == []
    assert shown > 20, "what is hostile is shown, as text"


def test_no_address_that_is_hostile_reaches_a_header(console: Console) -> None:
    admin = console.as_(Role.ADMIN)
    for path in ("/", "/sources", "/sign-in", "/nowhere", "/search/condition"):
        split = "%0d%0aset-cookie:%20evil=1"
        answer = admin.get(f"{path}?next=/{split}&field=action&operator=is&value={split}&log=Wiz.Audit")
        assert "evil" not in str(answer.headers.get("set-cookie"))
        assert "\n" not in answer.headers.get("location", "")
    guest = console.guest().get(f"/sources/{split}?x={split}")
    assert guest.headers["location"].startswith("/sign-in?next=%2F")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../site.py",
        "/static/..%2f..%2fsite.py",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/static//etc/passwd",
        "/static/console.css%00",
        "/rules/..%2f..%2f..%2fetc%2fpasswd",
        "/rules/%2fetc%2fpasswd",
        "/events/..%2f..%2fetc%2fpasswd/x",
        "/events/wiz_audit'--/x",
        "/sources/..%2f..%2fkey",
        "//evil.example/%2e%2e",
    ],
)
def test_no_path_leads_out(console: Console, path: str) -> None:
    answer = console.as_(Role.ADMIN).get(path)
    assert answer.status_code in (303, 404, 422), path
    assert "root:" not in answer.text
    assert not answer.headers.get("location", "/").startswith("//")


INJECTED = [
    "' OR 1=1 --",
    "'; DROP TABLE wiz_audit; --",
    "\\' OR 1=1",
    "') UNION SELECT * FROM rejections --",
    "\x00",
    "%' OR '1",
]


@pytest.mark.slow
@pytest.mark.parametrize("text", INJECTED)
def test_no_search_escapes_into_sql(console: Console, text: str) -> None:
    admin = console.as_(Role.ADMIN)
    time = "since=2026-03-30T00:00:00Z&until=2026-03-31T00:00:00Z&log=Wiz.Audit"
    given = quote(text, safe="")
    for query in (
        f"q={given}",
        f"indicator={given}",
        f"f=action:is:{given}",
        f"f=action:has:{given}",
        f"f={given}:is:x",
        f"f=p_any_usernames:is:{given}",
        f"c={given}",
        f"after_us=1&after_row={given}",
    ):
        answer = admin.get(f"/search/rows?{time}&{query}")
        assert answer.status_code in (200, 422), query
        if not query.startswith("c="):
            # Nothing that was landed is found by any of them.
            assert "/events/Wiz.Audit/" not in answer.text, query
    assert "/events/Wiz.Audit/" in admin.get(f"/search/rows?{time}").text, "the table is still there"


def test_a_link_in_a_folder_of_rules_shows_nothing_of_the_machine(console: Console, tmp_path: Path) -> None:
    secret = tmp_path / "key.py"
    secret.write_text("the key of the house")
    checkout = tmp_path / "linked"
    (checkout / ".git").mkdir(parents=True)
    (checkout / ".git" / "config").write_text("url = https://token@git.example")
    for name, target in (("b", secret), ("c", checkout / ".git" / "config"), ("d", Path("d.py"))):
        text = RULE.format(id=f"Linked.{name}", name=name, file="z.py", link="x")
        (checkout / f"{name}.yml").write_text(text)
        (checkout / f"{name}.py").symlink_to(target)
    (checkout / "z.py").write_text("def rule(event):\n    return False\n")
    os.mkfifo(checkout / "e.py")
    (checkout / "e.yml").write_text(RULE.format(id="Linked.e", name="e", file="z.py", link="x"))
    rule_folders.register(console.installation, checkout)
    viewer = console.as_(Role.VIEWER)
    asked = program(console)
    faces = ((name, face) for name in "bcde" for face in (viewer.get, partial(asked, "GET")))
    for name, face in faces:
        answer = face(f"/rules/Linked.{name}")
        assert answer.status_code == 200, name
        assert f"Linked.{name}" in answer.text
        assert "the key of the house" not in answer.text
        assert "token@git.example" not in answer.text


def test_forms_that_are_large_deep_or_many_are_refused(console: Console) -> None:
    admin = console.as_(Role.ADMIN)
    many = "&".join(f"a{at}=1" for at in range(5_000))
    form = {"content-type": "application/x-www-form-urlencoded", **SAME_SITE}
    for path in ("/sign-in", "/first", "/rules", "/alerts", "/users"):
        answer = admin.client.post(path, content=f"csrf={admin.token}&{many}", headers=form)
        assert answer.status_code == 413, path
    open_ = console.guest().client.post("/sign-in", content="name=" + "x" * 20_000, headers=form)
    assert open_.status_code == 413
    parts = (
        "".join(f'--b\r\nContent-Disposition: form-data; name="a{at}"\r\n\r\n1\r\n' for at in range(1_500)) + "--b--"
    )
    multipart = {"content-type": "multipart/form-data; boundary=b", **SAME_SITE}
    assert admin.client.post("/rules", content=parts, headers=multipart).status_code in (400, 403, 413)


def test_what_is_unseen_is_written_out_and_the_rest_stays() -> None:
    assert _visible("a\u202eb\ud800\x07") == "a\\u202eb\\ud800\\u0007"
    for fine in ("수정 é ‍👩‍💻", "a\n\tb\r", "العربية"):
        assert _visible(fine) == fine
    assert _visible(3) == 3


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/sources/nowhere/added", 404), ("POST", "/sources/nowhere/replay", 422)],
)
def test_what_is_not_there_is_no_fault_of_the_console(console: Console, method: str, path: str, status: int) -> None:
    admin = console.as_(Role.ADMIN)
    answer = admin.get(path) if method == "GET" else admin.post(path)
    assert answer.status_code == status
    assert "There is no source &#39;nowhere&#39;" in answer.text


def test_nobody_anonymous_is_told_what_fails_inside(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise LedgerUnavailableError("postgresql://inner.example:5432 does not answer")

    guest = console.guest()
    monkeypatch.setattr(type(console.installation.ledger.users), "any", fail)
    monkeypatch.setattr(type(console.installation.ledger.users), "token", fail)
    for answer in (
        guest.get("/sign-in"),
        guest.get("/api/v1/me", headers={"authorization": "Bearer ocelog_anything"}),
    ):
        assert answer.status_code == 503
        assert "inner.example" not in answer.text
        assert "ledger_unavailable" in answer.text
        assert "The ledger does not answer, or is busy." in answer.text
    korean = guest.get("/sign-in", headers={"accept-language": "ko"}).text
    assert say_in("ko", SUMMARIES["ledger_unavailable"]) in korean


def test_an_address_of_many_conditions_makes_no_large_page(console: Console) -> None:
    viewer = console.as_(Role.VIEWER)
    for path in ("/search", "/search/rows", "/search/histogram"):
        answer = viewer.get(f"{path}?{'&'.join(['f=p_row_id:is:b'] * 300)}")
        assert (answer.status_code, "at most 20 conditions" in answer.text) == (422, True), path
        assert len(answer.text) < 50_000, path
    assert len(viewer.get(f"/search?{'&'.join(f'c=column{at}' for at in range(2_000))}").text) < 50_000
