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
    """Return which of the different values each one is, and those in the order of their first coming."""
    places: defaultdict[T, int] = defaultdict(count().__next__)
    return list(map(places.__getitem__, values)), list(places)


class Texts:
    """A column of JSON texts: each different one once, and which one each record has.

    Neighbours in a page share rules, projects, resources and tags: what is done once for each different text is done
    far less often than once a record.
    """

    def __init__(self, raws: Sequence[Any]) -> None:
        texts = list(map(bytes, raws))
        self.codes: list[int] | None = None
        """Which of the different texts each record has; None: each has its own."""
        self.different: list[bytes] = texts
        """Each text once; where hardly any is there twice, simply all of them."""
        if len(set(texts[:_SAMPLE])) <= len(texts[:_SAMPLE]) * 15 // 16:
            self.codes, self.different = numbered(texts)

    def spread(self, values: Sequence[Any], records: Sequence[int] | None = None) -> Sequence[Any]:
        """Return, for each record or each of `records`, the value of its text; `values` has one for each different."""
        places = self.codes
        if records is not None:
            places = list(records) if places is None else list(map(places.__getitem__, records))
        return values if places is None else list(map(values.__getitem__, places))

    def spread_array(self, values: pa.Array) -> pa.Array:
        """Do the same in Arrow."""
        return values if self.codes is None else values.take(pa.array(self.codes, pa.int32()))


class Frame:
    """Records of one layout. Objects inside them are frames of their own, of the different ones."""

    def __init__(self, layout: Layout, records: Sequence[Record]) -> None:
        """Take `records` apart; nested objects are read only now. Raises what msgspec raises where one does not fit."""
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
        self._texts: dict[int, Texts] = {}
        self.folded = {at: Folded(self.texts(at), layout, at) for at, one in enumerate(layout.inner) if one is not None}

    def texts(self, at: int) -> Texts:
        """Return the column of JSON texts of the field at `at`, which is free JSON or holds objects."""
        if at not in self._texts:
            self._texts[at] = Texts(self.columns[at])
        return self._texts[at]

    def values(self, path: str, records: Sequence[int] | None = None) -> Sequence[Any]:
        """Return the value at `path`, such as `user.id`, of each record, or of `records`; None where the way is null.

        Where the path goes through lists (`projects[].slug`), the value is the list of all that is there.
        """
        folded, (name, brackets, rest) = self.objects(path), _first_step(path)
        if folded is not None:
            return folded.values(rest, records)
        column = self.columns[self._at[name]]
        chosen = column if records is None else list(map(column.__getitem__, records))
        return [one or () for one in chosen] if brackets else chosen

    def objects(self, path: str) -> "Folded | None":
        """Return the column of objects that `path` leads into, None where it leads to a plain field."""
        return self.folded.get(self._at[_first_step(path)[0]])

    def arrays(self, ready: Mapping[str, pa.Array]) -> list[pa.Array]:
        """Return one array a field, in the schema's order; those in `ready` are made already."""
        return [
            ready[field.name] if field.name in ready else self._array(at, field.type)
            for at, field in enumerate(self.layout.fields)
        ]

    def _array(self, at: int, type_: Type) -> pa.Array:
        if at in self.folded:
            return self.folded[at].array()
        if isinstance(type_, Json):
            return _json(self.texts(at))
        return _flat(type_, self.columns[at])


class Folded:
    """A column of objects, or of lists with objects in them: each different one once."""

    def __init__(self, texts: Texts, layout: Layout, at: int) -> None:
        inner = layout.inner[at]
        assert inner is not None  # noqa: S101  # only such columns are folded; mypy cannot see it
        self.texts = texts
        self.type = layout.fields[at].type
        self.different: list[Any] = layout.read[at](b"[%b]" % b",".join(texts.different))
        self.frame = Frame(inner, _without_none(inner, list(_objects(self.type, self.different))))

    def values(self, path: str, records: Sequence[int] | None = None) -> Sequence[Any]:
        """Return the values at `path` below the objects; see `Frame.values`."""
        values = self.frame.values(path)
        if isinstance(self.type, Array):
            each = iter(values)
            values = [list(islice(each, sum(1 for _ in _objects(self.type, [one])))) for one in self.different]
            if "[]" in path:
                values = [list(chain.from_iterable(one)) for one in values]
        return self.texts.spread(values, records)

    def array(self) -> pa.Array:
        """Return the column in Arrow."""
        return self.texts.spread_array(_nested(self.type, self.different, self.frame))

    def regrouped(self, objects: Iterable[T]) -> list[Any]:
        """Return `different` with `objects` in the places of its objects: there is one for each in `frame`."""
        return _regrouped(self.type, self.different, iter(objects))


def _first_step(path: str) -> tuple[str, str, str]:
    """Take `projects[].slug` apart: the first name, the brackets if there are any, the rest."""
    first, _, rest = path.partition(".")
    name, brackets, _ = first.partition("[]")
    return name, brackets, rest


def _regrouped(type_: Type, values: Sequence[Any], objects: Iterator[Any]) -> list[Any]:
    if isinstance(type_, Array):
        return [None if one is None else _regrouped(type_.element, one, objects) for one in values]
    return [None if one is None else new for one, new in zip(values, objects, strict=False)]


def _objects(type_: Type, values: Sequence[Any]) -> Iterator[Any]:
    """Yield the objects in `values`, nulls among them included."""
    if isinstance(type_, Array):
        return _objects(type_.element, list(chain.from_iterable(one for one in values if one)))
    return iter(values)


def _without_none(layout: Layout, values: Sequence[Any]) -> Sequence[Record]:
    if None not in values:
        return values
    blank = layout.blank()
    return [blank if one is None else one for one in values]


def _nested(type_: Type, values: Sequence[Any], frame: Frame) -> pa.Array:
    """Return objects, or lists of them, in Arrow; `frame` has all the objects one after another."""
    mask = pa.array([one is None for one in values], pa.bool_()) if None in values else None
    if isinstance(type_, Array):
        inner = _nested(type_.element, list(chain.from_iterable(one for one in values if one)), frame)
        return pa.ListArray.from_arrays(_offsets(values), inner, mask=mask)
    return pa.StructArray.from_arrays(frame.arrays({}), [field.name for field in frame.layout.fields], mask=mask)


def _offsets(lists: Sequence[Sequence[Any] | None]) -> pa.Array:
    return pa.array([0, *accumulate(len(one) if one else 0 for one in lists)], pa.int32())


def _json(texts: Texts) -> pa.Array:
    return texts.spread_array(pa.array([None if text == b"null" else text for text in texts.different], pa.string()))


def _flat(type_: Type, values: Sequence[Any]) -> pa.Array:  # noqa: PLR0911  # one answer for each kind of field
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
            return _json(Texts(values))
        case Array(element=element):
            mask = pa.array([one is None for one in values], pa.bool_()) if None in values else None
            inner = _flat(element, list(chain.from_iterable(one for one in values if one)))
            return pa.ListArray.from_arrays(_offsets(values), inner, mask=mask)
        case Object():
            raise AssertionError("objects are folded")
