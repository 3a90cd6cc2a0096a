"""The first tables: sources, secrets, streams, slices, counters, parts, rejection keys."""

import secrets
import time

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make all tables."""
    _make_sources()
    _make_streams()
    _make_slices()
    _make_landing()
    _make_identity()


def _make_identity() -> None:
    identity = op.create_table(
        "ledger",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ledger"),
    )
    op.bulk_insert(identity, [{"id": secrets.token_hex(8), "created_us": time.time_ns() // 1000}])


def _make_sources() -> None:
    op.create_table(
        "sources",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("removed_us", sa.BigInteger()),
        sa.Column("added_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sources"),
    )
    present = sa.text("removed_us IS NULL")
    op.create_index("ix_sources_name", "sources", ["name"], unique=True, sqlite_where=present, postgresql_where=present)
    op.create_table(
        "secrets",
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary()),
        sa.Column("reference", sa.Text()),
        sa.PrimaryKeyConstraint("source_id", "name", name="pk_secrets"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_secrets_sources"),
    )


def _make_streams() -> None:
    op.create_table(
        "streams",
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("log_type", sa.Text(), nullable=False),
        sa.Column("edge_us", sa.BigInteger()),
        sa.Column("backfill_since_us", sa.BigInteger()),
        sa.Column("relook_us", sa.BigInteger()),
        sa.Column("swept_us", sa.BigInteger()),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("repeats", sa.BigInteger(), nullable=False),
        sa.Column("rejections", sa.BigInteger(), nullable=False),
        sa.Column("unknown_fields", sa.JSON(), nullable=False),
        sa.Column("refused", sa.JSON(), nullable=False),
        sa.Column("last_success_us", sa.BigInteger()),
        sa.Column("last_event_us", sa.BigInteger()),
        sa.Column("trouble", sa.Text()),
        sa.Column("trouble_kind", sa.Text()),
        sa.Column("trouble_todo", sa.Text()),
        sa.Column("trouble_us", sa.BigInteger()),
        sa.PrimaryKeyConstraint("source_id", "log_type", name="pk_streams"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_streams_sources"),
    )


def _make_slices() -> None:
    op.create_table(
        "slices",
        sa.Column("id", _ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("log_type", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("checkpoint", sa.JSON(), nullable=False),
        sa.Column("short_by", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("holder", sa.Text()),
        sa.Column("lease_us", sa.BigInteger()),
        sa.Column("leased_until_us", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_slices"),
        sa.ForeignKeyConstraint(
            ["source_id", "log_type"], ["streams.source_id", "streams.log_type"], name="fk_slices_streams"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_slices_due", "slices", ["state", "due_us"])
    op.create_index("ix_slices_stream", "slices", ["source_id", "log_type", "state"])


def _make_landing() -> None:
    op.create_table(
        "counters",
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("removed_through", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("table_name", name="pk_counters"),
    )
    op.create_table(
        "parts",
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("min_cursor_us", sa.BigInteger(), nullable=False),
        sa.Column("max_cursor_us", sa.BigInteger(), nullable=False),
        sa.Column("landed_us", sa.BigInteger(), nullable=False),
        sa.Column("published_us", sa.BigInteger()),
        sa.PrimaryKeyConstraint("table_name", "sequence", name="pk_parts"),
        sa.UniqueConstraint("path", name="uq_parts_path"),
    )
    op.create_table(
        "rejection_keys",
        sa.Column("rejection_key", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("rejection_key", name="pk_rejection_keys"),
    )
