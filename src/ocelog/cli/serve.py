"""`ocelog serve`: the console without the loops."""

import threading
import time

import typer

from ocelog.cli import logs, serving_options, show
from ocelog.cli.signals import listening
from ocelog.installation.opening import opened
from ocelog.workers.threads import Stop

_USUAL = "127.0.0.1:8686"
_GLANCE = 0.2
"""Seconds between two looks at whether a stop was asked for."""


def command(
    *,
    listen: serving_options.Listen = None,
    tls_cert: serving_options.TlsCert = None,
    tls_key: serving_options.TlsKey = None,
    trusted_proxy: serving_options.TrustedProxy = None,
    public_name: serving_options.PublicName = None,
    insecure: serving_options.Insecure = False,
) -> None:
    """Serve the console until stopped by Ctrl-C or SIGTERM, and read nothing: beside `ocelog run`, or without it.

    Without --listen and without the setting `listen` it is served at 127.0.0.1:8686. Whoever may only read the home
    can look at everything, once somebody has signed in who may write it, and change nothing.
    """
    from ocelog.console import serving  # noqa: PLC0415 - takes some time, which `--help` saves

    stop = Stop()
    with opened(reading=True) as installation, listening(stop):
        logs.configure(installation.settings)
        set_to = installation.settings.listen
        wanted = serving.ServingOptions(
            listen=listen or (_USUAL if set_to.strip().lower() == "off" else set_to),
            tls_cert=tls_cert,
            tls_key=tls_key,
            trusted_proxy=trusted_proxy,
            public_name=public_name,
            insecure=insecure,
        )
        how = serving.plan(installation.settings, wanted)
        if how is None:
            show.hint("Nothing is served: --listen is off.")
            raise typer.Exit(2)
        with serving.served(installation, how, time.monotonic):
            never = threading.Event()
            while not stop():
                never.wait(_GLANCE)
