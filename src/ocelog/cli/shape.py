"""`ocelog shape`: what records in a file become."""

import json
import sys
from codecs import BOM_UTF8
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from ocelog.app.log_types import log_types, short_names
from ocelog.app.shaping import shaped
from ocelog.cli import completion, show
from ocelog.errors import ConfigError
from ocelog.model import Rejection
from ocelog.times import rfc3339

_AT_ONCE = 500
_LONGEST_LINE = 256 * 1024 * 1024


def command(
    file: Annotated[str, typer.Argument(metavar="FILE.jsonl", help="One record per line; - is stdin.")],
    *,
    log_type: Annotated[
        str,
        typer.Option(
            "--log-type",
            metavar="|".join(short_names()),
            help="What the records are.",
            autocompletion=completion.log_types,
        ),
    ],
) -> None:
    """Show the events and rejections that records in a file become: one JSON object a line, nothing is saved."""
    wanted = log_types([log_type])[0]
    events = rejections = 0
    with _opened(file) as lines:
        for rows, rejected in shaped(_batches(lines), wanted, file):
            events, rejections = events + len(rows), rejections + len(rejected)
            for found in (*({"event": row} for row in rows), *map(_rejected, rejected)):
                typer.echo(json.dumps(found, ensure_ascii=False, default=_plain))
    show.remark(f"{events:,} events, {rejections:,} rejections.")


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


def _batches(lines: BinaryIO) -> Iterator[list[bytes]]:
    kept = (line.strip() for line in _lines(lines))
    while records := list(islice(kept, _AT_ONCE)):
        yield records


def _rejected(each: Rejection) -> dict[str, Any]:
    raw = each.raw.decode("utf-8", "backslashreplace")
    return {
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
