"""`ocelog source`: the tenants that are read."""

import shlex
from typing import Annotated, Any

import typer

from ocelog.app import source_changes, sources
from ocelog.app.source_settings import damage, source_settings, stream_settings
from ocelog.app.stream_health import alarm_settings
from ocelog.cli import completion, health, purging, show, source_change
from ocelog.health.settings import AFTER, EVEN_IF_QUIET, QUIET_HOURS, REPEAT, written
from ocelog.installation.opening import opened
from ocelog.model import SourceRow
from ocelog.pull.ports import HealthState
from ocelog.units import write_duration

app = typer.Typer(
    help="Add, check, change and remove sources (Wiz tenants).", no_args_is_help=True, rich_markup_mode=None
)
Name = Annotated[str, typer.Argument(help="The source's name.", show_default=False, autocompletion=completion.sources)]
app.command("add")(source_change.add)
app.command("edit")(source_change.edit)
app.command("rotate")(source_change.rotate)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_(*, json: Json = False) -> None:
    """List the sources. One whose settings are damaged is marked, and stderr says what to do."""
    with opened(reading=True) as installation:
        known = sources.listed(installation)
    rows = [_line(row) for row in known]
    if not rows and not json:
        show.hint("There is no source yet. Add one: ocelog source add")
    show.table_or_json(rows, json=json)
    for error in filter(None, map(damage, known)):
        show.remark(show.harmless(str(error)))


@app.command("show")
def show_(name: Name, *, json: Json = False) -> None:
    """Show every setting of a source. Secrets are never shown."""
    with opened(reading=True) as installation:
        row = sources.find(installation, name)
        kept = sources.secret_kept(installation, row)
    settings, streams = source_settings(row), stream_settings(row)
    found: dict[str, Any] = {
        "name": row.name,
        "id": row.id,
        "kind": row.kind,
        "state": "paused" if row.paused else "active",
        **settings.to_mapping(),
        "client_secret": kept,
        "backfill": "all" if streams.backfill is None else write_duration(streams.backfill),
        "sweep": streams.sweep,
        "sweep_every": write_duration(streams.sweep_every),
        "poll": write_duration(streams.poll),
        "no_events": {log_type: _alarm(row, log_type) for log_type in settings.log_types},
    }
    if json:
        show.as_json(found)
    else:
        show.table([{"setting": key, "value": value} for key, value in found.items()])


@app.command("check")
def check(name: Name, *, json: Json = False) -> None:
    """Send the source a small request per log type, and say what works.

    Exit code 2: something needs attention. 3: the source is busy or down, and it may work later.
    """
    with opened() as installation:
        row = sources.find(installation, name)
        items = sources.check(source_settings(row), sources.reveal(installation, row), health.waiting)
    if any(item.name == "token" and item.state is HealthState.FAIL for item in items):
        show.remark(f"To enter the client secret again: ocelog source rotate {row.id}")
    health.report(items, json=json)


@app.command("pause")
def pause(name: Name) -> None:
    """Stop reading a source, until it is resumed."""
    _set_paused(name, paused=True)
    show.hint(f"Paused. Go on with: ocelog source resume {shlex.quote(name)}")


@app.command("resume")
def resume(name: Name) -> None:
    """Read a paused source again, from where it stopped."""
    _set_paused(name, paused=False)
    show.paragraph("Resumed. It is read on from where it stopped.")


@app.command("remove")
def remove(
    name: Name,
    *,
    purge: Annotated[bool, typer.Option("--purge", help="Also delete its rows from the lake; asks first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Stop reading a source and forget its secret; its rows stay in the lake.

    If you add it again under the same name, it goes on where it stopped, and no row is doubled.
    """
    with opened() as installation:
        row = sources.find(installation, name, removed=purge)
        if purge:
            purging.ask_and_purge(installation, row, yes=yes)
        else:
            source_changes.remove(installation, row)
            show.paragraph(
                f"Removed {row.name!r}; its rows stay. If you add it again by that name, it goes on where it stopped."
            )


def _alarm(row: SourceRow, log_type: str) -> dict[str, Any]:
    alarm = alarm_settings(row, log_type)
    return {
        AFTER: written(alarm.after),
        REPEAT: written(alarm.repeat),
        QUIET_HOURS: written(alarm.quiet_hours),
        EVEN_IF_QUIET: alarm.even_if_quiet,
    }


def _set_paused(name: str, *, paused: bool) -> None:
    with opened() as installation:
        source_changes.pause(installation, sources.find(installation, name), paused=paused)


def _line(row: SourceRow) -> dict[str, Any]:
    if damage(row) is not None:
        blank = dict.fromkeys(("log_types", "projects", "backfill", "poll"))
        return {"name": row.name, "id": row.id, "state": "damaged", **blank}
    settings, streams = source_settings(row), stream_settings(row)
    return {
        "name": row.name,
        "id": row.id,
        "state": "paused" if row.paused else "active",
        "log_types": list(settings.log_types),
        "projects": list(settings.projects),
        "backfill": "all" if streams.backfill is None else write_duration(streams.backfill),
        "poll": write_duration(streams.poll),
    }
