"""How Ctrl-C and SIGTERM reach the loops."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from ocelog.workers.threads import Stop


@contextmanager
def listening(stop: Stop, *, answer: str = "") -> Iterator[None]:
    """Within the block the first signal asks the loops to end, and the second ends the process at once.

    Ending at once is safe: whatever had not landed is read again. The first is answered on stderr, where no line of the
    log does.
    """

    def hear(number: int, _: FrameType | None) -> None:
        if stop():
            os._exit(128 + number)
        stop.ask()
        # Not by `print`, amid whose work a signal may come.
        with suppress(OSError):
            os.write(2, answer.encode())

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
