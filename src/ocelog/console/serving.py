"""Begins to serve the console: where, by which TLS, before whom; what would be read on the way is not served."""

import ipaddress
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from msgspec import Struct

from ocelog.app.search.queries import SPARES
from ocelog.app.sources import sources
from ocelog.app.users import users
from ocelog.console import endpoints, server, site
from ocelog.console.address import Address, listen, read_address
from ocelog.console.front import Front
from ocelog.console.invitation import Invitation
from ocelog.console.tls import Tls
from ocelog.errors import ConfigError
from ocelog.installation.config import Settings, networks, public_name
from ocelog.installation.opening import Installation

log = structlog.get_logger()


class ServingOptions(Struct, frozen=True, kw_only=True):
    """What a command was told about serving; what it was not told, the settings say."""

    listen: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    trusted_proxy: str | None = None
    public_name: str | None = None
    insecure: bool = False


_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked up, not listened to


class Plan(Struct, frozen=True, kw_only=True):
    """How the console is served."""

    where: Address
    front: Front
    tls: Tls | None

    def link(self, port: int) -> str:
        """Return the address that a person opens."""
        secure = self.tls is not None or bool(self.front.proxies and self.front.public_name)
        if self.front.public_name is not None:
            default = self.front.proxies or port == (443 if secure else 80)
            host = self.front.public_name + ("" if default else f":{port}")
        else:
            # Of all addresses of this machine, the one that works from here.
            here = _LOOPBACK_OF.get(self.where.host, self.where.host)
            host = str(Address(host=here, port=port))
        return f"{'https' if secure else 'http'}://{host}"


def plan(settings: Settings, wanted: ServingOptions) -> Plan | None:
    """Return how to serve, None if it is off. Raises ConfigError for what must not be, and says why."""
    where = wanted.listen or settings.listen
    if where.strip().lower() == "off":
        return None
    address = read_address(where)
    proxies = networks(wanted.trusted_proxy) if wanted.trusted_proxy is not None else settings.trusted_proxy
    name = public_name(wanted.public_name) if wanted.public_name is not None else settings.public_name
    certificate, key = wanted.tls_cert or settings.tls_cert, wanted.tls_key or settings.tls_key
    if (certificate is None) != (key is None):
        raise ConfigError("TLS takes both files: the certificate (--tls-cert) and its key (--tls-key).")
    tls = None if certificate is None or key is None else Tls(certificate=certificate, key=key)
    trusted = () if proxies == "off" else tuple(ipaddress.ip_network(each.strip()) for each in proxies.split(","))
    insecure = wanted.insecure or settings.insecure
    if not (address.is_local or tls or trusted or insecure):
        raise ConfigError(
            f"Without TLS, whoever is on the way to {address} could read passwords, sessions and events, and change "
            "them. Give a certificate (--tls-cert and --tls-key), or serve this machine alone behind a proxy that has "
            "one (--listen 127.0.0.1:PORT --trusted-proxy 127.0.0.1). On a network where nobody else can listen in, "
            "insist with --insecure."
        )
    front = Front(
        only_local=address.is_local,
        public_name=name,
        proxies=trusted,
        only_proxies=bool(trusted) and tls is None and not address.is_local and not insecure,
    )
    return Plan(where=address, front=front, tls=tls)


@contextmanager
def served(
    installation: Installation,
    how: Plan,
    turned_at: Callable[[], float],
    invitation: Invitation | None = None,
    *,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[str]:
    """Serve within the block, which is given the address that a person opens. Raises HomeError if that cannot be.

    It begins to end within the block once `stopping` says so: what else the process ends does not wait for it. An
    `invitation` is for this machine alone: it is left out where others may ask.
    """
    if not how.where.is_local or how.front.proxies:
        invitation = None
    found_by = endpoints.endpoints(installation, turned_at=turned_at, front=how.front)
    app = site.site(installation, found_by, invitation)
    serving = server.Server(app, listen(how.where), tls=how.tls, trusts=how.front.trusts, stopping=stopping)
    serving.start()
    found, link = Address(host=how.where.host, port=serving.port), how.link(serving.port)
    log.info("listening", address=str(found), open=link)
    if not users.is_there_any(installation):
        log.info("no user yet", open=f"{link}/first?token={app.first_token}")
    if not sources.listed(installation):
        log.info("no source yet", open=f"{link}/sources/new")
    if not how.where.is_local and how.tls is None and not how.front.only_proxies:
        log.warning(
            "open to other machines",
            reason="Whoever is on the way can read passwords, sessions and events.",
            todo="Give it a certificate, or put a proxy with one before it.",
        )
    with SPARES.kept():
        try:
            yield link
        finally:
            serving.stop()
