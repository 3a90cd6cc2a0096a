"""Who may pull and publish in a home: one command at a time."""

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from ocelog.errors import HomeError
from ocelog.installation.home import Home, read_note, translated
from ocelog.model import LoopFault
from ocelog.times import has_passed, rfc3339

SERVICE = "ocelog run"
"""The command that goes on until it is stopped."""
BEAT_EVERY = 5.0
"""Seconds between two signs of life of a service."""
SILENT = timedelta(seconds=30)
"""A service that has given no sign of life for so long hangs: each round gives one, and takes 2 s if nothing is due."""
_NOTE = 4096
"""Bytes of the note, always: one that is written over another takes no room, also on a disk that has none left."""
_LONGEST_REASON = 400
"""Characters of why a loop fails."""
_TRIES = 10
"""To lock: `status` looks at the lock for an instant, and must not make a `run` fail that begins just then."""


class Holder(Struct, frozen=True, kw_only=True):
    """Who holds a home."""

    command: str
    pid: int
    host: str
    since: str
    alive_at: datetime
    """When it gave its last sign of life. Only a service gives any; for another command this is when it began."""
    failing: Sequence[LoopFault] = ()
    """What is wrong with its loops, also if its ledger cannot be told."""
    console: str | None = None
    """The address of the console that it serves; None: it serves none."""

    @property
    def began(self) -> datetime | None:
        """When it began; None: its note does not say."""
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(self.since).astimezone(UTC)
        return None

    @property
    def is_service(self) -> bool:
        """Whether it goes on until it is stopped."""
        return self.command == SERVICE

    def silent_for(self, now: datetime) -> timedelta | None:
        """Return how long a service has given no sign of life, at least, if it hangs, else None.

        One that works replaces within seconds a sign that was dated by a clock ahead of ours.
        """
        if not self.is_service or not has_passed(SILENT, since=self.alive_at, now=now):
            return None
        return max(SILENT, now - self.alive_at)


@dataclass(slots=True)
class Pulse:
    """A service's signs of life: the date of the lock's file, which costs no write to the ledger."""

    _descriptor: int
    _note: dict[str, object]
    _next: float = 0.0
    _failing: Sequence[LoopFault] = ()

    def beat(self) -> None:
        """Give a sign of life, unless the last one is fresh."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + BEAT_EVERY
        # Where the disk does not take even this, `status` says that nothing is heard of the service: so it is.
        with contextlib.suppress(OSError):
            os.utime(self._descriptor)

    def serves(self, console: str) -> None:
        """Say in the lock's file at which address a person finds its console."""
        self._note["console"] = console
        with contextlib.suppress(OSError):
            _write(self._descriptor, self._note)

    def failing(self, faults: Sequence[LoopFault]) -> None:
        """Say in the lock's file which loops fail: the ledger may be what cannot be written."""
        if faults == self._failing:
            return
        with contextlib.suppress(OSError):
            _write(self._descriptor, self._note | {"failing": [_told(each) for each in faults]})
            self._failing = faults


@contextmanager
def held(home: Home, command: str, *, service_can: bool = False) -> Iterator[Pulse]:
    """Hold `home` within the block, as `command`. Raises HomeError saying who holds it already.

    `service_can`: the console of a service does the same beside its loops, which is said if it holds the home. The lock
    belongs to the open file, so it is free at once when its holder dies, however it dies.
    """
    with translated(home.path):
        descriptor = os.open(home.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    try:
        if not _lock(descriptor):
            raise HomeError(_busy(home, service_can=service_can))
        with translated(home.path):
            note = _sign(descriptor, command)
        yield Pulse(descriptor, note)
    finally:
        os.close(descriptor)


def holder(home: Home) -> Holder | None:
    """Return who holds `home` just now; None: nobody. Raises HomeError if this user may not see it."""
    with translated(home.lock_file):
        if not home.lock_file.exists():
            return None
        descriptor = os.open(home.lock_file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
        alive_at = datetime.fromtimestamp(os.fstat(descriptor).st_mtime, UTC)
    finally:
        os.close(descriptor)
    note = read_note(home.lock_file)
    return Holder(
        command=str(note.get("command", "a command")),
        pid=int(note.get("pid", 0)),
        host=str(note.get("host", "an unknown machine")),
        since=str(note.get("since", "an unknown instant")),
        alive_at=alive_at,
        failing=_read_faults(note.get("failing")),
        console=None if note.get("console") is None else str(note["console"]),
    )


def is_served(home: Home) -> bool:
    """Whether a service holds `home`: it reads what is due, and a pull would be refused. Raises what `holder` does."""
    who = holder(home)
    return who is not None and who.is_service


def check_free(home: Home, *, service_can: bool = False) -> None:
    """Raise HomeError, as `held` would, if another command holds `home` just now."""
    if holder(home) is not None:
        raise HomeError(_busy(home, service_can=service_can))


def _lock(descriptor: int) -> bool:
    for attempt in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.03 * (attempt < _TRIES - 1))
        else:
            return True
    return False


def _sign(descriptor: int, command: str) -> dict[str, object]:
    note: dict[str, object] = {
        "command": command,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": rfc3339(datetime.now(UTC).replace(microsecond=0)),
    }
    _write(descriptor, note)
    return note


def _write(descriptor: int, note: dict[str, object]) -> None:
    """Write over the note before, in its place."""
    text = json.dumps(note).encode()
    os.pwrite(descriptor, text.ljust(_NOTE), 0)
    os.ftruncate(descriptor, max(_NOTE, len(text)))


def _told(fault: LoopFault) -> dict[str, object]:
    return {
        "loop": fault.loop,
        "during": fault.during,
        "code": fault.code,
        "reason": fault.reason[:_LONGEST_REASON],
        "since": rfc3339(fault.since),
    }


def _read_faults(found: object) -> tuple[LoopFault, ...]:
    """Return what a holder says of its loops; what was written by another version, or half, is left out."""
    faults = list[LoopFault]()
    for each in found if isinstance(found, list) else ():
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
            faults.append(
                LoopFault(
                    loop=str(each["loop"]),
                    during=str(each["during"]),
                    code=None if each["code"] is None else str(each["code"]),
                    reason=str(each["reason"]),
                    since=datetime.fromisoformat(each["since"]).astimezone(UTC),
                )
            )
    return tuple(faults)


def _busy(home: Home, *, service_can: bool) -> str:
    who = holder(home)
    if who is None:
        return f"The home {home.path} was held by another command a moment ago: try again."
    there = f"do it in its console, {who.console}, or " if service_can and who.console is not None else ""
    wait = "" if who.is_service or who.console is not None else "wait for it to end, or "
    stop = f"systemctl stop ocelog, or kill {who.pid}" if who.is_service else f"kill {who.pid}"
    return (
        f"`{who.command}` holds the home {home.path} since {who.since} (process {who.pid} on {who.host}): "
        f"{there}{wait}stop it ({stop}). Other commands work meanwhile."
    )
