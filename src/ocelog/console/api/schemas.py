"""Schemas: what each log type has."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from ocelog.app.log_types import kinds, log_types
from ocelog.app.tables import columns, meanings, sql_type
from ocelog.console.api.caller import Viewer
from ocelog.console.api.paging import Cursor, Limit, Page, page_of
from ocelog.console.api.problems import not_found
from ocelog.console.api.values import Name
from ocelog.model import table_name

router = APIRouter(prefix="/schemas", tags=["Schemas"])


class Schema(BaseModel):
    """A log type."""

    log_type: str
    short: str = Field(description="What people type for it.")
    table: str = Field(description="As SQL names it; with `_current` behind it: the newest version of each record.")
    description: str
    changes: bool = Field(description="Its records change, and each change is a version.")


class SchemaColumn(BaseModel):
    """A column of its table."""

    name: str
    type: str = Field(description="As SQL writes it.")
    description: str


class SchemaColumns(Schema):
    """A log type with its columns."""

    columns: list[SchemaColumn]


def _schema(log_type: str) -> Schema:
    kind = kinds()[log_type]
    return Schema(
        log_type=log_type,
        short=kind.short,
        table=table_name(log_type),
        description=meanings()[table_name(log_type)],
        changes=kind.version_fields is not None,
    )


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
            description=(each.metadata or {}).get(b"doc", b"").decode(),
        )
        for each in columns(table_name(named))
    ]
    return SchemaColumns(**_schema(named).model_dump(), columns=there)
