"""Records that fit a log schema, for a log type that has no golden records yet."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ocelog.model import Kind
from ocelog.schema.decode.mismatch import Mismatch
from ocelog.schema.decode.validity import check
from ocelog.schema.language.fields import (
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
from ocelog.times import rfc3339

_AT = datetime(2026, 3, 25, 5, 46, 26, 681576, tzinfo=UTC)
_UNITS = {"unix": 0, "unix_ms": 3, "unix_us": 6, "unix_ns": 9}
_TEXTS = {
    "aws_account_id": "123456789012",
    "aws_arn": "arn:aws:s3:::example",
    "domain": "example.com",
    "email": "ada@example.com",
    "hostname": "host.example.com",
    "ip": "203.0.113.7",
    "mac": "00:00:5e:00:53:01",
    "md5": "0" * 32,
    "net_addr": "203.0.113.7",
    "sha1": "0" * 40,
    "sha256": "0" * 64,
    "url": "https://example.com/",
}


def sample_records(schema: LogSchema, kind: Kind) -> str:
    """Return four records, a line each: all fields, null in the optional ones, the required ones alone, too few.

    The first also has a field that the schema does not know.
    """
    statuses = {"status": kind.statuses[0]} if kind.statuses else {}
    full = {field.name: _value(field) for field in schema.fields} | statuses
    required = {name: value for name, value in full.items() if schema.field(name).required}
    records: list[dict[str, Any]] = [
        full | {"fieldOfTomorrow": 1},
        dict.fromkeys(full) | required,
        required,
        {name: value for name, value in required.items() if name == "id"} if len(required) > 1 else {},
    ]
    for number, record in enumerate(records, start=1):
        if "id" in record:
            record["id"] = f"00000000-0000-4000-8000-{number:012}"
    return "".join(json.dumps(record) + "\n" for record in records)


def _value(field: Field) -> Any:
    return _of(field.type, field.name)


def _of(type_: Type, name: str) -> Any:
    match type_:
        case Text():
            return next(text for text in _texts(type_, name) if _fits(type_, text))
        case Integer():
            return 1
        case Real():
            return 1.5
        case Boolean():
            return True
        case Timestamp(formats=(first, *_)):
            if first in _UNITS:
                return int(_AT.timestamp() * 10 ** _UNITS[first])
            return rfc3339(_AT) if first == "rfc3339" else _AT.strftime(first)
        case Json():
            return {"any": [1, "value", None]}
        case Array(element=element):
            return [_of(element, name), None]
        case Object(fields=fields):
            return {field.name: _value(field) for field in fields}


def _texts(type_: Text, name: str) -> Iterator[str]:
    yield from (_TEXTS[each] for each in type_.indicators if each in _TEXTS)
    yield f"some {name}"
    if type_.validate is not None:
        yield from sorted(type_.validate.allow or ())
    yield from ("203.0.113.7", "2001:db8::7", "203.0.113.0/24", "2001:db8::/32")


def _fits(type_: Text, text: str) -> bool:
    try:
        check(text, type_.validate or Validate(), "$")
    except Mismatch:
        return False
    return True
