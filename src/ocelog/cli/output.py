"""Whether what a command prints can be written, and in which encoding."""

import os
import select
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING

from ocelog.errors import ConfigError
from ocelog.files import disk_full

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_UNREAD_FOR = 5.0
"""Seconds after which nobody is waited for who does not read what a service tells."""


def prepare() -> None:
    """Make ready what is written to: what its encoding lacks is escaped. Raises ConfigError if stdout is closed."""
    # A stream that is closed is None. Without it the next file opened would get its number.
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123 - as long as the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - as long as the process
    own = sys.__stderr__
    if own is not None and sys.stderr is own:
        told = BufferedWriter(_MessageFile(own.fileno(), "w", closefd=False))
        sys.stderr = TextIOWrapper(told, encoding=own.encoding, line_buffering=True)
    if sys.stdout is None:
        raise ConfigError("stdout is closed: leave it open, or send it to a file or to /dev/null.")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class _MessageFile(FileIO):
    """Takes what is told to people and to the log. A full disk costs that, and never the work that it is about."""

    timeout: float | None = None
    """Seconds until whoever reads must have made room; None: as long as it takes."""
    _stuck = False
    _within_a_line = False

    def write(self, data: "ReadableBuffer", /) -> int:
        size = memoryview(data).nbytes
        try:
            if self.timeout is None:
                return super().write(data)
            was_stuck = self._stuck
            if self._has_room(self.timeout):
                if was_stuck and self._within_a_line:
                    # What was cut must not spoil what follows.
                    super().write(b"\n")
                    self._within_a_line = False
                # What a pipe takes as a whole once it has any room: more would wait for the rest.
                some = bytes(memoryview(data)[: select.PIPE_BUF - 1])
                self._within_a_line = not some.endswith(b"\n")
                return super().write(some)
        except OSError as error:
            if disk_full(error, "the log") is None:
                raise
        return size

    def _has_room(self, timeout: float) -> bool:
        """Whether something can be written. Once nobody has read for so long, nothing waits until somebody reads."""
        ready = select.poll()
        ready.register(self.fileno(), select.POLLOUT)
        self._stuck = not ready.poll(0 if self._stuck else timeout * 1000)
        return not self._stuck


def give_up_unread() -> None:
    """Drop what is told from here on if it goes to a program that reads nothing for a while: work must go on."""
    told = sys.stderr.buffer.raw if isinstance(sys.stderr, TextIOWrapper) else None
    if isinstance(told, _MessageFile) and _is_read_by_a_program(told.fileno()):
        told.timeout = _UNREAD_FOR


def _is_read_by_a_program(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def in_utf8() -> None:
    """Write stdout as UTF-8 from here on: what programs read must not depend on who asks."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")


@contextmanager
def written() -> Iterator[None]:
    """Write at the end of the block all that is still held. Raises LakeUnavailableError if there is no room."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        # What failed for lack of room elsewhere names its file, or was translated where it failed.
        full = disk_full(error, "the output") if error.filename is None else None
        if full is None:
            raise
        drop()
        raise full from error


def drop() -> None:
    """Send what is held, and whatever follows, nowhere: Python would complain about it at exit once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
