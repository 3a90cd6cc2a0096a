"""What lookup tables add to an event: rows in `p_enrichment`, by table and by the path whose value was looked up."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from ocelog.detect.checkout import Checkout
from ocelog.detect.paths import Path, parse_path

ENRICHMENT = "p_enrichment"
_MOST_ROWS = 100
"""An event may hold very many values at one path."""


class Selector(Struct, frozen=True, kw_only=True):
    """A path of a log type, and the table in which its values are looked up."""

    table: str
    name: str
    """What rules call it: the path from the event on, as `event.udm_path()` says it, too."""
    path: Path
    rows: Mapping[str, Any]


def selectors(checkout: Checkout, log_type: str | None) -> tuple[Selector, ...]:
    """Return what is looked up in each event of `log_type`."""
    found: list[Selector] = []
    for table in checkout.tables.values():
        rows = checkout.rows.get(table.name)
        if log_type is None or rows is None or isinstance(rows, str):
            continue
        found += [
            Selector(table=table.name, name=path.removeprefix("$."), path=parse_path(path), rows=rows)
            for path in table.selectors.get(log_type, ())
        ]
    return tuple(found)


def enriched(data: dict[str, Any], wanted: tuple[Selector, ...]) -> dict[str, Any]:
    """Return `data` with the rows that `wanted` finds; what it says in `p_enrichment` by itself goes before them."""
    added: dict[str, dict[str, Any]] = {}
    for selector in wanted:
        rows = _rows(selector, data)
        if rows:
            added.setdefault(selector.table, {})[selector.name] = rows[0] if len(rows) == 1 else rows
    if not added:
        return data
    given = data.get(ENRICHMENT)
    return {**data, ENRICHMENT: {**added, **given} if isinstance(given, dict) else added}


def _rows(selector: Selector, data: dict[str, Any]) -> list[dict[str, Any]]:
    values = [each for value in selector.path(data) for each in (value if isinstance(value, list) else [value])]
    keys = dict.fromkeys(str(value) for value in values if isinstance(value, str | int | float))
    found = [(key, selector.rows.get(key)) for key in list(keys)[:_MOST_ROWS]]
    return [{**row, "p_match": key} for key, row in found if row is not None]
