"""`ocelog source`: the tenants that are read."""

import shlex
from typing import Annotated, Any

import typer

from ocelog.app.source_settings import reveal, source_settings
from ocelog.app.sources import source_changes, source_showing, sources
from ocelog.app.sources.source_showing import SourceView
from ocelog.app.sources.sources import products
from ocelog.cli import completion, health, purging, remote, show, source_change
from ocelog.cli.consent import confirm
from ocelog.cli.secret_input import somebody_is_there
from ocelog.errors import ConfigError
from ocelog.installation.opening import opened
from ocelog.pull.ports import HealthState

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
    if (other := remote.chosen()) is not None:
        known = other.sources.every()
    else:
        with opened(reading=True) as installation:
            known = source_showing.every(installation)
    rows = [_line(each) for each in known]
    if not rows and not json:
        show.hint("There is no source yet. Add one: ocelog source add")
    show.table_or_json(rows, json=json)
    for each in known:
        if each.damaged is not None:
            show.remark(show.harmless(each.damaged))


@app.command("show")
def show_(name: Name, *, json: Json = False) -> None:
    """Show every setting of a source. Secrets are never shown."""
    if (other := remote.chosen()) is not None:
        source = other.sources.one(name)
    else:
        with opened(reading=True) as installation:
            source = source_showing.one(installation, name)
    found: dict[str, Any] = {
        "name": source.name,
        "id": source.id,
        "kind": source.product,
        "state": source.state,
        **source.settings,
        "client_secret": source.secret_kept,
        "backfill": source.backfill,
        "sweep": source.sweep,
        "sweep_every": source.sweep_every,
        "poll": source.poll,
        "no_events": {log_type: dict(alarm) for log_type, alarm in source.no_events.items()},
    }
    if json:
        show.as_json(found)
    else:
        show.table([{"setting": key, "value": value} for key, value in found.items()])
        show.hint("")
        for setting, meaning in products()[source.product].meanings.items():
            if setting in found:
                show.paragraph(f"{setting}: {meaning}")
        show.hint("Of the other settings: ocelog source edit --help")


@app.command("check")
def check(name: Name, *, json: Json = False) -> None:
    """Send the source a small request per log type, and say what works.

    Exit code 2: something needs attention. 3: the source is busy or down, and it may work later.
    """
    printed = False
    if (other := remote.chosen()) is not None:
        source_id = other.sources.find(name).id
        health.begins()
        items = other.sources.check(source_id)
    else:
        with opened() as installation:
            row = sources.find(installation, name)
            source_id = row.id
            settings, secret = source_settings(row), reveal(installation, row)
            health.begins()
            items = sources.check(settings, secret, health.waiting, (lambda _: None) if json else health.print_item)
            printed = not json
    if any(item.name == "token" and item.state is HealthState.FAIL for item in items):
        show.remark(f"To enter the client secret again: ocelog source rotate {source_id}")
    health.report(items, json=json, printed=printed)


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


@app.command("remove", short_help="Stop reading a source; its rows stay in the lake.")
def remove(
    name: Name,
    *,
    purge: Annotated[bool, typer.Option("--purge", help="Also delete its rows from the lake; asks first.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask. Without a terminal it never asks, but for --purge.")
    ] = False,
) -> None:
    """Stop reading a source and forget its secret; its rows stay in the lake. On a terminal it asks first.

    If you add it again under the same name, it goes on where it stopped, and no row is doubled.
    """
    if (other := remote.chosen()) is not None:
        if purge:
            raise ConfigError(
                "--purge works only on the machine of the home: run it there, without --url and OCELOG_URL."
            )
        source = other.sources.find(name)
        _ask_to_remove(source.name, yes=yes)
        other.sources.remove(source.id)
        _say_removed(source.name)
        return
    with opened() as installation:
        row = sources.find(installation, name, removed=purge)
        if purge:
            purging.ask_and_purge(installation, row, yes=yes)
        else:
            _ask_to_remove(row.name, yes=yes)
            source_changes.remove(installation, row)
            _say_removed(row.name)


def _ask_to_remove(name: str, *, yes: bool) -> None:
    if somebody_is_there() and not yes:
        confirm(
            f"Remove the source {name!r}, with its client secret? Its rows stay.",
            nothing="Nothing was removed",
            unasked="Add --yes.",
        )


def _say_removed(name: str) -> None:
    show.paragraph(f"Removed {name!r}; its rows stay. If you add it again by that name, it goes on where it stopped.")


def _set_paused(name: str, *, paused: bool) -> None:
    if (other := remote.chosen()) is not None:
        other.sources.pause(name, paused=paused)
        return
    with opened() as installation:
        source_changes.pause(installation, sources.find(installation, name), paused=paused)


def _line(source: SourceView) -> dict[str, Any]:
    named = {"name": source.name, "id": source.id, "state": source.state}
    if source.damaged is not None:
        return named | dict.fromkeys(("log_types", "projects", "backfill", "poll"))
    return named | {
        "log_types": list(source.log_types),
        "projects": list(source.projects),
        "backfill": source.backfill,
        "poll": source.poll,
    }
