"""Which log types there are, and what their tables look like."""

from collections.abc import Collection

import pyarrow as pa

from ocelog.errors import ConfigError
from ocelog.model import REJECTIONS, table_name
from ocelog.schema.columns.table import REJECTION_SCHEMA, arrow_schema
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.sources.wiz.streams import KINDS, ROOTS
from ocelog.suggest import suggest


def table_schemas() -> dict[str, pa.Schema]:
    """Return the columns of every table."""
    tables = {table_name(name): arrow_schema(schema) for name, schema in packaged_schemas().items()}
    return {**tables, REJECTIONS: REJECTION_SCHEMA}


def log_types(names: Collection[str]) -> list[str]:
    """Return the log types that short or full names mean, each once. Raises ConfigError with the nearest name."""
    known = {name: name for name in KINDS} | {root.short: name for name, root in ROOTS.items()}
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None:
        raise ConfigError(f"There is no log type {unknown!r}{suggest(unknown, known)}")
    return list(dict.fromkeys(known[name] for name in names))
