"""What a command does about what it finds: slices that a killed command held, and a ledger older than its lake."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from commands import Ocelog
from ocelog.installation import home as homes
from ocelog.ledger.ledger import Ledger
from ocelog.model import Origin, Slice
from wizsim.clock import Clock
from wizsim.server import Server
from wizsim.world import World

HOUR = timedelta(hours=1)


@pytest.fixture
def tenant() -> Iterator[Server]:
    with Server(World(seed=4, audit=30, issues=5, findings=5, rate=30, late=0, clock=Clock.wall())) as server:
        yield server


@pytest.fixture
def ocelog(tmp_path: Path, tenant: Server) -> Ocelog:
    command = Ocelog(tmp_path / "home", WIZ_SECRET=tenant.client_secret)
    command.init_unjudged()
    command(
        *("source", "add", "wiz", "sim", "--token-url", tenant.token_url, "--api-url", tenant.api_url),
        *("--client-id", tenant.client_id, "--client-secret-env", "WIZ_SECRET"),
        *("--backfill", "all", "--rate", "200", "--log-type", "audit"),
    )
    return command


def landed(ocelog: Ocelog) -> int:
    """Pull, and return how many audit entries came."""
    (stream,) = ocelog("pull", "--json").json["streams"]
    return int(stream["new"])


def test_what_a_killed_command_held_is_free_for_the_next(ocelog: Ocelog) -> None:
    ledger = Ledger.open(f"sqlite:///{ocelog.home}/ledger.db")
    marks = ledger.pulling.marks("sim", "Wiz.Audit")
    until = datetime.now(UTC)
    slice_ = Slice(
        source_id="sim", log_type="Wiz.Audit", origin=Origin.LIVE, by="timestamp", since=until - HOUR, until=until
    )
    ledger.pulling.plan(marks, marks, [slice_])
    held = ledger.pulling.take(f"{homes.open_home(ocelog.home).id}/killed", now=until)
    ocelog("publish")
    again = ledger.pulling.take("next", now=until)
    ledger.close()
    assert held is not None
    assert again == replace(held, fence=held.fence + 1)


@pytest.mark.slow
def test_a_ledger_that_was_set_back_behind_its_lake_hides_nothing_new(ocelog: Ocelog, tmp_path: Path) -> None:
    backup = tmp_path / "ledger.backup"
    shutil.copy(ocelog.home / "ledger.db", backup)
    before = landed(ocelog)
    assert before == ocelog.count("wiz_audit")
    shutil.copy(backup, ocelog.home / "ledger.db")
    new = 0
    while not new:
        new = landed(ocelog)
    assert ocelog.count("wiz_audit") == before + new
