"""`ocelog shape`: what records in a file become."""

import json
import sys
from codecs import BOM_UTF8
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from ocelog.app.log_types import log_types, short_names
from ocelog.app.shaping import shaped
from ocelog.cli import completion, show
from ocelog.errors import ConfigError
from ocelog.model import Rejection
from ocelog.shorten import shorten
from ocelog.times import rfc3339

_AT_ONCE = 500
_BYTES_AT_ONCE = 16 * 1024 * 1024
"""Records are shaped together until they have so many bytes."""
LONGEST_LINE = 64 * 1024 * 1024
"""Bytes of a record."""


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
        for rows, rejected in shaped(batches(lines, "stdin" if file == "-" else file), wanted, file):
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


def batches(file: BinaryIO, name: str) -> Iterator[list[bytes]]:
    """Yield the lines of `file`, without empty ones, some at a time. Raises ConfigError for one that is too long."""
    found, size, number = list[bytes](), 0, 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise ConfigError(
                f"{name}: line {number} is longer than {LONGEST_LINE // 1024**2} MB. Expected one record per line: of "
                "a file that holds one JSON array, this makes lines: jq -c '.[]' FILE"
            )
        line = (line.removeprefix(BOM_UTF8) if number == 1 else line).strip()
        if not line:
            continue
        found.append(line)
        size += len(line)
        if len(found) >= _AT_ONCE or size >= _BYTES_AT_ONCE:
            yield found
            found, size = [], 0
    if found:
        yield found


def _rejected(each: Rejection) -> dict[str, Any]:
    raw = each.raw.decode("utf-8", "backslashreplace")
    return {
        "rejection": {
            "record_id": each.record_id,
            "path": each.path,
            "expected": each.expected,
            "found": each.found,
            "raw": shorten(raw, 2000),
        }
    }


def _plain(value: object) -> str:
    return rfc3339(value) if isinstance(value, datetime) else str(value)
