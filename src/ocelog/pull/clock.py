"""What time it is for the API: its clock, never ours."""

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from statistics import median

from ocelog.errors import SourceUnavailableError
from ocelog.times import from_us, to_us

_NEEDED = 3
"""So many differences must agree before they are believed."""
_AGREE = timedelta(seconds=5) // timedelta(microseconds=1)
_OFF = timedelta(seconds=60) // timedelta(microseconds=1)


class ApiClock:
    """The API's clock: our monotonic clock plus the median of the last five differences to its `Date` header.

    A `Date` is cut to whole seconds, so this clock runs at most a second behind the API and never ahead of it by more
    than the network's jitter. It never steps back, except when three answers in a row agree that it was wrong by over a
    minute: a clock that stood still until the API had caught up with a lie would ask for nothing for as long.
    Thread-safe.

    `stamped_us` is the last stamp that the process before this one used, in microseconds: stamps go on after it, for
    clocks of two processes are up to a minute apart, and what is seen later must sort later.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, *, stamped_us: int = 0) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._differences: deque[int] = deque(maxlen=5)
        self._strangers: deque[int] = deque(maxlen=_NEEDED)
        self._started = False
        self._last_now = 0
        self._last_stamp = stamped_us

    @property
    def started(self) -> bool:
        """Whether three answers have agreed on the time."""
        return self._started

    def reading(self) -> float:
        """Read our monotonic clock, in seconds: what `hear` wants to know as `at`."""
        return self._monotonic()

    def hear(self, date: datetime, at: float) -> bool:
        """Take in that the API's `Date` said `date` when our monotonic clock read `at` seconds.

        False: `date` is over a minute from what this clock says. The answer that carried it must not be used, but
        asked again; three such in a row that agree with each other become the clock (a machine that was suspended).
        """
        difference = to_us(date) - round(at * 1_000_000)
        with self._lock:
            if not self._started:
                self._strangers.append(difference)
                self._believe_strangers()
                return True
            if abs(difference - self._offset()) <= _OFF:
                self._strangers.clear()
                self._differences.append(difference)
                return True
            self._strangers.append(difference)
            return self._believe_strangers()

    def now(self) -> datetime:
        """Return the API's present instant. Raises SourceUnavailableError while no three answers have agreed."""
        with self._lock:
            return from_us(self._now())

    def stamp(self) -> int:
        """Return now in microseconds, later than every stamp before it."""
        with self._lock:
            self._last_stamp = max(self._now(), self._last_stamp + 1)
            return self._last_stamp

    def _now(self) -> int:
        if not self._started:
            raise SourceUnavailableError(
                "The API's clock is not known yet: its answers do not agree on the Date. Try again in a minute."
            )
        self._last_now = max(self._last_now, round(self._monotonic() * 1_000_000) + self._offset())
        return self._last_now

    def _offset(self) -> int:
        return int(median(self._differences))

    def _believe_strangers(self) -> bool:
        if len(self._strangers) < _NEEDED or max(self._strangers) - min(self._strangers) > _AGREE:
            return False
        self._differences = deque(self._strangers, maxlen=5)
        self._strangers.clear()
        self._last_now = 0
        self._started = True
        if self._last_stamp > self._now() + _OFF:
            # It came from a clock that was lied to; by less, two of an API that answers from several may be apart.
            self._last_stamp = 0
        return True
