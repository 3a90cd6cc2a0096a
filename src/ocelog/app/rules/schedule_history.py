"""What rules that run on a schedule would have said in the past: of rows of queries, and of matches of other rules.

A query is asked again for each time that it was due, with its clock held at that time and without what happened later.
Whether something was in the lake by then does not count: else nothing of before a source was set up could be tried.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from msgspec import Struct

from ocelog.alert.judged import Judgement, Match
from ocelog.app.log_types import table_schemas
from ocelog.app.loops.correlating import Correlator, TooMuchError
from ocelog.app.loops.query_runs import run_query
from ocelog.app.loops.scheduled_rows import RunRows, found_rows
from ocelog.app.rules.rule_candidates import OfMatches, OfRows
from ocelog.app.rules.rule_trial import Told, Trial, TrialResult, UnmatchedRule, add, count_faults
from ocelog.app.search.queries import AsOf
from ocelog.detect.rule import Kind, Query
from ocelog.detect.timetable import Timetable, timetable
from ocelog.errors import LakeDamagedError, QueryError
from ocelog.installation.opening import Installation
from ocelog.lake.lake import FileLake
from ocelog.lake.query.queries import Limits, Queries
from ocelog.lake.read.quoting import literal
from ocelog.languages.phrases import Phrase
from ocelog.model import RULE_MATCHES
from ocelog.rule_workers.judge import Judge
from ocelog.times import from_us, rfc3339, to_us

MOST_RUNS = 500
"""Runs of the queries of a rule that are made at once: the last of those that were due."""
_GIVE_UP = 3
"""Runs of a rule's queries that fail one after the other: the others would fail, too."""
_LONGEST_MESSAGE = 1_000
_HOUR_US = 3_600_000_000
_LIMITS = Limits(timeout=timedelta(minutes=9))
_DAYS = f"""
SELECT rule_id, epoch_us(date_trunc('day', p_event_time)) AS day, count(*) AS matches FROM {RULE_MATCHES}
WHERE rule_id IN ({{rules}}) AND p_event_time >= {{since}}::TIMESTAMPTZ AND p_event_time < {{until}}::TIMESTAMPTZ
GROUP BY ALL ORDER BY day
"""  # noqa: S608 - ours


class PastRun(Struct, frozen=True, kw_only=True):
    """A run of a scheduled query that was due. Microseconds, UTC."""

    query: Query
    times: Timetable
    before_us: int
    """When the run before it was due."""
    fires_us: int


class PastAnswer(Struct, frozen=True, kw_only=True):
    """What a run returns."""

    run: PastRun
    found: RunRows | None
    """None: it failed."""
    why: str = ""
    """It failed."""
    seconds: float = 0.0


class PastFindings(Struct, frozen=True, kw_only=True):
    """What a correlation rule finds around the matches of a time range."""

    since_us: int
    until_us: int
    said: Judgement
    found: RunRows | None
    """None: there are too many matches to look at."""
    why: str = ""


def past_runs(
    queries: Sequence[Query], since: datetime, until: datetime, times: Mapping[str, Timetable] | None = None
) -> tuple[list[PastRun], bool]:
    """Return the runs that were due, in the order of time, and whether that is all: else they are the last.

    `times` says by name when queries were due whose schedule was another before.
    """
    found, every = list[PastRun](), True
    for query in queries:
        if (schedule := query.schedule) is None:
            continue
        own = (times or {}).get(query.name) or timetable(schedule)
        due, whole = own.fire_times(since=since, until=until, most=MOST_RUNS)
        every = every and whole
        for at in due:
            before = own.last_due(at - timedelta(microseconds=1)) or at
            found.append(PastRun(query=query, times=own, before_us=to_us(before), fires_us=to_us(at)))
    found.sort(key=lambda each: (each.fires_us, each.query.name))
    return found[-MOST_RUNS:], every and len(found) <= MOST_RUNS


def past_answers(
    installation: Installation,
    runs: Sequence[PastRun],
    sources: Mapping[str, str],
    read_by: Callable[[PastRun], datetime | None] = lambda _: None,
) -> Iterator[PastAnswer]:
    """Yield what each run returns; after some that fail one after the other there are no more.

    `read_by` says by when a row must have been read to be there; None: whenever. Raises QueryError for a query
    that cannot be asked about the past at all.
    """
    failed = 0
    for run in runs:
        began = time.perf_counter()
        found, why = None, ""
        try:
            as_of = AsOf(at=from_us(run.fires_us), read_by=read_by(run))
            rows, log_type = run_query(
                installation, run.query, before_us=run.before_us, fires_us=run.fires_us, at=as_of
            )
            found = found_rows(
                rows, run.query.name, log_type=log_type, fires_us=run.fires_us, now_us=run.fires_us, sources=sources
            )
        except (QueryError, LakeDamagedError) as error:
            if error.code == "query_only_now":
                raise QueryError(
                    Phrase("%(name)s: %(error)s", name=run.query.name, error=error.phrase), code=error.code
                ) from error
            why = str(error)
        except (ValueError, OverflowError, TypeError) as error:
            why = f"what it returns cannot be used: {error}"
        failed = failed + 1 if found is None else 0
        why = why.replace("\0", "")[:_LONGEST_MESSAGE]
        yield PastAnswer(run=run, found=found, why=why, seconds=time.perf_counter() - began)
        if failed >= _GIVE_UP:
            return


def sources_of(installation: Installation) -> dict[str, str]:
    """Return the name of each source that there is by its id."""
    return {each.id: each.name for each in installation.ledger.sources.listed()}


def try_rows(
    installation: Installation, judge: Judge, asked: OfRows, since: datetime, until: datetime, told: Told
) -> TrialResult:
    """Ask the queries of a rule for each time that they were due, and the rule about what they return."""
    rule, by = asked.rule, asked.by
    runs, every = past_runs(asked.queries, since, until)
    tried = TrialResult(rule=rule.id, kind=rule.kind, queries=rule.scheduled_queries, since=since, until=until)
    if not every:
        tried.since, tried.bounded = from_us(runs[0].fires_us), True
    trial = Trial(about=rule.about, tried=tried)
    sources = sources_of(installation) or {"": ""}
    seen = set[str]()
    told("runs", 0, len(runs))
    for answer in past_answers(installation, runs, sources):
        at_us, found = answer.run.fires_us, answer.found
        day = from_us(at_us).date()
        tried.runs += 1
        tried.query_seconds += answer.seconds
        told("runs", tried.runs, len(runs))
        tried.add_day(day, 0, 0)
        if found is None:
            add(tried.failed_runs, f"{answer.run.query.name}: {answer.why}", 1)
            continue
        if not found.plain:
            continue
        began = time.perf_counter()
        judged = judge.judge(found.plain, log_type=None, rules=[rule.id])
        tried.judging_seconds += time.perf_counter() - began
        count_faults(tried, judged)
        matches = [Match(rule=by, event=found.events[each.row], verdict=each.verdict) for each in judged.matches]
        # A row of the lake matches once, whichever run returns it.
        new = list({each.id: each for each in matches if each.id not in seen}.values())
        seen.update(each.id for each in new)
        tried.add_day(day, len(found.plain), len(new))
        for match in new:
            trial.add_match(match, judged_us=at_us)
        trial.group(None)
    trial.group(None)
    tried.left_runs = len(runs) - tried.runs
    return tried


def past_findings(
    installation: Installation,
    asked: OfMatches,
    days: Sequence[tuple[int, int]],
    sources: Mapping[str, str],
    now_us: int,
) -> Iterator[PastFindings]:
    """Yield what a correlation rule finds around the matches of each time range, the earlier ones first.

    A time range that holds too much is cut, down to an hour.
    """
    correlator = Correlator(lake=FileLake(installation.home.path, installation.ledger.lake, table_schemas()))
    told: Sequence[set[str]] = [set() for _ in asked.rule.correlations]
    left = list(reversed(days))
    while left:
        since_us, until_us = left.pop()
        now_told = [set(each) for each in told]
        try:
            said, found = correlator.find_past(
                asked.rule,
                asked.revision,
                others=asked.others,
                since_us=since_us,
                until_us=until_us,
                now_us=now_us,
                sources=sources,
                told=now_told,
            )
        except TooMuchError as error:
            if until_us - since_us > _HOUR_US:
                half = (since_us + until_us) // 2
                left += [(half, until_us), (since_us, half)]
            else:
                yield PastFindings(since_us=since_us, until_us=until_us, said=Judgement(), found=None, why=str(error))
            continue
        told = now_told
        yield PastFindings(since_us=since_us, until_us=until_us, said=said, found=found)


def step_days(
    installation: Installation, asked: OfMatches, since: datetime, until: datetime
) -> dict[int, dict[str, int]]:
    """Return how many matches the steps of a correlation rule have on each day that has any, by rule."""
    if not asked.steps:
        return {}
    text = _DAYS.format(
        rules=", ".join(map(literal, asked.steps)), since=literal(rfc3339(since)), until=literal(rfc3339(until))
    )
    queries = Queries(installation.home.path, installation.ledger.lake, table_schemas())
    with queries.run(text, limits=_LIMITS, trusted=True) as answer:
        rows = [row for batch in answer.batches for row in batch.to_pylist()]
    return {
        day: {row["rule_id"]: row["matches"] for row in some} for day, some in groupby(rows, key=lambda row: row["day"])
    }


def days_to_read(days: Mapping[int, Mapping[str, int]], since: datetime, until: datetime) -> list[tuple[int, int]]:
    """Return the time ranges to look at, one after the other: each day that has matches."""
    since_us, until_us = to_us(since), to_us(until)
    return [(max(day, since_us), min(day + 24 * _HOUR_US, until_us)) for day in days]


def lacking(asked: OfMatches, days: Mapping[int, Mapping[str, int]]) -> tuple[UnmatchedRule, ...]:
    """Return the steps without any match, and whether their rules are on."""
    there = {rule for each in days.values() for rule in each}
    return tuple(
        UnmatchedRule(rule=rule, status=asked.statuses.get(rule, "")) for rule in asked.steps if rule not in there
    )


def try_matches(
    installation: Installation, asked: OfMatches, since: datetime, until: datetime, told: Told
) -> TrialResult:
    """Look for what belongs together in the matches that other rules have."""
    tried = TrialResult(rule=asked.rule.id, kind=Kind.CORRELATION_RULE, steps=asked.steps, since=since, until=until)
    trial = Trial(about=asked.rule.about, tried=tried)
    days = step_days(installation, asked, since, until)
    tried.lacking = lacking(asked, days)
    for day_us, counts in days.items():
        tried.add_day(from_us(day_us).date(), sum(counts.values()), 0)
    sources, seen, done = sources_of(installation), set[str](), 0
    told("matches", 0, tried.events)
    began = time.perf_counter()
    for each in past_findings(installation, asked, days_to_read(days, since, until), sources, to_us(until)):
        tried.runs += 1
        if each.found is None:
            add(tried.failed_runs, f"around {from_us(each.since_us):%Y-%m-%d %H:%M}Z {each.why}", 1)
        new = {match.id: match for match in each.said.matches if match.id not in seen}
        seen.update(new)
        for day, count in Counter(from_us(match.event.event_us).date() for match in new.values()).items():
            tried.add_day(day, 0, count)
        for match in new.values():
            trial.add_match(match)
        done = sum(sum(counts.values()) for day_us, counts in days.items() if day_us < each.until_us)
        told("matches", done, tried.events)
    tried.judging_seconds = time.perf_counter() - began
    trial.group(None)
    return tried
