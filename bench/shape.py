"""How fast pages become durable parts: ours, beside the least that it can cost, and beside the usual way."""

import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from floor import typed_decoder
from ocelog.lake.write.parts import write_part
from ocelog.model import Origin, Stamp, table_name
from ocelog.pull.versions import History
from ocelog.schema.language.fields import LogSchema
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.schema.shape import compile_shaper
from ocelog.sources.wiz.streams import KINDS, SHORT_NAMES
from pages import pages_of
from usual import UsualWay

PAGES = 12
ROUNDS = 5
STAMP = Stamp(
    source_id="5f3c1d2e9a8b7c6d",
    source_label="Wiz",
    origin=Origin.BACKFILL,
    observed_us=1_780_000_000_000_000,
    parsed_us=1_780_000_000_000_001,
)
CLOCK = time.perf_counter if "--wall" in sys.argv else time.process_time
"""Of one core: while a page waits for the disk, a pull shapes others. `--wall` counts that wait too."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Records a second, medians."""

    floor: float
    ours: float
    usual: float

    def __str__(self) -> str:
        """Write them side by side, and as ratios."""
        ratios = f"{self.ours / self.floor:12.0%}{self.ours / self.usual:12.1f}"
        return f"{self.floor:12,.0f}{self.ours:12,.0f}{self.usual:12,.0f}{ratios}"


class Bench:
    """One log type's pages, and the three ways to land them."""

    def __init__(self, short: str, folder: Path) -> None:
        self.schema: LogSchema = packaged_schemas()[SHORT_NAMES[short]]
        self.kind = KINDS[self.schema.log_type]
        self.pages: Sequence[bytes] = pages_of(short, pages=PAGES)
        self.folder = folder
        self._files = count()
        self._decode = typed_decoder(self.schema.fields)
        self._usual = UsualWay(self.schema, self.kind, STAMP)
        self.tables = self._shaped_tables()

    def _shaped_tables(self) -> list[pa.Table]:
        shaper = compile_shaper(self.schema, self.kind)
        every = list(range(500))
        return [shaper.shape(page).table(every, [f"{at:032x}" for at in every], STAMP) for page in self.pages]

    def floor(self) -> None:
        """Decode each page, and write the rows that ours makes of it; nothing between the two."""
        for page, table in zip(self.pages, self.tables, strict=True):
            self._decode(page)
            pq.write_table(table, self.folder / "floor.parquet", compression="zstd", compression_level=1)

    def ours(self) -> None:
        """Decode, hash, look for repeats, make rows, write the part, sync file and directory; nothing is remembered."""
        shaper = compile_shaper(self.schema, self.kind)
        history = History(source_id=STAMP.source_id, log_type=self.schema.log_type)
        for page in self.pages:
            shaped = shaper.shape(page)
            placed = history.place(shaped, STAMP.observed_us)
            rows = shaped.table(placed.keep, placed.row_ids, STAMP)
            write_part(self.folder, table_name(self.schema.log_type), f"1-1-{next(self._files)}", rows)
            history.commit(placed)

    def usual(self) -> None:
        """Do the same in the usual way, on some of the pages: its files are synced too."""
        for page in self.pages[: PAGES // 4]:
            rows = self._usual.rows(page)
            file = self.folder / f"usual-{next(self._files)}.parquet"
            pq.write_table(rows, file, compression="zstd", compression_level=1)
            for path in (file, self.folder):
                _sync(path)

    def measure(self) -> Figures:
        """Run the three in turn, so that what else the machine does hits all of them."""
        records = PAGES * 500
        floor, ours, usual = ([], [], [])  # type: tuple[list[float], list[float], list[float]]
        for _ in range(ROUNDS):
            floor.append(records / _seconds(self.floor))
            ours.append(records / _seconds(self.ours))
            usual.append(records / 4 / _seconds(self.usual))
        return Figures(floor=_median(floor), ours=_median(ours), usual=_median(usual))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def _seconds(work: Callable[[], Any]) -> float:
    gc.collect()
    began = CLOCK()
    work()
    return CLOCK() - began


def _median(figures: list[float]) -> float:
    return statistics.median(figures)


def main() -> None:
    """Print a line a log type."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    print(f"{'records/s':10}{'floor':>12}{'ours':>12}{'usual':>12}{'of floor':>12}{'x usual':>12}")
    with tempfile.TemporaryDirectory() as folder:
        for short in ("audit", "issues", "findings"):
            print(f"{short:10}{Bench(short, Path(folder)).measure()}")


if __name__ == "__main__":
    main()
