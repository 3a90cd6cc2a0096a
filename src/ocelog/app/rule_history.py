"""What a rule says of events that are in the lake already, before it is turned on."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa

from ocelog.alert.grouping import Grouping, Joining
from ocelog.alert.would_be import PastMatch, WouldBeAlert, WouldBeAlerts
from ocelog.app.log_types import changing, kinds, table_schemas
from ocelog.app.rule_folders import find_rule
from ocelog.detect.bundle import read_bundle
from ocelog.detect.folders import RuleFolder
from ocelog.detect.rule import About, Kind, Query
from ocelog.errors import ConfigError, RuleFileError
from ocelog.installation.opening import Installation
from ocelog.judging.judge import Judge, Judged, LoadedRule
from ocelog.lake.query.queries import Limits, Queries
from ocelog.lake.read.quoting import literal
from ocelog.model import table_name
from ocelog.times import from_us, rfc3339, to_us

MOST_SAMPLES = 5
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A rule that is to be tried, and the files that it is in."""

    id: str
    path: Path
    folder: RuleFolder | None
    """None: it is in no registered folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A match, as it would be told."""

    at: datetime
    log_type: str
    row_id: str
    title: str
    severity: str
    dedup: str
    context: Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Tried:
    """What a rule said of the events of some days."""

    rule: str
    log_types: tuple[str, ...]
    since: datetime
    until: datetime
    events: int = 0
    matches: int = 0
    by_day: dict[date, tuple[int, int]] = field(default_factory=dict)
    """Events and matches of each day that has events, in UTC."""
    alerts: int = 0
    told: int = 0
    """Alerts that people would have been told of."""
    first_alerts: list[WouldBeAlert] = field(default_factory=list)
    signal: bool = False
    """Whether its matches make no alerts."""
    samples: list[Sample] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    """What went wrong -> on how many events."""
    unjudged: dict[str, int] = field(default_factory=dict)
    """Why the rule was not asked -> about how many events."""
    judging_seconds: float = 0.0

    @property
    def us_per_event(self) -> float | None:
        """Return what judging an event takes, in microseconds, the way to its process and back included."""
        asked = self.events - sum(self.unjudged.values())
        return self.judging_seconds / asked * 1e6 if asked > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A stretch of a table that one query reads."""

    log_type: str
    since_us: int
    until_us: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PastEvents:
    """The events of some log types in a stretch of time, read piece by piece so that memory stays flat."""

    installation: Installation
    log_types: Collection[str]
    since: datetime
    until: datetime

    def pieces(self) -> Iterator[Stretch]:
        """Yield what is to be read, in the order of time: hours put together as long as they have few rows."""
        found = [piece for name in self.log_types if name in kinds() for piece in self._pieces_of(name)]
        yield from sorted(found, key=lambda piece: (piece.since_us, piece.log_type))

    def _pieces_of(self, log_type: str) -> Iterator[Stretch]:
        since, until = to_us(self.since), to_us(self.until)
        counted = self._query(_HOURS, log_type, since, until)
        hours = [(int(row["hour"]), int(row["rows"])) for batch in counted for row in batch.to_pylist()]
        start, rows = since, 0
        for hour, count in hours:
            if rows and rows + count > _AT_ONCE:
                yield Stretch(log_type=log_type, since_us=start, until_us=hour, rows=rows)
                start, rows = hour, 0
            rows += count
        if rows:
            yield Stretch(log_type=log_type, since_us=start, until_us=until, rows=rows)

    def batches(self, piece: Stretch) -> Iterator[pa.Table]:
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


def find_candidate(installation: Installation, named: str) -> Candidate:
    """Return the rule of that id in a registered folder, or the one in the file of that name. Raises ConfigError."""
    path = Path(named).expanduser()
    if path.suffix in {".yml", ".yaml", ".py"} and path.exists():
        return Candidate(id="", path=path, folder=None)
    found = find_rule(installation, named)
    if isinstance(found.item, Query):
        raise ConfigError(
            f"{found.id} is a scheduled query, no rule: ask its SQL with `ocelog query`, and `rules check` plans it."
        )
    return Candidate(id=found.id, path=found.root / found.item.place.file, folder=found.folder)


def try_rule(
    installation: Installation, candidate: Candidate, *, since: datetime, told: Callable[[int, int], None]
) -> Tried:
    """Ask a rule about every event since then, and return what it says; nothing is kept, and nobody is told.

    Events are read piece by piece, in the order of time, so that memory stays flat. `told` hears how many events of how
    many are done. Raises ConfigError for a rule that does not judge events, and RuleFileError if it cannot be read.
    """
    until = datetime.now(UTC)
    with closing(judge_of(installation, candidate)) as judge:
        rule = load_rule(judge, candidate)
        tried = Tried(rule=rule.id, log_types=rule.log_types, since=since, until=until)
        tried.signal = not rule.about.create_alert
        trying = _Trying(judge=judge, rule=rule, tried=tried)
        past = PastEvents(installation=installation, log_types=rule.log_types, since=since, until=until)
        pieces = list(past.pieces())
        total = sum(piece.rows for piece in pieces)
        told(0, total)
        for piece, after in zip_longest(pieces, pieces[1:]):
            for batch in past.batches(piece):
                trying.judge_batch(piece.log_type, batch)
                told(min(tried.events, total), total)
            # What another table has of the same time must come first.
            trying.group(None if after is None else after.since_us)
    tried.alerts, tried.told = trying.alerts.count, trying.alerts.told
    tried.first_alerts = trying.alerts.listed()
    return tried


def judge_of(installation: Installation, candidate: Candidate) -> Judge:
    """Return what judges by the files of a rule, with what its folder is allowed."""
    folder = candidate.folder
    return Judge(
        network=folder is not None and folder.network,
        unsafe=folder is not None and folder.unprotected,
        changing=changing(),
        keep_out=(str(installation.home.path),),
    )


def load_rule(judge: Judge, candidate: Candidate) -> LoadedRule:
    """Have `judge` read a rule that judges events. Raises RuleFileError, and ConfigError if it judges none here."""
    loaded = judge.load(read_bundle(candidate.path))
    for fault in loaded.faults:
        raise RuleFileError(fault.message)
    if candidate.id in loaded.correlations or (not candidate.id and loaded.correlations):
        raise ConfigError(
            "A correlation rule judges matches, which come as its schedule runs, not events of the past: have "
            "`rules test` run its tests, turn it on, and see with `rules show` what it finds."
        )
    rule = loaded.rules.get(candidate.id) if candidate.id else next(iter(loaded.rules.values()), None)
    if rule is None:
        raise ConfigError(f"There is no rule in {candidate.path}.")
    if rule.kind is not Kind.RULE:
        raise ConfigError(
            f"{rule.id} judges the rows of a scheduled query, which asks of the lake as it is now, not events of the "
            f"past: have `rules test` run its tests, and ask the SQL of {', '.join(rule.scheduled_queries)} with "
            "`ocelog query`."
        )
    known = [one for one in rule.log_types if one in kinds()]
    if not known:
        raise ConfigError(f"No source here has events for {rule.id}: {', '.join(rule.log_types)}.")
    return rule


@dataclass(slots=True, kw_only=True)
class _Trying:
    """A rule that is being tried."""

    judge: Judge
    rule: LoadedRule
    tried: Tried
    alerts: WouldBeAlerts = field(init=False)
    _matches: list[PastMatch] = field(default_factory=list)
    """Those that have not joined alerts yet."""

    def __post_init__(self) -> None:
        about: About = self.rule.about
        grouping = Grouping(rule=about.id, period=timedelta(minutes=about.dedup_minutes), threshold=about.threshold)
        self.alerts = WouldBeAlerts(grouping, lives_with_record=about.lives_with_record)

    def judge_batch(self, log_type: str, rows: pa.Table) -> None:
        """Ask the rule about some rows."""
        if not self.tried.events:
            # What it costs to begin is no cost of an event.
            self.judge.judge(rows.slice(0, 1), log_type=log_type, rules=[self.rule.id])
        began = time.perf_counter()
        judged = self.judge.judge(rows, log_type=log_type, rules=[self.rule.id])
        tried = self.tried
        tried.judging_seconds += time.perf_counter() - began
        tried.events += rows.num_rows
        tried.matches += len(judged.matches)
        times = rows.column("p_event_time").cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()
        self._count_days(times, judged)
        for failed in judged.errors:
            _add(tried.errors, str(failed.fault), failed.last - failed.first)
        for left in judged.unjudged:
            _add(tried.unjudged, left.reason, left.last - left.first)
        row_ids = rows.column("p_row_id")
        records = rows.column("id") if "id" in rows.column_names else None
        for match in judged.matches:
            verdict, row_id = match.verdict, row_ids[match.row].as_py()
            for fault in verdict.raised:
                _add(tried.errors, str(fault), 1)
            joining = Joining(row_id=row_id, dedup=verdict.dedup, event_us=times[match.row], unique=verdict.unique)
            record = None if records is None else records[match.row].as_py()
            self._matches.append(
                PastMatch(joining=joining, title=verdict.title, severity=verdict.severity, record_id=record)
            )
            if len(tried.samples) < MOST_SAMPLES:
                tried.samples.append(
                    Sample(
                        at=from_us(times[match.row]),
                        log_type=log_type,
                        row_id=row_id,
                        title=verdict.title,
                        severity=str(verdict.severity),
                        dedup=verdict.dedup,
                        context=verdict.context,
                    )
                )

    def _count_days(self, times: list[int], judged: Judged) -> None:
        events = Counter(from_us(us).date() for us in times)
        matches = Counter(from_us(times[match.row]).date() for match in judged.matches)
        for day, count in events.items():
            before = self.tried.by_day.get(day, (0, 0))
            self.tried.by_day[day] = (before[0] + count, before[1] + matches[day])

    def group(self, before_us: int | None) -> None:
        """Let matches join alerts in the order of time: those of events before an instant, or all."""
        due = [each for each in self._matches if before_us is None or each.joining.event_us < before_us]
        self._matches = [each for each in self._matches if before_us is not None and each.joining.event_us >= before_us]
        if self.rule.about.create_alert:
            self.alerts.add(sorted(due, key=lambda each: each.joining.event_us))


def _add(counts: dict[str, int], what: str, count: int) -> None:
    counts[what] = counts.get(what, 0) + count
