"""What programs show to be let in, and what they were answered."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add the tables, empty."""
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.Column("ends_us", sa.BigInteger(), nullable=False),
        sa.Column("used_us", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_api_tokens"),
        sa.UniqueConstraint("mark", name="uq_api_tokens_mark"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_api_tokens_users"),
    )
    op.create_index("ix_api_tokens_user_id", "api_tokens", ["user_id"])
    op.create_table(
        "api_answers",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.BigInteger()),
        sa.Column("body", sa.Text()),
        sa.PrimaryKeyConstraint("key", name="pk_api_answers"),
        sa.ForeignKeyConstraint(["token_id"], ["api_tokens.id"], name="fk_api_answers_api_tokens"),
    )
    op.create_index("ix_api_answers_token_id", "api_answers", ["token_id"])
    op.create_index("ix_api_answers_at_us", "api_answers", ["at_us"])
