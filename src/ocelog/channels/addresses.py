"""Which addresses a channel may connect to: whoever enters an address must not reach what only this machine can."""

from ocelog.errors import ChannelRefusedError, ChannelUnavailableError
from ocelog.languages.phrases import Phrase
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
        raise ChannelUnavailableError(
            Phrase(
                "The address of %(host)s was not found within %(within)s s.", host=host, within=format(within, ".2g")
            )
        ) from None
    except OSError as error:
        raise ChannelUnavailableError(
            Phrase("%(host)s has no address that can be found: is the name right?", host=host)
        ) from error
    allowed = [each for each in found if is_allowed(each, allow_private=allow_private)]
    if not allowed:
        raise forbidden(host)
    return allowed


def is_forbidden(host: str, port: int, *, within: float = 5.0) -> bool:
    """Whether a host has only addresses to which no channel from a distance may connect, as seen from here.

    A name that is unknown here passes: a proxy may know it, and nothing else connects to it.
    """
    try:
        found = resolved(host, port, within=within)
    except OSError:
        return False
    return not any(is_allowed(each, allow_private=False) for each in found)


def forbidden(host: str) -> ChannelRefusedError:
    """Return what to raise for a host that leads where channels must not."""
    return ChannelRefusedError(
        Phrase(
            "%(host)s leads to a private network, to this machine, or to a cloud's credentials: "
            "nothing was sent. If it is yours, set allow_private to yes for this channel; that never "
            "allows a cloud's credentials.",
            host=host,
        ),
        code="address_forbidden",
    )
