"""Children that are begun before they are needed: an interpreter and its libraries take longer than most jobs do."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ocelog.sandbox.child import begin, end, preload

_KEPT = 300.0
"""Seconds that a spare is kept while nobody wants one: each holds as much memory as what it has imported."""


@dataclass(slots=True)
class Spares:
    """Processes that have imported the module of a job, and wait to be told what they may do.

    Nothing from outside has reached them, and each does one job, like any other child: it is locked in as it begins.
    """

    entry: str
    packages: tuple[str, ...]
    most: int = 2
    _ready: "list[subprocess.Popen[bytes]]" = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _wanted_until: float = 0.0
    _is_open: bool = False

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Have spares begun within the block, once they are wanted. They end with it, or with this process."""
        # A child ends with the thread that began it, so that is one that stays.
        thread = threading.Thread(target=self._keep, name="spare children", daemon=True)
        with self._changed:
            self._is_open, self._wanted_until = True, 0.0
        thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._is_open = False
                self._changed.notify_all()
            thread.join()

    def want(self) -> None:
        """Have spares ready soon, and for some minutes: somebody is about to need them."""
        with self._changed:
            if self._is_open:
                self._wanted_until = time.monotonic() + _KEPT
                self._changed.notify_all()

    def take(self) -> "subprocess.Popen[bytes] | None":
        """Return a process that is for the caller from now on; None: there is none."""
        with self._changed:
            while self._ready:
                process = self._ready.pop(0)
                if process.poll() is None:
                    return process
                end(process)
        return None

    def _keep(self) -> None:
        try:
            while self._waits():
                try:
                    process = begin(self.packages)
                    preload(process, self.entry)
                except Exception:  # noqa: BLE001 - whoever needs a child begins it, and hears why that fails
                    with self._changed:
                        self._wanted_until = 0.0
                else:
                    with self._changed:
                        self._ready.append(process)
        finally:
            self._end_all()

    def _waits(self) -> bool:
        """Wait until a spare is lacking; meanwhile end those that nobody wants. False: it is over."""
        while True:
            with self._changed:
                left = self._wanted_until - time.monotonic()
                if not self._is_open:
                    return False
                if left > 0 and len(self._ready) < self.most:
                    return True
                if left > 0 or not self._ready:
                    self._changed.wait(left if left > 0 else None)
                    continue
            self._end_all()

    def _end_all(self) -> None:
        with self._changed:
            unwanted, self._ready = self._ready, []
        for process in unwanted:
            end(process)
