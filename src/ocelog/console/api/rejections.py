"""Rejections: records that did not fit their schema, kept as they came."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from ocelog.app.log_types import log_types
from ocelog.app.records import rejections
from ocelog.app.search import search
from ocelog.app.search.queries import Stop
from ocelog.app.search.search import Key
from ocelog.app.sources import sources
from ocelog.console.api.caller import Analyst, Viewer
from ocelog.console.api.paging import Cursor, Limit, Page, read_cursor, write_cursor
from ocelog.console.api.problems import CODES, RefusedError
from ocelog.console.api.values import Row, row, written
from ocelog.console.asking import answered
from ocelog.times import from_us, to_us

router = APIRouter(prefix="/rejections", tags=["Rejections"])
Words = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]


class RejectionReplay(BaseModel):
    """What trying again came to."""

    tried: int
    events: int = Field(description="New versions that landed.")
    repeats: int = Field(description="They fit too, and were there already.")
    still_rejected: int
    sent_with_errors: int = Field(description="Not tried: the source sent them with an error.")


@router.get("", response_model=Page[Row])
async def list_rejections(
    request: Request,
    caller: Viewer,
    source: Words | None = None,
    log_type: Words | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List the records that did not fit, the newest first."""
    after = None
    if cursor is not None:
        us, row_id = read_cursor(cursor, int, str)
        try:
            after = Key(at=from_us(int(us)), row_id=str(row_id))
        except OverflowError:
            raise RefusedError(422, "cursor_invalid", CODES["cursor_invalid"]) from None
    installation = caller.installation

    def look(stop: Stop) -> Response:
        source_id = None if source is None else sources.find(installation, source, removed=True).id
        named = None if log_type is None else log_types([log_type])[0]
        found = search.rejections(
            installation, source_id=source_id, log_type=named, after=after, limit=limit, stop=stop
        )
        further = None if found.further is None else write_cursor(to_us(found.further.at), found.further.row_id)
        return written(Page[Row](items=[row(each) for each in found.rows], next=further))

    return await answered(request, caller, look)


@router.post("/replay")
async def replay_rejections(request: Request, caller: Analyst) -> RejectionReplay:
    """Shape every rejected record anew, and land those that fit by now: also while the service that serves this runs.

    A service in another process, beside `ocelog serve`, holds the home: then ask that one.
    """

    def replay(stop: Stop) -> rejections.RejectionReplay:  # noqa: ARG001 - what has begun to land is landed
        done = rejections.replay(caller.installation)
        caller.note("rejections.replayed", "", tried=str(done.tried), landed=str(done.events))
        return done

    done = await answered(request, caller, replay)
    return RejectionReplay(
        tried=done.tried,
        events=done.events,
        repeats=done.repeats,
        still_rejected=done.still_rejected,
        sent_with_errors=done.sent_with_errors,
    )
