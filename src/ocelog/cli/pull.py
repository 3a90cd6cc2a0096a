"""`ocelog pull`: read what is due, publish it, and end."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import typer

from ocelog.app.advice import without_request
from ocelog.app.assemble import Assembly
from ocelog.app.log_types import short_names
from ocelog.app.loops.planning import TimeRange
from ocelog.app.loops.service import PullResult, Service
from ocelog.app.sources.selection import select_streams
from ocelog.cli import completion, logs, show
from ocelog.cli.option_values import option_value
from ocelog.cli.progress import Progress, progress
from ocelog.cli.signals import listening
from ocelog.errors import ConfigError, SourceThrottledError
from ocelog.installation.home_lock import held
from ocelog.installation.opening import opened
from ocelog.pull.puller import PullStep
from ocelog.pull.stream import Stream
from ocelog.units import instant, write_instant, write_list
from ocelog.workers.fair import StreamKey
from ocelog.workers.threads import Stop


def command(
    *,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", help="Only this source (repeat for more).", autocompletion=completion.sources),
    ] = None,
    log_type: Annotated[
        list[str] | None,
        typer.Option(
            "--log-type",
            metavar="|".join(short_names()),
            help="Only this log type.",
            autocompletion=completion.log_types,
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="T", help="Read from here on (again): 2026-08-01, RFC 3339, or 7d.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="T", help="With --since: up to here.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read what is due, publish it, and end: exit 0 well, 2 action required, 3 try later.

    What failed before, and what is parked, is tried at once. What keeps failing is left for later, and
    named. Ctrl-C stops it within seconds; what has landed stays, and the next pull goes on from there.
    """
    time_range, stop = _time_range(since, until), Stop()
    with opened() as installation, held(installation.home, "ocelog pull"), listening(stop):
        with_bars = sys.stderr.isatty()
        logs.configure(installation.settings, quiet=json or with_bars)
        with progress(quiet=json) as bars:

            def told(stream: Stream, step: PullStep) -> None:
                bars.told(stream, step)
                if not with_bars:
                    logs.step(stream, step)

            assembly = Assembly(installation=installation, told=told)
            streams, damaged = select_streams(assembly, source or [], log_type or [])
            service = Service(assembly=assembly, stop=stop, finishing=bars.finishing)
            bars.expect(streams, service.pulling.reader.left)
            pulled = service.pull(streams, time_range=time_range, damaged=damaged)
            if not stop():
                left = {*pulled.troubles, *pulled.unasked, *(each.stream for each in pulled.waiting)}
                bars.finish(stream for stream in streams if stream.key not in left)
        _tell(bars, streams, pulled, stop, json=json)
    raise typer.Exit(3 if stop() else pulled.exit_code)


def _time_range(since: str | None, until: str | None) -> TimeRange | None:
    if since is None:
        if until is not None:
            raise ConfigError("--until needs --since.")
        return None
    now = datetime.now(UTC)
    read = partial(instant, now=now)
    start = option_value("--since", read, since)
    end = now if until is None else option_value("--until", read, until)
    if start >= end:
        raise ConfigError("--since must lie before --until, and not in the future.")
    return start, end


def _tell(bars: Progress, streams: Sequence[Stream], pulled: PullResult, stop: Stop, *, json: bool) -> None:
    rows = [bars.summary(stream) | show.error(pulled.troubles.get(stream.key)) for stream in streams]
    if json:
        show.as_json(_whole(rows, pulled) | {"exit": 3 if stop() else pulled.exit_code})
    else:
        show.table(
            [{name: value for name, value in row.items() if name not in {"error", "error_code"}} for row in rows]
        )
    for source_id, error in pulled.damaged.items():
        show.remark(f"{source_id}: {show.harmless(str(error))}")
    # The text of an error may name its request, so that each would be another.
    having = dict[str, list[str]]()
    errors = [(f"{row['source']} {row['log_type']}", str(row["error"])) for row in rows if row["error"]]
    for name, text in errors:
        having.setdefault(without_request(text), []).append(name)
    for names in having.values():
        show.remark(f"{write_list(names)}: {show.harmless(dict(errors)[names[0]])}")
    if pulled.publishing is not None:
        show.remark(f"Publishing: {show.harmless(str(pulled.publishing))}")
    for loop, failure in pulled.failed.items():
        show.remark(f"The loop {loop!r} failed: {show.harmless(str(failure))}")
    for line in pulled.lost:
        show.remark(show.harmless(line))
    if stop():
        show.remark("Stopped. What has landed stays; the next pull goes on from there.")
    else:
        _tell_what_is_left({stream.key: f"{stream.row.name} {stream.kind.log_type}" for stream in streams}, pulled)


def _tell_what_is_left(names: Mapping[StreamKey, str], pulled: PullResult) -> None:
    for left in pulled.waiting:
        told = pulled.troubles.get(left.stream)
        why = f": {show.harmless(left.reason)}" if left.reason and left.reason != str(told) else ""
        tries = [f"from {write_instant(left.due_at)} on"] if left.due_at else []
        # What the source asked to wait for is waited for, by the next pull too.
        if not (tries and isinstance(told, SourceThrottledError)):
            tries.append("by the next pull")
        again = f"tried again {', or '.join(tries)}"
        many = "1 time range is" if left.slices == 1 else f"{left.slices} time ranges are"
        show.remark(f"{names[left.stream]}: {many} left, {again}{why}")
    for key in pulled.unasked:
        if key not in pulled.troubles:
            show.remark(f"{names[key]}: too much is waiting, so nothing new was requested. Run it again.")
    if pulled.lacking:
        many = "1 time range is" if pulled.lacking == 1 else f"{pulled.lacking} time ranges are"
        show.remark(f"{many} parked or incomplete. See: ocelog status")


def _whole(rows: Sequence[dict[str, Any]], pulled: PullResult) -> dict[str, Any]:
    waiting = [
        {
            "source_id": left.stream[0],
            "log_type": left.stream[1],
            "slices": left.slices,
            "reason": left.reason,
            "due_at": write_instant(left.due_at),
        }
        for left in pulled.waiting
    ]
    return {
        "streams": rows,
        "left": pulled.left,
        "waiting": waiting,
        "lacking": pulled.lacking,
        "damaged": {source_id: show.error(error) for source_id, error in pulled.damaged.items()},
        "publishing": show.error(pulled.publishing),
        "failed": {loop: show.error(error) for loop, error in pulled.failed.items()},
        "lost": list(pulled.lost),
    }
