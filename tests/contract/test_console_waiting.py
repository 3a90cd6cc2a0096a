"""The thread that answers all requests never waits for a disk, the ledger or a process: others would wait with it."""

import asyncio
import inspect
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import routing
from fastapi.routing import APIRoute
from jinja2 import Template
from starlette.routing import Route

from ocelog.access import Role
from ocelog.console.api.application import BASE
from ocelog.console.api.application import ROUTERS as API_ROUTERS
from ocelog.console.pages.sign_in import anonymous
from ocelog.console.site import ROUTERS
from ocelog.ledger.database.transactions import Database
from visiting import PASSWORD, SAME_SITE, Console, console_of, program
from visiting.everything import AUDIT, ISSUES, RULE, fill, nothing_is_asked

ROOT = Path(__file__).parent.parent.parent
CODE = tuple(str(each) for each in (ROOT / "src", sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib")))
"""What is read of these is imported, or a template that is kept: once in a process."""
WAITS = {
    *("open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.remove", "os.truncate", "os.utime"),
    *("sqlite3.connect", "subprocess.Popen", "socket.connect", "socket.getaddrinfo", "time.sleep", "fcntl.flock"),
}
"""Audit events of what may take long."""


class Guard:
    """Notes what is done in a thread whose event loop runs."""

    def __init__(self) -> None:
        self.on = False
        self.found = list[str]()

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or event not in WAITS or asyncio._get_running_loop() is None:
            return
        about = arguments[0] if arguments else ""
        if event == "open" and str(about).startswith(CODE):
            return
        self.note(f"{event} {about!r}"[:200])

    def note(self, what: str) -> None:
        if self.on and asyncio._get_running_loop() is not None:
            # Noting must not be noted.
            self.on = False
            at = [each for each in traceback.extract_stack() if "/src/ocelog/" in each.filename]
            where = " < ".join(f"{Path(each.filename).name}:{each.lineno}" for each in reversed(at[-4:]))
            self.found.append(f"{what} at {where}")
            self.on = True


GUARD = Guard()
sys.addaudithook(GUARD.hear)


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Guard]:
    def watched(name: str) -> Callable[..., Any]:
        real = getattr(Database, name)

        @contextmanager
        def opened(self: Database) -> Iterator[Any]:
            GUARD.note(f"the ledger: {name}")
            with real(self) as found:
                yield found

        return opened

    for name in ("read", "write"):
        monkeypatch.setattr(Database, name, watched(name))
    GUARD.found, GUARD.on = [], True
    yield GUARD
    GUARD.on = False


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with pytest.MonkeyPatch.context() as patch, console_of(tmp_path_factory.mktemp("waiting") / "home") as opened:
        nothing_is_asked(patch)
        yield opened


@pytest.fixture(scope="module")
def there(console: Console) -> dict[str, str]:
    found = dict(fill(console))
    return found | {"source_id": found["source"], "channel_id": "ops", "alert_id": found["alert"], "rule_id": RULE}


SQL = "SELECT p_event_time, id FROM wiz_issues"
ASKED = {"log": ISSUES, "period": "7d", "field": "id", "sql": SQL, "q": ""}
SENT: dict[str, dict[str, Any]] = {
    "/first": {"token": "x", "name": "eve", "password": PASSWORD},
    "/sign-in": {"name": "viewer@example.com", "password": PASSWORD},
    "/sources/new": {"name": "third", "client_id": "x", "secret": "y", "token_url": "cognito", "log_types": [AUDIT]},
    "/sources/{source_id}/check": {},
    "/sources/{source_id}/rotate": {"secret": "another"},
    "/channels/{channel_id}/test": {},
    "/users": {"name": "new@example.com", "role": "viewer", "password": PASSWORD},
    "/account/password": {"present": PASSWORD, "password": PASSWORD},
    "/sources/{source_id}/edit": {"log_types": [AUDIT], "rate": "2"},
    "/search/export": {"format": "csv", "query": f"log={ISSUES}&period=7d"},
    "/search/sql/export": {"format": "csv", "sql": SQL},
    "/sources/{source_id}/replay": {},
    "/rules/{rule_id}/tests": {},
    "/rules/{rule_id}/try": {"past": "1d"},
    "/schemas/{log_type}": {"text": "{}"},
    "/channels/new": {"kind": "webhook", "name": "hook", "set.url": "https://hooks.example.com/x"},
}
"""What the routes of pages that change something are sent, by their path."""
BODIES: dict[str, dict[str, Any]] = {
    "/rejections/replay": {},
    "/schemas/{log_type}/sample": {"text": "{}"},
    "/rules/{rule}/tests": {},
    "/rules/{rule}/try": {"since": "1d"},
    "/events/search": {"log_type": "issues", "since": "7d"},
    "/query": {"sql": SQL},
    "/query/export": {"sql": SQL},
}
"""The same of the API."""
SLOW = {
    ("POST", "/sources"),
    ("PATCH", "/sources/{source}"),
    ("POST", "/sources/{source}/check"),
    ("POST", "/sources/{source}/secret"),
    ("POST", "/channels/{channel}/test"),
}
"""What asks a far end: nothing here does."""


def waiting_routes(routers: tuple[Any, ...]) -> list[tuple[str, str]]:
    """Return method and path of each route that is answered in the thread of all."""
    found = []
    for route in (each for router in routers for each in router.routes):
        assert isinstance(route, (APIRoute, Route))
        if inspect.iscoroutinefunction(route.endpoint):
            found += [(method, route.path) for method in sorted(route.methods or ()) if method != "HEAD"]
    return found


@pytest.mark.slow
def test_no_page_waits_in_the_thread_that_answers(console: Console, there: dict[str, str], guard: Guard) -> None:
    guest, reached = console.as_(Role.ADMIN), dict[str, int]()
    open_paths = {route.path for route in anonymous.routes if isinstance(route, Route)}
    for method, path in waiting_routes(ROUTERS):
        guard.found.clear()
        visitor = console.guest() if path in open_paths else guest
        data = None if method == "GET" else {"csrf": guest.token, **SENT[path]}
        asked = ASKED if method == "GET" else {}
        answer = visitor.client.request(method, path.format(**there), params=asked, data=data, headers=SAME_SITE)
        reached[path] = answer.status_code
        assert guard.found == [], path
    assert {path: status for path, status in reached.items() if status not in (200, 303)} == {
        "/first": 410,
        "/sign-in/provider/answer": 403,
    }


@pytest.mark.slow
def test_nothing_of_the_api_waits_in_the_thread_that_answers(
    console: Console, there: dict[str, str], guard: Guard
) -> None:
    asked, reached = program(console), dict[str, int]()
    for method, path in waiting_routes(API_ROUTERS):
        if (method, path.removeprefix(BASE)) in SLOW:
            # Like some of the pages above, it is run in a thread by `slowly`.
            continue
        guard.found.clear()
        json = None if method == "GET" else BODIES[path.removeprefix(BASE)]
        answer = asked(method, path.removeprefix(BASE).format(**there), json=json)
        reached[path] = answer.status_code
        assert guard.found == [], path
    assert {path: status for path, status in reached.items() if status != 200} == {}


def test_what_shows_rows_is_not_made_in_the_thread_that_answers(
    console: Console, there: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, asked = list[str](), program(console)

    def noting(real: Callable[..., Any], what: Callable[..., str]) -> Callable[..., Any]:
        def note(*given: Any, **named: Any) -> Any:
            if asyncio._get_running_loop() is not None:
                made.append(what(*given, **named))
            return real(*given, **named)

        return note

    guest = console.as_(Role.ADMIN)
    monkeypatch.setattr(Template, "render", noting(Template.render, lambda template, **_: str(template.name)))
    for _, path in (each for each in waiting_routes(ROUTERS) if each[0] == "GET" and "provider" not in each[1]):
        assert guest.get(path.format(**there), params=ASKED).status_code == 200, path
    written = noting(routing.serialize_response, lambda **given: str(given["field"]))
    monkeypatch.setattr(routing, "serialize_response", written)
    for method, path in (
        ("POST", "/events/search"),
        ("GET", f"/events/{ISSUES}/{there['row_id']}"),
        ("GET", "/alerts"),
        ("GET", "/rejections"),
    ):
        assert asked(method, path, json=BODIES.get(path)).status_code == 200, path
    assert asked("GET", f"/alerts/{there['alert']}").status_code == 200
    assert made == []


def test_what_waits_there_is_found(console: Console, there: dict[str, str], guard: Guard) -> None:
    async def waits() -> None:
        (console.installation.home.path / "home.json").read_bytes()
        console.installation.ledger.sources.listed()

    async def does_not() -> None:
        await asyncio.to_thread(lambda: console.installation.ledger.sources.find(there["source"]))

    asyncio.run(does_not())
    assert guard.found == []
    asyncio.run(waits())
    assert [each.partition(" ")[0] for each in guard.found] == ["open", "the"]
    thread = threading.Thread(target=console.installation.ledger.sources.listed)
    thread.start()
    thread.join()
    assert len(guard.found) == 2
