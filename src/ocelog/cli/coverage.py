"""`ocelog coverage`: how many records each source counts, beside how many the lake has."""

from typing import Annotated, Any

import typer

from ocelog.app.loops.coverage_report import coverage_report
from ocelog.app.status.status import Gap
from ocelog.cli import completion, logs, remote, show
from ocelog.errors import ConfigError
from ocelog.installation.opening import opened
from ocelog.units import write_instant

NORMAL = (
    "A small difference is normal while records change: the source counts as of now, the lake knows what changed up "
    "to its last poll. If it stays: ocelog sweep"
)


def command(
    source: Annotated[str | None, typer.Argument(help="Only this source.", autocompletion=completion.sources)] = None,
    *,
    measure_now: Annotated[
        bool, typer.Option("--measure", help="Count again now: one request per log type and status.")
    ] = False,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="|".join(show.OUTPUTS), help="How to print it.")
    ] = "table",
) -> None:
    """Compare what each source counts with the lake, per stream and status: exit 0 if all was counted, 2 or 3 if not.

    2 means action required, such as damaged settings. It is measured once the past is read and after each complete
    sweep. Open records count whatever their age; closed ones, and those without a status, since the backfill began, as
    far as their retention keeps them.
    """
    show.chosen_output(output)
    if (other := remote.chosen()) is not None:
        if measure_now:
            raise ConfigError("--measure works only on the machine of the home: run it there.")
        found = other.sources.coverage(source)
        gaps, lacking, told = found.gaps, found.lacking, found.damaged
        code = 2 if told else 3 if lacking else 0
    else:
        with opened(reading=not measure_now) as installation:
            if measure_now:
                logs.configure(installation.settings, quiet=True)
            report = coverage_report(installation, source, measure_now=measure_now, told=logs.step)
        gaps = [(each.source.name, each.log_type, gap) for each in report.streams for gap in each.gaps]
        lacking = [f"{each.source.name} {each.log_type}" for each in report.streams if each.is_lacking]
        told, code = [*report.failed, *map(str, report.damaged.values())], report.exit_code
    rows = [_row(*each) for each in gaps]
    if output == "json":
        show.as_json({"coverage": rows})
    else:
        show.table([_shown(row) for row in rows])
        if rows:
            typer.echo(f"The oldest of these counts was taken at {min(row['measured'] for row in rows)}.")
    for line in told:
        show.remark(show.harmless(line))
    if lacking:
        show.remark(f"Not measured yet: {', '.join(lacking)}. Measure now: ocelog coverage --measure")
    elif output == "table" and any(row["difference"] for row in rows):
        show.remark(NORMAL)
    if code:
        raise typer.Exit(code)


def _row(source: str, log_type: str, gap: Gap) -> dict[str, Any]:
    return {
        "source": source,
        "log_type": log_type,
        "status": gap.status or None,
        "at_wiz": gap.at_source,
        "at_least": gap.at_least,
        "in_lake": gap.in_lake,
        "difference": gap.difference,
        "measured": write_instant(gap.measured),
    }


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return what of a row fits on a terminal; when it was measured is said once."""
    shown = {name: value for name, value in row.items() if name not in {"at_least", "measured"}}
    return shown | {"at_wiz": f"over {row['at_wiz']}"} if row["at_least"] else shown
