"""Who may pull and publish in a home: one command at a time."""

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from ocelog.errors import HomeError
from ocelog.home import Home, read_note, translated
from ocelog.instants import rfc3339

_TRIES = 10
"""To lock: `status` looks at the lock for an instant, and must not make a `run` fail that begins just then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a home."""

    command: str
    pid: int
    host: str
    since: str


@contextmanager
def held(home: Home, command: str) -> Iterator[None]:
    """Hold `home` within the block, as `command`. Raises HomeError saying who holds it already.

    The lock belongs to the open file, so it is free at once when its holder dies, however it dies.
    """
    with translated(home.path):
        descriptor = os.open(home.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _lock(descriptor):
            raise HomeError(_busy(home))
        with translated(home.path):
            _sign(descriptor, command)
        yield
    finally:
        os.close(descriptor)


def holder(home: Home) -> Holder | None:
    """Return who holds `home` just now; None: nobody. Raises HomeError where this user may not see it."""
    with translated(home.lock_file):
        if not home.lock_file.exists():
            return None
        descriptor = os.open(home.lock_file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
    finally:
        os.close(descriptor)
    note = read_note(home.lock_file)
    return Holder(
        command=str(note.get("command", "a command")),
        pid=int(note.get("pid", 0)),
        host=str(note.get("host", "an unknown machine")),
        since=str(note.get("since", "an unknown instant")),
    )


def _lock(descriptor: int) -> bool:
    for attempt in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.03 * (attempt < _TRIES - 1))
        else:
            return True
    return False


def _sign(descriptor: int, command: str) -> None:
    note = {
        "command": command,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": rfc3339(datetime.now(UTC).replace(microsecond=0)),
    }
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(note).encode(), 0)


def _busy(home: Home) -> str:
    who = holder(home)
    if who is None:
        return f"The home {home.path} was held by another command a moment ago: try again."
    stop = f"systemctl stop ocelog, or kill {who.pid}" if who.command == "ocelog run" else f"kill {who.pid}"
    return (
        f"`{who.command}` holds the home {home.path} since {who.since} (process {who.pid} on {who.host}): "
        f"wait for it to end, or stop it ({stop}). Other commands work beside it."
    )
