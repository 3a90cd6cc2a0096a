"""How fast a service account may send requests: evenly over all slices and sources, more slowly once Wiz complains."""

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ocelog.errors import SourceThrottledError, SourceUnavailableError
from ocelog.languages.phrases import Phrase
from ocelog.times import rfc3339

_SHARE = 0.95
"""Share of the limit that is used. Requests do not arrive as evenly as they leave; the rest allows for that."""
_MARGIN = 1.05
"""A window lasts so much longer for us than for the limiter, whose clock need not agree with ours."""
_LONGEST_PAUSE = 4.0
"""Seconds; whoever would wait for longer because the source complained is told to come back."""
_LONGEST_TURN = 60.0
"""Likewise for whoever waits for a turn at the set rate alone: nothing is wrong then, and a lease lasts longer."""
_SLOWEST = 20.0
"""However much the source complains, the pace falls no lower than the set rate over this."""
_RECOVERY = 0.97
"""Each good answer shortens the gap by so much: from the slowest back to the set rate in about a hundred."""
_NEVER = threading.Event()


class Pace:
    """Spaces the requests of one service account: never more than its rate in any one second. Thread-safe.

    Two rules, since a thread may be slow to send what it was given leave to: `wait` gives leave at even distances, and
    `hold`, right before the request goes out, keeps any window of one second within the rate whatever the threads did.
    There is no burst: Wiz's limit is 3 requests per second, and 4 in the first second are refused.
    """

    def __init__(
        self,
        rate: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._monotonic = monotonic
        self._now = now
        self._lock = threading.Lock()
        self._holding = threading.Lock()
        self._rates: dict[str, float] = {}
        self._slowness = 1.0
        self._next = self._closed_until = monotonic()
        self._sent = deque[float]()
        self._set(rate)

    def share(self, member: str, rate: float) -> None:
        """Let the source `member` use this pace: the lowest rate of those that share it holds."""
        with self._lock:
            self._rates[member] = rate
            self._set(min(self._rates.values()))

    def _set(self, rate: float) -> None:
        # Any one second can only hold whole requests: 2.5 per second are 2.
        self._most = max(1, int(rate))
        self._window = 1.0 if rate >= 1 else 1.0 / rate
        self._gap = self._window / self._most / _SHARE

    @property
    def rate(self) -> float:
        """Requests per second at present."""
        return 1.0 / (self._gap * self._slowness)

    def take(self, *, patient: bool = False) -> float:
        """Reserve the next request; return how many seconds to wait before it.

        Who is `patient` also waits for up to a minute because the source asked for it. Raises SourceThrottledError,
        and reserves nothing, when that is longer than a caller should hold still.
        """
        with self._lock:
            now = self._monotonic()
            due = max(self._next, self._closed_until, now)
            wait = due - now
            if self._closed_until - now > (_LONGEST_TURN if patient else _LONGEST_PAUSE):
                raise SourceThrottledError(
                    Phrase("Wiz is rate-limiting requests: the next one is due at %(at)s.", at=self._at(wait)),
                    retry_after=timedelta(seconds=wait),
                )
            if wait > _LONGEST_TURN:
                raise SourceThrottledError(
                    Phrase(
                        "At %(rate)s requests per second the next one is due at %(at)s (see --rate).",
                        rate=format(self.rate, ".3g"),
                        at=self._at(wait),
                    ),
                    retry_after=timedelta(seconds=wait),
                )
            self._next = due + self._gap * self._slowness
            return wait

    def _at(self, wait: float) -> str:
        """Write when `wait` seconds have passed: what is kept is read long after it was written."""
        return rfc3339((self._now() + timedelta(seconds=wait + 0.5)).replace(microsecond=0))

    def wait(self, closed: threading.Event = _NEVER, *, patient: bool = False) -> None:
        """Hold still until the next request may go out.

        Raises SourceThrottledError like `take`, and SourceUnavailableError once `closed` is set.
        """
        _sleep(self.take(patient=patient), closed)

    def hold(self, closed: threading.Event = _NEVER) -> None:
        """Hold back a request that is about to go out until no window has more than it may; call it last of all."""
        with self._holding:
            if len(self._sent) >= self._most:
                _sleep(self._sent[-self._most] + self._window * _MARGIN - self._monotonic(), closed)
            self._sent.append(self._monotonic())
            while len(self._sent) > self._most:
                self._sent.popleft()

    def complained(self, retry_after: timedelta | None) -> None:
        """Take in that the source asked for fewer requests: none before `retry_after`, and half as many then."""
        with self._lock:
            self._slowness = min(self._slowness * 2, _SLOWEST)
            pause = retry_after.total_seconds() if retry_after is not None else self._gap * self._slowness
            self._closed_until = max(self._closed_until, self._monotonic() + pause)

    def pardoned(self) -> None:
        """Take in that it was one single request of which the source complained, whatever the rate."""
        with self._lock:
            self._slowness = 1.0
            self._closed_until = self._monotonic()

    def answered(self) -> None:
        """Take in that the source answered well."""
        with self._lock:
            self._slowness = max(1.0, self._slowness * _RECOVERY)


def _sleep(seconds: float, closed: threading.Event) -> None:
    if closed.wait(seconds) if seconds > 0 else closed.is_set():
        raise SourceUnavailableError(Phrase("The source was closed."))
