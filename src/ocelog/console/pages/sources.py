"""The list of sources: how each stream is, and what happened in it of late."""

from collections import defaultdict
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from ocelog.app.overview import Overview
from ocelog.app.status import StreamStatus, verdict
from ocelog.console.rendering import page
from ocelog.console.visitor import Viewer

router = APIRouter()


@router.get("/")
def start(visitor: Viewer) -> Response:  # noqa: ARG001 - nobody is led on who has not signed in
    """Lead to what a person looks at first."""
    return RedirectResponse("/sources", status_code=303)


@router.get("/sources")
async def sources(request: Request, visitor: Viewer) -> Response:
    """Show every source with its streams."""
    found: Overview = await request.app.state.overviews.take()
    of_source = defaultdict[str, list[StreamStatus]](list)
    for each in found.streams:
        of_source[each.source].append(each)
    return page(
        request,
        "sources.html",
        visitor=visitor,
        verdict=verdict(found.streams),
        of_source=dict(of_source),
        # It reads the lake, for which the page does not wait: the table asks for itself again.
        activity=await request.app.state.activities.latest() or {},
        now=datetime.now(UTC),
    )
