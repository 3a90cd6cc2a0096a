"""A purge that is killed half-way loses nothing that is read again, and is finished by the next one."""

from pathlib import Path

import pytest

from commands import Ocelog, Simulated, simulator
from ocelog.cli import main, purging
from ocelog.lake.purge import delete_rows


def test_a_purge_that_was_killed_half_way_is_finished_before_the_name_is_added_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog("init")
    with simulator("--audit", "60", "--issues", "40", "--findings", "80") as tenant:
        _purge_twice(ocelog, tenant, monkeypatch)


def _purge_twice(ocelog: Ocelog, tenant: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    ocelog.add(tenant, "prod")
    ocelog("pull")
    rows = ocelog.count("all_logs")
    monkeypatch.setenv("OCELOG_HOME", str(ocelog.home))

    def killed(home: Path, table: str, source: str) -> int:
        if table == "wiz_issues":
            raise KeyboardInterrupt
        return delete_rows(home, table, source)

    monkeypatch.setattr(purging, "delete_rows", killed)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        main(["source", "remove", "prod", "--purge", "--yes"])
    assert 0 < ocelog.count("all_logs") < rows
    again = ["source", "add", "wiz", "prod", *tenant.options, "--client-secret-file", "-", "--no-check"]
    assert "half deleted: finish that first" in ocelog(*again, stdin=tenant.client_secret, code=2).err
    ocelog("source", "remove", "prod", "--purge", "--yes")
    assert ocelog.count("all_logs") == 0
    # Not even where no reader looks for them: a part file is a copy of records that were to be deleted.
    assert list((ocelog.home / "landing").rglob("*.parquet")) == []
    ocelog.add(tenant, "prod")
    ocelog("pull")
    assert ocelog.count("all_logs") == rows
