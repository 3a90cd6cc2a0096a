"""Which queries of a checkout could not run here, where, and why: each is planned on tables without rows."""

import re
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from ocelog.app.log_types import table_schemas
from ocelog.app.search.ledger_views import ledger_schemas
from ocelog.detect.rule import Place, Query
from ocelog.errors import QueryError
from ocelog.lake.query.plans import Plans, planning
from ocelog.lake.read.saved_views import saved_views
from ocelog.suggest import suggest

_KEY = re.compile(r"[ \t]*[\"']?(?:Athena|Snowflake|Databricks)?Query[\"']?[ \t]*:")
_COLUMN = re.compile(r"does not have a column named \"([^\"]+)\"")
_NAMES = (
    _COLUMN,
    re.compile(r"Could not find key \"([^\"]+)\" in struct"),
    re.compile(r"at or near \"([^\"]+)\""),
    re.compile(r"no (?:table|function) '([^']+)'"),
)
_ENGINE = re.compile(r"\A\w+ Error: ")
_ADVICE = re.compile(r" ?`ocelog tables` lists them\.")


class QueryFault(Struct, frozen=True, kw_only=True):
    """A query that could not run."""

    query: str
    place: Place
    why: str
    is_foreign: bool
    """Whether it was written for another engine, so that nobody need mend it."""


class _Fault(Struct, frozen=True):
    """What is wrong with an SQL text."""

    why: str
    name: str | None
    """The name that it is about."""


_MOST_REMEMBERED = 20_000
_REMEMBERED = dict[bytes, tuple[_Fault | None]]()
"""What came of a text, by its hash: it comes to the same again, as the tables of a process do not change."""


def query_faults(queries: Iterable[Query], root: Path) -> list[QueryFault]:
    """Return the `queries` of the checkout at `root` that could not run, in their order; the lake is not read."""
    every = list(queries)
    told = _told_of(dict.fromkeys(query.text for query in every))
    found = list[QueryFault]()
    for query in every:
        if (fault := told[query.text]) is not None:
            place = Place(query.place.file, _line(root, query.place, fault.name))
            found.append(QueryFault(query=query.name, place=place, why=fault.why, is_foreign=query.is_foreign))
    return found


def _told_of(texts: Iterable[str]) -> dict[str, _Fault | None]:
    """Return of each text what is wrong with it; None: it could run. Only those are planned that were not before."""
    found, left = dict[str, _Fault | None](), dict[str, bytes]()
    for sql in texts:
        key = sha256(sql.encode("utf-8", "surrogatepass")).digest()
        known = _REMEMBERED.get(key)
        if known is None:
            left[sql] = key
        else:
            [found[sql]] = known
    if not left:
        return found
    with planning(table_schemas(), ledger_schemas(), saved_views()) as plans:
        for (sql, key), planned in zip(left.items(), plans.plan(left), strict=True):
            found[sql] = None if planned.error is None else _told(planned.error, sql, plans)
            if planned.is_lasting:
                if len(_REMEMBERED) >= _MOST_REMEMBERED:
                    _REMEMBERED.clear()
                _REMEMBERED[key] = (found[sql],)
    return found


def _told(error: QueryError, sql: str, plans: Plans) -> _Fault:
    """Tell a problem in one line."""
    text = str(error)
    name = error.column or next((match[1] for each in _NAMES if (match := each.search(text))), None)
    is_column = error.column is not None or _COLUMN.search(text) is not None
    if is_column and name is not None:
        tables = frozenset(each for each in plans.names if re.search(rf"\b{re.escape(each)}\b", sql, re.IGNORECASE))
        return _Fault(f"there is no column {name!r}{suggest(name, plans.columns(tables))}", name)
    first = _ENGINE.sub("", text.strip().splitlines()[0]).strip()
    if name is not None and "Candidate" in text:
        first += suggest(name, re.findall(r"\"([^\"]+)\"", text.partition("Candidate")[2]))
    return _Fault(_ADVICE.sub("", first).rstrip("."), name)


def _line(root: Path, place: Place, name: str | None) -> int:
    """Return the line of `name` in the SQL of the query at `place`; the line of its key if it is not found."""
    try:
        lines = (root / place.file).read_text("utf-8-sig").splitlines()
    except (OSError, ValueError):
        return place.line
    key = next((at for at in range(place.line - 1, len(lines)) if _KEY.match(lines[at])), place.line - 1)
    if name is not None:
        wanted = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
        return next((at for at in range(key, len(lines)) if wanted.search(lines[at])), key) + 1
    return key + 1
