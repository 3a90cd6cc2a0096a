"""What the values of an answer are to Python, which knows fewer of them than SQL: infinity, years before Christ."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

_DAY = 86_400
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_INFINITE = 2**63 - 1
_INFINITE_DAYS = 2**31 - 1
"""How the engine writes `infinity` into an instant and a date."""
_PYTHON_DAYS = (719_162, 2_932_897)
"""From the year 1 to 1970, and from 1970 to the year 10,000."""


def rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Yield the rows of an answer, each by the names of its columns; of a name that SQL gave twice, the last."""
    names = batch.schema.names
    for row in zip(*map(values, batch.columns), strict=True) if names else ():
        yield dict(zip(names, row, strict=True))


def values(column: pa.Array) -> list[Any]:
    """Return the values of a column of an answer as Python knows them, or else in the words of the engine."""
    if pa.types.is_time(column.type):
        # 24:00:00 is a time of SQL and not of Python, which takes it for midnight.
        return [_value(each) for each in column]
    if pa.types.is_decimal(column.type) and column.type.scale == 0:
        # A sum of whole numbers has 38 digits, most of which are rarely needed.
        return [each if each is None else _whole(each) for each in column.to_pylist()]
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        # Years that Python does not know, infinity among them, and nanoseconds.
        return [_value(each) for each in column]


def _whole(value: Decimal) -> int | Decimal:
    """Return a whole number as others read it, too: an integer, if that takes no more than 64 bits."""
    return int(value) if -_INFINITE <= value <= _INFINITE else value


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
    if pa.types.is_union(kind):
        return _value(value.value)
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


def interval(value: pa.MonthDayNano) -> str:
    """Write an interval for people."""
    return f"{value.months} months {value.days} days {value.nanoseconds / 1e9:g} seconds"
