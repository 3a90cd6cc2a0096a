"""What a page's records hold, column by column: taken apart once, for instants, hashes, indicators and rows alike."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
from operator import attrgetter
from typing import Any

import pyarrow as pa

from ocelog.schema.decode import Layout, Record
from ocelog.schema.fields import Array, Boolean, Integer, Json, Object, Real, Text, Timestamp, Type
from ocelog.schema.paths import values_at
from ocelog.schema.timestamps import INSTANT

_INTEGERS = {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}


class Texts:
    """A column of free JSON: each different text once, and which one each record has."""

    def __init__(self, raws: Sequence[Any]) -> None:
        encoded = pa.array(list(map(bytes, raws)), pa.large_binary()).dictionary_encode()
        self.different: list[bytes] = encoded.dictionary.to_pylist()
        self._codes = encoded.indices

    def spread(self, values: Sequence[Any]) -> list[Any]:
        """Return, for each record, the value that belongs to its text; `values` has one for each of `different`."""
        return list(map(values.__getitem__, memoryview(self._codes.buffers()[1]).cast("i")))

    def array(self) -> pa.Array:
        """Return the texts as a column; JSON's null is null."""
        different = pa.array([None if text == b"null" else text for text in self.different], pa.string())
        return different.take(self._codes)


class Frame:
    """Records of one layout, with the objects inside them."""

    def __init__(self, layout: Layout, records: Sequence[Record]) -> None:
        self.layout = layout
        self.records = records
        self._columns = _columns(layout, records)
        self._at = {field.name: at for at, field in enumerate(layout.fields)}
        self._texts: dict[int, Texts] = {}
        self._inner: dict[int, Frame] = {}

    def values(self, path: str) -> Sequence[Any]:
        """Return the value at `path` of each record, None where an object on the way is null; see `values_at`."""
        name, dot, rest = path.partition(".")
        if "[]" in path:
            return values_at(self.records, path)
        return self.inner(self._at[name]).values(rest) if dot else self._columns[self._at[name]]

    def column(self, at: int) -> Sequence[Any]:
        """Return the values of the field at `at`."""
        return self._columns[at]

    def texts(self, at: int) -> Texts:
        """Return the column of free JSON of the field at `at`."""
        if at not in self._texts:
            self._texts[at] = Texts(self._columns[at])
        return self._texts[at]

    def inner(self, at: int) -> "Frame":
        """Return the objects of the field at `at`, or all the objects in its lists; nulls have a stand-in."""
        if at not in self._inner:
            layout, values = self.layout.inner[at], self._columns[at]
            assert layout is not None  # noqa: S101  # only objects are asked for; mypy cannot see it
            if isinstance(self.layout.fields[at].type, Array):
                values = list(chain.from_iterable(one for one in values if one))
            self._inner[at] = Frame(layout, _without_none(layout, values))
        return self._inner[at]

    def arrays(self, ready: Mapping[str, pa.Array]) -> list[pa.Array]:
        """Return one array a field, in the schema's order; those in `ready` are made already."""
        return [
            ready[field.name] if field.name in ready else self._array(at, field.type)
            for at, field in enumerate(self.layout.fields)
        ]

    def _array(self, at: int, type_: Type) -> pa.Array:
        values, inner = self._columns[at], self.layout.inner[at]
        match type_:
            case Json():
                return self.texts(at).array()
            case Object():
                return _structs(self.inner(at), values)
            case Array(element=Object()):
                objects = list(chain.from_iterable(one for one in values if one))
                return _lists(values, _structs(self.inner(at), objects))
            case _:
                return _values(type_, inner, values)


def _columns(layout: Layout, records: Sequence[Record]) -> list[Sequence[Any]]:
    if not records:
        return [()] * len(layout.fields)
    if len(layout.attributes) == 1:
        return [list(map(attrgetter(layout.attributes[0]), records))]
    return list(zip(*map(attrgetter(*layout.attributes), records), strict=True))


def _without_none(layout: Layout, values: Sequence[Any]) -> Sequence[Record]:
    if None not in values:
        return values
    blank = layout.blank()
    return [blank if one is None else one for one in values]


def _structs(frame: Frame, values: Sequence[Any]) -> pa.Array:
    """Return the objects of `frame` as a struct array, null where `values` are None."""
    mask = pa.array([one is None for one in values], pa.bool_()) if None in values else None
    return pa.StructArray.from_arrays(frame.arrays({}), [field.name for field in frame.layout.fields], mask=mask)


def _lists(lists: Sequence[Sequence[Any] | None], flat: pa.Array) -> pa.Array:
    mask = pa.array([one is None for one in lists], pa.bool_()) if None in lists else None
    ends = accumulate(len(one) if one else 0 for one in lists)
    return pa.ListArray.from_arrays(pa.array([0, *ends], pa.int32()), flat, mask=mask)


def _values(  # noqa: PLR0911  # one answer for each kind of field
    type_: Type, inner: Layout | None, values: Sequence[Any]
) -> pa.Array:
    """Return values that no frame holds: scalars, and lists of anything but objects."""
    match type_:
        case Text():
            return pa.array(values, pa.string())
        case Integer(bits=bits):
            return pa.array(values, _INTEGERS[bits])
        case Real():
            return pa.array(values, pa.float64())
        case Boolean():
            return pa.array(values, pa.bool_())
        case Timestamp():
            return pa.array(values, pa.string()).cast(INSTANT)
        case Json():
            return Texts(values).array()
        case Object():
            assert inner is not None  # noqa: S101  # an object always has a layout; mypy cannot see it
            return _structs(Frame(inner, _without_none(inner, values)), values)
        case Array(element=element):
            return _lists(values, _values(element, inner, list(chain.from_iterable(one for one in values if one))))
