"""Which alerts a person wants to see, and what there is to see of one."""

from collections.abc import Sequence

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
    untold: bool = False
    """Also those that nobody was to hear of: below a threshold, suppressed, or known from the start."""


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


class Waiting(Struct, frozen=True, kw_only=True):
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
    waiting: Sequence[Waiting]


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
