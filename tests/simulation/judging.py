"""Rules over the simulated things, and the processes that judge by them while people change rules and alerts."""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from ocelog.alert.changes import CloseReason, assign, close
from ocelog.alert.deciding import Policy
from ocelog.alert.delivery.routing import channels_for
from ocelog.alert.detecting import Detecting
from ocelog.alert.judged import Event, JudgedBy, Judgement, Match, RuleError, UnjudgedEvents
from ocelog.alert.notice import AlertType
from ocelog.alert.ports import CommitSuccess, Outcome, Piece
from ocelog.detect.evaluate import Verdict
from ocelog.detect.rule import About, Place
from ocelog.errors import LakeUnavailableError, LostFenceError
from ocelog.ledger import tables
from ocelog.ledger.ledger import Ledger
from ocelog.model import Claim, Kind, Severity, table_name
from ocelog.schema.columns.table import match_rows
from simulation.lake import MemoryLake

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

    def says(self, row: Mapping[str, Any]) -> bool:
        """Whether it matches a row, on which it neither fails nor uses up its time."""
        return self.matches(row) and not self.fails(row) and not self.passes(row)

    def severity(self, row: Mapping[str, Any]) -> Severity:
        """Return the severity of a match."""
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

    def committed(self, _said: Judgement) -> None:
        """Nothing was put off until then."""

    def judge(self, rows: Any, _log_type: str, events: Sequence[Event]) -> Judgement:
        matches, errors, passed = (
            list[Match](),
            defaultdict[str, list[Event]](list),
            defaultdict[str, list[Event]](list),
        )
        for event, row in zip(events, rows.select(["id", "status", "tag"]).to_pylist(), strict=True):
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
        return Judgement(
            events=events,
            rules=dict(self._rules),
            matches=matches,
            errors=[
                RuleError(rule=self._rules[name], type="KeyError", message="x", events=each)
                for name, each in errors.items()
            ],
            unjudged=[UnjudgedEvents(rule_id=name, reason="time", events=each) for name, each in passed.items()],
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopCommit:
    """What one commit of the detect loop put into the ledger."""

    rows: Sequence[str]
    """All that were judged."""
    by: frozenset[str]
    """The rules that were on."""
    now_us: int
    """When it was decided what that brings about."""
    suppressed: bool
    matches: Sequence[Match]
    """In their order."""


@dataclass(slots=True)
class _Noted:
    """What a process judged last, and on what it was decided."""

    rows: list[str] = field(default_factory=list)
    by: frozenset[str] = frozenset()
    now_us: int = 0
    suppressed: bool = False


class _NotingJury(SimJury):
    """Notes what it judged; only of what is committed does that count."""

    def __init__(self, bench: "Bench", noted: _Noted) -> None:
        super().__init__(on=lambda: bench.on)
        self._bench, self._noted = bench, noted

    def judge(self, rows: Any, log_type: str, events: Sequence[Event]) -> Judgement:
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
        if isinstance(outcome, CommitSuccess) and piece.source_id is not None:
            self._bench.note(self._noted, [match for match, _ in piece.decision.matches])
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


@dataclass(slots=True, kw_only=True)
class Bench:
    """What judges in a simulation, and what is known of it."""

    ledger: Ledger
    lake: MemoryLake
    kind: Kind
    rng: random.Random
    now_us: Callable[[], int]
    pause: Callable[[], None]
    lease: timedelta
    wait: Callable[[], None]
    """Lets a lease pass."""
    on: frozenset[str] = frozenset(RULES)
    suppress: bool = False
    births: int = 0
    touched: set[str] = field(default_factory=set)
    """Alerts that a person closed or took on, at some time."""
    taken: set[str] = field(default_factory=set)
    """Those that a person took on: nothing ever takes that back."""
    judgements: list[LoopCommit] = field(default_factory=list)
    judged_by: dict[str, frozenset[str]] = field(default_factory=dict)
    """Row id -> the rules that it was judged by, in the commit that counted."""

    @property
    def table(self) -> str:
        """The table that it judges."""
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
            policy=lambda: self._policy(noted),
            now_us=lambda: self._now_us(noted),
            piece_rows=self.rng.choice((1, 2, 100)),
        )

    def _now_us(self, noted: _Noted) -> int:
        # Asked last for the decision that is committed: time passes until that has read what it stands on.
        noted.now_us = self.now_us()
        return noted.now_us

    def _policy(self, noted: _Noted) -> Policy:
        noted.suppressed = self.suppress
        channels, why = self.ledger.channels.listed(), "maintenance" if self.suppress else None
        return Policy(
            route=lambda alert: channels_for(alert, channels),
            suppressed=lambda _alert, _now_us: why,
        )

    def note(self, noted: _Noted, matches: Sequence[Match]) -> None:
        """Note what was committed."""
        for row in noted.rows:
            assert row not in self.judged_by, f"{row} was judged twice"
            self.judged_by[row] = noted.by
        self.judgements.append(
            LoopCommit(rows=noted.rows, by=noted.by, now_us=noted.now_us, suppressed=noted.suppressed, matches=matches)
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

    def meddle(self) -> None:
        """Let people turn a rule on or off, begin or end a maintenance window, or work on an alert."""
        roll = self.rng.random()
        if roll < 0.25:
            self.on ^= {self.rng.choice(sorted(set(RULES) - {"open"}))}
        elif roll < 0.5:
            self.suppress = not self.suppress and roll < 0.35
        else:
            # Of others nobody heard, so nobody works on them; and what a delivery raises again is another one.
            told = (tables.alerts.c.told, tables.alerts.c.type != AlertType.SYSTEM_ERROR.value)
            with self.ledger._database.read() as tx:
                names = [*tx.execute(select(tables.alerts.c.id).where(*told).order_by(tables.alerts.c.id)).scalars()]
            if names:
                self._work_on(self.rng.choice(names))

    def _work_on(self, name: str) -> None:
        """Let a person close an alert, or take it on."""
        self.touched.add(name)
        if self.rng.random() < 0.5:
            self.ledger.alerts.change([name], close(CloseReason.BENIGN, who="ann"))
        else:
            self.taken.add(name)
            self.ledger.alerts.change([name], assign("ann", who="ann"))

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
