"""How long one exchange may take as a whole: what is left of its time bounds every wait for a byte."""

import threading
from collections.abc import Callable
from typing import Any

import httpx2


class OutOfTimeError(Exception):
    """An exchange took as long as it may."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{seconds:g} s are over")
        self.seconds = seconds


class Deadline:
    """What each thread's exchange has left of its time."""

    def __init__(self, seconds: float, monotonic: Callable[[], float]) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._own = threading.local()

    def begin(self, seconds: float | None = None) -> None:
        """Let the time of this thread's exchange run from now: `seconds`, if that is less than usual."""
        seconds = self._seconds if seconds is None else min(seconds, self._seconds)
        self._own.seconds, self._own.until = seconds, self._monotonic() + seconds
        self._own.heard = False

    @property
    def has_heard(self) -> bool:
        """Whether a byte of an answer has come in this thread's exchange."""
        heard: bool = self._own.heard
        return heard

    def hear(self) -> None:
        """Note that a byte has come."""
        self._own.heard = True

    def within(self, timeout: float | None) -> float:
        """Return `timeout`, or what is left where that is less. Raises OutOfTimeError if nothing is."""
        left: float = self._own.until - self._monotonic()
        if left <= 0:
            raise OutOfTimeError(self._own.seconds)
        return left if timeout is None else min(left, timeout)

    def bound(self, http: httpx2.Client) -> None:
        """Bound whatever `http` will read.

        Its own limits are for one silence each, so a byte now and then would hold it for ever; and it has no public
        place for another. Where a later version keeps its sockets elsewhere, only the body is bounded, by the client.
        """
        for transport in (http._transport, *http._mounts.values()):  # noqa: SLF001 - see above
            pool: Any = getattr(transport, "_pool", None)
            backend = getattr(pool, "_network_backend", None)
            if backend is not None:
                pool._network_backend = _Backend(backend, self)  # noqa: SLF001 - see above


class _Backend:
    def __init__(self, inner: Any, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def connect_tcp(self, *args: Any, **named: Any) -> "_Stream":
        return _Stream(self._inner.connect_tcp(*args, **named), self._deadline)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Stream:
    def __init__(self, inner: Any, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            found: bytes = self._inner.read(max_bytes, timeout=self._deadline.within(timeout))
        except Exception:
            # A wait that the end of the whole cut short is no long silence.
            self._deadline.within(None)
            raise
        if found:
            self._deadline.hear()
        return found

    def start_tls(self, *args: Any, **named: Any) -> "_Stream":
        return _Stream(self._inner.start_tls(*args, **named), self._deadline)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
