"""Work that a page begins and does not wait for: it goes on when the page is left, and says later what came of it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from ocelog.errors import OcelogError

log = structlog.get_logger()
_MOST_AT_ONCE = 4
_MOST_KEPT = 100


@dataclass(slots=True)
class Job:
    """One piece of work."""

    running: bool = True
    result: Any = None
    error: OcelogError | None = None
    bug: bool = False
    """It failed in a way that nobody meant; the log says more."""


@dataclass(slots=True)
class Background:
    """The work that goes on, and what came of it last, by what it is about."""

    _jobs: dict[str, Job] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, about: str, do: Callable[[], Any]) -> bool:
        """Do it in a thread; False: that goes on already, or too much else does."""
        with self._lock:
            running = [name for name, job in self._jobs.items() if job.running]
            if about in running or len(running) >= _MOST_AT_ONCE:
                return False
            self._jobs.pop(about, None)
            while len(self._jobs) >= _MOST_KEPT:
                del self._jobs[next(name for name, job in self._jobs.items() if not job.running)]
            job = self._jobs[about] = Job()
        # Not waited for at the end of the process: what it does may be cut off anywhere.
        threading.Thread(target=self._run, args=(job, do), name="background", daemon=True).start()
        return True

    def last(self, about: str) -> Job | None:
        """Return the work that goes on, or went on last; None: there was none, or it is long ago."""
        with self._lock:
            return self._jobs.get(about)

    def _run(self, job: Job, do: Callable[[], Any]) -> None:
        try:
            job.result = do()
        except OcelogError as error:
            job.error = error
        except Exception:
            log.exception("bug in Ocelog", during="work in the background")
            job.bug = True
        finally:
            job.running = False
