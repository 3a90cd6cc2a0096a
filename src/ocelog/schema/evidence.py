"""Which p_any_ values each row of a page has."""

from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from ocelog.schema.fields import LogSchema
from ocelog.schema.frame import Frame
from ocelog.schema.indicators import FEEDS, MAX_VALUE, Feed, columns_of, cut_url, feeds_of

Found: TypeAlias = Sequence[Any]
"""What one feed gives to one column, row by row: a value or None; of a feed inside a list a tuple of such."""

_ROW = pa.list_(pa.string())
_MEMO_ENTRIES = 20_000


class Evidence:
    """Fills the p_any_ columns of one log type."""

    def __init__(self, schema: LogSchema) -> None:
        self._columns = {name: _Column() for name, _, _ in columns_of(schema)}
        self._feeds = feeds_of(schema)

    def arrays(self, frame: Frame) -> list[pa.Array]:
        """Return the p_any_ columns of the records in `frame`, in the order of `columns_of`."""
        found: dict[str, list[Found]] = {name: [] for name in self._columns}
        for feed in self._feeds:
            for name, values in zip(FEEDS[feed.indicator].columns, _read(frame, feed), strict=True):
                if values.count(None) + values.count(()) < len(values):
                    found[name].append(values)
        rows = len(frame.records)
        return [column.array(found[name], rows) for name, column in self._columns.items()]


def _read(frame: Frame, feed: Feed) -> list[Found]:
    """Return what `feed` gives to each of its columns. Each different text is read once."""
    cut = cut_url if feed.indicator == "url" else str.strip
    read = FEEDS[feed.indicator].read
    nothing = (None,) * len(FEEDS[feed.indicator].columns)

    def each(texts: Sequence[str | None]) -> list[Sequence[Any]]:
        pieces = [None if text is None else cut(text) for text in texts]
        found = {
            piece: read(text) if piece and (text := piece.strip()) and len(text) <= MAX_VALUE else nothing
            for piece in dict.fromkeys(pieces)
        }
        return list(zip(*map(found.__getitem__, pieces), strict=True)) if pieces else [()] * len(nothing)

    made = frame.derived(feed.path, each)
    return [list(map(tuple, values)) for values in made] if "[]" in feed.path else made


class _Column:
    """One p_any_ column. What a combination of values comes to is remembered: it repeats from row to row."""

    def __init__(self) -> None:
        self._memo: dict[tuple[Any, ...], list[str]] = {}

    def array(self, found: Sequence[Found], rows: int) -> pa.Array:
        """Return all values of each row as a list: sorted, each once; null where there are none."""
        if not found:
            return pa.nulls(rows, _ROW)
        if len(found) == 1 and not isinstance(next(filter(None, found[0])), tuple):
            return _singles(pa.array(found[0], pa.string()))
        get = self._memo.get
        keys = list(zip(*found, strict=True))
        lists = [known if (known := get(key)) is not None else self._sorted(key) for key in keys]
        offsets = pa.array([0, *accumulate(map(len, lists))], pa.int32())
        values = pa.array(list(chain.from_iterable(lists)), pa.string())
        mask = None if all(lists) else pa.array([not one for one in lists], pa.bool_())
        return pa.ListArray.from_arrays(offsets, values, mask=mask)

    def _sorted(self, key: tuple[Any, ...]) -> list[str]:
        values: set[str | None] = set()
        for one in key:
            values.update(one if isinstance(one, tuple) else (one,))
        if len(self._memo) >= _MEMO_ENTRIES:
            self._memo.clear()
        self._memo[key] = row = sorted(value for value in values if value is not None)
        return row


def _singles(values: pa.Array) -> pa.Array:
    """Return a list of one value for each, null for null."""
    ends = pc.cumulative_sum(values.is_valid().cast(pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    return pa.ListArray.from_arrays(offsets, values.drop_null(), mask=values.is_null())
