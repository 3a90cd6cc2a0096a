"""What people are told of an alert: the value that a channel is given, as the alert is when it is sent."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from ocelog.model import Severity


class AlertType(StrEnum):
    """What an alert is about."""

    ALERT = "ALERT"
    """Events that a rule matched."""
    DETECTION_ERROR = "DETECTION_ERROR"
    """A rule that fails."""
    SYSTEM_ERROR = "SYSTEM_ERROR"
    """A source, a channel or Ocelog itself needs somebody."""


class AlertStatus(StrEnum):
    """How far people have come with an alert."""

    OPEN = "OPEN"
    TRIAGED = "TRIAGED"
    CLOSED = "CLOSED"
    """A person is done with it."""
    RESOLVED = "RESOLVED"
    """What it was about is over."""


class Happened(StrEnum):
    """Why people are told now."""

    OPENED = "opened"
    ESCALATED = "escalated"
    """Its severity rose, or nobody acknowledged it."""
    REOPENED = "reopened"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    CLOSED = "closed"
    NOT_VISIBLE = "not visible"
    """The source does not show its record any more; whether it is resolved is not known."""
    RESENT = "resent"
    TEST = "test"
    """A person tries the channel; there is no alert."""
    DIGEST = "digest"
    """Several alerts at once, above the channel's rate limit."""

    @property
    def ends(self) -> bool:
        """Whether nobody has to look at the alert any more."""
        return self in {Happened.RESOLVED, Happened.CLOSED}


class Notice(Struct, frozen=True, kw_only=True):
    """One thing to tell through one channel. Texts are as rules and sources wrote them: hostile, perhaps."""

    key: str
    """Names this telling: sent twice, a receiver that knows the key drops the second."""
    alert_id: str
    """Names the alert, for all that is told of it."""
    happened: Happened
    type: AlertType = AlertType.ALERT
    status: AlertStatus = AlertStatus.OPEN
    severity: Severity
    title: str
    description: str = ""
    runbook: str = ""
    reference: str = ""
    rule_id: str = ""
    """Of a system error, its kind, such as SOURCE_NO_DATA."""
    rule_name: str = ""
    rule_revision: str = ""
    tags: tuple[str, ...] = ()
    log_type: str | None = None
    source: str | None = None
    """The label of the source that the event came from."""
    link: str | None = None
    """The record's own page at the source."""
    matches: int = 1
    """How many matches the alert has."""
    opened_us: int
    """When the alert was opened, by our clock."""
    context: Mapping[str, Any] = field(default_factory=dict)
    """What alert_context() returned for the match that it shows: the first, or a worse one."""
    note: str = ""
    """More about what happened, such as who closed it and why."""
    merged: int = 1
    """How many tellings this one stands for: what waited behind a failure or quiet hours."""
    digest: tuple["Notice", ...] = ()
    """Of a digest: some of the alerts that it stands for."""
