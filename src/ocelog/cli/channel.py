"""`ocelog channel`: where alerts are sent."""

import shlex
import sys
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ocelog.alert.delivery.routing import ChannelRow, ChannelStatus, written
from ocelog.app.alerts import alerts, channels
from ocelog.app.sources.sources import GivenSecret
from ocelog.app.users import users
from ocelog.channels.ports import Receipt
from ocelog.cli import completion, remote, show
from ocelog.cli.channel_options import ChannelOptions, wanted, with_options
from ocelog.cli.consent import confirm
from ocelog.cli.secret_input import asked_secret, somebody_is_there
from ocelog.errors import ConfigError, OcelogError, TransientError
from ocelog.installation.opening import Installation, opened
from ocelog.times import from_us
from ocelog.units import counted, write_instant, write_list

if TYPE_CHECKING:
    # What speaks HTTP takes long to import.
    from ocelog.remote.remote import Remote

app = typer.Typer(
    help="Add, test, change and remove channels: where alerts are sent.", no_args_is_help=True, rich_markup_mode=None
)
Name = Annotated[
    str, typer.Argument(help="The channel's name.", show_default=False, autocompletion=completion.channels)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_WIDE = 120
"""Columns from which on a list has one for each thing."""
_ACTION_REQUIRED, _TRY_LATER = 2, 3


@app.command("add")
@with_options
def add(
    kind: Annotated[
        str, typer.Argument(help=f"{write_list(channels.channel_kinds(), 'or')}.", autocompletion=completion.kinds)
    ],
    name: Annotated[str, typer.Argument(help="Any text: ops, 'on call'.")],
    *,
    chosen: ChannelOptions,
) -> None:
    """Add a channel. On a terminal, it asks for the secrets that it needs.

    What each kind needs is in the reference of channels. Without options for them, it hears of all alerts.
    """
    given = chosen.secrets()
    # Before anything is asked.
    channels.refuse_misplaced(kind, chosen.settings(), name)
    missing = [each for each in channels.secret_names(kind, required=True) if each not in given]
    secrets = _asked_until_fit(kind, missing, given, chosen.settings())
    if (other := remote.chosen()) is not None:
        row = other.channels.add({"kind": kind, "name": name, **chosen.body(secrets)}).channel
        unknown = _unknown_rules(chosen, row, other)
    else:
        with opened() as installation:
            row = channels.add(installation, kind, name, chosen.change(secrets))
            unknown = _unknown_rules(chosen, row, installation)
    typer.echo(f"Added {row.name!r} (id {row.id}).")
    _say(unknown)
    show.hint(f"Try it: ocelog channel test {row.id}")


@app.command("edit")
@with_options
def edit(
    name: Name,
    *,
    rename: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Call it so.")] = None,
    chosen: ChannelOptions,
) -> None:
    """Change a channel; what you do not name stays as it is. A running service notices.

    Without options it asks for its secrets again. Options that may be repeated replace the whole list; `any` empties
    it.
    """
    if (other := remote.chosen()) is not None:
        status = other.channels.status(name)
        before = status.channel
        named = {} if rename is None else {"name": rename}
        secrets = _changed(before, status.secrets, chosen, rename)
        row = other.channels.edit(before.id, named | chosen.body(secrets)).channel
        unknown = _unknown_rules(chosen, row, other)
    else:
        with opened() as installation:
            before = channels.find(installation, name)
            kept = channels.secrets_kept(installation, before)
            change = chosen.change(_changed(before, kept, chosen, rename), rename)
            row = channels.edit(installation, before, change)
            unknown = _unknown_rules(chosen, row, installation)
    show.paragraph(f"Changed {row.name!r}.")
    _say(unknown)


def _unknown_rules(chosen: ChannelOptions, row: ChannelRow, place: "Installation | Remote") -> list[str]:
    """Say which rules that were chosen for a channel there are none of: it would hear of nothing."""
    if chosen.rule is None or not row.routing.route.rules:
        return []
    if isinstance(place, Installation):
        known = channels.rules_here(place)
    else:
        known = {rule["id"] for folder in place.rules.folders(None) for rule in folder["rules"]}
    return channels.unknown_rules(row.routing.route.rules, known)


def _say(remarks: list[str]) -> None:
    for each in remarks:
        show.remark(show.harmless(each))


def _changed(
    before: ChannelRow, kept: Mapping[str, str], chosen: ChannelOptions, rename: str | None
) -> dict[str, GivenSecret]:
    """Return the secrets that are to be kept: those that were given, or asked for if nothing was chosen at all."""
    given = chosen.secrets()
    if chosen.is_blank and rename is None:
        given = _asked_until_fit(before.kind, channels.secrets_to_ask(before.kind, kept), given, before.settings)
        if not given:
            raise ConfigError("No change was given, such as --severity high+. See: ocelog channel edit --help")
    return given


@app.command("list", short_help="List the channels, and what waits for each.")
def list_(*, json: Json = False) -> None:
    """List the channels: what each hears of, what waits, and what was given up."""
    if (other := remote.chosen()) is not None:
        found = other.channels.statuses()
    else:
        with opened(reading=True) as installation:
            found = channels.statuses(installation)
    wide = not sys.stdout.isatty() or show.displayed_columns() >= _WIDE
    rows = [_line(each) for each in found]
    if json:
        show.as_json(rows)
        return
    if not rows:
        show.hint("There is no channel yet. Add one: ocelog channel add webhook ops")
    shown = ["name", "id", "kind", "state", "severities", "hears"]
    if wide:
        shown += ["quiet_hours", "per_hour", "escalate_after"]
    shown += ["waiting", "given_up"]
    rows = [row | {"hears": _hears(row, wide=wide)} for row in rows]
    show.table([{key: row[key] for key in shown} for row in rows])
    for row in (row for row in rows if row["trouble"]):
        since = f", failing since {row['failing_since']}" if row["failing_since"] else ""
        show.paragraph(f"{row['name']}{since}: {row['trouble']}")
    for row in rows:
        if row["state"] == "behind":
            show.remark(
                f"{row['name']}: {row['waiting']:,} messages wait, the oldest since {row['waiting_since']}. They come "
                "faster than it takes them."
            )
        if row["given_up"]:
            many = "1 alert was" if row["given_up"] == 1 else f"{row['given_up']} alerts were"
            show.remark(f"{row['name']}: {many} given up. To send them again: ocelog channel resend {row['id']}")


@app.command("show")
def show_(name: Name, *, json: Json = False) -> None:
    """Show every setting of a channel, and how it is. Secrets are never shown."""
    if (other := remote.chosen()) is not None:
        found = _line(other.channels.status(name))
    else:
        with opened(reading=True) as installation:
            row = channels.find(installation, name)
            found = next(_line(each) for each in channels.statuses(installation) if each.channel.id == row.id)
    if json:
        show.as_json(found)
    else:
        show.table([{"setting": key, "value": value} for key, value in found.items()])


@app.command("test", short_help="Send a message that is marked as a test.")
def send_test(name: Name, *, json: Json = False) -> None:
    """Send a message that is marked as a test, and show what the far end answers.

    Exit code 2: it refused the message, or a setting is wrong. 3: it may work later.
    """
    try:
        channel, receipt = _sent(name)
    except _NotTakenError as refused:
        error = refused.error
        if not json:
            todo = error.todo or f"To see its settings: ocelog channel show {shlex.quote(refused.channel)}"
            raise type(error)(f"{refused.channel!r}: {error.what}", code=error.code, todo=todo) from None
        shown = {"channel": refused.channel, "delivered": False, "status": None, "answer": None}
        show.as_json(shown | show.error(error))
        raise typer.Exit(_TRY_LATER if isinstance(error, TransientError) else _ACTION_REQUIRED) from None
    if json:
        taken = {"channel": channel, "delivered": True, "status": receipt.status, "answer": receipt.text}
        show.as_json(taken | show.error(None))
    else:
        show.paragraph(f"{channel!r} took it: {receipt.status} {receipt.text}".rstrip())


class _NotTakenError(Exception):
    """A test did not get through."""

    def __init__(self, channel: str, error: OcelogError) -> None:
        super().__init__(str(error))
        self.channel, self.error = channel, error


def _sent(name: str) -> tuple[str, Receipt]:
    """Send a test; return the name of the channel and what it answered. Raises _NotTakenError."""
    if (other := remote.chosen()) is not None:
        row = other.channels.status(name).channel
        try:
            return row.name, other.channels.send_test(row.id)
        except OcelogError as error:
            raise _NotTakenError(row.name, error) from error
    with opened() as installation:
        row = channels.find(installation, name)
        try:
            return row.name, channels.send_test(installation, row, partial(_note, installation))
        except OcelogError as error:
            raise _NotTakenError(row.name, error) from error


def _note(installation: Installation, what: str, target: str, **details: str) -> None:
    try:
        who = alerts.person(installation, None)
    except ConfigError:
        # The machine has no name for them.
        who = ""
    users.note_command(installation, who, what, target, **details)


@app.command("pause", short_help="Send nothing through a channel until it is resumed.")
def pause(name: Name) -> None:
    """Send nothing through a channel until it is resumed; what there is to tell waits."""
    _set_paused(name, paused=True)
    show.hint(f"Paused. Go on with: ocelog channel resume {shlex.quote(name)}")


@app.command("resume", short_help="Send through a paused channel again.")
def resume(name: Name) -> None:
    """Send through a paused channel again, beginning with how the alerts are that waited."""
    _set_paused(name, paused=False)
    show.paragraph("Resumed. What has waited is sent by the next pull, or within seconds if the service runs.")


def _set_paused(name: str, *, paused: bool) -> None:
    if (other := remote.chosen()) is not None:
        other.channels.pause(name, paused=paused)
        return
    with opened() as installation:
        channels.pause(installation, channels.find(installation, name), paused=paused)


@app.command("remove")
def remove(
    name: Name,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask. Without a terminal it never asks.")] = False,
) -> None:
    """Forget a channel and its secrets. What waits for it goes to the channels that take it now."""
    if (other := remote.chosen()) is not None:
        found = other.channels.status(name)
        _ask_to_remove(found.channel.name, yes=yes)
        other.channels.remove(found.channel.id)
        _say_removed(found.channel.name, found.waiting, others=bool(other.channels.statuses()))
        return
    with opened() as installation:
        row = channels.find(installation, name)
        _ask_to_remove(row.name, yes=yes)
        waited = channels.remove(installation, row)
        others = bool(channels.statuses(installation))
    _say_removed(row.name, waited, others=others)


def _ask_to_remove(name: str, *, yes: bool) -> None:
    if somebody_is_there() and not yes:
        confirm(
            f"Remove the channel {name!r}, with its settings and secrets?",
            nothing="Nothing was removed",
            unasked="Add --yes.",
        )


def _say_removed(name: str, waited: int, *, others: bool) -> None:
    rest = "each goes to the channels that take it now" if others else "there is no other channel, so nobody gets it"
    show.paragraph(f"Removed {name!r}." + (f" {counted(waited, 'message')} waited: {rest}." if waited else ""))


@app.command("resend")
def resend(name: Name) -> None:
    """Send again what was given up for a channel, as the alerts are now."""
    if (other := remote.chosen()) is not None:
        count = other.channels.resend(name)
    else:
        with opened() as installation:
            count = channels.resend(installation, channels.find(installation, name))
    if count:
        show.paragraph(f"Alerts to send again: {count}. The next pull sends them, or the service within seconds.")
    else:
        show.paragraph("Nothing was given up.")


def _asked(kind: str, names: list[str], given: Mapping[str, GivenSecret]) -> dict[str, GivenSecret]:
    """Return `given`, and what a person types for the other `names`, if somebody is there."""
    if names and not somebody_is_there():
        return dict(given)
    return {**given, **{name: asked_secret(f"{name} of the {kind} channel", wanted=wanted(name)) for name in names}}


def _asked_until_fit(
    kind: str, names: list[str], given: Mapping[str, GivenSecret], settings: Mapping[str, str]
) -> dict[str, GivenSecret]:
    """Return what `_asked` does; what a person types is asked again until it holds, for nobody sees what was typed."""
    while True:
        try:
            secrets = _asked(kind, names, given)
            if names and somebody_is_there():
                channels.refuse_unfit_secrets(kind, settings, {name: each.value for name, each in secrets.items()})
        except ConfigError as error:
            if not names or not somebody_is_there():
                raise
            show.remark(f"  {error}")
        else:
            return secrets


def _hears(row: Mapping[str, Any], *, wide: bool) -> str:
    """Return of which alerts a channel hears, if not of all: which types, log types and rules, or how many rules."""
    rules = row["rules"] if wide else [counted(len(row["rules"]), "rule")] if row["rules"] else []
    return ", ".join([*row["types"], *row["log_types"], *rules]) or "all"


def _line(status: ChannelStatus) -> dict[str, Any]:
    row = status.channel
    kept = written(status.channel.routing)
    state = "paused" if row.paused else "failing" if status.failures else "behind" if status.is_behind else "active"
    return {
        "name": row.name,
        "id": row.id,
        "kind": row.kind,
        "state": state,
        "severities": kept["severities"],
        "types": kept["types"],
        "log_types": kept["log_types"],
        "rules": kept["rules"],
        "quiet_hours": kept["quiet_hours"],
        "per_hour": kept["per_hour"],
        "escalate_after": kept["escalate_after"],
        "waiting": status.waiting,
        "waiting_since": None if status.waiting_since_us is None else write_instant(from_us(status.waiting_since_us)),
        "given_up": status.given_up,
        "last_delivered": None if status.delivered_us is None else write_instant(from_us(status.delivered_us)),
        "failing_since": None if status.failing_us is None else write_instant(from_us(status.failing_us)),
        "trouble": status.trouble,
        "trouble_code": status.trouble_code,
        "settings": dict(row.settings),
        "secrets": status.secrets,
    }
