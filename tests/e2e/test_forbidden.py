"""Files of a home that may not be read: the error says what to do, nothing counts as lost, and the others go on."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from commands import Ocelog, simulator


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Ocelog:
    command = Ocelog(tmp_path_factory.mktemp("forbidden") / "home")
    command.init_unjudged()
    with simulator("--audit", "20", "--issues", "20", "--findings", "20") as tenant:
        command.add(tenant, "prod", "--backfill", "all")
        command("pull")
    shutil.copytree(command.home, command.home.with_name("copy"))
    return command


@pytest.fixture
def ocelog(made: Ocelog) -> Ocelog:
    """Put the home back as it was."""
    shutil.rmtree(made.home)
    shutil.copytree(made.home.with_name("copy"), made.home)
    return made


def data_file(ocelog: Ocelog, table: str) -> Path:
    return min(ocelog.home.glob(f"lake/warehouse/ocelog/{table}/data/**/*.parquet"))


@contextmanager
def forbidden(path: Path) -> Iterator[str]:
    """Let nobody read `path` within the block; yield the command that the error names."""
    mode = path.stat().st_mode
    path.chmod(0)
    yield f"chmod u+r {path}"
    path.chmod(mode)


@pytest.mark.slow
@pytest.mark.whole_processes
def test_status_names_what_it_may_not_read_and_shows_the_rest(ocelog: Ocelog) -> None:
    with forbidden(data_file(ocelog, "wiz_issues")) as command:
        done = ocelog.without_privileges("status", code=1)
    (line,) = [line for line in done.out.splitlines() if line.startswith("Lake:")]
    assert command in line
    assert "repair" not in line
    assert all(log_type in done.out for log_type in ("Wiz.Audit", "Wiz.Issues", "Wiz.VulnerabilityFinding"))


@pytest.mark.slow
def test_repair_gives_up_nothing_that_it_may_not_read_and_mends_the_rest(ocelog: Ocelog) -> None:
    metadata = max(ocelog.home.glob("lake/warehouse/ocelog/wiz_issues/metadata/*.metadata.json"))
    data_file(ocelog, "wiz_vulnerability_finding").unlink()
    for path, told in ((metadata, "it is given up"), (data_file(ocelog, "wiz_issues"), "Not repaired: ")):
        with forbidden(path) as command:
            done = ocelog.without_privileges("repair", "--yes", code=1)
            assert command in done.out
            assert told in done.out
            assert "Nothing is lost" not in done.out
    assert ocelog("repair").out.startswith("Nothing is lost or damaged")
    assert ocelog.count("wiz_issues") == 20
    with forbidden(ocelog.home / "lake" / "catalog.db") as command:
        assert command in ocelog.without_privileges("repair", "--yes", code=2).err
    assert ocelog.count("wiz_audit") == 20


@pytest.mark.slow
def test_backup_says_what_it_may_not_read_and_leaves_the_earlier_one_whole(ocelog: Ocelog, tmp_path: Path) -> None:
    kept, moved = str(tmp_path / "kept"), Ocelog(tmp_path / "moved")
    ocelog("backup", kept, "--with-key")
    metadata = max(ocelog.home.glob("lake/warehouse/ocelog/wiz_issues/metadata/*.metadata.json"))
    for path in (metadata, ocelog.home / "key"):
        with forbidden(path) as command:
            assert command in ocelog.without_privileges("backup", kept, "--with-key", code=2).err
    moved("restore", kept)
    assert moved.count("all_logs") == 60
