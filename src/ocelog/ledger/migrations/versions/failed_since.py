"""Since when a part cannot be read."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column; a part that fails already does so since its next try."""
    op.add_column("parts", sa.Column("failed_us", sa.BigInteger()))
