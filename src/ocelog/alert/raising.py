"""How what is wrong with Ocelog, a source or a channel is an alert, whatever it is: opened, told again, and over."""

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from ocelog.alert.alert import Alert, gone_on, resolved
from ocelog.alert.grouping import heard_us, quiet_until_us
from ocelog.alert.notice import Happened

Muted: TypeAlias = Callable[[Alert, int], bool]
"""Whether nobody is to be told of an alert at an instant."""


class RaisedAlert(Struct, frozen=True, kw_only=True):
    """An alert as it is to be saved, and what is told of it."""

    alert: Alert
    happened: Happened | None = None
    """None: nothing that people do not know."""
    told: bool = True
    """Whether people hear of that; its timeline has it in any case."""
    note: str = ""
    due_us: int = 0
    """When they are told."""


def raised(
    made: Alert, before: Alert | None, *, now_us: int, muted: Muted, again: str | None = None, quiet_us: int = 0
) -> RaisedAlert:
    """Return the alert of what is wrong now, as `made` says it, in the place of the one that was there `before`.

    People who know of it are told `again`, or nothing. Of what comes and goes they hear once in `quiet_us`. Those who
    heard that it was over hear that it is not, though it is muted.
    """
    still = before is not None and before.is_open
    known = before is not None and still and before.to_be_told
    # Whoever delivers keeps it until it is muted no more.
    is_back = before is not None and not still and before.to_be_told
    alert = gone_on(made, before)
    if (known and again is None) or (not is_back and muted(alert, now_us)):
        # Who mutes it looks for it with what nobody heard of.
        worst, told_us = (None, None) if before is None else (before.told_severity if known else None, before.told_us)
        alert = replace(alert, to_be_told=known, told_severity=worst, told_us=told_us)
        return RaisedAlert(alert=alert, happened=None if still else _begun(before), told=False)
    if known:
        happened, note = Happened.ESCALATED, again or ""
    else:
        happened, note = Happened.OPENED if still else _begun(before), ""
    due_us = now_us if before is None or still else quiet_until_us(before.told_us, quiet_us, now_us)
    alert = replace(alert, to_be_told=True, told_severity=made.severity, told_us=due_us)
    return RaisedAlert(alert=alert, happened=happened, note=note, due_us=due_us)


def over(before: Alert, now_us: int, *, note: str = "", quiet_us: int = 0) -> RaisedAlert:
    """Return the alert of what is over by itself, and what people hear of that who know of it."""
    alert = replace(resolved(before, now_us), told_us=heard_us(before.told_us, quiet_us, now_us))
    return RaisedAlert(alert=alert, happened=Happened.RESOLVED, told=before.to_be_told, note=note, due_us=now_us)


def _begun(before: Alert | None) -> Happened:
    return Happened.OPENED if before is None else Happened.REOPENED
