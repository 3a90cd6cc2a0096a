"""What keeps a table small, file by file: called by a service after each publish, and by hand."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import disk_usage

import pyarrow as pa
from msgspec import Struct, field
from msgspec.structs import replace

from ocelog.errors import HomeError, LakeUnavailableError
from ocelog.lake.catalog.state import TableFile, TableState, TableStates
from ocelog.lake.ports import LakeLedger
from ocelog.lake.read.snapshot import GRACE
from ocelog.lake.storage.checksums import NOT_REGULAR, damage, damaged
from ocelog.lake.storage.disk import disk_errors
from ocelog.lake.upkeep.cleaning import clean
from ocelog.lake.upkeep.compaction import BUSY, QUIET, Policy, by_partition, groups, refusals, rewrite
from ocelog.lake.upkeep.leftovers import remove_leftovers
from ocelog.lake.upkeep.retention import expire_rows
from ocelog.times import has_passed
from ocelog.units import counted, write_size

_QUIET_AFTER = timedelta(days=1)
"""A partition to which nothing was added for so long is one that does not grow any more."""
_LOOK_AGAIN = timedelta(hours=1)
"""After the last look at a table that has not changed since."""
_EXPIRE_EVERY = timedelta(days=1)
_SPARE_BYTES = 200_000_000
"""Left free on the disk, beside ten times what is rewritten: sorting may need the disk too."""


class TableUpkeep(Struct, frozen=True, kw_only=True):
    """What one call did to a table, or would do."""

    table: str
    files_before: int = 0
    files_after: int | None = 0
    """None: not known before it is done, since rows go that are older than the retention."""
    rewritten: int | None = 0
    """Files whose rows are in others now; None: not known either."""
    rows_expired: int = 0
    """Rows that were older than the retention of the table."""
    not_expired: str | None = None
    """Why older rows are kept all the same; None: they are not."""
    parts_removed: int = 0
    leftovers_removed: int = 0
    left_alone: Mapping[str, str] = field(default_factory=dict)
    """Files that are not rewritten, and why."""


class Maintenance:
    """Keeps the tables of one home small. Safe beside whoever reads, publishes or commits, and killed anywhere."""

    def __init__(
        self,
        home: Path,
        ledger: LakeLedger,
        schemas: Mapping[str, pa.Schema],
        *,
        grace: timedelta = GRACE,
        retention: Mapping[str, timedelta] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`now` tells by which instant rows are too old; it raises HomeError while that is not known."""
        self._home = home
        self._ledger = ledger
        self._schemas = schemas
        self._grace = grace
        self._retention = retention or {}
        self._now = now
        self._states = TableStates(home)
        self._left_alone: dict[str, dict[str, str]] = {}
        self._looked: dict[str, tuple[str, float]] = {}

    def is_due(self, table: str) -> bool:
        """Tell whether it is time to look at `table`; if not, what was wrong at the last look may be so still."""
        return self._is_due(table, self._states.location(table))

    def _is_due(self, table: str, location: str | None) -> bool:
        last, at = self._looked.get(table, ("", 0.0))
        return last != location or time.monotonic() >= at + _LOOK_AGAIN.total_seconds()

    def tend(self, table: str) -> TableUpkeep:
        """Rewrite one group of small files of `table`, if it is time for that: a service calls this again and again.

        Once a day, rows go that are older than the retention of the table, unless our clock may be wrong.

        Raises LakeUnavailableError, also if others commit all the time, and HomeError; nothing is lost then.
        """
        with disk_errors(self._home):
            return self._tend(table)

    def _tend(self, table: str) -> TableUpkeep:
        location = self._states.location(table)
        if location is None or not self._is_due(table, location):
            return TableUpkeep(table=table)
        self._looked[table] = location, time.monotonic()
        expired, kept = self._expire_daily(table)
        done = self._rewrite_next(table, always=None)
        if done:
            del self._looked[table]
        return TableUpkeep(
            table=table,
            rewritten=done,
            rows_expired=expired,
            not_expired=kept,
            left_alone=self._left_alone.get(table, {}),
        )

    def tend_whole(
        self, table: str, *, dry_run: bool = False, told: Callable[[str], None] = lambda _: None
    ) -> TableUpkeep:
        """Do everything that there is to do for `table`, and `tell` what was done; with `dry_run` only say what.

        Raises LakeUnavailableError and HomeError; what was done until then stays done.
        """
        with disk_errors(self._home):
            return self._tend_whole(table, dry_run=dry_run, told=told)

    def _tend_whole(self, table: str, *, dry_run: bool, told: Callable[[str], None]) -> TableUpkeep:
        before = self._files(table)
        if dry_run:
            return self._planned(table, before)
        parts = clean(self._home, table, self._ledger, grace=self._grace)
        expired, kept = self._expire(table)
        if expired:
            told(f"{table}: {expired} rows were older than its retention")
        rewritten = 0
        while done := self._rewrite_next(table, always=QUIET):
            rewritten += done
        if rewritten:
            told(f"{table}: {counted(len(before), 'file')} became {len(self._files(table)):,}")
        return TableUpkeep(
            table=table,
            files_before=len(before),
            files_after=len(self._files(table)),
            rewritten=rewritten,
            rows_expired=expired,
            not_expired=kept,
            parts_removed=parts,
            leftovers_removed=remove_leftovers(self._home, table),
            left_alone=self._left_alone.get(table, {}),
        )

    def _planned(self, table: str, files: tuple[TableFile, ...]) -> TableUpkeep:
        state = self._states.state(table)
        left, alone, rewritten = list(files), dict[str, str](), 0
        while state is not None:
            # As it will be done: a file that is made by one step may be taken by the next.
            there = replace(state, files=tuple(file for file in left if file.path not in alone))
            group = next(iter(self._groups(there, always=QUIET)), None)
            if group is None:
                break
            if refused := refusals(state, [file for file in group if file in files]):
                alone |= refused
                continue
            rewritten += len(group)
            rows, size = sum(file.rows for file in group), sum(file.bytes for file in group)
            left = [file for file in left if file not in group]
            left.append(replace(group[0], path=f"{rewritten} rewritten", rows=rows, bytes=size))
        expired, kept = self._expire(table, dry_run=True)
        return TableUpkeep(
            table=table,
            files_before=len(files),
            files_after=None if expired else len(left),
            rewritten=None if expired else rewritten,
            rows_expired=expired,
            not_expired=kept,
            left_alone=alone,
        )

    def _expire_daily(self, table: str) -> tuple[int, str | None]:
        if table not in self._retention:
            return 0, None
        noted = _expired(self._home, table)
        if noted.exists() and not has_passed(_EXPIRE_EVERY, since=noted.stat().st_mtime, now=time.time()):
            return 0, None
        before = self._expiring_before(table)
        if isinstance(before, str):
            return 0, before
        # Before, so that what fails is tried again tomorrow, and not after each publish.
        noted.touch()
        return self._expire(table)

    def _expiring_before(self, table: str) -> datetime | str:
        """Return before which instant rows of `table` are too old, or why that is not known."""
        try:
            return self._now() - self._retention[table]
        except HomeError as error:
            return str(error)

    def _expire(self, table: str, *, dry_run: bool = False) -> tuple[int, str | None]:
        """Delete the rows of `table` that are older than its retention; return how many, or why they are kept."""
        state = self._states.state(table)
        if table not in self._retention or state is None:
            return 0, None
        before = self._expiring_before(table)
        if isinstance(before, str):
            return 0, before
        for file in state.files:
            # The engine would wait for ever for what a named pipe holds.
            if (what := damage(Path(file.path), content=False)) == NOT_REGULAR:
                raise damaged(file.path, what)
        expired = expire_rows(
            self._home,
            table,
            self._schemas[table],
            before=before,
            left_alone=refusals(state, state.files),
            dry_run=dry_run,
        )
        return expired, None

    def _files(self, table: str) -> tuple[TableFile, ...]:
        state = self._states.state(table)
        return () if state is None else state.files

    def _rewrite_next(self, table: str, *, always: Policy | None) -> int:
        """Rewrite the next group of files, and return how many they were; 0: there is none."""
        while (state := self._states.state(table)) is not None:
            group = next(iter(self._groups(state, always=always)), None)
            if group is None:
                return 0
            alone = self._left_alone.setdefault(table, {})
            if refused := refusals(state, group):
                alone |= refused
                continue
            size = sum(file.bytes for file in group)
            if disk_usage(self._home).free < _SPARE_BYTES + 10 * size:
                raise LakeUnavailableError(
                    f"{table}: the disk has too little room to rewrite {len(group)} small files of {write_size(size)}. "
                    "Nothing is lost, but queries get slower. Free some space."
                )
            try:
                rewrite(self._home, table, {file.path for file in group})
            except HomeError as error:
                alone |= {file.path: str(error) for file in group}
                continue
            return len(group)
        return 0

    def _groups(self, state: TableState, *, always: Policy | None) -> list[list[TableFile]]:
        alone = self._left_alone.get(state.table, {})
        found: list[list[TableFile]] = []
        for _, files in by_partition(file for file in state.files if file.path not in alone):
            policy = always or (QUIET if _is_quiet(files) else BUSY)
            found += groups(files, policy)
        return found


def expire_soon(home: Path, table: str) -> None:
    """Let rows of `table` that are older than its retention go at the next occasion, not only once a day."""
    with disk_errors(home):
        _expired(home, table).unlink(missing_ok=True)


def _expired(home: Path, table: str) -> Path:
    """Return the file whose date says when old rows last went."""
    return home / "lake" / f"{table}.expired"


def _is_quiet(files: list[TableFile]) -> bool:
    if len(files) < QUIET.least:
        return False
    try:
        newest = max(Path(file.path).stat().st_mtime for file in files)
    except OSError:
        return False
    return has_passed(_QUIET_AFTER, since=newest, now=time.time())
