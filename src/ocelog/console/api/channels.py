"""Channels: where alerts are sent, what each hears of, and what its far end answers.

What reaches into the machine itself is for whoever has a shell there: files, and addresses of private networks.
"""

from typing import Annotated

from fastapi import APIRouter, Request
from msgspec.structs import replace
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr
from starlette.responses import Response

from ocelog.alert.delivery.routing import ChannelRow, ChannelStatus, Routing, written
from ocelog.alert.notice import AlertType
from ocelog.app.alerts import channels
from ocelog.app.alerts.channels import ChannelChange, log_type_pattern
from ocelog.app.sources.sources import GivenSecret
from ocelog.console.api.caller import Admin, Viewer
from ocelog.console.api.paging import Cursor, Limit, Page, page_of
from ocelog.console.api.problems import not_found
from ocelog.console.api.repeats import IdempotencyKey, once
from ocelog.console.api.values import Line, Name, instant
from ocelog.console.capacity import slowly
from ocelog.errors import ChannelRefusedError, ConfigError, TransientError
from ocelog.installation.opening import Installation
from ocelog.model import Severity
from ocelog.quiet_hours import read_quiet_hours
from ocelog.secrets.secret import Secret
from ocelog.units import duration

router = APIRouter(prefix="/channels", tags=["Channels"])
Value = Annotated[str, Field(max_length=4_000, pattern=r"^[^\x00]*$")]


class Route(BaseModel):
    """What a channel hears of, and when. Of an edit: what is left out stays."""

    model_config = ConfigDict(extra="forbid")
    severities: list[Severity] | None = Field(default=None, description="Empty: every severity.")
    types: list[AlertType] | None = Field(default=None, description="Empty: every type.")
    log_types: list[Line] | None = Field(default=None, max_length=100, description="Empty: every log type.")
    rules: list[Line] | None = Field(default=None, max_length=500, description="Ids or patterns; empty: every rule.")
    quiet_hours: Value | None = Field(default=None, description="`22:00-07:00 Asia/Seoul`, or `off`.")
    critical_pierces: bool | None = Field(default=None, description="CRITICAL alerts are told in quiet hours, too.")
    per_hour: int | None = Field(default=None, ge=0, le=1_000_000, description="Messages an hour at most; 0: any.")
    escalate_after: Value | None = Field(
        default=None, description="It hears only of what nobody acknowledges for so long; `off`: of all at once."
    )


class Channel(BaseModel):
    """A channel. Its secrets are never returned."""

    id: str
    name: str
    kind: str
    settings: dict[str, str]
    route: Route
    paused: bool
    added_at: AwareDatetime | None
    secrets: dict[str, str] = Field(description="Name of each secret -> how it is kept.")
    failing_since: AwareDatetime | None
    trouble: str | None = Field(description="What the far end, or the way there, said last.")
    trouble_code: str | None
    waiting: int = Field(description="Messages that are still to be sent.")
    waiting_since: AwareDatetime | None = Field(description="Since when the oldest of them waits.")
    is_behind: bool = Field(description="Whether they wait because they come faster than the far end takes them.")
    given_up: int = Field(description="Alerts of which the newest message was given up.")
    delivered_at: AwareDatetime | None


class NewChannel(BaseModel):
    """A channel to be added."""

    model_config = ConfigDict(extra="forbid")
    name: Line
    kind: Line = Field(examples=["webhook"])
    settings: dict[str, Value] = Field(default={}, description="As docs/reference/channels.md has them for the kind.")
    secrets: dict[str, SecretStr] = Field(default={}, max_length=50)
    route: Route = Route()


class ChannelEdit(BaseModel):
    """What to change of a channel; what is left out stays."""

    model_config = ConfigDict(extra="forbid")
    name: Line | None = None
    paused: bool | None = None
    settings: dict[str, Value | None] = Field(default={}, description="null: as if it had never been set.")
    secrets: dict[str, SecretStr] = Field(default={}, max_length=50)
    route: Route = Route()


class Receipt(BaseModel):
    """What the far end answered to a test."""

    delivered: bool
    status: str | None = Field(description="Such as `202` for HTTP; null: it was not taken.")
    answer: str = Field(description="What it said, with the status; or why it was not delivered.")
    code: str | None = Field(description="Of an error.")
    later: bool = Field(description="It may work later without anybody changing anything.")


class ResentAlerts(BaseModel):
    """What is sent again."""

    alerts: int


def _shown(status: ChannelStatus) -> Channel:
    row = status.channel
    secret = set(channels.secret_names(row.kind))
    route = written(row.routing)
    return Channel(
        id=row.id,
        name=row.name,
        kind=row.kind,
        settings={name: str(value) for name, value in row.settings.items() if name not in secret},
        route=Route(
            **{**route, "per_hour": route["per_hour"] or 0},
        ),
        paused=row.paused,
        added_at=instant(row.added_us),
        secrets=status.secrets,
        failing_since=instant(status.failing_us),
        trouble=status.trouble,
        trouble_code=status.trouble_code,
        waiting=status.waiting,
        waiting_since=instant(status.waiting_since_us),
        is_behind=status.is_behind,
        given_up=status.given_up,
        delivered_at=instant(status.delivered_us),
    )


def _found(installation: Installation, name: str) -> ChannelRow:
    with not_found():
        return channels.find(installation, name)


def _one(installation: Installation, channel_id: str) -> Channel:
    found = [each for each in channels.statuses(installation) if each.channel.id == channel_id]
    with not_found():
        if not found:
            raise ConfigError("The channel is not there any more.")
    return _shown(found[0])


def _routed(route: Route, before: Routing) -> Routing:
    """Return `before` with what a request wants. Raises ConfigError."""
    changed = before.route
    if route.severities is not None:
        changed = replace(changed, severities=frozenset(route.severities))
    if route.types is not None:
        changed = replace(changed, types=frozenset(route.types))
    if route.log_types is not None:
        changed = replace(changed, log_types=tuple(map(log_type_pattern, route.log_types)))
    if route.rules is not None:
        changed = replace(changed, rules=tuple(route.rules))
    found = replace(before, route=changed)
    if route.quiet_hours is not None:
        found = replace(found, quiet_hours=read_quiet_hours(route.quiet_hours))
    if route.critical_pierces is not None:
        found = replace(found, critical_pierces=route.critical_pierces)
    if route.per_hour is not None:
        found = replace(found, per_hour=route.per_hour or None)
    if route.escalate_after is not None:
        after = None if route.escalate_after.strip().lower() == "off" else duration(route.escalate_after)
        found = replace(found, escalate_after=after)
    return found


def _change(body: NewChannel | ChannelEdit) -> ChannelChange:
    route = body.route
    _routed(route, Routing())
    return ChannelChange(
        name=body.name if isinstance(body, ChannelEdit) else None,
        settings=body.settings,
        secrets={
            name: GivenSecret(value=Secret(each.get_secret_value().strip())) for name, each in body.secrets.items()
        },
        routing=lambda before: _routed(route, before),
        remote=True,
    )


@router.get("")
def list_channels(caller: Viewer, limit: Limit = 50, cursor: Cursor = None) -> Page[Channel]:
    """List the channels, and how each is."""
    every = channels.statuses(caller.installation)
    found, further = page_of(every, lambda each: each.channel.id, limit=limit, cursor=cursor)
    return Page(items=[_shown(each) for each in found], next=further)


@router.post("", status_code=201, response_model=Channel)
def add_channel(request: Request, caller: Admin, body: NewChannel, idempotency_key: IdempotencyKey = None) -> Response:
    """Add a channel. It is sent nothing to try it: test it."""

    def make() -> Channel:
        row = channels.add(caller.installation, body.kind, body.name, _change(body))
        caller.note("channel.added", row.name, kind=row.kind)
        return _one(caller.installation, row.id)

    return once(request, caller, idempotency_key, body, make)


@router.get("/{channel}")
def get_channel(caller: Viewer, channel: Name) -> Channel:
    """Return one channel, by its id or name."""
    return _one(caller.installation, _found(caller.installation, channel).id)


@router.patch("/{channel}")
def edit_channel(caller: Admin, channel: Name, body: ChannelEdit) -> Channel:
    """Change a channel: its name, its settings, its route; or pause it, so that what there is to tell waits."""
    installation = caller.installation
    row = _found(installation, channel)
    edited = channels.edit(installation, row, _change(body))
    caller.note("channel.edited", edited.name)
    if body.paused is not None and body.paused is not edited.paused:
        channels.pause(installation, edited, paused=body.paused)
        caller.note("channel.paused" if body.paused else "channel.resumed", edited.name)
    return _one(installation, row.id)


@router.post("/{channel}/test")
@slowly
def test_channel(caller: Admin, channel: Name) -> Receipt:
    """Send a marked message now, and return what the far end answers."""
    row = _found(caller.installation, channel)
    try:
        receipt = channels.send_test(caller.installation, row, caller.note)
    except (ChannelRefusedError, TransientError) as error:
        later = isinstance(error, TransientError)
        return Receipt(delivered=False, status=None, answer=str(error), code=error.code, later=later)
    answer = f"{receipt.status} {receipt.text}".strip()
    return Receipt(delivered=True, status=receipt.status, answer=answer, code=None, later=False)


@router.post("/{channel}/resend")
def resend_channel(caller: Admin, channel: Name) -> ResentAlerts:
    """Have what was given up sent again."""
    row = _found(caller.installation, channel)
    count = channels.resend(caller.installation, row)
    caller.note("channel.resent", row.name)
    return ResentAlerts(alerts=count)


@router.delete("/{channel}", status_code=204)
def remove_channel(caller: Admin, channel: Name) -> None:
    """Forget a channel with its secrets. What waits for it goes to other channels, or nowhere."""
    row = _found(caller.installation, channel)
    channels.remove(caller.installation, row)
    caller.note("channel.removed", row.name)
