"""Which p_any_ values each row of a page has."""

from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any, TypeAlias

import pyarrow as pa

from ocelog.schema.fields import LogSchema
from ocelog.schema.frame import Frame
from ocelog.schema.indicators import FEEDS, Feed, columns_of, cut_url, evidence, feeds_of

Found: TypeAlias = tuple[tuple[str, ...], ...]
"""The values of each column of a group: trimmed, without repeats, sorted."""

_MEMO_ENTRIES = 20_000


class Evidence:
    """Fills the p_any_ columns of one log type."""

    def __init__(self, schema: LogSchema) -> None:
        self._order = [name for name, _, _ in columns_of(schema)]
        self._groups = [_Group(feeds) for feeds in _connected(feeds_of(schema))]

    def arrays(self, frame: Frame) -> list[pa.Array]:
        """Return the p_any_ columns of the records in `frame`, in the order of `columns_of`."""
        found: dict[str, pa.Array] = {}
        for group in self._groups:
            found |= group.arrays(frame)
        return [found[name] for name in self._order]


class _Group:
    """Fields that feed the same columns.

    What a combination of texts comes to is remembered: it repeats from row to row.
    """

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = feeds
        self._columns = sorted(_columns(feeds))
        self._memo: dict[tuple[Any, ...], Found] = {}

    def arrays(self, frame: Frame) -> dict[str, pa.Array]:
        keys = list(zip(*(_keys(feed, frame) for feed in self._feeds), strict=True))
        get = self._memo.get
        places: dict[tuple[Any, ...], int] = {}
        at = [places.setdefault(key, len(places)) for key in keys]
        different = [get(key) or self._find(key) for key in places]
        rows = pa.array(at, pa.int32())
        return {name: _lists([found[n] for found in different]).take(rows) for n, name in enumerate(self._columns)}

    def _find(self, key: tuple[Any, ...]) -> Found:
        values: dict[str, list[str]] = {name: [] for name in self._columns}
        for feed, texts in zip(self._feeds, key, strict=True):
            for text in (texts,) if isinstance(texts, str) else texts or ():
                for indicator in feed.indicators if text is not None else ():
                    evidence(indicator, text, values)
        found = tuple(tuple(one if len(one) < 2 else sorted(set(one))) for one in values.values())
        if len(self._memo) >= _MEMO_ENTRIES:
            self._memo.clear()
        self._memo[key] = found
        return found


def _keys(feed: Feed, frame: Frame) -> Sequence[Any]:
    """Return what of the field tells rows apart: its text, of a URL the part with the host, of a list all of it."""
    values = frame.values(feed.path)
    if "[]" in feed.path:
        return list(map(tuple, values))
    if feed.indicators == ("url",):
        return [None if value is None else cut_url(value) for value in values]
    return values


def _lists(rows: Sequence[tuple[str, ...]]) -> pa.Array:
    """Return a list array in which an empty list is null."""
    ends = list(accumulate(map(len, rows)))
    offsets = pa.array([0, *ends], pa.int32())
    values = pa.array(list(chain.from_iterable(rows)), pa.string())
    mask = None if all(rows) else pa.array([not row for row in rows], pa.bool_())
    return pa.ListArray.from_arrays(offsets, values, mask=mask)


def _columns(feeds: Sequence[Feed]) -> set[str]:
    return {column for feed in feeds for indicator in feed.indicators for column in FEEDS[indicator]}


def _connected(feeds: Sequence[Feed]) -> list[list[Feed]]:
    groups: list[list[Feed]] = []
    for feed in feeds:
        touching = [group for group in groups if _columns(group) & _columns([feed])]
        groups = [group for group in groups if group not in touching]
        groups.append([*(one for group in touching for one in group), feed])
    return groups
