"""Suppressions and maintenance windows: what nobody is told of for a while."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import Response

from ocelog.alert.delivery.suppressing import Suppression as SuppressionRow
from ocelog.app.alerts import alerts
from ocelog.console.api.caller import Analyst, Viewer
from ocelog.console.api.paging import Cursor, Limit, Page, page_of
from ocelog.console.api.problems import not_found
from ocelog.console.api.repeats import IdempotencyKey, once
from ocelog.console.api.values import Line, Name
from ocelog.times import from_us
from ocelog.units import duration

router = APIRouter(prefix="/suppressions", tags=["Suppressions"])
When = Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")]


class Suppression(BaseModel):
    """Alerts that nobody is told of from one instant until another. They are kept."""

    id: str
    rule: str | None = Field(description="A rule's id, in which `*` stands for anything; null: every alert.")
    where: dict[str, list[str]] = Field(description="Field -> values of which it must have one.")
    owner: str
    reason: str
    since: AwareDatetime
    until: AwareDatetime
    added_at: AwareDatetime


class NewSuppression(BaseModel):
    """What is to be kept quiet."""

    model_config = ConfigDict(extra="forbid")
    rule: Line | None = Field(default=None, description="null: a maintenance window, for alerts of every rule.")
    where: list[Line] = Field(
        default=[],
        max_length=100,
        description="`severity=LOW`, `title=*backup*`, `context.actor.email=x`: only alerts with this value.",
    )
    sources: list[Line] = Field(default=[], max_length=100, description="Only alerts of these sources.")
    lasts: When | None = Field(default=None, description="How long: `4h`, `7d`; or give `until`.")
    until: When | None = Field(default=None, description="An instant, or `+6h`.")
    since: When | None = Field(default=None, description="An instant, or `+2h`; null: now.")
    reason: Annotated[str, Field(min_length=1, max_length=4_000)]
    owner: Line | None = Field(default=None, description="Whom to ask about it; null: the token's user.")


class MadeSuppression(Suppression):
    """A suppression that was just made."""

    unknown_rule: str | None = Field(description="That no alert so far is of such a rule.")


class EndedSuppression(BaseModel):
    """What ending one came to."""

    id: str
    changed: bool = Field(description="false: it was over already.")


def _values(found: SuppressionRow) -> dict[str, object]:
    return {
        "id": found.id,
        "rule": found.rule,
        "where": {name: list(values) for name, values in found.fields.items()},
        "owner": found.owner,
        "reason": found.reason,
        "since": from_us(found.since_us),
        "until": from_us(found.until_us),
        "added_at": from_us(found.added_us),
    }


@router.get("")
def list_suppressions(
    caller: Viewer,
    over: Annotated[bool, Query(description="Also those that are over.")] = False,  # noqa: FBT002
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Suppression]:
    """List what is kept quiet, or will be."""
    every = alerts.suppressions(caller.installation, over=over)
    found, further = page_of(every, lambda each: each.id, limit=limit, cursor=cursor)
    return Page(items=[Suppression.model_validate(_values(each)) for each in found], next=further)


@router.post("", status_code=201, response_model=MadeSuppression)
def add_suppression(
    request: Request, caller: Analyst, body: NewSuppression, idempotency_key: IdempotencyKey = None
) -> Response:
    """Tell nobody of what a rule finds, or of any alert, for a while."""

    def make() -> MadeSuppression:
        made = alerts.suppress(
            caller.installation,
            body.rule,
            where=body.where,
            source_names=body.sources,
            lasts=None if body.lasts is None else duration(body.lasts),
            until=body.until,
            since=body.since,
            owner=body.owner or caller.user.name,
            reason=body.reason,
        )
        caller.note("suppression.added", made.id, covers=made.covered)
        unknown = None if body.rule is None else alerts.unknown_rule(caller.installation, body.rule)
        return MadeSuppression.model_validate({**_values(made), "unknown_rule": unknown})

    return once(request, caller, idempotency_key, body, make)


@router.delete("/{suppression}")
def end_suppression(caller: Analyst, suppression: Name) -> EndedSuppression:
    """End a suppression now, by its id or how that begins."""
    with not_found():
        ((found, changed),) = alerts.end_suppressions(caller.installation, [suppression]).items()
    if changed:
        caller.note("suppression.ended", found)
    return EndedSuppression(id=found, changed=changed)
