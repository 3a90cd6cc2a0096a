"""When each stream received its newest event, how each one is, and what people were told of it."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add columns and tables. What was received last is taken to be the latest event, which no date makes later."""
    op.add_column("streams", sa.Column("received_us", sa.BigInteger()))
    op.add_column("streams", sa.Column("received_source_us", sa.BigInteger()))
    op.execute("UPDATE streams SET last_event_us = last_success_us WHERE last_event_us > last_success_us")
    op.execute(
        "UPDATE streams SET received_us = last_event_us - COALESCE(offset_us, 0), received_source_us = last_event_us"
    )
    op.create_table(
        "health",
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("log_type", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("alarm", sa.Text(), nullable=False),
        sa.Column("alarm_since_us", sa.BigInteger(), nullable=False),
        sa.Column("silence_us", sa.BigInteger(), nullable=False),
        sa.Column("polled_us", sa.BigInteger()),
        sa.Column("polled_source_us", sa.BigInteger()),
        sa.Column("received_us", sa.BigInteger()),
        sa.Column("received_source_us", sa.BigInteger()),
        sa.Column("rejections", sa.BigInteger(), nullable=False),
        sa.Column("rejected_us", sa.BigInteger()),
        sa.Column("counted", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("source_id", "log_type", name="pk_health"),
    )
    op.create_table(
        "system_errors",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("log_type", sa.Text(), nullable=False),
        sa.Column("source_name", sa.Text(), nullable=False),
        sa.Column("opened_us", sa.BigInteger(), nullable=False),
        sa.Column("told_us", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_system_errors"),
    )
    op.create_index("ix_system_errors_source", "system_errors", ["source_id"])
