"""Sandboxed children as forks of one process that has imported what a query needs, which is most of what one costs.

A fork limits and locks itself in as a child that was begun for its work does, by the same code. Two things are its own:
it ends with the process that forks, not with the thread that asked for it, and its interpreter is not isolated. Tests
of what holds children in, and of what becomes of them, are marked `whole_processes` and have real ones.
"""

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO

from commands.forks import Forks, gone
from ocelog.sandbox import child

if TYPE_CHECKING:
    import pytest

_LONGEST = 1 << 20


def fork_children(patch: "pytest.MonkeyPatch") -> None:
    """Have this process, and the commands that it has forked, fork their children."""
    patch.setattr("ocelog.sandbox.child.subprocess", _forking(_forks().line))


def descriptor() -> int:
    """Return the descriptor of the line to the process that forks."""
    return _forks().line.fileno()


def are_forked() -> bool:
    """Tell whether children of this process are forked."""
    return vars(child)["subprocess"] is not subprocess


def fork_children_over(inherited: int) -> None:
    """Do so in a process that has inherited the line."""
    vars(child)["subprocess"] = _forking(socket.socket(fileno=inherited))


@cache
def _forks() -> Forks:
    return Forks("sandboxed")


def _forking(line: socket.socket) -> SimpleNamespace:
    """Return what the sandbox takes for the module `subprocess`."""

    def begin(command: Sequence[str], *, stderr: int, cwd: str, env: dict[str, str], **_: Any) -> _Child:
        if stderr != subprocess.DEVNULL:
            raise AssertionError
        asked = {"arguments": command[1:], "environment": env, "folder": cwd, "children": None}
        return _Child(line, asked | {"without_privileges": False, "own_terminal": False})

    return SimpleNamespace(Popen=begin, PIPE=subprocess.PIPE, DEVNULL=subprocess.DEVNULL)


class _Child:
    """As much of a `Popen` as the sandbox uses."""

    def __init__(self, line: socket.socket, asked: dict[str, Any]) -> None:
        given, our_in = os.pipe()
        our_out, out = os.pipe()
        self.stdin: BinaryIO = os.fdopen(our_in, "wb", buffering=0)
        self.stdout: BinaryIO = os.fdopen(our_out, "rb", buffering=0)
        self.returncode: int | None = None
        self._telling = threading.Lock()
        """Its end is told once: held by whoever listens."""
        self._status, status = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        nothing = os.open(os.devnull, os.O_RDWR)
        theirs = [given, out, nothing, status.detach()]
        try:
            socket.send_fds(line, [json.dumps(asked).encode()], theirs)
        finally:
            for each in theirs:
                os.close(each)
        self.pid = int(self._status.recv(_LONGEST) or gone())

    def poll(self) -> int | None:
        # As `Popen` does it: whoever waits in another thread is the one who is told.
        if not self._telling.acquire(blocking=False):
            return None
        try:
            return self._ended(socket.MSG_DONTWAIT)
        finally:
            self._telling.release()

    def wait(self) -> int:
        with self._telling:
            code = self._ended(0)
        if code is None:
            raise AssertionError
        return code

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def _ended(self, flags: int) -> int | None:
        if self.returncode is None:
            with suppress(BlockingIOError):
                self.returncode = int(self._status.recv(_LONGEST, flags) or gone())
                self._status.close()
        return self.returncode
