"""What people and programs see of the log schemas."""

from typing import Any

from ocelog.app.log_types import log_types
from ocelog.model import table_name
from ocelog.schema.language.fields import (
    Array,
    Boolean,
    Field,
    Integer,
    Json,
    Object,
    Real,
    Text,
    Timestamp,
    Type,
    leaves,
)
from ocelog.schema.language.packaged import packaged_schemas

_INTEGERS = {16: "smallint", 32: "int", 64: "bigint"}


def every() -> list[dict[str, Any]]:
    """Return the log types that Ocelog knows."""
    return [
        {
            "log_type": schema.log_type,
            "table": table_name(schema.log_type),
            "version": schema.version,
            "fields": len(list(leaves(schema.fields))),
            "description": schema.description,
        }
        for schema in packaged_schemas().values()
    ]


def fields_of(log_type: str) -> list[dict[str, Any]]:
    """Return every field of a log type, by its full or short name. Raises ConfigError with the nearest."""
    schema = packaged_schemas()[log_types([log_type])[0]]
    return [_line(path, field) for path, field in leaves(schema.fields)]


def _line(path: str, field: Field) -> dict[str, Any]:
    return {
        "field": path,
        "type": type_name(field.type),
        "required": field.required,
        "indicators": _indicators(field.type),
        "origin": "ocelog" if field.ours else "vendor",
        "description": field.description,
    }


def _indicators(type_: Type) -> list[str]:
    match type_:
        case Text(indicators=indicators):
            return list(indicators)
        case Array(element=element):
            return _indicators(element)
        case _:
            return []


def type_name(type_: Type) -> str:
    """Return what the schema language calls `type_`."""
    match type_:
        case Text():
            return "string"
        case Integer(bits=bits):
            return _INTEGERS[bits]
        case Real():
            return "float"
        case Boolean():
            return "boolean"
        case Timestamp(event_time=event_time):
            return "timestamp (event time)" if event_time else "timestamp"
        case Json():
            return "json"
        case Array(element=element):
            return f"array of {type_name(element)}"
        case Object():
            return "object"
