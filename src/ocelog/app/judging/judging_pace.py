"""Which rules judging spends its time on: noted by whoever judges, and read by whoever asks why it is behind."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec

from ocelog.app.judging import notes

_NAME = "judging"
_BATCHES = 20
"""So many of the last batches are looked at."""
_LONG = 2.0
"""Seconds that a rule had better not take for a batch: more is long."""
_WORST = 3
"""So many rules are named."""
_EVERY = 5.0
"""Seconds between two notes, at least."""


class RuleTime(msgspec.Struct, frozen=True):
    """How long a rule took for the last batches."""

    rule: str
    seconds: float


class Slowest(msgspec.Struct, frozen=True):
    """The rules that took the most time in the last batches."""

    worst: Annotated[tuple[RuleTime, ...], msgspec.Meta(min_length=1, max_length=_WORST)]
    """That which took the most first; behind it those alone that take long for a batch."""
    of: float
    """How long all rules took."""
    batches: int
    long: int = 0
    """How many rules take long for a batch."""
    long_seconds: float = 0.0
    """How long these took together."""

    @property
    def rule(self) -> str:
        """The rule that took the most."""
        return self.worst[0].rule

    @property
    def more(self) -> int:
        """How many rules that take long for a batch are not among those named."""
        return max(0, self.long - len(self.worst))

    @property
    def holds_up(self) -> bool:
        """Whether the others wait for those that take long for a batch: these take as long as all others together."""
        return self.long > 0 and 2 * self.long_seconds >= self.of


@dataclass(slots=True)
class JudgingPace:
    """Notes in the home, where nothing else needs it, which rules take the most time."""

    home: Path
    monotonic: Callable[[], float] = time.monotonic
    _last: deque[Mapping[str, float]] = field(default_factory=lambda: deque(maxlen=_BATCHES))
    _present: dict[str, Mapping[str, float]] = field(default_factory=dict)
    """What rules have taken of the batch that is being judged, by folder."""
    _noted_at: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)
    """Folders are asked side by side."""

    def goes_on(self, folder_id: str, seconds: Mapping[str, float]) -> None:
        """Note how long each rule of a folder has taken so far of a batch that takes long."""
        with self._lock:
            self._present[folder_id] = seconds
            self._note()

    def took(self, seconds: Mapping[str, float]) -> None:
        """Count a batch: how long each rule took."""
        with self._lock:
            self._present.clear()
            if seconds:
                self._last.append(dict(seconds))
                self._note()

    def _note(self) -> None:
        if self.monotonic() < self._noted_at + _EVERY:
            return
        self._noted_at = self.monotonic()
        found = _slowest([*self._last, *self._present.values()], len(self._last) + bool(self._present))
        notes.write(self.home, _NAME, found)


def _slowest(took: Sequence[Mapping[str, float]], batches: int) -> Slowest:
    total, asked = dict[str, float](), Counter[str]()
    for each in took:
        asked.update(each.keys())
        for rule, seconds in each.items():
            total[rule] = total.get(rule, 0.0) + seconds
    names = sorted(total, key=lambda name: (-total[name], name))
    # Of the batches that it was asked about: that there are quick ones without it does not make it quick.
    long = [name for name in names if total[name] >= _LONG * asked[name]]
    named = [names[0], *(name for name in long if name != names[0])][:_WORST]
    return Slowest(
        worst=tuple(RuleTime(rule=name, seconds=total[name]) for name in named),
        of=sum(total.values()),
        batches=batches,
        long=len(long),
        long_seconds=sum(total[name] for name in long),
    )


def slowest(home: Path) -> Slowest | None:
    """Return the rules that took the most time in the last batches; None: nobody noted any."""
    return notes.read(home, _NAME, Slowest)
