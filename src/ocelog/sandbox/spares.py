"""Children that are begun before they are needed: an interpreter and its libraries take longer than most jobs do."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from ocelog.errors import SandboxError
from ocelog.sandbox.child import begin, end, imports

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
            while self._tend():
                pass
        finally:
            self._end_all()

    def _tend(self) -> bool:
        """Begin a spare that is lacking, or wait until one is, or end those that nobody wants; False: it is over."""
        with self._changed:
            left = self._wanted_until - time.monotonic()
            if self._is_open and (left <= 0 or len(self._ready) >= self.most):
                if left <= 0:
                    self._end_all()
                self._changed.wait(left if left > 0 else None)
                return self._is_open
            if not self._is_open:
                return False
        with suppress(SandboxError):
            process = begin(self.packages)
            imports(process, self.entry)
            with self._changed:
                self._ready.append(process)
            return True
        with self._changed:
            # It is begun when it is needed, and whoever needs it hears why that fails.
            self._wanted_until = 0.0
        return True

    def _end_all(self) -> None:
        with self._changed:
            for process in self._ready:
                end(process)
            self._ready.clear()
