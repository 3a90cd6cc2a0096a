"""What a rule would have said and told of some days, put together from its matches."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias

from msgspec import Struct

from ocelog.alert.grouping import Grouping, GroupingInput
from ocelog.alert.judged import Match
from ocelog.alert.would_be import PastMatch, WouldBeAlert, WouldBeAlerts
from ocelog.detect.rule import About, Kind
from ocelog.rule_workers.judge import RowAnswers
from ocelog.times import from_us

Told: TypeAlias = Callable[[str, int, int], None]
"""Hears of what how many of how many are done."""
MOST_SAMPLES = 5


class UnmatchedRule(Struct, frozen=True, kw_only=True):
    """A rule that a correlation names, and that has no match in the time that was looked at."""

    rule: str
    status: str
    """Whether it is on; empty: there is no such rule."""


class TrialMatch(Struct, frozen=True, kw_only=True):
    """A match, as it would be told."""

    at: datetime
    log_type: str
    row_id: str
    title: str
    severity: str
    dedup: str
    context: Mapping[str, Any]
    summary: str = ""
    """Who did what to whom, in one line; empty for what is in no table of a log type."""


@dataclass(slots=True, kw_only=True)
class TrialResult:
    """What a rule said of some days."""

    rule: str
    kind: Kind
    log_types: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    """Whose rows it judges."""
    steps: tuple[str, ...] = ()
    """Whose matches it looks at."""
    since: datetime
    """Of the runs of a schedule, if not all were made: when the first of them was due."""
    until: datetime
    events: int = 0
    """Rows of queries, or matches of other rules, if these are what it judges."""
    matches: int = 0
    by_day: dict[date, tuple[int, int]] = field(default_factory=dict)
    """What was judged and what matched on each day that has any, in UTC: of the event, or of the run."""
    alerts: int = 0
    told: int = 0
    """Alerts that people would have been told of."""
    first_alerts: list[WouldBeAlert] = field(default_factory=list)
    signal: bool = False
    """Whether its matches make no alerts."""
    samples: list[TrialMatch] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    """What went wrong -> on how many events."""
    unjudged: dict[str, int] = field(default_factory=dict)
    """Why the rule was not asked -> about how many events."""
    judging_seconds: float = 0.0
    runs: int = 0
    """Of its queries, those that failed too."""
    bounded: bool = False
    """Whether there were more runs than are made at once."""
    failed_runs: dict[str, int] = field(default_factory=dict)
    """Why a query, or looking for what belongs together, failed -> how often."""
    left_runs: int = 0
    """That were not made, as those before failed one after the other."""
    query_seconds: float = 0.0
    lacking: tuple[UnmatchedRule, ...] = ()

    @property
    def us_per_event(self) -> float | None:
        """Return what judging an event takes, in microseconds, the way to its process and back included."""
        asked = self.events - sum(self.unjudged.values())
        return self.judging_seconds / asked * 1e6 if asked > 0 else None

    @property
    def ms_per_run(self) -> float | None:
        """Return what a run takes, in milliseconds: to ask the query, and to judge what it returns."""
        return (self.query_seconds + self.judging_seconds) / self.runs * 1e3 if self.runs else None

    def add_day(self, day: date, events: int, matches: int) -> None:
        """Count what was judged, and matched, on a day."""
        before = self.by_day.get(day, (0, 0))
        self.by_day[day] = (before[0] + events, before[1] + matches)
        self.events += events
        self.matches += matches


@dataclass(slots=True, kw_only=True)
class Trial:
    """A rule that is being tried."""

    about: About
    tried: TrialResult
    _alerts: WouldBeAlerts = field(init=False)
    _waiting: list[PastMatch] = field(default_factory=list)
    """Matches that have not joined alerts yet."""

    def __post_init__(self) -> None:
        about = self.about
        self.tried.signal = not about.create_alert
        grouping = Grouping(rule=about.id, period=timedelta(minutes=about.dedup_minutes), threshold=about.threshold)
        self._alerts = WouldBeAlerts(grouping, lives_with_record=about.lives_with_record)

    def add_match(self, match: Match, *, judged_us: int | None = None) -> None:
        """Take a match, which was judged when it happened, or at `judged_us`."""
        verdict, event = match.verdict, match.event
        for fault in verdict.raised:
            add(self.tried.errors, str(fault), 1)
        joining = GroupingInput(
            row_id=event.row_id, dedup=verdict.dedup, event_us=event.event_us, unique=verdict.unique
        )
        self._waiting.append(
            PastMatch(
                joining=joining,
                title=verdict.title,
                severity=verdict.severity,
                log_type=event.log_type,
                record_id=event.record_id,
                judged_us=judged_us,
            )
        )
        if len(self.tried.samples) < MOST_SAMPLES:
            self.tried.samples.append(
                TrialMatch(
                    at=from_us(event.event_us),
                    log_type=event.log_type,
                    row_id=event.row_id,
                    title=verdict.title,
                    severity=str(verdict.severity),
                    dedup=verdict.dedup,
                    context=verdict.context,
                )
            )

    def group(self, before_us: int | None) -> None:
        """Let matches join alerts in the order of time: those of before an instant, or all."""
        due = [each for each in self._waiting if before_us is None or each.at_us < before_us]
        self._waiting = [each for each in self._waiting if before_us is not None and each.at_us >= before_us]
        if self.about.create_alert:
            self._alerts.add(sorted(due, key=lambda each: each.at_us))
        self.tried.alerts, self.tried.told = self._alerts.count, self._alerts.told
        self.tried.first_alerts = self._alerts.listed()


def count_faults(tried: TrialResult, judged: RowAnswers) -> None:
    """Count what a rule said nothing of."""
    for failed in judged.errors:
        add(tried.errors, str(failed.fault), failed.last - failed.first)
    for left in judged.unjudged:
        add(tried.unjudged, left.reason, left.last - left.first)


def add(counts: dict[str, int], what: str, count: int) -> None:
    """Count something by a text."""
    counts[what] = counts.get(what, 0) + count
