"""What a loop of the service is, and what all of them work with."""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from ocelog.app.assemble import Assembly
from ocelog.app.loops.failure_log import FailureLog
from ocelog.app.loops.loop_faults import WORK, LoopFaults
from ocelog.errors import OcelogError
from ocelog.pull.stream import Stream
from ocelog.workers.fair import StreamKey
from ocelog.workers.threads import Stop, Threads

log = structlog.get_logger()


class Loop(Protocol):
    """One thing that a service does again and again: from a mark it takes the next piece, and lands result and mark.

    It may be killed at any instruction and run again. What it raises is logged, shown by `ocelog status` until the loop
    works again, and keeps no other loop from its work.
    """

    @property
    def name(self) -> str:
        """What the loop is called in the log."""
        ...

    def run_due(self, now: float) -> float:
        """Begin what is due at `now`, and return when to look again, both in seconds of the monotonic clock.

        The service also looks whenever a thread has ended. All loops take turns in one thread, and `ocelog status`
        says that the service hangs if it stands still: what may take longer than a moment goes to `Work.begin`. What
        that does is said to hang after an hour: what may take longer calls `Work.went_on` with each step. What takes
        piece after piece says by `Work.takes_up` which: one that is tried again and again for an hour is a failure.
        """
        ...

    def finish(self) -> None:
        """Do what is left, due or not, and return when it is done: `ocelog pull` ends with it."""
        ...


@dataclass(slots=True, kw_only=True)
class Work:
    """What the loops of one process work on, and with."""

    assembly: Assembly
    stop: Stop
    threads: Threads = field(default_factory=Threads)
    monotonic: Callable[[], float] = time.monotonic
    failures: FailureLog = field(default_factory=FailureLog)
    """Logs what fails again and again."""
    faults: LoopFaults = field(init=False)
    _pieces: "dict[tuple[str, str], _Piece]" = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    to_tell: int = 0
    """How often there was something new to tell by now: whoever delivers need not ask the ledger."""
    polled: int = 0
    """How often all that was new in a stream was read by now: how it is may have changed by that."""
    only: set[StreamKey] | None = None
    """The streams that are wanted; None: all there are."""

    def __post_init__(self) -> None:
        self.faults = LoopFaults(self.assembly.installation.ledger, self.failures)

    def streams(self) -> list[Stream]:
        """Return the streams that are wanted, as the ledger has them now."""
        return [stream for stream in self.assembly.streams() if self.only is None or stream.key in self.only]

    def begin(self, loop: Loop, job: Callable[[], None]) -> bool:
        """Run `job` of `loop` in a thread, unless its last one has not ended yet; what it raises is noted."""

        def guarded() -> None:
            try:
                job()
            except Exception as error:  # noqa: BLE001 - told, and shown until it works again
                self.faults.failed(loop.name, WORK, error)
            else:
                self.faults.worked(loop.name, WORK)

        return self.threads.start_once(loop.name, guarded)

    def went_on(self) -> None:
        """Note that what a loop has begun in this thread has come further: what is long must say so now and then."""
        self.threads.went_on()

    def takes_up(self, loop: Loop, of: str, piece: Hashable | None) -> None:
        """Note which piece of something, such as a table, `loop` takes up, in this try; None: nothing of it is left."""
        now = self.monotonic()
        with self._lock:
            before = self._pieces.get((loop.name, of))
            if piece is None:
                self._pieces.pop((loop.name, of), None)
            elif before is None or before.piece != piece:
                self._pieces[loop.name, of] = _Piece(piece, first=now, last=now)
            else:
                before.last = now

    def stalled(self, seconds: float) -> dict[str, str]:
        """Return which loops have tried the same piece for so long, and of what; not what is not tried any more."""
        with self._lock:
            return {
                loop: of
                for (loop, of), each in self._pieces.items()
                if each.last - each.first >= seconds and self.monotonic() - each.last < seconds
            }


@dataclass(slots=True)
class _Piece:
    """What a loop takes up: when it was tried first, and last."""

    piece: Hashable
    first: float
    last: float


def log_failure(event: str, error: OcelogError, **more: object) -> None:
    """Log `error` as what it says, without a traceback: it was raised on purpose."""
    log.error(event, **more, error=type(error).__name__, code=error.code, reason=error.beside(more.get("table")))
