"""Commands whose output goes to a terminal."""

import os
import pty
import re
import subprocess
import sys

from commands import Ocelog


def on_a_terminal(ocelog: Ocelog, *arguments: str, columns: int = 80) -> str:
    """Run a command whose output goes to a terminal, and return what that was sent."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ocelog", *arguments],
        env=ocelog.environment | {"COLUMNS": str(columns), "TERM": "xterm", "PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    found = bytearray()
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:
            break
        if not piece:
            break
        found += piece
    os.close(leader)
    process.wait(60)
    return found.decode().replace("\r\n", "\n")


def bare_lines(shown: str) -> list[str]:
    """Return the lines of what a terminal was sent, without colours."""
    return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in shown.splitlines()]
