"""What a child of the sandbox can and cannot do, tried from inside of it, with each layer alone and with none."""

import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ocelog.errors import SandboxError
from ocelog.sandbox import child as children
from ocelog.sandbox.child import Bounds, Child, Spec
from ocelog.sandbox.kernel import Layers, landlock_version, offered, seccomp_supported

BOUNDS = Bounds(memory_bytes=1 << 30, cpu_seconds=30, wall_seconds=60, scratch_bytes=10_000_000)
EVERY = Layers(landlock=7, seccomp=True)
DEBIAN_12 = Layers(landlock=2, seccomp=True)
ONLY_SECCOMP = Layers(landlock=0, seccomp=True)
ONLY_LANDLOCK = Layers(landlock=7, seccomp=False)
NONE = Layers(landlock=0, seccomp=False)
X86 = platform.machine() == "x86_64"

pytestmark = [
    pytest.mark.whole_processes,
    pytest.mark.skipif(
        landlock_version() < 7 or not seccomp_supported(), reason="this kernel offers less than what is tested here"
    ),
]


class Jail:
    """A jailed interpreter, what it was given, and what it must not touch."""

    def __init__(self, folder: Path, only: Layers, target: int) -> None:
        self.scratch, self.given = folder / "scratch", folder / "given"
        self.secret, self.outside = folder / "secret", folder / "outside"
        for each in (self.given, self.secret, self.outside):
            each.write_text("as it was")
            each.chmod(0o644)
        self.scratch.mkdir()
        self.target = target
        spec = Spec(
            entry="jailed.probe",
            packages=("jailed",),
            bounds=BOUNDS,
            read=(str(self.given),),
            scratch=str(self.scratch),
        )
        self.child = Child(spec=spec, only=only)
        assert self.child.layers == only

    def __call__(self, source: str) -> Any:
        """Run Python in there: return its `value`, or the error as a text."""
        places = {name: str(getattr(self, name)) for name in ("given", "secret", "outside", "scratch")}
        self.child.send("do", source.format(**places, target=self.target, parent=os.getpid()).encode())
        found = json.loads(self.child.receive(time.monotonic() + 30).payload)
        return found["error"] if "error" in found else found["value"]


@pytest.fixture
def target() -> Iterator[int]:
    """Start a process of this user's that the jailed one has no business with."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    yield process.pid
    assert process.poll() is None, "the other process was ended"
    process.kill()
    process.wait()


@pytest.fixture
def jail(tmp_path: Path, target: int) -> Iterator[Callable[[Layers], Jail]]:
    made = list[Jail]()

    def make(only: Layers) -> Jail:
        made.append(Jail(tmp_path, only, target))
        return made[-1]

    yield make
    for each in made:
        each.child.close()


# Each is harmless to this machine where it succeeds, and leaves `value` behind.
REACHING = {
    "connects": "socket.socket(); value = 'done'",
    "pairs sockets": "socket.socketpair(); value = 'done'",
    "signals": "os.kill({target}, 0); value = 'done'",
    "signals a thread": f"call({234 if X86 else 131}, {{target}}, {{target}}, 0); value = 'done'",
    "queues a signal": (
        f"call({129 if X86 else 138}, {{target}}, 0, struct.pack('iii116x', 0, 0, -1)); value = 'done'"
    ),
    "opens a process": "os.pidfd_open({target}); value = 'done'",
    "changes its limits": "resource.prlimit({target}, resource.RLIMIT_CORE, (0, 0)); value = 'done'",
    "changes its order": "os.setpriority(os.PRIO_PROCESS, {target}, 5); value = 'done'",
    "pins it": "os.sched_setaffinity({target}, [0]); value = 'done'",
    "traces it": f"call({101 if X86 else 117}, 0x4206, {{target}}, 0, 0); value = 'done'",
    "reads its memory": f"call({310 if X86 else 270}, {{target}}, None, 0, None, 0, 0); value = 'done'",
    "has a pipe send signals": ("left, right = os.pipe(); fcntl.fcntl(left, fcntl.F_SETOWN, {target}); value = 'done'"),
    "chooses the signal that a pipe sends": "left, right = os.pipe(); fcntl.fcntl(left, 10, 9); value = 'done'",
    "forks": "pid = os.fork()\nif pid == 0: os._exit(0)\nos.waitpid(pid, 0); value = 'done'",
    "starts a program": "value = subprocess.run(['/bin/true']).returncode or 'done'",
    "replaces itself": "os.execv('/nowhere', ['x'])",
    "makes a ring": "call(425, 1, ctypes.create_string_buffer(120)); value = 'done'",
    "shares memory": f"call({29 if X86 else 194}, 0, 4096, 0o1600); value = 'done'",
    "outlives its parent": f"call({157 if X86 else 167}, 1, 0, 0, 0, 0); value = 'done'",
    "changes a mode": "os.chmod('{outside}', 0o777); value = 'done'",
    "changes the mode of an open file": "os.fchmod(os.open('{given}', os.O_RDONLY), 0o777); value = 'done'",
    "changes times": "os.utime('{outside}', (0, 0)); value = 'done'",
    "changes an owner": "os.chown('{outside}', -1, -1); value = 'done'",
    "sets an attribute": "os.setxattr('{outside}', 'user.x', b'x'); value = 'done'",
    "cuts a file": "os.truncate('{outside}', 1); value = 'done'",
    "cuts a file that it opens to read": "os.open('{given}', os.O_RDONLY | os.O_TRUNC); value = 'done'",
    "cuts a file that it opens for nothing": "os.open('{given}', 3 | os.O_TRUNC); value = 'done'",
}
WRITING = {
    "writes a file that it may read": "os.open('{given}', os.O_WRONLY); value = 'done'",
    "appends": "os.open('{given}', os.O_RDWR | os.O_APPEND); value = 'done'",
    "writes elsewhere": "os.open('{outside}', os.O_WRONLY | os.O_TRUNC); value = 'done'",
    "makes a file": "os.open('{outside}.new', os.O_RDONLY | os.O_CREAT); value = 'done'",
    "makes a nameless file": "os.open('/tmp', os.O_TMPFILE | os.O_RDWR); value = 'done'",
    "deletes": "os.unlink('{outside}'); value = 'done'",
    "deletes what it may read": "os.unlink('{given}'); value = 'done'",
    "moves": "os.rename('{outside}', '{outside}.moved'); value = 'done'",
    "moves into scratch": "os.rename('{outside}', '{scratch}/x'); value = 'done'",
    "links": "os.link('{outside}', '{outside}.linked'); value = 'done'",
    "links to": "os.symlink('/etc/passwd', '{outside}.linked'); value = 'done'",
    "makes a folder": "os.mkdir('{outside}.folder'); value = 'done'",
}
READING = {
    "reads the secret": "value = Path('{secret}').read_text()",
    "reads the passwords": "value = Path('/etc/passwd').read_text()",
    "lists a folder": "value = os.listdir('/etc')",
    "reads the parent's environment": "value = len(Path('/proc/{parent}/environ').read_bytes())",
    "reads the parent's memory": "value = len(os.listdir('/proc/{parent}/fd'))",
    "reads what it imported": "value = Path(os.__file__).read_text()",
}
REFUSED = ("EPERM", "EACCES", "ENOTTY", "ENOSYS", "EXDEV", "PermissionError")


def refused(found: Any) -> bool:
    return str(found).startswith(REFUSED)


def unchanged(jail: Jail) -> bool:
    folder = jail.outside.parent
    return (
        {each.name for each in folder.iterdir()} == {"given", "secret", "outside", "scratch"}
        and jail.outside.read_text() == jail.given.read_text() == "as it was"
        and jail.outside.stat().st_mode & 0o777 == 0o644
        and jail.outside.stat().st_mtime > 1_000_000
    )


@pytest.mark.parametrize("only", [EVERY, DEBIAN_12, ONLY_SECCOMP], ids=str)
def test_seccomp_keeps_a_child_from_everything_but_files(jail: Callable[[Layers], Jail], only: Layers) -> None:
    inside = jail(only)
    assert {name: found for name, do in REACHING.items() if not refused(found := inside(do))} == {}
    assert unchanged(inside)


@pytest.mark.parametrize("only", [EVERY, DEBIAN_12, ONLY_SECCOMP, ONLY_LANDLOCK], ids=str)
def test_either_layer_keeps_a_child_from_writing(jail: Callable[[Layers], Jail], only: Layers) -> None:
    inside = jail(only)
    assert {name: found for name, do in WRITING.items() if not refused(found := inside(do))} == {}
    assert unchanged(inside)


@pytest.mark.parametrize("only", [EVERY, DEBIAN_12, ONLY_LANDLOCK], ids=str)
def test_landlock_keeps_a_child_from_reading_anything_else(jail: Callable[[Layers], Jail], only: Layers) -> None:
    inside = jail(only)
    assert inside("value = Path('{given}').read_text()") == "as it was"
    assert {name: found for name, do in READING.items() if not refused(found := inside(do))} == {}


def test_without_any_layer_all_of_that_is_possible(jail: Callable[[Layers], Jail]) -> None:
    # So that a test above that is green says something about the layer.
    inside = jail(NONE)
    tried = {name: inside(do) for name, do in {**READING, **REACHING, **WRITING}.items()}
    # Some containers refuse these by themselves; and where root runs the tests, the child has lost root's privileges.
    maybe = {"makes a ring", "traces it", "sets an attribute", "changes its order", "pins it", "reads its memory"}
    maybe |= {"reads the parent's environment", "reads the parent's memory"}
    failed = {name: found for name, found in tried.items() if refused(found)}
    assert set(failed) <= maybe, failed
    assert tried["replaces itself"] == "ENOENT"


@pytest.mark.parametrize("only", [EVERY, DEBIAN_12, ONLY_LANDLOCK], ids=str)
def test_a_child_writes_moves_and_deletes_in_its_scratch_folder(jail: Callable[[Layers], Jail], only: Layers) -> None:
    inside = jail(only)
    assert inside("Path('{scratch}/a').write_text('x' * 1000); os.rename('{scratch}/a', '{scratch}/b'); value = 1") == 1
    assert inside("os.ftruncate(os.open('{scratch}/b', os.O_RDWR), 10); value = os.stat('{scratch}/b').st_size") == 10
    assert inside("os.unlink('{scratch}/b'); value = os.listdir('{scratch}')") == []


def test_without_landlock_a_child_has_no_scratch_folder(jail: Callable[[Layers], Jail]) -> None:
    assert refused(jail(ONLY_SECCOMP)("Path('{scratch}/a').write_text('x')"))


def test_a_child_starts_threads_and_signals_itself(jail: Callable[[Layers], Jail]) -> None:
    inside = jail(EVERY)
    assert inside("t = threading.Thread(target=print); t.start(); t.join(); value = 'done'") == "done"
    assert inside("signal.signal(signal.SIGUSR1, lambda *_: None); signal.raise_signal(10); value = 'done'") == "done"


def test_a_child_inherits_neither_environment_nor_open_files(
    jail: Callable[[Layers], Jail], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OCELOG_KEY", "hunter2")
    held = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(held, True)
    try:
        inside = jail(EVERY)
        assert "hunter2" not in inside("value = repr(dict(os.environ))")
        found = inside("value = [n for n in range(3, 512) if not (lambda: os.fstat(n))() is None]")
        assert found == "EBADF" or len(found) <= 2
        assert inside("value = os.environ.get('PATH')") is None
        source = "value = []\nfor n in range(3, 512):\n  try: os.fstat(n); value.append(n)\n  except OSError: pass"
        assert len(inside(source)) == 2, "more than the two pipes"
    finally:
        os.close(held)


def test_the_memory_of_a_child_is_bounded(jail: Callable[[Layers], Jail]) -> None:
    assert "MemoryError" in jail(EVERY)("value = len(bytearray(3 << 30))")


def test_no_memory_of_a_child_is_beyond_its_bound(jail: Callable[[Layers], Jail]) -> None:
    inside = jail(EVERY)
    assert inside("value = mmap.mmap(-1, 64 << 20)[:1]") == "EPERM"
    assert inside("value = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)[0]") == 0


def test_what_a_child_writes_is_bounded(jail: Callable[[Layers], Jail]) -> None:
    inside = jail(EVERY)
    assert inside("Path('{scratch}/a').write_bytes(bytes(11_000_000)); value = 1") == "EFBIG"
    # Many files, each small enough, end the process.
    source = "for n in range(8): Path('{scratch}/%d' % n).write_bytes(b'x' * 9_000_000)\ntime.sleep(30)"
    with pytest.raises(EOFError):
        inside(source)


@pytest.mark.slow
def test_a_child_ends_by_itself_when_its_time_is_up() -> None:
    bounds = Bounds(memory_bytes=1 << 30, cpu_seconds=30, wall_seconds=1)
    inside = Child(spec=Spec(entry="jailed.probe", packages=("jailed",), bounds=bounds))
    assert inside.layers == EVERY
    inside.send("do", b"time.sleep(100)")
    with pytest.raises(EOFError):
        inside.receive(time.monotonic() + 20)
    inside._process.wait()
    assert inside.exit_code == -signal.SIGALRM
    inside.close()


@pytest.mark.slow
def test_a_child_ends_when_it_has_used_up_its_processor_time() -> None:
    bounds = Bounds(memory_bytes=1 << 30, cpu_seconds=1, wall_seconds=60)
    inside = Child(spec=Spec(entry="jailed.probe", packages=("jailed",), bounds=bounds))
    inside.send("do", b"while True: pass")
    with pytest.raises(EOFError):
        inside.receive(time.monotonic() + 30)
    inside._process.wait()
    assert inside.exit_code in {-signal.SIGXCPU, -signal.SIGKILL}
    inside.close()


def test_a_child_opens_no_more_files_than_it_may(jail: Callable[[Layers], Jail]) -> None:
    inside = jail(EVERY)
    assert inside("value = len([os.dup(0) for _ in range(200)])") == 200
    assert inside("value = len([os.dup(0) for _ in range(100)])") == "EMFILE"


def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from ocelog.sandbox.child import Bounds, Child, Spec\n"
        "bounds = Bounds(memory_bytes=1 << 30, cpu_seconds=30, wall_seconds=60)\n"
        "child = Child(spec=Spec(entry='jailed.probe', packages=('jailed',), bounds=bounds))\n"
        "assert child.layers\n"
        "child.send('do', b'while True: pass')\n"
        "print(child._process.pid, flush=True); time.sleep(60)"
    )
    tests = str(Path(__file__).resolve().parents[1])
    parent = subprocess.Popen([sys.executable, "-c", script, tests], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert Path(f"/proc/{pid}/cmdline").exists()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while _runs(pid):
        assert time.monotonic() < deadline, "the child is still there"
        os.sched_yield()


def _runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_child_is_the_first_to_go_when_memory_runs_out(jail: Callable[[Layers], Jail]) -> None:
    inside = jail(EVERY)
    assert Path(f"/proc/{inside.child._process.pid}/oom_score_adj").read_text().strip() == "1000"


def test_an_answer_that_is_no_frame_or_too_long_is_refused(jail: Callable[[Layers], Jail]) -> None:
    inside = jail(EVERY)
    inside.child.send("do", b"os.write(4, b'x' * 100)")
    with pytest.raises(ValueError, match="frame"):
        inside.child.receive(time.monotonic() + 20)


def test_a_folder_with_secrets_below_what_a_child_may_read_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for read in (str(tmp_path), str(home)):
        spec = Spec(entry=None, bounds=BOUNDS, read=(read,), keep_out=(str(home),))
        with pytest.raises(SandboxError, match="would be able to read all of"):
            Child(spec=spec)
    file = home / "data"
    file.write_text("x")
    Child(spec=Spec(entry=None, bounds=BOUNDS, read=(str(file),), keep_out=(str(home),))).close()


def test_a_child_that_may_load_libraries_later_can(tmp_path: Path) -> None:
    spec = Spec(entry="jailed.probe", packages=("jailed",), bounds=BOUNDS, libraries=True, keep_out=(str(tmp_path),))
    inside = Child(spec=spec)
    try:
        inside.send("do", b"import sqlite3, zoneinfo; value = str(zoneinfo.ZoneInfo('Europe/Berlin'))")
        assert json.loads(inside.receive(time.monotonic() + 20).payload) == {"value": "Europe/Berlin"}
    finally:
        inside.close()


LOOKS = {
    "stat": "os.stat({path!r})",
    "lstat": "os.lstat({path!r})",
    "access": "value = os.access({path!r}, os.F_OK)",
    "readlink": "os.readlink({path!r})",
    "open": "os.open({path!r}, os.O_RDONLY)",
    "open for nothing": "os.open({path!r}, os.O_PATH)",
    "folder": "os.open({path!r}, os.O_RDONLY | os.O_DIRECTORY)",
    "list": "os.listdir({path!r})",
    "file system": "os.statvfs({path!r})",
    "attribute": "os.getxattr({path!r}, 'user.x')",
    "attributes": "os.listxattr({path!r}, follow_symlinks=False)",
    "change to": "os.chdir({path!r})",
    "run": "os.execv({path!r}, ['x'])",
    "move": "os.rename({path!r}, '/nowhere')",
    "stat without a folder": "os.stat({path!r}.lstrip('/'))",
    "stat beside a folder": "os.stat('../../../../../../../../..' + {path!r}, dir_fd=os.open({given!r}, os.O_PATH))",
    "stat by a link": "os.stat({given!r} + '/out' + {path!r})",
    "stat by a link of its name": "os.stat({given!r} + '/' + os.path.basename({path!r}) + '.link')",
    "stat by way of it": "os.stat({path!r} + '/..' * {path!r}.count('/') + {given!r})",
    "stat by the process": "os.stat('/proc/self/root' + {path!r})",
    "stat that may be empty": "call({newfstatat}, -100, {path!r}.encode(), ctypes.create_string_buffer(200), 0x1000)",
    "statx": "call({statx}, -100, {path!r}.encode(), 0, 0xFFF, ctypes.create_string_buffer(400))",
}
"""Ways to look whether a file is there."""


@pytest.mark.parametrize("landlock", [7, 0])
def test_a_child_from_which_files_are_hidden_cannot_tell_them_from_none(tmp_path: Path, landlock: int) -> None:
    given, outside = tmp_path / "given", tmp_path / "outside"
    given.mkdir()
    (given / "file").write_text("four")
    (given / "out").symlink_to("/")
    outside.mkdir()
    for each in ("file", "none"):
        (given / each).with_suffix(".link").symlink_to(outside / each)
    (outside / "file").write_text("x")
    (outside / "folder").mkdir()
    numbers = {"newfstatat": 262 if X86 else 79, "statx": 332 if X86 else 291}
    spec = Spec(
        entry="jailed.probe",
        packages=("jailed",),
        bounds=BOUNDS,
        read=(str(given),),
        libraries=True,
        threads=False,
        hides=True,
    )
    inside = Child(spec=spec, only=Layers(landlock=landlock, seccomp=True, paths=True))

    def do(source: str) -> Any:
        inside.send("do", source.encode())
        return json.loads(inside.receive(time.monotonic() + 20).payload)

    try:
        assert inside.layers.paths
        for name, look in LOOKS.items():
            found = {
                json.dumps(do(look.format(path=str(outside / each), given=str(given), **numbers)))
                for each in ("file", "folder", "none", "none/none")
            }
            assert len(found) == 1, f"{name}: {found}"
            assert found.isdisjoint({'{"value": true}', '{"value": null}'}), f"{name}: {found}"
        for folder in ("/", str(tmp_path), "/etc/.."):
            assert do(f"os.stat({folder!r})") == do(f"os.listdir({folder!r})") == {"error": "ENOENT"}
        # What it may read it finds as ever, and what is not there it does not find.
        assert do(f"value = os.stat('{given}/../given/file').st_size") == {"value": 4}
        assert do(f"value = open('{given}/file').read()") == {"value": "four"}
        assert do(f"at = os.open('{given}', os.O_RDONLY); value = os.stat('file', dir_fd=at).st_size") == {"value": 4}
        assert do(f"value = os.access('{given}/none', os.F_OK)") == {"value": False}
        assert do(f"os.stat('{given}/file/x')") == {"error": "ENOTDIR"}
        assert do("os.stat('x' * 9000)") == {"error": "ENAMETOOLONG"}
        assert do(f"call({numbers['statx']}, -100, 8, 0, 0, 0)") == {"error": "EFAULT"}
        assert do("import sqlite3, zoneinfo, xml.dom.minidom; value = str(zoneinfo.ZoneInfo('Europe/Berlin'))") == {
            "value": "Europe/Berlin"
        }
    finally:
        inside.close()


def test_a_child_whose_paths_cannot_be_seen_begins_without_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(children, "PathGuard", refuse)
    spec = Spec(entry="jailed.probe", packages=("jailed",), bounds=BOUNDS, threads=False, hides=True)
    inside = Child(spec=spec)
    try:
        assert inside.layers == EVERY
        inside.send("do", b"value = os.path.exists('/etc/passwd')")
        assert json.loads(inside.receive(time.monotonic() + 20).payload) == {"value": True}
    finally:
        inside.close()


def test_a_child_that_looks_without_end_is_given_up_in_time() -> None:
    spec = Spec(entry="jailed.probe", packages=("jailed",), bounds=BOUNDS, threads=False, hides=True)
    inside = Child(spec=spec)
    try:
        inside.send("do", b"while True: os.path.exists('/etc/passwd')")
        with pytest.raises(TimeoutError):
            inside.receive(time.monotonic() + 0.5)
    finally:
        inside.close()
    assert inside.exit_code == -signal.SIGKILL


def test_a_worker_that_does_not_start_is_told() -> None:
    with pytest.raises(SandboxError, match="ended while it started"):
        _ = Child(spec=Spec(entry="jailed.nowhere", bounds=BOUNDS)).layers


def test_which_layers_there_are_is_found_by_trying() -> None:
    assert children.layers() == EVERY == offered()
    assert str(children.layers()) == "landlock (ABI 7), seccomp"
    assert str(children.layers(DEBIAN_12)) == "landlock (ABI 2), seccomp"
    assert str(children.layers(NONE)) == "none"


@pytest.mark.parametrize("only", [EVERY, DEBIAN_12, ONLY_SECCOMP], ids=str)
def test_a_child_with_a_network_connects_to_others_and_to_nothing_else(only: Layers, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as near:
        near.bind(str(tmp_path / "near"))
        near.listen()
        port = server.getsockname()[1]
        connect = (
            f"s = socket.create_connection(('localhost', {port}), timeout=20); s.sendall(b'hello'); value = 'done'"
        )
        refuses = {
            "unix": f"socket.socket(socket.AF_UNIX).connect({str(tmp_path / 'near')!r}); value = 'done'",
            "pair": "socket.socketpair(); value = 'done'",
            "server": "socket.create_server(('127.0.0.1', 0)); value = 'done'",
            "netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW); value = 'done'",
        }
        if only.landlock:
            refuses["shadow"] = "value = Path('/etc/shadow').read_text()"
        for network in (True, False):
            spec = Spec(entry="jailed.probe", packages=("jailed",), bounds=BOUNDS, network=network, libraries=True)
            inside = Child(spec=spec, only=only)
            try:
                found = {}
                for name, source in {"connect": connect, **refuses}.items():
                    inside.send("do", source.encode())
                    found[name] = json.loads(inside.receive(time.monotonic() + 30).payload)
            finally:
                inside.close()
            assert found.pop("connect") == {"value": "done"} or not network
            assert {name: told for name, told in found.items() if not refused(told.get("error"))} == {}
        with server.accept()[0] as first:
            assert first.recv(5) == b"hello"
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
