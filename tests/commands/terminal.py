"""Commands whose output goes to a terminal."""

import fcntl
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from commands import TIMEOUT, Ocelog, Process, fork_server, is_forked


def on_a_terminal(ocelog: Ocelog, *arguments: str, columns: int = 80) -> str:
    """Run a command whose output goes to a terminal, and return what that was sent."""
    environment = ocelog.environment | {"COLUMNS": str(columns), "TERM": "xterm"}
    _, shown = fork_server().on_a_terminal(arguments, environment=environment, folder=Path.cwd(), timeout=TIMEOUT)
    return shown


@dataclass(slots=True, kw_only=True)
class Conversation:
    """A command at a terminal: what it printed so far, and what it is told."""

    process: Process
    leader: int
    shown: str = ""
    _raw: bytearray = field(default_factory=bytearray)
    _read: int = field(default=0)

    def until(self, text: str) -> str:
        """Wait for `text` after what was waited for last; return all that came up to and with it."""
        before, ends = self._read, time.monotonic() + TIMEOUT
        while (at := self.shown.find(text, self._read)) < 0:
            assert time.monotonic() < ends, f"{text!r} never came:\n{self.shown}"
            assert self._go_on() is not False, f"It ended without {text!r}:\n{self.shown}"
        self._read = at + len(text)
        return self.shown[before : self._read]

    def type(self, text: str) -> None:
        os.write(self.leader, f"{text}\n".encode())

    def interrupt(self) -> int:
        """Press Ctrl-C until it is heard, and return the exit code: Python misses one just before it begins to read."""
        return self.ended(press=b"\x03")

    def ended(self, *, press: bytes = b"") -> int:
        """Read what else comes, and return the exit code.

        Presses a key once a second until it ends, as a person would: between two prompts a terminal swallows some. Who
        reads "Stopping." waits: pressed again, Ctrl-C would end it at once.
        """
        ends = time.monotonic() + TIMEOUT
        while True:
            if press and "Stopping." not in self.shown:
                os.write(self.leader, press)
            came: bool | None = True
            while came:
                came = self._go_on()
            if came is False:
                return self.process.wait(TIMEOUT)
            assert time.monotonic() < ends, f"It did not end:\n{self.shown}"

    def _go_on(self) -> bool | None:
        """Read what comes within a second: whether the terminal is still open, None if nothing came."""
        if not select.select([self.leader], [], [], 1.0)[0]:
            return None
        try:
            piece = os.read(self.leader, 65536)
        except OSError:
            piece = b""
        if piece:
            self._take(piece)
        return bool(piece)

    def _take(self, piece: bytes) -> None:
        # Read anew as a whole: a piece may end within a character, a control sequence or the two ends of a line.
        self._raw += piece
        text = self._raw.decode(errors="ignore").replace("\r\n", "\n")
        self.shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


@contextmanager
def conversation(ocelog: Ocelog, *arguments: str, columns: int = 80) -> Iterator[Conversation]:
    """Run a command with a terminal of its own as stdin, stdout and stderr within the block."""
    process, leader = at_a_terminal(ocelog, *arguments, COLUMNS=str(columns), TERM="xterm")
    try:
        yield Conversation(process=process, leader=leader)
    finally:
        process.kill()
        process.wait()
        os.close(leader)


def at_a_terminal(ocelog: Ocelog, *arguments: str, **environment: str) -> tuple[Process, int]:
    """Begin a command with a terminal of its own as stdin, stdout and stderr; return the terminal's other end too."""
    environment = ocelog.environment | environment
    leader, follower = pty.openpty()
    try:
        if is_forked(environment):
            return fork_server().at_a_terminal(arguments, environment=environment, follower=follower), leader
        process = subprocess.Popen(
            [sys.executable, "-m", "ocelog", *arguments],
            env=environment | {"PYTHONUTF8": "1"},
            stdin=follower,
            stdout=follower,
            stderr=follower,
            text=True,
            start_new_session=True,
            # Ctrl-C that is typed there becomes a signal.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one system call, no lock
        )
        return process, leader
    finally:
        os.close(follower)


def bare_lines(shown: str) -> list[str]:
    """Return the lines of what a terminal was sent, without colours."""
    return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in shown.splitlines()]
