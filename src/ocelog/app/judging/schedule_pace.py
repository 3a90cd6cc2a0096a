"""How long each schedule took when it ran last, and which are behind: noted by whoever runs them, for whoever asks."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from ocelog.app.judging import notes
from ocelog.times import from_us, to_us

_NAME = "schedules"
LONG = 10.0
"""Seconds from which on a query is slow: it leaves a place to the others."""
_EVERY = 5.0
"""Seconds between two notes, at least."""


class _Pace(msgspec.Struct, frozen=True):
    """What is known of a schedule."""

    seconds: float | None
    """How long its last run took; None: it is new."""
    behind_us: int | None = None
    """From when on it is behind, unless it runs: it was due twice then. None: never."""
    running_us: int | None = None
    """Since when it runs; None: it does not."""


class SchedulesBehind(msgspec.Struct, frozen=True, kw_only=True):
    """Schedules that are behind by more than one of their periods."""

    names: tuple[str, ...]
    """Those that have waited longest come first: `query <name>` and `rule <id>`."""
    since: datetime
    """When the first of them should have run for the second time."""
    slowest: str | None
    """The schedule whose last run took the most time, or that has been running for longer."""
    seconds: float = 0.0
    """How long that took, or takes by now."""
    runs: bool = False
    """Whether that run is not over."""


@dataclass(slots=True)
class SchedulePace:
    """Notes in the home, where nothing else needs it, how long schedules take: a process that comes after knows it."""

    home: Path
    monotonic: Callable[[], float] = time.monotonic
    _known: dict[str, _Pace] = field(init=False)
    _noted_at: float = float("-inf")
    _running_us: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._known = dict(_read(self.home))

    def seconds(self, schedule: str) -> float | None:
        """Return how long a schedule took when it ran last; None: it is new."""
        known = self._known.get(schedule)
        return None if known is None else known.seconds

    def began(self, schedule: str, at_us: int) -> None:
        """Note that a run has begun. Like `ended`, it is called by the thread that runs it."""
        self._running_us[schedule] = at_us

    def ended(self, schedule: str) -> None:
        """Note that a run is over."""
        self._running_us.pop(schedule, None)

    def took(self, schedule: str, seconds: float) -> None:
        """Note how long a run took."""
        before = self._known.get(schedule)
        self._known[schedule] = _Pace(seconds, None if before is None else before.behind_us)

    def see(self, behind_us: Mapping[str, int | None]) -> None:
        """Note which schedules there are, and from when on each is behind unless it runs."""
        self._known = {
            name: _Pace(self.seconds(name), at, self._running_us.get(name)) for name, at in behind_us.items()
        }
        if self.monotonic() < self._noted_at + _EVERY:
            return
        self._noted_at = self.monotonic()
        # Where that fails, all are new to the process that comes after.
        notes.write(self.home, _NAME, self._known)


def schedules_behind(home: Path, now: datetime) -> SchedulesBehind | None:
    """Return which schedules are behind by more than one of their periods; None: none that anybody noted."""
    known, now_us = _read(home), to_us(now)
    late = sorted((each.behind_us, name) for name, each in known.items() if each.behind_us is not None)
    late = [(at, name) for at, name in late if at < now_us]
    if not late:
        return None
    lasts = [(each.seconds, name, False) for name, each in known.items() if each.seconds is not None]
    lasts += [
        ((now_us - each.running_us) / 1_000_000, name, True)
        for name, each in known.items()
        if each.running_us is not None
    ]
    seconds, slowest, runs = max(lasts, default=(0.0, None, False))
    return SchedulesBehind(
        names=tuple(name for _, name in late), since=from_us(late[0][0]), slowest=slowest, seconds=seconds, runs=runs
    )


def _read(home: Path) -> Mapping[str, _Pace]:
    return notes.read(home, _NAME, dict[str, _Pace]) or {}
