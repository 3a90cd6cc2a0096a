"""`ocelog shape`: what records in a file become."""

import json
import sys
import time
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import islice, repeat
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from ocelog.app.log_types import log_types
from ocelog.cli import show
from ocelog.errors import ConfigError
from ocelog.model import Origin, Stamp
from ocelog.pull.ports import Shaped
from ocelog.pull.versions import row_names
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.schema.shape import compile_shaper
from ocelog.sources.wiz.streams import KINDS
from ocelog.times import rfc3339

_AT_ONCE = 500
_LONGEST_LINE = 256 * 1024 * 1024


def command(
    file: Annotated[str, typer.Argument(metavar="FILE.jsonl", help="One record a line; - is stdin.")],
    *,
    log_type: Annotated[str, typer.Option("--log-type", help="What the records are: audit, issues or findings.")],
) -> None:
    """Show the events and rejections that records in a file become: one JSON object a line, nothing is saved."""
    wanted = log_types([log_type])[0]
    shaper = compile_shaper(packaged_schemas()[wanted], KINDS[wanted])
    counted = Counter[str]()
    with _opened(file) as lines:
        while records := [line.strip() for line in islice(_lines(lines), _AT_ONCE)]:
            shaped = shaper.shape(records)
            counted.update(events=len(shaped.ids), rejections=len(shaped.rejections))
            for found in _found(shaped, wanted, file):
                typer.echo(json.dumps(found, ensure_ascii=False, default=_plain))
    show.remark(f"{counted['events']:,} events, {counted['rejections']:,} rejections.")


def _opened(file: str) -> BinaryIO:
    if file == "-":
        return sys.stdin.buffer
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from error


def _lines(file: BinaryIO) -> Iterator[bytes]:
    at_start = True
    while line := file.readline(_LONGEST_LINE):
        if at_start:
            line, at_start = line.removeprefix(BOM_UTF8), False
        if line.strip():
            yield line


def _found(shaped: Shaped, log_type: str, file: str) -> Iterator[dict[str, Any]]:
    now_us = time.time_ns() // 1000
    stamp = Stamp(source_id="file", source_label=file, origin=Origin.BACKFILL, observed_us=now_us, parsed_us=now_us)
    names = list(map(row_names("file", log_type), shaped.ids, shaped.versions, repeat(0)))
    for row in shaped.table(range(len(names)), names, stamp).to_pylist():
        yield {"event": row}
    for each in shaped.rejections:
        raw = each.raw.decode("utf-8", "backslashreplace")
        yield {
            "rejection": {
                "record_id": each.record_id,
                "path": each.path,
                "expected": each.expected,
                "found": each.found,
                "raw": raw if len(raw) <= 2000 else raw[:2000] + "...",
            }
        }


def _plain(value: object) -> str:
    return rfc3339(value) if isinstance(value, datetime) else str(value)
