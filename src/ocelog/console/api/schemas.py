"""Schemas: what each log type has."""

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from ocelog.app.log_types import kinds, log_types
from ocelog.app.records import schema_showing
from ocelog.app.records.samples import MOST_BYTES, sample
from ocelog.app.search.tables import column_doc, columns, sql_type
from ocelog.console.api.caller import Analyst, Viewer
from ocelog.console.api.paging import Cursor, Limit, Page, page_of
from ocelog.console.api.problems import not_found
from ocelog.console.api.values import Name, plain
from ocelog.console.asking import answered
from ocelog.model import table_name

router = APIRouter(prefix="/schemas", tags=["Schemas"])


class Schema(BaseModel):
    """A log type."""

    log_type: str
    short: str = Field(description="What people type for it.")
    table: str = Field(description="As SQL names it; with `_current` behind it: the newest version of each record.")
    description: str
    changes: bool = Field(description="Its records change, and each change is a version.")
    version: int = Field(description="Of the schema.")
    fields: int = Field(description="How many it has.")


class SchemaColumn(BaseModel):
    """A column of its table."""

    name: str
    type: str = Field(description="As SQL writes it.")
    description: str


class SchemaField(BaseModel):
    """A field of a record."""

    field: str = Field(description="Its path.")
    type: str
    required: bool
    indicators: list[str]
    origin: str = Field(description="`vendor`, or `ocelog`.")
    description: str


class SchemaColumns(Schema):
    """A log type with its columns and its fields."""

    columns: list[SchemaColumn]
    every_field: list[SchemaField]


class PastedRecords(BaseModel):
    """Records as the source sends them."""

    model_config = ConfigDict(extra="forbid")
    text: str = Field(max_length=MOST_BYTES, description="A JSON object, an array of such, or one on each line.")


class RejectedRecord(BaseModel):
    """A record that does not fit."""

    record_id: str | None
    path: str = Field(description="The field that does not.")
    expected: str
    found: str


class RuleMatch(BaseModel):
    """A rule that matches an event."""

    event: int = Field(description="Which of the events, counted from 0.")
    rule: str
    title: str
    severity: str


class SampledRecords(BaseModel):
    """What records become. Nothing of it is kept."""

    events: list[dict[str, Any]] = Field(description="As rows of the table.")
    rejections: list[RejectedRecord]
    matches: list[RuleMatch]
    rules_asked: int = Field(description="Those that are on.")
    troubles: list[str] = Field(description="Why rules said nothing.")


def _schema(log_type: str) -> Schema:
    kind = kinds()[log_type]
    return Schema(
        log_type=log_type,
        short=kind.short,
        table=table_name(log_type),
        description=_listed()[log_type]["description"],
        changes=kind.version_fields is not None,
        **{name: value for name, value in _listed()[log_type].items() if name in ("version", "fields")},
    )


def _listed() -> dict[str, dict[str, Any]]:
    return {each["log_type"]: each for each in schema_showing.every()}


@router.get("")
def list_schemas(caller: Viewer, limit: Limit = 50, cursor: Cursor = None) -> Page[Schema]:  # noqa: ARG001
    """List the log types."""
    found, further = page_of(kinds(), lambda each: each, limit=limit, cursor=cursor)
    return Page(items=[_schema(each) for each in found], next=further)


@router.get("/{log_type}")
def get_schema(caller: Viewer, log_type: Name) -> SchemaColumns:  # noqa: ARG001 - nobody reads it without a token
    """Return one log type, by its full or short name, with its columns."""
    with not_found():
        (named,) = log_types([log_type])
    there = [
        SchemaColumn(
            name=each.name,
            type=sql_type(each.type),
            description=column_doc(each),
        )
        for each in columns(table_name(named))
    ]
    fields = [SchemaField(**each) for each in schema_showing.fields_of(named)]
    return SchemaColumns(**_schema(named).model_dump(), columns=there, every_field=fields)


@router.post("/{log_type}/sample")
async def shape_sample(request: Request, caller: Analyst, log_type: Name, body: PastedRecords) -> SampledRecords:
    """Return what records become: events, rejections, and the rules that match. Nothing is kept."""
    with not_found():
        (named,) = log_types([log_type])
    found = await answered(request, caller, lambda _stop: sample(caller.installation, named, body.text))
    return SampledRecords(
        events=[plain(each) for each in found.events],
        rejections=[
            RejectedRecord(record_id=each.record_id, path=each.path, expected=each.expected, found=each.found)
            for each in found.rejections
        ],
        matches=[
            RuleMatch(event=each.event, rule=each.rule, title=each.title, severity=each.severity)
            for each in found.matches
        ],
        rules_asked=found.asked,
        troubles=list(found.troubles),
    )
