"""How rules have failed in their last batches: it was forgotten with the process that judged."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Add the table, empty: batches are counted from now on."""
    op.create_table(
        "rule_failures",
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rule_id", name="pk_rule_failures"),
    )
