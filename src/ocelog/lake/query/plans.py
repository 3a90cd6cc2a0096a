"""Whether statements could run, told by the engine in a child that has every table and view, all of them empty."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from ocelog.lake.query.engine import Guards, Limits, Run
from ocelog.lake.read.current import CURRENT, current_view
from ocelog.lake.read.saved_views import SavedView
from ocelog.lake.read.sql import all_logs_view, create_view, log_tables, view_of_files
from ocelog.model import ALL_LOGS

_LIMITS = Limits(timeout=timedelta(seconds=10), memory_mb=512, temp_mb=0)
"""Of planning one statement: nothing is computed."""


@dataclass(slots=True, kw_only=True)
class Plans:
    """Plans one statement after the other; the next child takes over from one that was lost."""

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

    def plan(self, sql: str) -> frozenset[str]:
        """Return the tables and views that `sql` reads. Raises QueryError if it could not run."""
        if self._run is not None and self._run.is_over:
            self.close()
        run = self._run if self._run is not None else self._begun()
        macros = [each.name for each in self.saved.values() if each.argument is not None]
        tables = run.check(sql, self.names, macros).tables
        run.plan(sql)
        return frozenset(self.names) if tables is None else tables

    def columns(self, tables: frozenset[str]) -> list[str]:
        """Return the names of the columns of some tables."""
        known = {**self.schemas, **self.extras, **{name: view.columns() for name, view in self.saved.items()}}
        return [name for table in tables for name in known.get(table.removesuffix(CURRENT), pa.schema([])).names]

    def close(self) -> None:
        """End the child."""
        if self._run is not None:
            self._run.close()
            self._run = None

    def _begun(self) -> Run:
        run = self._run = Run(limits=_LIMITS, folders=[], temporary=self._temporary, guards=Guards())
        nothing = "SELECT 1"
        run.check(nothing, [], [])
        extras = {name: (each, ()) for name, each in self.extras.items()}
        schema = run.begin([], self._views(), nothing, extras=extras)
        # One connection has one open answer.
        _ = list(run.batches(schema))
        return run

    def _views(self) -> list[str]:
        found = [create_view(table, view_of_files(schema, [])) for table, schema in self.schemas.items()]
        found += [
            create_view(table + CURRENT, current_view(self.schemas[table], [])) for table in log_tables(self.schemas)
        ]
        found.append(create_view(ALL_LOGS, all_logs_view(self.schemas)))
        return found + [statement for each in self.saved.values() for statement in each.create()]


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
