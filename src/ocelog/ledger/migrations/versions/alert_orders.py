"""Indexes by which lists of alerts are put in order: the worst first, and what matched last first."""

from alembic import op
from sqlalchemy import text

revision = "0026"
down_revision = "0025"

_RANK = (
    "(CASE severity WHEN 'INFO' THEN 0 WHEN 'LOW' THEN 1 WHEN 'MEDIUM' THEN 2 WHEN 'HIGH' THEN 3 "
    "WHEN 'CRITICAL' THEN 4 END)"
)


def upgrade() -> None:
    """Add the indexes."""
    op.create_index("ix_alerts_worst", "alerts", [text(_RANK), "opened_us", "id"])
    op.create_index("ix_alerts_last_match", "alerts", [text("(coalesce(last_event_us, opened_us))"), "id"])
