"""What a table costs after thousands of publishes, beside one with as many rows that was published ten times.

As a service does, each publish is followed by upkeep. What is compared: how long a publish takes, what `count(*)` and
`_current` take, loading what a slice must know, files, snapshots, and the size of the metadata.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from lakeside.ledger import MemoryLedger
from lakeside.things import SCHEMAS, row, rows
from ocelog.lake.catalog.state import TableStates
from ocelog.lake.lake import FileLake
from ocelog.lake.query.queries import Queries
from ocelog.lake.upkeep.cleaning import clean
from ocelog.lake.upkeep.maintenance import Maintenance
from ocelog.lake.write.publish import Publisher

# The statements are put together from constants.
# ruff: noqa: S608

TABLE = "wiz_issues"
ROWS = 20_000
MONTHS = 3
FEW, MANY = 10, 2_000
ROUNDS = 5


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a table costs."""

    publish_ms: float
    load_ms: float
    ids_ms: float
    count_ms: float
    current_ms: float
    files: int
    manifests: int
    snapshots: int
    metadata_kb: float


def timed(call: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the median of some calls in milliseconds."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1000)
    return median(taken)


def page(publish: int, count: int) -> pa.Table:
    """Return the rows of one publish: half of them new, half new versions, spread over some months."""
    listed = []
    for n in range(count):
        number = publish * count + n
        minute = (number * 7919) % (MONTHS * 30 * 24 * 60)
        listed.append(row(f"id-{number // 2 * 7919 % ROWS:08}-0000-0000", minute, version=str(number)))
    return rows(listed)


def measured(home: Path, publishes: int) -> Cost:
    """Publish `ROWS` rows in so many publishes, with upkeep after each, and measure what the table costs then."""
    ledger = MemoryLedger()
    lake, publisher = FileLake(home, ledger, SCHEMAS), Publisher(home, ledger, SCHEMAS)
    maintenance = Maintenance(home, ledger, SCHEMAS)

    def publish(number: int, count: int) -> None:
        ledger.land(lake.write(TABLE, f"1-1-{number}", page(number, count)))
        publisher.publish(TABLE)

    for number in range(publishes):
        publish(number, ROWS // publishes)
        maintenance.tend(TABLE)
        clean(home, TABLE, ledger, grace=timedelta(0))
    state = TableStates(home).state(TABLE)
    assert state is not None

    def ask(sql: str) -> None:
        with Queries(home, ledger, SCHEMAS).run(sql) as answer:
            for _ in answer.batches:
                pass

    def load(ids: list[str] | None) -> None:
        FileLake(home, ledger, SCHEMAS).load(TABLE, "s1", since_us=0, until_us=None, ids=ids)

    return Cost(
        count_ms=timed(lambda: ask(f"SELECT count(*) FROM {TABLE}")),
        current_ms=timed(lambda: ask(f"SELECT status, count(*) FROM {TABLE}_current GROUP BY 1")),
        load_ms=timed(lambda: load(None)),
        ids_ms=timed(lambda: load([f"id-{n:08}-0000-0000" for n in range(500)])),
        files=len(state.files),
        manifests=len(list(home.rglob("*.avro"))),
        snapshots=Path(state.location).read_text().count('"manifest-list"'),
        metadata_kb=Path(state.location).stat().st_size / 1000,
        publish_ms=timed(lambda: publish(publishes + ledger.counter(TABLE), 10), rounds=15),
    )


def main() -> int:
    """Print both, and their ratios; 1 where a ratio is above what is promised."""
    found = {}
    for publishes in (FEW, int(sys.argv[1]) if len(sys.argv) > 1 else MANY):
        with tempfile.TemporaryDirectory(prefix="bench-upkeep-") as folder:
            found[publishes] = measured(Path(folder), publishes)
    few, many = found.values()
    print(f"{ROWS:,} rows in {MONTHS} months     " + "".join(f"{f'{n:,} publishes':>18}" for n in found) + "     ratio")
    wrong = 0
    for name in Cost.__dataclass_fields__:
        one, other = getattr(few, name), getattr(many, name)
        promised = name in {"publish_ms", "count_ms", "current_ms"}
        bad = promised and other > 1.5 * one
        wrong |= bad
        print(f"{name:27}{one:18,.1f}{other:18,.1f}{other / one:10.2f}{'  promised: 1.5' if bad else ''}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000} MB")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
