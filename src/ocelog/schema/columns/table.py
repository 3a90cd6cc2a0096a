"""Which columns a log type's table has, and the rejections table: Arrow schemas and what each column means."""

import base64
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from ocelog.model import Rejection, Stamp
from ocelog.schema.columns.indicators import any_columns, every_any_column
from ocelog.schema.decode.timestamps import INSTANT
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

INTEGERS = {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}

PARQUET_OPTIONS: dict[str, object] = {
    "compression": "lz4",
    "use_dictionary": False,
    "write_statistics": False,
    "store_schema": False,
}
"""How a page is best written as a part, into memory and then in one piece to the file.

A part lives for minutes, until it is published: LZ4 takes 1.5 times the room of zstd and two thirds of its time.
Dictionaries and statistics pay in files that are larger, or read more often.
"""

_LARGE = 512


def part_options(rows: pa.Table) -> dict[str, object]:
    """Return the options for writing `rows` as a part: a dictionary only if long texts repeat, such as rules."""
    columns = zip(rows.column_names, rows.columns, strict=True)
    large = [name for name, column in columns if pa.types.is_string(column.type) and column.nbytes > _LARGE * len(rows)]
    return {**PARQUET_OPTIONS, "use_dictionary": large or False}


_STANDARD: tuple[tuple[str, pa.DataType, str], ...] = (
    ("p_log_type", pa.string(), "The log type, such as Wiz.Issues."),
    ("p_schema_version", pa.int32(), "Version of the log schema that shaped the row."),
    ("p_row_id", pa.string(), "The row's own id: 32 hex digits, unique in the table."),
    ("p_version", pa.string(), "Fingerprint of the record's state: equal if nothing that counts has changed."),
    ("p_event_time", INSTANT, "When it happened; if the record does not say, when it was read."),
    ("p_cursor_time", INSTANT, "The date by which the record was requested."),
    ("p_version_time", INSTANT, "When this version of the record began, by the source."),
    ("p_observed_at", INSTANT, "When it was requested, by the source's own clock."),
    ("p_parse_time", INSTANT, "When Ocelog made the row, by this machine's clock."),
    ("p_origin", pa.string(), "Why the record was read: live, backfill or sweep."),
    ("p_source_id", pa.string(), "Id of the source that it came from."),
    ("p_source_label", pa.string(), "Name of the source that it came from."),
    (
        "p_inferred",
        pa.string(),
        "Null in a version that the source returned; inferred_closed if a sweep added it, as it is no longer returned.",
    ),
)
_EXTRA = (
    "p_extra",
    pa.string(),
    "What no column holds, by path, as JSON text: fields without a column, and values that cannot be read.",
)

_REJECTION_COLUMNS: tuple[tuple[str, pa.DataType, str], ...] = (
    ("p_row_id", pa.string(), "Fingerprint of source, log type and record: a record rejected twice is here once."),
    ("p_log_type", pa.string(), "The log type that the record should have been."),
    ("p_source_id", pa.string(), "Id of the source that it came from."),
    ("p_source_label", pa.string(), "Name of the source that it came from."),
    ("p_origin", pa.string(), "Why the record was read: live, backfill or sweep."),
    ("p_event_time", INSTANT, "The same as p_observed_at: a rejected record has no time of its own."),
    ("p_cursor_time", INSTANT, "The same as p_observed_at."),
    ("p_observed_at", INSTANT, "When it was requested, by the source's own clock."),
    ("p_parse_time", INSTANT, "When it was rejected, by this machine's clock."),
    ("record_id", pa.string(), "The record's id, if it has one that can be read."),
    ("path", pa.string(), "Where in the record the problem is, as a JSON path."),
    ("expected", pa.string(), "What the log schema asks for there."),
    ("found", pa.string(), "What was found there."),
    ("raw", pa.string(), "The record as it came."),
    ("raw_encoding", pa.string(), "utf-8, or base64 if the record is not UTF-8 text."),
    (
        "unknown_fields",
        pa.list_(pa.string()),
        "Fields that the source did not return with this record (refused, or failed in that answer); null: none.",
    ),
)

_MATCH_COLUMNS: tuple[tuple[str, pa.DataType, str], ...] = (
    ("p_row_id", pa.string(), "The match's own id: of the rule and the event, so that a rule matches an event once."),
    ("p_log_type", pa.string(), "The log type of the event."),
    ("p_source_id", pa.string(), "Id of the source that the event came from."),
    ("p_source_label", pa.string(), "Name of the source that the event came from."),
    ("p_origin", pa.string(), "Why the event was read: live, backfill or sweep."),
    ("p_event_time", INSTANT, "When the event happened."),
    ("p_cursor_time", INSTANT, "The event's p_cursor_time."),
    ("p_observed_at", INSTANT, "When the event was requested, by the source's own clock."),
    ("p_parse_time", INSTANT, "When the rule matched it, by this machine's clock."),
    ("event_row_id", pa.string(), "The event's p_row_id in the table of its log type."),
    ("record_id", pa.string(), "The event's id at the source."),
    ("rule_id", pa.string(), "The rule that matched."),
    ("rule_name", pa.string(), "What people call it."),
    ("rule_revision", pa.string(), "Fingerprint of the rule's files as they were when it judged."),
    ("rule_tags", pa.list_(pa.string()), "The rule's tags."),
    ("severity", pa.string(), "How bad the rule said it is."),
    ("title", pa.string(), "Title of the match."),
    ("dedup", pa.string(), "What the rule groups its matches by."),
    ("unique_value", pa.string(), "What the rule's unique() returned; a threshold counts distinct ones."),
    ("alert_id", pa.string(), "The alert that the match belongs to; null: the rule only records matches."),
    ("alert_context", pa.string(), "What the rule's alert_context() returned, as JSON."),
)


def _schema(columns: Sequence[tuple[str, pa.DataType, str]]) -> pa.Schema:
    return pa.schema([pa.field(name, type_, metadata=_doc(doc)) for name, type_, doc in columns])


def _doc(text: str) -> dict[bytes, bytes] | None:
    return {b"doc": text.encode()} if text else None


REJECTION_SCHEMA: pa.Schema = _schema(_REJECTION_COLUMNS)
MATCH_SCHEMA: pa.Schema = _schema([*_MATCH_COLUMNS, *every_any_column()])


def arrow_schema(schema: LogSchema) -> pa.Schema:
    """Return the columns of the table of `schema`: its fields, then the standard fields.

    Each column says what it means in its metadata, under `doc`. Of the p_any_ columns a table has those that its
    schema's indicators feed.
    """
    own = [_arrow_field(field) for field in schema.fields]
    return pa.schema([*own, *_schema([*_STANDARD, *any_columns(schema), _EXTRA])])


def standard_columns(schemas: Iterable[pa.Schema]) -> list[pa.Field]:
    """Return the standard fields that any of `schemas` has, in the one order in which tables have them."""
    found = {column.name: column for schema in schemas for column in schema if column.name.startswith("p_")}
    order = [name for name, _, _ in (*_STANDARD, *every_any_column(), _EXTRA)]
    return sorted(found.values(), key=lambda each: order.index(each.name) if each.name in order else len(order))


def row_schema(schema: LogSchema) -> pa.Schema:
    """Return the same columns without what they mean: parts need not repeat it."""
    return _without_docs(arrow_schema(schema))


def _without_docs(schema: pa.Schema) -> pa.Schema:
    return pa.schema([pa.field(column.name, _bare(column.type)) for column in schema])


def _bare(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(type_):
        return pa.struct([pa.field(field.name, _bare(field.type)) for field in type_])
    if pa.types.is_list(type_):
        return pa.list_(_bare(type_.value_type))
    return type_


def _arrow_field(field: Field) -> pa.Field:
    return pa.field(field.name, arrow_type(field.type), metadata=_doc(field.description))


def arrow_type(type_: Type) -> pa.DataType:  # one answer for each kind of field
    """Return the Arrow type that holds values of `type_`."""
    match type_:
        case Text() | Json():
            return pa.string()
        case Integer(bits=bits):
            return INTEGERS[bits]
        case Real():
            return pa.float64()
        case Boolean():
            return pa.bool_()
        case Timestamp():
            return INSTANT
        case Array(element=element):
            return pa.list_(arrow_type(element))
        case Object(fields=fields):
            return pa.struct([_arrow_field(field) for field in fields])


_REJECTION_ROWS = _without_docs(REJECTION_SCHEMA)
_MATCH_ROWS = _without_docs(MATCH_SCHEMA)
FROM_EVENT = frozenset(
    {"p_log_type", "p_source_id", "p_source_label", "p_origin", "p_event_time", "p_cursor_time", "p_observed_at"}
)
"""Columns of a match that are those of its event."""


def rejection_rows(rejections: Sequence[Rejection], *, log_type: str, keys: Sequence[str], stamp: Stamp) -> pa.Table:
    """Return one row a rejection; `keys` are their row ids."""
    texts: list[tuple[str, str]] = []
    for rejection in rejections:
        try:
            texts.append((rejection.raw.decode(), "utf-8"))
        except UnicodeDecodeError:
            texts.append((base64.b64encode(rejection.raw).decode(), "base64"))
    rows = len(rejections)
    observed = pa.array([stamp.observed_us] * rows, INSTANT)
    columns = {
        "p_row_id": list(keys),
        "p_log_type": [log_type] * rows,
        "p_source_id": [stamp.source_id] * rows,
        "p_source_label": [stamp.source_label] * rows,
        "p_origin": [stamp.origin.value] * rows,
        "p_event_time": observed,
        "p_cursor_time": observed,
        "p_observed_at": observed,
        "p_parse_time": pa.array([stamp.parsed_us] * rows, INSTANT),
        "record_id": [rejection.record_id for rejection in rejections],
        "path": [rejection.path for rejection in rejections],
        "expected": [rejection.expected for rejection in rejections],
        "found": [rejection.found for rejection in rejections],
        "raw": [text for text, _ in texts],
        "raw_encoding": [encoding for _, encoding in texts],
        "unknown_fields": [sorted(rejection.unknown) or None for rejection in rejections],
    }
    return pa.table(columns, schema=_REJECTION_ROWS)


def match_rows(
    events: pa.Table, at: Sequence[int], told: Mapping[str, Sequence[object]], *, judged_us: int
) -> pa.Table:
    """Return one row a match. `at`: which row of `events` each is of; `told`: what the rule said, by column."""
    taken = events.take(pa.array(at, pa.int64()))
    columns: dict[str, object] = {
        name: taken.column(name).combine_chunks()
        if name in taken.column_names
        else pa.nulls(len(at), _MATCH_ROWS.field(name).type)
        for name in _MATCH_ROWS.names
        if name in FROM_EVENT or name.startswith("p_any_")
    }
    columns["p_parse_time"] = pa.array([judged_us] * len(at), INSTANT)
    columns["event_row_id"] = taken.column("p_row_id").combine_chunks()
    columns["record_id"] = (
        taken.column("id").combine_chunks() if "id" in taken.column_names else pa.nulls(len(at), pa.string())
    )
    return pa.table({**columns, **told}, schema=_MATCH_ROWS)
