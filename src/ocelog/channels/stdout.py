"""The standard output as a channel: one line for each notice, for whoever collects what a service prints."""

import os
import select

from msgspec import Struct

from ocelog.alert.notice import Notice
from ocelog.channels.bounded import within
from ocelog.channels.kind import ChannelKind, Values
from ocelog.channels.message import headline, shown_link
from ocelog.channels.ports import Receipt
from ocelog.channels.text import cut
from ocelog.errors import ChannelUnavailableError
from ocelog.languages.phrases import Phrase

_LONGEST = 2_000
_WAITS = 10.0
"""Seconds until there must be room: a reader that is stuck must not stop deliveries."""
_STUCK = "Nobody reads the standard output."


class Stdout(Struct, frozen=True, kw_only=True):
    """Writes to a descriptor of this process."""

    descriptor: int = 1
    waits: float = _WAITS

    @property
    def address(self) -> str:
        """Nothing here is a secret."""
        return "stdout"

    def send(self, notice: Notice) -> Receipt:
        """Write one line: what a pipe takes at once, so that it is never cut in two."""
        page = shown_link(notice.link)
        # An identifier is written so that nothing in it is a second field.
        told = [headline(notice), f"alert={''.join(filter(str.isalnum, notice.alert_id))}", *([page] if page else [])]
        line = cut(" ".join(told), _LONGEST // 2).encode("utf-8")[:_LONGEST] + b"\n"
        # What there was room for may be taken by another writer, and no disk or terminal says that it hangs.
        within(2 * self.waits, f"descriptor {self.descriptor}", lambda: self._write(line), otherwise=_STUCK)
        return Receipt(status="written")

    def _write(self, line: bytes) -> None:
        try:
            ready = select.poll()
            ready.register(self.descriptor, select.POLLOUT)
            if not ready.poll(self.waits * 1000):
                raise ChannelUnavailableError(_STUCK)
            os.write(self.descriptor, line)
        except OSError as error:
            raise ChannelUnavailableError(
                Phrase("The standard output cannot be written: %(strerror)s.", strerror=error.strerror)
            ) from error


def _build(_: Values) -> Stdout:
    return Stdout()


STDOUT = ChannelKind(name="stdout", title="Standard output: one line for each message", settings=(), build=_build)
