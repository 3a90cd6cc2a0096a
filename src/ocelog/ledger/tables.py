"""What the ledger remembers, table by table. Instants are microseconds since 1970 (columns named `*_us`)."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    literal_column,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

# SQLite counts up only an INTEGER PRIMARY KEY, which holds 64 bits there all the same.
_ROW_NUMBER = BigInteger().with_variant(Integer(), "sqlite")

identity = Table(
    "ledger",
    metadata,
    Column("id", Text, primary_key=True),
    Column("created_us", BigInteger, nullable=False),
    Column("home", Text),
)

sources = Table(
    "sources",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("removed_us", BigInteger),
    Column("added_us", BigInteger, nullable=False),
    # It was removed, and its alerts are being resolved.
    Column("ending", Boolean, nullable=False, server_default=false()),
)
_present = sources.c.removed_us.is_(None)
_names = Index("ix_sources_name", sources.c.name, unique=True, sqlite_where=_present)


def prepare_for_postgresql() -> None:
    """Say of the tables what only PostgreSQL needs: its part of SQLAlchemy takes 40 ms to import."""
    _names.dialect_options["postgresql"]["where"] = _present
    for index in _of_open:
        index.dialect_options["postgresql"]["where"] = OPEN_ALERT
    _of_standing.dialect_options["postgresql"]["where"] = STANDING_ALERT


secrets = Table(
    "secrets",
    metadata,
    Column("source_id", Text, ForeignKey("sources.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("sealed", LargeBinary),
    Column("reference", Text),
)

streams = Table(
    "streams",
    metadata,
    Column("source_id", Text, ForeignKey("sources.id"), primary_key=True),
    Column("log_type", Text, primary_key=True),
    Column("edge_us", BigInteger),
    Column("backfill_since_us", BigInteger),
    Column("relook_us", BigInteger),
    Column("swept_us", BigInteger),
    Column("events", BigInteger, nullable=False, default=0),
    Column("repeats", BigInteger, nullable=False, default=0),
    Column("rejections", BigInteger, nullable=False, default=0),
    Column("unknown_fields", JSON, nullable=False, default=dict),
    Column("refused", JSON, nullable=False, default=list),
    Column("last_success_us", BigInteger),
    Column("last_event_us", BigInteger),
    Column("trouble", Text),
    Column("trouble_kind", Text),
    Column("trouble_todo", Text),
    Column("trouble_us", BigInteger),
    Column("offset_us", BigInteger),
    Column("covered", JSON, nullable=False, default=list, server_default="[]"),
    Column("sweep_round", BigInteger, nullable=False, default=0, server_default="0"),
    Column("total_off_by", BigInteger),
    Column("total_off_floor", BigInteger),
    Column("total_off_us", BigInteger),
    Column("whole_readings", JSON, nullable=False, default=dict, server_default="{}"),
    Column("total_off_since_us", BigInteger),
    Column("trouble_code", Text),
    Column("replayed", BigInteger, nullable=False, default=0, server_default="0"),
    Column("observed_us", BigInteger),
    # What happened before is history; what happened in the gap was read more than a day late.
    Column("onboarded_us", BigInteger),
    Column("gap_since_us", BigInteger),
    Column("gap_until_us", BigInteger),
    Column("received_us", BigInteger),
    Column("received_source_us", BigInteger),
)

slices = Table(
    "slices",
    metadata,
    Column("id", _ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("source_id", Text, nullable=False),
    Column("log_type", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("since_us", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("due_us", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("checkpoint", JSON, nullable=False),
    Column("short_by", BigInteger, nullable=False),
    Column("reason", Text),
    Column("holder", Text),
    Column("lease_us", BigInteger),
    Column("leased_until_us", BigInteger),
    Column("failing_us", BigInteger),
    Column("sweep_round", BigInteger, nullable=False, default=0, server_default="0"),
    Column("narrowed", JSON(none_as_null=True)),
    ForeignKeyConstraint(["source_id", "log_type"], ["streams.source_id", "streams.log_type"]),
    Index("ix_slices_due", "state", "due_us"),
    Index("ix_slices_stream", "source_id", "log_type", "state"),
    # A number that came again would let an old file pass for a new slice's.
    sqlite_autoincrement=True,
)

counters = Table(
    "counters",
    metadata,
    Column("table_name", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
    Column("removed_through", BigInteger, nullable=False),
)

# Who may land what no slice is read for: a replay of the rejections of a source, for example.
claims = Table(
    "claims",
    metadata,
    Column("id", _ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("work", Text, nullable=False),
    Column("source_id", Text, ForeignKey("sources.id"), nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("holder", Text),
    Column("lease_us", BigInteger),
    Column("leased_until_us", BigInteger),
    UniqueConstraint("work", "source_id"),
    # As for slices: a number that came again would let an old file pass for a new claim's.
    sqlite_autoincrement=True,
)

# How far each loop has come in each table: the number of the last part that it is done with.
marks = Table(
    "marks",
    metadata,
    Column("loop", Text, primary_key=True),
    Column("table_name", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    # Rows of the part after it that the loop is done with, too.
    Column("row", BigInteger, nullable=False, default=0, server_default="0"),
)

parts = Table(
    "parts",
    metadata,
    Column("table_name", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("path", Text, nullable=False, unique=True),
    Column("source_id", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("min_cursor_us", BigInteger, nullable=False),
    Column("max_cursor_us", BigInteger, nullable=False),
    Column("landed_us", BigInteger, nullable=False),
    Column("published_us", BigInteger),
    Column("failures", Integer),
    Column("failed_us", BigInteger),
)

given_up = Table(
    "given_up",
    metadata,
    Column("path", Text, primary_key=True),
    Column("table_name", Text, nullable=False),
    Column("sequence", BigInteger),
    Column("source_id", Text),
    Column("rows", BigInteger),
    Column("bytes", BigInteger),
    Column("min_cursor_us", BigInteger),
    Column("max_cursor_us", BigInteger),
    Column("reason", Text, nullable=False),
    Column("noticed_us", BigInteger, nullable=False),
    Column("repaired_us", BigInteger),
)

# What is wrong with a table at the moment, or with a loop (then the table is empty, and `what` begins with the loop's
# name); a row goes when the same thing works again, or when the loop is no more.
table_faults = Table(
    "table_faults",
    metadata,
    Column("table_name", Text, primary_key=True),
    Column("what", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("since_us", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    Column("code", Text),
)

rejection_keys = Table(
    "rejection_keys",
    metadata,
    Column("rejection_key", Text, primary_key=True),
    Column("source_id", Text, nullable=False),
)

# A row for each stream that sweeps: how its newest sweep goes, and how the last ones went.
sweeps = Table(
    "sweeps",
    metadata,
    Column("source_id", Text, primary_key=True),
    Column("log_type", Text, primary_key=True),
    Column("round", BigInteger, nullable=False),
    Column("stage", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("planned_us", BigInteger, nullable=False),
    Column("finished_us", BigInteger),
    Column("complete", Boolean, nullable=False),
    Column("complete_us", BigInteger),
    Column("seen", BigInteger, nullable=False),
    Column("missing", BigInteger, nullable=False),
    Column("inferred", BigInteger, nullable=False),
    Column("note", Text),
    Column("vanished", Boolean, nullable=False),
    Column("accepted", Boolean, nullable=False),
    Column("measured_round", BigInteger, nullable=False),
)

# Open records that a sweep did not show, until another shows them, their state changes, or they are inferred closed.
suspects = Table(
    "suspects",
    metadata,
    Column("source_id", Text, primary_key=True),
    Column("log_type", Text, primary_key=True),
    Column("record_id", Text, primary_key=True),
    Column("row_id", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("round", BigInteger, nullable=False),
    Column("times", BigInteger, nullable=False),
    Column("verified_round", BigInteger, nullable=False),
    Column("absent_us", BigInteger, nullable=False),
)

coverage = Table(
    "coverage",
    metadata,
    Column("source_id", Text, primary_key=True),
    Column("log_type", Text, primary_key=True),
    Column("status", Text, primary_key=True),
    Column("at_source", BigInteger, nullable=False),
    Column("at_least", Boolean, nullable=False),
    Column("in_lake", BigInteger, nullable=False),
    Column("since_us", BigInteger, nullable=False),
    Column("measured_us", BigInteger, nullable=False),
)

# Folders and checkouts of rules that a person registered.
rule_folders = Table(
    "rule_folders",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("path", Text, nullable=False),
    Column("network", Boolean, nullable=False),
    Column("unprotected", Boolean, nullable=False),
    Column("packs", JSON, nullable=False),
    Column("added_us", BigInteger, nullable=False),
)

# What keeps the process that judges from judging by the files as they are: as of its last look at them.
rule_troubles = Table(
    "rule_troubles",
    metadata,
    Column("folder_id", Text, primary_key=True),
    # Or a file of rules that does not read; empty: the folder.
    Column("rule_id", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("noted_us", BigInteger, nullable=False),
)

# What a person decided about a rule, or its failures brought about; a rule without a row is as its file says.
rule_states = Table(
    "rule_states",
    metadata,
    Column("rule_id", Text, primary_key=True),
    Column("enabled", Boolean),
    Column("suspended_us", BigInteger),
    Column("reason", Text),
    Column("changed_us", BigInteger, nullable=False),
)

# How rules that are asked have failed in their last batches. A row goes once none of these is left, and with what makes
# them count no more: a change of the rule, or a person who turns it on or off.
rule_failures = Table(
    "rule_failures",
    metadata,
    Column("rule_id", Text, primary_key=True),
    Column("revision", Text, nullable=False),
    # A bit for each of the last batches, the newest the lowest.
    Column("spent", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
)

# Which rules whose alerts live with a record know what was so in a table when they were turned on. A row goes once its
# rule is not on any more: if it is turned on again, what is so by then is made known anew.
rule_seeds = Table(
    "rule_seeds",
    metadata,
    Column("table_name", Text, primary_key=True),
    Column("folder_id", Text, primary_key=True),
    # A star, of no folder: all rules that are on, in a ledger of before these rows.
    Column("rule_id", Text, primary_key=True),
    # The last record that the rule knows, until it knows all.
    Column("after_source", Text),
    Column("after_id", Text),
    Column("tries", BigInteger, nullable=False),
    # Null: not yet.
    Column("seeded_us", BigInteger),
)

# Matches that have landed: a rule matches a row once, however often it is judged. A row goes after some weeks: only
# what is judged again can meet it, and a replay asks the lake too.
match_keys = Table(
    "match_keys",
    metadata,
    Column("match_id", Text, primary_key=True),
    Column("source_id", Text, nullable=False),
    Column("matched_us", BigInteger, nullable=False),
    Index("ix_match_keys_matched", "matched_us"),
)

# What a rule calls one thing, and its newest window. A row goes some time after its window is over.
alert_groups = Table(
    "alert_groups",
    metadata,
    Column("group_key", Text, primary_key=True),
    Column("rule_id", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("window", BigInteger, nullable=False),
    Column("opened_us", BigInteger, nullable=False),
    Column("lasts_us", BigInteger, nullable=False),
    Column("matches", BigInteger, nullable=False),
    Column("told", Boolean, nullable=False),
    Column("kept", JSON, nullable=False),
    Index("ix_alert_groups_opened", "opened_us"),
)

# Of how many alerts of each rule people were told in each hour, and how many others opened. A row goes the day after.
alert_limits = Table(
    "alert_limits",
    metadata,
    Column("rule_id", Text, primary_key=True),
    Column("hour_us", BigInteger, primary_key=True),
    Column("alerts", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("untold", BigInteger, nullable=False, default=0, server_default="0"),
)

# An alert stays until it has been closed or resolved for longer than alerts are kept, or its source is purged. One that
# would be told again stays longer: that its source is read, or that a record is so that a person closed it for. One of
# which nobody heard goes 30 days after its last match, once its window is over.
# As texts: SQLite takes an index only for the very expression that it is made of, in which a parameter is none of it.
SEVERITY_RANK = literal_column(
    "(CASE severity WHEN 'INFO' THEN 0 WHEN 'LOW' THEN 1 WHEN 'MEDIUM' THEN 2 WHEN 'HIGH' THEN 3 "
    "WHEN 'CRITICAL' THEN 4 END)",
    Integer(),
)
LAST_MATCH_US = literal_column("(coalesce(last_event_us, opened_us))", BigInteger())
# That somebody has to look at an alert: as `ENDED` has it. SQLite takes an index of a part of a table only for a
# condition that is written out as in the index; with a type, SQLAlchemy would write another one.
OPEN_ALERT: ColumnElement[bool] = literal_column("status NOT IN ('CLOSED', 'RESOLVED')")
# That the alert of a record is not resolved, though a person may have closed it: its record may not have ended since.
STANDING_ALERT: ColumnElement[bool] = literal_column("status <> 'RESOLVED' AND record_id IS NOT NULL")
_of_standing = Index("ix_alerts_standing", "log_type", "source_id", "record_id", sqlite_where=STANDING_ALERT)
_of_open = (
    Index("ix_alerts_open", "opened_us", "id", sqlite_where=OPEN_ALERT),
    Index("ix_alerts_open_worst", SEVERITY_RANK, "opened_us", "id", sqlite_where=OPEN_ALERT),
    Index("ix_alerts_open_last_match", LAST_MATCH_US, "id", sqlite_where=OPEN_ALERT),
)
alerts = Table(
    "alerts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("runbook", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("rule_id", Text, nullable=False),
    Column("rule_name", Text, nullable=False),
    Column("rule_revision", Text, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("dedup", Text, nullable=False),
    Column("log_type", Text),
    Column("source_id", Text),
    Column("source_label", Text),
    # Of an alert that lives with a record.
    Column("record_id", Text),
    Column("record_version", Text),
    Column("link", Text),
    # Channels that the rule named; null: those that are subscribed.
    Column("destinations", JSON(none_as_null=True)),
    Column("context", JSON, nullable=False),
    Column("matches", BigInteger, nullable=False),
    Column("told", Boolean, nullable=False),
    Column("told_severity", Text),
    Column("told_us", BigInteger),
    Column("visible", Boolean, nullable=False),
    Column("known", Boolean, nullable=False),
    Column("opened_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("first_event_us", BigInteger),
    Column("last_event_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("acknowledged_us", BigInteger),
    Column("assignee", Text),
    Column("close_reason", Text),
    Index("ix_alerts_record", "record_id"),
    Index("ix_alerts_updated", "updated_us"),
    Index("ix_alerts_opened", "opened_us", "id"),
    Index("ix_alerts_worst", SEVERITY_RANK, "opened_us", "id"),
    Index("ix_alerts_last_match", LAST_MATCH_US, "id"),
    *_of_open,
    _of_standing,
    Index("ix_alerts_ended", "ended_us"),
    Index("ix_alerts_rule", "rule_id", "status"),
    Index("ix_alerts_source", "source_id"),
)

# The timeline of an alert: it goes with it. Of one that stays, what Ocelog did goes when it is older than ended alerts
# are kept, but the first entry and the last.
alert_events = Table(
    "alert_events",
    metadata,
    Column("id", _ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("alert_id", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_alert_events_alert", "alert_id", "id"),
    sqlite_autoincrement=True,
)

# What is left to tell: one row for a thing that happened to an alert and a channel that hears of it. It goes when that
# is delivered, given up or merged into a later one; `deliveries` keeps what came of it.
outbox = Table(
    "outbox",
    metadata,
    Column("id", _ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("alert_id", Text, nullable=False),
    Column("channel_id", Text, nullable=False),
    Column("happened", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("due_us", BigInteger, nullable=False),
    Column("tries", BigInteger, nullable=False),
    # When it was decided that it waits until then; null: when it was made.
    Column("waits_since_us", BigInteger),
    # Number of the telling with which it is under way: that of the newest of the entries that go together.
    Column("handed", BigInteger),
    Index("ix_outbox_channel", "channel_id", "due_us"),
    Index("ix_outbox_alert", "alert_id", "channel_id", "id"),
    # A number names a delivery at its receiver: it must never come again.
    sqlite_autoincrement=True,
)

# Each attempt to deliver, with the far end's answer: it goes with its alert. Of one that stays it goes when it is older
# than ended alerts are kept, but the last through each channel, and the last that arrived there.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("outbox_id", BigInteger, nullable=False),
    Column("alert_id", Text, nullable=False),
    Column("channel_id", Text, nullable=False),
    Column("happened", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("delivered", Boolean, nullable=False),
    # Whether it is not tried again.
    Column("final", Boolean, nullable=False),
    Column("answer", Text, nullable=False),
    Column("code", Text),
    # How many entries went together.
    Column("merged", BigInteger, nullable=False),
    Index("ix_deliveries_alert", "alert_id", "id"),
    Index("ix_deliveries_channel", "channel_id", "at_us"),
    sqlite_autoincrement=True,
)

# Where alerts are sent, who delivers there now, and how that goes.
channels = Table(
    "channels",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("routing", JSON, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("added_us", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False, default=0, server_default="0"),
    Column("holder", Text),
    Column("lease_us", BigInteger),
    Column("leased_until_us", BigInteger),
    # Tries that failed since the last that did not.
    Column("failures", BigInteger, nullable=False, default=0, server_default="0"),
    Column("failing_us", BigInteger),
    # Nothing is tried before; when that was decided.
    Column("rests_until_us", BigInteger),
    Column("rests_since_us", BigInteger),
    Column("trouble", Text),
    Column("trouble_code", Text),
)

channel_secrets = Table(
    "channel_secrets",
    metadata,
    Column("channel_id", Text, ForeignKey("channels.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("sealed", LargeBinary),
    Column("reference", Text),
)

# What was passed without being judged: until it is replayed or dismissed.
unjudged = Table(
    "unjudged",
    metadata,
    Column("id", _ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("table_name", Text, nullable=False),
    Column("rule_id", Text, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("first_row_id", Text, nullable=False),
    Column("first_us", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("noted_us", BigInteger, nullable=False),
    Index("ix_unjudged_rule", "table_name", "rule_id"),
    sqlite_autoincrement=True,
)

# What tells nobody for a while: suppressions by rule and values, and maintenance windows. A row goes when its time is
# long over.
suppressions = Table(
    "suppressions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("rule_id", Text),
    Column("fields", JSON, nullable=False),
    Column("owner", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since_us", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=False),
    Column("added_us", BigInteger, nullable=False),
)

# When what runs on a schedule was due last. The row of one that is off or gone goes when the loop looks.
schedules = Table(
    "schedules",
    metadata,
    Column("name", Text, primary_key=True),
    Column("fired_us", BigInteger, nullable=False),
)

# Which schedules a query had: each with the last fire time before it, and when that was seen. The last of each name
# stay, also while it is off: its runs of the past are told by them. There are as many names as queries that ever ran.
timetables = Table(
    "timetables",
    metadata,
    Column("name", Text, primary_key=True),
    Column("since_us", BigInteger, primary_key=True),
    Column("noted_us", BigInteger, nullable=False),
    Column("schedule", Text, nullable=False),
)

# How each stream was when the loop of health looked at it last. `counted` is how many rows had landed at some instants,
# from which the rate follows.
health = Table(
    "health",
    metadata,
    Column("source_id", Text, primary_key=True),
    Column("log_type", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("since_us", BigInteger, nullable=False),
    Column("why", Text, nullable=False),
    Column("alarm", Text, nullable=False),
    Column("alarm_since_us", BigInteger, nullable=False),
    Column("silence_us", BigInteger, nullable=False),
    Column("polled_us", BigInteger),
    Column("polled_source_us", BigInteger),
    Column("received_us", BigInteger),
    Column("received_source_us", BigInteger),
    Column("rejections", BigInteger, nullable=False),
    Column("rejected_us", BigInteger),
    Column("counted", JSON, nullable=False),
)

# System errors of streams that people were told of. A row goes when people were told that it is over.
system_errors = Table(
    "system_errors",
    metadata,
    Column("key", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("log_type", Text, nullable=False),
    Column("source_name", Text, nullable=False),
    Column("opened_us", BigInteger, nullable=False),
    Column("told_us", BigInteger, nullable=False),
    Column("times", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    Index("ix_system_errors_source", "source_id"),
)

# Who may use the console and the API. A user is disabled, never deleted: the trail names them.
users = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("password", Text),
    Column("language", Text),
    Column("subject", Text),
    Column("added_us", BigInteger, nullable=False),
    Column("disabled_us", BigInteger),
    UniqueConstraint("name"),
    UniqueConstraint("subject"),
)

# Browsers in which somebody has signed in, by a hash of the secret in their cookie. A row goes when it is over.
sessions = Table(
    "sessions",
    metadata,
    Column("mark", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("since_us", BigInteger, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
    Column("ends_us", BigInteger, nullable=False),
    Column("address", Text, nullable=False),
    Column("browser", Text, nullable=False),
    Index("ix_sessions_user_id", "user_id"),
)

# How often signing in failed of late, by name and by address. A row goes a day after the last failure.
sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    Column("key", Text, primary_key=True),
    Column("failures", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    Index("ix_sign_in_failures_last_us", "last_us"),
)

# What was done through the console and the API. Rows go when they are older than the trail is kept.
deeds = Table(
    "deeds",
    metadata,
    Column("number", _ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("at_us", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("details", JSON, nullable=False),
    Column("address", Text, nullable=False),
    Index("ix_deeds_at_us", "at_us"),
)

# What programs show instead of a password, by a hash of it. A row goes when it is revoked, or some time after its end.
api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("mark", Text, nullable=False),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_us", BigInteger, nullable=False),
    Column("ends_us", BigInteger, nullable=False),
    Column("used_us", BigInteger),
    UniqueConstraint("mark"),
    Index("ix_api_tokens_user_id", "user_id"),
)

# What was answered to requests that may be sent twice, by a hash of who asked and the key that they chose. Rows go a
# day later, and with their token.
api_answers = Table(
    "api_answers",
    metadata,
    Column("key", Text, primary_key=True),
    Column("token_id", Text, ForeignKey("api_tokens.id"), nullable=False),
    Column("request", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("status", BigInteger),
    Column("body", Text),
    Index("ix_api_answers_token_id", "token_id"),
    Index("ix_api_answers_at_us", "at_us"),
)

# Searches that people keep. A row goes when it is removed.
saved_searches = Table(
    "saved_searches",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner_id", Text, ForeignKey("users.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("shared", Boolean, nullable=False),
    Column("saved_us", BigInteger, nullable=False),
    UniqueConstraint("owner_id", "name"),
)
