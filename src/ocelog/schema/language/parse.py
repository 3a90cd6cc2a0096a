"""How a log schema file reads: YAML in Panther's log schema language, with the line of whatever is wrong."""

import re
from collections.abc import Callable, Mapping
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
from ocelog.schema.language.yaml_nodes import YamlMapping, YamlNode, parse
from ocelog.times import EPOCH

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
    top = parse(text, origin).mapping()
    top.only(_TOP_KEYS, later=_LATER)
    reader = _Reader()
    fields = reader.fields(top.needs("fields"), depth=0)
    return LogSchema(
        log_type=top.needs("schema").log_type(),
        version=version.natural() if (version := top.get("version")) else 1,
        description=_text(top.get("description")),
        reference_url=_text(top.get("referenceURL")),
        fields=fields,
    )


def _text(node: YamlNode | None) -> str:
    return " ".join(node.text().split()) if node else ""


class _Reader:
    """Reads one file; counts fields, since YAML aliases let a small file describe a huge one."""

    def __init__(self) -> None:
        self._count = 0
        self._by_type: Mapping[str, Callable[[YamlMapping, int], Type]] = {
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

    def fields(self, node: YamlNode, depth: int) -> tuple[Field, ...]:
        items = node.some("field (`json` takes any JSON)" if depth else "field")
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

    def _field(self, node: YamlNode, depth: int) -> Field:
        entry = node.mapping()
        type_ = self._type(entry, _FIELD_KEYS, depth)
        name = entry.needs("name")
        origin = entry.get("origin")
        if origin:
            origin.one_of(("ocelog", "vendor"))
        required = entry.get("required")
        return Field(
            name=name.field_name(),
            type=type_,
            required=bool(required and required.truth()),
            description=_text(entry.get("description")),
            ours=origin is not None and origin.text() == "ocelog",
        )

    def _type(self, entry: YamlMapping, keys: tuple[str, ...], depth: int) -> Type:
        self._count += 1
        if self._count > _MAX_FIELDS or depth > _MAX_DEPTH:
            raise entry.wrong(f"a schema may have {_MAX_FIELDS:,} fields, nested {_MAX_DEPTH} deep, at most")
        entry.not_later(_LATER)
        name = entry.needs("type").one_of(_TYPES)
        entry.only((*keys, *_KEYS_OF_TYPE.get(name, ())), later=_LATER, context=f" of type {name}")
        return self._by_type[name](entry, depth + 1)

    def _array(self, entry: YamlMapping, depth: int) -> Type:
        element = entry.needs("element").mapping()
        return Array(element=self._type(element, ("type", "description"), depth))

    def _string(self, entry: YamlMapping) -> Text:
        indicators = entry.get("indicators")
        wire = entry.get("wire")
        validate = entry.get("validate")
        return Text(
            indicators=tuple(item.one_of(INDICATORS) for item in indicators.items()) if indicators else (),
            validate=self._validate(validate.mapping()) if validate else None,
            sent_as_boolean=wire is not None and wire.one_of(("string", "boolean")) == "boolean",
        )

    def _validate(self, entry: YamlMapping) -> Validate:
        entry.only(("allow", "deny", "ip", "cidr"), later=_LATER)
        allow, deny, ip, cidr = (entry.get(key) for key in ("allow", "deny", "ip", "cidr"))
        return Validate(
            allow=frozenset(item.text() for item in allow.some("text")) if allow else None,
            deny=frozenset(item.text() for item in deny.items()) if deny else frozenset(),
            ip=ip.one_of(_VERSIONS_OF_IP) if ip else None,
            cidr=cidr.one_of(_VERSIONS_OF_IP) if cidr else None,
        )

    def _timestamp(self, entry: YamlMapping) -> Timestamp:
        formats = entry.get("timeFormats")
        event_time = entry.get("isEventTime")
        return Timestamp(
            formats=tuple(self._format(item) for item in formats.some("format")) if formats else ("rfc3339",),
            event_time=bool(event_time and event_time.truth()),
        )

    def _format(self, item: YamlNode) -> str:
        pattern = item.text()
        if "%" not in pattern:
            return item.one_of(_FORMATS, besides=" or a strftime pattern such as '%Y-%m-%d %H:%M:%S'")
        try:
            datetime.strptime(EPOCH.strftime(pattern), pattern)  # noqa: DTZ007  # only to see whether it can be read
        except (ValueError, re.error) as error:
            raise item.wrong(f"no date can be read with {pattern!r}: {error}") from None
        return pattern
