"""When the last answer of a stream that landed was asked for: stamps of the next process go on after it."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the column. When it landed, by the offset of the clocks, is the least that is known to be after."""
    op.add_column("streams", sa.Column("observed_us", sa.BigInteger()))
    op.execute("UPDATE streams SET observed_us = last_success_us + COALESCE(offset_us, 0)")
