"""The stable code of each error that is remembered."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the columns; errors noted before have no code, and a stream's keeps the advice that was stored with it."""
    op.add_column("streams", sa.Column("trouble_code", sa.Text()))
    op.add_column("table_faults", sa.Column("code", sa.Text()))
