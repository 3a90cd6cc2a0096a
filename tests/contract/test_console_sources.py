"""The list of sources: what it says when there is none, and that thousands do not break it."""

import re
from pathlib import Path

from ocelog.access import Role
from ocelog.app import sources
from ocelog.app.sources import GivenSecret
from ocelog.secret import Secret
from visiting import console_of


def test_whoever_has_no_source_is_told_how_to_create_one(tmp_path: Path) -> None:
    with console_of(tmp_path / "home") as console:
        assert 'href="/sources/new"' in console.as_(Role.ADMIN).get("/sources").text
        assert "An admin can create one." in console.as_(Role.VIEWER).get("/sources").text


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
            further = re.search(r'href="(/sources\?text=[^"]+)">More sources', text)
            address = further[1].replace("&amp;", "&") if further else ""
        assert shown == [f"tenant-{number:03}" for number in range(120)]
        assert re.findall(r'title="(tenant-\d+)"', guest.get("/sources?text=T-11").text) == [
            f"tenant-{number}" for number in range(110, 120)
        ]
        assert "No source is called like that." in guest.get("/sources?text=nothing").text
