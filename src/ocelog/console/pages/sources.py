"""The list of sources: how each stream is, and what happened in it of late."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from ocelog.app.sources import sources as all_sources
from ocelog.app.status.overview import Overview
from ocelog.app.status.status import StreamStatus, verdict
from ocelog.console.list_pages import list_pages
from ocelog.console.rendering import page_in_thread
from ocelog.console.visitor import Viewer, installation_of
from ocelog.model import SourceRow

router = APIRouter()
_PAGE = 50
"""Sources that one page shows."""


@router.get("/")
def start(visitor: Viewer) -> Response:  # noqa: ARG001 - nobody is led on who has not signed in
    """Lead to what a person looks at first."""
    return RedirectResponse("/sources", status_code=303)


@router.get("/sources")
async def sources(
    request: Request,
    visitor: Viewer,
    text: str = "",
    after: Annotated[Sequence[str], Query()] = (),
    said: str = "",
) -> Response:
    """Show the sources with their streams, by name, of thousands those whose name is like `text`."""
    found: Overview = await request.app.state.overviews.shown()
    of_source = defaultdict[str, list[StreamStatus]](list)
    for each in found.streams:
        of_source[each.source].append(each)
    like, behind = text.strip().casefold(), after[-1] if after else ""
    named = sorted(name for name in of_source if like in name.casefold() and name > behind)
    shown = named[:_PAGE]
    end = shown[-1] if len(named) > _PAGE else None
    return await page_in_thread(
        request,
        "sources.html",
        visitor=visitor,
        verdict=verdict(found.streams),
        of_source={name: of_source[name] for name in shown},
        many=len(of_source) > _PAGE,
        text=text,
        said=said,
        pages=list_pages("/sources", {"text": text} if text else {}, "after", after, end),
        removed=await run_in_threadpool(_removed, request) if visitor.may("admin") else [],
        again=_again(request),
        # It reads the lake, for which the page does not wait: the table asks for itself again.
        activity=await request.app.state.activities.latest(),
        now=datetime.now(UTC),
    )


def _again(request: Request) -> str:
    """Return the address of the same list, which says no more what was done before."""
    asked = [(name, value) for name, value in request.query_params.multi_items() if name != "said"]
    return f"/sources?{urlencode(asked)}" if asked else "/sources"


def _removed(request: Request) -> list[SourceRow]:
    """Return the sources that were removed, whose rows are still there: those first that are half deleted."""
    found = [row for row in all_sources.listed(installation_of(request), removed=True) if row.removed_us is not None]
    return sorted(found, key=lambda row: (not row.purging, row.name))[:_PAGE]
