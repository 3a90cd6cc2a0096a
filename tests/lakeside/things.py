"""Small tables with the standard columns, and rows for them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from ocelog.lake.ports import Traits, with_traits

INSTANT = pa.timestamp("us", tz="UTC")
BEGIN = datetime(2026, 3, 30, 12, tzinfo=UTC)


def instant(minute: float) -> datetime:
    """Return an instant, counted in minutes from the begin of these tests' time."""
    return BEGIN + timedelta(minutes=minute)


STANDARD = [
    pa.field("p_log_type", pa.string(), metadata={b"doc": b"Log type of the event."}),
    pa.field("p_schema_version", pa.int32()),
    pa.field("p_row_id", pa.string()),
    pa.field("p_version", pa.string()),
    pa.field("p_event_time", INSTANT),
    pa.field("p_cursor_time", INSTANT),
    pa.field("p_version_time", INSTANT),
    pa.field("p_observed_at", INSTANT),
    pa.field("p_parse_time", INSTANT),
    pa.field("p_origin", pa.string()),
    pa.field("p_source_id", pa.string()),
    pa.field("p_source_label", pa.string()),
    pa.field("p_any_ip_addresses", pa.list_(pa.string())),
    pa.field("p_extra", pa.string()),
]
AUDIT = pa.schema(
    [
        pa.field("id", pa.string(), metadata={b"doc": b"The entry's id."}),
        pa.field("action", pa.string()),
        pa.field("actionParameters", pa.string(), metadata={b"doc": b"JSON text."}),
        pa.field("user", pa.struct([pa.field("id", pa.string()), pa.field("name", pa.string())])),
        pa.field("timestamp", INSTANT),
        *STANDARD,
    ]
)
ISSUES = pa.schema(
    [
        pa.field("id", pa.string(), metadata={b"doc": b"The issue's id."}),
        pa.field("status", pa.string()),
        pa.field("severity", pa.string()),
        pa.field("notes", pa.list_(pa.struct([pa.field("text", pa.string())]))),
        pa.field("score", pa.float64()),
        *STANDARD,
    ]
)
REJECTIONS = pa.schema(
    [
        pa.field(name, INSTANT if name.endswith(("_at", "_time")) else pa.string())
        for name in (
            *("p_row_id", "p_log_type", "p_source_id", "p_source_label", "p_origin", "p_event_time", "p_cursor_time"),
            *("p_observed_at", "p_parse_time", "record_id", "path", "expected", "found", "raw", "raw_encoding"),
        )
    ]
)
GROWS = Traits(partition="day", changes=False)
SCHEMAS: Mapping[str, pa.Schema] = {
    "wiz_audit": with_traits(AUDIT, GROWS),
    "wiz_issues": with_traits(ISSUES, Traits(closed=("RESOLVED", "REJECTED"))),
    "rejections": with_traits(REJECTIONS, GROWS),
}


def row(name: str, minute: float, *, source: str = "s1", **values: Any) -> dict[str, Any]:
    """Return a row of one of the tables: what is not given is made up from its id and minute."""
    version = values.pop("version", f"{name}@{minute}")
    filled = {
        "id": name,
        "timestamp": instant(minute),
        "status": "OPEN",
        "p_log_type": "Wiz.Issues",
        "p_schema_version": 1,
        "p_row_id": blake2b(f"{source}{name}{version}".encode(), digest_size=16).hexdigest(),
        "p_version": blake2b(version.encode(), digest_size=16).hexdigest(),
        "p_origin": "live",
        "p_source_id": source,
        "p_source_label": "Wiz",
        "p_parse_time": instant(minute),
    }
    times = ("p_event_time", "p_cursor_time", "p_version_time", "p_observed_at")
    return filled | dict.fromkeys(times, instant(minute)) | values


def rows(listed: Iterable[Mapping[str, Any]], schema: pa.Schema = ISSUES) -> pa.Table:
    """Return rows as a part holds them."""
    return pa.Table.from_pylist([dict(one) for one in listed], schema=schema)
