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


@pytest.fixture
def broken(ocelog: Ocelog, tenant: Server, tmp_path: Path) -> Path:
    """Add a second source beside `sim`, and return its CA file, which is gone."""
    file = tmp_path / "ca.pem"
    file.touch()
    ocelog(
        *("source", "add", "wiz", "gone", "--token-url", tenant.token_url, "--api-url", tenant.api_url),
        *("--client-id", tenant.client_id, "--client-secret-env", "WIZ_SECRET", "--ca-file", str(file), "--no-check"),
    )
    file.unlink()
    return file


def test_a_ca_file_that_vanished_stops_its_own_source_alone_and_status_names_it(ocelog: Ocelog, broken: Path) -> None:
    assert "gone" in ocelog("source", "list").out
    ocelog("pull", "--source", "sim")
    pulled = ocelog("pull", code=2)
    assert f"The CA file {broken} is not there" in pulled.err
    assert count(ocelog, "wiz_issues_current") == 20
    unwell = [row for row in ocelog("status", "--json", code=None).json["streams"] if row["error"]]
    assert {row["source"] for row in unwell} == {"gone"}
    assert str(broken) in unwell[0]["error"]
    assert "not there" in ocelog("source", "edit", "gone", "--ca-file", str(broken), code=2).err


def test_a_running_service_tells_a_bad_environment_once_a_log_type(ocelog: Ocelog) -> None:
    ocelog.environment["SSL_CERT_FILE"] = "/nowhere/ca.pem"
    assert "SSL_CERT_FILE" in ocelog("pull", code=2).err
    with ocelog.start("run") as process:
        assert process.stderr is not None
        told = list[str]()
        while len(told) < 3:
            line = process.stderr.readline()
            assert line
            assert "Traceback" not in line
            told += [line] if "SSL_CERT_FILE" in line else []
        process.terminate()
        assert "SSL_CERT_FILE" not in process.stderr.read()
