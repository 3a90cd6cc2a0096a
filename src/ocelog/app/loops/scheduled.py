"""The loop that runs scheduled queries and correlation rules when they are due, and lands what they find."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from queue import Empty, Queue
from typing import Any, TypeAlias

import structlog
from msgspec import Struct

from ocelog.alert.judged import TOO_MUCH, JudgedBy, Judgement, RuleError
from ocelog.alert.scheduling import Firing, Scheduling
from ocelog.app.claims import HomeClaims
from ocelog.app.judging.jury import FolderJury
from ocelog.app.judging.schedule_pace import LONG, SchedulePace
from ocelog.app.loops.correlating import Correlator, TooMuchError
from ocelog.app.loops.detecting import policy_of
from ocelog.app.loops.loop import Work
from ocelog.app.loops.query_runs import run_query
from ocelog.app.loops.scheduled_rows import RunRows, found_rows, match_source, run_event
from ocelog.detect.cron import due_now, next_due
from ocelog.detect.rule import CorrelationRule, Query, Schedule
from ocelog.detect.timetable import written
from ocelog.errors import LakeDamagedError, LostFenceError, OcelogError, QueryError
from ocelog.kept_texts import kept_text
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
_RULES = "rules"
"""What a run of any correlation rule is called."""
_GLANCE = 0.1
_MOST_GLANCES = 50
"""After so many glances at queries of which none is new, correlation rules do not wait for them."""
_Asked: TypeAlias = tuple[list[dict[str, Any]], str] | Exception
"""The rows of a query and their log type, or why there are none."""
_Correlated: TypeAlias = tuple[Judgement, RunRows] | Exception
"""What a correlation rule found, or why it found nothing."""
_Answers: TypeAlias = "Queue[tuple[Firing, _Landing, float]]"
"""What was run beside the loop: of each run, what lands it, and how many seconds it took."""
log = structlog.get_logger()


class _Landing(Struct, frozen=True):
    """What lands a run that was made beside the loop."""

    land: Callable[[], None]
    rules: Callable[[], Mapping[str, JudgedBy]]
    """The rules that are blind if it cannot be landed."""


@dataclass(slots=True)
class _Agenda:
    """What one run has before it."""

    again: bool
    """Whether what is quick runs as often as it comes to be due."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """The name of each source that there is, by id, as of the last look."""
    queries: Mapping[str, Query] = field(default_factory=dict)
    correlations: Mapping[str, tuple[CorrelationRule, str]] = field(default_factory=dict)
    schedules: Mapping[str, Sequence[Schedule]] = field(default_factory=dict)
    queries_due: deque[Firing] = field(default_factory=deque)
    others_due: deque[Firing] = field(default_factory=deque)
    correlating: set[str] = field(default_factory=set)
    """Correlation rules that still look for what belongs together: one at most."""
    taken: dict[str, int] = field(default_factory=dict)
    """What was run or tried, and for which fire time."""
    slow: set[str] = field(default_factory=set)
    """What was slow in this run."""
    rules_at: float = float("-inf")
    """When to look again at which rules there are."""
    look_at: float = float("-inf")
    """When to look again at what is due."""

    def take(self, firing: Firing) -> None:
        self.taken[firing.schedule] = firing.fires_us

    def takes(self, firing: Firing) -> bool:
        """Whether a run is still to be made: what failed is not tried again at once."""
        before = self.taken.get(firing.schedule)
        return before is None or (self.again and firing.schedule not in self.slow and before != firing.fires_us)


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
    _pace: SchedulePace = field(init=False)
    _asking: dict[str, float] = field(default_factory=dict)
    """Queries whose answers have not been taken up yet, and since when; also those that a failed run left behind."""
    _answers: _Answers = field(default_factory=Queue)
    """What was run. What a failed run left behind is landed by the next one."""
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
        self._pace = SchedulePace(assembly.installation.home.path)

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
        """Run what is due, each once, and end the processes that judged."""
        try:
            self.run(again=False)
        finally:
            self.jury.close()
            self._claims.release()

    def run(self, *, again: bool = True) -> None:
        """Run what is due, and what comes to be due meanwhile.

        Raises what kept one from being run, after the others were. What is slow runs once, so that this ends; without
        `again`, all does.
        """
        installation = self.work.assembly.installation
        agenda = _Agenda(again=again, sources=self._sources())
        if not installation.settings.detections:
            installation.ledger.judging.end_schedules(but=())
            return
        if not agenda.sources:
            # One that is added again in time finds its schedules as they were: what fell due meanwhile is run once.
            return
        first: OcelogError | None = None
        for firing, landing in self._each(agenda):
            try:
                self._fire(firing, landing)
            except LostFenceError as error:
                log.info("run by another", schedule=firing.schedule, reason=str(error))
            except OcelogError as error:
                self.work.failures.failed("schedule failed", error, {"schedule": firing.schedule})
                first = first or error
            else:
                self.work.failures.over("schedule failed", {"schedule": firing.schedule})
            self.work.to_tell += 1
            self.work.went_on()
        if not agenda.schedules:
            return
        self._look_at = self.work.monotonic() + self._until_next(agenda.schedules.values())
        if first is not None:
            self._look_at = self.work.monotonic() + _AFTER_FAILURE
            raise first

    def _sources(self) -> dict[str, str]:
        return {each.id: each.name for each in self.work.assembly.installation.ledger.sources.listed()}

    def _look(self, agenda: _Agenda) -> None:
        """Note in `agenda` what is due by now, those that take least first."""
        ledger, now = self.work.assembly.installation.ledger, self.work.monotonic()
        # If there is none any more, nothing of those before is landed.
        agenda.sources = self._sources() or agenda.sources
        if now >= agenda.rules_at:
            agenda.rules_at = now + _LOOK_EVERY
            with self.jury.lock:
                agenda.queries, agenda.correlations = dict(self.jury.queries()), dict(self.jury.correlations())
                reads_all = self.jury.reads_all
            agenda.schedules = {
                f"query {name}": [each.schedule] for name, each in agenda.queries.items() if each.schedule is not None
            } | {
                f"rule {name}": [one.schedule for one in rule.correlations]
                for name, (rule, _) in agenda.correlations.items()
            }
            if reads_all:
                ledger.judging.end_schedules(but=agenda.schedules)
        fired = ledger.judging.begin_schedules(agenda.schedules, to_us(self.now())) if agenda.schedules else {}
        # Before anything runs by a schedule that was changed: what ran by the one before is told by that.
        times = {name: written(when[0]) for name, when in agenda.schedules.items() if name.startswith("query ")}
        if agenda.schedules:
            ledger.judging.note_times(times, to_us(self.now()))
        self._pace.see({name: _behind_us(when, fired[name]) for name, when in agenda.schedules.items()})
        due = [
            each
            for name, when in agenda.schedules.items()
            if name not in self._asking.keys() | agenda.correlating
            and (each := self._due(name, when, fired[name])) is not None
        ]
        agenda.queries_due = self._sorted(
            each for each in due if each.schedule.startswith("query ") and agenda.takes(each)
        )
        agenda.others_due = self._sorted(
            each for each in due if not each.schedule.startswith("query ") and agenda.takes(each)
        )
        agenda.look_at = now + min(_LOOK_EVERY, self._until_next(agenda.schedules.values()))

    def _sorted(self, due: Iterable[Firing]) -> "deque[Firing]":
        """Return what took least first, then what is new. What is slow comes last, and takes turns."""

        def place(firing: Firing) -> tuple[int, float, str]:
            seconds = self._pace.seconds(firing.schedule)
            if seconds is None:
                return 1, firing.fired_us, firing.schedule
            return (2, firing.fired_us, firing.schedule) if seconds >= LONG else (0, seconds, firing.schedule)

        return deque(sorted(due, key=place))

    def _is_slow(self, schedule: str) -> bool:
        return (self._pace.seconds(schedule) or 0.0) >= LONG

    def _each(self, agenda: _Agenda) -> Iterator[tuple[Firing, _Landing]]:
        """Yield what is due, with what lands it, as it is answered: what takes long runs beside this loop.

        Two queries are asked at once: each may take its memory and its processor. One that was slow the last time never
        takes the second place: so what is quick waits for one that is slow at most, if that is new, and for none
        otherwise. What is due is looked at again after each. Correlation rules come one by one, after the queries,
        whose rules' matches they look at; if a query takes long, they do not wait for it. No query waits for them.
        """
        waited = 0  # glances since a query was asked
        while not self.work.stop():
            if self.work.monotonic() >= agenda.look_at:
                self._look(agenda)
            while (firing := self._next_query(agenda)) is not None:
                query = agenda.queries[firing.schedule.partition(" ")[2]]
                agenda.take(firing)
                if self._begin(firing.schedule, firing, partial(self._ask, firing, query, agenda.sources)):
                    self._asking[firing.schedule] = self.work.monotonic()
                    waited = 0
            if agenda.others_due and not agenda.correlating and not self._waits_for_query(agenda, waited):
                firing = agenda.others_due[0]
                what = agenda.correlations[firing.schedule.partition(" ")[2]]
                job = partial(self._correlate, firing, *what, agenda.correlations, agenda.sources)
                # All have one name: so none runs beside one that a failed run of this loop left behind.
                if self._begin(_RULES, firing, job):
                    agenda.take(agenda.others_due.popleft())
                    agenda.correlating.add(firing.schedule)
            if not (agenda.queries_due or self._asking or agenda.others_due or agenda.correlating):
                return
            try:
                firing, landing, seconds = self._answers.get(timeout=_GLANCE)
            except Empty:
                waited += 1
                continue
            agenda.correlating.discard(firing.schedule)
            self._asking.pop(firing.schedule, None)
            self._took(agenda, firing.schedule, seconds)
            yield firing, landing
            agenda.look_at = float("-inf")

    def _begin(self, name: str, firing: Firing, job: Callable[[], None]) -> bool:
        """Begin to run a schedule beside this loop, unless what has the name has not ended: it was left behind."""
        # When it should have run moves on while it does not.
        self.work.takes_up(self, firing.schedule, firing.fired_us)
        return self.work.threads.start_once(f"{SCHEDULING} {name}", partial(self._run_beside, firing, job))

    def _run_beside(self, firing: Firing, job: Callable[[], None]) -> None:
        self._pace.began(firing.schedule, to_us(self.now()))
        try:
            job()
        finally:
            self._pace.ended(firing.schedule)

    def _took(self, agenda: _Agenda, schedule: str, seconds: float) -> None:
        self._pace.took(schedule, seconds)
        if self._is_slow(schedule):
            agenda.slow.add(schedule)

    def _next_query(self, agenda: _Agenda) -> Firing | None:
        """Take the query that is to be asked next, if there is room for it."""
        if not agenda.queries_due or len(self._asking) >= _AT_ONCE:
            return None
        slowly = any(self._is_slowly_asked(*one) for one in self._asking.items())
        if slowly and self._is_slow(agenda.queries_due[0].schedule):
            return None
        return agenda.queries_due.popleft()

    def _is_slowly_asked(self, schedule: str, since: float) -> bool:
        return self._is_slow(schedule) or self.work.monotonic() - since >= LONG

    def _waits_for_query(self, agenda: _Agenda, waited: int) -> bool:
        """Whether a query is due or asked that correlation rules wait for: none that is slow."""
        if any(not self._is_slow(each.schedule) for each in agenda.queries_due):
            return True
        return waited < _MOST_GLANCES and any(not self._is_slowly_asked(*one) for one in self._asking.items())

    def _ask(self, firing: Firing, query: Query, sources: Mapping[str, str]) -> None:
        began = self.work.monotonic()
        try:
            found: _Asked = run_query(
                self.work.assembly.installation, query, before_us=firing.fired_us, fires_us=firing.fires_us
            )
        except Exception as error:  # noqa: BLE001 - raised where it is landed
            found = error
        landing = _Landing(
            partial(self._land_query, firing, query, found, sources), lambda: self.jury.rules_of(query.name)
        )
        self._answers.put((firing, landing, self.work.monotonic() - began))

    def _correlate(
        self,
        firing: Firing,
        rule: CorrelationRule,
        revision: str,
        others: Collection[str],
        sources: Mapping[str, str],
    ) -> None:
        began = self.work.monotonic()
        # After a clock that was wrong, the mark may lie ahead.
        fired_us = min(firing.fired_us, firing.fires_us)
        try:
            found: _Correlated = self._correlator.find(
                rule, revision, others=others, fired_us=fired_us, now_us=to_us(self.now()), sources=sources
            )
        except Exception as error:  # noqa: BLE001 - raised where it is landed
            found = error
        rules = {rule.id: JudgedBy(about=rule.about, revision=revision, on_schedule=True)}
        landing = _Landing(partial(self._land_correlation, firing, rule, rules, found), lambda: rules)
        self._answers.put((firing, landing, self.work.monotonic() - began))

    def _fire(self, firing: Firing, landing: _Landing) -> None:
        """Land one schedule. What nobody expected is an error of its rules, and stops no other schedule."""
        try:
            landing.land()
        except OcelogError:
            raise
        except Exception as error:
            log.exception("bug in Ocelog", schedule=firing.schedule)
            message = f"what it returns cannot be used: {error}".replace("\0", "")[:_LONGEST_MESSAGE]
            self._land_error(firing, landing.rules(), type(error).__name__, message)

    def _due(self, name: str, schedules: Sequence[Schedule], fired_us: int) -> Firing | None:
        now = self.now()
        due = [at for one in schedules if (at := due_now(one, fired=from_us(fired_us), now=now)) is not None]
        return Firing(schedule=name, fired_us=fired_us, fires_us=to_us(max(due))) if due else None

    def _until_next(self, schedules: Collection[Sequence[Schedule]]) -> float:
        now = self.now()
        due = [at for each in schedules for one in each if (at := next_due(one, after=now)) is not None]
        return max(0.0, min(_LOOK_EVERY, *((at - now).total_seconds() for at in due))) if due else _LOOK_EVERY

    # Scheduled queries.

    def _land_query(self, firing: Firing, query: Query, answer: _Asked, sources: Mapping[str, str]) -> None:
        try:
            if isinstance(answer, Exception):
                raise answer
            rows, log_type = answer
        except (QueryError, LakeDamagedError) as error:
            if query.is_foreign:
                # It was written for another engine: that it does not run here is shown by `rules list`.
                log.warning("query not run", query=query.name, reason=str(error))
                self._scheduling.land(firing, Judgement(), match_source([], []))
            else:
                self._land_error(firing, self.jury.rules_of(query.name), type(error).__name__, str(error))
            return
        now_us = to_us(self.now())
        found = found_rows(
            rows, query.name, log_type=log_type, fires_us=firing.fires_us, now_us=now_us, sources=sources
        )
        said = Judgement()
        if rows:
            with self.jury.lock:
                said = self.jury.judge_rows(query.name, found.plain, found.events)
        if self._scheduling.land(firing, said, found.rows) is not None:
            with self.jury.lock:
                self.jury.committed(said)
            self._worked(self.jury.rules_of(query.name), said)
            log.debug("query run", query=query.name, rows=len(rows), matches=len(said.matches))

    # Correlation rules.

    def _land_correlation(
        self, firing: Firing, rule: CorrelationRule, rules: Mapping[str, JudgedBy], answer: _Correlated
    ) -> None:
        try:
            if isinstance(answer, Exception):
                raise answer
            said, found = answer
        except TooMuchError as error:
            self._land_error(firing, rules, TOO_MUCH, str(error))
            return
        for left in said.errors:
            log.error("run left matches out", rule=rule.id, matches=len(left.events), reason=left.message)
        if self._scheduling.land(firing, said, found.rows) is not None:
            self._worked(rules, said)

    # What both do.

    def _worked(self, rules: Mapping[str, JudgedBy], said: Judgement) -> None:
        """Resolve the alerts about errors of `rules`, now that their schedule works again, and they failed on no row.

        What they said of rows is known only if there were some.
        """
        alerts = self.work.assembly.installation.ledger.alerts
        failed = {each.rule.id for each in said.errors}.union(each.rule_id for each in said.unjudged)
        for name in sorted(alerts.failing_rules().keys() & rules.keys() - failed):
            alerts.end_errors(name, kept_text("its schedule works again"), of_runs=not said.events)

    def _land_error(self, firing: Firing, rules: Mapping[str, JudgedBy], kind: str, message: str) -> None:
        """Tell that a run failed: its rules are blind until it works again, whatever source they look for."""
        event = run_event(firing.schedule, firing.fires_us)
        errors = [RuleError(rule=rule, type=kind, message=message, events=[event]) for rule in rules.values()]
        log.error("run failed", schedule=firing.schedule, fires=rfc3339(from_us(firing.fires_us)), reason=message)
        self._scheduling.land(firing, Judgement(events=[event], rules=rules, errors=errors), match_source([], []))


def _behind_us(schedules: Sequence[Schedule], fired_us: int) -> int | None:
    """Return from when on what ran last at `fired_us` is behind by one of its periods; None: never."""
    found = [
        again
        for one in schedules
        if (first := next_due(one, after=from_us(fired_us))) is not None
        and (again := next_due(one, after=first)) is not None
    ]
    return to_us(min(found)) if found else None
