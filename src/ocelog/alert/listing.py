"""Which alerts a person wants to see, in which order, and what there is to see of one."""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from ocelog.alert.alert import Alert, TimelineEntry
from ocelog.alert.notice import AlertStatus, AlertType
from ocelog.model import Severity


class AlertFilter(Struct, frozen=True, kw_only=True):
    """What alerts must be like. Empty, or None: whatever they are."""

    statuses: frozenset[AlertStatus] = frozenset()
    severities: frozenset[Severity] = frozenset()
    types: frozenset[AlertType] = frozenset()
    rule: str | None = None
    """A rule's id, in which `*` stands for anything."""
    source_ids: frozenset[str] = frozenset()
    log_type: str | None = None
    record_id: str | None = None
    assignee: str | None = None
    """Who looks after it; the empty text: nobody does."""
    since_us: int | None = None
    """Opened, or reopened, at this instant or after it."""
    text: str | None = None
    """Part of the title, the description, the dedup string, or the rule's id or name."""
    shown: frozenset[tuple[str, str]] = frozenset()
    """Rules' ids, each with a title that the reader is shown in another language, and that holds the text there."""
    untold: bool = False
    """Also those that are sent to nobody: below a threshold, suppressed, or known from the start."""


class TitledAlert(Struct, frozen=True, kw_only=True):
    """What alerts are called."""

    type: AlertType
    rule_id: str
    rule_name: str
    title: str


class AlertOrder(StrEnum):
    """Which alerts come first."""

    OPENED = "opened"
    """Those that were opened, or reopened, last."""
    SEVERITY = "severity"
    """The worst, and of those the newest."""
    LAST_MATCH = "last_match"
    """Those whose newest event is the latest; of what has no event, when it was opened counts."""


class ListPlace(Struct, frozen=True, kw_only=True):
    """Where a page of a list ends: what its last alert stood by then, whatever becomes of the alert."""

    rank: int
    """Of the severity; 0 in orders that do not go by it."""
    at_us: int
    id: str


def place_of(alert: Alert, order: AlertOrder) -> ListPlace:
    """Return where an alert stands in a list."""
    last_us = alert.opened_us if alert.last_event_us is None else alert.last_event_us
    return ListPlace(
        rank=list(Severity).index(alert.severity) if order is AlertOrder.SEVERITY else 0,
        at_us=last_us if order is AlertOrder.LAST_MATCH else alert.opened_us,
        id=alert.id,
    )


class Attempt(Struct, frozen=True, kw_only=True):
    """One try to tell of an alert through a channel."""

    at_us: int
    channel: str
    """Name of the channel; its id, if it was removed."""
    happened: str
    delivered: bool
    final: bool
    """Whether it is not tried again; then, if it was not delivered, only a person sends it again."""
    answer: str
    """What the far end said."""
    failed: bool = False
    """False as well if it is not known what came of it."""


class WaitingDelivery(Struct, frozen=True, kw_only=True):
    """What is still to be told through a channel."""

    channel: str
    happened: str
    due_us: int
    tries: int


class AlertDetails(Struct, frozen=True, kw_only=True):
    """All there is about one alert."""

    alert: Alert
    timeline: Sequence[TimelineEntry]
    attempts: Sequence[Attempt]
    waiting: Sequence[WaitingDelivery]


class NotJudged(Struct, frozen=True, kw_only=True):
    """Rows of a table that a rule was not asked about."""

    table: str
    rule_id: str
    """Empty: every rule."""
    rows: int
    first_us: int
    last_us: int
    reason: str
    """The newest."""
