"""SQL on the lake and on what is known of it, as every face asks it."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from ocelog.app.log_types import table_names, table_schemas
from ocelog.app.search.ledger_views import ledger_tables
from ocelog.installation.opening import Installation
from ocelog.lake.query.engine import REMOTE_ROW_BYTES, SPARES
from ocelog.lake.query.limits import MAX_LENGTH
from ocelog.lake.query.queries import Answer, AsOf, Limits, Queries, Stop
from ocelog.lake.read.saved_views import saved_views

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MAX_LENGTH", "REMOTE_ROW_BYTES", "SPARES", "Answer", "AsOf", "Limits", "Stop", "ask", "remarks"]


class _Schemas:
    """The columns of every table. The log schemas take a tenth of a short query, which may read no table."""

    def __iter__(self) -> Iterator[str]:
        return iter(table_names())

    def __getitem__(self, table: str, /) -> "pa.Schema":
        return self._read[table]

    @cached_property
    def _read(self) -> "dict[str, pa.Schema]":
        return table_schemas()


@contextmanager
def ask(
    installation: Installation,
    sql: str,
    *,
    limits: Limits | None = None,
    trusted: bool = False,
    at: AsOf | None = None,
    stop: Stop | None = None,
) -> Iterator[Answer]:
    """Answer one SELECT on the tables of the lake, its views, and `streams` and `coverage`.

    `trusted` is SQL of ours, or SQL that its owner vouches for: it runs even if the kernel cannot keep it in. With `at`
    it is answered as of then; `stop` ends it from another thread. Raises what `Queries.run` does.
    """
    home, ledger = installation.home.path, lambda: installation.ledger.lake
    queries = Queries(home, ledger, _Schemas(), extras=ledger_tables(installation), saved=saved_views())
    try:
        with queries.run(sql, limits=limits, trusted=trusted, at=at, stop=stop) as answer:
            yield answer
    finally:
        if stop is not None:
            # Whoever waits for an answer is likely to have another question.
            SPARES.want()


def remarks(installation: Installation, tables: Collection[str]) -> list[str]:
    """Return what whoever asks `tables` should know: which rows are lost, and which are not read yet."""
    if not tables:
        return []
    # The ledger takes half of the time that a short query takes.
    from ocelog.app.status.status import lost_lines, sweeps  # noqa: PLC0415 - see above

    lines = lost_lines(installation.ledger, tables)
    if not installation.ledger.sources.listed(removed=True):
        lines.append("There is no source yet. Add one: ocelog source add")
    if any(name.endswith("_current") for name in tables):
        lines += [
            f"{stream}: the first sweep has read {sweep}. Until it is done, its _current view lacks the rest."
            for stream, sweep in sweeps(installation.ledger).items()
        ]
    return lines
