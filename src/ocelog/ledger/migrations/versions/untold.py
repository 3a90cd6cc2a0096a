"""How many alerts of which nobody hears each rule opened in each hour."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the column; those of before were counted with the others."""
    op.add_column("alert_limits", sa.Column("untold", sa.BigInteger(), nullable=False, server_default="0"))
