"""What a child and its parent write to each other: frames with a name and bytes, each of a length that is bounded."""

import os
import select
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

_HEADER = struct.Struct("<16sQ")
_AT_ONCE = 1 << 20
_TICK = 0.25
"""Seconds between looks at what else may have happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One message."""

    kind: str
    payload: bytearray


class Attended(Protocol):
    """What must be answered while the other side is waited for, or it never gets on."""

    def fileno(self) -> int:
        """Return what is readable when there is something to answer."""

    def answer(self) -> None:
        """Answer it."""


@dataclass(slots=True, kw_only=True)
class Channel:
    """One end of two pipes. Deadlines are instants of `time.monotonic`; None: wait for ever."""

    reading: int
    writing: int
    longest: int
    """Bytes that a frame from the other side may have."""
    beside: Attended | None = None

    def __post_init__(self) -> None:
        os.set_blocking(self.reading, False)
        os.set_blocking(self.writing, False)

    def send(self, kind: str, payload: bytes | memoryview = b"", *, deadline: float | None = None) -> None:
        """Write a frame. Raises EOFError if the other side is gone, TimeoutError at the deadline."""
        for piece in (_HEADER.pack(kind.encode("ascii"), len(payload)), payload):
            left = memoryview(piece)
            while left:
                self._wait(self.writing, select.POLLOUT, deadline)
                try:
                    left = left[os.write(self.writing, left[:_AT_ONCE]) :]
                except BlockingIOError:
                    continue
                except BrokenPipeError:
                    raise EOFError from None

    def receive(self, *, deadline: float | None = None, watch: Callable[[], None] | None = None) -> Frame:
        """Read a frame. Raises EOFError if the other side is gone, TimeoutError at the deadline.

        Raises ValueError for what is not a frame. `watch` is called every quarter of a second meanwhile.
        """
        name, length = _HEADER.unpack(self._read(_HEADER.size, deadline, watch))
        kind = name.rstrip(b"\0")
        if length > self.longest or not kind.isalpha():
            raise ValueError(f"a frame of {length} bytes")
        return Frame(kind=kind.decode("ascii"), payload=self._read(length, deadline, watch))

    def _read(self, length: int, deadline: float | None, watch: Callable[[], None] | None) -> bytearray:
        found = bytearray()
        while len(found) < length:
            self._wait(self.reading, select.POLLIN, deadline, watch)
            try:
                piece = os.read(self.reading, min(_AT_ONCE, length - len(found)))
            except BlockingIOError:
                continue
            if not piece:
                raise EOFError
            found += piece
        return found

    def _wait(
        self, descriptor: int, event: int, deadline: float | None, watch: Callable[[], None] | None = None
    ) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        if self.beside is not None:
            poll.register(self.beside.fileno(), select.POLLIN)
        while True:
            left = _TICK if deadline is None else min(_TICK, max(0.0, deadline - time.monotonic()))
            found = dict(poll.poll(left * 1000))
            if descriptor in found:
                return
            for other, events in found.items():
                if self.beside is not None and events & select.POLLIN:
                    self.beside.answer()
                else:
                    poll.unregister(other)
            if watch is not None and not found:
                watch()
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError
