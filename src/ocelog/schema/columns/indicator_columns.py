"""Which p_any_ values each row of a page has."""

from collections.abc import Sequence
from itertools import accumulate, chain, count
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ocelog.schema.columns.frame import Frame, numbered
from ocelog.schema.columns.indicators import (
    INDICATOR_READERS,
    MAX_VALUE,
    IndicatorField,
    any_columns,
    cut_urls,
    indicator_fields,
)
from ocelog.schema.language.fields import LogSchema

_MEMO_ENTRIES = 2_000
_SAMPLE = 64
"""So many rows show whether looking for equal ones pays."""


class IndicatorColumns:
    """Fills the p_any_ columns of one log type."""

    def __init__(self, schema: LogSchema) -> None:
        self._order = [name for name, _, _ in any_columns(schema)]
        self._groups = [_Group(fields) for fields in _connected(indicator_fields(schema))]

    def arrays(self, frame: Frame) -> list[pa.Array]:
        """Return the p_any_ columns of the records in `frame`, in the order of `any_columns`."""
        found: dict[str, pa.Array] = {}
        for group in self._groups:
            found |= group.arrays(frame)
        return [found[name] for name in self._order]


class _Group:
    """Fields that fill the same columns or lie in the same objects, read together: they repeat from row to row."""

    def __init__(self, fields: Sequence[IndicatorField]) -> None:
        columns = chain.from_iterable(INDICATOR_READERS[field.indicator].columns for field in fields)
        self._columns = list(dict.fromkeys(columns))
        self._fields = [_Field(field, self._columns) for field in fields]

    def arrays(self, frame: Frame) -> dict[str, pa.Array]:
        """Return the columns that the group fills."""
        # What tells rows apart: which object they share, and the texts of fields that are in none.
        parts: dict[Any, Sequence[Any]] = {}
        for field in self._fields:
            objects = frame.object_column(field.path)
            if objects is None or objects.texts.codes is None:
                parts[field.path] = field.keys(frame.values(field.path))
            else:
                parts[objects] = objects.texts.codes
        keys = list(zip(*parts.values(), strict=True))
        if len(set(keys[:_SAMPLE])) > len(keys[:_SAMPLE]) * 15 // 16:
            arrays = self._read(frame, range(len(keys)))
        else:
            numbers, _ = numbered(keys)
            at = pa.array(numbers, pa.int32())
            # Of the records with one key any will do.
            arrays = [array.take(at) for array in self._read(frame, list(dict(zip(keys, count())).values()))]
        return dict(zip(self._columns, arrays, strict=True))

    def _read(self, frame: Frame, records: Sequence[int]) -> list[pa.Array]:
        found: list[list[Sequence[Any]]] = [[] for _ in self._columns]
        for field in self._fields:
            texts = frame.values(field.path, records)
            for column, values in zip(field.columns, field.read(texts), strict=False):
                if values.count(None) < len(values):
                    found[column].append(values)
        return [_lists(columns, len(records)) for columns in found]


class _Field:
    """One field of a group."""

    def __init__(self, field: IndicatorField, columns: Sequence[str]) -> None:
        indicator = INDICATOR_READERS[field.indicator]
        self.path = field.path
        self._read_text = indicator.read
        self.columns = [columns.index(name) for name in indicator.columns]
        """Where its values go in the group."""
        self._known: dict[Any, tuple[Any, ...]] = {}
        self._nothing = (None,) * len(self.columns)
        self._cut = cut_urls if field.indicator == "url" else list
        self._is_list = "[]" in field.path

    def keys(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return what of `values` tells rows apart: the text, of a URL the part with the host, of a list all of it."""
        return [tuple(self._cut(one)) for one in values] if self._is_list else self._cut(values)

    def read(self, values: Sequence[Any]) -> list[Sequence[Any]]:
        """Return, for each column of the field, what each of `values` gives to it: one, a tuple of such, or None."""
        known = self._known if len(self._known) < _MEMO_ENTRIES else {}
        self._known = known
        keys = self.keys(values)
        for key in dict.fromkeys(keys):
            if key in known:
                continue
            if self._is_list:
                known[key] = tuple(zip(*map(self._of_text, key), strict=True)) or self._nothing
            else:
                known[key] = self._of_text(key)
        return list(zip(*map(known.__getitem__, keys), strict=True))

    def _of_text(self, text: str | None) -> tuple[str | None, ...]:
        value = text.strip() if text else ""
        return self._read_text(value) if value and len(value) <= MAX_VALUE else self._nothing


def _lists(columns: Sequence[Sequence[Any]], rows: int) -> pa.Array:
    """Return all values of each row as a list: sorted, each once; null if there are none."""
    if not columns:
        return pa.nulls(rows, pa.list_(pa.string()))
    if len(columns) == 1 and isinstance(next(one for one in columns[0] if one is not None), str):
        values = pa.array(columns[0], pa.string())
        ends = pc.cumulative_sum(values.is_valid().cast(pa.int32()))
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
        return pa.ListArray.from_arrays(offsets, values.drop_null(), mask=values.is_null())
    found = list(zip(*columns, strict=True))
    known: dict[tuple[Any, ...], list[str]] = {}
    for row in set(found):
        each = chain.from_iterable(one if isinstance(one, tuple) else (one,) for one in row)
        known[row] = sorted({*each} - {None})
    lists = list(map(known.__getitem__, found))
    offsets = pa.array([0, *accumulate(map(len, lists))], pa.int32())
    mask = None if all(lists) else pa.array([not one for one in lists], pa.bool_())
    return pa.ListArray.from_arrays(offsets, pa.array(list(chain.from_iterable(lists)), pa.string()), mask=mask)


def _connected(fields: Sequence[IndicatorField]) -> list[list[IndicatorField]]:
    """Sort fields into groups that share no column, and no objects: whoever shares is numbered once."""
    groups: list[tuple[set[str], list[IndicatorField]]] = []
    for field in fields:
        shared = {*INDICATOR_READERS[field.indicator].columns}
        if "." in field.path:
            shared.add(field.path.split(".")[0])
        touching = [group for group in groups if shared & group[0]]
        groups = [group for group in groups if group not in touching]
        members = [*chain.from_iterable(members for _, members in touching), field]
        groups.append((shared.union(*(names for names, _ in touching)), members))
    return [members for _, members in groups]
