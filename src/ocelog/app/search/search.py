"""Searching events without SQL: what a person chose becomes one statement, page after page by key."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import pyarrow as pa
from msgspec import Struct

from ocelog.app.log_types import kinds, table_schemas
from ocelog.app.search.queries import REMOTE_ROW_BYTES, Limits, Stop, ask
from ocelog.app.search.summaries import summary_of, summary_paths
from ocelog.errors import ConfigError
from ocelog.installation.opening import Installation
from ocelog.lake.read.quoting import literal, quoted
from ocelog.languages.phrases import Phrase
from ocelog.model import ALL_LOGS, REJECTIONS, RULE_MATCHES, table_name
from ocelog.schema.columns.table import standard_columns
from ocelog.suggest import suggest

# What is put together here are columns of our schemas, quoted, and literals.
# ruff: noqa: S608

PAGE = 50
"""Rows of one page."""
BARS = 60
"""At most so many bars has a histogram."""
LIMITS = Limits(timeout=timedelta(seconds=60), row_bytes=REMOTE_ROW_BYTES)
"""What each query of a person may use."""
_ALWAYS = ("p_event_time", "p_log_type", "p_row_id")
"""What identifies a row."""
_HEXADECIMAL = ("p_row_id", "p_version")
"""Columns that hold nothing but digits and the letters a to f, different in each row: long to look through."""
_FIRST_S = int(datetime.min.replace(tzinfo=UTC).timestamp())
_LONGEST_TEXT = 1_000
_MOST_CONDITIONS = 20
TOP = 10
"""So many values of a field are shown."""
_WIDTHS = tuple(
    timedelta(seconds=each)
    for each in (1, 5, 15, 60, 300, 900, 3_600, 3 * 3_600, 6 * 3_600, 86_400, 7 * 86_400, 30 * 86_400)
)


class Operator(StrEnum):
    """How a field is compared."""

    IS = "is"
    IS_NOT = "is_not"
    HAS = "has"
    """It contains the text, in any case of letters; a list contains the value."""
    ABOVE = "above"
    BELOW = "below"
    MISSING = "missing"


class Condition(Struct, frozen=True, kw_only=True):
    """What one field must be like."""

    field: str
    """A column, or a path in one, such as `entitySnapshot.name`."""
    operator: Operator
    value: str = ""


class Search(Struct, frozen=True, kw_only=True):
    """What is looked for."""

    since: datetime
    until: datetime
    log_type: str | None = None
    """None: in all of them; conditions are on the standard fields that they share."""
    text: str = ""
    """Stands anywhere in the row, in any case of letters."""
    indicator: str = ""
    """An address, a name, an account: any of the `p_any_` lists has exactly it."""
    conditions: Sequence[Condition] = ()

    @property
    def table(self) -> str:
        """The table or view that is searched."""
        return ALL_LOGS if self.log_type is None else table_name(self.log_type)


class Key(Struct, frozen=True, kw_only=True):
    """Where a page ends: the next one begins behind it."""

    at: datetime
    row_id: str


class Rows(Struct, frozen=True, kw_only=True):
    """A page of what was found, the newest first."""

    rows: Sequence[Mapping[str, Any]]
    further: Key | None
    """None: there is no more."""


class Bars(Struct, frozen=True, kw_only=True):
    """How many rows there are in each period of time."""

    since: datetime
    width: timedelta
    counts: Sequence[int]

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.counts)


def columns_of(log_type: str | None) -> pa.Schema:
    """Return the columns that can be searched. Raises ConfigError with the nearest log type."""
    schemas = table_schemas()
    if log_type is None:
        return pa.schema(standard_columns(schemas[table_name(name)] for name in kinds()))
    if log_type not in kinds():
        raise ConfigError(
            Phrase(
                "There is no log type %(log_type)s%(kinds)s",
                log_type=repr(log_type),
                kinds=suggest(log_type, kinds()) or ".",
            )
        )
    return schemas[table_name(log_type)]


def paths_of(schema: pa.Schema) -> dict[str, pa.DataType]:
    """Return every path that a condition may name, and its type: columns, and fields of those that have some."""
    found = dict[str, pa.DataType]()

    def add(prefix: str, kind: pa.DataType) -> None:
        if pa.types.is_struct(kind):
            for each in (kind.field(at) for at in range(kind.num_fields)):
                add(f"{prefix}.{each.name}", each.type)
        else:
            found[prefix] = kind

    for column in schema:
        add(column.name, column.type)
    return found


def statement(search: Search, columns: Sequence[str], *, after: Key | None = None, limit: int | None = PAGE + 1) -> str:
    """Return the SQL of a page of `search`: these columns, and what identifies the row. Raises ConfigError."""
    schema = columns_of(search.log_type)
    paths = paths_of(schema)
    whole = {column.name: column.type for column in schema}
    shown = [f"{_expression(name, paths | whole)} AS {quoted(name)}" for name in columns if name not in _ALWAYS]
    wanted = [*_wanted(search, paths)]
    if after is not None:
        at, row = _instant(after.at), literal(after.row_id)
        # The first says nothing more: by it, files and row groups are passed over unread.
        wanted += [f"p_event_time <= {at}", f"(p_event_time < {at} OR p_row_id < {row})"]
    return (
        f"SELECT {', '.join([*_ALWAYS, *shown])}\nFROM {search.table}\n"
        f"WHERE {' AND '.join(wanted)}\nORDER BY p_event_time DESC, p_row_id DESC"
    ) + (f"\nLIMIT {limit}" if limit is not None else "")


def find(
    installation: Installation,
    search: Search,
    columns: Sequence[str],
    *,
    after: Key | None = None,
    limit: int = PAGE,
    stop: Stop | None = None,
) -> Rows:
    """Return a page of what is found. Raises ConfigError for a search that names what is not there."""
    rows = _rows(installation, statement(search, columns, after=after, limit=limit + 1), stop)
    last = rows[limit - 1] if len(rows) > limit else None
    key = None if last is None else Key(at=last["p_event_time"], row_id=last["p_row_id"])
    return Rows(rows=rows[:limit], further=key)


def summaries(
    installation: Installation, rows: Sequence[Mapping[str, Any]], *, stop: Stop | None = None
) -> Mapping[str, str]:
    """Return what each of some rows says in one line, by `p_row_id`, whatever their log types.

    Rows that are in no table of a log type, or no longer, are left out. By the instants of these rows, files and row
    groups are passed over unread.
    """
    known, by_type = kinds(), dict[str, list[Mapping[str, Any]]]()
    for row in rows:
        if row["p_log_type"] in known and row["p_row_id"] is not None:
            by_type.setdefault(row["p_log_type"], []).append(row)
    if not by_type:
        return {}
    schemas = table_schemas()
    read = {log_type: _summed_up(log_type, paths_of(schemas[table_name(log_type)])) for log_type in by_type}
    selects = [_summary_select(log_type, read[log_type], each) for log_type, each in by_type.items()]
    found = dict[str, str]()
    for row in _rows(installation, " UNION ALL BY NAME ".join(selects), stop):
        log_type = row["p_log_type"]
        found[row["p_row_id"]] = summary_of(
            log_type, _nested({path: row[f"{log_type}:{path}"] for path in read[log_type]})
        )
    return found


def histogram(installation: Installation, search: Search, *, stop: Stop | None = None) -> Bars:
    """Return how many rows are found, period by period of the time that is searched."""
    paths = paths_of(columns_of(search.log_type))
    length = search.until - search.since
    width = next((each for each in _WIDTHS if length / each <= BARS), timedelta(days=length.days // BARS + 1))
    seconds = int(width.total_seconds())
    begins_s = int(search.since.timestamp()) // seconds * seconds
    many = -(-(int(search.until.timestamp()) - begins_s) // seconds)
    bar = f"epoch(p_event_time)::BIGINT // {seconds} * {seconds}"
    sql = (
        f"SELECT {bar} AS at, count(*) AS rows FROM {search.table} "
        f"WHERE {' AND '.join(_wanted(search, paths))} GROUP BY ALL"
    )
    counts = [0] * max(many, 1)
    for row in _rows(installation, sql, stop):
        counts[min(max((row["at"] - begins_s) // seconds, 0), len(counts) - 1)] += row["rows"]
    # The first bar may begin before there are years.
    begins = datetime.fromtimestamp(max(begins_s, _FIRST_S), UTC)
    return Bars(since=begins, width=width, counts=counts)


def top_values(
    installation: Installation, search: Search, field: str, *, stop: Stop | None = None
) -> Sequence[tuple[Any, int]]:
    """Return the values that a field has most often in what is found, and how often."""
    paths = paths_of(columns_of(search.log_type))
    expression = _expression(field, paths)
    if pa.types.is_list(paths[field]):
        expression = f"unnest({expression})"
    sql = (
        f"SELECT value, count(*) AS rows FROM (SELECT {expression} AS value FROM {search.table} "
        f"WHERE {' AND '.join(_wanted(search, paths))}) GROUP BY ALL ORDER BY rows DESC, value LIMIT {TOP}"
    )
    return [(row["value"], row["rows"]) for row in _rows(installation, sql, stop)]


def event(
    installation: Installation, log_type: str, row_id: str, *, stop: Stop | None = None
) -> Mapping[str, Any] | None:
    """Return one row with all of its columns; None: there is none."""
    columns_of(log_type)
    found = _rows(
        installation, f"SELECT * FROM {table_name(log_type)} WHERE p_row_id = {literal(row_id)} LIMIT 1", stop
    )
    return found[0] if found else None


def versions(
    installation: Installation, log_type: str, record_id: str, *, stop: Stop | None = None
) -> Sequence[Mapping[str, Any]]:
    """Return every version of a record, the oldest first."""
    columns_of(log_type)
    where = f"id = {literal(record_id)} ORDER BY p_version_time, p_observed_at, p_row_id LIMIT 100"
    return _rows(installation, f"SELECT * FROM {table_name(log_type)} WHERE {where}", stop)


def matched_events(
    installation: Installation, alert_id: str, *, limit: int, stop: Stop | None = None
) -> Sequence[Mapping[str, Any]]:
    """Return the matches of an alert, the newest first: each names the event's log type and row."""
    columns = "p_event_time, p_log_type, event_row_id, title, p_source_label"
    where = f"alert_id = {literal(alert_id)} ORDER BY p_event_time DESC, p_row_id LIMIT {int(limit)}"
    return _rows(installation, f"SELECT {columns} FROM {RULE_MATCHES} WHERE {where}", stop)


def alerts_about(installation: Installation, row_id: str, *, stop: Stop | None = None) -> Sequence[Mapping[str, Any]]:
    """Return the alerts that an event is in: id, what its match says, and the rule."""
    where = f"event_row_id = {literal(row_id)} AND alert_id IS NOT NULL"
    columns = "alert_id, any_value(title) AS title, any_value(rule_id) AS rule_id"
    sql = f"SELECT {columns} FROM {RULE_MATCHES} WHERE {where} GROUP BY 1 ORDER BY 1 LIMIT 20"
    return _rows(installation, sql, stop)


def rejected(
    installation: Installation, source_id: str, *, limit: int, stop: Stop | None = None
) -> Sequence[Mapping[str, Any]]:
    """Return the newest records of a source that did not fit: where, what was expected, and what came."""
    columns = "p_observed_at, p_log_type, record_id, path, expected, found"
    where = f"p_source_id = {literal(source_id)} ORDER BY p_observed_at DESC, p_row_id LIMIT {int(limit)}"
    return _rows(installation, f"SELECT {columns} FROM {REJECTIONS} WHERE {where}", stop)


def rejections(
    installation: Installation,
    *,
    source_id: str | None = None,
    log_type: str | None = None,
    after: Key | None = None,
    limit: int = PAGE,
    stop: Stop | None = None,
) -> Rows:
    """Return a page of the records that did not fit, the newest first, each as it came."""
    wanted = ["true"]
    if source_id is not None:
        wanted.append(f"p_source_id = {literal(source_id)}")
    if log_type is not None:
        columns_of(log_type)
        wanted.append(f"p_log_type = {literal(log_type)}")
    if after is not None:
        at, row = _instant(after.at), literal(after.row_id)
        wanted.append(f"(p_observed_at < {at} OR (p_observed_at = {at} AND p_row_id < {row}))")
    order = "ORDER BY p_observed_at DESC, p_row_id DESC"
    rows = _rows(
        installation, f"SELECT * FROM {REJECTIONS} WHERE {' AND '.join(wanted)} {order} LIMIT {int(limit) + 1}", stop
    )
    last = rows[limit - 1] if len(rows) > limit else None
    key = None if last is None else Key(at=last["p_observed_at"], row_id=last["p_row_id"])
    return Rows(rows=rows[:limit], further=key)


def _rows(installation: Installation, sql: str, stop: Stop | None = None) -> list[dict[str, Any]]:
    with ask(installation, sql, limits=LIMITS, stop=stop) as answer:
        return [row for batch in answer.batches for row in batch.to_pylist()]


def _summed_up(log_type: str, paths: Mapping[str, pa.DataType]) -> list[str]:
    """Return those of `paths` that a summary is made of: if one that it names leads into JSON, the column of that."""
    found = dict[str, None].fromkeys(["p_row_id", "id"])
    for names in (path.split(".") for each in summary_paths(log_type) for path in each):
        found |= dict.fromkeys(".".join(names[: at + 1]) for at in range(len(names)))
    return [path for path in found if path in paths]


def _summary_select(log_type: str, read: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Select what sums up these rows. Columns are named after their log type too, since types differ between them."""
    shown = [f"{'.'.join(map(quoted, path.split('.')))} AS {quoted(f'{log_type}:{path}')}" for path in read]
    times = [row["p_event_time"] for row in rows]
    ids = ", ".join(literal(row["p_row_id"]) for row in rows)
    return (
        f"SELECT p_row_id, p_log_type, {', '.join(shown)} FROM {table_name(log_type)} WHERE "
        f"p_event_time >= {_instant(min(times))} AND p_event_time <= {_instant(max(times))} AND p_row_id IN ({ids})"
    )


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by path as the row that they come from."""
    found = dict[str, Any]()
    for path, value in values.items():
        *above, name = path.split(".")
        inner = found
        for each in above:
            inner = inner.setdefault(each, {})
        inner[name] = value
    return found


def check_conditions(count: int) -> None:
    """Raise ConfigError for more conditions than a search may have."""
    if count > _MOST_CONDITIONS:
        raise ConfigError(
            Phrase("A search has at most %(most_conditions)s conditions.", most_conditions=_MOST_CONDITIONS)
        )


def _wanted(search: Search, paths: Mapping[str, pa.DataType]) -> list[str]:
    check_conditions(len(search.conditions))
    if max(map(len, (search.text, search.indicator, *(each.value for each in search.conditions)))) > _LONGEST_TEXT:
        raise ConfigError(
            Phrase(
                "What is searched for has at most %(longest_text)s characters.", longest_text=format(_LONGEST_TEXT, ",")
            )
        )
    found = [f"p_event_time >= {_instant(search.since)}", f"p_event_time < {_instant(search.until)}"]
    if search.indicator:
        lists = [path for path in paths if path.startswith("p_any_")]
        found.append(f"({' OR '.join(f'list_contains({each}, {literal(search.indicator)})' for each in lists)})")
    if search.text and search.log_type is not None:
        # One text after the other, and not all of them together: of a column with few values only these are looked at.
        sought = f"lower({literal(search.text)})"
        found.append(f"({' OR '.join(f'contains(lower({each}), {sought})' for each in _texts(paths, search.text))})")
    elif search.text:
        # What all log types share are few fields: the text may stand in any field of each.
        every = (Search(since=search.since, until=search.until, log_type=each, text=search.text) for each in kinds())
        rows = " UNION ALL ".join(_rows_of(each) for each in every)
        found.append(f"(p_log_type, p_row_id) IN ({rows})")
    return [*found, *(_compared(each, paths) for each in search.conditions)]


def _rows_of(search: Search) -> str:
    """Return the SQL of what identifies each row of a log type that is found."""
    wanted = " AND ".join(_wanted(search, paths_of(columns_of(search.log_type))))
    return f"SELECT p_log_type, p_row_id FROM {search.table} WHERE {wanted}"


def _texts(paths: Mapping[str, pa.DataType], sought: str) -> Iterator[str]:
    """Yield the expression of each text in which `sought` may stand."""
    is_hexadecimal = set(sought.lower()) <= set("0123456789abcdef")
    for path, kind in paths.items():
        if path in _HEXADECIMAL and not is_hexadecimal:
            continue
        if pa.types.is_string(kind):
            yield _expression(path, paths)
        elif pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
            # A line apart: nothing is found that stands partly in one value and partly in the next.
            yield f"array_to_string({_expression(path, paths)}, chr(10))"
        elif pa.types.is_list(kind):
            yield f"to_json({_expression(path, paths)})::VARCHAR"


def _expression(path: str, paths: Mapping[str, pa.DataType]) -> str:
    if path not in paths:
        raise ConfigError(
            Phrase("There is no field %(path)s%(paths)s", path=repr(path), paths=suggest(path, paths) or ".")
        )
    return ".".join(map(quoted, path.split(".")))


def _compared(condition: Condition, paths: Mapping[str, pa.DataType]) -> str:
    expression, kind = _expression(condition.field, paths), paths[condition.field]
    if pa.types.is_list(kind):
        return _compared_list(condition, expression, kind)
    value = _value(condition, kind)
    match condition.operator:
        case Operator.IS:
            return f"{expression} = {value}"
        case Operator.IS_NOT:
            return f"{expression} IS DISTINCT FROM {value}"
        case Operator.HAS:
            return f"contains(lower({expression}::VARCHAR), lower({literal(condition.value)}))"
        case Operator.ABOVE:
            return f"{expression} > {value}"
        case Operator.BELOW:
            return f"{expression} < {value}"
        case Operator.MISSING:
            return f"{expression} IS NULL"


def _compared_list(condition: Condition, expression: str, kind: pa.DataType) -> str:
    if condition.operator is Operator.MISSING:
        return f"coalesce(len({expression}), 0) = 0"
    if condition.operator not in (Operator.IS, Operator.IS_NOT, Operator.HAS):
        raise ConfigError(
            Phrase("%(field)s is a list: ask what it has, or whether it is missing.", field=condition.field)
        )
    if pa.types.is_string(kind.value_type):
        has = f"list_contains({expression}, {literal(condition.value)})"
    else:
        has = f"contains(lower(to_json({expression})::VARCHAR), lower({literal(condition.value)}))"
    return f"NOT coalesce({has}, false)" if condition.operator is Operator.IS_NOT else has


def _value(condition: Condition, kind: pa.DataType) -> str:
    """Write the value as the field's type has it. Raises ConfigError for one that it cannot have."""
    text = condition.value.strip()
    if condition.operator in (Operator.HAS, Operator.MISSING):
        return ""
    try:
        if pa.types.is_boolean(kind):
            return {"true": "true", "false": "false"}[text.lower()]
        if pa.types.is_integer(kind):
            return str(int(text))
        if pa.types.is_floating(kind):
            return f"'{float(text)!r}'::DOUBLE"
        if pa.types.is_timestamp(kind):
            found = datetime.fromisoformat(text)
            return _instant(found if found.tzinfo is not None else found.replace(tzinfo=UTC))
    except (ValueError, KeyError, OverflowError):
        if pa.types.is_timestamp(kind):
            raise ConfigError(
                Phrase(
                    "%(field)s is a time: write one such as 2026-08-10 or 2026-08-10T09:30:00Z, not %(text)s.",
                    field=condition.field,
                    text=repr(text[:100]),
                )
            ) from None
        raise ConfigError(
            Phrase(
                "%(field)s is of type %(kind)s: %(text)s is no value of it.",
                field=condition.field,
                kind=kind,
                text=repr(text),
            )
        ) from None
    return literal(condition.value)


def _instant(value: datetime) -> str:
    return f"TIMESTAMPTZ '{value.astimezone(UTC).isoformat(' ', 'microseconds')}'"
