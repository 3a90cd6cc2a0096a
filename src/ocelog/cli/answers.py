"""How the rows of an answer are written: a table, JSON, CSV, Parquet."""

import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ocelog.cli import show
from ocelog.errors import ConfigError, QueryError
from ocelog.instants import rfc3339
from ocelog.lake.query import Answer

_SHOWN = 100
_WIDEST = 200
"""Characters of a cell in a table."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What makes a spreadsheet take a cell for a formula."""
_TO_QUOTE = re.compile(r'[,"\r\n]')


def as_table(answer: Answer, *, counted: bool = True) -> None:
    """Print the first 100 rows side by side, and (where `counted`) say how many there are."""
    names = _names(answer.schema)
    found = list(islice(_rows(answer), _SHOWN + 1))
    shown = [dict(zip(names, map(_cell, row), strict=True)) for row in found[:_SHOWN]]
    if shown:
        show.table(shown, whole_lines=True)
    else:
        show.table_head(names)
    if len(found) > _SHOWN:
        show.remark(f"{_counted(answer)}, the first {_SHOWN} of them shown; -o ndjson writes all.")
    elif counted:
        show.remark(f"{len(found)} {'row' if len(found) == 1 else 'rows'}.")


def _counted(answer: Answer) -> str:
    try:
        return f"{answer.count():,} rows"
    except QueryError:
        return f"More than {_SHOWN} rows (counting them takes too long)"


def as_json(answer: Answer) -> None:
    """Write one JSON list of objects."""
    names, first = _names(answer.schema), True
    sys.stdout.write("[")
    for row in _rows(answer):
        sys.stdout.write(("" if first else ",") + "\n" + _json_line(dict(zip(names, row, strict=True))))
        first = False
    sys.stdout.write("]\n" if first else "\n]\n")


def as_ndjson(answer: Answer) -> None:
    """Write one JSON object a line."""
    names = _names(answer.schema)
    for row in _rows(answer):
        sys.stdout.write(_json_line(dict(zip(names, row, strict=True))) + "\n")


def as_csv(answer: Answer, *, safe: bool = False) -> None:
    """Write CSV with a line of names; lists and structs are JSON in their cell.

    With `safe`, text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    terminal = sys.stdout.isatty()

    def written(value: object) -> object:
        if not isinstance(value, str):
            return value
        text = f"'{value}" if safe and value.startswith(_FORMULA) else value
        return show.harmless(text) if terminal else text

    sys.stdout.write(_csv_line(list(map(written, answer.schema.names))))
    for row in _rows(answer):
        sys.stdout.write(_csv_line([written(_csv_cell(value)) for value in row]))


def _csv_line(cells: Sequence[object]) -> str:
    # Python's writer, told to end lines with \n, leaves a \r bare, which others take for a line end.
    texts = ["" if cell is None else str(cell) for cell in cells]
    quoted = [f'"{text.replace(chr(34), chr(34) * 2)}"' if _TO_QUOTE.search(text) else text for text in texts]
    return ('""' if quoted == [""] else ",".join(quoted)) + "\n"


def as_parquet(answer: Answer) -> None:
    """Write a Parquet file to stdout. Raises ConfigError where that is a terminal."""
    if sys.stdout.isatty():
        raise ConfigError(
            "Parquet is no text: write it to a file, such as: ocelog query ... -o parquet > answer.parquet"
        )
    with pq.ParquetWriter(sys.stdout.buffer, answer.schema, compression="zstd") as writer:
        for batch in answer.batches:
            writer.write_batch(batch)


def _rows(answer: Answer) -> Iterator[list[Any]]:
    for batch in answer.batches:
        yield from zip(*map(_values, batch.columns), strict=True) if batch.num_columns else ()


def _names(schema: pa.Schema) -> list[str]:
    """Return the columns' names, made different where SQL gave one twice."""
    found = list[str]()
    for name in schema.names:
        count = 1
        fresh = name
        while fresh in found:
            count += 1
            fresh = f"{name}_{count}"
        found.append(fresh)
    return found


def _values(column: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        # Years that Python does not know, infinity among them.
        return list(column.cast(pa.string()).to_pylist())


def _json_line(value: object) -> str:
    text = json.dumps(_plain(value), ensure_ascii=False)
    return show.harmless_json(text) if sys.stdout.isatty() else text


def _plain(value: object) -> object:
    """Return `value` as JSON knows it: it has no NaN, no instants and no bytes."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case pa.MonthDayNano(months=months, days=days, nanoseconds=nanoseconds):
            return f"{months} months {days} days {nanoseconds / 1e9:g} seconds"
        case dict():
            return {str(name): _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return _text(value)


def _text(value: object) -> str:
    match value:
        case datetime():
            return rfc3339(value) if value.tzinfo is not None else value.isoformat()
        case bytes():
            return value.hex()
        case _:
            return str(value)


def _cell(value: object) -> object:
    plain = _plain(value)
    if isinstance(plain, bool | int | float) or plain is None:
        return plain
    text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _csv_cell(value: object) -> object:
    plain = _plain(value)
    return json.dumps(plain, ensure_ascii=False) if isinstance(plain, dict | list) else plain
