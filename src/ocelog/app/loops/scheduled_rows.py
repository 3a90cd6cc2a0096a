"""How rows of a scheduled query are judged as events: which row it is, when it happened, whose it is."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any, TypeGuard

import msgspec
import pyarrow as pa
from msgspec import Struct

from ocelog.alert.judged import Event
from ocelog.app.log_types import kinds
from ocelog.app.search.answer_values import interval
from ocelog.lake.read.current import CURRENT
from ocelog.lake.read.saved_views import saved_views
from ocelog.model import table_name
from ocelog.schema.columns.table import FROM_EVENT, MATCH_SCHEMA
from ocelog.schema.decode.timestamps import INSTANT
from ocelog.times import from_us, to_us

_INTEGERS = range(-(2**63), 2**64)
"""The integers that a process of rules is told as they are; greater ones are numbers to it, as exact as JSON's are."""
_LINKS = ("wizUrl",)
"""Columns that may hold the address of a record's own page, beside those that log types keep it in."""
_LONGEST_ID, _LONGEST_LINK = 500, 4_000


class RunRows(Struct, frozen=True, kw_only=True):
    """Rows of one run."""

    plain: Sequence[Mapping[str, Any]]
    """As rules see them."""
    events: Sequence[Event]
    rows: pa.Table
    """As `rule_matches` takes its own columns from them."""


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of a query as rules see it: like a record of JSON, with instants as text.

    A number that is none, or infinite, is null. What Python has no value for, such as an infinite instant or a year
    before Christ, is text in the words of the engine.
    """
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(_json(row), enc_hook=str))
    return found


def _json(value: object) -> object:
    match value:
        case None | bool() | str() | float():
            return value
        case int() | Decimal() if value == int(value) and int(value) not in _INTEGERS:
            return float(value)
        case Decimal():
            return int(value) if value.as_tuple().exponent == 0 else float(value)
        case pa.MonthDayNano():
            return interval(value)
        case Mapping():
            return {name if isinstance(name, str) else str(name): _json(each) for name, each in value.items()}
        case list() | tuple():
            return [_json(each) for each in value]
        case _:
            return value


def row_identity(row: Mapping[str, Any], query: str, fires_us: int) -> str:
    """Return what tells a row from others.

    One that carries `p_row_id` is about that row of the lake, whichever run returns it: it matches a rule once, however
    often it is returned. Any other row, such as a count per person, says how things were at the time of the run: the
    same figures a day later are news, so its fire time counts too. In a later run it matches again, and joins the alert
    of its dedup string: within DedupPeriodMinutes nobody hears of it again.
    """
    if isinstance(own := row.get("p_row_id"), str) and own:
        return own if _is_short(own, _LONGEST_ID) else digest("id", own)
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return digest("row", query, str(fires_us), text)


def run_event(schedule: str, fires_us: int) -> Event:
    """Return what stands for a run that failed, which is of no source."""
    return Event(
        row_id=digest("run", schedule, str(fires_us)),
        log_type="",
        source_id="",
        source_label="",
        event_us=fires_us,
        version_us=fires_us,
        observed_us=fires_us,
    )


def _is_short(value: object, longest: int) -> TypeGuard[str]:
    """Whether it is a text that can be kept as it is."""
    return isinstance(value, str) and len(value) <= longest and "\0" not in value


def digest(*parts: str) -> str:
    """Return 32 hex digits that tell these texts from others."""
    made = blake2b(digest_size=16)
    for part in parts:
        text = part.encode("utf-8", "surrogatepass")
        made.update(len(text).to_bytes(8, "big") + text)
    return made.hexdigest()


def log_type_of(tables: Collection[str]) -> str:
    """Return the log type that all of these tables and views are of; empty: they are of several, or of none."""
    known = {table_name(name): name for name in kinds()}
    # What a view of ours is made of is among the tables, too.
    found = {known.get(table.removesuffix(CURRENT), "") for table in tables if table not in saved_views()}
    return found.pop() if len(found) == 1 else ""


def link_of(row: Mapping[str, Any]) -> str | None:
    """Return the address of the page that a row is about, if a column of that name holds one."""
    pages = [kind.page for kind in kinds().values() if kind.page is not None]
    values = (row.get(name) for name in dict.fromkeys((*pages, *_LINKS)))
    return next((each for each in values if _is_short(each, _LONGEST_LINK) and each.startswith("https://")), None)


def found_rows(
    rows: Sequence[Mapping[str, Any]],
    query: str,
    *,
    log_type: str = "",
    fires_us: int,
    now_us: int,
    sources: Mapping[str, str],
) -> RunRows:
    """Return `plain` rows of a query as events. `sources`: id of each source that there is -> name; there must be one.

    A row that does not say which source it is of is kept with the first: each match goes with the purge of its source.
    One that does not say its log type is of `log_type`.
    """
    told = list(rows)
    events = list[Event]()
    for row in told:
        named = row.get("p_source_id")
        source_id = named if isinstance(named, str) and named in sources else next(iter(sources))
        own = row.get("p_log_type")
        event = Event(
            row_id=row_identity(row, query, fires_us),
            log_type=own if own and _is_short(own, _LONGEST_ID) else log_type,
            source_id=source_id,
            source_label=sources[source_id],
            event_us=instant_us(row.get("p_event_time"), fires_us),
            # It is news whenever it is found, also if what it was found in is older than its stream.
            version_us=now_us,
            observed_us=now_us,
            link=link_of(row),
        )
        events.append(event)
    return RunRows(plain=told, events=events, rows=match_source(events, told))


def match_source(events: Sequence[Event], rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return a table from which `rule_matches` takes what it keeps of events: its own fields, and indicators."""
    us = [from_us(each.event_us) for each in events]
    made: dict[str, pa.Array] = {
        "p_row_id": pa.array([each.row_id for each in events], pa.string()),
        "p_log_type": pa.array([each.log_type or None for each in events], pa.string()),
        "p_source_id": pa.array([each.source_id for each in events], pa.string()),
        "p_source_label": pa.array([each.source_label for each in events], pa.string()),
        "p_origin": pa.nulls(len(events), pa.string()),
        "p_event_time": pa.array(us, INSTANT),
        "p_cursor_time": pa.array(us, INSTANT),
        "p_observed_at": pa.array([from_us(each.observed_us) for each in events], INSTANT),
    }
    # A column that is missing here would be null without a word.
    columns = {name: made[name] for name in ("p_row_id", *sorted(FROM_EVENT))}
    for name in MATCH_SCHEMA.names:
        if name.startswith("p_any_"):
            columns[name] = pa.array([_texts(row.get(name)) for row in rows], MATCH_SCHEMA.field(name).type)
    ids = [row.get("id") for row in rows]
    columns["id"] = pa.array([each if isinstance(each, str) else None for each in ids], pa.string())
    return pa.table(columns)


def _texts(value: object) -> list[str] | None:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else None


def instant_us(value: object, otherwise: int) -> int:
    """Return the instant that a text of a row says, and `otherwise` if it says none."""
    if not isinstance(value, str):
        return otherwise
    try:
        instant = datetime.fromisoformat(value)
        us = to_us(instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC))
        # One that lies outside the years of UTC can be written nowhere.
        from_us(us)
    except (ValueError, OverflowError):
        return otherwise
    return us
