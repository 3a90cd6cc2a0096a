"""Which paths a child may name: the kernel stops it at each call with one, and its parent says whether it goes on.

A path is followed here as the kernel would follow it, link by link, and is answered as missing at its first step out of
what the child may read: not even whether a file is there, how large it is, whose and how old can be told apart. What
goes on is followed by the kernel again, from the child's memory. That is sound for a child without threads alone, which
waits meanwhile, and for folders in which it can change nothing.
"""

import errno
import fcntl
import os
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from ocelog.sandbox import kernel

# The numbers and layouts are those of linux/seccomp.h.

_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_REQUEST = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_GO_ON = 1
_HERE = -100
"""AT_FDCWD."""
_LONGEST = 4096
_MOST_LINKS = 40


class _Refusal(Exception):  # noqa: N818 - an answer, and no error
    """The path is not for the child."""

    def __init__(self, number: int = errno.ENOENT) -> None:
        super().__init__(number)
        self.number = number


@dataclass(slots=True)
class PathGuard:
    """Answers one child about the paths that it names. Raises OSError if its memory cannot be read."""

    process: int
    listener: int
    """The descriptor in the child by which the kernel tells of its calls."""
    read: Iterable[str]
    """Files and folders that it may read."""
    _listening: int = field(init=False)
    _memory: int = field(init=False)
    _inside: frozenset[str] = field(init=False)
    _above: frozenset[str] = field(init=False)
    """Folders and links on the way to what it may read."""
    _arguments: dict[int, tuple[int | None, int]] = field(default_factory=kernel.path_arguments)

    def __post_init__(self) -> None:
        above, inside = {"/"}, set[str]()
        for path in self.read:
            with suppress(OSError, _Refusal):
                inside.add(_follow(path, above.add))
        self._above, self._inside = frozenset(above), frozenset(inside)
        self._memory = os.open(f"/proc/{self.process}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._listening = kernel.take_descriptor(self.process, self.listener)
        except OSError:
            os.close(self._memory)
            raise

    def fileno(self) -> int:
        """Return what is readable when the child waits for an answer."""
        return self._listening

    def answer(self) -> None:
        """Answer the call that the child waits in, if it still does."""
        request = bytearray(_REQUEST.size)
        try:
            fcntl.ioctl(self._listening, _RECEIVE, request)
        except OSError:
            return
        number, _, _, call, _, _, *arguments = _REQUEST.unpack(request)
        try:
            self._check(call, arguments)
            answer = _ANSWER.pack(number, 0, 0, _GO_ON)
        except _Refusal as refused:
            answer = _ANSWER.pack(number, 0, -refused.number, 0)
        # It may have ended, or a signal took it out of its call.
        with suppress(OSError):
            fcntl.ioctl(self._listening, _SEND, answer)

    def close(self) -> None:
        """Let go of the child."""
        os.close(self._listening)
        os.close(self._memory)

    def _check(self, call: int, arguments: list[int]) -> None:
        folder, path = self._arguments[call]
        named = self._text(arguments[path])
        descriptor = _HERE if folder is None else _signed(arguments[folder])
        if not named and descriptor != _HERE:
            # The open file itself.
            return
        if not named.startswith("/"):
            named = f"{self._folder(descriptor)}/{named}"
        try:
            found = _follow(named, self._step)
        except OSError as error:
            # As the kernel would say it: up to there nothing is hidden.
            raise _Refusal(error.errno or errno.ENOENT) from None
        if not self._is_inside(found):
            raise _Refusal

    def _step(self, path: str) -> None:
        """Let pass what the child may read, and what lies on the way to it."""
        if path not in self._above and not self._is_inside(path):
            raise _Refusal

    def _is_inside(self, path: str) -> bool:
        return any(path == each or path.startswith(f"{each}/") for each in self._inside)

    def _folder(self, number: int) -> str:
        if number == _HERE:
            return ""
        try:
            return os.readlink(f"/proc/{self.process}/fd/{number}")  # noqa: PTH115 - called often
        except OSError:
            raise _Refusal(errno.EBADF) from None

    def _text(self, address: int) -> str:
        """Return the text that ends with a zero at `address` of the child."""
        found = b""
        while len(found) < _LONGEST:
            # The page behind it may not be there.
            try:
                piece = os.pread(self._memory, 4096 - (address + len(found)) % 4096, address + len(found))
            except (OSError, OverflowError, ValueError):
                piece = b""
            if not piece:
                raise _Refusal(errno.EFAULT)
            found += piece
            if b"\0" in piece:
                return os.fsdecode(found[: found.index(b"\0")])
        raise _Refusal(errno.ENAMETOOLONG)


def _signed(argument: int) -> int:
    """Return the lower half of an argument, which is a C int."""
    return (argument & 0xFFFFFFFF ^ 0x80000000) - 0x80000000


def _follow(path: str, step: Callable[[str], object]) -> str:
    """Return where `path` leads, calling `step` with each folder, link and file on the way. Raises OSError, ELOOP."""
    left, at, links = path.split("/")[::-1], "", 0
    while left:
        name = left.pop()
        if name in {"", "."}:
            continue
        if name == "..":
            at = at.rpartition("/")[0]
            continue
        step(f"{at}/{name}")
        try:
            target = os.readlink(f"{at}/{name}")  # noqa: PTH115 - called often
        except OSError as error:
            if error.errno == errno.EINVAL or (error.errno == errno.ENOENT and not left):
                at = f"{at}/{name}"
                continue
            raise
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, "too many links", path)
        if target.startswith("/"):
            at = ""
        left += target.split("/")[::-1]
    return at or "/"
