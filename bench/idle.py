"""What a service costs that has nothing to do, and whether it keeps up: 0, 50 and 200 sources of three streams each.

The API is the simulator with an almost empty tenant, which answers each request after 300 ms. Each figure is of one
whole poll of 5 minutes, the default. `onboarded` is when every stream had read its past; its records are counted before
the measuring begins. `oldest` is how long ago the stream that was planned longest ago was planned, when the measuring
ended: little more than 300 s if the service keeps up.

python bench/idle.py [SOURCES [RATE]]: only so many sources; at RATE requests a second for all of them together, as if
they were of one service account.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ocelog.app.sources import sources
from ocelog.installation.making import make
from ocelog.installation.opening import opened
from ocelog.ledger.ledger import Ledger
from ocelog.secrets.secret import Secret
from ocelog.sources.wiz.settings import from_mapping
from tenant import Tenant, tenant

SOURCES = (0, 50, 200)
POLL = 300.0
FAST = 1000.0
"""A rate that holds nothing back: these sources share one account's rate, and would not elsewhere."""
_TICKS = os.sysconf("SC_CLK_TCK")


def add(home: Path, where: Tenant, count: int, rate: float) -> None:
    """Add `count` sources that read the same tenant."""
    reached = {name.lower(): where[name] for name in ("TOKEN_URL", "API_URL", "CLIENT_ID")}
    settings = from_mapping({**reached, "rate": rate})
    secret = sources.GivenSecret(value=Secret(where["CLIENT_SECRET"]))
    with opened(home) as installation:
        for number in range(count):
            row = sources.row_of(f"source-{number}", settings, {"poll": f"{POLL:.0f}s", "backfill": "1d"})
            sources.add(installation, row, secret)


def is_onboarded(ledger: Ledger, streams: int) -> bool:
    """Whether every stream has begun, and has read all of its past."""
    edges = [row.marks.edge for row in ledger.pulling.streams()]
    left = [each for each in ledger.pulling.due(datetime.now(UTC)).values() if each.rank is not None and each.rank > 0]
    return len(edges) == streams and None not in edges and not left and len(ledger.sweeps.measured_streams()) == streams


def cpu_seconds(pid: int) -> float:
    """Return how long a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def status_of(pid: int) -> tuple[float, int]:
    """Return the megabytes that a process holds, and its threads."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) * 1024 / 1e6, int(lines["Threads"])


def measure(where: Tenant, count: int, rate: float, folder: Path) -> None:
    """Run a service of `count` sources and print a line of figures."""
    home = folder / "home"
    make(home, ledger_url=None)
    add(home, where, count, rate)
    env = os.environ | {"OCELOG_HOME": str(home), "OCELOG_LOG_LEVEL": "error"}
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "ocelog", "run"], env=env, stderr=subprocess.DEVNULL)
    try:
        with opened(home) as installation:
            while not is_onboarded(installation.ledger, 3 * count):
                time.sleep(1)
            onboarded = time.monotonic() - began
            before, most = cpu_seconds(process.pid), 0
            until = time.monotonic() + POLL
            while time.monotonic() < until:
                time.sleep(0.5)
                most = max(most, status_of(process.pid)[1])
            share = 100 * (cpu_seconds(process.pid) - before) / POLL
            edges = [row.marks.edge for row in installation.ledger.pulling.streams() if row.marks.edge is not None]
            oldest = (datetime.now(UTC) - min(edges)).total_seconds() if edges else 0.0
        megabytes = status_of(process.pid)[0]
    finally:
        process.terminate()
        process.wait()
    show(count, onboarded, share, megabytes, most, oldest)


def show(*figures: float) -> None:
    """Print a line."""
    count, onboarded, share, megabytes, threads, oldest = figures
    print(
        f"{count:7}{3 * count:8}{onboarded:12.0f}{share:9.2f}{megabytes:8.0f}{threads:9}{oldest:10.0f}",
        flush=True,
    )


def main(counts: Sequence[int], rate: float) -> None:
    """Print everything."""
    names = f"{'sources':>7}{'streams':>8}{'onboarded s':>12}{'CPU %':>9}"
    print(f"{names}{'MB':>8}{'threads':>9}{'oldest s':>10}")
    for count in counts:
        almost_empty = tenant(audit=5, issues=5, findings=5, options="--latency 300")
        with almost_empty as where, tempfile.TemporaryDirectory(prefix="bench-") as folder:
            measure(where, count, rate, Path(folder))


if __name__ == "__main__":
    main([int(sys.argv[1])] if len(sys.argv) > 1 else SOURCES, float(sys.argv[2]) if len(sys.argv) > 2 else FAST)
