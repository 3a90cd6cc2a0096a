"""`ocelog demo`: everything at work on a simulated tenant."""

import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from ocelog.app.assemble import Assembly
from ocelog.app.loops.service import Service
from ocelog.app.search.queries import ask
from ocelog.app.sources import sources
from ocelog.app.sources.source_changes import point_to
from ocelog.cli import answers, logs, show
from ocelog.cli.demo_alerts import MATCHES, Play, audience
from ocelog.cli.progress import progress
from ocelog.cli.signals import listening
from ocelog.cli.simulator import Tenant, require_simulator, simulated_tenant
from ocelog.errors import HomeError
from ocelog.installation import config
from ocelog.installation.home_lock import Pulse, held
from ocelog.installation.making import make
from ocelog.installation.opening import Installation, opened
from ocelog.model import SourceRow, table_name
from ocelog.workers.threads import Stop

_NAME = "demo"
_STOPPING = "\nStopping.\n"
_LISTENS = "127.0.0.1:0"
"""A port that is free: another Ocelog may have the usual one."""
LANDED = """
SELECT p_log_type AS log_type, count(*) AS versions, min(p_event_time) AS first, max(p_event_time) AS last
FROM all_logs GROUP BY ALL ORDER BY ALL"""
CRITICALS = """
SELECT name AS vulnerability, round(score, 1) AS cvss, count(*) AS resources, min(firstDetectedAt) AS open_since
FROM wiz_vulnerability_finding_current
WHERE status = 'OPEN' AND severity = 'CRITICAL' AND hasCisaKevExploit
GROUP BY ALL ORDER BY resources DESC, vulnerability LIMIT 8"""
ACTORS = """
SELECT coalesce(performer.name, "user".name, serviceAccount.name) AS actor, count(*) AS actions,
       count(*) FILTER (status <> 'SUCCESS') AS refused
FROM wiz_audit GROUP BY ALL ORDER BY actions DESC, actor LIMIT 5"""


def command(
    *,
    exit_: Annotated[bool, typer.Option("--exit", help="End once everything is shown, also on a terminal.")] = False,
) -> None:
    """See everything work on a simulated Wiz tenant, in .demo/home or OCELOG_HOME.

    Reads its audit log, issues and findings, publishes them, asks some questions, and has rules judge and alerts told.
    On a terminal it then keeps the tenant changing and reading until Ctrl-C, and serves the console: the link that it
    prints signs in one browser on this machine.
    """
    began = time.monotonic()
    require_simulator()
    path = config.named_home() or Path(".demo/home").absolute()
    make(path, ledger_url=None)
    stop = Stop()
    with (
        opened(path) as installation,
        held(installation.home, "ocelog demo") as pulse,
        listening(stop, answer=_STOPPING),
    ):
        _refuse_others(installation)
        # The simulated tenant is of this machine.
        installation.settings = replace(installation.settings, private_sources=True)
        logs.configure(installation.settings, quiet=True)
        typer.echo("Starting a simulated Wiz tenant ...")
        with simulated_tenant() as tenant, audience(installation) as listeners:
            row = _add_source(installation, tenant)
            typer.echo("Reading its audit log, issues and vulnerability findings ...")
            # One for all that follows: its clock of the API goes on, so that there is always something new to ask for.
            assembly = Assembly(installation=installation, told=lambda _stream, _step: None)
            _pull(assembly, stop)
            if not stop():
                _show(installation)
                Play(
                    installation=installation,
                    tenant=tenant,
                    source_id=row.id,
                    audience=listeners,
                    pull=lambda log_type: _pull(assembly, stop, only=log_type),
                ).show()
            if not stop():
                goes_on = sys.stdout.isatty() and not exit_
                _show_next(installation, time.monotonic() - began, elsewhere=goes_on)
            if stop() or exit_:
                return
            if sys.stdout.isatty():
                tenant.admin("POST", "rate", per_second=2)
                _go_on(assembly, stop, pulse)
            else:
                typer.echo()
                show.paragraph("Run it on a terminal, and it goes on and shows a link to the console.")


def _go_on(assembly: Assembly, stop: Stop, pulse: Pulse) -> None:
    """Keep reading, and serve the console to whoever opens the link, until a stop is asked for."""
    # Takes some time, which a demo that ends saves.
    from ocelog.app.users import users  # noqa: PLC0415 - see above
    from ocelog.console import serving  # noqa: PLC0415 - see above
    from ocelog.console.invitation import Invitation  # noqa: PLC0415 - see above

    installation, turned_at = assembly.installation, time.monotonic()
    assembly.told = lambda _stream, _step: None

    def alive() -> None:
        nonlocal turned_at
        turned_at = time.monotonic()

    how = serving.plan(installation.settings, serving.ServingOptions(listen=_LISTENS, insecure=False))
    assert how is not None  # noqa: S101 - it is not off
    invitation = Invitation(name=users.invited(installation, _NAME).name)
    with serving.served(installation, how, lambda: turned_at, invitation) as link:
        pulse.serves(link)
        invitation.told = lambda path: typer.echo(f"\nTo sign in again, open:\n\n  {link}{path}\n")
        typer.echo(f"\nSee all of it in a browser, on this machine, signed in already:\n\n  {link}{invitation.path}\n")
        typer.echo("The tenant keeps changing, and Ocelog keeps reading, until Ctrl-C.")
        typer.echo("This terminal stays quiet meanwhile.")
        # The link stays in sight, unless something goes wrong.
        logs.configure(replace(installation.settings, log_level="warning"))
        Service(assembly=assembly, stop=stop, alive=alive).run()


def _refuse_others(installation: Installation) -> None:
    others = [row.name for row in sources.listed(installation, removed=True) if row.name != _NAME]
    if others:
        raise HomeError(
            f"The home {installation.home.path} holds other sources ({show.harmless(others[0])!r}): the demo would mix "
            "simulated records with real ones. Give it a home of its own: OCELOG_HOME=.demo/home ocelog demo"
        )


def _add_source(installation: Installation, tenant: Tenant) -> SourceRow:
    """Add the source, or point the one of an earlier demo to the new simulator."""
    given = {"token_url": tenant.token_url, "api_url": tenant.api_url, "client_id": tenant.client_id, "rate": 50.0}
    # Those of which the simulator has records.
    given["log_types"] = ["audit", "issues", "findings"]
    settings = sources.products()["wiz"].choose(None, given)
    row = sources.row_of(_NAME, settings, {"poll": "5s"})
    point_to(installation, row, sources.GivenSecret(value=tenant.client_secret))
    return row


def _pull(assembly: Assembly, stop: Stop, *, only: str | None = None) -> bool:
    """Read and publish everything, or quietly one log type; return whether to go on."""
    with progress(quiet=only is not None) as bars:
        assembly.told = bars.told
        streams = [stream for stream in assembly.streams() if only in (None, stream.kind.log_type)]
        service = Service(assembly=assembly, stop=stop, finishing=bars.finishing)
        bars.expect(streams, service.pulling.reader.left)
        pulled = service.pull(streams)
        bars.finish(stream for stream in streams if stream.key not in pulled.troubles)
    for error in (*pulled.troubles.values(), *pulled.failed.values(), *filter(None, [pulled.publishing])):
        show.remark(str(error))
    return not stop()


def _show(installation: Installation) -> None:
    _ask(installation, "What landed", LANDED)
    _ask(installation, "Open critical findings with a known exploited vulnerability (CISA KEV)", CRITICALS)
    _ask(installation, "Who did the most in Wiz", ACTORS)
    _ask(installation, "What rules matched", MATCHES)


def _show_next(installation: Installation, seconds: float, *, elsewhere: bool) -> None:
    typer.echo(f"\nAll of that took {seconds:.0f} s. The lake is in {installation.home.path / 'lake'}.\n")
    typer.echo("Try next, in another terminal, in this folder:" if elsewhere else "Try next:")
    for line in next_commands(installation.home.path):
        typer.echo(f"  {line}")


def next_commands(home: Path) -> list[str]:
    """Return commands to try on the demo's home, each as it can be pasted."""
    here = Path.cwd()
    shown = home.relative_to(here) if home.is_relative_to(here) else home
    prefix = "" if home == config.home_path() else f"OCELOG_HOME={shlex.quote(str(shown))} "
    program = f"{prefix}{_program()}"
    # As short as they are, each stands on one line of 80 columns behind what calls the program.
    issues, alerts = "SELECT * FROM open_issues", "SELECT title FROM alerts"
    return [
        f"{program} status",
        f'{program} query "{issues}"',
        f'{program} query "{alerts}"',
        f"{program} alerts list",
        f"{program} tables {table_name('Wiz.Issues')}",
        f"{program} lake {table_name('Wiz.Issues')}",
    ]


def _program() -> str:
    """Return how this program was called, as it can be called again from here."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m ocelog"
    found = shutil.which(called.name)
    if found is not None and Path(found).resolve() == called.resolve():
        return called.name
    here = Path.cwd()
    called = called.absolute()
    return shlex.quote(str(called.relative_to(here) if called.is_relative_to(here) else called))


def _ask(installation: Installation, title: str, sql: str) -> None:
    typer.echo(f"\n{title}:")
    with ask(installation, sql, trusted=True) as answer:
        answers.as_table(answer, counted=False, chosen_by="In a query, -o")
