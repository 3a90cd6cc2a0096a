"""What a service costs that has nothing to do, and whether it keeps up: 0, 50 and 200 sources of three streams each.

The API is the simulator with an almost empty tenant, which answers each request after 300 ms. Sources are polled every
30 s here, ten times as often as by default, so that each figure holds whole polls; `at 5m` is what is left at the
default. `oldest` is how long ago the stream that was planned longest ago was planned, when the measuring ended.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ocelog import tenants
from ocelog.installation import make, opened
from ocelog.ledger.store import Ledger
from ocelog.secret import Secret
from ocelog.sources.wiz.settings import from_mapping

SOURCES = (0, 50, 200)
POLL, DEFAULT_POLL, WINDOW = 30.0, 300.0, 60.0
_TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def tenant() -> Iterator[Mapping[str, str]]:
    """Serve an almost empty tenant."""
    size = ["--audit", "5", "--issues", "5", "--findings", "5", "--rate", "0", "--latency", "300"]
    command = [sys.executable, "-m", "wizsim", "serve", "--port", "0", "--seed", "5", *size]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    names = ("token_url", "api_url", "client_id", "client_secret")
    try:
        yield {name: process.stdout.readline().split()[-1] for name in names}
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def add(home: Path, where: Mapping[str, str], count: int) -> None:
    """Add `count` sources that read the same tenant."""
    reached = {name: where[name] for name in ("token_url", "api_url", "client_id")}
    # They share one account's rate here, and would not elsewhere: each sends four requests a poll.
    settings = from_mapping({**reached, "rate": 1000.0})
    secret = tenants.GivenSecret(value=Secret(where["client_secret"]))
    with opened(home) as installation:
        for number in range(count):
            row = tenants.row_of(f"source-{number}", settings, {"poll": f"{POLL:.0f}s", "backfill": "1d"})
            tenants.add(installation, row, secret)


def is_onboarded(ledger: Ledger, streams: int) -> bool:
    """Whether every stream has begun, and has read all of its past."""
    edges = [row.marks.edge for row in ledger.streams()]
    left = [each for each in ledger.due(datetime.now(UTC)).values() if each.rank is not None and each.rank > 0]
    return len(edges) == streams and None not in edges and not left


def cpu_seconds(pid: int) -> float:
    """Return how long a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def status_of(pid: int) -> tuple[float, int]:
    """Return the megabytes that a process holds, and its threads."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) * 1024 / 1e6, int(lines["Threads"])


def measure(where: Mapping[str, str], count: int, folder: Path) -> None:
    """Run a service of `count` sources and print a line of figures."""
    home = folder / "home"
    make(home, ledger_url=None)
    add(home, where, count)
    env = os.environ | {"OCELOG_HOME": str(home), "OCELOG_LOG_LEVEL": "error"}
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "ocelog", "run"], env=env, stderr=subprocess.DEVNULL)
    try:
        with opened(home) as installation:
            while not is_onboarded(installation.ledger, 3 * count):
                time.sleep(1)
            onboarded = time.monotonic() - began
            time.sleep(5)
            before, most = cpu_seconds(process.pid), 0
            until = time.monotonic() + WINDOW
            while time.monotonic() < until:
                time.sleep(0.5)
                most = max(most, status_of(process.pid)[1])
            share = 100 * (cpu_seconds(process.pid) - before) / WINDOW
            edges = [row.marks.edge for row in installation.ledger.streams() if row.marks.edge is not None]
            oldest = (datetime.now(UTC) - min(edges)).total_seconds() if edges else 0.0
        megabytes = status_of(process.pid)[0]
    finally:
        process.terminate()
        process.wait()
    show(count, onboarded, share, megabytes, most, oldest)


_idle: list[float] = []


def show(*figures: float) -> None:
    """Print a line."""
    count, onboarded, share, megabytes, threads, oldest = figures
    _idle.append(share)
    usual = _idle[0] + (share - _idle[0]) * POLL / DEFAULT_POLL
    print(
        f"{count:7}{3 * count:8}{onboarded:12.0f}{share:9.1f}{usual:9.1f}{megabytes:8.0f}{threads:9}{oldest:10.0f}",
        flush=True,
    )


def main(counts: Sequence[int] = SOURCES) -> None:
    """Print everything."""
    names = f"{'sources':>7}{'streams':>8}{'onboarded s':>12}{'CPU %':>9}"
    print(f"{names}{'at 5m':>9}{'MB':>8}{'threads':>9}{'oldest s':>10}")
    for count in counts:
        with tenant() as where, tempfile.TemporaryDirectory(prefix="bench-") as folder:
            measure(where, count, Path(folder))


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or SOURCES)
