"""What a pull does about a fault that passes, and about one that a person has mended."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from commands import SIMULATED, Ocelog
from commands.kept import Kept
from ocelog.ledger.ledger import Ledger
from ocelog.model import Checkpoint, Origin, Slice, SliceState
from wizsim.clock import Clock
from wizsim.server import Server
from wizsim.world import World

EVERYTHING = ["read:resources", "admin:audit", "read:issues", "read:vulnerabilities"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(World(seed=4, audit=20, issues=20, findings=20, clock=Clock.wall())) as server:
        yield server


@pytest.fixture
def tenant(server: Server) -> Iterator[Server]:
    """Let a test set faults and rights, and set them back."""
    before = server.accounts.all()[0].scopes
    yield server
    server.faults.clear()
    server.accounts.replace(server.client_id, scopes=before)


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Kept:
    command = Ocelog(tmp_path_factory.mktemp("added") / "home", WIZ_SECRET=server.client_secret)
    command.init_unjudged()
    command(
        *("source", "add", "wiz", "sim", "--token-url", server.token_url, "--api-url", server.api_url),
        *("--client-id", server.client_id, "--client-secret-env", "WIZ_SECRET"),
        *(*SIMULATED, "--backfill", "all", "--rate", "200"),
    )
    return Kept(command)


@pytest.fixture(scope="module")
def audit_added(added: Kept, server: Server) -> Kept:
    command = added.again(WIZ_SECRET=server.client_secret)
    command("source", "edit", "sim", "--log-type", "audit")
    return Kept(command)


@pytest.fixture(scope="module")
def once(added: Kept, server: Server) -> Kept:
    command = added.again(WIZ_SECRET=server.client_secret)
    command("pull")
    return Kept(command)


@pytest.fixture
def ocelog(added: Kept, tenant: Server) -> Ocelog:
    """Put back a home with a source that has read nothing."""
    return added.again(WIZ_SECRET=tenant.client_secret)


@pytest.fixture
def audit_alone(audit_added: Kept, tenant: Server) -> Ocelog:
    """Put back a home with a source of one log type that has read nothing."""
    return audit_added.again(WIZ_SECRET=tenant.client_secret)


@pytest.fixture
def pulled(once: Kept, tenant: Server) -> Ocelog:
    """Put back a home whose source was read."""
    return once.again(WIZ_SECRET=tenant.client_secret)


def count(ocelog: Ocelog, table: str) -> int:
    return int(ocelog("query", f"FROM {table} SELECT count(*) AS n").lines[0]["n"])


# For three log types if others that wait for the answer may be told of the failure in a way of their own.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("home", "fault"),
    [("added", "server-error"), ("added", "throttled"), ("audit_added", "cut-body"), ("audit_added", "html")],
)
def test_a_failure_of_the_very_first_question_costs_no_log_type(
    request: pytest.FixtureRequest, tenant: Server, home: str, fault: str
) -> None:
    kept: Kept = request.getfixturevalue(home)
    ocelog = kept.again(WIZ_SECRET=tenant.client_secret)
    tenant.faults.add(fault, times=1)
    ocelog("pull")
    assert count(ocelog, "wiz_audit") > 0


@pytest.mark.slow
def test_a_pull_tries_at_once_what_was_refused_and_is_mended(audit_alone: Ocelog, tenant: Server) -> None:
    ocelog = audit_alone
    tenant.accounts.replace(tenant.client_id, scopes=tuple(scope for scope in EVERYTHING if scope != "admin:audit"))
    ocelog("pull", code=2)
    tenant.accounts.replace(tenant.client_id, scopes=tuple(EVERYTHING))
    ocelog("pull")
    assert count(ocelog, "wiz_audit") == 20
    ocelog("status")


def test_a_source_reads_a_further_log_type_once_it_is_named(audit_alone: Ocelog) -> None:
    """As `docs/how-to/upgrade.md` says of a log type that a new version brings."""
    (row,) = audit_alone("source", "list", "--json").json
    assert row["log_types"] == ["Wiz.Audit"]
    audit_alone("source", "edit", "sim", "--log-type", "audit", "--log-type", "issues")
    audit_alone("pull")
    assert count(audit_alone, "wiz_audit") == 20
    assert count(audit_alone, "wiz_issues") > 0


@pytest.fixture
def broken(audit_alone: Ocelog, tenant: Server, tmp_path: Path) -> Path:
    """Add a second source beside `sim`, and return its CA file, which is gone."""
    file = tmp_path / "ca.pem"
    file.touch()
    audit_alone(
        *("source", "add", "wiz", "gone", "--token-url", tenant.token_url, "--api-url", tenant.api_url),
        *(
            "--client-id",
            tenant.client_id,
            "--client-secret-env",
            "WIZ_SECRET",
            "--ca-file",
            str(file),
            "--no-check",
            "--anyway",
            # One account has one rate: that of the slowest of its sources.
            "--rate",
            "200",
        ),
    )
    file.unlink()
    return file


@pytest.mark.slow
def test_a_ca_file_that_vanished_stops_its_own_source_alone_and_status_names_it(
    audit_alone: Ocelog, broken: Path
) -> None:
    ocelog = audit_alone
    assert "gone" in ocelog("source", "list").out
    ocelog("pull", "--source", "sim")
    pulled = ocelog("pull", code=2)
    assert f"The CA file {broken} is not there" in pulled.err
    assert count(ocelog, "wiz_audit") == 20
    unwell = [row for row in ocelog("status", "--json", code=None).json["streams"] if row["error"]]
    assert {row["source"] for row in unwell} == {"gone"}
    assert str(broken) in unwell[0]["error"]
    assert "not there" in ocelog("source", "edit", "gone", "--ca-file", str(broken), code=2).err


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", ["not JSON at all", "[]", "{}", '{"wiz": {"token_url": "cognito", "log_types": 5}}']
)
def test_damaged_settings_of_one_source_are_told_and_the_others_work(audit_alone: Ocelog, settings: str) -> None:
    ocelog = audit_alone
    with closing(sqlite3.connect(ocelog.home / "ledger.db")) as ledger, ledger:
        columns = "id, name, kind, settings, paused, added_us"
        ledger.execute(f"INSERT INTO sources ({columns}) VALUES ('bad', 'bad', 'wiz', ?, 0, 1)", [settings])  # noqa: S608
    pulled = ocelog("pull", code=2)
    assert "The settings of the source 'bad' are damaged" in pulled.err
    assert count(ocelog, "wiz_audit") == 20
    ocelog("pull", "--source", "sim")
    states = {row["source"]: row["state"] for row in ocelog("status", "--json", code=1).json["streams"]}
    assert states == {"bad": "broken", "sim": "live"}
    listed = ocelog("source", "list", "--json")
    assert {row["name"]: row["state"] for row in listed.json} == {"bad": "damaged", "sim": "active"}
    assert "ocelog source remove bad" in listed.err
    ocelog("source", "remove", "bad")
    ocelog("pull")


@pytest.mark.slow
def test_a_pull_after_an_outage_asks_for_news_too(pulled: Ocelog) -> None:
    ledger = Ledger.open(f"sqlite:///{pulled.home}/ledger.db")
    marks = ledger.pulling.marks("sim", "Wiz.Audit")
    assert marks.edge is not None
    failed = Slice(
        source_id="sim",
        log_type="Wiz.Audit",
        origin=Origin.LIVE,
        by="timestamp",
        since=marks.edge - timedelta(minutes=1),
        until=marks.edge,
        due_at=marks.edge + timedelta(hours=1),
        checkpoint=Checkpoint(failures=3),
    )
    # As a long outage leaves it: so many wait that the planner plans no more.
    ledger.pulling.plan(marks, marks, [failed] * 20)
    pulled("pull")
    edge = ledger.pulling.marks("sim", "Wiz.Audit").edge
    assert edge is not None
    assert edge > marks.edge
    assert not ledger.pulling.slices(states=[SliceState.WAITING])
    ledger.close()


@pytest.mark.slow
@pytest.mark.parametrize("fault", [("throttled", {"retry_after": 60}), ("server-error", {})])
def test_a_pull_that_leaves_slices_says_so_exits_3_and_parks_none(
    pulled: Ocelog, tenant: Server, fault: tuple[str, dict[str, int]]
) -> None:
    tenant.faults.add(fault[0], type="issues", **fault[1])
    left = pulled("pull", "--json", code=3)
    assert "left, tried again from" in left.err
    assert left.json["left"] > 0
    # Where Wiz asks to wait, the other log types of the source wait too.
    assert "Wiz.Issues" in {waiting["log_type"] for waiting in left.json["waiting"]}
    # The API is to blame, and no time range: an empty one fails too.
    assert [stream["parked"] for stream in pulled("status", "--json", code=None).json["streams"]] == [[], [], []]
