"""The usual way to make rows of records: a pydantic model each, dictionaries, and pyarrow's from_pylist."""

import json
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import uuid4

import pyarrow as pa
import pydantic

from ocelog.model import Kind, Stamp
from ocelog.schema.columns.indicators import IndicatorField, indicator_fields
from ocelog.schema.columns.table import row_schema
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
)
from ocelog.times import from_us


class UsualWay:
    """Makes the same columns as ours of a page, with tools at hand: json, pydantic, hashlib, ipaddress, urllib."""

    def __init__(self, schema: LogSchema, kind: Kind, stamp: Stamp) -> None:
        self._schema = schema
        self._kind = kind
        self._columns = row_schema(schema)
        self._model = _model(schema.fields, "Record")
        self._indicator_fields = indicator_fields(schema)
        self._constant = {
            "p_log_type": schema.log_type,
            "p_schema_version": schema.version,
            "p_observed_at": from_us(stamp.observed_us),
            "p_parse_time": from_us(stamp.parsed_us),
            "p_origin": stamp.origin.value,
            "p_source_id": stamp.source_id,
            "p_source_label": stamp.source_label,
        }

    def rows(self, page: bytes) -> pa.Table:
        """Return the page as rows."""
        return pa.Table.from_pylist([self._row(record) for record in json.loads(page)], schema=self._columns)

    def _row(self, record: dict[str, Any]) -> dict[str, Any]:
        row: dict[str, Any] = self._model.model_validate(record).model_dump()
        found: dict[str, set[str]] = {}
        for field in self._indicator_fields:
            for text in _texts(record, field.path.split(".")):
                _add(found, field, text)
        when = row[self._kind.cursor_field] or row[self._kind.created_field]
        row |= self._constant | {name: sorted(values) for name, values in found.items()}
        row |= {
            "p_row_id": uuid4().hex,
            "p_version": self._version(record),
            "p_event_time": when,
            "p_cursor_time": when,
            "p_version_time": row[self._kind.version_times[0]] or when,
        }
        return row

    def _version(self, record: dict[str, Any]) -> str:
        """Hash what ours hashes: no nulls, keys sorted, and lists whose order says nothing."""
        fields = self._kind.version_fields or ("id",)
        kept = {name: _without_nulls(value) for name in fields if (value := record.get(name)) is not None}
        for name in self._kind.set_like & kept.keys():
            kept[name] = sorted(kept[name], key=_canonical)
        return sha256(_canonical(kept).encode()).hexdigest()[:32]


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    return [_without_nulls(member) for member in value] if isinstance(value, list) else value


def _texts(value: Any, steps: Sequence[str]) -> list[str]:
    for at, step in enumerate(steps):
        value = (value or {}).get(step.removesuffix("[]"))
        if step.endswith("[]"):
            return [
                text for one in value or () for text in (_texts(one, steps[at + 1 :]) if steps[at + 1 :] else [one])
            ]
    return [value] if value else []


def _add(found: dict[str, set[str]], field: IndicatorField, text: str) -> None:
    if field.indicator in {"ip", "url"}:
        host = (urlsplit(text).hostname or "") if field.indicator == "url" else text
        try:
            ip_address(host)
        except ValueError:
            if field.indicator == "url":
                found.setdefault("p_any_domain_names", set()).add(host)
        else:
            found.setdefault("p_any_ip_addresses", set()).add(host)
    elif field.indicator == "aws_arn" and text.startswith("arn:"):
        found.setdefault("p_any_aws_arns", set()).add(text)
        found.setdefault("p_any_aws_account_ids", set()).add(text.split(":")[4])
    elif field.indicator in {"actor_id", "username"} or (field.indicator == "email" and "@" in text):
        found.setdefault(f"p_any_{field.indicator}s", set()).add(text)


def _model(fields: Sequence[Field], name: str) -> Any:
    members: dict[str, Any] = {field.name: (_annotation(field.type, field.name) | None, None) for field in fields}
    return pydantic.create_model(name, **members)


def _as_text(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def _boolean_text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _annotation(type_: Type, name: str) -> Any:  # one answer for each kind of field
    match type_:
        case Text(sent_as_boolean=True):
            return Annotated[str, pydantic.BeforeValidator(_boolean_text)]
        case Text():
            return str
        case Integer():
            return int
        case Real():
            return float
        case Boolean():
            return bool
        case Timestamp():
            return datetime
        case Json():
            return Annotated[str | None, pydantic.BeforeValidator(_as_text)]
        case Array(element=element):
            return list[_annotation(element, name) | None]  # type: ignore[misc]  # a type made at run time
        case Object(fields=fields):
            return _model(fields, name)
