"""Rules over the simulated things, the processes that judge by them, and what must have come of it."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from ocelog.alert.alert import Alert
from ocelog.alert.deciding import Policy, record_alert_id
from ocelog.alert.detecting import Detecting
from ocelog.alert.grouping import match_id
from ocelog.alert.judged import Event, Judged, JudgedBy, Match, RuleError, Unjudged
from ocelog.alert.notice import AlertStatus, AlertType
from ocelog.alert.ports import Committed, Outcome, Piece
from ocelog.detect.evaluate import Verdict
from ocelog.detect.rule import About, Place
from ocelog.errors import LakeUnavailableError, LostFenceError
from ocelog.ledger import tables
from ocelog.ledger.ledger import Ledger
from ocelog.ledger.rows.alerts import alert_of
from ocelog.model import RULE_MATCHES, Claim, Kind, Severity, table_name
from ocelog.schema.columns.table import match_rows
from simulation.lake import MemoryLake, Row

CHANNELS = ("mail", "chat")
_OPEN = ("OPEN", "IN_PROGRESS")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimRule:
    """A rule as Python over a row."""

    about: About
    matches: Callable[[Mapping[str, Any]], bool]
    dedup: Callable[[Mapping[str, Any]], str] = lambda _row: "all"
    fails: Callable[[Mapping[str, Any]], bool] = lambda _row: False
    passes: Callable[[Mapping[str, Any]], bool] = lambda _row: False
    """Rows on which its time is used up."""

    def severity(self, row: Mapping[str, Any]) -> Severity:
        return Severity.HIGH if row["tag"] == "b" else Severity.LOW


def _about(name: str, **more: Any) -> About:
    return About(id=name, severity=Severity.MEDIUM, place=Place(f"{name}.yml", 1), **more)


RULES = {
    rule.about.id: rule
    for rule in (
        SimRule(
            about=_about("open", lives_with_record=True, dedup_minutes=2), matches=lambda row: row["status"] in _OPEN
        ),
        SimRule(
            about=_about("rejected", dedup_minutes=1),
            matches=lambda row: row["status"] == "REJECTED",
            dedup=lambda row: row["id"],
        ),
        SimRule(about=_about("many", dedup_minutes=3, threshold=3), matches=lambda _row: True),
        SimRule(about=_about("signal", create_alert=False), matches=lambda row: row["tag"] == "b"),
        SimRule(
            about=_about("flaky", lives_with_record=True, dedup_minutes=1),
            matches=lambda row: row["tag"] == "a",
            fails=lambda row: row["status"] == "IN_PROGRESS",
            passes=lambda row: row["status"] == "RESOLVED",
        ),
    )
}


@dataclass(slots=True)
class SimJury:
    """Judges by the rules that are on at the time; each change of them is a revision."""

    on: Callable[[], frozenset[str]]
    _rules: dict[str, JudgedBy] = field(default_factory=dict)

    def rules(self, _log_type: str) -> Mapping[str, JudgedBy]:
        on = self.on()
        self._rules = {name: JudgedBy(about=RULES[name].about, revision=",".join(sorted(on))) for name in sorted(on)}
        return self._rules

    def passed(self, _log_type: str) -> Mapping[str, str]:
        return {}

    def committed(self, _said: Judged) -> None:
        """Nothing was put off until then."""

    def judge(self, rows: Any, _log_type: str, events: Sequence[Event]) -> Judged:
        matches, errors, passed = (
            list[Match](),
            defaultdict[str, list[Event]](list),
            defaultdict[str, list[Event]](list),
        )
        for event, row in zip(events, rows.to_pylist(), strict=True):
            for name, rule in self._rules.items():
                made = RULES[name]
                if made.fails(row):
                    errors[name].append(event)
                elif made.passes(row):
                    passed[name].append(event)
                elif made.matches(row):
                    verdict = Verdict(
                        matched=True, title=f"{name} {row['id']}", severity=made.severity(row), dedup=made.dedup(row)
                    )
                    matches.append(Match(rule=rule, event=event, verdict=verdict))
        return Judged(
            events=events,
            rules=dict(self._rules),
            matches=matches,
            errors=[
                RuleError(rule=self._rules[name], type="KeyError", message="x", events=each)
                for name, each in errors.items()
            ],
            unjudged=[Unjudged(rule_id=name, reason="time", events=each) for name, each in passed.items()],
        )


class SimClaims:
    """The claims of one process."""

    def __init__(self, ledger: Ledger, holder: str, lease: Any) -> None:
        self._ledger, self._holder, self._lease = ledger, holder, lease
        self._held: dict[str, Claim] = {}

    def claim(self, source_id: str) -> Claim:
        if source_id not in self._held:
            self._held[source_id] = self._ledger.pulling.take_claim(
                "detect", source_id, self._holder, lease=self._lease
            )
        return self._held[source_id]

    def lost(self, source_id: str) -> None:
        self._held.pop(source_id, None)


@dataclass(slots=True)
class _Noted:
    """What a process judged last, and by which rules."""

    rows: list[str] = field(default_factory=list)
    by: frozenset[str] = frozenset()


class _NotingJury(SimJury):
    """Notes what it judged; only of what is committed does that count."""

    def __init__(self, bench: "Bench", noted: _Noted) -> None:
        super().__init__(on=lambda: bench.on)
        self._bench, self._noted = bench, noted

    def judge(self, rows: Any, log_type: str, events: Sequence[Event]) -> Judged:
        found = super().judge(rows, log_type, events)
        self._noted.rows, self._noted.by = [event.row_id for event in events], frozenset(found.rules)
        self._bench.pause()
        return found


class _NotingLedger:
    """The ledger of one process, pausing around each transaction."""

    def __init__(self, bench: "Bench", noted: _Noted) -> None:
        self._bench, self._noted = bench, noted

    def commit(self, piece: Piece) -> Outcome:
        self._bench.pause()
        outcome = self._bench.ledger.judging.commit(piece)
        if isinstance(outcome, Committed) and piece.source_id is not None:
            for row in self._noted.rows:
                assert row not in self._bench.judged_by, f"{row} was judged twice"
                self._bench.judged_by[row] = self._noted.by
        self._bench.pause()
        return outcome

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._bench.ledger.judging, name)

        def paused(*args: Any, **more: Any) -> Any:
            self._bench.pause()
            answer = method(*args, **more)
            self._bench.pause()
            return answer

        return paused


@dataclass(slots=True)
class Bench:
    """What judges in a simulation, and what is known of it."""

    ledger: Ledger
    lake: MemoryLake
    kind: Kind
    rng: random.Random
    now_us: Callable[[], int]
    pause: Callable[[], None]
    lease: Any
    wait: Callable[[], None]
    """Lets a lease pass."""
    on: frozenset[str] = frozenset(RULES)
    suppress: bool = False
    births: int = 0
    closed_by_hand: set[str] = field(default_factory=set)
    """Alerts that a person closed at some time."""
    judged_by: dict[str, frozenset[str]] = field(default_factory=dict)
    """Row id -> the rules that it was judged by, in the commit that counted."""

    @property
    def table(self) -> str:
        return table_name(self.kind.log_type)

    def process(self) -> Detecting:
        """Return a process that judges."""
        self.births += 1
        noted = _Noted()
        return Detecting(
            ledger=_NotingLedger(self, noted),
            lake=self.lake,
            jury=_NotingJury(self, noted),
            claims=SimClaims(self.ledger, f"d{self.births}", self.lease),
            match_rows=match_rows,
            policy=lambda: Policy(
                route=lambda _alert: CHANNELS,
                suppressed=lambda _alert, _now: "maintenance" if self.suppress else None,
            ),
            now_us=self.now_us,
            piece_rows=self.rng.choice((1, 2, 100)),
        )

    def work(self) -> None:
        """Be one process: judge until there is nothing to judge."""
        detecting = self.process()
        while True:
            self.pause()
            try:
                if not detecting.step(self.table, self.kind).more:
                    return
            except (LostFenceError, LakeUnavailableError):
                return

    def change_rules(self) -> None:
        """Turn a rule on or off."""
        name = self.rng.choice(sorted(set(RULES) - {"open"}))
        self.on ^= {name}

    def drain(self) -> None:
        """Judge all that there is."""
        detecting = self.process()
        for _ in range(10_000):
            try:
                if not detecting.step(self.table, self.kind).more:
                    return
            except LostFenceError:
                # What another process held is free once its lease is over: nobody crashes any more.
                self.wait()
        raise AssertionError("judging never ends")

    def check(self) -> None:
        """Raise unless exactly the matches and alerts are there that must be."""
        events, _ = self.lake.view(self.table)
        matches, _ = self.lake.view(RULE_MATCHES)
        self.check_matches(events, matches)
        alerts = self.alerts()
        self.check_alerts(matches, alerts)
        self.check_records(events, alerts)
        self.check_unjudged(events)
        self.check_told(alerts)

    def check_matches(self, events: list[Row], matches: list[Row]) -> None:
        judged = {row["p_row_id"]: row for row in events}
        lost, invented = judged.keys() - self.judged_by, self.judged_by.keys() - judged
        assert not lost, f"rows were not judged: {lost}"
        assert not invented, f"rows were judged that are nowhere: {invented}"
        expected = {
            match_id(name, row_id)
            for row_id, row in judged.items()
            for name in self.judged_by[row_id]
            if RULES[name].matches(row) and not RULES[name].fails(row) and not RULES[name].passes(row)
        }
        found = Counter(row["p_row_id"] for row in matches)
        assert not [name for name, times in found.items() if times > 1], "a match landed twice"
        assert set(found) == expected, (
            f"{len(set(found) - expected)} matches too many, {len(expected - set(found))} lost"
        )

    def alerts(self) -> dict[str, Alert]:
        with self.ledger._database.read() as tx:
            return {row["id"]: alert_of(row) for row in tx.execute(select(tables.alerts)).mappings()}

    def check_alerts(self, matches: list[Row], alerts: Mapping[str, Alert]) -> None:
        by_alert = Counter(row["alert_id"] for row in matches if row["alert_id"] is not None)
        assert {row["rule_id"] for row in matches if row["alert_id"] is None} <= {"signal"}, "a match has no alert"
        ours = {name: alert for name, alert in alerts.items() if alert.type is AlertType.ALERT}
        assert set(by_alert) <= set(ours), "a match names an alert that is nowhere"
        wrong = {
            name: (alert.matches, by_alert[name]) for name, alert in ours.items() if alert.matches != by_alert[name]
        }
        # News that was read late joins two: that of its record, and the summary.
        wrong = {name: each for name, each in wrong.items() if "read late" not in ours[name].title}
        assert not wrong, f"alerts count other matches than they have: {wrong}"

    def check_records(self, events: list[Row], alerts: Mapping[str, Alert]) -> None:
        """Raise unless the alert of each record says what its newest version does."""
        newest = dict[str, Row]()
        for row in sorted(events, key=lambda row: (row["p_version_time"], row["p_observed_at"], row["p_row_id"])):
            newest[row["id"]] = row
        for record, row in newest.items():
            alert = alerts.get(record_alert_id("open", row["p_source_id"], record))
            matches = RULES["open"].matches(row)
            if alert is None:
                assert not matches, f"{record} is {row['status']}, and has no alert"
                continue
            if row["p_inferred"] is not None:
                assert not alert.visible, f"{record} is not visible any more, and its alert says so nowhere"
                continue
            expected = AlertStatus.OPEN if matches else AlertStatus.RESOLVED
            closed = alert.status is AlertStatus.CLOSED and alert.id in self.closed_by_hand
            assert alert.status is expected or closed, f"{record} is {row['status']}, its alert {alert.status}"
            if matches:
                assert alert.severity is RULES["open"].severity(row), f"{record}: severity {alert.severity}"

    def check_unjudged(self, events: list[Row]) -> None:
        expected = sum(
            "flaky" in self.judged_by[row["p_row_id"]] and (RULES["flaky"].fails(row) or RULES["flaky"].passes(row))
            for row in events
        )
        with self.ledger._database.read() as tx:
            found = sum(row.rows for row in tx.execute(select(tables.unjudged)))
        assert found == expected, f"{expected} rows were passed, {found} are listed"

    def check_told(self, alerts: Mapping[str, Alert]) -> None:
        """Raise unless each channel hears what people must hear, in an order that makes sense."""
        with self.ledger._database.read() as tx:
            rows = [*tx.execute(select(tables.outbox).order_by(tables.outbox.c.id))]
        heard = defaultdict[tuple[str, str], list[str]](list)
        for row in rows:
            heard[row.alert_id, row.channel_id].append(row.happened)
        for name, alert in alerts.items():
            told = [heard.get((name, channel), []) for channel in CHANNELS]
            assert told[0] == told[1], f"two channels hear different things of {alert.title}"
            assert alert.told == bool(told[0]), f"{alert.title}: told is {alert.told}, and the channels hear {told[0]}"
            if not told[0]:
                continue
            assert told[0].count("opened") <= 1, f"{alert.title} is opened twice: {told[0]}"
            if alert.record_id is None:
                assert told[0] == ["opened"], f"{alert.title}: {told[0]}"
            elif alert.status is AlertStatus.RESOLVED and alert.id not in self.closed_by_hand:
                assert told[0][-1] in {"resolved", "not visible"}, f"{alert.title} is resolved: {told[0]}"
