"""Which version of a record is current: the greatest in the order of versions, in SQL for us and for other engines."""

from collections.abc import Sequence

import pyarrow as pa

from ocelog.lake.read.quoting import quoted
from ocelog.lake.read.sql import PLACE, rows_of_files

# What is put together here are the names of our schemas and the paths of our files, quoted.
# ruff: noqa: S608

CURRENT = "_current"
ORDER = ("p_version_time", "p_observed_at", "p_row_id")
"""Versions of one record of one source sort by these; what is null comes first."""
_TIMES = ", ".join(f"coalesce({name}, '-infinity'::TIMESTAMPTZ)" for name in ORDER[:-1])
NEWEST_ORDER = f"ROW({_TIMES}, coalesce({ORDER[-1]}, ''))"
"""The same as one value."""


def current_view(schema: pa.Schema, paths: Sequence[str], *, where: str | None = None) -> str:
    """Select the present state of each record in some Parquet files, the same rows as `current_sql`.

    Versions for which `where` does not hold are left out. Only narrow columns are compared, since a row may be large,
    and the newest is remembered by its place in the files, which is a number: with its row id, five million records
    need twice the time, and a row of another engine may have no row id.
    """
    columns = ", ".join(quoted(field.name) for field in schema)
    newest = f"arg_max({PLACE}, {NEWEST_ORDER})"
    rows = rows_of_files(schema, paths, where=where)
    return f"SELECT {columns} FROM ({rows}) WHERE {PLACE} IN (SELECT {newest} FROM ({rows}) GROUP BY p_source_id, id)"


def current_sql(table: str, relation: str | None = None) -> str:
    """Write the `_current` view of `table` in SQL that Spark, Trino, DuckDB and Polars understand.

    `relation` is how the engine names the table, if it is not by its plain name.
    """
    order = ", ".join(f"{column} DESC NULLS LAST" for column in ORDER)
    return (
        "SELECT * FROM (\n"
        f"  SELECT *, row_number() OVER (PARTITION BY p_source_id, id ORDER BY {order}) AS newest_first\n"
        f"  FROM {relation or table}\n"
        ") AS versions\n"
        "WHERE newest_first = 1"
    )
