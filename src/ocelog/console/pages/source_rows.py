"""The rows of a source: what did not fit and is tried again, and deleting all of them with the source."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from ocelog.app.claims import check_home
from ocelog.app.records import rejections
from ocelog.app.search.queries import Stop
from ocelog.app.search.search import rejected
from ocelog.app.sources import purge, sources
from ocelog.app.users import users
from ocelog.console.asking import answered
from ocelog.console.background import Background
from ocelog.console.confirming import check_typed
from ocelog.console.pages import search
from ocelog.console.rendering import page, page_in_thread
from ocelog.console.visitor import Admin, Analyst, Viewer, Visitor, installation_of
from ocelog.errors import ConfigError, OcelogError, QueryBusyError
from ocelog.languages.phrases import Phrase

router = APIRouter()
_SHOWN = 20


def _background(request: Request) -> Background:
    found = request.app.state.background
    assert isinstance(found, Background)  # noqa: S101 - put there by `site.py`
    return found


@router.get("/sources/{source_id}/rejections")
async def show_rejections(request: Request, visitor: Viewer, source_id: str) -> Response:
    """Show the newest records that did not fit: asked for apart, since it reads the lake."""
    return await _rejections(request, visitor, source_id)


async def _rejections(request: Request, visitor: Visitor, source_id: str) -> Response:
    installation = installation_of(request)
    refused: OcelogError | None = None
    rows: Sequence[Any] = ()

    def look(stop: Stop) -> Sequence[Any]:
        return rejected(installation, sources.find(installation, source_id).id, limit=_SHOWN, stop=stop)

    try:
        rows = await answered(request, visitor, look)
    except QueryBusyError as error:
        if request.method == "GET":
            return search.refused(request, visitor, error, "rejections")
        refused = error
    except OcelogError as error:
        refused = error
    return await page_in_thread(
        request,
        "source_rejections.html",
        visitor=visitor,
        source_id=source_id,
        rows=rows,
        refused=refused,
        replay=_background(request).last(f"replay {source_id}"),
    )


@router.post("/sources/{source_id}/replay")
async def replay(request: Request, visitor: Analyst, source_id: str) -> Response:
    """Begin to shape every rejected record of a source anew, and to land those that fit by now."""
    installation = installation_of(request)
    row = await run_in_threadpool(sources.find, installation, source_id)

    def do() -> rejections.RejectionReplay:
        done = rejections.replay(installation, row.id)
        told = {"tried": str(done.tried), "landed": str(done.events)}
        users.note(installation, visitor.user, "rejections.replayed", row.name, visitor.origin, **told)
        return done

    _background(request).begin(f"replay {source_id}", do)
    return await _rejections(request, visitor, source_id)


@router.get("/sources/{source_id}/purge")
def ask_purge(request: Request, visitor: Admin, source_id: str) -> Response:
    """Say what deleting a source means, or how far it is."""
    return _purge(request, visitor, source_id)


def _purge(request: Request, visitor: Visitor, source_id: str, refused: OcelogError | None = None) -> Response:
    installation, job, row = installation_of(request), _background(request).last(f"purge {source_id}"), None
    try:
        row = sources.find(installation, source_id, removed=True)
    except ConfigError as error:
        if job is None or job.error is not None:
            return page(request, "trouble.html", visitor=visitor, status=404, kind="known", needed="", error=error)
    status = 200 if refused is None else 422
    return page(request, "source_purge.html", visitor=visitor, status=status, row=row, job=job, refused=refused)


@router.post("/sources/{source_id}/purge")
def begin_purge(request: Request, visitor: Admin, source_id: str, name: Annotated[str, Form()] = "") -> Response:
    """Begin to delete a source with its rows, for whoever types its name."""
    installation = installation_of(request)
    try:
        row = sources.find(installation, source_id, removed=True)
        check_typed(name, row.name, Phrase("To delete it, type its name: %(name)s", name=row.name))
        check_home(installation)
    except OcelogError as error:
        return _purge(request, visitor, source_id, error)
    users.note(installation, visitor.user, "source.purged", row.name, visitor.origin)
    _background(request).begin(f"purge {row.id}", lambda: purge.purge(installation, row))
    return RedirectResponse(f"/sources/{row.id}/purge", status_code=303)
