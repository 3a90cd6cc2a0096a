"""What was lost of the lake: parts that publishing passed, and files that were given up."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Count how often a part could not be published, and remember what is given up."""
    op.add_column("parts", sa.Column("failures", sa.Integer()))
    op.create_table(
        "given_up",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger()),
        sa.Column("source_id", sa.Text()),
        sa.Column("rows", sa.BigInteger()),
        sa.Column("bytes", sa.BigInteger()),
        sa.Column("min_cursor_us", sa.BigInteger()),
        sa.Column("max_cursor_us", sa.BigInteger()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("noticed_us", sa.BigInteger(), nullable=False),
        sa.Column("repaired_us", sa.BigInteger()),
        sa.PrimaryKeyConstraint("path", name="pk_given_up"),
    )
