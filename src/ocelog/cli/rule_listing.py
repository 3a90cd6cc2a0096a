"""`ocelog rules list` and `show`: which rules there are, whether they run, and what came of them."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from ocelog.app.log_types import kinds
from ocelog.app.rules import rule_showing
from ocelog.app.rules.rule_showing import NOT_RUN
from ocelog.cli import completion, remote, show
from ocelog.installation.opening import opened
from ocelog.units import counted

__all__ = ["from_here", "list_", "on_of", "show_"]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Values = Mapping[str, Any]
"""A folder, or a rule, as `rule_showing` returns it."""
_PROSE = ("description", "runbook")
_QUERY = "scheduled_query"
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
    if (other := remote.chosen()) is not None:
        folders = other.rules.folders(name)
    else:
        with opened(reading=True) as installation:
            folders = rule_showing.folders(installation, name, waits=True)
    found = [from_here(each) for each in folders]
    if json:
        show.as_json(found)
        return
    for at, each in enumerate(found):
        if at:
            show.paragraph("")
        _show_folder(each, queries=queries)


def from_here(folder: Values) -> dict[str, Any]:
    """Return a folder with the files of its rules as a person names them who is in the current one."""
    return {
        **folder,
        "rules": [_near(rule) for rule in folder["rules"]],
        "not_run": [{**each, "why": show.near(each["why"])} for each in folder["not_run"]],
    }


def _near(rule: Values) -> dict[str, Any]:
    why = show.near(rule["why"]) if rule["status"] == NOT_RUN else rule["why"]
    return {**rule, "file": show.near(rule["file"]), "why": why}


def on_of(folder: Values) -> str:
    """Say how many rules of a folder are on; queries are no rules."""
    rules = [rule for rule in folder["rules"] if rule["kind"] != _QUERY]
    on = sum(rule["status"] in {"on", "last good"} for rule in rules)
    broken = len(folder["problems"])
    return f"{on:,} of {counted(len(rules), 'rule')} on" + (
        f", {counted(broken, 'problem')} in files" if broken else ""
    )


def _show_folder(folder: Values, *, queries: bool) -> None:
    options = [f"--{name}" for name in ("network", "unsafe") if folder[name]]
    where = "built in" if folder["built_in"] else folder["path"]
    show.paragraph(f"{' '.join([folder['folder'], *options])} ({where}): {on_of(folder)}.")
    listed = [rule for rule in folder["rules"] if (rule["kind"] == _QUERY) is queries]
    if listed:
        columns = [each for each in _COLUMNS if each != "severity" or not queries]
        lines = [dict(zip(_COLUMNS, _line(rule), strict=True)) for rule in listed]
        rows = [[line[each] for each in columns] for line in lines]
        hidden = show.fitting_table(columns, rows, whole=columns[:-1]).hidden
        if hidden:
            show.remark(f"Not shown: {', '.join(hidden)}. See one with: ocelog rules show ID")
    elif queries:
        show.paragraph("It has no scheduled query.")
    if any(rule["status"] == "refused" for rule in listed):
        check = f"ocelog rules check {shlex.quote(folder['path'])}"
        show.hint(f"Refused rules do not run, as they name something that does not exist. Why: {check}")
    faulty = {rule["id"]: rule["why"] for rule in folder["rules"] if rule["status"] == NOT_RUN}
    for name, why in faulty.items():
        show.remark(show.harmless(f"{name}: not run: {why}"))
    apart = sum(rule["kind"] == _QUERY for rule in folder["rules"])
    if apart and not queries:
        these = "1 scheduled query is" if apart == 1 else f"{apart:,} scheduled queries are"
        show.hint(f"{these} listed by: ocelog rules list --queries")
    for left in folder["not_run"]:
        if left["id"] not in faulty:
            show.remark(show.harmless(f"{left['id']}: not run: {left['why']}"))
    for problem in folder["problems"]:
        show.remark(show.harmless(show.near(problem)))


def _line(rule: Values) -> Sequence[str]:
    return (rule["id"], rule["status"], (rule["severity"] or "").lower(), _looks_at(rule), show.near(rule["why"]))


def _looks_at(rule: Values) -> str:
    match rule["kind"]:
        case "scheduled_query":
            return "the lake"
        case "correlation_rule":
            return "matches"
        case _ if rule["scheduled_queries"]:
            return "a query"
        case _:
            known = kinds()
            types = [known[one].short if one in known else one for one in rule["log_types"]]
            return types[0] if len(types) == 1 else f"{types[0]}, {len(types) - 1} more" if types else ""


def show_(
    rule: Annotated[
        str, typer.Argument(help="The id of a rule, query, pack or lookup table.", autocompletion=completion.rules)
    ],
    *,
    json: Json = False,
) -> None:
    """Show all that a rule says of itself, whether it runs, and what came of it; or what a pack or a table holds."""
    if (other := remote.chosen()) is not None:
        values = other.rules.report(rule)
    else:
        with opened(reading=True) as installation:
            values = rule_showing.report(installation, rule)
    if "log_types" in values:
        values = _near(values)
    if json:
        show.as_json(values)
    else:
        _show_values({name: value for name, value in values.items() if value not in ("", [], {}, None)})


def _show_values(values: Mapping[str, Any]) -> None:
    """Print each value behind its name; a text of several lines stands below it."""
    texts = {name: value for name, value in values.items() if isinstance(value, str) and "\n" in value.strip()}
    if isinstance(sql := values.get("sql"), dict):
        texts |= {f"sql ({name})" if name != "sql" else "sql": text for name, text in sql.items()}
    show.fields({name: value for name, value in values.items() if name not in texts and name != "sql"})
    for name, text in texts.items():
        typer.echo(f"{name}:")
        for line in text.strip("\n").split("\n"):
            shown = f"  {show.harmless_lines(line)}".rstrip()
            # What is copied stays as it is.
            typer.echo(show.fitted(shown, sys.stdout) if name in _PROSE else shown)
