"""Which addresses a channel may connect to: whoever enters an address must not reach what only this machine can."""

from ocelog.errors import ChannelRefusedError, ChannelUnavailableError
from ocelog.network import Resolve, is_allowed, resolve, resolved


def allowed_addresses(
    host: str, port: int, *, allow_private: bool, within: float, resolving: Resolve = resolve
) -> list[str]:
    """Return the addresses of `host` that a channel may connect to. Connect to these, not to the name.

    Raises ChannelRefusedError if there is none among them, ChannelUnavailableError if the name has no address now or
    nobody says within so many seconds.
    """
    try:
        found = resolved(host, port, within=within, resolving=resolving)
    except TimeoutError:
        raise ChannelUnavailableError(f"The address of {host} was not found within {within:.2g} s.") from None
    except OSError as error:
        raise ChannelUnavailableError(f"{host} has no address that can be found: is the name right?") from error
    allowed = [each for each in found if is_allowed(each, allow_private=allow_private)]
    if not allowed:
        raise forbidden(host)
    return allowed


def forbidden(host: str) -> ChannelRefusedError:
    """Return what to raise for a host that leads where channels must not."""
    return ChannelRefusedError(
        f"{host} leads to a private network, to this machine, or to a cloud's credentials: nothing was sent. "
        "If it is yours, set allow_private to yes for this channel; that never allows a cloud's credentials.",
        code="address_forbidden",
    )
