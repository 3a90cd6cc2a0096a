"""`ocelog backup`: copy everything that Ocelog keeps, beside a running service."""

from pathlib import Path
from typing import Annotated

import typer

from ocelog.app.maintenance.backup import back_up
from ocelog.cli import show
from ocelog.installation.opening import opened
from ocelog.units import write_size


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="An empty folder, or the folder of an earlier backup.")],
    *,
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Copy the key too: whoever has the backup can then read the secrets.")
    ] = False,
) -> None:
    """Copy ledger, lake and settings into DIR, also while `ocelog run` goes on. Again: only what is new is copied.

    The secrets in the ledger are encrypted, and the key is left out unless you say so: keep it elsewhere.
    """
    # A disk that was mounted read-only because it fails is one to be copied now.
    with opened(reading_at_worst=True) as installation:
        done = back_up(installation, folder, with_key=with_key)
    show.paragraph(
        f"Backed up to {done.folder}: {done.files} files, {write_size(done.bytes)}, {done.copied} of them new."
    )
    if not done.with_key:
        show.paragraph("The key is not in it. Keep a copy elsewhere, or enter each secret again after a restore.")
