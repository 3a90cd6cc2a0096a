"""Rows of the packaged log types in the lake of an installation, as if they had been pulled."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from ocelog.app.log_types import kinds, table_schemas
from ocelog.installation.opening import Installation
from ocelog.lake.lake import FileLake
from ocelog.lake.write.publish import Publisher
from ocelog.ledger.rows import counters, landing
from ocelog.model import RULE_MATCHES, table_name

BEGIN = datetime(2026, 3, 30, 12, tzinfo=UTC)


def row(log_type: str, name: str, at: datetime, /, **values: Any) -> dict[str, Any]:
    """Return a row: what is not given is made up from its id and time, or null."""
    version = values.pop("version", f"{name}@{at.isoformat()}")
    digest = blake2b(f"{log_type}{name}{version}".encode(), digest_size=16).hexdigest()
    filled = {
        "id": name,
        "p_log_type": log_type,
        "p_schema_version": 1,
        "p_row_id": digest,
        "p_version": digest[::-1],
        "p_origin": "live",
        "p_source_id": "s1",
        "p_source_label": "Wiz",
    }
    times = ("p_event_time", "p_cursor_time", "p_version_time", "p_observed_at", "p_parse_time")
    return filled | dict.fromkeys(times, at) | values


def land(
    installation: Installation, log_type: str, rows: Sequence[Mapping[str, Any]] | pa.Table, *, publish: bool = False
) -> None:
    """Land rows of a log type as one part, and publish them."""
    assert log_type in kinds()
    _land(installation, table_name(log_type), rows, publish=publish)


def land_matches(installation: Installation, rows: Sequence[Mapping[str, Any]]) -> None:
    """Land rows that say which rules matched which events."""
    _land(installation, RULE_MATCHES, rows, publish=False)


def _land(
    installation: Installation, table: str, rows: Sequence[Mapping[str, Any]] | pa.Table, *, publish: bool
) -> None:
    schemas, ledger = table_schemas(), installation.ledger.lake
    found = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist([dict(each) for each in rows], schemas[table])
    lake = FileLake(installation.home.path, ledger, schemas)
    part = lake.write(table, f"1-1-{ledger.counter(table)}", found)
    with ledger._database.write() as tx:
        landing.add_part(tx, part, "s1", counters.hold(tx, table).last + 1, 0)
    if publish:
        Publisher(installation.home.path, ledger, schemas).publish(table)


def later(**more: float) -> datetime:
    """Return an instant, counted from the begin of these tests' time."""
    return BEGIN + timedelta(**more)
