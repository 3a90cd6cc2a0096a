"""The options of whatever serves the console."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from ocelog.cli.option_values import option_value
from ocelog.units import host_and_port


def check_listen(listen: str | None) -> None:
    """Raise ConfigError, which names the option, if that is not an address."""
    if listen is not None and listen.strip().lower() != "off":
        option_value("--listen", host_and_port, listen)


Listen: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--listen",
        metavar="[HOST:]PORT",
        help="Serve the console, /metrics and /healthz there; a port alone is for this machine only. Default: the "
        "setting `listen`.",
    ),
]
TlsCert: TypeAlias = Annotated[
    Path | None,
    typer.Option("--tls-cert", metavar="FILE", help="Certificate in PEM. Default: the setting `tls_cert`."),
]
TlsKey: TypeAlias = Annotated[
    Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key in PEM. Default: the setting `tls_key`.")
]
TrustedProxy: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--trusted-proxy",
        metavar="ADDRESS",
        help="Address or network of the proxy before it, whose X-Forwarded-For and X-Forwarded-Proto are believed. "
        "Default: the setting `trusted_proxy`.",
    ),
]
PublicName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--public-name",
        metavar="HOST",
        help="Name under which people reach it. Default: the setting `public_name`.",
    ),
]
Insecure: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--insecure",
        help="Serve other machines without TLS and without a proxy: passwords and events can be read on the way.",
    ),
]
