"""Which thread does what: each job in one of its own, and how the process learns of their end."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias
from weakref import WeakSet

Job: TypeAlias = Callable[[], None]

STOP_WITHIN = timedelta(seconds=2.5)
"""How long jobs have to end once a stop was asked for. Then they are left behind; it is safe to kill them."""
_GLANCE = 0.1
"""Seconds between two looks at whether a stop was asked for."""

_begun = WeakSet[threading.Thread]()
"""Every thread that a job was started in."""


def are_left() -> bool:
    """Whether a job still runs in this process. While Python ends, libraries complain of what it holds."""
    return any(thread.is_alive() for thread in list(_begun))


def interrupted(error: BaseException) -> bool:
    """Tell whether Ctrl-C is behind an error.

    Where it comes just as the main thread begins to wait, Python's `threading.Condition` leaves its lock unheld, and
    says "release unlocked lock" in place of KeyboardInterrupt.
    """
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, KeyboardInterrupt):
        behind = behind.__context__
    return behind is not None


class Stop:
    """Whether we were asked to stop. A plain flag: a signal handler may set it whatever the main thread holds."""

    __slots__ = ("_asked", "signal_number")

    def __init__(self) -> None:
        self._asked = False
        self.signal_number: int | None = None

    def ask(self, signal_number: int | None = None) -> None:
        """Ask every loop to end between two pages."""
        self.signal_number = signal_number
        self._asked = True

    def __call__(self) -> bool:
        """Tell whether we were asked to stop."""
        return self._asked


@dataclass(slots=True)
class _RunningJob:
    """A job that has not ended."""

    name: str | None
    went_on_at: float
    """When it began, or said last that it goes on, in seconds of the monotonic clock."""


class Threads:
    """Runs jobs side by side and tells when one has ended.

    Threads are daemons: a job that hangs in a slow answer does not keep the process alive. That is safe, since every
    job may be killed at any instruction and run again.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._jobs: dict[threading.Thread, _RunningJob] = {}
        self._changed = threading.Condition()
        self._running = 0
        self._named: set[str] = set()
        self._ended = 0

    @property
    def reading(self) -> int:
        """How many jobs without a name run."""
        with self._changed:
            return self._running

    def others_than(self, name: str) -> bool:
        """Whether any job but the one called `name` runs."""
        with self._changed:
            return bool(self._running or self._named - {name})

    def went_on(self) -> None:
        """Note that the job of this thread has come further: it does not hang."""
        with self._changed:
            if (job := self._jobs.get(threading.current_thread())) is not None:
                job.went_on_at = self._monotonic()

    def hanging(self, seconds: float) -> set[str | None]:
        """Return the names of the jobs that have not said for so long that they go on; None: one without a name."""
        since = self._monotonic() - seconds
        with self._changed:
            return {job.name for job in self._jobs.values() if job.went_on_at <= since}

    def wait_for(self, name: str, seconds: float) -> bool:
        """Return when the job called `name` has ended (True), or after `seconds`; `wait` is told of its end, too."""
        with self._changed:
            return self._changed.wait_for(lambda: name not in self._named, timeout=seconds)

    def start(self, job: Job) -> None:
        """Run `job`."""
        with self._changed:
            self._running += 1
        self._begin(job, None)

    def start_once(self, name: str, job: Job) -> bool:
        """Run `job`, unless the last one called `name` has not ended yet."""
        with self._changed:
            if name in self._named:
                return False
            self._named.add(name)
        self._begin(job, name)
        return True

    def run(self, name: str, job: Job, stop: Stop) -> None:
        """Run `job`, called `name`, until it ends or a stop is asked for; raise what it raised before that.

        The main thread must hear signals, so it runs by this whatever may hang, the ledger included.
        """
        failed = list[Exception]()

        def guarded() -> None:
            try:
                job()
            except Exception as error:  # noqa: BLE001 - raised below
                failed.append(error)

        self.start_once(name, guarded)
        while not self.wait_for(name, _GLANCE) and not stop():
            pass
        if failed and not stop():
            raise failed[0]

    def wait(self, seconds: float) -> bool:
        """Return when a job has ended since the last wait (True), or after `seconds`."""
        with self._changed:
            ended = self._changed.wait_for(lambda: self._ended > 0, timeout=seconds)
            self._ended = 0
            return ended

    def join(self, within: timedelta) -> bool:
        """Wait until no job runs, at most so long; False: some are left behind."""
        deadline = time.monotonic() + within.total_seconds()
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._running and not self._named, timeout=deadline - time.monotonic()
            )

    def _begin(self, job: Job, name: str | None) -> None:
        thread = threading.Thread(target=self._run, args=(job, name), name=name or "slice", daemon=True)
        _begun.add(thread)
        with self._changed:
            self._jobs[thread] = _RunningJob(name, self._monotonic())
        thread.start()

    def _run(self, job: Job, name: str | None) -> None:
        try:
            job()
        finally:
            with self._changed:
                del self._jobs[threading.current_thread()]
                if name is None:
                    self._running -= 1
                else:
                    self._named.discard(name)
                self._ended += 1
                self._changed.notify_all()
