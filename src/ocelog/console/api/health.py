"""Health: whether the installation as a whole is well, and what needs attention."""

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, Field

from ocelog.app.status.overview import Overview
from ocelog.app.status.status import verdict
from ocelog.console.api.caller import Viewer
from ocelog.times import from_us
from ocelog.units import write_list

router = APIRouter(prefix="/health", tags=["Health"])


class Trouble(BaseModel):
    """Something that needs attention."""

    about: str = Field(description="`lake`, `loop`, `channel`, `rules`, `stream`, `disk`, `key`, `service`, `publish`.")
    text: str
    code: str | None = None
    since: AwareDatetime | None = None


class Health(BaseModel):
    """How the installation is."""

    well: bool = Field(description="Nothing needs attention.")
    streams: int
    streams_complete: int
    complete_through: AwareDatetime | None = Field(description="Through when those are.")
    open_alerts: dict[str, int] = Field(description="Severity -> how many.")
    open_alerts_untold: int
    open_alerts_since: AwareDatetime | None = Field(description="When the oldest open alert was opened.")
    disk_free_bytes: int
    sandbox: str = Field(description="How SQL is kept in on this kernel.")
    troubles: list[Trouble]


@router.get("")
async def get_health(request: Request, caller: Viewer) -> Health:  # noqa: ARG001 - nobody reads it without a token
    """Return how everything is. It is looked at every few seconds."""
    found: Overview = await request.app.state.overviews.take()
    said = verdict(found.streams)
    return Health(
        well=found.well,
        streams=said.streams,
        streams_complete=said.complete,
        complete_through=said.through,
        open_alerts={severity.value: count for severity, count in found.alerts.told.items()},
        open_alerts_untold=found.alerts.untold,
        open_alerts_since=None if found.alerts.oldest_us is None else from_us(found.alerts.oldest_us),
        disk_free_bytes=found.disk_free,
        sandbox=found.sandbox,
        troubles=_troubles(found),
    )


def _troubles(found: Overview) -> list[Trouble]:
    troubles = [Trouble(about="lake", text=each) for each in found.lake]
    troubles += [Trouble(about="stream", text=each) for each in found.stale]
    troubles += [
        Trouble(about="stream", text=f"{each.source} {each.log_type}: {each.error}", code=each.error_code)
        for each in found.streams
        if each.needs_attention and each.error is not None
    ]
    troubles += [
        Trouble(about="publish", text="\n".join(each.lines), since=each.oldest) for each in found.not_published
    ]
    troubles += [
        Trouble(about="loop", text=f"{each.loop}: {each.reason}", code=each.code, since=each.since)
        for each in found.loop_faults
    ]
    troubles += [Trouble(about="loop", text=each) for each in found.lagging]
    troubles += [
        Trouble(about="channel", text=f"{each.name}: {each.reason}", code=each.code) for each in found.channel_faults
    ]
    troubles += [
        Trouble(
            about="channel",
            text=f"{each.channel.name}: {each.waiting:,} messages wait, since they come faster than it takes them.",
            since=None if each.waiting_since_us is None else from_us(each.waiting_since_us),
        )
        for each in found.behind
    ]
    troubles += [
        Trouble(about="channel", text=f"{each.channel.name}: alerts whose messages were given up: {each.given_up:,}.")
        for each in found.gave_up
    ]
    troubles += [Trouble(about="rules", text=each.reason) for each in found.rule_troubles]
    troubles += [
        Trouble(
            about="rules",
            text=f"{each.rule_id} is suspended: {each.reason}",
            since=None if each.suspended_us is None else from_us(each.suspended_us),
        )
        for each in found.suspended_rules
    ]
    if found.held_up and found.slowest is not None:
        slow = [each.rule for each in found.slowest.worst]
        more = [f"{found.slowest.more:,} more"] if found.slowest.more else []
        text = f"Events wait for the rule{'s' * (len(slow) > 1)} {write_list([*slow, *more])}."
        troubles.append(Trouble(about="rules", text=text, since=found.judging_behind))
    if found.schedules_behind is not None:
        names = ", ".join(found.schedules_behind.names)
        troubles.append(
            Trouble(about="rules", text=f"Schedules are behind: {names}.", since=found.schedules_behind.since)
        )
    if found.disk_is_short:
        troubles.append(Trouble(about="disk", text="The disk is nearly full."))
    if found.key is not None:
        troubles.append(Trouble(about="key", text=found.key))
    if found.hangs is not None:
        troubles.append(Trouble(about="service", text=found.hangs))
    return troubles
