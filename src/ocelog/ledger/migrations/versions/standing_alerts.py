"""An index of the alerts of records that are not resolved: what a person closed may end with its record, too."""

from typing import Any

from alembic import op
from sqlalchemy import text

revision = "0029"
down_revision = "0028"

_STANDING = text("status <> 'RESOLVED' AND record_id IS NOT NULL")


def upgrade() -> None:
    """Add the index."""
    of_standing: dict[str, Any] = {"sqlite_where": _STANDING, "postgresql_where": _STANDING}
    op.create_index("ix_alerts_standing", "alerts", ["log_type", "source_id", "record_id"], **of_standing)
