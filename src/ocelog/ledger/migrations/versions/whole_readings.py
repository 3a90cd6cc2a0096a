"""When each request was last asked of all time, one by one: a sweep must not wait for what live slices read."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Replace the one instant of a stream; one reading more is all that forgetting it costs."""
    op.add_column("streams", sa.Column("whole_readings", sa.JSON(), nullable=False, server_default="{}"))
    op.drop_column("streams", "unfiltered_us")
