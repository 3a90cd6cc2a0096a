"""`ocelog lake`: where the tables are, what is published, and how other engines read them."""

from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec.structs import asdict

from ocelog.app.log_types import table_names
from ocelog.app.search.tables import LakeInfo, check_table, current_sql, lake_info, literal, meanings
from ocelog.cli import completion, show
from ocelog.installation.opening import opened
from ocelog.model import REJECTIONS
from ocelog.units import write_size


def command(
    table: Annotated[
        str | None, typer.Argument(help="Show how to read this table.", autocompletion=completion.lake_tables)
    ] = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show where the tables are and what is published; with a table, lines to paste into other engines."""
    if table is not None:
        check_table(table, meanings())
    names = [table] if table is not None else table_names()
    with opened(reading=True) as installation:
        found = [lake_info(installation, name) for name in names]
    if json:
        show.as_json([asdict(info) for info in found])
        return
    typer.echo(f"Iceberg catalog: {found[0].catalog}")
    if (Path(found[0].views) / "schema.sql").is_file():
        typer.echo(f"All tables and views, in DuckDB: IMPORT DATABASE {literal(found[0].views)};")
    else:
        show.hint(f"{found[0].views}, all tables and views for DuckDB, is there after the next pull: ocelog pull")
    show.table([_line(info) for info in found], whole_lines=True)
    if table is not None:
        _print_lines(found[0])


def _line(info: LakeInfo) -> dict[str, Any]:
    return {
        "table": info.table,
        "published rows": info.rows,
        "files": info.files,
        "size": write_size(info.bytes),
        "waiting rows": info.waiting_rows,
        "waiting parts": info.waiting_parts,
        "metadata": info.metadata,
    }


def _print_lines(info: LakeInfo) -> None:
    if not info.lines:
        show.hint("\nNothing is published yet, so other engines see nothing: ocelog publish")
    for engine, text in info.lines.items():
        typer.echo(f"\n# {engine}\n{text}")
    if info.lines and info.table != REJECTIONS:
        typer.echo(f"\n# {info.table}_current, in the SQL of any engine\n{current_sql(info.table)};")
