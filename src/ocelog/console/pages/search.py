"""Search: what a person chose stands in the address, so that a link shows the same."""

import json
import re
import shlex
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_network
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from msgspec import Struct
from msgspec.structs import replace
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from ocelog.app.log_types import kinds
from ocelog.app.search import saved_searches
from ocelog.app.search import search as searching
from ocelog.app.search.export import Format, exported
from ocelog.app.search.queries import SPARES, Stop
from ocelog.app.search.search import Condition, Key, Operator, Rows, Search
from ocelog.app.search.summaries import at_path, remedy_of, summary_of
from ocelog.app.sources import sources
from ocelog.app.users import users
from ocelog.console.asking import answered, streamed
from ocelog.console.event_view import grouped, instants, leaves, page_of, parts, raw
from ocelog.console.languages import language_of
from ocelog.console.rendering import page, page_in_thread
from ocelog.console.visitor import Analyst, Viewer, Visitor, installation_of
from ocelog.errors import ConfigError, OcelogError, QueryBusyError
from ocelog.languages.phrases import Phrase
from ocelog.suggest import suggest
from ocelog.times import from_us, to_us
from ocelog.units import instant

router = APIRouter()
PERIODS = ("1h", "24h", "7d", "30d", "90d", "365d")
_ALL = ("p_source_label", "p_any_usernames", "p_any_ip_addresses")
_MOST_COLUMNS = 12
_LONGEST_FILTER = 500
"""Characters of a value that a link searches for."""
_LONGEST_LINKED = 2_000
"""Characters of the address of a search whose rows have links for each of their values, which name all of it."""
_FIRST_COLUMNS = 4
_IN_JSON = re.compile(r"""[^"\\\x00-\x1f]{3,200}""")
"""A text that stands in JSON as it is."""
_MATTERS = (
    *("severity", "vendorSeverity", "status", "action", "performer.name", "sourceIP", "userAgent"),
    *("sourceRule.name", "sourceRules[0].name", "entitySnapshot.name", "entitySnapshot.type"),
    *("entitySnapshot.subscriptionName", "vulnerableAsset.name", "vulnerableAsset.type"),
    *("vulnerableAsset.subscriptionName", "assignee.name", "projects[0].name", "dueAt", "fixedVersion"),
    "projects[0].projectOwners[0].name",
)
"""What an event is about, how bad it is, and whose it is: by these fields a person judges it."""


class SearchAddress(Struct, frozen=True, kw_only=True):
    """What the address says."""

    search: Search
    period: str
    """How far back, if no instants are named."""
    columns: Sequence[str]
    parameters: Mapping[str, Any]
    """What makes the same address again."""

    def fixed(self) -> Mapping[str, Any]:
        """Return what makes the same search, of the same time whenever it is asked."""
        search = self.search
        return {
            **{name: value for name, value in self.parameters.items() if value and name != "period"},
            "since": search.since.isoformat(),
            "until": search.until.isoformat(),
        }

    def address(self, path: str = "/search", **changes: Any) -> str:
        """Return the address of this search with changes; None takes a parameter away."""
        merged = {name: value for name, value in {**self.parameters, **changes}.items() if value not in (None, "", [])}
        return f"{path}?{urlencode(merged, doseq=True)}"

    def is_linked(self, value: str) -> bool:
        """Whether a value of a row has links: each is as long as this search and that value, and there are hundreds."""
        return len(value) <= _LONGEST_FILTER and len(self.address()) <= _LONGEST_LINKED

    def with_condition(self, field: str, operator: str, value: str) -> str:
        """Return the address of this search with one condition more."""
        return self.address(f=[*self.parameters["f"], f"{field}:{operator}:{value}"])

    def without_condition(self, number: int) -> str:
        """Return the address of this search without its condition of that number."""
        return self.address(f=[each for at, each in enumerate(self.parameters["f"]) if at != number])

    def without_log_type(self) -> str:
        """Return the address of this search in all log types, which have only the standard fields in common."""
        return self.address(log=None, c=None, f=[each for each in self.parameters["f"] if each.startswith("p_")])

    def with_column(self, column: str) -> str:
        """Return the address of this search with a column more, or without it if it has it."""
        columns = [each for each in self.columns if each != column]
        return self.address(c=columns if column in self.columns else [*columns, column])


def asked_of(given: QueryParams, now: datetime | None = None) -> SearchAddress:
    """Read a search from the query of an address. Raises ConfigError for what does not hold."""
    now = now or datetime.now(UTC)
    log_type = given.get("log") or None
    period = given.get("period", "24h")
    since, until = given.get("since", ""), given.get("until", "")
    filters = [text for text in given.getlist("f") if text]
    # Before anything is made of them: the page has a link for each, which names all others.
    searching.check_conditions(len(filters))
    search = Search(
        since=instant(since, now=now) if since else instant(period, now=now),
        until=instant(until, now=now) if until else now + timedelta(minutes=1),
        log_type=log_type,
        text=given.get("q", "").strip(),
        indicator=given.get("indicator", "").strip(),
        conditions=[_condition(text) for text in filters],
    )
    if search.since >= search.until:
        raise ConfigError(Phrase("The search ends before it begins."))
    chosen = list(dict.fromkeys(given.getlist("c")))[:_MOST_COLUMNS]
    columns = chosen or _first_columns(log_type)
    known = searching.paths_of(searching.columns_of(log_type))
    parameters = {
        "log": log_type,
        "period": None if since else period,
        "since": since,
        "until": until,
        "q": search.text,
        "indicator": search.indicator,
        "f": filters,
        "c": chosen,
    }
    shown = [each for each in columns if each in known]
    return SearchAddress(search=search, period=period, columns=shown, parameters=parameters)


def _condition(text: str) -> Condition:
    field, _, rest = text.partition(":")
    operator, _, value = rest.partition(":")
    if operator not in list(Operator):
        raise ConfigError(
            Phrase(
                "A condition is FIELD:OPERATOR:VALUE, not %(text)s; operators: %(operator)s.",
                text=repr(text),
                operator=", ".join(Operator),
            )
        )
    return Condition(field=field, operator=Operator(operator), value=value)


def _first_columns(log_type: str | None) -> Sequence[str]:
    if log_type is None:
        return _ALL
    first = [each.name for each in searching.columns_of(log_type) if not each.name.startswith("p_")]
    return kinds()[log_type].columns or first[:_FIRST_COLUMNS]


def _commands(request: Request, asked: SearchAddress) -> dict[str, str]:
    """Return the same search as SQL, as a command and as a request to the API, to be copied."""
    sql, search = searching.statement(asked.search, asked.columns, limit=1_000), asked.search
    body = {
        "log_type": search.log_type,
        "since": asked.parameters["since"] or asked.period,
        "until": asked.parameters["until"] or None,
        "text": search.text,
        "indicator": search.indicator,
        "conditions": [
            {"field": each.field, "operator": each.operator.value, "value": each.value} for each in search.conditions
        ],
        "columns": list(asked.columns),
    }
    given = shlex.quote(json.dumps({name: value for name, value in body.items() if value}, ensure_ascii=False))
    header = '-H "Authorization: Bearer $OCELOG_TOKEN" -H "Content-Type: application/json"'
    curl = f"curl {header} -d {given} {shlex.quote(f'{request.base_url}api/v1/events/search')}"
    return {"SQL": sql, "CLI": f"ocelog query {shlex.quote(sql)}", "curl": curl}


def refused(request: Request, visitor: Visitor, error: OcelogError, part: str = "search-refused") -> Response:
    """Show why there is no answer, in the place of the part that it was for; if others run, have it asked again."""
    if isinstance(error, QueryBusyError) and request.method == "GET":
        again = f"{request.url.path}?{request.url.query}"
        return page(request, "search_waiting.html", visitor=visitor, error=error, part=part, again=again)
    return page(request, "search_refused.html", visitor=visitor, status=422, error=error, part=part)


@router.get("/search")
def show(request: Request, visitor: Viewer) -> Response:
    """Show the form, and places for what is asked apart: the rows and the histogram."""
    try:
        asked = asked_of(request.query_params)
    except OcelogError as error:
        return refused(request, visitor, error)
    # The browser asks for the rows and the histogram at once.
    SPARES.want()
    return _form(request, visitor, asked)


def _form(
    request: Request, visitor: Visitor, asked: SearchAddress, refused_for: OcelogError | None = None, **tried: str
) -> Response:
    """Show the form; if what it has does not hold, why, and no places for an answer."""
    fields = searching.paths_of(searching.columns_of(asked.search.log_type))
    try:
        commands = _commands(request, asked)
    except OcelogError as error:
        commands, refused_for = {}, refused_for or error
    return page(
        request,
        "search.html",
        visitor=visitor,
        status=200 if refused_for is None else 422,
        asked=asked,
        refused=refused_for,
        tried={"field": "", "operator": "", "value": "", **tried},
        log_types=list(kinds()),
        periods=PERIODS,
        operators=list(Operator),
        fields=list(fields),
        commands=commands,
        formats=list(Format),
        query=urlencode(asked.fixed(), doseq=True),
        saved=saved_searches.listed(installation_of(request), visitor.user),
        sql=commands.get("SQL", ""),
        here=asked.address(),
    )


@router.get("/search/condition")
def condition(request: Request, visitor: Viewer, field: str, operator: str, value: str = "") -> Response:
    """Lead to the search with one condition more, as the form describes it."""
    try:
        asked = asked_of(request.query_params)
    except OcelogError as error:
        return refused(request, visitor, error)
    try:
        searching.statement(replace(asked.search, conditions=[_condition(f"{field}:{operator}:{value}")]), [])
    except OcelogError as error:
        return _form(request, visitor, asked, error, field=field, operator=operator, value=value)
    return RedirectResponse(asked.with_condition(field, operator, value), status_code=303)


@router.get("/search/column")
def column(request: Request, visitor: Viewer, column: str = "") -> Response:
    """Lead to the search with one column more."""
    try:
        asked = asked_of(request.query_params)
        known = searching.paths_of(searching.columns_of(asked.search.log_type))
        if column not in known:
            nearest = suggest(column, known) or "."
            missing = ConfigError(Phrase("There is no field %(path)s%(paths)s", path=repr(column), paths=nearest))
            return _form(request, visitor, asked, missing)
        return RedirectResponse(
            asked.address() if column in asked.columns else asked.with_column(column), status_code=303
        )
    except OcelogError as error:
        return refused(request, visitor, error)


@router.get("/search/rows")
async def rows(request: Request, visitor: Viewer, after_us: int | None = None, after_row: str = "") -> Response:
    """Show a page of rows."""
    installation = installation_of(request)
    try:
        asked = asked_of(request.query_params)
        key = None if after_us is None else Key(at=from_us(after_us), row_id=after_row)

        def look(stop: Stop) -> tuple[Rows, Mapping[str, str]]:
            found = searching.find(installation, asked.search, asked.columns, after=key, stop=stop)
            return found, searching.summaries(installation, found.rows, stop=stop)

        found, said = await answered(request, visitor, look)
    except (OcelogError, OverflowError) as error:
        known = error if isinstance(error, OcelogError) else ConfigError(str(error))
        return refused(request, visitor, known, "rows" if after_us is None else "more")
    further = None
    if found.further is not None:
        further = asked.address("/search/rows", after_us=to_us(found.further.at), after_row=found.further.row_id)
    has_sources = bool(found.rows) or bool(await run_in_threadpool(sources.listed, installation))
    return await page_in_thread(
        request,
        "search_rows.html",
        visitor=visitor,
        asked=asked,
        found=found,
        said=said,
        further=further,
        has_sources=has_sources,
        is_range=_is_range(asked.search.indicator),
    )


def _is_range(text: str) -> bool:
    try:
        return "/" in text and bool(ip_network(text, strict=False))
    except ValueError:
        return False


@router.get("/search/histogram")
async def histogram(request: Request, visitor: Viewer) -> Response:
    """Show how many rows there are over time."""
    installation = installation_of(request)
    try:
        asked = asked_of(request.query_params)
        bars = await answered(request, visitor, lambda stop: searching.histogram(installation, asked.search, stop=stop))
    except OcelogError as error:
        return refused(request, visitor, error, "histogram")
    return await page_in_thread(
        request,
        "search_histogram.html",
        visitor=visitor,
        bars=bars,
        address=asked.address(period=None, since=None, until=None),
    )


@router.get("/search/values")
async def values(request: Request, visitor: Viewer, field: str) -> Response:
    """Show which values a field has most often."""
    installation = installation_of(request)
    try:
        asked = asked_of(request.query_params)
        found = await answered(
            request, visitor, lambda stop: searching.top_values(installation, asked.search, field, stop=stop)
        )
    except OcelogError as error:
        return refused(request, visitor, error, "values")
    return await page_in_thread(request, "search_values.html", visitor=visitor, asked=asked, field=field, found=found)


@router.post("/search/save")
def save(
    request: Request,
    visitor: Analyst,
    name: Annotated[str, Form()] = "",
    address: Annotated[str, Form()] = "",
    shared: Annotated[str, Form()] = "",
    replaces: Annotated[str, Form()] = "",
) -> Response:
    """Keep a search under a name; one's own of that name is replaced only if that is asked for."""
    installation = installation_of(request)
    try:
        if not replaces and saved_searches.is_taken(installation, name, visitor.user):
            given = {"name": name, "address": address, "shared": shared}
            taken = ConfigError(Phrase("You have a saved search %(name)s already.", name=name.strip()))
            return page(
                request,
                "search_taken.html",
                visitor=visitor,
                status=409,
                error=taken,
                given=given,
                back=address if address.startswith("/search") else "/search",
            )
        saved_searches.save(installation, name, address, shared=bool(shared), by=visitor.user, origin=visitor.origin)
    except OcelogError as error:
        return refused(request, visitor, error)
    return RedirectResponse(address, status_code=303)


@router.post("/search/forget")
def forget(request: Request, visitor: Analyst, search: Annotated[str, Form()] = "") -> Response:
    """Remove a saved search."""
    try:
        saved_searches.remove(installation_of(request), search, by=visitor.user, origin=visitor.origin)
    except OcelogError as error:
        return refused(request, visitor, error)
    return RedirectResponse("/search", status_code=303)


@router.post("/search/export")
async def export(
    request: Request,
    visitor: Viewer,
    form: Annotated[str, Form(alias="format")] = "",
    query: Annotated[str, Form()] = "",
    every: Annotated[str, Form()] = "",
) -> Response:
    """Send all that a search finds as a file; `every` has each column, not just those that are shown."""
    try:
        chosen = format_of(form)
        asked = asked_of(QueryParams(query))
        columns = list(searching.columns_of(asked.search.log_type).names) if every else asked.columns
        sql = searching.statement(asked.search, columns, limit=None)
        return await file_of(request, visitor, sql, chosen, asked.search.table, "search.exported", query)
    except OcelogError as error:
        return refused(request, visitor, error)


def format_of(given: str) -> Format:
    """Return the format of a file that a form names. Raises ConfigError."""
    if given not in list(Format):
        raise ConfigError(
            Phrase("Unknown format %(given)s; use %(known)s.", given=repr(given), known=", ".join(Format))
        )
    return Format(given)


async def file_of(
    request: Request, visitor: Visitor, sql: str, form: Format, name: str, what: str, told: str
) -> Response:
    """Begin to send an answer, which goes on the trail before its first byte."""
    installation = installation_of(request)
    headers = {
        "content-disposition": f'attachment; filename="ocelog-{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{form.value}"',
        "content-type": form.media_type,
    }
    language = language_of(request, visitor.user.language)

    def pieces(stop: Stop) -> Iterator[bytes]:
        made = exported(installation, sql, form, stop=stop, language=language)
        return _marked(made) if form is Format.CSV else made

    answer = await streamed(request, visitor, pieces, headers)
    note = partial(users.note, installation, visitor.user, what, form.value, visitor.origin, asked=told)
    try:
        await run_in_threadpool(note)
    except BaseException:
        answer.end()
        raise
    return answer


def _marked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Begin a file with the mark without which Excel takes it for one of its own code page, and garbles Korean."""
    yield BOM_UTF8 + next(pieces, b"")
    yield from pieces


def _filters(log_type: str, event: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return where the events are that are alike, or not, in each field that has one value."""

    def address(name: str, operator: Operator, value: str) -> str:
        return f"/search?{urlencode({'log': log_type, 'period': '30d', 'f': f'{name}:{operator}:{value}'})}"

    known = searching.paths_of(searching.columns_of(log_type))
    found = {
        name: {"is_": address(name, Operator.IS, one[0]), "is_not": address(name, Operator.IS_NOT, one[0])}
        for name in known
        if (one := parts(at_path(event, name))) and len(one) == 1 and len(one[0]) <= _LONGEST_FILTER
    }
    # What stands inside a list or inside JSON is found as a text of the whole column.
    for path, value in leaves(event).items():
        column = re.split(r"[.\[]", path, maxsplit=1)[0]
        if path not in known and column in known and _IN_JSON.fullmatch(value):
            found[path] = {"is_": address(column, Operator.HAS, value)}
    return found


def _columns(log_type: str) -> dict[str, str]:
    """Return where each field is shown as a column more than those that a search shows."""
    return {
        name: f"/search/column?{urlencode({'log': log_type, 'period': '30d', 'column': name})}"
        for name in searching.paths_of(searching.columns_of(log_type))
    }


@router.get("/events/{log_type}/{row_id}")
async def event(request: Request, visitor: Viewer, log_type: str, row_id: str) -> Response:
    """Show one event with every field, and the versions of its record side by side."""
    installation = installation_of(request)

    def look(stop: Stop) -> tuple[Mapping[str, Any] | None, Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
        found = searching.event(installation, log_type, row_id, stop=stop)
        if found is None:
            return None, [], []
        told = searching.alerts_about(installation, row_id, stop=stop)
        if kinds()[log_type].version_fields is None:
            return found, [], told
        return found, searching.versions(installation, log_type, str(found["id"]), stop=stop), told

    try:
        found, history, told = await answered(request, visitor, look)
    except OcelogError as error:
        return refused(request, visitor, error)
    if found is None:
        raise HTTPException(404)
    return await run_in_threadpool(_event, request, visitor, log_type, row_id, found, history, told)


def _event(
    request: Request,
    visitor: Visitor,
    log_type: str,
    row_id: str,
    found: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    told: Sequence[Mapping[str, Any]],
) -> Response:
    values, seen = leaves(found), [leaves(each) for each in history]
    names = list(dict.fromkeys(name for each in [values, *seen] for name in each))
    differing = [name for name in names if len({each.get(name) for each in seen}) > 1]
    return page(
        request,
        "event.html",
        visitor=visitor,
        log_type=log_type,
        row_id=row_id,
        event=found,
        summary=summary_of(log_type, found),
        instants=instants(found),
        raw=raw(found),
        page=page_of(found, kinds()[log_type].page),
        alerts=told,
        filters=_filters(log_type, found),
        columns=_columns(log_type),
        first={name: values[name] for name in _MATTERS if values.get(name)},
        remedy=remedy_of(log_type, found),
        groups=grouped(values),
        moments=[instants(each) for each in history],
        history=history,
        said=[summary_of(log_type, each) for each in history],
        seen=seen,
        differing=[name for name in differing if not name.startswith("p_") or name == "p_inferred"],
    )
