"""A purge that is killed half-way loses nothing that is read again, and is finished by the next one."""

import shutil
from pathlib import Path

import pytest

from commands import Ocelog, Simulated, simulator
from ocelog.app.sources import purge
from ocelog.cli import main
from ocelog.installation.opening import opened
from ocelog.lake.upkeep.purge import delete_rows
from ocelog.lake.write.damage import lost_part
from ocelog.ledger.sources import SourceLedger


@pytest.mark.slow
def test_a_purge_that_was_killed_half_way_is_finished_before_the_name_is_added_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init_unjudged()
    with simulator("--audit", "20", "--issues", "10", "--findings", "0") as tenant:
        _purge_twice(ocelog, tenant, monkeypatch)


def _purge_twice(ocelog: Ocelog, tenant: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    # The rows of the first are deleted before it is killed, those of the second are not.
    two_tables = ("--log-type", "audit", "--log-type", "issues")
    ocelog.add(tenant, "prod", *two_tables)
    ocelog("pull")
    rows = ocelog.count("all_logs")
    monkeypatch.setenv("OCELOG_HOME", str(ocelog.home))

    def killed(home: Path, table: str, source: str) -> int:
        if table == "wiz_issues":
            raise KeyboardInterrupt
        return delete_rows(home, table, source)

    monkeypatch.setattr(purge, "delete_rows", killed)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        main(["source", "remove", "prod", "--purge", "--yes"])
    assert 0 < ocelog.count("all_logs") < rows
    again = ["source", "add", "wiz", "prod", *tenant.options, "--client-secret-file", "-", "--no-check"]
    assert "half deleted: finish that first" in ocelog(*again, stdin=tenant.client_secret, code=2).err
    assert "the purge of 'prod' was not finished" in ocelog("status", code=1).out
    ocelog("source", "remove", "prod", "--purge", "--yes")
    assert ocelog.count("all_logs") == 0
    # Not even where no reader looks for them: a part file is a copy of records that were to be deleted.
    assert list((ocelog.home / "landing").rglob("*.parquet")) == []
    ocelog.add(tenant, "prod", *two_tables)
    ocelog("pull")
    assert ocelog.count("all_logs") == rows


@pytest.mark.slow
def test_a_purge_leaves_no_file_of_its_source_in_landing_whether_or_not_anything_names_it(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init_unjudged()
    with simulator("--audit", "20", "--issues", "0", "--findings", "0", "--age", "1") as tenant:
        ocelog.add(tenant, "kept", "--log-type", "audit", "--backfill", "all")
        ocelog("pull")
        others = set((ocelog.home / "landing").rglob("*.parquet"))
        ocelog.add(tenant, "prod", "--log-type", "audit", "--backfill", "all", "--anyway")
        ocelog("pull")
    with opened(ocelog.home) as installation:
        ledger = installation.ledger
        aside, repaired, landed, *_ = (part for part in ledger.lake.parts("wiz_audit") if part.source_id == "prod")
        for part in (aside, repaired):
            ledger.lake.set_aside(lost_part(part, "is missing"))
        ledger.losses.plan([repaired.path], [])
        # As a process that was killed before its commit leaves it.
        landed_file = ocelog.home / landed.path
        shutil.copy(landed_file, landed_file.with_name(f"{landed_file.name.rsplit('-', 1)[0]}-0.parquet"))
    ocelog("source", "remove", "prod", "--purge", "--yes")
    assert set((ocelog.home / "landing").rglob("*.parquet")) == others


@pytest.mark.slow
def test_a_purge_that_is_killed_before_the_ledger_forgets_has_deleted_every_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init_unjudged()
    with simulator("--audit", "10", "--issues", "10", "--findings", "0") as tenant:
        ocelog.add(tenant, "prod", "--log-type", "audit", "--log-type", "issues")
        ocelog("pull")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("OCELOG_HOME", str(ocelog.home))
    monkeypatch.setattr(SourceLedger, "purge", killed)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        main(["source", "remove", "prod", "--purge", "--yes"])
    assert list((ocelog.home / "landing").rglob("*.parquet")) == []
    ocelog("source", "remove", "prod", "--purge", "--yes")
    assert "prod" not in ocelog("source", "list").out
