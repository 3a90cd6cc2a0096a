"""`ocelog tables`: what can be asked, and what each column means."""

from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer

from ocelog.app.assemble import table_schemas
from ocelog.app.ledger_views import MEANINGS, ledger_schemas
from ocelog.cli import show
from ocelog.errors import ConfigError
from ocelog.installation import config
from ocelog.lake.catalog.columns import with_table_columns
from ocelog.lake.catalog.state import TableStates
from ocelog.lake.read.sql import ALL_LOGS, CURRENT, log_tables, sql_type
from ocelog.model import REJECTIONS, table_name
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.suggest import suggest

JSON_HINT = """\
Free JSON, such as actionParameters, tags and p_extra, is text. To read a key:
  entitySnapshot.tags->>'kubernetes.io/app'  a key as it is, dots and slashes too
  p_extra->>'entitySnapshot.hostname'        the keys of p_extra are whole paths
  actionParameters->>'$.input.id'            a path: the key id inside of input
In a comparison, put it in parentheses: (p_extra->>'url') = 'x'"""
"""How DuckDB reads a key of free JSON. A key with dots or slashes behind `$.` is taken for a path, and gives null."""


def command(
    table: Annotated[str | None, typer.Argument(help="Show the columns of this table.")] = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the tables, or the columns of one: their types and what each means."""
    known = meanings()
    if table is None:
        show.table_or_json([{"table": name, "meaning": meaning} for name, meaning in known.items()], json=json)
        return
    check_table(table, known)
    show.table_or_json([_line(column) for column in columns(table, config.home_path())], json=json)
    if not json:
        typer.echo(f"\n{JSON_HINT}", err=True)


def check_table(name: str, known: dict[str, str]) -> None:
    """Raise ConfigError with the nearest name where there is no table `name`."""
    if name not in known:
        raise ConfigError(f"There is no table {name!r}{suggest(name, known) or '. See: ocelog tables'}")


def meanings() -> dict[str, str]:
    """Return every table and view with what it holds."""
    found = dict[str, str]()
    for schema in packaged_schemas().values():
        table = table_name(schema.log_type)
        found[table] = schema.description or f"Every version of every record of {schema.log_type}."
        found[table + CURRENT] = f"The present state of each record of {schema.log_type}: one row an id."
    found[ALL_LOGS] = "The standard fields of every log type, to look for an address or a name in all of them."
    found[REJECTIONS] = "Records that do not fit their schema: where, why, and the record as it came."
    return found | MEANINGS


def columns(table: str, home: Path | None = None) -> list[pa.Field]:
    """Return the columns of a table or view; those too that another engine added to the table in `home`."""
    schemas = table_schemas()
    if table in MEANINGS:
        return list(ledger_schemas()[table])
    if table != ALL_LOGS:
        name = table.removesuffix(CURRENT)
        present = None if home is None else TableStates(home.resolve()).schema(name)
        return list(with_table_columns(schemas[name], present))
    every = {column.name: column for name in log_tables(schemas) for column in schemas[name]}
    return [column for name, column in every.items() if name.startswith("p_")]


def _line(column: pa.Field) -> dict[str, Any]:
    doc = (column.metadata or {}).get(b"doc", b"").decode()
    return {"column": column.name, "type": sql_type(column.type), "meaning": doc}
