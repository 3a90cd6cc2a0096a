"""Keeps requests of a source that somebody at a distance added away from what only this machine can reach."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

import httpcore2
import httpx2

from ocelog.errors import ConfigError
from ocelog.languages.phrases import Phrase
from ocelog.network import is_allowed, resolved


def check_public(url: str, within: float) -> None:
    """Refuse a host that leads to a private network or this machine as seen from here. Raises ConfigError.

    A name that is unknown here passes: a proxy may know it, and nothing else connects to it.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        _public(host, port, within)
    except OSError:
        return


def confine(http: httpx2.Client) -> None:
    """Have `http` connect to addresses that were checked, never to a name, which could change its meaning meanwhile.

    Its proxies are those of the environment, which the owner of this machine has set. As in `ocelog/deadline.py`, there
    is no public place for that: where a later version has another, nothing is sent.
    """
    http._transport._pool._network_backend = _Public(http._transport._pool._network_backend)  # type: ignore[attr-defined] # noqa: SLF001 - see above


def _public(host: str, port: int, within: float) -> list[str]:
    """Return the public addresses of `host`. Raises ConfigError if it has others only, OSError if it has none."""
    found = [each for each in resolved(host, port, within=within) if is_allowed(each, allow_private=False)]
    if not found:
        # Not what the name stands for: it would tell of the network inside.
        raise ConfigError(
            Phrase(
                "%(host)s leads to a private network or to the machine of Ocelog, and was not asked. A source with "
                "such an address is added at the command line of that machine, or here once the setting "
                "private_sources is yes there.",
                host=host,
            )
        )
    return found


class _Public:
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *args: Any, **named: Any) -> Any:
        try:
            addresses = _public(host, port, timeout or 10.0)
        except OSError as error:
            raise httpcore2.ConnectError(f"{host} has no address that can be found") from error
        last: Exception | None = None
        for address in addresses:
            try:
                return self._inner.connect_tcp(str(ipaddress.ip_address(address)), port, timeout, *args, **named)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        raise last or httpcore2.ConnectError(f"{host} has no address that can be found")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
