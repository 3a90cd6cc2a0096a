"""What a question probably meant by a name that is not there."""

import re
from collections.abc import Collection
from difflib import get_close_matches

from ocelog.errors import QueryError

_TABLE = re.compile(r"Table with name (?P<name>.+?) does not exist")
_COLUMN = re.compile(
    r'Referenced column "(?P<name>[^"]+)" not found|does not have a column named "(?P<of_table>[^"]+)"'
)


def explained(text: str, tables: Collection[str], columns: Collection[str]) -> QueryError | None:
    """Say which table or column was meant, where `text`, DuckDB's message, is about one that does not exist."""
    if (found := _TABLE.search(text)) is not None:
        name = found["name"].strip('"')
        return QueryError(f"There is no table {name}.{_hint(name, tables)} `ocelog tables` lists them.")
    if (found := _COLUMN.search(text)) is not None:
        name = found["name"] or found["of_table"]
        return QueryError(f"There is no column {name}.{_hint(name, columns)} `ocelog tables T` lists those of a table.")
    return None


def nearest(name: str, names: Collection[str]) -> str | None:
    """Return the name that is most like `name`, whatever its case; None where none is."""
    lower = {one.lower(): one for one in sorted(names)}
    found = get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    return lower[found[0]] if found else None


def _hint(name: str, names: Collection[str]) -> str:
    near = nearest(name, names)
    return f" Did you mean {near}?" if near else ""
