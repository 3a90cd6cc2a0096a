"""Which SQL may run: one statement that only reads tables of the lake, by functions that reach nothing else."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from ocelog.errors import QueryError
from ocelog.lake.query.clock import CLOCK
from ocelog.lake.query.limits import MAX_LENGTH
from ocelog.lake.query.refusals import explained
from ocelog.languages.phrases import Phrase
from ocelog.suggest import suggest

_READING = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_PARTS = _READING | {
    *("EMPTY", "BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "PIVOT", "SHOW_REF"),
    *("ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER"),
    *("ORDER_DEFAULT", "ASCENDING", "DESCENDING"),
}
"""What a statement may consist of, apart from expressions."""
_EXPRESSIONS = frozenset(
    (
        *("BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "DEFAULT"),
        *("FUNCTION", "LAMBDA", "OPERATOR", "PARAMETER", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY", "TYPE", "WINDOW"),
    )
)
_OWN_SCHEMAS = frozenset({"", "main"})
_OWN_CATALOGS = frozenset({"", "memory"})
_CATALOG_VIEWS = frozenset({"tables", "columns"})
"""Of information_schema."""
_SHOWN = frozenset({'"tables"', "__show_tables_expanded"})
_DYNAMIC = frozenset(
    {
        *("query", "query_table", "json_execute_serialized_sql", "histogram", "histogram_values"),
        *("json_serialize_sql", "json_serialize_plan", "json_deserialize_sql", "from_substrait", "from_substrait_json"),
    }
)
"""Functions that run, or carry, SQL in a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement that may run."""

    sql: str
    tables: frozenset[str] | None
    """Tables and views of the lake that it reads; None: all of them, since it lists what there is."""
    named: frozenset[str]
    """Those of them of which it may read rows."""
    columns: frozenset[str] | None
    """Those of the `columns` that it may read of a table that it names; None: all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Functions:
    """Which functions a query may use, and which of the engine's it may not."""

    scalar: frozenset[str]
    table: frozenset[str]
    refused: frozenset[str]


@cache
def functions() -> Functions:
    """Read the list. A function that is not on it, of a newer engine perhaps, is refused."""
    found: dict[str, set[str]] = {}
    section = ""
    for line in (Path(__file__).parent / "functions.txt").read_text("utf-8").splitlines():
        if line in {"[scalar]", "[table]", "[refused]"}:
            section = line.strip("[]")
            found[section] = set()
        elif section and line:
            found[section].add(line)
    return Functions(
        scalar=frozenset(found["scalar"]), table=frozenset(found["table"]), refused=frozenset(found["refused"])
    )


def checked(
    sql: str,
    names: Collection[str],
    macros: Collection[str] = (),
    columns: Collection[str] = (),
    *,
    held: bool = False,
    connection: duckdb.DuckDBPyConnection,
    tree: str | None = None,
) -> Statement:
    """Return `sql` if it is one statement that only reads the tables `names`; `macros` are those that take an argument.

    Where the clock is `held`, it may not be asked past that either. `tree` is the syntax of `sql`, if it was asked for.

    Raises QueryError, and nothing was run: `connection` is only asked to parse.

    The kind of the statement does not say so: `WITH x AS (COPY ... TO 'file') SELECT 1` is a SELECT, and overwrites a
    file; `json_execute_serialized_sql` does it from within a text. So every part of the syntax tree must be of a kind
    that is known here, every function on the list, every table one of the lake's or of the statement's own WITH.
    """
    if len(sql) > MAX_LENGTH:
        raise QueryError(
            Phrase(
                "The statement has %(sql)s characters; at most %(max_length)s are read.",
                sql=format(len(sql), ","),
                max_length=format(MAX_LENGTH, ","),
            )
        )
    if "\0" in sql:
        raise QueryError(Phrase("The statement contains a NUL character."))
    try:
        _check_kind(connection, sql)
        if tree is None:
            ((tree,),) = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()
        parts = list(_parts(json.loads(tree)))
    except duckdb.Error as error:
        raise QueryError(explained(str(error).rstrip(), sql)) from error
    except RecursionError as error:
        raise QueryError(Phrase("The statement is nested too deeply.")) from error
    if not any(part.get("type") in _READING for part in parts):
        raise QueryError(
            Phrase("Expected a SELECT of a form that can be checked; write PIVOT and the like as GROUP BY.")
        )
    called = {name for part in parts if (name := _macro(part, macros)) is not None}
    for part in parts:
        _check_part(part, called)
        if held and str(part.get("function_name", "")).lower() in CLOCK and not _is_plain(part):
            raise QueryError(
                Phrase("Write %(part)s without a schema: it says a time of the past here.", part=part["function_name"])
            )
    read, everything = _tables(parts, names)
    named = read | called
    return Statement(
        sql=sql,
        tables=None if everything else named,
        named=named,
        columns=_columns(parts, columns) if columns else None,
    )


def trees(several: list[str], connection: duckdb.DuckDBPyConnection) -> list[str | None]:
    """Return the syntax of each statement, asked for at once, which is quicker; None: it must be asked for alone."""
    try:
        sql = "SELECT list_transform(?::VARCHAR[], lambda one: json_serialize_sql(one))"
        ((found,),) = connection.execute(sql, [several]).fetchall()
    except (duckdb.Error, ValueError, MemoryError):
        # One of them is none that can be handed on at all.
        return [None] * len(several)
    return list(found)


def _columns(parts: list[dict[str, Any]], columns: Collection[str]) -> frozenset[str] | None:
    """Return which of `columns` may be read: those that stand anywhere in the statement; None: any of them.

    That is so if it takes all columns of something, or all that two tables share, or a whole row as one value.
    """
    tables = [part for part in parts if "class" not in part]
    rows = {str(part[name]).lower() for part in tables for name in ("table_name", "alias") if part.get(name)}
    said = set[str]()
    for part in parts:
        if (
            part.get("class") in {"STAR", "POSITIONAL_REFERENCE"}
            or part.get("type") in {"SHOW_REF", "PIVOT"}
            or part.get("ref_type") in {"NATURAL", "POSITIONAL"}
            or part.get("column_name_alias")
        ):
            return None
        for value in part.values():
            said.update(
                each.lower() for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)
            )
        if part.get("class") == "COLUMN_REF" and str(part["column_names"][-1]).lower() in rows:
            return None
    return frozenset(each for each in columns if each.lower() in said)


def _is_plain(part: dict[str, Any]) -> bool:
    """Whether a function, or the like, is named without the place where the engine keeps its own."""
    own = str(part.get("schema", "")).lower() in _OWN_SCHEMAS
    return own and str(part.get("catalog", "")).lower() in _OWN_CATALOGS


def _check_kind(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        found = (
            Phrase("%(count)s statements. Run them one by one.", count=len(statements))
            if statements
            else Phrase("no statement.")
        )
        raise QueryError(Phrase("Expected one SELECT, found %(found)s", found=found))
    kind = statements[0].type.name
    if kind != "SELECT":
        raise QueryError(
            Phrase(
                "Expected a SELECT, found %(kind)s. Queries only read: nothing in the lake changes by them.", kind=kind
            )
        )


def _macro(part: dict[str, Any], macros: Collection[str]) -> str | None:
    """Return which of `macros` is called in one object of the tree."""
    name = str(part.get("function_name", "")).lower()
    return name if name in macros and _is_plain(part) else None


def _check_part(part: dict[str, Any], macros: Collection[str]) -> None:
    """Raise QueryError unless one object of the tree is of a known kind, and calls only what is on the list."""
    kind = part.get("type")
    if "class" in part:
        if part["class"] not in _EXPRESSIONS or part.get("export_state"):
            raise QueryError(
                Phrase(
                    "The query has a form that is not known to only read (%(part)s): leave it out.", part=part["class"]
                )
            )
    elif isinstance(kind, str) and kind not in _PARTS:
        name = kind.removesuffix("_NODE").removesuffix("_QUERY")
        raise QueryError(Phrase("Expected a SELECT, found %(name)s in it. Queries only read.", name=name))
    if kind == "TABLE_FUNCTION" and "class" not in part:
        name = str(part["function"].get("function_name")).lower()
        if name not in functions().table and name not in macros:
            raise _refusal(name, functions().table)
    elif "function_name" in part:
        name = str(part["function_name"]).lower()
        if name and not any(name in each for each in (functions().scalar, functions().table, macros)):
            raise _refusal(name, functions().scalar)
    if kind == "SHOW_REF" and part.get("show_type") == "SHOW_SPECIAL" and part.get("table_name") not in _SHOWN:
        raise QueryError(
            Phrase(
                "Use SHOW TABLES, DESCRIBE or SUMMARIZE; other forms of SHOW are not allowed. `ocelog "
                "tables` lists tables."
            )
        )


def _refusal(name: str, allowed: Collection[str]) -> QueryError:
    if name in _DYNAMIC:
        return QueryError(
            Phrase(
                "%(name)s runs SQL that is hidden in a text or a name: write that SQL in the query itself.", name=name
            )
        )
    if name in functions().refused or name.startswith(("read_", "parquet_", "duckdb_", "pragma_")):
        return QueryError(
            Phrase(
                "The function %(name)s is not allowed: it may reach outside the lake. A query reads "
                "tables of the lake; `ocelog tables` lists them.",
                name=name,
            )
        )
    return QueryError(
        Phrase(
            "There is no function %(name)s, or queries may not use it%(name2)s",
            name=repr(name),
            name2=suggest(name, allowed) or ".",
        )
    )


def _tables(parts: list[dict[str, Any]], names: Collection[str]) -> tuple[frozenset[str], bool]:
    """Return the tables of the lake that are read, and whether all are listed.

    Raises QueryError for any other that the statement does not make.
    """
    own = {str(each["key"]).lower() for part in parts for each in _made(part)}
    lake = {name.lower(): name for name in names}
    found = set[str]()
    everything = False
    for part in parts:
        kind, name = part.get("type"), str(part.get("table_name", "")).lower()
        schema, catalog = str(part.get("schema_name", "")).lower(), str(part.get("catalog_name", "")).lower()
        if kind == "SHOW_REF" and part.get("query") is None:
            if part.get("show_type") == "SHOW_SPECIAL":
                everything = True
                continue
            if name == "" and schema in _OWN_SCHEMAS:
                everything = True
                continue
        elif kind != "BASE_TABLE":
            continue
        if schema == "information_schema" and name in _CATALOG_VIEWS:
            everything = True
        elif name in lake and schema in _OWN_SCHEMAS and catalog in _OWN_CATALOGS:
            found.add(lake[name])
        # A name with a dot or a slash would be taken for a file's if the WITH were out of its sight.
        elif name not in own or schema or catalog or not set("./").isdisjoint(name):
            full = ".".join(each for each in (catalog, schema, str(part.get("table_name"))) if each)
            raise QueryError(
                Phrase(
                    "There is no table %(full)s%(full2)s `ocelog tables` lists them.",
                    full=repr(full),
                    full2=suggest(full, names) or suggest(str(part.get("table_name")), names) or ".",
                )
            )
    return frozenset(found), everything


def _made(part: dict[str, Any]) -> list[dict[str, Any]]:
    made = part.get("cte_map")
    names = [{"key": part["cte_name"]}] if "cte_name" in part else []
    return [*names, *(made["map"] if isinstance(made, dict) else [])]


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
