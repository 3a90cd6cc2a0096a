"""Since when a slice fails."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column; what fails already is counted from its next failure on."""
    op.add_column("slices", sa.Column("failing_us", sa.BigInteger(), nullable=True))
