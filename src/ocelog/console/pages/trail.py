"""The audit trail: what was done through the console and the API. For admins."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ocelog.app.trail import deeds
from ocelog.console.rendering import page
from ocelog.console.visitor import Admin, installation_of

router = APIRouter()
_PAGE = 100


@router.get("/trail")
def show(request: Request, visitor: Admin, before: Annotated[int | None, Query(ge=1, lt=2**63)] = None) -> Response:
    """List what was done, the newest first."""
    found = deeds(installation_of(request), before=before, limit=_PAGE + 1)
    further = found[_PAGE - 1].number if len(found) > _PAGE else None
    return page(request, "trail.html", visitor=visitor, deeds=found[:_PAGE], further=further)
