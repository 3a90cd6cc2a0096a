"""How the rows of an answer are written: a table, JSON, CSV, Parquet."""

import csv
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ocelog.cli import show
from ocelog.errors import ConfigError
from ocelog.instants import rfc3339

_SHOWN = 100
_WIDEST = 200
"""Characters of a cell in a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows of an answer, computed while they are read."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]

    def __iter__(self) -> Iterator[list[Any]]:
        for batch in self.batches:
            yield from zip(*map(_values, batch.columns), strict=True) if batch.num_columns else ()


def as_table(rows: Rows, *, counted: bool = True) -> None:
    """Print the first 100 rows side by side, and (where `counted`) say how many there are."""
    names = _names(rows.schema)
    found = iter(rows)
    shown = [dict(zip(names, map(_cell, row), strict=True)) for row in islice(found, _SHOWN)]
    if shown:
        show.table(shown)
    else:
        show.table_head(names)
    total = len(shown) + sum(1 for _ in found)
    more = f", the first {_SHOWN} of them shown; -o ndjson writes all" if total > _SHOWN else ""
    if counted or more:
        show.remark(f"{total:,} {'row' if total == 1 else 'rows'}{more}.")


def as_json(rows: Rows) -> None:
    """Write one JSON list of objects."""
    names, first = _names(rows.schema), True
    sys.stdout.write("[")
    for row in rows:
        sys.stdout.write(("" if first else ",") + "\n" + _json(dict(zip(names, row, strict=True))))
        first = False
    sys.stdout.write("]\n" if first else "\n]\n")


def as_ndjson(rows: Rows) -> None:
    """Write one JSON object a line."""
    names = _names(rows.schema)
    for row in rows:
        sys.stdout.write(_json(dict(zip(names, row, strict=True))) + "\n")


def as_csv(rows: Rows) -> None:
    """Write CSV with a line of names; lists and structs are JSON in their cell."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(rows.schema.names)
    for row in rows:
        writer.writerow([_csv_cell(value) for value in row])


def as_parquet(rows: Rows) -> None:
    """Write a Parquet file to stdout. Raises ConfigError where that is a terminal."""
    if sys.stdout.isatty():
        raise ConfigError(
            "Parquet is no text: write it to a file, such as: ocelog query ... -o parquet > answer.parquet"
        )
    with pq.ParquetWriter(sys.stdout.buffer, rows.schema, compression="zstd") as writer:
        for batch in rows.batches:
            writer.write_batch(batch)


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


def _json(value: object) -> str:
    return json.dumps(_plain(value), ensure_ascii=False)


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
