"""Which p_any_ values each row of a page has."""

from collections.abc import Sequence
from itertools import accumulate, chain, count
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ocelog.schema.columns.frame import Frame, numbered
from ocelog.schema.columns.indicators import MAX_VALUE, READ_AS, IndicatorField, any_columns, cut_urls, indicator_fields
from ocelog.schema.language.fields import LogSchema

_MEMO_ENTRIES = 2_000
_SAMPLE = 64
"""So many rows show whether looking for equal ones pays."""


class IndicatorColumns:
    """Fills the p_any_ columns of one log type."""

    def __init__(self, schema: LogSchema) -> None:
        self._order = [name for name, _, _ in any_columns(schema)]
        self._groups = [_Group(feeds) for feeds in _connected(indicator_fields(schema))]

    def arrays(self, frame: Frame) -> list[pa.Array]:
        """Return the p_any_ columns of the records in `frame`, in the order of `any_columns`."""
        found: dict[str, pa.Array] = {}
        for group in self._groups:
            found |= group.arrays(frame)
        return [found[name] for name in self._order]


class _Group:
    """Fields that feed the same columns or lie in the same objects, read together: they repeat from row to row."""

    def __init__(self, feeds: Sequence[IndicatorField]) -> None:
        self._columns = list(dict.fromkeys(name for feed in feeds for name in READ_AS[feed.indicator].columns))
        self._sources = [_Source(feed, self._columns) for feed in feeds]

    def arrays(self, frame: Frame) -> dict[str, pa.Array]:
        """Return the columns that the group fills."""
        keys = self._keys(frame)
        if len(set(keys[:_SAMPLE])) > len(keys[:_SAMPLE]) * 15 // 16:
            arrays = self._read(frame, range(len(keys)))
        else:
            numbers, _ = numbered(keys)
            at = pa.array(numbers, pa.int32())
            # Of the records with one key any will do.
            arrays = [array.take(at) for array in self._read(frame, list(dict(zip(keys, count())).values()))]
        return dict(zip(self._columns, arrays, strict=True))

    def _keys(self, frame: Frame) -> Sequence[Any]:
        """Return what tells rows apart: which object they share, and the texts of fields that are in none."""
        columns: dict[Any, Sequence[Any]] = {}
        for source in self._sources:
            objects = frame.object_column(source.path)
            if objects is None or objects.texts.codes is None:
                columns[source.path] = source.keys(frame.values(source.path))
            else:
                columns[objects] = objects.texts.codes
        return list(zip(*columns.values(), strict=True))

    def _read(self, frame: Frame, records: Sequence[int]) -> list[pa.Array]:
        found: list[list[Sequence[Any]]] = [[] for _ in self._columns]
        for source in self._sources:
            texts = frame.values(source.path, records)
            for column, values in zip(source.columns, source.read(texts), strict=False):
                if values.count(None) < len(values):
                    found[column].append(values)
        return [_array(columns, len(records)) for columns in found]


class _Source:
    """One field of a group."""

    def __init__(self, feed: IndicatorField, columns: Sequence[str]) -> None:
        feeding = READ_AS[feed.indicator]
        self.path = feed.path
        self._read_text = feeding.read
        self.columns = [columns.index(name) for name in feeding.columns]
        """Where its values go in the group."""
        self._known: dict[Any, tuple[Any, ...]] = {}
        self._nothing = (None,) * len(self.columns)
        self._cut = cut_urls if feed.indicator == "url" else list
        self._is_list = "[]" in feed.path

    def keys(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return what of `values` tells rows apart: the text, of a URL the part with the host, of a list all of it."""
        return [tuple(self._cut(one)) for one in values] if self._is_list else self._cut(values)

    def read(self, values: Sequence[Any]) -> list[Sequence[Any]]:
        """Return, for each column of the field, what each of `values` gives to it: one, a tuple of such, or None."""
        read = self._of_list if self._is_list else self._of_text
        known = self._known if len(self._known) < _MEMO_ENTRIES else {}
        self._known = known
        keys = self.keys(values)
        for key in dict.fromkeys(keys):
            if key not in known:
                known[key] = read(key)
        return list(zip(*map(known.__getitem__, keys), strict=True))

    def _of_text(self, text: str | None) -> tuple[str | None, ...]:
        value = text.strip() if text else ""
        return self._read_text(value) if value and len(value) <= MAX_VALUE else self._nothing

    def _of_list(self, texts: Sequence[str | None]) -> tuple[tuple[str | None, ...] | None, ...]:
        return tuple(zip(*map(self._of_text, texts), strict=True)) or self._nothing


def _array(columns: Sequence[Sequence[Any]], rows: int) -> pa.Array:
    """Return all values of each row as a list: sorted, each once; null where there are none."""
    if not columns:
        return pa.nulls(rows, pa.list_(pa.string()))
    if len(columns) == 1 and isinstance(next(one for one in columns[0] if one is not None), str):
        return _singles(pa.array(columns[0], pa.string()))
    found = list(zip(*columns, strict=True))
    known = {values: _sorted(values) for values in set(found)}
    lists = list(map(known.__getitem__, found))
    offsets = pa.array([0, *accumulate(map(len, lists))], pa.int32())
    mask = None if all(lists) else pa.array([not one for one in lists], pa.bool_())
    return pa.ListArray.from_arrays(offsets, pa.array(list(chain.from_iterable(lists)), pa.string()), mask=mask)


def _sorted(found: tuple[Any, ...]) -> list[str]:
    values: set[Any] = set()
    for one in found:
        values |= {*one} if isinstance(one, tuple) else {one}
    values.discard(None)
    return sorted(values)


def _singles(values: pa.Array) -> pa.Array:
    """Return a list of one value for each, null for null."""
    ends = pc.cumulative_sum(values.is_valid().cast(pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    return pa.ListArray.from_arrays(offsets, values.drop_null(), mask=values.is_null())


def _connected(feeds: Sequence[IndicatorField]) -> list[list[IndicatorField]]:
    """Sort feeds into groups that share no column, and no objects: whoever shares is numbered once."""
    groups: list[tuple[set[str], list[IndicatorField]]] = []
    for feed in feeds:
        shared = {*READ_AS[feed.indicator].columns} | ({feed.path.split(".")[0]} if "." in feed.path else set())
        touching = [group for group in groups if shared & group[0]]
        groups = [group for group in groups if group not in touching]
        members = [*chain.from_iterable(members for _, members in touching), feed]
        groups.append((shared.union(*(names for names, _ in touching)), members))
    return [members for _, members in groups]
