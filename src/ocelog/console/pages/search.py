"""Search: what a person chose stands in the address, so that a link shows the same."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from ocelog.app import search as searching
from ocelog.app.log_types import kinds
from ocelog.app.search import Condition, Key, Operator, Search
from ocelog.console.event_view import leaves
from ocelog.console.rendering import page
from ocelog.console.visitor import Viewer, Visitor, installation_of
from ocelog.errors import ConfigError, OcelogError
from ocelog.times import from_us, to_us
from ocelog.units import instant

router = APIRouter()
PERIODS = ("1h", "24h", "7d", "30d", "90d", "365d")
_ALL = ("p_source_label", "p_any_usernames", "p_any_ip_addresses")
_MOST_COLUMNS = 12
_FIRST_COLUMNS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the address says."""

    search: Search
    period: str
    """How far back, if no instants are named."""
    columns: Sequence[str]
    parameters: Mapping[str, Any]
    """What makes the same address again."""

    def address(self, path: str = "/search", **changes: Any) -> str:
        """Return the address of this search with changes; None takes a parameter away."""
        merged = {name: value for name, value in {**self.parameters, **changes}.items() if value not in (None, "", [])}
        return f"{path}?{urlencode(merged, doseq=True)}"

    def with_condition(self, field: str, operator: str, value: str) -> str:
        """Return the address of this search with one condition more."""
        return self.address(f=[*self.parameters["f"], f"{field}:{operator}:{value}"])

    def without_condition(self, number: int) -> str:
        """Return the address of this search without its condition of that number."""
        return self.address(f=[each for at, each in enumerate(self.parameters["f"]) if at != number])

    def with_column(self, column: str) -> str:
        """Return the address of this search with a column more, or without it if it has it."""
        columns = [each for each in self.columns if each != column]
        return self.address(c=columns if column in self.columns else [*columns, column])


def asked_of(request: Request, now: datetime | None = None) -> Asked:
    """Read a search from the address. Raises ConfigError for what does not hold."""
    given, now = request.query_params, now or datetime.now(UTC)
    log_type = given.get("log") or None
    period = given.get("period", "24h")
    since, until = given.get("since", ""), given.get("until", "")
    conditions = [_condition(text) for text in given.getlist("f") if text]
    search = Search(
        since=instant(since, now=now) if since else instant(period, now=now),
        until=instant(until, now=now) if until else now + timedelta(minutes=1),
        log_type=log_type,
        text=given.get("q", "").strip(),
        indicator=given.get("indicator", "").strip(),
        conditions=conditions,
    )
    if search.since >= search.until:
        raise ConfigError("The search ends before it begins.")
    columns = given.getlist("c")[:_MOST_COLUMNS] or _first_columns(log_type)
    known = searching.paths_of(searching.columns_of(log_type))
    parameters = {
        "log": log_type,
        "period": None if since else period,
        "since": since,
        "until": until,
        "q": search.text,
        "indicator": search.indicator,
        "f": given.getlist("f"),
        "c": given.getlist("c"),
    }
    shown = [each for each in columns if each in known]
    return Asked(search=search, period=period, columns=shown, parameters=parameters)


def _condition(text: str) -> Condition:
    field, _, rest = text.partition(":")
    operator, _, value = rest.partition(":")
    if operator not in list(Operator):
        raise ConfigError(f"A condition is FIELD:OPERATOR:VALUE, not {text!r}; operators: {', '.join(Operator)}.")
    return Condition(field=field, operator=Operator(operator), value=value)


def _first_columns(log_type: str | None) -> Sequence[str]:
    if log_type is None:
        return _ALL
    first = [each.name for each in searching.columns_of(log_type) if not each.name.startswith("p_")]
    return kinds()[log_type].columns or first[:_FIRST_COLUMNS]


def _commands(asked: Asked) -> dict[str, str]:
    """Return the same search as SQL and as a command, to be copied."""
    sql = searching.statement(asked.search, asked.columns, limit=1_000)
    return {"SQL": sql, "CLI": f"ocelog query {shlex.quote(' '.join(sql.split()))}"}


def _refused(request: Request, visitor: Visitor, error: OcelogError) -> Response:
    return page(request, "search_refused.html", visitor=visitor, status=422, error=error)


@router.get("/search")
def show(request: Request, visitor: Viewer) -> Response:
    """Show the form, and places for what is asked apart: the rows and the histogram."""
    try:
        asked = asked_of(request)
        fields = searching.paths_of(searching.columns_of(asked.search.log_type))
        commands = _commands(asked)
    except OcelogError as error:
        return _refused(request, visitor, error)
    return page(
        request,
        "search.html",
        visitor=visitor,
        asked=asked,
        log_types=list(kinds()),
        periods=PERIODS,
        operators=list(Operator),
        fields=list(fields),
        commands=commands,
    )


@router.get("/search/condition")
def condition(request: Request, visitor: Viewer, field: str, operator: str, value: str = "") -> Response:
    """Lead to the search with one condition more, as the form describes it."""
    try:
        return RedirectResponse(asked_of(request).with_condition(field, operator, value), status_code=303)
    except OcelogError as error:
        return _refused(request, visitor, error)


@router.get("/search/rows")
def rows(request: Request, visitor: Viewer, after_us: int | None = None, after_row: str = "") -> Response:
    """Show a page of rows."""
    try:
        asked = asked_of(request)
        key = None if after_us is None else Key(at=from_us(after_us), row_id=after_row)
        found = searching.find(installation_of(request), asked.search, asked.columns, after=key)
    except (OcelogError, OverflowError) as error:
        return _refused(request, visitor, error if isinstance(error, OcelogError) else ConfigError(str(error)))
    further = None
    if found.further is not None:
        further = asked.address("/search/rows", after_us=to_us(found.further.at), after_row=found.further.row_id)
    return page(request, "search_rows.html", visitor=visitor, asked=asked, found=found, further=further, key=key)


@router.get("/search/histogram")
def histogram(request: Request, visitor: Viewer) -> Response:
    """Show how many rows there are over time."""
    try:
        asked = asked_of(request)
        bars = searching.histogram(installation_of(request), asked.search)
    except OcelogError as error:
        return _refused(request, visitor, error)
    return page(request, "search_histogram.html", visitor=visitor, asked=asked, bars=bars)


@router.get("/search/values")
def values(request: Request, visitor: Viewer, field: str) -> Response:
    """Show which values a field has most often."""
    try:
        asked = asked_of(request)
        found = searching.top_values(installation_of(request), asked.search, field)
    except OcelogError as error:
        return _refused(request, visitor, error)
    return page(request, "search_values.html", visitor=visitor, asked=asked, field=field, found=found)


@router.get("/events/{log_type}/{row_id}")
def event(request: Request, visitor: Viewer, log_type: str, row_id: str) -> Response:
    """Show one event with every field, and the versions of its record side by side."""
    installation = installation_of(request)
    try:
        found = searching.event(installation, log_type, row_id)
        changes = kinds()[log_type].version_fields is not None
        history = searching.versions(installation, log_type, str(found["id"])) if found and changes else []
    except OcelogError as error:
        return _refused(request, visitor, error)
    if found is None:
        raise HTTPException(404)
    seen = [leaves(each) for each in history]
    names = list(dict.fromkeys(name for each in [leaves(found), *seen] for name in each))
    differing = [name for name in names if len({each.get(name) for each in seen}) > 1]
    return page(
        request,
        "event.html",
        visitor=visitor,
        log_type=log_type,
        row_id=row_id,
        event=found,
        values=leaves(found),
        history=history,
        seen=seen,
        differing=[name for name in differing if not name.startswith("p_") or name == "p_inferred"],
    )
