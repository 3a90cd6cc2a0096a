"""SQL on the lake and on what is known of it, as every face asks it."""

from collections.abc import Iterator
from contextlib import contextmanager

from ocelog.app.ledger_views import ledger_tables
from ocelog.app.log_types import table_schemas
from ocelog.installation.opening import Installation
from ocelog.lake.query.queries import Answer, Limits, Queries
from ocelog.lake.read.saved_views import saved_views

__all__ = ["Answer", "Limits", "ask"]


@contextmanager
def ask(
    installation: Installation, sql: str, *, limits: Limits | None = None, trusted: bool = False
) -> Iterator[Answer]:
    """Answer one SELECT on the tables of the lake, its views, and `streams` and `coverage`.

    `trusted` is SQL of ours, or SQL that its owner vouches for: it runs even if the kernel cannot keep it in. Raises
    what `Queries.run` does.
    """
    home, ledger = installation.home.path, lambda: installation.ledger.lake
    queries = Queries(home, ledger, table_schemas(), extras=ledger_tables(installation), saved=saved_views())
    with queries.run(sql, limits=limits, trusted=trusted) as answer:
        yield answer
