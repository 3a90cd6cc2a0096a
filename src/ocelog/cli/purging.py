"""`ocelog source remove --purge`: a source goes, and every row of it."""

import typer

from ocelog.app.purge import purge
from ocelog.cli import show
from ocelog.errors import ConfigError
from ocelog.installation.opening import Installation
from ocelog.model import SourceRow


def ask_and_purge(installation: Installation, row: SourceRow, *, yes: bool) -> None:
    """Delete the source with its rows, after asking."""
    if not yes and not _confirmed(row.name):
        raise ConfigError("Nothing was deleted.")
    purge(installation, row)
    show.paragraph(f"Deleted {row.name!r} and its rows. Their files leave the disk within three days.")


def _confirmed(name: str) -> bool:
    try:
        return typer.confirm(f"Delete {name!r} and all of its rows from the lake, for good?", err=True)
    except typer.Abort:
        raise ConfigError(
            "Nothing was deleted: there is no terminal to ask on. To delete without being asked, add --yes."
        ) from None
