"""`ocelog sweep`: compare all open records with what their source shows now."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from ocelog.app.assemble import Assembly
from ocelog.app.log_types import short_names
from ocelog.app.loops.sweep import SweepResult, Swept, sweep, waiting_slices
from ocelog.app.sources.selection import select_streams
from ocelog.cli import completion, logs, show
from ocelog.cli.progress import progress
from ocelog.cli.signals import listening
from ocelog.installation.opening import opened
from ocelog.pull.stream import Stream
from ocelog.pull.sweep import Sweep
from ocelog.times import from_us
from ocelog.units import write_instant
from ocelog.workers.threads import Stop


def command(
    source: Annotated[str | None, typer.Argument(help="Only this source.", autocompletion=completion.sources)] = None,
    *,
    log_type: Annotated[
        list[str] | None,
        typer.Option(
            "--log-type",
            metavar="|".join(short_names(swept=True)),
            help="Only this log type.",
            autocompletion=completion.log_types,
        ),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Records that vanished all at once are really gone: mark them as closed.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read all open records again, wait for the end, and report: exit 0 well, 2 action required, 3 try later.

    The service does this once a day by itself. Changed records land, and records that neither this sweep nor the one
    before found with any status are marked as inferred_closed. If `ocelog run` is running, it does the work, within the
    share of the rate that sweeps may use; otherwise this command does, at the whole rate. Progress counts all records
    that are read, of any status, and some twice; the column `open` counts the open ones.
    """
    stop, left_to_service = Stop(), False
    with_bars = sys.stderr.isatty()
    with opened() as installation, listening(stop), progress(quiet=json) as bars:
        logs.configure(installation.settings, quiet=json or with_bars)
        assembly = Assembly(installation=installation, told=bars.told if with_bars else logs.step)
        streams, damaged = select_streams(assembly, [source] if source else [], log_type or [], swept=True)

        def begins(by_service: bool) -> None:  # noqa: FBT001 - as it is called
            nonlocal left_to_service
            left_to_service = by_service
            if by_service:
                show.remark(
                    "`ocelog run` is running: it sweeps at its next poll. This waits for it; Ctrl-C does not stop it."
                )
                bars.step("Waiting for its next poll ...")
            else:
                bars.expect(streams, lambda one: waiting_slices(installation, one))

        swept = sweep(
            assembly,
            streams,
            damaged=damaged,
            accept=accept,
            stop=stop,
            begins=begins,
            at=bars.sweeping,
            finishing=bars.finishing,
        )
        bars.finish(stream for stream, each in zip(streams, swept.streams, strict=True) if each.done)
    _tell(streams, swept, json=json)
    if swept.stopped:
        goes_on = "`ocelog run` goes on with the sweep." if left_to_service else "The next sweep goes on from there."
        show.remark(f"Stopped. What has landed stays. {goes_on}")
    raise typer.Exit(swept.exit_code)


def _tell(streams: Sequence[Stream], swept: SweepResult, *, json: bool) -> None:
    rows = [_row(stream, each) for stream, each in zip(streams, swept.streams, strict=True)]
    if json:
        show.as_json(
            {
                "streams": rows,
                "damaged": {key: show.error(error) for key, error in swept.damaged.items()},
                "publishing": show.error(swept.publishing),
                "lost": list(swept.lost),
                "exit": swept.exit_code,
            }
        )
    else:
        # When it ended is a moment ago; the instant would not fit beside the rest.
        shown = [row | {"ended": row["ended"] != "no"} for row in rows]
        heads, told_below = {"inferred_closed": "closed", "seen": "open"}, {"error", "error_code", "note"}
        show.table([{heads.get(name, name): row[name] for name in row if name not in told_below} for row in shown])
        for source_id, error in swept.damaged.items():
            show.remark(f"{source_id}: {show.harmless(str(error))}")
        for row in rows:
            for remark in filter(None, (row["error"], row["note"])):
                show.remark(f"{row['source']} {row['log_type']}: {show.harmless(str(remark))}")
        if any(
            each.sweep is not None and each.sweep.missing > each.sweep.inferred and not each.sweep.vanished
            for each in swept.streams
        ):
            show.remark(
                "missing: open here, and not found at the source with any status. What the next sweep does not find "
                "either is marked as inferred_closed."
            )
        if swept.publishing is not None:
            show.remark(f"Publishing: {show.harmless(str(swept.publishing))}")
        for line in swept.lost:
            show.remark(show.harmless(line))
    for reason in swept.not_measured:
        show.remark(f"Coverage not measured: {show.harmless(reason)}")


def _row(stream: Stream, swept: Swept) -> dict[str, Any]:
    sweep = swept.sweep
    return {
        "source": stream.row.name,
        "log_type": stream.kind.log_type,
        "ended": _ended(sweep) if swept.done else "no",
        "complete": None if sweep is None else sweep.complete,
        "seen": None if sweep is None else sweep.seen,
        "missing": None if sweep is None else sweep.missing,
        "inferred_closed": None if sweep is None else sweep.inferred,
        "note": None if sweep is None else sweep.note,
        **show.error(swept.error),
    }


def _ended(sweep: Sweep | None) -> str | None:
    if sweep is None or sweep.finished_us is None:
        return None
    return write_instant(from_us(sweep.finished_us))
