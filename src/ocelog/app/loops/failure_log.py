"""Which failures are logged: the first of each kind, and then one an hour for as long as it lasts."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import structlog

from ocelog.errors import OcelogError

AGAIN = 3600.0
"""Seconds after which a failure that lasts is logged again."""
log = structlog.get_logger()


@dataclass(slots=True)
class _LoggedFailure:
    """A failure that was logged, and has not ended."""

    code: str
    logged_at: float
    times: int = 0
    """How often it was met since then."""


@dataclass(slots=True)
class FailureLog:
    """Logs what is tried and fails again and again, such as all that writes to a disk that is full.

    What fails is told apart by its event and its `names`, such as the table; how, by the code of the error.
    """

    monotonic: Callable[[], float] = time.monotonic
    _known: dict[tuple[object, ...], _LoggedFailure] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def failed(
        self,
        event: str,
        error: Exception,
        names: Mapping[str, object],
        *,
        more: Mapping[str, object] = MappingProxyType({}),
        level: Literal["warning", "error"] = "error",
    ) -> None:
        """Log a failure, unless it was logged within the hour; `more` is what may change from one time to the next.

        Anything but an OcelogError is a bug, and logged with its traceback.
        """
        code = error.code if isinstance(error, OcelogError) else type(error).__name__
        times = self._is_due(_key(event, names), code)
        if times is None:
            return
        told = {**names, **more} | ({"times": times} if times > 1 else {})
        if isinstance(error, OcelogError):
            reason = error.beside(names.get("table"))
            say = log.error if level == "error" else log.warning
            say(event, **told, error=type(error).__name__, code=code, reason=reason)
        else:
            log.error("bug in Ocelog", **told, exc_info=error)

    def over(self, event: str, names: Mapping[str, object]) -> bool:
        """Forget that something failed; return whether it did."""
        with self._lock:
            return self._known.pop(_key(event, names), None) is not None

    def _is_due(self, key: tuple[object, ...], code: str) -> int | None:
        """Return how often it was met since it was logged last, this time included; None: it is not logged."""
        now = self.monotonic()
        with self._lock:
            known = self._known.get(key)
            if known is None or known.code != code:
                self._known[key] = _LoggedFailure(code, now)
                return 1
            known.times += 1
            if now - known.logged_at < AGAIN:
                return None
            times, known.times, known.logged_at = known.times, 0, now
            return times


def _key(event: str, names: Mapping[str, object]) -> tuple[object, ...]:
    return (event, *sorted(names.items()))
