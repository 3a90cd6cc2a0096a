"""What time it is in the simulated tenant: the wall's time, or a time that only moves when told to."""

import time

from wizsim.instants import SECOND, parse

START = parse("2026-08-15T12:00:00Z")
"""When a world with a stepped clock begins, unless told otherwise."""


class Clock:
    """Microseconds since 1970. It never steps back by itself; `advance` moves it, running or not."""

    def __init__(self, start_us: int = START, *, running: bool = False) -> None:
        self._start = start_us
        self._began = time.monotonic_ns() if running else None
        self._moved = 0

    @classmethod
    def wall(cls, offset: float = 0.0) -> "Clock":
        """Return a clock that runs with the wall's, `offset` seconds ahead of it."""
        return cls(time.time_ns() // 1000 + int(offset * SECOND), running=True)

    def now(self) -> int:
        """Return the present instant."""
        passed = 0 if self._began is None else (time.monotonic_ns() - self._began) // 1000
        return self._start + self._moved + passed

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`."""
        self._moved += int(seconds * SECOND)
