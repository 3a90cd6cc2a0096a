"""What the process that delivers and the child that sends write to each other, each as one JSON frame."""

from typing import TypeVar

import msgspec

from ocelog.errors import ChannelUnavailableError
from ocelog.languages.phrases import Phrase

LONGEST = 1 << 20


class Job(msgspec.Struct):
    """`job`: what to send with. Holds the secret."""

    url: str
    plugin: str
    """Module and class, as `SERVICES` has them."""
    allow_private: bool
    ca_file: str | None
    connect_seconds: float
    total_seconds: float
    proxies: dict[str, str]


class Ready(msgspec.Struct):
    """`ready`: the address is one of the service, and this long may a message be. A title of no length: it has none."""

    longest_title: int
    longest_body: int
    markdown: bool
    """It takes Markdown, and would make that of plain text by escapes in addresses of pages."""


class Unfit(msgspec.Struct):
    """`unfit`: the address is not one that the service has; this is how one looks."""

    template: str


class Text(msgspec.Struct):
    """`message`: what to send."""

    title: str
    body: str
    markdown: bool
    kind: str
    """As apprise calls it: failure, warning, info or success. It gives a message its colour."""


class Exchange(msgspec.Struct):
    """One answer of a far end; `status` is 0 if it gave none, and the text then says why."""

    status: int
    text: str
    retry_after: str = ""
    location: str = ""
    mail: bool = False


class Done(msgspec.Struct):
    """`done`: what came of it."""

    taken: bool
    exchanges: list[Exchange]
    forbidden: bool
    """Something was to be connected to that must not be."""


_Frame = TypeVar("_Frame", bound=msgspec.Struct)


def read(payload: bytes | bytearray, kind: type[_Frame]) -> _Frame:
    """Return what a frame holds. Raises ChannelUnavailableError if it is malformed."""
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ChannelUnavailableError(Phrase("The process that sends wrote something else than its outcome.")) from None
