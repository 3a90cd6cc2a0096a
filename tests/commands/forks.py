"""Runs commands as forks of one process that has imported what they all need.

Imports are most of what a short command costs. A fork is a process like any other, with pipes, an environment, a folder
and an exit code of its own; only the imports are shared, and not undone at its end. In tests marked `whole_processes`,
the commands that the test is about are started as a person starts them.
"""

import atexit
import ctypes
import fcntl
import gc
import io
import json
import os
import pty
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NoReturn, Self, TextIO
from unittest import mock

import ocelog

_LONGEST = 1 << 20
_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC", "ARROW_", "OPENBLAS_", "HOME", "PATH", "TZ")
"""Variables that Python and its libraries read as they begin: a fork would not notice another value."""
# What a child of the sandbox sets before it imports a library: no thread may be there before it is locked in.
_OF_LIBRARIES = {"ARROW_DEFAULT_MEMORY_POOL": "system", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
_TRUST = {"SSL_CERT_FILE", "SSL_CERT_DIR"}
# What the commands import only when they come to need it.
_LATER = (
    "cryptography.hazmat.primitives.ciphers.aead",
    "encodings.idna",
    "fastavro",
    "importlib.readers",
    "ocelog.app.loops.service",
    "ocelog.content",
    "ocelog.lake.upkeep.compaction",
    "ocelog.remote.alerts",
    "ocelog.remote.channels",
    "ocelog.remote.lake",
    "ocelog.remote.rules",
    "ocelog.remote.sources",
    "ocelog.remote.remote",
    "ocelog.sources.wiz.check",
    "ocelog.sources.wiz.opening",
    "ocelog.sources.wiz.source",
    "pyiceberg.catalog.sql",
    "pyiceberg.io.pyarrow",
    "pyiceberg.table.update.snapshot",
    "sqlalchemy.dialects.sqlite",
)


class Forks:
    """The process that forks, for whoever wants `ocelog` run, or `wizsim`, or a child of the sandbox."""

    def __init__(
        self, program: Literal["ocelog", "completion", "wizsim", "sandboxed"] = "ocelog", children: int | None = None
    ) -> None:
        """Begin it; its forks may have their sandboxed children forked over the line `children`."""
        self.line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno()), program],
                env=os.environ | _OF_LIBRARIES,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), *(() if children is None else [children])],
            )
        self._early = _early(os.environ)
        self._children = children
        atexit.register(self._end)

    def _end(self) -> None:
        self.line.close()
        self._process.wait()

    def fit(self, environment: Mapping[str, str]) -> bool:
        """Tell whether a fork runs under `environment` as a process that was begun with it does."""
        return _early(environment) == self._early

    def start(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        stdin: bool = False,
        children: bool = False,
        without_privileges: bool = False,
        onto: str | None = None,
    ) -> "Fork":
        """Begin `ocelog` with `arguments` in pipes, without stdin unless wanted.

        Its stdout is the file `onto`, if there is one. With `children`, it has its sandboxed children forked;
        `without_privileges`, it has no right that only root has.
        """
        with ExitStack() as theirs, ExitStack() as stack:
            our_out, out = os.pipe() if onto is None else (os.open(os.devnull, os.O_RDONLY), os.open(onto, os.O_WRONLY))
            our_err, err = os.pipe()
            given, our_in = os.pipe() if stdin else (os.open(os.devnull, os.O_RDONLY), None)
            for each in (given, out, err):
                theirs.callback(os.close, each)
            stdout, stderr = (stack.enter_context(os.fdopen(each, encoding="utf-8")) for each in (our_out, our_err))
            writer = None if our_in is None else stack.enter_context(os.fdopen(our_in, "w", encoding="utf-8"))
            pid, status = self._fork(
                arguments,
                environment,
                (given, out, err),
                children=self._children if children else None,
                without_privileges=without_privileges,
            )
            stack.pop_all()
        return Fork(list(arguments), pid, status, stdin=writer, stdout=stdout, stderr=stderr)

    def run(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        stdin: str = "",
        timeout: float,
        without_privileges: bool = False,
        onto: str | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Run `ocelog` with `arguments` to its end. Raises TimeoutExpired, and kills it, after `timeout` seconds."""
        # The process that forks sandboxed children has all privileges, and so would they.
        with self.start(
            arguments,
            environment=environment,
            stdin=True,
            children=not without_privileges,
            without_privileges=without_privileges,
            onto=onto,
        ) as fork:
            try:
                out, err = fork.communicate(stdin, timeout=timeout)
            except subprocess.TimeoutExpired:
                fork.kill()
                raise
            return subprocess.CompletedProcess(fork.args, fork.wait(), out, err)

    @contextmanager
    def running(self, arguments: Sequence[str], *, environment: Mapping[str, str]) -> Iterator[TextIO]:
        """Let the command run within the block, and yield what it prints; then it is killed."""
        shown, out = os.pipe()
        with os.fdopen(shown, encoding="utf-8") as printed, Path(os.devnull).open("r+b") as nothing:
            try:
                pid, status = self._fork(arguments, environment, (nothing.fileno(), out, nothing.fileno()))
            finally:
                os.close(out)
            fork = Fork(list(arguments), pid, status)
            try:
                yield printed
            finally:
                fork.kill()
                fork.wait()

    def on_a_terminal(
        self, arguments: Sequence[str], *, environment: Mapping[str, str], folder: Path, timeout: float
    ) -> tuple[int, str]:
        """Run `ocelog` in `folder`, its output on a terminal; return its exit code and what the terminal was sent."""
        leader, follower = pty.openpty()
        with Path(os.devnull).open("rb") as nothing, os.fdopen(leader, "rb", buffering=0) as shown:
            try:
                files = (nothing.fileno(), follower, follower)
                pid, status = self._fork(arguments, environment, files, folder=folder, children=self._children)
            finally:
                os.close(follower)
            fork = Fork(list(arguments), pid, status)
            found = bytearray()
            # Linux ends a terminal that nobody has open any more with an error.
            with suppress(OSError):
                while piece := shown.read(65536):
                    found += piece
            try:
                code = fork.wait(timeout)
            except subprocess.TimeoutExpired:
                fork.kill()
                raise
        return code, found.decode().replace("\r\n", "\n")

    def at_a_terminal(self, arguments: Sequence[str], *, environment: Mapping[str, str], follower: int) -> "Fork":
        """Begin `ocelog` in a session of its own, at the terminal whose end for programs is `follower`."""
        files = (follower, follower, follower)
        pid, status = self._fork(arguments, environment, files, children=self._children, own_terminal=True)
        return Fork(list(arguments), pid, status)

    def _fork(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        files: tuple[int, int, int],
        *,
        folder: Path | None = None,
        children: int | None = None,
        without_privileges: bool = False,
        own_terminal: bool = False,
    ) -> tuple[int, socket.socket]:
        """Have a process forked with `files` as stdin, stdout and stderr; return it, and who tells its exit code."""
        asked = {
            "arguments": arguments,
            "environment": dict(environment),
            "folder": str(folder or Path.cwd()),
            "children": children,
            "without_privileges": without_privileges,
            "own_terminal": own_terminal,
        }
        ours, status = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with status, ExitStack() as stack:
            stack.enter_context(ours)
            socket.send_fds(self.line, [json.dumps(asked).encode()], [*files, status.fileno()])
            status.close()
            pid = int(ours.recv(_LONGEST) or gone())
            stack.pop_all()
        return pid, ours


class Fork:
    """As much of a `Popen` as the tests use."""

    def __init__(
        self,
        args: list[str],
        pid: int,
        status: socket.socket,
        *,
        stdin: TextIO | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.args = ["ocelog", *args]
        self.pid = pid
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self.returncode: int | None = None
        self._status = status
        self._readers = list[threading.Thread]()
        self._said = ["", ""]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in filter(None, (self.stdin, self.stdout, self.stderr)):
            each.close()
        self.wait()

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, negative if a signal ended it. Raises TimeoutExpired after `timeout` seconds."""
        if self.returncode is None:
            self._status.settimeout(timeout)
            try:
                self.returncode = int(self._status.recv(_LONGEST) or gone())
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
            self._status.close()
        return self.returncode

    def communicate(self, given: str = "", timeout: float | None = None) -> tuple[str, str]:
        """Write `given` to its stdin, and return what it says on stdout and stderr until its end."""
        if not self._readers:
            for at, heard in enumerate((self.stdout, self.stderr)):
                if heard is not None and not heard.closed:
                    self._readers.append(threading.Thread(target=self._hear, args=(at, heard), daemon=True))
                    self._readers[-1].start()
        if self.stdin is not None:
            with suppress(BrokenPipeError), self.stdin:
                self.stdin.write(given)
        self.wait(timeout)
        for reader in self._readers:
            reader.join()
        return self._said[0], self._said[1]

    def _hear(self, at: int, heard: TextIO) -> None:
        with heard:
            self._said[at] = heard.read()

    def send_signal(self, number: int) -> None:
        """Send it a signal; one that has ended hears none."""
        if self.poll() is None:
            # It may have ended since.
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


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
    told = json.loads(asked)
    if told["own_terminal"]:
        os.setsid()
        # Ctrl-C that is typed there becomes a signal.
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # Python finds out what kind of file it has as it opens it.
    sys.stdin, sys.stdout, sys.stderr = (
        open(at, mode, encoding=old.encoding, errors=old.errors, closefd=False, buffering=buffering)  # noqa: SIM115
        for at, (old, mode, buffering) in enumerate(((sys.stdin, "r", -1), (sys.stdout, "w", -1), (sys.stderr, "w", 1)))
    )
    os.chdir(told["folder"])
    os.environ.clear()
    os.environ.update(told["environment"])
    sys.argv = [str(Path(ocelog.__file__).with_name("__main__.py")), *told["arguments"]]
    sys.path[0] = told["folder"]
    if told["without_privileges"]:
        _drop_privileges()
    if step := os.environ.pop("KILLED_AT", None):
        import_module("commands.killed").arm(int(step))
    if told["children"] is not None:
        import_module("commands.sandboxed").fork_children_over(told["children"])


def _drop_privileges() -> None:
    """Stay root by name, since Python may be in root's own folder, with no right that others lack; so do programs."""
    libc = ctypes.CDLL(None, use_errno=True)
    securebits, noroot_and_locked, ambient, clear_all = 28, 3, 47, 4
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if (
        libc.prctl(securebits, noroot_and_locked, 0, 0, 0)
        or libc.prctl(ambient, clear_all, 0, 0, 0)
        or libc.capset(header, none)
    ):
        raise OSError(ctypes.get_errno(), "The privileges cannot be dropped.")


def _read_certificates() -> None:
    """Have those of all authorities ready for every command: they take longer to read than most commands run."""
    httpx2 = import_module("httpx2")
    read = httpx2.create_ssl_context
    for name in _TRUST:
        os.environ.pop(name, None)
    kept = read()
    vars(httpx2)["create_ssl_context"] = lambda: read() if os.environ.keys() & _TRUST else kept


def _read_schemas() -> None:
    """Have the log types ready, too."""
    from ocelog.app.log_types import kinds  # noqa: PLC0415 - the process that forks `wizsim` has no use for it
    from ocelog.app.shaping import shaper_of  # noqa: PLC0415 - see above

    for name in kinds():
        shaper_of(name)


def _read_rules() -> None:
    """And the rules that come along: they are parsed once for all who read them, and not by each."""
    from ocelog.detect.checkout import read_checkout  # noqa: PLC0415 - see above
    from ocelog.detect.folders import BUILT_IN  # noqa: PLC0415 - see above

    read_checkout(Path(BUILT_IN.path))


def _run_some() -> None:
    """And what each command works out once: its own options, and the statements with which it asks the ledger."""
    import_module("commands.statements").compile_once()
    _build_commands_once()
    run = import_module("ocelog.cli").main
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, OCELOG_HOME=f"{folder}/home"),
        redirect_stderr(io.StringIO()),
    ):
        for words in ("init", "source list", "status", "alerts list", "channel list", "rules list", "rejections"):
            with suppress(SystemExit):
                run(words.split())


def _build_commands_once() -> None:
    """Have typer read the signature of each command once."""
    typer = import_module("typer.main")
    read = typer.get_command_from_info
    known = dict[object, Any]()

    def read_once(command_info: Any, **options: Any) -> Any:
        key = (command_info.callback, command_info.name, command_info.help, *options.values())
        if key not in known:
            known[key] = read(command_info, **options)
        return known[key]

    vars(typer)["get_command_from_info"] = read_once


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
        worker = import_module("ocelog.lake.query.worker")
        import_module("ocelog.rule_workers.judge_worker")
        import_module("ocelog.rule_workers.trial_worker")
        import_module("ocelog.schema.language.packaged").packaged_schemas()
        _read_rules()
        # What the engine makes for its first statement is made once, too.
        worker.checked("SELECT 1", (), connection=worker._CONNECTION)
        from ocelog.sandbox.bootstrap import main
    elif sys.argv[2] == "completion":
        from ocelog.cli import completion, main
        from ocelog.cli.app import build

        # A shell is answered without what the commands work with.
        sys.meta_path.insert(0, completion._StandIns())
        build(None, whole=True)
        import_module("ocelog.app.completion")
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
        _read_schemas()
        _read_rules()
        _run_some()
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
