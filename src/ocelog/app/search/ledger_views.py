"""What SQL sees of the ledger: the tables `streams` and `coverage`, and those of alerts."""

from collections.abc import Collection, Iterator
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from ocelog.app.search import alert_tables
from ocelog.installation.opening import Installation
from ocelog.lake.query.queries import ExtraTable
from ocelog.schema.decode.timestamps import INSTANT

if TYPE_CHECKING:
    # The ledger takes half of the time that a short query takes: it is imported if a query reads it.
    from ocelog.app.status.status import StreamStatus

_STREAMS: tuple[tuple[str, pa.DataType, str], ...] = (
    ("source", pa.string(), "Name of the source."),
    ("source_id", pa.string(), "Its id, as in p_source_id."),
    ("log_type", pa.string(), "The log type, as in p_log_type."),
    (
        "state",
        pa.string(),
        "How reading goes: new, paused, broken, retrying, catching up, live, or empty (no record was ever returned).",
    ),
    ("needs_attention", pa.bool_(), "Whether `ocelog status` ends with 1 because of this stream."),
    (
        "health",
        pa.string(),
        "healthy, catching up, quiet (no event for long, nothing missing), silent, broken, forbidden, or paused.",
    ),
    ("health_since", INSTANT, "Since when, by this machine's clock."),
    ("health_why", pa.string(), "Why; null if it is healthy."),
    ("no_events_alarm", pa.string(), "OK, ALARM, or INSUFFICIENT_DATA (no complete, recent poll tells)."),
    ("silent_seconds", pa.int64(), "How long no event had come when it was polled last."),
    (
        "last_received",
        INSTANT,
        "When the newest event that others caused was read, by this machine's clock; of the past, when it happened.",
    ),
    ("events_per_hour", pa.float64(), "How many rows land in an hour, of late; null: not known yet."),
    ("last_success", INSTANT, "When a page landed last, by this machine's clock."),
    ("last_event", INSTANT, "Latest p_event_time that was read, whoever caused it, no later than it was read."),
    ("complete_through", INSTANT, "Everything before this is read, except parked and incomplete time ranges."),
    ("lag_seconds", pa.int64(), "Age of the oldest time range that live reading has not read yet."),
    ("slices_left", pa.int64(), "Time ranges that are still to be read."),
    ("parked", pa.int64(), "Time ranges on which the source always fails; they are tried again less and less often."),
    ("short", pa.int64(), "Time ranges for which the source counted more records than it returned."),
    ("failing", pa.int64(), "Time ranges that have failed for more than an hour."),
    ("events", pa.int64(), "Rows that have landed since the stream began."),
    ("rejections", pa.int64(), "Records that did not fit the schema, since the stream began."),
    ("still_rejected", pa.int64(), "Those of them that `ocelog rejections --replay` has not landed since."),
    ("unpublished_rows", pa.int64(), "Rows of the table that are not in the Iceberg table yet, of all sources."),
    (
        "total_off_by",
        pa.int64(),
        "How many records, at most, the source counts but does not return; null if its counts are right.",
    ),
    ("refused_fields", pa.list_(pa.string()), "Fields that the source refuses to this account: null in new records."),
    ("error", pa.string(), "What went wrong last; null: nothing since the last success."),
    ("error_code", pa.string(), "Its stable code, as in the reference of errors."),
    ("todo", pa.string(), "What to do about it."),
    ("error_at", INSTANT, "When it went wrong, by this machine's clock."),
)


_COVERAGE: tuple[tuple[str, pa.DataType, str], ...] = (
    ("source", pa.string(), "Name of the source."),
    ("source_id", pa.string(), "Its id, as in p_source_id."),
    ("log_type", pa.string(), "The log type, as in p_log_type."),
    ("status", pa.string(), "Status of the records; empty for a log type without statuses."),
    ("at_wiz", pa.int64(), "How many records the source counted."),
    ("at_least", pa.bool_(), "Whether the source stopped counting there: it has more."),
    ("in_lake", pa.int64(), "How many records the lake had."),
    ("difference", pa.int64(), "How many more the source counted than the lake had."),
    ("measured", INSTANT, "When that was measured."),
)


def ledger_schemas() -> dict[str, pa.Schema]:
    """Return the columns of each table, each with what it means in its metadata under `doc`."""
    columns = {"streams": _STREAMS, "coverage": _COVERAGE, **alert_tables.COLUMNS}
    return {
        table: pa.schema([pa.field(name, kind, metadata={b"doc": doc}) for name, kind, doc in listed])
        for table, listed in columns.items()
    }


MEANINGS = {
    "streams": "The status of each stream as `ocelog status` shows it: one row per source and log type.",
    "coverage": "How many records a source counts and how many the lake has, as `ocelog coverage` measured last.",
    **alert_tables.MEANINGS,
}


def ledger_tables(installation: Installation) -> dict[str, ExtraTable]:
    """Return the tables by name; their rows are read from the ledger when a query asks for them."""
    return {
        table: ExtraTable(schema=schema, rows=partial(_rows, installation, table, schema))
        for table, schema in ledger_schemas().items()
    }


def _rows(
    installation: Installation, table: str, schema: pa.Schema, wanted: Collection[str]
) -> Iterator[pa.RecordBatch]:
    if table in alert_tables.COLUMNS:
        yield from alert_tables.pieces(installation.ledger, table, schema, wanted)
        return
    from ocelog.app.status.status import running, stream_statuses  # noqa: PLC0415 - see above

    rows = {"streams": _stream_rows, "coverage": _coverage_rows}[table]
    found = stream_statuses(installation.ledger, idle=running(installation.home) is None)
    yield pa.RecordBatch.from_pylist([row for each in found for row in rows(each)], schema=schema)


def _coverage_rows(each: "StreamStatus") -> list[dict[str, object]]:
    return [
        {
            "source": each.source,
            "source_id": each.source_id,
            "log_type": each.log_type,
            "status": gap.status,
            "at_wiz": gap.at_source,
            "at_least": gap.at_least,
            "in_lake": gap.in_lake,
            "difference": gap.difference,
            "measured": gap.measured,
        }
        for gap in each.coverage
    ]


def _stream_rows(each: "StreamStatus") -> list[dict[str, object]]:
    row: dict[str, object] = {
        "source": each.source,
        "source_id": each.source_id,
        "log_type": each.log_type,
        "state": each.state,
        "needs_attention": each.needs_attention,
        "health": each.health.state.value,
        "health_since": each.health.since,
        "health_why": each.health.why or None,
        "no_events_alarm": each.health.alarm.value,
        "silent_seconds": int(each.health.silence.total_seconds()),
        "last_received": each.last_received,
        "events_per_hour": each.rate,
        "last_success": each.last_success,
        "last_event": each.last_event,
        "complete_through": each.complete_through,
        "lag_seconds": None if each.lag is None else int(each.lag.total_seconds()),
        "slices_left": each.slices_left,
        "parked": len(each.parked),
        "short": len(each.short),
        "failing": len(each.failing),
        "events": each.events,
        "rejections": each.rejections,
        "still_rejected": each.still_rejected,
        "unpublished_rows": each.waiting.rows,
        "total_off_by": each.total_off_by,
        "refused_fields": list(each.refused),
        "error": each.error,
        "error_code": each.error_code,
        "todo": each.todo,
        "error_at": each.error_at,
    }
    return [row]
