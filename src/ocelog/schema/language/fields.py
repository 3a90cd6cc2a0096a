"""What kinds of fields a log schema can have: closed unions, so that mypy finds who has no answer to a new kind."""

from collections.abc import Iterator
from typing import TypeAlias

from msgspec import Struct

INDICATORS = (
    "actor_id",
    "aws_account_id",
    "aws_arn",
    "aws_instance_id",
    "aws_tag",
    "domain",
    "email",
    "hostname",
    "ip",
    "mac",
    "md5",
    "net_addr",
    "sha1",
    "sha256",
    "trace_id",
    "url",
    "username",
)
"""What a text can be an indicator of."""


class Validate(Struct, frozen=True, kw_only=True):
    """What a text must be, in addition to being text. `ip` and `cidr` are any, ipv4 or ipv6; None asks for nothing."""

    allow: frozenset[str] | None = None
    deny: frozenset[str] = frozenset()
    ip: str | None = None
    cidr: str | None = None


class Text(Struct, frozen=True, kw_only=True):
    """`string`. A JSON boolean or number is taken as its text."""

    indicators: tuple[str, ...] = ()
    validate: Validate | None = None
    sent_as_boolean: bool = False
    """The source is known to send a JSON boolean: shaping expects it, so that it costs nothing."""


class Integer(Struct, frozen=True, kw_only=True):
    """`smallint`, `int` or `bigint`: 16, 32 or 64 bits."""

    bits: int


class Real(Struct, frozen=True, kw_only=True):
    """`float`: 64 bits."""


class Boolean(Struct, frozen=True, kw_only=True):
    """`boolean`."""


class Timestamp(Struct, frozen=True, kw_only=True):
    """`timestamp`. `formats` are tried in order: rfc3339, unix, unix_ms, unix_us, unix_ns or a strftime pattern."""

    formats: tuple[str, ...] = ("rfc3339",)
    event_time: bool = False


class Json(Struct, frozen=True, kw_only=True):
    """`json`: any JSON value, kept as its text."""


class Array(Struct, frozen=True, kw_only=True):
    """`array`; its elements may be null."""

    element: "Type"


class Object(Struct, frozen=True, kw_only=True):
    """`object`."""

    fields: "tuple[Field, ...]"


Type: TypeAlias = Text | Integer | Real | Boolean | Timestamp | Json | Array | Object


class Field(Struct, frozen=True, kw_only=True):
    """A named part of a record. `required` inside an object binds only if the object is present."""

    name: str
    type: Type
    required: bool = False
    description: str = ""
    ours: bool = False
    """Not on the vendor's page; we added it."""


class LogSchema(Struct, frozen=True, kw_only=True):
    """The log schema of one log type. `version` counts up when fields are added; rows carry it."""

    log_type: str
    version: int
    fields: tuple[Field, ...]
    description: str = ""
    reference_url: str = ""

    def field(self, name: str) -> Field:
        """Return the top-level field `name`. Raises KeyError."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)


def leaves(fields: tuple[Field, ...], prefix: str = "") -> Iterator[tuple[str, Field]]:
    """Yield every field that is not an object, with its dotted path; `projects[].id` lies in a list of objects."""
    for field in fields:
        yield from _below(prefix + field.name, field, field.type)


def _below(path: str, field: Field, type_: Type) -> Iterator[tuple[str, Field]]:
    match type_:
        case Object(fields=fields):
            yield from leaves(fields, path + ".")
        case Array(element=Object() | Array() as element):
            yield from _below(path + "[]", field, element)
        case _:
            yield path, field
