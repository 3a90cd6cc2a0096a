"""What a sweep of unchanged findings costs beside pulling them: time and memory. It lands no rows.

Both are processes of their own at the same rate, on a simulator that answers at once. The sweep is asked for by hand,
so that no share of the rate holds it back.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pull import ALL, Run, timed
from tenant import Tenant, tenant

FINDINGS = int(os.environ.get("OCELOG_BENCH_FINDINGS", "200000"))
_OCELOG = [sys.executable, "-m", "ocelog"]
_COUNT = "SELECT count(*) AS rows, count(*) FILTER (WHERE status IN ('OPEN', 'IN_PROGRESS')) AS opened FROM {}"


def counts(env: dict[str, str]) -> dict[str, int]:
    """Return how many rows there are, and how many of them are open."""
    command = [*_OCELOG, "query", "-o", "ndjson", _COUNT.format("wiz_vulnerability_finding")]
    told = subprocess.run(command, env=os.environ | env, capture_output=True, text=True, check=True).stdout
    found: dict[str, int] = json.loads(told)
    return found


def measured(where: Tenant, folder: Path) -> None:
    """Pull everything, sweep once for warming up (the first sweep judges nothing), and once more with a clock."""
    env = {"OCELOG_HOME": str(folder / "home"), "CLIENT_SECRET": where["CLIENT_SECRET"]}
    add = [*_OCELOG, "source", "add", "wiz", "bench", "--token-url", where["TOKEN_URL"], "--api-url", where["API_URL"]]
    add += ["--client-id", where["CLIENT_ID"], "--client-secret-env", "CLIENT_SECRET", "--log-type", "findings"]
    timed([*_OCELOG, "init"], env)
    timed([*add, "--backfill", "all", "--rate", "100", "--no-check"], env)
    pulled = timed([*_OCELOG, "pull", "--json"], env)
    before = counts(env)
    swept = timed([*_OCELOG, "sweep", "--json"], env)
    after = counts(env)
    assert after == before, f"the sweep landed rows: {before} before, {after} after"
    print(f"{'':8}{'records':>10}{'seconds':>9}{'cpu s':>9}{'records/s':>11}{'peak MB':>9}")
    for name, records, run in (("pull", before["rows"], pulled), ("sweep", before["opened"], swept)):
        print(f"{name:8}{records:10,}{run.seconds:9.2f}{run.cpu:9.2f}{records / run.seconds:11,.0f}{run.peak_mb:9.0f}")
    ratio = per_record(swept, before["opened"]) / per_record(pulled, before["rows"])
    print(f"a record swept costs {ratio:.2f} times one pulled")


def per_record(run: Run, records: int) -> float:
    """Return the seconds that one record takes."""
    return run.seconds / records


def main() -> None:
    """Print everything."""
    with tenant(findings=FINDINGS, options=ALL) as where, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        measured(where, Path(folder))


if __name__ == "__main__":
    main()
