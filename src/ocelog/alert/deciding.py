"""Which alerts the matches of a piece open, join and end, and who is told: decided on what the ledger has, and pure.

The ledger commits a decision only if nothing that it stands on has changed; else it is taken again, on what is there
then. Judging is not repeated for that.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from enum import Enum, auto

from msgspec import Struct, field
from msgspec.structs import replace

from ocelog.alert.alert import OCELOG, RULE_OFF, SOURCE_REMOVED, Alert, Telling, TimelineEntry, gone_on, resolved
from ocelog.alert.grouping import Group, Grouping, GroupingInput, heard_us, join, quiet_until_us
from ocelog.alert.ids import (
    ERROR,
    LIMIT_EXCEEDED,
    SUMMARY,
    SUSPENDED,
    alert_id,
    group_key,
    record_alert_id,
    system_alert_id,
)
from ocelog.alert.judged import Event, JudgedBy, Judgement, Match, RuleError, UnjudgedEvents
from ocelog.alert.notice import AlertStatus, AlertType, Happened
from ocelog.kept_texts import keepable, kept_text
from ocelog.model import Severity

MOST_ALERTS_AN_HOUR = 1_000
"""Alerts of a rule that people are told of in an hour; what matches above that joins one alert."""
MOST_UNTOLD_AN_HOUR = 1_000
"""Alerts below their threshold, or muted, that a rule opens in an hour; what matches above that joins one, too.

Its group goes on counting, so that it is told of once it reaches its threshold.
"""
_HOUR_US = 3_600_000_000
_HISTORY = "\0history"
_TITLE_OF_HISTORY = keepable("%(rule)s: history")
_TITLE_OF_LATE = keepable("%(rule)s: events that were read late")
_TITLE_OF_MANY = keepable("%(rule)s: more than %(count)s alerts in an hour")
_TITLE_OF_UNTOLD = keepable("%(rule)s: more than %(count)s alerts in an hour that nobody heard of")
TITLES = (_TITLE_OF_HISTORY, _TITLE_OF_LATE, _TITLE_OF_MANY, _TITLE_OF_UNTOLD)
"""Titles of what holds many matches of a rule, whatever its own titles are."""
_UNSHOWN = keepable("the source does not show its record any more")
_CHANGED_SINCE = keepable("its record has changed since")
_READ_LATE = keepable("it was read late: told of in one alert with others")
_BEYOND_UNTOLD = keepable("it holds matches below their threshold, or muted, beyond the limit")
OPENED_UNTOLD = frozenset({_UNSHOWN, _CHANGED_SINCE, _READ_LATE, _BEYOND_UNTOLD})
"""What the timeline of an alert says at its opening because of which it is sent to nobody."""
_SUMMARY_PERIOD = timedelta(hours=24)
_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


class News(Enum):
    """How people hear of an event."""

    NEW = auto()
    OLD = auto()
    """News, but so late that one alert per rule tells of all of it."""
    HISTORY = auto()
    """It happened before its stream was set up: nobody is told."""


class Onboarding(Struct, frozen=True, kw_only=True):
    """Where the history of a stream ends, and what of its news was read late. Microseconds, by the source's clock."""

    since_us: int
    gap: tuple[int, int] | None = None
    """What happened in this time range was read more than a day late: the stream was not read meanwhile."""


class DecisionQuery(Struct, frozen=True, kw_only=True):
    """What a decision stands on, to be read from the ledger as of one instant."""

    streams: frozenset[tuple[str, str]]
    """(Source id, log type)."""
    match_ids: frozenset[str]
    groups: Mapping[str, tuple[str, str]]
    """Group key -> rule and dedup string."""
    records: frozenset[str]
    """Ids of records whose alerts may move."""
    alerts: frozenset[str]
    """Ids of further alerts."""
    limits: frozenset[tuple[str, int]]
    """(Rule, beginning of the hour)."""


class DecisionState(Struct, frozen=True, kw_only=True):
    """What the ledger has of that. What it lacks is left out."""

    streams: Mapping[tuple[str, str], Onboarding] = field(default_factory=dict)
    """A stream that is left out has no history: all its rows are news."""
    known: frozenset[str] = frozenset()
    """Matches that have landed."""
    groups: Mapping[str, tuple[int, Group]] = field(default_factory=dict)
    """Group key -> revision and group."""
    alerts: Mapping[str, Alert] = field(default_factory=dict)
    """By id: the newest alert of each group, those of records, and those asked for."""
    triaged: frozenset[str] = frozenset()
    """Ids of alerts that ended only with their rule, and that somebody was looking at by then."""
    limits: Mapping[tuple[str, int], "LimitChange"] = field(default_factory=dict)
    """By rule and hour."""
    query: DecisionQuery | None = None
    """What was read: what is not in it may be in the ledger all the same. None: all that a decision asks for."""


class GroupChange(Struct, frozen=True, kw_only=True):
    """A group as it is to be saved."""

    key: str
    rule_id: str
    revision: int
    """That was read; 0: the ledger had none."""
    lasts_us: int
    group: Group


class LimitChange(Struct, frozen=True, kw_only=True):
    """How many alerts of a rule there are of an hour."""

    rule_id: str
    hour_us: int
    revision: int = 0
    """That was read; 0: the ledger had none."""
    alerts: int = 0
    """That people were told of: they opened, or reached their threshold."""
    untold: int = 0
    """That opened in silence, in windows of time."""


class Decision(Struct, frozen=True, kw_only=True):
    """What is to be committed, all of it or nothing."""

    matches: Sequence[tuple[Match, str | None]] = ()
    """New matches, each with the id of its alert; None: a signal, which has none."""
    groups: Sequence[GroupChange] = ()
    limits: Sequence[LimitChange] = ()
    alerts: Sequence[Alert] = ()
    """Each with the revision that was read."""
    timeline: Sequence[TimelineEntry] = ()
    tellings: Sequence[Telling] = ()
    unjudged: Sequence[UnjudgedEvents] = ()


class Policy(Struct, frozen=True, kw_only=True):
    """What people have set up, as it is when a decision is taken."""

    route: Callable[[Alert], Sequence[str]]
    """Returns the ids of the channels that hear of an alert."""
    suppressed: Callable[[Alert, int], str | None] = lambda _alert, _now_us: None
    """Returns why nobody is told of an alert at an instant; None: they are."""
    oldest_us: int = 7 * 24 * _HOUR_US
    """News that was older when it was observed joins one alert per rule."""
    again: News | None = None
    """How people hear of events that are judged again, whatever they were when they landed; None: these are new."""
    seeding: bool = False
    """Whether a rule gets to know what was there before it judged: what it matched when it was on before counts too."""


def decision_query(judged: Judgement, now_us: int) -> DecisionQuery:
    """Return what a decision on `judged` stands on."""
    groups: dict[str, tuple[str, str]] = {}
    alerts = set[str]()
    limits = set[tuple[str, int]]()
    hour_us = now_us // _HOUR_US * _HOUR_US
    for rule in {id(each.rule): each.rule for each in judged.matches}.values():
        limits.add((rule.id, hour_us))
        groups[group_key(rule.id, SUMMARY)] = (rule.id, SUMMARY)
        alerts |= {_overflow(rule.id, hour_us), _silent_overflow(rule.id, hour_us)}
        alerts.add(system_alert_id(LIMIT_EXCEEDED, rule.id))
        alerts |= {_history(rule.id, each) for each in {event.source_id for event in judged.events}}
    for match in judged.matches:
        if not match.rule.about.lives_with_record or match.event.record_id is None:
            groups[group_key(match.rule.id, match.verdict.dedup)] = (match.rule.id, match.verdict.dedup)
    for error in judged.errors:
        groups[group_key(error.rule.id, ERROR + error.kind)] = (error.rule.id, ERROR + error.kind)
    asked = (*judged.rules.values(), *(match.rule for match in judged.matches))
    moves = any(rule.about.lives_with_record for rule in asked)
    return DecisionQuery(
        streams=frozenset((each.source_id, each.log_type) for each in judged.events),
        match_ids=frozenset(match.id for match in judged.matches),
        groups=groups,
        records=frozenset(each.record_id for each in judged.events if each.record_id is not None)
        if moves
        else frozenset(),
        alerts=frozenset(alerts),
        limits=frozenset(limits),
    )


def decide(judged: Judgement, state: DecisionState, policy: Policy, now_us: int) -> Decision:
    """Return what `judged` brings about. `now_us` is our clock, as it was when `decision_query` was asked."""
    return _Deciding(judged, state, policy, now_us).decide()


def _overflow(rule: str, hour_us: int) -> str:
    return alert_id(rule, "\0overflow", hour_us)


def _silent_overflow(rule: str, hour_us: int) -> str:
    return alert_id(rule, "\0silent overflow", hour_us)


def _history(rule: str, source_id: str) -> str:
    return alert_id(rule, f"{_HISTORY}\0{source_id}", 0)


class _Deciding:
    def __init__(self, judged: Judgement, state: DecisionState, policy: Policy, now_us: int) -> None:
        self._judged = judged
        self._state = state
        self._query = decision_query(judged, now_us) if state.query is None else state.query
        self._policy = policy
        self._now_us = now_us
        self._hour_us = now_us // _HOUR_US * _HOUR_US
        self._groups: dict[str, GroupChange] = {}
        self._limits: dict[tuple[str, int], LimitChange] = {}
        self._alerts = dict(state.alerts)
        self._changed: dict[str, None] = {}
        self._timeline: list[TimelineEntry] = []
        self._tellings: list[Telling] = []
        self._matches: list[tuple[Match, str | None]] = []

    def decide(self) -> Decision:
        matches: dict[str, list[Match]] = {}
        for match in self._judged.matches:
            matches.setdefault(match.event.row_id, []).append(match)
        unanswered = self._unanswered()
        keepers = [rule for rule in self._judged.rules.values() if rule.about.lives_with_record]
        for event in self._judged.events:
            found = {match.rule.id: match for match in matches.get(event.row_id, ())}
            for match in found.values():
                self._match(match)
            if event.record_id is not None and event.latest:
                for rule in keepers:
                    if rule.id not in found and (rule.id, event.row_id) not in unanswered:
                        self._no_match(rule, event, event.record_id)
        for error in self._judged.errors:
            self._error(error)
        return Decision(
            matches=self._matches,
            groups=[self._groups[key] for key in sorted(self._groups)],
            limits=[self._limits[key] for key in sorted(self._limits)],
            alerts=[self._alerts[name] for name in sorted(self._changed)],
            timeline=self._timeline,
            tellings=self._tellings,
            # Whoever judges again notes what is left once it is known of all, in the place of what was noted before.
            unjudged=[]
            if self._policy.again is not None and not self._policy.seeding
            else [
                *self._judged.unjudged,
                *(
                    UnjudgedEvents(rule_id=error.rule.id, reason=f"the rule failed: {error.kind}", events=error.events)
                    for error in self._judged.errors
                    if error.type != SUSPENDED
                ),
            ],
        )

    def _unanswered(self) -> set[tuple[str, str]]:
        """Return which rules did not say anything of which events: those end no alert."""
        found = {(error.rule.id, event.row_id) for error in self._judged.errors for event in error.events}
        for passed in self._judged.unjudged:
            rules = [passed.rule_id] if passed.rule_id else list(self._judged.rules)
            found |= {(rule, event.row_id) for rule in rules for event in passed.events}
        return found

    def _match(self, match: Match) -> None:
        if self._is_known(match):
            if self._policy.seeding and match.rule.about.lives_with_record and match.event.record_id is not None:
                # It landed when the rule was on before; its alert ended when the rule was turned off.
                self._record(match, match.event.record_id)
            return
        if not match.rule.about.create_alert:
            self._matches.append((match, None))
        elif match.rule.about.lives_with_record and match.event.record_id is not None:
            self._matches.append((match, self._record(match, match.event.record_id)))
        else:
            self._matches.append((match, self._window(match)))

    def _news(self, event: Event) -> News:
        if self._policy.again is not None:
            return self._policy.again
        stream_key = (event.source_id, event.log_type)
        _check(stream_key in self._query.streams, "stream", stream_key)
        stream = self._state.streams.get(stream_key)
        if stream is not None and event.news_us < stream.since_us:
            return News.HISTORY
        if event.observed_us - event.news_us > self._policy.oldest_us:
            return News.OLD
        in_gap = stream is not None and stream.gap is not None and stream.gap[0] <= event.news_us < stream.gap[1]
        return News.OLD if in_gap else News.NEW

    def _is_landing(self) -> bool:
        """Whether the events have just landed: no rule judges them again."""
        return self._policy.again is None

    # Alerts of a window of time.

    def _window(self, match: Match) -> str:
        about, verdict = match.rule.about, match.verdict
        news = self._news(match.event)
        if news is News.HISTORY:
            name = _history(match.rule.id, match.event.source_id)
            before = self._alert(name)
            if before is None:
                made = replace(_made(match, name, self._now_us), title=kept_text(_TITLE_OF_HISTORY, rule=about.name))
                before = replace(made, known=True, status=AlertStatus.CLOSED, ended_us=self._now_us, dedup="")
                what = kept_text("events before the rule judged it; nobody was told")
                if self._is_landing():
                    what = kept_text("events before the source was set up; nobody was told")
                self._note(name, "opened", what)
            self._save(_joined(before, match, self._now_us))
            return name
        if news is News.OLD:
            grouping = Grouping(rule=match.rule.id, period=_SUMMARY_PERIOD)
            return self._group(match, grouping, SUMMARY, title=_late(about.name))
        period = timedelta(minutes=about.dedup_minutes)
        return self._group(match, Grouping(rule=match.rule.id, period=period, threshold=about.threshold), verdict.dedup)

    def _group(self, match: Match, grouping: Grouping, dedup: str, *, title: str | None = None) -> str:
        key = group_key(grouping.rule, dedup)
        revision, group = self._group_now(key)
        joining = GroupingInput(
            row_id=match.id, dedup=dedup, event_us=match.event.event_us, unique=match.verdict.unique
        )
        own = _made(match, "", self._now_us)
        why = self._muted(own)
        if title is not None:
            own = replace(own, title=title, dedup="")
            why = why or self._muted(own)
        newest = self._alerts.get(alert_id(grouping.rule, dedup, group.window))
        # Only Ocelog resolves: with the source of its first match, for example. A person closes, and means the window.
        ended = newest is not None and newest.status is AlertStatus.RESOLVED
        joined = join(grouping, group, joining, self._now_us, counts=why is None, ended=ended)
        # One that is gone, though its window is not over, ended long ago: people knew. A purge takes the window along.
        before = self._alerts.get(joined.alert)
        tells = joined.tells or (why is None and _is_untold(before, joined.group))
        limit = self._limit(grouping.rule)
        if tells and limit.alerts >= MOST_ALERTS_AN_HOUR:
            # The group stays below its threshold: its next match is told of, if there is room by then.
            return self._flood(match)
        lasts_us = grouping.period // timedelta(microseconds=1)
        self._groups[key] = GroupChange(
            key=key, rule_id=grouping.rule, revision=revision, lasts_us=lasts_us, group=joined.group
        )
        if not tells and before is None and limit.untold >= MOST_UNTOLD_AN_HOUR:
            return self._flood_silently(match)
        if tells or before is None:
            self._count(limit, told=tells)
        alert = replace(own, id=joined.alert) if before is None else before
        if before is None:
            counted = joined.group.matches - 1
            before_it = kept_text("%(count)s matches of its window before are not in it", count=format(counted, ","))
            self._note(alert.id, "opened", before_it if counted else "")
            if why is not None:
                self._note(alert.id, "suppressed", why)
        elif why is None:
            alert = self._with_unmuted(before, own, begins=joined.begins)
        alert = _joined(alert, match, self._now_us)
        self._save(self._tell_window(alert, own) if tells else alert)
        return alert.id

    def _with_unmuted(self, alert: Alert, own: Alert, *, begins: bool = False) -> Alert:
        """Return the alert of a window after a match that is not muted: it shows the first of these, or a worse one.

        `own` is what the match would have opened. Whoever was told of the alert hears that it is worse.
        """
        if _RANKS[own.severity] <= _RANKS[alert.severity]:
            return _showing(alert, own) if begins else alert
        rose = f"{alert.severity} to {own.severity}"
        self._note(alert.id, "severity", rose)
        before, alert = alert, _showing(alert, own)
        if not alert.to_be_told:
            return alert
        heard, hear = self._policy.route(before), self._policy.route(alert)
        if not set(heard) <= set(hear):
            # Whoever heard of it hears that it is worse, and of its end, as well as those who hear of what is worse.
            alert = replace(alert, destinations=tuple(dict.fromkeys((*heard, *hear))))
        back = self._open_again(alert, kept_text("its severity rose"))
        return self._tell(back, Happened.ESCALATED, f"from {rose}", again=back is not alert)

    def _tell_window(self, alert: Alert, own: Alert) -> Alert:
        """Tell of the alert of a window for the first time, because of a match that is not muted."""
        if self._muted(alert) is not None:
            alert = _showing(alert, own)
        alert = self._open_again(alert, kept_text("more matched, and people are to hear of it"))
        return self._tell(alert, Happened.OPENED)

    def _open_again(self, alert: Alert, why: str) -> Alert:
        """Return an alert, open again if a person closed it."""
        if alert.status is not AlertStatus.CLOSED:
            return alert
        self._note(alert.id, "reopened", why)
        return _opened_again(alert, self._now_us)

    def _group_now(self, key: str) -> tuple[int, Group]:
        _check(key in self._query.groups, "group", key)
        if (changed := self._groups.get(key)) is not None:
            return changed.revision, changed.group
        return self._state.groups.get(key, (0, Group()))

    def _alert(self, name: str) -> Alert | None:
        """Return an alert that is of no group and no record."""
        _check(name in self._query.alerts, "alert", name)
        return self._alerts.get(name)

    def _alert_of(self, rule: str, source_id: str, record_id: str) -> Alert | None:
        _check(record_id in self._query.records, "record", record_id)
        return self._alerts.get(record_alert_id(rule, source_id, record_id))

    def _is_known(self, match: Match) -> bool:
        _check(match.id in self._query.match_ids, "match", match.id)
        return match.id in self._state.known

    def _limit(self, rule: str) -> LimitChange:
        key = (rule, self._hour_us)
        _check(key in self._query.limits, "limit", key)
        if (changed := self._limits.get(key)) is not None:
            return changed
        return self._state.limits.get(key, LimitChange(rule_id=rule, hour_us=self._hour_us))

    def _count(self, limit: LimitChange, *, told: bool) -> None:
        counted = replace(limit, alerts=limit.alerts + told, untold=limit.untold + (not told))
        self._limits[limit.rule_id, limit.hour_us] = counted

    def _flood(self, match: Match) -> str:
        """Put a match into the one alert of a rule of which people were told too often in this hour."""
        name = _overflow(match.rule.id, self._hour_us)
        before, most = self._alert(name), format(MOST_ALERTS_AN_HOUR, ",")
        title = kept_text(_TITLE_OF_MANY, rule=match.rule.about.name, count=most)
        own = replace(_made(match, name, self._now_us), title=title, dedup="")
        what = kept_text("it holds what matched beyond the limit")
        if before is None:
            self._note(name, "opened", what)
            alert = self._tell(own, Happened.OPENED)
            self._raise_limit(match.rule, match.event)
        elif before.status is AlertStatus.RESOLVED:
            # With the source of its first match.
            self._note(name, "reopened", what)
            alert = replace(gone_on(own, before), to_be_told=before.to_be_told)
            alert = self._tell(alert, Happened.REOPENED, noted=True)
            self._raise_limit(match.rule, match.event)
        else:
            alert = self._with_unmuted(before, own)
            if not alert.to_be_told and self._muted(own) is None:
                alert = self._tell_window(alert, own)
        self._save(_joined(alert, match, self._now_us))
        return name

    def _flood_silently(self, match: Match) -> str:
        """Put a match into the one alert of a rule that has opened too many in this hour of which nobody hears."""
        name = _silent_overflow(match.rule.id, self._hour_us)
        alert = self._alert(name)
        if alert is None:
            title = kept_text(
                _TITLE_OF_UNTOLD,
                rule=match.rule.about.name,
                count=format(MOST_UNTOLD_AN_HOUR, ","),
            )
            alert = replace(_made(match, name, self._now_us), title=title, dedup="")
            alert = replace(alert, status=AlertStatus.CLOSED, ended_us=self._now_us)
            self._note(name, "opened", _BEYOND_UNTOLD)
        self._save(_joined(alert, match, self._now_us))
        return name

    def _raise_limit(self, rule: JudgedBy, event: Event) -> None:
        name = system_alert_id(LIMIT_EXCEEDED, rule.id)
        before = self._alert(name)
        if before is not None and before.is_open and self._hour_us <= (before.told_us or 0) <= self._now_us:
            # The alert that held the rest is gone, with its source: people know of this hour.
            return
        made = Alert(
            id=name,
            type=AlertType.SYSTEM_ERROR,
            severity=Severity.CRITICAL,
            title=kept_text("The rule %(rule)s opens too many alerts", rule=rule.id),
            description=kept_text(
                "People were told of %(count)s of its alerts within an hour. What matches beyond that joins one alert "
                "an hour; no match is lost.",
                count=format(MOST_ALERTS_AN_HOUR, ","),
            ),
            runbook=kept_text(
                "See what it matches: ocelog alerts list --rule %(rule)s. Then change its dedup string, or disable it: "
                "ocelog rules disable %(rule)s",
                rule=rule.id,
            ),
            rule_id=LIMIT_EXCEEDED,
            rule_name=LIMIT_EXCEEDED,
            dedup=rule.id,
            log_type=event.log_type,
            matches=1,
            opened_us=self._now_us,
            updated_us=self._now_us,
        )
        if before is None or before.is_open:
            self._note(name, "opened")
            self._save(self._tell(gone_on(made, before), Happened.OPENED))
            return
        alert = replace(gone_on(made, before), to_be_told=before.to_be_told)
        self._save(self._tell(alert, Happened.REOPENED))

    # Alerts that live with a record.

    def _record(self, match: Match, record_id: str) -> str:
        event, rule = match.event, match.rule
        name = record_alert_id(rule.id, event.source_id, record_id)
        alert = self._alert_of(rule.id, event.source_id, record_id)
        if alert is None and (event.inferred or not event.latest):
            # It was over before it was looked at: the match has its alert, of which nobody has to hear.
            made = _made(match, name, self._now_us, record_id)
            made = resolved(made, self._now_us)
            self._note(name, "opened", _UNSHOWN if event.inferred else _CHANGED_SINCE)
            self._save(replace(_joined(made, match, self._now_us), record_version=None, visible=not event.inferred))
            return name
        if alert is None or (_is_stub(alert) and event.latest and not event.inferred):
            # History, and what was read late, tell people of one thing at most, and what is muted of nothing: no limit
            # is needed, as there are no more of them than records.
            if self._news(event) is News.NEW and self._muted(_made(match, name, self._now_us, record_id)) is None:
                limit = self._limit(rule.id)
                if limit.alerts >= MOST_ALERTS_AN_HOUR:
                    return self._flood(match)
                self._count(limit, told=True)
            first = self._first(match, name)
            if alert is not None:
                first = replace(first, revision=alert.revision, matches=first.matches + alert.matches)
            self._save(first)
            return name
        after = _joined(alert, match, self._now_us)
        if self._is_known(match):
            after = replace(after, matches=alert.matches)
        if event.latest:
            after = self._seen_again(after, match)
        self._save(after)
        return name

    def _first(self, match: Match, name: str) -> Alert:
        """Open the alert of a record."""
        event = match.event
        alert = _joined(_made(match, name, self._now_us, event.record_id), match, self._now_us)
        match self._news(event):
            case News.HISTORY:
                what = kept_text("its record was so before the rule judged it; nobody was told")
                if self._is_landing():
                    what = kept_text("its record was so before the source was set up; nobody was told")
                self._note(name, "opened", what)
                return replace(alert, known=True, told_severity=alert.severity)
            case News.OLD:
                self._note(name, "opened", _READ_LATE)
                self._group(
                    match,
                    Grouping(rule=match.rule.id, period=_SUMMARY_PERIOD),
                    SUMMARY,
                    title=_late(match.rule.about.name),
                )
                return replace(alert, told_severity=alert.severity)
            case _:
                self._note(name, "opened")
                return self._tell(alert, Happened.OPENED)

    def _seen_again(self, alert: Alert, match: Match) -> Alert:
        """Return the alert of a record after a newer version of it matched, too."""
        severity, event = match.verdict.severity, match.event
        before = alert
        alert = replace(
            alert,
            severity=severity,
            title=match.verdict.title,
            context=match.verdict.context,
            record_version=event.row_id,
            rule_revision=match.rule.revision,
        )
        if not event.inferred and not alert.visible:
            alert = replace(alert, visible=True)
            self._note(alert.id, "visible again")
        if event.inferred:
            return self._unseen(alert)
        told = before.told_severity
        escalates = told is not None and _RANKS[severity] > _RANKS[told]
        if severity is not before.severity:
            self._note(alert.id, "severity", f"{before.severity} to {severity}")
        if before.status is AlertStatus.RESOLVED:
            alert = _opened_again(alert, self._now_us)
            is_history = self._news(event) is News.HISTORY
            if is_history and before.close_reason in (RULE_OFF, SOURCE_REMOVED):
                why = kept_text("its rule is on again, and its record is still so")
                if before.close_reason == SOURCE_REMOVED:
                    why = kept_text("its source was added again, and its record is still so")
                self._note(alert.id, "reopened", why)
                alert = replace(alert, acknowledged_us=before.acknowledged_us)
                if alert.id in self._state.triaged:
                    alert = replace(alert, status=AlertStatus.TRIAGED)
                    # What it is known by when its rule goes and comes once more.
                    self._note(alert.id, "triaged", kept_text("as it was before"))
                # Whoever was told of it has heard that it was over.
                return self._tell(alert, Happened.REOPENED, noted=True) if before.to_be_told else alert
            self._note(alert.id, "reopened", kept_text("its record is so again"))
            if is_history:
                # Whoever heard of it before has heard of its end.
                return replace(alert, known=True, to_be_told=False, told_severity=alert.severity)
            # Once in its dedup period is enough for an alert that comes and goes.
            lasts_us = match.rule.about.dedup_minutes * 60_000_000
            again_us = quiet_until_us(before.told_us, lasts_us, self._now_us)
            if again_us > self._now_us and not escalates:
                self._note(alert.id, "told later", kept_text("people were told of it within its dedup period"))
                return self._tell(alert, Happened.REOPENED, due_us=again_us)
            return self._tell(alert, Happened.REOPENED, noted=True)
        if escalates and self._news(event) is not News.HISTORY:
            back = self._open_again(alert, kept_text("its severity rose"))
            return self._tell(back, Happened.ESCALATED, f"from {told} to {severity}", again=back is not alert)
        return alert

    def _no_match(self, rule: JudgedBy, event: Event, record_id: str) -> None:
        """End what lives with a record whose newest version does not match."""
        alert = self._alert_of(rule.id, event.source_id, record_id)
        if alert is None or alert.record_version == event.row_id:
            return
        if event.inferred:
            self._save(self._unseen(replace(alert, record_version=event.row_id)))
            return
        if alert.status is AlertStatus.RESOLVED:
            if alert.close_reason in (RULE_OFF, SOURCE_REMOVED):
                # It would be over by now with its rule or its source, too.
                self._save(replace(alert, close_reason=None, record_version=event.row_id))
            return
        was_closed = alert.status is AlertStatus.CLOSED
        over = replace(
            alert,
            status=AlertStatus.RESOLVED,
            record_version=event.row_id,
            visible=True,
            ended_us=self._now_us,
            updated_us=self._now_us,
            told_us=heard_us(alert.told_us, rule.about.dedup_minutes * 60_000_000, self._now_us),
        )
        self._note(alert.id, "resolved", kept_text("its record does not match any more"))
        self._save(over if was_closed else self._tell_end(over, Happened.RESOLVED))

    def _unseen(self, alert: Alert) -> Alert:
        """Return an alert whose record the source does not show any more: whether it is over is not known."""
        if not alert.visible or not alert.is_open:
            return replace(alert, visible=False)
        self._note(alert.id, "no longer visible", _UNSHOWN)
        return self._tell_end(replace(alert, visible=False, updated_us=self._now_us), Happened.NOT_VISIBLE)

    # Rules that fail.

    def _error(self, error: RuleError) -> None:
        about = error.rule.about
        dedup = ERROR + error.kind
        key = group_key(error.rule.id, dedup)
        revision, group = self._group_now(key)
        grouping = Grouping(rule=error.rule.id, period=timedelta(minutes=max(60, about.dedup_minutes)))
        first, last = error.events[0], error.events[-1]
        own = Alert(
            id="",
            type=AlertType.DETECTION_ERROR,
            severity=about.severity,
            title=_title_of_error(error),
            description=_description_of_error(error)[:1_000],
            runbook=_mending(error.rule),
            rule_id=error.rule.id,
            rule_name=about.name,
            rule_revision=error.rule.revision,
            tags=about.tags,
            dedup=error.kind,
            log_type=first.log_type,
            source_id=first.source_id or None,
            source_label=first.source_label or None,
            destinations=about.output_ids or None,
            opened_us=self._now_us,
            updated_us=self._now_us,
            first_event_us=first.event_us,
        )
        why = self._muted(own)
        # No limit is needed: there are only so many kinds, each once in its window.
        joining = GroupingInput(row_id=first.row_id, dedup=dedup, event_us=first.event_us)
        joined = join(grouping, group, joining, self._now_us, counts=why is None)
        lasts_us = grouping.period // timedelta(microseconds=1)
        self._groups[key] = GroupChange(
            key=key, rule_id=error.rule.id, revision=revision, lasts_us=lasts_us, group=joined.group
        )
        before = self._alerts.get(joined.alert)
        tells = joined.tells or (why is None and _is_untold(before, joined.group))
        if before is None:
            alert = replace(own, id=joined.alert)
            self._note(alert.id, "opened")
            if why is not None:
                self._note(alert.id, "suppressed", why)
        else:
            alert = _showing(before, own) if tells else before
        alert = replace(
            alert,
            matches=alert.matches + len(error.events),
            updated_us=self._now_us,
            last_event_us=last.event_us,
            rule_revision=error.rule.revision,
        )
        if alert.status is AlertStatus.RESOLVED:
            # It was mended, or its source was removed, and it fails again while its window lasts.
            alert = _opened_again(_showing(alert, own), self._now_us)
            self._save(self._tell(alert, Happened.REOPENED))
        else:
            self._save(self._tell_window(alert, own) if tells else alert)

    # What all of them do.

    def _save(self, alert: Alert) -> None:
        self._alerts[alert.id] = alert
        self._changed[alert.id] = None

    def _note(self, name: str, what: str, detail: str = "") -> None:
        self._timeline.append(TimelineEntry(alert_id=name, at_us=self._now_us, who=OCELOG, what=what, detail=detail))

    def _tell(
        self,
        alert: Alert,
        happened: Happened,
        note: str = "",
        *,
        due_us: int | None = None,
        noted: bool = False,
        again: bool = False,
    ) -> Alert:
        """Tell of something that people must look at, unless it is suppressed; now, or at `due_us`.

        `noted`: its timeline says already what happened; `again`: and that it is open again. People who heard that it
        was over hear that it is not, though it is suppressed: whoever delivers keeps that until it is not any more.
        """
        why = self._muted(alert)
        if why is not None and (again or happened is Happened.REOPENED) and alert.to_be_told:
            self._note(alert.id, "told later", why)
            if again:
                # A note would say that a person did it, and that is told at once.
                happened, note, noted = Happened.REOPENED, "", True
        elif why is not None:
            self._note(alert.id, "suppressed", why)
            # It is told of once it is worse, and the suppression is over.
            return replace(alert, told_severity=alert.severity)
        self._put(alert, happened, note, due_us)
        if happened is not Happened.OPENED and due_us is None and not noted:
            self._note(alert.id, happened.value, note)
        told_us = self._now_us if due_us is None else due_us
        return replace(alert, to_be_told=True, known=False, told_severity=alert.severity, told_us=told_us)

    def _muted(self, alert: Alert) -> str | None:
        return self._policy.suppressed(alert, self._now_us)

    def _tell_end(self, alert: Alert, happened: Happened) -> Alert:
        """Tell those who were told of an alert that nobody has to look at it any more."""
        if alert.to_be_told:
            self._put(alert, happened, "")
        return alert

    def _put(self, alert: Alert, happened: Happened, note: str, due_us: int | None = None) -> None:
        due_us = self._now_us if due_us is None else due_us
        self._tellings += [
            Telling(
                alert_id=alert.id,
                channel_id=channel,
                happened=happened,
                note=note,
                due_us=due_us,
                decided_us=self._now_us,
            )
            for channel in self._policy.route(alert)
        ]


def _check(was_wanted: bool, what: str, key: object) -> None:  # noqa: FBT001 - it reads as an assertion
    """Raise AssertionError for what was not read: a decision must not take it for what the ledger lacks."""
    if not was_wanted:
        raise AssertionError(f"A decision asks for the {what} {key!r}, which `decision_query` does not name.")


def _mending(rule: JudgedBy) -> str:
    if rule.on_schedule:
        return kept_text(
            "See where its file is (ocelog rules show %(rule)s), and correct the rule, or its query. Try it (ocelog "
            "rules try %(rule)s), and have it judge what it missed: ocelog rules replay %(rule)s",
            rule=rule.id,
        )
    return kept_text(
        "Correct the rule, try it (ocelog rules try %(rule)s), and have it judge what it missed: ocelog rules replay "
        "%(rule)s",
        rule=rule.id,
    )


def _title_of_error(error: RuleError) -> str:
    if error.type == SUSPENDED:
        return kept_text("The rule %(rule)s fails: Suspended", rule=error.rule.id)
    return kept_text("The rule %(rule)s fails: %(fault)s", rule=error.rule.id, fault=error.type)


def _description_of_error(error: RuleError) -> str:
    if error.type == SUSPENDED:
        return kept_text("Suspended: %(why)s", why=error.message)
    return f"{error.type}: {error.message}"


def _late(rule: str) -> str:
    return kept_text(_TITLE_OF_LATE, rule=rule)


def _is_untold(alert: Alert | None, group: Group) -> bool:
    """Whether the window of an alert was to be told of, and a mute let nobody hear of it."""
    return alert is not None and group.told and not alert.to_be_told


def _is_stub(alert: Alert) -> bool:
    """Whether an alert only holds matches of versions that were over when they were judged: nobody ever heard of it."""
    return alert.status is AlertStatus.RESOLVED and not alert.to_be_told and alert.record_version is None


def _made(match: Match, name: str, now_us: int, record_id: str | None = None) -> Alert:
    about, verdict, event = match.rule.about, match.verdict, match.event
    return Alert(
        id=name,
        severity=verdict.severity,
        title=verdict.title,
        description=verdict.description,
        runbook=verdict.runbook,
        reference=verdict.reference,
        rule_id=about.id,
        rule_name=about.name,
        rule_revision=match.rule.revision,
        tags=about.tags,
        dedup=verdict.dedup,
        log_type=event.log_type,
        source_id=event.source_id,
        source_label=event.source_label,
        record_id=record_id,
        record_version=None if record_id is None else event.row_id,
        link=event.link,
        destinations=verdict.destinations if verdict.destinations is not None else about.output_ids or None,
        context=verdict.context,
        opened_us=now_us,
        updated_us=now_us,
        first_event_us=event.event_us,
    )


def _opened_again(alert: Alert, now_us: int) -> Alert:
    """Return an alert that was over, open again, as if nobody had looked at it since."""
    return replace(
        alert, status=AlertStatus.OPEN, ended_us=None, close_reason=None, acknowledged_us=None, opened_us=now_us
    )


def _showing(alert: Alert, own: Alert) -> Alert:
    """Return an alert that shows what another match, or error, of its window says: `own` is what that would open."""
    return replace(
        alert,
        severity=own.severity,
        title=own.title,
        description=own.description,
        runbook=own.runbook,
        reference=own.reference,
        rule_name=own.rule_name,
        rule_revision=own.rule_revision,
        tags=own.tags,
        log_type=own.log_type,
        source_id=own.source_id,
        source_label=own.source_label,
        link=own.link,
        destinations=own.destinations,
        context=own.context,
    )


def _joined(alert: Alert, match: Match, now_us: int) -> Alert:
    event_us = match.event.event_us
    return replace(
        alert,
        matches=alert.matches + 1,
        updated_us=now_us,
        first_event_us=event_us if alert.first_event_us is None else min(alert.first_event_us, event_us),
        last_event_us=event_us if alert.last_event_us is None else max(alert.last_event_us, event_us),
    )


def alerts_of(standing_groups: Mapping[str, tuple[int, Group]], groups: Mapping[str, tuple[str, str]]) -> Iterable[str]:
    """Return the id of the newest alert of each group that has one."""
    for key, (_, group) in standing_groups.items():
        rule, dedup = groups[key]
        yield alert_id(rule, dedup, group.window)
