"""How many requests per second are answered: the three kinds of limiters that an API may have."""

import threading
import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol


class LimiterKind(StrEnum):
    """How a limiter counts."""

    SLIDING = "sliding"
    FIXED = "fixed"
    BUCKET = "bucket"


class Limiter(Protocol):
    """Says whether a request is answered."""

    def takes(self, now: float) -> bool:
        """Whether the request that comes at `now`, in seconds, is within the limit."""
        ...


class Sliding:
    """Refuses what is more than `limit` in the second before it; what is refused does not count."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._taken = deque[float]()

    def takes(self, now: float) -> bool:
        """See Limiter."""
        while self._taken and now - self._taken[0] >= 1:
            self._taken.popleft()
        if len(self._taken) + 1 > self._limit:
            return False
        self._taken.append(now)
        return True


class Fixed:
    """Refuses what is more than `limit` in one second of the clock; what is refused counts."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._second, self._count = -1, 0

    def takes(self, now: float) -> bool:
        """See Limiter."""
        if int(now) != self._second:
            self._second, self._count = int(now), 0
        self._count += 1
        return self._count <= self._limit


class Bucket:
    """Refuses what finds no token: `limit` a second come, and there is room for one second's."""

    def __init__(self, limit: float) -> None:
        self._limit, self._tokens, self._at = limit, limit, 0.0

    def takes(self, now: float) -> bool:
        """See Limiter."""
        self._tokens = min(self._limit, self._tokens + (now - self._at) * self._limit)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


LIMITERS: dict[LimiterKind, Callable[[float], Limiter]] = {
    LimiterKind.SLIDING: Sliding,
    LimiterKind.FIXED: Fixed,
    LimiterKind.BUCKET: Bucket,
}


class Gate:
    """What stands before both endpoints: one limiter for all that comes, in whichever thread."""

    def __init__(self, limiter: Limiter | None = None, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limiter = limiter
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self.opened = 0
        """Requests that were let through so far."""
        self.refused = 0
        """Requests that were over the limit so far."""

    def opens(self) -> bool:
        """Whether the request that has just come is answered."""
        with self._lock:
            if self._limiter is None or self._limiter.takes(self._monotonic()):
                self.opened += 1
                return True
            self.refused += 1
            return False
