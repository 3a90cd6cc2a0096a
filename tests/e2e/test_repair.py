"""What `ocelog repair` makes of a home whose files are lost, compared with what the tenant has."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from commands import SIMULATED, Ocelog
from ocelog.app.assemble import Assembly
from ocelog.app.log_types import table_schemas
from ocelog.app.loops.service import PullResult, Service
from ocelog.app.maintenance.repair import Repair, examine, repair
from ocelog.app.sources.purge import purge
from ocelog.installation.home_lock import held
from ocelog.installation.opening import opened
from ocelog.lake.query.queries import Queries
from ocelog.workers.threads import Stop
from wizsim.clock import Clock
from wizsim.server import Server
from wizsim.world import World

TABLES = ("wiz_audit", "wiz_issues", "wiz_vulnerability_finding")
Everything = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def tenant() -> Iterator[Server]:
    with Server(World(seed=4, audit=40, issues=30, findings=40, clock=Clock.wall())) as server:
        yield server


def add(tenant: Server) -> list[str]:
    return [
        *("source", "add", "wiz", "sim", "--token-url", tenant.token_url, "--api-url", tenant.api_url),
        *("--client-id", tenant.client_id, "--client-secret-env", "WIZ_SECRET", "--no-check"),
        *(*SIMULATED, "--backfill", "all", "--rate", "200"),
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tenant: Server) -> Ocelog:
    """Pull and publish once; the parts are gone again."""
    command = Ocelog(tmp_path_factory.mktemp("repair") / "home", WIZ_SECRET=tenant.client_secret)
    command.init_unjudged()
    command(*add(tenant))
    command("pull")
    shutil.copytree(command.home, command.home.with_name("just pulled"))
    with sqlite3.connect(command.home / "ledger.db") as ledger:
        ledger.execute("UPDATE parts SET published_us = 1")
    command("publish")
    assert not list(command.home.glob("landing/*/*.parquet"))
    shutil.copytree(command.home, command.home.with_name("copy"))
    return command


def put_back(made: Ocelog) -> None:
    shutil.rmtree(made.home)
    shutil.copytree(made.home.with_name("copy"), made.home)


def set_up(monkeypatch: pytest.MonkeyPatch, made: Ocelog) -> None:
    for name in ("OCELOG_HOME", "WIZ_SECRET"):
        monkeypatch.setenv(name, made.environment[name])


@pytest.fixture
def ocelog(made: Ocelog, monkeypatch: pytest.MonkeyPatch) -> Ocelog:
    """Put the home back as it was."""
    put_back(made)
    set_up(monkeypatch, made)
    return made


@pytest.fixture(scope="module")
def before(made: Ocelog) -> Everything:
    """Return everything that the home holds before it is damaged."""
    put_back(made)
    with pytest.MonkeyPatch.context() as patch:
        set_up(patch, made)
        found = everything()
    assert all(found.values())
    return found


def everything() -> Everything:
    """Return the ids of each table with the version that is current; no row may be there twice."""
    found: Everything = {table: [] for table in TABLES}
    # One process answers both for every table.
    sql = " UNION ALL ".join(
        f"SELECT '{table}' AS of, id, max_by(p_version, p_version_time) AS version, "  # noqa: S608 - our own names
        f"count(*) - count(DISTINCT p_row_id) AS twice FROM {table} GROUP BY id"
        for table in TABLES
    )
    with opened(reading=True) as installation:
        queries = Queries(installation.home.path, installation.ledger.lake, table_schemas())
        with queries.run(f"{sql} ORDER BY of, id") as answer:
            rows = [row for batch in answer.batches for row in batch.to_pylist()]
    assert not [row for row in rows if row.pop("twice")]
    for row in rows:
        found[row.pop("of")].append(row)
    return found


def pull() -> PullResult:
    stop = Stop()
    with opened() as installation, held(installation.home, "a test"):
        assembly = Assembly(installation=installation, told=lambda _, __: None)
        streams = assembly.streams()
        try:
            return Service(assembly=assembly, stop=stop).pull(streams)
        finally:
            for stream in streams:
                stream.source.close()


def check() -> list[str]:
    with opened(reading=True) as installation:
        return examine(installation)


def mend(*, dry_run: bool = False) -> Repair:
    with opened() as installation, held(installation.home, "a test"):
        return repair(installation, dry_run=dry_run)


def warehouse(ocelog: Ocelog, table: str = "wiz_issues") -> Path:
    return ocelog.home / "lake/warehouse/ocelog" / table


def overwrite(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


def empty_catalog(ocelog: Ocelog) -> None:
    overwrite(ocelog.home / "lake/catalog.db", b"")


def garbage_catalog(ocelog: Ocelog) -> None:
    content = (ocelog.home / "lake/catalog.db").read_bytes()
    overwrite(ocelog.home / "lake/catalog.db", os.urandom(4096) + content[4096:])


def lost_catalog(ocelog: Ocelog) -> None:
    (ocelog.home / "lake/catalog.db").unlink()


def empty_metadata(ocelog: Ocelog) -> None:
    for path in warehouse(ocelog).glob("metadata/*.json"):
        overwrite(path, b"")


def lost_manifests(ocelog: Ocelog) -> None:
    for path in warehouse(ocelog).glob("metadata/*.avro"):
        path.unlink()


def cut_manifest_list(ocelog: Ocelog) -> None:
    for path in warehouse(ocelog).glob("metadata/snap-*.avro"):
        overwrite(path, path.read_bytes()[:100])


def lost_metadata_folder(ocelog: Ocelog) -> None:
    shutil.rmtree(warehouse(ocelog) / "metadata")


def lost_data(ocelog: Ocelog) -> None:
    for path in warehouse(ocelog).rglob("data/**/*.parquet"):
        path.unlink()


def flipped_data(ocelog: Ocelog) -> None:
    for table in ("wiz_audit", "wiz_issues"):
        for path in warehouse(ocelog, table).rglob("data/**/*.parquet"):
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            overwrite(path, bytes(content))


def several(ocelog: Ocelog) -> None:
    garbage_catalog(ocelog)
    lost_manifests(ocelog)
    for path in warehouse(ocelog, "wiz_audit").rglob("data/**/*.parquet"):
        overwrite(path, b"")


DAMAGES: list[Callable[[Ocelog], None]] = [
    empty_catalog,
    garbage_catalog,
    lost_catalog,
    empty_metadata,
    lost_manifests,
    cut_manifest_list,
    lost_metadata_folder,
    lost_data,
    flipped_data,
    several,
]


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_after_repair_and_pull_everything_is_there_once(
    before: Everything, ocelog: Ocelog, damage: Callable[[Ocelog], None]
) -> None:
    damage(ocelog)
    assert any("ocelog repair" in line for line in check())
    assert mend(dry_run=True).lines
    assert any("ocelog repair" in line for line in check()), "a dry run changes nothing"
    mend()
    assert pull().exit_code == 0
    assert everything() == before
    assert check() == []


@pytest.mark.slow
def test_repair_does_nothing_to_a_whole_home(ocelog: Ocelog) -> None:
    files = {path: path.stat().st_mtime_ns for path in (ocelog.home / "lake").rglob("*") if path.is_file()}
    assert mend().lines == []
    assert {path: path.stat().st_mtime_ns for path in (ocelog.home / "lake").rglob("*") if path.is_file()} == files


@pytest.mark.slow
def test_the_command_asks_first_and_status_names_what_is_lost(ocelog: Ocelog) -> None:
    lost_data(ocelog)
    status = ocelog("status", code=1)
    assert "Lake: wiz_issues" in status.out
    assert "ocelog repair" in status.out
    assert "Nothing was changed" in ocelog("repair", code=2).err
    assert "is missing" in ocelog("repair", "--check", code=1).out
    agreed = ocelog("repair", stdin="y\n")
    assert "earlier versions" in agreed.err
    assert agreed.out.strip().splitlines() == ["Done, as listed above.", "To read it now: ocelog pull"]
    assert "there and intact" in ocelog("repair", "--check").out


@pytest.mark.slow
def test_what_a_removed_source_lost_is_read_again_once_it_is_added_again(
    before: Everything, ocelog: Ocelog, tenant: Server
) -> None:
    ocelog("source", "remove", "sim", "--yes")
    lost_data(ocelog)
    done = mend()
    assert done.planned > 0
    assert any("once the source 'sim' is added again" in line for line in done.lines)
    assert "again (id" in ocelog(*add(tenant)).out
    assert pull().exit_code == 0
    assert everything() == before


@pytest.mark.slow
def test_a_repair_does_not_bring_back_the_rows_of_a_purged_source(ocelog: Ocelog) -> None:
    with opened() as installation:
        row = installation.ledger.sources.find("sim")
        assert row is not None
        purge(installation, row)
    newest = max(warehouse(ocelog).glob("metadata/*.metadata.json"))
    overwrite(newest, b"{")
    assert any("Its newest intact metadata" in line for line in mend().lines)
    assert everything()["wiz_issues"] == []


@pytest.mark.slow
def test_a_part_that_is_back_after_it_was_given_up_and_planned_again_lands(before: Everything, ocelog: Ocelog) -> None:
    shutil.rmtree(ocelog.home)
    shutil.copytree(ocelog.home.with_name("just pulled"), ocelog.home)
    lost_metadata_folder(ocelog)
    mend()
    away = [part.rename(part.with_suffix(".away")) for part in ocelog.home.glob("landing/wiz_issues/*.parquet")]
    assert mend().planned > 0
    assert everything()["wiz_issues"] == []
    for part in away:
        part.rename(part.with_suffix(".parquet"))
    with sqlite3.connect(ocelog.home / "ledger.db") as ledger:
        # They were taken since, as a service takes them to read them again.
        ledger.execute("UPDATE slices SET fence = fence + 1")
    ocelog("upkeep")
    assert any("is back and intact" in line for line in mend().lines)
    assert everything() == before
    assert pull().exit_code == 0
    assert everything() == before
    assert mend().lines == []


def rejected() -> list[str]:
    with opened(reading=True) as installation:
        queries = Queries(installation.home.path, installation.ledger.lake, table_schemas())
        with queries.run("SELECT p_row_id FROM rejections ORDER BY 1") as answer:
            return [row["p_row_id"] for batch in answer.batches for row in batch.to_pylist()]


def lost_rejection_files(ocelog: Ocelog) -> None:
    for path in warehouse(ocelog, "rejections").rglob("data/**/*.parquet"):
        path.unlink()


def lost_rejection_table(ocelog: Ocelog) -> None:
    shutil.rmtree(warehouse(ocelog, "rejections"))


@contextmanager
def misfit(tenant: Server) -> Iterator[None]:
    """Have one issue that does not fit within the block."""
    record = min(tenant.world.current("issues"))
    tenant.faults.add("odd-record", id=record, kind="null-required", type="issues")
    try:
        yield
    finally:
        tenant.faults.clear()


@pytest.fixture(scope="module")
def with_rejection(made: Ocelog, tenant: Server) -> Path:
    """Return a copy of a home that has rejected a record."""
    put_back(made)
    with misfit(tenant):
        made("pull", "--since", "2000-01-01", "--log-type", "issues")
    made("publish")
    with sqlite3.connect(made.home / "ledger.db") as ledger:
        ledger.execute("UPDATE parts SET published_us = 1")
        # The ledger forgets slices after some hours.
        ledger.execute("DELETE FROM slices")
    made("publish")
    return Path(shutil.copytree(made.home, made.home.with_name("with rejection")))


@pytest.mark.slow
@pytest.mark.parametrize("damage", [lost_rejection_files, lost_rejection_table], ids=lambda damage: damage.__name__)
def test_rejected_records_of_lost_files_are_read_again(
    with_rejection: Path, ocelog: Ocelog, tenant: Server, damage: Callable[[Ocelog], None]
) -> None:
    shutil.rmtree(ocelog.home)
    shutil.copytree(with_rejection, ocelog.home)
    before = rejected()
    assert before
    damage(ocelog)
    done = mend()
    assert done.planned > 0
    assert any("not known, so everything is read again" in line for line in done.lines)
    assert all("audit" not in line for line in done.lines if "to be read again" in line)
    assert rejected() == []
    assert "did not fit" not in ocelog("status").out
    with misfit(tenant):
        assert pull().exit_code == 0
    assert rejected() == before
    assert "1 records did not fit" in ocelog("status").out


def test_a_lost_lake_is_not_called_whole_and_fails_a_repair(ocelog: Ocelog) -> None:
    (ocelog.home / "lake").rename(ocelog.home.with_name("away"))
    try:
        for arguments in (["--dry-run"], ["--yes"]):
            told = ocelog("repair", *arguments, code=1).out
            assert "Nothing is lost" not in told
            assert "Not repaired: wiz_issues: The table wiz_issues was published up to part" in told
            assert "the lake is missing" in told
    finally:
        shutil.rmtree(ocelog.home / "lake", ignore_errors=True)
        ocelog.home.with_name("away").rename(ocelog.home / "lake")
    assert "Nothing is lost" in ocelog("repair", "--yes").out


def test_a_dry_run_works_beside_a_service_and_a_repair_says_how_to_stop_it(ocelog: Ocelog) -> None:
    lost_data(ocelog)
    with opened() as installation, held(installation.home, "ocelog run"):
        assert "To do it: ocelog repair" in ocelog("repair", "--dry-run").out
        assert f"systemctl stop ocelog, or kill {os.getpid()}" in ocelog("repair", "--yes", code=2).err


@pytest.mark.slow
def test_rows_that_are_still_in_landing_are_told_when_a_table_is_made_anew(before: Everything, ocelog: Ocelog) -> None:
    shutil.rmtree(ocelog.home)
    shutil.copytree(ocelog.home.with_name("just pulled"), ocelog.home)
    lost_metadata_folder(ocelog)
    told = f"0 rows were found again in data files. {len(before['wiz_issues'])} more rows are still in landing"
    (ocelog.home / "landing" / "wiz_audit" / "leftovers.json").write_bytes(b"rubbish")
    planned, done = mend(dry_run=True), mend()
    assert any(told in line for line in done.lines)
    assert not any("Put it back" in line for line in done.lines), "it says what is wrong, and does what there is to do"
    assert [*planned.left, *done.left] == [], "a damaged list of files to be deleted is started anew"
    assert everything() == before


@pytest.mark.slow
@pytest.mark.parametrize("left", [None, b"", b"\x00rubbish", b'{"version": 1, "path": 3}'])
def test_a_lost_home_json_is_written_anew_by_the_command_that_the_message_names(
    ocelog: Ocelog, left: bytes | None
) -> None:
    (ocelog.home / "home.json").unlink()
    (ocelog.home / "a file of mine").touch()
    if left is not None:
        (ocelog.home / "home.json").write_bytes(left)
    told = ocelog("status", code=2).err
    assert f"run `ocelog init --home {ocelog.home}`" in told
    assert "Wrote home.json again" in ocelog("init", "--home", str(ocelog.home)).out
    assert "Lake" not in ocelog("status").out
    assert pull().exit_code == 0
    assert check() == []
    assert "There is a home already" in ocelog("init").out


def test_a_home_json_is_not_written_for_a_ledger_of_another_place(ocelog: Ocelog, tmp_path: Path) -> None:
    moved = Ocelog(tmp_path / "moved", WIZ_SECRET="none")
    shutil.copytree(ocelog.home, moved.home)
    (moved.home / "home.json").unlink()
    assert f"the lake was made in {ocelog.home}" in moved("init", code=2).err
    shutil.rmtree(moved.home / "lake")
    assert "the lake is missing" in moved("init", code=2).err
    (ocelog.home / "home.json").unlink()
    (ocelog.home / "ledger.db").unlink()
    assert "add" not in ocelog("init", code=2).err
    assert not (ocelog.home / "ledger.db").exists()


@pytest.mark.slow
@pytest.mark.parametrize("left", [b"", b"rubbish\n", b"\xff" * 64])
def test_an_unusable_key_is_named_by_status_and_moved_aside_by_init(ocelog: Ocelog, left: bytes) -> None:
    ocelog("source", "rotate", "sim", "--client-secret-file", "-", stdin=ocelog.environment["WIZ_SECRET"])
    assert "Key:" not in ocelog("status").out
    (ocelog.home / "key").write_bytes(left)
    told = ocelog("status", code=1).out
    assert f"Key: {ocelog.home}/key holds no key" in told
    assert "ocelog init" in told
    made = ocelog("init")
    assert "source rotate" in made.err
    if left:
        assert (ocelog.home / "key.damaged").read_bytes() == left
        assert "moved aside" in made.err
    ocelog("source", "rotate", "sim", "--client-secret-file", "-", stdin=ocelog.environment["WIZ_SECRET"])
    assert "Key:" not in ocelog("status").out
    assert pull().exit_code == 0


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.slow
def test_a_named_pipe_in_place_of_any_file_is_damage_and_is_not_opened(before: Everything, ocelog: Ocelog) -> None:
    newest = max(warehouse(ocelog, "wiz_audit").glob("metadata/*.json"))
    piped(newest)
    for path in warehouse(ocelog, "wiz_issues").glob("metadata/snap-*.avro"):
        piped(path)
    for path in warehouse(ocelog, "wiz_vulnerability_finding").glob("metadata/[!s]*.avro"):
        piped(path)
    for path in [*(ocelog.home / "landing").rglob("leftovers.json"), *(ocelog.home / "lake/keys").rglob("*.id")]:
        piped(path)
    (ocelog.home / "tmp/verified.json").unlink(missing_ok=True)
    os.mkfifo(ocelog.home / "tmp/verified.json")
    told = ocelog("status", code=1).out
    for table in TABLES:
        assert f"Lake: {table}: {warehouse(ocelog, table)}/metadata/" in told
        assert "not a regular file" in ocelog("query", f"SELECT count(*) FROM {table}", code=2).err  # noqa: S608 - ours
    mend()
    assert pull().exit_code == 0
    assert everything() == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["home.json", "key", "config.yml", "lock", "lake/catalog.db"])
def test_a_named_pipe_in_the_home_ends_no_command_in_waiting(ocelog: Ocelog, name: str) -> None:
    (ocelog.home / name).unlink(missing_ok=True)
    os.mkfifo(ocelog.home / name)
    ocelog("status", code=None)
    told = ocelog("pull", code=None)
    assert told.code in {0, 2, 3}, told
    if name == "lake/catalog.db":
        assert "catalog.db (the catalog of the lake) is not a regular file" in ocelog("status", code=1).out
        mend()
        assert check() == []
