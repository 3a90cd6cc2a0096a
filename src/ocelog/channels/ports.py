"""What a channel is to whoever delivers: something that takes a notice, and says what the far end answered."""

from typing import Protocol

from msgspec import Struct

from ocelog.alert.notice import Notice


class Receipt(Struct, frozen=True, kw_only=True):
    """What the far end answered to a message that it took. Holds no secret, and fits on a few lines."""

    status: str
    """Such as `202` for HTTP, `250` for mail, `written` for a file."""
    text: str = ""
    """One line of bounded length."""


class Channel(Protocol):
    """A way to people or to a program. Thread-safe."""

    @property
    def address(self) -> str:
        """Where it leads, as far as that may be shown: `https://hooks.example.com/...`, `slack`."""
        ...

    def send(self, notice: Notice) -> Receipt:
        """Try once to deliver `notice`, within a bounded time.

        Raises ChannelUnavailableError if a later try may work (`retry_after` is what the far end asked for, at most an
        hour), ChannelRefusedError if none can before a person changes something, and ConfigError if a file that the
        settings name cannot be used.
        """
        ...
