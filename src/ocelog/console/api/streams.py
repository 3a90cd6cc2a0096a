"""Streams: each log type of each source, as it stands."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, Field

from ocelog.app.status.overview import Overview
from ocelog.app.status.status import StreamStatus
from ocelog.console.api.caller import Viewer
from ocelog.console.api.paging import Cursor, Limit, Page, page_of

router = APIRouter(prefix="/streams", tags=["Streams"])
Words = Annotated[str, Query(max_length=300, pattern=r"^[^\x00]*$")]


class StreamGap(BaseModel):
    """How many records the source counts, and how many the lake has."""

    status: str = Field(description="Of the records; empty: they have none.")
    at_source: int
    at_least: bool = Field(description="The source stopped counting there.")
    in_lake: int
    measured_at: AwareDatetime


class Stream(BaseModel):
    """One log type of one source."""

    source: str
    source_id: str
    log_type: str
    state: str = Field(description="`new`, `paused`, `broken`, `retrying`, `catching up`, `live`, `empty`.")
    health: str = Field(description="`healthy`, `catching up`, `quiet`, `silent`, `broken`, `forbidden`, and so on.")
    health_why: str
    no_events_alarm: str
    needs_attention: bool
    complete_through: AwareDatetime | None
    lag_seconds: int | None
    last_success: AwareDatetime | None
    last_event: AwareDatetime | None
    events: int
    rejections: int
    still_rejected: int
    events_per_hour: float | None
    ranges_left: int = Field(description="Time ranges that are still to be read.")
    eta_seconds: int | None = Field(description="Until those are read, at the present pace.")
    ranges_parked: int
    ranges_incomplete: int
    refused_fields: list[str] = Field(description="Fields that the source does not show to this account.")
    coverage: list[StreamGap]
    error: str | None
    error_code: str | None
    todo: str | None


def shown(found: StreamStatus) -> Stream:
    """Return a stream as the API shows it."""
    return Stream(
        source=found.source,
        source_id=found.source_id,
        log_type=found.log_type,
        state=found.state,
        health=found.health.state.value,
        health_why=found.health.why,
        no_events_alarm=found.health.alarm.value,
        needs_attention=found.needs_attention,
        complete_through=found.complete_through,
        lag_seconds=None if found.lag is None else int(found.lag.total_seconds()),
        last_success=found.last_success,
        last_event=found.last_event,
        events=found.events,
        rejections=found.rejections,
        still_rejected=found.still_rejected,
        events_per_hour=found.rate,
        ranges_left=found.slices_left,
        eta_seconds=None if found.eta is None else int(found.eta.total_seconds()),
        ranges_parked=len(found.parked),
        ranges_incomplete=len(found.short),
        refused_fields=list(found.refused),
        coverage=[
            StreamGap(
                status=each.status,
                at_source=each.at_source,
                at_least=each.at_least,
                in_lake=each.in_lake,
                measured_at=each.measured,
            )
            for each in found.coverage
        ],
        error=found.error,
        error_code=found.error_code,
        todo=found.todo,
    )


@router.get("")
async def list_streams(
    request: Request,
    caller: Viewer,  # noqa: ARG001 - nobody reads it without a token
    source: Annotated[Words | None, Query(description="A source's id or name.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Stream]:
    """List the streams. They are looked at every few seconds."""
    overview: Overview = await request.app.state.overviews.take()
    wanted = [each for each in overview.streams if source in (None, each.source, each.source_id)]
    found, further = page_of(wanted, lambda each: f"{each.source_id} {each.log_type}", limit=limit, cursor=cursor)
    return Page(items=[shown(each) for each in found], next=further)
