"""Which rule judging spends its time on: noted by whoever judges, and read by whoever asks why it is behind."""

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ocelog.files import read_regular

_BATCHES = 20
"""So many of the last batches are looked at."""
_LONG = 2.0
"""Seconds that a rule had better not take for a batch."""
_EVERY = 5.0
"""Seconds between two notes, at least."""


class Slowest(msgspec.Struct, frozen=True):
    """The rule that took the most time in the last batches."""

    rule: str
    seconds: float
    """How long it took."""
    of: float
    """How long all rules took."""
    batches: int

    @property
    def holds_up(self) -> bool:
        """Whether the others wait for it: it takes long for a batch, and as long as all others together."""
        return self.seconds >= _LONG * self.batches and 2 * self.seconds >= self.of


@dataclass(slots=True)
class JudgingPace:
    """Notes in the home, where nothing else needs it, which rule takes the most time."""

    home: Path
    monotonic: Callable[[], float] = time.monotonic
    _last: deque[Mapping[str, float]] = field(default_factory=lambda: deque(maxlen=_BATCHES))
    _noted_at: float = float("-inf")

    def took(self, seconds: Mapping[str, float]) -> None:
        """Count a batch: how long each rule took."""
        if not seconds:
            return
        self._last.append(dict(seconds))
        if self.monotonic() < self._noted_at + _EVERY:
            return
        self._noted_at = self.monotonic()
        total = dict[str, float]()
        for each in self._last:
            for rule, took in each.items():
                total[rule] = total.get(rule, 0.0) + took
        rule = max(total, key=lambda name: (total[name], name))
        found = Slowest(rule=rule, seconds=total[rule], of=sum(total.values()), batches=len(self._last))
        path = _path(self.home)
        draft = path.with_name(f"judging-{os.getpid()}-{time.monotonic_ns()}")
        # Where that fails, whoever asks is told less; nothing else stands on it.
        with suppress(OSError):
            draft.write_bytes(msgspec.json.encode(found))
            draft.rename(path)


def slowest(home: Path) -> Slowest | None:
    """Return the rule that took the most time in the last batches; None: nobody noted any."""
    try:
        return msgspec.json.decode(read_regular(_path(home)), type=Slowest)
    except (OSError, msgspec.MsgspecError):
        return None


def _path(home: Path) -> Path:
    return home / "tmp" / "judging.json"
