"""Tables: what SQL can be asked about, and what each column means."""

from typing import Any

import pyarrow as pa
from fastapi import APIRouter
from pydantic import BaseModel, Field

from ocelog.app.search import tables
from ocelog.console.api.caller import Viewer
from ocelog.console.api.problems import not_found
from ocelog.console.api.values import Name

router = APIRouter(prefix="/tables", tags=["Tables"])


class Table(BaseModel):
    """A table or a view."""

    table: str = Field(description="As SQL names it.")
    meaning: str


class TableColumn(BaseModel):
    """A column."""

    column: str
    type: str = Field(description="As SQL writes it.")
    meaning: str


class TableColumns(Table):
    """A table with its columns, those too that another engine added."""

    columns: list[TableColumn]


def _column(found: pa.Field) -> dict[str, Any]:
    return {"column": found.name, "type": tables.sql_type(found.type), "meaning": tables.column_doc(found)}


@router.get("")
def list_tables(caller: Viewer) -> list[Table]:  # noqa: ARG001 - nobody reads it without a token
    """List the tables and views."""
    return [Table(table=name, meaning=meaning) for name, meaning in tables.meanings().items()]


@router.get("/{table}")
def get_table(caller: Viewer, table: Name) -> TableColumns:
    """Return one table with its columns."""
    every = tables.meanings()
    with not_found():
        tables.check_table(table, every)
    columns = tables.columns(table, caller.installation.home.path)
    return TableColumns(table=table, meaning=every[table], columns=[TableColumn(**_column(each)) for each in columns])
