"""How an SQL query over the lake is answered."""

import os
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pyarrow as pa
from msgspec import Struct

from ocelog.errors import HomeError, LakeDamagedError, LakeUnavailableError, QueryError, SandboxError
from ocelog.lake.catalog.columns import with_table_columns
from ocelog.lake.ports import LakeLedger
from ocelog.lake.query.clock import AsOf
from ocelog.lake.query.engine import Guards, Limits, Reads, Run, Stop
from ocelog.lake.read.current import CURRENT, current_view
from ocelog.lake.read.saved_views import SavedView
from ocelog.lake.read.snapshot import GRACE, Snapshot, Snapshots
from ocelog.lake.read.sql import all_logs_view, create_view, log_tables, view_of_files
from ocelog.lake.storage.checksums import damaged
from ocelog.lake.storage.scratch import temporary_directory
from ocelog.lake.storage.verified import VerifiedFiles
from ocelog.languages.phrases import Phrase
from ocelog.model import ALL_LOGS

__all__ = ["Answer", "AsOf", "ExtraTable", "Guards", "Limits", "Queries", "Stop"]

MAX_TIMEOUT = GRACE - timedelta(minutes=1)
"""A part's file may go `GRACE` after it was published: no query may still be reading it then."""
_TRIES = 3


class Answer(Struct, frozen=True, kw_only=True):
    """The rows of an answer, computed while they are read."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    count: Callable[[], int]
    """Says how many rows there are without computing them all; after it `batches` yields no more."""
    tables: frozenset[str]
    """Tables and views of the lake that the query reads, those too that such a view is made of."""
    missing: tuple[str, ...] = ()
    """What `all_logs` lacks: for each table that cannot be read, why."""


class ExtraTable(Struct, frozen=True, kw_only=True):
    """A table that is not in the lake, such as one of the ledger: its rows are copied into each query on it."""

    schema: pa.Schema
    rows: Callable[[Collection[str]], Iterator[pa.RecordBatch]]
    """Yields them, some at a time, with these of their columns at least. A query may end before it has them all."""


class Schemas(Protocol):
    """The columns of tables by name. Those of a table are asked for only if a query reads it."""

    def __iter__(self) -> Iterator[str]:
        """Go through the names of the tables."""
        ...

    def __getitem__(self, table: str, /) -> pa.Schema:
        """Return the columns of a table."""
        ...


@dataclass(slots=True, kw_only=True)
class _RunningStatement:
    """A statement that is being answered."""

    run: Run
    schema: pa.Schema
    wanted: Sequence[str]
    missing: Mapping[str, str]
    """Why `all_logs` lacks a table."""


class Queries:
    """Answers queries over the tables of one home, each in a process of its own that can reach nothing else."""

    def __init__(
        self,
        home: Path,
        ledger: LakeLedger | Callable[[], LakeLedger],
        schemas: Schemas,
        extras: Mapping[str, ExtraTable] | None = None,
        *,
        guards: Guards | None = None,
        saved: Mapping[str, SavedView] | None = None,
    ) -> None:
        self._home = home
        self._schemas = schemas
        self._extras = extras or {}
        self._saved = saved or {}
        self._snapshots = Snapshots(home, ledger)
        self._guards = guards or Guards()
        self._verified = VerifiedFiles(home)

    @property
    def names(self) -> list[str]:
        """Every table and view, each after those that it is made of."""
        logs = log_tables(self._schemas)
        rest = [table for table in self._schemas if table not in logs]
        tables = [*(name for table in logs for name in (table, table + CURRENT)), ALL_LOGS, *rest]
        return [*tables, *self._extras, *self._saved]

    @contextmanager
    def run(
        self,
        sql: str,
        *,
        limits: Limits | None = None,
        trusted: bool = False,
        at: AsOf | None = None,
        stop: Stop | None = None,
    ) -> Iterator[Answer]:
        """Answer `sql`, one statement that only reads; its rows are computed within the block, and the time limit.

        `stop` ends it from another thread, which is told as a QueryError with the code `query_cancelled`.

        With `at`, `now()` and the like say that instant, and what happened later is left out of each table of the lake.
        A query that reads other tables is refused then, with the code `query_only_now`: they say how things are now.

        Raises QueryError if the query is wrong or takes too much, LakeUnavailableError if files went away under it; so
        does reading the rows. Raises SandboxError if the kernel cannot keep the query's process in and this user is not
        the owner of the home, unless `sql` is `trusted`.
        """
        limits = limits or Limits()
        if not timedelta(0) < limits.timeout <= MAX_TIMEOUT:
            raise QueryError(
                Phrase(
                    "The time limit must be more than 0 s and at most %(total_seconds)s s.",
                    total_seconds=format(MAX_TIMEOUT.total_seconds(), "g"),
                )
            )
        with temporary_directory(self._home) as temporary:
            begun = self._begin(sql, limits, temporary, trusted=trusted, at=at, stop=stop)
            try:
                yield Answer(
                    schema=begun.schema,
                    batches=begun.run.batches(begun.schema),
                    count=begun.run.count,
                    tables=frozenset(begun.wanted),
                    missing=tuple(begun.missing.values()),
                )
            finally:
                begun.run.close()

    def _begin(
        self, sql: str, limits: Limits, temporary: Path, *, trusted: bool, at: AsOf | None, stop: Stop | None
    ) -> _RunningStatement:
        """Begin on a snapshot of the lake; if files go or folders come before the engine has it, on a newer one."""
        schemas = dict[str, pa.Schema]()
        for left in reversed(range(_TRIES)):
            folders = self._present_folders()
            run = Run(
                limits=limits,
                folders=folders,
                temporary=temporary,
                guards=self._guards,
                stop=stop,
            )
            files: dict[str, list[str]] = {}
            missing: dict[str, str] = {}
            try:
                self._refuse_unguarded(run, trusted=trusted)
                macros = [view.name for view in self._saved.values() if view.argument is not None]
                columns = sorted({name for each in self._extras.values() for name in each.schema.names})
                reads = run.check(sql, self.names, macros, columns, held=at is not None)
                read = reads.tables
                wanted = self.names if read is None else self._with_sources(read)
                if at is not None:
                    self._refuse_present(read, wanted)
                for table in self._tables(wanted):
                    schemas[table] = self._schemas[table]
                    try:
                        snapshot = self._snapshots.take(table)
                        files[table] = self._files(snapshot, last=not left)
                        schemas[table] = with_table_columns(
                            self._schemas[table], None if snapshot.state is None else snapshot.state.schema
                        )
                    except LakeDamagedError as error:
                        if table in wanted or table + CURRENT in wanted:
                            raise
                        files[table] = []
                        missing[table] = f"{ALL_LOGS} lacks the table {table}: {error}"
                self._refuse_new_folders(folders)
                paths = [path for listed in files.values() for path in listed]
                with ExitStack() as reading:
                    extras = {
                        name: (each.schema, reading.enter_context(closing(self._rows(each, name, reads))))
                        for name, each in self._extras.items()
                        if name in wanted
                    }
                    schema = run.begin(paths, self._sql(files, schemas, wanted, at), sql, extras=extras)
                return _RunningStatement(run=run, schema=schema, wanted=wanted, missing=missing)
            except LakeUnavailableError:
                run.close()
                if not left:
                    _refuse_lost(files)
                    raise
            except BaseException:
                run.close()
                raise
        raise AssertionError

    def _rows(self, extra: ExtraTable, name: str, reads: Reads) -> Generator[pa.RecordBatch]:
        """Yield the rows of a table that is not in the lake, with those columns that a statement reads."""
        saved = [view for view in self._saved.values() if reads.named is None or view.name in reads.named]
        below = any(name in view.reads(self.names) for view in saved)
        if not below and reads.named is not None and name not in reads.named:
            # The statement only lists its columns.
            return
        columns = reads.columns
        wanted = (
            extra.schema.names if below or columns is None else [each for each in extra.schema.names if each in columns]
        )
        yield from extra.rows(wanted)

    def _refuse_unguarded(self, run: Run, *, trusted: bool) -> None:
        if not run.layers.seccomp and not trusted and self._home.stat().st_uid != os.geteuid():
            raise SandboxError(
                Phrase(
                    "SQL on the home of another user is refused, since this kernel cannot confine it (SQL "
                    "sandbox: %(layers)s). Run it as the owner, or add --unsafe if you trust the SQL.",
                    layers=run.layers,
                )
            )

    def _refuse_present(self, read: Collection[str] | None, wanted: Collection[str]) -> None:
        """Raise QueryError for a query that reads what is known of the present only."""
        present = ["information_schema"] if read is None else [name for name in self._extras if name in wanted]
        if present:
            raise QueryError(
                Phrase(
                    "It cannot be asked about the past: %(present)s say how things are now, not how they were then. "
                    "Ask it as of now: ocelog query",
                    present=Phrase("%(first)s and %(second)s", first=" and ".join(present[:-1]), second=present[-1]),
                )
                if present[1:]
                else Phrase(
                    "It cannot be asked about the past: %(present)s says how things are now, not how they were then. "
                    "Ask it as of now: ocelog query",
                    present=present[0],
                ),
                code="query_only_now",
            )

    def _folders(self) -> list[str]:
        return [str(self._home / "landing"), str(self._home / "lake" / "warehouse")]

    def _present_folders(self) -> list[str]:
        return [folder for folder in self._folders() if Path(folder).exists()]

    def _refuse_new_folders(self, known: list[str]) -> None:
        """Raise LakeUnavailableError if there are more folders now than the query's process was locked in with."""
        if self._present_folders() != known:
            raise LakeUnavailableError(Phrase("The lake's first files appeared while it was read. Run it again."))

    def _with_sources(self, read: Collection[str]) -> list[str]:
        """Return the names that are read and what they are made of, each after its own sources."""
        below = {source for name in read if name in self._saved for source in self._saved[name].reads(self.names)}
        return [name for name in self.names if name in read or name in below]

    def _tables(self, wanted: Sequence[str]) -> list[str]:
        """Return the tables below the wanted names."""
        if ALL_LOGS in wanted:
            return [*log_tables(self._schemas), *(table for table in self._schemas if table in wanted)]
        return [table for table in self._schemas if table in wanted or table + CURRENT in wanted]

    def _sql(
        self,
        files: Mapping[str, list[str]],
        schemas: Mapping[str, pa.Schema],
        wanted: list[str],
        at: AsOf | None,
    ) -> list[str]:
        where = {table: None if at is None else at.condition(schemas[table].names) for table in files}
        found = [] if at is None else at.held_clock()
        found += [
            create_view(table, view_of_files(schemas[table], paths, where=where[table]))
            for table, paths in files.items()
            if table in wanted or ALL_LOGS in wanted
        ]
        for name in (name for name in wanted if name.endswith(CURRENT)):
            table = name.removesuffix(CURRENT)
            found.append(create_view(name, current_view(schemas[table], files[table], where=where[table])))
        if ALL_LOGS in wanted:
            found.append(
                create_view(ALL_LOGS, all_logs_view({name: self._schemas[name] for name in log_tables(self._schemas)}))
            )
        saved = (self._saved[name] for name in wanted if name in self._saved)
        return found + [statement for each in saved for statement in each.create()]

    def _files(self, snapshot: Snapshot, *, last: bool) -> list[str]:
        """Return the files of a snapshot, each found to hold what was written; in the `last` one none may be gone.

        Raises HomeError for one that lies elsewhere: the query could not open it.
        """
        found = [*(file.path for file in snapshot.files), *(str(self._home / part.path) for part in snapshot.parts)]
        inside = tuple(f"{folder}/" for folder in self._folders())
        for path in found:
            if not path.startswith(inside) and not os.path.realpath(path).startswith(
                tuple(f"{os.path.realpath(folder)}/" for folder in inside)
            ):
                raise HomeError(
                    Phrase(
                        "The table %(table)s holds the file %(path)s, which another engine wrote outside the "
                        "lake: have that engine write it again below %(value)s.",
                        table=snapshot.table,
                        path=path,
                        value=self._home / "lake" / "warehouse",
                    )
                )
        sizes = {file.path: file.bytes for file in snapshot.files}
        sizes |= {str(self._home / part.path): part.bytes for part in snapshot.parts}
        self._verified.check(sizes, may_be_gone=not last)
        return found


def _refuse_lost(files: Mapping[str, list[str]]) -> None:
    """Raise LakeDamagedError for a file that snapshot after snapshot has named, and that is not there."""
    for path in (path for paths in files.values() for path in paths):
        if not Path(path).exists():
            raise damaged(path, "is missing, although the lake names it")
