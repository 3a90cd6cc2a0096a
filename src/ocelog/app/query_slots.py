"""How many queries people may have running at once, so that nobody takes the machine from the loops or from others."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from ocelog.app.queries import Stop
from ocelog.errors import QueryBusyError

WAITS = timedelta(milliseconds=800)
"""How long a query waits for others to end before whoever asked is told so, and may ask again."""


@dataclass(slots=True, kw_only=True)
class QuerySlots:
    """A slot per query that runs; any thread may take one."""

    per_user: int = 2
    in_all: int = 4
    _running: Counter[str] = field(default_factory=Counter)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @contextmanager
    def taken(self, user_id: str, stop: Stop, *, wait: timedelta = WAITS) -> Iterator[None]:
        """Hold a slot of a user within the block. Raises QueryBusyError if none is free after `wait`."""
        with self._changed:
            if not self._changed.wait_for(lambda: stop.is_set or self._is_free(user_id), wait.total_seconds()):
                raise self._busy(user_id)
            self._running[user_id] += 1
        try:
            yield
        finally:
            with self._changed:
                self._running[user_id] -= 1
                if not self._running[user_id]:
                    del self._running[user_id]
                self._changed.notify_all()

    @property
    def running(self) -> int:
        """How many queries run."""
        with self._changed:
            return self._running.total()

    def _is_free(self, user_id: str) -> bool:
        if not self._running[user_id]:
            return self._running.total() < self.in_all
        # The last is kept for somebody who has none: two users do not shut out a third.
        return self._running[user_id] < self.per_user and self._running.total() < self.in_all - 1

    def _busy(self, user_id: str) -> QueryBusyError:
        if self._running[user_id] >= self.per_user:
            return QueryBusyError(
                f"{self.per_user} of your queries are running: this one begins when one of them ends or is cancelled."
            )
        running = self._running.total()
        return QueryBusyError(f"{running} queries of several users are running: this one begins when one ends.")
