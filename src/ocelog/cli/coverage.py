"""`ocelog coverage`: how many records Wiz counts, beside how many the lake has."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from ocelog import tenants
from ocelog.assemble import Assembly, Stream, wiz_settings
from ocelog.cli import logs, show
from ocelog.coverage import measure
from ocelog.errors import ConfigError, OcelogError
from ocelog.installation import Installation, opened
from ocelog.quantities import write_instant
from ocelog.standing import Gap, coverage


def command(
    source: Annotated[str | None, typer.Argument(help="Only this source.")] = None,
    *,
    measure_now: Annotated[
        bool, typer.Option("--measure", help="Count again now: one request per log type and status.")
    ] = False,
    output: Annotated[str, typer.Option("--output", "-o", metavar="table|json", help="How to print it.")] = "table",
) -> None:
    """Compare what Wiz counts with the lake, per stream and status: exit 0 if all was counted, 3 if not.

    It is measured after each complete sweep. Open records count whatever their age, closed ones and audit entries since
    the backfill began.
    """
    if output not in {"table", "json"}:
        raise ConfigError(f"-o {output}: choose table or json.")
    failed = False
    with opened(reading=not measure_now) as installation:
        row = None if source is None else tenants.find(installation, source)
        if measure_now:
            logs.configure(installation.settings, quiet=True)
            assembly = Assembly(installation=installation, told=logs.step)
            streams = [each for each in assembly.streams() if row is None or each.row.id == row.id]
            failed = sum(not _measured(installation, stream) for stream in streams) > 0
        rows = [
            _row(each.name, log_type, gap)
            for each in installation.ledger.sources()
            if row is None or each.id == row.id
            for log_type in wiz_settings(each).log_types
            for gap in coverage(installation.ledger, each.id, log_type)
        ]
    _print(rows, output)
    if failed:
        raise typer.Exit(3)


def _measured(installation: Installation, stream: Stream) -> bool:
    stream.source.hurried = True
    try:
        measure(installation, stream)
    except OcelogError as error:
        show.remark(f"{stream.row.name} {stream.kind.log_type}: {show.harmless(str(error))}")
        return False
    return True


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


def _print(rows: Sequence[dict[str, Any]], output: str) -> None:
    if output == "json":
        show.as_json({"coverage": list(rows)})
    elif rows:
        show.table(list(rows))
    else:
        show.remark("Nothing was measured yet. It is after each sweep; now: ocelog coverage --measure")
