"""Run many seeds of the simulation on all cores and show how far it is; then whatever else `SLOTS` names.

python scripts/soak.py [SEEDS [FIRST]]
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from ocelog.ledger.store import Ledger  # noqa: E402 - the tests' folder must be found first
from simulation.run import run  # noqa: E402 - likewise

GROUP = 10
SLOTS: dict[str, Callable[[], list[str]]] = {}
"""Longer trials that run after the seeds, such as kills of whole processes: each returns what went wrong."""


def group(first: int, count: int) -> list[str]:
    """Run `count` seeds from `first` on; return what went wrong."""
    failures = list[str]()
    with tempfile.TemporaryDirectory() as folder:
        blank = Path(folder) / "blank.db"
        Ledger.open(f"sqlite:///{blank}", durable=False).close()
        for seed in range(first, first + count):
            try:
                run(seed, Path(folder), blank)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other seeds go on
                failures.append(f"seed {seed}: {type(error).__name__}: {error}")
            (Path(folder) / f"{seed}.db").unlink(missing_ok=True)
    return failures


def main() -> int:
    """Run the seeds, then the slots; 0 if all went well."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    firsts = range(first, first + seeds, GROUP)
    counts = [min(GROUP, first + seeds - each) for each in firsts]
    failures, began = list[str](), time.monotonic()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for number, found in enumerate(pool.map(group, firsts, counts), start=1):
            failures += found
            done = sum(counts[:number])
            print(f"{done} of {seeds} seeds, {len(failures)} failed, {time.monotonic() - began:.0f} s", flush=True)
            print("".join(f"{each}\n" for each in found), end="", flush=True)
    for name, trial in SLOTS.items():
        found = trial()
        failures += found
        print(f"{name}: {len(found)} failed", *found, sep="\n", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
