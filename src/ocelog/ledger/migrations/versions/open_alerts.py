"""Indexes of the alerts that are open, in the orders of their lists, instead of one by status that was sorted after."""

from typing import Any

from alembic import op
from sqlalchemy import text

revision = "0027"
down_revision = "0026"

_OPEN = text("status NOT IN ('CLOSED', 'RESOLVED')")
_RANK = (
    "(CASE severity WHEN 'INFO' THEN 0 WHEN 'LOW' THEN 1 WHEN 'MEDIUM' THEN 2 WHEN 'HIGH' THEN 3 "
    "WHEN 'CRITICAL' THEN 4 END)"
)


def upgrade() -> None:
    """Exchange the indexes."""
    worst, last_match = text(_RANK), text("(coalesce(last_event_us, opened_us))")
    of_open: dict[str, Any] = {"sqlite_where": _OPEN, "postgresql_where": _OPEN}
    op.create_index("ix_alerts_open", "alerts", ["opened_us", "id"], **of_open)
    op.create_index("ix_alerts_open_worst", "alerts", [worst, "opened_us", "id"], **of_open)
    op.create_index("ix_alerts_open_last_match", "alerts", [last_match, "id"], **of_open)
    op.drop_index("ix_alerts_status", "alerts")
