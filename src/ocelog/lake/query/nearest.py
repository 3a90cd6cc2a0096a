"""What a question probably meant by a name that is not there."""

import re
from collections.abc import Collection
from difflib import get_close_matches

from ocelog.errors import QueryError

_TABLE = re.compile(r"Table with name (?P<name>.+?) does not exist")
_COLUMN = re.compile(
    r'Referenced column "(?P<name>[^"]+)" not found|does not have a column named "(?P<of_table>[^"]+)"'
)
_FIELD = re.compile(r'Could not find key "(?P<name>[^"]+)" in struct')
_OWNER = re.compile(r'Referenced table "(?P<name>[^"]+)" not found')
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)
_KEYWORDS = (
    *("SELECT", "FROM", "WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "OFFSET", "UNION", "DISTINCT", "JOIN", "WITH"),
    *("BETWEEN", "LIKE", "ILIKE", "CASE", "WHEN", "THEN", "CAST", "EXISTS", "DESC", "DESCRIBE", "QUALIFY", "UNNEST"),
)


def explained(
    text: str, tables: Collection[str], columns: Collection[str], fields: Collection[str]
) -> QueryError | None:
    """Say which table, column or field was meant, where `text`, DuckDB's message, is about one that is not there."""
    if (found := _TABLE.search(text)) is not None:
        name = found["name"].strip('"')
        return QueryError(f"There is no table {name}.{_hint(name, tables)} `ocelog tables` lists them.")
    if (found := _COLUMN.search(text)) is not None:
        name = found["name"] or found["of_table"]
        return QueryError(f"There is no column {name}.{_hint(name, columns)} `ocelog tables T` lists those of a table.")
    if (found := _FIELD.search(text)) is not None:
        name = found["name"]
        return QueryError(
            f"There is no field {name} in it.{_hint(name, fields)} `ocelog tables T` lists all of a table."
        )
    if (found := _OWNER.search(text)) is not None:
        name = found["name"]
        meant = _hint(name, [*columns, *tables])
        return QueryError(f"There is no column or table {name}.{meant} `ocelog tables T` lists those of a table.")
    return None


def mistyped(sql: str) -> str:
    """Return a line that names the first word of `sql` that is nearly one of SQL's, and that one; else nothing."""
    for word in re.findall(r"[A-Za-z_]+", _QUOTED.sub(" ", sql)):
        if word.upper() not in _KEYWORDS:
            found = get_close_matches(word.upper(), _KEYWORDS, n=1, cutoff=0.75)
            if found:
                return f"\n`{word}`: did you mean {found[0]}?"
    return ""


def nearest(name: str, names: Collection[str]) -> str | None:
    """Return the name that is most like `name`, whatever its case; None where none is."""
    lower = {one.lower(): one for one in sorted(names)}
    found = get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    return lower[found[0]] if found else None


def _hint(name: str, names: Collection[str]) -> str:
    near = nearest(name, names)
    return f" Did you mean {near}?" if near else ""
