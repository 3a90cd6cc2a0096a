"""`ocelog rules`: rules that say which events people must hear of."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ocelog.app.log_types import log_types
from ocelog.app.rules import rules
from ocelog.app.rules.rules import CheckResult, Report
from ocelog.cli import completion, rule_folders, rule_history, rule_listing, show
from ocelog.cli.progress import count_progress
from ocelog.units import counted, write_list

app = typer.Typer(help="Register, list, check and test detection rules.", no_args_is_help=True, rich_markup_mode=None)
app.command("add")(rule_folders.add)
app.command("remove")(rule_folders.remove)
app.command("list")(rule_listing.list_)
app.command("show")(rule_listing.show_)
app.command("enable")(rule_folders.enable)
app.command("disable")(rule_folders.disable)
app.command("try")(rule_history.try_)
app.command("replay")(rule_history.replay)
app.command("unjudged")(rule_folders.unjudged)
Where = Annotated[Path, typer.Argument(help="A folder of rules, or the YAML file of one.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("test")
def run_tests(path: Where = Path(), *, json: Json = False) -> None:
    """Run the tests that rules bring along, in the format of panther-analysis; exit 1 if one fails.

    Global helpers and data models are found from the checkout that the path lies in. The rules run in a process of
    their own that is given their files alone, and can neither write nor use the network. Files are never changed.
    """
    with count_progress("rules and tests", quiet=json) as told:
        report = rules.run_tests(path, told=told)
    if json:
        show.as_json(report.as_json())
    else:
        _show_tests(report)
    if report.failed:
        raise typer.Exit(1)


def _show_tests(report: Report) -> None:
    if report.failed:
        show.table([{"rule": each.rule, "test": each.test or "", "why": show.near(each.why)} for each in report.failed])
    for left in report.not_run:
        show.remark(f"{left.rule}: not run: {left.why}")
    show.paragraph(
        f"{report.passed:,} of {counted(report.tests, 'test')} of {counted(report.rules, 'rule')} passed"
        + (f"; {counted(len(report.failed), 'failure')}." if report.failed else ".")
    )


@app.command("check")
def check(path: Where = Path(), *, json: Json = False) -> None:
    """Find names in rules that nothing has: log types, fields, queries, rules, destinations; exit 1 if there is one.

    Each query is planned, on tables without rows: tables, columns and functions that do not exist are found, too.

    Fields are those of the log schemas. In Python, they are found where a rule reads its event by names that are
    written there, such as event.deep_get("user", "name"). Nothing runs, and files are never changed.
    """
    others, channels = rule_folders.names_here(path)
    checked = rules.check_rules(path, rules=others, channels=channels)
    if json:
        show.as_json(
            {
                "rules": checked.rules,
                "problems": [
                    *({"rule": rule, "file": None, "line": None, "why": why} for rule, why in checked.unreadable),
                    *(
                        {"rule": one.rule, "file": one.place.file, "line": one.place.line, "why": one.why}
                        for one in checked.wrong
                    ),
                ],
                "no_source": checked.no_source,
                "not_run": [
                    {"rule": one.rule, "file": one.place.file, "line": one.place.line, "why": one.why}
                    for one in checked.not_run
                ],
            }
        )
    else:
        _show_checked(checked)
    if checked.wrong or checked.unreadable:
        raise typer.Exit(1)


@app.command("new")
def new(
    rule: Annotated[str, typer.Argument(help="Its id, such as Acme.Logins.AtNight.", show_default=False)],
    *,
    log_type: Annotated[
        str, typer.Option("--log-type", help="What it looks at, such as audit.", autocompletion=completion.log_types)
    ] = "audit",
    python: Annotated[bool, typer.Option("--python", help="Write it in Python, not as match expressions.")] = False,
    folder: Annotated[Path, typer.Option("--in", metavar="FOLDER", help="Where its files go.")] = Path(),
) -> None:
    """Write a new rule with comments and tests that pass, to be changed from there."""
    (meant,) = log_types([log_type])
    paths = rules.new_rule(rule, folder=folder, log_type=meant, python=python)
    show.paragraph(f"Wrote {write_list(list(map(str, paths)))}.")
    show.hint(f"Change it, then: ocelog rules test {shlex.quote(str(paths[0]))}")


def _show_checked(checked: CheckResult) -> None:
    for _, why in checked.unreadable:
        show.paragraph(show.near(why))
    for one in checked.wrong:
        show.paragraph(f"{rule_folders.near(checked.root / one.place.file)}:{one.place.line}: {one.why}")
    for one in checked.not_run:
        place = f"{rule_folders.near(checked.root / one.place.file)}:{one.place.line}"
        show.remark(show.harmless(f"{place}: not run here, as it is for another engine: {one.why}"))
    if checked.no_source:
        several = {name: len(about) for name, about in checked.no_source.items()}
        show.remark("No such source here: " + write_list([f"{name} ({count:,})" for name, count in several.items()]))
    found = len(checked.wrong) + len(checked.unreadable)
    show.paragraph(
        f"{counted(checked.rules, 'rule')} checked: " + (f"{counted(found, 'problem')}." if found else "no problem.")
    )
