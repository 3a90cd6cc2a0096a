"""`ocelog coverage`: how many records each source counts, beside how many the lake has."""

from typing import Annotated, Any

import typer

from ocelog.app import sources
from ocelog.app.assemble import Assembly
from ocelog.app.coverage import measure_each
from ocelog.app.source_settings import damage, source_settings
from ocelog.app.status import Gap, coverage
from ocelog.cli import completion, logs, show
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
    output: Annotated[str, typer.Option("--output", "-o", metavar="table|json", help="How to print it.")] = "table",
) -> None:
    """Compare what each source counts with the lake, per stream and status: exit 0 if all was counted, 2 or 3 if not.

    2 means action required, such as damaged settings. It is measured once the past is read and after each complete
    sweep. Open records count whatever their age; closed ones, and those without a status, since the backfill began, as
    far as their retention keeps them.
    """
    if output not in {"table", "json"}:
        raise ConfigError(f"invalid -o {output}: use table or json.")
    failed = list[str]()
    with opened(reading=not measure_now) as installation:
        row = None if source is None else sources.find(installation, source)
        if measure_now:
            logs.configure(installation.settings, quiet=True)
            assembly = Assembly(installation=installation, told=logs.step)
            streams = [each for each in assembly.streams() if row is None or each.row.id == row.id]
            for stream in streams:
                stream.source.hurry()
            failed = list(measure_each(installation, streams))
        chosen = [each for each in installation.ledger.sources.listed() if row is None or each.id == row.id]
        if not chosen:
            raise ConfigError("There is no source yet. Add one: ocelog source add")
        damaged = {each.id: error for each in chosen if (error := damage(each)) is not None}
        found = [
            (each, log_type, coverage(installation.ledger, each.id, log_type))
            for each in chosen
            if each.id not in damaged
            for log_type in source_settings(each).log_types
        ]
    rows = [_row(each.name, log_type, gap) for each, log_type, gaps in found for gap in gaps]
    lacking = [f"{each.name} {log_type}" for each, log_type, gaps in found if not gaps and not each.paused]
    if output == "json":
        show.as_json({"coverage": rows})
    else:
        show.table(rows)
    for told in (*failed, *map(str, damaged.values())):
        show.remark(show.harmless(told))
    if lacking:
        show.remark(f"Not measured yet: {', '.join(lacking)}. Measure now: ocelog coverage --measure")
    elif output == "table" and any(row["difference"] for row in rows):
        show.remark(NORMAL)
    if damaged or failed or lacking:
        raise typer.Exit(2 if damaged else 3)


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
