"""`ocelog sweep`: compare all open records with what Wiz shows now."""

import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from ocelog import tenants
from ocelog.assemble import Assembly, Stream, log_types
from ocelog.cli import logs, show
from ocelog.cli.pull import finish
from ocelog.cli.signals import listening
from ocelog.coverage import measure
from ocelog.dispatch.threads import Stop
from ocelog.errors import ConfigError, OcelogError, TransientError
from ocelog.holding import held, holder
from ocelog.installation import Installation, opened
from ocelog.instants import from_us
from ocelog.model import table_name
from ocelog.pull.sweep import Stage, Sweep
from ocelog.quantities import write_instant
from ocelog.run_sweep import Swept, run_sweep, want_sweep

_LOOK_EVERY = 1.0


def command(
    source: Annotated[str | None, typer.Argument(help="Only this source.")] = None,
    *,
    log_type: Annotated[
        list[str] | None, typer.Option("--log-type", metavar="issues|findings", help="Only this log type.")
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
    with opened() as installation, listening(stop):
        assembly = Assembly(installation=installation, told=logs.step)
        streams = _chosen(installation, assembly, source, log_type)
        if accept:
            for stream in streams:
                installation.ledger.accept_vanished(*stream.key)
        who = holder(installation.home)
        if who is not None and who.is_service:
            show.remark(
                "`ocelog run` is running: it sweeps at its next poll. This waits for it; Ctrl-C does not stop it."
            )
            found = _wait_for_service(installation, streams, stop)
        else:
            with held(installation.home, "ocelog sweep"):
                logs.configure(installation.settings, quiet=json)
                found = _sweep_here(installation, assembly, streams, stop)
    _tell(streams, found, json=json)
    finish(3 if stop() else max(map(_exit_code, found), default=0), at_once=False)


def _chosen(
    installation: Installation, assembly: Assembly, source: str | None, names: Sequence[str] | None
) -> list[Stream]:
    wanted = set(log_types(names or ()))
    row = None if source is None else tenants.find(installation, source)
    streams = [
        stream
        for stream in assembly.streams()
        if stream.kind.sweep_by is not None
        and (row is None or stream.row.id == row.id)
        and (not wanted or stream.kind.log_type in wanted)
    ]
    if not streams:
        raise ConfigError("Nothing to sweep: only issues and findings have open records. See: ocelog source list")
    return streams


def _sweep_here(installation: Installation, assembly: Assembly, streams: Sequence[Stream], stop: Stop) -> list[Swept]:
    installation.ledger.release_home(installation.home.id)
    assembly.publisher.reconcile()
    found = list[Swept]()
    for stream in streams:
        try:
            swept = run_sweep(installation.ledger, stream, threads=installation.settings.threads, stop=stop)
            if swept.done:
                measure(installation, stream)
        except OcelogError as error:
            swept = Swept(sweep=installation.ledger.sweep(*stream.key), done=False, error=error)
        found.append(swept)
    for table in {table_name(stream.kind.log_type) for stream in streams}:
        assembly.publisher.publish(table, force=True)
    return found


def _wait_for_service(installation: Installation, streams: Sequence[Stream], stop: Stop) -> list[Swept]:
    ledger = installation.ledger
    numbers = {stream.key: want_sweep(ledger, stream) for stream in streams}

    def ended(stream: Stream) -> Swept:
        sweep = ledger.sweep(*stream.key)
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


def _tell(streams: Sequence[Stream], found: Sequence[Swept], *, json: bool) -> None:
    rows = [_row(stream, swept) for stream, swept in zip(streams, found, strict=True)]
    if json:
        show.as_json({"streams": rows, "exit": max(map(_exit_code, found), default=0)})
        return
    show.table([{name: value for name, value in row.items() if name not in {"error", "note"}} for row in rows])
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
