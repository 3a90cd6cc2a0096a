"""What takes long and much: each user has a few of them at once, so that nobody takes the machine from all others."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fastapi import Request

from ocelog.console.api.caller import Caller
from ocelog.console.api.problems import CODES, RefusedError

AT_ONCE = 2


@dataclass(slots=True)
class Heavy:
    """How many each user has begun that have not ended."""

    _running: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def one(self, user_id: str) -> Iterator[None]:
        """Do one within the block. Raises RefusedError if the user has as many as they may."""
        with self._lock:
            if self._running[user_id] >= AT_ONCE:
                raise RefusedError(429, "too_many_requests", CODES["too_many_requests"], retry_after=1)
            self._running[user_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[user_id] -= 1
                if not self._running[user_id]:
                    del self._running[user_id]


@contextmanager
def heavy(request: Request, caller: Caller) -> Iterator[None]:
    """Do within the block what takes long. Raises RefusedError if the caller does too much at once."""
    found = request.app.state.heavy
    assert isinstance(found, Heavy)  # noqa: S101 - put there by `application.py`
    with found.one(caller.user.id):
        yield
