"""Detections: the rules and packs, one rule with its source and its tests, and turning them on and off."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Form, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from ocelog.app.log_types import kinds
from ocelog.app.rule_folders import rule_folders
from ocelog.app.rule_folders.rule_folders import ListedRule
from ocelog.app.rules import rule_showing, rules
from ocelog.app.rules.rule_trial import TrialResult
from ocelog.app.search.queries import Stop
from ocelog.app.search.search import Bars
from ocelog.app.users import users
from ocelog.console import trying
from ocelog.console.asking import answered
from ocelog.console.languages import language_of
from ocelog.console.pages import search
from ocelog.console.rendering import page, page_in_thread
from ocelog.console.visitor import Admin, Analyst, Viewer, Visitor, installation_of
from ocelog.detect.rule import Query
from ocelog.errors import ConfigError, OcelogError, QueryBusyError
from ocelog.languages.phrases import Phrase
from ocelog.languages.rule_texts import title_in

router = APIRouter()
_DIGITS = 7


def _list(request: Request, visitor: Visitor, refused: OcelogError | None = None) -> Response:
    text, status = (request.query_params.get(name, "").strip() for name in ("text", "status"))
    folders = rule_folders.listed(installation_of(request))
    every = [rule for folder in folders for rule in folder.rules]
    language = language_of(request, visitor.user.language)
    found = [each for each in every if _is_like(each, text.casefold(), language) and status in ("", each.status)]
    return page(
        request,
        "rules.html",
        visitor=visitor,
        status=200 if refused is None else 422,
        rules=found,
        packs=[pack for folder in folders for pack in folder.packs],
        problems=[f"{folder.folder.name}: {each}" for folder in folders for each in folder.problems],
        states=sorted({each.status for each in every}),
        text=text,
        chosen=status,
        said=said if (said := request.query_params.get("said", "")) in ("on", "off") else "",
        count=int(count)
        if (count := request.query_params.get("count", "")).isdecimal() and len(count) < _DIGITS
        else 0,
        refused=refused,
    )


def _is_like(rule: ListedRule, text: str, language: str) -> bool:
    packs = [title_in(language, name, pack) for pack, name in rule.packs.items()]
    names = (rule.id, rule.title, title_in(language, rule.title, rule.id), *rule.packs, *packs, *rule.log_types)
    return not text or any(text in part.casefold() for part in names)


@router.get("/rules")
def show(request: Request, visitor: Viewer) -> Response:
    """List the rules and packs."""
    return _list(request, visitor)


@router.post("/rules")
def turn(
    request: Request,
    visitor: Admin,
    names: Annotated[Sequence[str], Form(max_length=1_000)] = (),
    on: Annotated[bool, Form()] = False,  # noqa: FBT002 - a field of a form
    back: Annotated[str, Form()] = "",
) -> Response:
    """Turn rules or packs on or off."""
    installation = installation_of(request)
    if not names:
        return _list(request, visitor, ConfigError(Phrase("Choose at least one rule.")))
    try:
        turned = rule_folders.turn(installation, names, on=on)
    except OcelogError as error:
        return _list(request, visitor, error)
    what = "rule.enabled" if on else "rule.disabled"
    for name in (*turned.packs, *turned.rules[: len(names)]):
        users.note(installation, visitor.user, what, name, visitor.origin)
    if back and list(names) == [back]:
        return RedirectResponse(f"/rules/{quote(back, safe='')}?said={'on' if on else 'off'}", status_code=303)
    query = urlencode({"said": "on" if on else "off", "count": len(turned.packs) + len(turned.rules)})
    return RedirectResponse(f"/rules?{query}", status_code=303)


@router.get("/rules/{rule_id}")
def details(request: Request, visitor: Viewer, rule_id: str) -> Response:
    """Show one rule with its file."""
    try:
        return _details(request, visitor, rule_folders.find_rule(installation_of(request), rule_id))
    except OcelogError as error:
        return _unknown(request, visitor, error)


@router.get("/rules/{rule_id}/past")
async def past(request: Request, visitor: Viewer, rule_id: str) -> Response:
    """Show what came of a rule: a part of its page that is asked for once the page is there."""
    installation = installation_of(request)

    def look(stop: Stop) -> rule_showing.History:
        return rule_showing.history(installation, rule_folders.find_rule(installation, rule_id).id, stop=stop)

    try:
        came = await answered(request, visitor, look)
    except QueryBusyError as error:
        return search.refused(request, visitor, error, "past")
    except OcelogError as error:
        return page(request, "rule_past.html", visitor=visitor, came=None, refused=error, rule_id=rule_id)
    return await page_in_thread(request, "rule_past.html", visitor=visitor, came=came, refused=None, rule_id=rule_id)


@router.post("/rules/{rule_id}/tests")
async def run_tests(request: Request, visitor: Analyst, rule_id: str) -> Response:
    """Run the tests of a rule, and show how they end."""
    try:
        rule = await run_in_threadpool(rule_folders.find_rule, installation_of(request), rule_id)
    except OcelogError as error:
        return _unknown(request, visitor, error)
    try:
        report = await trying.tested(request, visitor, rule)
    except OcelogError as error:
        return await run_in_threadpool(_details, request, visitor, rule, refused=error)
    return await run_in_threadpool(_details, request, visitor, rule, report=report)


@router.post("/rules/{rule_id}/try")
async def try_(
    request: Request, visitor: Analyst, rule_id: str, days: Annotated[int, Form(ge=1, le=trying.LONGEST_PAST.days)] = 7
) -> Response:
    """Ask a rule about the past days, and show what it would have told people."""
    installation = installation_of(request)
    try:
        rule = await run_in_threadpool(rule_folders.find_rule, installation, rule_id)
    except OcelogError as error:
        return _unknown(request, visitor, error)
    try:
        tried = await trying.tried(request, visitor, installation, rule.id, timedelta(days=days))
    except OcelogError as error:
        return await run_in_threadpool(_details, request, visitor, rule, refused=error, days=days)
    return await run_in_threadpool(_details, request, visitor, rule, tried=tried, days=days)


def _unknown(request: Request, visitor: Visitor, error: OcelogError) -> Response:
    return page(request, "trouble.html", visitor=visitor, status=404, kind="known", needed="", error=error)


def _details(
    request: Request,
    visitor: Visitor,
    rule: ListedRule,
    *,
    report: rules.Report | None = None,
    tried: TrialResult | None = None,
    refused: OcelogError | None = None,
    days: int = 7,
) -> Response:
    """Show a rule, and what came of it. Reads its files: not for the thread that answers all."""
    about = None if isinstance(rule.item, Query) else rule.item.about
    return page(
        request,
        "rule.html",
        visitor=visitor,
        status=200 if refused is None else 422,
        rule=rule,
        said=said if (said := request.query_params.get("said", "")) in ("on", "off") else "",
        about=about,
        grouped=None if about is None else timedelta(minutes=about.dedup_minutes),
        texts=rule_folders.texts(rule),
        report=report,
        tried=tried,
        bars=None if tried is None else _bars(tried),
        refused=refused,
        days=days,
        log_types=kinds(),
    )


def _bars(tried: TrialResult) -> Bars:
    """Return the matches of each day, in UTC, of those without any too."""
    first, last = tried.since.astimezone(UTC).date(), tried.until.astimezone(UTC).date()
    days = [first + timedelta(days=at) for at in range((last - first).days + 1)]
    since = datetime.combine(first, time(), UTC)
    return Bars(since=since, width=timedelta(days=1), counts=tuple(tried.by_day.get(day, (0, 0))[1] for day in days))
