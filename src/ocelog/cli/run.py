"""`ocelog run`: all loops until stopped."""

import time

from ocelog.app.assemble import Assembly
from ocelog.app.loops.service import Service
from ocelog.cli import logs, output, serving_options
from ocelog.cli.news import News
from ocelog.cli.signals import listening
from ocelog.installation.home_lock import SERVICE, held
from ocelog.installation.opening import opened
from ocelog.workers.threads import Stop


def command(
    *,
    listen: serving_options.Listen = None,
    tls_cert: serving_options.TlsCert = None,
    tls_key: serving_options.TlsKey = None,
    trusted_proxy: serving_options.TrustedProxy = None,
    public_name: serving_options.PublicName = None,
    insecure: serving_options.Insecure = False,
) -> None:
    """Keep pulling and publishing until stopped by Ctrl-C or SIGTERM.

    On a terminal it prints a line when something happens; elsewhere it logs JSON to stderr (the setting `log_format`
    decides otherwise). It notices sources that change. A failure of one stream never stops the others.
    """
    serving_options.check_listen(listen)
    stop, turned_at = Stop(), time.monotonic()
    output.give_up_unread()
    with opened() as installation, held(installation.home, SERVICE) as pulse, listening(stop):
        logs.configure(installation.settings)
        news = News(installation=installation) if logs.is_for_people(installation.settings) else None

        def alive() -> None:
            nonlocal turned_at
            turned_at = time.monotonic()
            pulse.beat()
            if news is not None:
                news.tell()

        console = (listen or installation.settings.listen).strip().lower() != "off"
        told = logs.step if news is None else news.step
        assembly = Assembly(installation=installation, told=told, console=console)
        service = Service(assembly=assembly, stop=stop, alive=alive, failing=pulse.failing)
        if not console:
            service.run()
            return
        # Takes some time and memory, which a service without it saves.
        from ocelog.console import serving  # noqa: PLC0415 - see above

        wanted = serving.ServingOptions(
            listen=listen,
            tls_cert=tls_cert,
            tls_key=tls_key,
            trusted_proxy=trusted_proxy,
            public_name=public_name,
            insecure=insecure,
        )
        how = serving.plan(installation.settings, wanted)
        assert how is not None  # noqa: S101 - it is not off
        with serving.served(installation, how, lambda: turned_at, stopping=stop) as address:
            pulse.serves(address)
            service.run()
