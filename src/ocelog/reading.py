"""Which slice is read next, and what the end of a reading means for its stream."""

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeAlias

import structlog

from ocelog.advice import todo
from ocelog.assemble import Stream
from ocelog.dispatch.threads import Stop, Threads
from ocelog.errors import HaltError, LostFenceError, OcelogError, TransientError
from ocelog.instants import to_us
from ocelog.ledger.store import Ledger
from ocelog.model import Slice, SliceState
from ocelog.planning import Stretch, plan_due, plan_stretch
from ocelog.pull.puller import Drained

REST = timedelta(minutes=5)
"""A stream that was refused is left alone so long; nobody mends a permission in seconds."""

SHORT_REST = timedelta(seconds=15)
"""Likewise, where the source or the ledger does not answer."""

_PRIMINGS = 4
_PAUSE = timedelta(seconds=1)
_GLANCE = 0.1
_PASSING = {error.__name__ for error in TransientError.__subclasses__()}

StreamKey: TypeAlias = tuple[str, str]
log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Reader:
    """Plans and reads streams in threads; every failure stays with its own slice or stream."""

    ledger: Ledger
    threads: Threads
    stop: Stop
    limit: int
    """Slices that are read at once, beside the first of each stream."""
    holder: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    troubles: dict[StreamKey, OcelogError] = field(default_factory=dict)
    """What went wrong last, by stream; a stream that reads well again is not in it."""
    active: frozenset[int] | None = None
    """Identities of the streams to be read; a reader of any other (paused, changed, removed) stops at the next page."""
    _may_read: threading.Event = field(default_factory=threading.Event)
    _resting: dict[StreamKey, float] = field(default_factory=dict)
    _running: Counter[StreamKey] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._may_read.set()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let nobody ask for another page within the block."""
        self._may_read.clear()
        try:
            yield
        finally:
            self._may_read.set()

    def plan(self, streams: Sequence[Stream], *, poll_now: bool, stretch: Stretch | None = None) -> None:
        """Plan the streams of one source (or just `stretch` of each), the API's clock first.

        What goes wrong is told, not raised. `poll_now` does not wait for the poll to be due.
        """
        for stream in streams:
            if self._rests(stream):
                continue
            with self._minding(stream):
                self._prime(stream)
                if stretch is None:
                    plan_due(self.ledger, stream, self.left(stream), poll_now=poll_now)
                else:
                    plan_stretch(self.ledger, stream, stretch)

    def _prime(self, stream: Stream) -> None:
        """Learn the API's clock; a passing failure at the very first question must not cost a whole pull."""
        for tries_left in reversed(range(_PRIMINGS)):
            try:
                stream.source.prime()
            except TransientError as error:
                if not tries_left or self.stop():
                    raise
                time.sleep(min(error.retry_after or _PAUSE, _PAUSE).total_seconds())
            else:
                return

    def hurry(self, streams: Sequence[Stream]) -> None:
        """Try at once what waits since a refusal: whoever pulls by hand has mended it, perhaps."""
        refused = {
            (row.marks.source_id, row.marks.log_type)
            for row in self.ledger.streams()
            if row.trouble_kind is not None and row.trouble_kind not in _PASSING
        }
        for stream in streams:
            for slice_ in self.left(stream) if stream.key in refused else ():
                if slice_.state is SliceState.WAITING and slice_.checkpoint.failures:
                    with suppress(LostFenceError):
                        self.ledger.move(slice_, replace(slice_, due_at=datetime.now(UTC)))

    def start_due(self, streams: Sequence[Stream]) -> int:
        """Begin to read slices that are due, in threads; return how many.

        Every stream may always have one slice read, so that no slow stream keeps the others from their turn; what
        `limit` leaves beyond that goes to whoever has the fewest.
        """
        started = 0
        while not self.stop() and (taken := self._take(streams)) is not None:
            self.threads.start(partial(self._drain, *taken))
            started += 1
        return started

    def forget_rests(self, source_id: str) -> None:
        """Try a source again at once: somebody has changed it."""
        for key in [key for key in self._resting if key[0] == source_id]:
            del self._resting[key]

    def waits(self, streams: Sequence[Stream]) -> timedelta | None:
        """Return how long until a slice of `streams` is due, None where nothing is left that may be tried."""
        awake = [stream for stream in streams if not self._rests(stream)]
        due = [slice_.due_at for stream in awake for slice_ in self.left(stream)]
        return max(timedelta(0), min(due) - datetime.now(UTC)) if due else None

    def left(self, stream: Stream) -> list[Slice]:
        """Return the slices of `stream` that are not read to their end."""
        source_id, log_type = stream.key
        unread = {SliceState.WAITING, SliceState.PARKED}
        return self.ledger.slices(source_id=source_id, log_type=log_type, states=unread)

    def _take(self, streams: Sequence[Stream]) -> tuple[Stream, Slice] | None:
        due = self.ledger.next_due()
        if due is None or due > datetime.now(UTC):
            return None
        with self._lock:
            running = dict(self._running)
        room = sum(running.values()) < self.limit
        for stream in sorted(streams, key=lambda stream: running.get(stream.key, 0)):
            if self._rests(stream) or (running.get(stream.key) and not room):
                continue
            source_id, log_type = stream.key
            found = self.ledger.take(self.holder, now=datetime.now(UTC), sources=[source_id], log_types=[log_type])
            if found is not None:
                self._count(stream, 1)
                return stream, found
        return None

    def _count(self, stream: Stream, change: int) -> None:
        with self._lock:
            self._running[stream.key] += change

    def _drain(self, stream: Stream, slice_: Slice) -> None:
        try:
            with self._minding(stream, slice_):
                drained = stream.puller.drain(slice_, stop=lambda: self._left_alone(stream))
                self._ended(stream, drained)
        finally:
            with suppress(OcelogError):
                self.ledger.release(slice_)
            self._count(stream, -1)

    def _ended(self, stream: Stream, drained: Drained) -> None:
        if drained.error is not None:
            self._trouble(stream, drained.error, drained.slice_)
            return
        log.debug("slice ended", **_names(stream, drained.slice_), state=drained.slice_.state.value)
        if not any(slice_.checkpoint.failures for slice_ in self.left(stream)):
            self.troubles.pop(stream.key, None)
            self.ledger.well(*stream.key)

    @contextmanager
    def _minding(self, stream: Stream, slice_: Slice | None = None) -> Iterator[None]:
        """Keep whatever goes wrong within the block to this stream."""
        try:
            yield
        except LostFenceError as error:
            log.info("overtaken", **_names(stream, slice_), reason=str(error))
        except OcelogError as error:
            self._trouble(stream, error, slice_)
            self._rest(stream, error)
        except Exception as error:
            log.exception("mistake in Ocelog", **_names(stream, slice_))
            self._trouble(stream, _mistake(error), slice_)
            self._rest(stream, None)

    def _trouble(self, stream: Stream, error: OcelogError, slice_: Slice | None) -> None:
        self.troubles[stream.key] = error
        advice = todo(error, stream.row.id)
        log.error("failed", **_names(stream, slice_), error=type(error).__name__, reason=str(error), todo=advice)
        if isinstance(error, HaltError):
            self._rest(stream, error)
        with suppress(OcelogError):
            marks = self.ledger.marks(*stream.key)
            if marks.edge is None:
                # A stream that never began has no row yet to write on.
                self.ledger.plan(marks, marks, [])
            self.ledger.trouble(
                *stream.key,
                kind=type(error).__name__,
                text=str(error),
                todo=advice,
                at_us=to_us(datetime.now(UTC)),
            )

    def _rest(self, stream: Stream, error: OcelogError | None) -> None:
        transient = isinstance(error, TransientError)
        asked = error.retry_after if isinstance(error, TransientError) else None
        pause = asked or (SHORT_REST if transient else REST)
        self._resting[stream.key] = time.monotonic() + pause.total_seconds()

    def _rests(self, stream: Stream) -> bool:
        return time.monotonic() < self._resting.get(stream.key, 0.0)

    def _left_alone(self, stream: Stream) -> bool:
        while not self._may_read.wait(_GLANCE) and not self.stop():
            pass
        gone = self.active is not None and id(stream) not in self.active
        return self.stop() or self._rests(stream) or gone


def _mistake(error: Exception) -> OcelogError:
    first = (str(error).splitlines() or [""])[0][:300]
    return OcelogError(f"A mistake in Ocelog, please report it: {type(error).__name__}: {first}")


def _names(stream: Stream, slice_: Slice | None) -> dict[str, object]:
    named: dict[str, object] = {"source": stream.row.name, "log_type": stream.kind.log_type}
    return named if slice_ is None else {**named, "slice": slice_.id}
