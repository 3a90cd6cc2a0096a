"""`ocelog init`: make a home."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ocelog.app.sources import sources
from ocelog.cli import show
from ocelog.cli.secret_input import given_ledger
from ocelog.errors import OcelogError
from ocelog.installation import config
from ocelog.installation.home_lock import is_served
from ocelog.installation.making import make
from ocelog.installation.opening import opened

_ENTER_EACH_AGAIN = (
    "enter each secret again: `ocelog source rotate NAME` with every NAME that `ocelog source list` shows, and "
    "`ocelog channel edit NAME` with every NAME that `ocelog channel list` shows"
)
"""What to do under a new key, if nothing can name what has a secret, or that is very much."""
_MOST_NAMED = 20
"""So many secrets are named that are to be entered again."""


def command(
    home: Annotated[
        Path | None,
        typer.Option("--home", help="Folder to make it in. Default: OCELOG_HOME, else ~/.local/share/ocelog."),
    ] = None,
    ledger: Annotated[
        str | None,
        typer.Option(
            "--ledger",
            metavar="URL",
            help="postgresql://USER@HOST/DATABASE; one with a password as env:VARIABLE or file:PATH, which hold it. "
            "Default: a file in the home.",
        ),
    ] = None,
) -> None:
    """Make a home: the folder that holds ledger, lake and key.

    A home that exists is left as it is, except that a lost or damaged key or home.json is written again; the damaged
    file is moved aside.
    """
    path = home if home is not None else config.home_path()
    made = make(path, ledger_url=given_ledger(ledger))
    place = made.home.path
    if made.repaired:
        show.paragraph(f"Wrote home.json again, from the ledger and the lake in this folder: {place}")
    else:
        show.paragraph(f"{'Made the home' if made.new else 'There is a home already:'} {place}")
    if made.old_key is not None:
        show.remark(f"The key in the home was not usable. It was moved aside: {made.old_key}")
    if made.new_key is not None:
        show.paragraph(f"Made the key {made.new_key}")
        show.paragraph("It opens the secrets in the ledger. Keep a copy apart from backups.")
        if not made.new:
            again = _to_enter_again(path)
            if again is None:
                show.remark(f"It is a new key: {_ENTER_EACH_AGAIN}.")
            elif again:
                show.remark("\n    ".join(["It is a new key: enter each secret again. Run:", *again]))
    if place != config.home_path().resolve():
        typer.echo(f"Set OCELOG_HOME={shlex.quote(str(place))} for every other command.")
    if made.new or not _has_sources(path):
        show.hint("Next: ocelog source add")
    elif not is_served(made.home):
        show.hint("Next: ocelog pull")


def _to_enter_again(path: Path) -> list[str] | None:
    """Return by which commands secrets are entered that a new key does not open; None: not known, or very many."""
    try:
        with opened(path, reading=True) as installation:
            commands = sources.enter_again(installation)
    except OcelogError:
        return None
    return commands if len(commands) <= _MOST_NAMED else None


def _has_sources(path: Path) -> bool:
    try:
        with opened(path, reading=True) as installation:
            return bool(sources.listed(installation))
    except OcelogError:
        # The home was made; the next command says what is wrong with it.
        return False
