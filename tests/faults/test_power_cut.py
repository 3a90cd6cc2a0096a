"""Power cuts at every sync: what a commit names is on disk before the commit, so nothing that landed is ever lost."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from msgspec.structs import replace

from bookkeeping.records import planned, slice_of
from lakeside.things import SCHEMAS, row, rows
from ocelog.lake.lake import KEY_COLUMNS, FileLake
from ocelog.lake.read.scan import RowFilter
from ocelog.lake.upkeep.cleaning import clean
from ocelog.lake.write.publish import Publisher
from ocelog.ledger.database.clocks import our_clock
from ocelog.ledger.ledger import Ledger
from ocelog.model import Checkpoint, Slice
from ocelog.pull.ports import Landed, Landing
from powercut import Disk, PowerCut

TABLE = "wiz_issues"


@dataclass(slots=True)
class Home:
    """A home whose ledger vouches for known rows."""

    path: Path
    vouched: list[str] = field(default_factory=list)
    """Ids of the rows whose landing was committed."""
    slice_: Slice | None = None
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def ledger(self) -> Ledger:
        return Ledger.open(f"sqlite:///{self.path / 'ledger.db'}", durable=False)

    def land(self, ledger: Ledger, names: list[str]) -> None:
        """Land rows as the puller does: file first, then the transaction that vouches for them."""
        if self.slice_ is None:
            planned(ledger, slice_of())
            self.slice_ = ledger.pulling.take("one", now=our_clock())
        assert self.slice_ is not None
        number = next(self.numbers)
        lake = FileLake(self.path, ledger.lake, SCHEMAS)
        part = lake.write(
            TABLE, f"{self.slice_.id}-{self.slice_.fence}-{number}", rows([row(name, number) for name in names])
        )
        to = replace(self.slice_, checkpoint=Checkpoint(after=str(number)))
        landing = Landing(
            claim=self.slice_.claim,
            source_id=self.slice_.source_id,
            log_type=self.slice_.log_type,
            to=to,
            table=TABLE,
            part=part,
            page_min_us=None,
            page_max_us=None,
            loaded_through=0,
            loaded=frozenset(),
        )
        assert isinstance(ledger.pulling.land(landing), Landed)
        self.slice_ = to
        self.vouched += names

    def shown(self, ledger: Ledger) -> list[str]:
        """Return the ids that a reader sees, from parts and table together."""
        lake = FileLake(self.path, ledger.lake, SCHEMAS)
        view = lake.snapshots.take(TABLE)
        return [name for found in lake._rows(view, RowFilter(), KEY_COLUMNS) for name in found["id"].to_pylist()]


def land_twice(home: Home, ledger: Ledger) -> None:
    home.land(ledger, ["a", "b"])
    home.land(ledger, ["c"])


def publish(home: Home, ledger: Ledger) -> None:
    Publisher(home.path, ledger.lake, SCHEMAS).publish(TABLE)


def publish_twice(home: Home, ledger: Ledger) -> None:
    publish(home, ledger)
    home.land(ledger, ["d", "e"])
    publish(home, ledger)


def publish_and_clean(home: Home, ledger: Ledger) -> None:
    publish(home, ledger)
    clean(home.path, TABLE, ledger.lake, grace=timedelta(0))


SCENARIOS: dict[str, tuple[list[str], Callable[[Home, Ledger], None]]] = {
    "landing": ([], land_twice),
    "publishing": (["a", "b"], publish),
    "publishing again": (["a", "b"], publish_twice),
    "cleaning": (["a", "b"], publish_and_clean),
}
"""What landed before, and what happens when the power goes."""


def prepared(folder: Path, landed: list[str]) -> Home:
    home = Home(folder / "home")
    home.path.mkdir()
    ledger = home.ledger()
    if landed:
        home.land(ledger, landed)
    ledger.close()
    return home


def survives(home: Home, disk: Disk, do: Callable[[Home, Ledger], None]) -> bool:
    """Do it until the power goes, and look at what is left; True: it went before the end."""
    ledger, went = home.ledger(), False
    try:
        with disk.recorded():
            do(home, ledger)
    except PowerCut:
        went = True
    ledger.close()
    disk.cut()
    reopened = home.ledger()
    try:
        assert sorted(home.shown(reopened)) == sorted(home.vouched)
        # And life goes on.
        home.land(reopened, ["later"])
        Publisher(home.path, reopened.lake, SCHEMAS).publish(TABLE)
        assert sorted(home.shown(reopened)) == sorted(home.vouched)
        assert reopened.lake.unpublished(TABLE)[0] == 0
    finally:
        reopened.close()
    return went


@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_that_landed_is_lost_wherever_the_power_goes(name: str, tmp_path: Path) -> None:
    landed, do = SCENARIOS[name]
    for step in count(1):
        folder = tmp_path / str(step)
        folder.mkdir()
        home = prepared(folder, landed)
        disk = Disk(home.path)
        disk.cut_before = step
        if not survives(home, disk, do):
            break
        shutil.rmtree(folder)
    assert step > 2, "nothing was ever synced"


def test_the_disk_of_these_tests_loses_what_was_not_synced(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").write_text("old")
    (folder / "removed").write_text("removed")
    disk = Disk(folder)
    with disk.recorded():
        (folder / "unsynced").write_text("x")
        (folder / "nameless").write_text("y")
        with (folder / "nameless").open("r+") as file:
            __import__("os").fsync(file.fileno())
        (folder / "removed").unlink()
        (folder / "old").write_text("old and new")
    disk.cut()
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"old": "old", "removed": "removed"}
