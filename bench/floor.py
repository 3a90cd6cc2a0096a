"""The least that shaping can cost: msgspec structs with every field typed, nested objects too."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from ocelog.schema.language.fields import Array, Boolean, Field, Integer, Json, Object, Real, Text, Timestamp, Type


def typed_decoder(fields: Sequence[Field]) -> Callable[[bytes], list[Any]]:
    """Return what decodes a page of records to plain structs in one call."""
    return msgspec.json.Decoder(list[_struct(fields, "Record")]).decode  # type: ignore[misc]  # made at run time


def _struct(fields: Sequence[Field], name: str) -> Any:
    nothing = msgspec.Raw(b"null")
    members = [(field.name, _type(field), nothing if isinstance(field.type, Json) else None) for field in fields]
    return msgspec.defstruct(name, members, gc=False)


def _type(field: Field) -> Any:
    return msgspec.Raw if isinstance(field.type, Json) else _python(field.type, field.name) | None


def _python(type_: Type, name: str) -> Any:  # one answer for each kind of field
    match type_:
        case Text(sent_as_boolean=True):
            return bool | str
        case Text():
            return str
        case Timestamp():
            return datetime
        case Integer():
            return int
        case Real():
            return float
        case Boolean():
            return bool
        case Json():
            return msgspec.Raw
        case Array(element=element):
            return list[_python(element, name) | None]  # type: ignore[misc]  # made at run time
        case Object(fields=fields):
            return _struct(fields, name)
