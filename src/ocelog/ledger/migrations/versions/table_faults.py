"""What is wrong with each table, such as why publishing fails; and since when a stream's totals are off."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add both; totals that are off already were last confirmed, so found, no later than that."""
    op.create_table(
        "table_faults",
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.Column("last_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("table_name", "what", name="pk_table_faults"),
    )
    op.add_column("streams", sa.Column("total_off_since_us", sa.BigInteger()))
    op.execute("UPDATE streams SET total_off_since_us = total_off_us")
