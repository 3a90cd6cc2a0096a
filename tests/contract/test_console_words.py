"""What a page says to somebody who has a browser and no terminal: words, and fields in the place of options."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from ocelog.access import Role
from visiting import Console, console_of
from visiting.everything import SECRET, add_source, nothing_is_asked


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Console]:
    nothing_is_asked(monkeypatch)
    with console_of(tmp_path / "home") as opened:
        add_source(opened, "prod")
        yield opened


def test_whoever_reads_a_tenant_twice_is_asked_in_the_form_whether_to_go_on(console: Console) -> None:
    guest = console.as_(Role.ADMIN)
    given: dict[str, Any] = {
        "name": "again",
        "client_id": "client of prod",
        "token_url": "cognito",
        "secret": SECRET,
        "do": "save",
    }
    given |= {"api_url": "https://api.us1.app.wiz.io/graphql", "log_types": ["Wiz.Audit"], "backfill": "30d"}
    refused = guest.post("/sources/new", **given)
    assert refused.status_code == 422
    assert "--" not in unescape(re.sub("<[^>]+>", "", refused.text))
    assert 'name="anyway" value="yes"' in refused.text
    assert guest.post("/sources/new", **given, anyway="yes").headers["location"] == "/sources/again/added"


def test_what_an_earlier_check_found_gives_way_at_once(console: Console) -> None:
    guest = console.as_(Role.ADMIN)
    (place,) = re.findall(r'<div id="verdict"[^>]*>', guest.get("/sources/new").text)
    assert 'hx-get="/sources/new/verdict" hx-trigger="submit from:#new-source"' in place
    assert "Checking ..." in guest.get("/sources/new/verdict").text
    assert "Check again." in guest.get("/sources/new/verdict?failed=true").text
