"""Which removed sources still have alerts to be resolved: that is done some at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Add the column; the alerts of a source that was removed before were resolved with that."""
    op.add_column("sources", sa.Column("ending", sa.Boolean(), nullable=False, server_default=sa.false()))
