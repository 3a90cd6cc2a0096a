"""How many queries people may have running at once, so that nobody takes the machine from the loops or from others."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from ocelog.app.search.queries import Stop
from ocelog.errors import QueryBusyError, QueryError
from ocelog.languages.phrases import Phrase

WAITS = timedelta(seconds=2)
"""How long a query waits for others to end before whoever asked is told so, and may ask again."""


@dataclass(slots=True, kw_only=True)
class QuerySlots:
    """A slot per query that runs; any thread may take one."""

    per_user: int = 2
    in_all: int = 4
    _running: Counter[str] = field(default_factory=Counter)
    _places: dict[tuple[str, str], Stop] = field(default_factory=dict)
    """What ends the query whose answer goes to a place of a page."""
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @contextmanager
    def taken(self, user_id: str, stop: Stop, *, wait: timedelta = WAITS, place: str = "") -> Iterator[None]:
        """Hold a slot of a user within the block. A newer query for the same `place` of a page ends an older one.

        Raises QueryBusyError if none is free after `wait`, and QueryError if the query is stopped meanwhile.
        """
        key = (user_id, place)
        with self._changed:
            if place:
                if (older := self._places.get(key)) is not None:
                    older.set()
                    # It may still wait for a slot.
                    self._changed.notify_all()
                self._places[key] = stop
        try:
            with self._changed:
                if not self._changed.wait_for(lambda: stop.is_set or self._is_free(user_id), wait.total_seconds()):
                    raise self._busy(user_id)
                if stop.is_set:
                    raise QueryError(Phrase("The query was cancelled."), code="query_cancelled")
                self._running[user_id] += 1
            try:
                yield
            finally:
                with self._changed:
                    self._running[user_id] -= 1
                    if not self._running[user_id]:
                        del self._running[user_id]
                    self._changed.notify_all()
        finally:
            with self._changed:
                if self._places.get(key) is stop:
                    del self._places[key]

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
                Phrase(
                    "%(per_user)s of your queries are running: this one begins when one of them ends or is cancelled.",
                    per_user=self.per_user,
                )
            )
        running = self._running.total()
        return QueryBusyError(
            Phrase("%(running)s queries of several users are running: this one begins when one ends.", running=running)
        )
