"""What a page's records hold, column by column: taken apart once, for instants, hashes, indicators and rows alike."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, count, islice
from typing import Any, TypeVar

import pyarrow as pa
from msgspec.structs import astuple

from ocelog.schema.columns.table import INTEGERS
from ocelog.schema.decode.timestamps import INSTANT
from ocelog.schema.decode.typed import Layout, Record
from ocelog.schema.language.fields import Array, Boolean, Integer, Json, Object, Real, Text, Timestamp, Type

T = TypeVar("T")
_SAMPLE = 64
"""So many texts of a column show whether looking for equal ones pays."""

_AT_ONCE = 100
"""Records: a tuple for each one of a page would wake the garbage collector, which finds nothing in them."""
_BOOLEANS: dict[Any, str] = {True: "true", False: "false"}
"""The texts that stand for booleans where the field is text."""


def numbered(values: Iterable[T]) -> tuple[list[int], list[T]]:
    """Return which of the distinct values each one is, and those in the order of their first coming."""
    places: defaultdict[T, int] = defaultdict(count().__next__)
    return list(map(places.__getitem__, values)), list(places)


class DistinctTexts:
    """A column of JSON texts: each distinct one once, and which one each record has.

    Neighbours in a page share rules, projects, resources and tags: what is done once for each distinct text is done
    far less often than once for each record.
    """

    def __init__(self, raws: Sequence[Any]) -> None:
        texts = list(map(bytes, raws))
        self.codes: list[int] | None = None
        """Which of the distinct texts each record has; None: each has its own."""
        self.distinct: list[bytes] = texts
        """Each text once; if hardly any is there twice, simply all of them."""
        if len(set(texts[:_SAMPLE])) <= len(texts[:_SAMPLE]) * 15 // 16:
            self.codes, self.distinct = numbered(texts)

    def expand(self, values: Sequence[Any], records: Sequence[int] | None = None) -> Sequence[Any]:
        """Return, for each record or each of `records`, the value of its text; `values` has one for each distinct."""
        places = self.codes
        if records is not None:
            places = list(records) if places is None else list(map(places.__getitem__, records))
        return values if places is None else list(map(values.__getitem__, places))

    def expand_array(self, values: pa.Array) -> pa.Array:
        """Do the same in Arrow."""
        return values if self.codes is None else values.take(pa.array(self.codes, pa.int32()))


class Frame:
    """Records of one layout, as columns. Objects inside them are frames of their own, of the distinct ones."""

    def __init__(self, layout: Layout, records: Sequence[Record]) -> None:
        """Take `records` apart; nested objects are decoded only now. Raises what msgspec raises if one does not fit."""
        self.layout = layout
        self.records = records
        self.columns: list[list[Any]] = [[] for _ in layout.fields]
        """By field, in the schema's order."""
        for start in range(0, len(records), _AT_ONCE):
            tuples = map(astuple, records[start : start + _AT_ONCE])
            for column, values in zip(self.columns, zip(*tuples, strict=True), strict=True):
                column.extend(values)
        for at, field in enumerate(layout.fields):
            if isinstance(field.type, Text) and field.type.sent_as_boolean:
                self.columns[at] = [_BOOLEANS.get(value, value) for value in self.columns[at]]
        self._at = {field.name: at for at, field in enumerate(layout.fields)}
        self._texts: dict[int, DistinctTexts] = {}
        self.objects = {
            at: ObjectColumn(self.texts(at), layout, at) for at, inner in enumerate(layout.inner) if inner is not None
        }
        """The columns that hold objects, or lists of them, by the field's place."""

    def texts(self, at: int) -> DistinctTexts:
        """Return the column of JSON texts of the field at `at`, which is free JSON or holds objects."""
        if at not in self._texts:
            self._texts[at] = DistinctTexts(self.columns[at])
        return self._texts[at]

    def values(self, path: str, records: Sequence[int] | None = None) -> Sequence[Any]:
        """Return the value at `path`, such as `user.id`, of each record, or of `records`; None if the way is null.

        If the path goes through lists (`projects[].slug`), the value is the list of all that is there.
        """
        first, _, rest = path.partition(".")
        name, brackets, _ = first.partition("[]")
        at = self._at[name]
        if at in self.objects:
            return self.objects[at].values(rest, records)
        chosen = self.columns[at] if records is None else list(map(self.columns[at].__getitem__, records))
        return [one or () for one in chosen] if brackets else chosen

    def object_column(self, path: str) -> "ObjectColumn | None":
        """Return the column of objects that `path` leads into, None if it leads to a plain field."""
        name = path.partition(".")[0].partition("[]")[0]
        return self.objects.get(self._at[name])

    def arrays(self, ready: Mapping[str, pa.Array]) -> list[pa.Array]:
        """Return one array for each field, in the schema's order; those in `ready` are made already."""
        arrays: list[pa.Array] = []
        for at, field in enumerate(self.layout.fields):
            if field.name in ready:
                arrays.append(ready[field.name])
            elif at in self.objects:
                arrays.append(self.objects[at].array())
            elif isinstance(field.type, Json):
                arrays.append(_json(self.texts(at)))
            else:
                arrays.append(_flat(field.type, self.columns[at]))
        return arrays


class ObjectColumn:
    """A column of objects, or of lists with objects in them: each distinct one once, decoded."""

    def __init__(self, texts: DistinctTexts, layout: Layout, at: int) -> None:
        inner = layout.inner[at]
        assert inner is not None  # noqa: S101  # only for such columns; mypy cannot see it
        self.texts = texts
        self.type = layout.fields[at].type
        self.distinct: list[Any] = layout.decoders[at](b"[%b]" % b",".join(texts.distinct))
        objects = list(_objects(self.type, self.distinct))
        if None in objects:
            null = inner.null_object()
            objects = [null if one is None else one for one in objects]
        self.frame = Frame(inner, objects)
        """All objects in `distinct`, one after another; an object without members stands for each null."""

    def values(self, path: str, records: Sequence[int] | None = None) -> Sequence[Any]:
        """Return the values at `path` below the objects; see `Frame.values`."""
        values = self.frame.values(path)
        if isinstance(self.type, Array):
            each = iter(values)
            values = [list(islice(each, sum(1 for _ in _objects(self.type, [one])))) for one in self.distinct]
            if "[]" in path:
                values = [list(chain.from_iterable(one)) for one in values]
        return self.texts.expand(values, records)

    def array(self) -> pa.Array:
        """Return the column in Arrow."""
        return self.texts.expand_array(_nested(self.type, self.distinct, self.frame))

    def regrouped(self, objects: Iterable[T]) -> list[Any]:
        """Return `distinct` with `objects` in the places of its objects: there is one for each in `frame`."""
        return _regrouped(self.type, self.distinct, iter(objects))


def _regrouped(type_: Type, values: Sequence[Any], objects: Iterator[Any]) -> list[Any]:
    if isinstance(type_, Array):
        return [None if one is None else _regrouped(type_.element, one, objects) for one in values]
    return [None if one is None else new for one, new in zip(values, objects, strict=False)]


def _objects(type_: Type, values: Sequence[Any]) -> Iterator[Any]:
    """Yield the objects in `values`, nulls among them included."""
    if isinstance(type_, Array):
        return _objects(type_.element, list(chain.from_iterable(one for one in values if one)))
    return iter(values)


def _nested(type_: Type, values: Sequence[Any], frame: Frame) -> pa.Array:
    """Return objects, or lists of them, in Arrow; `frame` has all the objects one after another."""
    mask = pa.array([one is None for one in values], pa.bool_()) if None in values else None
    if isinstance(type_, Array):
        inner = _nested(type_.element, list(chain.from_iterable(one for one in values if one)), frame)
        return pa.ListArray.from_arrays(_offsets(values), inner, mask=mask)
    return pa.StructArray.from_arrays(frame.arrays({}), [field.name for field in frame.layout.fields], mask=mask)


def _offsets(lists: Sequence[Sequence[Any] | None]) -> pa.Array:
    return pa.array([0, *accumulate(len(one) if one else 0 for one in lists)], pa.int32())


def _json(texts: DistinctTexts) -> pa.Array:
    return texts.expand_array(pa.array([None if text == b"null" else text for text in texts.distinct], pa.string()))


def _flat(type_: Type, values: Sequence[Any]) -> pa.Array:  # one answer for each kind of field
    """Return values without objects in them in Arrow."""
    match type_:
        case Text():
            return pa.array(values, pa.string())
        case Integer(bits=bits):
            return pa.array(values, INTEGERS[bits])
        case Real():
            return pa.array(values, pa.float64())
        case Boolean():
            return pa.array(values, pa.bool_())
        case Timestamp():
            return pa.array(values, pa.string()).cast(INSTANT)
        case Json():
            return _json(DistinctTexts(values))
        case Array(element=element):
            mask = pa.array([one is None for one in values], pa.bool_()) if None in values else None
            inner = _flat(element, list(chain.from_iterable(one for one in values if one)))
            return pa.ListArray.from_arrays(_offsets(values), inner, mask=mask)
        case Object():
            raise AssertionError("objects have columns of their own")
