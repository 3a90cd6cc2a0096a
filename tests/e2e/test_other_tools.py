"""The file by which other tools read the lake names the present files, whichever command has changed them."""

import json
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from commands import Ocelog, Simulated, simulator
from ocelog.app.other_tools import views_for_others
from ocelog.lake.read.views_file import views_folder

ADMIN = "others"


def is_written(home: Path) -> bool:
    """Whether the file is there and as the tables are; it is deleted, so that the next command must write it."""
    path = views_folder(home) / "schema.sql"
    fresh = path.exists() and not views_for_others(home).refresh()
    path.unlink(missing_ok=True)
    return fresh


def change(tenant: Simulated, type_: str) -> None:
    """Give a record of the tenant another severity, which only a sweep shows."""

    def ask(call: str, **values: Any) -> Any:
        data = json.dumps(values).encode() if values else None
        headers = {"Authorization": f"Bearer {ADMIN}"}
        url = tenant.api_url.replace("/graphql", f"/admin/{call}")
        with urlopen(Request(url, data=data, headers=headers)) as answer:  # noqa: S310 - loopback
            return json.load(answer)

    one = next(record for _, record in ask("current")[type_].values() if record["status"] == "OPEN")
    ask("change", type=type_, id=one["id"], fields={"severity": "LOW" if one["severity"] != "LOW" else "HIGH"})


@pytest.mark.slow
def test_every_command_that_changes_tables_writes_it_anew(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init_unjudged()
    with simulator("--audit", "20", "--issues", "20", "--findings", "20", "--admin-token", ADMIN) as tenant:
        ocelog.add(tenant, "prod")
        ocelog("pull", "--json")
        assert is_written(ocelog.home), "pull"
        change(tenant, "issues")
        ocelog("sweep", "--json")
        assert is_written(ocelog.home), "sweep"
        for command in (
            ("publish",),
            ("upkeep",),
            ("reshape",),
            ("repair", "--yes"),
            ("source", "remove", "prod", "--purge", "--yes"),
        ):
            if command[0] == "repair":
                next((ocelog.home / "lake/warehouse/ocelog/wiz_audit/data").rglob("*.parquet")).unlink()
            ocelog(*command)
            assert is_written(ocelog.home), command
        ocelog("backup", str(tmp_path / "backup"))
        ocelog("restore", str(tmp_path / "backup"), "--home", str(tmp_path / "restored"))
        assert is_written(tmp_path / "restored"), "restore"


@pytest.mark.slow
def test_views_that_cannot_be_written_are_told_until_they_are(tmp_path: Path) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog.init_unjudged()
    folder = views_folder(ocelog.home)
    with simulator("--audit", "20", "--issues", "5", "--findings", "0") as tenant:
        ocelog.add(tenant, "prod", "--log-type", "audit", "--log-type", "issues", "--backfill", "all")
        folder.write_text("x")
        pulled = ocelog("pull", "--json", code=2)
        assert "cannot be written" in json.loads(pulled.out)["failed"]["publish"]["error"]
        assert ocelog("query", "SELECT count(*) AS n FROM wiz_audit").lines == [{"n": 20}]
        assert json.loads(ocelog("lake", "--json").out)[0]["rows"] == 20, "publishing goes on"
        assert "IMPORT DATABASE" not in ocelog("lake").out
        told = " ".join(ocelog("status", code=1).out.split())
        assert f"{folder} is not a folder" in told
        (fault,) = json.loads(ocelog("status", "--json", code=1).out)["failing_loops"]
        assert "Move it aside: mv " in fault["error"]
        folder.unlink()
        ocelog("publish")
        ocelog("status")
        folder.rename(f"{folder}.old")
        folder.write_text("x")
        assert "cannot be written" in json.loads(ocelog("sweep", "--json", code=2).out)["publishing"]["error"]
        (fault,) = json.loads(ocelog("status", "--json", code=1).out)["failing_loops"]
        assert (fault["loop"], fault["error_code"]) == ("publish", "home_unfit")
        folder.unlink()
        ocelog("sweep")
        ocelog("status")
    assert "IMPORT DATABASE" in ocelog("lake").out
