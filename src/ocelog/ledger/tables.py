"""What the ledger remembers, table by table. Instants are microseconds since 1970 (columns named `*_us`)."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
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
)
_present = sources.c.removed_us.is_(None)
_names = Index("ix_sources_name", sources.c.name, unique=True, sqlite_where=_present)


def prepare_for_postgresql() -> None:
    """Say of the tables what only PostgreSQL needs: its part of SQLAlchemy takes 40 ms to import."""
    _names.dialect_options["postgresql"]["where"] = _present


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
