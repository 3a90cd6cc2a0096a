"""Run many seeds of the simulation on all cores and show how far it is, then the trials with real processes.

python scripts/soak.py [SEEDS [FIRST]]          everything
python scripts/soak.py NAME [COUNT [SEED]]      only the trial of that name: kills, zombies, judging or postgresql
"""

import logging
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import structlog

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from commands.trials import judging, kills, one_server, zombies  # noqa: E402 - the tests' folder must be found first
from simulation import delivering  # noqa: E402 - likewise
from simulation import run as world  # noqa: E402 - likewise

GROUP = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A trial with real processes that runs after the seeds."""

    trial: Callable[[int, int], list[str]]
    """Takes how much to do and a seed, and returns what went wrong."""
    count: int
    unit: str


SLOTS = {
    "kills": Slot(trial=kills, count=100, unit="processes killed at work"),
    "zombies": Slot(trial=zombies, count=30, unit="processes stopped while another took over"),
    "judging": Slot(trial=judging, count=50, unit="processes killed while they judge and deliver"),
    "postgresql": Slot(trial=one_server, count=600, unit="seconds of two processes on one PostgreSQL"),
}


def group(first: int, count: int) -> list[str]:
    """Run `count` seeds from `first` on, of the one world and of delivering alone; return what went wrong."""
    failures = list[str]()
    # Delivering says of each message how it went.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    for name, run in {"the world": world.run, "delivering": delivering.run}.items():
        for seed in range(first, first + count):
            try:
                run(seed)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other seeds go on
                failures.append(f"{name}, seed {seed}: {type(error).__name__}: {error}")
    return failures


def main() -> int:
    """Run the seeds, then the slots, or the one that is named; 0 if all went well."""
    if sys.argv[1:] and sys.argv[1] in SLOTS:
        name = sys.argv[1]
        count = int(sys.argv[2]) if len(sys.argv) > 2 else SLOTS[name].count
        return 1 if try_slot(name, count, int(sys.argv[3]) if len(sys.argv) > 3 else 0) else 0
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
    for name, slot in SLOTS.items():
        failures += try_slot(name, slot.count, first)
    return 1 if failures else 0


def try_slot(name: str, count: int, seed: int) -> list[str]:
    """Run one trial, and say how it went and how to run it again."""
    print(f"{name}: {count} {SLOTS[name].unit}, seed {seed}", flush=True)
    try:
        failures = SLOTS[name].trial(count, seed)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other trials go on
        failures = [f"{type(error).__name__}: {error}"]
    print(f"{name}: {len(failures)} failed", *failures, sep="\n", flush=True)
    if failures:
        print(f"To run it again: python scripts/soak.py {name} {count} {seed}", flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(main())
