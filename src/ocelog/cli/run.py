"""`ocelog run`: all loops until stopped."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import structlog
import typer

from ocelog.app.assemble import Assembly
from ocelog.app.service import Service
from ocelog.cli import logs
from ocelog.cli.news import News
from ocelog.cli.signals import listening
from ocelog.dispatch.threads import Stop
from ocelog.installation.home_lock import SERVICE, held
from ocelog.installation.opening import Installation, opened

log = structlog.get_logger()


def command(
    *,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="[HOST:]PORT",
            help="Serve /metrics and /healthz there; a port alone is for this machine only. Default: the setting "
            "`listen`, which is off.",
        ),
    ] = None,
) -> None:
    """Keep pulling and publishing until stopped by Ctrl-C or SIGTERM.

    On a terminal it prints a line when something happens; elsewhere it logs JSON to stderr (the setting `log_format`
    decides otherwise). It notices sources that change. A failure of one stream never stops the others.
    """
    stop, turned_at = Stop(), time.monotonic()
    with opened() as installation, held(installation.home, SERVICE) as pulse, listening(stop):
        logs.configure(installation.settings)
        news = News(installation=installation) if logs.is_for_people(installation.settings) else None

        def alive() -> None:
            nonlocal turned_at
            turned_at = time.monotonic()
            pulse.beat()
            if news is not None:
                news.tell()

        assembly = Assembly(installation=installation, told=logs.step if news is None else news.step)
        service = Service(assembly=assembly, stop=stop, alive=alive)
        with _served(installation, listen or installation.settings.listen, lambda: turned_at):
            service.run()


@contextmanager
def _served(installation: Installation, where: str, turned_at: Callable[[], float]) -> Iterator[None]:
    """Serve HTTP within the block, unless `where` is off. Raises ConfigError or HomeError if that cannot be."""
    if where.strip().lower() == "off":
        yield
        return
    # Takes some time and memory, which a service without it saves.
    from ocelog.console import address, endpoints, server, site  # noqa: PLC0415 - see above

    wanted = address.read_address(where)
    app = site.site(installation, endpoints.endpoints(installation, turned_at=turned_at, only_local=wanted.is_local))
    serving = server.Server(app, address.listen(wanted))
    serving.start()
    found = address.Address(host=wanted.host, port=serving.port)
    log.info("listening", address=str(found))
    if not installation.ledger.users.any():
        log.info("no user yet", open=f"http://{found}/first?token={app.first_token}")
    if not wanted.is_local:
        log.warning(
            "open to other machines",
            reason="Whoever reaches this address can read the names and figures of all sources.",
            todo="Let a firewall or a proxy decide who may.",
        )
    try:
        yield
    finally:
        serving.stop()
