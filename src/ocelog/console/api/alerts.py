"""Alerts: what rules matched, grouped for people, and what people do with it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ocelog.alert.alert import Alert as AlertRow
from ocelog.alert.changes import Act, CloseReason
from ocelog.alert.listing import AlertOrder, ListPlace
from ocelog.alert.notice import AlertStatus, AlertType
from ocelog.app.alerts import alerts
from ocelog.app.alerts.alert_wishes import Verb, Wish
from ocelog.app.alerts.alerts import MOST_COUNTED
from ocelog.app.alerts.alerts import ChangedAlert as ChangedRow
from ocelog.app.search.queries import Stop
from ocelog.app.search.search import matched_events
from ocelog.console.api.caller import Analyst, Caller, Viewer
from ocelog.console.api.paging import MOST, Cursor, Limit, Page, read_cursor, write_cursor
from ocelog.console.api.problems import CODES, RefusedError, not_found
from ocelog.console.api.repeats import IdempotencyKey, once
from ocelog.console.api.values import Line, Name, Row, Text, instant, row, written
from ocelog.console.asking import answered
from ocelog.errors import ConfigError
from ocelog.model import Severity

router = APIRouter(prefix="/alerts", tags=["Alerts"])
_EVENTS = 100
_MOST_CONTEXT = 2_000_000
"""Characters of the contexts of a page: values made of them take twenty times as much memory."""
_UNTOLD = "Also alerts that are sent to nobody: suppressed, below their threshold, or older than the source or rule."
Words = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]


class AlertHead(BaseModel):
    """An alert without its long texts. Those that it has are as rules and sources wrote them."""

    id: str
    type: AlertType
    status: AlertStatus
    severity: Severity
    title: str
    rule_id: str
    rule_name: str
    rule_revision: str
    tags: list[str]
    dedup: str
    log_type: str | None
    source_id: str | None
    source: str | None
    record_id: str | None
    link: str | None = Field(description="The record's own page at the source.")
    matches: int
    visible: bool = Field(description="The source still shows the record.")
    told: bool = Field(description="Whether it is sent to people.")
    told_severity: Severity | None = Field(description="The worst that people were told of.")
    told_at: AwareDatetime | None
    opened_at: AwareDatetime
    updated_at: AwareDatetime
    first_event_at: AwareDatetime | None
    last_event_at: AwareDatetime | None
    ended_at: AwareDatetime | None
    acknowledged_at: AwareDatetime | None
    assignee: str | None
    close_reason: str | None


class Alert(AlertHead):
    """An alert. Texts are as rules and sources wrote them."""

    description: str
    runbook: str
    reference: str
    context: Any = Field(description="What the rule's `alert_context` returned for the match that it shows.")


class TimelineEntry(BaseModel):
    """One thing that happened to an alert."""

    at: AwareDatetime
    who: str
    what: str
    detail: str


class Delivery(BaseModel):
    """One try to tell of an alert through a channel."""

    at: AwareDatetime
    channel: str
    happened: str
    delivered: bool
    final: bool = Field(description="It is not tried again.")
    answer: str = Field(description="What the far end said.")


class WaitingDelivery(BaseModel):
    """What is still to be told through a channel."""

    channel: str
    happened: str
    due_at: AwareDatetime
    tries: int


class AlertDetails(Alert):
    """An alert with all that happened to it."""

    timeline: list[TimelineEntry]
    deliveries: list[Delivery]
    waiting: list[WaitingDelivery]
    untold_because: str | None = Field(description="Why nobody was told of it, or not yet; null: somebody was.")
    held_up: list[str] = Field(description="What holds up each channel that is still to be told.")


class AlertPage(Page[Alert]):
    """A page of alerts."""

    total: int = Field(
        description=f"How many are in the list, on all its pages. No more than {MOST_COUNTED} are counted: "
        "if it is that, there may be more."
    )
    untold: int = Field(
        description="How many more alerts `untold` would list: those that are sent to nobody. Counted as `total` is."
    )


class AlertChange(BaseModel):
    """What to do with an alert."""

    model_config = ConfigDict(extra="forbid")
    do: Verb
    text: Text = Field(default="", description="Of `comment`; also of `close` and `reopen`, where it may be empty.")
    reason: CloseReason | None = Field(default=None, description="Of `close`.")
    assignee: Annotated[str, Field(max_length=200)] | None = Field(
        default=None, description="Of `assign`: who looks after it; null: nobody."
    )
    quiet: bool = Field(default=False, description="Tell nobody; the timeline says that, too.")


class ManyChange(AlertChange):
    """What to do with several alerts."""

    ids: list[Line] = Field(min_length=1, max_length=MOST)
    all_or_none: bool = Field(default=False, description="Change all of them, or none if it cannot be done with one.")


class ChangedAlert(AlertHead):
    """An alert after somebody wanted something of it."""

    changed: bool = Field(description="false: it was so already.")
    to: list[str] = Field(description="Names of the channels that it is sent to once more, if that was wanted.")


class ChangedAlerts(BaseModel):
    """What became of several alerts."""

    changed: int = Field(description="So many changed; the others could not be, were so already, or are not there.")
    alerts: list[ChangedAlert] = Field(description="Each of them, if all or none were to change.")


class ResendRequest(BaseModel):
    """Through which channels to tell of an alert once more."""

    model_config = ConfigDict(extra="forbid")
    channels: list[Line] = Field(
        default=[], max_length=100, description="None: those that were told, else those that take it."
    )


class ManyResend(ResendRequest):
    """Which alerts to tell of once more, and through which channels."""

    ids: list[Line] = Field(min_length=1, max_length=MOST)


def _at(us: int) -> datetime:
    found = instant(us)
    assert found is not None  # noqa: S101 - it is one
    return found


def _head(found: AlertRow) -> dict[str, Any]:
    named = ("id", "type", "status", "severity", "title", "rule_id", "rule_name")
    more = (
        "rule_revision",
        "visible",
        "told_severity",
        "dedup",
        "log_type",
        "source_id",
        "record_id",
        "link",
        "matches",
        "assignee",
        "close_reason",
    )
    values = {name: getattr(found, name) for name in (*named, *more)}
    times = ("opened", "updated", "first_event", "last_event", "ended", "acknowledged", "told")
    values |= {f"{name}_at": instant(getattr(found, f"{name}_us")) for name in times}
    values["told"] = found.to_be_told
    return {**values, "tags": list(found.tags), "source": found.source_label}


def _values(found: AlertRow) -> dict[str, Any]:
    long = {name: getattr(found, name) for name in ("description", "runbook", "reference")}
    # It was JSON in the ledger: nothing of it has to be said otherwise.
    return {**_head(found), **long, "context": dict(found.context)}


def _details(caller: Caller, alert_id: str) -> AlertDetails:
    with not_found():
        (found,) = alerts.details(caller.installation, [alert_id])
    return AlertDetails(
        **_values(found.alert),
        timeline=[
            TimelineEntry(at=_at(each.at_us), who=each.who, what=each.what, detail=each.detail)
            for each in found.timeline
        ],
        deliveries=[
            Delivery(
                at=_at(each.at_us),
                channel=each.channel,
                happened=each.happened,
                delivered=each.delivered,
                final=each.final,
                answer=each.answer,
            )
            for each in found.attempts
        ],
        waiting=[
            WaitingDelivery(channel=each.channel, happened=each.happened, due_at=_at(each.due_us), tries=each.tries)
            for each in found.waiting
        ],
        untold_because=alerts.untold_because(caller.installation, found),
        held_up=alerts.waits_because(caller.installation, found),
    )


def _changed(done: Sequence[ChangedRow]) -> list[ChangedAlert]:
    return [ChangedAlert(**_head(each.alert), changed=each.changed, to=list(each.to)) for each in done]


@router.get("", response_model=AlertPage)
def list_alerts(
    caller: Viewer,
    status: Annotated[list[AlertStatus] | None, Query(description="None: those that are open.")] = None,
    severity: Annotated[list[Severity] | None, Query()] = None,
    type: Annotated[list[AlertType] | None, Query()] = None,  # noqa: A002 - as the API names it
    rule: Annotated[Words | None, Query(description="A rule's id, in which `*` stands for anything.")] = None,
    source: Annotated[list[Words] | None, Query(description="Ids or names of sources.")] = None,
    log_type: Words | None = None,
    assignee: Annotated[Words | None, Query(description="Empty: those that nobody looks after.")] = None,
    since: Annotated[Words | None, Query(description="An instant, or how long ago: `7d`.")] = None,
    text: Words | None = None,
    everything: Annotated[bool, Query(description="Also alerts that are over or sent to nobody.")] = False,  # noqa: FBT002
    untold: Annotated[bool, Query(description=_UNTOLD)] = False,  # noqa: FBT002
    sort: Annotated[
        AlertOrder,
        Query(description="What comes first: the newest, the worst, or what matched last. The same for all pages."),
    ] = AlertOrder.OPENED,
    limit: Limit = 50,
    cursor: Cursor = None,
    after: Annotated[Words | None, Query(description="In the place of `cursor`: those behind this alert.")] = None,
) -> Response:
    """List alerts, the newest first unless sorted otherwise; fewer than `limit` if their contexts are large."""
    wanted = alerts.wanted(
        caller.installation,
        statuses=status or (),
        severities=severity or (),
        types=type or (),
        rule=rule,
        source_names=source or (),
        log_type=log_type,
        assignee=assignee,
        since=since,
        text=text,
        everything=everything,
        untold=untold,
    )
    place: ListPlace | str | None = after
    if cursor is not None:
        (given,) = read_cursor(cursor, str)
        try:
            place = alerts.read_place(str(given))
        except ConfigError as error:
            raise RefusedError(422, "cursor_invalid", CODES["cursor_invalid"]) from error
    found = alerts.listed(caller.installation, wanted, limit=limit, order=sort, after=place, most_context=_MOST_CONTEXT)
    return written(
        AlertPage(
            items=[Alert(**_values(each)) for each in found.alerts],
            next=write_cursor(alerts.write_place(found.end)) if found.more and found.end else None,
            total=found.total,
            untold=found.untold,
        )
    )


def _act(body: AlertChange, who: str) -> Act:
    """Return what a request wants done. Raises ConfigError."""
    return Wish(do=body.do, text=body.text, reason=body.reason, assignee=body.assignee).act(who)


@router.post("/changes")
def change_alerts(caller: Analyst, body: ManyChange) -> ChangedAlerts:
    """Do the same with several alerts; those with which it cannot be done stay as they are."""
    act = _act(body, caller.user.name)
    if not body.all_or_none:
        return ChangedAlerts(
            changed=alerts.change_many(caller.installation, body.ids, act, quiet=body.quiet), alerts=[]
        )
    done = alerts.change(caller.installation, body.ids, act, quiet=body.quiet)
    return ChangedAlerts(changed=sum(each.changed for each in done), alerts=_changed(done))


@router.post("/resend")
def resend_alerts(caller: Analyst, body: ManyResend) -> ChangedAlerts:
    """Tell of several alerts once more, of all of them or none."""
    done = alerts.resend(caller.installation, body.ids, body.channels, who=caller.user.name)
    return ChangedAlerts(changed=sum(each.changed for each in done), alerts=_changed(done))


@router.get("/{alert}", response_model=AlertDetails)
def get_alert(caller: Viewer, alert: Name) -> Response:
    """Return one alert, by its id or how that begins, with its timeline and its deliveries."""
    return written(_details(caller, alert))


@router.post("/{alert}/changes", response_model=AlertDetails)
def change_alert(
    request: Request, caller: Analyst, alert: Name, body: AlertChange, idempotency_key: IdempotencyKey = None
) -> Response:
    """Do something with an alert. The channels that were told of it hear of what they can act on."""
    found = _details(caller, alert)

    def make() -> AlertDetails:
        alerts.change(caller.installation, [found.id], _act(body, caller.user.name), quiet=body.quiet)
        return _details(caller, found.id)

    return once(request, caller, idempotency_key, body, make, status=200, again=lambda: _details(caller, found.id))


@router.post("/{alert}/resend", response_model=AlertDetails)
def resend_alert(
    request: Request, caller: Analyst, alert: Name, body: ResendRequest, idempotency_key: IdempotencyKey = None
) -> Response:
    """Tell of an alert once more."""
    found = _details(caller, alert)

    def make() -> AlertDetails:
        alerts.resend(caller.installation, [found.id], body.channels, who=caller.user.name)
        return _details(caller, found.id)

    return once(request, caller, idempotency_key, body, make, status=200, again=lambda: _details(caller, found.id))


@router.get("/{alert}/events", response_model=list[Row])
async def alert_events(
    request: Request, caller: Viewer, alert: Name, limit: Annotated[int, Query(ge=1, le=_EVENTS)] = 20
) -> Response:
    """Return the newest matches of an alert: each names its event by `p_log_type` and `event_row_id`."""
    found, installation = await run_in_threadpool(_details, caller, alert), caller.installation

    def look(stop: Stop) -> Response:
        return written([row(each) for each in matched_events(installation, found.id, limit=limit, stop=stop)])

    return await answered(request, caller, look)
