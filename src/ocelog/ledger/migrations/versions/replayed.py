"""How many of a stream's rejections fit by now."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the column; what was replayed before counts once it is replayed again."""
    op.add_column("streams", sa.Column("replayed", sa.BigInteger(), nullable=False, server_default="0"))
