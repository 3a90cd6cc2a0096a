"""Which p_any_ values each row of a page has."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from typing import Any, TypeAlias

import pyarrow as pa

from ocelog.schema.fields import LogSchema
from ocelog.schema.frame import Frame
from ocelog.schema.indicators import FEEDS, MAX_VALUE, Feed, columns_of, cut_url, feeds_of

Values: TypeAlias = tuple[str, ...]
"""Sorted, each once."""

Row: TypeAlias = tuple[Values, ...]
"""The values of each column of a group."""

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

    What a combination of texts comes to is remembered: it repeats from row to row and from page to page.
    """

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._columns = list(dict.fromkeys(name for feed in feeds for name in FEEDS[feed.indicator].columns))
        self._sources = [_Source(feed, self._columns) for feed in feeds]
        self._memo: dict[tuple[Any, ...], Row] = {}

    def arrays(self, frame: Frame) -> dict[str, pa.Array]:
        """Return the columns that the group fills."""
        keys = zip(*(source.keys(frame) for source in self._sources), strict=True)
        places: dict[tuple[Any, ...], int] = {}
        at = [places.setdefault(key, len(places)) for key in keys]
        rows = self._rows(list(places))
        arrays = [_lists([row[n] for row in rows]) for n in range(len(self._columns))]
        if len(places) < len(at):
            spread = pa.array(at, pa.int32())
            arrays = [array.take(spread) for array in arrays]
        return dict(zip(self._columns, arrays, strict=True))

    def _rows(self, keys: Sequence[tuple[Any, ...]]) -> list[Row]:
        known = self._memo
        new = [key for key in keys if key not in known]
        if new:
            if len(known) > _MEMO_ENTRIES:
                known = self._memo = {key: known[key] for key in keys if key in known}
            known.update(zip(new, self._read(new), strict=True))
        return [known[key] for key in keys]

    def _read(self, keys: Sequence[tuple[Any, ...]]) -> Iterator[Row]:
        """Read keys column by column: on resources that were not met before, this is most of the work."""
        columns: list[list[Values]] = [[()] * len(keys) for _ in self._columns]
        for source, texts in zip(self._sources, zip(*keys, strict=True), strict=True):
            for column, found in zip(source.columns, source.read(texts), strict=True):
                columns[column] = list(map(_united, columns[column], found))
        return zip(*columns, strict=True)


class _Source:
    """One field of a group."""

    def __init__(self, feed: Feed, columns: Sequence[str]) -> None:
        feeding = FEEDS[feed.indicator]
        self._path = feed.path
        self._read_text = feeding.read
        self.columns = [columns.index(name) for name in feeding.columns]
        """Where its values go in the group."""
        self._is_url = feed.indicator == "url"
        self._cut = _cut_url if self._is_url else _whole
        self._is_list = "[]" in feed.path

    def keys(self, frame: Frame) -> Sequence[Any]:
        """Return what of the field tells rows apart: its text, of a URL the part with the host, of a list all of it."""
        values = frame.values(self._path)
        if self._is_list:
            return [tuple(map(self._cut, one)) for one in values]
        return list(map(self._cut, values)) if self._is_url else values

    def read(self, keys: Sequence[Any]) -> Iterator[Sequence[Values]]:
        """Yield, for each column of the field, what each of `keys` gives to it."""
        found = {key: self._of_list(key) if self._is_list else self._of_text(key) for key in dict.fromkeys(keys)}
        return zip(*map(found.__getitem__, keys), strict=True)

    def _of_text(self, text: str | None) -> tuple[Values, ...]:
        value = text.strip() if text else ""
        if not value or len(value) > MAX_VALUE:
            return ((),) * len(self.columns)
        return tuple([() if one is None else (one,) for one in self._read_text(value)])

    def _of_list(self, texts: Sequence[str | None]) -> tuple[Values, ...]:
        read = [self._of_text(text) for text in texts]
        return tuple(tuple(sorted({*chain.from_iterable(one[n] for one in read)})) for n in range(len(self.columns)))


def _united(some: Values, more: Values) -> Values:
    if not some or some == more:
        return more
    return tuple(sorted({*some, *more})) if more else some


def _cut_url(url: str | None) -> str | None:
    return None if url is None else cut_url(url)


def _whole(text: str | None) -> str | None:
    return text


def _lists(rows: Sequence[Values]) -> pa.Array:
    """Return a list array in which an empty list is null."""
    offsets = pa.array([0, *accumulate(map(len, rows))], pa.int32())
    values = pa.array(list(chain.from_iterable(rows)), pa.string())
    mask = None if all(rows) else pa.array([not row for row in rows], pa.bool_())
    return pa.ListArray.from_arrays(offsets, values, mask=mask)


def _connected(feeds: Sequence[Feed]) -> list[list[Feed]]:
    """Sort feeds into groups that share no column."""
    groups: list[list[Feed]] = []
    for feed in feeds:
        columns = set(FEEDS[feed.indicator].columns)
        touching = [group for group in groups if any(columns & {*FEEDS[one.indicator].columns} for one in group)]
        groups = [group for group in groups if group not in touching]
        groups.append([*chain.from_iterable(touching), feed])
    return groups
