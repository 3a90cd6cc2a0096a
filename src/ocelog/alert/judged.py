"""What judging found in a piece of a table, in the words of alerts."""

import builtins
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field

from ocelog import errors
from ocelog.alert.ids import SUSPENDED, match_id

if TYPE_CHECKING:
    # The ledger needs these words too, and no short command needs the language of rules.
    from ocelog.detect.evaluate import Verdict
    from ocelog.detect.rule import About


TOO_MUCH = "TooMuch"
"""Stands for the exception, if a correlation rule finds more than it may hold."""
OTHER_ERROR = "Exception"
"""Stands for what a rule names itself: such a name may be another for each event."""
_ERRORS = frozenset(
    {name for name, each in vars(builtins).items() if isinstance(each, type) and issubclass(each, BaseException)}
    | {name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, BaseException)}
    | {SUSPENDED, TOO_MUCH, "ProcessEnded", "ForeignAnswer", "Failed"}
)
"""By which errors of rules are grouped; the last three are of a process that judges (`rule_workers/exchange.py`)."""


class Event(Struct, frozen=True, kw_only=True):
    """What alerts need to know of a row that was judged. Instants are microseconds by the source's clock."""

    row_id: str
    log_type: str
    source_id: str
    """Empty: of none, as a run of a schedule is that failed."""
    source_label: str
    event_us: int
    version_us: int
    observed_us: int
    same_since: bool = False
    """Whether the version before it has the same version time: then it became what it is when it was observed."""
    record_id: str | None = None
    latest: bool = True
    """Whether it is the greatest version of its record, in the lake and in the parts."""
    inferred: bool = False
    """The source does not show the record any more: a sweep added the row."""
    link: str | None = None
    """The record's own page at the source."""

    @property
    def news_us(self) -> int:
        """When it became what it is: not later than it was observed, whatever the record says."""
        return self.observed_us if self.same_since else min(self.version_us, self.observed_us)


class JudgedBy(Struct, frozen=True, kw_only=True):
    """A rule, in the revision that judged."""

    about: "About"
    revision: str
    on_schedule: bool = False
    """Whether it judges what a query returns or what has matched, when that is due, and not each event as it lands."""
    folder_id: str = ""
    """Of the folder that it is in."""

    @property
    def id(self) -> str:
        """Its name for programs."""
        return self.about.id


class Match(Struct, frozen=True, kw_only=True):
    """A rule matched an event."""

    rule: JudgedBy
    event: Event
    verdict: "Verdict"

    @property
    def id(self) -> str:
        """The same whenever the rule judges the event."""
        return match_id(self.rule.id, self.event.row_id)


class RuleError(Struct, frozen=True, kw_only=True):
    """A rule failed on events, in one way."""

    rule: JudgedBy
    type: str
    """Name of the exception."""
    message: str
    events: Sequence[Event]

    @property
    def kind(self) -> str:
        """What errors of a rule are grouped by: one of a fixed number of names, whatever a rule raises."""
        return self.type if self.type in _ERRORS else OTHER_ERROR


class UnjudgedEvents(Struct, frozen=True, kw_only=True):
    """Events that a rule was not asked about, and never will be unless they are judged again."""

    rule_id: str
    """Empty: every rule."""
    reason: str
    own_fault: bool = False
    """Whether the rule itself used up what it may take, and no other."""
    events: Sequence[Event]


class Judgement(Struct, frozen=True, kw_only=True):
    """What the rules said of a piece."""

    events: Sequence[Event] = ()
    """All that were judged, in the order of the table."""
    rules: Mapping[str, JudgedBy] = field(default_factory=dict)
    """Those that were asked, by id."""
    matches: Sequence[Match] = ()
    """In the order of the events."""
    errors: Sequence[RuleError] = ()
    unjudged: Sequence[UnjudgedEvents] = ()
    names_sources: Collection[str] = ()
    """Further sources of what the matches name."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long each rule took, by id."""
