"""Search in SQL: the statement is in the address; its rows, histogram and values are requests of their own."""

import shlex
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from ocelog.app.search import saved_searches, sql_search
from ocelog.app.search.export import Format
from ocelog.app.search.queries import SPARES
from ocelog.console.asking import answered
from ocelog.console.pages.search import file_of, format_of, refused
from ocelog.console.rendering import page, page_in_thread
from ocelog.console.visitor import Viewer, installation_of
from ocelog.errors import OcelogError
from ocelog.languages.phrases import translatable
from ocelog.units import instant

router = APIRouter()
_FIRST_COLUMNS, _MOST_COLUMNS = 12, 50
"""Of an answer that are shown at first, and at most: each is a cell in a thousand rows."""
_EXAMPLES = (
    (
        translatable("The newest events"),
        "SELECT p_event_time, p_log_type, p_row_id FROM all_logs ORDER BY p_event_time DESC LIMIT 100",
    ),
    (
        translatable("How many events there are of each log type"),
        "SELECT p_log_type, count(*) AS events FROM all_logs GROUP BY ALL ORDER BY events DESC",
    ),
    (
        translatable("How many events there are of each day"),
        "SELECT date_trunc('day', p_event_time) AS day, count(*) AS events FROM all_logs GROUP BY 1 ORDER BY 1 DESC",
    ),
)


def _address(path: str, sql: str, **more: object) -> str:
    return f"{path}?{urlencode({'sql': sql, **more}, doseq=True)}"


@router.get("/search/sql")
def show(request: Request, visitor: Viewer, sql: str = "") -> Response:
    """Show the statement, and a place for its answer."""
    installation = installation_of(request)
    columns = request.query_params.getlist("c")
    SPARES.want()
    return page(
        request,
        "search_sql.html",
        visitor=visitor,
        sql=sql,
        longest=sql_search.LONGEST,
        names=sql_search.names(),
        saved=saved_searches.listed(installation, visitor.user),
        here=_address("/search/sql", sql, c=columns),
        rows=_address("/search/sql/rows", sql, c=columns),
        formats=list(Format),
        examples=[(name, text, _address("/search/sql", text)) for name, text in _EXAMPLES],
        tables=sql_search.tables(),
        commands={"CLI": f"ocelog query {shlex.quote(sql)}"},
    )


@router.get("/search/sql/rows")
async def rows(request: Request, visitor: Viewer, sql: str = "") -> Response:
    """Show the first rows of the answer."""
    installation = installation_of(request)
    try:
        found = await answered(request, visitor, lambda stop: sql_search.find(installation, sql, stop=stop))
    except OcelogError as error:
        return refused(request, visitor, error, "rows")
    every = list(dict.fromkeys(found.schema.names))
    asked = [each for each in dict.fromkeys(request.query_params.getlist("c")) if each in every]
    chosen = asked[:_MOST_COLUMNS] or every[:_FIRST_COLUMNS]
    return await page_in_thread(
        request,
        "search_sql_rows.html",
        visitor=visitor,
        found=found,
        numbers=found.numbers,
        histogram=_address("/search/sql/histogram", sql, c=request.query_params.getlist("c")),
        columns=[
            (name, _address("/search/sql/values", sql, field=name, each="yes" if found.is_list(name) else ""))
            for name in chosen
        ],
        sql=sql,
        others=[name for name in every if name not in chosen],
        is_full=len(chosen) >= _MOST_COLUMNS,
    )


@router.get("/search/sql/histogram")
async def histogram(request: Request, visitor: Viewer, sql: str = "") -> Response:
    """Show how many rows of the answer there are over time."""
    installation = installation_of(request)
    try:
        bars = await answered(request, visitor, lambda stop: sql_search.histogram(installation, sql, stop=stop))
    except OcelogError as error:
        return refused(request, visitor, error, "histogram")
    narrowed = _address("/search/sql/narrowed", sql, c=request.query_params.getlist("c"))
    return await page_in_thread(request, "search_histogram.html", visitor=visitor, bars=bars, address=narrowed)


@router.get("/search/sql/narrowed")
def narrow(request: Request, visitor: Viewer, sql: str, since: str, until: str) -> Response:
    """Lead to the statement whose answer is the rows of a time."""
    now = datetime.now(UTC)
    try:
        statement = sql_search.narrowed(sql, instant(since, now=now), instant(until, now=now))
    except OcelogError as error:
        return refused(request, visitor, error)
    return RedirectResponse(_address("/search/sql", statement, c=request.query_params.getlist("c")), 303)


@router.get("/search/sql/values")
async def values(request: Request, visitor: Viewer, sql: str = "", field: str = "", each: str = "") -> Response:
    """Show which values a column of the answer has most often."""
    installation = installation_of(request)
    try:
        found = await answered(
            request,
            visitor,
            lambda stop: sql_search.top_values(installation, sql, field, each=bool(each), stop=stop),
        )
    except OcelogError as error:
        return refused(request, visitor, error, "values")
    return await page_in_thread(request, "search_sql_values.html", visitor=visitor, field=field, found=found)


@router.post("/search/sql/export")
async def export(
    request: Request,
    visitor: Viewer,
    form: Annotated[str, Form(alias="format")] = "",
    sql: Annotated[str, Form()] = "",
) -> Response:
    """Send the answer as a file."""
    try:
        return await file_of(request, visitor, sql_search.checked(sql), format_of(form), "sql", "query.exported", sql)
    except OcelogError as error:
        return refused(request, visitor, error)
