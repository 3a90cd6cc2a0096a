"""Which loops fail, and why: known to their process, and kept in the ledger for `ocelog status`."""

import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from ocelog.app.loops.failure_log import FailureLog
from ocelog.errors import OcelogError
from ocelog.ledger.ledger import Ledger
from ocelog.model import LoopFault

TURN = "turn"
"""Deciding what is due: `Loop.run_due`."""
WORK = "work"
"""What a loop has begun in a thread."""
log = structlog.get_logger()


@dataclass(slots=True)
class LoopFaults:
    """What is wrong with each loop of this process, until the same thing works again.

    Turns and threads only `note` it. `flush` writes to the ledger what has changed, where waiting for it stops nobody:
    the ledger may be what fails.
    """

    ledger: Ledger
    failures: FailureLog = field(default_factory=FailureLog)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    """Our clock."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _errors: dict[tuple[str, str], OcelogError] = field(default_factory=dict)
    _since: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """When each of them failed first."""
    _kept: dict[tuple[str, str], str | None] = field(default_factory=dict)
    """What the ledger says of each, as far as it is known here; None: the text of an earlier process."""
    _well: set[tuple[str, str]] = field(default_factory=set)
    """What has worked since it was last noted to fail."""

    def begin(self, loops: Collection[str]) -> None:
        """Take over what an earlier process noted, without what concerns loops that are no more."""
        for fault in self.ledger.lake.loop_faults():
            if fault.loop in loops:
                self._kept[fault.loop, fault.during] = None
            else:
                self.ledger.lake.loop_well(fault.loop, fault.during)

    def failed(self, loop: str, during: str, error: Exception) -> None:
        """Note that a loop has failed; anything but an OcelogError is a bug."""
        self.failures.failed("failed", error, {"loop": loop, "during": during})
        if not isinstance(error, OcelogError):
            error = OcelogError(f"a bug in Ocelog: {type(error).__name__}: {error}")
        with self._lock:
            self._errors[loop, during] = error
            self._since.setdefault((loop, during), self.now())
            self._well.discard((loop, during))

    def worked(self, loop: str, *during: str) -> None:
        """Note that what may have failed before works."""
        again = False
        with self._lock:
            for key in ((loop, each) for each in during):
                again |= self._errors.pop(key, None) is not None
                self._since.pop(key, None)
                self._well.add(key)
        for each in during:
            self.failures.over("failed", {"loop": loop, "during": each})
        if again:
            log.info("works again", loop=loop)

    @property
    def errors(self) -> dict[str, OcelogError]:
        """What each loop that fails now has failed by, by its name."""
        with self._lock:
            return {loop: error for (loop, _), error in self._errors.items()}

    @property
    def listed(self) -> tuple[LoopFault, ...]:
        """What is wrong with loops of this process, whether or not the ledger could be told."""
        with self._lock:
            return tuple(
                LoopFault(loop=loop, during=during, code=error.code, reason=str(error), since=self._since[loop, during])
                for (loop, during), error in sorted(self._errors.items(), key=lambda each: each[0])
            )

    @property
    def changed(self) -> bool:
        """Whether the ledger does not say what is known here."""
        with self._lock:
            return bool(self._well & self._kept.keys()) or any(
                self._kept.get(key) != str(error) for key, error in self._errors.items()
            )

    def flush(self) -> None:
        """Write to the ledger what has changed. What it does not take is written the next time."""
        with self._lock:
            failing = {key: error for key, error in self._errors.items() if self._kept.get(key) != str(error)}
            well = self._well & self._kept.keys()
        with suppress(OcelogError):
            for (loop, during), error in failing.items():
                self.ledger.lake.loop_failed(loop, during, code=error.code, reason=str(error))
                with self._lock:
                    self._kept[loop, during] = str(error)
            for loop, during in well:
                self.ledger.lake.loop_well(loop, during)
                with self._lock:
                    del self._kept[loop, during]
