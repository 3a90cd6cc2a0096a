"""What an alert is: matches grouped for a person, with how far people and channels have come with it."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from ocelog.alert.notice import AlertStatus, AlertType, Happened
from ocelog.languages.phrases import translatable
from ocelog.model import Severity

ENDED = frozenset({AlertStatus.CLOSED, AlertStatus.RESOLVED})
"""Statuses of alerts at which nobody has to look any more."""
OPEN = frozenset(AlertStatus) - ENDED
"""What somebody has to look at."""
RULE_OFF = translatable("rule_off")
"""The close reason of an alert that was resolved only because its rule is off."""
SOURCE_REMOVED = translatable("source_removed")
"""The close reason of an alert that was resolved only because its source was removed."""
OCELOG = "ocelog"
"""Who did it, if no person did."""


class Alert(Struct, frozen=True, kw_only=True):
    """An alert as the ledger has it. Instants are microseconds since 1970 by our clock; of events, by the source's.

    Texts are as rules and sources wrote them: hostile, perhaps.
    """

    id: str
    """Of a window: by rule, dedup string and window. Of a record: by rule, source and record."""
    revision: int = 0
    """Counts its changes; 0: the ledger does not have it yet."""
    type: AlertType = AlertType.ALERT
    status: AlertStatus = AlertStatus.OPEN
    severity: Severity
    title: str
    description: str = ""
    runbook: str = ""
    reference: str = ""
    rule_id: str
    """Of a system error, its kind, such as SOURCE_NO_DATA."""
    rule_name: str = ""
    rule_revision: str = ""
    tags: tuple[str, ...] = ()
    dedup: str = ""
    log_type: str | None = None
    source_id: str | None = None
    source_label: str | None = None
    record_id: str | None = None
    """The record that it lives with; None: it belongs to a window of time."""
    record_version: str | None = None
    """Row id of the version of the record that moved it last."""
    link: str | None = None
    """The record's own page at the source."""
    destinations: tuple[str, ...] | None = None
    """Ids of the channels that the rule named; None: those that are subscribed."""
    context: Mapping[str, Any] = field(default_factory=dict)
    """What alert_context() returned for the match that it shows: the first, or a worse one."""
    matches: int = 0
    to_be_told: bool = False
    """Whether it is one that is sent to people: the threshold was reached, it is news, and nothing suppressed it."""
    told_severity: Severity | None = None
    """The worst that people were told of, since it was opened or reopened last."""
    told_us: int | None = None
    """When they were told last."""
    visible: bool = True
    """Whether the source still shows the record."""
    known: bool = False
    """It was there when its source or its rule was new: nobody was told."""
    opened_us: int
    """When it was opened, or reopened last."""
    updated_us: int
    """When it changed last, or a match joined it."""
    first_event_us: int | None = None
    last_event_us: int | None = None
    ended_us: int | None = None
    """When it was closed or resolved."""
    acknowledged_us: int | None = None
    """When somebody took notice: by a status, an assignee or a comment."""
    assignee: str | None = None
    close_reason: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether somebody has to look at it."""
        return self.status not in ENDED


def resolved(alert: Alert, now_us: int) -> Alert:
    """Return an alert that is over by itself."""
    return replace(alert, status=AlertStatus.RESOLVED, ended_us=now_us, updated_us=now_us)


def gone_on(made: Alert, before: Alert | None) -> Alert:
    """Return an alert that is `made` anew in the place of `before`.

    It is counted on; and while `before` is open, what people did about it stays.
    """
    if before is None:
        return made
    made = replace(made, revision=before.revision, matches=before.matches + made.matches)
    if not before.is_open:
        return made
    return replace(
        made,
        status=before.status,
        opened_us=before.opened_us,
        acknowledged_us=before.acknowledged_us,
        assignee=before.assignee,
    )


class TimelineEntry(Struct, frozen=True, kw_only=True):
    """One thing that happened to an alert."""

    alert_id: str
    at_us: int
    who: str
    """A person, or OCELOG."""
    what: str
    """One word, such as opened, escalated, assigned, comment."""
    detail: str = ""


class Telling(Struct, frozen=True, kw_only=True):
    """What is to be told of an alert through one channel: an entry of the outbox, once the ledger has it."""

    alert_id: str
    channel_id: str
    happened: Happened
    note: str = ""
    due_us: int
    decided_us: int | None = None
    """If that was some time before it is committed."""
