"""How fast a source may be asked: so many questions a second over all its slices, slower once it complains."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta

from ocelog.errors import SourceThrottledError, SourceUnavailableError

_LONGEST_SLEEP = 4.0
"""A stop must be heard within seconds; whoever would wait for longer is told to come back."""
_SLOWEST = 20.0
"""However much the source complains, the pace falls no lower than the set rate over this."""
_RECOVERY = 0.97
"""Each good answer shortens the gap by so much: from the slowest back to the set rate in about a hundred."""


class Pace:
    """Spaces questions evenly (GCRA: one instant is all that is remembered). Thread-safe."""

    def __init__(self, rate: float, *, burst: int = 2, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._gap = 1.0 / rate
        self._burst = burst
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._slowness = 1.0
        self._next = monotonic()
        self._closed_until = monotonic()
        self._stopped = threading.Event()

    @property
    def rate(self) -> float:
        """Questions a second at present."""
        return 1.0 / (self._gap * self._slowness)

    def take(self) -> float:
        """Reserve the next question; return how many seconds to wait before it.

        Raises SourceThrottledError, and reserves nothing, when that is longer than a caller should hold still.
        """
        with self._lock:
            now, gap = self._monotonic(), self._gap * self._slowness
            due = max(self._next, now)
            wait = max(due - (self._burst - 1) * gap, self._closed_until, now) - now
            if wait > _LONGEST_SLEEP:
                raise SourceThrottledError(
                    f"Wiz asked for fewer questions: the next one is due in {wait:.0f} s.",
                    retry_after=timedelta(seconds=wait),
                )
            self._next = due + gap
            return wait

    def wait(self) -> None:
        """Hold still until the next question may go out. Raises SourceThrottledError like `take`."""
        seconds = self.take()
        if self._stopped.wait(seconds) if seconds > 0 else self._stopped.is_set():
            raise SourceUnavailableError("The source was closed.")

    def complained(self, retry_after: timedelta | None) -> None:
        """Take in that the source asked for fewer questions: none before `retry_after`, and half as many then."""
        with self._lock:
            self._slowness = min(self._slowness * 2, _SLOWEST)
            pause = retry_after.total_seconds() if retry_after is not None else self._gap * self._slowness
            self._closed_until = max(self._closed_until, self._monotonic() + pause)

    def answered(self) -> None:
        """Take in that the source answered well."""
        with self._lock:
            self._slowness = max(1.0, self._slowness * _RECOVERY)

    def stop(self) -> None:
        """Wake up whoever waits, with an error, for good."""
        self._stopped.set()
