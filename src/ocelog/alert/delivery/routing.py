"""Which channels hear of an alert, and when they do not want to: what a person chose for each, no I/O."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from msgspec import Struct, field

from ocelog.alert.alert import Alert
from ocelog.alert.notice import AlertType
from ocelog.errors import ConfigError
from ocelog.model import Severity
from ocelog.quiet_hours import QuietHours, read_quiet_hours
from ocelog.units import duration, write_duration

RANKS = {severity: rank for rank, severity in enumerate(Severity)}
_Word = TypeVar("_Word", bound=StrEnum)
RESTS_FROM = 3
"""Tries that fail one after the other until it is the channel that fails, and not a message: it rests then."""


class Route(Struct, frozen=True, kw_only=True):
    """Which alerts a channel is subscribed to: those that fit each of these. Empty: whatever it is."""

    severities: frozenset[Severity] = frozenset()
    types: frozenset[AlertType] = frozenset()
    log_types: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    """Ids of rules, or patterns such as `Wiz.Issues.*`; of system errors, their kinds. Case does not matter."""

    def takes(self, alert: Alert) -> bool:
        """Whether `alert` fits. What people were told at a worse severity, they are told the end of, too."""
        worst = max(alert.severity, alert.told_severity or alert.severity, key=RANKS.__getitem__)
        return (
            (not self.severities or not self.severities.isdisjoint({alert.severity, worst}))
            and (not self.types or alert.type in self.types)
            and (not self.log_types or fits(alert.log_type or "", self.log_types))
            and (not self.rules or fits(alert.rule_id, self.rules))
        )


class Routing(Struct, frozen=True, kw_only=True):
    """What a channel hears of, and when."""

    route: Route = field(default_factory=Route)
    quiet_hours: QuietHours | None = None
    critical_pierces: bool = True
    """Whether CRITICAL alerts are told in quiet hours."""
    per_hour: int | None = None
    """How many messages it is sent within an hour at most; None: as many as there are."""
    escalate_after: timedelta | None = None
    """It hears only of alerts that nobody acknowledges for so long, and then of their end; None: of all at once."""


class ChannelRow(Struct, frozen=True, kw_only=True):
    """A channel as a person set it up. Its secrets are elsewhere."""

    id: str
    name: str
    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    routing: Routing = field(default_factory=Routing)
    paused: bool = False
    """Nothing is sent; what there is to tell waits."""
    added_us: int


class ChannelStatus(Struct, frozen=True, kw_only=True):
    """How a channel is."""

    channel: ChannelRow
    failures: int
    """Tries that failed since the last that did not."""
    failing_us: int | None
    """Since when they do."""
    trouble: str | None
    """What the far end, or the way there, said last."""
    trouble_code: str | None
    rests_until_us: int | None
    waiting: int
    """Entries of the outbox."""
    waiting_since_us: int | None = None
    """Since when the oldest of them waits."""
    is_behind: bool = False
    """Whether they wait because the far end takes them more slowly than they come: nobody wants them to wait."""
    delivered_us: int | None
    """When the last message got there."""
    given_up: int
    """Alerts of which the newest message was given up."""
    secrets: dict[str, str] = field(default_factory=dict)
    """Name of each secret -> how it is kept."""


class ChannelFault(Struct, frozen=True, kw_only=True):
    """A channel that alerts do not reach."""

    id: str
    name: str
    since_us: int
    reason: str
    """What the far end, or the way there, said last."""
    code: str | None


def channels_for(alert: Alert, channels: Collection[ChannelRow]) -> tuple[str, ...]:
    """Return the ids of the channels that hear of what happens to `alert`, as it is after that.

    Those that its rule names go before those that are subscribed. A channel that hears only of what nobody acknowledges
    is among them once somebody did, or it is over: whoever delivers leaves out one that never heard of the alert.
    """
    if alert.destinations is not None:
        if not alert.destinations:
            # The rule says that nobody is to hear of it.
            return ()
        named = [each.id for name in alert.destinations for each in channels if name in (each.id, each.name)]
        if named:
            return tuple(dict.fromkeys(named))
    waits = alert.is_open and alert.acknowledged_us is None and alert.visible
    return tuple(
        each.id
        for each in channels
        if each.routing.route.takes(alert) and not (waits and each.routing.escalate_after is not None)
    )


def is_unrouted(alert: Alert, channels: Collection[ChannelRow]) -> bool:
    """Whether people should hear of `alert`, and no channel takes it, neither at once nor later."""
    if alert.destinations == ():
        return False
    return not channels_for(alert, channels) and not any(each.routing.route.takes(alert) for each in channels)


def written(routing: Routing) -> dict[str, Any]:
    """Return `routing` as the ledger keeps it."""
    found: dict[str, Any] = {
        "severities": [each.value for each in Severity if each in routing.route.severities],
        "types": [each.value for each in AlertType if each in routing.route.types],
        "log_types": list(routing.route.log_types),
        "rules": list(routing.route.rules),
        "quiet_hours": None if routing.quiet_hours is None else str(routing.quiet_hours),
        "critical_pierces": routing.critical_pierces,
        "per_hour": routing.per_hour,
        "escalate_after": None if routing.escalate_after is None else write_duration(routing.escalate_after),
    }
    return found


def read(kept: Mapping[str, Any]) -> Routing:
    """Return what the ledger keeps as `written` wrote it. What cannot be read limits nothing: it must not mute."""
    quiet_hours = escalate_after = None
    with suppress(ConfigError):
        quiet_hours = read_quiet_hours(str(kept.get("quiet_hours") or "off"))
    with suppress(ConfigError):
        escalate_after = duration(str(kept["escalate_after"])) if kept.get("escalate_after") else None
    per_hour = kept.get("per_hour")
    return Routing(
        route=Route(
            severities=_words(Severity, kept.get("severities")),
            types=_words(AlertType, kept.get("types")),
            log_types=tuple(map(str, kept.get("log_types") or ())),
            rules=tuple(map(str, kept.get("rules") or ())),
        ),
        quiet_hours=quiet_hours,
        critical_pierces=bool(kept.get("critical_pierces", True)),
        per_hour=per_hour if isinstance(per_hour, int) and per_hour > 0 else None,
        escalate_after=escalate_after,
    )


def _words(kind: type[_Word], kept: Iterable[object] | None) -> frozenset[_Word]:
    known = {each.value for each in kind}
    return frozenset(kind(str(each)) for each in kept or () if str(each) in known)


def fits(name: str, patterns: Iterable[str]) -> bool:
    """Whether `name` fits one of `patterns`; upper and lower case are one."""
    return any(fnmatchcase(name.casefold(), pattern.casefold()) for pattern in patterns)
