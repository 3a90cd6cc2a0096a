"""Children that are begun before they are needed are locked in like all others, and none is left over."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ocelog.access import Role
from ocelog.app.search.queries import ask
from ocelog.console import serving
from ocelog.installation.making import make
from ocelog.installation.opening import opened
from ocelog.lake.query import engine
from ocelog.lake.query.queries import Stop
from ocelog.sandbox import spares as spare_children
from ocelog.sandbox.child import Bounds, Child, Spec, begin, end
from ocelog.sandbox.kernel import Layers, landlock_version, seccomp_supported
from ocelog.sandbox.spares import Spares
from visiting import console_of

BOUNDS = Bounds(memory_bytes=1 << 30, cpu_seconds=30, wall_seconds=60, scratch_bytes=10_000_000)
T = TypeVar("T")

pytestmark = [
    pytest.mark.whole_processes,
    pytest.mark.skipif(
        landlock_version() < 7 or not seccomp_supported(), reason="this kernel offers less than what is tested here"
    ),
]


def until(found: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + 30
    while (there := found()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return there


def noted(monkeypatch: pytest.MonkeyPatch) -> list["subprocess.Popen[bytes]"]:
    """Return the list of the spares that are begun from now on."""
    begun = list["subprocess.Popen[bytes]"]()

    def note(packages: Collection[str]) -> "subprocess.Popen[bytes]":
        begun.append(begin(packages))
        return begun[-1]

    monkeypatch.setattr(spare_children, "begin", note)
    return begun


@contextmanager
def wanted(**more: Any) -> Iterator[Spares]:
    spares = Spares(entry="jailed.probe", packages=("jailed",), **more)
    with spares.kept():
        spares.want()
        yield spares


def test_a_spare_is_locked_in_before_it_does_its_job(tmp_path: Path) -> None:
    given, secret = tmp_path / "given", tmp_path / "secret"
    for each in (given, secret):
        each.write_text("what is in it")
    spec = Spec(entry="jailed.probe", packages=("jailed",), bounds=BOUNDS, read=(str(given),))
    with wanted() as spares:
        spare = until(spares.take)
        child = Child(spec=spec, spare=lambda: spare)

        def does(source: str) -> Any:
            child.send("do", source.encode())
            return json.loads(child.receive(time.monotonic() + 30).payload)

        assert child.layers == Layers(landlock=7, seccomp=True)
        assert does("value = os.getpid()") == {"value": spare.pid}
        assert does(f"value = open({str(given)!r}).read()") == {"value": "what is in it"}
        assert "EACCES" in does(f"value = open({str(secret)!r}).read()")["error"]
        assert "EPERM" in does("value = os.fork()")["error"]
        child.close()
        assert spare.poll() == -signal.SIGKILL


def test_none_is_begun_before_it_is_wanted_and_none_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = noted(monkeypatch)
    spares = Spares(entry="jailed.probe", packages=("jailed",), most=2)
    spares.want()
    with spares.kept():
        assert (spares.take(), begun) == (None, [])
        spares.want()
        first, second = until(spares.take), until(spares.take)
        assert [first, second] == begun[:2]
        spares.want()
        ended = until(lambda: begun[2:] or None)[0]
        os.kill(ended.pid, signal.SIGKILL)
        ended.wait()
        # What ended meanwhile is handed to nobody.
        third = until(spares.take)
        assert third is not ended
        # Those that were taken are for their takers to end; the others go once nobody has wanted one for long.
        monkeypatch.setattr(spare_children, "_KEPT", 0.0)
        spares.want()
        others = [each for each in begun if each not in (first, second, third)]
        until(lambda: True if all(each.poll() is not None for each in others) else None)
        assert [each.poll() for each in (first, second, third)] == [None] * 3
    for each in begun:
        end(each)
    count = len(begun)
    spares.want()
    assert (spares.take(), len(begun)) == (None, count)


def test_a_spare_goes_before_its_parent_where_memory_runs_out() -> None:
    with wanted() as spares:
        spare = until(spares.take)
        until(lambda: True if Path(f"/proc/{spare.pid}/oom_score_adj").read_text() == "1000\n" else None)
        end(spare)


def test_those_that_are_there_end_with_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = noted(monkeypatch)
    with wanted(most=2):
        until(lambda: begun[1:] or None)
    assert [each.poll() for each in begun] == [-signal.SIGKILL] * 2


def test_whoever_waits_for_an_answer_finds_a_spare_for_the_next_question(tmp_path: Path) -> None:
    make(tmp_path / "home", ledger_url=None)
    with opened(tmp_path / "home") as installation, engine.SPARES.kept():

        def answers(stop: Stop | None) -> None:
            with ask(installation, "SELECT 42 AS found", stop=stop) as answer:
                assert [batch.to_pylist() for batch in answer.batches] == [[{"found": 42}]]

        answers(None)
        assert engine.SPARES.take() is None
        answers(Stop())
        end(until(engine.SPARES.take))
        answers(Stop())


@pytest.mark.parametrize("path", ["/search", "/search/sql"])
def test_a_page_of_search_has_spares_begun_while_the_browser_reads_it(tmp_path: Path, path: str) -> None:
    with console_of(tmp_path / "home") as console:
        how = serving.plan(console.installation.settings, serving.ServingOptions(listen="127.0.0.1:0"))
        assert how is not None
        with serving.served(console.installation, how, lambda: 0.0):
            assert console.as_(Role.VIEWER).get(path).status_code == 200
            end(until(engine.SPARES.take))
        assert engine.SPARES.take() is None
