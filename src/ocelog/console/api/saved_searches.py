"""Saved searches: those of the token's user, and those that others share."""

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import Response

from ocelog.access import SavedSearch as SearchRow
from ocelog.app.search import saved_searches
from ocelog.console.api.caller import Analyst, Viewer
from ocelog.console.api.paging import Cursor, Limit, Page, page_of
from ocelog.console.api.problems import not_found
from ocelog.console.api.repeats import IdempotencyKey, once
from ocelog.console.api.values import Line, Name, Text
from ocelog.times import from_us

router = APIRouter(prefix="/saved-searches", tags=["Saved searches"])


class SavedSearch(BaseModel):
    """A search that somebody keeps."""

    id: str
    name: str
    address: str = Field(description="Path and query of its page in the console.")
    shared: bool = Field(description="Everybody sees it.")
    owner: str
    saved_at: AwareDatetime


class NewSearch(BaseModel):
    """A search to be kept, in the place of one's own of that name."""

    model_config = ConfigDict(extra="forbid")
    name: Line
    address: Text = Field(
        description="As the console has it while the search is shown: `/search?...` or `/search/sql?...`.",
        examples=["/search?log_type=issues&since=7d"],
    )
    shared: bool = False


def _shown(search: SearchRow) -> SavedSearch:
    return SavedSearch(
        id=search.id,
        name=search.name,
        address=search.address,
        shared=search.shared,
        owner=search.owner,
        saved_at=from_us(search.saved_us),
    )


@router.get("")
def list_searches(caller: Viewer, limit: Limit = 50, cursor: Cursor = None) -> Page[SavedSearch]:
    """List one's own searches, and those that others share."""
    every = saved_searches.listed(caller.installation, caller.user)
    found, further = page_of(every, lambda each: each.id, limit=limit, cursor=cursor)
    return Page(items=[_shown(each) for each in found], next=further)


@router.post("", status_code=201, response_model=SavedSearch)
def save_search(request: Request, caller: Analyst, body: NewSearch, idempotency_key: IdempotencyKey = None) -> Response:
    """Keep a search under a name, for oneself or for all, in the place of one's own of that name."""

    def make() -> SavedSearch:
        return _shown(
            saved_searches.save(
                caller.installation,
                body.name,
                body.address,
                shared=body.shared,
                by=caller.user,
                origin=caller.origin,
            )
        )

    return once(request, caller, idempotency_key, body, make)


@router.delete("/{search}", status_code=204)
def remove_search(caller: Analyst, search: Name) -> None:
    """Remove one's own search, by its id; an admin may remove any."""
    with not_found():
        saved_searches.remove(caller.installation, search, by=caller.user, origin=caller.origin)
