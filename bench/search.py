"""How long the searches of the console take beside millions of rows: `bench/search.py [ROWS]`; findings, 2 million."""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from ocelog.app.log_types import table_schemas
from ocelog.app.search import search, sql_search
from ocelog.app.search.search import Condition, Operator, Search
from ocelog.installation.making import make
from ocelog.installation.opening import Installation, opened
from ocelog.lake.lake import FileLake
from ocelog.lake.write.publish import Publisher
from ocelog.ledger.rows import counters, landing
from ocelog.model import Origin, Stamp, table_name
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.schema.shape import compile_shaper
from ocelog.sources.wiz.streams import KINDS
from pages import pages_of

LOG_TYPE = "Wiz.VulnerabilityFinding"
PART = 200_000
ROUNDS = 5
_COUNT = "SELECT severity, count(*) FROM wiz_vulnerability_finding GROUP BY 1"
UNTIL = datetime(2026, 11, 27, tzinfo=UTC)


def fill(installation: Installation, rows: int) -> None:
    """Land and publish findings over 60 days, of which each part has a share of every hour."""
    schema = packaged_schemas()[LOG_TYPE]
    stamp = Stamp(source_id="5f3c1d2e9a8b7c6d", source_label="Wiz", origin=Origin.BACKFILL, observed_us=1, parsed_us=2)
    shaper, ids = compile_shaper(schema, KINDS[LOG_TYPE]), [f"{at:032x}" for at in range(500)]
    short = KINDS[LOG_TYPE].short
    pages = [shaper.shape(page).table(range(500), ids, stamp) for page in pages_of(short, pages=20)]
    few = pa.concat_tables(pages)
    table, schemas, ledger = table_name(LOG_TYPE), table_schemas(), installation.ledger.lake
    lake, publisher = (
        FileLake(installation.home.path, ledger, schemas),
        Publisher(installation.home.path, ledger, schemas),
    )
    step = timedelta(days=60) / rows
    for begin in range(0, rows, PART):
        part = pa.concat_tables([few] * -(-PART // few.num_rows)).slice(0, PART).combine_chunks()
        times = pa.array([UNTIL - step * at for at in range(begin, begin + PART)], pa.timestamp("us", "UTC"))
        names = pa.array([f"{at * 2654435761 % 2**128:032x}" for at in range(begin, begin + PART)])
        made = {"p_event_time": times, "p_version_time": times, "p_cursor_time": times, "p_row_id": names, "id": names}
        for name, values in made.items():
            at = part.schema.get_field_index(name)
            part = part.set_column(at, part.schema.field(at), values)
        landed = lake.write(table, f"1-1-{begin}", part)
        with ledger._database.write() as tx:  # noqa: SLF001 - as a pull lands
            landing.add_part(tx, landed, "s1", counters.hold(tx, table).last + 1, 0)
        publisher.publish(table)


def main() -> None:
    """Print how long each kind of search takes: the median and the longest of some rounds."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        make(home, ledger_url=None)
        with opened(home) as installation:
            fill(installation, rows)
            measure(installation, rows)


def measure(installation: Installation, rows: int) -> None:
    """Ask each kind of search some times."""

    def wanted(days: int, **more: object) -> Search:
        return Search(since=UNTIL - timedelta(days=days), until=UNTIL, log_type=LOG_TYPE, **more)  # type: ignore[arg-type]

    columns = KINDS[LOG_TYPE].columns
    day, whole = wanted(1), wanted(61)
    page = search.find(installation, whole, columns)
    some = page.rows[0]
    severe = [Condition(field="severity", operator=Operator.IS, value="CRITICAL")]
    kinds: dict[str, Callable[[], object]] = {
        "newest page, 1 day": lambda: search.find(installation, day, columns),
        "newest page, 60 days": lambda: search.find(installation, whole, columns),
        "page after, 60 days": lambda: search.find(installation, whole, columns, after=page.further),
        "by a field, 60 days": lambda: search.find(installation, wanted(61, conditions=severe), columns),
        "histogram, 60 days": lambda: search.histogram(installation, whole),
        "top values, 60 days": lambda: search.top_values(installation, whole, "severity"),
        "indicator, 60 days": lambda: search.find(installation, wanted(61, indicator="10.0.0.1"), columns),
        "one event": lambda: search.event(installation, LOG_TYPE, some["p_row_id"]),
        "SQL count": lambda: sql_search.find(installation, _COUNT),
        "text, 1 day": lambda: search.find(installation, wanted(1, text="no such text"), columns),
        "text, 7 days": lambda: search.find(installation, wanted(7, text="no such text"), columns),
        "text, 60 days": lambda: search.find(installation, wanted(61, text="no such text"), columns),
    }
    print(f"{rows:,} rows")
    for name, work in kinds.items():
        took = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            work()
            took.append(time.perf_counter() - began)
        print(f"{name:24} {statistics.median(took):6.2f} s, longest {max(took):.2f}", flush=True)


if __name__ == "__main__":
    main()
