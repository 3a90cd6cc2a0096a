"""What one record holds: read member by member, for the records that the typed reader refuses."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ocelog.schema.decode import NO_JSON, Layout, Record
from ocelog.schema.fields import Array, Boolean, Field, Integer, Json, Object, Real, Text, Timestamp, Type
from ocelog.schema.misfit import BROKEN, Misfit, elements, found, free, members, string
from ocelog.schema.split import split_object
from ocelog.schema.timestamps import canonical, instant
from ocelog.schema.validity import check

_PLAIN_NAME = re.compile(r"[\w-]+")
LONGEST_NAME = 1_000
_NAME = f"text of 1 to {LONGEST_NAME:,} characters, and not of spaces alone: records are told apart by it"
_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)


def read_record(raw: bytes, layout: Layout) -> tuple[Record, dict[str, str]]:
    """Read one record; beside it, the fields that its schema does not have: path -> JSON text.

    Raises Misfit, and nothing else, whatever `raw` is.
    """
    unknown: dict[str, str] = {}
    record = _object(raw, layout, "$", unknown)
    if not is_name(record.id):
        raise Misfit("$.id", _NAME, found(msgspec.json.encode(record.id)))
    return record, unknown


def is_name(name: str | None) -> bool:
    """Tell whether `name` tells its record apart from others."""
    return name is not None and len(name) <= LONGEST_NAME and bool(name.strip())


def readable_name(raw: bytes) -> str | None:
    """Return the id of a record that does not fit, None where it has none that can be read."""
    member = split_object(raw).texts.get("id", b"null")
    if member == b"null":
        return None
    try:
        name = str(_scalar(member, Text(), "$.id"))
    except Misfit:
        return None
    return name if is_name(name) else None


def _object(raw: bytes, layout: Layout, path: str, unknown: dict[str, str]) -> Record:
    given = dict(members(raw, path))
    values: dict[str, Any] = {}
    for at, (known, attribute, inner) in enumerate(zip(layout.fields, layout.attributes, layout.inner, strict=True)):
        member = bytes(given.pop(known.name)) if known.name in given else None
        below = _child(path, known.name)
        if member is None or member == b"null":
            _refuse_if_required(known, below, member)
            values[attribute] = layout.nothing(at)
        else:
            value = _value(member, known.type, inner, below, unknown)
            values[attribute] = value if inner is None else msgspec.Raw(msgspec.json.encode(value))
    for name, member in given.items():
        below = _child(path, name)
        unknown[below] = free(bytes(member), below)
    return layout.struct(**values)


def _refuse_if_required(known: Field, path: str, member: bytes | None) -> None:
    if known.required:
        wanted = f"{_expected(known.type)}: the field is required"
        raise Misfit(path, wanted, "nothing" if member is None else "null")


def _child(path: str, name: str) -> str:
    return f"{path}.{name}" if _PLAIN_NAME.fullmatch(name) else f"{path}[{msgspec.json.encode(name).decode()}]"


def _expected(type_: Type) -> str:  # noqa: PLR0911  # one answer for each kind of field
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


def _value(raw: bytes, type_: Type, inner: Layout | None, path: str, unknown: dict[str, str]) -> Any:
    match type_:
        case Object():
            assert inner is not None  # noqa: S101  # an object always has a layout; mypy cannot see it
            return _object(raw, inner, path, unknown)
        case Array(element=element):
            return list(_elements(raw, element, inner, path, unknown))
        case Json():
            free(raw, path)
            return msgspec.Raw(raw)
        case _:
            return _scalar(raw, type_, path)


def _elements(raw: bytes, element: Type, inner: Layout | None, path: str, unknown: dict[str, str]) -> Iterator[Any]:
    for index, item in enumerate(map(bytes, elements(raw, path))):
        if item == b"null":
            yield NO_JSON if isinstance(element, Json) else None
        else:
            yield _value(item, element, inner, f"{path}[{index}]", unknown)


def _scalar(raw: bytes, type_: Text | Integer | Real | Boolean | Timestamp, path: str) -> Any:
    wrong = Misfit(path, _expected(type_), found(raw))
    if raw[:1] in {b"{", b"["}:
        raise wrong
    if raw[:1] != b'"':
        free(raw, path, wrong.expected)
    match type_:
        case Text(validate=validate):
            text = _text(raw, wrong)
            return text if validate is None else check(text, validate, path)
        case Timestamp(formats=formats):
            when = instant(_text(raw, wrong), formats)
            if when is None:
                raise wrong
            return canonical(when)
        case Integer(bits=bits):
            return _integer(raw.decode("utf-8", "replace"), bits, wrong)
        case Real():
            return _real(raw, wrong)
        case Boolean():
            if raw not in {b"true", b"false"}:
                raise wrong
            return raw == b"true"


def _text(raw: bytes, wrong: Misfit) -> str:
    """Return a string's text, or a boolean or number as it is written."""
    return string(raw, wrong.path, wrong.expected) if raw[:1] == b'"' else raw.decode()


def _integer(text: str, bits: int, wrong: Misfit) -> int:
    if not _INTEGER.fullmatch(text) or not -(2 ** (bits - 1)) <= int(text) < 2 ** (bits - 1):
        raise wrong
    return int(text)


def _real(raw: bytes, wrong: Misfit) -> float:
    try:
        return msgspec.json.decode(raw, type=float)
    except BROKEN:
        raise wrong from None


def unknown_text(unknown: Mapping[str, str]) -> str:
    """Write unknown fields as one JSON object: path -> value as it came."""
    pairs = (f"{msgspec.json.encode(path.removeprefix('$.')).decode()}:{text}" for path, text in unknown.items())
    return "{" + ",".join(pairs) + "}"


def unknown_names(paths: Sequence[str]) -> set[str]:
    """Return paths without list positions, 200 characters at most: `projects[].owner` for `$.projects[3].owner`."""
    return {re.sub(r"\[\d+\]", "[]", path.removeprefix("$."))[:200] for path in paths}
