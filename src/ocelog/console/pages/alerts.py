"""Alerts: the list with what can be done to many, and one alert with its events, its timeline and its deliveries."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from ocelog.alert.alert import Alert
from ocelog.alert.changes import CloseReason
from ocelog.alert.ids import ONBOARDED
from ocelog.alert.listing import AlertFilter, AlertOrder
from ocelog.alert.notice import AlertStatus, AlertType
from ocelog.app.alerts import alerts
from ocelog.app.alerts.alert_wishes import RESENT, Verb, Wish
from ocelog.app.log_types import kinds
from ocelog.app.search.queries import Stop
from ocelog.app.search.search import matched_events, summaries
from ocelog.app.sources import sources
from ocelog.app.users import users
from ocelog.console.asking import answered
from ocelog.console.languages import language_of
from ocelog.console.list_pages import list_pages
from ocelog.console.rendering import page
from ocelog.console.visitor import Analyst, Viewer, Visitor, installation_of
from ocelog.errors import ConfigError, OcelogError
from ocelog.installation.opening import Installation
from ocelog.languages.phrases import Phrase
from ocelog.model import Severity
from ocelog.times import to_us

router = APIRouter()
_PAGE = 50
_LONGEST_ID = 32
_MOST_OFFERED = 200
"""Sources to choose from; of more, one is named: all would make the page larger than the alerts that it shows."""
_SHOWN = 20
"""Events of an alert that its page shows."""
_ENTRIES = 100
"""Entries of its timeline that its page shows at first: of one that comes and goes there may be thousands."""
_BULK = ("triage", "take", "close", "reopen")
"""What can be done to many, and is said once it was."""
_KEEPING = ("triage", "take")
"""What more is to be done to the same."""
_FILTERS = ("status", "severity", "type", "rule", "source", "log_type", "assignee", "since", "text", "everything")
_ORDER = "sort"


def _query(request: Request) -> dict[str, str]:
    return {name: value for name in (*_FILTERS, _ORDER) if (value := request.query_params.get(name, "").strip())}


def _places(request: Request) -> list[str]:
    """Return where the page that is asked for and those before it begin."""
    return [each for each in request.query_params.getlist("after") if each]


def _list(
    request: Request,
    visitor: Visitor,
    refused: OcelogError | None = None,
    chosen: Sequence[str] = (),
    reason: str = "",
) -> Response:
    kept = chosen or request.query_params.get("chosen", "").split(",")
    query, installation = _query(request), installation_of(request)
    places = _places(request)
    found, order = None, AlertOrder.OPENED
    named = {each.id: each.name for each in sources.listed(installation, removed=True)}
    try:
        order = alerts.word(AlertOrder, query.get(_ORDER, order.value))
        wanted = alerts.wanted(
            installation,
            statuses=[query["status"]] if "status" in query else (),
            severities=[query["severity"]] if "severity" in query else (),
            types=[query["type"]] if "type" in query else (),
            rule=query.get("rule"),
            source_names=[query["source"]] if "source" in query else (),
            log_type=query.get("log_type"),
            assignee=query.get("assignee"),
            since=query.get("since"),
            text=query.get("text"),
            everything="everything" in query,
            language=language_of(request, visitor.user.language),
        )
        found = _page_of(installation, wanted, order, places)
        if places and not found.alerts:
            # All that stood here went elsewhere: what was closed, for one. Behind it there is nothing either, so few
            # of the pages before it are looked at, however many the address names.
            def is_gone(count: int) -> bool:
                return not _page_of(installation, wanted, order, places[:count]).alerts

            del places[bisect_left(range(1, len(places)), 1, key=is_gone) :]
            found = _page_of(installation, wanted, order, places)
    except ConfigError as error:
        refused = refused or error
    return page(
        request,
        "alerts.html",
        visitor=visitor,
        status=200 if refused is None else 422,
        found=found,
        query=query,
        here=_here(request, places),
        filtered=any(name in query for name in _FILTERS),
        order=order.value,
        orders=list(AlertOrder),
        pages=list_pages(
            "/alerts",
            query,
            "after",
            places,
            alerts.write_place(found.end) if found and found.more and found.end else None,
        ),
        most_counted=alerts.MOST_COUNTED,
        sources=named if len(named) <= _MOST_OFFERED else None,
        source=named.get(query.get("source", ""), query.get("source", "")),
        statuses=list(AlertStatus),
        severities=list(Severity),
        types=list(AlertType),
        log_types=list(kinds()),
        reasons=list(CloseReason),
        reason=reason,
        refused=refused,
        said=said if (said := request.query_params.get("said", "")) in _BULK else "",
        count=_count(request.query_params.get("count", "")),
        left=_count(request.query_params.get("left", "")),
        kept=set(kept),
        now=datetime.now(UTC),
    )


def _page_of(
    installation: Installation, wanted: AlertFilter, order: AlertOrder, places: Sequence[str]
) -> alerts.AlertListing:
    after = places[-1] if places else None
    place = alerts.read_place(after) if after is not None and "." in after else after
    return alerts.listed(installation, wanted, limit=_PAGE, order=order, after=place, with_context=False)


def _here(request: Request, places: Sequence[str], more: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Return the address of a page of the list that is asked for, with `more` that it is to say."""
    asked = urlencode({**_query(request), "after": places, **more}, doseq=True)
    return f"/alerts?{asked}" if asked else "/alerts"


def _count(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(_PAGE)) else 0


@router.get("/alerts")
def show(request: Request, visitor: Viewer) -> Response:
    """List the alerts, those that are open unless others are asked for."""
    return _list(request, visitor)


def _wish(form: Mapping[str, str], who: str) -> Wish:
    """Return what a form wants done. Raises ConfigError."""
    do, text = form.get("do", ""), form.get("text", "").strip()
    if do == "take":
        return Wish(do=Verb.ASSIGN, assignee=who)
    verb = alerts.word(Verb, do)
    reason = alerts.word(CloseReason, form.get("reason", "")) if verb is Verb.CLOSE else None
    return Wish(do=verb, text=text, reason=reason, assignee=form.get("assignee", "").strip() or None)


@router.post("/alerts")
def change_many(
    request: Request,
    visitor: Analyst,
    do: Annotated[str, Form()],
    ids: Annotated[Sequence[Annotated[str, Field(max_length=_LONGEST_ID)]], Form(max_length=_PAGE)] = (),
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Do the same to several alerts; those to which it cannot be done stay as they are."""
    installation = installation_of(request)
    if not ids:
        return _list(request, visitor, ConfigError(Phrase("Choose at least one alert.")), reason=reason)
    try:
        wish = _wish({"do": do, "reason": reason}, visitor.user.name)
        count = alerts.change_many(installation, ids, wish.act(visitor.user.name))
    except ConfigError as error:
        return _list(request, visitor, error, ids, reason)
    more = {"reason": reason} if do == "close" else {}
    users.note(installation, visitor.user, wish.deed, ", ".join(ids), visitor.origin, count=str(count), **more)
    done: dict[str, Any] = {"said": do, "count": count, "left": len(ids) - count}
    if do in _KEEPING:
        done["chosen"] = ",".join(ids)
    return RedirectResponse(_here(request, _places(request), done), status_code=303)


@router.get("/alerts/{alert_id}")
def details(request: Request, visitor: Viewer, alert_id: str) -> Response:
    """Show one alert."""
    return _details(request, visitor, alert_id)


def _has_rule(alert: Alert) -> bool:
    """Whether the rule that an alert names has a page: what a source had at first, and broken files, have none."""
    return alert.type in (AlertType.ALERT, AlertType.DETECTION_ERROR) and (
        alert.rule_id != ONBOARDED and not alert.rule_id.endswith("/*")
    )


def _details(
    request: Request,
    visitor: Visitor,
    alert_id: str,
    refused: OcelogError | None = None,
    typed: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    installation = installation_of(request)
    try:
        (found,) = alerts.details(installation, [alert_id])
    except ConfigError as error:
        return page(request, "trouble.html", visitor=visitor, status=404, kind="known", needed="", error=error)
    shown = found.timeline if "everything" in request.query_params else found.timeline[-_ENTRIES:]
    return page(
        request,
        "alert.html",
        timeline=shown,
        earlier=len(found.timeline) - len(shown),
        has_rule=_has_rule(found.alert),
        written_by_rule=found.alert.type is AlertType.ALERT and found.alert.rule_id != ONBOARDED,
        visitor=visitor,
        status=200 if refused is None else 422,
        found=found,
        alert=found.alert,
        why=alerts.untold_because(installation, found),
        held_up=alerts.waits_because(installation, found),
        reasons=list(CloseReason),
        typed=typed,
        resent=refused is None and request.query_params.get("said") == "resent",
        now_us=to_us(datetime.now(UTC)),
        refused=refused,
    )


@router.post("/alerts/{alert_id}")
def change(
    request: Request,
    visitor: Analyst,
    alert_id: str,
    do: Annotated[str, Form()],
    text: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
    assignee: Annotated[str, Form()] = "",
) -> Response:
    """Do something to one alert."""
    form = {"do": do, "text": text, "reason": reason, "assignee": assignee}
    installation = installation_of(request)
    try:
        if do == "resend":
            alerts.resend(installation, [alert_id], [], who=visitor.user.name)
            deed = RESENT
        else:
            wish = _wish(form, visitor.user.name)
            alerts.change(installation, [alert_id], wish.act(visitor.user.name))
            deed = wish.deed
    except ConfigError as error:
        return _details(request, visitor, alert_id, error, form)
    more = {"reason": reason} if do == "close" else {}
    users.note(installation, visitor.user, deed, alert_id, visitor.origin, **more)
    return RedirectResponse(f"/alerts/{alert_id}{'?said=resent' if do == 'resend' else ''}", status_code=303)


@router.get("/alerts/{alert_id}/events")
async def events(request: Request, visitor: Viewer, alert_id: str) -> Response:
    """Show the events of an alert: asked for apart, since it reads the lake."""
    installation = installation_of(request)

    def look(stop: Stop) -> tuple[Sequence[Mapping[str, Any]], Mapping[str, str]]:
        rows = matched_events(installation, alert_id, limit=_SHOWN, stop=stop)
        # The title is that of the page: each event says what happened itself, by whom and to what.
        events = [{**each, "p_row_id": each["event_row_id"]} for each in rows]
        return rows, summaries(installation, events, stop=stop)

    rows: Sequence[Mapping[str, Any]] = ()
    said: Mapping[str, str] = {}
    refused = None
    try:
        rows, said = await answered(request, visitor, look)
    except OcelogError as error:
        refused = error
    shown = partial(page, request, "alert_events.html", visitor=visitor, rows=rows, said=said, refused=refused)
    return await run_in_threadpool(shown)
