"""How much memory and time a command may take in all, whatever the engine inside it believes."""

import os
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

_ROOM = 2 * 1024**3
"""For the interpreter, libraries and buffers that the engine does not count."""

_HEARS_WITHIN = timedelta(seconds=5)
"""An engine that has not heard of its end by then is in the middle of one huge operation."""


@contextmanager
def ended_after(timeout: timedelta) -> Iterator[None]:
    """End the process, exit code 2, when the block outlasts `timeout` by more than it takes to be interrupted.

    Only for commands that write nothing but their answer.
    """
    timer = threading.Timer((timeout + _HEARS_WITHIN).total_seconds(), _end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end() -> None:
    sys.stderr.write("ocelog: The query took too long, and did not hear that its time was up. Ask for less at once.\n")
    sys.stderr.flush()
    os._exit(2)


def bound_memory(megabytes: int) -> None:
    """Let this process take twice `megabytes` of memory and some room; what asks for more fails by itself.

    DuckDB's own limit does not count everything: a list of a billion numbers took 13 GB under a limit of 1 GB.
    """
    wanted = 2 * megabytes * 1024**2 + _ROOM
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
