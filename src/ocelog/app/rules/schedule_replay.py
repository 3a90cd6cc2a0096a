"""What rules that run on a schedule say of the past: landed as their loop lands it, and each match once.

It goes on beside the loop. If nobody is to hear of it, what the loop has not had before its eyes is left to it: what
landed here would be known by then, and nobody would hear of it at all.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from msgspec.structs import replace

from ocelog.alert.ids import match_id
from ocelog.alert.judged import Event, Judgement, Match, UnjudgedEvents
from ocelog.alert.scheduling import Firing, Scheduling
from ocelog.app.judging.rule_answers import said_of
from ocelog.app.log_types import table_schemas
from ocelog.app.loops.correlating import MOST_NAMED
from ocelog.app.loops.detecting import channel_names
from ocelog.app.loops.scheduled_rows import RunRows, run_event
from ocelog.app.rules.replaying import MAX_TRIES, RuleReplay, policy_again, replay_claims, settle
from ocelog.app.rules.rule_candidates import OfMatches, OfRows
from ocelog.app.rules.rule_trial import Told, add
from ocelog.app.rules.schedule_history import (
    PastAnswer,
    PastFindings,
    PastRun,
    days_to_read,
    lacking,
    past_answers,
    past_findings,
    past_runs,
    sources_of,
    step_days,
)
from ocelog.detect.rule import Kind
from ocelog.detect.timetable import timetable
from ocelog.detect.unjudged import ReplayRange
from ocelog.errors import ConfigError, LostFenceError
from ocelog.installation.opening import Installation
from ocelog.lake.lake import FileLake
from ocelog.lake.query.queries import Limits, Queries
from ocelog.lake.read.quoting import literal
from ocelog.languages.phrases import Phrase
from ocelog.model import RULE_MATCHES
from ocelog.rule_workers.judge import Judge
from ocelog.schema.columns.table import match_rows
from ocelog.times import from_us, to_us

_MARGIN_US = 300_000_000
"""What is read lands some time after: what was read so shortly before a run may not have been before its eyes."""
_LIMITS = Limits(timeout=timedelta(minutes=9))
_LANDED = f"""
SELECT event_row_id, p_observed_at, dedup, alert_context FROM {RULE_MATCHES} WHERE rule_id = {{rule}}
"""  # noqa: S608 - ours


def replay_rows(
    installation: Installation,
    judge: Judge,
    asked: OfRows,
    period: tuple[datetime, datetime],
    began_us: int,
    *,
    alerts: bool,
    told: Told,
) -> RuleReplay:
    """Ask the queries of a rule again for each time that they were due, and land what the rule matches."""
    since, until = period
    rule = asked.rule
    done = RuleReplay(
        rule=rule.id, kind=rule.kind, queries=rule.scheduled_queries, since=since, until=until, alerts=alerts
    )
    marks = installation.ledger.judging.fired([_schedule(name) for name in rule.scheduled_queries])
    noted = installation.ledger.judging.times([_schedule(name) for name in rule.scheduled_queries])
    times = {
        each.name: timetable(
            each.schedule,
            noted.get(_schedule(each.name), ()),
            fired_us=marks.get(_schedule(each.name)),
            now_us=began_us,
        )
        for each in asked.queries
        if each.schedule is not None
    }
    due, every = past_runs(asked.queries, since, until, times)
    runs = [run for run in due if run.fires_us <= marks.get(_schedule(run.query.name), run.fires_us)]
    done.waiting = len(due) - len(runs)
    if not every:
        done.since, done.bounded = from_us(due[0].fires_us), True
    again = _ScheduleReplay(installation, judge, asked, done)
    told("runs", 0, len(runs))

    def read_by(run: PastRun) -> datetime | None:
        mark = marks.get(_schedule(run.query.name))
        return None if alerts or mark is None else from_us(mark - _MARGIN_US)

    try:
        for answer in past_answers(installation, runs, again.sources, read_by):
            done.runs += 1
            again.land_answer(answer)
            told("runs", done.runs, len(runs))
    finally:
        again.claims.release()
    done.left_runs = len(runs) - done.runs
    seen_us = _left_to_loop(done, marks)
    covered = ReplayRange(
        since_us=to_us(done.since), until_us=to_us(until), noted_before_us=min(began_us, seen_us or began_us)
    )
    settled = [] if done.left_runs or done.waiting else [_schedule(name) for name in rule.scheduled_queries]
    settle(installation.ledger, done, settled, covered, again.left)
    return done


def replay_matches(
    installation: Installation,
    asked: OfMatches,
    period: tuple[datetime, datetime],
    began_us: int,
    *,
    alerts: bool,
    told: Told,
) -> RuleReplay:
    """Look for what belongs together in the matches that other rules have, and land it."""
    since, until = period
    done = RuleReplay(
        rule=asked.rule.id, kind=Kind.CORRELATION_RULE, steps=asked.steps, since=since, until=until, alerts=alerts
    )
    days = step_days(installation, asked, since, until)
    done.lacking, done.events = lacking(asked, days), sum(sum(each.values()) for each in days.values())
    schedule = f"rule {asked.rule.id}"
    seen_us = _left_to_loop(done, installation.ledger.judging.fired([schedule]))
    again = _ScheduleReplay(installation, None, asked, done)
    told("matches", 0, done.events)
    try:
        for each in past_findings(installation, asked, days_to_read(days, since, until), again.sources, began_us):
            again.land_findings(schedule, each, seen_us)
            passed = sum(sum(counts.values()) for day_us, counts in days.items() if day_us < each.until_us)
            told("matches", passed, done.events)
    finally:
        again.claims.release()
    covered = ReplayRange(
        since_us=to_us(since), until_us=to_us(until), noted_before_us=min(began_us, seen_us or began_us)
    )
    settle(installation.ledger, done, [] if done.failed_runs or done.waiting else [schedule], covered, again.left)
    return done


def _schedule(query: str) -> str:
    return f"query {query}"


def _left_to_loop(done: RuleReplay, marks: Mapping[str, int]) -> int | None:
    """Note by when something must have been read not to be left to the next run; None: nothing is."""
    if done.alerts or not marks:
        return None
    seen_us = min(marks.values()) - _MARGIN_US
    done.read_by = from_us(seen_us)
    return seen_us


@dataclass(slots=True)
class LandedMatches:
    """What a rule has in `rule_matches`."""

    matches: frozenset[str]
    observed_us: Sequence[int]
    groups: Mapping[str, Sequence[frozenset[str]]]
    """Of a correlation rule: the members of each match, by dedup string."""

    def holds(self, match: Match) -> bool:
        """Whether all that belongs together here is in one match that has landed: it was found before, with more."""
        members = _members(match.verdict.context)
        return bool(members) and any(members <= each for each in self.groups.get(match.verdict.dedup, ()))

    def fires_us(self, run: PastRun) -> frozenset[int]:
        """Return the runs of a schedule that found something."""
        due = (run.times.made_by(from_us(us)) for us in self.observed_us)
        return frozenset(to_us(at) for at in due if at is not None)


class _ScheduleReplay:
    def __init__(
        self, installation: Installation, judge: Judge | None, asked: OfRows | OfMatches, done: RuleReplay
    ) -> None:
        ledger = installation.ledger
        self.sources = sources_of(installation)
        if not self.sources:
            raise ConfigError(Phrase("There is no source, so that nothing can be judged. Add one: ocelog source add"))
        self.claims = replay_claims(ledger, installation.home.id)
        self.left = dict[str, list[UnjudgedEvents]]()
        """What the rule said nothing of, by schedule."""
        self._installation = installation
        self._judge = judge
        self._by = asked.by
        self._done = done
        self._landed = _landed(installation, self._by.id)
        self._fires = dict[str, frozenset[int]]()
        self._scheduling = Scheduling(
            ledger=ledger.judging,
            lake=FileLake(installation.home.path, ledger.lake, table_schemas()),
            claims=self.claims,
            match_rows=match_rows,
            policy=lambda: policy_again(ledger, done),
            now_us=lambda: to_us(datetime.now(UTC)),
            numbers=count(time.time_ns()),
        )

    def land_answer(self, answer: PastAnswer) -> None:
        """Have the rule judge what a run returned, and land what comes of it."""
        run, found, done = answer.run, answer.found, self._done
        schedule, name = _schedule(run.query.name), self._by.id
        if found is None:
            add(done.failed_runs, f"{run.query.name}: {answer.why}", 1)
            self._leave(schedule, answer.why, [run_event(schedule, run.fires_us)])
            return
        if not found.plain or self._judge is None:
            return
        done.events += len(found.plain)
        channels = channel_names(self._installation.ledger)
        judged = self._judge.judge(found.plain, log_type=None, rules=[name], channels=channels)
        said = said_of(found.events, {name: self._by}, [judged])
        for why, events in (
            *((f"{each.type}: {each.message}", each.events) for each in said.errors),
            *((each.reason, each.events) for each in said.unjudged),
        ):
            add(done.failed, why, len(events))
            self._leave(schedule, why, events)
        if run.fires_us in self._found_before(run):
            # How things were then has landed: they may look a little different now that more has been read.
            own = {id(event) for event, row in zip(found.events, found.plain, strict=True) if row.get("p_row_id")}
            said = replace(said, matches=[match for match in said.matches if id(match.event) in own])
        self._land(schedule, run.fires_us, said, found)

    def land_findings(self, schedule: str, each: PastFindings, seen_us: int | None) -> None:
        """Land what belongs together, unless it is within what has landed, or left to the loop."""
        if each.found is None:
            add(self._done.failed_runs, f"around {from_us(each.since_us):%Y-%m-%d %H:%M}Z {each.why}", 1)
            return
        new = [match for match in each.said.matches if not self._landed.holds(match)]
        if seen_us is not None:
            kept = [match for match in new if match.event.observed_us <= seen_us]
            self._done.waiting += len(new) - len(kept)
            new = kept
        if new:
            self._land(schedule, each.until_us, replace(each.said, matches=new), each.found)

    def _land(self, schedule: str, fires_us: int, said: Judgement, found: RunRows) -> None:
        said = replace(said, errors=(), unjudged=())
        firing = Firing(schedule=schedule, fired_us=fires_us, fires_us=fires_us, again=True)
        for tried in range(MAX_TRIES):
            try:
                landed = self._scheduling.land(firing, said, found.rows, landed=self._landed.matches)
            except LostFenceError:
                if tried == MAX_TRIES - 1:
                    raise
                continue
            if landed is None:
                self._done.without_source += len(found.events)
            else:
                self._done.matches += len(landed.matches)
                self._done.told += len(landed.tellings)
            return

    def _leave(self, schedule: str, why: str, events: Sequence[Event]) -> None:
        unjudged = UnjudgedEvents(rule_id=self._by.id, reason=why, events=events)
        self.left.setdefault(schedule, []).append(unjudged)

    def _found_before(self, run: PastRun) -> frozenset[int]:
        """Return the runs of a query of which the rule has matched something.

        If it failed on some, or judges several queries, that does not say that it has judged all of a run.
        """
        name = run.query.name
        if name not in self._fires:
            failed = any(
                each.table == _schedule(name) and each.rule_id in {"", self._by.id}
                for each in self._installation.ledger.rules.unjudged()
            )
            is_known = len(self._done.queries) == 1 and not failed
            self._fires[name] = self._landed.fires_us(run) if is_known else frozenset()
        return self._fires[name]


def _landed(installation: Installation, rule: str) -> LandedMatches:
    queries = Queries(installation.home.path, installation.ledger.lake, table_schemas())
    matches, observed, groups = set[str](), set[int](), dict[str, list[frozenset[str]]]()
    with queries.run(_LANDED.format(rule=literal(rule)), limits=_LIMITS, trusted=True) as answer:
        for batch in answer.batches:
            for row in batch.to_pylist():
                matches.add(match_id(rule, row["event_row_id"]))
                observed.add(to_us(row["p_observed_at"]))
                if members := _members(json.loads(row["alert_context"] or "{}")):
                    groups.setdefault(row["dedup"], []).append(members)
    return LandedMatches(matches=frozenset(matches), observed_us=sorted(observed), groups=groups)


def _members(context: Mapping[str, Any]) -> frozenset[str]:
    """Return the members that the context of a correlation names; none, if it does not name all of them."""
    named = context.get("matches")
    if not isinstance(named, list) or len(named) >= MOST_NAMED:
        return frozenset()
    return frozenset(each["match"] for each in named if isinstance(each, dict) and isinstance(each.get("match"), str))
