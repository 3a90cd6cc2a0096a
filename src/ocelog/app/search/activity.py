"""How many events came of late, hour by hour."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from ocelog.app.search.queries import ask
from ocelog.installation.opening import Installation

HOURS = 24


def activity(installation: Installation, now: datetime | None = None) -> Mapping[tuple[str, str], Sequence[int]]:
    """Return, by source id and log type, how many rows landed in each of the last 24 hours, the oldest first."""
    until = (now or datetime.now(UTC)).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    since = until - timedelta(hours=HOURS)
    hour, late = "epoch_us(date_trunc('hour', p_observed_at)) AS hour_us", f"{since:%Y-%m-%d %H:%M:%S}+00"
    what = f"p_source_id AS source, p_log_type AS log_type, {hour}, count(*) AS events"
    sql = f"SELECT {what} FROM all_logs WHERE p_observed_at >= TIMESTAMPTZ '{late}' GROUP BY ALL"  # noqa: S608 - of ours
    counts = dict[tuple[str, str], list[int]]()
    with ask(installation, sql, trusted=True) as answer:
        for row in (row for batch in answer.batches for row in batch.to_pylist()):
            at = (row["hour_us"] // 1_000_000 - int(since.timestamp())) // 3_600
            # What was observed by a clock that was ahead counts as of now.
            counts.setdefault((row["source"], row["log_type"]), [0] * HOURS)[min(at, HOURS - 1)] += row["events"]
    return counts
