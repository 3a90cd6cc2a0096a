"""How long the console takes to make each page beside 2 million rows, and how long a search of them takes.

The rows are those of a small simulated tenant, many times over, spread over 30 days: appended to the table as a publish
does. Pages are asked for without a network. A page may take 50 ms, a search 1 s.

python bench/console.py [ROWS]
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from ocelog.access import Role
from ocelog.app.search.queries import SPARES
from ocelog.lake.catalog.iceberg import opened_catalog
from ocelog.lake.catalog.state import NAMESPACE
from tenant import tenant
from visiting import Guest, console_of

ROWS = 2_000_000
_SMALL = 2_000
_APPENDED = 500_000
"""Rows of one commit."""
_DAYS = 30
_ROUNDS, _SEARCHES = 15, 5
PAGES = ("/sources", "/sources/prod", "/sources/new", "/search", "/alerts", "/rules", "/channels", "/users", "/trail")
SEARCHES = (
    "/search/rows?log=Wiz.Audit&period=24h",
    "/search/rows?log=Wiz.Audit&period=30d",
    "/search/rows?log=Wiz.Audit&period=30d&f=status:is:FAILED",
    "/search/rows?log=Wiz.Audit&period=30d&q=DeleteConnector",
    "/search/rows?period=30d&indicator=203.0.113.9",
    "/search/rows?period=30d",
    "/search/histogram?log=Wiz.Audit&period=30d",
    "/search/values?log=Wiz.Audit&period=30d&field=action",
)


def pull(home: Path) -> None:
    """Read a small tenant."""
    with tenant(audit=_SMALL, issues=200, findings=500) as where:
        environment = os.environ | {"OCELOG_HOME": str(home)}

        def ocelog(*arguments: str, stdin: str = "") -> None:
            command = [sys.executable, "-m", "ocelog", *arguments]
            subprocess.run(command, env=environment, input=stdin, text=True, check=True, stdout=subprocess.DEVNULL)

        ocelog("init")
        reached = ["--token-url", where["TOKEN_URL"], "--api-url", where["API_URL"], "--client-id", where["CLIENT_ID"]]
        types = ["--log-type", "audit", "--log-type", "issues", "--log-type", "findings"]
        secret = where["CLIENT_SECRET"] + "\n"
        ocelog("source", "add", "wiz", "prod", *reached, *types, "--client-secret-file", "-", stdin=secret)
        ocelog("pull", "--json")
        ocelog("publish")


def multiply(home: Path, rows: int) -> None:
    """Append the rows of the audit log again and again, each time with ids of their own and at other times."""
    chance = random.Random(1)  # noqa: S311 - no secret
    with opened_catalog(home) as catalog:
        loaded = catalog.load_table((NAMESPACE, "wiz_audit"))
        few = loaded.scan().to_arrow()
        now = time.time_ns() // 1000
        for begun in range(0, rows, _APPENDED):
            count = min(_APPENDED, rows - begun)
            many = few.take(pa.array(chance.choices(range(len(few)), k=count)))
            times = sorted(now - chance.randrange(_DAYS * 86_400_000_000) for _ in range(count))
            ids = pa.array([f"{begun + number:032x}" for number in range(count)])
            for name, values in (("p_event_time", pa.array(times, pa.int64())), ("p_row_id", ids)):
                at = many.schema.get_field_index(name)
                many = many.set_column(at, many.schema.field(at), values.cast(many.schema.field(at).type))
            loaded.append(many)


def timed(guest: Guest, path: str, rounds: int) -> tuple[float, int]:
    """Return the median of the milliseconds that a page takes, and its bytes."""

    def once() -> tuple[float, Any]:
        began = time.perf_counter()
        answer = guest.get(path)
        return (time.perf_counter() - began) * 1000, answer

    _, answer = once()
    assert answer.status_code == 200, (path, answer.status_code)
    return median(once()[0] for _ in range(rounds)), len(answer.content)


def main() -> int:
    """Print a line for each page; 1 if one took too long."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    late = 0
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        pull(home)
        multiply(home, rows)
        with console_of(home) as console, SPARES.kept():
            guest = console.as_(Role.ADMIN)
            for paths, rounds, allowed in ((PAGES, _ROUNDS, 50), (SEARCHES, _SEARCHES, 1000)):
                for path in paths:
                    took, size = timed(guest, path, rounds)
                    late |= took > allowed
                    print(f"{took:8.1f} ms {size / 1000:7.1f} KB  {path}", flush=True)
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
