"""What has landed in each stream since it was last told, for a log that people read."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from ocelog.app.status.status import caught_up
from ocelog.errors import OcelogError
from ocelog.installation.opening import Installation
from ocelog.pull.puller import PullStep
from ocelog.pull.stream import Stream
from ocelog.units import write_instant

_EVERY = 10.0
"""Seconds between two lines about a stream that is catching up."""


@dataclass(slots=True)
class _StreamNews:
    stream: Stream
    rows: int = 0
    rejections: int = 0


@dataclass(slots=True, kw_only=True)
class News:
    """Collects what lands, page by page, and logs it when a stream is through, or now and then until it is."""

    installation: Installation
    monotonic: Callable[[], float] = time.monotonic
    _landed: dict[tuple[str, str], _StreamNews] = field(default_factory=dict)
    _told_at: dict[tuple[str, str], float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def step(self, stream: Stream, step: PullStep) -> None:
        """Note what a request came to; called by many threads."""
        log = structlog.get_logger().bind(source=stream.row.name, log_type=stream.kind.log_type)
        if step.note is not None:
            log.warning("moved", state=step.slice_.state.value, reason=step.note)
        if step.landed is None or not (step.landed.events or step.landed.rejections):
            return
        with self._lock:
            landed = self._landed.setdefault(stream.key, _StreamNews(stream))
            landed.rows += step.landed.events
            landed.rejections += step.landed.rejections

    def tell(self) -> None:
        """Log what has landed. Called in each round of the service, in one thread."""
        for key in list(self._landed):
            try:
                through, left = caught_up(self.installation, *key)
            except OcelogError:
                # The service meets it too, and tells of it.
                return
            now = self.monotonic()
            if left and now < self._told_at.get(key, 0.0) + _EVERY:
                continue
            self._told_at[key] = now
            with self._lock:
                landed = self._landed.pop(key)
            structlog.get_logger().info(
                "read",
                source=landed.stream.row.name,
                log_type=landed.stream.kind.log_type,
                rows=landed.rows,
                rejections=landed.rejections,
                complete_through=write_instant(through),
                left=left,
            )
