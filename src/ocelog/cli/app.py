"""Which commands there are, and in which module each lives.

A command's module is imported only when that command is asked for, so that `ocelog --help` does not wait for the
database and the lake.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Annotated

import typer
from msgspec import Struct

from ocelog.cli import place

ASKED_BY_A_SHELL = "_OCELOG_COMPLETE"
"""The variable in which a shell says that it wants to complete what a person types."""


class Command(Struct, frozen=True, kw_only=True):
    """Where a command lives; `group` says that it has commands of its own."""

    module: str
    summary: str
    group: bool = False


COMMANDS: dict[str, Command] = {
    "init": Command(module="start", summary="Make a home: the folder that holds ledger, lake and key."),
    "demo": Command(module="demo", summary="See everything work on a simulated Wiz tenant."),
    "source": Command(
        module="source",
        summary="Add, check, change and remove sources (Wiz tenants).",
        group=True,
    ),
    "pull": Command(module="pull", summary="Read what is due, publish it, and end."),
    "run": Command(module="run", summary="Keep pulling and publishing until stopped."),
    "serve": Command(module="serve", summary="Serve the console without reading anything."),
    "sweep": Command(module="sweep", summary="Compare all open records with what their source shows now."),
    "coverage": Command(module="coverage", summary="Compare how many records each source counts with the lake."),
    "publish": Command(module="publish", summary="Move landed parts into the lake's tables now."),
    "upkeep": Command(module="upkeep", summary="Merge small files of the lake, delete those no longer needed."),
    "reshape": Command(module="reshape", summary="Fill columns that an upgrade added in rows stored before."),
    "status": Command(module="status", summary="Show the status of each stream; exit 1 if one needs attention."),
    "query": Command(module="query", summary="Query the lake in SQL."),
    "sql": Command(module="sql", summary="Query the lake in SQL, with history and completion."),
    "tables": Command(module="tables", summary="List the tables, or the columns of one."),
    "lake": Command(module="lake", summary="Show where the tables are and how other engines read them."),
    "schema": Command(
        module="schema",
        summary="List, show and check log schemas.",
        group=True,
    ),
    "channel": Command(
        module="channel",
        summary="Add, test and change channels: where alerts go.",
        group=True,
    ),
    "rules": Command(
        module="rules",
        summary="Register, list, check and test detection rules.",
        group=True,
    ),
    "alerts": Command(
        module="alerts",
        summary="List alerts, work with them, keep some quiet.",
        group=True,
    ),
    "shape": Command(module="shape", summary="Show which events and rejections the records in a file become."),
    "user": Command(module="user", summary="Add, list and change users of the console.", group=True),
    "backup": Command(module="backup", summary="Back up everything, even while the service runs."),
    "restore": Command(module="restore", summary="Make a home from a backup, at any path."),
    "repair": Command(module="repair", summary="Give up lost or damaged files, and read their records again."),
    "rejections": Command(module="rejections", summary="Show records that did not fit, or try them again."),
    "service": Command(module="host_service", summary="Install, use and uninstall a service of systemd.", group=True),
    "config": Command(module="settings", summary="Show each setting, its value, and where it came from."),
}


def completed(environment: Mapping[str, str]) -> list[str] | None:
    """Return what was typed so far, if a shell asks for completions; None: it does not."""
    words = environment.get("COMP_WORDS") or environment.get("_TYPER_COMPLETE_ARGS")
    return words.split()[1:] if words and ASKED_BY_A_SHELL in environment else None


def wanted_command(arguments: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """Return which command `arguments` name; if a shell asks for completions, its variable holds the words."""
    typed = completed(environment)
    return next(iter(place.words_of(arguments if typed is None else typed)), None)


def build(wanted: str | None, *, whole: bool = False) -> typer.Typer:
    """Return the command line with `wanted` (or, `whole`, with every command) imported and the others only named."""
    app = typer.Typer(
        help="Ocelog: Wiz logs in an Iceberg lake of your own, exactly once.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        epilog="First steps: ocelog demo. With a tenant: ocelog init, ocelog source add, ocelog pull, ocelog query.",
    )
    app.callback()(_root)
    for name, command in COMMANDS.items():
        if not whole and name != wanted:
            app.command(name, help=command.summary)(_unread)
        elif command.group:
            app.add_typer(import_module(f"ocelog.cli.{command.module}").app, name=name, help=command.summary)
        else:
            app.command(name)(import_module(f"ocelog.cli.{command.module}").command)
    return app


def _show_version(asked: bool) -> None:  # noqa: FBT001 - typer hands an option's value on by position
    if asked:
        from importlib.metadata import version  # noqa: PLC0415 - takes 10 ms, which every other command saves

        typer.echo(f"ocelog {version('ocelog')}")
        raise typer.Exit


def _root(
    context: typer.Context,
    *,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="Ask the Ocelog whose console is there, such as https://ocelog.example.com, instead of the home of "
            "this machine. Also OCELOG_URL.",
        ),
    ] = None,
    token_file: Annotated[
        str | None,
        typer.Option("--token-file", metavar="FILE", help="Where its token is; - is stdin. Or OCELOG_TOKEN holds it."),
    ] = None,
    show_version: Annotated[  # noqa: ARG001 - its callback has ended the command
        bool, typer.Option("--version", help="Show the version and end.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Ocelog: Wiz logs in an Iceberg lake of your own, exactly once."""
    place.choose(url, token_file, context.obj or ())


def _unread() -> None:
    """Stand in for a command that was not asked for: it is only named."""
