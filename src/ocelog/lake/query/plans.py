"""Whether statements could run, told by the engine in a child that has every table and view, all of them empty."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
from msgspec import Struct

from ocelog.errors import QueryError
from ocelog.lake.query.engine import Guards, Limits, Run
from ocelog.lake.read.current import CURRENT, current_view
from ocelog.lake.read.saved_views import SavedView
from ocelog.lake.read.sql import all_logs_view, create_view, log_tables, view_of_files
from ocelog.model import ALL_LOGS

_LIMITS = Limits(timeout=timedelta(seconds=10), memory_mb=512, temp_mb=0)
"""Of planning one statement: nothing is computed."""
_MOST_STATEMENTS, _MOST_BYTES = 100, 250_000
"""Of one message to the child. A statement that is longer goes alone."""


class Planned(Struct, frozen=True, kw_only=True):
    """What came of one statement."""

    tables: frozenset[str] = frozenset()
    """Tables and views that it reads."""
    error: QueryError | None = None
    """Why it could not run."""
    is_lasting: bool = True
    """Whether the same would come of it again: not if the child ended over it."""


@dataclass(slots=True, kw_only=True)
class Plans:
    """Plans statements, many at a time; the next child takes over from one that was lost."""

    schemas: Mapping[str, pa.Schema]
    extras: Mapping[str, pa.Schema]
    saved: Mapping[str, SavedView]
    _temporary: Path
    _run: Run | None = field(default=None, init=False)

    @property
    def names(self) -> list[str]:
        """Every table and view."""
        current = [table + CURRENT for table in log_tables(self.schemas)]
        return [*self.schemas, *current, ALL_LOGS, *self.extras, *self.saved]

    def plan(self, statements: Iterable[str]) -> Iterator[Planned]:
        """Yield of each of `statements`, in their order, what it reads or why it could not run."""
        for several in _messages(statements):
            left, was_lost = several, False
            while left:
                asked = left[:1] if was_lost else left
                before = len(left)
                for found in self._planned(asked):
                    left = left[1:]
                    yield found
                was_lost = was_lost or before - len(left) < len(asked)

    def _planned(self, several: list[str]) -> Iterator[Planned]:
        """Yield what came of those of `several` that one child got to; of one alone that a new child ended over, that.

        Any of several may be what it ended over, or what a child had planned before them.
        """
        names = self.names
        macros = [each.name for each in self.saved.values() if each.argument is not None]
        is_new, done = self._run is None or self._run.is_over, 0
        try:
            if self._run is None or is_new:
                self.close()
                self._run = self._begun()
            for found in self._run.plan(several, names, macros):
                done += 1
                if isinstance(found, QueryError):
                    yield Planned(error=found)
                else:
                    yield Planned(tables=frozenset(names) if found.tables is None else found.tables)
        except QueryError as error:
            if is_new and len(several) == 1:
                yield Planned(error=error, is_lasting=False)
        finally:
            if done < len(several):
                # What it would still answer is of no use any more.
                self.close()

    def columns(self, tables: frozenset[str]) -> list[str]:
        """Return the names of the columns of some tables."""
        return [name for table in tables for name in self._schema(table).names]

    def close(self) -> None:
        """End the child."""
        if self._run is not None:
            self._run.close()
            self._run = None

    def _schema(self, table: str) -> pa.Schema:
        if (view := self.saved.get(table)) is not None:
            return view.columns()
        name = table.removesuffix(CURRENT)
        return self.schemas.get(name) or self.extras.get(name) or pa.schema([])

    def _begun(self) -> Run:
        run = Run(limits=_LIMITS, folders=[], temporary=self._temporary, guards=Guards())
        nothing = "SELECT 1"
        try:
            run.check(nothing, [], [])
            extras = {name: (each, ()) for name, each in self.extras.items()}
            schema = run.begin([], self._views(), nothing, extras=extras)
            # One connection has one open answer.
            _ = list(run.batches(schema))
        except BaseException:
            run.close()
            raise
        return run

    def _views(self) -> list[str]:
        found = [create_view(table, view_of_files(schema, [])) for table, schema in self.schemas.items()]
        found += [
            create_view(table + CURRENT, current_view(self.schemas[table], [])) for table in log_tables(self.schemas)
        ]
        found.append(create_view(ALL_LOGS, all_logs_view(self.schemas)))
        return found + [statement for each in self.saved.values() for statement in each.create()]


def _messages(statements: Iterable[str]) -> Iterator[list[str]]:
    """Put together what goes to the child at once."""
    several, size = list[str](), 0
    for sql in statements:
        more = len(json.dumps(sql))
        if several and (len(several) == _MOST_STATEMENTS or size + more > _MOST_BYTES):
            yield several
            several, size = [], 0
        several.append(sql)
        size += more
    if several:
        yield several


@contextmanager
def planning(
    schemas: Mapping[str, pa.Schema], extras: Mapping[str, pa.Schema], saved: Mapping[str, SavedView]
) -> Iterator[Plans]:
    """Plan statements within the block; no home is needed."""
    with TemporaryDirectory(prefix="ocelog-plans-") as folder:
        plans = Plans(schemas=schemas, extras=extras, saved=saved, _temporary=Path(folder))
        try:
            yield plans
        finally:
            plans.close()
