"""How far each loop has come in each table."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the table; publishing is where its notes say."""
    op.create_table(
        "marks",
        sa.Column("loop", sa.Text(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("loop", "table_name", name="pk_marks"),
    )
    op.execute(
        "INSERT INTO marks (loop, table_name, sequence) SELECT 'publish', c.table_name, COALESCE("
        "(SELECT MIN(p.sequence) - 1 FROM parts p WHERE p.table_name = c.table_name AND p.published_us IS NULL), "
        "c.last) FROM counters c"
    )
