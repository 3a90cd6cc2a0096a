"""How many records Wiz counts, by status, beside how many the lake has."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from ocelog.assemble import Stream, table_schemas
from ocelog.errors import OcelogError, SourceUnavailableError
from ocelog.installation import Installation
from ocelog.instants import EPOCH, rfc3339, to_us
from ocelog.lake.query import Limits, Queries
from ocelog.lake.sql import CURRENT, literal, quoted
from ocelog.model import Kind, Origin, SliceState, table_name
from ocelog.pull.ports import Ask, Coverage, Page
from ocelog.pull.sweep import Stage
from ocelog.quantities import per_table

# What is put together here are the names of our schemas, and values written as literals.
# ruff: noqa: S608


def to_measure(installation: Installation, streams: Sequence[Stream]) -> list[Stream]:
    """Return those of `streams` that a sweep has read completely since they were last measured.

    Also those that were never measured, once all of their past has been read. A log type that is never swept, such as
    audit, is measured along with the others of its source.
    """
    swept = {
        (each.source_id, each.log_type)
        for each in installation.ledger.sweeps()
        if each.stage is Stage.DONE and each.complete and each.measured_round < each.round
    }
    sources = {source_id for source_id, _ in swept}
    measured = installation.ledger.measured_streams()
    planned = installation.ledger.planning([stream.key for stream in streams if stream.key not in measured])
    first = {
        key
        for key, (marks, left) in planned.items()
        if marks.edge is not None
        and all(each.origin is Origin.LIVE or each.state is SliceState.PARKED for each in left)
    }
    return [
        stream
        for stream in streams
        if stream.key in swept | first or (stream.kind.sweep_by is None and stream.row.id in sources)
    ]


def measure_each(installation: Installation, streams: Sequence[Stream]) -> Iterator[str]:
    """Measure `streams`, and yield why one of them could not be measured; the others are."""
    for stream in streams:
        try:
            measure(installation, stream)
        except OcelogError as error:
            yield f"{stream.row.name} {stream.kind.log_type}: {error}"


def measure(installation: Installation, stream: Stream) -> list[Coverage]:
    """Count the records of `stream` at Wiz and in the lake, keep the result and return it.

    Open records are counted whatever their age; closed ones, and entries that have no status, since the backfill began,
    by the date that the backfill asks by, as far as the table's retention keeps them. All of them up to the last poll.
    One request per status. Raises what the source and the lake raise, and OcelogError for a stream that has not begun.
    """
    marks = installation.ledger.marks(*stream.key)
    if marks.edge is None or marks.backfill_since is None:
        raise OcelogError(f"{stream.row.name} {stream.kind.log_type} was never pulled. Run: ocelog pull")
    kind, edge = stream.kind, marks.edge
    began = min(edge, max(marks.backfill_since, _kept_since(installation, table_name(kind.log_type))))
    in_lake = _in_lake(installation, stream, edge, began)
    found = list[Coverage]()
    for status in kind.statuses or ("",):
        by, since = (kind.sweep_by, EPOCH) if status in kind.open_statuses else (kind.cursor_field, began)
        page = _counted(stream, by or kind.cursor_field, since, edge, status) if since < edge else None
        total, capped = (0, False) if page is None else (page.total, page.capped)
        if total is not None:
            found.append(
                Coverage(
                    status=status,
                    at_source=total,
                    at_least=capped,
                    in_lake=in_lake.get(status, 0),
                    since_us=to_us(since),
                    measured_us=time.time_ns() // 1000,
                )
            )
    installation.ledger.measured(*stream.key, found)
    return found


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
        raise SourceUnavailableError(f"Wiz did not count {stream.kind.log_type}: {answer.reason}")
    return answer


def _in_lake(installation: Installation, stream: Stream, until: datetime, since: datetime) -> dict[str, int]:
    queries = Queries(installation.home.path, installation.ledger, table_schemas())
    limits = Limits(timeout=timedelta(minutes=9))
    with queries.run(_sql(stream.kind, stream.row.id, until, since), limits=limits) as answer:
        return {row["status"]: row["records"] for batch in answer.batches for row in batch.to_pylist()}


def _sql(kind: Kind, source_id: str, until: datetime, began_at: datetime) -> str:
    table = quoted(table_name(kind.log_type) + CURRENT)
    edge, began = (f"TIMESTAMPTZ {literal(rfc3339(each))}" for each in (until, began_at))
    mine = f"p_source_id = {literal(source_id)}"
    since = f"{quoted(kind.cursor_field)} >= {began} AND {quoted(kind.cursor_field)} < {edge}"
    if not kind.statuses:
        return f"SELECT '' AS status, count(*) AS records FROM {table} WHERE {mine} AND {since}"
    opened = ", ".join(map(literal, kind.open_statuses))
    counted = f"CASE WHEN status IN ({opened}) THEN {quoted(kind.created_field)} < {edge} ELSE {since} END"
    whole = f"{mine} AND status IS NOT NULL AND {counted}"
    return f"SELECT status, count(*) AS records FROM {table} WHERE {whole} GROUP BY status"
