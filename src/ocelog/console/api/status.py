"""Status and coverage: what needs attention, in words and for programs, as commands say it."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field
from starlette.responses import Response

from ocelog.app.loops.coverage_report import coverage_report
from ocelog.app.status.status_report import status_report
from ocelog.console.api.caller import Viewer
from ocelog.console.api.problems import not_found
from ocelog.console.api.values import written
from ocelog.units import duration

router = APIRouter(tags=["Health"])
Words = Annotated[str, Query(max_length=300, pattern=r"^[^\x00]*$")]


class Status(BaseModel):
    """What `ocelog status` prints."""

    well: bool = Field(description="Nothing needs attention.")
    first: str = Field(description="The verdict, or that something needs attention.")
    urgent: list[str] = Field(description="What does, and what to do; and what keeps alerts quiet.")
    streams: list[dict[str, Any]] = Field(description="A row of a table for each stream.")
    details: list[dict[str, Any]] = Field(description="More of each, if one source was asked about.")
    notes: list[str] = Field(description="What is merely good to know.")
    service: str | None = Field(description="Which service runs; null: none.")
    idle: str | None = Field(description="What there is instead.")
    machine: str
    values: dict[str, Any] = Field(description="As `ocelog status --json` prints it.")


class Coverage(BaseModel):
    """How many records of one status a source counts, and how many the lake has."""

    source: str
    source_id: str
    log_type: str
    status: str = Field(description="Empty: its records have none.")
    at_source: int
    at_least: bool = Field(description="The source stopped counting there.")
    in_lake: int
    measured_at: AwareDatetime


class Coverages(BaseModel):
    """What was measured of all streams."""

    items: list[Coverage]
    not_measured: list[str] = Field(description="Streams that were not measured yet.")
    damaged: list[str] = Field(description="Why a source could not be looked at.")


@router.get("/status", response_model=Status)
def get_status(
    caller: Viewer,
    source: Annotated[Words | None, Query(description="Only this source, with details.")] = None,
    max_lag: Annotated[Words, Query(description="How old data may be.")] = "1h",
) -> Response:
    """Return how everything is, looked at now."""
    allowed = duration(max_lag)
    with not_found():
        found = status_report(caller.installation, allowed=allowed, now=datetime.now(UTC), source=source)
    report = Status(
        well=found.well,
        first=found.first,
        urgent=list(found.urgent),
        streams=[dict(each) for each in found.streams],
        details=[dict(each) for each in found.details],
        notes=list(found.notes),
        service=found.service,
        idle=found.idle,
        machine=found.machine,
        values=dict(found.values),
    )
    return written(report)


@router.get("/coverage", response_model=Coverages)
def get_coverage(caller: Viewer, source: Words | None = None) -> Response:
    """Return what each source counts beside what the lake has, as it was last measured."""
    with not_found():
        found = coverage_report(caller.installation, source, measure_now=False, told=lambda *_: None)
    measured = Coverages(
        items=[
            Coverage(
                source=each.source.name,
                source_id=each.source.id,
                log_type=each.log_type,
                status=gap.status,
                at_source=gap.at_source,
                at_least=gap.at_least,
                in_lake=gap.in_lake,
                measured_at=gap.measured,
            )
            for each in found.streams
            for gap in each.gaps
        ],
        not_measured=[f"{each.source.name} {each.log_type}" for each in found.streams if each.is_lacking],
        damaged=list(map(str, found.damaged.values())),
    )
    return written(measured)
