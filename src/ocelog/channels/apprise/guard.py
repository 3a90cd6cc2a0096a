"""What the child that sends gives up before it reads an address: files, programs, and forbidden connections.

This is done with audit hooks of Python, which see each such call of any library, and cannot be taken away. They bind
Python code that means no harm and is led astray by an address, not code that was made to get round them.
"""

import mimetypes
import os
import resource
import sys
import sysconfig
from contextlib import suppress
from typing import Any

from ocelog.network import is_allowed

_MEMORY = 1 << 30
_CPU_SECONDS = 60
_FORBIDDEN = (
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "os.startfile",
    "pty.spawn",
    "subprocess.Popen",
    "webbrowser.open",
    "os.chmod",
    "os.chown",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "os.truncate",
    "os.kill",
    "os.killpg",
    "os.putenv",
    "os.setxattr",
    "shutil.",
    "sqlite3.connect",
    "ctypes.dlopen",
    "socket.bind",
    "socket.sendto",
    "socket.sendmsg",
)
_READABLE = ("/usr/share/zoneinfo", "/etc/ssl", "/etc/pki", "/usr/share/ca-certificates", "/dev/urandom", "/dev/null")


class ForbiddenError(OSError):
    """The child was about to do what it may not."""


class Guard:
    """Lets nothing through but what sending needs, and notes whether a forbidden address was to be connected to."""

    def __init__(self, *, allow_private: bool, ca_file: str | None, proxies: frozenset[str]) -> None:
        self.forbidden = False
        """Whether it kept something from being connected to."""
        self._allow_private = allow_private
        self._proxies = proxies
        paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
        paths |= {each for each in sys.path if each}
        roots = {os.path.realpath(path) for path in (*paths, *_READABLE)}
        self._roots = tuple(root.rstrip("/") + "/" for root in roots if root != "/")
        self._files = {*_READABLE, *mimetypes.knownfiles, *([] if ca_file is None else [os.path.realpath(ca_file)])}

    def set(self) -> None:
        """Guard this process from now on, for good."""
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            self._connect(arguments[1])
        elif event == "open":
            self._open(*arguments)
        elif event.startswith(_FORBIDDEN):
            raise ForbiddenError(event)

    def _connect(self, address: object) -> None:
        """Let a connection to a numeric address through that may be; a name would be resolved once more, unseen."""
        host = address[0] if isinstance(address, tuple) and address else None
        if not isinstance(host, str):
            self.forbidden = True
            raise ForbiddenError("socket.connect")
        bare = host.partition("%")[0]
        if not is_allowed(bare, allow_private=self._allow_private or bare in self._proxies):
            self.forbidden = True
            raise ForbiddenError(f"socket.connect {host}")

    def _open(self, path: object, mode: object, flags: int = 0) -> None:
        if isinstance(path, int):
            return
        writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        if flags & writes or (isinstance(mode, str) and set(mode) & set("wax+")):
            raise ForbiddenError("open for writing")
        real = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type] # a path, as open() takes it
        if real not in self._files and not real.startswith(self._roots):
            raise ForbiddenError("open")


def limit() -> None:
    """Bound what this process may take; what a system cannot bound it leaves."""
    bounds = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_AS: _MEMORY,
        resource.RLIMIT_CPU: _CPU_SECONDS,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 128,
    }
    for each, bound in bounds.items():
        _, hard = resource.getrlimit(each)
        least = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(each, (least, least))
