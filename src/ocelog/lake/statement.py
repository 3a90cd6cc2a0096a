"""Which SQL may run: one statement that only reads."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from ocelog.errors import QueryError
from ocelog.lake.nearest import mistyped

MAX_LENGTH = 1_000_000
_READING = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_BY_NAME = frozenset({"query", "query_table"})
"""Table functions that read a table whose name is a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement that may run."""

    sql: str
    tables: frozenset[str] | None
    """Names that it reads, in lower case, its own WITH names among them; None: it cannot be told before it runs."""


def checked(sql: str) -> Statement:
    """Return `sql` where it is one statement that only reads. Raises QueryError, and then nothing was run.

    The kind of the statement alone does not say so: `WITH x AS (COPY ... TO 'file') SELECT 1` is a SELECT, and would
    overwrite any file that the engine may read. So every query in the syntax tree must be one that reads. What hides
    in a text, `query('...')`, cannot be such a WITH: the engine takes it only at the top.
    """
    if len(sql) > MAX_LENGTH:
        raise QueryError(f"The statement is {len(sql)} characters long; at most {MAX_LENGTH} are read.")
    if "\0" in sql:
        raise QueryError("The statement holds a NUL character, where some readers would take it to end.")
    connection = duckdb.connect(":memory:")
    try:
        _check_kind(connection, sql)
        tree = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
        parts = list(_parts(json.loads(tree[0]) if tree else {}))
    except duckdb.Error as error:
        raise QueryError(f"{error}".rstrip() + mistyped(sql)) from error
    except RecursionError as error:
        raise QueryError("The statement is nested too deeply.") from error
    finally:
        connection.close()
    _check_reads(parts)
    return Statement(sql=sql, tables=_tables(parts))


def _check_kind(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise QueryError(f"Expected one SELECT, found {len(statements)} statements. Run them one by one.")
    kind = statements[0].type.name
    if kind != "SELECT":
        raise QueryError(f"Expected a SELECT, found {kind}. Queries only read: nothing in the lake changes by them.")


def _check_reads(parts: list[dict[str, Any]]) -> None:
    if not any(part.get("type") in _READING for part in parts):
        raise QueryError("Expected a SELECT of a form that can be checked; write PIVOT and the like as GROUP BY.")
    for part in parts:
        kind = str(part.get("type"))
        if kind.endswith("_NODE") and kind not in _READING:
            raise QueryError(f"Expected a SELECT, found {kind.removesuffix('_NODE')} in it. Queries only read.")


def _tables(parts: list[dict[str, Any]]) -> frozenset[str] | None:
    shows = any(part.get("type") == "SHOW_REF" for part in parts)
    if shows or any(str(part.get("function_name")).lower() in _BY_NAME for part in parts):
        return None
    return frozenset(str(part["table_name"]).lower() for part in parts if part.get("type") == "BASE_TABLE")


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a syntax tree; not by recursion, since a statement may be as deep as it likes."""
    left = [tree]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            yield one
            left += one.values()
        elif isinstance(one, list):
            left += one
