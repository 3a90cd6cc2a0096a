"""Asking in SQL as a person does who looks at the answer: its first rows, its values, its rows over time."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from msgspec import Struct

from ocelog.app.log_types import table_schemas
from ocelog.app.search import answer_values
from ocelog.app.search.ledger_views import ledger_schemas
from ocelog.app.search.queries import Stop, ask
from ocelog.app.search.search import BARS, LIMITS, TOP, Bars
from ocelog.errors import ConfigError, QueryError
from ocelog.installation.opening import Installation
from ocelog.lake.read.quoting import quoted
from ocelog.lake.read.saved_views import saved_views
from ocelog.languages.phrases import Phrase
from ocelog.model import ALL_LOGS
from ocelog.suggest import suggest

# The statement is a person's: it is checked and run in a child that can only read, whatever is put around it.
# ruff: noqa: S608

LONGEST = 5_000
"""Characters of a statement of the console, whose address holds it."""
MOST_ROWS = 1_000
_MOST_BYTES = 8 << 20
_TIME = "p_event_time"
_FIRST_S = int(datetime(1, 1, 1, tzinfo=UTC).timestamp())
_LAST_S = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())
"""A bar over time is none that has no year: infinity, and what is before or after those of a calendar."""
_MISSING = (
    re.compile(r"Referenced column \"([^\"]+)\" not found"),
    re.compile(r"does not have a column named \"([^\"]+)\""),
    re.compile(r"Could not find key \"([^\"]+)\" in struct"),
)

_NARROWED = re.compile(
    rf"SELECT \* FROM \(\n(?P<sql>.*)\n\) AS answer\n"
    rf"WHERE {_TIME} >= TIMESTAMPTZ '[^']*' AND {_TIME} < TIMESTAMPTZ '[^']*'",
    re.DOTALL,
)
"""What `narrowed` writes."""


class SearchResult(Struct, frozen=True, kw_only=True):
    """The first rows of an answer."""

    schema: pa.Schema
    rows: Sequence[dict[str, Any]]
    is_cut: bool
    """Whether there are more."""
    missing: Sequence[str]
    """What could not be read."""

    @property
    def has_time(self) -> bool:
        """Whether the rows can be counted over time."""
        return self.schema.names.count(_TIME) == 1 and bool(pa.types.is_timestamp(self.schema.field(_TIME).type))

    def is_list(self, column: str) -> bool:
        """Whether the values of a column are lists."""
        return self.schema.names.count(column) == 1 and bool(pa.types.is_list(self.schema.field(column).type))

    @property
    def numbers(self) -> frozenset[str]:
        """Return which columns hold numbers."""
        return frozenset(
            each.name
            for each in self.schema
            if pa.types.is_integer(each.type) or pa.types.is_floating(each.type) or pa.types.is_decimal(each.type)
        )


def find(installation: Installation, sql: str, *, stop: Stop | None = None) -> SearchResult:
    """Return the first rows of the answer. Raises QueryError, with the nearest name for one that is not there."""
    try:
        with ask(installation, checked(sql), limits=LIMITS, stop=stop) as answer:
            rows, size, is_cut = list[dict[str, Any]](), 0, False
            for batch in answer.batches:
                room = MOST_ROWS - len(rows)
                rows += answer_values.rows(batch.slice(0, room))
                size += batch.nbytes
                if is_cut := batch.num_rows > room or size > _MOST_BYTES:
                    break
            return SearchResult(schema=answer.schema, rows=rows, is_cut=is_cut, missing=answer.missing)
    except QueryError as error:
        nearest = _nearest(str(error), sql)
        if not nearest:
            raise
        raise QueryError(
            Phrase("%(what)s\n%(nearest)s", what=error.phrase, nearest=nearest), code=error.code
        ) from error


def top_values(
    installation: Installation, sql: str, column: str, *, each: bool = False, stop: Stop | None = None
) -> Sequence[tuple[Any, int]]:
    """Return the values that a column of the answer has most often, and how often; `each`: those in its lists."""
    value = f"unnest({quoted(column)})" if each else quoted(column)
    whole = (
        f"SELECT value, count(*) AS rows FROM (SELECT {value} AS value FROM (\n{_inner(sql)}\n) AS answer) "
        f"GROUP BY ALL ORDER BY rows DESC, value LIMIT {TOP}"
    )
    with ask(installation, whole, limits=LIMITS, stop=stop) as answer:
        found, size = list[tuple[Any, int]](), 0
        for batch in answer.batches:
            size += batch.nbytes
            if size > _MOST_BYTES:
                raise QueryError(
                    Phrase(
                        "The values are larger than %(value)s MB together: have the statement select less.",
                        value=_MOST_BYTES >> 20,
                    )
                )
            found += [(row["value"], row["rows"]) for row in answer_values.rows(batch)]
        return found


def histogram(installation: Installation, sql: str, *, stop: Stop | None = None) -> Bars:
    """Return how many rows of the answer there are over the time between its first and its last."""
    whole = (
        f"WITH moments AS (SELECT epoch_us({_TIME}) // 1000000 AS moment FROM (\n{_inner(sql)}\n) AS asked "
        f"WHERE isfinite({_TIME})), "
        f"answer AS (SELECT moment FROM moments WHERE moment BETWEEN {_FIRST_S} AND {_LAST_S}), "
        f"edges AS (SELECT min(moment) AS begins, (max(moment) - min(moment)) // {BARS} + 1 AS width FROM answer) "
        "SELECT begins, width, (moment - begins) // width AS bar, count(*) AS rows FROM answer, edges GROUP BY ALL"
    )
    with ask(installation, whole, limits=LIMITS, stop=stop) as answer:
        rows = [row for batch in answer.batches for row in answer_values.rows(batch)]
    if not rows:
        return Bars(since=datetime.fromtimestamp(0, UTC), width=timedelta(seconds=1), counts=[])
    counts = [0] * (max(row["bar"] for row in rows) + 1)
    for row in rows:
        counts[row["bar"]] = row["rows"]
    begins = datetime.fromtimestamp(rows[0]["begins"], UTC)
    return Bars(since=begins, width=timedelta(seconds=rows[0]["width"]), counts=counts)


def narrowed(sql: str, since: datetime, until: datetime) -> str:
    """Return the statement whose answer is the rows of `sql` from `since` to before `until`.

    What this made before is narrowed anew, rather than put inside another. Raises ConfigError for one that is too long.
    """
    inner = _inner(sql)
    if (before := _NARROWED.fullmatch(inner)) is not None:
        inner = before["sql"]
    begins, ends = (f"TIMESTAMPTZ '{moment.astimezone(UTC).isoformat()}'" for moment in (since, until))
    return checked(f"SELECT * FROM (\n{inner}\n) AS answer\nWHERE {_TIME} >= {begins} AND {_TIME} < {ends}")


def names() -> Sequence[str]:
    """Return the names of tables, views and columns, to be completed."""
    schemas = {**table_schemas(), **ledger_schemas(), **{name: each.columns() for name, each in saved_views().items()}}
    columns = [column for schema in schemas.values() for column in schema.names]
    return list(dict.fromkeys([*tables(), *columns]))


def tables() -> Sequence[str]:
    """Return the names of all that can be read: tables and views."""
    current = [f"{name}_current" for name in table_schemas() if name.startswith("wiz_")]
    return [*table_schemas(), *ledger_schemas(), *saved_views(), *current, ALL_LOGS]


def checked(sql: str) -> str:
    """Return a statement as it is asked. Raises ConfigError for one that is too long."""
    if len(sql) > LONGEST:
        raise ConfigError(
            Phrase(
                "A statement has at most %(longest)s characters here; `ocelog query` takes longer ones.",
                longest=format(LONGEST, ","),
            )
        )
    return sql.strip()


def _inner(sql: str) -> str:
    return checked(sql).rstrip(";")


def _nearest(text: str, sql: str) -> str:
    """Return which name is most like one that the engine did not find."""
    name = next((match[1] for each in _MISSING if (match := each.search(text)) is not None), None)
    if name is None or "did you mean" in text:
        return ""
    schemas = {**table_schemas(), **ledger_schemas()}
    known = [
        column
        for table, schema in schemas.items()
        if re.search(rf"\b{re.escape(table)}(_current)?\b", sql, re.IGNORECASE)
        for column in schema.names
    ]
    listed = re.findall(r"\"([^\"]+)\"", text.partition("Candidate")[2])
    found = suggest(name, [*known, *listed])
    return Phrase("Did you mean %(name)s?", **found.values) if isinstance(found, Phrase) else ""
