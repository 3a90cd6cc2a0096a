"""How many records each source counts, by status, beside how many the lake has; and the loop that measures it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby

import structlog
from msgspec import Struct

from ocelog.app.log_types import table_schemas
from ocelog.app.loops.loop import Work
from ocelog.errors import OcelogError, SourceUnavailableError
from ocelog.installation.opening import Installation
from ocelog.lake.query.queries import Limits, Queries
from ocelog.lake.read.current import CURRENT
from ocelog.lake.read.quoting import literal, quoted
from ocelog.model import Origin, SliceState, table_name
from ocelog.pull.ports import Ask, Coverage, Page
from ocelog.pull.stream import Stream
from ocelog.pull.sweep import Stage
from ocelog.times import EPOCH, from_us, has_passed, rfc3339, to_us
from ocelog.units import per_table
from ocelog.workers.fair import StreamKey

# What is put together here are the names of our schemas, and values written as literals.
# ruff: noqa: S608

_AGAIN = timedelta(hours=25)
"""A measure this old says little. More than a day: after the daily sweep it is measured anyway."""
_AGAIN_IF_DIFFERENT = timedelta(hours=6)
_LOOK_EVERY = 60.0
"""Seconds between two looks at whether a stream is to be measured."""
_TRY_AGAIN = 3600.0
"""Seconds after which what could not be measured is tried again."""
log = structlog.get_logger()


@dataclass(slots=True)
class CoverageLoop:
    """Measures the coverage of streams, now and then; what could not be measured is logged."""

    work: Work
    _looked_at: float = float("-inf")
    _not_before: dict[StreamKey, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the loop is called in the log."""
        return "coverage"

    def run_due(self, now: float) -> float:
        """Begin to measure the streams that are due."""
        if now >= self._looked_at + _LOOK_EVERY:
            self._looked_at = now
            fresh = [each for each in self.work.streams() if self._not_before.get(each.key, now) <= now]
            streams = to_measure(self.work.assembly.installation, fresh)
            if streams and self.work.begin(self, lambda: self._measure(streams)):
                self._not_before |= dict.fromkeys((each.key for each in streams), now + _TRY_AGAIN)
        return self._looked_at + _LOOK_EVERY

    def finish(self) -> None:
        """Measure what a pull has made worth measuring, at the whole rate: nothing else is asked any more."""
        due = to_measure(self.work.assembly.installation, self.work.streams())
        for stream in due:
            stream.source.hurry()
        self._measure(due)

    def _measure(self, streams: Sequence[Stream]) -> None:
        try:
            for source_id in sorted({each.row.id for each in streams}):
                self.work.went_on()
                own = [each for each in streams if each.row.id == source_id]
                for reason in measure_each(self.work.assembly.installation, own):
                    log.warning("coverage not measured", reason=reason)
        except OcelogError as error:
            # The ledger: nothing depends on this, and others tell of it.
            log.warning("coverage not measured", reason=str(error))


def to_measure(installation: Installation, streams: Sequence[Stream]) -> list[Stream]:
    """Return those of `streams` that a sweep has read completely since they were last measured.

    Also those that were never measured, once all of their past has been read, and those that were long ago: something
    may have been read since. A log type that is never swept, such as audit, is measured with its source's others.
    """
    swept = {
        (each.source_id, each.log_type)
        for each in installation.ledger.sweeps.listed()
        if each.stage is Stage.DONE and each.complete and each.measured_round < each.round
    }
    sources = {source_id for source_id, _ in swept}
    measured, now = installation.ledger.sweeps.measured_streams(), datetime.now(UTC)
    old = {
        key
        for key, (measured_us, differs) in measured.items()
        if has_passed(_AGAIN_IF_DIFFERENT if differs else _AGAIN, since=from_us(measured_us), now=now)
    }
    planned = installation.ledger.pulling.planning([stream.key for stream in streams if stream.key not in measured])
    first = {
        key
        for key, (marks, left) in planned.items()
        if marks.edge is not None
        and all(each.origin is Origin.LIVE or each.state is SliceState.PARKED for each in left)
    }
    return [
        stream
        for stream in streams
        if stream.key in swept | first | old or (stream.kind.sweep_by is None and stream.row.id in sources)
    ]


def measure_each(installation: Installation, streams: Sequence[Stream]) -> Iterator[str]:
    """Count the records of `streams` at the source and in the lake, and keep them; yield what could not be counted.

    Open records are counted whatever their age; closed ones, and entries that have no status, since the backfill began,
    by the date that the backfill asks by, as far as the table's retention keeps them. All of them up to the last poll.
    One request per status. Raises what the ledger raises.
    """
    for _, own in groupby(sorted(streams, key=lambda each: each.key), key=lambda each: each.row.id):
        yield from _measure(installation, list(own))


def _measure(installation: Installation, streams: Sequence[Stream]) -> Iterator[str]:
    """Measure streams of one source: the lake is asked once, or one by one if that fails for one of them."""
    spans = list[_Span]()
    for stream in streams:
        marks = installation.ledger.pulling.marks(*stream.key)
        if marks.edge is None or marks.backfill_since is None:
            yield f"{stream.row.name} {stream.kind.log_type}: it was never pulled. Run: ocelog pull"
            continue
        kept = _kept_since(installation, table_name(stream.kind.log_type))
        spans.append(_Span(stream=stream, edge=marks.edge, began=min(marks.edge, max(marks.backfill_since, kept))))
    if not spans:
        return
    try:
        in_lake = _in_lake(installation, spans)
    except OcelogError as error:
        if len(spans) > 1:
            for each in spans:
                yield from _measure(installation, [each.stream])
        else:
            yield f"{spans[0].stream.row.name} {spans[0].stream.kind.log_type}: {error}"
        return
    for span in spans:
        log_type = span.stream.kind.log_type
        try:
            found = list(_at_source(span, in_lake.get(log_type, {})))
        except OcelogError as error:
            yield f"{span.stream.row.name} {log_type}: {error}"
        else:
            installation.ledger.sweeps.measured(*span.stream.key, found)


class _Span(Struct, frozen=True, kw_only=True):
    """From when and until when the records of a stream are counted that are not open."""

    stream: Stream
    began: datetime
    edge: datetime


def _at_source(span: _Span, in_lake: Mapping[str, int]) -> Iterator[Coverage]:
    kind = span.stream.kind
    for status in kind.statuses or ("",):
        by, since = (kind.sweep_by, EPOCH) if status in kind.open_statuses else (kind.cursor_field, span.began)
        page = _counted(span.stream, by or kind.cursor_field, since, span.edge, status) if since < span.edge else None
        total, capped = (0, False) if page is None else (page.total, page.capped)
        if total is not None:
            yield Coverage(
                status=status,
                at_source=total,
                at_least=capped,
                in_lake=in_lake.get(status, 0),
                since_us=to_us(since),
                measured_us=time.time_ns() // 1000,
            )


def _kept_since(installation: Installation, table: str) -> datetime:
    """Return the earliest instant of which `table` keeps closed records and entries without a status."""
    retention = per_table(installation.settings.retention).get(table)
    # A whole second, for the source may cut off what is smaller.
    return EPOCH if retention is None else (datetime.now(UTC) - retention).replace(microsecond=0) + timedelta(seconds=1)


def _counted(stream: Stream, by: str, since: datetime, until: datetime, status: str) -> Page:
    ask = Ask(
        log_type=stream.kind.log_type,
        by=by,
        since=since,
        until=until,
        open_only=False,
        page_size=1,
        background=True,
        status=status or None,
    )
    answer = stream.source.ask(ask)
    if not isinstance(answer, Page):
        raise SourceUnavailableError(f"{stream.row.name}: {stream.kind.title} could not be counted: {answer.reason}")
    return answer


def _in_lake(installation: Installation, spans: Sequence[_Span]) -> dict[str, dict[str, int]]:
    """Return how many records of each log type have each status."""
    queries = Queries(installation.home.path, installation.ledger.lake, table_schemas())
    found = dict[str, dict[str, int]]()
    with queries.run(" UNION ALL ".join(map(_sql, spans)), limits=Limits(timeout=timedelta(minutes=9))) as answer:
        for batch in answer.batches:
            for row in batch.to_pylist():
                found.setdefault(row["log_type"], {})[row["status"]] = row["records"]
    return found


def _sql(span: _Span) -> str:
    kind = span.stream.kind
    edge, began = (f"TIMESTAMPTZ {literal(rfc3339(each))}" for each in (span.edge, span.began))
    since = f"{quoted(kind.cursor_field)} >= {began} AND {quoted(kind.cursor_field)} < {edge}"
    status, counted, grouped = "''", since, ""
    if kind.statuses:
        opened = ", ".join(map(literal, kind.open_statuses))
        whether = f"CASE WHEN status IN ({opened}) THEN {quoted(kind.created_field)} < {edge} ELSE {since} END"
        status, counted, grouped = "status", f"status IS NOT NULL AND {whether}", " GROUP BY status"
    return (
        f"SELECT {literal(kind.log_type)} AS log_type, {status} AS status, count(*) AS records "
        f"FROM {quoted(table_name(kind.log_type) + CURRENT)} "
        f"WHERE p_source_id = {literal(span.stream.row.id)} AND {counted}{grouped}"
    )
