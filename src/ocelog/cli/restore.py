"""`ocelog restore`: make a home of a backup."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ocelog.app.maintenance.backup import restore
from ocelog.cli import show
from ocelog.cli.secret_input import given_ledger
from ocelog.installation import config
from ocelog.secrets.secret import INIT_NAMES_THEM


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that `ocelog backup` wrote.")],
    *,
    home: Annotated[
        Path | None,
        typer.Option("--home", help="Folder to make the home in. Default: OCELOG_HOME, else ~/.local/share/ocelog."),
    ] = None,
    ledger: Annotated[
        str | None,
        typer.Option(
            "--ledger",
            metavar="URL",
            help="postgresql://USER@HOST/DATABASE, an empty database; one with a password as env:VARIABLE or "
            "file:PATH, which hold it. Default: a file in the home.",
        ),
    ] = None,
) -> None:
    """Make a home from the backup in DIR, in an empty folder at any path.

    Then `ocelog pull` goes on from where the backup was made. Stop the old home's service for good first.
    """
    made = restore(folder, home or config.home_path(), ledger_url=given_ledger(ledger))
    show.paragraph(f"Restored the backup of {made.created} to {made.home}: {made.files} files.")
    if Path(made.home).resolve() != config.home_path().resolve():
        show.paragraph(f"Set OCELOG_HOME={shlex.quote(str(made.home))} for every other command.")
    if not made.has_key:
        show.paragraph(
            f"The key is not in the backup: put it at {made.home / 'key'}, or set OCELOG_KEY or OCELOG_KEY_FILE."
        )
        show.paragraph(f"If it is lost, {INIT_NAMES_THEM}.")
    show.paragraph(f"To go on{'' if made.has_key else ', once the key is there'}: ocelog pull")
