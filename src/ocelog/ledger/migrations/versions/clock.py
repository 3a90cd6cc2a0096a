"""What a stream remembers to lose nothing when the API's clock lied: offset and covered."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns; a stream that has begun learns its offset when it is next planned."""
    op.add_column("streams", sa.Column("offset_us", sa.BigInteger()))
    op.add_column("streams", sa.Column("covered", sa.JSON(), nullable=False, server_default="[]"))
