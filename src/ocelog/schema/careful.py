"""What one record holds, and if it does not fit its schema: where, what was expected, what was found."""

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec

from ocelog.schema.decode import NO_JSON, Record, Layout
from ocelog.schema.fields import (
    Array,
    Boolean,
    Integer,
    Json,
    Object,
    Real,
    Text,
    Timestamp,
    Type,
    Validate,
)
from ocelog.schema.timestamps import canonical, instant

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_STRING = msgspec.json.Decoder(str)
_BROKEN = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)
"""What reading foreign JSON can raise; UnicodeDecodeError is a ValueError."""

_KINDS = {"{": "an object", "[": "a list", '"': "a string", "t": "a boolean", "f": "a boolean", "n": "null"}
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_SHOWN = 80
_INTEGER = re.compile(r"-?\d+", re.ASCII)


class Misfit(Exception):  # noqa: N818  # it never leaves the schema package: shaping makes a rejection of it
    """A record does not fit its schema."""

    def __init__(self, path: str, expected: str, found: str) -> None:
        super().__init__(f"{path}: expected {expected}, found {found}")
        self.path = path
        self.expected = expected
        self.found = found


def read_record(raw: bytes, layout: Layout) -> tuple[Record, dict[str, str]]:
    """Read one record; beside it, the fields that its schema does not have: path -> JSON text.

    Raises Misfit, and nothing else, whatever `raw` is.
    """
    unknown: dict[str, str] = {}
    try:
        _OBJECT.decode(raw)
    except msgspec.ValidationError:
        raise Misfit("$", "an object", _found(raw)) from None
    except _BROKEN as error:
        raise Misfit("$", "a JSON object", _trouble(raw, error)) from None
    return _object(msgspec.Raw(raw), layout, "$", unknown), unknown


def _trouble(raw: bytes, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "JSON nested too deep to be read"
    try:
        raw.decode()
    except UnicodeDecodeError as broken:
        return f"text that is not UTF-8 (byte {broken.start})"
    if lone_surrogate(raw):
        return "text with half of a surrogate pair"
    return f"no JSON ({error})"


def _found(raw: bytes) -> str:
    """Say in a few words what `raw` is."""
    start = raw.lstrip()[:_SHOWN].decode("utf-8", "replace")
    kind = _KINDS.get(start[:1], "a number")
    if kind in {"null", "an object", "a list"}:
        return kind
    return f"{kind}, {start}{'...' if len(raw) > _SHOWN else ''}"


def _members(raw: bytes, path: str) -> dict[str, msgspec.Raw]:
    try:
        return _OBJECT.decode(raw)
    except msgspec.ValidationError:
        raise Misfit(path, "an object", _found(raw)) from None
    except _BROKEN as error:
        raise Misfit(path, "an object", _trouble(raw, error)) from None


def _object(raw: msgspec.Raw, layout: Layout, path: str, unknown: dict[str, str]) -> Record:
    members = _members(bytes(raw), path)
    values: dict[str, Any] = {}
    for known, attribute, inner in zip(layout.fields, layout.attributes, layout.inner, strict=True):
        member = members.pop(known.name, None)
        below = _child(path, known.name)
        if member is None or bytes(member) == b"null":
            if known.required:
                found = "nothing" if member is None else "null"
                raise Misfit(below, f"a value ({_expected(known.type)}): the field is required", found)
            continue
        values[attribute] = _value(member, known.type, inner, below, unknown)
    for name, member in members.items():
        unknown[_child(path, name)] = _json(member, _child(path, name))
    for known, attribute in zip(layout.fields, layout.attributes, strict=True):
        if attribute not in values:
            values[attribute] = NO_JSON if isinstance(known.type, Json) else None
    return layout.struct(**values)


def _child(path: str, name: str) -> str:
    return f"{path}.{name}" if re.fullmatch(r"[\w-]{1,200}", name) else f"{path}[{msgspec.json.encode(name[:200]).decode()}]"


def _expected(type_: Type) -> str:
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


def _value(raw: msgspec.Raw, type_: Type, inner: Layout | None, path: str, unknown: dict[str, str]) -> Any:
    match type_:
        case Object():
            assert inner is not None  # noqa: S101  # an object always has a layout; mypy cannot see it
            return _object(raw, inner, path, unknown)
        case Array(element=element):
            return list(_elements(raw, element, inner, path, unknown))
        case Json():
            _json(raw, path)
            return raw
        case _:
            return _scalar(bytes(raw), type_, path)


def _elements(raw: msgspec.Raw, element: Type, inner: Layout | None, path: str, unknown: dict[str, str]) -> Iterator[Any]:
    try:
        items = _LIST.decode(raw)
    except msgspec.ValidationError:
        raise Misfit(path, "a list", _found(bytes(raw))) from None
    except _BROKEN as error:
        raise Misfit(path, "a list", _trouble(bytes(raw), error)) from None
    for index, item in enumerate(items):
        if bytes(item) == b"null":
            yield NO_JSON if isinstance(element, Json) else None
        else:
            yield _value(item, element, inner, f"{path}[{index}]", unknown)


def _json(raw: msgspec.Raw, path: str) -> str:
    data = bytes(raw)
    if b"\\u" in data and lone_surrogate(data):
        raise Misfit(path, "JSON", "text with half of a surrogate pair")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Misfit(path, "JSON", f"text that is not UTF-8 (byte {error.start})") from None


def lone_surrogate(data: bytes) -> bool:
    """Tell whether an escape in `data` stands for half a character: no UTF-8 text can hold it."""
    high_ends_at = -1
    for escape in _ESCAPE.finditer(data):
        code = int(escape[1], 16) if escape[1] else 0
        after_high = high_ends_at == escape.start()
        if high_ends_at >= 0 and not (after_high and 0xDC00 <= code < 0xE000):
            return True
        if 0xDC00 <= code < 0xE000 and not after_high:
            return True
        high_ends_at = escape.end() if 0xD800 <= code < 0xDC00 else -1
    return high_ends_at >= 0


def _scalar(raw: bytes, type_: Text | Integer | Real | Boolean | Timestamp, path: str) -> Any:
    wrong = Misfit(path, _expected(type_), _found(raw))
    match type_:
        case Text(validate=validate):
            text = _text(raw, wrong)
            return text if validate is None else _valid(text, validate, path)
        case Timestamp(formats=formats):
            found = instant(_text(raw, wrong), formats)
            if found is None:
                raise wrong
            return canonical(found)
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
    if raw[:1] in {b"{", b"["}:
        raise wrong
    if raw[:1] != b'"':
        return raw.decode()
    try:
        return _STRING.decode(raw)
    except _BROKEN as error:
        raise Misfit(wrong.path, wrong.expected, _trouble(raw, error)) from None


def _integer(text: str, bits: int, wrong: Misfit) -> int:
    if len(text) > 20 or not _INTEGER.fullmatch(text) or not -(2 ** (bits - 1)) <= int(text) < 2 ** (bits - 1):
        raise wrong
    return int(text)


def _real(raw: bytes, wrong: Misfit) -> float:
    try:
        return msgspec.json.decode(raw, type=float)
    except _BROKEN:
        raise wrong from None


def _valid(text: str, validate: Validate, path: str) -> str:
    shown = repr(text[:_SHOWN])
    if validate.allow is not None and text not in validate.allow:
        raise Misfit(path, f"one of {', '.join(sorted(validate.allow))}"[:1000], shown)
    if text in validate.deny:
        raise Misfit(path, f"none of {', '.join(sorted(validate.deny))}"[:1000], shown)
    if validate.ip is not None and not _is_network(text, validate.ip, network=False):
        raise Misfit(path, f"an IP address ({validate.ip})", shown)
    if validate.cidr is not None and not _is_network(text, validate.cidr, network=True):
        raise Misfit(path, f"an IP network in CIDR notation ({validate.cidr})", shown)
    return text


def _is_network(text: str, wanted: str, *, network: bool) -> bool:
    try:
        found = ip_network(text, strict=False) if network else ip_address(text)
    except ValueError:
        return False
    return (wanted == "any" or wanted == f"ipv{found.version}") and (not network or "/" in text)


def readable_id(raw: bytes, name: str) -> str | None:
    """Return the text of the field `name` of a record, None where it has none that can be read."""
    try:
        member = _OBJECT.decode(raw).get(name)
        return _STRING.decode(member) if member is not None else None
    except _BROKEN:
        return None


def as_unknown_text(unknown: Mapping[str, str]) -> str:
    """Write unknown fields as one JSON object: path -> value as it came."""
    pairs = (f"{msgspec.json.encode(path.removeprefix('$.')).decode()}:{text}" for path, text in unknown.items())
    return "{" + ",".join(pairs) + "}"


def unplaced(paths: Sequence[str]) -> list[str]:
    """Return paths without list positions: `projects[].owner` for `$.projects[3].owner`."""
    return [re.sub(r"\[\d+\]", "[]", path.removeprefix("$.")) for path in paths]
