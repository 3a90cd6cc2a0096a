"""Every figure in one run: what the simulator serves, shaping and landing, and whole pulls, each beside its rivals."""

import os
import subprocess
import sys
from pathlib import Path

BENCHES = {
    "simulator.py": "The simulator, which must be faster than whoever is measured on it",
    "shape.py": "From page bytes to a durable part, on one core, beside the least that it can cost and the usual way",
    "judging.py": "Rules on events, in the child that keeps them in, beside a loop that calls them here",
    "alerting.py": "From an event that landed to the channel that is called, in a running service",
    "startup.py": "What short commands cost, beside what they may",
    "idle.py": "A service that has nothing to do, and one of 200 sources",
    "rate.py": "How much of the rate limit a backfill uses, by three kinds of limiter",
    "pull.py": "A whole pull, beside dlt, and on ten times as much",
    "sweep.py": "A sweep of findings that have not changed, beside pulling them",
    "search.py": "Searches of the console beside two million findings",
    "console.py": "Pages of the console beside 2 million rows",
    "upkeep.py": "A table after 2,000 publishes, beside one with as many rows after 10",
}


def main() -> int:
    """Run each bench as a process of its own, so that none warms another's caches or counts its memory."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; medians; the ratios are what to look at.")
    failed = 0
    for name, title in BENCHES.items():
        print(f"\n{title} ({name})", flush=True)
        failed |= subprocess.run([sys.executable, str(Path(__file__).with_name(name))], check=False).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
