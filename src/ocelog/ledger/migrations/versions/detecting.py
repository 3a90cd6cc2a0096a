"""What judging, alerts and delivery need; what has landed before this release is not judged."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the tables and columns. The new loop begins behind what there is: only the parts of new tables start at 0."""
    op.add_column("marks", sa.Column("row", sa.BigInteger(), nullable=False, server_default="0"))
    for column in ("onboarded_us", "gap_since_us", "gap_until_us"):
        op.add_column("streams", sa.Column(column, sa.BigInteger()))
    op.execute("UPDATE streams SET onboarded_us = edge_us")
    op.execute(
        "INSERT INTO marks (loop, table_name, sequence) SELECT 'detect', c.table_name, c.last FROM counters c "
        "WHERE c.table_name <> 'rejections'"
    )
    op.create_table(
        "rule_folders",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("network", sa.Boolean(), nullable=False),
        sa.Column("unprotected", sa.Boolean(), nullable=False),
        sa.Column("packs", sa.JSON(), nullable=False),
        sa.Column("added_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rule_folders"),
        sa.UniqueConstraint("name", name="uq_rule_folders_name"),
    )
    op.create_table(
        "rule_troubles",
        sa.Column("folder_id", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("noted_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("folder_id", "rule_id", name="pk_rule_troubles"),
    )
    op.create_table(
        "rule_states",
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean()),
        sa.Column("suspended_us", sa.BigInteger()),
        sa.Column("reason", sa.Text()),
        sa.Column("changed_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rule_id", name="pk_rule_states"),
    )
    op.create_table(
        "match_keys",
        sa.Column("match_id", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("matched_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("match_id", name="pk_match_keys"),
    )
    op.create_index("ix_match_keys_matched", "match_keys", ["matched_us"])
    op.create_table(
        "alert_groups",
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("window", sa.BigInteger(), nullable=False),
        sa.Column("opened_us", sa.BigInteger(), nullable=False),
        sa.Column("lasts_us", sa.BigInteger(), nullable=False),
        sa.Column("matches", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.Column("kept", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("group_key", name="pk_alert_groups"),
    )
    op.create_index("ix_alert_groups_opened", "alert_groups", ["opened_us"])
    op.create_table(
        "alert_limits",
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("hour_us", sa.BigInteger(), nullable=False),
        sa.Column("alerts", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rule_id", "hour_us", name="pk_alert_limits"),
    )
    op.create_table(
        "alerts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("runbook", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("rule_name", sa.Text(), nullable=False),
        sa.Column("rule_revision", sa.Text(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("dedup", sa.Text(), nullable=False),
        sa.Column("log_type", sa.Text()),
        sa.Column("source_id", sa.Text()),
        sa.Column("source_label", sa.Text()),
        sa.Column("record_id", sa.Text()),
        sa.Column("record_version", sa.Text()),
        sa.Column("link", sa.Text()),
        sa.Column("destinations", sa.JSON()),
        sa.Column("context", sa.JSON(), nullable=False),
        sa.Column("matches", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.Column("told_severity", sa.Text()),
        sa.Column("told_us", sa.BigInteger()),
        sa.Column("visible", sa.Boolean(), nullable=False),
        sa.Column("known", sa.Boolean(), nullable=False),
        sa.Column("opened_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("first_event_us", sa.BigInteger()),
        sa.Column("last_event_us", sa.BigInteger()),
        sa.Column("ended_us", sa.BigInteger()),
        sa.Column("acknowledged_us", sa.BigInteger()),
        sa.Column("assignee", sa.Text()),
        sa.Column("close_reason", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
    )
    op.create_index("ix_alerts_ended", "alerts", ["ended_us"])
    op.create_index("ix_alerts_opened", "alerts", ["opened_us", "id"])
    op.create_index("ix_alerts_record", "alerts", ["record_id"])
    op.create_index("ix_alerts_rule", "alerts", ["rule_id", "status"])
    op.create_index("ix_alerts_source", "alerts", ["source_id"])
    op.create_index("ix_alerts_status", "alerts", ["status", "severity"])
    op.create_index("ix_alerts_updated", "alerts", ["updated_us"])
    op.create_table(
        "alert_events",
        sa.Column("id", _ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alert_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alert_events_alert", "alert_events", ["alert_id", "id"])
    op.create_table(
        "outbox",
        sa.Column("id", _ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("happened", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("waits_since_us", sa.BigInteger()),
        sa.Column("handed", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_alert", "outbox", ["alert_id", "channel_id", "id"])
    op.create_index("ix_outbox_channel", "outbox", ["channel_id", "due_us"])
    op.create_table(
        "deliveries",
        sa.Column("id", _ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("outbox_id", sa.BigInteger(), nullable=False),
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("happened", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("delivered", sa.Boolean(), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("code", sa.Text()),
        sa.Column("merged", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_deliveries_alert", "deliveries", ["alert_id", "id"])
    op.create_index("ix_deliveries_channel", "deliveries", ["channel_id", "at_us"])
    op.create_table(
        "channels",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("routing", sa.JSON(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("added_us", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("holder", sa.Text()),
        sa.Column("lease_us", sa.BigInteger()),
        sa.Column("leased_until_us", sa.BigInteger()),
        sa.Column("failures", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("failing_us", sa.BigInteger()),
        sa.Column("rests_until_us", sa.BigInteger()),
        sa.Column("rests_since_us", sa.BigInteger()),
        sa.Column("trouble", sa.Text()),
        sa.Column("trouble_code", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_channels"),
        sa.UniqueConstraint("name", name="uq_channels_name"),
    )
    op.create_table(
        "channel_secrets",
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary()),
        sa.Column("reference", sa.Text()),
        sa.ForeignKeyConstraint(["channel_id"], ["channels.id"], name="fk_channel_secrets_channels"),
        sa.PrimaryKeyConstraint("channel_id", "name", name="pk_channel_secrets"),
    )
    op.create_table(
        "unjudged",
        sa.Column("id", _ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("first_row_id", sa.Text(), nullable=False),
        sa.Column("first_us", sa.BigInteger(), nullable=False),
        sa.Column("last_us", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("noted_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_unjudged"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_unjudged_rule", "unjudged", ["table_name", "rule_id"])
    op.create_table(
        "suppressions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text()),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.Column("added_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_suppressions"),
    )
    op.create_table(
        "schedules",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("fired_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_schedules"),
    )
