"""Which rule judging spends its time on: noted by whoever judges, and read by whoever asks why it is behind."""

import os
import threading
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
        total = dict[str, float]()
        for each in (*self._last, *self._present.values()):
            for rule, took in each.items():
                total[rule] = total.get(rule, 0.0) + took
        batches = len(self._last) + bool(self._present)
        rule = max(total, key=lambda name: (total[name], name))
        found = Slowest(rule=rule, seconds=total[rule], of=sum(total.values()), batches=batches)
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
