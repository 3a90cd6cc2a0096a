"""Where a remote Ocelog is, and which addresses a token may be sent to."""

import ipaddress
from urllib.parse import SplitResult, urlsplit

from ocelog.errors import ConfigError
from ocelog.secrets.secret import hidden

_API = "/api/v1"
_EXAMPLE = "such as https://ocelog.example.com"


def base_of(url: str) -> str:
    """Return the address of the API of the Ocelog at `url`, which is that of its console. Raises ConfigError."""
    parts = _split(url)
    if parts.username is not None or parts.password is not None:
        # Nor is the address repeated.
        raise ConfigError("The address must hold no name and no password: the token goes into OCELOG_TOKEN.")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"expected the address of a console, {_EXAMPLE}, not {hidden(url)}.")
    if parts.scheme == "http" and not is_near(parts.hostname):
        raise ConfigError(
            f"http://{parts.netloc} would send the token where everybody on the way can read it: use https. "
            "Plain http is for this machine alone."
        )
    path = parts.path.rstrip("/").removesuffix(_API)
    return f"{parts.scheme}://{parts.netloc}{path}{_API}"


def is_near(host: str) -> bool:
    """Whether a host is this machine, whatever any server of names says."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError:
        raise ConfigError(f"expected the address of a console, {_EXAMPLE}, not {hidden(url)}.") from None
    if not url.isascii() or any(each.isspace() or not each.isprintable() for each in url.strip()):
        raise ConfigError(f"expected the address of a console, {_EXAMPLE}, not {hidden(url)}.")
    return parts
