"""`ocelog tables`: what can be asked, and what each column means."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pyarrow as pa
import typer

from ocelog.app.search.tables import check_table, column_doc, columns, meanings, sql_type
from ocelog.cli import completion, remote, show
from ocelog.installation import config

JSON_HINT = """\
Free JSON, such as actionParameters, tags and p_extra, is text. To read a key:
  entitySnapshot.tags->>'kubernetes.io/app'  a key as it is, even with dots
  p_extra->>'entitySnapshot.hostname'        the keys of p_extra are whole paths
  actionParameters->>'$.input.id'            a path: the key id inside of input
In a comparison, put it in parentheses: (p_extra->>'url') = 'x'"""
"""How DuckDB reads a key of free JSON. A key with dots or slashes behind `$.` is taken for a path, and gives null."""


def command(
    table: Annotated[
        str | None, typer.Argument(help="Show the columns of this table.", autocompletion=completion.tables)
    ] = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the tables, or the columns of one: their types and what each means."""
    other = remote.chosen()
    if table is None:
        every = meanings() if other is None else other.lake.tables()
        show.table_or_json([{"table": name, "meaning": meaning} for name, meaning in every.items()], json=json)
        return
    if other is not None:
        rows: Sequence[Mapping[str, Any]] = other.lake.columns(table)
    else:
        check_table(table, meanings())
        rows = [_line(column) for column in columns(table, config.home_path())]
    show.table_or_json(rows, json=json)
    if not json:
        typer.echo(f"\n{JSON_HINT}", err=True)


def _line(column: pa.Field) -> dict[str, Any]:
    return {"column": column.name, "type": sql_type(column.type), "meaning": column_doc(column)}
