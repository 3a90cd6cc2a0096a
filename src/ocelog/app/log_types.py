"""Which log types there are, and what their tables look like."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from ocelog.errors import ConfigError
from ocelog.installation import config
from ocelog.languages.phrases import Phrase
from ocelog.model import REJECTIONS, RULE_MATCHES, Kind, table_name
from ocelog.secrets.secret import shown
from ocelog.sources.registry import SOURCES
from ocelog.suggest import suggest
from ocelog.units import list_phrase, per_table

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    import pyarrow as pa


def kinds() -> dict[str, Kind]:
    """Return every log type of every product by its full name."""
    return {name: kind for product in SOURCES.values() for name, kind in product.log_types.items()}


def changing() -> tuple[str, ...]:
    """Return the log types whose records change."""
    return tuple(name for name, kind in kinds().items() if kind.version_fields is not None)


def short_names(*, swept: bool = False) -> list[str]:
    """Return what people type for each log type, or for those that are swept."""
    return list(dict.fromkeys(kind.short for kind in kinds().values() if kind.sweep_by is not None or not swept))


def table_names() -> list[str]:
    """Return the name of every table."""
    return [*map(table_name, kinds()), REJECTIONS, RULE_MATCHES]


def retentions(text: str, home: "Path") -> "dict[str, timedelta]":
    """Read how long each table of `home` keeps its rows. Raises ConfigError, also for a table that does not exist."""
    found, tables = per_table(text), table_names()
    for table in found:
        if table not in tables:
            raise ConfigError(
                Phrase(
                    "%(origin)s: retention: there is no table %(table)s%(table2)s",
                    origin=config.origin("retention", home),
                    table=repr(table),
                    table2=suggest(table, tables) or Phrase(". See: ocelog tables"),
                )
            )
    return found


def table_schemas() -> "dict[str, pa.Schema]":
    """Return the columns of every table, with its traits."""
    # Arrow takes longer to import than `ocelog status` may take for all of its work.
    from ocelog.lake.ports import Traits, with_traits  # noqa: PLC0415 - see above
    from ocelog.schema.columns.table import MATCH_SCHEMA, REJECTION_SCHEMA, arrow_schema  # noqa: PLC0415 - see above
    from ocelog.schema.language.packaged import packaged_schemas  # noqa: PLC0415 - see above

    packaged, never_change = packaged_schemas(), Traits(partition="day", changes=False)
    tables = {
        table_name(name): with_traits(
            arrow_schema(packaged[name]),
            Traits(partition=kind.partition, changes=kind.version_fields is not None, closed=kind.closed_statuses),
        )
        for name, kind in kinds().items()
    }
    return {
        **tables,
        REJECTIONS: with_traits(REJECTION_SCHEMA, never_change),
        RULE_MATCHES: with_traits(MATCH_SCHEMA, never_change),
    }


def log_types(names: Collection[str]) -> list[str]:
    """Return the log types that short or full names mean, each once. Raises ConfigError with the nearest name."""
    known = kinds()
    found = list[str]()
    for name in names:
        meant = [full for full, kind in known.items() if name in (full, kind.short)]
        if not meant:
            nearest = suggest(name, [*known, *short_names()]) or "."
            raise ConfigError(
                Phrase(
                    "There is no log type %(name)s%(nearest)s Log types: %(short_names)s.",
                    name=shown(name),
                    nearest=nearest,
                    short_names=list_phrase(short_names()),
                )
            )
        found += meant
    return list(dict.fromkeys(found))
