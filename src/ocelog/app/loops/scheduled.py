"""The loop that runs scheduled queries and correlation rules when they are due, and lands what they find."""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from queue import Empty, Queue
from typing import Any, TypeAlias

import structlog

from ocelog.alert.judged import TOO_MUCH, Judged, JudgedBy, RuleError
from ocelog.alert.scheduling import Firing, Scheduling
from ocelog.app.judging.jury import FolderJury
from ocelog.app.loops.correlating import Correlator, TooMuchError
from ocelog.app.loops.detecting import HomeClaims, policy_of
from ocelog.app.loops.loop import Work
from ocelog.app.loops.query_runs import run_query
from ocelog.app.loops.scheduled_rows import found_rows, match_source, run_event
from ocelog.detect.cron import due_now, next_due
from ocelog.detect.rule import CorrelationRule, Query, Schedule
from ocelog.detect.timetable import written
from ocelog.errors import LakeDamagedError, LostFenceError, OcelogError, QueryError
from ocelog.ledger.pulling import holder_of
from ocelog.schema.columns.table import match_rows
from ocelog.times import from_us, rfc3339, to_us

SCHEDULING = "schedule"
"""What a claim of this loop is called."""
_LONGEST_MESSAGE = 1_000
_LOOK_EVERY = 30.0
"""Seconds between two looks at which schedules there are: somebody may have changed a rule, or the clock."""
_AFTER_FAILURE = 10.0
_AT_ONCE = 2
"""Queries that are asked at once."""
_GLANCE = 0.1
_PATIENCE = 50
"""After so many glances at queries that are not answered, correlation rules do not wait for them."""
_Asked: TypeAlias = tuple[list[dict[str, Any]], str] | Exception
"""The rows of a query and their log type, or why there are none."""
log = structlog.get_logger()


@dataclass(slots=True)
class ScheduledLoop:
    """Runs what is due; what goes wrong with one schedule stops no other."""

    work: Work
    jury: FolderJury
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    """Our clock."""
    _claims: HomeClaims = field(init=False)
    _scheduling: Scheduling = field(init=False)
    _correlator: Correlator = field(init=False)
    _look_at: float = float("-inf")

    def __post_init__(self) -> None:
        assembly = self.work.assembly
        ledger = assembly.installation.ledger
        self._claims = HomeClaims(ledger, holder_of(assembly.installation.home.id), SCHEDULING)
        self._scheduling = Scheduling(
            ledger=ledger.judging,
            lake=assembly.lake,
            claims=self._claims,
            match_rows=match_rows,
            policy=lambda: policy_of(ledger),
            now_us=lambda: to_us(self.now()),
        )
        self._correlator = Correlator(lake=assembly.lake)

    @property
    def name(self) -> str:
        """What the loop is called in the log."""
        return SCHEDULING

    def run_due(self, now: float) -> float:
        """Begin to run what is due."""
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY
            self.work.begin(self, self.run)
        return self._look_at

    def finish(self) -> None:
        """Run what is due, and end the processes that judged."""
        try:
            self.run()
        finally:
            self.jury.close()
            self._claims.release()

    def run(self) -> None:
        """Run what is due. Raises what kept one from being run, after the others were."""
        installation = self.work.assembly.installation
        sources = {each.id: each.name for each in installation.ledger.sources.listed()}
        if not installation.settings.detections or not sources:
            installation.ledger.judging.end_schedules(but=())
            return
        with self.jury.lock:
            queries, correlations = dict(self.jury.queries()), dict(self.jury.correlations())
            reads_all = self.jury.reads_all
        schedules = {f"query {name}": [each.schedule] for name, each in queries.items() if each.schedule is not None}
        schedules |= {
            f"rule {name}": [one.schedule for one in rule.correlations] for name, (rule, _) in correlations.items()
        }
        if reads_all:
            installation.ledger.judging.end_schedules(but=schedules)
        if not schedules:
            return
        fired = installation.ledger.judging.begin_schedules(schedules, to_us(self.now()))
        # Before anything runs by a schedule that was changed: what ran by the one before is told by that.
        installation.ledger.judging.note_times(
            {name: written(when[0]) for name, when in schedules.items() if name.startswith("query ")}, to_us(self.now())
        )
        due = [each for name, when in schedules.items() if (each := self._due(name, when, fired[name])) is not None]
        first: OcelogError | None = None
        for firing, work in self._each(due, queries, correlations, sources):
            try:
                self._fire(firing, work, correlations)
            except LostFenceError as error:
                log.info("run by another", schedule=firing.schedule, reason=str(error))
            except OcelogError as error:
                self.work.failures.failed("schedule failed", error, {"schedule": firing.schedule})
                first = first or error
            else:
                self.work.failures.over("schedule failed", {"schedule": firing.schedule})
            self.work.to_tell += 1
            self.work.went_on()
        self._look_at = self.work.monotonic() + self._until_next(schedules.values())
        if first is not None:
            self._look_at = self.work.monotonic() + _AFTER_FAILURE
            raise first

    def _each(
        self,
        due: Sequence[Firing],
        queries: Mapping[str, Query],
        correlations: Mapping[str, tuple[CorrelationRule, str]],
        sources: Mapping[str, str],
    ) -> Iterator[tuple[Firing, Callable[[], None]]]:
        """Yield what is due, with what lands it: queries as they are answered, so that a slow one holds up no other.

        Two are asked at once: each may take its memory and its processor. Correlation rules come after the queries,
        whose rules' matches they look at; if one takes long, they do not wait for it.
        """
        asked, answers, waited = 0, Queue[tuple[Firing, Query, _Asked]](), 0
        waiting = deque(each for each in due if each.schedule.startswith("query "))
        others = deque(each for each in due if not each.schedule.startswith("query "))
        while (waiting or asked or others) and not self.work.stop():
            while waiting and asked < _AT_ONCE:
                firing = waiting.popleft()
                # When it should have run moves on while it does not.
                self.work.takes_up(self, firing.schedule, firing.fired_us)
                query = queries[firing.schedule.partition(" ")[2]]
                # One that was left behind by an earlier run may still be asked.
                name = f"{SCHEDULING} {firing.schedule}"
                asked += self.work.threads.start_once(name, partial(self._ask, firing, query, answers))
            if others and not waiting and (not asked or waited >= _PATIENCE):
                firing = others.popleft()
                self.work.takes_up(self, firing.schedule, firing.fired_us)
                what = correlations[firing.schedule.partition(" ")[2]]
                yield firing, partial(self._correlate, firing, *what, correlations, sources)
                continue
            try:
                firing, query, answer = answers.get(timeout=_GLANCE)
            except Empty:
                waited += 1
                continue
            asked, waited = asked - 1, 0
            yield firing, partial(self._query, firing, query, answer, sources)

    def _ask(self, firing: Firing, query: Query, answers: "Queue[tuple[Firing, Query, _Asked]]") -> None:
        try:
            found: _Asked = run_query(
                self.work.assembly.installation, query, before_us=firing.fired_us, fires_us=firing.fires_us
            )
        except Exception as error:  # noqa: BLE001 - raised where it is landed
            found = error
        answers.put((firing, query, found))

    def _fire(
        self, firing: Firing, work: Callable[[], None], correlations: Mapping[str, tuple[CorrelationRule, str]]
    ) -> None:
        """Land one schedule. What nobody expected is an error of its rules, and stops no other schedule."""
        kind, _, what = firing.schedule.partition(" ")
        try:
            work()
        except OcelogError:
            raise
        except Exception as error:
            log.exception("bug in Ocelog", schedule=firing.schedule)
            if kind == "query":
                rules = self.jury.rules_of(what)
            else:
                rule, revision = correlations[what]
                rules = {what: JudgedBy(about=rule.about, revision=revision, on_schedule=True)}
            message = f"what it returns cannot be used: {error}".replace("\0", "")[:_LONGEST_MESSAGE]
            self._land_error(firing, rules, type(error).__name__, message)

    def _due(self, name: str, schedules: Sequence[Schedule], fired_us: int) -> Firing | None:
        now = self.now()
        due = [at for one in schedules if (at := due_now(one, fired=from_us(fired_us), now=now)) is not None]
        return Firing(schedule=name, fired_us=fired_us, fires_us=to_us(max(due))) if due else None

    def _until_next(self, schedules: Collection[Sequence[Schedule]]) -> float:
        now = self.now()
        due = [at for each in schedules for one in each if (at := next_due(one, after=now)) is not None]
        return max(0.0, min(_LOOK_EVERY, *((at - now).total_seconds() for at in due))) if due else _LOOK_EVERY

    # Scheduled queries.

    def _query(self, firing: Firing, query: Query, answer: _Asked, sources: Mapping[str, str]) -> None:
        try:
            if isinstance(answer, Exception):
                raise answer
            rows, log_type = answer
        except (QueryError, LakeDamagedError) as error:
            if query.is_foreign:
                # It was written for another engine: that it does not run here is shown by `rules list`.
                log.warning("query not run", query=query.name, reason=str(error))
                self._land_nothing(firing)
            else:
                self._land_error(firing, self.jury.rules_of(query.name), type(error).__name__, str(error))
            return
        now_us = to_us(self.now())
        found = found_rows(
            rows, query.name, log_type=log_type, fires_us=firing.fires_us, now_us=now_us, sources=sources
        )
        said = Judged()
        if rows:
            with self.jury.lock:
                said = self.jury.judge_rows(query.name, found.plain, found.events)
        if self._scheduling.land(firing, said, found.rows) is not None:
            with self.jury.lock:
                self.jury.committed(said)
            self._worked(self.jury.rules_of(query.name), said)
            log.debug("query run", query=query.name, rows=len(rows), matches=len(said.matches))

    # Correlation rules.

    def _correlate(
        self,
        firing: Firing,
        rule: CorrelationRule,
        revision: str,
        others: Collection[str],
        sources: Mapping[str, str],
    ) -> None:
        now_us = to_us(self.now())
        # After a clock that was wrong, the mark may lie ahead.
        fired_us = min(firing.fired_us, firing.fires_us)
        try:
            said, found = self._correlator.find(
                rule, revision, others=others, fired_us=fired_us, now_us=now_us, sources=sources
            )
        except TooMuchError as error:
            by = JudgedBy(about=rule.about, revision=revision, on_schedule=True)
            self._land_error(firing, {rule.id: by}, TOO_MUCH, str(error))
            return
        if self._scheduling.land(firing, said, found.rows) is not None:
            self._worked({rule.id: JudgedBy(about=rule.about, revision=revision, on_schedule=True)}, said)

    # What both do.

    def _worked(self, rules: Mapping[str, JudgedBy], said: Judged) -> None:
        """Resolve the alerts about errors of `rules`, now that their schedule works again, and they failed on no row.

        What they said of rows is known only if there were some.
        """
        alerts = self.work.assembly.installation.ledger.alerts
        failed = {each.rule.id for each in said.errors}.union(each.rule_id for each in said.unjudged)
        for name in sorted(alerts.failing_rules().keys() & rules.keys() - failed):
            alerts.end_errors(name, "its schedule works again", of_runs=not said.events)

    def _land_nothing(self, firing: Firing) -> None:
        self._scheduling.land(firing, Judged(), match_source([], []))

    def _land_error(self, firing: Firing, rules: Mapping[str, JudgedBy], kind: str, message: str) -> None:
        """Tell that a run failed: its rules are blind until it works again, whatever source they look for."""
        event = run_event(firing.schedule, firing.fires_us)
        errors = [RuleError(rule=rule, type=kind, message=message, events=[event]) for rule in rules.values()]
        log.error("run failed", schedule=firing.schedule, fires=rfc3339(from_us(firing.fires_us)), reason=message)
        self._scheduling.land(firing, Judged(events=[event], rules=rules, errors=errors), match_source([], []))
