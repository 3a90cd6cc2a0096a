"""What holds for every test: no network but loopback, no settings but its own, and in CI the same chance each time."""

import atexit
import gc
import ipaddress
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from itertools import count, groupby
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog

from commands.forks import collect_seldom
from commands.sandboxed import fork_children
from commands.statements import compile_once
from drawn import examples

hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.register_profile("quick", deadline=None, max_examples=examples(100))
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
# Whether a test turns red is all that `make break` asks: making its example small would take minutes.
_AT_ONCE = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
hypothesis.settings.register_profile("break", deadline=None, derandomize=True, database=None, phases=_AT_ONCE)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "here"))

_MEMORY = Path("/dev/shm")
_ROOM = 8 * 1024**3


def pytest_configure(config: pytest.Config) -> None:
    """Keep what tests write in memory if there is room: they wait for a disk some ten thousand times."""
    if "TMPDIR" in os.environ or config.option.basetemp or not os.access(_MEMORY, os.W_OK | os.X_OK):
        return
    may_run = not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC
    if may_run and shutil.disk_usage(_MEMORY).free > _ROOM:
        os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)


def _say_no_more() -> None:
    """Send nowhere what DuckDB's binding prints as its process ends: which of its functions Python has not freed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


_WORKER = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw")) if "PYTEST_XDIST_WORKER" in os.environ else None
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))

if _WORKER is not None:
    # As early as this, it comes last; what pytest has to say it has said by then.
    atexit.register(_say_no_more)

FOREIGN_SETTINGS = ("OCELOG_", "COLUMNS", "LINES", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_")


@pytest.fixture(scope="session")
def no_homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return paths of which none is there: each test has one of its own, and a folder only once it writes there."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in count())


@pytest.fixture(scope="session", autouse=True)
def no_foreign_settings() -> Iterator[None]:
    """Keep the settings of whoever runs the tests out."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.upper().startswith(FOREIGN_SETTINGS):
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, no_homes: Iterator[Path]) -> None:
    """Keep each test out of the home of whoever runs it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(next(no_homes)))


@pytest.fixture(scope="session", autouse=True)
def forked_children() -> Iterator[None]:
    """Have sandboxed children forked."""
    with pytest.MonkeyPatch.context() as patch:
        if sys.platform == "linux":
            fork_children(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def rule_files_at_rest() -> Iterator[None]:
    """Have commands take rule files that a test has just written for whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ocelog.app.rule_folders.folder_reading._AT_REST", 0.0)
        yield


@pytest.fixture
def whole_processes(monkeypatch: pytest.MonkeyPatch, forked_children: None) -> None:  # noqa: ARG001 - it comes first
    """Begin the commands and the sandboxed children that a marked test is about, instead of forking them."""
    monkeypatch.setattr("ocelog.sandbox.child.subprocess", subprocess)


@pytest.fixture(scope="session", autouse=True)
def statements_compiled_once() -> None:
    """Have SQLAlchemy compile each statement once for all ledgers."""
    compile_once()


@pytest.fixture(scope="session", autouse=True)
def plain_tracebacks() -> None:
    """Log exceptions as Python prints them: structlog's default draws every local variable, for many seconds each."""
    *others, _ = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*others, plain])


@pytest.fixture(scope="session", autouse=True)
def loopback_only() -> Iterator[None]:
    """Refuse every connection that leaves this machine, wherever in the code under test it is made."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise AssertionError(f"A test asked for {address}: tests talk to this machine only.")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the collector of garbage still while tests are read: nearly all that is made then stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Let the collector of garbage look only at what tests make: what is imported by now stays to the end."""
    collect_seldom()


def pytest_unconfigure() -> None:
    """Let it look at everything again: some libraries complain of what is left at the end."""
    gc.unfreeze()


_SLOWEST_FIRST = ("browser", "e2e", "faults", "house", "contract", "golden", "unit")


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Run slow kinds of tests first, so that no worker still has a long one when the others are done.

    And give marked tests the fixture of that name: whoever asked each test for its mark would do it for thousands.
    """
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("whole_processes") is not None:
            item.fixturenames.insert(0, "whole_processes")
    # Before others sort them, too, so that what comes of it is the same in whatever order the files were read.
    items.sort(key=lambda item: (_SLOWEST_FIRST.index(item.path.parent.name), item.path))
    yield
    items.sort(key=lambda item: _SLOWEST_FIRST.index(item.path.parent.name))
    items[:] = _dealt(items, _WORKERS)


def _dealt(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Return `items` in such an order that each worker begins with slow kinds, a file whole if it may be.

    xdist hands them out in even pieces: in their own order one worker would have all of a browser, another all of the
    quick ones, and steal slow ones in the end.
    """
    room = [len(items) // workers + (worker >= workers - len(items) % workers) for worker in range(workers)]
    hands: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for _, found in groupby(items, key=lambda item: item if item.path.parent.name == "browser" else item.path):
        left = list(found)
        while left:
            most = max(range(workers), key=lambda worker: room[worker] - len(hands[worker]))
            free = room[most] - len(hands[most])
            hands[most] += left[:free]
            left = left[free:]
    return [item for hand in hands for item in hand]


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Have each worker begin with other files of a folder: what one has compiled, the others need not."""
    report = yield
    if isinstance(collector, pytest.Directory) and _WORKER is not None:
        first = len(report.result) * _WORKER // _WORKERS
        report.result = report.result[first:] + report.result[:first]
    return report
