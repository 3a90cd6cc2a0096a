"""How the rows of an answer are written: a table, JSON, CSV, Parquet."""

import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

import pyarrow as pa

from ocelog.app.queries import Answer
from ocelog.cli import show
from ocelog.cli.pager import paging
from ocelog.errors import ConfigError, QueryError
from ocelog.times import rfc3339

_SHOWN = 100
_TELLING = ("p_event_time", "p_any_usernames", "severity", "status", "action")
"""What of a whole record is shown first if not all of it fits: when, who, how bad."""
_WIDEST = 200
"""Characters of a cell in a table."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What makes a spreadsheet take a cell for a formula."""
_DAY = 86_400
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_INFINITE = 2**63 - 1
_INFINITE_DAYS = 2**31 - 1
"""How the engine writes `infinity` into an instant and a date."""
_PYTHON_DAYS = (719_162, 2_932_897)
"""From the year 1 to 1970, and from 1970 to the year 10,000."""
_TO_QUOTE = re.compile(r'[,"\r\n]')


def as_table(answer: Answer, *, counted: bool = True, paged: bool = False, chosen_by: str = "-o") -> None:
    """Print the first 100 rows side by side, and (if `counted`) say how many there are.

    On a terminal only the columns that fit are shown, and the others are named; a single row that does not fit is
    written as lines. If `paged`, what is longer than the screen goes through a pager. `chosen_by` is what another form
    is chosen by.
    """
    names = _names(answer.schema)
    found = list(islice(_rows(answer), _SHOWN + 1))
    with paging(wanted=paged) as write:
        # Nobody has chosen the columns of SELECT *.
        first = _TELLING if "p_row_id" in names else ()
        hidden = show.fitting_table(names, [list(map(_cell, row)) for row in found[:_SHOWN]], write, first=first)
        if hidden and len(found) == 1:
            _write_lines(names, found[0], write)
    if hidden and len(found) > 1:
        columns = "1 column does" if len(hidden) == 1 else f"{len(hidden)} columns do"
        show.remark(f"{columns} not fit: {', '.join(hidden)}. {chosen_by} line shows every field, one per line.")
    if len(found) > _SHOWN:
        show.remark(f"{_counted(answer)}, the first {_SHOWN} of them shown; {chosen_by} ndjson writes all.")
    elif counted:
        show.remark(f"{len(found)} {'row' if len(found) == 1 else 'rows'}.")


def _counted(answer: Answer) -> str:
    try:
        return f"{answer.count():,} rows"
    except QueryError:
        return f"More than {_SHOWN} rows (counting them takes too long)"


def as_lines(answer: Answer, *, paged: bool = False) -> None:
    """Write each field of each row on a line of its own; if `paged`, more than the screen holds through a pager."""
    names = _names(answer.schema)
    with paging(wanted=paged) as write:
        for at, row in enumerate(_rows(answer)):
            if at:
                write("\n")
            _write_lines(names, row, write)


def _write_lines(names: Sequence[str], row: Sequence[object], write: Callable[[str], object]) -> None:
    for line in show.named_lines(names, map(_whole_cell, row)):
        write(f"{line}\n")


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
        # A number may begin with a minus, and is no formula.
        cells = [str(each) if isinstance(each, Decimal) else written(_csv_cell(each)) for each in row]
        sys.stdout.write(_csv_line(cells))


def _csv_line(cells: Sequence[object]) -> str:
    # Python's writer, told to end lines with \n, leaves a \r bare, which others take for a line end.
    texts = ["" if cell is None else str(cell) for cell in cells]
    quoted = [f'"{text.replace(chr(34), chr(34) * 2)}"' if _TO_QUOTE.search(text) else text for text in texts]
    return ('""' if quoted == [""] else ",".join(quoted)) + "\n"


def as_parquet(answer: Answer) -> None:
    """Write a Parquet file to stdout. Raises ConfigError if that is a terminal."""
    if sys.stdout.isatty():
        raise ConfigError(
            "Parquet is not text: write it to a file, such as: ocelog query ... -o parquet > answer.parquet"
        )
    import pyarrow.parquet as pq  # noqa: PLC0415 - takes 10 ms, which every other form saves

    with pq.ParquetWriter(sys.stdout.buffer, answer.schema, compression="zstd") as writer:
        for batch in answer.batches:
            writer.write_batch(batch)


def _rows(answer: Answer) -> Iterator[list[Any]]:
    for batch in answer.batches:
        yield from zip(*map(_values, batch.columns), strict=True) if batch.num_columns else ()


def _names(schema: pa.Schema) -> list[str]:
    """Return the columns' names, made different if SQL gave one twice."""
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
    if pa.types.is_time(column.type):
        # 24:00:00 is a time of SQL and not of Python, which takes it for midnight.
        return [_value(each) for each in column]
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        # Years that Python does not know, infinity among them, and nanoseconds.
        return [_value(each) for each in column]


def _value(value: pa.Scalar) -> Any:
    """Return a value as Python knows it, or else in the words of the engine."""
    if not value.is_valid:
        return None
    kind = value.type
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind):
        return [_value(each) for each in value.values]
    if pa.types.is_map(kind):
        return [(_value(each["key"]), _value(each["value"])) for each in value.values]
    if pa.types.is_struct(kind):
        return {name: _value(each) for name, each in value.items()}
    if pa.types.is_time(kind) and value.value == _DAY * _PER_SECOND[kind.unit]:
        return "24:00:00"
    if pa.types.is_timestamp(kind):
        if abs(value.value) == _INFINITE:
            return "infinity" if value.value > 0 else "-infinity"
        seconds, rest = divmod(value.value, _PER_SECOND[kind.unit])
        days, seconds = divmod(seconds, _DAY)
        micros = rest * 1_000_000 // _PER_SECOND[kind.unit]
        if -_PYTHON_DAYS[0] <= days < _PYTHON_DAYS[1]:
            return datetime(1970, 1, 1, tzinfo=UTC if kind.tz else None) + timedelta(days, seconds, micros)
        clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        fraction = f".{micros:06d}".rstrip("0") if micros else ""
        return f"{_day(days)} {clock}{fraction}{'+00' if kind.tz else ''}"
    if pa.types.is_date(kind):
        days = value.value if pa.types.is_date32(kind) else value.value // (_DAY * 1000)
        if abs(days) == _INFINITE_DAYS:
            return "infinity" if days > 0 else "-infinity"
        return value.as_py() if -_PYTHON_DAYS[0] <= days < _PYTHON_DAYS[1] else _day(days)
    return value.as_py()


def _day(days: int) -> str:
    """Write a day since 1970 whose year Python does not know, as the engine does."""
    # The calendar repeats every 400 years, which are 146,097 days.
    cycles, rest = divmod(days + _PYTHON_DAYS[0], 146_097)
    found = date.fromordinal(rest + 1)
    year = found.year + 400 * cycles
    shown = f"{year:04d}" if year > 0 else f"{1 - year:04d}"
    return f"{shown}-{found.month:02d}-{found.day:02d}{'' if year > 0 else ' (BC)'}"


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
    if isinstance(value, datetime):
        value = value.replace(microsecond=0)
    found = _whole_cell(value)
    return f"{found[: _WIDEST - 1]}…" if isinstance(found, str) and len(found) > _WIDEST else found


def _whole_cell(value: object) -> object:
    plain = _plain(value)
    if isinstance(plain, bool | int | float | str) or plain is None:
        return plain
    return json.dumps(plain, ensure_ascii=False)


def _csv_cell(value: object) -> object:
    plain = _plain(value)
    if isinstance(plain, bool):
        return str(plain).lower()
    return json.dumps(plain, ensure_ascii=False) if isinstance(plain, dict | list) else plain
