"""How the rows of an answer are written: a table, JSON, CSV, Parquet."""

import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any

import pyarrow as pa

from ocelog.app.search.answer_values import interval, values
from ocelog.app.search.queries import Answer
from ocelog.cli import show
from ocelog.cli.pager import paging
from ocelog.errors import ConfigError, QueryError
from ocelog.shorten import shorten
from ocelog.times import rfc3339

SHOWN = 100
"""Rows of a table."""
_TELLING = ("p_any_usernames", "severity", "status", "action")
"""What of a whole record is shown if not all of it fits, after when it was and what sums it up: who, how bad."""
_WIDEST = 200
"""Characters of a cell in a table."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What makes a spreadsheet take a cell for a formula."""
_TO_QUOTE = re.compile(r'[,"\r\n]')


def as_table(answer: Answer, *, counted: bool = True, paged: bool = False, chosen_by: str = "-o") -> None:
    """Print the first 100 rows side by side, and (if `counted`) say how many there are.

    On a terminal only the columns that fit are shown, and the others are named; a single row that does not fit is
    written as lines. If `paged`, what is longer than the screen goes through a pager. `chosen_by` is what another form
    is chosen by.
    """
    names = _names(answer.schema)
    found = list(islice(_rows(answer), SHOWN + 1))
    with paging(wanted=paged) as write:
        # Nobody has chosen the columns of SELECT *.
        is_record = "p_row_id" in names
        summary = _summary(names, found[:SHOWN]) if is_record and sys.stdout.isatty() else {}
        fitted = show.fitting_table(
            names,
            [list(map(_cell, row)) for row in found[:SHOWN]],
            write,
            first=tuple(dict.fromkeys(("p_event_time", *summary, *_TELLING))) if is_record else (),
            added={name: values for name, values in summary.items() if name not in names},
        )
        hidden = fitted.hidden
        if hidden and len(found) == 1:
            _write_lines(names, found[0], write)
    if hidden and len(found) > 1:
        columns = "1 column does" if len(hidden) == 1 else f"{len(hidden)} columns do"
        show.remark(f"{columns} not fit: {', '.join(hidden)}. {chosen_by} line shows every field, one per line.")
    elif fitted.cut and not hidden:
        show.remark(f"What ends in … is cut: {chosen_by} line shows every field whole.")
    if len(found) > SHOWN:
        show.remark(f"{_counted(answer)}, the first {SHOWN} of them shown; {chosen_by} ndjson writes all.")
    elif counted:
        show.remark(f"{len(found)} {'row' if len(found) == 1 else 'rows'}.")


def _summary(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, list[str | None]]:
    """Return what sums up these records, if all are of one log type."""
    # It reads log schemas, which no other form of an answer needs.
    from ocelog.app.search.summaries import summary_columns  # noqa: PLC0415 - see above

    events = [dict(zip(names, row, strict=True)) for row in rows]
    log_types = {event.get("p_log_type") for event in events}
    log_type = log_types.pop() if len(log_types) == 1 else None
    return {} if log_type is None else summary_columns(str(log_type), events)


def _counted(answer: Answer) -> str:
    try:
        return f"{answer.count():,} rows"
    except QueryError:
        return f"More than {SHOWN} rows (counting them takes too long)"


def as_lines(answer: Answer, *, paged: bool = False) -> None:
    """Write each field of each row on a line of its own; if `paged`, more than the screen holds through a pager."""
    names = _names(answer.schema)
    with paging(wanted=paged) as write:
        for at, row in enumerate(_rows(answer)):
            if at:
                write("\n")
            _write_lines(names, row, write)


def _write_lines(names: Sequence[str], row: Sequence[object], write: Callable[[str], object]) -> None:
    # Instants are as a table has them; all digits are in the forms for programs.
    for line in show.named_lines(names, map(_whole_cell, map(_to_the_second, row))):
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
        yield from zip(*map(values, batch.columns), strict=True) if batch.num_columns else ()


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
        case pa.MonthDayNano():
            return interval(value)
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
    if isinstance(value, Decimal):
        return value
    found = _whole_cell(_to_the_second(value))
    return shorten(found, _WIDEST) if isinstance(found, str) else found


def _to_the_second(value: object) -> object:
    return value.replace(microsecond=0) if isinstance(value, datetime) else value


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
