"""Schemas: the log types with their columns, and what a record that somebody pastes becomes."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ocelog.app.log_types import kinds, log_types
from ocelog.app.records.samples import Sample, sample
from ocelog.app.search.tables import column_doc, columns, meanings, sql_type
from ocelog.console.asking import answered
from ocelog.console.rendering import page
from ocelog.console.visitor import Analyst, Viewer, Visitor, installation_of
from ocelog.errors import OcelogError
from ocelog.model import table_name

router = APIRouter()


@router.get("/schemas")
def listed(request: Request, visitor: Viewer) -> Response:
    """List the log types."""
    found = [(name, table_name(name), meanings()[table_name(name)]) for name in kinds()]
    return page(request, "schemas.html", visitor=visitor, found=found)


@router.get("/schemas/{log_type}")
def show(request: Request, visitor: Viewer, log_type: str) -> Response:
    """Show one log type."""
    return _page(request, visitor, log_type)


@router.post("/schemas/{log_type}")
async def paste(request: Request, visitor: Analyst, log_type: str, text: Annotated[str, Form()] = "") -> Response:
    """Show what a record becomes, and which rules match it."""
    installation = installation_of(request)
    try:
        (named,) = log_types([log_type])
        found = await answered(request, visitor, lambda _stop: sample(installation, named, text))
    except OcelogError as error:
        return await run_in_threadpool(_page, request, visitor, log_type, text=text, refused=error)
    return await run_in_threadpool(_page, request, visitor, log_type, text=text, found=found)


def _page(
    request: Request,
    visitor: Visitor,
    log_type: str,
    *,
    text: str = "",
    found: Sample | None = None,
    refused: OcelogError | None = None,
) -> Response:
    try:
        (named,) = log_types([log_type])
    except OcelogError as error:
        return page(request, "trouble.html", visitor=visitor, status=404, kind="known", needed="", error=error)
    table = table_name(named)
    return page(
        request,
        "schema.html",
        visitor=visitor,
        status=200 if refused is None else 422,
        log_type=named,
        table=table,
        meaning=meanings()[table],
        columns=[(each.name, sql_type(each.type), column_doc(each)) for each in columns(table)],
        text=text,
        found=found,
        refused=refused,
    )
