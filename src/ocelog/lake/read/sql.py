"""What the tables and views are in SQL, here and in other engines."""

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from ocelog.lake.read.quoting import literal, quoted
from ocelog.model import NOT_JUDGED
from ocelog.schema.columns.table import standard_columns

# What is put together here are the names of our schemas and the paths of our files, quoted.
# ruff: noqa: S608

PLACE = '"place in the files"'
"""A column that no table has."""


def sql_type(kind: pa.DataType) -> str:
    """Name DuckDB's type for a column of the lake."""
    if pa.types.is_struct(kind):
        fields = (kind.field(index) for index in range(kind.num_fields))
        return "STRUCT(" + ", ".join(f"{quoted(field.name)} {sql_type(field.type)}" for field in fields) + ")"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return sql_type(kind.value_type) + "[]"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMPTZ" if kind.tz else "TIMESTAMP"
    if pa.types.is_integer(kind):
        # Iceberg has no smaller integer than 32 bits: a column must not change its type when it is published.
        return "BIGINT" if kind.bit_width == 64 else "INTEGER"
    if pa.types.is_time(kind):
        return "TIME"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    if pa.types.is_map(kind):
        return f"MAP({sql_type(kind.key_type)}, {sql_type(kind.item_type)})"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return "BLOB"
    names = {pa.bool_(): "BOOLEAN", pa.float32(): "FLOAT", pa.float64(): "DOUBLE", pa.date32(): "DATE"}
    return names.get(kind, "VARCHAR")


def view_of_files(schema: pa.Schema, paths: Sequence[str], *, where: str | None = None) -> str:
    """Select every row of some Parquet files, older ones that lack columns or fields of `schema` included."""
    columns = ", ".join(quoted(field.name) for field in schema)
    return f"SELECT {columns} FROM ({rows_of_files(schema, paths, where=where)})"


def rows_of_files(schema: pa.Schema, paths: Sequence[str], *, where: str | None = None) -> str:
    """Select every row of some Parquet files, or those of a condition, and where it is."""
    if where is not None:
        return f"SELECT * FROM ({rows_of_files(schema, paths)}) WHERE {where}"
    empty = ", ".join(f"NULL::{sql_type(field.type)} AS {quoted(field.name)}" for field in schema)
    select = f"SELECT {empty}, NULL::BIGINT AS {PLACE} WHERE false"
    if not paths:
        return select
    listed = ", ".join(map(literal, paths))
    place = f"(file_index::BIGINT << 40) + file_row_number AS {PLACE}"
    return f"{select} UNION ALL BY NAME SELECT *, {place} FROM read_parquet([{listed}], union_by_name = true)"


def create_view(name: str, select: str) -> str:
    """Return the statement that makes a view."""
    return f"CREATE OR REPLACE VIEW {quoted(name)} AS {select}"


def all_logs_view(schemas: Mapping[str, pa.Schema]) -> str:
    """Select the standard fields of every log type, for a search over all of them."""
    tables = log_tables(schemas)
    selects = [f"SELECT {_listed(standard_columns([schemas[table]]))} FROM {quoted(table)}" for table in tables]
    # The union alone has the columns of its first table first: of whichever that is.
    columns = _listed(standard_columns(schemas[table] for table in tables))
    return f"SELECT {columns} FROM ({' UNION ALL BY NAME '.join(selects)})"


def _listed(columns: Iterable[pa.Field]) -> str:
    return ", ".join(quoted(column.name) for column in columns)


def log_tables(schemas: Iterable[str]) -> list[str]:
    """Return the tables of log types, in order."""
    return sorted(table for table in schemas if table not in NOT_JUDGED)
