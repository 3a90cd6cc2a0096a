"""`ocelog upkeep`: everything at once that a running service does little by little to keep the lake small."""

from typing import Annotated

import typer
from msgspec.structs import asdict

from ocelog.app.log_types import table_names
from ocelog.app.maintenance.upkeep import tend
from ocelog.app.search.tables import check_table
from ocelog.cli import completion, show
from ocelog.installation.opening import opened


def command(
    table: Annotated[str | None, typer.Argument(help="Only this table.", autocompletion=completion.lake_tables)] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what there is to do.")] = False,
    trust_clock: Annotated[
        bool,
        typer.Option("--trust-clock", help="Delete rows by this machine's clock, even if no source confirms it."),
    ] = False,
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="|".join(show.OUTPUTS), autocompletion=lambda: list(show.OUTPUTS)),
    ] = "table",
) -> None:
    """Merge the small files of each table, and delete what is no longer needed.

    A running `ocelog run` does the same by itself, little by little; this works beside it. Exit 2 if rows that are
    older than their retention are kept, since this machine's clock may be wrong.
    """
    show.chosen_output(output)
    tables = table_names()
    if table is not None:
        check_table(table, tables)
        tables = [table]
    with opened() as installation:
        found = tend(installation, tables, dry_run=dry_run, trust_clock=trust_clock, told=show.remark)
    for one in found.tables:
        for path, reason in one.left_alone.items():
            show.remark(f"{one.table}: {path} is left as it is: {reason}")
    rows = [asdict(one) for one in found.tables]
    if output == "json":
        show.as_json(rows)
    else:
        shown = [{**row, "left_alone": len(row["left_alone"])} for row in rows]
        show.table([{name: value for name, value in row.items() if name != "not_expired"} for row in shown])
    for other in found.failed[1:]:
        show.remark(str(other))
    if found.failed:
        raise found.failed[0]
