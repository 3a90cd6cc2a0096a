"""Which addresses somebody may reach who must not reach what only this machine can, and which are of one client."""

import ipaddress
import queue
import socket
import threading
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

_CREDENTIALS = tuple(
    map(
        ipaddress.ip_network,
        (
            # Link-local: machines of nearly all clouds, tasks and pods of AWS.
            "169.254.0.0/16",
            "fe80::a9fe:a9fe/128",
            # AWS, Google and Scaleway in IPv6; Alibaba; Oracle; Azure, whose is an address like any on the internet.
            "fd00:ec2::/32",
            "fd20:ce::/64",
            "fd00:42::42/128",
            "100.100.100.200/32",
            "192.0.0.192/32",
            "168.63.129.16/32",
        ),
    )
)
"""Where clouds give machines their credentials."""
_LOCAL_GATEWAYS = ipaddress.IPv6Network("64:ff9b:1::/48")
"""NAT64 of a network of one's own (RFC 8215): where it leads cannot be seen for sure."""
_EMBEDDING = (
    *map(ipaddress.IPv6Network, ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96")),
    _LOCAL_GATEWAYS,
)
"""What a gateway leads on to the IPv4 address in the last 32 bits, as far as can be seen."""

Resolve = Callable[[str, int], list[str]]
"""Returns the addresses of a host. Raises OSError."""


def resolve(host: str, port: int) -> list[str]:
    """Ask this machine for the addresses of `host`. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def network_of(address: str) -> str:
    """Return what one client has for an address: in IPv6 it may choose among all of a network."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))


def is_allowed(address: str, *, allow_private: bool) -> bool:
    """Whether a numeric address may be connected to.

    With `allow_private` that includes private networks and this machine, though never an address of which a cloud gives
    credentials, as IPv4's link-local addresses are. What is no address is not allowed.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    # A zone does not change what an address is.
    bare = IPv6Address(parsed.packed) if isinstance(parsed, IPv6Address) else parsed
    meant = _meant(bare)
    if any(each in network for each in (bare, meant) for network in _CREDENTIALS):
        return False
    return allow_private or (_is_public(bare if isinstance(meant, IPv6Address) else meant))


def resolved(host: str, port: int, *, within: float, resolving: Resolve = resolve) -> list[str]:
    """Return the addresses of `host`. Raises TimeoutError if nobody says within so many seconds, OSError otherwise.

    In a thread: the system's own limit is minutes, and cannot be set.
    """
    answers = queue.SimpleQueue[list[str] | OSError | UnicodeError]()

    def ask() -> None:
        try:
            answers.put(resolving(host, port))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=within)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, UnicodeError):
        raise OSError(str(answer)) from answer
    if isinstance(answer, OSError):
        raise answer
    return answer


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if any(address in network for network in _EMBEDDING):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and (address.teredo is not None or address.is_site_local):
        return False
    if address in _LOCAL_GATEWAYS:
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved and not address.is_unspecified
