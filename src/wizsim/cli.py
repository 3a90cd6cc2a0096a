"""How a tenant is served from the command line: `wizsim serve`, and `wizsim faults` to see what can go wrong."""

import gc
import json
import math
import socket
import sys
from contextlib import closing
from typing import Annotated, Any

import typer

from wizsim import admin_client
from wizsim.accounts import Accounts, checked_scopes
from wizsim.behaviour import Behaviour
from wizsim.clock import START, Clock
from wizsim.faults import MEANINGS, Faults, UnknownFaultError
from wizsim.limits import LIMITERS
from wizsim.nearest import shown
from wizsim.record_types import RECORD_TYPES, checked_type, listed
from wizsim.server import Server, listen
from wizsim.settings import Inclusive, Settings, options
from wizsim.truth import Truth
from wizsim.world import World

app = typer.Typer(
    help="A faithful Wiz API on your own machine.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


_FAULTS_WRITTEN = """
Written as NAME[:PROBABILITY][:key=value]..., such as
  throttled:0.1:retry_after=5:type=issues:times=3
Every fault takes type=, times=, and after= and for= (seconds of the tenant's
time), such as server-error:for=600. A value runs to the next :key= or to the
end: redirect:to=https://elsewhere.example:8443/graphql"""


@app.command()
def faults() -> None:
    """List the faults: what each is called and what a client meets."""
    width = max(map(len, MEANINGS))
    for name, meaning in MEANINGS.items():
        typer.echo(f"{name:<{width}}  {meaning}")
    typer.echo(_FAULTS_WRITTEN)


def serve(**given: Any) -> None:
    """Serve a tenant. Prints its token URL, API URL, client ID and client secret; how to administer it on stderr."""
    for name, value in given.items():
        # No bound keeps NaN out: it is neither below nor above any.
        if isinstance(value, float) and math.isnan(value):
            raise typer.BadParameter("nan is not a number here", param_hint=f"--{name.replace('_', '-')}")
    records = {type_: given.pop(type_) for type_ in RECORD_TYPES}
    settings = Settings(records=records, **given)
    struck = _faults(settings)
    with _listener(settings) as listener, closing(_truth(settings)) as truth:
        world = _world(settings, truth)
        accounts = _accounts(settings, world)
        gc.freeze()  # the tenant lives as long as the process
        server = Server(
            world,
            behaviour=_behaviour(settings),
            accounts=accounts,
            faults=struck,
            limiter=LIMITERS[settings.limiter](settings.limit) if settings.limit else None,
            latency=settings.latency / 1000,
            listener=listener,
            admin_token=settings.admin_token,
        )
        server.serve_until_signalled(
            lambda: _announce(server, settings), until_stdin_closes=settings.until_stdin_closes
        )


serve.__signature__ = options()  # type: ignore[attr-defined] # typer reads the options from it
app.command()(serve)


@app.command()
def put(
    type_: Annotated[str, typer.Argument(metavar="TYPE", help=f"{listed('or')}.")],
    record: Annotated[str, typer.Argument(metavar="JSON", help="Fields of the record, as a JSON object.")],
    *,
    host: Annotated[str, typer.Option(help="Address of the tenant.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of the tenant.")],
    admin_token: Annotated[
        str, typer.Option(envvar="WIZSIM_ADMIN_TOKEN", help="Admin token of the tenant, as `wizsim serve` prints it.")
    ],
) -> None:
    """Add a record to a tenant that is being served.

    It happens now and has a new id. Fields that are not given are as in the newest record of that type.
    """
    try:
        checked_type(type_)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="TYPE") from wrong
    try:
        fields = json.loads(record)
    except (ValueError, RecursionError) as wrong:
        raise typer.BadParameter(f"it is not JSON: {wrong}", param_hint="JSON") from wrong
    if not isinstance(fields, dict):
        raise typer.BadParameter(f"it is an object, not {shown(fields)}", param_hint="JSON")
    try:
        id_ = admin_client.put(host, port, admin_token, type_, fields)
    except admin_client.RefusedError as wrong:
        raise typer.BadParameter(str(wrong), param_hint=f"{host} port {port}") from wrong
    typer.echo(f"Added to {type_}: {id_}")


def _faults(settings: Settings) -> Faults:
    made = Faults(settings.seed if settings.fault_seed is None else settings.fault_seed)
    try:
        for one in settings.fault or []:
            made.add_written(one)
    except UnknownFaultError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="--fault") from wrong
    return made


def _listener(settings: Settings) -> socket.socket:
    try:
        return listen(settings.host, settings.port)
    except (OSError, ValueError) as wrong:
        said = str(getattr(wrong, "strerror", None) or wrong).partition(" (")[0]
        place = f"{settings.host[:100]} port {settings.port}"
        raise typer.BadParameter(
            f"cannot listen on {place}: {said}. Use an address of this machine and a free port (0 finds one)",
            param_hint="--host/--port",
        ) from wrong


def _truth(settings: Settings) -> Truth:
    if settings.truth is None:
        return Truth.silent()
    try:
        return Truth(settings.truth)
    except (OSError, ValueError) as wrong:
        said = f"cannot write {str(settings.truth)!r}: {getattr(wrong, 'strerror', None) or wrong}. Name a file in a "
        raise typer.BadParameter(f"{said}folder that exists", param_hint="--truth") from wrong


def _world(settings: Settings, truth: Truth) -> World:
    gc.disable()  # a large tenant is a third faster drawn without
    try:
        return World(
            seed=settings.seed,
            rate=settings.rate,
            late=settings.late,
            ties=settings.ties,
            age=settings.age,
            clock=Clock(START) if settings.stepped else Clock.wall(settings.clock_offset),
            truth=truth,
            **settings.records,
        )
    finally:
        gc.enable()


def _behaviour(settings: Settings) -> Behaviour:
    return Behaviour(
        after_inclusive=settings.inclusive in {Inclusive.AFTER, Inclusive.BOTH},
        before_inclusive=settings.inclusive in {Inclusive.BEFORE, Inclusive.BOTH},
        tie_break=settings.tie_break,
        oldest_first=settings.oldest_first,
        page_cap=settings.page_cap,
        audit_page_cap=settings.audit_page_cap,
        refuse_over_cap=settings.page_cap_refuse,
        max_count=settings.max_count,
        resources_scope=settings.resources_scope,
        self_audit=settings.self_audit,
    )


def _accounts(settings: Settings, world: World) -> Accounts:
    made = Accounts(world.seed, lifetime=settings.token_lifetime)
    named = [p.strip() for p in settings.projects.split(",") if p.strip()]
    if settings.projects.isdecimal() and len(settings.projects) < 10:
        named = world.estate.busiest_projects()[: int(settings.projects)]
    try:
        scopes = checked_scopes(s.strip() for s in settings.scopes.split(",") if s.strip())
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="--scopes") from wrong
    try:
        made.add(scopes=scopes, projects=world.estate.checked_projects(named))
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="--projects") from wrong
    return made


_LABELS = {
    "token_url": "token URL:",
    "api_url": "API URL:",
    "client_id": "client ID:",
    "client_secret": "client secret:",
}


def _announce(server: Server, settings: Settings) -> None:
    told = {
        "token_url": server.token_url,
        "api_url": server.api_url,
        "client_id": server.client_id,
        "client_secret": server.client_secret,
    }
    if settings.json:
        typer.echo(json.dumps(told | {"admin_url": server.admin_url, "admin_token": server.admin_token}))
    else:
        for name, value in told.items():
            typer.echo(value if settings.bare else f"{_LABELS[name]:<15}{value}")
    sys.stdout.flush()
    if not settings.json:
        typer.echo(f"admin: {server.admin_url} with bearer {server.admin_token}", err=True)


def main() -> None:
    """Run the command. What is wrong with its options is one line on stderr, and exit code 2."""
    try:
        code = app(sys.argv[1:] or ["--help"], prog_name="wizsim", standalone_mode=False)
    except typer.TyperException as wrong:
        typer.echo(f"wizsim: {' '.join(wrong.format_message().split())}", err=True)
        sys.exit(2)
    except OSError as wrong:
        typer.echo(f"wizsim: cannot write: {wrong.strerror or wrong}. Make room where the truth log is kept", err=True)
        sys.exit(2)
    sys.exit(code)
