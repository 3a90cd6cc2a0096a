"""`ocelog repair`: go on without files that are lost, and read again what they held."""

from typing import Annotated

import typer

from ocelog.app.maintenance.repair import Repair, examine, repair
from ocelog.cli import show
from ocelog.cli.consent import confirm
from ocelog.installation.home_lock import held
from ocelog.installation.opening import opened


def command(
    *,
    check: Annotated[
        bool,
        typer.Option("--check", help="Only read every file and report what is damaged; exit code 1 if anything is."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, without doing it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before giving anything up.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Give up files of the lake that are lost or damaged, and plan to read their records again.

    Every file is read whole and compared with its checksum. If you have a backup, put files back from it first. Then
    run `ocelog pull`: what the source still has comes back. --check and --dry-run work beside `ocelog run`; a
    repair needs it to be stopped. Exit 1 if something is left that this command cannot repair.
    """
    shown = frozenset[str]()
    if check:
        with opened(reading=True) as installation:
            found = examine(installation)
        if json:
            show.as_json({"damaged": found})
        else:
            for line in found or ["Every file that the ledger and the tables name is there and intact."]:
                show.paragraph(line)
        raise typer.Exit(1 if found else 0)
    if dry_run:
        # It only reads, so it works beside `ocelog run`.
        with opened(reading=True) as installation:
            plan = repair(installation, dry_run=True)
    else:
        with opened() as installation, held(installation.home, "ocelog repair"):
            plan = repair(installation, dry_run=True)
            if plan.lines:
                if not yes:
                    _confirm(plan)
                    shown = frozenset(plan.lines)
                plan = repair(installation, dry_run=False)
    _tell(plan, shown=shown, json=json)
    if plan.left:
        raise typer.Exit(1)


def _confirm(plan: Repair) -> None:
    for line in plan.lines:
        show.remark(show.harmless(line))
    if plan.for_good:
        show.remark(f"Cannot be recovered: {', '.join(sorted(plan.for_good))}.")
    confirm(
        "Give up what is lost, and do this?",
        nothing="Nothing was changed",
        unasked="To repair without being asked: ocelog repair --yes",
    )


def _tell(done: Repair, *, shown: frozenset[str], json: bool) -> None:
    gone = sorted(done.for_good)
    if json:
        told = {"done": not done.dry_run, "steps": done.lines, "planned": done.planned, "not_coming_back": gone}
        show.as_json(told | {"left": done.left})
        return
    for line in done.lines:
        if line not in shown:
            show.paragraph(line)
    if shown:
        show.paragraph("Done, as listed above.")
    for line in done.left:
        show.paragraph(f"Not repaired: {line}")
    if not done.lines and not done.left:
        show.paragraph("Nothing is lost or damaged: there is nothing to repair.")
    if gone and not shown:
        show.paragraph(f"Cannot be recovered: {', '.join(gone)}.")
    if done.dry_run and done.lines:
        show.paragraph("Nothing was changed. To do it: ocelog repair")
    elif done.planned:
        show.paragraph("To read it now: ocelog pull")
