"""One source: how its streams are, what it may read, its settings, and what can be done with it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from msgspec.structs import replace
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from ocelog.app.source_settings import damage, reveal, source_settings
from ocelog.app.sources import source_changes, source_editing, sources
from ocelog.app.sources.source_changes import Listener, SourceChange
from ocelog.app.sources.sources import GivenSecret
from ocelog.app.status.overview import Overview
from ocelog.app.status.status import verdict
from ocelog.app.users import users
from ocelog.console.capacity import SLOW, slowly
from ocelog.console.confirming import check_typed
from ocelog.console.rendering import page
from ocelog.console.source_form import OTHER
from ocelog.console.visitor import Admin, Viewer, Visitor, installation_of
from ocelog.errors import ConfigError, OcelogError
from ocelog.installation.opening import Installation
from ocelog.languages.phrases import Phrase
from ocelog.model import SourceRow
from ocelog.pull.ports import HealthItem
from ocelog.secrets.secret import Secret

router = APIRouter()
_LONGEST = 65_536
_SAID = ("changed", "swept", "sees_more", "paused", "resumed", "rotated")
"""What is said once after a change."""


async def _overview(request: Request) -> Overview | None:
    """Return how the streams were seen last, for whoever must not fail because that is not known."""
    overviews = request.app.state.overviews
    try:
        found: Overview | None = await overviews.latest() or await overviews.take()
    except (TimeoutError, OcelogError):
        return None
    return found


Seen = Annotated[Overview | None, Depends(_overview)]


@router.get("/sources/{source_id}")
async def show(request: Request, visitor: Viewer, source_id: str, said: str = "") -> Response:
    """Show one source."""
    overviews = request.app.state.overviews
    overview: Overview = await overviews.shown()
    # It asks the ledger, for which no other page must wait.
    if await run_in_threadpool(_is_before, installation_of(request), source_id, overview):
        overviews.forget(overview)
        overview = await overviews.shown()
    return await run_in_threadpool(_page, request, visitor, source_id, overview, said=said)


def _is_before(installation: Installation, source_id: str, overview: Overview) -> bool:
    """Whether a source was paused or resumed since its streams were looked at: by a command, of which nobody heard."""
    try:
        row = sources.find(installation, source_id)
    except ConfigError:
        return False
    return any(each.source_id == row.id and (each.resume is not None) != row.paused for each in overview.streams)


def _page(
    request: Request,
    visitor: Visitor,
    source_id: str,
    overview: Overview | None,
    *,
    at: str = "",
    found: Sequence[HealthItem] = (),
    refused: OcelogError | None = None,
    wrong: Mapping[str, str] | None = None,
    said: str = "",
    typed: Mapping[str, str] | None = None,
    chosen: Sequence[str] | None = None,
    doubled: bool = False,
) -> Response:
    installation = installation_of(request)
    try:
        row = sources.find(installation, source_id)
    except ConfigError as error:
        return page(request, "trouble.html", visitor=visitor, status=404, kind="known", needed="", error=error)
    streams = [] if overview is None else [each for each in overview.streams if each.source_id == row.id]
    broken = damage(row)
    settings: dict[str, Any] = {} if broken is not None else dict(source_settings(row).to_mapping())
    return page(
        request,
        "source.html",
        visitor=visitor,
        status=200 if refused is None and not wrong else 422,
        row=row,
        broken=broken,
        settings={name: value for name, value in settings.items() if value not in (None, [], "")},
        fields=[] if broken is not None else source_editing.fields(row),
        typed=typed or {},
        wrong=wrong or {},
        offered={} if broken is not None else sources.product_of(row).log_types,
        chosen=settings.get("log_types", ()) if chosen is None else chosen,
        doubled=doubled,
        at=at,
        said=said if said in _SAID else "",
        kept=sources.secret_kept(installation, row),
        streams=streams,
        verdict=verdict(streams),
        found=found,
        refused=refused,
        now=datetime.now(UTC),
    )


def _done(
    request: Request,
    visitor: Visitor,
    source_id: str,
    seen: Overview | None,
    what: str,
    do: Callable[[SourceRow, list[HealthItem]], Any],
) -> Response:
    """Do something that is noted as `what`; it may tell what it found of the source."""
    installation, found = installation_of(request), list[HealthItem]()
    try:
        row = sources.find(installation, source_id)
        do(row, found)
    except OcelogError as error:
        return _page(request, visitor, source_id, seen, at=what, found=found, refused=error)
    request.app.state.overviews.forget()
    users.note(installation, visitor.user, f"source.{what}", row.name, visitor.origin)
    return RedirectResponse(
        ("/sources" if what == "removed" else f"/sources/{row.id}") + f"?said={what}", status_code=303
    )


@router.post("/sources/{source_id}/check")
@slowly
def check(request: Request, visitor: Admin, source_id: str, seen: Seen) -> Response:
    """Ask the source for a little of everything, and show what works."""
    installation = installation_of(request)
    try:
        row = sources.find(installation, source_id)
        found = sources.check(source_settings(row), reveal(installation, row))
    except OcelogError as error:
        return _page(request, visitor, source_id, seen, refused=error)
    users.note(installation, visitor.user, "source.checked", row.name, visitor.origin, **sources.verdict_of(found))
    return _page(request, visitor, source_id, seen, found=found)


@router.post("/sources/{source_id}/edit")
async def edit(request: Request, visitor: Admin, source_id: str, seen: Seen) -> Response:
    """Change the settings, once what they reach is known to work."""
    sent = await request.form()
    given = {name: value for name, value in sent.items() if isinstance(value, str)}
    # In the place of a choice: the answer is in a field of its own.
    values = {name: given.get(f"{name}_{OTHER}", value) if value == OTHER else value for name, value in given.items()}
    secret = values.pop("secret", "").strip()
    chosen = [str(each) for each in sent.getlist("log_types")]
    return await SLOW.run_for(visitor.user.id, _edited, request, visitor, source_id, seen, values, chosen, secret)


def _edited(
    request: Request,
    visitor: Visitor,
    source_id: str,
    seen: Overview | None,
    typed: Mapping[str, str],
    chosen: Sequence[str],
    secret: str,
) -> Response:
    installation, found, doubled = installation_of(request), list[HealthItem](), False
    try:
        row = sources.find(installation, source_id)
        wrong = source_editing.wrong(row, typed, chosen)
        if wrong:
            return _page(request, visitor, source_id, seen, wrong=wrong, typed=typed, chosen=chosen)
        change = source_editing.change(
            row,
            typed,
            chosen,
            secret=_secret(secret) if secret else None,
            public_only=not installation.settings.private_sources,
        )
        change = replace(change, anyway=typed.get("anyway") == "yes", check=typed.get("unchecked") != "yes")
        doubled = change.reaches_anew and source_changes.twin_of(installation, row, change) is not None
        done = source_changes.edit(installation, row, change, Listener(found=found.extend))
    except OcelogError as error:
        return _page(
            request,
            visitor,
            source_id,
            seen,
            found=found,
            refused=error,
            typed=typed,
            chosen=chosen,
            doubled=doubled,
        )
    named = ", ".join(sorted({*change.own, *change.streams, *(["log_types"] if change.log_types else [])}))
    alarms = ", ".join(sorted({f"no_events_{each}" for some in change.no_events.values() for each in some}))
    what = ", ".join(filter(None, (named, alarms)))
    users.note(installation, visitor.user, "source.changed", row.name, visitor.origin, settings=what)
    request.app.state.overviews.forget()
    said = "swept" if done.swept else "sees_more" if done.sees_more else "changed"
    return RedirectResponse(f"/sources/{row.id}?said={said}", status_code=303)


@router.post("/sources/{source_id}/pause")
def pause(request: Request, visitor: Admin, source_id: str, seen: Seen) -> Response:
    """Stop reading a source, until it is resumed."""
    installation = installation_of(request)

    def do(row: SourceRow, _: list[HealthItem]) -> None:
        source_changes.pause(installation, row, paused=True)

    return _done(request, visitor, source_id, seen, "paused", do)


@router.post("/sources/{source_id}/resume")
def resume(request: Request, visitor: Admin, source_id: str, seen: Seen) -> Response:
    """Read a source again from where it stopped."""
    installation = installation_of(request)

    def do(row: SourceRow, _: list[HealthItem]) -> None:
        source_changes.pause(installation, row, paused=False)

    return _done(request, visitor, source_id, seen, "resumed", do)


@router.post("/sources/{source_id}/rotate")
@slowly
def rotate(request: Request, visitor: Admin, source_id: str, seen: Seen, secret: Annotated[str, Form()]) -> Response:
    """Put a new secret in the place of the present one, once it works."""
    installation = installation_of(request)

    def do(row: SourceRow, found: list[HealthItem]) -> None:
        given = GivenSecret(value=_secret(secret.strip()))
        source_changes.rotate(installation, row, SourceChange(), given, Listener(found=found.extend))

    return _done(request, visitor, source_id, seen, "rotated", do)


@router.post("/sources/{source_id}/remove")
def remove(request: Request, visitor: Admin, source_id: str, seen: Seen, name: Annotated[str, Form()] = "") -> Response:
    """Stop reading a source and forget its secret; its rows stay."""
    installation = installation_of(request)

    def do(row: SourceRow, _: list[HealthItem]) -> None:
        check_typed(name, row.name, Phrase("To remove it, type its name: %(name)s", name=row.name))
        source_changes.remove(installation, row)

    return _done(request, visitor, source_id, seen, "removed", do)


def _secret(given: str) -> Secret:
    if not given or not given.isprintable() or len(given) > _LONGEST:
        raise ConfigError(Phrase("A client secret is one line of text."))
    return Secret(given)
