"""What one run of a scheduled query returns: the rows that rules are asked about."""

from datetime import timedelta
from typing import Any

from ocelog.app.loops.scheduled_rows import instant_us, log_type_of, plain
from ocelog.app.search.answer_values import rows
from ocelog.app.search.queries import AsOf, Limits, ask
from ocelog.detect.rule import Query
from ocelog.errors import QueryError
from ocelog.installation.opening import Installation
from ocelog.lake.query.queries import MAX_TIMEOUT

MOST_ROWS = 10_000
"""Rows of one run."""
_MOST_BYTES = 64 << 20


def run_query(
    installation: Installation, query: Query, *, before_us: int, fires_us: int, at: AsOf | None = None
) -> tuple[list[dict[str, Any]], str]:
    """Return the rows of the run that is due at `fires_us`, and their log type. Raises QueryError, also for too many.

    `before_us` is the fire time of the run before: one that makes up for others looks back from the first of them.
    """
    sources = {each.id for each in installation.ledger.sources.listed()}
    removed = {each.id for each in installation.ledger.sources.listed(removed=True)} - sources
    minutes = query.schedule.timeout_minutes if query.schedule is not None else None
    limits = Limits() if minutes is None else Limits(timeout=min(timedelta(minutes=minutes), MAX_TIMEOUT))
    since_us = None
    if query.lookback_seconds is not None:
        since_us = min(before_us, fires_us) - query.lookback_seconds * 1_000_000
    found, size = list[dict[str, Any]](), 0
    with ask(installation, query.text, limits=limits, at=at) as answer:
        for batch in answer.batches:
            size += batch.nbytes
            if len(found) + len(batch) > MOST_ROWS or size > _MOST_BYTES:
                raise QueryError(
                    f"It returns more than {MOST_ROWS:,} rows, or {_MOST_BYTES >> 20} MB. Have it count or filter."
                )
            found += [plain(row) for row in rows(batch)]
        log_type = log_type_of(answer.tables)
    kept = [
        row
        for row in found
        if row.get("p_source_id") not in removed
        and (since_us is None or instant_us(row.get("p_event_time"), fires_us) >= since_us)
    ]
    return kept, log_type
