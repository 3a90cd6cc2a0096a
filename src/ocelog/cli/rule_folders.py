"""`ocelog rules add`, `remove`, `enable` and `disable`: folders of rules, and which rules run."""

import shlex
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from ocelog.app.rule_folders import rule_folders
from ocelog.app.rule_folders.rule_folders import near
from ocelog.app.rules import rule_showing
from ocelog.cli import completion, remote, show
from ocelog.cli.rule_listing import from_here, on_of
from ocelog.detect.unjudged import oldest_us
from ocelog.errors import HomeError
from ocelog.installation.opening import opened
from ocelog.times import from_us
from ocelog.units import counted, write_instant

__all__ = ["add", "disable", "enable", "names_here", "near", "remove", "unjudged"]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Folder = Annotated[str, typer.Argument(help="The folder's name.", autocompletion=completion.rule_folders)]
Names = Annotated[
    list[str],
    typer.Argument(
        help="Ids of rules and packs, or a pattern of ids in quotes, such as 'Acme.Logins.*'.",
        autocompletion=completion.rules_and_packs,
    ),
]


def add(
    path: Annotated[Path, typer.Argument(help="A folder or a checkout with rules.")],
    *,
    name: Annotated[str | None, typer.Option("--name", help="What to call it; by default the folder's name.")] = None,
    network: Annotated[bool, typer.Option("--network", help="Let its Python use the network.")] = False,
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="Run its Python also if this machine cannot keep it in.")
    ] = False,
    json: Json = False,
) -> None:
    """Register a folder of rules: those that are enabled there judge new events from now on.

    Its files are read, never written, and read again whenever they change. Trust a folder as a whole: Python of one of
    its rules can falsify what the others there say, but nothing of other folders.
    """
    with opened() as installation:
        found = rule_folders.register(installation, path, name=name, network=network, unsafe=unsafe)
    folder = from_here(rule_showing.folder_values(found, rule_showing.cannot_run([found])))
    if json:
        show.as_json(folder)
        return
    faulty = [each for each in folder["rules"] if each["status"] == rule_showing.NOT_RUN]
    for problem in (*found.problems, *(f"{each['id']}: not run: {each['why']}" for each in faulty)):
        show.remark(show.harmless(show.near(problem)))
    show.paragraph(f"Registered {found.folder.name!r}: {on_of(folder)}.")
    refused = sum(rule.status == "refused" for rule in found.rules)
    if refused:
        why = "does not run, as it names" if refused == 1 else "do not run, as they name"
        check = f"ocelog rules check {shlex.quote(str(path))}"
        show.paragraph(f"{counted(refused, 'rule')} {why} something that does not exist. Why: {check}")
    absent = sum(rule.status == "no source" for rule in found.rules)
    if absent:
        show.paragraph(f"{absent:,} more are about log types that no source here has.")
    show.hint("See them: ocelog rules list")


def remove(name: Folder) -> None:
    """Forget a folder of rules, and what was decided of its rules. Its files stay."""
    with opened() as installation:
        folder = rule_folders.unregister(installation, name)
    show.paragraph(f"Removed {folder.name!r}; {folder.path} is as it was.")


def enable(wanted: Names, *, json: Json = False) -> None:
    """Turn rules or packs on, also those that were suspended since they kept failing."""
    _turn(wanted, on=True, json=json)


def disable(wanted: Names, *, json: Json = False) -> None:
    """Turn rules or packs off, whatever their files say."""
    _turn(wanted, on=False, json=json)


def _turn(wanted: list[str], *, on: bool, json: bool) -> None:
    if (other := remote.chosen()) is not None:
        turned = other.rules.turn(wanted, on=on)
    else:
        with opened() as installation:
            turned = rule_folders.turn(installation, wanted, on=on)
    if json:
        show.as_json({"enabled": on, "rules": list(turned.rules), "packs": list(turned.packs)})
        return
    word = "on" if on else "off"
    for name in turned.packs:
        show.paragraph(f"Turned {word}: the pack {name}.")
    for name in turned.rules:
        show.paragraph(f"Turned {word}: {name}.")
    if on and turned.living:
        these = turned.living[0] if len(turned.living) == 1 else f"{len(turned.living)} of these rules"
        show.hint(
            f"Open records that are already as {these} would have it become known before the next change of one is "
            "judged: nobody is told of them until they get worse or come back."
        )


def unjudged(
    rule: Annotated[
        str | None,
        typer.Argument(
            help="Only this rule, or a pattern of ids in quotes, such as 'Acme.Logins.*'.",
            autocompletion=completion.rules,
            show_default=False,
        ),
    ] = None,
    *,
    dismiss: Annotated[bool, typer.Option("--dismiss", help="Forget what is listed: it stays unjudged.")] = False,
    json: Json = False,
) -> None:
    """List the events that rules were not asked about, or failed on: which, how many, and why."""
    if (other := remote.chosen()) is not None:
        found, todo = other.rules.unjudged(rule)
        dismissed = other.rules.dismiss_unjudged(rule) if dismiss else 0
    else:
        with opened(reading=not dismiss) as installation:
            found = rule_folders.unjudged(installation, rule)
            todo = rule_folders.what_to_do(installation, oldest_us(found))
            dismissed = rule_folders.dismiss_unjudged(installation, rule, found) if dismiss else 0
    rows = [
        {
            "rule": each.rule_id or "every rule",
            "table": each.table,
            "source": each.source_id,
            "events": each.rows,
            "first": write_instant(from_us(each.first_us)),
            "last": write_instant(from_us(each.last_us)),
            "why": each.reason,
            **({"to_do": todo.get(each.rule_id)} if json else {}),
        }
        for each in found
    ]
    if not rows and not json:
        show.paragraph("No event was left unjudged" + ("." if rule is None else f" by {show.harmless(rule)}."))
    show.table_or_json(rows, json=json)
    if not dismiss and not json:
        for name, what in todo.items():
            show.paragraph(f"{name or 'every rule'}: {what}")
    if dismissed and not json:
        show.paragraph(f"Forgot {counted(dismissed, 'event')}: they stay unjudged.")


def names_here(path: Path) -> tuple[Collection[str], Collection[str] | None]:
    """Return the rules of all registered folders, and the names of all channels; without a home there are none."""
    try:
        with opened(reading=True) as installation:
            return rule_folders.names_here(installation, besides=path)
    except HomeError:
        return (), None
