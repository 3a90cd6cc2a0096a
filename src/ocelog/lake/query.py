"""How an SQL question over the lake is answered."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pyarrow as pa

from ocelog.errors import HomeError, LakeUnavailableError, QueryError
from ocelog.lake.engine import Limits, Run
from ocelog.lake.nearest import explained
from ocelog.lake.ports import LakeLedger
from ocelog.lake.sql import ALL_LOGS, CURRENT, all_logs_view, current_view, log_tables, view_of_files
from ocelog.lake.statement import Statement, checked
from ocelog.lake.temporary import temporary_directory
from ocelog.lake.upkeep import GRACE
from ocelog.lake.view import View, Views

__all__ = ["Answer", "Limits", "Queries"]

MAX_TIMEOUT = GRACE - timedelta(minutes=1)
"""A part's file may go `GRACE` after it was published: no query may still be reading it then."""
_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The rows of an answer, computed while they are read."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    count: Callable[[], int]
    """Says how many rows there are without computing them all; after it `batches` yields no more."""
    tables: frozenset[str]
    """Tables and views of the lake that the question reads."""


class Queries:
    """Answers questions over the tables of one home."""

    def __init__(self, home: Path, ledger: LakeLedger, schemas: Mapping[str, pa.Schema]) -> None:
        self._home = home
        self._schemas = schemas
        self._views = Views(home, ledger)

    @property
    def names(self) -> list[str]:
        """Every table and view, in the order in which they are shown."""
        logs = log_tables(self._schemas)
        rest = [table for table in self._schemas if table not in logs]
        return [*(name for table in logs for name in (table, table + CURRENT)), ALL_LOGS, *rest]

    @contextmanager
    def run(self, sql: str, *, limits: Limits | None = None) -> Iterator[Answer]:
        """Answer `sql`, one statement that only reads; its rows are computed within the block, and the time limit.

        Raises QueryError where the question is wrong or takes too much, LakeUnavailableError where files went away
        under it; so does reading the rows.
        """
        limits = limits or Limits()
        if not timedelta(0) < limits.timeout <= MAX_TIMEOUT:
            raise QueryError(f"The time limit must be more than 0 s and at most {MAX_TIMEOUT.total_seconds():g} s.")
        statement = checked(sql)
        wanted = self._wanted(statement)
        with temporary_directory(self._home) as temporary:
            run, reader = self._begin(statement, wanted, limits, temporary)
            try:
                yield Answer(
                    schema=reader.schema, batches=run.batches(reader), count=run.count, tables=frozenset(wanted)
                )
            finally:
                run.close()

    def _wanted(self, statement: Statement) -> list[str]:
        """Return the names that the statement reads; all of them, where it does not say."""
        return [name for name in self.names if statement.tables is None or name in statement.tables]

    def _begin(
        self, statement: Statement, wanted: list[str], limits: Limits, temporary: Path
    ) -> tuple[Run, pa.RecordBatchReader]:
        """Begin on a view of the lake; where a file goes away before the engine has it, on a newer one."""
        for left in reversed(range(_TRIES)):
            views = {table: self._views.take(table) for table in self._tables(wanted)}
            files = {table: self._files(view) for table, view in views.items()}
            run = Run(
                limits=limits,
                files=[path for paths in files.values() for path in paths],
                explain=lambda text: explained(text, self.names, *self._columns(wanted)),
                temporary=temporary,
            )
            try:
                return run, run.begin(self._sql(files, wanted), statement.sql)
            except LakeUnavailableError:
                run.close()
                if not left:
                    _refuse_lost(files)
                    raise
            except BaseException:
                run.close()
                raise
        raise AssertionError

    def _tables(self, wanted: list[str]) -> list[str]:
        """Return the tables below the wanted names."""
        if ALL_LOGS in wanted:
            return [*log_tables(self._schemas), *(table for table in self._schemas if table in wanted)]
        return [table for table in self._schemas if table in wanted or table + CURRENT in wanted]

    def _sql(self, files: Mapping[str, list[str]], wanted: list[str]) -> dict[str, str]:
        found = {table: view_of_files(self._schemas[table], paths) for table, paths in files.items()}
        for name in (name for name in wanted if name.endswith(CURRENT)):
            table = name.removesuffix(CURRENT)
            found[name] = current_view(self._schemas[table], files[table])
        if ALL_LOGS in wanted:
            found[ALL_LOGS] = all_logs_view(self._schemas)
        return found

    def _files(self, view: View) -> list[str]:
        return [*(file.path for file in view.files), *(str(self._home / part.path) for part in view.parts)]

    def _columns(self, wanted: list[str]) -> tuple[set[str], set[str]]:
        """Return the columns of the wanted tables (of all, where there are none), and the fields inside of them."""
        schemas = [self._schemas[table] for table in self._tables(wanted)] or list(self._schemas.values())
        columns = [column for schema in schemas for column in schema]
        return {column.name for column in columns}, {name for column in columns for name in _fields(column.type)}


def _fields(kind: pa.DataType) -> Iterator[str]:
    while pa.types.is_list(kind):
        kind = kind.value_type
    if pa.types.is_struct(kind):
        for field in kind:
            yield field.name
            yield from _fields(field.type)


def _refuse_lost(files: Mapping[str, list[str]]) -> None:
    """Raise HomeError for a file that view after view has named, and that is not there."""
    for path in (path for paths in files.values() for path in paths):
        if not Path(path).exists():
            raise HomeError(f"{path} is missing, which the lake names: restore lake and ledger from one backup.")
