"""Which home a ledger belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the column; the next home that opens the ledger writes its name."""
    op.add_column("ledger", sa.Column("home", sa.Text()))
