"""How long a call into the system may take that knows no end itself, such as a write to a disk that hangs."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from ocelog.errors import ChannelUnavailableError

T = TypeVar("T")

LONGEST_SECONDS = 30.0
_turns: dict[str, threading.Lock] = {}
_guard = threading.Lock()


def within(seconds: float, what: str, job: Callable[[], T], *, otherwise: str) -> T:
    """Return what `job` returns, and raise what it raises; of all jobs about `what` one runs at a time.

    Raises ChannelUnavailableError, which says `otherwise`, if it does not end in time. It is left behind then, in a
    thread of its own, which is the only one about `what` until it ends: however often it is tried again, no second
    one hangs beside it.
    """
    until = time.monotonic() + seconds
    with _guard:
        turn = _turns.setdefault(what, threading.Lock())
    if not turn.acquire(timeout=seconds):
        raise ChannelUnavailableError(otherwise)
    done, ended = list[T](), threading.Event()
    failed = list[BaseException]()

    def run() -> None:
        try:
            done.append(job())
        except BaseException as error:  # noqa: BLE001 - raised below, if anybody still waits for it
            failed.append(error)
        finally:
            turn.release()
            ended.set()

    threading.Thread(target=run, name="bounded", daemon=True).start()
    if not ended.wait(max(0.0, until - time.monotonic())):
        raise ChannelUnavailableError(otherwise)
    if failed:
        raise failed[0]
    return done[0]
