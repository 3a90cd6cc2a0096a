"""What a rule says of events that are in the lake already, before it is turned on."""

import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import zip_longest

import pyarrow as pa
from msgspec import Struct
from msgspec.structs import replace

from ocelog.alert.detecting import events_of
from ocelog.alert.judged import Match
from ocelog.app.log_types import kinds, table_schemas
from ocelog.app.rules.rule_candidates import Candidate, OfEvents, OfMatches, OfRows, judge_of, load_rule
from ocelog.app.rules.rule_trial import Told, Trial, TrialResult, count_faults
from ocelog.app.rules.schedule_history import try_matches, try_rows
from ocelog.app.search.queries import Stop
from ocelog.app.search.search import summaries
from ocelog.installation.opening import Installation
from ocelog.lake.query.queries import Limits, Queries
from ocelog.lake.read.quoting import literal
from ocelog.model import table_name
from ocelog.rule_workers.judge import Judge
from ocelog.times import from_us, rfc3339, to_us

_AT_ONCE = 200_000
"""Rows of a table that one query reads; an hour that has more is read whole."""
_BATCH_ROWS = 20_000
"""Rows that are judged at once."""
_LIMITS = Limits(timeout=timedelta(minutes=9))
_HOURS = """
SELECT epoch_us(date_trunc('hour', p_event_time)) AS hour, count(*) AS rows FROM {table}
WHERE p_event_time >= {since}::TIMESTAMPTZ AND p_event_time < {until}::TIMESTAMPTZ GROUP BY 1 ORDER BY 1
"""
_ROWS = """
SELECT * FROM {table} WHERE p_event_time >= {since}::TIMESTAMPTZ AND p_event_time < {until}::TIMESTAMPTZ
"""


class TablePiece(Struct, frozen=True, kw_only=True):
    """A piece of a table that one query reads."""

    log_type: str
    since_us: int
    until_us: int
    rows: int


class PastEvents(Struct, frozen=True, kw_only=True):
    """The events of some log types in a time range, read piece by piece so that memory stays flat."""

    installation: Installation
    log_types: Collection[str]
    since: datetime
    until: datetime

    def pieces(self) -> Iterator[TablePiece]:
        """Yield what is to be read, in the order of time: hours put together as long as they have few rows."""
        found = [piece for name in self.log_types if name in kinds() for piece in self._pieces_of(name)]
        yield from sorted(found, key=lambda piece: (piece.since_us, piece.log_type))

    def _pieces_of(self, log_type: str) -> Iterator[TablePiece]:
        since, until = to_us(self.since), to_us(self.until)
        counted = self._query(_HOURS, log_type, since, until)
        hours = [(int(row["hour"]), int(row["rows"])) for batch in counted for row in batch.to_pylist()]
        start, rows = since, 0
        for hour, count in hours:
            if rows and rows + count > _AT_ONCE:
                yield TablePiece(log_type=log_type, since_us=start, until_us=hour, rows=rows)
                start, rows = hour, 0
            rows += count
        if rows:
            yield TablePiece(log_type=log_type, since_us=start, until_us=until, rows=rows)

    def batches(self, piece: TablePiece) -> Iterator[pa.Table]:
        """Yield the rows of a piece, some at a time."""
        held, size = list[pa.RecordBatch](), 0
        for batch in self._query(_ROWS, piece.log_type, piece.since_us, piece.until_us):
            held.append(batch)
            size += batch.num_rows
            if size >= _BATCH_ROWS:
                yield pa.Table.from_batches(held)
                held, size = [], 0
        if size:
            yield pa.Table.from_batches(held)

    def _query(self, sql: str, log_type: str, since_us: int, until_us: int) -> Iterator[pa.RecordBatch]:
        queries = Queries(self.installation.home.path, self.installation.ledger.lake, table_schemas())
        since, until = (literal(rfc3339(from_us(us))) for us in (since_us, until_us))
        text = sql.format(table=table_name(log_type), since=since, until=until)
        with queries.run(text, limits=_LIMITS, trusted=True) as answer:
            yield from answer.batches


def try_rule(
    installation: Installation, candidate: Candidate, *, since: datetime, told: Told, stop: Stop | None = None
) -> TrialResult:
    """Ask a rule about all that it judges since then, and return what it says; nothing is kept, and nobody is told.

    Raises ConfigError for a rule that judges nothing here, and RuleFileError if it cannot be read.
    """
    tried = _tried(installation, candidate, since, told)
    _sum_up(installation, tried, stop)
    return tried


def _sum_up(installation: Installation, tried: TrialResult, stop: Stop | None) -> None:
    """Say of each sample and alert what happened: of one rule, all may have the same title."""
    rows = [
        *((each.log_type, each.row_id, each.at) for each in tried.samples),
        *((each.log_type, each.row_id, from_us(each.event_us)) for each in tried.first_alerts),
    ]
    names = ("p_log_type", "p_row_id", "p_event_time")
    said = summaries(installation, [dict(zip(names, each, strict=True)) for each in rows], stop=stop)
    tried.samples = [replace(each, summary=said.get(each.row_id, "")) for each in tried.samples]
    tried.first_alerts = [replace(each, summary=said.get(each.row_id, "")) for each in tried.first_alerts]


def _tried(installation: Installation, candidate: Candidate, since: datetime, told: Told) -> TrialResult:
    until = datetime.now(UTC)
    with closing(judge_of(installation, candidate)) as judge:
        match load_rule(installation, judge, candidate):
            case OfEvents() as asked:
                return _try_events(installation, judge, asked, since, until, told)
            case OfRows() as asked:
                return try_rows(installation, judge, asked, since, until, told)
            case OfMatches() as asked:
                return try_matches(installation, asked, since, until, told)


def _try_events(
    installation: Installation, judge: Judge, asked: OfEvents, since: datetime, until: datetime, told: Told
) -> TrialResult:
    """Read events piece by piece, in the order of time, so that memory stays flat."""
    rule = asked.rule
    tried = TrialResult(rule=rule.id, kind=rule.kind, log_types=rule.log_types, since=since, until=until)
    trial = Trial(about=rule.about, tried=tried)
    past = PastEvents(installation=installation, log_types=rule.log_types, since=since, until=until)
    pieces = list(past.pieces())
    total = sum(piece.rows for piece in pieces)
    told("events", 0, total)
    for piece, after in zip_longest(pieces, pieces[1:]):
        for batch in past.batches(piece):
            _judge_batch(judge, asked, trial, piece.log_type, batch)
            told("events", min(tried.events, total), total)
        # What another table has of the same time must come first.
        trial.group(None if after is None else after.since_us)
    return tried


def _judge_batch(judge: Judge, asked: OfEvents, trial: Trial, log_type: str, rows: pa.Table) -> None:
    """Ask the rule about some rows."""
    tried, name = trial.tried, asked.rule.id
    if not tried.events:
        # What it costs to begin is no cost of an event.
        judge.judge(rows.slice(0, 1), log_type=log_type, rules=[name])
    began = time.perf_counter()
    judged = judge.judge(rows, log_type=log_type, rules=[name])
    tried.judging_seconds += time.perf_counter() - began
    at = pa.array([match.row for match in judged.matches], pa.int64())
    times = rows.column("p_event_time").cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    days = Counter(from_us(us).date() for us in times.to_pylist())
    events = events_of(rows.take(at), kinds()[log_type])
    matches = Counter(from_us(event.event_us).date() for event in events)
    for day, count in days.items():
        tried.add_day(day, count, matches[day])
    count_faults(tried, judged)
    for match, event in zip(judged.matches, events, strict=True):
        trial.add_match(Match(rule=asked.by, event=event, verdict=match.verdict))
