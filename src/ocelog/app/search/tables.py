"""What can be asked: every table and view, its columns, and how other engines read it."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from ocelog.app.log_types import table_schemas
from ocelog.app.search.ledger_views import MEANINGS, ledger_schemas
from ocelog.errors import ConfigError
from ocelog.installation.opening import Installation
from ocelog.lake.catalog.columns import with_table_columns
from ocelog.lake.catalog.state import TableStates
from ocelog.lake.read import engine_snippets
from ocelog.lake.read.current import CURRENT, current_sql
from ocelog.lake.read.engine_snippets import LakeInfo
from ocelog.lake.read.quoting import literal
from ocelog.lake.read.saved_views import saved_views
from ocelog.lake.read.sql import log_tables, sql_type
from ocelog.lake.read.views_file import views_folder
from ocelog.languages.phrases import Phrase
from ocelog.model import ALL_LOGS, REJECTIONS, RULE_MATCHES, table_name
from ocelog.schema.columns.table import standard_columns
from ocelog.schema.language.packaged import packaged_schemas
from ocelog.suggest import suggest

__all__ = ["LakeInfo", "check_table", "columns", "current_sql", "lake_info", "literal", "meanings", "sql_type"]


def meanings() -> dict[str, str]:
    """Return every table and view with what it holds."""
    found = dict[str, str]()
    for schema in packaged_schemas().values():
        table = table_name(schema.log_type)
        found[table] = schema.description or f"Every version of every record of {schema.log_type}."
        found[table + CURRENT] = f"The current state of each record of {schema.log_type}: one row per id."
    found |= {view.name: view.meaning for view in saved_views().values()}
    found[ALL_LOGS] = "The standard fields of every log type, to look for an address or a name in all of them."
    found[REJECTIONS] = "Records that do not fit their schema: at which path, why, and the record as it came."
    found[RULE_MATCHES] = "Events that rules matched; event_row_id is the event's p_row_id in its own table."
    return found | MEANINGS


def check_table(name: str, known: Iterable[str]) -> None:
    """Raise ConfigError with the nearest name if none of `known` tables is called `name`."""
    known = list(known)
    if name not in known:
        raise ConfigError(
            Phrase(
                "There is no table %(name)s%(name2)s",
                name=repr(name),
                name2=suggest(name, known) or Phrase(". See: ocelog tables"),
            )
        )


def columns(table: str, home: Path | None = None) -> list[pa.Field]:
    """Return the columns of a table or view; those too that another engine added to the table in `home`."""
    schemas = table_schemas()
    if table in saved_views():
        return list(saved_views()[table].columns())
    if table in MEANINGS:
        return list(ledger_schemas()[table])
    if table != ALL_LOGS:
        name = table.removesuffix(CURRENT)
        present = None if home is None else TableStates(home.resolve()).schema(name)
        return list(with_table_columns(schemas[name], present))
    return standard_columns(schemas[name] for name in log_tables(schemas))


def column_doc(column: pa.Field) -> str:
    """Return what a column holds, as its schema says."""
    found: bytes = (column.metadata or {}).get(b"doc", b"")
    return found.decode()


def lake_info(installation: Installation, table: str) -> LakeInfo:
    """Return where `table` is, what it holds, and how other engines read it. Raises ConfigError for a view."""
    if table in MEANINGS:
        raise ConfigError(
            Phrase(
                "%(table)s is made for each query of `ocelog query`: other engines do not have it.", table=repr(table)
            )
        )
    if table not in table_schemas():
        folder = literal(str(views_folder(installation.home.path)))
        raise ConfigError(
            Phrase(
                "%(table)s is a view. DuckDB has it by IMPORT DATABASE %(folder)s; other engines have "
                "only the tables. How to write a _current view there: docs/lake.md",
                table=repr(table),
                folder=folder,
            )
        )
    return engine_snippets.lake_info(installation.home.path, installation.ledger.lake, table)
