"""`ocelog status`: one line per stream, and what needs attention."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from ocelog.app.status.status_report import StatusReport, status_report
from ocelog.cli import completion, remote, show
from ocelog.cli.option_values import option_value
from ocelog.installation.opening import opened
from ocelog.units import duration


def command(
    name: Annotated[
        str | None, typer.Argument(help="Only this source, with details.", autocompletion=completion.sources)
    ] = None,
    *,
    max_lag: Annotated[str, typer.Option(metavar="DURATION", help="How old data may be, such as 30m or 2d.")] = "1h",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the status of every stream: exit 0 if all is well, 1 if something needs attention.

    That is a stream that is refused, or silent for longer than its alarm allows, a time range that has failed for an
    hour, is parked or is short, totals that are unreliable, records that vanished all at once, data older than
    --max-lag, a service that hangs, a table that is not published, a loop that fails or is behind, a channel that
    alerts do not reach, files of rules with errors, a rule that is suspended, a clock that is off, damaged settings, a
    damaged key or lake, lost rows, or little disk. Rejections are shown, and leave it 0: they are kept whole, and
    nothing waits for them. So do open alerts, and rows that rules were not asked about.
    """
    if (other := remote.chosen()) is not None:
        found = other.sources.status(source=name, max_lag=max_lag)
    else:
        with opened(reading=True) as installation:
            found = status_report(
                installation,
                allowed=option_value("--max-lag", duration, max_lag),
                now=datetime.now(UTC),
                source=name,
                near=show.near,
                advise=not json,
            )
    if json:
        show.as_json(found.values)
    else:
        _print(found)
    if not found.well:
        raise typer.Exit(1)


def _print(found: StatusReport) -> None:
    """Print the verdict first, then what needs attention, then the streams, then what is merely good to know."""
    show.hint(found.first)
    for line in found.urgent:
        show.paragraph(line)
    if found.streams:
        show.hint("")
        show.table(found.streams, whole_lines=True)
    for each in found.details:
        show.hint("")
        show.fields(each)
    if found.notes:
        show.hint("")
    for line in found.notes:
        show.paragraph(line)
    show.hint("")
    if found.service is not None:
        # Not a hint: its command is the process, not what to type.
        typer.echo(found.service)
    if found.idle is not None:
        show.hint(found.idle)
    show.hint(found.machine)
