"""Who may land what no slice is read for, such as a replay of rejections."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the table; a replay has borrowed the claim of a finished slice until now."""
    op.create_table(
        "claims",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("work", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.Text()),
        sa.Column("lease_us", sa.BigInteger()),
        sa.Column("leased_until_us", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_claims"),
        sa.UniqueConstraint("work", "source_id", name="uq_claims_work"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_claims_sources"),
        sqlite_autoincrement=True,
    )
    # What a replay that was killed has left under the fence of a finished slice goes with the next cleaning.
    op.execute("UPDATE slices SET fence = fence + 1 WHERE state IN ('drained', 'retired')")
