"""Where HTTP is served: on this machine alone, unless a person says otherwise."""

import ipaddress
import os
import socket

from msgspec import Struct

from ocelog.errors import HomeError
from ocelog.units import host_and_port

_WAITING = 64
"""Connections that the kernel keeps until they are taken."""


class Address(Struct, frozen=True, kw_only=True):
    """A host of this machine and a port."""

    host: str
    port: int

    @property
    def is_local(self) -> bool:
        """Whether only programs of this machine can reach it."""
        return is_local_name(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_address(text: str) -> Address:
    """Read `9464`, `127.0.0.1:9464`, `[::1]:9464` or `host:9464`. Raises ConfigError."""
    host, port = host_and_port(text)
    return Address(host=host, port=port)


def listen(address: Address) -> socket.socket:
    """Return a socket that takes connections there. Raises HomeError if that is not possible."""
    try:
        family, _, _, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(where[:2], family=family, backlog=_WAITING)
    except OSError as error:
        # What Python says of an address that is taken holds the address once more, as a tuple.
        if error.errno is not None and not isinstance(error, socket.gaierror):
            reason = os.strerror(error.errno)
        else:
            reason = error.strerror or str(error)
        raise HomeError(
            f"Nothing can be served at {address} ({reason}): choose another address with --listen."
        ) from error


def is_local_name(host: str) -> bool:
    """Whether `host` names this machine to itself."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
