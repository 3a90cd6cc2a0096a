"""What one record holds: read member by member, for the records that the typed reader refuses."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from ocelog.schema.decode.brackets import split_object, too_deep
from ocelog.schema.decode.mismatch import BROKEN, Mismatch, description, elements, free_json, members, string
from ocelog.schema.decode.timestamps import canonical, instant
from ocelog.schema.decode.typed import NO_JSON, Layout, Record
from ocelog.schema.decode.validity import check
from ocelog.schema.language.fields import Array, Boolean, Integer, Json, Object, Real, Text, Timestamp, Type

_Scalar: TypeAlias = Text | Integer | Real | Boolean | Timestamp

_PLAIN_NAME = re.compile(r"[\w-]+")
LONGEST_NAME = 1_000
_NAME = f"text of 1 to {LONGEST_NAME:,} characters, and not only spaces: it identifies the record"
_INTEGER = re.compile(r"-?\d+", re.ASCII)
_BOOLEANS = {"true": True, "false": False}
_DIGITS = 19
"""Of the greatest number that 64 bits hold."""


@dataclass(slots=True)
class Extra:
    """What of a record no column holds: it is kept as p_extra."""

    texts: dict[str, str] = field(default_factory=dict)
    """JSON path -> JSON text, of the fields that the schema does not have, and of those in `unreadable`."""
    unreadable: dict[str, Mismatch] = field(default_factory=dict)
    """JSON path -> why the column of a field is null although the record has a value: see `Mismatch.unreadable`."""

    def keep(self, path: str, raw: bytes, mismatch: Mismatch) -> None:
        """Keep the value `raw`, which no column can hold, as text that every JSON reader can follow."""
        self.unreadable[path] = mismatch.afresh()
        try:
            self.texts[path] = msgspec.json.encode(string(raw, path, "text")).decode()
        except Mismatch:
            self.texts[path] = msgspec.json.encode(raw.decode("utf-8", "backslashreplace")).decode()

    def add(self, other: "Extra") -> None:
        """Take in what a part of the record left over."""
        self.texts |= other.texts
        self.unreadable |= other.unreadable

    def __bool__(self) -> bool:
        return bool(self.texts)

    def __str__(self) -> str:
        """Write it as one JSON object: path -> value as it came."""
        pairs = (f"{msgspec.json.encode(path.removeprefix('$.')).decode()}:{text}" for path, text in self.texts.items())
        return "{" + ",".join(pairs) + "}"

    def names(self) -> set[str]:
        """Return the paths without list positions: `projects[].owner` for `$.projects[3].owner`."""
        return {
            re.sub(r"\[\d+\]", "[]", path.removeprefix("$."))[:200] + (UNREADABLE if path in self.unreadable else "")
            for path in self.texts
        }


UNREADABLE = " (unreadable)"
"""Stands behind the name of a field that the schema has, wherever what p_extra holds is counted by name."""


def read_record(raw: bytes, layout: Layout) -> tuple[Record, Extra]:
    """Read one record. Return it, and what of it no column holds.

    Raises Mismatch, and nothing else, whatever `raw` is.
    """
    extra = Extra()
    record = read_object(raw, layout, "$", extra)
    if not is_name(record.id):
        raise Mismatch("$.id", _NAME, description(msgspec.json.encode(record.id)))
    return record, extra


def is_name(name: str | None) -> bool:
    """Tell whether `name` tells its record apart from others."""
    return name is not None and len(name) <= LONGEST_NAME and bool(name.strip())


def readable_name(raw: bytes) -> str | None:
    """Return the id of a record that does not fit, None if it has none that can be read."""
    member = split_object(raw).texts.get("id", b"null")
    if member == b"null":
        return None
    try:
        name = str(_scalar(member, Text(), "$.id"))
    except Mismatch:
        return None
    return name if is_name(name) else None


def read_object(raw: bytes, layout: Layout, path: str, extra: Extra) -> Record:
    """Read the object at `path` of a record, and add to `extra` what of it no column holds. Raises Mismatch."""
    given = dict(members(raw, path))
    values: dict[str, Any] = {}
    for at, (known, attribute, inner) in enumerate(zip(layout.fields, layout.attributes, layout.inner, strict=True)):
        member = bytes(given.pop(known.name)) if known.name in given else None
        below = _child(path, known.name)
        if member is None or member == b"null":
            if known.required:
                wanted = f"{_expected(known.type)}: the field is required"
                raise Mismatch(below, wanted, "nothing" if member is None else "null")
            values[attribute] = layout.null(at)
        else:
            try:
                value = _whole(member, known.type, inner, below, extra)
            except Mismatch as mismatch:
                if known.required or not mismatch.unreadable:
                    raise
                extra.keep(below, member, mismatch)
                values[attribute] = layout.null(at)
            else:
                values[attribute] = value if inner is None else msgspec.Raw(msgspec.json.encode(value))
    for name, member in given.items():
        below = _child(path, name)
        try:
            extra.texts[below] = free_json(bytes(member), below)
        except Mismatch as mismatch:
            if not mismatch.unreadable:
                raise
            extra.keep(below, bytes(member), mismatch)
    return layout.struct(**values)


def _whole(raw: bytes, type_: Type, inner: Layout | None, path: str, extra: Extra) -> Any:
    """Return the value `raw`; what it leaves over counts only if all of it can be read."""
    left = Extra()
    value = _value(raw, type_, inner, path, left)
    extra.add(left)
    return value


def _child(path: str, name: str) -> str:
    return f"{path}.{name}" if _PLAIN_NAME.fullmatch(name) else f"{path}[{msgspec.json.encode(name).decode()}]"


def _expected(type_: Type) -> str:  # one answer for each kind of field
    match type_:
        case Text():
            return "text"
        case Integer(bits=bits):
            return f"a whole number of {bits} bits"
        case Real():
            return "a number"
        case Boolean():
            return "true or false"
        case Timestamp(formats=formats):
            return f"a timestamp ({', '.join(formats)})"
        case Json():
            return "JSON"
        case Array():
            return "a list"
        case Object():
            return "an object"


def _value(raw: bytes, type_: Type, inner: Layout | None, path: str, extra: Extra) -> Any:
    match type_:
        case Object():
            assert inner is not None  # noqa: S101  # an object always has a layout; mypy cannot see it
            return read_object(raw, inner, path, extra)
        case Array(element=element):
            return list(_elements(raw, element, inner, path, extra))
        case Json():
            free_json(raw, path)
            return msgspec.Raw(raw)
        case _:
            return _scalar(raw, type_, path)


def _elements(raw: bytes, element: Type, inner: Layout | None, path: str, extra: Extra) -> Iterator[Any]:
    nothing = NO_JSON if isinstance(element, Json) else None
    for index, item in enumerate(map(bytes, elements(raw, path))):
        below = f"{path}[{index}]"
        if item == b"null":
            yield nothing
            continue
        try:
            value = _whole(item, element, inner, below, extra)
        except Mismatch as mismatch:
            if not mismatch.unreadable:
                raise
            extra.keep(below, item, mismatch)
            value = nothing
        yield value


def _scalar(raw: bytes, type_: _Scalar, path: str) -> Any:
    if raw[:1] in {b"{", b"["}:
        raise _wrong(raw, type_, path)
    if raw[:1] == b'"':
        text = string(raw, path, _expected(type_)) if isinstance(type_, Text | Timestamp) else ""
    else:
        # A boolean or number is text as it is written.
        text = free_json(raw, path, _expected(type_))
    match type_:
        case Text(validate=validate):
            return text if validate is None else check(text, validate, path)
        case Timestamp(formats=formats):
            when = instant(text, formats)
            if when is None:
                raise _wrong(raw, type_, path)
            return canonical(when)
        case Integer(bits=bits):
            return _integer(raw, bits, path)
        case Real():
            return _real(raw, path)
        case Boolean():
            if text not in _BOOLEANS:
                raise _wrong(raw, type_, path)
            return _BOOLEANS[text]


def _integer(raw: bytes, bits: int, path: str) -> int:
    text = raw.decode("utf-8", "replace")
    if not _INTEGER.fullmatch(text):
        raise _wrong(raw, Integer(bits=bits), path)
    if len(text.removeprefix("-")) > _DIGITS or not -(2 ** (bits - 1)) <= int(text) < 2 ** (bits - 1):
        raise _wrong(raw, Integer(bits=bits), path, too_large=True)
    return int(text)


def _real(raw: bytes, path: str) -> float:
    try:
        return msgspec.json.decode(raw, type=float)
    except BROKEN:
        # JSON it is: `_scalar` has looked. Of numbers, only those beyond all bounds cannot be read.
        raise _wrong(raw, Real(), path, too_large=raw[:1] in b"-0123456789") from None


def _wrong(raw: bytes, type_: _Scalar, path: str, *, too_large: bool = False) -> Mismatch:
    """Return what is wrong with `raw`; `too_large`: it is a number that no column can hold."""
    unreadable = too_large or isinstance(type_, Timestamp) or too_deep(raw)
    return Mismatch(path, _expected(type_), description(raw), unreadable=unreadable)
