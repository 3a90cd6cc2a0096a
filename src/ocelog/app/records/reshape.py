"""How values in p_extra get into columns that log schemas got later."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

from ocelog.app.log_types import table_schemas
from ocelog.app.other_tools import tables_change
from ocelog.errors import HomeError, OcelogError
from ocelog.installation.opening import Installation
from ocelog.lake.upkeep import reshape as lake_tables
from ocelog.lake.upkeep.reshape import ReshapeResult
from ocelog.model import table_name
from ocelog.schema.columns.refill import Refill
from ocelog.schema.language.packaged import packaged_schemas


def reshape_table(
    installation: Installation,
    table: str,
    *,
    dry_run: bool = False,
    told: Callable[[str, int, int], None] = lambda _, __, ___: None,
) -> ReshapeResult:
    """Refill the rows of one log table; see `ocelog.lake.upkeep.reshape.reshape`. Raises KeyError if it is none."""
    schemas = {table_name(name): schema for name, schema in packaged_schemas().items()}
    return lake_tables.reshape(
        installation.home.path,
        table,
        table_schemas()[table],
        Refill(schemas[table]),
        dry_run=dry_run,
        told=lambda done, of: told(table, done, of),
    )


def reshape_each(
    installation: Installation, tables: Sequence[str], *, dry_run: bool, told: Callable[[str, int, int], None]
) -> tuple[list[ReshapeResult], list[OcelogError]]:
    """Reshape tables one by one, one that cannot be read keeps no other from it.

    `told` hears of which table so many files were looked at, of how many.

    Return what was done, and what failed: first what needs attention.
    """
    done, failed = list[ReshapeResult](), list[OcelogError]()
    try:
        with nullcontext() if dry_run else tables_change(installation.home.path):
            for name in tables:
                try:
                    done.append(reshape_table(installation, name, dry_run=dry_run, told=told))
                except OcelogError as error:
                    failed.append(error)
    except OcelogError as error:
        failed.append(error)
    failed.sort(key=lambda error: not isinstance(error, HomeError))
    return done, failed


def reshapable_tables() -> list[str]:
    """Return the tables that have a log schema."""
    return [table_name(name) for name in packaged_schemas()]
