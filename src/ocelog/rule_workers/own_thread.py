"""A thread that does one thing after the other, and ends when there has been nothing to do for a while."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

_T = TypeVar("_T")
_Job = tuple[Callable[[], Any], "Future[Any]"]


class OwnThread:
    """Runs what it is given in a thread that begins when it is needed."""

    def __init__(self, *, idle_seconds: float, at_rest: Callable[[], None]) -> None:
        """Take how long it waits for more, and what it does last, in that thread, before it ends."""
        self._idle_seconds = idle_seconds
        self._at_rest = at_rest
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._jobs = queue.SimpleQueue[_Job | None]()

    def run(self, job: Callable[[], _T]) -> _T:
        """Return what `job` does, or raise what it raises."""
        future = Future[_T]()
        with self._lock:
            self._jobs.put((job, future))
            if self._thread is None:
                # A daemon: a rule that hangs does not keep the process.
                self._thread = threading.Thread(target=self._work, name="judge", daemon=True)
                self._thread.start()
        return future.result()

    def end(self) -> None:
        """End the thread once it has done what it was given, and wait for that."""
        with self._lock:
            thread = self._thread
            if thread is not None:
                self._jobs.put(None)
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=self._idle_seconds)
            except queue.Empty:
                job = None
            if job is not None:
                work, future = job
                try:
                    future.set_result(work())
                except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                    future.set_exception(error)
                continue
            with self._lock:
                if self._jobs.empty():
                    self._at_rest()
                    self._thread = None
                    return
