"""`ocelog rules add`, `remove`, `list`, `show`, `enable` and `disable`: folders of rules, and which rules run."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ocelog.app import rule_folders
from ocelog.app.log_types import kinds
from ocelog.app.rule_folders import ListedFolder, ListedRule, near
from ocelog.cli import completion, show
from ocelog.detect.rule import CorrelationRule, Query, Rule
from ocelog.errors import HomeError
from ocelog.installation.opening import opened
from ocelog.times import from_us
from ocelog.units import counted, write_instant

__all__ = ["add", "disable", "enable", "list_", "names_here", "near", "remove", "show_", "unjudged"]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Folder = Annotated[str, typer.Argument(help="The folder's name.", autocompletion=completion.rule_folders)]
Wanted = Annotated[
    list[str],
    typer.Argument(
        help="Ids of rules and packs, or a pattern of ids in quotes, such as 'Acme.Logins.*'.",
        autocompletion=completion.rules_and_packs,
    ),
]
_KINDS = {"rule": "rule", "scheduled_rule": "scheduled", "correlation_rule": "correlation", "scheduled_query": "query"}


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

    Its files are read, never written, and read again whenever they change.
    """
    with opened() as installation:
        found = rule_folders.register(installation, path, name=name, network=network, unsafe=unsafe)
    if json:
        show.as_json(_as_json(found))
        return
    for problem in found.problems:
        show.remark(show.harmless(show.near(problem)))
    on = sum(rule.status == "on" for rule in found.rules)
    show.paragraph(f"Registered {found.folder.name!r}: {on:,} of {counted(len(found.rules), 'rule')} on.")
    absent = sum(rule.status == "no source" for rule in found.rules)
    if absent:
        show.paragraph(f"{absent:,} more are about log types that no source here has.")
    show.hint("See them: ocelog rules list")


def remove(name: Folder) -> None:
    """Forget a folder of rules, and what was decided of its rules. Its files stay."""
    with opened() as installation:
        folder = rule_folders.unregister(installation, name)
    show.paragraph(f"Removed {folder.name!r}; {folder.path} is as it was.")


def list_(
    name: Annotated[
        str | None, typer.Argument(help="Only this folder.", autocompletion=completion.rule_folders, show_default=False)
    ] = None,
    *,
    json: Json = False,
) -> None:
    """List the rules by folder: whether each is on, and why."""
    with opened(reading=True) as installation:
        wanted = None if name is None else rule_folders.find_folder(installation, name).id
        found = [each for each in rule_folders.listed(installation) if wanted in (None, each.folder.id)]
    if json:
        show.as_json([_as_json(each) for each in found])
        return
    for at, each in enumerate(found):
        if at:
            show.paragraph("")
        _show_folder(each)


def _show_folder(found: ListedFolder) -> None:
    folder = found.folder
    options = [word for word, given in (("--network", folder.network), ("--unsafe", folder.unprotected)) if given]
    where = "built in" if folder.is_built_in else folder.path
    on = sum(rule.status == "on" for rule in found.rules)
    show.paragraph(f"{' '.join([folder.name, *options])} ({where}): {on:,} of {counted(len(found.rules), 'rule')} on.")
    if found.rules:
        columns = ("rule", "status", "severity", "looks_at", "kind", "why")
        lines = [_line(rule) for rule in found.rules]
        rows = [[line[each] for each in columns] for line in lines]
        if hidden := show.fitting_table(columns, rows, whole=("rule",)):
            show.remark(f"Not shown: {', '.join(hidden)}. See one rule with: ocelog rules show ID")
    for left in found.not_run:
        show.remark(show.harmless(f"{left.id}: not run: {left.reason}"))
    for problem in found.problems:
        show.remark(show.harmless(show.near(problem)))


def _line(rule: ListedRule) -> Mapping[str, str]:
    about = None if isinstance(rule.item, Query) else rule.item.about
    return {
        "rule": rule.id,
        "status": rule.status,
        "severity": "" if about is None else str(about.severity).lower(),
        "looks_at": _looks_at(rule),
        "kind": _KINDS[rule.kind],
        "why": show.near(rule.why),
    }


def _looks_at(rule: ListedRule) -> str:
    match rule.item:
        case Rule() as item:
            known = kinds()
            types = [known[one].short if one in known else one for one in item.log_types]
            return ", ".join(types or item.scheduled_queries)
        case CorrelationRule(correlations=correlations):
            rules = {step.rule for each in correlations for step in each.steps}
            return f"matches of {len(rules)} rules"
        case _:
            return "the lake"


def _as_json(found: ListedFolder) -> dict[str, Any]:
    folder = found.folder
    return {
        "folder": folder.name,
        "path": folder.path,
        "built_in": folder.is_built_in,
        "network": folder.network,
        "unsafe": folder.unprotected,
        "packs": dict(folder.packs),
        "rules": [_rule_as_json(rule) for rule in found.rules],
        "not_run": [{"id": one.id, "kind": one.kind, "why": one.reason} for one in found.not_run],
        "problems": list(found.problems),
    }


def _rule_as_json(rule: ListedRule) -> dict[str, Any]:
    item = rule.item
    about = None if isinstance(item, Query) else item.about
    return {
        "id": rule.id,
        "kind": rule.kind,
        "status": rule.status,
        "why": rule.why,
        "severity": None if about is None else str(about.severity),
        "log_types": list(rule.log_types),
        "no_source": list(rule.without_source),
        "scheduled_queries": list(item.scheduled_queries) if isinstance(item, Rule) else [],
        "packs": list(rule.packs),
        "suspended": rule.is_suspended,
        "file": rule_folders.file_of(rule),
    }


def show_(
    rule: Annotated[str, typer.Argument(help="The rule's id.", autocompletion=completion.rules)], *, json: Json = False
) -> None:
    """Show all that a rule says of itself, and whether it runs."""
    with opened(reading=True) as installation:
        found = rule_folders.find_rule(installation, rule)
    item = found.item
    values: dict[str, Any] = {**_rule_as_json(found), "folder": found.folder.name}
    if isinstance(item, Query):
        values |= {"description": item.description, "sql": dict(item.sql)}
    else:
        about = item.about
        values |= {
            "name": about.name,
            "description": about.description,
            "runbook": about.runbook,
            "reference": about.reference,
            "dedup_minutes": about.dedup_minutes,
            "threshold": about.threshold,
            "alerts": about.create_alert,
            "destinations": list(about.output_ids),
            "tags": list(about.tags),
            "reports": {name: list(each) for name, each in about.reports.items()},
            "tests": len(item.tests),
        }
    if json:
        show.as_json(values)
    else:
        told = {name: value for name, value in values.items() if value not in ("", [], {}, None)}
        show.fields(told)


def enable(wanted: Wanted, *, json: Json = False) -> None:
    """Turn rules or packs on, also those that were suspended since they kept failing."""
    _turn(wanted, on=True, json=json)


def disable(wanted: Wanted, *, json: Json = False) -> None:
    """Turn rules or packs off, whatever their files say."""
    _turn(wanted, on=False, json=json)


def _turn(wanted: list[str], *, on: bool, json: bool) -> None:
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
            f"Of a record that is already as {these} would have it, people hear when it changes next. To have such "
            f"records known instead, and nobody told: ocelog rules replay {turned.living[0]} --since 365d"
        )


def unjudged(
    rule: Annotated[
        str | None, typer.Argument(help="Only this rule.", autocompletion=completion.rules, show_default=False)
    ] = None,
    *,
    dismiss: Annotated[bool, typer.Option("--dismiss", help="Forget what is listed: it stays unjudged.")] = False,
    json: Json = False,
) -> None:
    """List the events that rules were not asked about, or failed on: which, how many, and why."""
    with opened(reading=not dismiss) as installation:
        found = rule_folders.unjudged(installation, rule)
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
        }
        for each in found
    ]
    if not rows and not json:
        show.paragraph("No event was left unjudged.")
    show.table_or_json(rows, json=json)
    if dismissed and not json:
        show.paragraph(f"Forgot {counted(dismissed, 'event')}: they stay unjudged.")


def names_here(path: Path) -> tuple[Collection[str], Collection[str] | None]:
    """Return the rules of all registered folders, and the names of all channels; without a home there are none."""
    try:
        with opened(reading=True) as installation:
            return rule_folders.names_here(installation, besides=path)
    except HomeError:
        return (), None
