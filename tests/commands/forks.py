"""Runs commands as forks of one process that has imported what they all need.

Imports are most of what a short command costs. A fork is a process like any other, with pipes, an environment, a folder
and an exit code of its own; only the imports are shared, and not undone at its end. Commands that are sent signals, or
belong to another user, are started as a person starts them: see `Ocelog.start` and `Ocelog.as_reader`.
"""

import atexit
import gc
import json
import os
import pty
import selectors
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Literal, NoReturn, TextIO

import ocelog

_LONGEST = 1 << 20
_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC", "ARROW_", "OPENBLAS_", "HOME", "PATH", "TZ")
"""Variables that Python and its libraries read as they begin: a fork would not notice another value."""
# What a child of the sandbox sets before it imports a library: no thread may be there before it is locked in.
_OF_LIBRARIES = {"ARROW_DEFAULT_MEMORY_POOL": "system", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
_TRUST = {"SSL_CERT_FILE", "SSL_CERT_DIR"}
# What the commands import only when they come to need it.
_LATER = (
    "fastavro",
    "ocelog.app.service",
    "ocelog.lake.upkeep.compaction",
    "ocelog.sources.wiz.check",
    "ocelog.sources.wiz.opening",
    "pyiceberg.catalog.sql",
    "pyiceberg.io.pyarrow",
    "pyiceberg.table.update.snapshot",
    "sqlalchemy.dialects.sqlite",
)


class Forks:
    """The process that forks, for whoever wants `ocelog` run, or `wizsim`, or a child of the sandbox."""

    def __init__(
        self, program: Literal["ocelog", "wizsim", "sandboxed"] = "ocelog", inherited: Sequence[int] = ()
    ) -> None:
        """Begin it, and let its forks have the files `inherited`."""
        self.line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno()), program],
                env=os.environ | _OF_LIBRARIES,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), *inherited],
            )
        self._early = _early(os.environ)
        self.children: int | None = None
        """The inherited line over which commands fork their sandboxed children; None: they begin them."""
        atexit.register(self._end)

    def _end(self) -> None:
        self.line.close()
        self._process.wait()

    def fit(self, environment: Mapping[str, str]) -> bool:
        """Tell whether a fork runs under `environment` as a process that was begun with it does."""
        return _early(environment) == self._early

    def run(
        self, arguments: Sequence[str], *, environment: Mapping[str, str], stdin: str, timeout: float
    ) -> "subprocess.CompletedProcess[str]":
        """Run `ocelog` with `arguments` to its end. Raises TimeoutExpired, and kills it, after `timeout` seconds."""
        asked = self._asked(arguments, environment, Path.cwd())
        with ExitStack() as stack:
            given, our_in = os.pipe()
            our_out, out = os.pipe()
            our_err, err = os.pipe()
            ours, status = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stack.enter_context(ours)
            try:
                socket.send_fds(self.line, [asked], [given, out, err, status.fileno()])
            finally:
                status.close()
                for each in (given, out, err):
                    os.close(each)
            heard = [stack.enter_context(os.fdopen(each, encoding="utf-8")) for each in (our_out, our_err)]
            said = ["", ""]
            readers = [
                threading.Thread(target=lambda at=at: said.__setitem__(at, heard[at].read()), daemon=True)
                for at in range(2)
            ]
            for reader in readers:
                reader.start()
            with suppress(BrokenPipeError), os.fdopen(our_in, "w", encoding="utf-8") as writer:
                writer.write(stdin)
            pid = int(ours.recv(_LONGEST) or gone())
            ours.settimeout(timeout)
            try:
                code = int(ours.recv(_LONGEST) or gone())
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(["ocelog", *arguments], timeout) from None
            for reader in readers:
                reader.join()
        return subprocess.CompletedProcess(["ocelog", *arguments], code, *said)

    def _asked(self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> bytes:
        asked = {
            "arguments": arguments,
            "environment": dict(environment),
            "folder": str(folder),
            "children": self.children,
        }
        return json.dumps(asked).encode()

    @contextmanager
    def running(self, arguments: Sequence[str], *, environment: Mapping[str, str]) -> Iterator[TextIO]:
        """Let the command run within the block, and yield what it prints; then it is killed."""
        asked = self._asked(arguments, environment, Path.cwd())
        with ExitStack() as stack:
            shown, out = os.pipe()
            printed = stack.enter_context(os.fdopen(shown, encoding="utf-8"))
            ours, status = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stack.enter_context(ours)
            with Path(os.devnull).open("r+b") as nothing:
                socket.send_fds(self.line, [asked], [nothing.fileno(), out, nothing.fileno(), status.fileno()])
            status.close()
            os.close(out)
            pid = int(ours.recv(_LONGEST) or gone())
            try:
                yield printed
            finally:
                # It may have ended by itself.
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                ours.recv(_LONGEST)

    def on_a_terminal(
        self, arguments: Sequence[str], *, environment: Mapping[str, str], folder: Path, timeout: float
    ) -> tuple[int, str]:
        """Run `ocelog` in `folder`, its output on a terminal; return its exit code and what the terminal was sent."""
        asked = self._asked(arguments, environment, folder)
        leader, follower = pty.openpty()
        ours, status = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, Path(os.devnull).open("rb") as nothing, os.fdopen(leader, "rb", buffering=0) as shown:
            socket.send_fds(self.line, [asked], [nothing.fileno(), follower, follower, status.fileno()])
            status.close()
            os.close(follower)
            pid = int(ours.recv(_LONGEST) or gone())
            ours.settimeout(timeout)
            found = bytearray()
            # Linux ends a terminal that nobody has open any more with an error.
            with suppress(OSError):
                while piece := shown.read(65536):
                    found += piece
            try:
                code = int(ours.recv(_LONGEST) or gone())
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(["ocelog", *arguments], timeout) from None
        return code, found.decode().replace("\r\n", "\n")


def _early(environment: Mapping[str, str]) -> dict[str, str]:
    found = {name: value for name, value in environment.items() if name.startswith(_READ_AT_START)}
    # What each command sets if nobody has, and leaves in a process that has imported it, such as that of the tests.
    return _OF_LIBRARIES | found


def gone() -> NoReturn:
    raise ChildProcessError("The process that forks commands is gone; what it said is on this process's stderr.")


def _serve(line: socket.socket) -> tuple[bytes, list[int]]:
    """Fork for each command that comes over `line`, and say how it ended; in the fork, return what came.

    With it come three files, stdin, stdout and stderr, and a fourth that is told the process and then its exit code.
    """
    woken, wakes = socket.socketpair()
    woken.setblocking(False)
    wakes.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    running = dict[int, int]()
    """Process -> where its end is told."""
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if woken in ready:
                woken.recv(_LONGEST)
                while running and (ended := os.waitpid(-1, os.WNOHANG))[0]:
                    status = running.pop(ended[0])
                    with suppress(BrokenPipeError):
                        os.write(status, str(os.waitstatus_to_exitcode(ended[1])).encode())
                    os.close(status)
            if line not in ready:
                continue
            asked, files, _, _ = socket.recv_fds(line, _LONGEST, 4)
            if not asked:
                os._exit(0)
            pid = os.fork()
            if pid == 0:
                break
            for each in files[:3]:
                os.close(each)
            os.write(files[3], str(pid).encode())
            running[pid] = files[3]
    for each in (files.pop(), *running.values()):
        os.close(each)
    for socket_ in (line, woken, wakes):
        socket_.close()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return asked, files


def _become(asked: bytes, files: list[int]) -> None:
    """Let this process look as if it had been started for the command that was asked for."""
    for at, each in enumerate(files):
        os.dup2(each, at)
        os.close(each)
    # Python finds out what kind of file it has as it opens it.
    sys.stdin, sys.stdout, sys.stderr = (
        open(at, mode, encoding=old.encoding, errors=old.errors, closefd=False, buffering=buffering)  # noqa: SIM115
        for at, (old, mode, buffering) in enumerate(((sys.stdin, "r", -1), (sys.stdout, "w", -1), (sys.stderr, "w", 1)))
    )
    told = json.loads(asked)
    os.chdir(told["folder"])
    os.environ.clear()
    os.environ.update(told["environment"])
    sys.argv = [str(Path(ocelog.__file__).with_name("__main__.py")), *told["arguments"]]
    sys.path[0] = told["folder"]
    if told["children"] is not None:
        import_module("commands.sandboxed").fork_children_over(told["children"])


def _read_certificates() -> None:
    """Have those of all authorities ready for every command: they take longer to read than most commands run."""
    httpx2 = import_module("httpx2")
    read = httpx2.create_ssl_context
    for name in _TRUST:
        os.environ.pop(name, None)
    kept = read()
    vars(httpx2)["create_ssl_context"] = lambda: read() if os.environ.keys() & _TRUST else kept


def collect_seldom() -> None:
    """Let the collector of garbage look at nothing that is there by now, and less often than its default."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


if __name__ == "__main__":
    main: Callable[[], object]
    if sys.argv[2] == "wizsim":
        from wizsim.cli import main
    elif sys.argv[2] == "sandboxed":
        import_module("ocelog.lake.query.worker")
        from ocelog.sandbox.bootstrap import main
    else:
        from ocelog.cli import app, main

        _read_certificates()
        sys.path[0] = str(Path(__file__).resolve().parents[1])
        for name in (
            "commands.sandboxed",
            *(f"ocelog.cli.{command.module}" for command in app.COMMANDS.values()),
            *_LATER,
        ):
            import_module(name)
    threads = [(each / "comm").read_text().strip() for each in Path("/proc/self/task").iterdir()]
    # Arrow's allocator starts its own anew in each fork.
    if len(threads) - threads.count("jemalloc_bg_thd") != 1:
        raise RuntimeError(f"An import began a thread, which no fork would have: {threads}.")
    collect_seldom()
    _become(*_serve(socket.socket(fileno=int(sys.argv[1]))))
    code: object = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001 - as Python ends with it
        traceback.print_exc()
        code = 1
    # All that Python does at the end but to free, object by object, what the imports have made.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code if isinstance(code, int) else bool(code))
