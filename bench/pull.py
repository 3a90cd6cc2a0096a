"""How long a whole pull takes and how much memory it holds: ours beside dlt's, and ours on ten times the findings.

Both do the same job as processes of their own, beginning with the interpreter's start: 500 findings a page with every
field that we ask for, from a simulator that answers at once, into tables on disk. Ours also compares versions, writes
an Iceberg lake and waits for the disk; dlt appends to DuckDB, once as it does by itself, and once by way of Parquet
files, which is the fastest that it can.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import duckdb

from tenant import Tenant, tenant

SMALL, LARGE = 20_000, 200_000
ALL = "--max-count 10000000"
"""So that the total is never capped."""
ROUNDS, LARGE_ROUNDS = 5, 3


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one process took."""

    seconds: float
    cpu: float
    peak_mb: float


def timed(command: Sequence[str], env: Mapping[str, str]) -> Run:
    """Run `command` to its end. Memory is the most that the process ever held at once."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, env=os.environ | dict(env), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    told = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    assert process.returncode == 0, told
    cpu = usage.ru_utime + usage.ru_stime
    return Run(seconds=time.perf_counter() - began, cpu=cpu, peak_mb=usage.ru_maxrss * 1024 / 1e6)


def pull(where: Tenant, findings: int, folder: Path) -> Run:
    """Pull everything with ocelog, from adding nothing but the source."""
    env = {"OCELOG_HOME": str(folder / "home"), "CLIENT_SECRET": where["CLIENT_SECRET"]}
    ocelog = [sys.executable, "-m", "ocelog"]
    add = [*ocelog, "source", "add", "wiz", "bench", "--token-url", where["TOKEN_URL"], "--api-url", where["API_URL"]]
    add += ["--client-id", where["CLIENT_ID"], "--client-secret-env", "CLIENT_SECRET", "--log-type", "findings"]
    add += ["--backfill", "all", "--no-sweep", "--rate", "100", "--no-check"]
    timed([*ocelog, "init"], env)
    timed(add, env)
    run = timed([*ocelog, "pull", "--json"], env)
    count = [*ocelog, "query", "-o", "csv", "SELECT count(*) AS n FROM wiz_vulnerability_finding"]
    found = subprocess.run(count, env=os.environ | env, capture_output=True, text=True, check=True).stdout.split()[-1]
    assert int(found) == findings, f"{found} of {findings} findings are there"
    return run


def dlt(where: Tenant, findings: int, folder: Path, loader: str = "default") -> Run:
    """Pull everything with dlt."""
    env = {**where, "FOLDER": str(folder), "LOADER": loader}
    env |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "DLT_DATA_DIR": str(folder / "data")}
    run = timed([sys.executable, str(Path(__file__).with_name("dlt_findings.py"))], env)
    with duckdb.connect(str(folder / "findings.duckdb")) as connection:
        found = connection.execute("SELECT count(*) FROM wiz.findings").fetchall()[0][0]
    assert found == findings, f"{found} of {findings} findings are there"
    return run


def dlt_by_parquet(where: Tenant, findings: int, folder: Path) -> Run:
    """Pull everything with dlt, by way of Parquet files."""
    return dlt(where, findings, folder, "parquet")


def middle(runs: Sequence[Run]) -> Run:
    """Return the medians."""
    return Run(
        seconds=median(run.seconds for run in runs),
        cpu=median(run.cpu for run in runs),
        peak_mb=median(run.peak_mb for run in runs),
    )


def show(name: str, findings: int, run: Run, ours: Run) -> None:
    """Print a line of figures, the last of them beside `ours`."""
    figures = f"{run.seconds:9.2f}{run.cpu:9.2f}{findings / run.seconds:12,.0f}{run.peak_mb:9.0f}"
    print(f"{name:14}{findings:9,}{figures}{run.seconds / ours.seconds:9.1f}", flush=True)


def beside_dlt() -> Run:
    """Run ours and dlt's in turn, so that a slow minute of the machine meets all of them."""
    jobs = {"ocelog": pull, "dlt": dlt, "dlt, parquet": dlt_by_parquet}
    runs: dict[str, list[Run]] = {name: [] for name in jobs}
    with tenant(findings=SMALL, options=ALL) as where:
        for _ in range(ROUNDS):
            for name, job in jobs.items():
                with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                    runs[name].append(job(where, SMALL, Path(folder)))
    ours = middle(runs["ocelog"])
    for name in jobs:
        show(name, SMALL, middle(runs[name]), ours)
    return ours


def flat(small: Run) -> None:
    """Run ours on ten times as much."""
    runs = []
    with tenant(findings=LARGE, options=ALL) as where:
        for _ in range(LARGE_ROUNDS):
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                runs.append(pull(where, LARGE, Path(folder)))
    large = middle(runs)
    show("ocelog", LARGE, large, small)
    print(f"{LARGE // SMALL} times as many findings: {large.peak_mb / small.peak_mb:.2f} times the memory")


def main() -> None:
    """Print everything."""
    print(f"{'':14}{'findings':>9}{'seconds':>9}{'cpu s':>9}{'findings/s':>12}{'peak MB':>9}{'x ours':>9}")
    flat(beside_dlt())


if __name__ == "__main__":
    main()
