"""A field that the API refuses for a while, and then does not, makes no version of any record."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import Ocelog
from wizsim.clock import Clock
from wizsim.server import Server
from wizsim.world import World


@pytest.fixture
def tenant() -> Iterator[Server]:
    with Server(World(seed=4, audit=0, issues=40, findings=0, clock=Clock.wall())) as server:
        yield server


@pytest.fixture
def ocelog(tmp_path: Path, tenant: Server) -> Ocelog:
    command = Ocelog(tmp_path / "home", WIZ_SECRET=tenant.client_secret)
    command.init_unjudged()
    command(
        *("source", "add", "wiz", "sim", "--token-url", tenant.token_url, "--api-url", tenant.api_url),
        *("--client-id", tenant.client_id, "--client-secret-env", "WIZ_SECRET"),
        *("--log-type", "issues", "--backfill", "all", "--rate", "200"),
    )
    return command


@pytest.mark.slow
@pytest.mark.parametrize("field", ["Control.resolutionRecommendation", "SecurityCategory.framework"])
def test_a_field_inside_free_json_that_is_lost_and_found_makes_no_version(
    ocelog: Ocelog, tenant: Server, field: str
) -> None:
    versions = "FROM wiz_issues SELECT id, p_version ORDER BY ALL"
    ocelog("pull")
    first = ocelog("query", versions).lines
    assert len({row["id"] for row in first}) == 40
    tenant.faults.add("refused-field", field=field, scope="admin:all")
    ocelog("pull", "--since", "2000-01-01")
    assert ocelog("query", versions).lines == first
    assert field.partition(".")[2] in ocelog("status").out
    tenant.faults.clear()
    ocelog("pull", "--since", "2000-01-01")
    assert ocelog("query", versions).lines == first
