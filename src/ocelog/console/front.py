"""Proxies before the console, whose word on clients is taken, and the hosts by whose names the console answers.

That no page of another site rebinds a name to this machine is kept here; that none sends forms (CSRF), in `visitor.py`.
"""

import ipaddress
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Any, TypeAlias

from msgspec import Struct

from ocelog.console.address import is_local_name
from ocelog.console.server import Message

Network: TypeAlias = IPv4Network | IPv6Network
_SCHEMES = frozenset({"http", "https"})


class Front(Struct, frozen=True, kw_only=True):
    """How the console is reached."""

    only_local: bool = True
    """It listens to this machine alone: a page of somebody else that a browser here shows must not read it."""
    public_name: str | None = None
    """What people call it, if they reach it by one name."""
    proxies: Sequence[Network] = ()
    """Whose word on its clients is taken."""
    only_proxies: bool = False
    """Others of the network would send passwords in the clear."""

    def trusts(self, address: str) -> bool:
        """Whether a proxy of ours has that address."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
        return any((mapped or parsed) in network for network in self.proxies)

    def seen(self, scope: Message) -> Message:
        """Return the request as the client sent it: its address and scheme, if a proxy of ours tells them."""
        near = _address_of(scope)
        if not self.trusts(near):
            return scope
        address = near
        # From the right: what stands left of the first address that is no proxy of ours, anybody may have written.
        for each in reversed(_listed(scope, b"x-forwarded-for")):
            try:
                address = str(ipaddress.ip_address(each))
            except ValueError:
                break
            if not self.trusts(address):
                break
        schemes = [each.lower() for each in _listed(scope, b"x-forwarded-proto")]
        scheme = schemes[-1] if schemes and schemes[-1] in _SCHEMES else scope["scheme"]
        return {**scope, "client": (address, 0), "scheme": scheme}

    def address(self, scheme: str, host: str) -> str:
        """Return the address by which the browser came, whose request names `host`.

        A proxy may put its own name for this machine there: then the public name is what people call it.
        """
        if self.proxies and self.public_name is not None:
            return f"https://{self.public_name}"
        return f"{scheme}://{host}"

    def refuses(self, scope: Message) -> str | None:
        """Return why a request, as it came, is not answered; None: it is."""
        lengths = sum(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
        if lengths > 1:
            return "A request says once how long it is."
        near = _address_of(scope)
        if self.only_proxies and not self.trusts(near) and not is_local_name(near):
            return "Come by the proxy that stands before this address."
        name = _host_of(scope)
        if self.public_name is not None and name.lower().rstrip(".") == self.public_name:
            return None
        if self.only_local:
            return None if is_local_name(name) else "This address is for programs of this machine."
        if self.public_name is None or is_local_name(name) or _is_address(name):
            # No page that leads a browser here by a name of its own can have an address for its name.
            return None
        return f"This is {self.public_name}."


def _address_of(scope: Message) -> str:
    client: Any = scope.get("client")
    return str(client[0]) if client else ""


def _listed(scope: Message, header: bytes) -> list[str]:
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == header]
    return [each.strip() for each in ",".join(values).split(",") if each.strip()]


def _host_of(scope: Message) -> str:
    """Return which host the request names; nothing if it names none, or several."""
    named = [value for name, value in scope["headers"] if name == b"host"]
    host = named[0].decode("latin-1") if len(named) == 1 else ""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
