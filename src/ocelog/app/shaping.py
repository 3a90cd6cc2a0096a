"""What records become: events as rows of their table, and rejections."""

import time
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import repeat
from typing import Any

from ocelog.app.log_types import kinds
from ocelog.model import Origin, Rejection, Stamp
from ocelog.pull.ports import Shaper
from ocelog.pull.versions import row_names
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.schema.shape import compile_shaper


@cache
def shaper_of(log_type: str) -> Shaper:
    """Return what shapes the records of a log type: compiled once, and used by any thread."""
    return compile_shaper(packaged_schemas()[log_type], kinds()[log_type])


def shaped(
    batches: Iterator[list[bytes]], log_type: str, label: str
) -> Iterator[tuple[list[dict[str, Any]], Sequence[Rejection]]]:
    """Shape JSON records batch by batch; yield the rows and the rejections of each. Nothing is saved."""
    shaper = shaper_of(log_type)
    names = row_names("file", log_type)
    for records in batches:
        found = shaper.shape(records)
        now_us = time.time_ns() // 1000
        stamp = Stamp(
            source_id="file", source_label=label, origin=Origin.BACKFILL, observed_us=now_us, parsed_us=now_us
        )
        row_ids = list(map(names, found.ids, found.versions, repeat(0)))
        yield found.table(range(len(row_ids)), row_ids, stamp).to_pylist(), found.rejections
