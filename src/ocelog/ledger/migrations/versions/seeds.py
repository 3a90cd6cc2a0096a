"""Which rules know what was there before they were turned on."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the table. The rules that are on have judged what came until now: a star stands for them in each table."""
    seeds = op.create_table(
        "rule_seeds",
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("folder_id", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("after_source", sa.Text()),
        sa.Column("after_id", sa.Text()),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("seeded_us", sa.BigInteger()),
        sa.PrimaryKeyConstraint("table_name", "folder_id", "rule_id", name="pk_rule_seeds"),
    )
    tables = op.get_bind().execute(sa.text("SELECT table_name FROM marks WHERE loop = 'detect'")).scalars().all()
    star = {"folder_id": "", "rule_id": "*", "tries": 0, "seeded_us": time.time_ns() // 1_000}
    op.bulk_insert(seeds, [{"table_name": table, **star} for table in sorted(tables)])
