"""What sweeps need: which sweep a slice belongs to, how each stream's sweeps go, suspects, coverage."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the tables and columns."""
    for table in ("streams", "slices"):
        op.add_column(table, sa.Column("sweep_round", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "sweeps",
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("log_type", sa.Text(), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("planned_us", sa.BigInteger(), nullable=False),
        sa.Column("finished_us", sa.BigInteger()),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("complete_us", sa.BigInteger()),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("missing", sa.BigInteger(), nullable=False),
        sa.Column("inferred", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text()),
        sa.Column("vanished", sa.Boolean(), nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("measured_round", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source_id", "log_type", name="pk_sweeps"),
    )
    op.create_table(
        "suspects",
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("log_type", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("row_id", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("verified_round", sa.BigInteger(), nullable=False),
        sa.Column("absent_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source_id", "log_type", "record_id", name="pk_suspects"),
    )
    op.create_table(
        "coverage",
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("log_type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("at_source", sa.BigInteger(), nullable=False),
        sa.Column("at_least", sa.Boolean(), nullable=False),
        sa.Column("in_lake", sa.BigInteger(), nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.Column("measured_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source_id", "log_type", "status", name="pk_coverage"),
    )
