"""Destinations in the browser: what reaches into the machine is for whoever has a shell there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ocelog.access import Role
from visiting import SAME_SITE, Console, console_of


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    with console_of(tmp_path / "home") as opened:
        yield opened


@pytest.mark.parametrize("setting", ["ca_file", "allow_private"])
def test_no_setting_that_reaches_into_the_machine_is_offered_or_taken(console: Console, setting: str) -> None:
    admin = console.as_(Role.ADMIN)
    assert f"set.{setting}" not in admin.get("/channels/new?kind=webhook").text
    form = {"csrf": admin.token, "kind": "webhook", "name": "ops", "set.url": "https://hooks.example.com/x"}
    form[f"set.{setting}"] = "/etc/passwd"
    answer = admin.client.post("/channels/new", data=form, headers=SAME_SITE)
    assert answer.status_code == 303
    (row,) = console.installation.ledger.channels.listed()
    assert setting not in row.settings


@pytest.mark.parametrize("kind", ["file", "stdout"])
def test_no_kind_that_writes_on_the_machine_is_added(console: Console, kind: str, tmp_path: Path) -> None:
    admin = console.as_(Role.ADMIN)
    form = {"csrf": admin.token, "kind": kind, "name": "out", "set.path": str(tmp_path / "out")}
    admin.client.post("/channels/new", data=form, headers=SAME_SITE)
    assert console.installation.ledger.channels.listed() == []
