"""Create new > Wiz: what to click where, the form, live checks, and what comes after."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from msgspec.structs import replace
from starlette.responses import RedirectResponse, Response

from ocelog.app.rule_folders import rule_folders
from ocelog.app.source_settings import source_settings
from ocelog.app.sources import source_changes, sources
from ocelog.app.sources.source_changes import Listener
from ocelog.app.sources.source_editing import ALARMS, BACKFILLS
from ocelog.app.sources.sources import GivenSecret
from ocelog.app.users import users
from ocelog.console.capacity import SLOW
from ocelog.console.deeds import CHECKED
from ocelog.console.rendering import page
from ocelog.console.source_form import SourceForm
from ocelog.console.visitor import Admin, Visitor, installation_of
from ocelog.errors import ConfigError, OcelogError
from ocelog.languages.phrases import Phrase
from ocelog.product import LOG_TYPES, SECRET, Product
from ocelog.pull.ports import HealthItem
from ocelog.secrets.secret import Secret

router = APIRouter()
_LONGEST = 65_536


def _product() -> Product:
    return next(iter(sources.products().values()))


def _form(
    request: Request,
    visitor: Visitor,
    form: SourceForm,
    *,
    found: Sequence[HealthItem] = (),
    refused: OcelogError | None = None,
    well: bool = False,
) -> Response:
    return page(
        request,
        "new_source.html",
        visitor=visitor,
        status=422 if form.wrong or refused is not None else 200,
        form=form,
        backfills=BACKFILLS,
        names={"log_types": LOG_TYPES, "secret": SECRET},
        found=found,
        refused=refused,
        well=well,
    )


@router.get("/sources/new")
def ask(request: Request, visitor: Admin) -> Response:
    """Show the form in which a source is described."""
    return _form(request, visitor, SourceForm.blank(_product()))


@router.get("/sources/new/rights")
def rights(request: Request, visitor: Admin) -> Response:
    """Say which rights the account needs for the log types that are chosen."""
    chosen = tuple(each for each in request.query_params.getlist("log_types") if each in _product().log_types)
    form = SourceForm(product=_product(), values={}, log_types=chosen)
    return page(request, "source_rights.html", visitor=visitor, form=form)


@router.get("/sources/new/verdict")
def verdict(request: Request, visitor: Admin, failed: bool = False) -> Response:  # noqa: FBT001, FBT002 - a query
    """Say, in the place of what an earlier check found, that the next one goes on, or that it had no answer."""
    return page(request, "new_source_verdict.html", visitor=visitor, failed=failed)


@router.post("/sources/new")
async def answer(request: Request, visitor: Admin) -> Response:
    """Try what the form describes, and keep it if that is asked for and works."""
    sent = await request.form()
    values = {name: value for name, value in sent.items() if isinstance(value, str)}
    chosen = tuple(str(each) for each in sent.getlist("log_types") if each in _product().log_types)
    return await SLOW.run_for(visitor.user.id, _answer, request, visitor, values, chosen)


def _answer(request: Request, visitor: Visitor, values: dict[str, Any], chosen: tuple[str, ...]) -> Response:
    installation = installation_of(request)
    given = values.pop("secret", "").strip()
    secret = Secret(given) if given and given.isprintable() and len(given) <= _LONGEST else None
    form = SourceForm(product=_product(), values=values, log_types=chosen)
    if values.get("do") == "check":
        request.state.deed = CHECKED
    described = form.described(secret, public_only=not installation.settings.private_sources)
    if described is None or secret is None:
        return _form(request, visitor, form)
    try:
        source_changes.free_name(installation, described.name)
    except ConfigError as error:
        form.wrong["name"] = error.phrase
        return _form(request, visitor, form)
    found = list[HealthItem]()
    try:
        row = source_changes.described(installation, _product(), described.name, replace(described.change, anyway=True))
        form.doubled = sources.twin(installation, source_settings(row), row.id) is not None
        if values.get("anyway") != "yes":
            sources.refuse_twin(installation, row)
        source_changes.prove(row, secret, Phrase("Nothing is saved yet."), Listener(found=found.extend))
        if values.get("do") != "save":
            return _form(request, visitor, form, found=found, well=True)
        sources.add(installation, row, GivenSecret(value=secret))
    except OcelogError as error:
        return _form(request, visitor, form, found=found, refused=error)
    users.note(installation, visitor.user, "source.added", row.name, visitor.origin)
    request.app.state.overviews.forget()
    then = f"/sources/{row.id}/added?said=added"
    if request.headers.get("hx-request") == "true":
        return Response(status_code=200, headers={"hx-redirect": then})
    return RedirectResponse(then, status_code=303)


@router.get("/sources/{source_id}/added")
def added(request: Request, visitor: Admin, source_id: str, said: str = "") -> Response:
    """Offer rules and the alarm of a source; of one that was just added, say that everything looks good."""
    installation = installation_of(request)
    row = sources.find(installation, source_id)
    return page(
        request,
        "source_added.html",
        visitor=visitor,
        row=row,
        is_new=said == "added",
        packs=[pack for folder in rule_folders.listed(installation) for pack in folder.packs],
        after=source_changes.no_events_after(row),
        alarms=ALARMS,
    )


@router.post("/sources/{source_id}/alarm")
def alarm(
    request: Request,
    visitor: Admin,
    source_id: str,
    after: Annotated[str, Form()],
    said: Annotated[str, Form()] = "",
) -> Response:
    """Choose after how long without an event people are told."""
    installation = installation_of(request)
    row = sources.find(installation, source_id)
    source_changes.set_no_events_after(installation, row, after)
    users.note(installation, visitor.user, "source.alarm_set", row.name, visitor.origin, after=after)
    return _back(row.id, said)


@router.post("/sources/{source_id}/pack")
def pack(
    request: Request,
    visitor: Admin,
    source_id: str,
    name: Annotated[str, Form()],
    on: Annotated[bool, Form()] = False,  # noqa: FBT002 - a field of a form
    said: Annotated[str, Form()] = "",
) -> Response:
    """Turn a pack of rules on or off."""
    installation = installation_of(request)
    rule_folders.turn(installation, [name], on=on)
    what = "pack.enabled" if on else "pack.disabled"
    users.note(installation, visitor.user, what, name, visitor.origin)
    return _back(source_id, said)


def _back(source_id: str, said: str) -> Response:
    """Return to the page that offers rules and the alarm, which is of a new source until one leaves it."""
    return RedirectResponse(f"/sources/{source_id}/added" + ("?said=added" if said == "added" else ""), status_code=303)
