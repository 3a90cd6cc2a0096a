"""Hundreds of small worlds: whatever crashes, overtakes or lands late, each match and each alert is there once."""

import os
from pathlib import Path

import pytest

from ocelog.ledger.ledger import Ledger
from simulation.judging_run import run

SEEDS = int(os.environ.get("OCELOG_SEEDS", "300"))
FIRST = int(os.environ.get("OCELOG_FIRST_SEED", "0"))
GROUP = 50


@pytest.fixture(autouse=True)
def publishing_alone() -> None:
    """Let parts wait for each loop: here judging runs beside publishing."""


@pytest.fixture(scope="module")
def blank_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("blank") / "ledger.db"
    Ledger.open(f"sqlite:///{path}", durable=False).close()
    return path


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, GROUP))
def test_each_row_is_judged_once_and_each_alert_is_as_it_must_be(
    first: int, tmp_path: Path, blank_ledger: Path
) -> None:
    failures = []
    for seed in range(first, min(first + GROUP, FIRST + SEEDS)):
        try:
            run(seed, tmp_path, blank_ledger)
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, f"{len(failures)} seeds fail:\n" + "\n".join(failures[:5])
