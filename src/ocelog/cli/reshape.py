"""`ocelog reshape`: fill columns that a newer version added, from what stored rows keep in p_extra."""

from dataclasses import asdict
from typing import Annotated

import typer

from ocelog.app.records.reshape import reshapable_tables, reshape_each
from ocelog.app.search.tables import check_table
from ocelog.cli import completion, show
from ocelog.cli.progress import file_progress
from ocelog.installation.opening import opened


def command(
    table: Annotated[str | None, typer.Argument(help="Only this table.", autocompletion=completion.lake_tables)] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what there is to do.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Move values from p_extra into columns that were added after the rows had landed.

    Use it once after an upgrade that added fields. It works beside `ocelog run`, and may be stopped and run again.
    Row ids and versions stay, so no record lands again.
    """
    tables = reshapable_tables()
    if table is not None:
        check_table(table, tables)
        tables = [table]
    with opened() as installation, file_progress(quiet=json) as told:
        done, failed = reshape_each(installation, tables, dry_run=dry_run, told=told)
    for one in done:
        for path, reason in one.left_alone.items():
            show.remark(f"{one.table}: {path} is left as it is: {reason}")
    if json:
        show.as_json([asdict(one) for one in done])
    else:
        show.table(
            [
                {
                    "table": one.table,
                    "files": one.files,
                    "rows": one.rows,
                    "values": ", ".join(f"{path}: {count}" for path, count in sorted(one.values.items())),
                }
                for one in done
            ]
        )
    for other in failed[1:]:
        show.remark(str(other))
    if failed:
        raise failed[0]
