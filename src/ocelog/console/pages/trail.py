"""The audit trail: what was done through the console and the API. For admins."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ocelog.app.users.trail import deeds, names
from ocelog.console.deeds import said, told
from ocelog.console.languages import language_of
from ocelog.console.rendering import page
from ocelog.console.visitor import Admin, installation_of

router = APIRouter()
_PAGE = 100


@router.get("/trail")
def show(
    request: Request,
    visitor: Admin,
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    who: str = "",
    what: str = "",
) -> Response:
    """List what was done, the newest first."""
    installation = installation_of(request)
    found = deeds(installation, before=before, limit=_PAGE + 1, who=who or None, what=what or None)
    query = {name: value for name, value in (("who", who), ("what", what)) if value}
    older = {**query, "before": found[_PAGE - 1].number} if len(found) > _PAGE else None
    people, kinds = names(installation)
    language = language_of(request, visitor.user.language)
    return page(
        request,
        "trail.html",
        visitor=visitor,
        deeds=[(each, said(each.what, language), told(each.details, language)) for each in found[:_PAGE]],
        further=None if older is None else f"/trail?{urlencode(older)}",
        people=[each for each in people if each],
        kinds=sorted(((each, said(each, language)) for each in kinds), key=lambda pair: pair[1].casefold()),
        who=who,
        what=what,
    )
