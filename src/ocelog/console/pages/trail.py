"""The audit trail: what was done through the console and the API. For admins."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from ocelog.app.users.trail import deeds, names
from ocelog.console.deeds import said, told
from ocelog.console.languages import language_of
from ocelog.console.list_pages import list_pages
from ocelog.console.rendering import page
from ocelog.console.visitor import Admin, installation_of

router = APIRouter()
_PAGE = 100


@router.get("/trail")
def show(
    request: Request,
    visitor: Admin,
    before: Annotated[Sequence[Annotated[int, Field(ge=1, lt=2**63)]], Query()] = (),
    who: str = "",
    what: str = "",
) -> Response:
    """List what was done, the newest first."""
    installation = installation_of(request)
    behind = before[-1] if before else None
    found = deeds(installation, before=behind, limit=_PAGE + 1, who=who or None, what=what or None)
    query = {name: value for name, value in (("who", who), ("what", what)) if value}
    end = found[_PAGE - 1].number if len(found) > _PAGE else None
    people, kinds = names(installation)
    language = language_of(request, visitor.user.language)
    return page(
        request,
        "trail.html",
        visitor=visitor,
        deeds=[(each, said(each.what, language), told(each.details, language)) for each in found[:_PAGE]],
        pages=list_pages("/trail", query, "before", [str(each) for each in before], end),
        people=[each for each in people if each],
        kinds=sorted(((each, said(each, language)) for each in kinds), key=lambda pair: pair[1].casefold()),
        who=who,
        what=what,
    )
