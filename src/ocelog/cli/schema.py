"""`ocelog schema`: the log schemas."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ocelog.app.log_types import log_types
from ocelog.cli import completion, show
from ocelog.model import table_name
from ocelog.schema.language.fields import (
    Array,
    Boolean,
    Field,
    Integer,
    Json,
    Object,
    Real,
    Text,
    Timestamp,
    Type,
    leaves,
)
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.schema.language.parse import read_schema

app = typer.Typer(help="List, show and check log schemas.", no_args_is_help=True, rich_markup_mode=None)
Json_ = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_INTEGERS = {16: "smallint", 32: "int", 64: "bigint"}


@app.command("list")
def list_(*, json: Json_ = False) -> None:
    """List the log types that Ocelog knows."""
    rows = [
        {
            "log_type": schema.log_type,
            "table": table_name(schema.log_type),
            "version": schema.version,
            "fields": len(list(leaves(schema.fields))),
            "description": schema.description,
        }
        for schema in packaged_schemas().values()
    ]
    shown = [{name: value for name, value in row.items() if name != "version"} for row in rows]
    show.table_or_json(rows if json else shown, json=json)


@app.command("show")
def show_(
    log_type: Annotated[str, typer.Argument(help="Such as issues or Wiz.Issues.", autocompletion=completion.log_types)],
    *,
    json: Json_ = False,
) -> None:
    """Show every field of a log type; --json also says which are required, their indicators, and their origin."""
    schema = packaged_schemas()[log_types([log_type])[0]]
    rows = [_line(path, field) for path, field in leaves(schema.fields)]
    shown = [{name: row[name] for name in ("field", "type", "description")} for row in rows]
    show.table_or_json(rows if json else shown, json=json)


@app.command("check")
def check(file: Annotated[Path, typer.Argument(help="A log schema in YAML.")]) -> None:
    """Check a log schema file. An error names file, line and the nearest valid name."""
    schema = read_schema(file)
    typer.echo(f"{file}: {schema.log_type}, {len(list(leaves(schema.fields)))} fields: well-formed.")


def _line(path: str, field: Field) -> dict[str, Any]:
    return {
        "field": path,
        "type": type_name(field.type),
        "required": field.required,
        "indicators": _indicators(field.type),
        "origin": "ocelog" if field.ours else "vendor",
        "description": field.description,
    }


def _indicators(type_: Type) -> list[str]:
    match type_:
        case Text(indicators=indicators):
            return list(indicators)
        case Array(element=element):
            return _indicators(element)
        case _:
            return []


def type_name(type_: Type) -> str:
    """Return what the schema language calls `type_`."""
    match type_:
        case Text():
            return "string"
        case Integer(bits=bits):
            return _INTEGERS[bits]
        case Real():
            return "float"
        case Boolean():
            return "boolean"
        case Timestamp(event_time=event_time):
            return "timestamp (event time)" if event_time else "timestamp"
        case Json():
            return "json"
        case Array(element=element):
            return f"array of {type_name(element)}"
        case Object():
            return "object"
