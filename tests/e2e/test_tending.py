"""What a service does to its tables after publishing, and how that goes wrong without costing anything else."""

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
import time_machine
from structlog.testing import capture_logs

from commands import Ocelog
from commands.kept import Kept
from ocelog.app.assemble import Assembly
from ocelog.app.loops import publishing
from ocelog.app.loops.service import PullResult, Service
from ocelog.app.status.status import lost_lines
from ocelog.cli import main, upkeep
from ocelog.errors import HomeError, LakeUnavailableError, LedgerUnavailableError
from ocelog.installation.home_lock import held
from ocelog.installation.opening import opened
from ocelog.lake.catalog.state import TableStates
from ocelog.lake.read.scan import opened as opened_file
from ocelog.lake.upkeep import maintenance
from ocelog.lake.upkeep.maintenance import Maintenance
from ocelog.lake.write.damage import TRIES
from ocelog.lake.write.parts import write_part
from ocelog.workers.threads import Stop
from wizsim.clock import Clock
from wizsim.server import Server
from wizsim.world import World

TABLE = "wiz_audit"


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Ocelog:
    with Server(World(seed=4, audit=30, issues=0, findings=0, clock=Clock.wall())) as tenant:
        command = Ocelog(tmp_path_factory.mktemp("tending") / "home", WIZ_SECRET=tenant.client_secret)
        command.init_unjudged()
        command(
            *("source", "add", "wiz", "sim", "--token-url", tenant.token_url, "--api-url", tenant.api_url),
            *("--client-id", tenant.client_id, "--client-secret-env", "WIZ_SECRET", "--no-check"),
            *("--backfill", "all", "--rate", "200", "--log-type", "audit"),
        )
        command("pull")
    return command


@pytest.fixture
def service(pulled: Ocelog, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    for name in ("OCELOG_HOME", "WIZ_SECRET"):
        monkeypatch.setenv(name, pulled.environment[name])
    monkeypatch.setenv("OCELOG_RETENTION", f"{TABLE}=36500d")
    with opened() as installation, held(installation.home, "a test"):
        yield Service(assembly=Assembly(installation=installation, told=lambda _, __: None), stop=Stop())


def land_again(service: Service, number: int) -> None:
    """Land the rows of the newest day once more, under other names, so that a publish has something to do."""
    installation = service.assembly.installation
    state = TableStates(installation.home.path).state(TABLE)
    assert state is not None
    newest = max(state.files, key=lambda file: file.max_cursor_us or 0)
    with opened_file(Path(newest.path)) as file:
        rows = file.read()
    place = rows.schema.get_field_index("p_row_id")
    named = pc.binary_join_element_wise(rows.column("p_row_id"), str(number), "-")
    part = write_part(
        installation.home.path, TABLE, f"1-{10**6}-{number}", rows.set_column(place, "p_row_id", named).slice(0, 1)
    )
    pulling = installation.ledger.pulling
    claim = pulling.take_claim("repair", "sim", "a test")
    installation.ledger.losses.readmit("nothing", part, "sim", claim=claim)
    pulling.release_claim(claim)


@pytest.mark.slow
def test_a_service_compacts_what_its_publishes_leave(service: Service) -> None:
    states, fewest, most = TableStates(service.assembly.installation.home.path), 10**6, 0
    for number in range(10):
        land_again(service, number)
        service.publishing.publish(force=True)
        state = states.state(TABLE)
        assert state is not None
        most, fewest = max(most, len(state.files)), len(state.files)
    assert fewest < most


@pytest.mark.slow
def test_too_little_room_to_rewrite_is_logged_once_and_not_after_each_publish(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "_SPARE_BYTES", 2**62)
    with capture_logs() as told:
        for number in range(400, 412):
            land_again(service, number)
            service.publishing.publish(force=True)
            # As the loop does once a minute: the table has not changed, so it is not looked at.
            service.publishing.publish(force=False)
    (failed,) = [each for each in told if each["event"] == "upkeep failed"]
    assert "too little room to rewrite" in failed["reason"]


def no_space(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device", "/home/somewhere")


def a_mistake(*_: object, **__: object) -> None:
    raise ValueError


@pytest.mark.slow
def test_a_table_is_named_apart_from_why_it_is_not_published(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(_: object, table: str, **__: object) -> None:
        raise LakeUnavailableError("another process published first. Run it again.", table=table)

    land_again(service, 200)
    with monkeypatch.context() as patched, capture_logs() as told:
        patched.setattr(type(service.assembly.publisher), "publish", late)
        error = service.publish_all()
    assert str(error).endswith(f"{error.table}: another process published first. Run it again.")  # type: ignore[union-attr] # there is one
    faults = service.assembly.installation.ledger.lake.table_faults()
    assert TABLE in {each.table for each in faults}
    assert {(each.code, each.reason) for each in faults} == {
        ("lake_unavailable", "another process published first. Run it again.")
    }
    logged = {each["reason"] for each in told if each["event"] == "publish failed"}
    assert logged == {"another process published first. Run it again."}
    assert service.publish_all() is None
    assert service.assembly.installation.ledger.lake.table_faults() == []


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [no_space, a_mistake])
@pytest.mark.parametrize("what", ["clean", "remove_leftovers", "tend"])
def test_what_goes_wrong_in_upkeep_is_not_told_as_publishing(
    service: Service, monkeypatch: pytest.MonkeyPatch, what: str, wrong: Callable[..., Any]
) -> None:
    place: Any = service.publishing.maintenance if what == "tend" else publishing
    monkeypatch.setattr(place, what, wrong)
    land_again(service, 100 + len(what))
    with capture_logs() as told:
        assert service.publish_all() is None
    assert service.assembly.installation.ledger.lake.table_faults() == []
    assert service.assembly.installation.ledger.lake.unpublished(TABLE)[0] == 0
    told = [each for each in told if each["log_level"] in {"warning", "error"}]
    assert {each["event"] for each in told} == {"upkeep failed" if wrong is no_space else "bug in Ocelog"}
    if wrong is no_space:
        assert "The disk is full: /home/somewhere" in told[0]["reason"]


def test_what_the_disk_refuses_while_publishing_is_no_mistake_in_ocelog(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.assembly.publisher, "publish", no_space)
    assert "The disk is full: /home/somewhere" in str(service.publish_all())


@pytest.mark.slow
def test_a_ledger_that_is_held_by_others_is_waited_for_once_and_not_for_each_table(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = list[str]()

    def locked(_: object, table: str, **__: object) -> None:
        waited.append(table)
        raise LedgerUnavailableError(f"{table}: another process has held it for too long; try again.")

    def noted(*_: object, **__: object) -> None:
        waited.append("a note")

    monkeypatch.setattr(type(service.assembly.publisher), "publish", locked)
    monkeypatch.setattr(type(service.assembly.installation.ledger.lake), "table_failed", noted)
    assert "for too long" in str(service.publish_all())
    assert len(waited) == 1
    monkeypatch.setattr(Maintenance, "tend_whole", locked)
    with pytest.raises(LedgerUnavailableError):
        upkeep.command(None, output="json")
    assert len(waited) == 2


class Failing:
    """A loop that cannot do what is left, until it is mended."""

    name = "detect"
    error: Exception | None = HomeError("There are no rules. Add one.")

    def run_due(self, now: float) -> float:
        return now + 1

    def finish(self) -> None:
        if self.error is not None:
            raise self.error


def test_a_loop_that_fails_is_told_by_status_until_it_works_again(pulled: Ocelog, service: Service) -> None:
    failing = Failing()
    service.loops.append(failing)
    assert service.pull([]).exit_code == 2
    assert "The loop 'detect' has been failing since" in pulled("status", code=1).out
    (told,) = pulled("status", "--json", code=1).json["failing_loops"]
    assert (told["loop"], told["error"]) == ("detect", "There are no rules. Add one.")
    failing.error = None
    service.pull([])
    assert "The loop" not in pulled("status", code=None).out


def test_a_part_that_is_given_up_is_told_by_the_service_and_by_each_pull(service: Service) -> None:
    land_again(service, 300)
    installation = service.assembly.installation
    (installation.home.path / installation.ledger.lake.parts(TABLE)[-1].path).unlink()
    with capture_logs() as told:
        for _ in range(TRIES):
            service.publishing.publish(force=True)
    lost = [each["reason"] for each in told if each["event"] == "rows lost"]
    assert len(lost) == 1
    assert "To read them again: ocelog repair" in lost[0]
    assert service.publish_all() is None
    assert PullResult(lost=tuple(lost_lines(installation.ledger, [TABLE]))).exit_code == 2
    for each in installation.ledger.losses.listed():
        installation.ledger.losses.plan([each.path], [])


def test_a_service_says_once_why_it_keeps_old_rows(service: Service) -> None:
    installation = service.assembly.installation
    (installation.home.path / "lake" / f"{TABLE}.expired").unlink(missing_ok=True)
    with sqlite3.connect(installation.home.path / "ledger.db") as ledger:
        (edge,) = ledger.execute("SELECT edge_us FROM streams").fetchone()
        ledger.execute("UPDATE streams SET edge_us = edge_us - 864000000000")
    try:
        with capture_logs() as told:
            for number in (200, 201):
                land_again(service, number)
                service.publishing.publish(force=True)
                # The table is not looked at again, as it has not changed.
                service.publishing.publish(force=True)
        kept = [each for each in told if each["event"] == "old rows kept"]
        assert len(kept) == 1
        assert "may be wrong" in kept[0]["reason"]
    finally:
        with sqlite3.connect(installation.home.path / "ledger.db") as ledger:
            ledger.execute("UPDATE streams SET edge_us = ?", (edge,))


@pytest.mark.slow
def test_upkeep_keeps_old_rows_while_the_clock_is_years_ahead_and_ends_with_2(
    pulled: Ocelog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, ahead = pulled.count(TABLE), datetime.now(UTC) + timedelta(days=3700)
    monkeypatch.setenv("OCELOG_HOME", str(pulled.home))
    monkeypatch.setenv("OCELOG_RETENTION", f"{TABLE}=3650d")

    def tended(*options: str) -> tuple[int, str]:
        with time_machine.travel(ahead), pytest.raises(SystemExit) as ended:
            main(["upkeep", *options])
        return int(ended.value.code or 0), capsys.readouterr().err

    for options in ((), ("--dry-run",), ("-o", "json")):
        code, told = tended(*options)
        assert code == 2, told
        assert "Rows older than their retention are kept" in told
        assert f"says {ahead:%Y}" in told
    assert pulled.count(TABLE) == rows
    # The other tests need the rows, in whatever order they run.
    kept = Kept(pulled)
    monkeypatch.setenv("COLUMNS", "200")
    with time_machine.travel(ahead), pytest.raises(SystemExit) as ended:
        main(["upkeep", "--trust-clock"])
    assert ended.value.code in (0, None)
    assert "left_alone" not in capsys.readouterr().out
    assert pulled.count(TABLE) == 0
    kept.again()
