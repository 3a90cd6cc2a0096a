"""Publishing under crashes, rivals and foreign commits: every row exactly once, at every instant, for every reader."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog

from lakeside.ledger import MemoryLedger
from lakeside.things import SCHEMAS, row, rows
from ocelog.errors import LakeUnavailableError
from ocelog.lake.catalog import file_io
from ocelog.lake.catalog.iceberg import opened_catalog
from ocelog.lake.catalog.state import TableStates
from ocelog.lake.lake import KEY_COLUMNS, FileLake
from ocelog.lake.query.queries import Queries
from ocelog.lake.read.scan import RowFilter
from ocelog.lake.read.snapshot import Snapshot
from ocelog.lake.upkeep import cleaning, compaction
from ocelog.lake.upkeep.cleaning import clean
from ocelog.lake.upkeep.maintenance import Maintenance
from ocelog.lake.write import append, datafiles, parts
from ocelog.lake.write.publish import Publisher

TABLE = "wiz_issues"
SEAMS: list[tuple[Any, str]] = [
    (file_io, "write_new"),
    (file_io, "sync_directory"),
    (parts, "write_new"),
    (parts, "sync_directory"),
    (datafiles, "sync_directory"),
    (datafiles.DataFiles, "append"),
    (datafiles.DataFiles, "finish"),
    (datafiles.DataFiles, "abandon"),
    (append, "commit"),
    (compaction, "commit"),
    (compaction, "sorted_rows"),
    (append, "open_table"),
    (SqlCatalog, "commit_table"),
    (cleaning, "discard"),
    (MemoryLedger, "parts"),
    (MemoryLedger, "published"),
    (MemoryLedger, "removable"),
    (MemoryLedger, "forget"),
    (MemoryLedger, "landing_state"),
]
"""Around each of these something durable changes, or something is looked at that may change."""


class Crash(BaseException):
    """The process is gone at this instruction."""


@dataclass(slots=True)
class World:
    """A home with one ledger, whose every row is known."""

    home: Path
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    expected: list[str] = field(default_factory=list)
    reader: FileLake = field(init=False)
    at_step: dict[int, Callable[[], None]] = field(default_factory=dict)
    made: int = 0
    step: int = 0
    watched: bool = True
    """Readers look at each step."""
    changes: list[int] | None = None
    """If a list, each step before which something durable has changed since the step before."""
    _before: str = ""
    _quiet: bool = False
    _held: tuple[Snapshot, list[str]] | None = None

    def __post_init__(self) -> None:
        self.reader = FileLake(self.home, self.ledger, SCHEMAS)

    def land(self, count: int) -> None:
        """Land a part of new rows."""
        self.made += 1
        number = self.made
        names = [f"{number}.{n}" for n in range(count)]
        part = FileLake(self.home, self.ledger, SCHEMAS).write(
            TABLE, f"1-1-{number}", rows([row(name, 30_000 * n) for n, name in enumerate(names)])
        )
        self.ledger.land(part)
        self.expected += names

    def publish(self) -> None:
        """Publish everything, in a process that has just begun."""
        publisher = Publisher(self.home, self.ledger, SCHEMAS)
        publisher.reconcile()
        publisher.publish(TABLE)

    def clean(self) -> None:
        """Remove what is published, without any grace: readers must cope."""
        clean(self.home, TABLE, self.ledger, grace=timedelta(0))

    def tend(self) -> None:
        """Make the table's files few, in a process that has just begun."""
        Maintenance(self.home, self.ledger, SCHEMAS, grace=timedelta(0)).tend_whole(TABLE)

    def foreign_commit(self) -> None:
        """Let another engine append a row."""
        if TableStates(self.home).location(TABLE) is None:
            return
        name = f"foreign {len(self.expected)}"
        with opened_catalog(self.home) as catalog:
            catalog.load_table(("ocelog", TABLE)).append(rows([row(name, 1)]))
        self.expected.append(name)

    def seam(self) -> None:
        """Look, and let happen what was drawn for this step."""
        if self._quiet:
            return
        with self.quiet():
            self.step += 1
            if self.watched:
                self.look()
            if self.changes is not None and (now := self._durable()) != self._before:
                self.changes.append(self.step)
                self._before = now
            self.at_step.pop(self.step, lambda: None)()

    def _durable(self) -> str:
        """Return a hash of all that a process which dies now leaves."""
        left = sha256(self.ledger.content())
        for path in sorted(self.home.rglob("*")):
            left.update(f"{path}\n".encode())
            if path.is_file():
                left.update(path.read_bytes())
        return left.hexdigest()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Do something between two steps, without steps of its own."""
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False

    def look(self) -> None:
        """Read as a puller does: with what it remembers, from nothing, and from a snapshot taken a step ago."""
        for lake in (self.reader, FileLake(self.home, self.ledger, SCHEMAS)):
            found = lake.load(TABLE, "s1", since_us=0, until_us=None)
            assert sorted(found.known.ids) == sorted(self.expected), f"at step {self.step}"
        wanted = self.expected[::3]
        known = self.reader.load(TABLE, "s1", since_us=0, until_us=None, ids=wanted).known
        assert sorted(known.ids) == sorted(wanted)
        if self._held is not None:
            self._read_late(*self._held)
        self._held = (self.reader.snapshots.take(TABLE), list(self.expected))

    def _read_late(self, snapshot: Snapshot, expected: list[str]) -> None:
        try:
            found = [
                one for table in self.reader._rows(snapshot, RowFilter(), KEY_COLUMNS) for one in table.to_pylist()
            ]
        except LakeUnavailableError:
            return
        assert sorted(one["id"] for one in found) == sorted(expected)


@contextmanager
def seams(world: World) -> Iterator[None]:
    """Stop before and after everything durable."""
    with pytest.MonkeyPatch.context() as patched:
        for owner, name in SEAMS:
            patched.setattr(owner, name, _stopping(world, getattr(owner, name)))
        yield


def _stopping(world: World, call: Callable[..., Any]) -> Callable[..., Any]:
    def stopping(*args: Any, **named: Any) -> Any:
        world.seam()
        result = call(*args, **named)
        world.seam()
        return result

    return stopping


def crash() -> None:
    raise Crash


ACTIONS = st.sampled_from(["land", "land", "publish", "publish", "clean", "tend"])
EVENTS = st.sampled_from(["crash", "crash", "rival", "foreign", "land", "tend"])


@pytest.mark.slow
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    script=st.lists(
        st.tuples(ACTIONS, st.lists(st.tuples(st.integers(1, 60), EVENTS), max_size=2)), min_size=2, max_size=7
    )
)
def test_every_row_is_there_once_whatever_happens(script: list[tuple[str, list[tuple[int, str]]]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory))
        world.land(3)
        happen = {
            "crash": crash,
            "rival": world.publish,
            "tend": world.tend,
            "foreign": world.foreign_commit,
            "land": lambda: world.land(1),
        }
        for action, events in script:
            world.at_step = {world.step + after: happen[event] for after, event in events}
            try:
                with seams(world):
                    {
                        "land": lambda: world.land(2),
                        "publish": world.publish,
                        "clean": world.clean,
                        "tend": world.tend,
                    }[action]()
            except (Crash, LakeUnavailableError):
                world.look()
        world.at_step = {}
        world.publish()
        world.clean()
        world.look()
        assert TableStates(world.home).mark(TABLE) == (world.ledger.id, world.ledger.counter(TABLE))
        assert world.ledger.parts(TABLE) == []
        with opened_catalog(world.home) as catalog:
            found = catalog.load_table(("ocelog", TABLE)).scan().to_arrow().column("id").to_pylist()
        assert sorted(found) == sorted(world.expected)
        with Queries(world.home, world.ledger, SCHEMAS).run(f"SELECT id FROM {TABLE}") as answer:  # noqa: S608
            asked = [name for batch in answer.batches for name in batch.column("id").to_pylist()]
        assert sorted(asked) == sorted(world.expected)


def each_death(
    folder: Path, prepare: Callable[[World], None], work: Callable[[World], None], *, least: int
) -> Iterator[World]:
    """Yield one world after the other in which `work` has died, each time after another durable change.

    All are at the same place, as `prepare` has left the first. A death before the next change leaves the same.
    """
    home, kept = folder / "home", folder / "kept"
    home.mkdir()
    first = World(home)
    prepare(first)
    copytree(home, kept)

    def again(**more: Any) -> World:
        rmtree(home)
        copytree(kept, home)
        return World(
            home, ledger=first.ledger.copy(), expected=[*first.expected], made=first.made, watched=False, **more
        )

    whole = again(changes=[])
    with seams(whole):
        work(whole)
    assert whole.changes is not None
    for step in whole.changes:
        world = again(at_step={step: crash})
        with suppress(Crash), seams(world):
            work(world)
            raise AssertionError("it went another way than the first time")
        yield world
    assert len(whole.changes) >= least, "fewer steps change anything: are the seams still where they should be?"


@pytest.mark.slow
def test_a_publish_that_dies_at_each_step_in_turn_loses_and_doubles_nothing(tmp_path: Path) -> None:
    def prepare(world: World) -> None:
        world.land(2)
        world.publish()
        world.land(3)

    def work(world: World) -> None:
        world.publish()
        world.clean()

    for world in each_death(tmp_path, prepare, work, least=12):
        world.look()
        work(world)
        world.look()
        assert world.ledger.parts(TABLE) == []
        assert list((world.home / "landing" / TABLE).iterdir()) == []


@pytest.mark.slow
def test_upkeep_that_dies_at_each_step_in_turn_loses_and_doubles_nothing(tmp_path: Path) -> None:
    def prepare(world: World) -> None:
        for _ in range(2):
            world.land(2)
            world.publish()

    for world in each_death(tmp_path, prepare, World.tend, least=20):
        world.look()
        assert TableStates(world.home).mark(TABLE) == (world.ledger.id, 2)
        world.tend()
        world.look()
        world.land(1)
        world.publish()
        world.look()
