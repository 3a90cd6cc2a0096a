"""`ocelog sweep`: compare all open records with what Wiz shows now."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from ocelog.app import sources
from ocelog.app.assemble import Assembly
from ocelog.app.coverage import measure_each, to_measure
from ocelog.app.log_types import log_types, short_names
from ocelog.app.sweep import Swept, run_sweep, want_sweep
from ocelog.cli import completion, logs, show
from ocelog.cli.progress import progress
from ocelog.cli.pull import finish
from ocelog.cli.signals import listening
from ocelog.dispatch.threads import Stop
from ocelog.errors import ConfigError, OcelogError, TransientError
from ocelog.installation.home_lock import held, holder
from ocelog.installation.opening import Installation, opened
from ocelog.model import SliceState, SourceRow, table_name
from ocelog.pull.stream import Stream
from ocelog.pull.sweep import Stage, Sweep
from ocelog.times import from_us
from ocelog.units import write_instant

_LOOK_EVERY = 1.0
_MOST_AGAIN = 20
"""So many further sweeps one acceptance may take: the first ones close 50,000 records each."""


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
    share of the rate that sweeps may use; otherwise this command does, at the whole rate.
    """
    stop = Stop()
    with_bars = sys.stderr.isatty()
    with opened() as installation, listening(stop), progress(quiet=json) as bars:
        logs.configure(installation.settings, quiet=json or with_bars)
        assembly = Assembly(installation=installation, told=bars.told if with_bars else logs.step)
        streams, damaged = _chosen(installation, assembly, source, log_type)
        if accept:
            for stream in streams:
                installation.ledger.sweeps.accept_vanished(*stream.key)
        who = holder(installation.home)
        if who is not None and who.is_service:
            show.remark(
                "`ocelog run` is running: it sweeps at its next poll. This waits for it; Ctrl-C does not stop it."
            )
            found = _until_accepted(streams, stop, lambda left: _wait_for_service(installation, left, stop))
        else:
            with held(installation.home, "ocelog sweep"):
                ledger, waiting = installation.ledger, {SliceState.WAITING}
                bars.expect(
                    streams,
                    lambda one: ledger.pulling.slices(source_id=one.key[0], log_type=one.key[1], states=waiting),
                )
                found = _until_accepted(streams, stop, lambda left: _sweep_here(installation, assembly, left, stop))
                bars.finish(stream for stream, each in zip(streams, found, strict=True) if each.done)
    codes = {*map(_exit_code, found), 2 if damaged else 0}
    code = 3 if stop() else next(each for each in (2, 3, 0) if each in codes)
    _tell(streams, found, damaged, code, json=json)
    finish(code, at_once=False)


def _until_accepted(
    streams: Sequence[Stream], stop: Stop, sweep: Callable[[Sequence[Stream]], list[Swept]]
) -> list[Swept]:
    """Sweep `streams`, and again those of which not all is closed yet that a person said is gone."""
    found = dict(zip((each.key for each in streams), sweep(streams), strict=True))
    for _ in range(_MOST_AGAIN):
        left = [each for each in streams if _accepted_yet(found[each.key])]
        if not left or stop():
            break
        found |= zip((each.key for each in left), sweep(left), strict=True)
    return [found[each.key] for each in streams]


def _accepted_yet(swept: Swept) -> bool:
    return (
        swept.done and swept.error is None and swept.sweep is not None and swept.sweep.complete and swept.sweep.accepted
    )


def _chosen(
    installation: Installation, assembly: Assembly, source: str | None, names: Sequence[str] | None
) -> tuple[list[Stream], dict[str, ConfigError]]:
    """Return the streams that are wanted, and why wanted sources have none whose settings are damaged."""
    wanted = set(log_types(names or ()))
    row = None if source is None else sources.find(installation, source)
    streams = [
        stream
        for stream in assembly.streams()
        if stream.kind.sweep_by is not None
        and (row is None or stream.row.id == row.id)
        and (not wanted or stream.kind.log_type in wanted)
    ]
    damaged = {key: error for key, error in assembly.damaged.items() if row is None or key == row.id}
    if not streams and not damaged:
        raise ConfigError(_nothing(installation, row))
    return streams, damaged


def _nothing(installation: Installation, row: SourceRow | None) -> str:
    rows = installation.ledger.sources.listed() if row is None else [row]
    if not rows:
        return "There is no source yet. Add one: ocelog source add"
    paused = [each for each in rows if each.paused]
    if paused:
        return f"Nothing to sweep: {paused[0].name!r} is paused. Resume it: ocelog source resume {paused[0].id}"
    return f"Nothing to sweep: only {' and '.join(short_names(swept=True))} have open records. See: ocelog source list"


def _sweep_here(installation: Installation, assembly: Assembly, streams: Sequence[Stream], stop: Stop) -> list[Swept]:
    home_id, threads = installation.home.id, installation.settings.threads
    installation.ledger.pulling.release_home(home_id)
    assembly.publisher.reconcile()
    found = list[Swept]()
    for stream in streams:
        try:
            swept = run_sweep(installation.ledger, stream, home_id=home_id, threads=threads, stop=stop)
        except OcelogError as error:
            swept = Swept(sweep=installation.ledger.sweeps.newest(*stream.key), done=False, error=error)
        found.append(swept)
    for table in {table_name(stream.kind.log_type) for stream in streams}:
        assembly.publisher.publish(table, force=True)
    read = {stream.row.id for stream in streams}
    measured = to_measure(installation, [each for each in assembly.streams() if each.row.id in read])
    for reason in measure_each(installation, measured):
        show.remark(f"Coverage not measured: {show.harmless(reason)}")
    return found


def _wait_for_service(installation: Installation, streams: Sequence[Stream], stop: Stop) -> list[Swept]:
    ledger = installation.ledger
    numbers = {stream.key: want_sweep(ledger, stream) for stream in streams}

    def ended(stream: Stream) -> Swept:
        sweep = ledger.sweeps.newest(*stream.key)
        done = sweep is not None and sweep.round >= numbers[stream.key] and sweep.stage is Stage.DONE
        return Swept(sweep=sweep, done=done)

    while not stop():
        found = [ended(stream) for stream in streams]
        if all(each.done for each in found) or holder(installation.home) is None:
            return found
        time.sleep(_LOOK_EVERY)
    return [ended(stream) for stream in streams]


def _exit_code(swept: Swept) -> int:
    if isinstance(swept.error, TransientError):
        return 3
    if swept.error is not None or (swept.sweep is not None and swept.sweep.vanished):
        return 2
    # The first sweep of a stream judges nothing, and is well for all that.
    complete = swept.sweep is not None and (swept.sweep.complete or swept.sweep.note is None)
    return 0 if swept.done and complete else 3


def _tell(
    streams: Sequence[Stream], found: Sequence[Swept], damaged: Mapping[str, ConfigError], code: int, *, json: bool
) -> None:
    rows = [_row(stream, swept) for stream, swept in zip(streams, found, strict=True)]
    if json:
        show.as_json({"streams": rows, "damaged": {key: str(error) for key, error in damaged.items()}, "exit": code})
        return
    # When it ended is a moment ago; the instant would not fit beside the rest.
    shown = [row | {"ended": row["ended"] != "no"} for row in rows]
    show.table([{name: value for name, value in row.items() if name not in {"error", "note"}} for row in shown])
    for source_id, error in damaged.items():
        show.remark(f"{source_id}: {show.harmless(str(error))}")
    for row in rows:
        for remark in filter(None, (row["error"], row["note"])):
            show.remark(f"{row['source']} {row['log type']}: {show.harmless(str(remark))}")


def _row(stream: Stream, swept: Swept) -> dict[str, Any]:
    sweep = swept.sweep
    return {
        "source": stream.row.name,
        "log type": stream.kind.log_type,
        "ended": _ended(sweep) if swept.done else "no",
        "complete": None if sweep is None else sweep.complete,
        "seen": None if sweep is None else sweep.seen,
        "missing": None if sweep is None else sweep.missing,
        "inferred closed": None if sweep is None else sweep.inferred,
        "note": None if sweep is None else sweep.note,
        "error": None if swept.error is None else str(swept.error),
    }


def _ended(sweep: Sweep | None) -> str | None:
    if sweep is None or sweep.finished_us is None:
        return None
    return write_instant(from_us(sweep.finished_us))
