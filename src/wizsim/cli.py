"""The `wizsim` command: serve a simulated tenant, or list the faults that it can have."""

import gc
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wizsim.accounts import DEFAULT_SCOPES, Accounts
from wizsim.behaviour import Behaviour
from wizsim.clock import START, Clock
from wizsim.faults import MEANINGS, Faults, UnknownFaultError
from wizsim.server import Server
from wizsim.truth import Truth
from wizsim.world import World

app = typer.Typer(help="A faithful Wiz API on your own machine.", no_args_is_help=True, add_completion=False)


class Inclusive(StrEnum):
    """Which edges of a date filter take in the instant itself."""

    NEITHER = "neither"
    AFTER = "after"
    BEFORE = "before"
    BOTH = "both"


@app.command()
def faults() -> None:
    """List the faults: what each is called and what a client meets."""
    width = max(map(len, MEANINGS))
    for name, meaning in MEANINGS.items():
        typer.echo(f"{name:<{width}}  {meaning}")
    typer.echo(
        "\nWritten as NAME[:PROBABILITY][:key=value]..., such as throttled:0.1:retry_after=5:type=issues:times=3"
    )


@app.command()
def serve(  # noqa: PLR0913, PLR0917 - the options of the command
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same tenant.")] = 0,
    audit: Annotated[int, typer.Option(min=0, help="Audit entries at the start.")] = 500,
    issues: Annotated[int, typer.Option(min=0, help="Issues at the start.")] = 300,
    findings: Annotated[int, typer.Option(min=0, help="Vulnerability findings at the start.")] = 2_000,
    rate: Annotated[float, typer.Option(min=0, help="Changes a second.")] = 0.0,
    late: Annotated[float, typer.Option(min=0, help="Mean seconds until a change is seen.")] = 20.0,
    ties: Annotated[float, typer.Option(min=0, max=1, help="Share of records on the instant of another.")] = 0.0,
    latency: Annotated[float, typer.Option(min=0, help="Milliseconds that every answer is held back.")] = 0.0,
    truth: Annotated[Path | None, typer.Option(help="Write the truth log (NDJSON) to this file.")] = None,
    fault: Annotated[
        list[str] | None, typer.Option(help="NAME[:PROBABILITY][:key=value]...; see `wizsim faults`.")
    ] = None,
    fault_seed: Annotated[int | None, typer.Option(help="Seed of the faults' dice; the tenant's unless given.")] = None,
    inclusive: Annotated[Inclusive, typer.Option(help="Edges of date filters that are inclusive.")] = Inclusive.NEITHER,
    tie_break: Annotated[bool, typer.Option("--tie-break", help="Cursors tell records of one instant apart.")] = False,  # noqa: FBT002 - an option
    page_cap: Annotated[int, typer.Option(min=1, help="Most records of a page.")] = 500,
    page_cap_refuse: Annotated[bool, typer.Option("--page-cap-refuse", help="Refuse instead of clamping.")] = False,  # noqa: FBT002 - an option
    max_count: Annotated[int, typer.Option(min=1, help="Where totalCount of findings stops.")] = 100_000,
    token_lifetime: Annotated[int, typer.Option(min=1, help="Seconds that a token holds.")] = 86_400,
    scopes: Annotated[str, typer.Option(help="Scopes of the service account, separated by commas.")] = ",".join(
        DEFAULT_SCOPES
    ),
    projects: Annotated[
        str,
        typer.Option(help="Bind the account to projects: their ids, separated by commas, or how many of the busiest."),
    ] = "",
    self_audit: Annotated[bool, typer.Option("--self-audit", help="Collectors show up in the audit log.")] = False,  # noqa: FBT002 - an option
    clock_offset: Annotated[float, typer.Option(help="Seconds that the tenant's clock is ahead of ours.")] = 0.0,
    stepped: Annotated[bool, typer.Option("--stepped", help="Time moves by POST /admin/advance only.")] = False,  # noqa: FBT002 - an option
    admin_token: Annotated[
        str | None, typer.Option(envvar="WIZSIM_ADMIN_TOKEN", help="Admin token; drawn unless given.")
    ] = None,
) -> None:
    """Serve a tenant. Prints token URL, API URL, client id and client secret, one a line; admin on stderr."""
    struck = _faults(seed if fault_seed is None else fault_seed, fault or [])
    gc.disable()  # a large tenant is a third faster drawn without, and lives as long as the process
    log = Truth.silent() if truth is None else Truth(truth)
    world = World(
        seed=seed,
        audit=audit,
        issues=issues,
        findings=findings,
        rate=rate,
        late=late,
        ties=ties,
        clock=Clock(START) if stepped else Clock.wall(clock_offset),
        truth=log,
    )
    gc.freeze()
    gc.enable()
    behaviour = Behaviour(
        after_inclusive=inclusive in {Inclusive.AFTER, Inclusive.BOTH},
        before_inclusive=inclusive in {Inclusive.BEFORE, Inclusive.BOTH},
        tie_break=tie_break,
        page_cap=page_cap,
        refuse_over_cap=page_cap_refuse,
        max_count=max_count,
        self_audit=self_audit,
    )
    server = Server(
        world,
        behaviour=behaviour,
        accounts=_accounts(world, token_lifetime, scopes, projects),
        faults=struck,
        latency=latency / 1000,
        host=host,
        port=port,
        admin_token=admin_token,
    )
    _announce(server)
    server.serve_until_signalled()


def _accounts(world: World, lifetime: int, scopes: str, projects: str) -> Accounts:
    made = Accounts(world.seed, lifetime=lifetime)
    named = [p for p in projects.split(",") if p]
    if projects.isdigit():
        named = world.estate.busiest_projects()[: int(projects)]
    made.add(scopes=tuple(s for s in scopes.split(",") if s), projects=frozenset(named))
    return made


def _faults(seed: int, written: list[str]) -> Faults:
    made = Faults(seed)
    try:
        for one in written:
            made.add_written(one)
    except UnknownFaultError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="--fault") from wrong
    return made


def _announce(server: Server) -> None:
    for line in (server.token_url, server.api_url, server.client_id, server.client_secret):
        typer.echo(line)
    sys.stdout.flush()
    typer.echo(f"admin: {server.admin_url} with bearer {server.admin_token}", err=True)


def main() -> None:
    """Run the command."""
    app()
