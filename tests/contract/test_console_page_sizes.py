"""How large the lists of the console are as a browser gets them, and what is made for each row of one."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bookkeeping.alerts import alert_of, opened
from ocelog.access import Role
from ocelog.alert import in_language
from ocelog.app.alerts import channels
from ocelog.app.alerts.channels import ChannelChange
from ocelog.app.users import users
from ocelog.model import Severity
from ocelog.secrets.secret import Secret
from visiting import HERE, PASSWORD, Console, console_of
from visiting.events import land, row
from visiting.everything import AUDIT, add_source, nothing_is_asked

LARGEST = 20_000
"""Bytes of a page, but the first one, as they are sent."""
ROWS = 50


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """Return a console whose lists have fifty rows, none of which is like another."""
    path, numbers = tmp_path_factory.mktemp("sizes"), random.Random(1)
    now = datetime.now(UTC).replace(microsecond=0)

    def name() -> str:
        return f"{numbers.getrandbits(40):010x}"

    with pytest.MonkeyPatch.context() as patch, console_of(path / "home") as made:
        nothing_is_asked(patch)
        installation, admin = made.installation, made.as_(Role.ADMIN)
        by = users.find(installation, "admin@example.com")
        for _ in range(ROWS):
            add_source(made, f"tenant-{name()}")
            channels.add(
                installation, "file", f"to-{name()}", ChannelChange(settings={"path": str(path / f"{name()}.json")})
            )
            users.add(installation, f"{name()}@example.com", Role.VIEWER, Secret(PASSWORD), by=by, origin=HERE)
            admin.post("/account/language", language="ko")
        severities = list(Severity)
        several = (
            alert_of(
                number,
                id=f"{numbers.getrandbits(128):032x}",
                title=f"Bucket {name()}-{name()} can be read by anybody on the internet",
                severity=severities[number % len(severities)],
                matches=numbers.randrange(100_000),
                assignee=f"{name()}@example.com",
            )
            for number in range(3 * ROWS)
        )
        opened(installation.ledger, *several)
        events = [row(AUDIT, name(), now - timedelta(seconds=number), action=name()) for number in range(2 * ROWS)]
        land(installation, AUDIT, events)
        yield made


@pytest.mark.parametrize(
    "path",
    [
        "/sources",
        f"/search/rows?log={AUDIT}&since=7d",
        "/search/sql/rows?sql=SELECT+*+FROM+wiz_audit+LIMIT+50",
        "/alerts",
        "/alerts?sort=last_match&everything=1",
        "/rules",
        "/schemas",
        "/channels",
        "/users",
        "/trail",
    ],
)
def test_a_list_of_fifty_rows_is_small_as_a_browser_gets_it(console: Console, path: str) -> None:
    answer = console.as_(Role.ADMIN).get(path)
    assert (answer.status_code, answer.headers["content-encoding"]) == (200, "gzip")
    assert answer.headers["content-language"] == "ko"
    rows = max(answer.text.count(each) for each in ("<tr", "card-title"))
    assert rows >= ROWS or path == "/schemas"
    assert int(answer.headers["content-length"]) < LARGEST


def test_a_list_of_alerts_says_in_the_readers_language_what_each_is_once(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, texts = list[str](), in_language.texts

    def said(alert: Any, language: str) -> in_language.Texts:
        asked.append(alert.id)
        return texts(alert, language)

    monkeypatch.setattr(in_language, "texts", said)
    assert console.as_(Role.ADMIN).get("/alerts").status_code == 200
    assert len(asked) == len(set(asked)) == ROWS
