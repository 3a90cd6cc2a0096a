"""How typed records become Arrow columns: flat lists of Python values, one conversion a column."""

from collections.abc import Sequence
from itertools import accumulate, chain
from operator import attrgetter
from typing import Any

import pyarrow as pa

from ocelog.schema.decode import Layout, Record
from ocelog.schema.fields import Array, Boolean, Integer, Json, Object, Real, Text, Timestamp, Type
from ocelog.schema.timestamps import INSTANT

_INTEGERS = {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}
_NULL = b"null"


def columns_of(layout: Layout, records: Sequence[Record]) -> list[Sequence[Any]]:
    """Return the members of `records` by field, in the schema's order."""
    if not records:
        return [() for _ in layout.fields]
    if len(layout.attributes) == 1:
        return [list(map(attrgetter(layout.attributes[0]), records))]
    return list(zip(*map(attrgetter(*layout.attributes), records), strict=True))


def arrays_of(layout: Layout, records: Sequence[Record]) -> list[pa.Array]:
    """Return `records` as one Arrow array a field, in the schema's order."""
    columns = columns_of(layout, records)
    return [
        array_of(field.type, inner, values)
        for field, inner, values in zip(layout.fields, layout.inner, columns, strict=True)
    ]


def array_of(type_: Type, inner: Layout | None, values: Sequence[Any]) -> pa.Array:
    """Return the values of one field as an Arrow array."""
    match type_:
        case Text():
            return pa.array(values, pa.string())
        case Json():
            return pa.array(json_texts(values), pa.string())
        case Integer(bits=bits):
            return pa.array(values, _INTEGERS[bits])
        case Real():
            return pa.array(values, pa.float64())
        case Boolean():
            return pa.array(values, pa.bool_())
        case Timestamp():
            return pa.array(values, pa.string()).cast(INSTANT)
        case Object():
            return _structs(inner, values)
        case Array(element=element):
            return list_array(values, lambda flat: array_of(element, inner, flat))


def json_texts(values: Sequence[Any]) -> list[bytes | None]:
    """Return free JSON as its text; null is None."""
    return [None if text == _NULL else text for text in map(bytes, values)]


def list_array(lists: Sequence[Sequence[Any] | None], build: Any) -> pa.Array:
    """Return lists as an Arrow list array; `build` makes an array of all their elements together."""
    present = lists if None not in lists else [one or () for one in lists]
    offsets = pa.array([0, *accumulate(map(len, present))], pa.int32())
    flat = build(list(chain.from_iterable(present)))
    mask = None if present is lists else pa.array([one is None for one in lists], pa.bool_())
    return pa.ListArray.from_arrays(offsets, flat, mask=mask)


def _structs(inner: Layout | None, values: Sequence[Record | None]) -> pa.Array:
    assert inner is not None  # noqa: S101  # an object always has a layout; mypy cannot see it
    missing = None in values
    present = [inner.empty if one is None else one for one in values] if missing else values
    arrays = arrays_of(inner, present)
    names = [field.name for field in inner.fields]
    mask = pa.array([one is None for one in values], pa.bool_()) if missing else None
    return pa.StructArray.from_arrays(arrays, names, mask=mask)
