"""What a pull does about a fault that passes, and about one that a person has mended."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import Ocelog
from wizsim.clock import Clock
from wizsim.server import Server
from wizsim.world import World

EVERYTHING = ["read:resources", "admin:audit", "read:issues", "read:vulnerabilities"]


@pytest.fixture
def tenant() -> Iterator[Server]:
    with Server(World(seed=4, audit=20, issues=20, findings=20, clock=Clock.wall())) as server:
        yield server


@pytest.fixture
def ocelog(tmp_path: Path, tenant: Server) -> Ocelog:
    command = Ocelog(tmp_path / "home", WIZ_SECRET=tenant.client_secret)
    command("init")
    command(
        *("source", "add", "wiz", "sim", "--token-url", tenant.token_url, "--api-url", tenant.api_url),
        *("--client-id", tenant.client_id, "--client-secret-env", "WIZ_SECRET"),
        *("--backfill", "all", "--rate", "200"),
    )
    return command


def count(ocelog: Ocelog, table: str) -> int:
    return int(ocelog("query", f"FROM {table} SELECT count(*) AS n").lines[0]["n"])


@pytest.mark.parametrize("fault", ["server-error", "throttled", "cut-body", "html"])
def test_a_failure_of_the_very_first_question_costs_no_log_type(ocelog: Ocelog, tenant: Server, fault: str) -> None:
    tenant.faults.add(fault, times=1)
    ocelog("pull")
    assert count(ocelog, "wiz_audit") > 0


def test_a_pull_tries_at_once_what_was_refused_and_is_mended(ocelog: Ocelog, tenant: Server) -> None:
    tenant.accounts.replace(tenant.client_id, scopes=tuple(EVERYTHING[:2]))
    ocelog("pull", code=2)
    tenant.accounts.replace(tenant.client_id, scopes=tuple(EVERYTHING))
    ocelog("pull")
    assert count(ocelog, "wiz_issues_current") == 20
    ocelog("status")
