"""Thousands of small worlds: whatever crashes, overtakes or lies, no version is lost and none lands twice."""

import os
from pathlib import Path

import pytest

from ocelog.ledger.ledger import Ledger
from simulation.run import run

SEEDS = int(os.environ.get("OCELOG_SEEDS", "40"))
FIRST = int(os.environ.get("OCELOG_FIRST_SEED", "0"))
GROUP = 10


@pytest.fixture(scope="module")
def blank_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("blank") / "ledger.db"
    Ledger.open(f"sqlite:///{path}", durable=False).close()
    return path


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, GROUP))
def test_every_seed_keeps_the_promises(first: int, tmp_path: Path, blank_ledger: Path) -> None:
    failures = []
    for seed in range(first, min(first + GROUP, FIRST + SEEDS)):
        try:
            run(seed, tmp_path, blank_ledger)
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, (
        f"{len(failures)} seeds fail; replay one with OCELOG_FIRST_SEED=N OCELOG_SEEDS=1:\n" + "\n".join(failures[:5])
    )
