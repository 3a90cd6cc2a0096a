"""`ocelog schema`: the log schemas."""

from pathlib import Path
from typing import Annotated

import typer

from ocelog.app.records import schema_showing
from ocelog.cli import completion, remote, show
from ocelog.schema.language.fields import leaves
from ocelog.schema.language.parse import read_schema

app = typer.Typer(help="List, show and check log schemas.", no_args_is_help=True, rich_markup_mode=None)
Json_ = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_(*, json: Json_ = False) -> None:
    """List the log types that Ocelog knows."""
    other = remote.chosen()
    rows = schema_showing.every() if other is None else other.lake.schemas()
    shown = [{name: value for name, value in row.items() if name != "version"} for row in rows]
    show.table_or_json(rows if json else shown, json=json)


@app.command("show", short_help="Show every field of a log type.")
def show_(
    log_type: Annotated[str, typer.Argument(help="Such as issues or Wiz.Issues.", autocompletion=completion.log_types)],
    *,
    json: Json_ = False,
) -> None:
    """Show every field of a log type; --json also says which are required, their indicators, and their origin."""
    other = remote.chosen()
    rows = schema_showing.fields_of(log_type) if other is None else other.lake.fields(log_type)
    shown = [{name: row[name] for name in ("field", "type", "description")} for row in rows]
    show.table_or_json(rows if json else shown, json=json)


@app.command("check")
def check(file: Annotated[Path, typer.Argument(help="A log schema in YAML.")]) -> None:
    """Check a log schema file. An error names file, line and the nearest valid name."""
    schema = read_schema(file)
    typer.echo(f"{file}: {schema.log_type}, {len(list(leaves(schema.fields)))} fields: well-formed.")
