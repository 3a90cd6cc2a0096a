"""What a stream's source gets wrong, and further filters of a slice."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns; what is there already knows of no faults and no filters."""
    for name in ("total_off_by", "total_off_floor", "total_off_us", "unfiltered_us"):
        op.add_column("streams", sa.Column(name, sa.BigInteger()))
    op.add_column("slices", sa.Column("narrowed", sa.JSON()))
