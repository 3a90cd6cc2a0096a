"""How a child is started, spoken to and ended."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict

from ocelog.errors import SandboxError, without_number
from ocelog.sandbox.channel import Channel, Frame
from ocelog.sandbox.kernel import EVERY, Layers, paths_supported
from ocelog.sandbox.paths import PathGuard

_BEGIN = "import sys; sys.path += sys.argv[1:]; from ocelog.sandbox.bootstrap import main; main()"
_STARTS_WITHIN = 60.0
_LONGEST_READY = 10_000
_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/localtime", "/etc/ld.so.cache")
_OF_NETWORK = (
    *("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols"),
    *("/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs", "/etc/ca-certificates"),
    *("/usr/share/ca-certificates", "/usr/local/share/ca-certificates"),
)


class Bounds(Struct, frozen=True, kw_only=True):
    """What a child may take at most; the kernel ends it, or fails its calls, above that."""

    memory_bytes: int
    cpu_seconds: int
    wall_seconds: int
    open_files: int = 256
    scratch_bytes: int = 0


class Spec(Struct, frozen=True, kw_only=True):
    """What a child is for."""

    entry: str | None
    """Module with `main(channel, layers)`; None: it only says which layers it has."""
    bounds: Bounds
    packages: tuple[str, ...] = ()
    """Top-level packages that the module imports."""
    read: tuple[str, ...] = ()
    """Files and folders that it may read once it is locked in."""
    scratch: str | None = None
    """Folder that it may write in, emptied by whoever lent it. Without Landlock it may not."""
    network: bool = False
    """Whether it may connect to other machines, over IP, and read what says how."""
    threads: bool = True
    """Whether it may begin more threads once it is locked in."""
    hides: bool = False
    """Whether it must not even learn which other files there are. It must not begin threads."""
    libraries: bool = False
    """Whether it imports more, or loads time zones, once it is locked in."""
    keep_out: tuple[str, ...] = ()
    """Folders with secrets: a spec that would let the child read one of them whole is refused."""
    longest_frame: int = 1 << 20
    """Bytes; more in one answer counts as malformed."""


@dataclass(slots=True, kw_only=True)
class Child:
    """A process that does one job. It ends with the thread that started it, so that thread must be the one that waits.

    Raises SandboxError if it cannot be started.
    """

    spec: Spec
    only: Layers = EVERY
    """For tests: as if the kernel offered no more than these."""
    spare: "subprocess.Popen[bytes] | None" = None
    """A process that was begun before for a job of the same module: see `spares.py`."""
    _process: "subprocess.Popen[bytes]" = field(init=False)
    _channel: Channel = field(init=False)
    _read: list[str] = field(init=False)
    _ready: Layers | None = None
    _guard: PathGuard | None = None

    def __post_init__(self) -> None:
        self._start(paths=self.spec.hides and self.only.paths and paths_supported())

    def _start(self, *, paths: bool) -> None:
        self._read = read = _readable(self.spec)
        self._process = begin(self.spec.packages) if self.spare is None else self.spare
        self._channel = _channel(self._process, max(self.spec.longest_frame, _LONGEST_READY))
        start = {
            "entry": self.spec.entry,
            "limits": asdict(self.spec.bounds),
            "read": read,
            "scratch": self.spec.scratch,
            "network": self.spec.network,
            "threads": self.spec.threads,
            "paths": paths,
            "landlock": self.only.landlock,
            "seccomp": self.only.seccomp,
        }
        try:
            within = time.monotonic() + _STARTS_WITHIN
            self._channel.send("start", json.dumps(start).encode(), deadline=within)
        except (EOFError, TimeoutError):
            self._failed()
        except BaseException:
            self.close()
            raise

    @property
    def layers(self) -> Layers:
        """What keeps the child in, as it says before it is given anything. Raises SandboxError."""
        if self._ready is None:
            try:
                frame = self._channel.receive(deadline=time.monotonic() + _STARTS_WITHIN)
                found = json.loads(frame.payload)
                seccomp, listener = bool(found["seccomp"]), found["listener"]
                if listener is not None and not self._attend(int(listener)):
                    self.close()
                    self._start(paths=False)
                    return self.layers
                self._ready = Layers(landlock=int(found["landlock"]), seccomp=seccomp, paths=listener is not None)
            except (EOFError, TimeoutError, ValueError, KeyError, TypeError):
                self._failed()
        if self._ready is None:
            raise AssertionError
        return self._ready

    def _attend(self, listener: int) -> bool:
        """Answer the child from now on about the paths that it names; return False if that is not possible here."""
        try:
            self._guard = PathGuard(self._process.pid, listener, self._read)
        except OSError:
            return False
        self._channel.beside = self._guard
        self._channel.send("go", deadline=time.monotonic() + _STARTS_WITHIN)
        return True

    def send(self, kind: str, payload: bytes | memoryview = b"", deadline: float | None = None) -> None:
        """Give the child something. Raises EOFError if it ended, TimeoutError at the deadline (`time.monotonic`)."""
        _ = self.layers
        self._channel.send(kind, payload, deadline=deadline)

    def receive(self, deadline: float) -> Frame:
        """Return the child's next answer. Raises EOFError, TimeoutError, ValueError for what is malformed.

        Raises EOFError, too, for a child that has written more than it may: it is ended.
        """
        _ = self.layers
        return self._channel.receive(deadline=deadline, watch=self._watch)

    def _watch(self) -> None:
        if self.written() > self.spec.bounds.scratch_bytes:
            self.close()
            raise EOFError

    def written(self) -> int:
        """Return how many bytes are in the scratch folder."""
        if self.spec.scratch is None:
            return 0
        found = 0
        with suppress(OSError):
            for folder, _, names in os.walk(self.spec.scratch):
                for name in names:
                    with suppress(OSError):
                        found += os.lstat(os.path.join(folder, name)).st_blocks * 512  # noqa: PTH118 - called often
        return found

    @property
    def exit_code(self) -> int | None:
        """How it ended, a signal as a negative number; None: it runs."""
        return self._process.poll()

    def describe_end(self) -> str:
        """End the child if it still runs, and say how it ended that should not have."""
        self.close()
        match self._process.returncode:
            case 0:
                return "ended itself"
            case code if code < 0:
                # Most signals of real time have no name.
                name = signal.Signals(-code).name if -code in {*signal.Signals} else f"signal {-code}"
                return f"was ended by {name}: it took too much, or did what it may not"
            case code:
                return f"ended itself with code {code}"

    def kill(self) -> None:
        """End the child, whatever it does, from whatever thread; whoever waits for an answer hears EOFError."""
        if self._process.poll() is None:
            self._process.kill()

    def close(self) -> None:
        """End the child, whatever it does, and wait for its end."""
        end(self._process)
        if self._guard is not None:
            self._guard.close()
            self._guard = self._channel.beside = None

    def _failed(self) -> None:
        self.close()
        raise SandboxError(
            f"The process for untrusted work ended while it started (code {self._process.returncode}): "
            f"run `{sys.executable} -I -c 'import {', '.join(self.spec.packages) or 'sys'}'` to see why."
        )


def begin(packages: Collection[str]) -> "subprocess.Popen[bytes]":
    """Start the process of a child, which waits to be told what it is for. Raises SandboxError."""
    command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", _BEGIN, *_import_path(packages)]
    try:
        return subprocess.Popen(  # noqa: S603 - this interpreter, and no shell
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            # Ctrl-C is for the parent, which ends the child. Without a terminal it cannot type into one either.
            start_new_session=True,
        )
    except OSError as error:
        raise SandboxError(f"The process for untrusted work cannot be started: {without_number(error)}.") from error


def preload(process: "subprocess.Popen[bytes]", entry: str) -> None:
    """Have a process that was begun import the module of its job already; it waits for nothing."""
    with suppress(EOFError):
        _channel(process, _LONGEST_READY).send("preload", entry.encode())


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process that was begun, whatever it does, and wait for its end."""
    if process.poll() is None:
        process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


def _channel(process: "subprocess.Popen[bytes]", longest: int) -> Channel:
    if process.stdin is None or process.stdout is None:
        raise AssertionError
    return Channel(reading=process.stdout.fileno(), writing=process.stdin.fileno(), longest=longest)


def layers(only: Layers = EVERY) -> Layers:
    """Start a child that does nothing, and return what keeps it in. Raises SandboxError."""
    bounds = Bounds(memory_bytes=1 << 30, cpu_seconds=10, wall_seconds=60)
    child = Child(spec=Spec(entry=None, bounds=bounds, scratch=None), only=only)
    try:
        return child.layers
    finally:
        child.close()


def describe() -> str:
    """Say which layers keep children in here, or why none can be started."""
    try:
        return str(layers())
    except SandboxError as error:
        return f"unavailable: {error}"


def _import_path(packages: Collection[str]) -> list[str]:
    """Return the folders of `packages`, which a child looks in besides the standard library."""
    found = list[str]()
    for name in ("ocelog", *packages):
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise SandboxError(f"The package {name} is missing: reinstall Ocelog.")
        found.append(str(Path(spec.origin).resolve().parent.parent))
    return list(dict.fromkeys(found))


def _readable(spec: Spec) -> list[str]:
    """Return what the child may read. Raises SandboxError if that holds a folder that it must not read."""
    found = list(spec.read)
    if spec.libraries:
        paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
        found += [each for each in (*_SYSTEM, *paths, *_import_path(spec.packages)) if Path(each).exists()]
    if spec.network:
        found += [each for each in _OF_NETWORK if Path(each).exists()]
    for secret in map(os.path.realpath, spec.keep_out):
        for each in map(os.path.realpath, found):
            if Path(secret).is_relative_to(each):
                raise SandboxError(
                    f"Untrusted work would be able to read all of {secret}, which is in {each}, which it needs: "
                    "move the home to a folder of its own."
                )
    return found
