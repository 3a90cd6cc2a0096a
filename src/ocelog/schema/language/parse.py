"""How a log schema file reads: YAML in Panther's log schema language, with the line of whatever is wrong."""

import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path

from ocelog.errors import SchemaError
from ocelog.schema.language.fields import (
    INDICATORS,
    Array,
    Boolean,
    Field,
    Integer,
    Json,
    LogSchema,
    Object,
    Real,
    Text,
    Timestamp,
    Type,
    Validate,
)
from ocelog.suggest import suggest
from ocelog.times import EPOCH
from ocelog.yaml_nodes import Node, NodeMapping, parse

_TOP_KEYS = ("schema", "version", "description", "referenceURL", "fields")
_FIELD_KEYS = ("name", "type", "required", "description", "origin")
_KEYS_OF_TYPE: Mapping[str, tuple[str, ...]] = {
    "string": ("indicators", "validate", "wire"),
    "timestamp": ("timeFormats", "isEventTime"),
    "array": ("element",),
    "object": ("fields",),
}
_TYPES = ("string", "int", "smallint", "bigint", "float", "boolean", "timestamp", "array", "object", "json")
_FORMATS = ("rfc3339", "unix", "unix_ms", "unix_us", "unix_ns")
_VERSIONS_OF_IP = ("any", "ipv4", "ipv6")

_LATER: Mapping[str, str] = {
    "ref": "shared definitions",
    "definitions": "shared definitions",
    "rename": "renaming",
    "mask": "masking",
    "isEmbeddedJSON": "JSON inside a string",
    "parser": "parsers of text logs",
    "copy": "copying fields",
    "concat": "joining fields",
    "split": "splitting fields",
}
"""Parts of the language that this version does not read, and what they do."""

_NAME = re.compile(r"[A-Za-z_@$][\w@$:/ -]{0,127}")
_LOG_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}(\.[A-Za-z0-9_]{1,64}){0,7}")
_MAX_BYTES = 1_000_000
_MAX_FIELDS = 5_000
_MAX_DEPTH = 32


def read_schema(path: Path) -> LogSchema:
    """Read the log schema in `path`. Raises SchemaError, whose message opens with `file:line:`."""
    try:
        with path.open("rb") as file:
            # The size of a device, or of a pipe, is not known before.
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise SchemaError(f"{path}:1: a schema file may have at most {_MAX_BYTES:,} bytes")
        text = content.decode("utf-8")
    except OSError as error:
        raise SchemaError(f"{path}:1: the file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SchemaError(f"{path}:1: the file is not UTF-8 text (byte {error.start})") from error
    return parse_schema(text, str(path))


def parse_schema(text: str, origin: str) -> LogSchema:
    """Read `text` as a log schema; `origin` is what errors call the file."""
    top = parse(text, origin, SchemaError, expected="a log schema with `schema` and `fields`").mapping()
    _only(top, _TOP_KEYS)
    reader = _Reader()
    fields = reader.fields(top.needs("fields"), depth=0)
    return LogSchema(
        log_type=_log_type(top.needs("schema")),
        version=version.whole(0, 999_999) if (version := top.get("version")) else 1,
        description=_text(top.get("description")),
        reference_url=_text(top.get("referenceURL")),
        fields=fields,
    )


def _text(node: Node | None) -> str:
    return " ".join(node.text().split()) if node else ""


def _refuse_later(entry: NodeMapping) -> None:
    """Refuse keys of the language that this version does not read."""
    for name, (key, _) in entry.pairs():
        if name in _LATER:
            raise key.wrong(f"`{name}` ({_LATER[name]}) is not supported yet")


def _only(entry: NodeMapping, known: Collection[str]) -> None:
    _refuse_later(entry)
    entry.only(known)


def _some(node: Node, what: str) -> list[Node]:
    """Return the items of a list, of which there must be one; `what` is one of them."""
    items = node.items()
    if not items:
        raise node.wrong(f"expected at least one {what}, found an empty list")
    return items


def _log_type(node: Node) -> str:
    """Return a text that will do as the name of a log type, and of a table."""
    name = node.text()
    if not _LOG_TYPE.fullmatch(name):
        raise node.wrong(
            f"{name[:80]!r} is not a valid name for a log type: letters, digits and _, in parts such as Acme.Door"
        )
    return name


def _field_name(node: Node) -> str:
    """Return a text that will do as the name of a field, and of a column."""
    name = node.text()
    if not _NAME.fullmatch(name):
        raise node.wrong(
            f"{name!r} is not a valid name for a field: use letters, digits, spaces and _@$:/-, at most 128"
        )
    if name.lower().startswith("p_"):
        raise node.wrong(f"the field {name!r} would hide a standard field: names that begin with p_ are reserved")
    return name


class _Reader:
    """Reads one file; counts fields, since YAML aliases let a small file describe a huge one."""

    def __init__(self) -> None:
        self._count = 0
        self._by_type: Mapping[str, Callable[[NodeMapping, int], Type]] = {
            "string": lambda entry, _: self._string(entry),
            "smallint": lambda *_: Integer(bits=16),
            "int": lambda *_: Integer(bits=32),
            "bigint": lambda *_: Integer(bits=64),
            "float": lambda *_: Real(),
            "boolean": lambda *_: Boolean(),
            "timestamp": lambda entry, _: self._timestamp(entry),
            "json": lambda *_: Json(),
            "array": self._array,
            "object": lambda entry, depth: Object(fields=self.fields(entry.needs("fields"), depth)),
        }

    def fields(self, node: Node, depth: int) -> tuple[Field, ...]:
        items = _some(node, "field (`json` takes any JSON)" if depth else "field")
        fields = tuple(self._field(item, depth) for item in items)
        seen: dict[str, str] = {}
        for item, field in zip(items, fields, strict=True):
            lowered = field.name.lower()
            if lowered in seen:
                raise item.wrong(
                    f"the field {field.name!r} appears twice (as {seen[lowered]!r}; case makes no difference)"
                )
            seen[lowered] = field.name
        return fields

    def _field(self, node: Node, depth: int) -> Field:
        entry = node.mapping()
        type_ = self._type(entry, _FIELD_KEYS, depth)
        name = entry.needs("name")
        origin = entry.get("origin")
        if origin:
            origin.one_of(("ocelog", "vendor"), "origin")
        required = entry.get("required")
        return Field(
            name=_field_name(name),
            type=type_,
            required=bool(required and required.truth()),
            description=_text(entry.get("description")),
            ours=origin is not None and origin.text() == "ocelog",
        )

    def _type(self, entry: NodeMapping, keys: tuple[str, ...], depth: int) -> Type:
        self._count += 1
        if self._count > _MAX_FIELDS or depth > _MAX_DEPTH:
            raise entry.wrong(f"a schema may have {_MAX_FIELDS:,} fields, nested {_MAX_DEPTH} deep, at most")
        _refuse_later(entry)
        name = entry.needs("type").one_of(_TYPES, "type")
        entry.only((*keys, *_KEYS_OF_TYPE.get(name, ())), f" of type {name}")
        return self._by_type[name](entry, depth + 1)

    def _array(self, entry: NodeMapping, depth: int) -> Type:
        element = entry.needs("element").mapping()
        return Array(element=self._type(element, ("type", "description"), depth))

    def _string(self, entry: NodeMapping) -> Text:
        indicators = entry.get("indicators")
        wire = entry.get("wire")
        validate = entry.get("validate")
        return Text(
            indicators=tuple(item.one_of(INDICATORS, "indicator") for item in indicators.items()) if indicators else (),
            validate=self._validate(validate.mapping()) if validate else None,
            sent_as_boolean=wire is not None and wire.one_of(("string", "boolean"), "form") == "boolean",
        )

    def _validate(self, entry: NodeMapping) -> Validate:
        _only(entry, ("allow", "deny", "ip", "cidr"))
        allow, deny, ip, cidr = (entry.get(key) for key in ("allow", "deny", "ip", "cidr"))
        return Validate(
            allow=frozenset(item.text() for item in _some(allow, "text")) if allow else None,
            deny=frozenset(item.text() for item in deny.items()) if deny else frozenset(),
            ip=ip.one_of(_VERSIONS_OF_IP, "version of IP") if ip else None,
            cidr=cidr.one_of(_VERSIONS_OF_IP, "version of IP") if cidr else None,
        )

    def _timestamp(self, entry: NodeMapping) -> Timestamp:
        formats = entry.get("timeFormats")
        event_time = entry.get("isEventTime")
        return Timestamp(
            formats=tuple(self._format(item) for item in _some(formats, "format")) if formats else ("rfc3339",),
            event_time=bool(event_time and event_time.truth()),
        )

    def _format(self, item: Node) -> str:
        pattern = item.text()
        if "%" not in pattern and pattern not in _FORMATS:
            known = f"{', '.join(_FORMATS)} or a strftime pattern such as '%Y-%m-%d %H:%M:%S'"
            raise item.wrong(f"{pattern!r} is not one of {known}{suggest(pattern, _FORMATS)}")
        if pattern in _FORMATS:
            return pattern
        try:
            datetime.strptime(EPOCH.strftime(pattern), pattern)  # noqa: DTZ007  # only to see whether it can be read
        except (ValueError, re.error) as error:
            raise item.wrong(f"no date can be read with {pattern!r}: {error}") from None
        return pattern
