"""When the last answer of a stream that landed was asked for: stamps of the next process go on after it."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the column; empty: nothing has landed since this revision."""
    op.add_column("streams", sa.Column("observed_us", sa.BigInteger()))
