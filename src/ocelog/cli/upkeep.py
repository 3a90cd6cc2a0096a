"""`ocelog upkeep`: everything at once that a running service does little by little to keep the lake small."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from ocelog.app.assemble import maintenance, table_schemas
from ocelog.cli import show
from ocelog.cli.tables import check_table
from ocelog.errors import ConfigError, HomeError, LedgerUnavailableError, OcelogError
from ocelog.installation.opening import opened
from ocelog.lake.upkeep.maintenance import Maintenance, Tended

OUTPUTS = ("table", "json")


def command(
    table: Annotated[str | None, typer.Argument(help="Only this table.")] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what there is to do.")] = False,
    trust_clock: Annotated[
        bool,
        typer.Option("--trust-clock", help="Delete rows by this machine's clock, also if Wiz does not bear it out."),
    ] = False,
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="|".join(OUTPUTS), autocompletion=lambda: list(OUTPUTS))
    ] = "table",
) -> None:
    """Rewrite the many small files of each table as few, and delete what is not needed any more.

    A running `ocelog run` does the same by itself, little by little; this works beside it. Exit 2 if rows that are
    older than their retention are kept, since this machine's clock may be wrong.
    """
    if output not in OUTPUTS:
        raise ConfigError(f"--output is {' or '.join(OUTPUTS)}, not {output!r}.")
    schemas = table_schemas()
    if table is not None:
        check_table(table, dict.fromkeys(schemas, ""))
    with opened() as installation:
        upkeep = maintenance(installation, trust_clock=trust_clock)
        done, failed = _tended(upkeep, [table] if table is not None else list(schemas), dry_run=dry_run)
    for one in done:
        for path, reason in one.left_alone.items():
            typer.echo(f"{one.table}: {path} is left as it is: {reason}", err=True)
    rows = [asdict(one) for one in done]
    if output == "json":
        show.as_json(rows)
    else:
        shown = [{**row, "left_alone": len(row["left_alone"])} for row in rows]
        show.table([{name: value for name, value in row.items() if name != "not_expired"} for row in shown])
    failed += [HomeError(reason) for reason in dict.fromkeys(one.not_expired for one in done) if reason is not None]
    failed.sort(key=lambda found: not isinstance(found, HomeError))
    for other in failed[1:]:
        typer.echo(str(other), err=True)
    if failed:
        raise failed[0]


def _tended(upkeep: Maintenance, tables: Sequence[str], *, dry_run: bool) -> tuple[list[Tended], list[OcelogError]]:
    """Tend each table by itself; return what was done, and what failed."""
    done, failed = list[Tended](), list[OcelogError]()
    for table in tables:
        try:
            done.append(upkeep.tend_whole(table, dry_run=dry_run, told=lambda text: typer.echo(text, err=True)))
        except OcelogError as error:
            failed.append(error)
            if isinstance(error, LedgerUnavailableError):
                # Every other table would wait as long for it.
                break
    return done, failed
