"""How rows look as the records that the source sent: what rules read."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec
import pyarrow as pa

from ocelog.schema.columns.refill import EXTRA, Path, extra_path, extra_texts
from ocelog.schema.decode.mismatch import BROKEN
from ocelog.schema.language.fields import Array, Json, LogSchema, Object, Text, Timestamp, Type

_MISSING: Any = object()
_BOOLEANS: Mapping[Any, Any] = {"true": True, "false": False}
_DECODE = msgspec.json.Decoder().decode


class SentRows:
    """Rows of one log type, column by column; a column becomes Python values when it is first asked for.

    Field names, nesting and free JSON are those of the record; instants are texts such as 2026-03-25T05:46:26.681576Z;
    what `p_extra` keeps is back in its place. The p_ columns follow. A field that the record lacked is null: a row does
    not know the difference. So is what was too deep or too large to keep.
    """

    def __init__(self, schema: LogSchema, rows: pa.RecordBatch | pa.Table) -> None:
        self._rows = rows
        self._types = {field.name: field.type for field in schema.fields}
        self._columns = dict[str, list[Any]]()
        self._read = _Reader()
        self._extra = self._extras()
        present = [name for name in rows.schema.names if name != EXTRA]
        self.names: tuple[str, ...] = (*present, *(name for name in self._extra if name not in present))
        """Every column, and each field without one that some row has."""
        self._known = frozenset(self.names)
        self._sparse = self._known.difference(present)

    def __len__(self) -> int:
        return int(self._rows.num_rows)

    def __iter__(self) -> "Iterator[SentRow]":
        return (SentRow(self, at) for at in range(len(self)))

    def row(self, at: int) -> "SentRow":
        """Return one row."""
        return SentRow(self, at)

    def dicts(self) -> list[dict[str, Any]]:
        """Return all rows as dictionaries of their own."""
        names = self.names
        rows = [dict(zip(names, row, strict=True)) for row in zip(*map(self.column, names), strict=True)]
        if self._sparse:
            return [{name: value for name, value in row.items() if value is not _MISSING} for row in rows]
        return rows

    def column(self, name: str) -> list[Any]:
        """Return the values of a column, in the order of the rows. Raises KeyError."""
        found = self._columns.get(name)
        if found is None:
            found = self._columns[name] = self._load(name)
        return found

    def _load(self, name: str) -> list[Any]:
        if name not in self._known:
            raise KeyError(name)
        if name in self._sparse:
            values = [_MISSING] * len(self)
        else:
            column = self._rows.column(name)
            values = self._read.values(self._types.get(name), _whole(column))
        for at, path, raw in self._extra.get(name, ()):
            _put(values, (at, *path), raw)
        return values

    def _extras(self) -> dict[str, list[tuple[int, Path, bytes]]]:
        """Return what p_extra keeps, by the name of the top-level field: row, path below that field, JSON."""
        found = dict[str, list[tuple[int, Path, bytes]]]()
        if EXTRA not in self._rows.schema.names:
            return found
        column = self._rows.column(EXTRA)
        if column.null_count == len(column):
            return found
        for at, text in enumerate(column.to_pylist()):
            for key, raw in extra_texts(text).items() if text is not None else ():
                path = extra_path(key)
                if path is not None and isinstance(path[0], str):
                    found.setdefault(path[0], []).append((at, path[1:], bytes(raw)))
        return found


class SentRow(Mapping[str, Any]):
    """One row as the record that the source sent."""

    __slots__ = ("_at", "_rows")

    def __init__(self, rows: SentRows, at: int) -> None:
        self._rows = rows
        self._at = at

    def __getitem__(self, name: str) -> Any:
        value = self._rows.column(name)[self._at]
        if value is _MISSING:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._rows.names if self._rows.column(name)[self._at] is not _MISSING)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def plain_rows(rows: pa.RecordBatch | pa.Table) -> list[dict[str, Any]]:
    """Return rows of no log type as dictionaries; instants are texts, as in those of a log type."""
    names = rows.schema.names
    read = _Reader()
    columns = [read.values(None, _whole(rows.column(at))) for at in range(len(names))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _put(values: list[Any], path: tuple[int | str, ...], raw: bytes) -> None:
    """Put the JSON `raw` at `path` into `values`, if what holds it is there and its place is free."""
    try:
        value = _DECODE(raw)
    except BROKEN:
        return
    holder: Any = values
    *above, last = path
    for step in above:
        try:
            holder = holder[step]
        except (LookupError, TypeError):
            return
    if isinstance(holder, dict):
        free = holder.get(last) is None
    else:
        free = isinstance(last, int) and isinstance(holder, list) and holder[last : last + 1] in ([None], [_MISSING])
    if free:
        holder[last] = value


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


class _Reader:
    """Reads columns as Python's values. Each instant is written once: the same stands in several columns of a row."""

    def __init__(self) -> None:
        self._written = dict[pa.DataType, dict[int | None, str | None]]()

    def values(self, type_: Type | None, column: pa.Array) -> list[Any]:  # one answer for each kind of field
        """Return a column as Python values; `type_` None: it is one of the p_ columns."""
        match type_:
            case Text(sent_as_boolean=True):
                return [_BOOLEANS.get(value, value) for value in column.to_pylist()]
            case Json():
                return [None if text is None else _DECODE(text) for text in column.to_pylist()]
            case Array(element=element):
                items = iter(self.values(element, column.flatten()))
                # Of a null list there is nothing below.
                return [
                    None if size is None else list(islice(items, size)) for size in column.value_lengths().to_pylist()
                ]
            case Object(fields=fields):
                names = [field.name for field in column.type]
                types = {field.name: field.type for field in fields}
                inner = zip(names, column.flatten(), strict=True)
                below = [self.values(types.get(name), values) for name, values in inner]
                rows = [dict(zip(names, values, strict=True)) for values in zip(*below, strict=True)]
                if column.null_count:
                    there = column.is_valid().to_pylist()
                    return [row if known else None for row, known in zip(rows, there, strict=True)]
                return rows
            case Timestamp() | None if pa.types.is_timestamp(column.type):
                return self._instants(column)
            case _:
                return list(column.to_pylist())

    def _instants(self, column: pa.Array) -> list[str | None]:
        written = self._written.setdefault(column.type, {None: None})
        numbers = column.cast(pa.int64()).to_pylist()
        if new := set(numbers).difference(written):
            listed = pa.array(new, pa.int64())
            texts = listed.cast(column.type).cast(pa.string()).to_pylist()
            written.update(zip(listed.to_pylist(), map(_canonical, texts), strict=True))
        return [written[number] for number in numbers]


def _canonical(text: str) -> str:
    """Return an instant as Arrow writes it (2026-03-25 05:46:26.681000Z) in the form that versions are told by."""
    return f"{text[:10]}T{text[11:-1].rstrip('0').rstrip('.') if '.' in text else text[11:-1]}Z"
