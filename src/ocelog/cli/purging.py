"""`ocelog source remove --purge`: a source goes, and every row of it."""

from ocelog.app.sources.purge import purge
from ocelog.cli import show
from ocelog.cli.consent import confirm
from ocelog.installation.opening import Installation
from ocelog.model import SourceRow


def ask_and_purge(installation: Installation, row: SourceRow, *, yes: bool) -> None:
    """Delete the source with its rows, after asking."""
    if not yes:
        confirm(
            f"Delete {row.name!r}, its alerts and maintenance windows, and all of its rows from the lake, for good?",
            nothing="Nothing was deleted",
            unasked="To delete without being asked, add --yes.",
        )
    purge(installation, row)
    show.paragraph(
        f"Deleted {row.name!r}, its rows, and its alerts and maintenance windows. Files of rows leave the disk within "
        "three days."
    )
