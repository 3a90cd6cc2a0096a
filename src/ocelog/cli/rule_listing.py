"""`ocelog rules list` and `show`: which rules there are, whether they run, and what came of them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

import typer

from ocelog.app import alerts, rule_folders, rule_showing
from ocelog.app.log_types import kinds
from ocelog.app.rule_folders import ListedFolder, ListedRule
from ocelog.app.rule_showing import History, Other
from ocelog.cli import completion, show
from ocelog.detect.rule import CorrelationRule, Query, Rule
from ocelog.installation.opening import opened
from ocelog.units import counted, write_instant

__all__ = ["folder_as_json", "list_", "on_of", "show_"]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Faults = Mapping[tuple[str, str], str]
"""Folder and id -> why it cannot run."""
_COLUMNS = ("rule", "status", "severity", "looks_at", "why")


def list_(
    name: Annotated[
        str | None, typer.Argument(help="Only this folder.", autocompletion=completion.rule_folders, show_default=False)
    ] = None,
    *,
    queries: Annotated[bool, typer.Option("--queries", help="List the scheduled queries.")] = False,
    json: Json = False,
) -> None:
    """List the rules by folder: whether each is on, and why."""
    with opened(reading=True) as installation:
        wanted = None if name is None else rule_folders.find_folder(installation, name).id
        found = [each for each in rule_folders.listed(installation) if wanted in (None, each.folder.id)]
        faults = rule_showing.cannot_run(found)
        failing = rule_showing.failing(installation)
    if json:
        show.as_json([folder_as_json(each, faults, failing) for each in found])
        return
    for at, each in enumerate(found):
        if at:
            show.paragraph("")
        _show_folder(each, faults, failing, queries=queries)


def on_of(found: ListedFolder, faults: Faults | None = None) -> str:
    """Say how many rules of a folder are on; queries are no rules."""
    rules = [rule for rule in found.rules if not isinstance(rule.item, Query)]
    on = sum(rule.status in {"on", "last good"} and (found.folder.id, rule.id) not in (faults or {}) for rule in rules)
    broken = len(found.problems)
    return f"{on:,} of {counted(len(rules), 'rule')} on" + (
        f", {counted(broken, 'problem')} in files" if broken else ""
    )


def _show_folder(found: ListedFolder, faults: Faults, failing: Collection[str], *, queries: bool) -> None:
    folder = found.folder
    options = [word for word, given in (("--network", folder.network), ("--unsafe", folder.unprotected)) if given]
    where = "built in" if folder.is_built_in else folder.path
    show.paragraph(f"{' '.join([folder.name, *options])} ({where}): {on_of(found, faults)}.")
    listed = [rule for rule in found.rules if isinstance(rule.item, Query) is queries]
    if listed:
        columns = [each for each in _COLUMNS if each != "severity" or not queries]
        lines = [dict(zip(_COLUMNS, _line(rule, faults, failing), strict=True)) for rule in listed]
        rows = [[line[each] for each in columns] for line in lines]
        hidden = show.fitting_table(columns, rows, whole=columns[:-1])
        if hidden:
            show.remark(f"Not shown: {', '.join(hidden)}. See one with: ocelog rules show ID")
    elif queries:
        show.paragraph("It has no scheduled query.")
    for rule in found.rules:
        if (why := faults.get((folder.id, rule.id))) is not None:
            show.remark(show.harmless(f"{rule.id}: not run: {why}"))
    apart = sum(isinstance(rule.item, Query) for rule in found.rules)
    if apart and not queries:
        these = "1 scheduled query is" if apart == 1 else f"{apart:,} scheduled queries are"
        show.hint(f"{these} listed by: ocelog rules list --queries")
    for left in found.not_run:
        show.remark(show.harmless(f"{left.id}: not run: {left.reason}"))
    for problem in found.problems:
        show.remark(show.harmless(show.near(problem)))


def _line(rule: ListedRule, faults: Faults, failing: Collection[str]) -> Sequence[str]:
    severity = "" if isinstance(rule.item, Query) else str(rule.item.about.severity).lower()
    status, why = _status(rule, faults, failing)
    return (rule.id, status, severity, _looks_at(rule), show.near(why))


def _status(rule: ListedRule, faults: Faults, failing: Collection[str] = ()) -> tuple[str, str]:
    fault = faults.get((rule.folder.id, rule.id))
    if fault is not None:
        return "not run", fault
    # First, since a narrow terminal cuts the end.
    fails = "it fails; " if rule.status == "on" and rule.id in failing else ""
    return rule.status, f"{fails}{rule.why}"


def _looks_at(rule: ListedRule) -> str:
    match rule.item:
        case Rule() as item if item.scheduled_queries:
            return "a query"
        case Rule() as item:
            known = kinds()
            types = [known[one].short if one in known else one for one in item.log_types]
            return types[0] if len(types) == 1 else f"{types[0]}, {len(types) - 1} more" if types else ""
        case CorrelationRule():
            return "matches"
        case _:
            return "the lake"


def folder_as_json(found: ListedFolder, faults: Faults | None = None, failing: Collection[str] = ()) -> dict[str, Any]:
    """Return a folder and its rules for programs."""
    folder = found.folder
    return {
        "folder": folder.name,
        "path": folder.path,
        "built_in": folder.is_built_in,
        "network": folder.network,
        "unsafe": folder.unprotected,
        "packs": dict(folder.packs),
        "rules": [_rule_as_json(rule, faults or {}, failing) for rule in found.rules],
        "not_run": [
            *({"id": one.id, "kind": one.kind, "why": one.reason} for one in found.not_run),
            *(
                {"id": rule.id, "kind": rule.kind, "why": why}
                for rule in found.rules
                if (why := (faults or {}).get((folder.id, rule.id))) is not None
            ),
        ],
        "problems": list(found.problems),
    }


def _rule_as_json(rule: ListedRule, faults: Faults, failing: Collection[str] = ()) -> dict[str, Any]:
    item = rule.item
    status, why = _status(rule, faults, failing)
    return {
        "id": rule.id,
        "kind": rule.kind,
        "status": status,
        "why": why,
        "severity": None if isinstance(item, Query) else str(item.about.severity),
        "log_types": list(rule.log_types),
        "no_source": list(rule.without_source),
        "scheduled_queries": list(item.scheduled_queries) if isinstance(item, Rule) else [],
        "packs": list(rule.packs),
        "suspended": rule.is_suspended,
        "fails": rule.id in failing,
        "file": rule_folders.file_of(rule),
    }


def show_(
    rule: Annotated[
        str, typer.Argument(help="The id of a rule, query, pack or lookup table.", autocompletion=completion.rules)
    ],
    *,
    json: Json = False,
) -> None:
    """Show all that a rule says of itself, whether it runs, and what came of it; or what a pack or a table holds."""
    with opened(reading=True) as installation:
        found = rule_showing.find(installation, rule)
        if isinstance(found, Other):
            values: dict[str, Any] = {"kind": found.kind, "folder": found.folder, **found.values}
        else:
            folders = [each for each in rule_folders.listed(installation) if each.folder.id == found.folder.id]
            came = None if isinstance(found.item, Query) else rule_showing.history(installation, found.id)
            values = _values(found, rule_showing.cannot_run(folders), came)
            values["muted_by"] = [each.why for each in alerts.muting(installation, found.id)]
    if json:
        show.as_json(values)
    else:
        _show_values({name: value for name, value in values.items() if value not in ("", [], {}, None)})


def _values(found: ListedRule, faults: Faults, came: History | None) -> dict[str, Any]:
    item = found.item
    values: dict[str, Any] = {**_rule_as_json(found, faults), "folder": found.folder.name}
    if isinstance(item, Query):
        return values | {"description": item.description, "sql": dict(item.sql)}
    if came is not None:
        values |= {
            "matches": came.matches,
            "last_match": None if came.last_match is None else write_instant(came.last_match),
            "alerts_made": came.alerts,
            "alerts_open": came.open_alerts,
            "fails": came.fails,
            "last_error": came.error,
            "last_error_at": None if came.last_error is None else write_instant(came.last_error),
            "unjudged": came.unjudged,
        }
        if came.fails and values["status"] == "on":
            values["why"] = f"{values['why']}; but it fails: {came.error}"
    about = item.about
    return values | {
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
        "python": item.file if isinstance(item, Rule) else None,
        "condition": rule_showing.condition(found),
    }


def _show_values(values: Mapping[str, Any]) -> None:
    """Print each value behind its name; a text of several lines stands below it."""
    texts = {name: value for name, value in values.items() if isinstance(value, str) and "\n" in value.strip()}
    if isinstance(sql := values.get("sql"), dict):
        texts |= {f"sql ({name})" if name != "sql" else "sql": text for name, text in sql.items()}
    show.fields({name: value for name, value in values.items() if name not in texts and name != "sql"})
    for name, text in texts.items():
        typer.echo(f"{name}:")
        for line in text.strip("\n").split("\n"):
            typer.echo(f"  {show.harmless_lines(line)}".rstrip())
