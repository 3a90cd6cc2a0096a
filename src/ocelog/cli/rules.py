"""`ocelog rules`: rules that say which events people must hear of."""

from pathlib import Path
from typing import Annotated

import typer

from ocelog.app.rules import Report, try_rules
from ocelog.cli import show
from ocelog.cli.progress import count_progress

app = typer.Typer(help="Test detection rules.", no_args_is_help=True, rich_markup_mode=None)


@app.command("test")
def run_tests(
    path: Annotated[Path, typer.Argument(help="A folder of rules, or the YAML file of one.")] = Path(),
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run the tests that rules bring along, in the format of panther-analysis; exit 1 if one fails.

    Global helpers and data models are found from the checkout that the path lies in. The rules run in a process of
    their own that can read only their checkout, and can neither write nor use the network. Files are never changed.
    """
    with count_progress("tests", quiet=json) as told:
        report = try_rules(path, told=told)
    if json:
        show.as_json(report.as_json())
    else:
        _show(report)
    if report.failed:
        raise typer.Exit(1)


def _show(report: Report) -> None:
    if report.failed:
        show.table([{"rule": each.rule, "test": each.test or "", "why": each.why} for each in report.failed])
    for left in report.not_run:
        show.remark(f"{left.rule}: not run: {left.why}")
    show.paragraph(
        f"{report.passed:,} of {report.tests:,} tests of {report.rules:,} rules passed"
        + (f"; {len(report.failed):,} failures." if report.failed else ".")
    )
