"""`ocelog publish`: move landed parts into the lake's tables now."""

from typing import Annotated

import typer
from msgspec.structs import asdict

from ocelog.app.assemble import Assembly
from ocelog.app.loops.service import Service
from ocelog.cli import logs, show
from ocelog.cli.signals import listening
from ocelog.installation.home_lock import held
from ocelog.installation.opening import opened
from ocelog.workers.threads import Stop


def command(*, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Move landed parts into the lake's tables now. Queries of `ocelog` see them before, other engines after."""
    stop = Stop()
    with opened() as installation, held(installation.home, "ocelog publish"), listening(stop):
        logs.configure(installation.settings, quiet=True)
        service = Service(assembly=Assembly(installation=installation, told=lambda _, __: None), stop=stop)
        rows = [asdict(each) for each in service.publish()]
    show.table_or_json(rows, json=json)
    if stop():
        raise typer.Exit(3)
